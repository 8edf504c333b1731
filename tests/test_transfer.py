"""Transfer: letters by font, networks that move from one data set to another, and what each of them cost."""

import string
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from horticulture import architecture, data, execution, networks, runs, training
from horticulture.architecture import families
from horticulture.data import Dataset, letters
from horticulture.errors import InputError
from horticulture.execution import exported, loading
from horticulture.runs import Run
from horticulture.study import budgets, inventory, scaling, validation
from horticulture.study.config import StudyConfig
from horticulture.study.parameters import all_parameters
from horticulture.training import TrainingRecipe

CLUTTER_IMAGES = (96, 32, 32)
PARTS = dict(letters.LETTER_PARTS)
SMALL = {part: (32 if part == "validation" else 64, *about[1:]) for part, about in PARTS.items()}
ALPHABET = string.ascii_uppercase
MOVED = ("pruned-moving", "scratch-moved")
ASKED = StudyConfig.of(
    {
        **{"data": "letters", "images": 64, "source_data": "clutter", "source_images": 96},
        **{"network": "wrn-10-1", "seeds": [0, 1], "epochs": 2, "source_epochs": 3, "lr": 0.1},
        **{"source_lr": 0.07, "move_lr": 0.04, "schedule": "cosine", "batch_size": 32, "norms": "running"},
        **{"norm_images": 64, "criterion": "fisher", "rounds": 4, "steps": 1, "evaluate_every": 4},
        **{"finetune_lr": 0.01, "finetune_epochs": 1, "sizes": [0.97], "cap": 0.0},
        **{"budgets": ["fine-tuned", "lr-rewound", "random-channels", *MOVED, "pruned-scratch"]},
        **{"curves": ["uniform", "uniform-moved"], "base_epoch_factors": [1.0], "copycat_size": 0.5},
    }
)
DIGITS = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
LETTERS = architecture.named("wrn-10-1", image=(1, 16, 16), classes=26)


@pytest.fixture(scope="module", autouse=True)
def few_letters(little_clutter):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(letters, "LETTER_PARTS", SMALL)
        loading.full_dataset.cache_clear()
        yield


@pytest.fixture(scope="module")
def outputs(few_letters, tmp_path_factory) -> Path:
    """The whole study."""
    outputs = tmp_path_factory.mktemp("outputs")
    for job in [*ASKED.pruning_jobs, *ASKED.moving_jobs]:
        execution.execute(job.run, outputs, "cpu")
    actual = ASKED.pruned_networks(outputs)
    points = [*budgets.budget_points(ASKED, actual), *scaling.family_points(ASKED, outputs)]
    for point in points:
        execution.execute(point.run, outputs, "cpu")
    runs.record_curves(outputs / "trial", [*ASKED.whole_points, *ASKED.pruning_points, *points])
    return outputs


@pytest.fixture
def images() -> Dataset:
    return data.load("letters")


# --- letters -----------------------------------------------------------------------------------------------


def test_no_part_has_a_font_of_another_and_every_fifth_is_for_the_test(monkeypatch):
    monkeypatch.setattr(letters, "LETTER_PARTS", {part: (512, *about[1:]) for part, about in PARTS.items()})
    images = data.load("letters")
    fonts = {part: set(getattr(images, part).originals.tolist()) for part in PARTS}
    assert fonts["test"] == {4, 9, 14, 19}
    assert fonts["validation"] == {2, 7, 12, 17}
    assert fonts["train"] == set(range(len(letters.FONTS))) - fonts["test"] - fonts["validation"]


def in_middle(picture: torch.Tensor) -> float:
    """The share of the ink in the two columns in the middle."""
    return float(picture[:, 3:5].sum() / picture.sum())


@pytest.mark.parametrize("font", letters.FONTS)
def test_a_font_has_upright_letters(font):
    """L stands on its foot, T carries its bar, E looks to the right; none is missing or another's."""
    pictures = letters.read_letters(font)[:, 0]
    assert pictures.shape == (26, 8, 8)
    assert pictures.min() == 0
    assert pictures.max() <= 1
    assert pictures.sum(dim=(1, 2)).min() > 3  # the ink of an I
    by_name = dict(zip(ALPHABET, pictures, strict=True))
    assert by_name["L"][6:].sum() > by_name["L"][:2].sum()
    assert by_name["T"][:2].sum() > by_name["T"][6:].sum()
    assert by_name["P"][:4].sum() > by_name["P"][4:].sum()
    assert in_middle(by_name["I"]) > in_middle(by_name["W"])
    flat = pictures.flatten(1)
    assert torch.cdist(flat, flat).fill_diagonal_(9).min() > 0.2


