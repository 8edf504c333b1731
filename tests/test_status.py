"""`horticulture status`: what is said of a study while it runs and afterwards, however it ended."""

import json
import os
import re
import socket
import subprocess
import sys
import time

import pytest

from horticulture import cli
from horticulture.errors import NotebookError
from horticulture.execution import status
from horticulture.study import base_recipe, parameters, runner, study_files
from horticulture.study.session import Session
from horticulture.system import files, locks


@pytest.fixture
def said(tmp_path, capsys):
    """Asks for the status of a study; returns the lines."""

    def ask(study: str = "smoke") -> list[str]:
        capsys.readouterr()
        assert cli.main(["status", study, "--outputs", str(tmp_path)]) == 0
        return capsys.readouterr().out.splitlines()

    return ask


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a study whose notebooks do nothing but this, after they have been opened."""
    monkeypatch.setattr(runner, "to_html", lambda target: target)
    chosen = study_files.read("smoke")

    def go(execute, first: str = "01") -> None:
        def execute_notebook(notebook, *_):
            status.begin(tmp_path / "smoke", notebook.stem)
            execute(notebook.stem)

        monkeypatch.setattr(runner, "execute_notebook", execute_notebook)
        runner.run(chosen, parameters.resolve_parameters(chosen, {}), tmp_path, first)

    return go


def test_a_study_is_in_a_notebook_and_then_finished(run, said):
    names, seen = [path.stem for path in parameters.notebooks()], []
    run(lambda name: seen.append(said()[0]))
    assert seen == [f"smoke: {name}" for name in names]
    line, who = said()
    assert line == "smoke: finished"
    assert re.fullmatch(rf"  written 0:\d\d ago by process {os.getpid()} on \S+", who)
    run(lambda name: seen.append(said()[0]), first="05")  # it is not finished again until then
    assert seen[-1] == f"smoke: {names[-1]}"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            NotebookError("02_prune failed in cell 3: gone"),
            "failed: 02_prune failed in cell 3: gone",
        ),
        (OSError("No space left on device"), "failed: No space left"),
        (KeyboardInterrupt(), "stopped in 02_prune: pruning   17%"),
        (SystemExit(), "stopped in 02_prune: pruning   17%"),
    ],
)
def test_a_study_that_has_not_ended_well_says_so(run, said, tmp_path, error, expected):
    def fail(name):
        if name.startswith("02"):
            status.write(tmp_path / "smoke", line="pruning   17%  0:29 left", failed=[("seed 0", "NaN")])
            raise error

    with pytest.raises(type(error)):
        run(fail)
    line, _, failed = said()
    assert line.startswith(f"smoke: {expected}")
    assert failed == "  failed: seed 0: NaN"
    run(lambda name: None)
    assert said()[0] == "smoke: finished"
    assert len(said()) == 2


def test_a_notebook_that_a_person_opens_is_named_though_it_has_nothing_to_run(tmp_path, png_folder, said):
    shared = {"study": "mine", "outputs": str(tmp_path), "network": "wrn-10-1", "images": 0}
    shared |= {"data": f"folder:{png_folder}", "batch_size": 4, "epochs": 1, "precision": "float32"}
    Session.open(shared)
    assert said("mine")[0] == f"mine: {parameters.notebooks()[0].stem}"
    Session.open({**shared, "rounds": 4})
    assert said("mine")[0] == f"mine: {parameters.notebooks()[1].stem}"


DIES = """
import sys
from pathlib import Path
from horticulture.execution import status
status.begin(Path(sys.argv[1]), "03_retrain")
status.write(Path(sys.argv[1]), line="retraining   17%  0:29 left")
"""


def test_a_process_that_has_ended_without_a_word_is_not_said_to_run(tmp_path, said):
    subprocess.run([sys.executable, "-c", DIES, tmp_path / "smoke"], check=True)
    line, who = said()
    assert line == "smoke: nothing is running any more; the last was 03_retrain: retraining   17%  0:29 left"
    assert who.endswith(", which has ended")


def test_runs_of_a_cluster_that_outlives_its_command_are_said_to_go_on(tmp_path, said):
    """The command is interrupted, or ends without a word."""
    address = "tcp://10.0.0.1:8786"
    go_on = f"; runs in progress go on at {address} until they end"

    def interrupted() -> None:
        with status.running(tmp_path / "smoke", address):
            status.write(tmp_path / "smoke", notebook="02_prune", line="pruning   17%")
            assert said()[0] == "smoke: 02_prune: pruning   17%"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert said()[0] == f"smoke: stopped in 02_prune: pruning   17%{go_on}"
    ended = {"host": socket.gethostname(), "pid": os.getpid(), "began": 0.0}
    status.write(tmp_path / "smoke", state=status.RUNNING, command=ended)
    written = json.loads((tmp_path / "smoke" / status.FILE).read_text())
    (tmp_path / "smoke" / status.FILE).write_text(json.dumps({**written, **ended}))
    assert said()[0] == f"smoke: the command has ended; the last was 02_prune: pruning   17%{go_on}"
    with status.running(tmp_path / "smoke"):
        pass
    assert said()[0] == "smoke: finished"


def test_before_the_first_notebook_a_study_is_starting(run, said, monkeypatch):
    """torch is loaded then, which may take long."""
    seen = []
    monkeypatch.setattr(base_recipe, "forget_results", lambda folder: seen.append(said()[0]))
    run(lambda name: None)
    assert seen == ["smoke: starting"]


def test_between_two_notebooks_of_a_command_it_is_said_to_run(tmp_path, said):
    """Their kernels are processes, and write last."""
    with status.running(tmp_path / "smoke"):
        assert said()[0] == "smoke: starting"
        subprocess.run([sys.executable, "-c", DIES, tmp_path / "smoke"], check=True)
        line, who = said()
    assert line == "smoke: 03_retrain: retraining   17%  0:29 left"
    assert "ended" not in who


def test_to_ask_how_far_a_study_has_come_writes_and_locks_nothing(tmp_path, said, monkeypatch):
    subprocess.run([sys.executable, "-c", DIES, tmp_path / "smoke"], check=True)
    before = sorted(path.name for path in (tmp_path / "smoke").iterdir())
    monkeypatch.setattr(locks, "FileLock", pytest.fail)
    monkeypatch.setattr(files, "write", pytest.fail)
    assert "nothing is running" in said()[0]
    assert sorted(path.name for path in (tmp_path / "smoke").iterdir()) == before


def test_of_a_process_elsewhere_or_a_later_one_with_its_number_nothing_is_assumed():
    ours = {"host": socket.gethostname(), "pid": os.getpid(), "began": 0.0}
    assert status.is_over(ours)
    assert not status.is_over({**ours, "host": "elsewhere"})
    assert not status.is_over({})


def test_what_an_earlier_version_wrote_is_read(tmp_path, said):
    record = {"line": "training  100%", "failed": {"seed 1": "NaN"}, "process": "process 1 on a"}
    files.write(tmp_path / "smoke" / status.FILE, json.dumps({**record, "time": time.time() - 60}))
    line, who, failed = said()
    assert (line, failed) == ("smoke: training  100%", "  failed: seed 1: NaN")
    assert re.fullmatch(r"  written 1:0\d ago by process 1 on a", who)


def test_a_study_with_results_is_not_said_never_to_have_run(tmp_path, said):
    (tmp_path / "smoke").mkdir()
    assert said() == ["smoke: nothing has run yet"]
    (tmp_path / "smoke" / "results.csv").touch()
    assert said() == ["smoke: something has run, without saying how far it came"]


@pytest.mark.parametrize("content", ["{", "[]", '{"failed": 3}'])
def test_a_damaged_status_is_refused_by_name_and_written_anew(tmp_path, said, capsys, content):
    files.write(tmp_path / "smoke" / status.FILE, content)
    assert cli.main(["status", "smoke", "--outputs", str(tmp_path)]) == 2
    refused = r"horticulture: .*\.status\.json (is damaged|cannot be read).*\n"
    assert re.fullmatch(refused, capsys.readouterr().err)
    status.begin(tmp_path / "smoke", "01_train")
    status.write(tmp_path / "smoke", line="training   17%")
    assert said()[0] == "smoke: 01_train: training   17%"
