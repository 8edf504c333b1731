"""What may be spent on a pruned network, each budget's run by hand; and the families of other sizes."""

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from horticulture import architecture, execution, networks, runs
from horticulture.analysis import curves
from horticulture.architecture import families, profiles
from horticulture.errors import InputError
from horticulture.execution import initialization, loading
from horticulture.networks import Network
from horticulture.pruning import unstructured
from horticulture.runs import Run
from horticulture.study import budgets, scaling
from horticulture.study.config import PrunedNetwork, StudyConfig
from horticulture.training import TrainingRecipe, evaluation

FREE = [curve for curve in scaling.PRUNING_FREE if curve not in scaling.MOVED]  # those need no other data
ALL = [budget for budget in budgets.BUDGETS if not budgets.BUDGETS[budget].needs_source]
ASKED = StudyConfig.of(
    {
        **{"images": 96, "network": "wrn-10-1", "seeds": [0, 1], "epochs": 1, "lr": 0.05},
        **{"schedule": "cosine", "batch_size": 32, "criterion": "l1,magnitude", "ratios": [0.3, 0.6]},
        **{"floor": 0.1, "steps": 1, "finetune_lr": 0.01, "finetune_epochs": 2, "budgets": ALL},
        **{"sizes": [0.4, 0.7], "copycat_size": 0.5, "curves": [*FREE, *scaling.FROM_PRUNING]},
        **{"guide_network": "wrn-16-1", "base_epoch_factors": [1.0], "rounds": 1, "evaluate_every": 1},
    }
)

WHOLE = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)


CLUTTER_IMAGES = (96, 32, 32)
pytestmark = pytest.mark.usefixtures("little_clutter")


@pytest.fixture(scope="module")
def outputs(little_clutter, tmp_path_factory) -> Path:
    """All pruning runs."""
    outputs = tmp_path_factory.mktemp("outputs")
    for taken in [*ASKED.pruning_jobs, *replace(ASKED, criterion="l1,fisher").guide_jobs]:
        execution.execute(taken.run, outputs, "cpu")
    return outputs


@pytest.fixture(scope="module")
def found(outputs) -> dict[tuple[str, float, int], PrunedNetwork]:
    """By criterion, ratio and seed."""
    every = ASKED.pruned_networks(outputs)
    return {(what.job.criterion, what.job.ratio, what.job.run.seed): what for what in every}


@pytest.fixture(scope="module")
def cut(found) -> PrunedNetwork:
    return found["l1", 0.6, 1]


@pytest.fixture(scope="module")
def sparse(found) -> PrunedNetwork:
    return found["magnitude", 0.6, 1]


# --- each budget's run -----------------------------------------------------------------------------------


def test_every_budget_and_family_has_a_curve():
    assert set(budgets.BUDGETS) == set(curves.BUDGET_CURVES)
    assert {*scaling.PRUNING_FREE, *scaling.FROM_PRUNING} == set(curves.SCALED_CURVES)


def test_to_train_on_is_by_the_low_rate_or_by_the_whole_schedule(cut):
    asked = replace(ASKED, finetune_epochs=7)
    low, rewound = budgets.fine_tuned(asked, cut), budgets.lr_rewound(asked, cut)
    assert low == execution.finetuning_run(
        cut.job.run, 1, cut.architecture, TrainingRecipe(7, 0.01, "constant", batch_size=32), "kept"
    )
    assert rewound == execution.finetuning_run(
        cut.job.run, 1, cut.architecture, TrainingRecipe(7, 0.05, "cosine", batch_size=32), "kept"
    )
    random = budgets.random_channels(asked, cut)
    assert random == execution.finetuning_run(
        cut.job.run, 1, cut.architecture, TrainingRecipe(7, 0.01, "constant", batch_size=32), "random"
    )


def test_from_scratch_is_the_shape_alone(cut):
    asked = replace(ASKED, epochs=5)
    run = budgets.scratch_e(asked, cut)
    assert run == execution.training_run(
        cut.architecture, TrainingRecipe(5, 0.05, "cosine", batch_size=32), ASKED.data_spec, 1
    )
    assert run.start is None
    for budget, weights in ((budgets.weights_rewound, "rewound"), (budgets.sliced, "sliced")):
        expected = execution.finetuning_run(
            cut.job.run, 1, cut.architecture, TrainingRecipe(5, 0.05, "cosine", batch_size=32), weights
        )
        assert budget(asked, cut) == expected


