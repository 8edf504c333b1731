"""Criteria by hand, and a probe that hears what a slow, separate calculation finds."""

import pytest
import torch
import torch.nn.functional as F

from horticulture import networks, training
from horticulture.errors import InputError
from horticulture.pruning import criteria, ranking, saliency, surgery
from horticulture.training import evaluation
from tests.conftest import small

# What a probe can score in any network: the others are told, or are of single weights.
BY_CHANNEL = [
    name
    for name, found in criteria.CRITERIA.items()
    if found.granularity == "channel" and not found.precomputed
]
BY_ACTIVATION = [name for name, found in criteria.CRITERIA.items() if found.from_gradients]


def test_fisher_by_hand():
    activation = torch.tensor([[[[1.0, 2.0]], [[0.0, 3.0]]], [[[1.0, 1.0]], [[2.0, 0.0]]]])
    gradient = torch.tensor([[[[1.0, -1.0]], [[5.0, 1.0]]], [[[2.0, 1.0]], [[-1.0, 7.0]]]])
    # sums over space: channel 0: -1 and 3; channel 1: 3 and -2. Half the mean of their squares:
    torch.testing.assert_close(saliency.fisher(activation, gradient), torch.tensor([10 / 4, 13 / 4]))


def test_taylor_by_hand():
    activation = torch.tensor([[[[1.0, 2.0]], [[0.0, 3.0]]], [[[1.0, 1.0]], [[2.0, 0.0]]]])
    gradient = torch.tensor([[[[1.0, -1.0]], [[5.0, 1.0]]], [[[2.0, 1.0]], [[-1.0, 7.0]]]])
    # means over space: channel 0: (1 - 2) / 2 and (2 + 1) / 2; channel 1: (0 + 3) / 2 and (-2 + 0) / 2
    actual = saliency.taylor(activation, gradient)
    torch.testing.assert_close(actual, torch.tensor([(0.5 + 1.5) / 2, (1.5 + 1.0) / 2]))


def test_examples_that_pull_either_way_do_not_cancel():
    activation = torch.ones(2, 1, 1, 1)
    gradient = torch.tensor([3.0, -3.0]).reshape(2, 1, 1, 1)
    assert saliency.taylor(activation, gradient).item() == 3


