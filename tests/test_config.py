"""From the notebooks' parameters to runs: what is asked for, what was found, and what it cost."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from horticulture import architecture, execution, runs
from horticulture.errors import InputError
from horticulture.execution import loading
from horticulture.pruning import PruningRecipe, unstructured
from horticulture.study import snapshots, validation
from horticulture.study.config import StudyConfig
from horticulture.system import limits
from horticulture.training import TrainingRecipe

ASKED = StudyConfig.of(
    {
        **{"images": 96, "network": "wrn-10-1", "seeds": [0], "epochs": 1, "lr": 0.05},
        **{"schedule": "constant", "batch_size": 32, "strengths": {"slimming": 0.001, "blocks": 0.1}},
        **{"finetune_lr": 0.01, "finetune_epochs": 1, "base_epoch_factors": [1.0], "rounds": 1},
        **{"evaluate_every": 1, "copycat_size": 0.5},
    }
)
WHOLE = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
BY_RATIO = replace(ASKED, criterion="fisher, slimming,magnitude", ratios=[0.5], base_epoch_factors=[1, 2])
BY_CHANNEL = replace(ASKED, rounds=4, sizes=[1.0, 0.988, 0.5])  # a channel is about 0.5 % of the parameters


CLUTTER_IMAGES = (96, 32, 32)
pytestmark = pytest.mark.usefixtures("little_clutter")


@pytest.fixture(scope="module")
def outputs(little_clutter, tmp_path_factory) -> Path:
    """All pruning runs of the two protocols."""
    outputs = tmp_path_factory.mktemp("outputs")
    for taken in [*BY_RATIO.pruning_jobs, *BY_CHANNEL.pruning_jobs]:
        execution.execute(taken.run, outputs, "cpu")
    return outputs


# --- what is asked for -----------------------------------------------------------------------------------


def test_it_takes_its_parameters_from_all_there_are():
    parameters = {"outputs": "/elsewhere", "workers": 3, "device": "cpu", "pd": pytest, "margin": 1.0}
    actual = StudyConfig.of({**vars(BY_RATIO), **parameters})
    assert actual == BY_RATIO
    assert actual.whole == WHOLE
    assert actual.data_spec == {
        "name": "clutter",
        "images": 96,
        "image_size": 0,
        "digest": actual.dataset.digest,
    }
    assert len(actual.dataset.train) == 96


def test_flips_and_crops_are_described_only_if_they_are_asked_for():
    """So that keys of studies that leave them to the data set stay as they were."""
    plain, other = ASKED.dataset, replace(ASKED, flip="random", crop_padding=0).dataset
    assert (plain.flip, plain.pad) == (False, 2)
    assert (other.flip, other.pad) == (True, 0)
    sources = [
        replace(ASKED, **asked).data_spec
        for asked in ({}, {"flip": "random"}, {"flip": "never"}, {"crop_padding": 0})
    ]
    added = [{name: source[name] for name in source.keys() - ASKED.data_spec.keys()} for source in sources]
    assert added == [{}, {"flip": True}, {"flip": False}, {"pad": 0}]
    assert {source["digest"] for source in sources} == {plain.digest}  # the images are the same
    assert len({replace(ASKED, flip=flip).baselines[0].key for flip in ("auto", "random", "never")}) == 3


def test_a_run_trains_on_images_flipped_and_shifted_as_it_says():
    for asked in ({}, {"flip": "random"}, {"crop_padding": 3}, {"flip": "random", "crop_padding": 0}):
        study = replace(ASKED, images=64, **asked)
        actual = loading.images_of(study.baselines[0], "cpu")
        assert (actual.flip, actual.pad, len(actual.train)) == (study.dataset.flip, study.dataset.pad, 64)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"flip": "sideways"}, "unknown flip 'sideways': choose from auto, random, never"),
        ({"crop_padding": -2}, "crop_padding must be a whole number from 0 to 1,000, not -2"),
        ({"crop_padding": 16}, "images of 16 x 16 pixels are too small to be shifted by 16"),
    ],
)
def test_flips_and_crops_that_cannot_be_are_refused(asked, said):
    with pytest.raises(InputError, match=said):
        validation.check({**vars(replace(ASKED, **asked)), "device": "cpu"})


def test_a_base_is_a_training_from_scratch():
    asked = replace(ASKED, seeds=[3, 5], epochs=7)
    assert [base.seed for base in asked.baselines] == [3, 5]
    recipe = TrainingRecipe(7, 0.05, "constant", batch_size=32)
    assert asked.baselines[1] == execution.training_run(WHOLE, recipe, asked.data_spec, 5)


def test_every_criterion_and_ratio_and_seed_and_length_has_its_pruning():
    asked = replace(BY_RATIO, ratios=[0.3, 0.5], seeds=[0, 1])
    actual = [(t.criterion, t.ratio, t.run.seed, t.base.recipe["epochs"]) for t in asked.pruning_jobs]
    assert actual == [
        (name, ratio, seed, epochs)
        for name in ("fisher", "slimming", "magnitude")
        for epochs in (1, 2)
        for ratio in (0.3, 0.5)
        for seed in (0, 1)
    ]
    assert len({taken.run.key for taken in asked.pruning_jobs}) == 24
    assert [(t.longer, t.run.recipe["steps"]) for t in asked.pruning_jobs[:8]] == [(1, 2)] * 4 + [(2, 4)] * 4
    assert len({taken.base.key for taken in asked.pruning_jobs}) == 8  # magnitude shares those of fisher
    assert [t.sparse for t in asked.pruning_jobs] == [False] * 16 + [True] * 8
    assert all(taken.run.start == taken.base for taken in asked.pruning_jobs)


def test_a_base_carries_the_penalty_that_its_criterion_needs():
    asked = replace(BY_RATIO, criterion="l1,slimming,blocks", base_epoch_factors=[1])
    actual = [(taken.base.recipe["penalty"], taken.base.recipe["strength"]) for taken in asked.pruning_jobs]
    assert actual == [("none", 0), ("slimming", 1e-3), ("blocks", 0.1)]
    assert asked.pruning_jobs[0].base == asked.baselines[0]


@pytest.mark.parametrize("strengths", [{}, {"blocks": 1.0}, {"slimming": 0.0}, {"slimming": -1.0}], ids=str)
def test_a_penalty_without_a_strength_is_refused(strengths):
    asked = replace(BY_RATIO, strengths=strengths)
    with pytest.raises(InputError, match="strengths must set the penalty slimming to a value above 0"):
        _ = asked.pruning_jobs
    assert replace(asked, criterion="fisher").pruning_jobs


def test_a_plan_says_of_weights_only_what_weights_know():
    asked = replace(BY_RATIO, measure="params", scope="layer", floor=0.2, rounds=3, criterion="l1,magnitude")
    channels, weights = (PruningRecipe(**taken.run.recipe) for taken in asked.pruning_jobs[::2])
    assert channels == PruningRecipe(3, "l1", 0.5, "params", "layer", 0.2, steps=2, lr=0.01, batch_size=32)
    assert weights == PruningRecipe(3, "magnitude", 0.5, "params", "layer", steps=2, lr=0.01, batch_size=32)
    preset = replace(asked, scope="vgg-16-a", criterion="magnitude").pruning_jobs[0]
    assert preset.run.recipe["scope"] == "global"  # presets are of channels


def test_one_is_singular_in_what_a_recipe_says():
    assert str(TrainingRecipe(1, batch_size=32)).startswith("1 epoch, ")
    assert str(PruningRecipe(1, steps=1)).startswith("1 step a round, ")


def test_a_scope_that_is_not_the_criterions_own_is_part_of_its_name():
    """Else a study of `l1` compared globally would be told as one of `l1`, in tables, figures and recipes."""
    every = replace(BY_RATIO, base_epoch_factors=[1], criterion="l1,fisher,slimming,blocks,magnitude")
    named = {
        "": ["l1", "fisher", "slimming", "blocks", "magnitude"],
        "global": ["l1 (global)", "fisher", "slimming", "blocks", "magnitude"],
        "layer": ["l1", "fisher (layer)", "slimming (layer)", "blocks", "magnitude (layer)"],
        "vgg-16-a": ["l1 (vgg-16-a)", "fisher (vgg-16-a)", "slimming (vgg-16-a)", "blocks", "magnitude"],
    }
    for scope, names in named.items():
        asked = replace(every, scope=scope)
        assert [asked.criterion_label(name) for name in every.criteria] == names
        penalised = [member.criterion for member in asked.whole_points if member.criterion]
        assert penalised == [name for name in names if name[:6] in ("slimmi", "blocks")]
        if scope != "vgg-16-a":  # which this network does not have
            assert [taken.point().criterion for taken in asked.pruning_jobs] == names
    assert next(t.label for t in replace(every, scope="global").pruning_jobs) == "l1 (global) −50 %"

    said = str(PruningRecipe(1, "l1", 0.5))
    assert said == str(PruningRecipe(1, "l1", 0.5, scope="layer")) == str(PruningRecipe(1, "fisher", 0.5))
    assert str(PruningRecipe(1, "l1", 0.5, scope="global")) == said.replace(
        "channels, ", "channels, scope global, "
    )


def test_what_two_studies_ask_for_is_one_run():
    other = replace(
        BY_RATIO, budgets=["fine-tuned"], sizes=[0.1], criterion="magnitude,fisher", curves=["width"]
    )
    keys = {taken.run.key for taken in BY_RATIO.pruning_jobs}
    assert {taken.run.key for taken in other.pruning_jobs} < keys


@pytest.mark.parametrize(
    ("change", "ratio", "label"),
    [
        ({"rounds": 5}, None, "fisher"),
        ({"ratios": [0.3], "rounds": 5}, 0.3, "fisher −30 %"),
        ({"ratios": [0.3], "base_epoch_factors": [2]}, 0.3, "fisher −30 %, trained × 2"),
        # of 64, 64, 128, 128, three 256 and six 512 half of the first and of the last six
        ({"network": "vgg-16", "scope": "vgg-16-a"}, (32 + 6 * 256) / 4224, "fisher (vgg-16-a) −37 %"),
        ({"measure": "zeros"}, 0.0, "fisher"),
    ],
    ids=str,
)
def test_the_share_that_goes_is_known_beforehand(change, ratio, label):
    (taken,) = replace(ASKED, **change).pruning_jobs
    assert taken.ratio == (ratio if ratio is None else pytest.approx(ratio))
    assert taken.label == label
    assert taken.point().ratio == taken.ratio


# --- what was found --------------------------------------------------------------------------------------


def test_of_a_pruning_by_ratio_the_last_round_is_looked_at(outputs):
    actual = replace(BY_RATIO, sizes=[1.0, 0.9]).pruned_networks(outputs)
    assert [(what.job.criterion, what.round) for what in actual] == [
        (taken.criterion, 1) for taken in BY_RATIO.pruning_jobs
    ]
    for what in actual[:4]:
        assert sum(what.architecture.widths) == 56  # of 112
        assert what.architecture == execution.load_network(what.job.run, outputs).architecture
        assert what.macs == what.architecture.macs


def test_of_single_weights_the_shape_is_whole_and_the_macs_are_those_left(outputs):
    for what in BY_RATIO.pruned_networks(outputs)[4:]:
        assert what.job.sparse
        assert what.architecture == WHOLE
        network = execution.load_network(what.job.run, outputs)
        masks = unstructured.current_masks(network)
        gone = sum(int((~mask).sum()) for mask in masks.values())
        assert gone == round(0.5 * sum(mask.numel() for mask in masks.values()))
        places = [256] * 3 + [64] * 3 + [16] * 3  # of a 16 x 16 image in the stem and the three blocks
        kept = [positions * int(mask.sum()) for positions, mask in zip(places, masks.values(), strict=True)]
        assert what.macs == sum(kept) + 640  # the classifier is whole


def test_of_a_pruning_by_channel_the_rounds_nearest_to_the_sizes(outputs):
    actual = BY_CHANNEL.pruned_networks(outputs)
    removed = runs.removals(BY_CHANNEL.pruning_jobs[0].run, outputs).set_index("round")["params"]
    nearest = [
        min(removed.index, key=lambda r: abs(removed[r] - s * WHOLE.params)) for s in (1.0, 0.988, 0.5)
    ]
    assert [what.round for what in actual] == nearest
    assert (nearest[0], nearest[2]) == (0, 4)
    assert 0 < nearest[1] < 4
    for what in actual:
        assert what.architecture.params == removed[what.round]


def test_each_network_is_looked_at_once(outputs):
    actual = replace(BY_CHANNEL, sizes=[0.6, 1.0, 0.5]).pruned_networks(outputs)
    assert [what.round for what in actual] == [4, 0]


def test_what_went_at_one_stroke_is_looked_at_without_any_size(outputs):
    """All that scores nothing goes, and here that is nothing: the round has no channel, and is a round."""
    asked = replace(ASKED, criterion="slimming", measure="zeros")
    execution.execute(asked.pruning_jobs[0].run, outputs, "cpu")
    (what,) = asked.pruned_networks(outputs)
    assert (what.round, what.architecture, what.job.ratio) == (1, WHOLE, 0.0)
    assert what.job.label == "slimming"
    removed = runs.removals(what.job.run, outputs)
    assert removed[["round", "group", "channel"]].to_numpy().tolist() == [[0, -1, -1], [1, -1, -1]]
    runs.record_curves(outputs / "zeros", [what.job.point()])
    assert runs.architectures(outputs / "zeros") == {WHOLE.id: WHOLE}


def test_the_cost_is_that_of_base_and_pruning_by_hand(outputs):
    for what in BY_RATIO.pruned_networks(outputs):
        base = what.job.base.recipe["epochs"] * 3 * 32 * WHOLE.macs  # 96 images are 3 steps of 32
        steps = 2 * what.job.longer  # a base of twice the epochs, and twice the steps a round
        pruning = (
            steps * 32 * WHOLE.macs + steps * 32 * what.architecture.macs
        )  # round 0 is of the whole network
        assert what.search_macs == base + pruning
    for what in BY_CHANNEL.pruned_networks(outputs):
        cost, removed = 96 * WHOLE.macs, runs.removals(what.job.run, outputs)
        for round_ in range(what.round + 1):
            cost += 64 * runs.architecture_at(what.job.run, removed, round_).macs
        assert what.search_macs == cost


def test_a_place_in_the_study_says_how_it_was_found(outputs):
    channels, *_, weights = BY_RATIO.pruned_networks(outputs)
    run = channels.job.run
    member = channels.point("fine-tuned", run)
    assert member == runs.CurvePoint(
        "fine-tuned", run, "fisher", 1, channels.search_macs, 0.5, 1.0, 96 * WHOLE.macs
    )
    assert weights.point("fine-tuned", run).curve == "sparse-fine-tuned"
    by_channel = BY_CHANNEL.pruned_networks(outputs)[-1].point("fine-tuned", run)
    assert (by_channel.ratio, by_channel.round) == (None, 4)
    place = weights.job.point()
    assert (place.criterion, place.longer, place.whole_macs) == ("magnitude", 2, 2 * 96 * WHOLE.macs)


# --- what there is to look at ----------------------------------------------------------------------------


def test_what_each_way_of_pruning_left_in_the_end_over_the_seeds(outputs):
    asked = replace(
        BY_RATIO, base_epoch_factors=[1], criterion="l1,magnitude", seeds=[0, 1], ratios=[0.5, 0.25]
    )
    for taken in asked.pruning_jobs:
        execution.execute(taken.run, outputs, "cpu")
    actual = snapshots.final_architectures(asked, outputs)
    assert list(actual) == ["l1 −50 %", "l1 −25 %"]  # where single weights went there is no shape to see
    loaded = [
        execution.load_network(taken.run, outputs).architecture
        for taken in asked.pruning_jobs
        if not taken.sparse
    ]
    assert [*actual["l1 −50 %"], *actual["l1 −25 %"]] == loaded
    assert [sum(shape.widths) for shape in loaded] == [56, 56, 84, 84]
    (alone,) = snapshots.final_architectures(BY_CHANNEL, outputs).values()
    assert [sum(shape.widths) for shape in alone] == [108]


def test_the_moments_of_a_pruning_are_in_the_order_in_which_it_shrinks(outputs, monkeypatch):
    run = BY_CHANNEL.pruning_jobs[0].run
    removed = runs.removals(run, outputs)
    at = {round_: runs.architecture_at(run, removed, round_) for round_ in range(5)}
    shown = snapshots.snapshots(BY_CHANNEL, outputs)
    assert shown == {"whole": WHOLE, **{f"fisher, round {n}": at[n] for n in (1, 2, 3, 4)}}
    assert list(shown) == ["whole", *(f"fisher, round {n}" for n in (1, 2, 3, 4))]
    monkeypatch.setattr(snapshots, "MAX_SNAPSHOTS", 2)
    assert list(snapshots.snapshots(BY_CHANNEL, outputs)) == ["whole", "fisher, round 2", "fisher, round 4"]


def test_what_went_at_one_stroke_has_one_moment_of_the_first_seed(outputs):
    asked = replace(BY_RATIO, seeds=[0, 1])  # the second has not been made
    shown = snapshots.snapshots(asked, outputs)
    names = [f"{name} −50 %{longer}" for name in ("fisher", "slimming") for longer in ("", ", trained × 2")]
    assert list(shown) == ["whole", *names]
    assert [sum(shape.widths) for shape in shown.values()] == [112, 56, 56, 56, 56]


# --- refused before anything runs ------------------------------------------------------------------------

PARAMETERS = {
    **vars(BY_RATIO),
    "device": "cpu",
    "budgets": ["fine-tuned"],
    "curves": ["width"],
    "sizes": [0.5],
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"budgets": ["fine-tuned", "scratch"]},
            "unknown budget 'scratch': choose from fine-tuned, lr-rewound",
        ),
        ({"curves": ["with"]}, "unknown curve 'with': choose from width, depth.*did you mean 'width'"),
        ({"criterion": "fisher,fischer"}, "unknown criterion 'fischer': choose from fisher, taylor"),
        ({"criterion": "fisher,"}, "criterion must be a name, or several separated by commas"),
        ({"network": "vgg-7"}, "a VGG has depth 8, 11, 13, 16, 19, not 7"),
        ({"network": "lenet"}, "unknown network 'lenet': choose from wrn-DEPTH-WIDTH"),
        ({"data": "clutterr"}, "did you mean 'clutter'"),
        ({"sizes": [0.5, 1.5]}, "each of sizes must be a number above 0 and at most 1, not 1.5"),
        ({"sizes": ["half"]}, "not 'half'"),
        ({"copycat_size": 0}, "not 0"),
        ({"seeds": [0, 0.5]}, "each of seeds must be a whole number from 0 .*, not 0.5"),
        ({"ratios": [0.5, "1e-1"]}, "each of ratios must be a number above 0 and below 1, not '1e-1'"),
        ({"ratios": [1.0]}, "each of ratios must be a number above 0 and below 1, not 1.0"),
        ({"ratios": [0.5], "floor": 0.9, "criterion": "taylor"}, "ratio=0.5 is 56 channels, but only"),
        ({"ratios": []}, "magnitude removes single weights: set a ratio"),
        ({"measure": "flops"}, "unknown measure 'flops': choose from channels, params, macs, zeros"),
        (
            {"measure": "zeros"},
            "measure=zeros removes what scores exactly 0, which fisher gives only by chance",
        ),
        (
            {"measure": "zeros", "criterion": "slimming", "strengths": {"slimming": 1e-3}, "ratios": [0.5]},
            r"measure=zeros lets the scores decide what goes, so ratios=\[0.5\] has no effect",
        ),
        (
            {"measure": "zeros", "criterion": "slimming", "strengths": {"slimming": 1e-3}, "ratios": []}
            | {"scope": "layer"},
            "so scope=layer has no effect",
        ),
        ({"scope": "everywhere"}, "unknown scope 'everywhere': choose from"),
        ({"scope": "vgg-16-a"}, "the preset vgg-16-a is for 13 groups"),
        ({"criterion": "groups", "strengths": {"groups": 1.0}, "rounds": 2}, "one round, not 2"),
        (
            {"criterion": "blocks", "strengths": {"blocks": 1.0}, "network": "vgg-8-8"},
            "a VGG has no blocks",
        ),
        ({"schedule": "linear"}, "unknown schedule 'linear'"),
        ({"finetune_lr": 0}, "finetune_lr must be a number above 0 and at most 1,000, not 0"),
        ({"epochs": 0}, "epochs must be a whole number from 1 to 1,000,000, not 0"),
        ({"finetune_epochs": 0}, "finetune_epochs must be a whole number from 1"),
        ({"precision": "half"}, "unknown precision 'half': choose from auto, float32, bfloat16"),
        ({"norms": "stale"}, "unknown norms 'stale': choose from estimated, running"),
        ({"evaluate_every": 0}, "evaluate_every must be a whole number from 1 to .*, not 0"),
        (
            {"base_epoch_factors": [1, 0]},
            "each of base_epoch_factors must be a number above 0 and at most 1,000, not 0",
        ),
        ({"budgets": ["compressed"], "bits": 17}, "bits must be a whole number from 1 to 16, not 17"),
        (
            {"budgets": ["scratch-b"], "cap": -1.0},
            "cap must be a number of 1 to 1,000, or 0 for no limit, not -1.0",
        ),
        ({"curves": ["transferred"]}, "transferred needs guide_network"),
        ({"curves": ["transferred"], "guide_network": "vgg-7"}, "a VGG has depth"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"batch_size": 128}, "batch_size is 128, but there are only 96 training images"),
        (
            {"budgets": ["sliced"], "criterion": "magnitude"},
            "the budget sliced does not apply to anything that magn",
        ),
        (
            {"budgets": ["compressed"], "criterion": "l1"},
            "the budget compressed does not apply to anything that l1",
        ),
        ({"budgets": ["reselected"]}, "the budget reselected does not apply to anything"),  # no group selects
        ({"curves": ["copycat"], "criterion": "magnitude"}, "the curve copycat needs channels pruned at"),
        ({"curves": ["guided"], "base_epoch_factors": [2]}, r"base_epoch_factors=\[2\] prunes none"),
    ],
    ids=str,
)
def test_a_study_that_would_fail_later_is_refused_before_it_begins(change, said):
    validation.check(PARAMETERS)
    with pytest.raises(InputError, match=said):
        validation.check({**PARAMETERS, **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch_size": 128}, "batch_size is 128, but there are only 14 training images"),
        ({"images": 2}, "images=2: .* has 3 classes, so some would have none of 2 training images"),
        ({"images": 15}, "images is 15, but .* has 14 training images"),
    ],
    ids=str,
)
def test_the_images_of_a_folder_are_counted_before_they_are_decoded(tmp_path, change, said):
    for name in ("ash", "oak", "yew"):
        for file in (*(f"train/{name}/{n}.png" for n in range(5)), f"test/{name}/0.png"):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text("no image")
    values = {**PARAMETERS, "data": f"folder:{tmp_path}", "images": 0}
    with pytest.raises(InputError, match="18 of 18 images cannot be used"):
        validation.check({**values, "batch_size": 4})
    with pytest.raises(InputError, match=said):
        validation.check({**values, **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"latency_batch_sizes": [1, 96]}, ""),
        ({"latency_batch_sizes": [1, 97]}, "latency_batch_sizes: 97 images"),
        ({"batch_size": 36}, ""),
        ({"batch_size": 37}, "batch_size: 37 images"),
        ({"batch_size": 37, "device": "auto"}, ""),  # perhaps on a GPU
        ({"latency_batch_sizes": [97], "device": "auto"}, "latency_batch_sizes: 97 images"),
    ],
    ids=str,
)
def test_batches_that_do_not_fit_into_memory_are_refused(monkeypatch, change, said):
    """By hand: forward 256 pixels and twice the largest map, 16 x 256; back 256 pixels and 21,754 outputs."""
    monkeypatch.setattr(limits, "memory", lambda: 4 * 96 * (256 + 2 * 16 * 256))
    monkeypatch.setattr(limits, "may_have_gpu", lambda: True)
    with pytest.raises(InputError, match=f"{said}.* in wrn-10-1") if said else nullcontext():
        validation.check({**PARAMETERS, **change})


def test_so_is_the_batch_that_estimates_norms(monkeypatch):
    monkeypatch.setattr(limits, "memory", lambda: 4 * 96 * (256 + 2 * 16 * 256) - 1)
    validation.check({**PARAMETERS, "norm_images": 95})
    with pytest.raises(InputError, match="norm_images: 96 images at a time"):  # all there are
        validation.check({**PARAMETERS, "norm_images": 1000})
