"""Before a study and after it: what it would take, and which runs nobody needs any more."""

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from horticulture import architecture, cli, data, execution, networks, runs
from horticulture.execution import status
from horticulture.pruning import PruningRecipe, criteria
from horticulture.runs import CurvePoint, Run
from horticulture.study import base_recipe, budgets, forecast, parameters, runner, scaling, study_files
from horticulture.study.config import StudyConfig
from horticulture.system import files
from horticulture.training import TrainingRecipe
from tests.conftest import without_channel

SMOKE = parameters.resolve_parameters(study_files.read("smoke"), {})


@pytest.fixture(autouse=True)
def nothing_may_run(monkeypatch):
    def run(*_):
        raise AssertionError("a notebook was started")

    monkeypatch.setattr(runner, "execute_notebook", run)


def finish(run: Run, outputs, age: float = 7200.0) -> None:
    """As if it had been made so many seconds ago."""
    folder = runs.folder(run, outputs)
    folder.mkdir(parents=True)
    runs.write_result(run, outputs, {}, {})
    (folder / "weights.safetensors").write_bytes(b"x" * 2_000_000)
    for path in folder.iterdir():
        os.utime(path, (time.time() - age,) * 2)


def write_removals(run: Run, outputs) -> None:
    """As if it had taken one channel after the other from the first groups."""
    shape, rows = run.architecture, []
    for round_ in range(run.recipe["rounds"] + 1):
        group = next(n for n, width in enumerate(shape.widths) if width > 1) if round_ else -1
        shape = without_channel(shape, group) if round_ else shape
        fields = {"round": round_, "group": group, "channel": 0 if round_ else -1, "train_macs": round_}
        rows.append({**fields, "architecture": shape.id, "params": shape.params, "macs": shape.macs})
    frame = pd.DataFrame(rows).reindex(columns=runs.REMOVAL_COLUMNS)
    for column in frame.columns[frame.isna().all()]:
        frame[column] = "x" if column in ("run", "digest") else 1.0
    frame.to_csv(runs.folder(run, outputs) / "removals.csv", index=False)


# --- dry run ---------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_there_is_and_what_it_would_take_and_writes_nothing(
    tmp_path, capsys, monkeypatch
):
    measured = forecast.Pace.measured  # which is a matter of what else the machine is doing
    monkeypatch.setattr(
        forecast.Pace, "measured", lambda *rest: measured(*rest)._replace(fixed=0.01, per_mac=0)
    )
    assert cli.main(["run", "smoke", "--dry-run", "--outputs", str(tmp_path / "out")]) == 0
    answer = capsys.readouterr()
    assert answer.err.startswith("timing training steps ")  # while nothing else can be said yet
    said = answer.out.splitlines()
    data, (head, *lines, end) = said[:13], said[13:]
    assert data[0] == "clutter: 10 classes, images of 16 x 16 pixels, channels: 1"
    assert [line.split()[0] for line in data[1:]] == ["train", *"0123456789", "all"]
    assert data[-1].split() == ["all", str(SMOKE["images"]), "1024", "4096"]
    assert head == "smoke"
    counts = {line[:20].strip(): line[20:].split()[:2] for line in lines[1:]}
    assert counts == {
        "the whole network": ["1", "0"],
        "criteria compared": ["1", "0"],
        "pruning": ["1", "0"],
        "pruned shapes": ["4", "0"],  # each size retrained, and measured as it is
        "families": ["6", "0"],  # three curves at two sizes
    }
    match = re.fullmatch(
        r"about (\d+):(\d\d) of training with 1 process and (\d+) MB \(a step .* took \d+ ms\); .*", end
    )
    assert match
    assert 0 < 60 * int(match[1]) + int(match[2]) < 120
    assert 2 < int(match[3]) < 50
    assert not (tmp_path / "out").exists()


