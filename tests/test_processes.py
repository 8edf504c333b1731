"""Several commands at once, and commands that are stopped or killed: with real processes."""

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import nbformat
import papermill
import pytest
from papermill.iorw import write_ipynb

from horticulture import architecture, execution, runs
from horticulture.execution import stale_files
from horticulture.pruning import PruningRecipe
from horticulture.study import runner, study_files
from horticulture.system import files, locks
from horticulture.training import TrainingRecipe
from tests import commands, killed

CLUTTER_IMAGES = (96, 32, 32)
pytestmark = pytest.mark.usefixtures("little_clutter")
TRAIN = execution.training_run(
    architecture.named("wrn-10-1", image=(1, 16, 16), classes=10),
    TrainingRecipe(3, 0.1, "one-cycle", batch_size=32),
    {"name": "clutter", "images": 96},
    0,
)
PRUNE = execution.pruning_run(TRAIN, PruningRecipe(rounds=3, steps=2, batch_size=32))


# --- two at once -----------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from horticulture.study import runner
with runner.exclusive(Path(sys.argv[1])):
    print("begun", flush=True)
    sys.stdin.readline()
"""


def hold(folder: Path, environment: dict[str, str] | None = None) -> subprocess.Popen:
    """A process that runs a study until it is sent a line, or waits for another that does."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, "-c", HOLD, str(folder)]
    return subprocess.Popen(command, encoding="utf-8", env=environment, **pipes)


@pytest.mark.parametrize("what", ["bytes", "escape", "huge", "pipe", "endless", "folder"])
def test_whatever_is_said_to_run_a_study_is_one_line_to_the_second_command(tmp_path, what):
    """The folder may be a stranger's."""
    folder = tmp_path / "mine"
    folder.mkdir()
    holder, who = folder / ".holder", "another process"
    match what:
        case "bytes":
            holder.write_bytes(b"\xffx")
            who = "\ufffdx"
        case "escape":
            holder.write_text("me \x1b[31m\nas well")
            who = r"me \x1b[31m\nas well"
        case "huge":
            holder.write_text("me" * 1000)
        case "pipe":
            os.mkfifo(holder)
        case "endless":
            holder.symlink_to("/dev/zero")
        case "folder":
            holder.mkdir()
    with locks.held(folder / ".lock"):
        second = hold(folder, {**os.environ, "PYTHONIOENCODING": "utf-8"})
        waiting = threading.Timer(60, second.kill)
        waiting.start()
        said = second.stderr.readline()
        waiting.cancel()
        second.kill()
        second.communicate()
    assert said == f"mine is being run by {who}: waiting for it to end\n"


def test_a_second_command_says_who_runs_the_study_and_waits(tmp_path):
    folder = tmp_path / "mine"
    first = hold(folder)
    assert first.stdout.readline() == "begun\n"
    second = hold(folder)
    said = second.stderr.readline()
    assert said.startswith(f"mine is being run by process {first.pid} on ")
    assert said.endswith(": waiting for it to end\n")
    os.kill(first.pid, signal.SIGKILL)  # however it ends
    assert second.stdout.readline() == "begun\n"
    assert second.communicate("\n") == ("", "")
    assert second.returncode == 0
    first.communicate()


def test_who_waits_can_be_stopped(tmp_path):
    first = hold(tmp_path)
    assert first.stdout.readline() == "begun\n"
    second = hold(tmp_path)
    second.stderr.readline()
    second.send_signal(signal.SIGTERM)
    _, errors = second.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors  # which the command says in a line
    first.communicate("\n")


def test_four_make_the_same_runs_and_one_is_killed_in_the_middle(tmp_path):
    together = tmp_path / "together"
    victim = killed.start(together)
    commands.until(lambda: list(together.glob("runs/*/rows.jsonl")), victim)
    victim.send_signal(signal.SIGSTOP)  # until the others are there
    with ThreadPoolExecutor() as threads:
        others = list(threads.map(killed.start, [together] * 3))
    victim.kill()
    for process in (victim, *others):
        _, errors = process.communicate(timeout=240)
        assert process.returncode == (-signal.SIGKILL if process is victim else 0), errors
    assert killed.results(together) == killed.undisturbed()
    assert not list(together.rglob("*.tmp"))
    assert not list(together.glob("runs/*damaged*"))


