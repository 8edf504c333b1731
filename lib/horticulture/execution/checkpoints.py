"""Checkpoints on disk: safetensors with plain numbers as metadata; nothing is unpickled.

A checkpoint's name contains its digest, so an altered one is noticed and the one before it is used.
"""

import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from horticulture.system import files
from horticulture.training import Checkpoint

CHECKPOINT_SECONDS = 30.0  # seconds of work that may be lost


def write(folder: Path, name: str, state: Checkpoint) -> Path:
    """Write a state to `folder/name-DIGEST.safetensors`."""
    content = save(separate(state.tensors), metadata={"numbers": json.dumps(state.numbers)})
    path = folder / f"{name}-{files.digest(content)}.safetensors"
    files.write(path, content)
    return path


def separate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors that share memory, as tied weights do, because safetensors refuses them."""
    copies: dict[str, Tensor] = {}
    addresses: set[int] = set()
    for name, tensor in tensors.items():
        copy = tensor.detach().cpu().contiguous()
        address = copy.untyped_storage().data_ptr()
        copies[name] = copy.clone() if address in addresses else copy
        addresses.add(address)
    return copies


def read(path: Path) -> Checkpoint | None:
    """The state in a checkpoint. A damaged one is set aside with a warning, and None is returned."""
    content = files.read(path)
    try:
        if files.digest(content) != path.stem.rpartition("-")[2]:
            raise ValueError("altered")
        numbers = json.loads(files.safetensors_metadata(content)["numbers"])
        return Checkpoint(load(content), numbers)
    except (ValueError, LookupError, TypeError, RecursionError, SafetensorError):
        aside = path.with_suffix(".damaged")
        os.replace(path, aside)
        warnings.warn(
            f"{path.name} is damaged; it was set aside as {aside} and an earlier one is used", stacklevel=2
        )
        return None


class RollingCheckpoint:
    """The latest checkpoint of a run, renewed every `CHECKPOINT_SECONDS` seconds, and the one before it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last = time.monotonic()

    def maybe_save(self, state: Callable[[], Checkpoint], *, now: bool = False) -> None:
        """Call at every step. Writes a checkpoint if it is due, or if `now`."""
        if now or time.monotonic() - self._last >= CHECKPOINT_SECONDS:
            earlier = self._paths()
            number = int(earlier[-1].stem.split("-")[1]) + 1 if earlier else 0
            write(self.folder, f"at-{number:020d}", state())
            for path in earlier[:-1]:
                path.unlink()
            self._last = time.monotonic()

    def latest(self) -> Checkpoint | None:
        """The newest intact checkpoint, or None."""
        for path in reversed(self._paths()):
            state = read(path)
            if state is not None:
                return state
        return None

    def clear(self) -> None:
        """Remove the checkpoints of a finished run."""
        for path in self._paths():
            path.unlink()

    def _paths(self) -> list[Path]:
        """The oldest first: they are numbered (by earlier versions, with the time)."""
        return sorted(self.folder.glob("at-*.safetensors"))


class RoundCheckpoints:
    """Permanent checkpoints by round, so that any round between two of them can be replayed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, round_: int, state: Checkpoint) -> None:
        """Save the state at the end of that round."""
        if not list(self.folder.glob(f"round-{round_:06d}-*.safetensors")):
            write(self.folder, f"round-{round_:06d}", state)

    def rounds(self) -> list[int]:
        """The rounds that have a checkpoint."""
        return sorted(int(path.stem.split("-")[1]) for path in self.folder.glob("round-*.safetensors"))

    def before(self, round_: int) -> tuple[int, Checkpoint] | None:
        """The last intact checkpoint at or before that round, with its round."""
        for path in sorted(self.folder.glob("round-*.safetensors"), reverse=True):
            number = int(path.stem.split("-")[1])
            if number <= round_ and (state := read(path)) is not None:
                return number, state
        return None
