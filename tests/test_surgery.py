"""A cut network is the network with that channel silenced: outputs, gradients, what training makes of it."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from safetensors.torch import load, save

from horticulture import networks, training
from horticulture.architecture import Architecture
from horticulture.errors import InputError
from horticulture.pruning import surgery
from tests.conftest import small, without_channel

LR, MOMENTUM, DECAY = 0.05, 0.9, 5e-3


def without(tensor: torch.Tensor, dim: int, index: int) -> torch.Tensor:
    return torch.cat(
        [tensor.narrow(dim, 0, index), tensor.narrow(dim, index + 1, tensor.shape[dim] - index - 1)], dim
    )


def surviving(name: str, tensor: torch.Tensor, group: int, channel: int) -> torch.Tensor:
    """What should be left of the tensor of that name; groups and blocks have the same numbers here."""
    if name == f"blocks.{group}.conv2.weight":
        return without(tensor, 1, channel)
    if name == f"blocks.{group}.conv1.weight" or (name.startswith(f"blocks.{group}.norm2.") and tensor.dim()):
        return without(tensor, 0, channel)
    return tensor


def trained(a: Architecture, seed: int, steps: int = 3):
    """A network in float64 with running statistics and momentum, its optimizer, its stream and last loss."""
    draw = torch.Generator().manual_seed(seed)
    network = networks.build(a, draw).double().train()
    if seed % 2:
        network.to(memory_format=torch.channels_last)
    optimizer = training.sgd(network, LR, MOMENTUM, DECAY)
    for _ in range(steps):
        x, y = batch(a, draw)
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
    return network, optimizer, draw, loss


def batch(a: Architecture, draw: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(6, *a.image, generator=draw, dtype=torch.float64)
    return x, torch.randint(a.classes, (6,), generator=draw)


@torch.no_grad()
def silence(network, optimizer, group: int, channel: int) -> None:
    """The channel gives zero: its filter, gamma and beta, and the momentum that would wake them."""
    block = network.blocks[group]
    for parameter in (block.conv1.weight, block.norm2.weight, block.norm2.bias):
        parameter[channel] = 0
        optimizer.state[parameter]["momentum_buffer"][channel] = 0


def momenta(network, optimizer) -> dict[str, torch.Tensor]:
    state = {name: optimizer.state[p] for name, p in network.named_parameters() if p in optimizer.state}
    return {name: actual["momentum_buffer"].clone() for name, actual in state.items()}


@st.composite
def cuts(draw) -> tuple[Architecture, int, int, int]:
    """An architecture, a group and a channel of it, and a seed."""
    depth = draw(st.sampled_from([10, 10, 16]))
    groups = 3 * (depth - 4) // 6
    group = draw(st.integers(0, groups - 1))
    widths = draw(st.lists(st.integers(0, 4), min_size=groups, max_size=groups))
    widths[group] += 1
    trunk = draw(st.tuples(*[st.integers(1, 5)] * 4))
    image = (draw(st.integers(1, 2)), draw(st.integers(5, 8)), draw(st.integers(5, 8)))
    a = Architecture("wide_resnet", depth, 3, image, trunk, tuple(widths))
    return a, group, draw(st.integers(0, widths[group] - 1)), draw(st.integers(0, 1000))


@settings(max_examples=40)
@given(cuts())
def test_a_cut_network_equals_the_silenced_one(cut):
    a, group, channel, seed = cut
    network, optimizer, draw, _ = trained(a, seed)
    silent, its_optimizer = copy.deepcopy((network, optimizer))
    silence(silent, its_optimizer, group, channel)
    surgery.remove_channel(network, group, channel, optimizer)
    assert network.architecture == without_channel(a, group)

    x, y = batch(a, draw)
    for mode in (False, True):
        results = []
        for each in (network, silent):
            each.train(mode).zero_grad()
            inputs = x.clone().requires_grad_()
            outputs = each(inputs)
            F.cross_entropy(outputs, y).backward()
            results.append((outputs.detach(), inputs.grad))
        torch.testing.assert_close(results[0], results[1])
        expected = dict(silent.named_parameters())
        for name, parameter in network.named_parameters():
            assert_same(parameter.grad, expected[name].grad, name, group, channel)

    # and training goes on the same way: the weights, the momentum and the running statistics
    for _ in range(2):
        x, y = batch(a, draw)
        training.step(network, optimizer, x, y)
        training.step(silent, its_optimizer, x, y)
    block = network.blocks[group]
    unused = block.conv1.out_channels == 0 and block.shortcut is None  # nobody reads its norm1 any more
    expected, buffers = silent.state_dict(), momenta(silent, its_optimizer)
    for name, tensor in network.state_dict().items():
        uncounted = name == f"blocks.{group}.norm2.num_batches_tracked"  # a vanished norm sees no batches
        if not (uncounted or (unused and name.startswith(f"blocks.{group}."))):
            assert_same(tensor, expected[name], name, group, channel)
    for name, buffer in momenta(network, optimizer).items():
        if not (unused and name.startswith(f"blocks.{group}.")):
            assert_same(buffer, buffers[name], name, group, channel)


def assert_same(found, expected, name: str, group: int, channel: int) -> None:
    if found is None or expected is None:  # of a vanished group, or one about to vanish
        assert found is None or not found.any()
        assert expected is None or not surviving(name, expected, group, channel).any()
        return
    torch.testing.assert_close(found, surviving(name, expected, group, channel), msg=lambda m: f"{name}: {m}")


# --- every network type ----------------------------------------------------------------------------------


def places(network, group: int) -> dict[str, int]:
    """Which tensors of the network have the channels of that group, and in which dimension."""
    actual, here = {}, network.groups[group]
    for name, module in network.named_modules():
        if module is here.producer:
            actual[f"{name}.weight"] = 0
        elif module is here.selection:
            actual[f"{name}.index"] = 0
        elif module is here.norm:
            actual |= {f"{name}.{what}": 0 for what in ("weight", "bias", "running_mean", "running_var")}
        elif module in here.readers:
            actual[f"{name}.weight"] = 1
    return actual


@torch.no_grad()
def silence_any(network, optimizer, group: int, channel: int) -> None:
    """Gamma and beta of the channel are zero, and so are its filter, where it has one, and their momentum."""
    here = network.groups[group]
    made = [here.norm.weight, here.norm.bias, *([] if here.producer is None else [here.producer.weight])]
    for parameter in made:
        parameter[channel] = 0
        optimizer.state[parameter]["momentum_buffer"][channel] = 0


@pytest.mark.parametrize(
    "network_type", sorted(networks.BUILDERS.keys() - {"vit"})
)  # which has tests of its own
@pytest.mark.parametrize("narrow", [False, True], ids=["whole", "cut before"])
def test_a_cut_is_exact_in_every_group_of_every_network_type(network_type, narrow):
    whole = small(network_type, (1, 16, 17))
    a = whole.with_widths(tuple(2 + n // 3 for n in whole.widths)) if narrow else whole
    for group, width in enumerate(a.widths):
        network, optimizer, draw, _ = trained(a, group, steps=2)
        silent, its_optimizer = copy.deepcopy((network, optimizer))
        channel, dims = (7 * group + 1) % width, places(network, group)
        assert len(dims) >= 6  # producer or selection, four of the norm, a reader
        silence_any(silent, its_optimizer, group, channel)
        surgery.remove_channel(network, group, channel, optimizer)
        assert network.architecture == without_channel(a, group)
        for _ in range(2):
            x, y = batch(a, draw)
            torch.testing.assert_close(network.eval()(x), silent.eval()(x))
            loss = training.step(network.train(), optimizer, x, y)
            torch.testing.assert_close(loss, training.step(silent.train(), its_optimizer, x, y))
        for actual, expected in (
            (network.state_dict(), silent.state_dict()),
            (momenta(network, optimizer), momenta(silent, its_optimizer)),
        ):
            assert set(actual) == set(expected)
            for name, tensor in expected.items():
                remaining = without(tensor, dims[name], channel) if name in dims else tensor
                torch.testing.assert_close(actual[name], remaining, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("network_type", ["wide_resnet", "resnet", "preresnet", "vit"])
def test_a_network_trains_on_when_blocks_have_vanished(network_type):
    a = small(network_type)
    network, optimizer, draw, _ = trained(a, 0)
    for group in [block[-1] for block in a.blocks]:
        surgery.keep_channels(network.groups[group], [], optimizer)
        before = network.classifier.weight.detach().clone()
        assert training.step(network, optimizer, *batch(a, draw)).isfinite()
        assert not torch.equal(before, network.classifier.weight)
    again = networks.build(network.architecture).double()
    again.load_state_dict(network.state_dict())
    x, _ = batch(a, draw)
    assert torch.equal(again.eval()(x), network.eval()(x))


def without_the_last(network_type: str, name: str, mode: bool):
    """A block as it is when the group of that name is silent and when it is gone, and some inputs for it."""
    whole = small(network_type)
    group = whole.groups.index(name)
    a = whole.with_widths(tuple(1 if at == group else n for at, n in enumerate(whole.widths)))
    network, optimizer, draw, _ = trained(a, 0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.bias.data.fill_(0.3)  # a rectified constant must not be 0 by chance
    silent = copy.deepcopy(network)
    norm = silent.groups[group].norm
    with torch.no_grad():
        norm.weight.zero_()
        norm.bias.zero_()
    surgery.remove_channel(network, group, 0, optimizer)
    number = next(at for at, groups in enumerate(a.blocks) if group in groups)
    x = torch.randn(5, a.trunk[0 if number == 0 else number], 8, 8, generator=draw, dtype=torch.float64)
    return silent.train(mode).blocks[number], network.train(mode).blocks[number], x.relu()


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(
    ("network_type", "name"), [("wide_resnet", "1.1"), ("wide_resnet", "2.1"), ("preresnet", "1.1.conv2")]
)
def test_the_last_channel_goes_exactly_where_no_norm_follows(network_type, name, mode):
    silent, cut, x = without_the_last(network_type, name, mode)
    torch.testing.assert_close(cut(x.clone()), silent(x.clone()))


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_with_the_last_channel_of_a_resnet_goes_its_norms_constant(mode):
    """The norm of nothing: its shift, less what the running mean stands for where that is used."""
    silent, cut, x = without_the_last("resnet", "1.1", mode)
    norm = silent.norm2
    constant = (
        norm.bias if mode else norm.bias - norm.running_mean / (norm.running_var + 1e-5).sqrt() * norm.weight
    )
    assert constant.abs().max() > 1e-3
    torch.testing.assert_close(silent(x.clone()), F.relu(cut(x.clone()) + constant[:, None, None]))


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", ["1.1.select", "1.1.conv1"])
def test_with_the_last_channel_of_a_preresnet_goes_what_does_not_depend_on_the_image(name, mode):
    silent, cut, x = without_the_last("preresnet", name, mode)
    difference = silent(x.clone()) - cut(x.clone())
    assert difference.abs().max() > 1e-3
    torch.testing.assert_close(difference, difference[:1].expand_as(difference))


@pytest.mark.parametrize("channels", [[1, 0], [0, 0], [-1, 1], [2, 4]], ids=str)
def test_what_is_kept_is_there_and_in_order(tiny, channels):
    network = networks.build(tiny)
    with pytest.raises(InputError, match=r"group 2\.1 can keep 0 to 3, in increasing order"):
        surgery.keep_channels(network.groups[1], channels)
    assert network.architecture == tiny


def test_a_cut_takes_its_slice_of_everything_and_touches_nothing_else(tiny):
    network, optimizer, _, _ = trained(tiny, 1)
    weights = {name: t.clone() for name, t in network.state_dict().items()}
    buffers = momenta(network, optimizer)
    assert any(buffer.any() for buffer in buffers.values())
    surgery.remove_channel(network, 1, 2, optimizer)
    assert set(network.state_dict()) == set(weights)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, surviving(name, weights[name], 1, 2)), name
    actual = momenta(network, optimizer)
    assert set(actual) == set(buffers)
    for name, buffer in actual.items():
        assert torch.equal(buffer, surviving(name, buffers[name], 1, 2)), name
    stepped = {id(p) for settings in optimizer.param_groups for p in settings["params"]}
    assert stepped == {id(p) for p in network.parameters()}
    assert set(map(id, optimizer.state)) <= stepped  # nothing is kept of the old tensors


@pytest.mark.parametrize("alive", [False, True], ids=["graph freed", "graph alive"])
def test_weights_and_momentum_still_move_after_a_cut(tiny, alive):
    network, optimizer, draw, loss = trained(tiny, 2)
    if not alive:
        del loss
    surgery.remove_channel(network, 0, 1, optimizer)
    surgery.remove_channel(network, 2, 4, optimizer)
    x, y = batch(tiny, draw)
    # SGD by hand (Sutskever's form, as torch has it): v' = m v + (g + d w), w' = w - r v'
    parameters = dict(network.named_parameters())
    gradients = torch.autograd.grad(F.cross_entropy(network(x), y), list(parameters.values()))
    buffers = momenta(network, optimizer)
    expected = {}
    for (name, weight), gradient in zip(parameters.items(), gradients, strict=True):
        velocity = MOMENTUM * buffers[name] + gradient + DECAY * weight.detach()
        expected[name] = (weight.detach() - LR * velocity, velocity)

    training.step(network, optimizer, x, y)

    moved = momenta(network, optimizer)
    for name, weight in network.named_parameters():
        torch.testing.assert_close((weight.detach(), moved[name]), expected[name])
        assert not torch.equal(moved[name], buffers[name]), name
    if alive:
        assert loss.grad_fn is not None


@pytest.mark.parametrize("group", [0, 1, 2])
@pytest.mark.parametrize("mode", [True, False])
def test_a_group_can_go_down_to_nothing(tiny, group, mode):
    a = Architecture("wide_resnet", 10, 3, (2, 8, 8), (4, 4, 5, 6), (3, 2, 2))
    network, optimizer, draw, _ = trained(a, 3)
    for left in reversed(range(a.widths[group])):
        surgery.remove_channel(network, group, 0, optimizer)
        assert network.groups[group].width == left
        training.step(network, optimizer, *batch(a, draw))
    block = network.train(mode).blocks[group]
    x = torch.randn(3, a.trunk[group], 8, 8, generator=draw, dtype=torch.float64)
    if group == 0:  # as many channels out as in: nothing is left but the identity
        expected = x
    else:
        norm = block.norm1
        y = F.batch_norm(x, norm.running_mean.clone(), norm.running_var.clone(), norm.weight, norm.bias, mode)
        expected = F.conv2d(F.relu(y), block.shortcut.weight, stride=2)
    torch.testing.assert_close(block(x.clone()), expected)
    before = network.classifier.weight.detach().clone()
    training.step(network.train(), optimizer, *batch(a, draw))
    assert not torch.equal(before, network.classifier.weight)


def test_what_is_saved_after_surgery_can_be_built_and_loaded(tiny):
    network, optimizer, draw, _ = trained(tiny, 4)
    for group, channel in ((2, 3), (0, 0), (0, 0), (0, 0), (1, 1)):
        surgery.remove_channel(network, group, channel, optimizer)
    description = network.architecture.to_json()
    saved = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    again = networks.build(Architecture.from_json(description)).double()
    again.load_state_dict(load(saved))
    assert description["widths"] == [0, 3, 4]
    x, _ = batch(tiny, draw)
    assert torch.equal(again.eval()(x), network.eval()(x))


@pytest.mark.parametrize("network_type", sorted(networks.BUILDERS))
def test_a_cut_network_has_the_strides_of_one_that_is_loaded(network_type):
    """Convolutions choose their kernel, and so their last bits, by strides; one channel leaves a choice."""
    whole, cpu = small(network_type), torch.device("cpu")
    network = networks.build(whole).to_device(cpu)
    for group, least in enumerate(whole.min_widths):
        while network.groups[group].width > max(least, 1):
            surgery.remove_channel(network, group, 0)
    built = networks.build(network.architecture).to_device(cpu)
    strides = {name: tensor.stride() for name, tensor in built.state_dict().items()}
    assert {name: tensor.stride() for name, tensor in network.state_dict().items()} == strides


def test_several_channels_at_once_equal_one_after_the_other(tiny):
    network, optimizer, draw, _ = trained(tiny, 5)
    other, its_optimizer = copy.deepcopy((network, optimizer))
    surgery.keep_channels(network.groups[2], [0, 3], optimizer)
    for channel in (4, 2, 1):
        surgery.remove_channel(other, 2, channel, its_optimizer)
    x, y = batch(tiny, draw)
    assert torch.equal(training.step(network, optimizer, x, y), training.step(other, its_optimizer, x, y))
    assert torch.equal(network(x), other(x))


def test_surgery_needs_no_optimizer(tiny):
    network = networks.build(tiny)
    surgery.remove_channel(network, 0, 0)
    assert network.architecture.widths == (2, 4, 5)


@pytest.mark.parametrize(
    ("group", "channel", "said"),
    [
        (3, 0, r"no group 3.*has 3"),
        (-1, 0, r"no group -1"),
        (1, 4, r"no channel 4.*2\.1.*has 4"),
        (1, -1, "no channel -1"),
    ],
)
def test_a_channel_that_is_not_there_is_refused(tiny, group, channel, said):
    network = networks.build(tiny)
    with pytest.raises(InputError, match=said):
        surgery.remove_channel(network, group, channel)
    assert network.architecture == tiny
