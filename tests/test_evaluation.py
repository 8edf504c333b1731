"""Measuring a network: norm statistics by an independent calculation, precision, and nothing left behind."""

import copy
import hashlib
import os
import platform
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from horticulture import architecture, data, execution, networks, runs
from horticulture.errors import InputError
from horticulture.execution import loading
from horticulture.pruning import Pruner, PruningRecipe
from horticulture.training import Trainer, TrainingRecipe, evaluation, hardware
from horticulture.training.recipe import NORMS

RECIPE = TrainingRecipe(epochs=2, batch_size=10)


@pytest.fixture
def network(tiny, images, generator):
    """Trained a little, so that its running statistics are of several sets of weights."""
    network = networks.build(tiny, generator)
    list(Trainer(network, images, RECIPE, generator))
    return network


def statistics(network) -> dict[str, torch.Tensor]:
    names = ("running_mean", "running_var", "num_batches_tracked")
    return {name: t.clone() for name, t in network.state_dict().items() if name.endswith(names)}


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(t, other[name]) for name, t in one.items())


# --- norm statistics -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 10, 40, 999])  # of 40 images
def test_the_statistics_are_mean_and_variance_of_the_first_images_in_numpy(network, images, count):
    """Of what each norm reads when all norms before it use the batch's own: unbiased, as torch keeps them."""
    inputs: dict[str, np.ndarray] = {}
    twin = copy.deepcopy(network).train()
    for name, module in twin.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_pre_hook(
                lambda _, told, name=name: inputs.update({name: told[0].double().numpy().copy()})
            )
    pixels = images.train.pixels[: min(count, 40)].double() / 255
    whole = images.train.pixels.double().numpy() / 255
    mean, std = whole.mean(axis=(0, 2, 3)), whole.std(axis=(0, 2, 3), ddof=0)
    x = (pixels.numpy() - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        twin(torch.from_numpy(x).float())
    evaluation.estimate_norms(network, images, count)
    assert network.training
    actual = dict(network.named_modules())
    assert len(inputs) == len(evaluation.norm_layers(network)) == 7
    for name, read in inputs.items():
        tolerance = {"rtol": 1e-4, "atol": 1e-5}
        np.testing.assert_allclose(actual[name].running_mean, read.mean(axis=(0, 2, 3)), **tolerance)
        np.testing.assert_allclose(actual[name].running_var, read.var(axis=(0, 2, 3), ddof=1), **tolerance)
        assert actual[name].momentum == 0.1


def test_the_first_norm_by_a_convolution_in_numpy(network, images):
    x = np.pad(images.normalise(images.train.pixels[:10]).numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    weight = network.stem.weight.detach().numpy()
    out = sum(
        np.einsum("nchw,oc->nohw", x[:, :, i : i + 8, j : j + 8], weight[:, :, i, j])
        for i in range(3)
        for j in range(3)
    )
    evaluation.estimate_norms(network, images, 10)
    first = network.blocks[0].norm1
    np.testing.assert_allclose(first.running_mean, out.mean(axis=(0, 2, 3)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(first.running_var, out.var(axis=(0, 2, 3), ddof=1), rtol=1e-4)


@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluating"])
def test_what_was_settled_is_as_before_to_the_last_bit(network, images, mode):
    network.train(mode)
    before, stream = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    with evaluation.estimated_norms(network, images, 20):
        inside = statistics(network)
        assert network.training == mode
    assert same(network.state_dict(), before)
    assert not any(torch.equal(inside[n], before[n]) for n in inside if n.endswith("mean"))
    with pytest.raises(ZeroDivisionError), evaluation.estimated_norms(network, images, 20):
        raise ZeroDivisionError
    assert same(network.state_dict(), before)
    assert network.training == mode
    with evaluation.estimated_norms(network, images, 20):  # the same images, the same statistics
        again = statistics(network)
        assert same(again, inside)
    with evaluation.estimated_norms(network, images, 0):
        assert same(network.state_dict(), before)
    assert torch.equal(torch.get_rng_state(), stream)  # nothing is drawn: no image is shifted or flipped


@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluating"])
def test_norms_that_stay_in_evaluation_mode_keep_their_statistics(images, mode):
    class Frozen(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 1), torch.nn.BatchNorm2d(4))
            self.head = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 1), torch.nn.BatchNorm2d(4))

        def train(self, mode=True):
            super().train(mode)
            self.body.eval()
            return self

        def forward(self, x):
            return self.head(self.body(x))

    network = Frozen().train(mode)
    before = statistics(network)
    evaluation.estimate_norms(network, images, 20)
    assert network.head.training == mode
    for name, tensor in statistics(network).items():
        assert torch.equal(tensor, before[name]) == name.startswith("body."), name
    del network.head[1]  # no other norm is left
    evaluation.estimate_norms(network, images, 20)
    assert network.head.training == mode


def test_only_the_first_images_count(network, images):
    evaluation.estimate_norms(network, images, 12)
    actual = statistics(network)
    order = [*range(12), *reversed(range(12, 40))]  # the mean pixel of all stays
    moved = replace(images, train=data.Images(images.train.pixels[order], images.train.labels[order]))
    evaluation.estimate_norms(network, moved, 12)
    assert all(torch.equal(t, statistics(network)[name]) for name, t in actual.items() if "num" not in name)
    evaluation.estimate_norms(network, moved, 13)
    other = statistics(network)
    evaluation.estimate_norms(network, images, 13)
    assert not any(torch.equal(t, statistics(network)[n]) for n, t in other.items() if n.endswith("mean"))


@pytest.fixture(scope="module")
def clutter():
    whole = data.load("clutter", images=512)
    few = {part: getattr(whole, part).first(400) for part in ("validation", "test")}
    return replace(whole, **few)


@pytest.fixture(scope="module")
def trained(clutter):
    """The whole network, after 96 steps."""
    draw = torch.Generator().manual_seed(0)
    network = networks.build(architecture.named("wrn-10-1", image=(1, 16, 16), classes=10), draw)
    list(Trainer(network, clutter, TrainingRecipe(6, 0.1, "one-cycle", batch_size=32), draw))
    return network


def test_statistics_that_lag_make_a_pruned_network_look_worse_than_it_is(trained, clutter):
    """The very same weights, after a cut and a few steps: the running averages are still of the whole."""
    plan = PruningRecipe(rounds=1, ratio=0.7, steps=3, lr=0.01, batch_size=32)
    ends = {}
    for norms in NORMS:
        network = copy.deepcopy(trained)
        *_, ends[norms] = Pruner(network, clutter, replace(plan, norms=norms), seed=0)
    estimated, running = ends["estimated"], ends["running"]
    assert (estimated.digest, estimated.removed, estimated.loss) == (
        running.digest,
        running.removed,
        running.loss,
    )
    assert estimated.val_error < running.val_error - 2
    assert estimated.test_error < running.test_error - 2


# --- the published way -----------------------------------------------------------------------------------


def test_running_statistics_are_those_of_plain_evaluation(tiny, images, tmp_path, png_folder):
    """In a training run, in a pruning run, and in the network that a run keeps."""
    draw = torch.Generator().manual_seed(1)
    network = networks.build(tiny, draw)
    recipe = replace(RECIPE, norms="running")
    *_, last = Trainer(network, images, recipe, draw)
    assert last.val_error == plain_error(network, images, images.validation)
    plan = PruningRecipe(rounds=2, steps=2, batch_size=10, lr=0.01, norms="running")
    for removal in Pruner(network, images, plan, seed=0):
        assert removal.val_error == plain_error(network, images, images.validation)
        assert removal.test_error == plain_error(network, images, images.test)

    shape = architecture.named("wrn-10-1", image=(3, 8, 8), classes=2)
    source = {"name": f"folder:{png_folder}", "images": 0}
    kept = {}
    for norms in NORMS:
        run = execution.training_run(shape, TrainingRecipe(2, batch_size=6, norms=norms), source, 0)
        execution.execute(run, tmp_path, "cpu")
        kept[norms] = load_file(runs.folder(run, tmp_path) / "weights.safetensors")
    draw = loading.init_generator(shape, 0)
    by_hand = networks.build(shape, draw)
    folder = loading.images_of(run, "cpu")
    list(Trainer(by_hand, folder, TrainingRecipe(2, batch_size=6), draw))
    assert same(kept["running"], dict(by_hand.state_dict()))
    evaluation.estimate_norms(by_hand, folder, 512)
    assert same(kept["estimated"], dict(by_hand.state_dict()))
    assert not same(kept["estimated"], kept["running"])


def plain_error(network, images, part) -> float:
    mode = network.training
    with torch.no_grad():
        wrong = network.eval()(images.normalise(part.pixels)).argmax(dim=1) != part.labels
    network.train(mode)
    return 100 * wrong.sum().item() / len(part)


# --- answers and digests ---------------------------------------------------------------------------------


def test_an_evaluation_says_which_answers_were_wrong(network, images):
    with torch.no_grad():
        actual = copy.deepcopy(network).eval()(images.normalise(images.test.pixels)).argmax(dim=1)
    error, _, wrong = evaluation.evaluate(network, images, images.test)
    assert wrong.tolist() == (actual != images.test.labels).tolist()
    assert error == 100 * sum(wrong.tolist()) / 12


def test_a_digest_is_of_every_bit(network):
    first = evaluation.weights_digest(network)
    content = b"".join(t.numpy().tobytes() for t in network.state_dict().values())
    assert first == hashlib.sha256(content).hexdigest()[:12]
    assert evaluation.weights_digest(network.to(memory_format=torch.channels_last)) == first
    network.classifier.bias.data[-1] = np.nextafter(
        np.float32(network.classifier.bias[-1].item()), np.float32(9)
    ).item()
    assert evaluation.weights_digest(network) != first


# --- precision -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("avx512", "amx"), [(False, False), (True, False), (False, True)])
def test_auto_takes_bfloat16_only_where_the_processor_multiplies_it(monkeypatch, avx512, amx):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    here = torch.device("cpu")
    assert hardware.resolve_precision("auto", here) == ("bfloat16" if avx512 or amx else "float32")
    assert hardware.resolve_precision("float32", here) == "float32"
    with pytest.raises(InputError, match="unknown precision 'half': choose from auto, float32, bfloat16"):
        hardware.resolve_precision("half", here)
    if avx512 or amx:
        assert hardware.resolve_precision("bfloat16", here) == "bfloat16"
    else:
        with pytest.raises(
            InputError, match=re.escape(f"{hardware.device_name(here)} only emulates bfloat16")
        ):
            hardware.resolve_precision("bfloat16", here)


def test_what_would_only_be_imitated_is_refused_before_any_work(monkeypatch, png_folder, tmp_path):
    shape = architecture.named("wrn-10-1", image=(3, 8, 8), classes=2)
    source = {"name": f"folder:{png_folder}", "images": 0}
    run = execution.training_run(shape, TrainingRecipe(1, batch_size=6, precision="bfloat16"), source, 0)
    assert run.key != execution.training_run(shape, TrainingRecipe(1, batch_size=6), source, 0).key
    monkeypatch.setattr(hardware, "has_bfloat16", lambda device: False)
    with pytest.raises(InputError, match=r"^[^\n]* only emulates bfloat16, ten times slower: use float32$"):
        execution.execute(run, tmp_path, "cpu")
    assert not (tmp_path / "runs" / run.key).exists()
    monkeypatch.setattr(hardware, "has_bfloat16", lambda device: True)
    execution.execute(run, tmp_path, "cpu")
    assert runs.result(run, tmp_path)["run"]["recipe"]["precision"] == "bfloat16"


def test_a_gpu_is_told_to_convolve_alike_every_time_and_in_float32(monkeypatch):
    """Two float32 runs of the same steps differed on a GPU otherwise, and other channels went."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "empty", lambda *_, **__: None)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert hardware.resolve_device("cpu").type == "cpu"
    assert not torch.backends.cudnn.deterministic
    assert hardware.resolve_device("auto").type == "cuda"
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.allow_tf32


FAULTS = """
import resource, sys, torch
from horticulture.training import hardware

def step():
    return [torch.ones(2**21) for _ in range(5)] and None  # 40 MB, of which nothing stays

if sys.argv[1] == "kept":
    hardware.resolve_device("cpu")
for _ in range(10):  # until they all have a place
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_kept_for_the_next_step():
    """By the pages that the kernel had to provide, where Dask has set what a worker should keep."""
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    faults = {}
    for way in ("kept", "given back"):
        command = [sys.executable, "-c", FAULTS, way]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        faults[way] = int(done.stdout)
    assert 10 * faults["kept"] < faults["given back"]


@pytest.mark.parametrize(("size", "batch"), [(8, 256), (32, 256), (64, 64), (48, 113)])
def test_of_large_images_fewer_are_evaluated_at_a_time(size, batch, images):
    """As many pixels as 256 images of 32 x 32 have."""
    batches = []

    def network(x):
        batches.append(len(x))
        return torch.zeros(len(x), 3)

    network.training, network.eval, network.train = False, lambda: None, lambda mode: None
    part = data.Images(torch.zeros(300, 2, size, size, dtype=torch.uint8), torch.zeros(300, dtype=torch.long))
    assert evaluation.evaluate(network, images, part).error == 0
    assert batches[0] == batch
    assert sum(batches) == 300
