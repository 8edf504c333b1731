"""The same runs here, in other processes, and on a cluster: each made once, returned in the order asked."""

import functools
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from horticulture import architecture, execution, runs
from horticulture.errors import InputError
from horticulture.execution import parallel, pool, specs, status
from horticulture.execution.board import Board
from horticulture.pruning import PruningRecipe, criteria
from horticulture.runs import Run
from horticulture.system import limits
from horticulture.system.progress import Progress
from horticulture.training import TrainingRecipe, hardware
from tests import killed


@pytest.fixture
def train(png_folder):
    """The description of a training run that takes some milliseconds."""
    shape = architecture.named("wrn-10-1", image=(3, 8, 8), classes=2)

    def describe(seed: int, lr: float = 0.1) -> Run:
        recipe = TrainingRecipe(epochs=1, batch_size=6, lr=lr, precision="float32")
        return execution.training_run(shape, recipe, {"name": f"folder:{png_folder}", "images": 0}, seed)

    return describe


@pytest.fixture
def made(monkeypatch) -> list[str]:
    """The keys of the runs that were really made in this process, in order."""
    keys: list[str] = []
    for kind, make in list(execution.KINDS.items()):
        note = functools.partial(_noting, make, keys)
        monkeypatch.setitem(execution.KINDS, kind, note)
    return keys


def _noting(make, keys: list[str], work) -> dict:
    keys.append(work.run.key)
    return make(work)


def files(run: Run, outputs: Path) -> list[str]:
    return sorted(path.name for path in runs.folder(run, outputs).iterdir())


def test_each_run_is_made_once_and_returned_in_the_order_asked(train, made, tmp_path):
    first, second = train(0), train(1)
    actual = parallel.execute_all([second, first, second], tmp_path, workers=1, device="cpu")
    assert [result["key"] for result in actual] == [second.key, first.key, second.key]
    assert made == [second.key, first.key]
    again = parallel.execute_all([first, train(2), second], tmp_path, workers=1, device="cpu")
    assert [result["key"] for result in again] == [first.key, train(2).key, second.key]
    assert made[2:] == [train(2).key]
    assert again[0] == actual[1]


def test_a_run_asked_for_twice_is_handed_to_one_worker(train, monkeypatch, tmp_path):
    """Two workers would make it at the same time, each finding that it is not there yet."""
    handed = []

    def submit(work, description) -> Future:
        future: Future = Future()
        handed.append(Run.from_json(description).key)
        future.set_result(work(description))
        return future

    monkeypatch.setattr(pool, "send", lambda message: None)
    monkeypatch.setattr(pool, "start", lambda allowed, count: submit)
    base, other = train(0), train(1)
    wanted = [
        execution.pruning_run(base, PruningRecipe(rounds=1, steps=1, batch_size=4, criterion=c))
        for c in ("l1", "fisher")
    ]
    parallel.execute_all([*wanted, other, other, *wanted], tmp_path, workers=2, device="cpu")
    assert sorted(handed) == sorted(run.key for run in (*wanted, other))
    assert runs.result(base, tmp_path) is not None


@pytest.fixture
def stand(monkeypatch):
    """Nothing is made: what would have been, (key, threads), here and elsewhere, and the processes for it."""

    class Stand:
        def __init__(self):
            self.here, self.elsewhere, self.processes, self.notes = [], [], [], []

        def go(self, runs, outputs, place="cpu", **how):
            monkeypatch.setattr(hardware, "resolve_device", lambda device: torch.device(place))
            monkeypatch.setattr(parallel, "processors", lambda: 4)
            parallel.execute_all(runs, outputs, device="auto", **how)

    stand = Stand()

    def processes(allowed, count):
        stand.processes.append((allowed, count))

        def submit(work, description):
            stand.elsewhere.append((Run.from_json(description).key, work.keywords["threads"]))
            future: Future = Future()
            future.set_result(None)
            return future

        return submit

    def execute(run, outputs, device, report, threads):
        report(0.5, "half of it", [])
        stand.here.append((run.key, threads))

    update = Progress.update
    monkeypatch.setattr(
        Progress, "update", lambda self, *said: (stand.notes.append(said[-1]), update(self, *said))
    )
    monkeypatch.setattr(pool, "start", processes)
    monkeypatch.setattr(execution, "execute", execute)
    monkeypatch.setattr(runs, "require_result", lambda run, outputs: {})
    return stand


