"""Compare the saliencies that several criteria give the channels of a pruning run's networks."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from horticulture.execution import checkpoints, loading
from horticulture.pruning import criteria, oracle
from horticulture.runs import Run, folder
from horticulture.system.progress import Progress
from horticulture.training import evaluation, hardware


def checkpointed_rounds(run: Run, outputs: Path) -> list[int]:
    """The rounds of a finished pruning run that have a checkpoint, and need no replay."""
    return checkpoints.RoundCheckpoints(folder(run, outputs) / "rounds").rounds()


COLUMNS = ("round", "criterion", "group", "saliency")


def by_round(
    run: Run,
    outputs: Path,
    rounds: Iterable[int],
    names: Sequence[str],
    batches: int = 4,
    device: str = "auto",
) -> pd.DataFrame:
    """Saliencies of every channel left after the given rounds, by several criteria.

    names: criteria that score channels and need no penalty in training. batches: of training images, the same
    for every network and criterion; nothing is trained. Columns: `COLUMNS`; group is its number. A round not
    in `checkpointed_rounds` is replayed from an earlier one.
    """
    resolved, rounds = hardware.resolve_device(device), list(rounds)
    images = loading.images_of(run, str(resolved))
    dtype, size = evaluation.DTYPES[run.recipe["precision"]], run.recipe["batch_size"]
    frames = []
    with Progress("saliencies", len(rounds)) as progress:
        for round_ in rounds:
            network = loading.network_at(run, outputs, round_, device).to_device(resolved)
            scored = oracle.score_channels(network, images, names, batches, size, run.seed, dtype)
            for name, groups in scored.items():
                for group, scores in enumerate(groups):
                    values = {"round": round_, "criterion": name, "group": group, "saliency": scores.numpy()}
                    frames.append(pd.DataFrame(values))
            progress.update(progress.done + 1, f"round {round_}")
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))


def scoring(names: Iterable[str]) -> list[str]:
    """The criteria among `names` that can score channels of any network, however it was trained."""
    known = criteria.CRITERIA
    return [n for n in names if known[n].granularity == "channel" and known[n].penalty == "none"]
