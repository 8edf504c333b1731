"""Pretrained weights replace the training of the whole network; what is unknown is not made up."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from horticulture import architecture, execution, networks, runs
from horticulture.analysis import tables
from horticulture.errors import InputError
from horticulture.execution import parallel, pretrained
from horticulture.pruning import PruningRecipe
from horticulture.runs import CurvePoint
from horticulture.study import validation
from horticulture.study.config import StudyConfig
from horticulture.study.parameters import all_parameters
from horticulture.training import TrainingRecipe

CLUTTER_IMAGES = (96, 32, 32)
pytestmark = pytest.mark.usefixtures("little_clutter")
SHAPE = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
SOURCE = {"name": "clutter", "images": 96}
RECIPE = TrainingRecipe(3, 0.1, batch_size=32, norms="running")


@pytest.fixture
def weights():
    return networks.build(SHAPE, torch.Generator().manual_seed(7)).state_dict()


@pytest.fixture
def file(tmp_path, weights) -> str:
    save_file(weights, tmp_path / "mine.safetensors")
    return str(tmp_path / "mine.safetensors")


def test_it_is_measured_and_pruned_as_it_is(file, weights, tmp_path):
    base = execution.pretrained_run(SHAPE, file, RECIPE, SOURCE, 0)
    pruned = execution.pruning_run(base, PruningRecipe(2, "l1", steps=1, batch_size=32))
    parallel.execute_all([pruned], tmp_path, workers=1, device="cpu")
    for name, tensor in execution.load_network(base, tmp_path).state_dict().items():
        assert torch.equal(tensor, weights[name]), name
    actual = runs.metrics(base, tmp_path)
    assert (actual["recipe"], actual["train_macs"]) == ("given weights", 0)
    assert execution.load_network(pruned, tmp_path).architecture.params < SHAPE.params
    study = tmp_path / "study"
    runs.record_curves(study, [CurvePoint("whole", base), CurvePoint("pruned-tuned", pruned, "l1")])
    results = runs.collect(study)
    assert results["compute_share"].isna().all()
    (said,) = [note for note in tables.notes(results) if "pretrained" in note]
    assert said.startswith("The whole network is pretrained: how it was trained")


def test_a_key_holds_what_is_in_the_file_and_not_where_it_lies(file, weights, tmp_path):
    other_place = tmp_path / "there"
    other_place.mkdir()
    save_file(weights, other_place / "other.safetensors")
    keys = [
        execution.pretrained_run(SHAPE, str(place), RECIPE, SOURCE, 0).key
        for place in (file, other_place / "other.safetensors")
    ]
    assert keys[0] == keys[1]
    assert execution.pretrained_run(SHAPE, file, replace(RECIPE, epochs=9, lr=0.3), SOURCE, 0).key == keys[0]
    save_file({name: tensor + 1 for name, tensor in weights.items()}, file)
    run = execution.pretrained_run(SHAPE, file, RECIPE, SOURCE, 0)
    assert run.key != keys[0]
    save_file(weights, file)
    with pytest.raises(InputError, match=r"mine.safetensors has changed since given .* was described"):
        execution.execute(run, tmp_path, "cpu")


def test_state_dicts_of_torch_are_read_and_no_code_in_them(weights, tmp_path):
    count = {name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}
    for number, content in enumerate(
        (weights, {"epoch": 3, "state_dict": {f"module.{name}": t for name, t in count.items()}})
    ):
        torch.save(content, tmp_path / f"{number}.pth")
        network = pretrained.network(SHAPE, str(tmp_path / f"{number}.pth"))
        assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())
    torch.save(networks.build(SHAPE), tmp_path / "whole.pth")  # a pickled module: code
    with pytest.raises(InputError, match=r"whole.pth is damaged, or has more in it than tensors, .*: save"):
        pretrained.network(SHAPE, str(tmp_path / "whole.pth"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("head.weight", w.pop(next(iter(w)))), " is missing"),
        (lambda w: w.update(more=torch.ones(1)), "the network has no more"),
        (lambda w: w.update({max(w): torch.ones(3)}), r"has shape \(3,\), not "),
        (lambda w: w.update({max(w, key=len): torch.full_like(w[max(w, key=len)], np.nan)}), "is not finite"),
    ],
)
def test_other_weights_are_refused_in_one_line(change, said, weights, tmp_path):
    weights = {name: tensor for name, tensor in weights.items() if tensor.is_floating_point()}
    change(weights)
    save_file(weights, tmp_path / "mine.safetensors")
    with pytest.raises(InputError, match=f"the weights of mine.safetensors do not fit the network: .*{said}"):
        pretrained.network(SHAPE, str(tmp_path / "mine.safetensors"))


def test_weights_for_other_classes_are_refused_with_what_to_do(tmp_path):
    """Those of ImageNet, for example."""
    shape, other = (networks.named("torchvision:resnet18", image=(3, 32, 32), classes=n) for n in (10, 1000))
    save_file(networks.build(other).module.state_dict(), tmp_path / "mine.safetensors")
    with pytest.raises(InputError) as refused:
        pretrained.network(shape, str(tmp_path / "mine.safetensors"))
    assert str(refused.value) == (
        "the weights of mine.safetensors do not fit the network: fc.weight has shape (1000, 512), not "
        "(10, 512) and 1 more; replace the classifier by one for your 10 classes and train it first"
    )


def test_weights_of_somebodys_own_network_have_its_names(tmp_path):
    (tmp_path / "models.py").write_text(
        "from torch import nn\n\ndef make(image, classes):\n    return nn.Sequential("
        "nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))\n"
    )
    shape = networks.named(f"{tmp_path}/models.py:make", image=(1, 16, 16), classes=10)
    weights = {
        name: torch.ones_like(tensor) for name, tensor in networks.build(shape).module.state_dict().items()
    }
    save_file(weights, tmp_path / "mine.safetensors")
    network = pretrained.network(shape, str(tmp_path / "mine.safetensors"))
    assert (network.module[0].weight == 1).all()


def test_a_file_that_is_larger_than_the_memory_or_no_file_is_refused_unread(tmp_path):
    huge, pipe = tmp_path / "huge.pt", tmp_path / "pipe.pt"
    huge.touch()
    os.truncate(huge, 1 << 42)  # it takes no room
    os.mkfifo(pipe)
    with pytest.raises(InputError, match=r"huge\.pt has 4,398,046,511,104 bytes, more than the memory here"):
        pretrained.digest(str(huge))
    with pytest.raises(InputError, match=r"pipe\.pt is not a regular file"):
        pretrained.digest(str(pipe))


def test_what_asks_for_its_training_is_refused_by_name(file):
    values = {name: about["default"] for name, about in all_parameters().items()}
    values |= {"network": "wrn-10-1", "pretrained": file, "images": 96, "batch_size": 32, "rounds": 2}
    values |= {"base_epoch_factors": [1], "precision": "float32", "device": "cpu"}
    validation.check(values)
    config = StudyConfig.of(values)
    assert {run.kind for run in config.baselines} == {"given"}
    assert config.recipe.epochs == values["epochs"]  # of networks from scratch
    for more, said in (
        ({"base_epoch_factors": [1, 2]}, "pretrained, so it cannot be trained longer; use .1."),
        (
            {"criterion": "slimming", "ratios": [0.2], "rounds": 1},
            "slimming needs a network trained with the penalty slimming",
        ),
        ({"budgets": ["scratch-b"]}, "the budget scratch-b depends on how .*mine.safetensors was trained"),
        ({"budgets": ["weights-rewound"]}, "the budget weights-rewound depends on how"),
        ({"pretrained": "none.safetensors"}, "no weights file none.safetensors"),
        ({"network": "wrn-10-2"}, "the weights of mine.safetensors do not fit the network"),
    ):
        with pytest.raises(InputError, match=said):
            validation.check(values | more)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file of Linux")
def test_weights_that_the_system_cannot_read_are_named():
    with pytest.raises(InputError, match="weights file /proc/self/mem cannot be read: Input/output error"):
        pretrained.digest("/proc/self/mem")