def test_the_epochs_that_the_same_compute_buys(cut, sparse, found):
    asked = replace(ASKED, epochs=10, finetune_epochs=3)
    for what in (cut, sparse, found["l1", 0.3, 0]):
        bought = math.floor(10 * WHOLE.macs / what.macs)
        for cap, epochs in ((0.0, bought), (2.0, min(20, bought)), (1.25, min(12, bought))):
            capped = replace(asked, cap=cap)
            assert budgets.scratch_b(capped, what).recipe["epochs"] == epochs
            assert budgets.scratch_b_all(capped, what).recipe["epochs"] == epochs + 3
    assert 10 * WHOLE.macs / cut.macs > 20  # the cap does something
    assert (
        sparse.macs < 0.6 * sparse.architecture.macs == 0.6 * WHOLE.macs
    )  # what is left counts, not the shape


def test_to_shuffle_is_to_deal_the_same_widths_out_anew(outputs):
    """On a deeper network, where there are blocks of the same full width to deal among."""
    asked = replace(ASKED, network="wrn-16-1", guide_network="", criterion="fisher")
    for what in asked.pruned_networks(outputs):
        run = budgets.shuffled(asked, what)
        for stage in (0, 2, 4):
            of_stage = slice(stage, stage + 2)
            assert sorted(run.architecture.widths[of_stage]) == sorted(what.architecture.widths[of_stage])
        assert run.architecture == profiles.shuffled(what.architecture, asked.whole, what.job.run.seed)
        assert run == execution.training_run(
            run.architecture, asked.recipe, asked.data_spec, what.job.run.seed
        )
        assert run.architecture != what.architecture  # or its run would be that of another curve


def test_what_is_compressed_is_the_fine_tuned_network(sparse):
    run = budgets.compressed(replace(ASKED, bits=4), sparse)
    assert run.start == budgets.fine_tuned(ASKED, sparse)
    assert (run.kind, run.recipe["bits"], run.recipe["epochs"]) == ("compress", 4, 2)
    assert (run.recipe["lr"], run.recipe["schedule"]) == (0.01, "constant")


def test_a_shape_that_is_asked_for_twice_is_one_run(cut, found):
    asked = replace(ASKED, cap=1.0)
    assert budgets.scratch_b(asked, cut).key == budgets.scratch_e(asked, cut).key
    same = replace(ASKED, finetune_epochs=1, finetune_lr=0.05, schedule="constant")
    assert budgets.fine_tuned(same, cut).key == budgets.lr_rewound(same, cut).key
    other = cut._replace(job=cut.job._replace(criterion="fisher"))
    assert budgets.scratch_e(ASKED, other).key == budgets.scratch_e(ASKED, cut).key
    assert budgets.scratch_e(ASKED, found["l1", 0.3, 1]).key != budgets.scratch_e(ASKED, cut).key
    assert (
        len({member.run.key for member in budgets.budget_points(ASKED, [cut])}) == 8
    )  # scratch-b is shorter


def test_a_size_that_pruning_did_not_reach_is_said():
    asked = replace(ASKED, ratios=[], criterion="fisher", sizes=[0.1, 0.5], budgets=["pruned-scratch"])
    half, said = families.uniform(WHOLE, params=round(0.5 * WHOLE.params)), list[str]()
    for job in asked.pruning_jobs:
        budgets.budget_points(asked, [PrunedNetwork(job, 20, half, half.macs, 0)], said.append)
    line = "fisher, seed {}: pruning left no network near 10 %; the nearest has 50 %"
    assert said == [line.format(seed) for seed in (0, 1)]


