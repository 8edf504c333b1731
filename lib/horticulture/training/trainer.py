"""Training a network by a recipe."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from horticulture.data import Batches, Dataset
from horticulture.errors import InputError, check_choice
from horticulture.networks import Network
from horticulture.training.callbacks import StepCallback
from horticulture.training.evaluation import (
    PRECISIONS,
    autocast,
    check_measurement,
    evaluate,
    images_for_norms,
    settled,
)
from horticulture.training.penalties import PENALTIES


@dataclass(frozen=True)
class TrainingRecipe:
    """Everything that fixes a training, apart from the network, the data and the seed.

    Stochastic gradient descent on the mean cross-entropy of a batch. Without `schedule` the defaults are
    those of Wide ResNets: the rate times 0.2 after 30, 60 and 80 % of the steps.
    """

    epochs: int
    lr: float = 0.1  # the highest rate of the schedule
    schedule: str = "steps"  # a name in SCHEDULES
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    precision: str = "float32"  # a name in PRECISIONS: what is really used, so that a key stands for one
    penalty: str = "none"  # a name in penalties.PENALTIES
    strength: float = 0.0  # of the penalty
    norms: str = "estimated"  # a name in NORMS: the statistics with which the network is evaluated
    norm_images: int = 512  # that they are estimated from

    def __post_init__(self) -> None:
        check_choice(self.schedule, SCHEDULES, "schedule")
        check_choice(self.penalty, PENALTIES, "penalty")
        check_measurement(self)
        positive(self, "lr", "batch_size")
        if self.epochs < 0:  # 0: measured as it is
            raise InputError(f"epochs must be positive, not {self.epochs!r}")

    def __str__(self) -> str:
        if not self.epochs:
            return "as it is"
        return f"{self.epochs} epochs, {self.schedule} {self.lr:g}, batch {self.batch_size}"

    def to_json(self) -> dict:
        """Plain names and numbers."""
        return plain(self)


def plain(recipe: Any) -> dict:
    """A dataclass as plain data; a rate of 1 is the same as one of 1.0."""
    return {
        field.name: float(getattr(recipe, field.name)) if field.type is float else getattr(recipe, field.name)
        for field in fields(recipe)
    }


def positive(recipe: object, *names: str) -> None:
    """Raise InputError for the first of these fields that is not above zero."""
    for field in fields(recipe):  # type: ignore[arg-type]
        value = getattr(recipe, field.name)
        if field.name in names and not value > 0:
            raise InputError(f"{field.name} must be positive, not {value!r}")


# Schedules: the share of the steps done, 0 to 1 -> a factor on the recipe's rate.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "steps": lambda done: 0.2 ** sum(done >= at for at in (0.3, 0.6, 0.8)),
    "tenths": lambda done: 0.1 ** sum(done >= at for at in (0.5, 0.75)),
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "one-cycle": lambda done: min(done / 0.25, (1 - done) / 0.75),
    "constant": lambda done: 1.0,
}
OUR_SCHEDULES = dict(SCHEDULES)  # the code of any other stands in the description of a run that uses it


def sgd(network: nn.Module, lr: float, momentum: float, weight_decay: float) -> torch.optim.SGD:
    """Plain SGD over all parameters, weight decay on all of them as in the published recipes."""
    return torch.optim.SGD(
        network.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay, foreach=True
    )


def step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    dtype: torch.dtype = torch.float32,
    rule: StepCallback | None = None,
) -> Tensor:
    """One step of gradient descent on the mean loss of a batch. Returns that loss, detached."""
    optimizer.zero_grad(set_to_none=True)
    with autocast(dtype, x.device):
        loss = F.cross_entropy(network(x), y)
    loss.backward()
    if rule is not None:
        rule.before_step(optimizer.param_groups[0]["lr"])
    optimizer.step()
    if rule is not None:
        rule.after_step()
    return loss.detach()


# --- a training under way ----------------------------------------------------------------------------------


class Epoch(NamedTuple):
    """What is known after an epoch of training. Errors in percent, on images not trained on."""

    epoch: int
    epochs: int
    loss: float  # mean over the epoch's batches
    val_error: float  # not a number after epochs that are not looked at
    images: int  # seen since the training began


LOOKS = 3  # at the validation images, at most, in one training; the last is at its end


class Checkpoint(NamedTuple):
    """A training or a pruning put down: tensors by name, and plain numbers and lists."""

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]


class Trainer:
    """A training under way. Iterate over it: the network is trained in place, with an `Epoch` after each.

    It can be put down between any two steps with `state_dict` and taken up by another with
    `load_state_dict`; it then ends with the same bits. `on_step` is called at every moment when that is
    possible. The recipe's penalty comes as a `rule`, made by the caller for this network, as does any other.
    Raises FloatingPointError when the loss is not finite.
    """

    def __init__(
        self,
        network: Network,
        dataset: Dataset,
        recipe: TrainingRecipe,
        generator: torch.Generator,
        on_step: Callable[[], None] = lambda: None,
        rule: StepCallback | None = None,
    ) -> None:
        device = dataset.train.labels.device
        self.network, self.dataset, self.recipe = network.to_device(device).train(), dataset, recipe
        self.on_step, self.rule = on_step, rule or StepCallback()
        self.batches = Batches(dataset, recipe.batch_size, generator)
        self.optimizer = sgd(network, recipe.lr, recipe.momentum, recipe.weight_decay)
        self.dtype = PRECISIONS[recipe.precision]
        self.step, self.steps = 0, recipe.epochs * self.batches.steps_per_epoch
        self.loss = torch.zeros((), device=device)  # summed over the epoch's steps

    def __iter__(self) -> Iterator[Epoch]:
        schedule = SCHEDULES[self.recipe.schedule]
        while self.step < self.steps:
            rate = self.recipe.lr * schedule((self.step + 0.5) / self.steps)
            self.optimizer.param_groups[0]["lr"] = rate
            self.loss += step(self.network, self.optimizer, *next(self.batches), self.dtype, self.rule)
            self.step += 1
            if self.step % self.batches.steps_per_epoch == 0:
                yield self._epoch()
                self.loss.zero_()
            self.on_step()

    def _epoch(self) -> Epoch:
        number = self.step // self.batches.steps_per_epoch
        loss = finite(self.loss.item() / self.batches.steps_per_epoch, f"epoch {number}")
        val_error = math.nan
        if (self.recipe.epochs - number) % -(-self.recipe.epochs // LOOKS) == 0:
            with settled(self.network, self.dataset, images_for_norms(self.recipe), self.dtype):
                val_error = evaluate(self.network, self.dataset, self.dataset.validation, self.dtype).error
        return Epoch(number, self.recipe.epochs, loss, val_error, self.step * self.recipe.batch_size)

    def state_dict(self) -> Checkpoint:
        """Everything that the rest of the training depends on."""
        stream = self.batches.state_dict()
        tensors = {**tensors_of(self.network, self.optimizer), "loss": self.loss, "stream": stream["began"]}
        tensors |= {f"rule.{name}": tensor for name, tensor in self.rule.state_dict().items()}
        return Checkpoint(tensors, {"step": self.step, "place": stream["place"]})

    def load_state_dict(self, state: Checkpoint) -> None:
        """Go on where another training of the same network, data and recipe was put down."""
        restore_tensors(self.network, self.optimizer, state.tensors)
        restore_rule(self.rule, state.tensors)
        self.loss.copy_(state.tensors["loss"])
        self.batches.load_state_dict({"began": state.tensors["stream"], "place": state.numbers["place"]})
        self.step = state.numbers["step"]


def tensors_of(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights, statistics and momentum, by name."""
    found = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        momentum = optimizer.state.get(parameter, {}).get("momentum_buffer")
        if momentum is not None:
            found[f"momentum.{name}"] = momentum
    return found


def restore_tensors(network: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of `tensors_of`, for a network of the same shape."""
    weights = {name: tensor for name, tensor in tensors.items() if name.startswith("network.")}
    network.load_state_dict({name.removeprefix("network."): tensor for name, tensor in weights.items()})
    for name, parameter in network.named_parameters():
        momentum = tensors.get(f"momentum.{name}")
        if momentum is not None:
            optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter.data).copy_(momentum)


def restore_rule(rule: StepCallback, tensors: dict[str, Tensor]) -> None:
    """Give a rule back what `state_dict` put down as `rule.NAME`."""
    found = {name: tensor for name, tensor in tensors.items() if name.startswith("rule.")}
    rule.load_state_dict({name.removeprefix("rule."): tensor for name, tensor in found.items()})


def finite(loss: float, where: str) -> float:
    """The loss, or FloatingPointError if it is not a number to go on with."""
    if not math.isfinite(loss):
        raise FloatingPointError(f"the training loss is {loss} in {where}: lower the learning rate")
    return loss
