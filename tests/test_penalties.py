"""Penalties: worked by hand, put down and taken up again, and absorbed without a trace."""

import copy
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from horticulture import architecture, networks, training
from horticulture.errors import InputError
from horticulture.training import evaluation, penalties
from tests.conftest import small

SMALL = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
FACTORED = ("blocks", "groups")
each_factored = pytest.mark.parametrize("name", FACTORED)


def batch(a: architecture.Architecture, draw: torch.Generator, count: int = 16) -> tuple[Tensor, Tensor]:
    return torch.randn(count, *a.image, generator=draw), torch.randint(a.classes, (count,), generator=draw)


def begun(a: architecture.Architecture, seed: int = 0, lr: float = 0.1):
    network = networks.build(a, torch.Generator().manual_seed(seed)).train()
    return network, training.sgd(network, lr=lr, momentum=0.9, weight_decay=5e-4)


def trained(a: architecture.Architecture, name: str, strength: float, steps: int = 4):
    """A network after some steps under a penalty, which is still open, and a batch it has not seen."""
    network, optimizer = begun(a)
    draw = torch.Generator().manual_seed(1)
    penalty = penalties.make(network, name, strength)
    for _ in range(steps):
        training.step(network, optimizer, *batch(a, draw), callback=penalty)
    return network, penalty, batch(a, draw)[0]


# --- slimming --------------------------------------------------------------------------------------------


def test_slimming_adds_the_sign_of_each_scale(tiny):
    network, _ = begun(tiny)
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    gamma = network.groups[0].norm.weight
    gamma.data = torch.tensor([2.0, -3.0, 0.0])
    penalties.make(network, "slimming", 0.125).before_step(lr=0.1)
    assert gamma.grad.tolist() == [0.625, 0.375, 0.5]
    penalised = {id(group.norm.weight) for group in network.groups}
    for parameter in network.parameters():
        if id(parameter) not in penalised:  # norms on the trunk too: their channels cannot go
            assert (parameter.grad == 0.5).all()


def test_a_step_with_slimming_is_one_on_the_loss_with_the_penalty(tiny, generator):
    actual, its_optimizer = begun(tiny)
    actual.groups[1].norm.weight.data = torch.tensor([1.0, -0.5, 0.0, 0.2])
    expected, optimizer = copy.deepcopy((actual, its_optimizer))
    for _ in range(2):
        x, y = batch(tiny, generator)
        training.step(actual, its_optimizer, x, y, callback=penalties.make(actual, "slimming", 0.01))
        size = sum(group.norm.weight.abs().sum() for group in expected.groups)
        optimizer.zero_grad()
        (F.cross_entropy(expected(x), y) + 0.01 * size).backward()
        optimizer.step()
    torch.testing.assert_close(dict(actual.state_dict()), dict(expected.state_dict()))


# --- the factors' own step -------------------------------------------------------------------------------


def test_two_proximal_steps_of_two_factors_by_hand():
    factors, velocity = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    # lr 0.5, strength 0.2: thresholds of 0.1
    gradient = torch.tensor([0.4, 3.0], dtype=torch.float64)
    # 1 - 0.2 = 0.8, soft 0.7; velocity -0.3; 0.7 - 0.27 = 0.43
    # 1 - 1.5 = -0.5, soft -0.4; velocity -1.4; -0.4 - 1.26 < 0
    factors, velocity = penalties.proximal_step(factors, velocity, gradient, 0.5, 0.2)
    assert factors.tolist() == pytest.approx([0.43, 0])
    assert factors[1] == 0
    assert velocity.tolist() == pytest.approx([-0.3, -1.4])
    gradient = torch.tensor([-1.0, -8.0], dtype=torch.float64)
    # 0.43 + 0.5 = 0.93, soft 0.83; velocity 0.83 - 0.43 - 0.27 = 0.13; 0.83 + 0.117 = 0.947
    # 0 + 4 = 4, soft 3.9; velocity 3.9 - 0 - 1.26 = 2.64, from the factor as it was set to 0; 3.9 + 2.376
    factors, velocity = penalties.proximal_step(factors, velocity, gradient, 0.5, 0.2)
    assert factors.tolist() == pytest.approx([0.947, 6.276])
    assert velocity.tolist() == pytest.approx([0.13, 2.64])


