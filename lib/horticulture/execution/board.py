"""How far the runs in progress are, gathered from the messages of those who make them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from horticulture.analysis import live
from horticulture.progress import Progress
from horticulture.runs import Run

SHOWN = 4  # runs in progress of which the line tells
# By what a person tells runs apart, and how it is said.
TRAITS = {
    "criterion": "{}",
    "params": "{:,} parameters",
    "weights": "{} weights",
    "epochs": "{} epochs",
    "seed": "seed {}",
}

# A run's key, the share of it that is done, what is known now, and the rows of its table that are new.
Message = tuple[str, float, str, Sequence[live.Row]]


@dataclass
class _Begun:
    """What is known of a run."""

    resumed: float  # the share that an earlier process had done
    share: float = 0.0
    note: str = ""
    finished: bool = False
    rows: dict[float, live.Row] = field(default_factory=dict)  # by epoch or round


WAITING = _Begun(0.0, note="waiting")  # for a process that is free


class Board:
    """How far runs are: in one line of progress, and in its picture."""

    def __init__(self, progress: Progress, todo: Iterable[Run]) -> None:
        self.progress, todo = progress, list(todo)
        self.count, self.names = len(todo), names(todo)
        self.end = max(run.recipe.get("epochs", run.recipe.get("rounds", 0)) for run in todo)
        self._begun: dict[str, _Begun] = {}
        progress.picture = self.picture

    def update(self, message: Message) -> None:
        """A run says how far it is; first, where it begins or is resumed."""
        key, share, note, rows = message
        run = self._begun.setdefault(key, _Begun(share))
        run.share, run.note = share, note
        run.rows |= {live.place(row): row for row in rows}
        self.show()

    def finish(self, run: Run) -> None:
        """It is made."""
        made = self._begun.setdefault(run.key, _Begun(0.0, note="finished"))
        made.share, made.finished = 1.0, True
        self.show()

    @property
    def finished(self) -> int:
        """How many are made."""
        return sum(run.finished for run in self._begun.values())

    def show(self) -> None:
        """Say how far all of them are together, and what the first few know."""
        begun = self._begun.values()
        done, resumed = sum(run.share for run in begun), sum(run.resumed for run in begun)
        count = f"{self.finished}/{self.count} finished" if self.count > 1 else ""
        notes = [run.note for run in begun if not run.finished]
        more = [f"{len(notes) - SHOWN} more"] if len(notes) > SHOWN else []
        notes = notes if begun else ["starting workers"]  # which load torch first
        self.progress.update(done, count, resumed, "; ".join([*notes[:SHOWN], *more]))

    def picture(self) -> str:
        """The same as curves, with a line of words for each run."""
        if not self._begun:
            return ""
        few = self.count <= len(live.STYLES)  # then each has its colour from the start
        curves = []
        for key in self.names if few else self._begun:
            run = self._begun.get(key, WAITING)
            kept = f", {100 * run.resumed:.1f} % kept from before" if run.resumed else ""
            curves.append(live.Curve(self.names[key], run.note + kept, list(run.rows.values())))
        return live.picture(curves, self.end)

    def kept(self) -> str:
        """How much of the work is kept if all runs stop now."""
        share = sum(run.share for run in self._begun.values()) / self.count
        begun = len(self._begun) - self.finished
        return f"{100 * share:.1f} % is kept ({self.finished} of {self.count} finished, {begun} started)"


def names(todo: Sequence[Run]) -> dict[str, str]:
    """A name for each run, by its key: what it differs in from the others, and its seed."""
    traits: dict[str, dict[str, Any]] = {
        run.key: {**run.recipe, "params": run.architecture.params, "seed": run.seed} for run in todo
    }
    differing = [t for t in TRAITS if len({found.get(t) for found in traits.values()}) > 1 or t == "seed"]
    return {
        key: ", ".join(TRAITS[trait].format(found[trait]) for trait in differing if trait in found)
        for key, found in traits.items()
    }