def test_what_says_nothing_is_left_out_and_the_rest_is_named(cut, sparse, capsys):
    channels, weights = budgets.budget_points(ASKED, [cut]), budgets.budget_points(ASKED, [sparse])
    # Each stage of a WRN-10 has one block: nothing to shuffle. That no group selects is known beforehand.
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("shuffled is left out for l1 −60 %, seed 1: ")
    without = ("compressed", "shuffled", "reselected")
    assert [member.curve for member in channels] == [budget for budget in ALL if budget not in without]
    remaining = [b for b in ALL if b not in ("sliced", "random-channels", "shuffled", "reselected")]
    assert [member.curve for member in weights] == [f"sparse-{budget}" for budget in remaining]
    for member, what in [*((m, cut) for m in channels), *((m, sparse) for m in weights)]:
        assert (member.criterion, member.round) == (what.job.criterion, 1)
        assert (member.search_macs, member.ratio, member.run.seed) == (what.search_macs, 0.6, 1)
    fresh = {member.curve: member.run.recipe.get("weights") for member in weights}
    assert fresh["sparse-pruned-scratch"] == fresh["sparse-scratch-b"] == "fresh"
    assert fresh["sparse-weights-rewound"] == "rewound"
    with pytest.raises(InputError, match="unknown budget 'scratch': choose from fine-tuned"):
        budgets.budget_points(replace(ASKED, budgets=["scratch"]), [cut])


# --- what a training run begins with ---------------------------------------------------------------------


def surviving(what: PrunedNetwork, outputs: Path) -> list[list[int]]:
    """By group the channels that are not in the table of removals."""
    table = pd.read_csv(runs.folder(what.job.run, outputs) / "removals.csv")
    gone = {(row.group, row.channel) for row in table.itertuples()}
    return [[c for c in range(n) if (g, c) not in gone] for g, n in enumerate(WHOLE.widths)]


def at(network: Network, channels: list[list[int]]) -> dict[str, Tensor]:
    """Everything in a WRN-10 of which only these channels of its three groups are left."""
    actual = dict(network.state_dict())
    for block, kept in enumerate(channels):
        for name in ("conv1.weight", "norm2.weight", "norm2.bias", "norm2.running_mean", "norm2.running_var"):
            actual[f"blocks.{block}.{name}"] = actual[f"blocks.{block}.{name}"][kept]
        actual[f"blocks.{block}.conv2.weight"] = actual[f"blocks.{block}.conv2.weight"][:, kept]
    return actual


def same(network: Network, expected: dict[str, Tensor]) -> bool:
    actual = network.state_dict()
    assert actual.keys() == expected.keys()
    return all(torch.equal(tensor, expected[name]) for name, tensor in actual.items())


def initial(seed: int) -> Network:
    return networks.build(WHOLE, loading.init_generator(WHOLE, seed))


def begun(run: Run, outputs: Path) -> tuple[Network, unstructured.MaskCallback | None]:
    return initialization.starting_network(run, outputs)


def test_kept_weights_are_those_of_the_pruning(cut, outputs):
    network, mask = begun(budgets.fine_tuned(ASKED, cut), outputs)
    assert mask is None
    assert same(network, dict(execution.load_network(cut.job.run, outputs).state_dict()))
    assert not same(
        network, at(execution.load_network(cut.job.base, outputs), surviving(cut, outputs))
    )  # tuned since


def test_rewound_weights_are_those_that_the_survivors_had_at_first(cut, outputs):
    network, _ = begun(budgets.weights_rewound(ASKED, cut), outputs)
    kept = surviving(cut, outputs)
    assert tuple(map(len, kept)) == cut.architecture.widths
    assert same(network, at(initial(1), kept))
    assert not same(network, at(initial(0), kept))


def test_a_slice_has_the_spread_of_the_wide_network_and_nothing_of_its_weights(cut, outputs):
    network, _ = begun(budgets.sliced(ASKED, cut), outputs)
    rewound, _ = begun(budgets.weights_rewound(ASKED, cut), outputs)
    for name, tensor in network.state_dict().items():
        other = rewound.state_dict()[name]
        assert tensor.shape == other.shape
        if tensor.dim() > 1:
            assert (tensor == other).sum() == 0
    remaining = cut.architecture.widths[2]
    spread = network.blocks[2].conv1.weight.std().item()
    assert spread == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.04)
    assert spread < 0.9 * math.sqrt(2 / (9 * remaining))  # of a network that is made so wide
    again, _ = begun(budgets.sliced(ASKED, cut), outputs)
    assert same(again, dict(network.state_dict()))