def test_within_the_threshold_a_factor_is_exactly_zero_and_beyond_it_moves_by_the_threshold():
    factors, rest = torch.tensor([0.75, 0.25, 0.2, 0.0]), torch.zeros(4)
    actual, velocity = penalties.proximal_step(factors, rest, rest, lr=0.5, strength=0.5)
    # soft: 0.5, 0, 0, 0; then 0.9 of the way on again
    assert actual.tolist() == pytest.approx([0.5 - 0.9 * 0.25, 0, 0, 0])
    assert velocity.tolist() == pytest.approx([-0.25, -0.25, -0.2, 0])
    assert (actual[1:] == 0).all()


# --- a training run under factors ------------------------------------------------------------------------


def factors_of_the_gradient(network, name: str, x: Tensor, y: Tensor) -> Tensor:
    """d loss / d factor at factors of 1, by pulling the weights that read what a factor scales.

    Scaling what a convolution reads, or gives, scales its weights: sum(weight * d loss / d weight).
    """
    weights = [branch.weight for branch in network.branch_ends]
    gradients = torch.autograd.grad(F.cross_entropy(network(x), y), weights)
    pulls = [(w * g).sum(dim=(0, 2, 3)) for w, g in zip(weights, gradients, strict=True)]
    return torch.stack([pull.sum() for pull in pulls]) if name == "blocks" else torch.cat(pulls)


@each_factored
def test_a_step_moves_the_factors_by_their_gradient_and_the_weights_as_ever(name, tiny, generator):
    network, optimizer = begun(tiny)
    plain, its_optimizer = copy.deepcopy((network, optimizer))
    x, y = batch(tiny, generator)
    slope = factors_of_the_gradient(plain, name, x, y)
    plain.load_state_dict(network.state_dict())  # the running statistics have moved
    with penalties.make(network, name, 0.5) as penalty:
        loss = training.step(network, optimizer, x, y, callback=penalty)
    torch.testing.assert_close(loss, training.step(plain, its_optimizer, x, y))
    torch.testing.assert_close(dict(network.state_dict()), dict(plain.state_dict()))
    # z = 1 - 0.1 slope - 0.05, then 0.9 of the way on again
    torch.testing.assert_close(penalty.state_dict()["factors"], 1 - 1.9 * (0.1 * slope + 0.05))


@each_factored
def test_a_gradient_is_used_once(name, tiny, generator):
    network, optimizer = begun(tiny)
    penalty = penalties.make(network, name, 0)
    training.step(network, optimizer, *batch(tiny, generator), callback=penalty)
    after = penalty.state_dict()["factors"].clone()
    assert (after != 1).all()
    penalty.before_step(lr=0.1)  # no pass since: the velocity alone, (after - 1) / 1.9, moves on
    torch.testing.assert_close(penalty.state_dict()["factors"], after + 0.9 * 0.9 * (after - 1) / 1.9)


@each_factored
def test_with_no_penalty_and_no_pull_a_factor_stays_for_it_knows_no_decay(name, tiny):
    network, optimizer = begun(tiny)
    penalty = penalties.make(network, name, 0)
    for branch in network.branch_ends:
        branch.weight.data.zero_()  # nothing is added to the trunk: no gradient either
    training.step(network, optimizer, *batch(tiny, torch.Generator().manual_seed(0)), callback=penalty)
    assert (penalty.state_dict()["factors"] == 1).all()


@each_factored
def test_a_strong_penalty_makes_every_factor_exactly_zero_and_none_negative(name):
    network, optimizer = begun(SMALL)
    draw = torch.Generator().manual_seed(1)
    penalty = penalties.make(network, name, 2.0)
    seen = []
    for _ in range(6):
        training.step(network, optimizer, *batch(SMALL, draw), callback=penalty)
        seen.append(penalty.state_dict()["factors"].clone())
    assert (torch.stack(seen) >= 0).all()
    assert (seen[0] > 0).any()
    assert (seen[-1] == 0).all()
    penalty.fold_into_weights()
    assert not any(branch.weight.any() for branch in network.branch_ends)