def test_a_dry_run_counts_the_workers_of_a_cluster_here_and_says_so_of_others(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(forecast.Pace, "measured", lambda *_: forecast.Pace(0.01, 0))
    ends = {}
    for address in ("local:2", "tcp://127.0.0.1:9"):  # nobody is asked
        command = ["run", "smoke", "--dry-run", "--cluster", address, "--outputs", str(tmp_path / "out")]
        assert cli.main(command) == 0
        ends[address] = capsys.readouterr().out.splitlines()[-1]
    assert "of training with 2 processes" in ends["local:2"]
    assert ends["tcp://127.0.0.1:9"] == (
        "this is the time on this machine; the workers of the cluster share the runs"
    )


def test_the_seconds_of_a_run_by_hand():
    """At a hundredth of a second per step; a forward pass takes a third of one."""
    dataset = SimpleNamespace(train=range(9), validation=range(2), test=range(4))
    config = SimpleNamespace(dataset=dataset, data_spec={"name": "clutter"})
    pace = forecast.Pace(fixed=0.01, per_mac=0.0)
    shape = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    base = execution.training_run(shape, TrainingRecipe(2, 0.1, batch_size=2), {"name": "clutter"}, 0)
    # 2 epochs of 4 steps, and 2 evaluations on 3 batches, which take as long as 1 step each
    assert pace.seconds(base, config) == pytest.approx(0.10)
    pruning_run = execution.pruning_run(base, PruningRecipe(3, "l1", steps=2, batch_size=2))
    # rounds 0 to 3 of 2 steps and 1 evaluation each
    assert pace.seconds(pruning_run, config) == pytest.approx(0.12)
    count = sum(shape.widths)
    most = 10**6  # of each, than which there are fewer
    judged = [
        execution.OracleConfig(("l1",), channels=channels, images=images, norm_images=norms, batch_size=2)
        for channels, images, norms in ((count, 2, 9), (most, most, most))
    ]
    hours = [pace.seconds(execution.oracle_run(base, one), config) for one in judged]
    # without each of the channels that there are, and with all of them, 11 images in batches of 2
    assert hours == pytest.approx([0.01 / 3 * (count + 1) * 11 / 2] * 2)


def test_a_run_on_other_data_takes_as_long_as_those_data_ask():
    """The base of a network that moves to a small data set is trained on all 8,192 images of `clutter`."""
    small = SimpleNamespace(train=range(8), validation=(), test=())
    config = SimpleNamespace(dataset=small, data_spec={"name": "letters"})
    shape = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    base = execution.training_run(
        shape, TrainingRecipe(1, 0.1, batch_size=64), execution.describe_data("clutter"), 0
    )
    clutter = execution.load_dataset("clutter")
    evaluated = (len(clutter.validation) + len(clutter.test)) / 64 / 3
    expected = 8192 // 64 + 2 * evaluated
    assert forecast.Pace(1.0, 0.0).seconds(base, config) == pytest.approx(expected)


def test_a_dry_run_counts_what_is_there(tmp_path, capsys):
    finish(StudyConfig.of(SMOKE).baselines[0], tmp_path)
    assert cli.main(["run", "smoke", "--dry-run", "--outputs", str(tmp_path)]) == 0
    line = capsys.readouterr().out.splitlines()[15]
    assert line.split() == ["the", "whole", "network", "1", "1", "0:00"]


@pytest.mark.parametrize(
    ("first", "left_out"),
    [
        ("2", []),
        ("03", ["criteria"]),
        ("4", ["criteria", "pruned"]),
        ("05", ["criteria", "pruned", "families"]),
    ],
)
def test_a_dry_run_counts_only_what_the_notebooks_make_that_are_executed(first, left_out, tmp_path, capsys):
    given = ["--from", first, "--outputs", str(tmp_path)]
    assert cli.main(["run", "smoke", "--dry-run", *given]) == 0
    lines = capsys.readouterr().out.splitlines()[15:-1]
    every = ["the", "criteria", "pruning", "pruned", "families"]
    assert [line.split()[0] for line in lines] == [what for what in every if what not in left_out]


def test_a_dry_run_says_which_results_would_go(tmp_path, capsys):
    named = {"study": "smoke", "outputs": str(tmp_path), "device": "cpu", "cluster": ""}
    base_recipe.fix({**SMOKE, **named, "epochs": 3}, first=True)
    assert cli.main(["run", "smoke", "--dry-run", "--outputs", str(tmp_path)]) == 0
    line = "epochs=4 instead of 3: 01_train removes the results of the study smoke and keeps its runs"
    assert capsys.readouterr().out.splitlines()[0] == line


def test_an_edited_cell_does_not_replace_the_results_of_other_studies(tmp_path, capsys):
    """The file of `smoke` leaves rate and decay to notebook 01, whose cell a student has changed since."""
    named = {"study": "smoke", "outputs": str(tmp_path), "device": "cpu", "cluster": ""}
    config = base_recipe.fix({**SMOKE, **named, "lr": 0.05, "weight_decay": 0.0}, first=True)
    again = ["run", "smoke", "--dry-run", "--outputs", str(tmp_path)]
    assert cli.main(again) == 0  # nothing would be lost
    runs.record_curves(tmp_path / "smoke", [CurvePoint("whole", config.baselines[0])])
    capsys.readouterr()
    assert cli.main(again) == 2
    assert capsys.readouterr().err == (
        "horticulture: the study smoke has results with other values (lr=0.2 instead of 0.05, "
        "weight_decay=0.0005 instead of 0.0), and neither its file nor -p says so: go on with -p lr=0.05 "
        "-p weight_decay=0.0 --name smoke, replace them with -p lr=0.2 -p weight_decay=0.0005, or choose "
        "another --name\n"
    )
    ways = "-p lr=0.05 -p weight_decay=0.0 --name smoke", "-p lr=0.2 -p weight_decay=0.0005", "--name mine"
    for way in ways:
        assert cli.main([*again, *way.split()]) == 0


def test_a_dry_run_of_a_study_in_parts_has_a_table_for_each(tmp_path, capsys):
    assert cli.main(["run", "rethinking-quick", "--dry-run", "--outputs", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line.startswith("rethinking")] == [
        part.name for part in study_files.read("rethinking-quick").expand_parts()
    ]
    *tables, end = said.splitlines()
    totals = [re.match(r"about (?:(\d+):)?(\d+):(\d\d) of training with", line) for line in tables]
    seconds = [3600 * int(t[1] or 0) + 60 * int(t[2]) + int(t[3]) for t in totals if t]
    assert len(seconds) == 3
    hours, minutes, rest = re.fullmatch(
        r"all 3: about (?:(\d+):)?(\d+):(\d\d) of training and [\d,]+ MB", end
    ).groups()
    assert abs(3600 * int(hours or 0) + 60 * int(minutes) + int(rest) - sum(seconds)) <= 2  # they are rounded


def test_of_many_classes_the_first_and_the_last_are_listed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(forecast, "MAX_CLASSES_LISTED", 4)
    assert cli.main(["run", "smoke", "--dry-run", "--outputs", str(tmp_path)]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:7]] == [
        *("train", "0", "1", "..", "9", "all")
    ]


# --- what takes long -------------------------------------------------------------------------------------


def test_a_short_study_begins_without_a_word_and_without_timing_a_step(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(forecast.Pace, "measured", lambda *_: pytest.fail("a step was timed"))
    with pytest.raises(AssertionError, match="a notebook was started"):
        cli.main(["run", "smoke", "--outputs", str(tmp_path)])
    assert "hours" not in capsys.readouterr().err


def test_before_a_long_study_a_line_says_how_long(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(forecast, "SLOW", 1e3)
    for seconds, said in ((1e-3, False), (1e3, True)):
        monkeypatch.setattr(forecast.Pace, "measured", lambda *_, taken=seconds: forecast.Pace(taken, 0.0))
        with pytest.raises(AssertionError, match="a notebook was started"):
            cli.main(["run", "smoke", "--outputs", str(tmp_path)])
        lines = [line for line in capsys.readouterr().err.splitlines() if "hours" in line]
        assert len(lines) == said
    line = (
        r"horticulture: about [\d,]+ hours of training on this machine: a step of wrn-10-1 takes 1,000,000 ms"
    )
    assert re.fullmatch(line, lines[0])


def test_to_large_images_the_line_names_a_stem_that_suits_them(monkeypatch):
    """By hand: 3 epochs of 4 steps, ten minutes each; two workers make the two runs at a time."""

    def large():
        pixels, labels = torch.zeros(40, 1, 64, 64, dtype=torch.uint8), torch.arange(40) % 2
        return (pixels, labels), (pixels[:20], labels[:20]), (pixels[:20], labels[:20])

    monkeypatch.setitem(data.DATASETS, "large", None)
    data.dataset(large)
    asked = {**SMOKE, "data": "large", "images": 0, "batch_size": 10, "epochs": 3, "seeds": [0, 1]}
    config = StudyConfig.of({**asked, "precision": "float32"})
    monkeypatch.setattr(forecast, "SLOW", 1e3)
    monkeypatch.setattr(forecast.Pace, "measured", lambda *_: forecast.Pace(600.0, 0.0))
    pending = forecast.PendingRuns.of(config, {"": config.baselines}, "cpu", 2)
    # 12 steps, and 40 images looked at twice, with a third of a step each for 10 of them
    seconds = 600 * (12 + 2 * 4 / 3)
    assert pending.seconds(pending.pace()) == {"": pytest.approx(seconds)}
    share = architecture.named("wrn-10-1-stem2", image=(1, 64, 64), classes=2).macs / config.whole.macs
    monkeypatch.setattr(forecast, "MAX_UNWARNED_SECONDS", seconds - 1)
    assert forecast.warn_about_pending([pending]) == (
        "about 2 hours of training on this machine: a step of wrn-10-1 takes 600,000 ms; "
        f"network=wrn-10-1-stem2 has {100 * share:.0f} % of the multiply-accumulates"
    )
    monkeypatch.setattr(forecast, "MAX_UNWARNED_SECONDS", seconds + 1)
    assert forecast.warn_about_pending([pending]) == ""


# --- clean -----------------------------------------------------------------------------------------------


@pytest.fixture
def outputs(tmp_path):
    """A study whose curve has one network, and whose parameters need a pruning run; and runs of no study."""
    config = StudyConfig.of(SMOKE)
    (base,), (taken,) = config.baselines, config.pruning_jobs
    curve = replace(base, seed=7)  # only the curves speak of it
    runs.record_curves(tmp_path / "mine", [CurvePoint("width", curve)])
    files.write_json(tmp_path / "mine" / "study.json", {"study": "mine", "parameters": SMOKE})
    judged = replace(base, kind="judge", start=base)
    unused = [replace(base, seed=8), replace(judged, start=replace(base, seed=9))]
    for run in (base, taken.run, curve, judged, *unused):
        finish(run, tmp_path)
    write_removals(taken.run, tmp_path)
    (tmp_path / "runs" / f"{base.key}.damaged-1").mkdir()
    return tmp_path, {run.key for run in unused} | {f"{base.key}.damaged-1"}


def there(outputs) -> set[str]:
    return {path.name for path in (outputs / "runs").iterdir() if not path.name.startswith(".")}


def test_clean_removes_what_no_study_refers_to(outputs, capsys):
    folder, unused = outputs
    before = there(folder)
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 0
    assert there(folder) == before - unused
    said = capsys.readouterr().out
    assert all(name in said for name in unused)
    assert "4.0 MB in 3 runs that belong to no study\nremoved\n" in said
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_clean_says_that_there_is_nothing(tmp_path, capsys):
    assert cli.main(["clean", "--outputs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"nothing to remove: there are no runs in {tmp_path}\n"


def test_clean_answers_without_torch(outputs):
    """Which takes seconds to load: what the data are is read off the runs that are there."""
    folder, unused = outputs
    code = (
        "import sys; from horticulture import cli; cli.main(sys.argv[1:]); assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, "clean", "--outputs", str(folder), "--yes"]
    subprocess.run(command, check=True)
    assert not unused & there(folder)


def test_a_link_among_the_runs_and_what_it_leads_to_stay(outputs, tmp_path_factory):
    folder, unused = outputs
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    finish(replace(StudyConfig.of(SMOKE).baselines[0], seed=11), elsewhere)
    (theirs,) = (elsewhere / "runs").iterdir()
    before = {path: path.read_bytes() for path in theirs.iterdir()}
    (folder / "runs" / "123456789abc").symlink_to(theirs)
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 0
    assert "123456789abc" in there(folder)
    assert {path: path.read_bytes() for path in theirs.iterdir()} == before
    assert not unused & there(folder)


@pytest.mark.parametrize(("terminal", "answer", "removed"), [(False, "y", 0), (True, "n", 0), (True, "y", 3)])
def test_clean_asks_first(outputs, monkeypatch, terminal, answer, removed):
    folder, _ = outputs
    before = there(folder)
    monkeypatch.setattr("sys.stdin.isatty", lambda: terminal, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert cli.main(["clean", "--outputs", str(folder)]) == 0
    assert len(before - there(folder)) == removed


def test_what_has_changed_lately_stays_for_a_study_may_be_at_it(outputs, capsys):
    folder, unused = outputs
    new = replace(StudyConfig.of(SMOKE).baselines[0], seed=10)
    finish(new, folder, age=60)
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 0
    assert new.key in there(folder)
    assert not unused & there(folder)
    assert "keeping 1 more, changed within the last hour" in capsys.readouterr().out


def test_a_study_that_went_no_further_than_its_base_does_not_hinder(outputs, capsys):
    """The defaults of later notebooks do not fit its network: 192 rounds of 112 channels."""
    folder, unused = outputs
    first = [name for name, one in parameters.all_parameters().items() if one["notebook"] == 0]
    begun = {**{name: SMOKE[name] for name in first}, "seeds": [3], "network": "wrn-10-1"}
    base = StudyConfig.of(begun).baselines[0]
    files.write_json(folder / "begun" / "study.json", {"study": "begun", "parameters": begun})
    finish(base, folder)
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 0
    assert base.key in there(folder)
    assert not unused & there(folder)


def test_what_only_a_later_step_asks_for_stays(outputs):
    """Also where another step cannot say yet what it needs: of the second seed nothing is pruned."""
    folder, unused = outputs
    both = {**SMOKE, "seeds": [0, 1], "sizes": [0.9], "curves": ["width", "copycat"], "copycat_size": 0.9}
    both["oracle_criteria"] = ["l1"]
    files.write_json(folder / "mine" / "study.json", {"study": "mine", "parameters": both})
    config = StudyConfig.of(both)
    alone = replace(config, seeds=[0])
    later = [
        *(point.run for point in budgets.budget_points(alone, alone.pruned_networks(folder))),
        *(point.run for point in scaling.family_points(alone, folder)),
        *config.oracle_runs,
    ]
    for run in {run.key: run for run in later}.values():
        if runs.result(run, folder) is None:
            finish(run, folder)
    assert {run.kind for run in later} == {"train", "tune", "judge"}
    before = there(folder)
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 0
    assert {run.key for run in later} <= there(folder)
    assert there(folder) == before - unused


def test_what_somebodys_criterion_pruned_stays_although_its_code_is_not_here(outputs, monkeypatch):
    folder, unused = outputs
    absent = criteria.AbsentCriterion("mine", digest="123456789abc")
    monkeypatch.setitem(criteria.CRITERIA, "mine", absent)
    values = {**SMOKE, "criterion": "mine"}
    (taken,) = StudyConfig.of(values).pruning_jobs
    finish(taken.run, folder)
    write_removals(taken.run, folder)
    monkeypatch.delitem(criteria.CRITERIA, "mine")
    fields = {"digest": absent.digest, "about": "mine", "scope": "global", "notebook": "02_prune"}
    files.write_json(folder / "theirs" / "study.json", {"parameters": values, "own": {"mine": fields}})
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 0
    assert taken.run.key in there(folder)
    assert not unused & there(folder)


def test_the_file_of_a_study_s_network_does_not_run_and_its_runs_stay(outputs, tmp_path):
    folder, unused = outputs
    name = f"{tmp_path}/models.py:make"
    (tmp_path / "models.py").write_text("raise SystemExit('this file ran')")
    shape = networks.describe(
        torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(4, 4, 3, padding=1),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(4, 10),
        ),
        image=(1, 16, 16),
        classes=10,
    ).architecture
    shape = replace(shape, table=replace(shape.table, network=name, digest="123456789abc"))
    run = execution.training_run(shape, TrainingRecipe(epochs=1), {"name": "clutter"}, seed=0)
    finish(run, folder)
    files.write_json(folder / "theirs" / "study.json", {"parameters": {**SMOKE, "network": name}})
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 0
    assert run.key in there(folder)
    assert not unused & there(folder)


def test_parameters_that_a_study_states_and_cannot_have_hinder(outputs, capsys):
    """Nobody knows what it needs then."""
    folder, _ = outputs
    files.write_json(folder / "mine" / "study.json", {"parameters": {**SMOKE, "rounds": 192}})
    before = there(folder)
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 2
    assert there(folder) == before
    assert "rounds=192, but the network has 112" in capsys.readouterr().err


def test_where_a_study_cannot_be_read_nothing_is_removed(outputs, capsys):
    folder, _ = outputs
    (folder / "mine" / "study.json").write_text("{")
    before = there(folder)
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 2
    assert there(folder) == before
    assert "the study mine cannot be read, so nothing is removed" in capsys.readouterr().err


def lose_all_but_figures(study: Path) -> None:
    shutil.rmtree(study)
    for name in ("figures", "curves"):
        (study / name).mkdir(parents=True)
    status.write(study)  # as a command does


def lose_hidden_files_too(study: Path) -> None:
    lose_all_but_figures(study)
    (study / status.FILE).unlink()
    (study / "SHA256SUMS").touch()  # as notebook 05 does


def lose_curves(study: Path) -> None:
    (study / "study.json").unlink()
    shutil.rmtree(study / "curves")
    (study / "curves").symlink_to("elsewhere")


def lose_disk(study: Path) -> None:
    shutil.rmtree(study)
    study.symlink_to("elsewhere")


def lose_parameters(study: Path) -> None:
    (study / "study.json").unlink()
    (study / "study.json").symlink_to("elsewhere")


@pytest.mark.parametrize(
    "lose", [lose_all_but_figures, lose_hidden_files_too, lose_curves, lose_disk, lose_parameters]
)
def test_a_study_that_has_lost_what_says_which_runs_it_needs_hinders(outputs, capsys, lose):
    folder, _ = outputs
    lose(folder / "mine")
    before = there(folder)
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 2
    assert there(folder) == before
    assert "the study mine cannot be read, so nothing is removed" in capsys.readouterr().err


def test_the_runs_of_a_table_stay_and_what_is_no_study_does_not_hinder(outputs):
    """Published tables that were copied here, and folders that somebody made."""
    folder, unused = outputs
    kept, *others = sorted(run for run in unused if len(run) == 12)
    (folder / "published").mkdir()
    (folder / "published" / "results.csv").write_text(f"run,curve\n{kept},width\n")
    (folder / "notes" / "notebooks").mkdir(parents=True)
    (folder / "notes" / "results.csv").write_bytes(b"\xff,\0\n")
    before = there(folder)
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 0
    assert before - there(folder) >= set(others)
    assert kept in there(folder)


@pytest.mark.parametrize("name", ["notes", "0123456789AB", "0123456789abc", "0123456789ab.damaged-x"])
def test_a_folder_that_no_run_can_be_by_its_name_stays(outputs, capsys, name):
    folder, unused = outputs
    (folder / "runs" / name).mkdir()
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 0
    assert name in there(folder)
    assert not unused & there(folder)
    assert f"keeping {folder / 'runs' / name}, which is no run\n" in capsys.readouterr().out
