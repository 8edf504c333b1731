"""The true change of the loss without a channel: against the network really cut, and no trace is left."""

import copy

import pytest
import torch
import torch.nn.functional as F

from horticulture import data, networks, oracle, saliency, surgery, training
from horticulture.data import Dataset
from horticulture.networks import Network
from tests.conftest import SMALL, drawn, small

FLOAT = torch.float32
LISTENING = ("fisher", "taylor", "l1", "slimming", "random")


def worn(family: str, images: Dataset) -> Network:
    """A small network whose norms have moved, so that every channel counts and no two alike."""
    network = networks.build(small(family, images.image), torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=draw)
            module.bias.data.uniform_(0.1, 0.5, generator=draw)
            module.running_mean.uniform_(-0.2, 0.2, generator=draw)
            module.running_var.uniform_(0.5, 1.5, generator=draw)
    return network


def bits(network: Network) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def unchanged(network: Network, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.fixture
def large(images) -> Dataset:
    """Images that every network takes in, a validation part of 12."""
    pad = (4, 4, 4, 4)
    parts = {
        part: data.Images(F.pad(getattr(images, part).pixels, pad), getattr(images, part).labels)
        for part in ("train", "validation", "test")
    }
    return Dataset(images.name, images.classes, **parts, pad=1, flip=True)


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize("mode", [True, False])
def test_the_rise_is_that_of_the_network_really_cut(large, family, mode):
    network = worn(family, large).train(mode)
    before = bits(network)
    channels = oracle.sample(network, 12, seed=3)
    found = list(oracle.rises(network, large, channels, FLOAT))
    assert unchanged(network, before)
    assert network.training == mode

    x, y = large.normalise(large.validation.pixels), large.validation.labels

    def loss(of: Network) -> float:
        with torch.no_grad():
            return F.cross_entropy(of.eval()(x), y).item()

    whole = loss(copy.deepcopy(network))
    for (group, channel), rise in zip(channels, found, strict=True):
        smaller = copy.deepcopy(network)
        surgery.remove(smaller, group, channel)
        assert smaller.architecture.widths[group] == network.architecture.widths[group] - 1
        assert rise == pytest.approx(loss(smaller) - whole, abs=2e-6)
    assert len({round(rise, 6) for rise in found}) > 6  # they are not all alike
    assert max(map(abs, found)) > 1e-3


def test_whoever_stops_after_one_has_the_network_as_it_was(images, tiny):
    network = networks.build(tiny)
    before = bits(network)
    assert isinstance(next(oracle.rises(network, images, [(0, 1), (1, 1)], FLOAT)), float)
    assert unchanged(network, before)


@pytest.mark.parametrize("mode", [True, False])
def test_listening_leaves_the_network_as_it_was(images, tiny, mode):
    network = networks.build(tiny, torch.Generator().manual_seed(0)).train(mode)
    before = bits(network)
    found = oracle.scores(network, images, LISTENING, 3, 10, 5, FLOAT)
    assert unchanged(network, before)
    assert network.training == mode
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(group.gate._forward_hooks for group in network.groups)
    assert [[len(score) for score in found[name]] for name in LISTENING] == [[3, 4, 5]] * len(LISTENING)


def test_the_scores_are_those_of_the_pure_functions(images, tiny):
    """Activations and gradients by other means: image by image, each with its own loss."""
    network = networks.build(tiny, torch.Generator().manual_seed(0))
    found = oracle.scores(network, images, LISTENING, 2, 10, 5, FLOAT)
    heard = {name: [torch.zeros(3), torch.zeros(4), torch.zeros(5)] for name in ("fisher", "taylor")}
    batches = data.Batches(images, 10, torch.Generator().manual_seed(5))
    for _ in range(2):
        x, y = next(batches)
        kept: list[torch.Tensor] = []
        hooks = [
            group.gate.register_forward_hook(lambda m, i, o, kept=kept: kept.append(o))
            for group in network.groups
        ]
        logits = network.train()(x)
        for hook in hooks:
            hook.remove()
        # The losses share a batch's statistics; the gradient of each loss alone is what counts as its own
        # only in that image's place, as in one backward pass over the sum.
        gradients = torch.autograd.grad(F.cross_entropy(logits, y, reduction="sum"), kept)
        for number, (activation, gradient) in enumerate(zip(kept, gradients, strict=True)):
            for name in heard:
                heard[name][number] += getattr(saliency, name)(activation.detach(), gradient) / 2
    for number, group in enumerate(network.groups):
        torch.testing.assert_close(found["fisher"][number], heard["fisher"][number])
        weights = group.producer.weight.detach().abs().sum(dim=(1, 2, 3))
        assert torch.equal(found["l1"][number], weights)
        assert torch.equal(found["slimming"][number], group.norm.weight.detach().abs())
    for found_taylor, expected in zip(found["taylor"], heard["taylor"], strict=True):
        torch.testing.assert_close(found_taylor, expected / expected.square().sum().sqrt())


def test_what_was_heard_depends_on_the_seed_alone(images, tiny):
    network = networks.build(tiny, torch.Generator().manual_seed(0))

    def listened(criteria: tuple[str, ...], seed: int) -> list[list[float]]:
        found = oracle.scores(network, images, criteria, 2, 10, seed, FLOAT)
        return [score.tolist() for name in ("fisher", "random") for score in found[name]]

    assert listened(LISTENING, 1) == listened(("random", "fisher"), 1)  # nobody disturbs another
    assert listened(LISTENING, 1) != listened(LISTENING, 2)


def test_a_sample_is_drawn_once_each_and_the_same_again(tiny):
    network = networks.build(tiny)
    every = [(group, channel) for group, width in enumerate((3, 4, 5)) for channel in range(width)]
    found = oracle.sample(network, 7, seed=1)
    assert found == oracle.sample(network, 7, seed=1)
    assert len(set(found)) == 7
    assert set(found) < set(every)
    assert oracle.sample(network, 12, seed=1) == oracle.sample(network, 99, seed=2) == every
    drawn_with = [tuple(oracle.sample(network, 2, seed)) for seed in range(200)]
    assert {place for pair in drawn_with for place in pair} == set(every)
    assert len(set(drawn_with)) > 50  # of 66


def test_the_loss_is_that_of_the_validation_images(images, tiny):
    network = networks.build(tiny, torch.Generator().manual_seed(0))
    other = Dataset("other", images.classes, images.train, images.validation, drawn(12, 9), pad=1, flip=True)
    one, two = (list(oracle.rises(network, some, [(0, 0)], FLOAT)) for some in (images, other))
    assert one == two
    moved = Dataset("moved", images.classes, images.train, drawn(12, 9), images.test, pad=1, flip=True)
    assert list(oracle.rises(network, moved, [(0, 0)], FLOAT)) != one
    assert training.evaluate(network, images, images.validation).loss != pytest.approx(
        training.evaluate(network, moved, moved.validation).loss
    )
