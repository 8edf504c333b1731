"""Masks by hand, kept through steps that push against them, and a fresh start under them."""

import math

import pytest
import torch
from torch import nn

from horticulture import architecture, networks, training
from horticulture.errors import InputError
from horticulture.pruning import ranking, unstructured
from tests.conftest import SMALL, cut_at_random, small


def layers(*weights: list[float]) -> nn.Sequential:
    """A 1 x 1 convolution with one input for each list of weights, and nothing else."""
    network = nn.Sequential(*(nn.Conv2d(1, len(values), 1, bias=False) for values in weights))
    for layer, values in zip(network, weights, strict=True):
        layer.weight.data = torch.tensor(values).reshape(-1, 1, 1, 1)
    return network


def listed(masks: dict[str, torch.Tensor]) -> list[list[int]]:
    return [mask.flatten().int().tolist() for mask in masks.values()]


@pytest.fixture
def network(generator):
    return networks.build(architecture.named("wrn-10-1", image=(1, 16, 16), classes=10), generator)


def test_what_may_go_is_the_weights_of_convolutions(network):
    actual = unstructured.weights(network)
    state = network.state_dict()
    assert all(torch.equal(weight, state[name]) for name, weight in actual.items())
    assert sorted(actual) == sorted(name for name, tensor in state.items() if tensor.dim() == 4)
    assert "classifier.weight" not in actual


@pytest.mark.parametrize("network_type", SMALL)
def test_the_weights_that_are_left_say_what_a_forward_pass_costs(network_type, generator):
    """Counted at every layer as it is entered, and with nothing removed what the architecture says."""
    network = networks.build(cut_at_random(small(network_type), 1), generator).eval()
    whole, half = (unstructured.magnitude_masks(network, fraction) for fraction in (0, 0.5))
    assert unstructured.nonzero_macs(network, whole) == network.architecture.macs
    attention = [layer.macs for layer in network.architecture.layers if layer.kind == "attention"]
    macs = [network.classifier.weight.numel(), *attention]
    for name, module in network.named_modules():
        if f"{name}.weight" in half:
            left, made = int(half[f"{name}.weight"].sum()), len(module.weight)
            module.register_forward_hook(
                lambda _, x, y, left=left, made=made: macs.append(left * y[0].numel() // made)
            )
    network(torch.zeros(1, *network.architecture.image))
    assert unstructured.nonzero_macs(network, half) == sum(macs)


@pytest.mark.parametrize(
    ("share", "kept"),
    [
        (0, [1, 1, 1, 1]),
        (0.25, [1, 0, 1, 1]),
        (0.5, [1, 0, 1, 0]),  # of two of size 2 one: number 2 * 1/2
        (0.6, [1, 0, 1, 0]),  # 2.4 of four: two
        (0.7, [0, 0, 1, 0]),  # 2.8: three
    ],
)
def test_the_smallest_of_four_go_whatever_their_signs(share, kept):
    assert listed(unstructured.magnitude_masks(layers([2.0, -1.0, 3.0, -2.0]), share)) == [kept]


def test_over_all_layers_or_in_each():
    network = layers([4.0, -3.0, 0.1, 0.2], [0.3, 5.0, 6.0, -7.0])
    assert listed(unstructured.magnitude_masks(network, 0.5, "global")) == [[1, 0, 0, 0], [0, 1, 1, 1]]
    assert listed(unstructured.magnitude_masks(network, 0.5, "layer")) == [[1, 1, 0, 0], [0, 0, 1, 1]]


@pytest.mark.parametrize("scope", ranking.SCOPES)
def test_equal_weights_go_at_equal_distances_and_the_number_is_exact(scope):
    """Three of ten: numbers 1/6, 3/6 and 5/6 of 10, rounded down."""
    actual = unstructured.magnitude_masks(layers([1.0] * 10), 0.3, scope)
    assert listed(actual) == [[1, 0, 1, 1, 1, 0, 1, 1, 0, 1]]


def test_equal_weights_go_from_every_layer():
    network = layers([1.0] * 4, [-1.0] * 8, [1.0, 9.0, 0.0, -1.0])
    for count in range(1, 15):  # the 0 goes first, then some of fourteen equals; the 9 stays
        masks = listed(unstructured.magnitude_masks(network, (count + 1) / 16))
        gone = [mask.count(0) for mask in masks]
        assert sum(gone) == count + 1
        assert masks[2][1:3] == [1, 0]
        for went, weights in zip((gone[0], gone[1], gone[2] - 1), (4, 8, 2), strict=True):
            assert abs(went - count * weights / 14) < 1


@pytest.mark.parametrize("share", [0.1, 0.33, 0.5, 0.95])
def test_position_is_that_in_the_tensor_not_in_memory(network, share):
    for weight in unstructured.weights(network).values():
        weight.data = weight.data.sign()  # ties everywhere
    plain = unstructured.magnitude_masks(network, share)
    total = sum(mask.numel() for mask in plain.values())
    assert sum(int((~mask).sum()) for mask in plain.values()) == round(share * total)
    other = unstructured.magnitude_masks(network.to(memory_format=torch.channels_last), share)
    assert all(torch.equal(mask, other[name]) for name, mask in plain.items())


def test_what_an_earlier_step_removed_stays_removed_and_counts():
    network = layers([4.0, 1.0, 3.0, 2.0])
    before = unstructured.magnitude_masks(network, 0.25)
    network[0].weight.data[1] = 9.0  # though it has grown
    assert listed(unstructured.magnitude_masks(network, 0.5, before=before)) == [[1, 0, 1, 0]]
    assert listed(unstructured.magnitude_masks(network, 0.25, before=before)) == [[1, 0, 1, 1]]
    with pytest.raises(InputError, match="is 0 weights, but 1 are already removed"):
        unstructured.magnitude_masks(network, 0, before=before)


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, math.nan])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(InputError, match=f"fraction must be at least 0 and below 1, not {share}"):
        unstructured.magnitude_masks(layers([1.0]), share)


