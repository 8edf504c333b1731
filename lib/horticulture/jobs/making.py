"""Making a run: once, whole, and going on where an earlier process was stopped."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from horticulture import checkpoints, data, machine, runs, store
from horticulture.errors import choose
from horticulture.jobs.having import WEIGHTS, images_of
from horticulture.runs import Run
from horticulture.training import State

Report = Callable[[float, str], None]  # the share that is done, and what is known now

# What a result vouches for, where it is there.
FILES = (WEIGHTS, "epochs.csv", "removals.csv", "judged.csv", "network.hortpack")


def execute(run: Run, outputs: Path, device: str = "auto", report: Report = lambda *_: None) -> dict:
    """Make a run, and first the one it starts from, unless they are there. Returns the result.

    A run that was begun goes on from its last checkpoint; of two processes that want the same run one waits
    for the other. Raises FloatingPointError when a loss is not finite; what was finished before stays.
    """
    from horticulture.jobs.kinds import KINDS  # each kind's work is written with the tools below

    found = made(run, outputs)
    if found is not None:
        return found
    make = KINDS[choose(run.kind, KINDS, "kind of run")]
    if run.start is not None:
        execute(run.start, outputs, device, report)
    where = machine.place(device)
    with store.locked(outputs / "runs" / ".locks" / run.key):
        found = made(run, outputs)  # another process may have made it while we waited
        if found is not None:
            return found
        runs.folder(run, outputs).mkdir(exist_ok=True)
        try:
            metrics = make(work := Work(run, outputs, where, report))
        except store.Damaged as error:  # what an earlier process left: begin again
            _aside(run, outputs, error)
            runs.folder(run, outputs).mkdir()
            metrics = make(work := Work(run, outputs, where, report))
        metrics["seconds"] = work.clock()
        about = machine.about(where, run.recipe["precision"])
        found = runs.finish(run, outputs, metrics, about, FILES)
        work.keeper.clear()
        work.rows.clear()
        return found


def made(run: Run, outputs: Path) -> dict | None:
    """The result if there is one and its files are what they were; what is damaged is set aside."""
    try:
        return runs.verified(run, outputs)
    except store.Damaged as error:
        _aside(run, outputs, error)
        return None


def _aside(run: Run, outputs: Path, error: store.Damaged) -> None:
    aside = runs.set_aside(run, outputs)
    warnings.warn(f"{error.path} is damaged: set aside in {aside.name}, and made again", stacklevel=4)


@dataclass
class Work:
    """What making a run needs to know, and what it has done so far."""

    run: Run
    outputs: Path
    device: torch.device
    report: Report

    def __post_init__(self) -> None:
        self.keeper = checkpoints.Keeper(self.folder)
        self.rows = store.Rows(self.folder / "rows.jsonl")
        self.before, self._began = 0.0, time.perf_counter()

    def taken_up(self) -> State | None:
        """The last checkpoint, if the run was begun before."""
        state = self.keeper.latest()
        self.before = state.numbers["seconds"] if state else 0.0
        return state

    def each_step(self, state: Callable[[], State]) -> None:
        """Put down the work now and then."""
        self.keeper.consider(lambda: self.stamped(state()))

    def stamped(self, state: State) -> State:
        """With the time that it took."""
        return State(state.tensors, {**state.numbers, "seconds": self.clock()})

    def clock(self) -> float:
        """Seconds of work on this run, those of earlier processes included."""
        return round(self.before + time.perf_counter() - self._began, 2)

    @property
    def dataset(self) -> data.Dataset:
        """The run's data on its device. Raises BadInput if it is not what it was when it was described."""
        return images_of(self.run, str(self.device))

    @property
    def folder(self) -> Path:
        """Where the run's files go."""
        return runs.folder(self.run, self.outputs)
