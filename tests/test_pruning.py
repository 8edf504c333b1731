"""Pruning: one channel a round, the lowest one, and a history that says which."""

import itertools
from dataclasses import replace

import pytest
import torch

from horticulture import architecture, data, networks, pruning, saliency, training
from horticulture.errors import BadInput
from horticulture.pruning import Choice, Plan
from tests.conftest import SMALL

PLAN = Plan(rounds=3, steps=2, batch_size=10, lr=0.01, precision="float32")


@pytest.fixture
def network(tiny):
    return networks.build(tiny, torch.Generator().manual_seed(0))


def test_the_lowest_is_the_first_of_equals_across_the_groups():
    scores = [torch.tensor([3.0, 1.0]), torch.tensor([]), torch.tensor([2.0, 0.5, 0.5]), torch.tensor([0.5])]
    assert pruning.lowest(scores) == Choice(2, 1, 0.5)
    assert pruning.lowest([torch.zeros(0), torch.zeros(2), torch.zeros(9)]) == Choice(1, 0, 0.0)
    assert pruning.lowest([torch.tensor([4.0]), torch.tensor([5.0, -1.0])]) == Choice(1, 1, -1.0)


def test_a_group_at_its_least_loses_no_channel():
    scores = [torch.tensor([0.0]), torch.tensor([2.0, 1.0]), torch.tensor([1.0, 1.5])]
    assert pruning.lowest(scores) == Choice(0, 0, 0.0)
    assert pruning.lowest(scores, (0, 0, 0)) == Choice(0, 0, 0.0)
    assert pruning.lowest(scores, (1, 1, 1)) == Choice(1, 1, 1.0)
    assert pruning.lowest(scores, (1, 2, 1)) == Choice(2, 0, 1.0)
    with pytest.raises(BadInput, match="no channel is left to remove"):
        pruning.lowest(scores, (1, 2, 2))
    with pytest.raises(FloatingPointError, match="not finite"):
        pruning.lowest([torch.tensor([torch.nan]), torch.ones(2)], (1, 1))


@pytest.mark.parametrize("family", ["vgg", "preresnet"])
def test_no_group_goes_below_its_least(family):
    clutter = data.load("clutter", images=64)
    few = {"vgg": (2, 1, 2, 1, 1), "preresnet": (1, 1, 1, 1, 1, 1, 0, 0, 0, 3)}[family]
    a = architecture.named(SMALL[family], image=clutter.image, classes=10).with_widths(few)
    network = networks.build(a, torch.Generator().manual_seed(0))
    spare = sum(few) - sum(a.least)
    under_way = iter(pruning.Pruning(network, clutter, replace(PLAN, rounds=spare + 1), 0, evaluated=False))
    for removal in itertools.islice(under_way, spare + 1):
        assert all(n >= least for n, least in zip(removal.architecture.widths, a.least, strict=True))
    assert network.architecture.widths == a.least
    with pytest.raises(BadInput, match="no channel is left to remove"):
        next(under_way)


def test_no_channel_and_no_number_are_refused():
    with pytest.raises(BadInput, match="no channel is left"):
        pruning.lowest([torch.zeros(0), torch.zeros(0)])
    for bad in (torch.nan, torch.inf):
        with pytest.raises(FloatingPointError, match="not finite"):
            pruning.lowest([torch.tensor([1.0, bad])])


@pytest.mark.parametrize("criterion", saliency.CRITERIA)
def test_one_channel_goes_each_round(network, tiny, images, criterion):
    history = []
    for removal in pruning.Pruning(network, images, replace(PLAN, criterion=criterion), seed=0):
        assert removal.architecture == network.architecture
        history.append(removal)
    assert [removal.round for removal in history] == [0, 1, 2, 3]
    assert history[0].architecture == tiny
    assert (history[0].group, history[0].channel) == (-1, -1)
    for before, after in itertools.pairwise(history):
        assert after.architecture == before.architecture.without_channel(after.group)
    assert [removal.images for removal in history] == [20, 40, 60, 80]
    assert len({(removal.group, removal.channel) for removal in history}) == 4  # no channel goes twice
    part = (
        training.evaluate(network, images, images.test).error,
        training.evaluate(network, images, images.validation).error,
    )
    assert part == (history[-1].test_error, history[-1].val_error)
    assert all(len(module._forward_hooks) == 0 for module in network.modules())