@pytest.mark.parametrize(
    ("place", "workers", "count", "expected"),
    [
        ("meta", 0, 3, None),  # on a GPU, say, one process has it to itself,
        ("meta", 2, 3, (2, 2)),  # unless more are asked for
        ("meta", 5, 3, (4, 3)),
        ("meta", 5, 1, None),  # a single run is made here
        ("cpu", 0, 3, (4, 3)),
        ("cpu", 0, 9, (4, 4)),  # one a processor
        ("cpu", 256, 9, (4, 4)),
        ("meta", 256, 9, (4, 4)),
        ("cpu", 1, 3, None),
    ],
)
def test_how_many_processes_there_are(train, stand, tmp_path, place, workers, count, expected):
    wanted = [train(seed) for seed in range(count)]
    stand.go(wanted, tmp_path, place, workers=workers)
    assert stand.processes == ([] if expected is None else [expected])
    assert len(stand.here) == (count if expected is None else 0)
    assert len(stand.elsewhere) == (0 if expected is None else count)


@pytest.mark.parametrize(("workers", "threads"), [(0, 2), (1, 4), (2, 2), (3, 2), (9, 2)])
@pytest.mark.parametrize("left", [0, 1])
def test_threads_follow_from_what_is_asked_and_not_from_what_is_left(
    train, stand, tmp_path, workers, threads, left
):
    """Else a run that is left over after a stop has more threads than it began with, and other bits."""
    wanted = [train(0), train(1)]
    for run in wanted[: 1 if left else 0]:
        runs.folder(run, tmp_path).mkdir(parents=True)
        runs.write_result(run, tmp_path, {}, {})
    stand.go([*wanted, wanted[0]], tmp_path, workers=workers)  # twice the same is one
    assert {actual for _, actual in stand.here + stand.elsewhere} == {threads}
    assert len(stand.here + stand.elsewhere) == 2 - left


@pytest.mark.parametrize("left", [0, 1])
def test_so_do_those_of_what_runs_start_from(train, stand, tmp_path, left):
    plan = PruningRecipe(rounds=1, steps=1, batch_size=4)
    bases = [train(0), train(1)]
    wanted = [
        execution.pruning_run(base, replace(plan, criterion=c)) for base in bases for c in ("l1", "fisher")
    ]
    for run in bases[: 1 if left else 0]:
        runs.folder(run, tmp_path).mkdir(parents=True)
        runs.write_result(run, tmp_path, {}, {})
    stand.go(wanted, tmp_path)
    made = dict(stand.here + stand.elsewhere)
    assert {made[base.key] for base in bases if base.key in made} == {2}  # four processors, two bases
    assert {made[run.key] for run in wanted} == {1}


def test_what_nothing_that_is_left_starts_from_is_not_made_again(train, stand, tmp_path):
    base = train(0)
    finished = execution.pruning_run(base, PruningRecipe(rounds=1, steps=1, batch_size=4))
    runs.folder(finished, tmp_path).mkdir(parents=True)
    runs.write_result(finished, tmp_path, {}, {})
    stand.go([finished, train(1)], tmp_path)
    assert [key for key, _ in stand.here + stand.elsewhere] == [train(1).key]


def test_the_longest_begin_first(train, stand, tmp_path):
    """A pruning run of 3 rounds of 5 steps of 4 images sees 60; a training run of 2 epochs of 20 sees 40."""
    base = replace(train(0), data={"name": "x", "images": 20})
    whole, once = base.architecture.macs + specs.OVERHEAD, base.recipe
    twice = replace(base, recipe={**once, "epochs": 2})
    pruned = execution.pruning_run(base, PruningRecipe(rounds=3, steps=5, batch_size=4))
    small = base.architecture.with_widths((1, 0, 2))
    narrow = replace(base, architecture=small, recipe={**once, "epochs": 3})
    costs = [specs.estimated_cost(run) for run in (base, twice, pruned)]
    assert costs == [20 * whole, 40 * whole, 60 * whole]
    assert specs.estimated_cost(narrow) == 60 * (small.macs + specs.OVERHEAD)
    runs.folder(base, tmp_path).mkdir(parents=True)
    runs.write_result(base, tmp_path, {}, {})
    wanted = [narrow, base, pruned, twice]
    stand.go(wanted, tmp_path, workers=2)
    assert [key for key, _ in stand.elsewhere] == [pruned.key, narrow.key, twice.key]