def test_random_channels_are_trained_ones(cut, outputs):
    network, _ = begun(budgets.random_channels(ASKED, cut), outputs)
    base = execution.load_network(cut.job.base, outputs)
    drawn = []
    for actual, whole in zip(network.groups, base.groups, strict=True):
        alike = (actual.producer.weight[:, None] == whole.producer.weight[None]).flatten(2).all(dim=2)
        assert (alike.sum(dim=1) == 1).all()  # each is one of the whole network's
        drawn.append(alike.int().argmax(dim=1).tolist())
    assert same(network, at(base, drawn))
    assert tuple(map(len, drawn)) == cut.architecture.widths
    kept = surviving(cut, outputs)
    assert drawn != kept
    agree = sum(len(set(one) & set(two)) for one, two in zip(drawn, kept, strict=True))
    assert agree < sum(cut.architecture.widths)


@pytest.mark.parametrize("budget", ["fine-tuned", "lr-rewound", "weights-rewound", "pruned-scratch"])
def test_a_mask_stays_whatever_weights_there_are(sparse, outputs, budget):
    network, mask = begun(budgets.BUDGETS[budget].train(ASKED, sparse), outputs)
    pruned = execution.load_network(sparse.job.run, outputs)
    gone = {name: weight == 0 for name, weight in unstructured.weights(pruned).items()}
    assert sum(int(each.sum()) for each in gone.values()) == round(
        0.6 * sum(e.numel() for e in gone.values())
    )
    assert mask is not None
    assert all(torch.equal(~mask.masks[name], each) for name, each in gone.items())
    source = {"weights-rewound": initial(1), "pruned-scratch": None}.get(budget, pruned)
    for name, weight in unstructured.weights(network).items():
        assert torch.equal(weight == 0, gone[name])
        if source is not None:
            assert torch.equal(weight, source.state_dict()[name].masked_fill(gone[name], 0))
        else:
            remaining = ~gone[name]
            if weight.numel() > 4000:
                wanted = math.sqrt(2 * weight.shape[1] / int(remaining.sum()))
                assert weight[remaining].std().item() == pytest.approx(wanted, rel=0.06)
                first = initial(1).state_dict()[name][remaining]  # which the mask has picked by their size
                assert abs(torch.corrcoef(torch.stack([weight.detach()[remaining], first]))[0, 1]) < 0.1


def norms_are_estimated(network) -> bool:
    """Whether its statistics are those of the training images, and not what training left."""
    before = {name: buffer.clone() for name, buffer in network.named_buffers() if "running" in name}
    evaluation.estimate_norms(network, ASKED.dataset, ASKED.norm_images)
    return all(
        torch.allclose(network.get_buffer(name), one, rtol=1e-4, atol=1e-5) for name, one in before.items()
    )


def test_every_budget_can_be_spent(cut, sparse, outputs):
    members = [*budgets.budget_points(ASKED, [cut, sparse]), cut.job.point(), sparse.job.point()]
    members.append(runs.CurvePoint("whole", cut.job.base))
    for member in members:
        execution.execute(member.run, outputs, "cpu")
    runs.record_curves(outputs / "study", members)
    frame = runs.collect(outputs / "study")
    assert list(frame.columns) == runs.RESULT_COLUMNS
    assert set(frame["curve"]) == {member.curve for member in members}
    rows = frame[frame["curve"] != "pruned-tuned"].set_index("curve")
    for member in members:
        if member.run.kind == "prune":
            continue
        row, metrics = rows.loc[member.curve], runs.result(member.run, outputs)["metrics"]
        assert row["architecture"] == member.run.architecture.id
        assert row["macs"] == member.run.architecture.macs  # those of the shape: hardware skips no zeros
        assert row["epochs"] == member.run.recipe["epochs"]
        trained = member.run.architecture.macs * 96 * member.run.recipe["epochs"]
        if member.curve == "sparse-compressed":  # fine-tuned before
            trained *= 2
        assert row["train_macs"] == member.search_macs + trained
        assert (row["ratio"] == 0.6) == (member.curve != "whole")
        assert row["test_error"] == metrics["test_error"]
        assert pd.notna(row["bytes"]) == (member.curve == "sparse-compressed")
        network = execution.load_network(member.run, outputs)
        assert execution.measure_error(network, ASKED.dataset, "test") == row["test_error"]
        assert norms_are_estimated(network)
        masks = unstructured.current_masks(network)
        removed = sum(int((~mask).sum()) for mask in masks.values())
        assert (
            row["params"] == WHOLE.params - removed if "sparse" in member.curve else cut.architecture.params
        )
        if "sparse" in member.curve:
            size = sum(mask.numel() for mask in masks.values())
            assert removed == round(0.6 * size)
            pruned = execution.load_network(sparse.job.run, outputs)
            assert all(
                torch.equal(mask, masks[name]) for name, mask in unstructured.current_masks(pruned).items()
            )
    (whole,) = frame[frame["curve"] == "whole"].to_dict("records")
    assert (whole["params"], whole["train_macs"]) == (WHOLE.params, 96 * WHOLE.macs)
    tuned = frame[frame["curve"] == "pruned-tuned"].set_index(["criterion", "round"])
    assert list(tuned.index) == [("l1", 0), ("l1", 1), ("magnitude", 0), ("magnitude", 1)]
    assert tuned.loc[("l1", 1), "params"] == cut.architecture.params
    assert tuned.loc[("magnitude", 1), "macs"] == WHOLE.macs
    removed = WHOLE.params - tuned.loc[("magnitude", 1), "params"]
    assert removed == round(0.6 * sum(w.numel() for w in unstructured.weights(initial(0)).values()))
    assert (tuned["ratio"] == 0.6).all()
    shapes = runs.architectures(outputs / "study")
    assert set(frame["architecture"]) <= set(shapes)
    assert all(shapes[row.architecture].macs == row.macs for row in frame.itertuples())


