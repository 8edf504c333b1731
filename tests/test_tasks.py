"""Every kind of run: what its files hold, and what its metrics say, by other means."""

import math
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor

from horticulture import architecture, data, execution, networks, runs, training
from horticulture.errors import InputError
from horticulture.execution import OracleConfig, loading
from horticulture.networks import Network
from horticulture.pruning import PruningRecipe, compression, criteria, oracle, unstructured
from horticulture.runs import CurvePoint, Run
from horticulture.training import TrainingRecipe, evaluation, penalties

CLUTTER_IMAGES = (96, 64, 48)  # to train on, to validate, to test: little time goes into evaluations
pytestmark = pytest.mark.usefixtures("little_clutter")
CLUTTER = {"name": "clutter", "images": 96}
COMMON = {"lr": 0.05, "schedule": "constant", "batch_size": 32, "precision": "float32"}
WRN = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
DEEPER = architecture.named("preresnet-20-4", image=(1, 16, 16), classes=10)
LISTENING = ("fisher", "taylor", "l1", "random")

# At this rate the factors come so far apart that over a range of strengths some are 0 and others are not.
FACTORED = {**COMMON, "lr": 0.3}
BASE = execution.training_run(WRN, TrainingRecipe(2, **COMMON), CLUTTER, 3)
BLOCKS = execution.training_run(
    DEEPER, TrainingRecipe(4, **FACTORED, penalty="blocks", strength=0.06), CLUTTER, 3
)
GROUPS = execution.training_run(
    WRN, TrainingRecipe(4, **FACTORED, penalty="groups", strength=0.055), CLUTTER, 3
)
SLIM = execution.training_run(WRN, TrainingRecipe(2, **COMMON, penalty="slimming", strength=0.1), CLUTTER, 3)
PLAN = {"rounds": 1, "steps": 1, "lr": 0.01, "batch_size": 32, "precision": "float32"}
SPARSE = execution.pruning_run(BASE, PruningRecipe(**PLAN, criterion="magnitude", ratio=0.8))
TUNED = execution.finetuning_run(SPARSE, 1, WRN, TrainingRecipe(3, **COMMON), "kept")
PACKED = execution.compression_run(TUNED, TrainingRecipe(1, **COMMON), bits=3)
JUDGED = execution.oracle_run(
    BASE, OracleConfig(LISTENING, channels=20, steps=2, batch_size=32, precision="float32")
)
EVERY = (BASE, BLOCKS, GROUPS, SLIM, SPARSE, TUNED, PACKED, JUDGED)


@pytest.fixture(scope="module")
def images(little_clutter) -> data.Dataset:
    return data.load("clutter", images=96)


@pytest.fixture(scope="module")
def outputs(little_clutter, tmp_path_factory) -> Path:
    outputs = tmp_path_factory.mktemp("outputs")
    for run in EVERY:
        execution.execute(run, outputs, "cpu")
    return outputs


def metrics(run: Run, outputs: Path) -> dict:
    actual = runs.result(run, outputs)
    assert actual is not None
    return actual["metrics"]


def logits(network: Network, images: data.Dataset) -> Tensor:
    with torch.no_grad():
        return network.eval()(images.normalise(images.test.pixels))


# --- train -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [BLOCKS, GROUPS, SLIM], ids=lambda run: run.recipe["penalty"])
def test_the_saved_network_computes_what_the_one_with_factors_did(outputs, images, run):
    recipe = TrainingRecipe(**run.recipe)
    generator = loading.init_generator(run.architecture, run.seed)
    network = networks.build(run.architecture, generator).to_device(torch.device("cpu"))
    with penalties.make(network, recipe.penalty, recipe.strength) as penalty:
        list(training.Trainer(network, images, recipe, generator, callback=penalty))
        running = logits(network, images)
        evaluation.estimate_norms(network, images, 512)
        expected = logits(network, images)  # the factors are still at work
        state = penalty.state_dict()
    plain = logits(network, images)  # and now they are not
    saved = execution.load_network(run, outputs)
    actual = logits(saved, images)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(actual, running, rtol=1e-2, atol=1e-3)  # it was measured as it was saved
    assert execution.measure_error(saved, images, "test") == metrics(run, outputs)["test_error"]
    factors = metrics(run, outputs).get("factors")
    if run is SLIM:
        assert factors is None
        return
    assert not torch.allclose(actual, plain, rtol=1e-2, atol=1e-3)
    flat = factors if run is BLOCKS else [factor for group in factors for factor in group]
    assert flat == pytest.approx(state["factors"].tolist())
    assert 0 < sum(factor == 0 for factor in flat) < len(flat)
    shape = [len(DEEPER.blocks)] if run is BLOCKS else list(WRN.widths)
    assert [len(factors)] if run is BLOCKS else [len(group) for group in factors] == shape


