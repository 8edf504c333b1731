"""Training and evaluating a network by a recipe."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from horticulture.data import Batches, Dataset, Images
from horticulture.errors import BadInput, choose
from horticulture.networks import Network
from horticulture.penalties import PENALTIES
from horticulture.rules import Rule


@dataclass(frozen=True)
class Recipe:
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
    precision: str = "auto"  # a name in PRECISIONS; auto: bfloat16 where the processor multiplies it
    penalty: str = "none"  # a name in penalties.PENALTIES
    strength: float = 0.0  # of the penalty

    def __post_init__(self) -> None:
        choose(self.schedule, SCHEDULES, "schedule")
        choose(self.penalty, PENALTIES, "penalty")
        choose(self.precision, PRECISIONS, "precision")
        positive(self, "epochs", "lr", "batch_size")

    def __str__(self) -> str:
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
    """Raise BadInput for the first of these fields that is not above zero."""
    for field in fields(recipe):  # type: ignore[arg-type]
        value = getattr(recipe, field.name)
        if field.name in names and not value > 0:
            raise BadInput(f"{field.name} must be positive, not {value!r}")


# Schedules: the share of the steps done, 0 to 1 -> a factor on the recipe's rate.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "steps": lambda done: 0.2 ** sum(done >= at for at in (0.3, 0.6, 0.8)),
    "tenths": lambda done: 0.1 ** sum(done >= at for at in (0.5, 0.75)),
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "one-cycle": lambda done: min(done / 0.25, (1 - done) / 0.75),
    "constant": lambda done: 1.0,
}

PRECISIONS = ("auto", "float32", "bfloat16")


def precision(wanted: str, device: torch.device) -> torch.dtype:
    """What matrix products are done in. `auto` takes bfloat16 only where the hardware multiplies it.

    On a processor without bfloat16 instructions torch imitates it, ten times slower than float32.
    """
    if wanted == "auto":
        if device.type == "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        wanted = "bfloat16" if native else "float32"
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """A context in which matrix products are done in that type."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


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
    rule: Rule | None = None,
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


class Evaluation(NamedTuple):
    """error: wrong answers in percent. loss: mean cross-entropy."""

    error: float
    loss: float


@torch.inference_mode()
def evaluate(
    network: nn.Module, dataset: Dataset, part: Images, dtype: torch.dtype = torch.float32
) -> Evaluation:
    """Error and loss over a part of a data set, not augmented; the network's mode is left as it was."""
    was_training = network.training
    network.eval()
    wrong, loss = 0.0, 0.0
    device = part.labels.device
    chunk = 5000 if device.type == "cuda" else 256  # on a processor small chunks stay in the cache
    for x, y in zip(part.pixels.split(chunk), part.labels.split(chunk), strict=True):
        with autocast(dtype, device):
            logits = network(dataset.normalise(x)).float()
        wrong += (logits.argmax(dim=1) != y).sum().item()
        loss += F.cross_entropy(logits, y, reduction="sum").item()
    network.train(was_training)
    return Evaluation(100 * wrong / len(part), loss / len(part))


def _norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@torch.no_grad()
def estimate_norms(
    network: nn.Module, dataset: Dataset, images: int, dtype: torch.dtype = torch.float32
) -> None:
    """Set the running statistics of every norm, in place, to those of the first `images` training images."""
    norms, was_training = _norms(network), network.training
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    pixels = dataset.train.first(images).pixels
    with autocast(dtype, pixels.device):
        network.train()(dataset.normalise(pixels))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train(was_training)


@contextmanager
def settled(
    network: nn.Module, dataset: Dataset, images: int, dtype: torch.dtype = torch.float32
) -> Iterator[None]:
    """`estimate_norms` for as long as the context lasts."""
    buffers = [buffer for norm in _norms(network) for buffer in norm.buffers()]
    before = [buffer.clone() for buffer in buffers]
    estimate_norms(network, dataset, images, dtype)
    try:
        yield
    finally:
        for buffer, old in zip(buffers, before, strict=True):
            buffer.copy_(old)


class Epoch(NamedTuple):
    """What is known after an epoch of training. Errors in percent, on images not trained on."""

    epoch: int
    epochs: int
    loss: float  # mean over the epoch's batches
    val_error: float
    images: int  # seen since the training began


class State(NamedTuple):
    """A training or a pruning put down: tensors by name, and plain numbers and lists."""

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]


class Training:
    """A training under way. Iterate over it: the network is trained in place, with an `Epoch` after each.

    It can be put down between any two steps with `state` and taken up by another with `restore`; it then
    ends with the same bits. `each_step` is called at every moment when that is possible. The recipe's
    penalty comes as a `rule`, made by the caller for this network, as does any other.
    Raises FloatingPointError when the loss is not finite.
    """

    def __init__(
        self,
        network: Network,
        dataset: Dataset,
        recipe: Recipe,
        generator: torch.Generator,
        each_step: Callable[[], None] = lambda: None,
        rule: Rule | None = None,
    ) -> None:
        device = dataset.train.labels.device
        self.network, self.dataset, self.recipe = network.on(device).train(), dataset, recipe
        self.each_step, self.rule = each_step, rule or Rule()
        self.batches = Batches(dataset, recipe.batch_size, generator)
        self.optimizer = sgd(network, recipe.lr, recipe.momentum, recipe.weight_decay)
        self.dtype = precision(recipe.precision, device)
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
            self.each_step()

    def _epoch(self) -> Epoch:
        number = self.step // self.batches.steps_per_epoch
        loss = finite(self.loss.item() / self.batches.steps_per_epoch, f"epoch {number}")
        val_error = evaluate(self.network, self.dataset, self.dataset.validation, self.dtype).error
        return Epoch(number, self.recipe.epochs, loss, val_error, self.step * self.recipe.batch_size)

    def state(self) -> State:
        """Everything that the rest of the training depends on."""
        stream = self.batches.state()
        tensors = {**tensors_of(self.network, self.optimizer), "loss": self.loss, "stream": stream["began"]}
        tensors |= {f"rule.{name}": tensor for name, tensor in self.rule.state().items()}
        return State(tensors, {"step": self.step, "place": stream["place"]})

    def restore(self, state: State) -> None:
        """Go on where another training of the same network, data and recipe was put down."""
        restore_tensors(self.network, self.optimizer, state.tensors)
        restore_rule(self.rule, state.tensors)
        self.loss.copy_(state.tensors["loss"])
        self.batches.restore({"began": state.tensors["stream"], "place": state.numbers["place"]})
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


def restore_rule(rule: Rule, tensors: dict[str, Tensor]) -> None:
    """Give a rule back what `state` put down as `rule.NAME`."""
    found = {name: tensor for name, tensor in tensors.items() if name.startswith("rule.")}
    rule.restore({name.removeprefix("rule."): tensor for name, tensor in found.items()})


def finite(loss: float, where: str) -> float:
    """The loss, or FloatingPointError if it is not a number to go on with."""
    if not math.isfinite(loss):
        raise FloatingPointError(f"the training loss is {loss} in {where}: lower the learning rate")
    return loss
