"""The true change of the loss without a channel: against the network really cut, and no trace is left."""

import copy
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from horticulture import data, networks
from horticulture.data import Dataset
from horticulture.errors import InputError
from horticulture.networks import Network
from horticulture.pruning import oracle, saliency, surgery
from horticulture.training import evaluation
from tests.conftest import SMALL, drawn, small

FLOAT = torch.float32
LISTENING = ("fisher", "taylor", "l1", "slimming", "random")


def worn(network_type: str, images: Dataset) -> Network:
    """A small network whose norms have moved, so that every channel counts and no two alike."""
    network = networks.build(small(network_type, images.image), torch.Generator().manual_seed(0))
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


@pytest.mark.parametrize("network_type", SMALL)
@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("norm_images", [0, 30])
def test_the_rise_is_that_of_the_network_really_cut(large, network_type, mode, norm_images):
    network = worn(network_type, large).train(mode)
    before = bits(network)
    channels = oracle.sample_channels(network, 12, seed=3)
    actual = [
        loss_increase.rise
        for loss_increase in oracle.loss_increases(network, large, channels, FLOAT, norm_images=norm_images)
    ]
    assert unchanged(network, before)
    assert network.training == mode

    x, y = large.normalise(large.validation.pixels), large.validation.labels

    def loss(of: Network) -> float:
        with torch.no_grad():
            if norm_images:
                for norm in of.modules():
                    if isinstance(norm, torch.nn.BatchNorm2d):
                        norm.momentum = 1
                of.train()(large.normalise(large.train.pixels[:norm_images]))
            return F.cross_entropy(of.eval()(x), y).item()

    whole = loss(copy.deepcopy(network))
    for (group, channel), rise in zip(channels, actual, strict=True):
        smaller = copy.deepcopy(network)
        surgery.remove_channel(smaller, group, channel)
        assert smaller.architecture.widths[group] == network.architecture.widths[group] - 1
        assert rise == pytest.approx(loss(smaller) - whole, abs=2e-6)
    assert len({round(rise, 6) for rise in actual}) > 6  # they are not all alike
    assert max(map(abs, actual)) > 1e-3


def test_whoever_stops_after_one_has_the_network_as_it_was(images, tiny):
    network = networks.build(tiny)
    before = bits(network)
    next(oracle.loss_increases(network, images, [(0, 1), (1, 1)], FLOAT, norm_images=10))
    assert unchanged(network, before)


@pytest.mark.parametrize("mode", [True, False])
def test_listening_leaves_the_network_as_it_was(images, tiny, mode):
    network = networks.build(tiny, torch.Generator().manual_seed(0)).train(mode)
    before = bits(network)
    actual = oracle.score_channels(network, images, LISTENING, 3, 10, 5, FLOAT)
    assert unchanged(network, before)
    assert network.training == mode
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(group.activation._forward_hooks for group in network.groups)
    assert [[len(score) for score in actual[name]] for name in LISTENING] == [[3, 4, 5]] * len(LISTENING)