def test_criteria_of_ones_own_are_compared_by_workers_too(train, tmp_path, monkeypatch):
    largest = criteria.Criterion("largest", from_weights=lambda group: -group.norm.weight.abs())
    monkeypatch.setitem(criteria.CRITERIA, "mine", largest)
    config = execution.OracleConfig(("mine",), channels=2, steps=1, batch_size=4)
    wanted = [execution.oracle_run(train(seed), config) for seed in (0, 1)]
    parallel.execute_all(wanted, tmp_path, workers=2, device="cpu")
    assert all((runs.folder(run, tmp_path) / "judged.csv").exists() for run in wanted)


def test_a_run_whose_code_is_only_here_is_made_here(train, stand, tmp_path):
    """Also if it stands in what the run starts from; with all processors, for nothing runs beside it."""
    base = train(0)
    base = replace(base, recipe={**base.recipe, "code": "a digest"})  # of a schedule, say
    pruned = execution.pruning_run(base, PruningRecipe(rounds=1, steps=1, batch_size=4))
    tuned = execution.finetuning_run(pruned, 1, base.architecture, TrainingRecipe(epochs=1, batch_size=6))
    for run in (base, pruned):
        runs.folder(run, tmp_path).mkdir(parents=True)
    runs.write_result(base, tmp_path, {}, {})
    stand.go([train(1), tuned, train(2)], tmp_path, workers=2)
    assert stand.here == [(pruned.key, 4), (tuned.key, 4)]
    assert stand.elsewhere == [(train(1).key, 2), (train(2).key, 2)]
    assert "in this process, which has its code: half of it" in stand.notes
    with pytest.raises(
        InputError, match=rf"prune {pruned.key} .* needs code that only this process has: .* the cluster"
    ):
        parallel.execute_all([train(1), tuned], tmp_path, device="cpu", address="tcp://127.0.0.1:9")


def test_nothing_asked_is_nothing_made(made, tmp_path):
    assert parallel.execute_all([], tmp_path, device="cpu") == []
    assert made == []


def test_what_several_pruning_runs_start_from_is_made_once_and_first(train, made, tmp_path):
    base = train(0)
    wanted = [
        execution.pruning_run(base, PruningRecipe(rounds=1, steps=1, batch_size=4, criterion=c))
        for c in ("fisher", "l1")
    ]
    actual = parallel.execute_all(wanted, tmp_path, workers=1, device="cpu")
    assert made == [base.key, *(run.key for run in wanted)]
    assert [result["key"] for result in actual] == made[1:]


def test_a_run_that_fails_raises_and_leaves_the_others(train, made, tmp_path):
    good, bad, later = train(0), train(0, lr=1e30), train(1)
    with pytest.raises(FloatingPointError, match="learning rate"):
        parallel.execute_all([good, bad, later], tmp_path, workers=1, device="cpu")
    assert runs.result(good, tmp_path) is not None
    assert runs.result(bad, tmp_path) is None
    made.clear()
    parallel.execute_all([good, later], tmp_path, workers=1, device="cpu")
    assert made == [later.key]


@pytest.fixture
def workers():
    """Worker processes of a test's own."""
    pool.stop()
    yield
    pool.stop()


