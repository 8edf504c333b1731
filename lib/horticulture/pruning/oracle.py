"""The true change of the loss without a channel, for judging how good a criterion's saliencies are."""

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from horticulture.data import Batches, Dataset, Images
from horticulture.errors import InputError
from horticulture.networks import Network
from horticulture.pruning import saliency, surgery
from horticulture.training import evaluation

if TYPE_CHECKING:
    import pandas as pd

MIN_CHANNELS = 3  # fewest channels to rank against each other
MIN_RESAMPLED = 8  # fewest channels for an interval: samples of fewer often repeat one order


def sample_channels(network: Network, count: int, seed: int) -> list[tuple[int, int]]:
    """(group, channel) of `count` channels drawn from the whole network, or of all if there are fewer."""
    channels = [(number, c) for number, group in enumerate(network.groups) for c in range(group.width)]
    draw = torch.randperm(len(channels), generator=torch.Generator().manual_seed(seed))
    return [channels[i] for i in sorted(draw[:count].tolist())]


class LossIncrease(NamedTuple):
    """The rise in loss without a channel: on all images, and on each of two halves."""

    rise: float
    first: float
    second: float


def loss_increases(
    network: Network,
    dataset: Dataset,
    channels: Sequence[tuple[int, int]],
    dtype: torch.dtype,
    *,
    norm_images: int,
    images: int = 0,
) -> Iterator[LossIncrease]:
    """The rise in loss when each channel alone is silenced. The network is left unchanged.

    Silencing sets the weights that read the channel to zero, which equals cutting it out (except for the last
    channel of a group: see `surgery`). Norm statistics are estimated with and without it from the first
    `norm_images` training images (0: they are left alone). The loss is measured on the first `images`
    validation images (0: all), not augmented. Every other original, with all its images, belongs to the
    second half. Raises InputError for fewer than two originals.
    """
    halves = _halves(dataset.validation, images)

    def losses() -> list[float]:
        with evaluation.estimated_norms(network, dataset, norm_images, dtype):
            return [evaluation.evaluate(network, dataset, half, dtype).loss for half in halves]

    before = losses()
    for group, channel in channels:
        readers = [weight for weight, _ in network.groups[group].read_weights(channel)]
        kept = [weight.detach().clone() for weight in readers]
        try:
            surgery.silence_channel(network, group, channel)
            first, second = (now - then for now, then in zip(losses(), before, strict=True))
        finally:
            with torch.no_grad():
                for weight, values in zip(readers, kept, strict=True):
                    weight.copy_(values)
        count = [len(half) for half in halves]
        rise = (count[0] * first + count[1] * second) / sum(count)
        yield LossIncrease(rise, first, second)  # a caller may stop here: the network is restored


def _halves(every: Images, images: int) -> tuple[Images, Images]:
    used = every.first(images)
    order: dict[int, int] = {}  # of the originals, by first appearance
    numbers = [order.setdefault(original, len(order)) for original in used.originals.tolist()]
    if len(order) < 2:
        raise InputError(f"two halves need two originals, not those of images={images} of {len(every)}")
    odd = torch.tensor(numbers, device=used.labels.device) % 2 == 1
    first, second = (Images(used.pixels[h], used.labels[h], used.originals[h]) for h in (~odd, odd))
    return first, second


def agreement(
    scores: Sequence[float], rises: Sequence[float], groups: Sequence[int], scope: str = "global"
) -> float:
    """How well a criterion ranks channels by the true cost of removal: Spearman's correlation, -1 to 1.

    scores, rises, groups: a number for each sampled channel. With the scope "global" all channels are ranked
    together. Otherwise they are ranked within groups: the mean over groups of three or more channels,
    weighted by their number. Constant scores give 0. NaN if nothing can be ranked: too few channels, or equal
    rises.
    """
    ranked_within = np.zeros(len(groups), dtype=int) if scope == "global" else np.asarray(groups)
    correlations: list[float] = []
    weights: list[int] = []
    for group in np.unique(ranked_within):
        members = ranked_within == group
        if members.sum() >= MIN_CHANNELS and len(np.unique(np.asarray(rises)[members])) > 1:
            correlations.append(_spearman(np.asarray(scores)[members], np.asarray(rises)[members]))
            weights.append(int(members.sum()))
    return float(np.average(correlations, weights=weights)) if correlations else float("nan")