def test_an_unknown_scope_and_strange_masks_are_refused(network):
    with pytest.raises(InputError, match=r"scope 'layers'.*global, layer.*did you mean 'layer'"):
        unstructured.magnitude_masks(network, 0.5, "layers")
    actual = unstructured.magnitude_masks(network, 0.5)
    stem = actual.pop("stem.weight")
    with pytest.raises(InputError, match=r"stem\.weight is in only one"):
        unstructured.MaskCallback(network, actual)
    with pytest.raises(
        InputError, match=r"stem\.weight has shape \(16, 1, 3, 3\) in the network, not \(8, 1, 3, 3\)"
    ):
        unstructured.count_nonzero({**actual, "stem.weight": stem[:8]}, network)


def test_what_is_left_is_counted(network):
    weights = sum(weight.numel() for weight in unstructured.weights(network).values())
    actual = unstructured.magnitude_masks(network, 0.8)
    assert unstructured.count_nonzero(actual, network) == network.architecture.params - round(0.8 * weights)


def test_removed_weights_stay_zero_through_momentum_and_decay(tiny, images, generator):
    network = networks.build(tiny, generator)
    optimizer = training.sgd(network, lr=0.1, momentum=0.9, weight_decay=0.01)
    x, y = images.normalise(images.train.pixels), images.train.labels
    training.step(network, optimizer, x, y)  # so that there is momentum on what is removed next
    actual = unstructured.magnitude_masks(network, 0.7)
    callback = unstructured.MaskCallback(network, actual)
    begun = {name: weight.detach().clone() for name, weight in unstructured.weights(network).items()}
    assert all((begun[name][~mask] == 0).all() for name, mask in actual.items())
    network.to_device(torch.device("cpu"))  # as a trainer does, after the callback was made
    for _ in range(3):
        training.step(network, optimizer, x, y, callback=callback)
        for name, weight in unstructured.weights(network).items():
            assert (weight[~actual[name]] == 0).all()
            assert (weight[actual[name]] != begun[name][actual[name]]).any()
    training.step(network, optimizer, x, y)  # and without the callback they would move
    assert any((weight[~actual[name]] != 0).any() for name, weight in unstructured.weights(network).items())


def test_masks_can_be_put_down_and_taken_up(network):
    first = unstructured.magnitude_masks(network, 0.5)
    state = unstructured.MaskCallback(network, first).state_dict()
    again = unstructured.MaskCallback(network, unstructured.magnitude_masks(network, 0))
    network.stem.weight.data.fill_(1)
    again.load_state_dict(state)
    assert all(torch.equal(mask, again.masks[name]) for name, mask in first.items())
    assert torch.equal(network.stem.weight.data, first["stem.weight"].float())


def test_a_fresh_start_draws_from_the_variance_of_what_is_left():
    network = networks.build(architecture.named("wrn-10-4", image=(3, 16, 16), classes=10))
    actual = unstructured.magnitude_masks(network, 0.9)
    for parameter in network.parameters():
        parameter.data.fill_(7)
    unstructured.reinitialize(network, actual, torch.Generator().manual_seed(1))
    for name, weight in unstructured.weights(network).items():
        assert (weight[~actual[name]] == 0).all()
        drawn = weight[actual[name]].detach()
        expected = math.sqrt(2 / (len(drawn) / weight.shape[1]))  # shape: outputs, inputs, height, width
        assert drawn.std().item() == pytest.approx(expected, rel=4 / math.sqrt(2 * len(drawn))), name
        assert abs(drawn.mean().item()) < 4 * expected / math.sqrt(len(drawn))
    assert (network.norm.weight == 1).all()
    assert (network.norm.bias == 0).all()
    assert network.classifier.weight.abs().max() <= 1 / math.sqrt(network.classifier.in_features)


def test_a_fresh_start_without_removals_is_a_new_network(network):
    unstructured.reinitialize(
        network, unstructured.magnitude_masks(network, 0), torch.Generator().manual_seed(3)
    )
    new = networks.build(network.architecture, torch.Generator().manual_seed(3))
    assert all(torch.equal(tensor, new.state_dict()[name]) for name, tensor in network.state_dict().items())


def test_a_layer_with_nothing_left_starts_as_zeros(network):
    actual = unstructured.magnitude_masks(network, 0)
    actual["stem.weight"][:] = False
    unstructured.reinitialize(network, actual)
    assert (network.stem.weight == 0).all()
