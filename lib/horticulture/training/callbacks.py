"""What may act on a training besides the loss."""

from torch import Tensor


class StepCallback:
    """A penalty or a mask: acts between the gradient and the step, and after it. This one does nothing."""

    def before_step(self, lr: float) -> None:
        """Called when the gradients are there, with the learning rate of the step."""

    def after_step(self) -> None:
        """Called when the weights have moved."""

    def state_dict(self) -> dict[str, Tensor]:
        """What the rest of a training depends on."""
        return {}

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state_dict`."""