@each_factored
@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluating"])
def test_absorbed_the_plain_network_computes_the_same(name, mode):
    network, penalty, x = trained(SMALL, name, 0.05)
    kept = penalty.state_dict()["factors"].clone()
    assert (kept != 1).all()
    twin = copy.deepcopy(network)  # under the same factors; for batch statistics move in training mode
    with torch.no_grad():
        expected = twin.train(mode)(x)
    factors = penalty.fold_into_weights()
    assert not any(module._forward_hooks for module in network.modules())
    with torch.no_grad():
        torch.testing.assert_close(network.train(mode)(x), expected, rtol=1e-5, atol=1e-5)
    flat = factors if name == "blocks" else [factor for group in factors for factor in group]
    assert flat == kept.tolist()
    if name == "groups":
        assert [len(group) for group in factors] == list(SMALL.widths)


@each_factored
def test_factors_are_heard_in_evaluation_and_no_more_once_closed(name, tiny, images):
    network, _ = begun(tiny)
    error, loss, wrong = evaluation.evaluate(network, images, images.test)

    def as_before() -> bool:
        actual = evaluation.evaluate(network, images, images.test)
        return (actual.error, actual.loss) == (error, loss) and torch.equal(actual.wrong, wrong)

    penalty = penalties.make(network, name, 0.1)
    assert as_before()  # all of them 1
    half = {key: tensor / 2 for key, tensor in penalty.state_dict().items()}
    penalty.load_state_dict(half)
    scaled = evaluation.evaluate(network, images, images.test)
    assert scaled.loss != loss
    penalty.close()
    assert as_before()
    for branch in network.branch_ends:  # in this network what reads a group is what ends a branch
        branch.weight.data /= 2
    assert evaluation.evaluate(network, images, images.test).loss == pytest.approx(scaled.loss, rel=1e-5)


@each_factored
def test_the_type_and_the_memory_format_of_what_is_scaled_are_kept(name, tiny, generator):
    network, optimizer = begun(tiny)
    network.to(memory_format=torch.channels_last)
    penalty = penalties.make(network, name, 0.1)
    seen = []

    def note(module, inputs, output):
        seen.append((output.dtype, output.is_contiguous(memory_format=torch.channels_last)))

    for module in network.branch_ends if name == "blocks" else [group.activation for group in network.groups]:
        module.register_forward_hook(note)  # after the penalty's own
    training.step(network, optimizer, *batch(tiny, generator), torch.bfloat16, penalty)
    assert seen == [(torch.bfloat16, True)] * 3
    assert penalty.state_dict()["factors"].dtype == torch.float32


@pytest.mark.parametrize("name", penalties.PENALTIES)
def test_put_down_and_taken_up_again_it_ends_with_the_same_bits(name):
    def steps(network, optimizer, penalty, numbers):
        for number in numbers:
            draw = torch.Generator().manual_seed(number)
            training.step(network, optimizer, *batch(SMALL, draw), callback=penalty)

    whole, optimizer = begun(SMALL)
    its_penalty = penalties.make(whole, name, 0.01)
    steps(whole, optimizer, its_penalty, range(2))
    actual = training.collect_tensors(whole, optimizer, its_penalty)
    kept = {key: tensor.clone() for key, tensor in actual.items()}
    steps(whole, optimizer, its_penalty, range(2, 4))

    again, its_optimizer = begun(SMALL, seed=5)
    penalty = penalties.make(again, name, 0.01)
    training.restore_tensors(again, its_optimizer, penalty, kept)
    steps(again, its_optimizer, penalty, range(2, 4))

    assert penalty.state_dict().keys() == its_penalty.state_dict().keys()
    assert all(torch.equal(t, penalty.state_dict()[key]) for key, t in its_penalty.state_dict().items())
    assert penalty.fold_into_weights() == its_penalty.fold_into_weights()
    assert all(torch.equal(t, whole.state_dict()[key]) for key, t in again.state_dict().items())


