"""The command: one clear line and exit code 2 for bad input, before anything runs."""

import errno

import pytest

from horticulture import cli, runs, study


@pytest.fixture(autouse=True)
def nothing_may_run(monkeypatch, request):
    def run(*_):
        raise AssertionError("a notebook was started")

    monkeypatch.setattr(study, "_execute", run)


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
        (["smoke", "-p", "rounds=lots"], "rounds must be of type int", "'lots'"),
        (["smoke", "-p", "rounds=5000"], "rounds=5000", "112 channels"),
        (["smoke", "-p", "epochs=0"], "epochs must be positive", "0"),
        (["smoke", "-p", "sizes=[0.5, 2]"], "sizes are shares", "2"),
        (["smoke", "-p", "seeds=[zero]"], "seeds are whole numbers", "'zero'"),
        (["smoke", "-p", "device=abacus"], "no device 'abacus'", ""),
        (
            ["smoke", "-p", "data=folder:/no/such/place"],
            "folder:/no/such/place is not an image folder",
            "train/<class>",
        ),
        (["smoke", "--from", "09"], "no notebook begins with '09'", "01_train"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(capsys, tmp_path, arguments, offender, choices):
    line = refused(capsys, "run", *arguments, "--outputs", str(tmp_path / "out"))
    assert offender in line
    assert choices in line
    assert not (tmp_path / "out").exists()


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
    assert all(name in listed for name in study.studies())


def test_a_run_begun_from_the_start_clears_older_curves_but_no_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "_execute", lambda *_: None)
    runs.write_json(tmp_path / "smoke" / "curves" / "old.json", [])
    runs.write_json(tmp_path / "runs" / "abc" / "run.json", {})
    chosen = study.read("smoke")
    study.run(chosen, study.settle(chosen, {}), tmp_path, first="03")
    assert (tmp_path / "smoke" / "curves" / "old.json").exists()
    study.run(chosen, study.settle(chosen, {}), tmp_path)
    assert not (tmp_path / "smoke" / "curves" / "old.json").exists()
    assert (tmp_path / "runs" / "abc" / "run.json").exists()


def test_a_full_disk_ends_in_one_clear_line(monkeypatch, capsys, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "smoke" / "study.json"))

    monkeypatch.setattr(runs, "write_json", full)
    assert cli.main(["run", "smoke", "--outputs", str(tmp_path)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "No space left on device" in said[0]
    assert "study.json" in said[0]
