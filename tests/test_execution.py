"""From a description to its result: made once, whole, and the same bits wherever it is made."""

import json
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from horticulture import architecture, data, execution, pruning, runs, training
from horticulture.architecture import Architecture
from horticulture.errors import InputError
from horticulture.execution import loading
from horticulture.execution.run_context import Report
from horticulture.pruning import PruningRecipe, criteria
from horticulture.runs import Run
from horticulture.study import validation
from horticulture.training import TrainingRecipe

CLUTTER_IMAGES = (512, 96, 160)  # to train on, to validate, to test: little time goes into evaluations
pytestmark = pytest.mark.usefixtures("little_clutter")
SHAPE = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
CLUTTER = {"name": "clutter", "images": 256}
BASE = execution.training_run(
    SHAPE, TrainingRecipe(epochs=1, batch_size=60, precision="float32"), CLUTTER, seed=3
)
CUT = execution.pruning_run(BASE, PruningRecipe(rounds=3, steps=2, batch_size=32, precision="float32"))


@pytest.fixture(scope="module")
def outputs(little_clutter, tmp_path_factory) -> Path:
    """A pruning, and with it the training that it starts from."""
    outputs = tmp_path_factory.mktemp("outputs")
    execution.execute(CUT, outputs, "cpu")
    return outputs


def metrics(run: Run, outputs: Path) -> dict:
    return runs.result(run, outputs)["metrics"]


def test_a_pruning_makes_what_it_starts_from(outputs):
    made = [path.name for path in (outputs / "runs").iterdir() if path.name != ".locks"]
    assert sorted(made) == sorted([BASE.key, CUT.key])
    assert runs.result(BASE, outputs)["key"] == BASE.key
    actual = {path.name for path in runs.folder(BASE, outputs).iterdir()}
    assert actual == {"run.json", "weights.safetensors", "epochs.csv", "answers.npz"}
    actual = {path.name for path in runs.folder(CUT, outputs).iterdir()}
    assert actual == {"run.json", "weights.safetensors", "removals.csv", "rounds", "answers.npz"}


def test_a_finished_run_is_never_made_again(outputs):
    files = [path for path in (outputs / "runs").rglob("*") if path.is_file()]
    before = {path: path.stat().st_mtime_ns for path in files}
    first = runs.result(CUT, outputs)

    def report(*_: object) -> None:
        raise AssertionError("work was done")

    assert execution.execute(CUT, outputs, "cpu", report) == first
    assert execution.execute(BASE, outputs, "cpu", report) == runs.result(BASE, outputs)
    assert {
        path: path.stat().st_mtime_ns for path in (outputs / "runs").rglob("*") if path.is_file()
    } == before


def test_a_result_says_what_fixed_it_and_where_it_was_made(outputs):
    actual = runs.result(CUT, outputs)
    assert Run.from_json(actual["run"]) == CUT
    assert actual["run"]["recipe"]["precision"] == "float32"
    assert actual["about"]["threads"] == torch.get_num_threads()
    assert set(actual["files"]) == {"weights.safetensors", "removals.csv", "answers.npz"}
    assert actual["about"]["versions"]["torch"] == version("torch")
    assert actual["metrics"]["seconds"] >= runs.removals(CUT, outputs)["seconds"].iloc[-1] > 0
    assert actual["metrics"]["recipe"] == "2 steps a round, constant 0.0008, batch 32"


@pytest.mark.parametrize("run", [BASE, CUT], ids=lambda run: run.kind)
@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_loaded_network_has_the_recorded_error(outputs, run, part):
    network = execution.load_network(run, outputs).eval()
    images = data.load("clutter", images=256)
    chosen = getattr(images, part)
    with torch.no_grad():
        wrong = (network(images.normalise(chosen.pixels)).argmax(dim=1) != chosen.labels).sum().item()
    recorded = metrics(run, outputs)["val_error" if part == "validation" else "test_error"]
    assert recorded == pytest.approx(
        100 * wrong / len(chosen), abs=200 / len(chosen)
    )  # two ties may fall otherwise
    assert recorded == execution.measure_error(network, images, part, "float32")


def test_the_forward_macs_of_all_training_by_hand(outputs):
    base = SHAPE.macs * 4 * 60  # 256 images are 4 batches of 60
    assert metrics(BASE, outputs)["train_macs"] == base
    removed = runs.removals(CUT, outputs)
    widths, spent = list(SHAPE.widths), base
    for row in removed.itertuples():
        if row.round:
            widths[row.group] -= 1
        shape = SHAPE.with_widths(tuple(widths))
        spent += 2 * 32 * shape.macs  # the steps after the removal are of the smaller network
        assert (row.params, row.macs, row.architecture) == (shape.params, shape.macs, shape.id)
        assert row.train_macs == spent
    assert len(removed) == 4
    assert metrics(CUT, outputs)["train_macs"] == spent
    assert metrics(CUT, outputs)["params"] == shape.params
    assert execution.load_network(CUT, outputs).architecture == shape


