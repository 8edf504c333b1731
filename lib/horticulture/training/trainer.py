"""Train a network by a recipe: a single step, and a training run in progress."""

import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from horticulture.data import Batches, Dataset, Images
from horticulture.networks import Network
from horticulture.training.callbacks import NO_CALLBACK, StepCallback
from horticulture.training.evaluation import autocast, estimated_norms, evaluate
from horticulture.training.recipe import SCHEDULES, TrainingRecipe, validation_epochs


def _uncompiled(kind: Any) -> Any:
    """The same class of optimizers, without importing torch's compiler, which takes seconds in every process.

    torch imports it in these methods, only to tell it to leave them alone. Nothing here is compiled.
    """
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    return type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(inspect.unwrap(kind.step))})


SGD, AdamW = _uncompiled(torch.optim.SGD), _uncompiled(torch.optim.AdamW)


def sgd(network: nn.Module, lr: float, momentum: float, weight_decay: float) -> Optimizer:
    """Plain SGD over all parameters, with weight decay on all of them as in the published recipes."""
    return SGD(network.parameters(), lr, momentum, weight_decay=weight_decay, foreach=True)


def make_optimizer(network: nn.Module, recipe: Any) -> Optimizer:
    """The recipe's optimizer over all parameters. recipe: with optimizer, lr, momentum and weight_decay."""
    if recipe.optimizer == "adamw":
        betas, decay = (recipe.momentum, 0.999), recipe.weight_decay
        return AdamW(network.parameters(), recipe.lr, betas, weight_decay=decay, foreach=True)
    return sgd(network, recipe.lr, recipe.momentum, recipe.weight_decay)


def step(
    network: nn.Module,
    optimizer: Optimizer,
    x: Tensor,
    y: Tensor,
    dtype: torch.dtype = torch.float32,
    callback: StepCallback = NO_CALLBACK,
) -> Tensor:
    """One step of gradient descent on the mean loss of a batch. Returns that loss, detached."""
    optimizer.zero_grad(set_to_none=True)
    with autocast(dtype, x.device):
        loss = F.cross_entropy(network(x), y)
    loss.backward()
    callback.before_step(optimizer.param_groups[0]["lr"])
    optimizer.step()
    callback.after_step()
    return loss.detach()


class Epoch(NamedTuple):
    """The results of an epoch of training. Errors in percent, on held-out images."""

    epoch: int
    epochs: int
    loss: float  # mean over the epoch's batches
    val_error: float  # NaN after epochs without validation
    images: int  # seen since the training run started


class Checkpoint(NamedTuple):
    """The state of an interrupted training or pruning run: tensors by name, and plain numbers and lists."""

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]


class Resumable:
    """The common part of training and pruning runs: gradient steps on batches, and a state to resume from.

    `loss`: summed over the steps of an epoch or a round. `step`: the number of steps done. `on_step` is
    called whenever the run can be interrupted. recipe: also as for `make_optimizer`.
    """

    callback: StepCallback  # acts on every step

    def __init__(
        self,
        network: Network,
        dataset: Dataset,
        recipe: Any,
        generator: torch.Generator,
        on_step: Callable[[], None],
    ) -> None:
        device = dataset.train.labels.device
        self.network = network.to_device(device).train()
        self.dataset = dataset
        self.recipe = recipe
        network.reseed(generator)
        self.batches = Batches(dataset, recipe.batch_size, generator)
        self.optimizer = make_optimizer(network, recipe)
        self.on_step, self.step, self.loss = on_step, 0, torch.zeros((), device=device)

    def train_step(self) -> None:
        """Do one step on the next batch."""
        batch = next(self.batches)
        self.loss += step(self.network, self.optimizer, *batch, self.recipe.dtype, self.callback)
        self.step += 1

    def errors(self, *parts: Images) -> list[float]:
        """Errors in percent on these parts of the data, with the norm statistics of the recipe."""
        dtype, images = self.recipe.dtype, self.recipe.images_for_norms
        with estimated_norms(self.network, self.dataset, images, dtype):
            return [evaluate(self.network, self.dataset, part, dtype).error for part in parts]

    def state_dict(self) -> Checkpoint:
        """Everything that the rest of the run depends on."""
        stream = self.batches.state_dict()
        tensors = collect_tensors(self.network, self.optimizer, self.callback)
        tensors |= {"loss": self.loss, "stream": stream["began"]}
        return Checkpoint(tensors, {"step": self.step, "place": stream["place"]})

    def load_state_dict(self, state: Checkpoint) -> None:
        """Continue an interrupted run of the same network, data and recipe."""
        restore_tensors(self.network, self.optimizer, self.callback, state.tensors)
        self.loss.copy_(state.tensors["loss"])
        self.batches.load_state_dict({"began": state.tensors["stream"], "place": state.numbers["place"]})
        self.step = state.numbers["step"]