def test_what_is_damaged_is_set_aside_only_by_who_may_make_it_again(tmp_path):
    """The slower of two would move away what the quicker is making."""
    execution.execute(TRAIN, tmp_path, "cpu")
    weights = runs.folder(TRAIN, tmp_path) / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    with locks.held(tmp_path / "runs" / ".locks" / TRAIN.key):
        assert execution.complete_result(TRAIN, tmp_path) is None
        assert weights.exists()
    with pytest.warns(UserWarning, match="is damaged; it was set aside"):
        assert execution.complete_result(TRAIN, tmp_path) is None
    assert not weights.exists()


@pytest.mark.parametrize("name", ["weights.safetensors", f"at-{0:020d}-0123456789ab.safetensors"])
def test_a_pipe_among_the_files_of_a_run_is_set_aside_and_the_run_made_again(tmp_path, name):
    """To open one would wait for ever for whoever writes into it."""
    folder = runs.folder(TRAIN, tmp_path)
    if name == "weights.safetensors":
        execution.execute(TRAIN, tmp_path, "cpu")
        (folder / name).unlink()
    folder.mkdir(parents=True, exist_ok=True)
    os.mkfifo(folder / name)
    with pytest.warns(UserWarning, match=f"{name} is damaged; it was set aside"):
        made = execution.execute(TRAIN, tmp_path, "cpu")
    assert execution.complete_result(TRAIN, tmp_path) == made


EDIT = """
import sys
from pathlib import Path
from horticulture.study import study_files
print("ready", flush=True)
sys.stdin.readline()
for n in range(40):
    with study_files.editing(Path(sys.argv[1])) as content:
        content["own"] = {**content.get("own", {}), f"{sys.argv[2]}{n}": {}}
"""


def test_two_notebooks_that_write_into_study_json_lose_no_entry(tmp_path):
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    start = partial(subprocess.Popen, text=True, **pipes)
    both = [start([sys.executable, "-c", EDIT, str(tmp_path), name]) for name in "ab"]
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda process: process.communicate("go\n"), both))
    assert [process.returncode for process in both] == [0, 0]
    recorded = study_files.read_study_json(tmp_path)["own"]
    assert recorded.keys() == {f"{name}{n}" for name in "ab" for n in range(40)}


def test_the_slower_of_two_that_found_damage_takes_what_the_quicker_made(tmp_path, monkeypatch):
    made = execution.execute(TRAIN, tmp_path, "cpu")
    verified, seen = runs.verified_result, []

    def at_first_damaged(run, outputs):
        seen.append(run)
        if len(seen) == 1:  # since then another process has made it again
            raise files.CorruptFileError(runs.folder(run, outputs) / "run.json")
        return verified(run, outputs)

    monkeypatch.setattr(runs, "verified_result", at_first_damaged)
    assert execution.complete_result(TRAIN, tmp_path) == made


def test_a_notebook_is_whole_or_the_one_before_whenever_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "one.ipynb"
    write_ipynb(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), str(path))
    before = path.read_text()

    def full(_):
        assert path.read_text() == before
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_ipynb(nbformat.v4.new_notebook(), str(path))
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]  # on a full disk what was begun would be in the way
    assert runner.is_finished(path) is False  # it can be read


def test_a_kernel_is_spoken_to_through_files(tmp_path):
    """In a folder that nobody else can enter."""
    cell = "import ipykernel, json\nprint(json.load(open(ipykernel.get_connection_file())))"
    path, done = tmp_path / "one.ipynb", tmp_path / "done.ipynb"
    write_ipynb(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)]), str(path))
    how = {"engine_name": "horticulture", "kernel_name": "python3", "progress_bar": False}
    (cell,) = papermill.execute_notebook(path, done, **how).cells
    said = ast.literal_eval("".join(one["text"] for one in cell["outputs"]))
    assert said["transport"] == "ipc"
    assert not Path(said["ip"]).parent.exists()  # any more


