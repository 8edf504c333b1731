"""Making a run: once, whole, and going on where an earlier process was stopped."""

import warnings
from pathlib import Path

from horticulture import files, runs
from horticulture.errors import check_choice
from horticulture.execution.interruption import Interruption
from horticulture.execution.loading import WEIGHTS
from horticulture.execution.tasks import KINDS, Report, RunContext
from horticulture.runs import Run
from horticulture.training import hardware

# What a result vouches for, where it is there.
FILES = (WEIGHTS, runs.ANSWERS, "epochs.csv", "removals.csv", "judged.csv", "network.hortpack")


def execute(
    run: Run,
    outputs: Path,
    device: str = "auto",
    report: Report = lambda *_: None,
    threads: int | None = None,
) -> dict:
    """Execute a run, and first the one it starts from, unless they are there. Returns the result.

    threads: with which it is made if it begins here (None: as many as torch has now). One that was begun
    goes on with as many as it began with.

    A run that was begun goes on from its last checkpoint; of two processes that want the same run one waits
    for the other. Interrupted, it puts down what it did between two steps. Raises FloatingPointError when a
    loss is not finite; what was finished before stays.
    """
    found = load_if_complete(run, outputs)
    if found is not None:
        return found
    task = KINDS[check_choice(run.kind, KINDS, "kind of run")]
    if run.start is not None:
        execute(run.start, outputs, device, report, threads)
    where = hardware.resolve_device(device)
    hardware.precision(run.recipe["precision"], where)  # refuses what would only be imitated
    with files.locked(outputs / "runs" / ".locks" / run.key), Interruption() as interruption:
        found = load_if_complete(run, outputs)  # another process may have made it while we waited
        if found is not None:
            return found
        files.make_folder(runs.folder(run, outputs))
        context = RunContext(run, outputs, where, report, interruption)
        with hardware.threads(context.threads or threads):
            try:
                metrics = task(context)
            except files.CorruptFileError as error:  # what an earlier process left: begin again
                _quarantine(run, outputs, error)
                files.make_folder(runs.folder(run, outputs))
                context = RunContext(run, outputs, where, report, interruption)
                metrics = task(context)
            metrics["seconds"] = context.elapsed()
            found = runs.write_result(run, outputs, metrics, hardware.environment_info(where), FILES)
        context.keeper.clear()
        context.rows.clear()
        return found


def load_if_complete(run: Run, outputs: Path) -> dict | None:
    """The result if there is one and its files are what they were; what is damaged is set aside."""
    try:
        return runs.verified_result(run, outputs)
    except files.CorruptFileError as error:
        _quarantine(run, outputs, error)
        return None


def _quarantine(run: Run, outputs: Path, error: files.CorruptFileError) -> None:
    place = runs.quarantine(run, outputs)
    warnings.warn(f"{error.path} is damaged: set aside in {place.name}, and made again", stacklevel=4)
