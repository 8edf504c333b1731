"""Stopping between two steps, so that the work can be saved first."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

DEFERRED = (signal.SIGINT, signal.SIGTERM)  # what a person, a kernel or the parent of a worker sends
ENDINGS = (signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))

Handler = Callable[[int, FrameType | None], None]


class Interruption:
    """A signal to stop that waits until somebody calls `heed`."""

    def __init__(self) -> None:
        self.pending = 0  # the number of the signal that came; 0: none did

    def heed(self) -> None:
        """Raise KeyboardInterrupt (or SystemExit, if the process is to end) if a signal came."""
        if self.pending:
            number, self.pending = self.pending, 0
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


@contextmanager
def deferred() -> Iterator[Interruption]:
    """Signals to stop wait until somebody heeds the first; a second Ctrl-C does not wait.

    A second SIGTERM does: a kernel that is shut down sends several to its children, a few milliseconds apart.
    A signal that nobody heeded is raised at the end.
    """
    interruption = Interruption()

    def ask(number: int, _: FrameType | None) -> None:
        if interruption.pending and number == signal.SIGINT:
            interruption.heed()
        interruption.pending = number

    with _handled(DEFERRED, ask):
        yield interruption
    interruption.heed()


@contextmanager
def raised() -> Iterator[None]:
    """Have a signal that would end this process raise KeyboardInterrupt, as Ctrl-C does: all is saved."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with _handled(ENDINGS, stop):
        yield


@contextmanager
def _handled(numbers: tuple[signal.Signals, ...], handler: Handler) -> Iterator[None]:
    """Signals that the process ignores stay ignored; outside of the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        numbers = ()
    before = {number: was for number in numbers if (was := signal.getsignal(number)) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)
