"""Execute a run once and completely, resuming where an earlier process stopped."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch

from horticulture import runs
from horticulture.errors import check_choice
from horticulture.execution import interruption
from horticulture.execution.loading import WEIGHTS_FILE
from horticulture.execution.run_context import Report, RunContext
from horticulture.execution.tasks import KINDS
from horticulture.runs import Run
from horticulture.system import files, leases, locks
from horticulture.training import hardware

# Files whose digests a result records, if they exist.
FILES = (WEIGHTS_FILE, runs.IMAGE_ERRORS, "epochs.csv", "removals.csv", "judged.csv", "network.hortpack")


def execute(
    run: Run,
    outputs: Path,
    device: str = "auto",
    report: Report = lambda *_: None,
    threads: int | None = None,
) -> dict:
    """Execute a run, and before it the run it starts from, unless they are finished. Return the result.

    threads: for a new run (None: torch's current number). A resumed run keeps the number it started with.

    An unfinished run resumes from its last checkpoint; if two processes want the same run, one waits for the
    other. When interrupted, it saves a checkpoint between two steps. Raises FloatingPointError if a loss is
    not finite; finished work is kept.
    """
    result = complete_result(run, outputs)
    if result is not None:
        return result
    check_choice(run.kind, KINDS, "kind of run")
    if run.start is not None:
        execute(run.start, outputs, device, report, threads)
    where = hardware.resolve_device(device)
    hardware.resolve_precision(run.recipe["precision"], where)  # refuses one that would only be emulated
    waiting = partial(report, 0.0, "another process is executing it", ())
    try:
        with locks.held(lock_path(run, outputs), waiting) as check_lease:
            result = _load_or_quarantine(run, outputs)  # another process may have made it while we waited
            if result is not None:
                return result
            try:
                return _make(run, outputs, where, report, threads, check_lease)
            except files.CorruptFileError as error:  # left by an earlier process: start over
                check_lease()
                _quarantine(run, outputs, error)
                return _make(run, outputs, where, report, threads, check_lease)
    except leases.LostLease:  # this process was stopped for long: wait for the one that took over
        return execute(run, outputs, device, report, threads)


def complete_result(run: Run, outputs: Path) -> dict | None:
    """The result, if the run is finished and its files are unchanged.

    A damaged run is set aside, unless another process is already executing it again.
    """

    def step_aside() -> None:
        raise _BeingMade

    try:
        return runs.verified_result(run, outputs)
    except files.CorruptFileError:
        with suppress(_BeingMade), locks.held(lock_path(run, outputs), step_aside):
            return _load_or_quarantine(run, outputs)
    return None


class _BeingMade(Exception):
    """Another process holds the lock of a run."""


def lock_path(run: Run, outputs: Path) -> Path:
    """The file to lock while a run is made."""
    return outputs / "runs" / ".locks" / run.key


def _load_or_quarantine(run: Run, outputs: Path) -> dict | None:
    """The result if it is intact; otherwise set it aside. Needs the lock, or it could set aside a new one."""
    try:
        return runs.verified_result(run, outputs)
    except files.CorruptFileError as error:
        _quarantine(run, outputs, error)
        return None


def _quarantine(run: Run, outputs: Path, error: files.CorruptFileError) -> None:
    aside = runs.quarantine(run, outputs)
    warnings.warn(
        f"{error.path} is damaged; it was set aside in {aside.name} and will be made again", stacklevel=4
    )


def _make(
    run: Run,
    outputs: Path,
    device: torch.device,
    report: Report,
    threads: int | None,
    check_lease: Callable[[], None],
) -> dict:
    """Do the work of a run and write its result. Needs the run's lock."""
    folder = runs.folder(run, outputs)
    files.make_folder(folder)
    for left in folder.glob("*.tmp"):  # left by a killed process
        left.unlink()
    with interruption.deferred() as signals:
        context = RunContext(run, outputs, device, report, signals, check_lease)
        with hardware.threads(context.threads or threads):
            metrics = KINDS[run.kind](context)
            metrics["seconds"] = context.elapsed()
            check_lease()
            result = runs.write_result(run, outputs, metrics, hardware.environment_info(device), FILES)
        context.checkpoint.clear()
        context.rows.clear()
    return result