# --- other sizes -----------------------------------------------------------------------------------------


def test_those_that_follow_nobody_are_trained_as_the_whole(outputs):
    whole = architecture.named("wrn-16-1", image=(1, 16, 16), classes=10)
    for curve, family in ((curve, scaling.PRUNING_FREE[curve]) for curve in FREE):
        members = scaling.family_points(replace(ASKED, network="wrn-16-1", curves=[curve]), outputs)
        assert [member.run.seed for member in members] == [0, 1, 0, 1]
        for member, size in zip(members, (0.4, 0.4, 0.7, 0.7), strict=True):
            shape = family(whole, params=round(size * whole.params))
            run = execution.training_run(shape, ASKED.recipe, ASKED.data_spec, member.run.seed)
            assert member == runs.CurvePoint(curve, run, whole_macs=96 * whole.macs)
    members = scaling.family_points(replace(ASKED, curves=["uniform"]), outputs)
    for member in members:
        shares = [width / n for width, n in zip(member.run.architecture.widths, WHOLE.widths, strict=True)]
        assert max(shares) - min(shares) <= 1 / 16  # a channel of the narrowest group


def nearest(found: dict, seed: int) -> PrunedNetwork:
    """The one nearest to half size among the two networks whose channels were pruned and their base."""
    both = [found["l1", ratio, seed] for ratio in (0.3, 0.6)]
    return min(both, key=lambda what: abs(what.architecture.params - 0.5 * WHOLE.params))


def test_a_model_is_the_pruned_network_nearest_in_size(found, outputs):
    models = scaling.templates(ASKED, outputs)
    assert list(models) == [("l1", 0), ("l1", 1)]  # where single weights went there is no shape to follow
    for (_, seed), model in models.items():
        assert model.pruned == nearest(found, seed)
        assert model.of_all_seeds == [nearest(found, 0), nearest(found, 1)]
        assert model.whole == WHOLE
    large = scaling.templates(replace(ASKED, copycat_size=1.0), outputs)
    assert [model.pruned.round for model in large.values()] == [0, 0]
    assert large["l1", 0].pruned.architecture == WHOLE


def test_a_copycat_follows_its_own_seed(found, outputs):
    members = scaling.family_points(replace(ASKED, curves=["copycat"]), outputs)
    assert [member.run.seed for member in members] == [0, 1, 0, 1]
    for member, size in zip(members, (0.4, 0.4, 0.7, 0.7), strict=True):
        model = nearest(found, member.run.seed)
        widths = member.run.architecture.widths
        factors = [w / n for w, n in zip(widths, model.architecture.widths, strict=True)]
        assert max(factors) - min(factors) < 1.5 / min(model.architecture.widths)
        assert member.run.architecture.params == pytest.approx(size * WHOLE.params, rel=0.03)
        assert member == runs.CurvePoint(
            "copycat", member.run, "l1", model.round, model.search_macs, whole_macs=96 * WHOLE.macs
        )


