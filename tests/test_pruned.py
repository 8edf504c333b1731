"""What was found, and what follows it: as long as its base, measured as it is, with its own channels."""

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from horticulture import architecture, execution, networks, runs
from horticulture.errors import InputError
from horticulture.execution import loading
from horticulture.runs import CurvePoint
from horticulture.study import budgets
from horticulture.study.config import StudyConfig

BUDGETS = [
    *("fine-tuned", "lr-rewound", "pruned-scratch", "scratch-b", "scratch-b-all", "scratch-images"),
    "weights-rewound",
]
# A channel of this network is about half a percent of its parameters.
ASKED = StudyConfig.of(
    {
        **{"images": 96, "network": "wrn-10-1", "seeds": [0], "epochs": 3, "lr": 0.05},
        **{"schedule": "constant", "batch_size": 32, "rounds": 7, "finetune_epochs": 2, "evaluate_every": 4},
        **{"sizes": [0.985, 0.5], "factor_sizes": [0.985], "budgets": BUDGETS, "cap": 0.0},
        **{"finetune_lr": 0.01, "copycat_size": 0.5},
    }
)
WHOLE = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
SLIM = replace(
    ASKED,
    **{"network": "preresnet-11-4", "criterion": "slimming", "strengths": {"slimming": 1e-3}, "rounds": 1},
    **{
        "ratios": [0.4],
        "base_epoch_factors": [1],
        "budgets": ["pruned-scratch", "scratch-b", "reselected", "shuffled"],
    },
)


CLUTTER_IMAGES = (96, 32, 48)
pytestmark = pytest.mark.usefixtures("little_clutter")


@pytest.fixture(scope="module")
def outputs(little_clutter, tmp_path_factory) -> Path:
    """The study as notebooks make it: whole networks, pruning runs, and every budget."""
    outputs = tmp_path_factory.mktemp("outputs")
    for taken in [*ASKED.pruning_jobs, *SLIM.pruning_jobs]:
        execution.execute(taken.run, outputs, "cpu")
    members = [
        *ASKED.whole_points,
        *ASKED.pruning_points,
        *budgets.budget_points(ASKED, ASKED.pruned_networks(outputs)),
    ]
    for member in members:
        execution.execute(member.run, outputs, "cpu")
    runs.record_curves(outputs / "study", members)
    return outputs


@pytest.fixture(scope="module")
def results(outputs) -> pd.DataFrame:
    return runs.collect(outputs / "study")


# --- longer ----------------------------------------------------------------------------------------------


def test_a_longer_study_is_longer_before_between_and_after_the_removals():
    longer = ASKED.trained_longer(2.5)
    assert (longer.epochs, longer.steps, longer.finetune_epochs) == (8, 5, 5)  # round(7.5), 2.5 * 2, 2.5 * 2
    assert longer.sizes == ASKED.factor_sizes
    assert ASKED.trained_longer(1) is ASKED
    assert ASKED.trained_longer(0.1).epochs == ASKED.trained_longer(0.1).steps == 1
    assert replace(ASKED, factor_sizes=[]).trained_longer(2).sizes == ASKED.sizes
    assert longer.whole_macs == 8 * 96 * WHOLE.macs


def test_every_base_that_is_trained_is_a_row():
    actual = replace(ASKED, seeds=[0, 1]).whole_points
    points = [(m.curve, m.criterion, m.longer, m.run.seed, m.run.recipe["epochs"]) for m in actual]
    assert points == [("whole", "", n, seed, 3 * n) for n in (1, 2) for seed in (0, 1)]
    assert [member.whole_macs for member in actual] == [3 * 96 * WHOLE.macs] * 2 + [6 * 96 * WHOLE.macs] * 2
    penalised = replace(SLIM, base_epoch_factors=[2], criterion="slimming,l1").whole_points
    points = [(m.criterion, m.longer, m.run.recipe["penalty"]) for m in penalised]
    ways = (("", "none"), ("slimming", "slimming"))
    assert points == [(name, longer, penalty) for longer in (1, 2) for name, penalty in ways]
    bases = {
        taken.base.key
        for taken in replace(SLIM, base_epoch_factors=[2], criterion="slimming,l1").pruning_jobs
    }
    assert bases < {member.run.key for member in penalised}
    assert len({member.run.key for member in penalised}) == 4


def test_a_longer_pruning_is_drawn_at_its_own_sizes_only():
    assert [m.longer for m in ASKED.pruning_points] == [1]
    assert [m.longer for m in replace(ASKED, factor_sizes=[]).pruning_points] == [1, 2]
    assert [m.longer for m in replace(ASKED, ratios=[0.5]).pruning_points] == [1, 2]  # it has no size