def chance(groups: Sequence[int], scope: str = "global", draws: int = 300) -> float:
    """The standard deviation of the agreement of an uninformative criterion, by simulation.

    groups, scope: as for `agreement`. NaN if nothing can be ranked.
    """
    random = np.random.default_rng(0)
    pairs = random.random((draws, 2, len(groups)))
    return float(np.std([agreement(scores, rises, groups, scope) for scores, rises in pairs]))


def ceiling(
    first: Sequence[float],
    second: Sequence[float],
    groups: Sequence[int] | None = None,
    scope: str = "global",
) -> float:
    """The agreement that a perfect criterion would reach with the measured rises, 0 to 1.

    first, second: the rises on the two halves. groups (not needed for the scope "global"), scope: as for
    `agreement`; NaN as there. Each half is the truth, of variance T, plus independent noise of variance E. So
    the halves correlate by r = T / (T + E). In their mean the noise has half the variance, so the truth
    accounts for R = T / (T + E / 2) = 2 r / (1 + r) of it (Spearman and Brown, 1910), and correlates with it
    by T / sqrt(T (T + E / 2)) = sqrt(R). For ranks this holds approximately. The noise must be independent,
    which is why `loss_increases` puts all images of an original in one half. Halves that do not agree
    (r <= 0) give 0. Raises InputError if groups are needed but missing.
    """
    if groups is None and scope != "global":
        raise InputError(f"the scope {scope} compares within groups: give the group of each channel")
    return _ceiling_of(agreement(first, second, [0] * len(first) if groups is None else groups, scope))


def _ceiling_of(half: float) -> float:
    """The ceiling that follows from the correlation of the halves: see `ceiling`."""
    return 0.0 if half <= 0 else math.sqrt(2 * half / (1 + half))  # NaN stays NaN


class Ceiling(NamedTuple):
    """A noise ceiling and its 95 % interval."""

    value: float
    low: float
    high: float


def mean_ceiling(tables: Sequence["pd.DataFrame"], scope: str = "global", draws: int = 200) -> Ceiling:
    """The `ceiling` of the mean agreement over several oracle runs, usually one a seed.

    tables: one a run, with the columns group, first, second; a row a channel. The correlations of the halves
    are averaged first: that of a few channels scatters widely, and one below zero would count as a ceiling of
    0. The interval comes from `draws` bootstrap samples of each run's channels; NaN if these are fewer than
    `MIN_RESAMPLED`. All is NaN if nothing can be ranked.
    """
    samples = np.random.default_rng(0)

    def once(resampled: bool) -> float:
        halves = []
        for scored in tables:
            count = len(scored)
            rows = samples.integers(count, size=count) if resampled else np.arange(count)
            first, second, groups = (scored[name].to_numpy()[rows] for name in ("first", "second", "group"))
            halves.append(agreement(first, second, groups, scope))
        known = [half for half in halves if not math.isnan(half)]
        return _ceiling_of(float(np.mean(known))) if known else math.nan

    few = any(len(scored) < MIN_RESAMPLED for scored in tables)
    drawn = [] if few else [once(resampled=True) for _ in range(draws)]
    known = [value for value in drawn if not math.isnan(value)]
    low, high = np.quantile(known or [math.nan], (0.025, 0.975))
    return Ceiling(once(resampled=False), float(low), float(high))


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation, with ties at their mean rank; 0 if one of the two is constant."""
    from scipy.stats import rankdata  # takes a second, in every worker

    ranks = rankdata(a), rankdata(b)
    if min(np.ptp(rank) for rank in ranks) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def score_channels(
    network: Network,
    dataset: Dataset,
    criteria: Sequence[str],
    steps: int,
    batch_size: int,
    seed: int,
    dtype: torch.dtype,
) -> dict[str, list[Tensor]]:
    """Every criterion's scores, one tensor per group, from the same training batches.

    As in fine-tuning, but no weight moves, so that all criteria and the true rises concern the same network,
    which is left unchanged.
    """
    network = copy.deepcopy(network).train()  # the copy's norm statistics will change
    batches = Batches(dataset, batch_size, torch.Generator().manual_seed(seed))
    with ExitStack() as stack:
        probes = {
            name: stack.enter_context(
                saliency.SaliencyProbe(network, name, torch.Generator().manual_seed(seed))
            )
            for name in criteria
        }
        for _ in range(steps):
            x, y = next(batches)
            network.zero_grad()
            with evaluation.autocast(dtype, x.device):
                loss = F.cross_entropy(network(x), y)
            loss.backward()
        return {name: probe.scores() for name, probe in probes.items()}