def test_what_is_recorded_is_what_the_engine_gives(outputs):
    network = execution.load_network(BASE, outputs)
    images = data.load("clutter", images=256)
    history = list(pruning.Pruner(network, images, PruningRecipe(**CUT.recipe), CUT.seed))
    removed = runs.removals(CUT, outputs)
    for name in ("round", "loss", "val_error", "test_error"):
        assert removed[name].tolist() == pytest.approx([getattr(removal, name) for removal in history]), name
    gone = [choice for removal in history[1:] for choice in removal.removed]
    assert removed[["group", "channel"]].to_numpy().tolist() == [[-1, -1], *([g, c] for g, c, _ in gone)]
    assert removed["saliency"].tolist()[1:] == pytest.approx([choice.saliency for choice in gone])
    assert metrics(CUT, outputs)["test_error"] == history[-1].test_error


def test_the_same_run_in_two_folders_has_the_same_bits(outputs, tmp_path):
    execution.execute(CUT, tmp_path, "cpu")
    for run in (BASE, CUT):
        files = (runs.folder(run, o) / "weights.safetensors" for o in (outputs, tmp_path))
        expected, actual = map(load_file, files)
        assert expected.keys() == actual.keys()
        assert all(torch.equal(tensor, actual[name]) for name, tensor in expected.items())
        mine, theirs = ({**metrics(run, o), "seconds": None} for o in (outputs, tmp_path))
        assert mine == theirs
    mine, theirs = (runs.removals(CUT, o).drop(columns="seconds") for o in (outputs, tmp_path))
    pd.testing.assert_frame_equal(mine, theirs, check_exact=True)


def test_a_run_that_was_cut_off_is_made_again(outputs, tmp_path):
    shutil.copytree(outputs, tmp_path / "outputs")
    expected = metrics(BASE, outputs)
    folder = runs.folder(BASE, tmp_path / "outputs")
    (folder / "run.json").unlink()
    (folder / "weights.safetensors").write_bytes(b"half of the wei")
    with pytest.raises(InputError, match="is not finished"):
        execution.load_network(BASE, tmp_path / "outputs")
    actual = execution.execute(BASE, tmp_path / "outputs", "cpu")["metrics"]
    assert {**actual, "seconds": 0} == {**expected, "seconds": 0}
    execution.load_network(BASE, tmp_path / "outputs")


def test_progress_is_reported_up_to_the_end(png_folder, tmp_path):
    reports = []
    execution.execute(
        execution.pruning_run(tiny(png_folder), PruningRecipe(rounds=2, steps=1, batch_size=4)),
        tmp_path,
        "cpu",
        told_to(reports),
    )
    trained = reports.index(1.0) + 1  # two epochs, then rounds 0, 1 and 2
    for shares in (reports[:trained], reports[trained:]):
        assert shares == sorted(shares)
        assert (shares[0], shares[-1]) == (0.0, 1.0)
        assert len(set(shares)) >= 4


def told_to(told: list) -> Report:
    return lambda share, note, rows: told.append(share)


def tiny(folder: Path, **recipe) -> Run:
    shape = architecture.named("wrn-10-1", image=(3, 8, 8), classes=2)
    settings = TrainingRecipe(**{"epochs": 2, "batch_size": 6, "precision": "float32", **recipe})
    return execution.training_run(shape, settings, {"name": f"folder:{folder}", "images": 0}, seed=0)


def test_a_training_that_diverges_leaves_no_result(png_folder, tmp_path):
    run = tiny(png_folder, lr=1e30)
    with pytest.raises(FloatingPointError, match="learning rate"):
        execution.execute(run, tmp_path, "cpu")
    assert runs.result(run, tmp_path) is None


def test_more_rounds_than_channels_are_refused_when_they_are_asked_for():
    with pytest.raises(InputError, match="rounds=113, but the network has 112 channels"):
        execution.pruning_run(BASE, PruningRecipe(rounds=113))


@pytest.mark.parametrize("device", ["gpu", "cpu:x", "cuda:99", ""])
def test_a_device_that_is_not_here_is_refused(device, tmp_path):
    with pytest.raises(InputError, match=rf"no device '{device}' here"):
        execution.execute(BASE, tmp_path, device)
    assert runs.result(BASE, tmp_path) is None


def test_an_unknown_kind_of_run_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"unknown kind of run 'prunes': choose from train, given, move, prune"
    ):
        execution.execute(replace(BASE, kind="prunes"), tmp_path, "cpu")