def test_what_has_a_factor_of_nothing_goes_at_one_stroke_and_is_not_missed(outputs, images):
    for run, criterion in ((BLOCKS, "blocks"), (GROUPS, "groups")):
        pruned = execution.pruning_run(
            run, PruningRecipe(**{**PLAN, "lr": 1e-30}, criterion=criterion, measure="zeros")
        )
        execution.execute(pruned, outputs, "cpu")
        factors = metrics(run, outputs)["factors"]
        widths = list(run.architecture.widths)
        if run is BLOCKS:
            for factor, groups in zip(factors, DEEPER.blocks, strict=True):
                for group in groups:
                    widths[group] *= factor > 0
        else:
            widths = [sum(factor > 0 for factor in group) for group in factors]
        smaller = execution.load_network(pruned, outputs)
        assert smaller.architecture.widths == tuple(widths)
        assert sum(widths) < sum(run.architecture.widths)
        whole = execution.load_network(run, outputs)
        # tuned at a rate of nothing, and its statistics are those of the same images
        torch.testing.assert_close(logits(smaller, images), logits(whole, images), rtol=1e-3, atol=1e-4)
        removed = runs.removals(pruned, outputs)
        assert len(removed) == 1 + sum(run.architecture.widths) - sum(widths)
        assert (removed["saliency"].dropna() == 0).all()


def test_a_criterion_that_is_told_needs_a_base_that_tells():
    for criterion in ("blocks", "groups", "slimming"):
        with pytest.raises(InputError, match=f"{criterion} needs a network trained with the penalty"):
            execution.pruning_run(BASE, PruningRecipe(**PLAN, criterion=criterion, ratio=0.1))
    vgg = architecture.named("vgg-8-8", image=(1, 16, 16), classes=10)
    with pytest.raises(InputError, match="no blocks that can be removed"):
        execution.training_run(vgg, TrainingRecipe(1, penalty="blocks", strength=1.0), CLUTTER, 0)


@pytest.mark.parametrize(("run", "epochs"), [(BASE, 2), (BLOCKS, 4), (TUNED, 3), (PACKED, 1)], ids=str)
def test_the_forward_macs_of_training_by_hand(outputs, run, epochs):
    before = 3 * 96 * WRN.macs if run is PACKED else 0  # the tuning that it goes on from
    assert metrics(run, outputs)["train_macs"] == before + epochs * 96 * run.architecture.macs
    frame = pd.read_csv(runs.folder(run, outputs) / "epochs.csv")
    assert frame["epoch"].tolist() == list(range(1, epochs + 1))
    assert frame["images"].tolist() == [96 * epoch for epoch in range(1, epochs + 1)]
    said = f"{epochs} epoch{'s' if epochs > 1 else ''}, constant {run.recipe['lr']:g}, batch 32"
    assert metrics(run, outputs)["recipe"] == said


# --- single weights: tune and compress -------------------------------------------------------------------


def gone(network: Network) -> dict[str, Tensor]:
    return {
        f"{name}.weight": module.weight == 0
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Conv2d)
    }


@pytest.mark.parametrize("run", [TUNED, PACKED], ids=lambda run: run.kind)
def test_what_was_removed_stays_removed(outputs, run):
    first, network = gone(execution.load_network(SPARSE, outputs)), execution.load_network(run, outputs)
    actual = gone(network)
    assert first.keys() == actual.keys()
    assert all(torch.equal(actual[name], mask) for name, mask in first.items())
    removed = sum(int(mask.sum()) for mask in actual.values())
    assert removed == round(0.8 * sum(mask.numel() for mask in actual.values()))
    assert metrics(run, outputs)["params"] == WRN.params - removed
    before = dict(execution.load_network(SPARSE, outputs).named_parameters())
    assert all(not torch.equal(weight, before[name]) for name, weight in network.named_parameters())


