"""Vision transformers: counted and computed by hand, and cut exactly, heads and hidden units alike."""

import copy
import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from horticulture import architecture, networks, training
from horticulture.architecture import Architecture, families, profiles, vit
from horticulture.data import Dataset, Images
from horticulture.errors import InputError
from horticulture.networks.vit import sinusoids
from horticulture.pruning import Pruner, PruningRecipe, saliency, surgery, unstructured
from horticulture.study import bounds
from horticulture.training import TrainingRecipe, penalties
from tests.conftest import small

SHAPE = small("vit").with_widths((3, 5, 2, 4))  # two blocks of heads and units
SGD = PruningRecipe(1, lr=0.05, weight_decay=5e-3)
OPTIMIZERS = {"sgd": SGD, "adamw": PruningRecipe(1, lr=0.01, weight_decay=0.1, optimizer="adamw")}


def batch(a: Architecture, draw: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(6, *a.image, generator=draw, dtype=torch.float64)
    return x, torch.randint(a.classes, (6,), generator=draw)


def test_a_transformer_by_hand():
    a = architecture.named("vit-1-8", image=(1, 16, 16), classes=2)
    assert a.groups == ("1.heads", "1.units")
    assert a.widths == (1, 16)
    assert a.blocks == ((0,), (1,))
    # 16 tokens of 8 channels: the stem has 4 x 4 pixels; queries, keys, values and what leaves the one head;
    # into the 16 hidden units and out of them; three norms and the classifier
    through = [16 * 8, 8 * 24, 8 * 8, 8 * 16, 16 * 8]
    assert a.params == sum(through) + 3 * 16 + 8 * 2 + 2
    # each of 16 queries of 8 channels with each of 16 keys, and the same for the values
    assert a.macs == 16 * sum(through) + 2 * 16 * 16 * 8 + 8 * 2


@pytest.mark.parametrize(("side", "tokens"), [(16, 16), (28, 49), (32, 64), (64, 256)])
def test_the_tokens_grow_with_the_image_and_the_parameters_do_not(side, tokens):
    a = architecture.named("vit-3-16", image=(3, side, side), classes=10)
    assert {layer.positions for layer in a.layers if layer.kind in ("conv", "attention")} == {tokens}
    assert a.params == architecture.named("vit-3-16", image=(3, 16, 16), classes=10).params
    assert networks.build(a).eval()(torch.zeros(2, *a.image)).shape == (2, 10)


@torch.no_grad()
def written_out(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A ViT from the paper's figure, token by token and head by head, with nothing of it but the weights."""

    def normed(norm: nn.LayerNorm, x: torch.Tensor) -> torch.Tensor:
        mean, variance = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt() * norm.weight + norm.bias

    patches = [
        x[:, :, row : row + 4, column : column + 4].flatten(1)
        for row in range(0, x.shape[2], 4)
        for column in range(0, x.shape[3], 4)
    ]
    tokens = torch.stack(patches, 1) @ network.stem.weight.T + network.positions
    for attention, mlp in zip(network.blocks[::2], network.blocks[1::2], strict=True):
        query, key, value = (normed(attention.norm, tokens) @ attention.into.weight.T).chunk(3, dim=2)
        heads = []
        for first in range(0, query.shape[2], vit.HEAD):
            q, k, v = (part[:, :, first : first + vit.HEAD] for part in (query, key, value))
            heads.append((q @ k.transpose(1, 2) / vit.HEAD**0.5).softmax(dim=2) @ v)
        tokens = tokens + torch.cat(heads, 2) @ attention.out.weight.T
        y = normed(mlp.norm, tokens) @ mlp.into.weight.T
        tokens = tokens + (y * (1 + torch.erf(y / 2**0.5)) / 2) @ mlp.out.weight.T
    return normed(network.norm, tokens).mean(1) @ network.classifier.weight.T + network.classifier.bias


@pytest.mark.parametrize("widths", [(3, 48, 3, 48), (3, 5, 2, 4), (1, 0, 2, 7)])
def test_a_transformer_computes_the_papers_figure(widths, generator):
    a = small("vit", (2, 16, 20)).with_widths(widths)
    network = networks.build(a, generator).double().eval()
    for norm in network.modules():
        if isinstance(norm, nn.LayerNorm):
            norm.weight.data.uniform_(0.5, 1.5, generator=generator)
            norm.bias.data.uniform_(-0.5, 0.5, generator=generator)
    x, _ = batch(a, generator)
    torch.testing.assert_close(network(x), written_out(network, x))
    torch.testing.assert_close(network(x.contiguous(memory_format=torch.channels_last)), network(x))


def test_positions_by_hand():
    """Two rows of three tokens, one wavelength: the column's sine and cosine, then the row's."""
    sin, cos = torch.arange(3.0).sin(), torch.arange(3.0).cos()
    expected = [[sin[column], cos[column], sin[row], cos[row]] for row in (0, 1) for column in (0, 1, 2)]
    torch.testing.assert_close(sinusoids(2, 3, 4), torch.tensor(expected))
    assert torch.equal(sinusoids(2, 3, 3), sinusoids(2, 3, 4)[:, :3])  # a narrower network has any width
    long = sinusoids(4, 4, 64)
    assert len(long.unique(dim=0)) == 16
    torch.testing.assert_close(long[1, 15], torch.tensor(1e-4).sin())  # the longest wavelength


def test_a_fresh_transformer_has_the_spread_of_its_own_widths(generator):
    a = architecture.named("vit-2-64", image=(1, 16, 16), classes=10).with_widths((8, 128, 2, 30))
    network = networks.build(a, generator)
    layers = [layer for branch in network.blocks for layer in (branch.into, branch.out)]
    for layer, inputs in zip(layers, [64, 64, 64, 128, 64, 16, 64, 30], strict=True):
        assert layer.in_features == inputs
        assert layer.weight.abs().max().item() == pytest.approx(inputs**-0.5, rel=0.02)
        noise = 5 * (3 * inputs * layer.weight.numel()) ** -0.5  # five standard errors
        assert layer.weight.mean().item() == pytest.approx(0, abs=noise)
    assert network.stem.weight.abs().max().item() == pytest.approx(16**-0.5, rel=0.02)
    network.blocks[0].norm.weight.data.fill_(7)
    network.initialise(torch.Generator().manual_seed(5))
    again = networks.build(a, torch.Generator().manual_seed(5))
    assert all(torch.equal(t, again.state_dict()[name]) for name, t in network.state_dict().items())


def test_a_head_takes_its_queries_keys_and_values_along():
    network = networks.build(SHAPE)
    heads = network.blocks[0]
    heads.into.weight.data = torch.arange(72.0)[:, None].expand(-1, 24).clone()
    heads.out.weight.data = torch.arange(24.0).expand(24, -1).clone()
    surgery.remove_channel(network, 0, 1)
    rows = [*range(8), *range(16, 32), *range(40, 56), *range(64, 72)]
    assert heads.into.weight[:, 0].tolist() == rows
    assert heads.out.weight[0].tolist() == [*range(8), *range(16, 24)]
    assert network.architecture.widths == (2, 5, 2, 4)
    surgery.remove_channel(network, 1, 3)
    assert network.blocks[1].into.weight.shape == (4, 24)
    assert network.blocks[1].out.weight.shape == (24, 4)
    assert network.stem.weight.shape == (24, 16)  # the width of a token stays


@torch.no_grad()
def silence(network: nn.Module, optimizer: torch.optim.Optimizer, group: int, member: int) -> None:
    """A head or unit of a whole network makes nothing and is not read, and nothing will wake it."""
    branch = network.blocks[group]
    columns = [member * branch.size + at for at in range(branch.size)]
    rows = [part * branch.out.in_features + at for part in range(branch.parts) for at in columns]
    for weight, where in ((branch.into.weight, rows), (branch.out.weight, (slice(None), columns))):
        state = optimizer.state[weight]
        for tensor in (weight, *(state[name] for name in ("momentum_buffer", "exp_avg") if name in state)):
            tensor[where] = 0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("seed", range(3))
def test_a_transformer_cut_many_times_equals_the_silenced_one(optimizer, seed):
    """Down to nothing, in any order, with steps between: outputs, losses, weights and momentum."""
    draw, order = torch.Generator().manual_seed(seed), random.Random(seed)
    network = networks.build(SHAPE, draw).double().train()
    stepping = training.make_optimizer(network, OPTIMIZERS[optimizer])
    for _ in range(2):
        training.step(network, stepping, *batch(SHAPE, draw))
    silent, its_stepping = copy.deepcopy((network, stepping))
    remaining = [list(range(width)) for width in SHAPE.widths]
    while any(remaining):
        group = order.choice([number for number, members in enumerate(remaining) if members])
        place = order.randrange(len(remaining[group]))
        silence(silent, its_stepping, group, remaining[group].pop(place))
        surgery.remove_channel(network, group, place, stepping)
        assert network.architecture.widths == tuple(map(len, remaining))
        x, y = batch(SHAPE, draw)
        torch.testing.assert_close(network.eval()(x), silent.eval()(x))
        loss = training.step(network.train(), stepping, x, y)
        torch.testing.assert_close(loss, training.step(silent.train(), its_stepping, x, y))
    assert network.architecture.widths == (0, 0, 0, 0)
    branches = [name for name, _ in network.named_parameters() if name.startswith("blocks.")]
    others = {name: tensor for name, tensor in network.state_dict().items() if name not in branches}
    torch.testing.assert_close(others, {name: silent.state_dict()[name] for name in others})
    assert len(others) == 5  # stem, norm, classifier


def test_weights_and_momentum_of_what_is_left_are_those_it_had(generator):
    network = networks.build(SHAPE, generator).double().train()
    optimizer = training.make_optimizer(network, SGD)
    training.step(network, optimizer, *batch(SHAPE, generator))

    def held(layer: nn.Linear) -> list[torch.Tensor]:
        return [layer.weight.detach(), optimizer.state[layer.weight]["momentum_buffer"]]

    heads = network.blocks[2]
    into, out = held(heads.into), held(heads.out)
    surgery.remove_channel(network, 2, 0, optimizer)
    rows = [*range(8, 16), *range(24, 32), *range(40, 48)]
    assert all(torch.equal(now, was[rows]) for now, was in zip(held(heads.into), into, strict=True))
    assert all(torch.equal(now, was[:, 8:]) for now, was in zip(held(heads.out), out, strict=True))
    stepped = {id(weight) for each in optimizer.param_groups for weight in each["params"]}
    assert stepped == set(map(id, network.parameters()))


def test_what_is_saved_after_surgery_can_be_built_and_loaded(generator):
    network = networks.build(SHAPE, generator).eval()
    for group, member in ((0, 1), (1, 4), (2, 0), (2, 0), (3, 2)):
        surgery.remove_channel(network, group, member)
    again = networks.build(Architecture.from_json(network.architecture.to_json())).eval()
    again.load_state_dict(network.state_dict())
    x = torch.randn(2, *SHAPE.image, generator=generator)
    assert torch.equal(again(x), network(x))


@pytest.mark.parametrize("criterion", ["fisher", "taylor"])
def test_a_head_is_scored_by_all_its_channels_at_all_tokens(criterion, generator):
    """What the projection receives, and its gradient: each as (batch, head, token, channel)."""
    network = networks.build(SHAPE, generator).train()
    x, y = batch(SHAPE, generator)
    kept: list[torch.Tensor] = []
    heads = network.blocks[0]
    hook = heads.out.register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0]))
    loss = F.cross_entropy(network(x.float()), y)
    (gradient,) = torch.autograd.grad(loss, kept)
    hook.remove()
    a, g = (t.detach().unflatten(2, (3, 8)).transpose(1, 2) for t in (kept[0], len(x) * gradient))
    expected = getattr(saliency, criterion)(a, g)
    with saliency.SaliencyProbe(network, criterion, generator) as probe:
        F.cross_entropy(network(x.float()), y).backward()
        actual = probe.scores()
    scale = expected.norm() if criterion == "taylor" else 1
    torch.testing.assert_close(actual[0], expected / scale, rtol=1e-4, atol=1e-8)
    assert [len(scores) for scores in actual] == list(SHAPE.widths)


