"""Several criteria on the networks that a pruning run passed through."""

import pandas as pd
import pytest

from horticulture import architecture, execution
from horticulture.execution import saliencies
from horticulture.pruning import PruningRecipe
from horticulture.training import TrainingRecipe

CLUTTER_IMAGES = (120, 40, 40)
pytestmark = pytest.mark.usefixtures("little_clutter")
SHAPE = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
BASE = execution.training_run(
    SHAPE, TrainingRecipe(epochs=1, batch_size=40, precision="float32"), {"name": "clutter"}, seed=3
)
CUT = execution.pruning_run(BASE, PruningRecipe(rounds=3, steps=1, batch_size=40, precision="float32"))


@pytest.fixture(scope="module")
def outputs(little_clutter, tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    execution.execute(CUT, outputs, "cpu")
    return outputs


@pytest.fixture(scope="module")
def scores(outputs) -> pd.DataFrame:
    rounds = saliencies.checkpointed_rounds(CUT, outputs)
    assert rounds[0] == 0
    assert rounds[-1] == 3
    return saliencies.by_round(CUT, outputs, rounds, ["fisher", "l1"], batches=2, device="cpu")


def test_every_channel_that_is_left_has_a_score_by_every_criterion(scores, outputs):
    counts = scores.groupby(["round", "criterion"]).size()
    for round_ in saliencies.checkpointed_rounds(CUT, outputs):
        assert set(counts[round_]) == {sum(SHAPE.widths) - round_}
    fisher = scores.query("criterion == 'fisher'")["saliency"]
    assert (fisher >= 0).all()
    assert fisher.nunique() > 50


def test_no_criterion_gives_no_scores(outputs):
    none = saliencies.by_round(CUT, outputs, [0], [], device="cpu")
    assert (len(none), tuple(none.columns)) == (0, saliencies.COLUMNS)


def test_l1_is_the_sum_of_the_absolute_weights_of_the_network_after_that_round(scores, outputs):
    convolution = (
        execution.load_network(CUT, outputs).blocks[0].conv1
    )  # makes the channels of the first group
    summed = convolution.weight.detach().abs().sum(dim=(1, 2, 3))
    said = scores.query("criterion == 'l1' and round == 3 and group == 0")["saliency"]
    # in the units of the group's own norm, by which L1 is made comparable
    assert said.to_numpy() / said.sum() == pytest.approx((summed / summed.sum()).numpy(), rel=1e-5)


def test_nothing_is_trained_and_nothing_is_left_to_chance(scores, outputs):
    again = saliencies.by_round(CUT, outputs, [3, 0], ["fisher"], batches=2, device="cpu")
    for round_ in (0, 3):
        first, other = (
            frame.loc[(frame["criterion"] == "fisher") & (frame["round"] == round_), "saliency"].to_numpy()
            for frame in (scores, again)
        )
        assert first == pytest.approx(other, rel=1e-6)


def test_only_criteria_that_need_no_penalty_and_score_channels_are_asked():
    scorers = ["fisher", "slimming", "blocks", "magnitude", "random", "l1"]
    assert saliencies.scoring(scorers) == ["fisher", "random", "l1"]