@pytest.mark.parametrize("name", penalties.PENALTIES)
@pytest.mark.parametrize("widths", [(0, 4, 0), (0, 0, 0)], ids=["some", "all"])
def test_vanished_groups_are_no_hindrance(name, widths, tiny):
    shape = replace(tiny, trunk=(4, 4, 5, 6), widths=widths)  # of the first block nothing at all is left
    network, penalty, x = trained(shape, name, 0.01, steps=2)
    with torch.no_grad():
        expected = network.eval()(x)
    factors = penalty.fold_into_weights()
    with torch.no_grad():
        torch.testing.assert_close(network(x), expected)
    if name in FACTORED:
        assert [len(s) for s in penalties.scores_from_factors(shape, name, factors)] == list(widths)


# --- scores and refusals ---------------------------------------------------------------------------------


def test_scores_of_blocks_count_for_all_their_channels_and_groups_of_none_never_go(tiny):
    assert [s.tolist() for s in penalties.scores_from_factors(tiny, "blocks", [0.5, 0.0, 0.25])] == [
        [0.5] * 3,
        [0.0] * 4,
        [0.25] * 5,
    ]
    shape = small("preresnet")  # three groups a block, and at the end a selection that is in no block
    assert shape.blocks == ((0, 1, 2), (3, 4, 5), (6, 7, 8))
    factors = (0.5, 0.0, 0.25)
    expected = [[factors[n // 3] if n < 9 else math.inf] * width for n, width in enumerate(shape.widths)]
    assert [s.tolist() for s in penalties.scores_from_factors(shape, "blocks", list(factors))] == expected


def test_scores_of_groups_are_their_factors(tiny):
    factors = [[0.5, 0.0, 1.0], [1.0] * 4, [0.25] * 5]
    assert [s.tolist() for s in penalties.scores_from_factors(tiny, "groups", factors)] == factors


@pytest.mark.parametrize(
    ("name", "factors", "said"),
    [
        ("blocks", [1.0, 1.0], "2 factors for 3 blocks"),
        ("groups", [[1.0] * 3], "1 factors for 3 groups"),
        ("groups", [[1.0] * 3, [1.0] * 3, [1.0] * 5], r"3 factors for 4 channels of group 2\.1"),
        ("slimming", [], "penalty with factors 'slimming': choose from blocks, groups"),
    ],
)
def test_factors_of_another_network_are_refused(name, factors, said, tiny):
    with pytest.raises(InputError, match=said):
        penalties.scores_from_factors(tiny, name, factors)


@pytest.mark.parametrize("strength", [-1e-4, math.nan, math.inf])
@pytest.mark.parametrize("name", ["slimming", "blocks", "groups"])
def test_a_strength_below_zero_is_refused(name, strength, tiny):
    with pytest.raises(InputError, match=r"strength.*0 or more, not"):
        penalties.make(networks.build(tiny), name, strength)


def test_no_penalty_ignores_its_strength_and_changes_nothing(tiny, generator):
    network, optimizer = begun(tiny)
    plain, its_optimizer = copy.deepcopy((network, optimizer))
    x, y = batch(tiny, generator)
    with penalties.make(network, "none", -1) as penalty:
        training.step(network, optimizer, x, y, callback=penalty)
        assert penalty.fold_into_weights() == []
        assert penalty.state_dict() == {}
    training.step(plain, its_optimizer, x, y)
    assert all(torch.equal(t, plain.state_dict()[key]) for key, t in network.state_dict().items())


def test_an_unknown_penalty_is_refused_with_the_choices(tiny):
    with pytest.raises(InputError, match=r"none, slimming, blocks, groups \(did you mean 'slimming'\?\)"):
        penalties.make(networks.build(tiny), "sliming", 1e-4)


def test_a_network_without_blocks_is_told_to_use_groups():
    with pytest.raises(InputError, match=r"VGG has no blocks.*use groups"):
        penalties.make(networks.build(small("vgg")), "blocks", 0.01)