def test_budgets_follow_the_base_that_was_pruned(outputs):
    once, _, twice = ASKED.pruned_networks(outputs)
    assert (once.job.longer, twice.job.longer) == (1, 2)
    assert [what.job.base.recipe["epochs"] for what in (once, twice)] == [3, 6]
    for what, times in ((once, 1), (twice, 2)):
        actual = {member.curve: member for member in budgets.budget_points(ASKED, [what])}
        bought = math.floor(3 * times * WHOLE.macs / what.macs)
        epochs = {
            **{"pruned-tuned": 0, "fine-tuned": 2 * times, "lr-rewound": 2 * times},
            **{"pruned-scratch": 3 * times, "weights-rewound": 3 * times},
            **{"scratch-b": bought, "scratch-b-all": bought + 2 * times},
            # 3 epochs of 96 images, after each round and before the first 2 steps of 32, 2 epochs of tuning
            "scratch-images": 3 * times + round((what.round + 1) * 2 * times * 32 / 96) + 2 * times,
        }
        assert {name: member.run.recipe["epochs"] for name, member in actual.items()} == epochs
        assert {m.longer for m in actual.values()} == {times}
        assert {m.whole_macs for m in actual.values()} == {3 * times * 96 * WHOLE.macs}
        assert actual["fine-tuned"].run.start.start.recipe["epochs"] == 3 * times
        assert actual["fine-tuned"].run.start.recipe["steps"] == 2 * times


# --- measured as it is -----------------------------------------------------------------------------------


def test_the_network_that_is_retrained_is_measured_itself(outputs, results):
    """Its row stands in the place of the pruning's; no other round is touched."""
    once, last, twice = ASKED.pruned_networks(outputs)
    assert 0 < once.round < 7 == last.round
    assert once.round % 4  # the pruning has not measured that one
    tuned = results[results["curve"] == "pruned-tuned"]
    assert not tuned.duplicated(["longer", "round"]).any()
    rounds = tuned[tuned["longer"] == 1].set_index("round")
    assert sorted(rounds.index) == list(range(8))
    evaluations = [
        member for member in runs.read_curves(outputs / "study") if member.run.recipe.get("epochs") == 0
    ]
    assert {(m.longer, m.round) for m in evaluations} == {(1, once.round), (1, 7), (2, twice.round)}
    for member in evaluations:
        row = tuned[(tuned["longer"] == member.longer) & (tuned["round"] == member.round)].iloc[0]
        assert (row["run"], row["recipe"]) == (member.run.key, "as it is")
        network = execution.restore(member.run.start, outputs, member.round, "cpu")
        for part, name in (("test", "test_error"), ("validation", "val_error")):
            assert row[name] == execution.measure_error(network, ASKED.dataset, part)
        assert row["params"] == network.architecture.params
        assert row["train_macs"] == member.search_macs
    measured = rounds["test_error"].notna()
    assert sorted(rounds.index[measured]) == sorted({0, 4, 7, once.round})
    removed = runs.removals(once.job.run, outputs).set_index("round")
    assert rounds.loc[4, "test_error"] == removed.loc[4, "test_error"]
    assert rounds.loc[7, "test_error"] == removed.loc[7, "test_error"]  # twice the same


def test_the_share_of_the_compute_by_hand(outputs, results):
    """Of what the whole network's training took, at the same length: 96 images an epoch, 64 a round."""
    once, last, twice = ASKED.pruned_networks(outputs)
    shares = {key: group["compute_share"].tolist() for key, group in results.groupby(["curve", "longer"])}
    assert shares["whole", 1] == shares["whole", 2] == [1.0]
    for what, times in ((once, 1), (last, 1), (twice, 2)):
        base = 3 * times * 96 * WHOLE.macs
        removed = runs.removals(what.job.run, outputs)
        shapes = [runs.architecture_at(what.job.run, removed, r) for r in range(what.round + 1)]
        tuning = sum(32 * 2 * times * shape.macs for shape in shapes)
        rows = results[(results["longer"] == times) & (results["round"] == what.round)].set_index("curve")
        assert rows.loc["pruned-tuned", "compute_share"] == pytest.approx(tuning / base)
        scratch = 3 * times * 96 * what.architecture.macs / base
        assert rows.loc["pruned-scratch", "compute_share"] == pytest.approx(scratch)
        assert rows.loc["scratch-b", "compute_share"] <= 1 < scratch + rows.loc["scratch-b", "compute_share"]
        assert rows.loc["fine-tuned", "compute_share"] == pytest.approx(scratch * 2 / 3)
        assert rows.loc["fine-tuned", "train_macs"] == base + tuning + 2 * times * 96 * what.architecture.macs


# --- channels that are selected --------------------------------------------------------------------------