def test_processes_leave_the_same_files_and_a_failure_leaves_the_others(
    train, tmp_path, monkeypatch, workers
):
    monkeypatch.setattr(parallel, "processors", lambda: 4)  # so that each of the two has two threads
    good, bad = [train(0), train(1)], train(0, lr=1e30)
    with pytest.raises(FloatingPointError, match="learning rate"):
        parallel.execute_all([good[0], bad, good[1]], tmp_path / "processes", workers=2, device="cpu")
    assert runs.result(bad, tmp_path / "processes") is None
    finished = [run for run in good if runs.result(run, tmp_path / "processes") is not None]
    assert good[0] in finished  # it was under way when the other failed
    parallel.execute_all(finished, tmp_path / "here", workers=1, device="cpu")
    for run in finished:
        assert files(run, tmp_path / "processes") == files(run, tmp_path / "here")
        here, processes = (runs.result(run, tmp_path / place) for place in ("here", "processes"))
        assert here.keys() == processes.keys()
        assert here["run"] == processes["run"]
        assert here["metrics"].keys() == processes["metrics"].keys()
        assert here["metrics"]["train_macs"] == processes["metrics"]["train_macs"]
        frames = [pd.read_csv(runs.folder(run, tmp_path / o) / "epochs.csv") for o in ("here", "processes")]
        assert frames[0].shape == frames[1].shape
        assert frames[0]["loss"].tolist() == pytest.approx(frames[1]["loss"].tolist(), rel=1e-3)
    assert processes["about"]["threads"] == 2


def test_every_run_under_way_says_how_far_it_is(train, tmp_path, monkeypatch, workers):
    """Its epoch and its error, before it is finished; and a share that was there is no pace."""
    monkeypatch.setattr(parallel, "POLL", 0.01)
    seen = []
    update = Progress.update
    monkeypatch.setattr(Progress, "update", lambda self, *said: (seen.append(said), update(self, *said)))
    shape, recipe = train(0).architecture, TrainingRecipe(epochs=200, batch_size=6, precision="float32")
    wanted = [execution.training_run(shape, recipe, train(0).data, seed) for seed in (0, 1)]
    parallel.execute_all(wanted, tmp_path, workers=2, device="cpu")
    both = [said for said in seen if len(said) > 3 and said[3].count("epoch ") == 2]
    assert {count for _, count, *_ in both} == {"0/2 finished, 2 running"}
    first = r"epoch \d+/200, error \d+\.\d %"
    assert any(re.fullmatch(f"{first}; {first}", details) for *_, details in both)
    shares = [done for done, *_ in seen]
    assert all(0 <= done <= 2 for done in shares)
    assert len({round(done, 2) for done in shares}) > 5


def test_a_run_that_is_taken_up_says_so_first(train):
    """`resumed` is what its first report says; the rest is what this process has made."""
    first, second = train(0), train(1)
    progress = Progress("runs", 2)
    board = Board(progress, [first, second])
    board.update((first.key, 0.75, "epoch 3/4", []))
    board.update((second.key, 0.0, "epoch 0/4", []))
    assert (progress.done, progress.resumed) == (0.75, 0.75)
    board.update((first.key, 0.85, "epoch 4/4", []))
    assert (progress.done, progress.resumed, progress.note, progress.details) == (
        0.85,
        0.75,
        "0/2 finished, 2 running",
        "epoch 4/4; epoch 0/4",
    )
    board.finish(second)
    assert (progress.note, progress.details) == ("1/2 finished, 1 running", "epoch 4/4")
    assert board.kept() == "92.5 % is kept (1 of 2 finished, 1 started)"


def test_until_the_first_message_the_line_says_what_the_runs_wait_for(train):
    progress = Progress("runs", 1)
    board = Board(progress, [train(0)], starting="handed to the workers")
    board.show()
    assert progress.details == "handed to the workers"
    board.update((train(0).key, 0.5, "half", []))
    assert progress.details == "half"


def test_when_all_have_ended_the_status_says_so(train, tmp_path):
    """Whether they finished, failed or were skipped."""
    first, second, third = (train(seed) for seed in range(3))
    board = Board(Progress("runs", 3), [first, second, third], tmp_path)
    board.finish(first)
    board.finish(second, "no memory")
    board.write_status()
    assert "left" in status.read(tmp_path)["line"]
    board.skip(third)
    board.write_status()
    assert status.read(tmp_path)["line"].startswith("runs  100%")
    assert "left" not in status.read(tmp_path)["line"]


def test_a_long_run_counts_for_more_so_that_the_time_left_is_right(train):
    short = train(0)
    long = replace(short, recipe={**short.recipe, "epochs": 3 * short.recipe["epochs"]})
    progress = Progress("runs", 2)
    board = Board(progress, [short, long])
    board.update((long.key, 0.5, "half", []))
    board.finish(short)
    assert progress.share == pytest.approx((1 + 0.5 * 3) / 4)
    board.add([replace(long, seed=8)])
    board.show()
    assert (progress.total, progress.share) == (3, pytest.approx((1 + 0.5 * 3) / 7))