# --- stopped and killed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_a_command_that_is_stopped_leaves_nothing_behind(how):
    commands.stop(how)


def test_what_dead_processes_left_goes_where_users_have_no_numbers(tmp_path, monkeypatch):
    """As on Windows: its `os` has no `getuid`."""
    monkeypatch.delattr(os, "getuid")
    dead = subprocess.Popen(["true"])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        (tmp_path / f"study.json.{pid}.tmp").touch()
    stale_files.remove(tmp_path.iterdir())
    assert [path.name for path in tmp_path.iterdir()] == [f"study.json.{os.getpid()}.tmp"]


def test_a_folder_of_another_container_is_kept_while_its_process_lives(tmp_path, monkeypatch):
    """Its number means nothing here: that it lives is told by its lock, which dies with it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = "import sys\nfrom horticulture.execution import stale_files\n"
    code += (
        "with stale_files.temporary_folder() as folder:\n    print(folder, flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as other:
        folder = Path(other.stdout.readline().decode().strip())
        monkeypatch.setattr("psutil.pid_exists", lambda number: False)  # as from another container
        stale_files.remove(tmp_path.iterdir())
        assert folder.is_dir()
        other.kill()
    stale_files.remove(tmp_path.iterdir())
    assert not folder.exists()
    folder.mkdir()  # its process has not locked it yet
    stale_files.remove(tmp_path.iterdir())
    assert folder.is_dir()
    os.utime(folder, times=(time.time() - 120,) * 2)
    stale_files.remove(tmp_path.iterdir())
    assert not folder.exists()


def test_the_next_start_removes_what_dead_processes_left_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    dead = subprocess.Popen(["true"])
    dead.wait()
    mine, folder = os.getpid(), tmp_path / "t"
    for pid in (dead.pid, mine):
        (folder / f"horticulture.{pid}.abcdefgh").mkdir(parents=True)
        (folder / f"horticulture.{pid}.abcdefgh" / "kernel.json").write_text("{}")
        (folder / f"horticulture.{pid}.abcdefgh" / ".lock").touch()
    others = {"another.json", "horticulture.notes.txt", f"horticulture.{dead.pid}.zip"}
    others |= {"horticulture.99999999999.abcdefgh", "horticulture.².abcdefgh"}
    for name in others:
        (folder / name).write_text("somebody's")
    (folder / "horticulture.backup.old").mkdir()
    with stale_files.temporary_folder() as own:
        assert own.stat().st_mode & 0o077 == 0
        present = {path.name for path in folder.iterdir()}
        assert present == {own.name, f"horticulture.{mine}.abcdefgh", "horticulture.backup.old", *others}
    assert not own.exists()

    study = tmp_path / "study"
    for name in ("study.json", f"study.json.{mine}.tmp", f"curves.json.{dead.pid}.tmp", "notes.tmp"):
        study.mkdir(exist_ok=True)
        (study / name).write_text("{}")
    with runner.exclusive(study):
        present = {path.name for path in study.iterdir() if not path.name.startswith(".")}
        assert present == {"study.json", f"study.json.{mine}.tmp", "notes.tmp"}

    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.setenv("HORTICULTURE_DATA", str(tmp_path))
    for name, hours in (("old", 2), ("new", 0)):  # the new one may be that of another machine or container
        path = cache / f"{name}.{dead.pid}.tmp"
        path.touch()
        os.utime(path, times=(time.time() - 3600 * hours,) * 2)
    with runner.exclusive(study):
        assert [path.name for path in cache.iterdir()] == [f"new.{dead.pid}.tmp"]

    run = runs.folder(TRAIN, tmp_path)
    run.mkdir(parents=True)
    for name in ("weights.tmp", f"run.json.{dead.pid}.tmp"):
        (run / name).write_text("{")
    execution.execute(TRAIN, tmp_path, "cpu")
    actual = {path.name for path in run.iterdir()}
    assert actual == {"run.json", "weights.safetensors", "epochs.csv", "answers.npz"}
