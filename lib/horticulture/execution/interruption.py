"""Stop between two steps, so that the work can be saved first."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

DEFERRED = (signal.SIGINT, signal.SIGTERM)  # sent by a user, a kernel or the parent of a worker
ENDINGS = (signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))

Handler = Callable[[int, FrameType | None], None]


_in_force: set["Interruption"] = set()  # those of the work in progress


class Interruption:
    """A signal to stop that waits until `raise_pending` is called."""

    def __init__(self) -> None:
        self.pending = 0  # number of the signal received; 0: none

    def raise_pending(self) -> None:
        """Raise KeyboardInterrupt (or SystemExit, if the process is to end) if a signal was received."""
        if self.pending:
            number, self.pending = self.pending, 0
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


@contextmanager
def deferred() -> Iterator[Interruption]:
    """Defer signals to stop until `raise_pending` is called, or to the end. A second Ctrl-C is not deferred.

    A second SIGTERM is deferred, because a kernel that shuts down sends several of them to its children, a
    few milliseconds apart.
    """
    interruption = Interruption()

    def ask(number: int, _: FrameType | None) -> None:
        if interruption.pending and number == signal.SIGINT:
            interruption.raise_pending()
        interruption.pending = number

    _in_force.add(interruption)
    try:
        with _handled(DEFERRED, ask):
            yield interruption
    finally:
        _in_force.discard(interruption)
    interruption.raise_pending()


def interrupt_all() -> None:
    """Have all work in progress stop between two steps, as by SIGTERM, which reaches the main thread only."""
    for interruption in list(_in_force):
        interruption.pending = interruption.pending or signal.SIGTERM


@contextmanager
def on_end_signals() -> Iterator[None]:
    """Make signals that would end this process raise KeyboardInterrupt, like Ctrl-C, so work is saved."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with _handled(ENDINGS, stop):
        yield


@contextmanager
def _handled(numbers: tuple[signal.Signals, ...], handler: Handler) -> Iterator[None]:
    """Install a handler. Ignored signals stay ignored; outside the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        numbers = ()
    before = {number: old for number in numbers if (old := signal.getsignal(number)) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
