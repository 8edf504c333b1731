"""Shared weights by hand and against scikit-learn; sparse networks to bytes and back, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from sklearn.cluster import KMeans
from torch import nn

from horticulture import architecture, networks, training
from horticulture.errors import InputError
from horticulture.pruning import compression, unstructured


def layer(values: list[float]) -> nn.Sequential:
    """One 1 x 1 convolution with one input and these weights."""
    network = nn.Sequential(nn.Conv2d(1, len(values), 1, bias=False))
    network[0].weight.data = torch.tensor(values).reshape(-1, 1, 1, 1)
    return network


def kept(network: nn.Sequential, numbers: list[int]) -> dict[str, torch.Tensor]:
    return {"0.weight": torch.tensor(numbers, dtype=torch.bool).reshape(-1, 1, 1, 1)}


def bits_of(network: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in network.state_dict().items()}


@pytest.fixture
def network(generator):
    """Not as it was born: the statistics of its norms have moved."""
    network = networks.build(architecture.named("wrn-10-1", image=(1, 16, 16), classes=10), generator)
    optimizer = training.sgd(network, 0.1, 0.9, 0)
    x, y = torch.randn(8, 1, 16, 16, generator=generator), torch.arange(8)
    training.step(network, optimizer, x, y)
    return network


def compressed(network: nn.Module, share: float = 0.8, bits: int = 4) -> compression.Shared:
    shared = compression.share_weights(network, unstructured.magnitude_masks(network, share), bits)
    return compression.WeightSharingCallback(network, shared).shared


# --- k-means ---------------------------------------------------------------------------------------------


def test_clusters_by_hand():
    # from 1 and 6, border 3.5: {1, 2} and {5, 6}; then from 1.5 and 5.5 the same
    centroids, numbers = compression.k_means(np.array([5.0, 1.0, 6.0, 2.0]), 2)
    assert centroids.tolist() == [1.5, 5.5]
    assert numbers.tolist() == [1, 0, 1, 0]
    centroids, numbers = compression.k_means(np.array([0.0, 2.0, 4.0]), 2)  # 2 is half way: the lower
    assert centroids.tolist() == [1, 4]
    assert numbers.tolist() == [0, 0, 1]


def test_an_empty_cluster_waits_and_is_left_out_if_nobody_comes():
    # from 0, 2.5, 5, 7.5, 10: {0}, {}, {3.8, 6.2 three times}, {}, {10}. The mean of the four is 5.6, the
    # border to the waiting 2.5 is 4.05, and 3.8 goes over; nothing ever comes to 7.5.
    values = np.array([0, 3.8, 6.2, 6.2, 6.2, 10])
    centroids, numbers = compression.k_means(values, 5)
    assert centroids.tolist() == [0, 3.8, 6.2, 10]
    assert numbers.tolist() == [0, 1, 2, 2, 2, 3]


@pytest.mark.parametrize("values", [[], [0.1], [0.1] * 7, [0.1, 0.3] * 3])
def test_fewer_values_than_centroids(values):
    centroids, numbers = compression.k_means(np.array(values), 8)
    assert centroids.tolist() == sorted(set(values))
    assert centroids[numbers].tolist() == values


@pytest.mark.parametrize("count", [2, 8, 16])
def test_clusters_are_those_of_scikit_learn_from_the_same_start(count):
    values = np.random.default_rng(0).uniform(-1, 1, 2000) ** 3
    start = np.linspace(values.min(), values.max(), count)
    other = KMeans(count, init=start[:, None], n_init=1, tol=0, max_iter=1000).fit(values[:, None])
    centroids, numbers = compression.k_means(values, count)
    assert len(centroids) == count
    np.testing.assert_allclose(centroids, other.cluster_centers_[:, 0], rtol=1e-9)
    assert (numbers == other.labels_).all()


# --- training --------------------------------------------------------------------------------------------


def test_a_step_of_trained_sharing_by_hand():
    network = layer([1.0, 5.0, 0.1, 2.0, 6.0])
    shared = compression.share_weights(network, kept(network, [1, 1, 0, 1, 1]), bits=1)
    assert shared["0.weight"].codebook.tolist() == [0, 1.5, 5.5]
    assert shared["0.weight"].codes.flatten().tolist() == [1, 2, 0, 1, 2]
    assert network[0].weight.flatten().tolist() == pytest.approx([1, 5, 0.1, 2, 6])  # nothing changed yet

    callback = compression.WeightSharingCallback(network, shared)
    assert network[0].weight.flatten().tolist() == [1.5, 5.5, 0, 1.5, 5.5]
    network[0].weight.grad = torch.tensor([1.0, 2.0, 9.0, -3.0, 0.5]).reshape(-1, 1, 1, 1)
    callback.before_step(lr=0.5)
    network[0].weight.data += 7  # wherever the optimizer goes
    callback.after_step()
    # 1.5 - 0.5 (1 - 3) and 5.5 - 0.5 (2 + 0.5)
    assert network[0].weight.flatten().tolist() == [2.5, 4.25, 0, 2.5, 4.25]
    assert shared["0.weight"].codebook.tolist() == [0, 1.5, 5.5]  # the caller's own


def test_steps_move_centroids_by_summed_gradients_and_all_else_as_usual(network, generator):
    callback = compression.WeightSharingCallback(network, compressed(network))
    network.to_device(torch.device("cpu"))
    optimizer = training.sgd(network, lr=0.1, momentum=0.9, weight_decay=0.01)
    x, y = torch.randn(8, 1, 16, 16, generator=generator), torch.arange(8)
    velocity = torch.zeros_like(network.classifier.weight)
    for _ in range(2):
        weights = {name: weight.detach().clone() for name, weight in unstructured.weights(network).items()}
        classifier = network.classifier.weight.detach().clone()
        training.step(network, optimizer, x, y, callback=callback)
        for name, weight in unstructured.weights(network).items():
            for value in weights[name].unique().tolist():
                here = weights[name] == value
                expected = value - 0.1 * weight.grad[here].sum().item() if value else 0
                assert len(weight[here].unique()) == 1
                assert weight[here][0].item() == pytest.approx(expected, rel=1e-4, abs=1e-6)
        velocity = 0.9 * velocity + network.classifier.weight.grad + 0.01 * classifier
        torch.testing.assert_close(network.classifier.weight.detach(), classifier - 0.1 * velocity)


def test_sharing_can_be_put_down_and_taken_up(network):
    shared = compressed(network)
    state = {
        name: tensor.clone()
        for name, tensor in compression.WeightSharingCallback(network, shared).state_dict().items()
    }
    before = bits_of(network)
    again = compression.WeightSharingCallback(network, compressed(network, share=0.5, bits=2))
    assert bits_of(network) != before
    again.load_state_dict(state)
    assert bits_of(network) == before
    network.stem.weight.grad = torch.ones_like(network.stem.weight)
    again.before_step(lr=1)
    again.after_step()
    assert bits_of(network) != before
    assert torch.equal(state["codebook.stem.weight"], shared["stem.weight"].codebook)


# --- bytes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zeros", "gaps", "codes"),
    [
        (0, [0], [5]),
        (3, [3], [5]),  # two bits say up to 3
        (4, [3, 0], [0, 5]),  # three zeros, a filler that is the fourth, nothing more
        (9, [3, 3, 1], [0, 0, 5]),
    ],
)
def test_long_gaps_are_bridged_by_fillers(zeros, gaps, codes):
    actual = compression.relative_indices(np.array([0] * zeros + [5] + [0] * 20), index_bits=2)
    assert [array.tolist() for array in actual] == [gaps, codes]


@given(st.lists(st.sampled_from([0, 0, 0, 0, 1, 2]), max_size=200), st.integers(1, 4))
def test_relative_indices_say_where_everything_was(codes, index_bits):
    gaps, actual = compression.relative_indices(np.array(codes, dtype=np.int32), index_bits)
    assert (gaps < 2**index_bits).all()
    flat = []
    for gap, code in zip(gaps.tolist(), actual.tolist(), strict=True):
        flat += [0] * gap + [code]
    assert flat + [0] * (len(codes) - len(flat)) == codes


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("share", "bits", "index_bits"), [(0.8, 4, 5), (0.97, 2, 3), (0, 8, 1)])
def test_a_network_comes_back_bit_for_bit(network, share, bits, index_bits, order):
    network.to(memory_format=order)
    shared = compressed(network, share, bits)
    data = compression.encode(network, shared, index_bits)
    other = networks.build(network.architecture).to(memory_format=order)
    compression.decode(data, other)
    assert bits_of(other) == bits_of(network)
    assert compression.encode(other, shared, index_bits) == data
    for name, weight in unstructured.weights(other).items():
        assert len(weight[weight != 0].unique()) <= 2**bits, name


def test_layers_with_no_weights_or_channels_left_come_back_too(tiny, generator):
    network = networks.build(tiny.with_widths((3, 0, 5)))
    masks = unstructured.magnitude_masks(network, 0.5)
    masks["stem.weight"][:] = False
    shared = compression.share_weights(network, masks, 3)
    compression.WeightSharingCallback(network, shared)
    assert len(shared["stem.weight"].codebook) == 1
    other = networks.build(network.architecture, generator)
    compression.decode(compression.encode(network, shared), other)
    assert bits_of(other) == bits_of(network)


def test_other_weights_than_the_codebooks_are_not_written(network):
    shared = compression.share_weights(network, unstructured.magnitude_masks(network, 0.8), 4)
    with pytest.raises(InputError, match=r"stem\.weight has weights that are not in its codebook"):
        compression.encode(network, shared)


def test_data_cut_short_or_altered_are_refused():
    network = layer([1.0, 5.0, 0.1, 2.0, 6.0])
    data = compression.encode(network, compressed(network, 0.2, 1))
    before = bits_of(network)
    broken = [data[:length] for length in range(len(data))] + [data + b"\0"]
    broken += [data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :] for place in range(len(data))]
    for each in broken:
        with pytest.raises(InputError, match="the data are"):
            compression.decode(each, network)
        with pytest.raises(InputError, match="the data are"):
            compression.sizes(each)
    assert bits_of(network) == before
    with pytest.raises(InputError, match="version 258; only 2"):
        compression.decode(data[:8] + b"\2\1" + data[10:], network)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"depth": 16, "widths": (16, 16, 32, 32, 64, 64)}, r"another architecture: blocks\.\S+ is in only"),
        ({"widths": (16, 31, 64)}, r"\(32, 16, 3, 3\) in the data but \(31, 16, 3, 3\) in the network"),
        ({"classes": 9}, r"\(10, 64\) in the data but \(9, 64\) in the network"),
    ],
)
def test_another_architecture_is_refused_and_left_alone(network, change, said):
    data = compression.encode(network, compressed(network))
    other = networks.build(replace(network.architecture, **change))
    before = bits_of(other)
    with pytest.raises(InputError, match=said):
        compression.decode(data, other)
    assert bits_of(other) == before


def test_sizes_by_hand():
    network = layer([1.0, 5.0, *[0.1] * 11, 2.0, 6.0, 6.0])
    masks = kept(network, [1, 1, *[0] * 11, 1, 1, 1])
    shared = compression.WeightSharingCallback(network, compression.share_weights(network, masks, 1)).shared
    data = compression.encode(network, shared, index_bits=5)
    # 5 entries: 5 x 37 bits; 5 x (1 + 5) bits and two centroids
    assert compression.sizes(data) == {"dense": 64, "pruned": 24, "shared": 4 + 8, "huffman": len(data)}
    data = compression.encode(network, shared, index_bits=3)
    # a filler for the 11 zeros: 6 x 35 bits; three values to tell apart: 6 x (2 + 3) bits
    assert compression.sizes(data) == {"dense": 64, "pruned": 27, "shared": 4 + 8, "huffman": len(data)}


def test_a_stream_of_one_symbol_takes_no_bytes():
    """Nothing removed: every gap is 0. One centroid: every code is 1. There are only the two tables."""
    network = layer([2.0] * 4000)
    shared = compression.share_weights(network, unstructured.magnitude_masks(network, 0), 1)
    data = compression.encode(network, shared, index_bits=3)
    header, body = compression.read_header(data)
    assert header["layers"][0]["bytes"] == [4, 2**3, 0, 2, 0]
    assert len(body.read()) == 4 + 8 + 2
    other = layer([0.0] * 4000)
    compression.decode(data, other)
    assert bits_of(other) == bits_of(network)


def test_every_stage_makes_a_larger_network_smaller(generator):
    network = networks.build(architecture.named("wrn-10-4", image=(3, 16, 16), classes=10), generator)
    actual = compression.sizes(compression.encode(network, compressed(network, 0.9, 4)))
    assert actual["dense"] == sum(tensor.nbytes for tensor in network.state_dict().values())
    assert list(actual.values()) == sorted(actual.values(), reverse=True)
    assert actual["huffman"] < actual["dense"] / 20
