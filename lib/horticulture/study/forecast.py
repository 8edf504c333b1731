"""What a study will take: its rounds, its runs, hours and disk, said before anything is trained."""

from typing import Any

from horticulture.errors import BadInput
from horticulture.pruning import saliency, selection
from horticulture.study.config import Protocol
from horticulture.study.parameters import ALL


def count_rounds(settled: dict[str, Any]) -> None:
    """Put a number in the place of `rounds: all`: as many as there are channels that can be removed.

    Raises BadInput where a round is not one channel.
    """
    if settled["rounds"] != ALL:
        return
    config = Protocol.of({**settled, "rounds": 1, "precision": "float32"})
    counts = []
    for criterion in config.criteria:
        plan = config.plan(criterion)
        if config.ratios or not plan.one_at_a_time():
            raise BadInput(
                "rounds=all means one channel a round: leave ratios and scope empty, or give a number"
            )
        blocks = saliency.CRITERIA[criterion].unit == "block"
        least = selection.smallest(config.whole, plan.floor, blocks)
        counts.append(sum(config.whole.widths) - sum(least.widths))
    settled["rounds"] = min(counts)