def test_a_pruning_takes_heads_and_units_and_single_weights(images):
    parts = {
        part: Images(F.pad(getattr(images, part).pixels, (4, 4, 4, 4)), getattr(images, part).labels)
        for part in ("train", "validation", "test")
    }
    larger = Dataset("larger", images.classes, **parts, pad=1, flip=True)
    whole = architecture.named("vit-1-8", image=larger.image, classes=3).with_widths((1, 3))
    plan = PruningRecipe(rounds=4, steps=1, batch_size=10, optimizer="adamw", lr=1e-3)
    network = networks.build(whole, torch.Generator().manual_seed(0))
    assert [round_.architecture.widths for round_ in Pruner(network, larger, plan, 0)][-1] == (0, 0)
    sparse = networks.build(whole, torch.Generator().manual_seed(0))
    ratio = PruningRecipe(rounds=1, criterion="magnitude", ratio=0.5, steps=1, batch_size=10)
    *_, last = Pruner(sparse, larger, ratio, 0)
    weights = sum(weight.numel() for weight in unstructured.weights(sparse).values())
    assert last.params == whole.params - weights // 2
    assert not any("classifier" in name for name in unstructured.weights(sparse))


def test_a_branch_is_a_residual_block_whose_factor_folds_into_its_projection(generator):
    network = networks.build(SHAPE, generator).train()
    optimizer = training.sgd(network, 0.05, 0.9, 0)
    with penalties.make(network, "blocks", 0.5) as penalty:
        for _ in range(3):
            x, y = batch(SHAPE, generator)
            training.step(network, optimizer, x.float(), y, callback=penalty)
        before = network.eval()(x.float())
        factors = penalty.fold_into_weights()
    assert len(factors) == 4
    assert max(factors) < 1
    torch.testing.assert_close(network(x.float()), before)


