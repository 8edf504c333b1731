"""Callbacks that act on the gradients and weights of a training run, in addition to the loss."""

from torch import Tensor


class StepCallback:
    """Acts before and after every optimizer step, as a penalty or a mask does. This one does nothing."""

    def before_step(self, lr: float) -> None:
        """Called after the gradients are computed, with the learning rate of the step."""

    def after_step(self) -> None:
        """Called after the weights have moved."""

    def state_dict(self) -> dict[str, Tensor]:
        """The state on which the rest of a training run depends."""
        return {}

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""


NO_CALLBACK = StepCallback()
