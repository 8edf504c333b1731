"""Half-done work on disk: safetensors, with plain numbers beside the tensors; nothing is unpickled.

A checkpoint carries a digest of itself in its name and appears by rename, so one that was cut short or
altered is noticed, and the one before it is used.
"""

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load, save

from horticulture.training import Checkpoint

EVERY = 30.0  # seconds of work that may be lost


def write(folder: Path, name: str, state: Checkpoint) -> Path:
    """Write a state to `folder/name-DIGEST.safetensors`."""
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.tensors.items()}
    content = save(tensors, metadata={"numbers": json.dumps(state.numbers)})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{_digest(content)}.safetensors"
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)
    return path


def read(path: Path) -> Checkpoint | None:
    """The state in a checkpoint; None, with a warning, if it is damaged: it is set aside then."""
    content = path.read_bytes()
    if _digest(content) != path.stem.rpartition("-")[2]:
        aside = path.with_suffix(".damaged")
        os.replace(path, aside)
        warnings.warn(f"{path.name} is damaged: set aside as {aside}, an earlier one is used", stacklevel=2)
        return None
    length = int.from_bytes(content[:8], "little")  # of the header, which is JSON: safetensors' own format
    numbers = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["numbers"])
    return Checkpoint(load(content), numbers)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


class RollingCheckpoint:
    """The latest checkpoint of a run, renewed when `EVERY` seconds have passed, and the one before it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last = time.monotonic()

    def maybe_save(self, state: Callable[[], Checkpoint], *, now: bool = False) -> None:
        """Call at every step: writes if it is time, or now."""
        if now or time.monotonic() - self._last >= EVERY:
            older = self._found()[:-1]
            write(self.folder, f"at-{time.time_ns():020d}", state())
            for path in older:
                path.unlink()
            self._last = time.monotonic()

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, or None."""
        for path in reversed(self._found()):
            state = read(path)
            if state is not None:
                return state
        return None

    def clear(self) -> None:
        """The run is finished: its checkpoints are not needed any more."""
        for path in self._found():
            path.unlink()

    def _found(self) -> list[Path]:
        return sorted(self.folder.glob("at-*.safetensors"))


class RoundCheckpoints:
    """States kept for good, by round, so that any round between two of them can be replayed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, round_: int, state: Checkpoint) -> None:
        """Keep the state at the end of that round."""
        if not list(self.folder.glob(f"round-{round_:06d}-*.safetensors")):
            write(self.folder, f"round-{round_:06d}", state)

    def before(self, round_: int) -> tuple[int, Checkpoint] | None:
        """The last whole state kept at or before that round, with its round."""
        for path in sorted(self.folder.glob("round-*.safetensors"), reverse=True):
            number = int(path.stem.split("-")[1])
            if number <= round_ and (state := read(path)) is not None:
                return number, state
        return None