def test_a_compressed_network_is_what_its_file_says(outputs, images):
    packed = (runs.folder(PACKED, outputs) / "network.hortpack").read_bytes()
    assert metrics(PACKED, outputs)["bytes"] == len(packed)
    assert metrics(PACKED, outputs)["stages"]["huffman"] == len(packed)
    stages = list(metrics(PACKED, outputs)["stages"].values())
    assert stages == sorted(stages, reverse=True)
    other = networks.build(WRN, torch.Generator().manual_seed(99))
    compression.decode(packed, other)
    saved = execution.load_network(PACKED, outputs)
    assert all(torch.equal(t, saved.state_dict()[name]) for name, t in other.state_dict().items())
    distinct = [
        len(weight[weight != 0].unique()) for name, weight in saved.named_parameters() if weight.dim() == 4
    ]
    assert max(distinct) <= 2**3
    assert min(distinct) > 1
    assert execution.measure_error(saved, images, "test", "float32") == metrics(PACKED, outputs)["test_error"]
    wrong = (logits(saved, images).argmax(dim=1) != images.test.labels).float().mean().item()
    assert metrics(PACKED, outputs)["test_error"] == pytest.approx(100 * wrong, abs=1e-4)


@pytest.mark.parametrize("bits", [0, 17])
def test_codes_of_so_many_bits_are_refused(bits):
    with pytest.raises(InputError, match="bits must be 1 to 16"):
        execution.compression_run(TUNED, TrainingRecipe(1), bits)
    with pytest.raises(InputError, match="bits must be 1 to 16"):
        execution.compression_run(TUNED, TrainingRecipe(1), 4, index_bits=bits)


def test_weights_to_begin_with_are_refused_by_name():
    with pytest.raises(InputError, match="'keep': choose from kept, rewound, sliced, random, fresh"):
        execution.finetuning_run(SPARSE, 1, WRN, TrainingRecipe(1), "keep")


# --- judge -----------------------------------------------------------------------------------------------