def test_a_data_set_is_read_once_and_cut_to_size(monkeypatch):
    reads = []
    load = data.load
    monkeypatch.setattr(data, "load", lambda name, **settings: reads.append(name) or load(name, **settings))
    loading.full_dataset.cache_clear()
    few, whole = execution.load_dataset("clutter", 100), execution.load_dataset("clutter")
    assert reads == ["clutter"]
    assert (len(few.train), len(whole.train)) == (100, 512)
    assert few.normalise(few.train.pixels).mean().item() == pytest.approx(0, abs=1e-5)
    with pytest.raises(InputError, match="images must be 0"):
        execution.load_dataset("clutter", -1)


# --- a study's parameters --------------------------------------------------------------------------------

PARAMETERS = {
    **{"data": "clutter", "images": 256, "network": "wrn-10-1", "device": "auto", "seeds": [0, 1]},
    **{"epochs": 2, "lr": 0.1, "schedule": "one-cycle", "batch_size": 128},
    **{"rounds": 100, "criterion": "fisher", "steps": 10, "finetune_lr": 0.001},
    **{"curves": ["width", "uniform"], "sizes": [0.1, 1], "copycat_size": 0.5},
    **{"weight_decay": 5e-4, "image_size": 0, "precision": "float32", "norms": "running", "norm_images": 2},
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": "clutterr"}, "did you mean 'clutter'"),
        ({"network": "wrn-11-1"}, "6n \\+ 4.*11"),
        ({"rounds": 113}, "rounds=113.*112 channels"),
        ({"criterion": "fischer"}, "did you mean 'fisher'"),
        ({"curves": ["with"]}, "did you mean 'width'"),
        ({"curves": ["width", "depth"]}, "no Wide ResNet shallower than 10"),
        ({"sizes": [1, 1e-4]}, "no member of the family is as small as 8:"),
        (
            {"curves": ["transferred"], "guide_network": "vgg-8-8"},
            "a profile of 5 stages does not fit a network of 3",
        ),
        ({"device": "gpu"}, "unknown device 'gpu'"),
    ],
)
def test_a_study_that_would_fail_later_is_refused_before_it_begins(change, said):
    validation.check(PARAMETERS)
    with pytest.raises(InputError, match=said):
        validation.check({**PARAMETERS, **change})


def test_a_depth_is_refused_only_where_there_is_none():
    validation.check({**PARAMETERS, "network": "wrn-16-1", "curves": ["depth"]})
    validation.check({**PARAMETERS, "curves": ["depth"], "sizes": [1]})
    validation.check({**PARAMETERS, "curves": ["transferred"], "guide_network": "wrn-16-1"})


# --- where a training run begins -------------------------------------------------------------------------


def begins_with(shape: Architecture, folder: Path, outputs: Path, seed: int = 0) -> dict[str, torch.Tensor]:
    """The weights at the beginning of a real training: its steps are so small that they leave them alone."""
    recipe = TrainingRecipe(epochs=1, batch_size=6, lr=1e-30, precision="float32")
    run = execution.training_run(shape, recipe, {"name": f"folder:{folder}", "images": 0}, seed)
    execution.execute(run, outputs, "cpu")
    state = execution.load_network(run, outputs).state_dict()
    return {name: weight for name, weight in state.items() if weight.dim() > 1}


def test_a_pruned_shape_does_not_begin_with_the_whole_networks_weights(png_folder, tmp_path):
    """With the seed alone it would, in every layer up to the first narrower one."""
    whole = architecture.named("wrn-10-1", image=(3, 8, 8), classes=2)
    pruned = whole.with_widths((16, 32, 9))
    first, narrower = (begins_with(shape, png_folder, tmp_path) for shape in (whole, pruned))
    alike = [name for name, weight in narrower.items() if weight.shape == first[name].shape]
    assert {"stem.weight", "blocks.0.conv1.weight", "blocks.1.conv2.weight"} < set(alike)
    for name in alike:
        assert (narrower[name] == first[name]).sum() == 0, name


def test_the_base_itself_begins_with_the_same_weights_every_time(png_folder, tmp_path):
    whole = architecture.named("wrn-10-1", image=(3, 8, 8), classes=2)
    first, again = (begins_with(whole, png_folder, tmp_path / place) for place in ("here", "there"))
    other = begins_with(whole, png_folder, tmp_path / "here", seed=1)
    described = loading.initial_network(tiny(png_folder), 0).state_dict()  # what is rewound to
    for name, weight in first.items():
        assert torch.equal(weight, again[name])
        assert torch.equal(weight, described[name])
        assert not torch.equal(weight, other[name])


