"""Leases: who may work in a folder, where the locks of its file system do not hold between machines.

A lease is a file that only one process can create, `NAME.lease-N`. The one with the highest number counts.
Its owner renews it every `BEAT` seconds. Whoever has seen it unchanged for `STALE` seconds, by a clock of its
own, may create the next number. Numbers only grow, so a process that remembers an old lease cannot take a new
one for it; a released lease stays, marked as free.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BEAT = 10.0  # seconds between two renewals
STALE = 60.0  # seconds without a renewal after which another process takes over
MARKER = "leases"  # in folders with this file, leases are used instead of locks
FREE = b"free"


class LostLease(Exception):
    """This process was stopped for so long that another one has taken over its work."""


def are_required(folder: Path) -> bool:
    """Whether processes lease what is in this folder, instead of locking it."""
    return (folder / MARKER).exists()


def require(folder: Path) -> None:
    """Have all processes use leases in this folder from now on."""
    (folder / MARKER).touch()


def was_ever_held(path: Path) -> bool:
    """Whether a process holds the lease of that name, or has held it."""
    return bool(_Lease(path).numbers())


@contextmanager
def held(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[Callable[[], None]]:
    """Hold the lease of that name for the duration of a `with`, once no other process holds it.

    Yields a function to call before anything is written: it raises LostLease if another process has taken
    over. on_wait: called once before waiting; it may raise to avoid waiting.
    """
    lease = _Lease(path)
    lease.acquire(on_wait)
    beats = threading.Thread(target=lease.beat_until_released, daemon=True)
    beats.start()
    try:
        yield lease.check
    finally:
        lease.released.set()
        beats.join()
        lease.release()


class _Lease:
    def __init__(self, path: Path) -> None:
        self.path, self.number = path, 0
        self.token = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}"
        self.released = threading.Event()
        self._beats, self._last, self._lost = 0, 0.0, False
        self._beating = threading.Lock()  # the thread's beat and that of `check`

    def acquire(self, on_wait: Callable[[], None]) -> None:
        """Create the next number, as soon as the one before it is free or stale."""
        waited, seen, since = False, (0, b""), 0.0
        while True:
            newest = self._newest()
            if newest != seen:
                seen, since = newest, time.monotonic()
            if (newest[1] == FREE or time.monotonic() - since >= STALE) and self._create(newest[0] + 1):
                return
            if not waited:
                on_wait()
                waited = True
            time.sleep(BEAT / 4)

    def check(self) -> None:
        """Raise LostLease if another process has taken over; cheap unless this one was stopped meanwhile."""
        if self._lost or time.monotonic() - self._last > STALE / 2:
            self._beat()

    def beat_until_released(self) -> None:
        """Renew the lease, in a thread of its own."""
        with suppress(LostLease):
            while not self.released.wait(BEAT):
                self._beat()

    def release(self) -> None:
        """Mark the lease as free, unless it was lost."""
        with suppress(FileNotFoundError):
            self._write(FREE)

    def _beat(self) -> None:
        with self._beating:
            try:
                self._lost = self._lost or self._newest()[0] != self.number
                if not self._lost:
                    self._beats += 1
                    self._write(f"{self.token} {self._beats}".encode())
            except FileNotFoundError:  # removed by the process that took over
                self._lost = True
            if self._lost:
                raise LostLease(f"another process has taken over {self.path.name}")
            self._last = time.monotonic()

    def _write(self, content: bytes) -> None:
        """Write the existing file anew; closing it shows other machines its content."""
        with self._file(self.number).open("r+b") as file:
            file.truncate()
            file.write(content)

    def _create(self, number: int) -> bool:
        """Create a lease if no other process has, and remove those before it. Return whether it is ours."""
        try:
            with self._file(number).open("xb") as file:
                file.write(self.token.encode())
        except FileExistsError:
            return False
        others = self.numbers()
        if max(others) != number:  # we remembered a number that was used and removed long ago
            self._file(number).unlink()
            return False
        for other in others - {number}:
            self._file(other).unlink(missing_ok=True)
        self.number, self._last = number, time.monotonic()
        return True

    def _newest(self) -> tuple[int, bytes]:
        """The highest number, and what its file says; free if there is none."""
        if not (numbers := self.numbers()):
            return 0, FREE
        newest = max(numbers)
        try:
            return newest, self._file(newest).read_bytes()
        except FileNotFoundError:  # replaced just now
            return newest, b""

    def numbers(self) -> set[int]:
        """The numbers of the existing leases of this name."""
        return {int(name.rpartition("-")[2]) for name in os.listdir(self.path.parent) if self._is_lease(name)}

    def _is_lease(self, name: str) -> bool:
        return name.startswith(f"{self.path.name}.lease-") and name.rpartition("-")[2].isdecimal()

    def _file(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.lease-{number}")
