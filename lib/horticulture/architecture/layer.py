"""A layer with weights, and what it costs: the unit in which architectures are counted."""

from typing import NamedTuple


class Layer(NamedTuple):
    """A layer with weights. `positions` is the number of output pixels, height times width.

    No positions: the layer is there, but no image goes through it (its branch has vanished).
    """

    name: str
    kind: str  # "conv", "norm" or "linear"
    inputs: int
    outputs: int
    kernel: int = 1
    positions: int = 1

    @property
    def params(self) -> int:
        """Trainable numbers: weights, and for norms and linear layers the shifts too."""
        if self.kind == "norm":
            return 2 * self.outputs
        bias = self.outputs if self.kind == "linear" else 0
        return self.kernel**2 * self.inputs * self.outputs + bias

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        if self.kind == "norm":
            return 0
        return self.kernel**2 * self.inputs * self.outputs * self.positions


def halve(size: int) -> int:
    """Output size of a padded 3 x 3 convolution of stride 2, or of a 1 x 1 one."""
    return (size + 1) // 2
