"""The progress of several runs, collected from the messages of the processes that execute them."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from horticulture.analysis import live
from horticulture.execution import status
from horticulture.execution.specs import estimated_cost
from horticulture.runs import Run
from horticulture.system.progress import Progress

MAX_RUNS_SHOWN = 4  # the line has the status of up to this many runs
UPDATE_SECONDS = 2.0  # seconds between two updates of what `horticulture status` shows
POLL = 0.5  # seconds between two messages of a run, and between two looks at them
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
class _RunProgress:
    """The state of a run that has begun."""

    resumed: float  # the fraction done by an earlier process
    share: float = 0.0
    note: str = ""
    finished: bool = False
    waits: bool = False  # for another worker
    rows: dict[float, live.Row] = field(default_factory=dict)  # by epoch or round


WAITING = _RunProgress(0.0, note="waiting")  # for a free process
FINISHED = _RunProgress(0.0, note="finished already")


class Board:
    """The progress of several runs, as one progress line and its picture.

    study: the folder of the study that they belong to, where `horticulture status` finds the line.
    among: all runs that were asked for, finished ones too, so that a run keeps its name and colour when
    others have been finished meanwhile. starting: what the line says until the first message, because workers
    load torch first.
    """

    def __init__(
        self,
        progress: Progress,
        todo: Iterable[Run],
        study: Path | None = None,
        among: Iterable[Run] = (),
        starting: str = "starting workers",
    ) -> None:
        self.progress = progress
        self.count = self.end = 0  # of the runs; epochs or rounds of the longest
        self.names: dict[str, str] = {}
        self._all, self._todo, self._stopped = list(among), set[str](), False
        self._costs: dict[str, int] = {}  # by run: a long one counts for more
        self._total = 1  # the sum of them
        self.add(todo)
        self.finished, self.skipped = 0, 0
        self._ended = 0.0  # the cost of the runs that have ended
        self.failed: dict[str, str] = {}  # the first line of each error, by run
        self._begun: dict[str, _RunProgress] = {}
        self._running: dict[str, _RunProgress] = {}  # few, so that a message costs the same among many runs
        self._resumed = 0.0  # the part of it that earlier processes did
        self._study, self._next = study, 0.0
        self.waiting_for = ""  # what all runs wait for
        self._starting = starting
        progress.picture = self.picture

    def add(self, todo: Iterable[Run]) -> None:
        """Add runs that are to be executed."""
        if new := list(todo):
            self._all += new
            self._todo |= {run.key for run in new}
            self.count, self.names = len(self._todo), names(self._all)
            self.end = max(self.end, *(run.recipe.get("epochs", run.recipe.get("rounds", 0)) for run in new))
            self._costs |= {run.key: max(1, estimated_cost(run)) for run in new}
            self._total = sum(self._costs.values())
            self.progress.total = max(self.progress.total, self.count)

    def update(self, message: Message) -> None:
        """Update a run's progress. Its first message says where it starts or resumes."""
        key, share, note, rows = message
        run = self._begin(key, share)
        run.share, run.note, run.waits = share, note, False
        run.rows |= {live.position(row): row for row in rows}
        self.show()

    def finish(self, run: Run, error: str = "") -> None:
        """Mark a run as finished, or as failed with an error of one line."""
        ended = self._end(run)
        if error:
            self.failed[run.key] = ended.note = error
        else:
            self.finished += 1
            ended.note, ended.share = ended.note or "finished", 1.0
        self.show()

    def skip(self, run: Run) -> None:
        """Mark a run as skipped, because one that it starts from failed."""
        self.skipped += 1
        self._end(run).note = "skipped"
        self.show()

    def wait(self, key: str) -> None:
        """Say of a run in progress that its worker is gone, until another one sends a message of it."""
        if run := self._running.get(key):
            run.waits, run.note = True, "its worker is gone"
            self.show()

    def is_idle(self) -> bool:
        """Whether no run is in progress."""
        return not self._running

    def has_begun(self, key: str) -> bool:
        """Whether a worker has sent a message of that run."""
        return key in self._begun

    def stop(self) -> None:
        """Say of the runs in progress that they have stopped."""
        self._stopped = True
        for run in self._running.values():
            run.note = f"stopped at {run.note}" if run.note else "stopped"
        self.show()

    def _begin(self, key: str, share: float) -> _RunProgress:
        if key not in self._begun:
            self._begun[key] = self._running[key] = _RunProgress(share)
        return self._begun[key]

    def _end(self, run: Run) -> _RunProgress:
        ended = self._begin(run.key, 0.0)
        ended.finished, ended.note = True, "" if ended.waits else ended.note
        self._ended += self._cost({run.key: 1.0})
        self._resumed += self._cost({run.key: ended.resumed})
        self._running.pop(run.key, None)
        return ended

    def _cost(self, shares: dict[str, float]) -> float:
        """The cost of these shares of runs."""
        return sum(self._costs.get(key, 0) * share for key, share in shares.items())

    def _in_runs(self, cost: float) -> float:
        """A cost as a number of runs: that of all of them is their `count`."""
        return self.count * cost / self._total

    def failures(self) -> list[tuple[str, str]]:
        """The names of the runs that failed, and the first line of each error."""
        return [(self.names[key], error) for key, error in self.failed.items()]

    def show(self) -> None:
        """Update the progress line: the total of all runs, and the status of the first few."""
        running = self._running.values()
        done = self._in_runs(self._ended + self._cost({key: run.share for key, run in self._running.items()}))
        before = self._cost({key: run.resumed for key, run in self._running.items()})
        resumed = self._in_runs(self._resumed + before)
        notes = [run.note for run in list(running)[:MAX_RUNS_SHOWN]]
        more = [f"{len(running) - MAX_RUNS_SHOWN} more"] if len(running) > MAX_RUNS_SHOWN else []
        notes = notes if self._begun else [self._starting]
        notes, more = ([self.waiting_for], []) if self.waiting_for else (notes, more)
        self.progress.update(done, self._counts(), resumed, "; ".join([*notes, *more]))
        if self._study and time.monotonic() >= self._next:
            self.write_status()

    def _counts(self) -> str:
        """How many runs have finished, are running, have failed and so on, if there are several."""
        waiting = sum(run.waits for run in self._running.values())
        counts = {
            "stopped" if self._stopped else "running": len(self._running) - waiting,
            "waiting for another worker": waiting,
            "failed": len(self.failed),
            "skipped": self.skipped,
        }
        parts = [f"{count} {what}" for what, count in counts.items() if count]
        return ", ".join([f"{self.finished}/{self.count} finished", *parts]) if self.count > 1 else ""

    def write_status(self) -> None:
        """Write the progress line where `horticulture status` finds it."""
        if self._study is None:
            return
        self._next = time.monotonic() + UPDATE_SECONDS
        all_ended = self.finished + len(self.failed) + self.skipped == self.count
        status.write(self._study, line=self.progress.line(finished=all_ended), failed=self.failures())

    def picture(self) -> str:
        """The runs as traces, with a line of text for each."""
        if not self._begun:
            return ""
        few = len(self.names) <= len(live.STYLES)  # each has its own colour from the start
        traces = []
        for key in self.names if few else self._begun:
            run = self._begun.get(key, WAITING if key in self._todo else FINISHED)
            kept = f", {100 * run.resumed:.1f} % kept from before" if run.resumed else ""
            traces.append(live.RunTrace(self.names[key], run.note + kept, list(run.rows.values())))
        return live.picture(traces, self.end)

    def kept(self) -> str:
        """How much of the work is kept if all runs stop now, as a text."""
        share = self._in_runs(self._cost({key: run.share for key, run in self._begun.items()})) / self.count
        begun = len(self._begun) - self.finished - self.skipped
        return f"{100 * share:.1f} % is kept ({self.finished} of {self.count} finished, {begun} started)"


def reporter(run: Run, send: Callable[[Message], None]) -> Callable[[float, str, Sequence[live.Row]], None]:
    """In a worker: a function that reports a run's progress by sending a message from time to time."""
    last, unsent = -POLL, list[live.Row]()

    def report(share: float, note: str, rows: Sequence[live.Row]) -> None:
        nonlocal last
        unsent.extend(rows)
        if time.monotonic() - last >= POLL or share == 1.0:
            last = time.monotonic()
            send((run.key, share, note, unsent.copy()))
            unsent.clear()

    return report


def names(todo: Sequence[Run]) -> dict[str, str]:
    """A name for each run, by its key: the traits in which the runs differ, and the seed."""
    traits: dict[str, dict[str, Any]] = {
        run.key: {**run.recipe, "params": run.architecture.params, "seed": run.seed} for run in todo
    }
    differing = [
        t for t in TRAITS if len({run_traits.get(t) for run_traits in traits.values()}) > 1 or t == "seed"
    ]
    return {
        key: ", ".join(TRAITS[trait].format(run_traits[trait]) for trait in differing if trait in run_traits)
        for key, run_traits in traits.items()
    }