def test_data_that_changed_since_it_was_described_is_refused(tmp_path):
    described = replace(BASE, data={**execution.describe_data("clutter", 256), "digest": "000000000000"})
    with pytest.raises(InputError, match="clutter has changed since train"):
        execution.execute(described, tmp_path, "cpu")


def test_a_digest_is_of_every_pixel_and_label():
    whole = execution.load_dataset("clutter")
    pixels = whole.test.pixels.clone()
    pixels[-1, 0, 0, 0] ^= 1
    changed = replace(whole, test=data.Images(pixels, whole.test.labels))
    assert execution.describe_data("clutter")["digest"] == whole.digest != changed.digest


def test_a_rate_of_one_is_the_same_recipe_however_it_is_written():
    assert json.dumps(TrainingRecipe(epochs=1, lr=1).to_json()) == json.dumps(
        TrainingRecipe(epochs=1, lr=1.0).to_json()
    )


# --- code that is not ours -------------------------------------------------------------------------------


def by_size(power: int):
    """A criterion as somebody types it into a notebook."""

    def score(group) -> torch.Tensor:
        return group.filters().detach().abs().pow(power).sum(dim=(1, 2, 3))

    return criteria.Criterion("The size of the filters.", from_weights=score)


def test_an_edited_criterion_makes_a_run_of_its_own(monkeypatch, outputs):
    """Under the old key its numbers would be those of the body before."""
    keys = []
    for power in (1, 2, 1):
        monkeypatch.setitem(criteria.CRITERIA, "mine", by_size(power))
        run = execution.pruning_run(BASE, PruningRecipe(rounds=1, criterion="mine"))
        assert set(run.recipe["code"]) <= set("0123456789abcdef")
        assert PruningRecipe.from_json(run.recipe) == PruningRecipe(
            rounds=1, criterion="mine"
        )  # the code is no field of it
        keys.append(run.key)
    assert keys[0] == keys[2] != keys[1]
    monkeypatch.setitem(criteria.CRITERIA, "l1", by_size(2))  # one of ours, replaced
    assert execution.pruning_run(BASE, PruningRecipe(rounds=1, criterion="l1")).recipe["code"]


def test_an_edited_criterion_is_judged_anew(monkeypatch):
    ours = execution.oracle_run(BASE, execution.OracleConfig(("fisher", "l1")))
    keys = []
    for power in (1, 2, 1):
        monkeypatch.setitem(criteria.CRITERIA, "mine", by_size(power))
        run = execution.oracle_run(BASE, execution.OracleConfig(("fisher", "l1", "mine")))
        assert list(run.recipe["codes"]) == ["mine"]
        keys.append(run.key)
    assert keys[0] == keys[2] != keys[1]
    assert execution.oracle_run(BASE, execution.OracleConfig(("fisher", "l1"))) == ours
    assert "codes" not in ours.recipe
    monkeypatch.setitem(criteria.CRITERIA, "l1", by_size(2))
    assert list(execution.oracle_run(BASE, execution.OracleConfig(("fisher", "l1"))).recipe["codes"]) == [
        "l1"
    ]


def test_an_edited_schedule_or_penalty_does_too(monkeypatch):
    recipe = TrainingRecipe(epochs=1, batch_size=60)
    monkeypatch.setitem(training.SCHEDULES, "mine", lambda done: 1 - done)
    first = execution.training_run(SHAPE, replace(recipe, schedule="mine"), CLUTTER, 0)
    monkeypatch.setitem(training.SCHEDULES, "mine", lambda done: (1 - done) ** 2)
    two = execution.training_run(SHAPE, replace(recipe, schedule="mine"), CLUTTER, 0)
    assert first.recipe["code"] != two.recipe["code"]
    assert first.key != two.key
    mine, code = replace(recipe, schedule="mine"), two.recipe["code"]
    assert execution.finetuning_run(CUT, 3, SHAPE, mine).recipe["code"] == code
    assert execution.compression_run(BASE, mine, 4).recipe["code"] == code


def test_of_what_is_ours_no_code_is_in_the_description():
    for name, criterion in criteria.CRITERIA.items():
        penalty = {"penalty": criterion.penalty, "strength": 0.1} if criterion.penalty != "none" else {}
        base = execution.training_run(SHAPE, TrainingRecipe(epochs=1, batch_size=60, **penalty), CLUTTER, 0)
        assert "code" not in base.recipe
        assert (
            "code"
            not in execution.pruning_run(base, PruningRecipe(rounds=1, criterion=name, ratio=0.1)).recipe
        )
    for schedule in training.SCHEDULES:
        assert (
            "code"
            not in execution.training_run(
                SHAPE, TrainingRecipe(epochs=1, schedule=schedule), CLUTTER, 0
            ).recipe
        )