@pytest.mark.parametrize("criterion", saliency.CRITERIA)
def test_channel_numbers_are_those_of_the_whole_network(network, tiny, images, criterion):
    """At a rate of nearly nothing the filters stay as they are: what is missing can be seen."""
    whole = [group.producer.weight.detach().clone() for group in network.groups]
    gone: set[tuple[int, int]] = set()
    plan = replace(PLAN, rounds=9, lr=1e-12, criterion=criterion, steps=1)
    for removal in pruning.Pruning(network, images, plan, seed=1):
        if removal.round:
            gone.add((removal.group, removal.channel))
        missing = set()
        for number, (group, before) in enumerate(zip(network.groups, whole, strict=True)):
            left = group.producer.weight.detach()
            apart = (before[:, None] - left[None]).abs().amax(dim=(2, 3, 4))  # (whole, left)
            missing |= {(number, c) for c in range(len(before)) if not (apart[c] < 1e-6).any()}
        assert missing == gone


def test_a_round_removes_what_its_criterion_says(network, images):
    """l1 at a rate of nearly nothing: the order in which the channels go is known before."""
    plan = replace(PLAN, rounds=12, lr=1e-12, criterion="l1", steps=1)
    norms = {
        (number, channel): norm.item()
        for number, group in enumerate(network.groups)
        for channel, norm in enumerate(group.producer.weight.detach().abs().sum(dim=(1, 2, 3)))
    }
    history = list(pruning.Pruning(network, images, plan, seed=0))[1:]
    assert [(removal.group, removal.channel) for removal in history] == sorted(norms, key=norms.__getitem__)
    assert [removal.saliency for removal in history] == pytest.approx(sorted(norms.values()), rel=1e-4)


def test_a_network_can_be_pruned_to_no_channels_at_all(network, images):
    history = list(pruning.Pruning(network, images, replace(PLAN, rounds=12), seed=0))
    assert network.architecture.widths == (0, 0, 0)
    assert history[-1].architecture.widths == (0, 0, 0)
    assert all(group.width == 0 for group in network.groups)
    x = images.normalise(images.test.pixels)
    assert network(x).isfinite().all()


def test_fine_tuning_goes_on_after_the_removals(network, images):
    before = network.stem.weight.detach().clone()
    losses = [
        r.loss for r in pruning.Pruning(network, images, replace(PLAN, rounds=6, steps=8, lr=0.05), seed=0)
    ]
    assert not torch.equal(before, network.stem.weight)
    assert losses[-1] < losses[0] - 0.1


def test_more_rounds_than_channels_are_refused_before_any_work(network, images):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(BadInput, match="rounds=13, but the network has 12 channels"):
        next(iter(pruning.Pruning(network, images, replace(PLAN, rounds=13), seed=0)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("criterion", saliency.CRITERIA)
def test_the_same_seed_gives_the_same_history(tiny, images, criterion):
    plan = replace(PLAN, criterion=criterion)

    def history(seed: int) -> list:
        network = networks.build(tiny, torch.Generator().manual_seed(0))
        return [
            r._replace(saliency=0.0) if r.round == 0 else r
            for r in pruning.Pruning(network, images, plan, seed)
        ]

    assert history(3) == history(3)
    assert history(3) != history(4)


def test_a_loss_that_is_not_finite_ends_the_pruning(network, images):
    with pytest.raises(FloatingPointError, match="learning rate"):
        list(pruning.Pruning(network, images, replace(PLAN, lr=1e30), seed=0))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"criterion": "fischer"}, r"'fischer'.*fisher, taylor, l1"),
        ({"precision": "half"}, r"'half'.*auto, float32, bfloat16"),
        ({"rounds": 0}, "rounds must be positive"),
        ({"steps": 0}, "steps must be positive"),
        ({"lr": -0.1}, "lr must be positive"),
        ({"batch_size": 0}, "batch_size must be positive"),
    ],
)
def test_a_bad_plan_is_refused(change, said):
    with pytest.raises(BadInput, match=said):
        replace(PLAN, **change)


def test_the_defaults_are_the_published_ones():
    assert Plan(rounds=1) == Plan(1, "fisher", 100, 8e-4, 128, 0.9, 5e-4, "auto")
