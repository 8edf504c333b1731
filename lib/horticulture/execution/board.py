"""The progress of several runs, collected from the messages of the processes that execute them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from horticulture.analysis import live
from horticulture.progress import Progress
from horticulture.runs import Run

SHOWN = 4  # the line has the status of up to this many runs
# The fields that tell runs apart, and how to show them.
TRAITS = {
    "criterion": "{}",
    "params": "{:,} parameters",
    "weights": "{} weights",
    "epochs": "{} epochs",
    "seed": "seed {}",
}

# A run's key, the fraction done, a status text, and the new rows of its table.
Message = tuple[str, float, str, Sequence[live.Row]]


@dataclass
class _Begun:
    """The state of a run that has begun."""

    resumed: float  # the fraction done by an earlier process
    share: float = 0.0
    note: str = ""
    finished: bool = False
    rows: dict[float, live.Row] = field(default_factory=dict)  # by epoch or round


WAITING = _Begun(0.0, note="waiting")  # for a free process


class Board:
    """The progress of several runs, as one progress line and its picture."""

    def __init__(self, progress: Progress, todo: Iterable[Run]) -> None:
        self.progress, todo = progress, list(todo)
        self.count, self.names = len(todo), names(todo)
        self.end = max(run.recipe.get("epochs", run.recipe.get("rounds", 0)) for run in todo)
        self._begun: dict[str, _Begun] = {}
        progress.picture = self.picture

    def update(self, message: Message) -> None:
        """Update a run's progress. Its first message says where it starts or resumes."""
        key, share, note, rows = message
        run = self._begun.setdefault(key, _Begun(share))
        run.share, run.note = share, note
        run.rows |= {live.position(row): row for row in rows}
        self.show()

    def finish(self, run: Run) -> None:
        """Mark a run as finished."""
        made = self._begun.setdefault(run.key, _Begun(0.0, note="finished"))
        made.share, made.finished = 1.0, True
        self.show()

    @property
    def finished(self) -> int:
        """The number of finished runs."""
        return sum(run.finished for run in self._begun.values())

    def show(self) -> None:
        """Update the progress line: the total of all runs, and the status of the first few."""
        begun = self._begun.values()
        done, resumed = sum(run.share for run in begun), sum(run.resumed for run in begun)
        count = f"{self.finished}/{self.count} finished" if self.count > 1 else ""
        notes = [run.note for run in begun if not run.finished]
        more = [f"{len(notes) - SHOWN} more"] if len(notes) > SHOWN else []
        notes = notes if begun else ["starting workers"]  # they load torch first
        self.progress.update(done, count, resumed, "; ".join([*notes[:SHOWN], *more]))

    def picture(self) -> str:
        """The runs as curves, with a line of text for each."""
        if not self._begun:
            return ""
        few = self.count <= len(live.STYLES)  # each has its own colour from the start
        curves = []
        for key in self.names if few else self._begun:
            run = self._begun.get(key, WAITING)
            kept = f", {100 * run.resumed:.1f} % kept from before" if run.resumed else ""
            curves.append(live.Curve(self.names[key], run.note + kept, list(run.rows.values())))
        return live.picture(curves, self.end)

    def kept(self) -> str:
        """How much of the work is kept if all runs stop now, as a text."""
        share = sum(run.share for run in self._begun.values()) / self.count
        begun = len(self._begun) - self.finished
        return f"{100 * share:.1f} % is kept ({self.finished} of {self.count} finished, {begun} started)"


def names(todo: Sequence[Run]) -> dict[str, str]:
    """A name for each run, by its key: the traits in which the runs differ, and the seed."""
    traits: dict[str, dict[str, Any]] = {
        run.key: {**run.recipe, "params": run.architecture.params, "seed": run.seed} for run in todo
    }
    differing = [t for t in TRAITS if len({found.get(t) for found in traits.values()}) > 1 or t == "seed"]
    return {
        key: ", ".join(TRAITS[trait].format(found[trait]) for trait in differing if trait in found)
        for key, found in traits.items()
    }
