"""Stopping between two steps, so that the work can be put down first."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # what a person, a kernel or the parent of a worker sends


class Interruption:
    """`with Interruption() as interruption:` a signal to stop waits until somebody calls `heed`.

    A second signal does not wait. Signals that a process ignores stay ignored, and outside of the main
    thread, where there are no signals, nothing is changed. A signal that nobody heeded is raised at the end.
    """

    def __init__(self) -> None:
        self.asked = 0  # the number of the signal that came
        self._before: dict[signal.Signals, Any] = {}

    def heed(self) -> None:
        """Raise KeyboardInterrupt (or SystemExit, if the process is to end) if a signal came."""
        if self.asked:
            asked, self.asked = self.asked, 0
            raise KeyboardInterrupt if asked == signal.SIGINT else SystemExit(128 + asked)

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            found = {number: signal.getsignal(number) for number in SIGNALS}
            self._before = {number: before for number, before in found.items() if before != signal.SIG_IGN}
            for number in self._before:
                signal.signal(number, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        if kind is None:
            self.heed()

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self.asked:
            self.heed()
        self.asked = number
