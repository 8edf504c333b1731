"""Read many image files in threads, which share a budget of memory."""

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import MappingProxyType
from typing import TypeVar

from horticulture.data.decoding import MAX_BYTES, UnusableImage
from horticulture.system.limits import processors
from horticulture.system.progress import Progress

AT_A_TIME = 64  # images decoded ahead
THREADS = 4  # images decoded at the same time, at most
IN_FLIGHT = MAX_BYTES  # of memory for all that are read or decoded at a time; one file may take all of it
PER_PIXEL = 16  # bytes: the decoder's copies, coefficients of a progressive JPEG, and ours
PROGRESS_FROM_PIXELS = 2**24  # pixels: larger folders show progress
PROGRESS_FROM_IMAGES = 10_000  # images: of more, reading the headers shows progress

T = TypeVar("T")


def read_each(
    function: Callable[[str], T],
    files: list[str],
    unusable: dict[str, str],
    what: str,
    sizes: Mapping[str, tuple[int, int]] = MappingProxyType({}),
) -> Iterator[tuple[str, T]]:
    """Apply a function to each file, several at a time and in order. Reasons for failures go to `unusable`.

    what: a progress label, shown if there is much to do. sizes: of the images to decode. However many
    threads there are, what they have in memory stays within `IN_FLIGHT`.
    """
    work = [math.prod(sizes.get(file, ())) for file in files]  # 1, or the pixels
    memory = _Memory(IN_FLIGHT)

    def attempt(n: int) -> T | UnusableImage:
        needed = PER_PIXEL * work[n]
        with contextlib.suppress(OSError):  # reported when it is opened
            needed += os.path.getsize(files[n])
        try:
            with memory.take(needed):
                return function(files[n])
        except UnusableImage as error:
            return error

    least = PROGRESS_FROM_PIXELS if sizes else PROGRESS_FROM_IMAGES
    progress = Progress(what, sum(work)) if sum(work) > least else None
    with ThreadPoolExecutor(min(THREADS, processors())) as pool, progress or contextlib.nullcontext():
        for start in range(0, len(files), AT_A_TIME):
            batch = range(start, min(start + AT_A_TIME, len(files)))
            futures = [pool.submit(attempt, n) for n in batch]
            for n, future in zip(batch, futures, strict=True):
                outcome = future.result()
                if progress:
                    progress.update(progress.done + work[n], f"{n + 1:,} of {len(files):,}")
                if isinstance(outcome, UnusableImage):
                    unusable[files[n]] = str(outcome)
                else:
                    yield files[n], outcome


class _Memory:
    """An amount of memory that threads share."""

    def __init__(self, amount: int) -> None:
        self.amount = self.free = amount
        self._changed = threading.Condition()

    @contextmanager
    def take(self, needed: int) -> Iterator[None]:
        """Wait until so much is free, or all of it if more is needed, and hold it meanwhile."""
        needed = min(needed, self.amount)
        with self._changed:
            self._changed.wait_for(lambda: self.free >= needed)
            self.free -= needed
        try:
            yield
        finally:
            with self._changed:
                self.free += needed
                self._changed.notify_all()
