"""The command: one clear line and exit code 2 for bad input, before anything runs."""

import errno
import json
import runpy
import subprocess
import sys

import pandas as pd
import pytest

from horticulture import cli, files, runs
from horticulture.study import parameters, runner


@pytest.fixture(autouse=True)
def nothing_may_run(monkeypatch, request):
    def run(*_):
        raise AssertionError("a notebook was started")

    monkeypatch.setattr(runner, "_execute", run)


def refused(capsys, *arguments):
    """The one line that the command says on refusing."""
    assert cli.main(list(arguments)) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("horticulture: ")
    return said[0]


@pytest.mark.parametrize(
    ("arguments", "offender", "choices"),
    [
        (["nosuch"], "unknown study 'nosuch'", "quick"),
        (["smoke", "-p", "critreion=l1"], "unknown parameter (-p) 'critreion'", "criterion"),
        (["smoke", "-p", "network=wrn-41-2"], "depth 6n + 4", "40"),
        (["smoke", "-p", "network=alexnet"], "unknown network 'alexnet'", "wrn-DEPTH-WIDTH"),
        (["smoke", "-p", "criterion=fischer"], "unknown criterion 'fischer'", "did you mean 'fisher'"),
        (["smoke", "-p", "curves=[width, bottelneck]"], "unknown curve 'bottelneck'", "copycat"),
        (["smoke", "-p", "data=mnist"], "unknown data set 'mnist'", "clutter"),
        (["smoke", "-p", "schedule=never"], "unknown schedule 'never'", "cosine"),
        (["smoke", "-p", "rounds=lots"], "rounds must be of type int", "such as 192, not 'lots'"),
        (["smoke", "-p", "rounds=5000"], "rounds=5000", "112 channels"),
        (["smoke", "-p", "epochs=0"], "epochs must be positive", "0"),
        (["smoke", "-p", "sizes=[0.5, 2]"], "sizes are shares", "2"),
        (["smoke", "-p", "seeds=[zero]"], "seeds are whole numbers", "'zero'"),
        (["smoke", "-p", "strengths=[0.001]"], "strengths must be of type dict", "such as {'slimming'"),
        (["smoke", "-p", "criterion=slimming", "-p", "strengths={slimming: none}"], "above 0", "'none'"),
        (["smoke", "-p", "device=abacus"], "no device 'abacus'", ""),
        (
            ["smoke", "-p", "data=folder:/no/such/place"],
            "folder:/no/such/place is not an image folder",
            "train/<class>",
        ),
        (["smoke", "--from", "9"], "no notebook begins with '9'", "01_train"),
        (["smoke", "-p", "study=mine"], "study is no parameter", "--name NAME"),
        (["smoke", "-p", "outputs=mine"], "outputs is no parameter", "--outputs PATH"),
        (["smoke", "-p", "rounds=all", "-p", "ratios=0.5"], "rounds=all means one channel a round", "ratios"),
        (["smoke", "-p", "device=mps"], "device 'mps' is not supported", "cpu"),
        (["smoke", "--name", "runs"], "--name 'runs'", "the name of a folder"),
        (["smoke", "--name", "a/b"], "--name 'a/b'", "the name of a folder"),
        (["smoke", "--name", "quick"], "--name 'quick'", "there is a study of that name"),
        (["smoke", "--name", "rethinking-quick-vgg"], "--name 'rethinking-quick-vgg'", "choose another"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(capsys, tmp_path, arguments, offender, choices):
    line = refused(capsys, "run", *arguments, "--outputs", str(tmp_path / "out"))
    assert offender in line
    assert choices in line
    assert not (tmp_path / "out").exists()


# --- a study in parts ------------------------------------------------------------------------------------

PARTS = """
about: Two small networks.
parameters: { images: 256, epochs: 1, rounds: 8, steps: 1, sizes: [0.9], workers: 1 }
parts:
  wide: { network: wrn-10-1 }
  other: { network: vgg-8-8, criterion: slimming, strengths: { slimming: 0.01 } }
"""


@pytest.fixture
def started(monkeypatch):
    """What would have been executed: study, notebook, its parameters; and the folders that were shown."""
    done, shown = [], []

    def execute(notebook, target, settled, terminal):
        done.append((target.parents[1].name, notebook.stem, settled))

    monkeypatch.setattr(runner, "_execute", execute)
    monkeypatch.setattr(runner, "to_html", lambda target: target)
    monkeypatch.setattr(cli, "_print", lambda folder: shown.append(folder.name))
    return done, shown


def test_a_study_in_parts_goes_through_the_notebooks_once_for_each(started, tmp_path):
    done, shown = started
    (tmp_path / "two.yaml").write_text(PARTS)
    overrides = ["-p", "strengths={slimming: 0.5, blocks: 1}", "-p", "seeds=[4]"]
    assert (
        cli.main(
            [
                "run",
                str(tmp_path / "two.yaml"),
                "--name",
                "two",
                "--outputs",
                str(tmp_path / "out"),
                *overrides,
            ]
        )
        == 0
    )
    stems = [path.stem for path in parameters.notebooks()]
    assert [(name, stem) for name, stem, _ in done] == [
        (f"two-{p}", s) for p in ("wide", "other") for s in stems
    ]
    assert shown == ["two-wide", "two-other"]
    for name, stem, settled in done:
        assert settled["study"] == name
        assert settled["network"] == ("wrn-10-1" if name == "two-wide" else "vgg-8-8")
        assert (settled["seeds"], settled["epochs"]) == ([4], 1)
        if stem != "01_train":
            assert settled["criterion"] == ("fisher" if name == "two-wide" else "slimming")
            assert settled["strengths"] == {"slimming": 0.5, "blocks": 1}
    for part in ("two-wide", "two-other"):
        written = json.loads((tmp_path / "out" / part / "study.json").read_text())
        assert written["study"] == part


OTHER = (["-p", "epochs=2"], "smoke-epochs-2"), (["-p", "epochs=2", "--name", "mine"], "mine")


@pytest.mark.parametrize(("more", "name"), [([], "smoke"), (["-p", "workers=2"], "smoke"), *OTHER])
def test_a_study_of_ones_own_leaves_that_of_the_file_alone(started, tmp_path, capsys, more, name):
    done, shown = started
    (tmp_path / "smoke" / "curves").mkdir(parents=True)
    (tmp_path / "smoke" / "curves" / "whole.json").write_text("[]")
    assert cli.main(["run", "smoke", "--outputs", str(tmp_path), *more]) == 0
    assert {study for study, _, _ in done} == set(shown) == {name}
    assert (tmp_path / "smoke" / "curves" / "whole.json").exists() == (name != "smoke")
    said = "smoke with other parameters: its results go to smoke-epochs-2 (--name calls it otherwise)\n"
    assert capsys.readouterr().out == (said if name == "smoke-epochs-2" else "")


@pytest.mark.parametrize(
    ("first", "stems"), [("4", "45"), ("04", "45"), ("05_analysis", "5"), ("1", "12345"), ("01", "12345")]
)
def test_from_a_notebook_by_its_number(started, tmp_path, first, stems):
    done, _ = started
    assert cli.main(["run", "smoke", "--outputs", str(tmp_path), "--from", first]) == 0
    assert [stem[1] for _, stem, _ in done] == list(stems)


def test_all_rounds_are_as_many_as_there_are_channels(started, tmp_path):
    done, _ = started
    assert cli.main(["run", "smoke", "--outputs", str(tmp_path), "-p", "rounds=all"]) == 0
    assert {settled["rounds"] for *_, settled in done} == {112}
    written = json.loads((tmp_path / "smoke-rounds-all" / "study.json").read_text())
    assert written["parameters"]["rounds"] == 112


def test_a_study_of_which_one_part_would_fail_does_not_begin(capsys, tmp_path):
    (tmp_path / "two.yaml").write_text(PARTS.replace("vgg-8-8", "vgg-9-8"))
    line = refused(capsys, "run", str(tmp_path / "two.yaml"), "--outputs", str(tmp_path / "out"))
    assert "a VGG has depth" in line
    assert not (tmp_path / "out").exists()


def test_show_has_the_tables_of_every_part_that_is_there(capsys, tmp_path):
    names = [part.name for part in parameters.read("rethinking-quick").expand_parts()]
    rows = {
        names[0]: [("whole", "", 1000, 11.5, None), ("pruned-scratch", "l1", 500, 12.5, 0.5)],
        names[2]: [("whole", "", 1000, 13.5, None), ("width", "", 500, 14.5, None)],
    }
    for name, found in rows.items():
        (tmp_path / name / "figures").mkdir(parents=True)
        (tmp_path / name / "figures" / f"of_{name}.png").write_bytes(b"")
        columns = ["curve", "criterion", "params", "test_error", "ratio"]
        frame = pd.DataFrame(found, columns=columns).assign(seed=0).reindex(columns=runs.RESULT_COLUMNS)
        frame.to_csv(tmp_path / name / "results.csv", index=False)
    assert cli.main(["show", "rethinking-quick", "--outputs", str(tmp_path)]) == 0
    first, _, second = capsys.readouterr().out.partition(f"of_{names[0]}.png")
    assert "11.5" in first
    assert "by budget" in first
    assert "12.5" in first
    assert "13.5" in second
    assert "14.5" in second
    assert "by budget" not in second  # nothing was pruned by a ratio
    assert second.rstrip().endswith(f"of_{names[2]}.png")
    assert cli.main(["show", names[2], "--outputs", str(tmp_path)]) == 0  # a part by its own name
    shown = capsys.readouterr().out
    assert "13.5" in shown
    assert "11.5" not in shown


def test_show_finds_a_study_by_its_file_and_by_the_name_of_its_parts(monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(cli, "_print", lambda folder: shown.append(folder.name))
    (tmp_path / "own.yaml").write_text(PARTS)
    for name in ("own-wide", "own-other", "mine-wide"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.csv").write_text("")
    assert cli.main(["show", str(tmp_path / "own.yaml"), "--outputs", str(tmp_path)]) == 0
    assert cli.main(["show", "mine", "--outputs", str(tmp_path)]) == 0
    assert shown == ["own-wide", "own-other", "mine-wide"]


@pytest.mark.parametrize("name", ["quick", "smoke", "rethinking-quick"])  # what needs no download
def test_a_study_of_the_checkout_is_not_refused(started, tmp_path, name):
    done, shown = started
    assert cli.main(["run", name, "--outputs", str(tmp_path)]) == 0
    parts = parameters.read(name).expand_parts()
    assert len(done) == len(parts) * len(parameters.notebooks())
    assert shown == [part.name for part in parts]


def test_a_damaged_results_file_is_named(capsys, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "results.csv").write_text("curve,params\nwidth,3\n")
    assert "results.csv lacks the columns" in refused(capsys, "show", "mine", "--outputs", str(tmp_path))


def test_show_of_a_study_that_is_not_there_says_what_is(capsys, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "results.csv").write_text("")
    line = refused(capsys, "show", "mine", "--outputs", str(tmp_path))
    assert "no study 'mine'" in line
    assert "other" in line


def test_studies_lists_them_all(capsys):
    assert cli.main(["studies"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in parameters.studies())


def test_python_m_horticulture_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["horticulture", "studies"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("horticulture", run_name="__main__")
    assert ended.value.code == 0
    assert "quick" in capsys.readouterr().out


def test_a_run_begun_from_the_start_clears_older_curves_but_no_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "_execute", lambda *_: None)
    monkeypatch.setattr(runner, "to_html", lambda target: target)
    files.write_json(tmp_path / "smoke" / "curves" / "old.json", {"points": []})
    files.write_json(tmp_path / "runs" / "abc" / "run.json", {})
    chosen = parameters.read("smoke")
    runner.run(chosen, parameters.resolve_parameters(chosen, {}), tmp_path, first="3")
    assert (tmp_path / "smoke" / "curves" / "old.json").exists()
    runner.run(chosen, parameters.resolve_parameters(chosen, {}), tmp_path)
    assert not (tmp_path / "smoke" / "curves" / "old.json").exists()
    assert (tmp_path / "runs" / "abc" / "run.json").exists()


def test_an_interruption_ends_in_one_clear_line(monkeypatch, capsys, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_execute", interrupted)
    assert cli.main(["run", "smoke", "--outputs", str(tmp_path)]) == 130
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_full_disk_ends_in_one_clear_line(monkeypatch, capsys, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "smoke" / "study.json"))

    monkeypatch.setattr(files, "write_json", full)
    assert cli.main(["run", "smoke", "--outputs", str(tmp_path)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "No space left on device" in said[0]
    assert "study.json" in said[0]


def test_help_gives_examples_and_needs_nothing_that_takes_long_to_load():
    code = (
        "import sys\nfrom horticulture import cli\ntry:\n    cli.main(sys.argv[1:])\nfinally:\n"
        "    print(*{'jsonschema', 'pandas', 'nbformat', 'papermill', 'torch'} & sys.modules.keys())"
    )
    for arguments, said in ((["run", "--help"], "-p seeds=0,1,2,3,4"), (["studies"], "rethinking-quick")):
        found = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert found.returncode == 0
        assert said in found.stdout
        assert found.stdout.endswith("\n\n")  # none of them
