"""Pruning: one channel a round, the lowest one, and a history that says which."""

import itertools
from dataclasses import replace

import pytest
import torch

from horticulture import architecture, data, networks, pruning
from horticulture.errors import InputError
from horticulture.pruning import PruningRecipe, ScoredChannel, criteria, unstructured
from horticulture.training import evaluation, penalties
from tests.conftest import SMALL, small, without_channel

# Those by which one channel can go a round, in a network that had no training of a special kind.
BY_CHANNEL = [
    name
    for name, found in criteria.CRITERIA.items()
    if found.granularity == "channel" and not found.precomputed
]
PLAN = PruningRecipe(rounds=3, steps=2, batch_size=10, lr=0.01, precision="float32")


@pytest.fixture
def network(tiny):
    return networks.build(tiny, torch.Generator().manual_seed(0))


def test_of_equals_the_lowest_is_the_first_of_the_group_with_the_fewest_of_them():
    """Alone among its equals a channel stands at 1/2, of two the first at 1/4, of nine at 1/18."""
    scores = [torch.tensor([3.0, 1.0]), torch.tensor([]), torch.tensor([2.0, 0.5, 0.5]), torch.tensor([0.5])]
    assert pruning.lowest_channel(scores) == ScoredChannel(2, 1, 0.5)
    assert pruning.lowest_channel([torch.zeros(0), torch.zeros(2), torch.zeros(9)]) == ScoredChannel(
        2, 0, 0.0
    )
    assert pruning.lowest_channel([torch.tensor([4.0]), torch.tensor([5.0, -1.0])]) == ScoredChannel(
        1, 1, -1.0
    )


def test_a_group_at_its_least_loses_no_channel():
    scores = [torch.tensor([0.0]), torch.tensor([2.0, 1.0]), torch.tensor([1.0, 1.5])]
    assert pruning.lowest_channel(scores) == ScoredChannel(0, 0, 0.0)
    assert pruning.lowest_channel(scores, (0, 0, 0)) == ScoredChannel(0, 0, 0.0)
    assert pruning.lowest_channel(scores, (1, 1, 1)) == ScoredChannel(1, 1, 1.0)
    assert pruning.lowest_channel(scores, (1, 2, 1)) == ScoredChannel(2, 0, 1.0)
    with pytest.raises(InputError, match="no channel is left to remove"):
        pruning.lowest_channel(scores, (1, 2, 2))
    with pytest.raises(FloatingPointError, match="not finite"):
        pruning.lowest_channel([torch.tensor([torch.nan]), torch.ones(2)], (1, 1))


@pytest.mark.parametrize("network_type", ["vgg", "preresnet"])
def test_no_group_goes_below_its_least(network_type):
    clutter = data.load("clutter", images=64)
    few = {"vgg": (2, 1, 2, 1, 1), "preresnet": (1, 1, 1, 1, 1, 1, 0, 0, 0, 3)}[network_type]
    a = architecture.named(SMALL[network_type], image=clutter.image, classes=10).with_widths(few)
    network = networks.build(a, torch.Generator().manual_seed(0))
    spare = sum(few) - sum(a.min_widths)
    with pytest.raises(
        InputError, match=f"rounds={spare + 1}, but the network has {spare} channels to remove"
    ):
        pruning.Pruner(network, clutter, replace(PLAN, rounds=spare + 1), 0)
    for removal in pruning.Pruner(network, clutter, replace(PLAN, rounds=spare, evaluate_every=99), 0):
        assert all(n >= least for n, least in zip(removal.architecture.widths, a.min_widths, strict=True))
    assert network.architecture.widths == a.min_widths


def test_no_channel_and_no_number_are_refused():
    with pytest.raises(InputError, match="no channel is left"):
        pruning.lowest_channel([torch.zeros(0), torch.zeros(0)])
    for bad in (torch.nan, torch.inf):
        with pytest.raises(FloatingPointError, match="not finite"):
            pruning.lowest_channel([torch.tensor([1.0, bad])])


@pytest.mark.parametrize("criterion", BY_CHANNEL)
def test_one_channel_goes_each_round(network, tiny, images, criterion):
    history = []
    for removal in pruning.Pruner(network, images, replace(PLAN, criterion=criterion), seed=0):
        assert removal.architecture == network.architecture
        history.append(removal)
    assert [removal.round for removal in history] == [0, 1, 2, 3]
    assert history[0].architecture == tiny
    assert history[0].removed == ()
    for before, after in itertools.pairwise(history):
        (gone,) = after.removed
        assert after.architecture == without_channel(before.architecture, gone.group)
        assert after.params == after.architecture.params
    assert [removal.images for removal in history] == [20, 40, 60, 80]
    assert len({removal.removed[0][:2] for removal in history[1:]}) == 3  # no channel goes twice
    evaluation.estimate_norms(network, images, 512)
    part = [evaluation.evaluate(network, images, part).error for part in (images.test, images.validation)]
    assert part == [history[-1].test_error, history[-1].val_error]
    assert all(len(module._forward_hooks) == 0 for module in network.modules())


