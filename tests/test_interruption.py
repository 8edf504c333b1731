"""Whoever stops a run loses nothing: it is put down between two steps, and ends with the same bits."""

import os
import signal
import threading
import time

import pytest

from horticulture import architecture, execution, runs
from horticulture.execution import pool
from horticulture.execution.interruption import deferred
from horticulture.pruning import PruningRecipe
from horticulture.system import files
from horticulture.training import TrainingRecipe

CLUTTER_IMAGES = (96, 32, 32)
pytestmark = pytest.mark.usefixtures("little_clutter")

SHAPE = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
SOURCE = {"name": "clutter", "images": 96}
TRAIN = execution.training_run(SHAPE, TrainingRecipe(3, 0.1, "one-cycle", batch_size=32), SOURCE, 0)
PRUNE = execution.pruning_run(TRAIN, PruningRecipe(rounds=4, steps=2, batch_size=32, evaluate_every=2))
CHAIN = pytest.mark.parametrize(("run", "at"), [(TRAIN, 4), (PRUNE, 5)], ids=["training", "pruning"])
SIGNALS = pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)


def weights(run, outputs) -> str:
    return files.file_digest(runs.folder(run, outputs) / "weights.safetensors")


@CHAIN
@SIGNALS
def test_a_run_that_is_stopped_is_put_down_at_once_and_ends_with_the_same_bits(
    tmp_path, run, at, number, raised
):
    undisturbed, stopped = tmp_path / "undisturbed", tmp_path / "stopped"
    execution.execute(run, undisturbed, "cpu", threads=1)
    if run.start:
        execution.execute(run.start, stopped, "cpu", threads=1)
    shares = []

    def stop(share, note, rows):
        shares.append(share)
        if len(shares) == at:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(raised):
        execution.execute(run, stopped, "cpu", stop, threads=1)
    assert signal.getsignal(number) is before
    assert len(shares) == at  # no further step was begun
    assert len(list(runs.folder(run, stopped).glob("at-*.safetensors"))) == 1
    assert runs.result(run, stopped) is None
    later = []
    execution.execute(run, stopped, "cpu", lambda share, note, rows: later.append(share), threads=1)
    assert later[0] == shares[-1] > 0  # it went on from there
    assert weights(run, stopped) == weights(run, undisturbed)


def twice() -> None:
    with deferred() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.pending == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("went on")


def once(error: Exception | None = None) -> None:
    with deferred():
        os.kill(os.getpid(), signal.SIGINT)
        if error:
            raise error


def asked_to_end(times: int) -> None:
    with deferred() as interruption:
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGTERM)
        interruption.raise_pending()
        pytest.fail("went on")


def test_a_second_signal_does_not_wait():
    with pytest.raises(KeyboardInterrupt):
        twice()


def test_a_second_request_to_end_waits():
    """As often as a kernel sends it to its children, until the work is put down."""
    with pytest.raises(SystemExit):
        asked_to_end(times=3)


def test_a_signal_that_nobody_heeded_is_raised_at_the_end_and_an_error_goes_first():
    with pytest.raises(KeyboardInterrupt):
        once()
    with pytest.raises(ValueError, match="first"):
        once(ValueError("first"))


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        once()
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_of_the_main_thread_nothing_changes():
    before, seen = signal.getsignal(signal.SIGINT), []

    def elsewhere():
        with deferred() as interruption:
            seen.append((signal.getsignal(signal.SIGINT), interruption.pending))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [(before, 0)]


def test_a_worker_that_is_ended_puts_down_what_it_is_at(tmp_path):
    """As when a cell or the command is interrupted: the parent ends its workers."""
    long = execution.training_run(SHAPE, TrainingRecipe(2000, 0.1, "one-cycle", batch_size=32), SOURCE, 0)
    submit = pool.start(1, 1)
    submit(execution.execute, long, tmp_path, "cpu")
    folder, until = runs.folder(long, tmp_path), time.monotonic() + 60
    while not (folder / "epochs.csv").exists() and not (folder / "rows.jsonl").exists():
        assert time.monotonic() < until
        threading.Event().wait(0.05)
    pool.stop()
    assert list(folder.glob("at-*.safetensors"))
