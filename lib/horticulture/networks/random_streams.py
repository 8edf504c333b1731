"""Random numbers that a module draws itself, such as dropout's, come from streams of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class RandomStreams:
    """torch's global random streams as one module sees them: they continue where that module left them.

    Each network has its own, so its draws depend on nothing else in the process and their state can be saved.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._states: dict[str, Tensor] = {}  # by type of device

    def seed(self, generator: torch.Generator) -> None:
        """Restart from the generator's next number, without advancing the generator."""
        self._seed = int(torch.randint(2**62, (), generator=generator.clone_state()))
        self._states = {}

    def state_dict(self) -> dict[str, Tensor]:
        """The states of the streams, by type of device."""
        return {"seed": torch.tensor(self._seed), **self._states}

    def load_state_dict(self, states: dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self._seed = int(states["seed"])
        self._states = {name: state.cpu() for name, state in states.items() if name != "seed"}

    @contextmanager
    def used(self, device: torch.device, *, advance: bool = True) -> Iterator[None]:
        """Replace torch's global streams by this module's, and restore them on exit.

        advance: whether the module's streams advance, or stay where they are, as in evaluation.
        """
        cuda = [device] if device.type == "cuda" else []
        devices = [torch.device("cpu"), *cuda]
        with torch.random.fork_rng(devices=cuda):
            for device in devices:
                new = torch.Generator(device).manual_seed(self._seed).get_state()
                _set(device, self._states.get(device.type, new))
            yield
            if advance:
                self._states = {device.type: _get(device) for device in devices}


def _get(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