@pytest.mark.parametrize("chunk", [1, 3 * 5 * 4 * 4, 10**9], ids=["one", "three", "all at once"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_contributions_are_the_same_however_they_are_cut(chunk, dtype, generator, monkeypatch):
    """Ten examples: chunks of three leave one over."""
    monkeypatch.setattr(saliency, "CHUNK", chunk)
    shape = (10, 5, 4, 4)
    activation, gradient = (torch.randn(shape, generator=generator).to(dtype) for _ in range(2))
    actual = saliency.contributions(activation, gradient)
    expected = torch.einsum("nchw,nchw->nc", activation.double(), gradient.double())
    assert actual.dtype == torch.float32  # products in half precision would be off by a hundredth
    torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=1e-5)


def test_contributions_are_cut_where_a_batch_is_larger_than_a_chunk(generator, monkeypatch):
    seen = []
    split = torch.Tensor.split
    monkeypatch.setattr(torch.Tensor, "split", lambda x, size: seen.append(size) or split(x, size))
    monkeypatch.setattr(saliency, "CHUNK", 250)
    activation = torch.randn(10, 5, 4, 4, generator=generator)  # 80 numbers an example
    saliency.contributions(activation, activation)
    assert seen == [3, 3]


def test_l1_by_hand_takes_absolute_values():
    weight = torch.tensor([[[[3.0, -3.0], [2.0, -4.0]]], [[[0.5, 0.5], [0.5, -0.5]]]])
    actual = criteria.l1(weight)
    torch.testing.assert_close(actual, torch.tensor([12.0, 2.0]))
    signed = weight.sum(dim=(1, 2, 3))  # -2 and 1: the published code would take the larger filter
    assert actual.argmin() != signed.argmin()


def test_a_layer_is_divided_by_its_norm_and_a_silent_layer_stays_finite():
    torch.testing.assert_close(criteria.per_layer(torch.tensor([3.0, 4.0])), torch.tensor([0.6, 0.8]))
    assert (criteria.per_layer(torch.zeros(2)) == 0).all()


def gates(network, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The logits, and what the readers of every group see; written out, in evaluation mode."""
    x, seen = network.stem(x), []
    for block in network.blocks:
        y = F.relu(block.norm1(x))
        shortcut = x if block.shortcut is None else block.shortcut(y)
        seen.append(F.relu(block.norm2(block.conv1(y))))
        x = shortcut + block.conv2(seen[-1])
    return network.classifier(F.relu(network.norm(x)).mean(dim=(2, 3))), seen


def one_by_one(network, xs: torch.Tensor, ys: torch.Tensor) -> list[torch.Tensor]:
    """activation x gradient of each example's own loss, summed over space: (examples, channel) a group."""
    products: list[list[torch.Tensor]] = [[] for _ in network.groups]
    for x, y in zip(xs, ys, strict=True):
        logits, seen = gates(network, x[None])
        gradients = torch.autograd.grad(F.cross_entropy(logits, y[None]), seen)
        for rows, activation, gradient in zip(products, seen, gradients, strict=True):
            rows.append((activation * gradient)[0].sum(dim=(1, 2)).detach())
    return [torch.stack(rows) for rows in products]


@pytest.fixture
def network(tiny, images, generator):
    """Trained for some steps, then in evaluation mode, so that the examples of a batch do not meet."""
    network = networks.build(tiny, generator)
    for _ in training.Trainer(
        network, images, training.TrainingRecipe(epochs=2, batch_size=10, precision="float32"), generator
    ):
        pass
    return network.eval()


def listen(network, images, sizes: tuple[int, ...], probe: saliency.SaliencyProbe) -> None:
    """Backward passes over the first training images, in batches of those sizes; no step is taken."""
    x, y = images.normalise(images.train.pixels), images.train.labels
    place = 0
    for size in sizes:
        here = slice(place, place + size)
        F.cross_entropy(network(x[here]), y[here]).backward()
        place += size


@pytest.mark.parametrize("sizes", [(8,), (4, 4), (2, 2, 2, 2)], ids=str)
def test_a_probe_hears_each_examples_own_gradient_whatever_the_batch(network, images, generator, sizes):
    products = one_by_one(network, images.normalise(images.train.pixels[:8]), images.train.labels[:8])
    with saliency.SaliencyProbe(network, "fisher", generator) as probe:
        listen(network, images, sizes, probe)
        scores = probe.scores()
    for actual, product in zip(scores, products, strict=True):
        torch.testing.assert_close(actual, product.square().mean(dim=0) / 2, rtol=1e-4, atol=1e-9)


def test_a_probe_takes_the_mean_over_steps_for_taylor_too(network, images, generator):
    products = one_by_one(network, images.normalise(images.train.pixels[:8]), images.train.labels[:8])
    with saliency.SaliencyProbe(network, "taylor", generator) as probe:
        listen(network, images, (4, 4), probe)
        scores = probe.scores()
    for actual, product, size in zip(
        scores, products, (64, 16, 4), strict=True
    ):  # pixels of 8 x 8, 4 x 4, 2 x 2
        mean = product.abs().mean(dim=0) / size
        torch.testing.assert_close(actual, mean / mean.norm(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("criterion", BY_ACTIVATION)
def test_scores_begin_a_new_round(network, images, generator, criterion):
    with saliency.SaliencyProbe(network, criterion, generator) as probe:
        listen(network, images, (10, 10), probe)
        probe.scores()
        listen(network, images, (6,), probe)
        after = probe.scores()
        with pytest.raises(RuntimeError, match="no training step"):
            probe.scores()
    with saliency.SaliencyProbe(network, criterion, generator) as fresh:
        listen(network, images, (6,), fresh)
        for actual, expected in zip(after, fresh.scores(), strict=True):
            torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("criterion", BY_CHANNEL)
def test_a_probe_leaves_no_hooks(network, images, generator, criterion):
    def hooks() -> int:
        return sum(len(module._forward_hooks) + len(module._backward_hooks) for module in network.modules())

    assert hooks() == 0
    with saliency.SaliencyProbe(network, criterion, generator):
        assert hooks() == (3 if criterion in BY_ACTIVATION else 0)
    assert hooks() == 0


def test_a_probe_does_not_hear_evaluations(network, images, generator):
    with saliency.SaliencyProbe(network, "fisher", generator) as probe:
        listen(network, images, (8,), probe)
        evaluation.evaluate(network, images, images.test)
        after = probe.scores()
    with saliency.SaliencyProbe(network, "fisher", generator) as fresh:
        listen(network, images, (8,), fresh)
        for actual, expected in zip(after, fresh.scores(), strict=True):
            assert torch.equal(actual, expected)


def test_a_probe_changes_nothing_in_the_training(tiny, images):
    ends = []
    for criterion in BY_CHANNEL:
        network = networks.build(tiny, torch.Generator().manual_seed(1)).train()
        optimizer = training.sgd(network, 0.1, 0.9, 5e-4)
        with saliency.SaliencyProbe(network, criterion, torch.Generator().manual_seed(2)) as probe:
            for _ in range(3):
                training.step(network, optimizer, images.normalise(images.train.pixels), images.train.labels)
                probe.scores()
        ends.append(network.classifier.weight.detach())
    assert all(torch.equal(ends[0], end) for end in ends)


@pytest.mark.parametrize("criterion", BY_CHANNEL)
def test_every_criterion_scores_every_channel_once(tiny, images, generator, criterion):
    network = networks.build(tiny.with_widths((3, 0, 5)), generator).train()
    optimizer = training.sgd(network, 0.1, 0.9, 5e-4)
    with saliency.SaliencyProbe(network, criterion, generator) as probe:
        training.step(network, optimizer, images.normalise(images.train.pixels), images.train.labels)
        scores = probe.scores()
    assert [tuple(score.shape) for score in scores] == [(3,), (0,), (5,)]
    for score in scores:
        assert score.isfinite().all()
        assert (score >= 0).all()
        assert not score.requires_grad
        assert score.device.type == "cpu"


def drawn(a, generator):
    x = torch.randn(8, *a.image, generator=generator)
    return x, torch.randint(a.classes, (8,), generator=generator)


@pytest.mark.parametrize("criterion", BY_CHANNEL)
@pytest.mark.parametrize("network_type", networks.BUILDERS)
def test_every_group_of_every_family_is_scored(network_type, criterion, generator):
    a = small(network_type)
    if criterion == "slimming" and not all(a.type.normed(a)):
        pytest.skip("its groups have no norm")
    network = networks.build(a, generator).train()
    optimizer = training.sgd(network, 0.1, 0.9, 5e-4)
    with saliency.SaliencyProbe(network, criterion, generator) as probe:
        for group in range(len(a.widths)):
            surgery.remove_channel(network, group, 1, optimizer)
            training.step(network, optimizer, *drawn(a, generator))
            scores = probe.scores()
            assert tuple(len(score) for score in scores) == network.architecture.widths
            assert all(score.isfinite().all() and (score >= 0).all() for score in scores)
            assert all(score.any() for score in scores)


@pytest.mark.parametrize("criterion", BY_ACTIVATION)
@pytest.mark.parametrize("network_type", networks.BUILDERS)
def test_a_probe_hears_what_the_readers_see(network_type, criterion, generator):
    """Zero in the readers' weights for a channel: no gradient, no saliency, in any group."""
    network = networks.build(small(network_type), generator).train()
    for group in network.groups:
        with torch.no_grad():
            for weight, places in group.read_weights(2):
                weight[:, places] = 0
    with saliency.SaliencyProbe(network, criterion, generator) as probe:
        x, y = drawn(small(network_type), generator)
        F.cross_entropy(network(x), y).backward()
        for score in probe.scores():
            assert score[2] == 0
            assert score.any()


@pytest.mark.parametrize("criterion", BY_ACTIVATION)
def test_what_is_left_of_a_vanished_branch_matters_nothing(criterion, generator):
    network = networks.build(small("preresnet"), generator).train()
    surgery.keep_channels(network.groups[4], [])
    with saliency.SaliencyProbe(network, criterion, generator) as probe:
        with pytest.raises(RuntimeError, match="no training step"):
            probe.scores()
        x, y = drawn(small("preresnet"), generator)
        F.cross_entropy(network(x), y).backward()
        scores = probe.scores()
    assert [len(score) for score in scores[3:6]] == [16, 0, 8]
    assert not scores[3].any()
    assert not scores[5].any()
    assert scores[6].any()


def test_what_is_compared_within_layers_is_what_the_paper_compares_there():
    assert [name for name, found in criteria.CRITERIA.items() if found.scope == "layer"] == ["l1"]
    assert all(found.scope in ranking.SCOPES for found in criteria.CRITERIA.values())
    assert "uniform" not in criteria.CRITERIA


def test_l1_of_a_selection_is_that_of_its_readers_by_hand(generator):
    network = networks.build(small("densenet"), generator)
    first, end = network.groups[0], network.groups[-1]
    with torch.no_grad():
        first.readers[0].weight.zero_()
        first.readers[0].weight[1, 3, 0, 2] = -2  # the second map reads the fourth channel
        first.readers[0].weight[2, 3, 1, 1] = 0.5
        end.readers[0].weight.zero_()
        end.readers[0].weight[:, 5] = torch.tensor([1.0, -1.0, 0.25])
    scores = saliency.SaliencyProbe(network, "l1", generator).scores()
    assert scores[0].tolist() == [0, 0, 0, 2.5, 0, 0, 0, 0]
    assert scores[-1][5] == 2.25
    assert scores[-1].count_nonzero() == 1


@pytest.mark.parametrize("criterion", ["fisher", "taylor", "l1"])
def test_a_silent_channel_is_the_lowest(network, images, generator, criterion):
    group = network.groups[1]
    with torch.no_grad():
        for parameter in (group.producer.weight, group.norm.weight, group.norm.bias):
            parameter[2] = 0
    with saliency.SaliencyProbe(network, criterion, generator) as probe:
        listen(network.train(), images, (20,), probe)
        scores = probe.scores()
    assert scores[1][2] == 0
    assert scores[1].argmin() == 2


def test_slimming_takes_the_size_of_the_norms_scale_by_hand(tiny, generator):
    network = networks.build(tiny, generator)
    with torch.no_grad():
        network.groups[0].norm.weight.copy_(torch.tensor([0.5, -2.0, 0.0]))
        network.groups[0].norm.bias.fill_(9)
    scores = saliency.SaliencyProbe(network, "slimming", generator).scores()
    assert scores[0].tolist() == [0.5, 2.0, 0.0]


@pytest.mark.parametrize("criterion", ["blocks", "groups"])
def test_scores_that_are_told_are_given_back(tiny, generator, criterion):
    network = networks.build(tiny, generator)
    given = [torch.rand(group.width, generator=generator) for group in network.groups]
    with saliency.SaliencyProbe(network, criterion, generator, given) as probe:
        assert sum(len(module._forward_hooks) for module in network.modules()) == 0
        assert all(torch.equal(a, b) for a, b in zip(probe.scores(), given, strict=True))
    with pytest.raises(
        InputError, match=rf"{criterion} needs a network trained with the penalty {criterion}"
    ):
        saliency.SaliencyProbe(network, criterion, generator)


def test_random_scores_come_from_the_generator(network):
    first, again, other = (
        saliency.SaliencyProbe(network, "random", torch.Generator().manual_seed(seed)).scores()
        for seed in (5, 5, 6)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_an_unknown_criterion_is_refused_with_the_choices(network, generator):
    with pytest.raises(InputError, match=r"'fischer'.*fisher, taylor, l1.*did you mean 'fisher'"):
        saliency.SaliencyProbe(network, "fischer", generator)
