"""How far the runs under way are, gathered from the messages of those who make them."""

from horticulture.progress import Progress
from horticulture.runs import Run

SHOWN = 4  # runs under way of which the line tells

Message = tuple[str, float, str]  # a run's key, the share of it that is done, and what is known now


class Board:
    """How far runs are, in one line of progress."""

    def __init__(self, progress: Progress, count: int) -> None:
        self.progress, self.count, self.finished = progress, count, 0
        self._share: dict[str, float] = {}
        self._resumed: dict[str, float] = {}  # the share at which each was resumed
        self._note: dict[str, str] = {}  # of those under way

    def update(self, message: Message) -> None:
        """A run says how far it is; first, where it begins or is resumed."""
        key, self._share[message[0]], self._note[message[0]] = message
        self._resumed.setdefault(key, message[1])
        self.show()

    def finish(self, run: Run) -> None:
        """It is made."""
        self.finished += 1
        self._share[run.key] = 1.0
        self._note.pop(run.key, None)
        self.show()

    def show(self) -> None:
        """Say how far all of them are together, and what the first few know."""
        notes = list(self._note.values())
        more = [f"{len(notes) - SHOWN} more"] if len(notes) > SHOWN else []
        count = [f"{self.finished}/{self.count} finished"] if self.count > 1 else []
        notes = notes if self._share else ["starting workers"]  # which load torch first
        note = "; ".join([*count, *notes[:SHOWN], *more])
        self.progress.update(sum(self._share.values()), note, sum(self._resumed.values()))