def test_of_many_runs_the_first_few_are_shown(train):
    wanted = [train(seed) for seed in range(9)]
    progress = Progress("runs", 9)
    board = Board(progress, wanted)
    for number, run in enumerate(wanted):
        board.update((run.key, 0.5, f"epoch {number}", []))
    assert progress.details == "epoch 0; epoch 1; epoch 2; epoch 3; 5 more"


def test_an_unknown_device_is_refused_before_any_work(train, made, tmp_path):
    with pytest.raises(InputError, match="no device 'gpu'"):
        parallel.execute_all([train(0)], tmp_path, device="gpu")
    assert made == []


# --- processes that stay ---------------------------------------------------------------------------------


def pids() -> list[int]:
    """Of the worker processes."""
    return sorted(process.pid for process in multiprocessing.active_children())


def gone(numbers, seconds: float = 4.0) -> bool:
    """Whether processes end within so many seconds; a dead one that nobody asked after has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(running(number) for number in numbers):
            return True
        time.sleep(0.05)
    return False


def running(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_processes_are_kept_and_replaced_when_they_are_broken(train, tmp_path, workers):
    began = time.monotonic()
    parallel.start(2, "cpu")
    assert time.monotonic() - began < 1  # torch alone takes longer
    first = pids()
    parallel.start(2, "cpu")
    parallel.execute_all([train(0), train(1)], tmp_path, workers=2, device="cpu")
    parallel.execute_all([train(2), train(3)], tmp_path, workers=2, device="cpu")
    assert pids() == first
    killed_one = next(one for one in multiprocessing.active_children() if one.pid == first[0])
    killed_one.kill()
    killed_one.join(10)  # with all its threads
    parallel.execute_all([train(4), train(5)], tmp_path, workers=2, device="cpu")
    assert len(pids()) == 2
    assert not set(pids()) & set(first)
    assert gone(first)
    assert runs.result(train(5), tmp_path) is not None


def test_a_worker_that_dies_at_work_is_said_and_the_next_call_has_new_ones(train, tmp_path, workers):
    parallel.start(2, "cpu")
    submit = pool.start(2, 2)
    futures = [submit(os._exit, 3), submit(time.sleep, 0)]
    with pytest.raises(RuntimeError, match="a worker process died, perhaps out of memory"):
        futures[0].result(timeout=60)
    parallel.execute_all([train(0), train(1)], tmp_path, workers=2, device="cpu")
    assert runs.result(train(1), tmp_path) is not None


def fail_oddly():
    class Odd(Exception):  # it cannot be sent
        pass

    raise Odd("never mind")


def test_an_error_comes_back_with_where_it_was_raised(workers):
    submit = pool.start(2, 1)
    with pytest.raises(ValueError, match="invalid literal") as caught:
        submit(int, "seven").result(timeout=60)
    assert "in a worker process" in caught.value.__notes__[0]
    with pytest.raises(RuntimeError, match="Odd: never mind"):
        submit(fail_oddly).result(timeout=60)


@pytest.mark.parametrize(
    ("arguments", "nodes", "expected"),
    [
        ((2, "cpu"), (), (2, 2)),
        ((0, "cpu"), (), (9, 4)),  # the others when it is known how many runs there are
        ((0, "auto"), (), (9, 4)),
        ((0, "auto"), ("/dev/kfd",), None),
        ((3, "auto"), ("/dev/kfd",), (3, 3)),
        ((0, "cuda"), (), None),
        ((1, "cpu"), (), None),
        ((256, "cpu"), (), (9, 4)),
        ((256, "cuda"), (), (9, 4)),
        ((2, "cpu", "tcp://there:1"), (), None),
    ],
)
def test_what_is_started_ahead(monkeypatch, capsys, arguments, nodes, expected):
    started = []
    monkeypatch.setattr(pool, "start", lambda *how: started.append(how))
    monkeypatch.setattr(parallel, "processors", lambda: 9)
    monkeypatch.setattr(limits.os.path, "exists", lambda path: path in nodes)
    parallel.start(*arguments)
    assert started == ([] if expected is None else [expected])
    line = "workers=256: there will be 9, one for each processor that may be used here\n"
    assert capsys.readouterr().out == (line if arguments[0] == 256 else "")


def test_starting_ahead_needs_no_torch_here():
    code = "import sys; from horticulture.execution import parallel; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"


PARENT = """
import multiprocessing, signal, sys, time
from horticulture.execution import parallel, pool, specs