def test_an_image_shows_the_letter_and_the_font_that_it_says(monkeypatch):
    """With letters that are one grey each, brighter than a fragment of another, and paler by font."""
    grey = torch.linspace(0.8, 1, 26)[:, None, None, None].expand(-1, 1, 8, 8)
    shade = {font: 1 - 0.01 * number for number, font in enumerate(letters.FONTS)}
    monkeypatch.setattr(letters, "read_letters", lambda font: grey * shade[font])
    monkeypatch.setattr(letters, "LETTER_PARTS", {part: (256, *about[1:]) for part, about in PARTS.items()})
    for part in SMALL:
        actual = getattr(data.load("letters"), part)
        wanted = grey[actual.labels, 0, 0, 0] * (1 - 0.01 * actual.originals)
        shown = actual.pixels.float().flatten(1).topk(16).values.median(dim=1).values / 255
        assert torch.corrcoef(torch.stack([shown, wanted]))[0, 1] > 0.8


def test_letters_are_the_same_every_time_and_as_many_as_is_known(images):
    assert data.load("letters").digest == images.digest
    assert images.classes == tuple(ALPHABET)
    assert data.outline("letters") == ((1, 16, 16), 26, PARTS["train"][0])
    with pytest.raises(
        InputError, match="letters has images of 16 pixels: image_size must be 0 or 16, not 8"
    ):
        data.load("letters", image_size=8)


# --- one network that moves --------------------------------------------------------------------------------


def weights(run: Run, outputs: Path) -> dict[str, torch.Tensor]:
    return execution.load_network(run, outputs).state_dict()


def test_what_moves_is_everything_but_the_classifier(outputs):
    run = ASKED.moved(LETTERS, 0, trained=False)
    assert run.start == execution.training_run(
        DIGITS, replace(ASKED.recipe, epochs=3, lr=0.07), ASKED.source_config.data_spec, 0
    )
    execution.execute(run, outputs, "cpu")
    before, after = weights(run.start, outputs), weights(run, outputs)
    fresh = networks.build(LETTERS, loading.init_generator(LETTERS, 0)).state_dict()
    assert before.keys() == after.keys()
    for name, tensor in after.items():
        expected = fresh if name in ("classifier.weight", "classifier.bias") else before
        assert torch.equal(tensor, expected[name]), name
    assert runs.metrics(run, outputs)["recipe"] == "as it is"
    assert runs.metrics(run, outputs)["train_macs"] == 3 * 96 * DIGITS.macs


def test_it_is_trained_on_from_there(outputs, images):
    run = ASKED.baseline(1)
    network = networks.build(LETTERS, draw := loading.init_generator(LETTERS, 1))
    new = network.classifier.state_dict()
    kept = {n: t for n, t in weights(run.start, outputs).items() if not n.startswith("classifier")}
    network.load_state_dict(kept | {f"classifier.{name}": tensor.clone() for name, tensor in new.items()})
    recipe = TrainingRecipe(2, 0.04, "cosine", batch_size=32, norms="running", norm_images=64)
    list(training.Trainer(network, images, recipe, draw))
    for name, tensor in weights(run, outputs).items():
        assert torch.equal(tensor, network.state_dict()[name]), name
    assert runs.metrics(run, outputs)["train_macs"] == 3 * 96 * DIGITS.macs + 2 * 64 * LETTERS.macs


def test_moving_to_as_many_classes_draws_the_classifier_too(outputs):
    start = ASKED.moved(LETTERS, 0).start
    run = execution.moving_run(start, DIGITS, TrainingRecipe(0, batch_size=32, norms="running"), start.data)
    execution.execute(run, outputs, "cpu")
    before, after = weights(start, outputs), weights(run, outputs)
    assert {name for name in after if not torch.equal(before[name], after[name])} == {
        "classifier.weight",
        "classifier.bias",
    }


def test_another_shape_cannot_be_moved():
    start, other = ASKED.baseline(0).start, LETTERS.with_widths((1, 2, 3))
    with pytest.raises(InputError, match="has another architecture than the network that it should become"):
        execution.moving_run(start, other, TrainingRecipe(1), ASKED.data_spec)


# --- the arms of the study ---------------------------------------------------------------------------------