def test_a_guided_network_follows_all_seeds_by_stage(found, outputs):
    models = [nearest(found, seed) for seed in (0, 1)]
    mean = [
        (one + two) / 2 for one, two in zip(*(model.architecture.widths for model in models), strict=True)
    ]
    for member in scaling.family_points(replace(ASKED, curves=["guided"]), outputs):
        factors = [width / n for width, n in zip(member.run.architecture.widths, mean, strict=True)]
        assert max(factors) - min(factors) < 1.5 / min(mean)
        assert member.search_macs == models[0].search_macs + models[1].search_macs
        assert (member.curve, member.criterion, member.round) == ("guided", "l1", 1)


def test_a_transferred_network_follows_another_network(outputs):
    asked = replace(ASKED, criterion="l1", curves=["transferred"])
    guide = architecture.named("wrn-16-1", image=(1, 16, 16), classes=10)
    assert {taken.base.architecture for taken in asked.guide_jobs} == {guide}
    models = scaling.templates(asked.guide, outputs)
    shares = [
        sum(w for model in models.values() for w in model.pruned.architecture.widths[at : at + 2])
        / (2 * sum(guide.widths[at : at + 2]))
        for at in (0, 2, 4)
    ]
    members = scaling.family_points(asked, outputs)
    assert [member.run.seed for member in members] == [0, 1, 0, 1]
    for member in members:
        assert member.run.architecture.groups == WHOLE.groups
        assert member.run.architecture.trunk == WHOLE.trunk
        factors = [
            w / (share * n)
            for w, share, n in zip(member.run.architecture.widths, shares, WHOLE.widths, strict=True)
        ]
        assert max(factors) - min(factors) < 1.5 / min(
            s * n for s, n in zip(shares, WHOLE.widths, strict=True)
        )
        assert member.search_macs == sum(model.pruned.search_macs for model in models.values())
        assert member.criterion == "l1"


def test_without_a_guide_nothing_is_transferred(outputs):
    asked = replace(ASKED, guide_network="", curves=["transferred"])
    assert asked.guide_jobs == []
    with pytest.raises(InputError, match="transferred needs guide_network"):
        scaling.family_points(asked, outputs)
    with pytest.raises(InputError, match="unknown curve 'with': choose from width"):
        scaling.family_points(replace(ASKED, curves=["with"]), outputs)


# --- epochs for the same compute, by hand ----------------------------------------------------------------

VGG_16 = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
VGG_16_A = (32, 64, 128, 128, 256, 256, 256, 256, 256, 256, 256, 256, 256)
SIDES = (32, 32, 16, 16, 8, 8, 8, 4, 4, 4, 2, 2, 2)


def macs(widths):
    inputs = (3, *widths)
    return sum(9 * a * b * side**2 for a, b, side in zip(inputs, widths, SIDES, strict=False))


def test_the_published_example():
    """VGG-16-A of Li et al. (2017): 313.2 and 206.1 million, 160 epochs."""
    whole, pruned = macs(VGG_16), macs(VGG_16_A)
    assert (round(whole / 1e5), round(pruned / 1e5)) == (3132, 2061)
    assert budgets.scratch_b_epochs(160, whole, pruned) == 243  # 160 * 1.5197 = 243.1


def test_a_budget_is_capped_and_the_cap_can_go():
    assert budgets.scratch_b_epochs(90, 500, 100) == 180  # 2 x 90, as on ImageNet
    assert budgets.scratch_b_epochs(90, 500, 100, cap=0) == 450
    assert budgets.scratch_b_epochs(100, 500, 100, cap=1.15) == 115
    assert budgets.scratch_b_epochs(90, 200, 100) == 180
    assert budgets.scratch_b_epochs(90, 199, 100) == 179


def test_a_budget_takes_the_whole_part_and_no_less():
    assert budgets.scratch_b_epochs(100, 115, 100) == 115  # a computer's 100 * 1.15 lies below
    assert budgets.scratch_b_epochs(10, 119, 100) == 11
    assert budgets.scratch_b_epochs(5, 7, 7) == 5


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"whole_macs": 0}, {"pruned_macs": 0}, {"cap": -1}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_budget_of_nothing_is_refused(wrong):
    right = {"epochs": 5, "whole_macs": 7, "pruned_macs": 3, "cap": 2.0}
    with pytest.raises(InputError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        budgets.scratch_b_epochs(**(right | wrong))