@pytest.mark.parametrize("criterion", BY_CHANNEL)
@pytest.mark.parametrize(("rounds", "ratio"), [(9, 0.0), (3, 0.75)], ids=["one by one", "three at once"])
def test_channel_numbers_are_those_of_the_whole_network(network, images, criterion, rounds, ratio):
    """At a rate of nearly nothing the filters stay as they are: what is missing can be seen."""
    whole = [group.producer.weight.detach().clone() for group in network.groups]
    gone: set[tuple[int, int]] = set()
    plan = replace(PLAN, rounds=rounds, ratio=ratio, lr=1e-12, criterion=criterion, steps=1)
    for removal in pruning.Pruner(network, images, plan, seed=1):
        gone |= {(scored.group, scored.channel) for scored in removal.removed}
        missing = set()
        for number, (group, before) in enumerate(zip(network.groups, whole, strict=True)):
            remaining = group.producer.weight.detach()
            apart = (before[:, None] - remaining[None]).abs().amax(dim=(2, 3, 4))  # (whole, left)
            missing |= {(number, c) for c in range(len(before)) if not (apart[c] < 1e-6).any()}
        assert missing == gone
    assert len(gone) == 9


def test_a_round_removes_what_its_criterion_says(network, images):
    """l1 at a rate of nearly nothing: the order in which the channels go is known before."""
    plan = replace(PLAN, rounds=12, lr=1e-12, criterion="l1", steps=1)
    norms = {
        (number, channel): norm.item()
        for number, group in enumerate(network.groups)
        for channel, norm in enumerate(group.producer.weight.detach().abs().sum(dim=(1, 2, 3)))
    }
    gone = [scored for removal in pruning.Pruner(network, images, plan, seed=0) for scored in removal.removed]
    assert [(scored.group, scored.channel) for scored in gone] == sorted(norms, key=norms.__getitem__)
    assert [scored.saliency for scored in gone] == pytest.approx(sorted(norms.values()), rel=1e-4)


def test_a_network_can_be_pruned_to_no_channels_at_all(network, images):
    history = list(pruning.Pruner(network, images, replace(PLAN, rounds=12), seed=0))
    assert network.architecture.widths == (0, 0, 0)
    assert history[-1].architecture.widths == (0, 0, 0)
    assert all(group.width == 0 for group in network.groups)
    x = images.normalise(images.test.pixels)
    assert network(x).isfinite().all()


def test_fine_tuning_goes_on_after_the_removals(network, images):
    before = network.stem.weight.detach().clone()
    losses = [
        r.loss for r in pruning.Pruner(network, images, replace(PLAN, rounds=6, steps=8, lr=0.05), seed=0)
    ]
    assert not torch.equal(before, network.stem.weight)
    assert losses[-1] < losses[0] - 0.1


