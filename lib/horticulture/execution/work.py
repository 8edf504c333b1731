"""What making a run needs at hand: its folder, its data, its clock, and where it is put down."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from horticulture import data, runs
from horticulture.execution import checkpoints
from horticulture.execution.loading import images_of
from horticulture.runs import Run, files
from horticulture.training import Checkpoint

Report = Callable[[float, str], None]  # the share that is done, and what is known now


@dataclass
class RunContext:
    """What making a run needs to know, and what it has done so far."""

    run: Run
    outputs: Path
    device: torch.device
    report: Report

    def __post_init__(self) -> None:
        self.keeper = checkpoints.RollingCheckpoint(self.folder)
        self.rows = files.JsonlTable(self.folder / "rows.jsonl")
        self._began = time.perf_counter()
        self._state = self.keeper.latest()
        self.before = self._state.numbers["seconds"] if self._state else 0.0

    @property
    def threads(self) -> int | None:
        """With which the run was begun, if it was: with others the last bits would be others."""
        return self._state.numbers["threads"] if self._state else None

    def resume(self) -> Checkpoint | None:
        """The last checkpoint, if the run was begun before; once."""
        state, self._state = self._state, None
        return state

    def on_step(self, state: Callable[[], Checkpoint]) -> None:
        """Put down the work now and then."""
        self.keeper.maybe_save(lambda: self.stamped(state()))

    def stamped(self, state: Checkpoint) -> Checkpoint:
        """With the time that it took, and the threads."""
        about = {"seconds": self.elapsed(), "threads": torch.get_num_threads()}
        return Checkpoint(state.tensors, {**state.numbers, **about})

    def elapsed(self) -> float:
        """Seconds of work on this run, those of earlier processes included."""
        return round(self.before + time.perf_counter() - self._began, 2)

    @property
    def dataset(self) -> data.Dataset:
        """The run's data on its device. Raises InputError if it is not what it was when it was described."""
        return images_of(self.run, str(self.device))

    @property
    def folder(self) -> Path:
        """Where the run's files go."""
        return runs.folder(self.run, self.outputs)