def test_from_scratch_a_selecting_network_keeps_what_the_pruning_selected(outputs):
    (what,) = SLIM.pruned_networks(outputs)
    whole, table = SLIM.whole, pd.read_csv(runs.folder(what.job.run, outputs) / "removals.csv")
    gone = set(zip(table["group"], table["channel"], strict=True))
    remaining = [[c for c in range(n) if (g, c) not in gone] for g, n in enumerate(whole.widths)]
    expected = [kept if most else [] for kept, most in zip(remaining, whole.max_widths, strict=True)]
    assert sum(map(bool, expected)) == 4  # one a block, and that before the classifier
    actual = {member.curve: member.run for member in budgets.budget_points(SLIM, [what])}
    for budget in ("pruned-scratch", "scratch-b"):
        assert actual[budget].recipe["selections"] == expected
    pruned = execution.load_network(what.job.run, outputs)
    assert networks.selections(pruned) == expected
    execution.execute(actual["pruned-scratch"], outputs, "cpu")
    made = execution.load_network(actual["pruned-scratch"], outputs)
    assert networks.selections(made) == expected

    assert "selections" not in actual["reselected"].recipe
    execution.execute(actual["reselected"], outputs, "cpu")
    even = networks.selections(execution.load_network(actual["reselected"], outputs))
    assert even == [
        [i * most // width for i in range(width)] if most else []
        for width, most in zip(what.architecture.widths, whole.max_widths, strict=True)
    ]
    assert even != expected
    assert actual["reselected"].key != actual["pruned-scratch"].key
    first, other = (loading.initial_network(actual[name], 0) for name in ("pruned-scratch", "reselected"))
    weights = dict(other.named_parameters())  # only the choice differs
    assert all(torch.equal(weight, weights[name]) for name, weight in first.named_parameters())


def test_channels_that_are_selected_evenly_need_no_saying(outputs, capsys):
    """One run has one name: its key says nothing of a choice that would be made anyway."""
    (what,) = SLIM.pruned_networks(outputs)
    even = [
        [i * most // width for i in range(width)] if most else []
        for width, most in zip(what.architecture.widths, what.architecture.max_widths, strict=True)
    ]
    for spread in (what._replace(selections=even), what._replace(selections=None)):
        assert budgets.scratch_e(SLIM, spread) == budgets.reselected(SLIM, what)
        remaining = budgets.budget_points(replace(SLIM, budgets=["pruned-scratch", "reselected"]), [spread])
        assert [member.curve for member in remaining] == ["pruned-scratch"]
        assert "reselected is left out for slimming −40 %, seed 0: no group" in capsys.readouterr().out
    network = networks.build(what.architecture)
    assert networks.selections(network) == even


def test_where_nothing_is_selected_there_is_nothing_to_select_anew(outputs):
    once, *_ = ASKED.pruned_networks(outputs)
    assert once.selections is None
    with pytest.raises(InputError, match="no group of this network selects channels"):
        budgets.reselected(ASKED, once)
    actual = budgets.budget_points(replace(ASKED, budgets=["reselected"]), [once])
    assert [member.curve for member in actual] == ["pruned-tuned"]


# --- image errors ----------------------------------------------------------------------------------------


def test_the_errors_follow_from_the_answers_that_every_run_keeps(outputs):
    members: list[CurvePoint] = runs.read_curves(outputs / "study")
    seen = set()
    for member in members:
        actual = runs.result(member.run, outputs)
        kept = runs.image_errors(member.run.key, outputs)
        assert 100 * kept.wrong.sum() / 48 == actual["metrics"]["test_error"]
        assert (kept.wrong.dtype, kept.wrong.shape) == (bool, (48,))
        assert kept.original.tolist() == ASKED.dataset.test.originals.tolist()
        network = execution.load_network(member.run, outputs)
        with torch.no_grad():
            logits = network.eval()(ASKED.dataset.normalise(ASKED.dataset.test.pixels))
        wrong = logits.argmax(dim=1) != ASKED.dataset.test.labels
        assert wrong.tolist() == kept.wrong.tolist()
        seen.add(member.run.kind)
    assert seen == {"train", "prune", "tune"}
    by_run = runs.image_errors_of(runs.collect(outputs / "study"), outputs)
    assert set(by_run) == {member.run.key for member in members}


def test_answers_are_among_what_a_result_vouches_for(outputs, tmp_path):
    run = ASKED.baselines[0]
    path = runs.folder(run, outputs) / "answers.npz"
    assert "answers.npz" in runs.result(run, outputs)["files"]
    with pytest.raises(InputError, match="the run 000000000000 saved no errors by image"):
        runs.image_errors("000000000000", outputs)
    other = tmp_path / "runs" / run.key
    other.mkdir(parents=True)
    (other / "answers.npz").write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=rf"{other / 'answers.npz'} is damaged"):
        runs.image_errors(run.key, tmp_path)