if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which `nohup` would have us ignore
    parallel.start(2, "cpu")
    submit = pool.start(2, 2)
    print(*[process.pid for process in multiprocessing.active_children()], flush=True)
    if sys.argv[1] == "busy":
        futures = [submit(time.sleep, 300) for _ in range(2)]
        print("busy", flush=True)
        parallel.wait(futures)
"""


def parent(tmp_path, what: str) -> tuple[subprocess.Popen, list[int]]:
    """A process with two workers, in a group of its own, and theirs numbers."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    process = subprocess.Popen(
        [sys.executable, str(script), what],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    return process, [int(number) for number in process.stdout.readline().split()]


def test_a_process_that_ends_leaves_none_behind_and_waits_for_none(tmp_path):
    process, numbers = parent(tmp_path, "idle")
    assert len(numbers) == 2
    began = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - began < 3  # they were importing torch still
    assert gone(numbers, 1)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_their_parent_whatever_ends_it(tmp_path, how):
    process, numbers = parent(tmp_path, "busy")
    assert process.stdout
    process.stdout.readline()
    time.sleep(1 if how == signal.SIGKILL else 4)  # while they are getting ready, and while they work
    os.kill(process.pid, how)
    assert gone([process.pid, *numbers], 4)
    _, errors = process.communicate()
    assert errors.count("Traceback") == (how == signal.SIGINT)  # the parent's own


STUDY = """
import os, signal, sys
from pathlib import Path
from horticulture.execution import parallel, specs
from horticulture.execution.board import Board

def main():
    outputs, left = Path(sys.argv[1]), int(sys.argv[2])
    parallel.start(2, "cpu")
    finish = Board.finish

    def counted(board, run):
        nonlocal left
        finish(board, run)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    Board.finish = counted
    from horticulture import architecture, execution
    from horticulture.pruning import PruningRecipe
    from horticulture.training import TrainingRecipe

    def recipe(epochs):
        return TrainingRecipe(epochs, batch_size=32, precision="float32")

    shape = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    source = execution.describe_data("clutter", 128)
    lengths = {0: 1, 1: 3}  # by seed: one is in the middle when the other is finished
    bases = [execution.training_run(shape, recipe(length), source, seed) for seed, length in lengths.items()]
    prunings = [
        execution.pruning_run(base, PruningRecipe(5 * lengths[base.seed], steps=1, batch_size=32, lr=0.01))
        for base in bases
    ]
    parallel.execute_all(prunings, outputs, workers=2, device="cpu")
    shapes = [execution.load_network(run, outputs).architecture for run in prunings]
    tunings = [
        execution.finetuning_run(run, run.recipe["rounds"], narrower, recipe(lengths[run.seed]))
        for run, narrower in zip(prunings, shapes)
    ]
    parallel.execute_all(tunings, outputs, workers=2, device="cpu")

if __name__ == "__main__":
    main()
"""


@pytest.mark.skipif(limits.processors() < 2, reason="with one processor every run has one thread")
def test_a_study_of_two_workers_killed_in_every_layer_ends_with_the_same_bits(tmp_path):
    """The run that is left of a training, a pruning and a tuning has one thread, as beside the other."""
    script = tmp_path / "study.py"
    script.write_text(STUDY)

    def run(outputs, left=0):
        """left: after so many runs it kills itself. Waits for the workers, which hold the other end."""
        process = subprocess.Popen([sys.executable, script, outputs, str(left)], stderr=subprocess.PIPE)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == (-signal.SIGKILL if left else 0), errors.decode()
        return killed.results(outputs)

    expected = run(tmp_path / "alone")
    assert len({name.partition("/")[0] for name in expected}) == 6
    stopped = tmp_path / "stopped"
    for left in (1, 2, 2):  # one of each layer, and before that the other of the one before
        made = run(stopped, left)
        assert made
        assert all(made[name] == expected[name] for name in made)
    assert run(stopped) == expected
