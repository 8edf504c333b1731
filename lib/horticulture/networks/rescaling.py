"""Fit the fresh weights of a user's own network to widths that its code cannot make."""

import math
from collections.abc import Callable

import torch

from horticulture.networks.traced_network import TracedNetwork


@torch.no_grad()
def rescale(network: TracedNetwork, full_shapes: dict[str, tuple[int, ...]]) -> None:
    """Rescale a freshly initialised, cut network to the standard deviation that its own widths call for.

    Uses the network's own `reset_parameters` if it has one. Otherwise every tensor keeps its mean, and its
    standard deviation follows the rule by which its kind was initialised; constants and frozen tensors stay.
    full_shapes: the shapes before cutting, by parameter. Cutting a fresh tensor leaves independent draws, so
    nothing has to be drawn again.
    """
    reset = getattr(network.module, "reset_parameters", None)
    if callable(reset):
        with network.draws.used(torch.device("cpu")):
            reset()
        return
    tensors = dict(network.module.named_parameters())
    owners = {name: name.rpartition(".")[0] for name in tensors}
    weights = {owners[name]: name for name, shape in reversed(full_shapes.items()) if len(shape) > 1}
    kinds: dict[tuple[type, str], list[str]] = {}
    for name in tensors:
        owner = network.module.get_submodule(owners[name])
        if owners[name] in weights and tensors[name].requires_grad and not _is_constant(tensors[name]):
            kinds.setdefault((type(owner), name.rpartition(".")[2]), []).append(name)
    for names in kinds.values():
        shapes = [full_shapes[weights[owners[name]]] for name in names]
        rules = _rules([tensors[name] for name in names], shapes)
        for name, shape, rule in zip(names, shapes, rules, strict=True):
            now = tuple(tensors[weights[owners[name]]].shape)
            mean = tensors[name].mean()
            tensors[name].sub_(mean).mul_((rule(*_fans(now)) / rule(*_fans(shape))) ** 0.5).add_(mean)


def _is_constant(tensor: torch.Tensor) -> bool:
    return tensor.numel() < 2 or bool((tensor == tensor.flatten()[0]).all())


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Fan-in and fan-out of a layer's weight."""
    outputs, inputs, *kernel = shape
    field = math.prod(kernel)
    return inputs * field, outputs * field


VarianceRule = Callable[[int, int], float]

# What a variance is proportional to. Where several rules fit, the first is preferred.
RULES: tuple[VarianceRule, ...] = (
    lambda fan_in, fan_out: 1 / fan_in,
    lambda fan_in, fan_out: 1 / fan_out,
    lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    lambda fan_in, fan_out: 1.0,
)
# Factors of proportionality: He et al. (2015), Glorot and Bengio (2010), torch's own layers.
GAINS = (2.0, 1.0, 1 / 3)


def _rules(tensors: list[torch.Tensor], shapes: list[tuple[int, ...]]) -> list[VarianceRule]:
    """The rule by which each tensor of one kind was initialised: a common one if it explains all of them.

    Otherwise a rule under which the tensor's variance has a known gain; of several, the most frequent one.
    """
    variances = [float(tensor.var()) for tensor in tensors]
    sizes = torch.tensor([float(tensor.numel()) for tensor in tensors])

    def misfit(rule: VarianceRule) -> float:
        logs = torch.tensor([v / rule(*_fans(s)) for v, s in zip(variances, shapes, strict=True)]).log()
        share = sizes / sizes.sum()
        return round(float((share * (logs - (share * logs).sum()).square()).sum()), 3)

    common = min(RULES, key=misfit)
    others = [rule for rule in RULES if rule is not common]
    if misfit(common) < 0.005 < min(map(misfit, others)):
        return [common] * len(tensors)
    fits = [
        [rule for rule in RULES[:3] if _known(variance / rule(*_fans(shape)), tensor.numel())]
        for variance, shape, tensor in zip(variances, shapes, tensors, strict=True)
    ]
    most = sorted(RULES, key=lambda rule: -sum(rule in fitting for fitting in fits))
    return [next((rule for rule in most if rule in fitting), common) for fitting in fits]


def _known(gain: float, count: int) -> bool:
    """Whether a gain estimated from `count` numbers agrees with a known one."""
    return any(abs(math.log(gain / known)) < 4 * math.sqrt(2 / count) + 0.005 for known in GAINS)
