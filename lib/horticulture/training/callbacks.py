"""What may act on the gradients and weights of a training run besides the loss."""

from torch import Tensor


class StepCallback:
    """Acts before and after every optimizer step, as a penalty or a mask does. This one does nothing."""

    def before_step(self, lr: float) -> None:
        """Called when the gradients are computed, with the learning rate of the step."""

    def after_step(self) -> None:
        """Called when the weights have moved."""

    def state_dict(self) -> dict[str, Tensor]:
        """Everything of it that the rest of a training run depends on."""
        return {}

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state_dict`."""


NO_CALLBACK = StepCallback()
