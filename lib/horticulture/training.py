"""Training and evaluating a network by a recipe."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from horticulture.data import Batches, Dataset, Images
from horticulture.errors import BadInput, choose
from horticulture.networks import Network


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

    def __post_init__(self) -> None:
        choose(self.schedule, SCHEDULES, "schedule")
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
) -> Tensor:
    """One step of gradient descent on the mean loss of a batch. Returns that loss, detached."""
    optimizer.zero_grad(set_to_none=True)
    with autocast(dtype, x.device):
        loss = F.cross_entropy(network(x), y)
    loss.backward()
    optimizer.step()
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


class Epoch(NamedTuple):
    """What is known after an epoch of training. Errors in percent, on images not trained on."""

    epoch: int
    epochs: int
    loss: float  # mean over the epoch's batches
    val_error: float
    images: int  # seen since the training began
    seconds: float


def fit(network: Network, dataset: Dataset, recipe: Recipe, generator: torch.Generator) -> Iterator[Epoch]:
    """Train in place, an epoch at a time, the validation error after each.

    Raises FloatingPointError when the loss is not finite.
    """
    device = dataset.train.labels.device
    network.on(device).train()
    dtype = precision(recipe.precision, device)
    batches = Batches(dataset, recipe.batch_size, generator)
    optimizer = sgd(network, recipe.lr, recipe.momentum, recipe.weight_decay)
    schedule, steps = SCHEDULES[recipe.schedule], recipe.epochs * batches.steps_per_epoch
    began = time.perf_counter()
    for epoch in range(1, recipe.epochs + 1):
        total = torch.zeros((), device=device)
        for i in range((epoch - 1) * batches.steps_per_epoch, epoch * batches.steps_per_epoch):
            optimizer.param_groups[0]["lr"] = recipe.lr * schedule((i + 0.5) / steps)
            total += step(network, optimizer, *next(batches), dtype)
        loss = finite(total.item() / batches.steps_per_epoch, f"epoch {epoch}")
        val_error = evaluate(network, dataset, dataset.validation, dtype).error
        images = epoch * batches.steps_per_epoch * recipe.batch_size
        yield Epoch(epoch, recipe.epochs, loss, val_error, images, time.perf_counter() - began)


def finite(loss: float, where: str) -> float:
    """The loss, or FloatingPointError if it is not a number to go on with."""
    if not math.isfinite(loss):
        raise FloatingPointError(f"the training loss is {loss} in {where}: lower the learning rate")
    return loss