def test_each_arm_is_what_it_says(outputs):
    (moved, _), (moving, _) = ASKED.pruning_jobs, ASKED.moving_jobs
    assert [moved.while_moving, moving.while_moving] == [False, True]
    assert moved.run.start == ASKED.baseline(0)  # moved, then pruned
    assert moving.run.start == ASKED.moved(LETTERS, 0, trained=False)  # pruned as it moves
    # four steps of training and five rounds of one, or five rounds of two: as many in all, to the nearest
    assert (moved.run.recipe["steps"], moving.run.recipe["steps"]) == (1, 2)
    actual = ASKED.pruned_networks(outputs)
    points = {(p.curve, p.run.seed): p.run for p in budgets.budget_points(ASKED, actual)}
    assert {curve for curve, _ in points} == {"pruned-tuned", *ASKED.budgets}
    assert points["pruned-moving", 0].start == moving.run
    shape = actual[0].architecture
    assert points["pruned-scratch", 0] == execution.training_run(shape, ASKED.recipe, ASKED.data_spec, 0)
    fair = points["scratch-moved", 0]
    assert (fair.start, fair.architecture) == (ASKED.moved(shape, 0).start, shape)
    assert (fair.start.architecture.widths, fair.start.architecture.classes) == (shape.widths, 10)
    assert (fair.start.data["name"], fair.data["name"]) == ("clutter", "letters")
    assert points["lr-rewound", 0].recipe["lr"] == fair.recipe["lr"] == 0.04
    assert (points["pruned-scratch", 0].recipe["lr"], fair.start.recipe["lr"]) == (0.1, 0.07)
    family = {(p.curve, p.run.seed): p.run for p in scaling.family_points(ASKED, outputs)}
    uniform = families.uniform(LETTERS, params=round(0.97 * LETTERS.params))
    assert family["uniform-moved", 1] == ASKED.moved(uniform, 1)
    assert family["uniform", 1] == execution.training_run(uniform, ASKED.recipe, ASKED.data_spec, 1)
    every = [*points.values(), *family.values(), moved.run, moving.run]
    assert len({run.key for run in every}) == len(every)


def test_pruning_again_keeps_what_was_pruned_while_moving(outputs):
    before = runs.collect(outputs / "trial")
    runs.record_curves(outputs / "trial", [*ASKED.whole_points, *ASKED.pruning_points])
    assert runs.collect(outputs / "trial").equals(before)


def test_random_channels_have_the_weights_of_the_moved_network(outputs):
    """Before their tuning, which a rate of nothing leaves out."""
    (pruned, *_) = ASKED.pruned_networks(outputs)
    run = budgets.random_channels(replace(ASKED, finetune_lr=1e-30), pruned)
    execution.execute(run, outputs, "cpu")
    whole, cut = weights(ASKED.baseline(0), outputs), weights(run, outputs)
    torch.testing.assert_close(cut["stem.weight"], whole["stem.weight"])
    rows = {tuple(row.flatten().tolist()) for row in whole["blocks.0.conv1.weight"]}
    kept = [tuple(row.flatten().tolist()) for row in cut["blocks.0.conv1.weight"]]
    assert len(kept) == pruned.architecture.widths[0]
    assert set(kept) <= rows


def test_the_compute_on_the_source_is_counted_for_every_arm(outputs):
    source, whole = 3 * 96 * DIGITS.macs, 3 * 96 * DIGITS.macs + 2 * 64 * LETTERS.macs
    assert ASKED.whole_macs == whole
    results = runs.collect(outputs / "trial").query("seed == 0").set_index(["curve", "criterion"])
    assert results.loc[("whole", ""), "train_macs"].item() == whole
    moving = runs.removals(ASKED.moving_jobs[0].run, outputs)
    assert moving["train_macs"].iloc[0] == source + 2 * 32 * LETTERS.macs  # two steps before a removal
    (pruned, *_) = ASKED.pruned_networks(outputs)
    small = pruned.architecture
    small_source = 3 * 96 * replace(small, classes=10).macs
    expected = {
        "fine-tuned": 64 * small.macs,
        "lr-rewound": 64 * small.macs,
        "random-channels": 64 * small.macs,
        "pruned-scratch": 2 * 64 * small.macs,
        "scratch-moved": small_source + 2 * 64 * small.macs,
    }
    assert pruned.search_macs > whole
    for curve, macs in expected.items():
        row = results.loc[[(curve, "fisher")]].iloc[0]
        assert row["train_macs"] == pruned.search_macs + macs, curve
        assert row["compute_share"] == pytest.approx(macs / whole), curve
    uniform = families.uniform(LETTERS, params=round(0.97 * LETTERS.params))
    first = 3 * 96 * replace(uniform, classes=10).macs
    assert results.loc[("uniform", ""), "train_macs"].item() == 2 * 64 * uniform.macs
    assert results.loc[("uniform-moved", ""), "train_macs"].item() == first + 2 * 64 * uniform.macs


