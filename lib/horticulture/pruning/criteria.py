"""Criteria: how each scores a channel, and from which tensors. `saliency` collects the tensors.

A criterion is a pure function of tensors. Torch is not imported here, so that a study can be checked without
it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from horticulture.errors import InputError, check_choice

if TYPE_CHECKING:
    from torch import Tensor

    from horticulture.networks import Group

TINY = float(np.finfo(np.float32).tiny)  # the smallest normal number


def fisher_of(contributions: Tensor, positions: int) -> Tensor:
    """`fisher` from (batch, channel) contributions."""
    return contributions.square().mean(dim=0) / 2


def taylor_of(contributions: Tensor, positions: int) -> Tensor:
    """`taylor` from (batch, channel) contributions; positions: height times width."""
    return contributions.abs().mean(dim=0) / positions


def l1(weight: Tensor) -> Tensor:
    """Sum of the absolute weights of each filter (Li et al., 2017).

    weight: (channel, inputs, height, width). Returns (channel,). A selection has no filters of its own, so
    the weights that read a channel are summed (see `networks.Group.filters`).

    The paper ranks filters within their layer. Across layers the sums mean little, since they grow with the
    number of inputs. The code published with Crowley et al. sums signed weights, which ranks the most
    negative filter lowest; here absolute values are summed.
    """
    return weight.abs().sum(dim=(1, 2, 3))


def per_layer(saliency: Tensor) -> Tensor:
    """Divide a layer's saliencies by their Euclidean norm, so that layers can be compared."""
    return saliency / saliency.norm().clamp(min=TINY)


@dataclass(frozen=True)
class Criterion:
    """How channels are scored, and from what.

    `from_gradients`: a function of a batch's (batch, channel) contributions and of height times width; the
    score is its mean over a round's steps. `from_weights`: a function of a group at the time of scoring.
    `precomputed`: the scores come from the network's training run (see `penalties.scores_from_factors`).
    With none of these the score is random.

    `scope`: the default for recipes. Scores are compared in the whole network (`global`), or only within a
    group (`layer`), so that every group loses the same fraction.
    """

    about: str
    from_gradients: Callable[[Tensor, int], Tensor] | None = None
    from_weights: Callable[[Group], Tensor] | None = None
    precomputed: bool = False
    normalize: Callable[[Tensor], Tensor] = lambda saliency: saliency  # applied to each layer's scores
    penalty: str = "none"  # what the network must have been trained with
    scope: str = "global"  # a name in ranking.SCOPES
    granularity: str = "channel"  # what is removed: a channel, a whole residual block, or a single weight


def criterion_label(criterion: str, scope: str) -> str:
    """The label of a criterion in a scope: `l1 (global)`, or the name alone in the criterion's own scope."""
    default = CRITERIA[check_choice(criterion, CRITERIA, "criterion")].scope
    return criterion if scope in ("", default) else f"{criterion} ({scope})"


CRITERIA: dict[str, Criterion] = {
    "fisher": Criterion("expected rise of the loss, second order", from_gradients=fisher_of),
    "taylor": Criterion("change of the loss, first order", from_gradients=taylor_of, normalize=per_layer),
    "l1": Criterion(
        "sum of a filter's absolute weights, within its layer",
        from_weights=lambda group: l1(group.filters()),
        scope="layer",
    ),
    "random": Criterion("no evidence at all: the baseline"),
    "slimming": Criterion(
        "size of the norm's scale, after a training run that pulls scales to zero",
        from_weights=lambda group: group.norm.weight.abs(),
        penalty="slimming",
    ),
    "blocks": Criterion(
        "factor of the residual block, after a training run that pulls factors to zero",
        precomputed=True,
        penalty="blocks",
        granularity="block",
    ),
    "groups": Criterion(
        "factor of the channel, after a training run that pulls factors to zero",
        precomputed=True,
        penalty="groups",
    ),
    "magnitude": Criterion("size of a single weight: unstructured", granularity="weight"),
}
BUILT_IN = dict(CRITERIA)  # descriptions of runs include a digest of any other


# --- users' own criteria ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class AbsentCriterion(Criterion):
    """A study's record of a criterion whose code is elsewhere: enough to use its finished pruning runs.

    digest: of its code. missing: the error message if the code would have to run.
    """

    digest: str = ""
    missing: str = ""


def criterion(function: Callable | None = None, *, name: str = "", **more: Any) -> Any:
    """Decorator that registers a function as a criterion under its name, in worker processes too.

    A function of one argument, a `networks.Group`, scores current weights. A function of two receives each
    channel's contributions in a batch, (batch, channel), and the number of positions (see `fisher_of`). It
    returns (channel,); the lowest is removed first, and what scores inf never is. Parameters with a
    default keep it, and do not count. name: of the criterion, if not the function's. more: other fields of
    `Criterion`, such as scope="layer". Raises InputError for the name of a built-in criterion, or for any
    other number of arguments.
    """
    if function is None:
        return lambda decorated: criterion(decorated, name=name, **more)
    name = name or getattr(function, "__name__", type(function).__name__)
    if name in BUILT_IN:
        raise InputError(f"a criterion {name!r} is built in: choose another name")
    kinds, wanted = {1: "from_weights", 2: "from_gradients"}, "(group) or (contributions, positions)"
    try:
        count = sum(
            parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            for parameter in inspect.signature(function).parameters.values()
        )
        inspect.signature(function).bind(*range(count))
    except (TypeError, ValueError) as error:  # it needs a keyword, or is not written in Python
        raise InputError(f"the criterion {name} cannot be called with {wanted}: {error}") from error
    if count not in kinds:
        raise InputError(f"the criterion {name} must take {wanted}, not {count} arguments")
    about = (inspect.getdoc(function) or f"{name}, of your own").splitlines()[0]
    CRITERIA[name] = Criterion(**{"about": about, kinds[count]: function, **more})
    return function


def own_criteria() -> dict[str, Criterion]:
    """The criteria that are not the library's, by name."""
    return {name: known for name, known in CRITERIA.items() if BUILT_IN.get(name) is not known}