def test_the_scores_are_those_of_the_pure_functions(images, tiny):
    """Activations and gradients by other means: image by image, each with its own loss."""
    network = networks.build(tiny, torch.Generator().manual_seed(0))
    actual = oracle.score_channels(network, images, LISTENING, 2, 10, 5, FLOAT)
    heard = {name: [torch.zeros(3), torch.zeros(4), torch.zeros(5)] for name in ("fisher", "taylor")}
    batches = data.Batches(images, 10, torch.Generator().manual_seed(5))
    for _ in range(2):
        x, y = next(batches)
        kept: list[torch.Tensor] = []
        hooks = [
            group.activation.register_forward_hook(lambda m, i, o, kept=kept: kept.append(o))
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
        torch.testing.assert_close(actual["fisher"][number], heard["fisher"][number])
        weights = group.producer.weight.detach().abs().sum(dim=(1, 2, 3))
        assert torch.equal(actual["l1"][number], weights)
        assert torch.equal(actual["slimming"][number], group.norm.weight.detach().abs())
    for found_taylor, expected in zip(actual["taylor"], heard["taylor"], strict=True):
        torch.testing.assert_close(found_taylor, expected / expected.square().sum().sqrt())


def test_what_was_heard_depends_on_the_seed_alone(images, tiny):
    network = networks.build(tiny, torch.Generator().manual_seed(0))

    def listened(criteria: tuple[str, ...], seed: int) -> list[list[float]]:
        actual = oracle.score_channels(network, images, criteria, 2, 10, seed, FLOAT)
        return [score.tolist() for name in ("fisher", "random") for score in actual[name]]

    assert listened(LISTENING, 1) == listened(("random", "fisher"), 1)  # nobody disturbs another
    assert listened(LISTENING, 1) != listened(LISTENING, 2)


def test_a_sample_is_drawn_once_each_and_the_same_again(tiny):
    network = networks.build(tiny)
    every = [(group, channel) for group, width in enumerate((3, 4, 5)) for channel in range(width)]
    actual = oracle.sample_channels(network, 7, seed=1)
    assert actual == oracle.sample_channels(network, 7, seed=1)
    assert len(set(actual)) == 7
    assert set(actual) < set(every)
    assert oracle.sample_channels(network, 12, seed=1) == oracle.sample_channels(network, 99, seed=2) == every
    drawn_with = [tuple(oracle.sample_channels(network, 2, seed)) for seed in range(200)]
    assert {place for pair in drawn_with for place in pair} == set(every)
    assert len(set(drawn_with)) > 50  # of 66


def test_the_loss_is_that_of_the_validation_images(images, tiny):
    network = networks.build(tiny, torch.Generator().manual_seed(0))
    other = Dataset("other", images.classes, images.train, images.validation, drawn(12, 9), pad=1, flip=True)
    first, two = (
        list(oracle.loss_increases(network, some, [(0, 0)], FLOAT, norm_images=10))
        for some in (images, other)
    )
    assert first == two
    moved = Dataset("moved", images.classes, images.train, drawn(12, 9), images.test, pad=1, flip=True)
    assert list(oracle.loss_increases(network, moved, [(0, 0)], FLOAT, norm_images=10)) != first
    assert evaluation.evaluate(network, images, images.validation).loss != pytest.approx(
        evaluation.evaluate(network, moved, moved.validation).loss
    )


@pytest.mark.parametrize("count", [0, 9])
def test_no_source_is_in_both_halves(images, tiny, monkeypatch, count):
    """Images of one thing err together: in both halves they would agree by their noise."""
    originals = torch.tensor([7, 7, 2, 7, 5, 2, 2, 2, 9, 5, 9, 9])
    validation = data.Images(images.validation.pixels, images.validation.labels, originals)
    dataset = replace(images, validation=validation)
    seen: list[data.Images] = []
    measure = evaluation.evaluate
    monkeypatch.setattr(
        evaluation, "evaluate", lambda n, d, half, t: seen.append(half) or measure(n, d, half, t)
    )
    next(oracle.loss_increases(networks.build(tiny), dataset, [(0, 0)], FLOAT, norm_images=0, images=count))
    first, second = seen[:2]
    assert [set(half.originals.tolist()) for half in (first, second)] == [{7, 5}, {2, 9}]
    where = originals[: count or None]
    for half, names in ((first, (7, 5)), (second, (2, 9))):
        in_half = torch.isin(where, torch.tensor(names))
        assert torch.equal(half.pixels, validation.pixels[: len(where)][in_half])
        assert torch.equal(half.labels, validation.labels[: len(where)][in_half])


@pytest.mark.parametrize("count", [0, 7])
def test_where_every_image_is_its_own_source_the_halves_are_every_other_image(images, tiny, count):
    network = worn_like(tiny)
    (actual,) = oracle.loss_increases(network, images, [(1, 2)], FLOAT, norm_images=0, images=count)
    whole = images.validation.first(count)

    def loss(which: slice) -> float:
        with torch.no_grad():
            x = images.normalise(whole.pixels[which])
            return F.cross_entropy(network.eval()(x), whole.labels[which]).item()

    every = (slice(None), slice(0, None, 2), slice(1, None, 2))
    before = [loss(which) for which in every]
    with torch.no_grad():
        network.groups[1].norm.weight[2] = network.groups[1].norm.bias[2] = 0
    after = [loss(which) for which in every]
    assert list(actual) == pytest.approx([b - a for a, b in zip(before, after, strict=True)], abs=2e-6)
    assert len(set(actual)) == 3


def worn_like(architecture) -> Network:
    network = networks.build(architecture, torch.Generator().manual_seed(0))
    for group in network.groups:
        group.norm.bias.data.fill_(0.3)
    return network


def test_images_that_cannot_be_halved_are_refused(images, tiny):
    network = networks.build(tiny)
    for wrong, said in (
        ({"images": 1}, "two originals, not those of images=1 of 12"),
        ({"images": -2}, "images must be 0 .all. or more, not -2"),
    ):
        with pytest.raises(InputError, match=said):
            next(oracle.loss_increases(network, images, [(0, 0)], FLOAT, norm_images=0, **wrong))


# --- agreement, by hand ----------------------------------------------------------------------------------


def test_agreement_over_all_channels_by_hand():
    """Ranks 1 to 4 against 1, 3, 2, 4: 1 - 6 (0 + 1 + 1 + 0) / (4 * 15)."""
    actual = oracle.agreement([0.1, 0.2, 0.3, 0.4], [1.0, 30.0, 2.0, 400.0], [0, 0, 1, 1])
    assert actual == pytest.approx(1 - 12 / 60)
    assert oracle.agreement([1, 2, 3], [3, 2, 1], [0, 0, 0]) == pytest.approx(-1)


def test_agreement_of_equals_takes_their_mean_rank():
    """Ranks 1.5, 1.5, 3 against 1, 2, 3: deviations -0.5, -0.5, 1 and -1, 0, 1."""
    assert oracle.agreement([5, 5, 9], [1, 2, 3], [0] * 3) == pytest.approx(1.5 / math.sqrt(1.5 * 2))


def test_agreement_within_layers_by_hand():
    """Within the first layer perfect, in the second (four channels) reversed; the third has only two."""
    groups = [0, 0, 0, 1, 1, 1, 1, 2, 2]
    scores = [1, 2, 3, 40, 30, 20, 10, 0, 1]
    rises = [91, 92, 93, 1, 2, 3, 4, 5, 6]
    assert oracle.agreement(scores, rises, groups, "layer") == pytest.approx((3 * 1 + 4 * -1) / 7)
    assert oracle.agreement(scores, rises, groups, "vgg-16-a") == oracle.agreement(
        scores, rises, groups, "layer"
    )
    # between layers the scores stand the wrong way round: nobody asks for it within layers
    scores, rises = [1, 2, 3, 11, 12, 13], [11, 12, 13, 1, 2, 3]
    assert oracle.agreement(scores, rises, [0, 0, 0, 1, 1, 1], "layer") == pytest.approx(1)
    assert oracle.agreement(scores, rises, [0, 0, 0, 1, 1, 1]) < 0


def test_what_says_nothing_agrees_with_nothing():
    assert oracle.agreement([7, 7, 7], [1, 2, 3], [0] * 3) == 0
    assert math.isnan(oracle.agreement([1, 2, 3], [7, 7, 7], [0] * 3))
    assert math.isnan(oracle.agreement([1, 2], [1, 2], [0] * 2))
    assert math.isnan(oracle.agreement([1, 2, 3], [1, 2, 3], [0, 1, 2], "layer"))
    # a layer whose rises are all alike is left out, one whose scores are all alike is not
    groups = [0, 0, 0, 1, 1, 1]
    assert oracle.agreement([1, 2, 3, 1, 2, 3], [1, 2, 3, 0, 0, 0], groups, "layer") == pytest.approx(1)
    assert oracle.agreement([1, 2, 3, 0, 0, 0], [1, 2, 3, 1, 2, 3], groups, "layer") == pytest.approx(0.5)


def test_the_ceiling_by_hand():
    """The halves agree by 0.8: the mean's reliability is 1.6 / 1.8."""
    first, second = [0.1, 0.2, 0.3, 0.4], [1.0, 30.0, 2.0, 400.0]
    assert oracle.ceiling(first, second) == pytest.approx(math.sqrt(1.6 / 1.8))
    assert oracle.ceiling(first, first) == pytest.approx(1)
    assert oracle.ceiling(first, first[::-1]) == 0
    assert math.isnan(oracle.ceiling([1, 2], [1, 2]))
    groups = [0, 0, 0, 1, 1, 1]  # perfect in one layer, by 0.5 in the other
    actual = oracle.ceiling([1, 2, 3, 11, 12, 13], [1, 2, 3, 12, 11, 13], groups, "layer")
    assert actual == pytest.approx(math.sqrt(1.5 / 1.75))
    with pytest.raises(InputError, match="give the group"):
        oracle.ceiling(first, second, scope="layer")


def test_the_halves_are_averaged_over_seeds_before_the_ceiling():
    """They agree by 0.8 and by -1: by -0.1 on average; and by 0.8 and 0.4, by 0.6."""
    ranks = {0.8: [1, 3, 2, 4], 0.4: [1, 4, 2, 3], -1.0: [4, 3, 2, 1]}
    judged = {
        half: pd.DataFrame({"group": 0, "first": [1, 2, 3, 4], "second": second})
        for half, second in ranks.items()
    }
    assert oracle.mean_ceiling([judged[0.8], judged[-1.0]]).value == 0
    assert oracle.mean_ceiling([judged[0.8], judged[0.4]]).value == pytest.approx(math.sqrt(1.2 / 1.6))
    # of four channels, samples often have one order
    assert all(map(math.isnan, oracle.mean_ceiling([judged[0.8]])[1:]))
    few = judged[0.8].head(2)
    assert oracle.mean_ceiling([judged[0.8], few]).value == pytest.approx(math.sqrt(1.6 / 1.8))
    assert all(map(math.isnan, oracle.mean_ceiling([few])))


def test_the_interval_of_a_ceiling_has_the_truth_and_narrows_with_the_channels():
    draw, widths = np.random.default_rng(1), []
    for channels in (32, 512):
        truth = draw.normal(size=channels)
        first, second = (truth + draw.normal(size=channels) for _ in range(2))
        judged = pd.DataFrame({"group": 0, "first": first, "second": second})
        actual = oracle.mean_ceiling([judged], draws=100)
        assert actual.low < math.sqrt(2 / 3) < actual.high
        assert actual.low < actual.value < actual.high
        widths.append(actual.high - actual.low)
    assert widths[1] < widths[0] / 2


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_the_ceiling_is_what_the_truth_reaches(noise):
    draw = np.random.default_rng(0)
    truth = draw.normal(size=4000)
    first, second = (truth + noise * draw.normal(size=4000) for _ in range(2))
    reached = oracle.agreement(truth, (first + second) / 2, [0] * 4000)
    assert oracle.ceiling(first, second) == pytest.approx(reached, abs=0.03)


def test_chance_by_hand():
    """The ranks of n channels in any order correlate with a deviation of 1 / sqrt(n - 1)."""
    assert oracle.chance([0] * 17) == pytest.approx(1 / 4, abs=0.03)
    # two layers of five channels each: the mean of two such correlations
    assert oracle.chance([0] * 5 + [1] * 5, "layer") == pytest.approx(1 / 2 / math.sqrt(2), abs=0.05)
    assert math.isnan(oracle.chance([0, 0, 1], "layer"))
