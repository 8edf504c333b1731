"""What executing a run needs, whatever its kind: folder, data, clock, checkpoints and progress."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from horticulture import data, runs
from horticulture.analysis import live
from horticulture.execution import checkpoints, loading
from horticulture.execution.interruption import Interruption
from horticulture.execution.specs import OracleConfig
from horticulture.pruning import PruningRecipe
from horticulture.runs import Run
from horticulture.runs.run import Kind
from horticulture.system import files
from horticulture.training import Checkpoint, Recipe, TrainingRecipe

RECIPES: dict[Kind, type[Recipe]] = {"prune": PruningRecipe, "judge": OracleConfig}  # by kind of run

# The fraction done, a status text, and the new rows of the run's table.
Report = Callable[[float, str, Sequence[live.Row]], None]


@dataclass
class RunContext:
    """Everything that executing a run needs: its folder, data, clock and checkpoints."""

    run: Run
    outputs: Path
    device: torch.device
    send: Report
    interruption: Interruption = field(default_factory=Interruption)
    check_lease: Callable[[], None] = lambda: None  # raises if another process has taken over the run

    def __post_init__(self) -> None:
        self.checkpoint = checkpoints.RollingCheckpoint(self.folder)
        self.rows = files.JsonlTable(self.folder / "rows.jsonl")
        self.recipe: Any = RECIPES.get(self.run.kind, TrainingRecipe).from_json(self.run.recipe)
        self._began = time.perf_counter()
        self._state = self.checkpoint.latest()
        self.earlier_seconds = self._state.numbers["seconds"] if self._state else 0.0

    @property
    def threads(self) -> int | None:
        """The number of threads the run was started with, if it was: any other would change the last bits."""
        return self._state.numbers["threads"] if self._state else None

    def resume(self) -> Checkpoint | None:
        """The last checkpoint, if the run was started before. Later calls return None."""
        state, self._state = self._state, None
        return state

    def report(self, share: float, note: str, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        """Report the run's progress. rows: the rows of its table that are new since the last report."""
        self.send(share, note, [live.live_columns(row) for row in rows])

    def on_step(self, state: Callable[[], Checkpoint]) -> None:
        """Save a checkpoint when one is due, and at once if asked to stop."""

        def state_now() -> Checkpoint:
            self.rows.sync()  # first, because a checkpoint relies on the rows before it
            return self.stamp(state())

        self.check_lease()
        self.checkpoint.maybe_save(state_now, now=self.interruption.pending != 0)
        self.interruption.raise_pending()

    def stamp(self, state: Checkpoint) -> Checkpoint:
        """Add the elapsed time and the number of threads."""
        progress = {"seconds": self.elapsed(), "threads": torch.get_num_threads()}
        return Checkpoint(state.tensors, {**state.numbers, **progress})

    def elapsed(self) -> float:
        """Seconds of work on this run, including earlier processes."""
        return round(self.earlier_seconds + time.perf_counter() - self._began, 2)

    @property
    def start(self) -> Run:
        """The run that this one starts from."""
        assert self.run.start is not None
        return self.run.start

    @property
    def dataset(self) -> data.Dataset:
        """The run's data on its device. Raises InputError if they changed since the run was described."""
        return loading.images_of(self.run, str(self.device))

    @property
    def folder(self) -> Path:
        """Where the run's files go."""
        return runs.folder(self.run, self.outputs)