@pytest.mark.parametrize("penalty", ["slimming", "groups"])
def test_penalties_on_norms_are_refused(penalty):
    with pytest.raises(InputError, match=rf"{penalty} needs a batch norm .*, but 1\.heads has none"):
        SHAPE.check_norms(penalty)


def test_a_transformer_that_no_memory_holds_is_refused():
    with pytest.raises(InputError, match=r"vit-100-800000 has .* parameters: training takes"):
        bounds.check({"network": "vit-100-800000"})


def test_smaller_transformers_keep_the_channels_of_a_head():
    whole = architecture.named("vit-4-64", image=(1, 16, 16), classes=10)
    assert families.width(whole, scale=0.45).trunk == (29, 8)
    assert families.width(whole, scale=0.45).widths == (4, 58) * 4
    assert families.uniform(whole, scale=0.1).widths == (1, 13) * 4
    assert profiles.guided(whole, (0.5, 0.25, 1, 0.5), scale=1.0).widths == (4, 64, 2, 32, 8, 128, 4, 64)


# --- the optimizer that they need ------------------------------------------------------------------------


def test_a_step_of_adamw_by_hand():
    """The first step moves every weight by the rate against its gradient, after the decay (Loshchilov)."""
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[1.0, -2.0]])
    recipe = TrainingRecipe(1, lr=0.1, weight_decay=0.5, optimizer="adamw")
    optimizer = training.make_optimizer(layer, recipe)
    layer.weight.grad = torch.tensor([[3.0, -0.01]])
    optimizer.step()
    torch.testing.assert_close(layer.weight.data, torch.tensor([[0.95 - 0.1, -1.9 + 0.1]]), atol=1e-6, rtol=0)
    layer.weight.grad = torch.tensor([[0.0, -0.01]])
    optimizer.step()  # m = 0.9 * 0.3 = 0.27 of 0.19; v = 0.999 * 0.009 of 0.001999
    moved = 0.1 * (0.27 / 0.19) / (0.999 * 0.009 / 0.001999) ** 0.5
    torch.testing.assert_close(layer.weight[0, 0].item(), 0.95 * 0.85 - moved, atol=1e-5, rtol=0)


def test_descriptions_without_another_optimizer_are_as_they_were():
    plain, other = TrainingRecipe(3), TrainingRecipe(3, optimizer="adamw")
    assert "optimizer" not in plain.to_json()
    assert TrainingRecipe.from_json(plain.to_json()) == plain
    assert other.to_json() == {**plain.to_json(), "optimizer": "adamw"}
    assert TrainingRecipe.from_json(other.to_json()) == other
    assert str(other) == f"{plain}, adamw"
    assert "optimizer" not in SGD.to_json()
    with pytest.raises(InputError, match=r"unknown optimizer 'adam': .*'adamw'"):
        TrainingRecipe(3, optimizer="adam")