def test_more_rounds_than_channels_are_refused_before_any_work(network, images):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(InputError, match="rounds=13, but the network has 12 channels"):
        next(iter(pruning.Pruner(network, images, replace(PLAN, rounds=13), seed=0)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("criterion", BY_CHANNEL)
def test_the_same_seed_gives_the_same_history(tiny, images, criterion):
    plan = replace(PLAN, criterion=criterion)

    def history(seed: int) -> list:
        network = networks.build(tiny, torch.Generator().manual_seed(0))
        return list(pruning.Pruner(network, images, plan, seed))

    assert history(3) == history(3)
    assert history(3) != history(4)


# --- a share in several rounds, single weights, whole blocks ---------------------------------------------


def test_a_ratio_goes_in_equal_parts_and_the_same_ones_as_one_by_one(tiny, images):
    """At a rate of nearly nothing l1 does not change, so it does not matter when a channel goes."""

    def history(plan: PruningRecipe) -> list:
        network = networks.build(tiny, torch.Generator().manual_seed(0))
        return list(pruning.Pruner(network, images, plan, seed=0))

    plan = replace(PLAN, criterion="l1", lr=1e-12, steps=1)
    shared, single = history(replace(plan, rounds=3, ratio=0.5)), history(replace(plan, rounds=6))
    assert [len(removal.removed) for removal in shared] == [0, 2, 2, 2]  # half of 12 channels
    assert [scored[:2] for removal in shared for scored in removal.removed] == [
        scored[:2] for removal in single for scored in removal.removed
    ]
    assert [removal.architecture for removal in shared] == [removal.architecture for removal in single[::2]]


def test_single_weights_go_in_equal_parts_and_none_comes_back(network, tiny, images):
    weights = sum(conv.weight.numel() for conv in network.modules() if isinstance(conv, torch.nn.Conv2d))
    plan = replace(PLAN, criterion="magnitude", ratio=0.6, lr=0.05)
    before: dict[str, torch.Tensor] = {}
    for removal in pruning.Pruner(network, images, plan, seed=0):
        zeros = {name: weight == 0 for name, weight in unstructured.weights(network).items()}
        gone = round(weights * 0.6 * removal.round / 3)
        assert sum(int(zero.sum()) for zero in zeros.values()) == gone
        assert removal.params == tiny.params - gone
        assert (removal.removed, removal.architecture) == ((), tiny)
        assert all((zeros[name] | ~was).all() for name, was in before.items())
        before = zeros
    assert removal.round == 3


def test_a_block_goes_as_a_whole_when_its_factor_is_zero(network, tiny, images):
    scores = penalties.scores_from_factors(tiny, "blocks", [0.5, 0.0, 0.25])
    plan = replace(PLAN, criterion="blocks", rounds=1, measure="zeros")
    before, after = pruning.Pruner(network, images, plan, seed=0, precomputed=scores)
    assert before.architecture == tiny
    assert after.architecture.widths == (3, 0, 5)
    assert after.removed == tuple(ScoredChannel(1, channel, 0.0) for channel in range(4))


def test_channels_go_by_the_factors_that_their_training_gave(network, tiny, images):
    scores = penalties.scores_from_factors(
        tiny, "groups", [[0.5, 0.0, 1.0], [1.0, 0.25, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0, 1.0]]
    )
    plan = replace(PLAN, criterion="groups", rounds=1)
    _, zeros = pruning.Pruner(network, images, replace(plan, measure="zeros"), seed=0, precomputed=scores)
    assert zeros.removed == (ScoredChannel(0, 1, 0.0), ScoredChannel(2, 0, 0.0))
    again = networks.build(tiny)
    _, third = pruning.Pruner(again, images, replace(plan, ratio=1 / 3), seed=0, precomputed=scores)
    assert third.removed == (*zeros.removed, ScoredChannel(1, 1, 0.25), ScoredChannel(0, 0, 0.5))


@pytest.mark.parametrize("criterion", ["blocks", "groups"])
def test_without_the_factors_of_a_training_nothing_is_done(network, images, criterion):
    with pytest.raises(
        InputError, match=rf"{criterion} needs a network trained with the penalty {criterion}"
    ):
        pruning.Pruner(network, images, replace(PLAN, criterion=criterion, rounds=1, measure="zeros"), seed=0)


def test_blocks_cannot_go_where_there_are_none(images):
    network = networks.build(small("vgg"))
    with pytest.raises(InputError, match="VGG has no blocks that can be removed as a whole"):
        pruning.Pruner(
            network, images, replace(PLAN, criterion="blocks", rounds=1, ratio=0.5), seed=0, precomputed=[]
        )


def test_a_loss_that_is_not_finite_ends_the_pruning(network, images):
    with pytest.raises(FloatingPointError, match="learning rate"):
        list(pruning.Pruner(network, images, replace(PLAN, lr=1e30), seed=0))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"criterion": "fischer"}, r"'fischer'.*fisher, taylor, l1"),
        ({"precision": "half"}, r"unknown precision 'half': choose from float32, bfloat16"),
        ({"precision": "auto"}, "unknown precision 'auto'"),
        ({"norms": "fresh"}, "unknown norms 'fresh': choose from estimated, running"),
        ({"norm_images": 0}, "norm_images must be 2 or more, not 0"),
        ({"evaluate_every": 0}, "evaluate_every must be positive, not 0"),
        ({"rounds": 0}, "rounds must be positive"),
        ({"steps": 0}, "steps must be positive"),
        ({"lr": -0.1}, "lr must be positive"),
        ({"batch_size": 0}, "batch_size must be positive"),
        ({"ratio": 1.0}, "ratio must be at least 0 and below 1, not 1.0"),
        ({"floor": -0.1}, "floor must be at least 0 and below 1, not -0.1"),
        ({"measure": "weights"}, "'weights': choose from channels, params, macs, zeros"),
        ({"scope": "layers"}, r"'layers'.*did you mean 'layer'"),
        ({"criterion": "magnitude"}, "magnitude removes single weights: set a ratio"),
        ({"criterion": "magnitude", "ratio": 0.5, "floor": 0.1}, "whole weights, so floor must be 0"),
        ({"criterion": "groups"}, "groups is scored only once, in training: use one round, not 3"),
    ],
)
def test_a_bad_plan_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        replace(PLAN, **change)


def test_the_defaults_are_the_published_ones():
    published = {"steps": 100, "lr": 8e-4, "batch_size": 128, "momentum": 0.9, "weight_decay": 5e-4}
    assert PruningRecipe(rounds=1) == PruningRecipe(1, "fisher", 0.0, "channels", "global", 0.0, **published)
    recipe = PruningRecipe(rounds=1).to_json()
    assert {name: recipe[name] for name in ("precision", "norms", "norm_images", "evaluate_every")} == {
        "precision": "float32",
        "norms": "estimated",
        "norm_images": 512,
        "evaluate_every": 1,
    }


@pytest.mark.parametrize(
    ("criterion", "scope"), [("fisher", "global"), ("l1", "layer"), ("slimming", "global")]
)
def test_a_scope_that_is_not_said_is_the_criterions_own(criterion, scope):
    """And stands in the description: with another default later it is another run."""
    assert PruningRecipe(rounds=1, criterion=criterion).to_json()["scope"] == scope
    assert (
        PruningRecipe(1, criterion)
        == PruningRecipe(1, criterion, scope=scope)
        != PruningRecipe(1, criterion, scope="vgg-16-a")
    )