class Trainer(Resumable):
    """A training run in progress. Iterate over it to train the network in place, one `Epoch` at a time.

    It can be interrupted between any two steps: another trainer that loads its `state_dict` continues bit for
    bit. The caller passes the recipe's penalty as a `callback` made for this network. Raises
    FloatingPointError if the loss is not finite.
    """

    def __init__(
        self,
        network: Network,
        dataset: Dataset,
        recipe: TrainingRecipe,
        generator: torch.Generator,
        on_step: Callable[[], None] = lambda: None,
        callback: StepCallback = NO_CALLBACK,
    ) -> None:
        super().__init__(network, dataset, recipe, generator, on_step)
        self.callback = callback
        self.steps = recipe.epochs * self.batches.steps_per_epoch

    def __iter__(self) -> Iterator[Epoch]:
        schedule = SCHEDULES[self.recipe.schedule]
        while self.step < self.steps:
            rate = self.recipe.lr * schedule((self.step + 0.5) / self.steps)
            self.optimizer.param_groups[0]["lr"] = rate
            self.train_step()
            if self.step % self.batches.steps_per_epoch == 0:
                yield self._epoch()
                self.loss.zero_()
            self.on_step()

    def _epoch(self) -> Epoch:
        number = self.step // self.batches.steps_per_epoch
        loss = check_finite(self.loss.item() / self.batches.steps_per_epoch, f"epoch {number}")
        val_error = math.nan
        if number in validation_epochs(self.recipe.epochs):
            (val_error,) = self.errors(self.dataset.validation)
        return Epoch(number, self.recipe.epochs, loss, val_error, self.step * self.recipe.batch_size)


# What an optimizer keeps of a parameter, and its name in a checkpoint.
STATES = {"momentum_buffer": "momentum", "exp_avg": "exp_avg", "exp_avg_sq": "exp_avg_sq", "step": "step"}


def collect_tensors(network: Network, optimizer: Optimizer, callback: StepCallback) -> dict[str, Tensor]:
    """Weights, and the states of the optimizer, of the callback and of random streams, by name."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        for state, value in optimizer.state.get(parameter, {}).items():
            if value is not None:
                tensors[f"{STATES[state]}.{name}"] = value
    if network.draws:
        tensors |= {f"random.{name}": tensor for name, tensor in network.draws.state_dict().items()}
    return tensors | {f"rule.{name}": tensor for name, tensor in callback.state_dict().items()}


def restore_tensors(
    network: Network, optimizer: Optimizer, callback: StepCallback, tensors: dict[str, Tensor]
) -> None:
    """The inverse of `collect_tensors`, for a network of the same architecture."""
    network.load_state_dict(with_prefix("network.", tensors))
    for name, parameter in network.named_parameters():
        for state, saved in STATES.items():
            value = tensors.get(f"{saved}.{name}")
            if value is not None:
                like = parameter.data if value.shape == parameter.shape else value
                optimizer.state[parameter][state] = torch.empty_like(like).copy_(value)
    if network.draws and (states := with_prefix("random.", tensors)):
        network.draws.load_state_dict(states)
    callback.load_state_dict(with_prefix("rule.", tensors))


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def check_finite(loss: float, where: str) -> float:
    """Return the loss, or raise FloatingPointError if it is not finite."""
    if not math.isfinite(loss):
        raise FloatingPointError(f"the training loss is {loss} in {where}: lower the learning rate")
    return loss