def test_scratch_b_has_the_compute_of_both_data_sets(outputs):
    (pruned, *_) = ASKED.pruned_networks(outputs)
    worth = ASKED.whole_macs // (64 * LETTERS.macs)  # in epochs of the whole network on the letters
    assert worth > ASKED.epochs
    wanted = worth * LETTERS.macs // pruned.macs
    assert budgets.scratch_b(ASKED, pruned).recipe["epochs"] == wanted
    alone = replace(ASKED, source_data="", budgets=[])
    assert budgets.scratch_b(alone, pruned).recipe["epochs"] == 2 * LETTERS.macs // pruned.macs


def test_a_study_without_a_source_describes_the_runs_that_it_always_did():
    alone = replace(ASKED, source_data="", budgets=[])
    assert alone.baseline(0) == execution.training_run(LETTERS, ASKED.recipe, ASKED.data_spec, 0)
    assert (
        replace(alone, source_images=7, source_epochs=9, move_lr=1.0).baseline(0).key == alone.baseline(0).key
    )
    assert [job.criterion for job in alone.pruning_jobs] == ["fisher", "fisher"]


def test_all_runs_of_the_study_are_listed_with_those_before_the_move(outputs):
    purposes = inventory.runs_by_purpose(ASKED, outputs)
    starts = {run.key for run in purposes["before they move"]}
    assert {ASKED.baseline(seed).start.key for seed in ASKED.seeds} < starts
    alone = replace(ASKED, source_data="", budgets=[], curves=[])
    assert "before they move" not in inventory.runs_by_purpose(alone, outputs)


def test_the_card_of_a_moved_network_names_both_data_sets(outputs, tmp_path):
    study = outputs / "trial"
    runs.write_tables(study, results=runs.collect(study))
    actual = runs.find_network(study, "uniform-moved", seed=0)
    exported.export(actual, tmp_path / "moved")
    card = (tmp_path / "moved" / "README.md").read_text()
    assert "- trained from scratch on clutter: 3 epochs" in card
    assert "- moved to letters, with a new classifier: 2 epochs" in card


def test_what_a_network_selects_moves_too(tmp_path):
    asked = replace(ASKED, network="densenet-13-4", budgets=[])
    small = asked.whole.with_widths(tuple(n - 1 for n in asked.whole.widths))
    pairs = zip(small.widths, small.selects, strict=True)
    last = [list(range(most - n, most)) if most else [] for n, most in pairs]
    run = asked.moved(small, 0, last, trained=False)
    execution.execute(run, tmp_path, "cpu")
    moved = weights(run, tmp_path)
    actual = [tensor.tolist() for name, tensor in moved.items() if name.endswith("index")]
    assert sorted(actual) == sorted(filter(None, last))


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"source_data": "letters"},
            "source_data=letters is the data set itself: networks move from another",
        ),
        ({"source_data": "nowhere"}, "source_data: unknown data set 'nowhere': choose from clutter, "),
        (
            {"source_data": "cifar10"},
            "source_data=cifar10 has images of 3 x 32 x 32, but letters of 1 x 16 x 16",
        ),
        ({"pretrained": __file__}, "source_data and pretrained both say how the whole network begins"),
        ({"network": "torchvision:resnet18"}, "source_data=clutter: only built-in networks are moved"),
        ({"budgets": ["weights-rewound"]}, "the budget weights-rewound is for networks trained from scratch"),
        (
            {"criterion": "slimming", "strengths": {"slimming": 0.1}, "ratios": [0.2], "rounds": 1},
            "slimming needs a network trained with the penalty slimming",
        ),
        ({"source_images": 16}, "batch_size is 32, but there are only 16 training images"),
        ({"source_data": ""}, "pruned-moving needs source_data: the data set that networks are moved from"),
        ({"source_data": "", "budgets": []}, "uniform-moved needs source_data"),
    ],
)
def test_what_cannot_be_moved_is_refused_in_one_line(change, said):
    values = {name: about["default"] for name, about in all_parameters().items()}
    values |= {name: getattr(ASKED, name) for name in values if hasattr(ASKED, name)}
    values |= {"base_epoch_factors": [1], "oracle_criteria": [], "device": "cpu"}
    validation.check(values)
    with pytest.raises(InputError, match=said) as error:
        validation.check(values | change)
    assert "\n" not in str(error.value)
