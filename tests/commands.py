"""Whole commands, as a person gives them: stopped, four at once of which one is killed, on a full disk."""

import ast
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import cache, partial
from io import StringIO
from pathlib import Path

import psutil

from horticulture import cli
from horticulture.execution import stale_files
from tests import killed, power_cut

BIN = Path(sys.executable).parent
WATCH = Path(__file__).parent / "watch"
SMOKE = ("run", "smoke", "-p", "device=cpu")
SECONDS = 3600  # for one command, beside others on a busy machine


@contextmanager
def started(
    *arguments: str | Path, before: Callable[[], object] = lambda: None, **environment: str
) -> Iterator[subprocess.Popen]:
    """A `horticulture` command, that is killed if it has not ended with the `with`.

    before: called in its process.
    """
    process = subprocess.Popen(
        [BIN / "horticulture", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def smoke(outputs: Path, **more):
    """The command for a whole smoke study."""
    return started(*SMOKE, "--outputs", outputs, **more)


def results(outputs: Path) -> dict[str, object]:
    """What runs and the tables of the smoke study say, but for times."""
    tables = {path.name: killed.timeless(path) for path in (outputs / "smoke").glob("*.csv")}
    return killed.results(outputs) | tables


@cache
def undisturbed() -> tuple[power_cut.Tree, dict[str, object], float]:
    """A smoke study that was left alone, but watched: its files, its results, and how long it took."""
    with tempfile.TemporaryDirectory() as place:
        outputs, watched, began = Path(place) / "outputs", Path(place) / "watched.txt", time.monotonic()
        with watching(watched) as environment, smoke(outputs, **environment) as process:
            _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, errors
        check_watched(watched)
        return power_cut.tree(outputs), results(outputs), time.monotonic() - began


# --- trials ----------------------------------------------------------------------------------------------


def stop_trial(seed: int) -> str:
    """A command is stopped in one of four ways."""
    stop(random.Random(seed).choice(["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"]))
    return "survived"


def stop(how: str) -> None:
    """It leaves no worker and no kernel, no file in the temporary folder, and puts down what was done."""

    def heard() -> None:  # `nohup` would have SIGHUP ignored, and `&` in a script SIGINT
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)

    with tempfile.TemporaryDirectory() as place:
        temporary, outputs = Path(place) / "t", Path(place) / "outputs"
        temporary.mkdir()
        longer = ("-p", "seeds=[0,1]", "-p", "epochs=2000", "-p", "workers=2", "--name", "busy")
        with started(*SMOKE, *longer, "--outputs", outputs, before=heard, TMPDIR=str(temporary)) as process:
            until(lambda: len(list(outputs.glob("runs/*/rows.jsonl"))) == 2, process)
            family = psutil.Process(process.pid).children(recursive=True)
            assert len(family) >= 3  # a kernel and two workers
            (remaining,) = files_of(temporary)
            assert remaining.name.startswith(f"horticulture.{process.pid}.")
            now = time.time()
            process.send_signal(getattr(signal, how))
            _, errors = process.communicate(timeout=300)
        assert ended(family)
        if how == "SIGKILL":
            stale_files.remove(files_of(temporary))
        else:
            last = "horticulture: stopped; run the same command again to resume"
            assert (process.returncode, errors.splitlines()[-1]) == (130, last), errors
            assert "Traceback" not in errors
            kept = outputs.glob("runs/*/at-*.safetensors")
            assert len({path.parent for path in kept if path.stat().st_mtime > now}) == 2
        assert files_of(temporary) == []


def four_trial(seed: int) -> str:
    """Four commands for one study at once, of which one is killed somewhere: the others make it whole."""
    draw, (_, expected, seconds) = random.Random(seed), undisturbed()
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        outputs = Path(place)
        processes = [stack.enter_context(smoke(outputs)) for _ in range(4)]
        victim = draw.choice(processes)
        with suppress(subprocess.TimeoutExpired):
            victim.wait(draw.uniform(0, seconds))
        victim.kill()
        for process in processes:
            _, errors = process.communicate(timeout=4 * SECONDS)
            assert process.returncode == 0 or process is victim, errors
            assert "Traceback" not in errors, errors
        assert results(outputs) == expected
        assert not list(outputs.rglob("*.tmp"))
        assert not list(outputs.glob("runs/*damaged*"))
    return "survived"


def full_disk_trial(seed: int) -> str:
    """The disk is full somewhere in a study: one line, and the same command goes on when there is room."""
    files, expected, _ = undisturbed()
    size = int(random.Random(seed).uniform(0.01, 0.9) * sum(map(len, files.values())))
    with tempfile.TemporaryDirectory() as place, disk(Path(place), size) as (limit, enlarge):
        with smoke(Path(place), before=limit) as process:
            _, errors = process.communicate(timeout=SECONDS)
        said = [line for line in errors.splitlines() if line.startswith("horticulture: ")]
        assert process.returncode == 1, errors
        assert said == errors.splitlines()[-1:], errors
        assert "Traceback" not in errors, errors
        enlarge()
        with smoke(Path(place)) as process:
            _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, errors
        assert results(Path(place)) == expected
        assert not list(Path(place).rglob("*.tmp"))
    return "survived"


@contextmanager
def disk(place: Path, size: int) -> Iterator[tuple[Callable[[], object], Callable[[], object]]]:
    """A disk of so many bytes there: what a process must call that is to have it, and what makes it larger.

    Who may mount none has a limit on each file instead.
    """
    mount = ("mount", "-t", "tmpfs", "tmpfs", str(place), "-o")
    mounted = subprocess.run([*mount, f"size={size}"], capture_output=True).returncode == 0
    if not mounted:
        yield partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size // 10, size // 10)), lambda: None
        return
    try:
        yield lambda: None, partial(subprocess.run, [*mount, "remount,size=1g"], check=True)
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def show_trial(seed: int) -> str:
    """A bit is altered in what a finished study has: the tables are the same, or one line names the file."""
    draw = random.Random(seed)
    tree = {path: content for path, content in undisturbed()[0].items() if "/notebooks/" not in path}
    shown = {path: tree[path] for path in tree if Path(path).suffix in (".json", ".csv", "")}
    (code, expected, _), before = show(tree), dict(shown)
    assert code == 0
    path = power_cut.flip(shown, draw)
    assert shown != before
    match show(tree | shown):
        case 0, said, "" if said == expected:
            return "survived"
        case 2, _, one if one.count("\n") == 1:
            return "refused"
        case other:
            raise AssertionError(f"{path}: {other}")


def show(tree: power_cut.Tree) -> tuple[int, str, str]:
    """What `horticulture show` answers to these files."""
    said, errors = StringIO(), StringIO()
    with tempfile.TemporaryDirectory() as place, redirect_stdout(said), redirect_stderr(errors):
        power_cut.plant(tree, Path(place))
        code = cli.main(["show", "smoke", "--outputs", place])
    return code, said.getvalue().replace(place, ""), errors.getvalue().replace(place, "")


# --- what processes do -----------------------------------------------------------------------------------


@contextmanager
def watching(watched: Path) -> Iterator[dict[str, str]]:
    """Note in a file what commands do that have this in their environment.

    Not all sockets are made by Python, and a kernel's are not: those of all children are looked at, too.
    """
    over = threading.Event()

    def look() -> None:
        seen: set[tuple] = set()
        while not over.wait(0.5):
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    for connection in child.net_connections("inet"):
                        seen.update(
                            (child.pid, end.ip) for end in (connection.laddr, connection.raddr) if end
                        )
        with watched.open("a") as file:
            file.writelines(f"{pid} socket.seen {(address,)!r}\n" for pid, address in seen)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        path = os.pathsep.join([str(WATCH), os.environ.get("PYTHONPATH", "")])
        yield {"WATCHED": str(watched), "PYTHONPATH": path}
    finally:
        over.set()
        thread.join()


def notes(watched: Path) -> list[tuple[str, str]]:
    """What was done, and with what."""
    return [tuple(line.split(" ", 2)[1:]) for line in watched.read_text().splitlines()]  # type: ignore[misc]


def check_watched(watched: Path) -> None:
    """No process of a study reaches another machine or unpickles a file."""
    unpickled_in = {Path(file).parent.name for event, file in notes(watched) if event == "pickle.find_class"}
    assert unpickled_in <= {"multiprocessing"}  # from the pipe between a worker and its parent
    calls = [text for event, text in notes(watched) if event.startswith("socket.")]  # of files too
    hosts = {place[0] for place in map(ast.literal_eval, calls) if isinstance(place, tuple)}
    assert hosts <= {"127.0.0.1", "::1"}  # where urllib3 looks whether this machine has IPv6


def ended(processes: Iterable[psutil.Process], seconds: float = 4.0) -> bool:
    """Whether all end within so many seconds; one that nobody asked after has ended."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return all(one.status() == psutil.STATUS_ZOMBIE for one in alive)


def until(condition: Callable[[], object], process: subprocess.Popen, seconds: float = 240.0) -> None:
    """Wait for something that a process is to do."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def files_of(temporary: Path) -> list[Path]:
    """What is there, but for a folder that torch makes for its own."""
    return [path for path in temporary.iterdir() if not path.name.startswith("torch")]
