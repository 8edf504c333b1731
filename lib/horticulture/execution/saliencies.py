"""What criteria think of the channels of a pruning run's networks, side by side."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from horticulture import data, training
from horticulture.execution import checkpoints, loading
from horticulture.networks import Network
from horticulture.progress import Progress
from horticulture.pruning import criteria, saliency
from horticulture.runs import Run, folder
from horticulture.training import evaluation, hardware


def kept_rounds(run: Run, outputs: Path) -> list[int]:
    """The rounds of a finished pruning run whose networks are read and not replayed."""
    return checkpoints.RoundCheckpoints(folder(run, outputs) / "rounds").rounds()


def by_round(
    run: Run,
    outputs: Path,
    rounds: Iterable[int],
    names: Sequence[str],
    batches: int = 4,
    device: str = "auto",
) -> pd.DataFrame:
    """Saliencies of every channel that was left after some rounds, by several criteria.

    names: criteria that score channels without a penalty in training. batches: of training images, the same
    for every network and criterion; nothing is trained. Columns: round, criterion, group (its number), and
    saliency. A round that is not in `kept_rounds` is replayed from the one before.
    """
    where, rounds = hardware.resolve_device(device), list(rounds)
    images = loading.images_of(run, str(where))
    dtype, frames = evaluation.PRECISIONS[run.recipe["precision"]], []
    with Progress("saliencies", len(rounds) * len(names)) as progress:
        for round_ in rounds:
            network = loading.network_at(run, outputs, round_, device).to_device(where)
            for name in names:
                draws = torch.Generator().manual_seed(run.seed)
                loader = data.Batches(images, run.recipe["batch_size"], draws)
                scored = _scores(network, name, islice(loader, batches), dtype)
                for group, scores in enumerate(scored):
                    values = {"round": round_, "criterion": name, "group": group, "saliency": scores.numpy()}
                    frames.append(pd.DataFrame(values))
                progress.update(progress.done + 1, f"{name}, round {round_}")
    return pd.concat(frames, ignore_index=True)


def scoring(names: Iterable[str]) -> list[str]:
    """Those of some criteria that score channels of any network, whatever it was trained with."""
    found = {name: criteria.CRITERIA[name] for name in names}
    return [name for name, one in found.items() if one.granularity == "channel" and one.penalty == "none"]


def _scores(
    network: Network, name: str, batches: Iterable[tuple[Tensor, Tensor]], dtype: torch.dtype
) -> list[Tensor]:
    """Scores from training steps at a rate of zero: the weights stay as they are."""
    standing = training.sgd(network.train(), 0.0, momentum=0.0, weight_decay=0.0)
    with saliency.SaliencyProbe(network, name, torch.Generator().manual_seed(0)) as probe:
        for x, y in batches if probe.criterion.from_gradients else ():
            training.step(network, standing, x, y, dtype)
        return probe.scores()
