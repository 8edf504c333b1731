"""Before a study and after it: what it would take, and which runs nobody needs any more."""

import os
import re
import time
from dataclasses import replace

import pytest

from horticulture import cli, files, runs
from horticulture.runs import CurvePoint, Run
from horticulture.study import forecast, parameters, runner
from horticulture.study.config import StudyConfig

SMOKE = parameters.resolve_parameters(parameters.read("smoke"), {})


@pytest.fixture(autouse=True)
def nothing_may_run(monkeypatch):
    def run(*_):
        raise AssertionError("a notebook was started")

    monkeypatch.setattr(runner, "_execute", run)


def finish(run: Run, outputs, age: float = 7200.0) -> None:
    """As if it had been made so many seconds ago."""
    folder = runs.folder(run, outputs)
    folder.mkdir(parents=True)
    runs.write_result(run, outputs, {}, {})
    (folder / "weights.safetensors").write_bytes(b"x" * 2_000_000)
    for path in folder.iterdir():
        os.utime(path, (time.time() - age,) * 2)


# --- dry run ---------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_there_is_and_what_it_would_take_and_writes_nothing(
    tmp_path, capsys, monkeypatch
):
    measured = forecast.Pace.measured  # which is a matter of what else the machine is doing
    monkeypatch.setattr(
        forecast.Pace, "measured", lambda *rest: measured(*rest)._replace(fixed=0.01, per_mac=0)
    )
    assert cli.main(["run", "smoke", "--dry-run", "--outputs", str(tmp_path / "out")]) == 0
    head, *lines, end = capsys.readouterr().out.splitlines()
    assert head == "smoke"
    counts = {line[:20].strip(): line[20:].split()[:2] for line in lines[1:]}
    assert counts == {
        "the whole network": ["1", "0"],
        "pruning": ["1", "0"],
        "pruned shapes": ["4", "0"],  # each size retrained, and measured as it is
        "families": ["6", "0"],  # three curves at two sizes
    }
    found = re.fullmatch(
        r"about (\d+):(\d\d) of training with 1 process, and (\d+) MB \(a step .* took \d+ ms\); .*", end
    )
    assert found
    assert 0 < 60 * int(found[1]) + int(found[2]) < 120
    assert 2 < int(found[3]) < 50
    assert not (tmp_path / "out").exists()


def test_a_dry_run_counts_what_is_there(tmp_path, capsys):
    finish(StudyConfig.of(SMOKE).baselines[0], tmp_path)
    assert cli.main(["run", "smoke", "--dry-run", "--outputs", str(tmp_path)]) == 0
    line = capsys.readouterr().out.splitlines()[2]
    assert line.split() == ["the", "whole", "network", "1", "1", "0:00"]


def test_a_dry_run_of_a_study_in_parts_has_a_table_for_each(tmp_path, capsys):
    assert cli.main(["run", "rethinking-quick", "--dry-run", "--outputs", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line.startswith("rethinking")] == [
        part.name for part in parameters.read("rethinking-quick").expand_parts()
    ]
    assert said.count("about ") == 3


# --- clean -----------------------------------------------------------------------------------------------


@pytest.fixture
def outputs(tmp_path):
    """A study whose curve has one network, and whose parameters ask for a pruning; and runs of no study."""
    config = StudyConfig.of(SMOKE)
    (base,), (taken,) = config.baselines, config.pruning_jobs
    curve = replace(base, seed=7)  # only the curves speak of it
    runs.record_curves(tmp_path / "mine", [CurvePoint("width", curve)])
    files.write_json(tmp_path / "mine" / "study.json", {"study": "mine", "parameters": SMOKE})
    judged = replace(base, kind="judge", start=base)
    unused = [replace(base, seed=8), replace(judged, start=replace(base, seed=9))]
    for run in (base, taken.run, curve, judged, *unused):
        finish(run, tmp_path)
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
    assert "4.0 MB in 3 runs that no study refers to any more\nremoved\n" in said
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


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
    assert "1 more were changed within the last hour and stay" in capsys.readouterr().out


def test_a_study_that_went_no_further_than_its_base_does_not_hinder(outputs, capsys):
    """Its later parameters are defaults, which do not fit its network: 192 rounds of 112 channels."""
    folder, unused = outputs
    begun = {**SMOKE, "seeds": [3], "network": "wrn-10-1", "rounds": 192}
    base = replace(StudyConfig.of({**begun, "rounds": 1}).baselines[0], seed=3)
    files.write_json(folder / "begun" / "study.json", {"study": "begun", "parameters": begun})
    finish(base, folder)
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 0
    assert base.key in there(folder)
    assert not unused & there(folder)


def test_where_a_study_cannot_be_read_nothing_is_removed(outputs, capsys):
    folder, _ = outputs
    (folder / "mine" / "study.json").write_text("{")
    before = there(folder)
    assert cli.main(["clean", "--outputs", str(folder), "--yes"]) == 2
    assert there(folder) == before
    assert "the study mine cannot be read, so nothing is removed" in capsys.readouterr().err