def losses(network: Network, images: data.Dataset) -> Tensor:
    """Of each validation image, with statistics of all training images that torch counts by itself."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over what was seen
    with torch.no_grad():
        network.train()(images.normalise(images.train.pixels))
        actual = network.eval()(images.normalise(images.validation.pixels))
    return torch.nn.functional.cross_entropy(actual, images.validation.labels, reduction="none")


def test_a_judgement_is_the_truth_beside_what_every_criterion_says(outputs, images):
    frame = pd.read_csv(runs.folder(JUDGED, outputs) / "judged.csv")
    assert list(frame.columns) == ["group", "channel", "rise", "first", "second", *LISTENING]
    network = execution.load_network(BASE, outputs)
    places = list(zip(frame["group"], frame["channel"], strict=True))
    assert places == oracle.sample_channels(network, 20, JUDGED.seed)
    before = losses(network, images)
    count = len(images.validation)
    halves = torch.arange(count) % 2 == 0, torch.arange(count) % 2 == 1
    for (group, channel), row in zip(places, frame.itertuples(), strict=True):
        silenced = execution.load_network(BASE, outputs)
        silenced.groups[group].norm.weight.data[channel] = 0
        silenced.groups[group].norm.bias.data[channel] = 0
        rises = losses(silenced, images) - before
        assert row.rise == pytest.approx(rises.mean().item(), abs=2e-6)
        actual = [rises[half].mean().item() for half in halves]
        assert [row.first, row.second] == pytest.approx(actual, abs=2e-6)
    size = [criteria.l1(group.producer.weight.detach()) for group in network.groups]
    assert frame["l1"].tolist() == pytest.approx([size[g][c].item() for g, c in places], rel=1e-6)


def spearman(frame: pd.DataFrame, one: str, other: str, scope: str) -> float:
    """Of all channels, or the mean of those of each group, weighted by their number."""
    if scope == "global":
        return stats.spearmanr(frame[one], frame[other]).statistic
    parts = [part for _, part in frame.groupby("group") if len(part) >= 3]
    each = [stats.spearmanr(part[one], part[other]).statistic for part in parts]
    return sum(len(part) * r for part, r in zip(parts, each, strict=True)) / sum(map(len, parts))


def test_the_correlations_are_spearmans_of_what_is_compared(outputs):
    """L1 is compared within layers. What a perfect criterion would reach follows from two halves."""
    frame = pd.read_csv(runs.folder(JUDGED, outputs) / "judged.csv")
    actual, ceilings = (metrics(JUDGED, outputs)[name] for name in ("correlations", "ceilings"))
    assert list(actual) == list(ceilings) == list(LISTENING)
    for name in LISTENING:
        scope = "layer" if name == "l1" else "global"
        assert actual[name] == pytest.approx(spearman(frame, "rise", name, scope))
        half = spearman(frame, "first", "second", scope)
        assert ceilings[name] == pytest.approx(math.sqrt(2 * half / (1 + half)) if half > 0 else 0)
    assert len(set(actual.values())) == len(LISTENING)
    assert ceilings["l1"] != ceilings["fisher"] == ceilings["random"]


@pytest.mark.parametrize("name", ["blocks", "groups", "magnitude"])
def test_what_cannot_be_judged_channel_by_channel_is_refused(name):
    with pytest.raises(InputError, match=f"{name} does not score single channels"):
        OracleConfig(("fisher", name))
    with pytest.raises(InputError, match="unknown criterion 'fischer'"):
        OracleConfig(("fischer",))
    with pytest.raises(InputError, match="channels must be positive"):
        OracleConfig(("fisher",), channels=0)


# --- rows and files --------------------------------------------------------------------------------------


def test_each_kind_has_its_row(outputs):
    members = [
        *(CurvePoint("whole", run, run.recipe["penalty"]) for run in (BASE, BLOCKS, GROUPS, SLIM)),
        CurvePoint("pruned-tuned", SPARSE, "magnitude", ratio=0.8),
        CurvePoint("sparse-fine-tuned", TUNED, "magnitude", 1, 1000, 0.8),
        CurvePoint("sparse-compressed", PACKED, "magnitude", 1, 1000, 0.8),
    ]
    runs.record_curves(outputs / "study", members)
    frame = runs.collect(outputs / "study")
    remaining = WRN.params - round(
        0.8 * sum(w.numel() for w in unstructured.weights(networks.build(WRN)).values())
    )
    actual = {(row.curve, row.criterion): row for row in frame[frame["round"].fillna(1) != 0].itertuples()}
    assert actual.keys() == {(member.curve, member.criterion) for member in members}
    for (curve, _), row in actual.items():
        pruned = curve != "whole"
        assert row.params == (
            remaining if pruned else WRN.params if row.family == "wide_resnet" else DEEPER.params
        )
        assert row.macs == (DEEPER.macs if row.family == "preresnet" else WRN.macs)
        assert row.ratio == 0.8 if pruned else math.isnan(row.ratio)
        assert row.bytes == metrics(PACKED, outputs)["bytes"] if "compressed" in curve else pd.isna(row.bytes)
    tuned = actual["sparse-fine-tuned", "magnitude"].train_macs
    assert tuned == 1000 + 3 * 96 * WRN.macs
    assert actual["sparse-compressed", "magnitude"].train_macs == tuned + 96 * WRN.macs
    assert actual["pruned-tuned", "magnitude"].train_macs == (2 * 96 + 2 * 32) * WRN.macs


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (PACKED, "network.hortpack"),
        (PACKED, "weights.safetensors"),
        (JUDGED, "judged.csv"),
        (TUNED, "epochs.csv"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_a_damaged_file_is_noticed_and_made_again(outputs, tmp_path, run, name):
    other = tmp_path / "outputs"
    shutil.copytree(outputs, other)
    path = runs.folder(run, other) / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.warns(UserWarning, match=rf"{name} is damaged; it was set aside in {run.key}.damaged-1"):
        execution.execute(run, other, "cpu")
    again, first = metrics(run, other), metrics(run, outputs)
    assert {**again, "seconds": 0} == {**first, "seconds": 0}
    assert (other / "runs" / f"{run.key}.damaged-1" / name).exists()
    if name != "epochs.csv":  # which says how long it took
        assert path.read_bytes() == whole
