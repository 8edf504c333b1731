"""Networks that somebody brings: which channels can go, that cutting is exact, their cost, how they begin."""

import copy
import json
import math
import re
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from safetensors import torch as safetensors
from torch import nn
from torch.nn.utils import parametrizations
from torch.overrides import BaseTorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from horticulture import networks, training
from horticulture.architecture import Architecture, check_traced, families, torchvision_names
from horticulture.errors import InputError
from horticulture.execution import checkpoints, loading
from horticulture.networks import group_table, own
from horticulture.networks.group_discovery import SUMS
from horticulture.pruning import Pruner, PruningRecipe, saliency, surgery
from horticulture.runs import Run
from horticulture.system import code_files
from horticulture.training import TrainingRecipe

IMAGE, CLASSES = (2, 8, 8), 3


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 3, 1), nn.Conv2d(3, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.up(F.relu(self.down(x.mean(dim=(2, 3), keepdim=True)))))


class Part(nn.Module):
    """One way or another from C channels to C channels, or more."""

    def __init__(self, kind: str, c: int) -> None:
        super().__init__()
        self.kind, self.outputs = kind, c + 4 if kind == "concat" else c
        made = 10 if kind == "halves" else 5
        self.a = nn.Conv2d(c, made, 3, padding=1)
        self.norm = nn.InstanceNorm2d(5, affine=True) if kind == "instance" else nn.BatchNorm2d(made)
        self.slope = nn.PReLU(5)
        self.b = nn.Conv2d(5, c, 1)
        self.deep = nn.Conv2d(5, 5, 3, padding=1, groups=5)
        self.grouped = nn.Conv2d(c, c, 1, groups=2)
        self.grown = nn.Conv2d(c, 4, 3, padding=1)
        self.layer_norm = nn.LayerNorm(c)
        self.gate = Gate(5)
        self.transformer = nn.TransformerEncoderLayer(c, 1, 6, dropout=0.0, batch_first=True)
        for name in (
            dict(self.named_children()).keys()
            - {
                "plain": {"a", "norm", "b"},
                "residual": {"a", "norm", "b"},
                "instance": {"a", "norm", "b"},
                "halves": {"a", "norm", "b"},
                "slope": {"a", "norm", "slope", "b"},
                "twice": {"a", "norm", "b"},
                "depthwise": {"a", "norm", "deep", "b"},
                "gate": {"a", "norm", "gate", "b"},
                "concat": {"grown"},
                "grouped": {"grouped"},
                "layer_norm": {"layer_norm", "a", "norm", "b"},
                "transformer": {"transformer"},
            }[kind]
        ):
            delattr(self, name)

    def forward(self, x):
        match self.kind:
            case "concat":
                return torch.cat([x, F.relu(self.grown(x))], dim=1)
            case "grouped":
                return F.relu(self.grouped(x))
            case "transformer":
                return (
                    self.transformer(x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, x.shape[2:])
                )
            case "layer_norm":
                x = self.layer_norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        for _ in range(2 if self.kind == "twice" else 1):
            y = self.norm(self.a(x))
            if self.kind == "halves":
                half, other = y.chunk(2, dim=1)
                y = half * torch.sigmoid(other)
            y = self.slope(y) if self.kind == "slope" else F.relu(y)
            if self.kind == "depthwise":
                y = F.elu(self.deep(y))
            if self.kind == "gate":
                y = self.gate(y)
            x = self.b(y) + (0 if self.kind == "plain" else x)
        return x


class Chain(nn.Module):
    """Parts one after another; its head reads the mean of each channel, or all of its places."""

    def __init__(self, kinds: list[str], flat: bool = False) -> None:
        super().__init__()
        self.stem, parts, c = nn.Conv2d(IMAGE[0], 4, 3, stride=2, padding=1), [], 4
        for kind in kinds:
            parts.append(Part(kind, c))
            c = parts[-1].outputs
        self.parts, self.flat = nn.Sequential(*parts), flat
        self.last = nn.Conv2d(c, 6, 3, padding=1)
        self.head = nn.Linear(6 * (16 if flat else 1), CLASSES)

    def forward(self, x):
        x = F.relu(self.last(self.parts(F.relu(self.stem(x)))))
        return self.head(x.flatten(1) if self.flat else x.mean(dim=(2, 3)))


KINDS = (
    *("plain", "residual", "twice", "depthwise", "gate", "concat", "grouped", "layer_norm", "transformer"),
    *("instance", "halves", "slope"),
)
FILE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, image, classes):
        super().__init__()
        self.one = nn.Conv2d(image[0], 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.two = nn.Conv2d(8, 12, 3, padding=1, bias=False)
        self.drop = nn.Dropout(0.3)
        self.three = nn.Conv2d(12, 6, 3, padding=1)
        self.head = nn.Linear(6, classes)
        for layer in (self.one, self.two):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = self.drop(self.two(self.norm(self.one(x)).relu()).relu())
        return self.head(self.three(x).relu().mean(dim=(2, 3)))

def make(image, classes):
    return Net(image, classes)
"""
DEPTHWISE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.one, self.deep = nn.Conv2d(channels, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.two, self.head = nn.Conv2d(8, 6, 1), nn.Linear(6, classes)

    def forward(self, x):
        return self.head(self.two(self.deep(self.one(x)).relu()).relu().mean(dim=(2, 3)))

def make(image, classes):
    return Net(image[0], classes)
"""


def described(*kinds: str, flat: bool = False, sets: bool = False):
    torch.manual_seed(0)
    return networks.describe(Chain(list(kinds), flat), image=IMAGE, classes=CLASSES, residual_sets=sets)


@pytest.fixture(autouse=True)
def the_stream_of_the_process_as_it_was():
    before = torch.get_rng_state()
    yield
    torch.set_rng_state(before)


@pytest.fixture
def file(tmp_path) -> str:
    (tmp_path / "models.py").write_text(FILE)
    return f"{tmp_path}/models.py:make"


def named(file: str) -> Architecture:
    return networks.named(file, image=IMAGE, classes=CLASSES)


# --- which channels can go -----------------------------------------------------------------------------


def test_every_kind_of_layer_is_seen_and_what_cannot_go_has_its_reason():
    network = described(*KINDS)
    widths = dict(zip(network.architecture.groups, network.architecture.widths, strict=True))
    inner = {
        f"parts.{n}.a": 5 for n, kind in enumerate(KINDS) if kind not in ("concat", "grouped", "transformer")
    }
    assert widths == inner | {"stem": 4, "parts.4.gate.down": 3, "parts.8.transformer.linear1": 6, "last": 6}
    assert network.pinned["head"] == "its channels are the network's output"
    assert described("residual").pinned["parts.0.b"] == SUMS
    assert described("grouped").pinned["stem"] == "parts.0.grouped is a grouped convolution"
    assert described("layer_norm").pinned["stem"] == "layer_norm mixes channels"
    assert described("transformer").pinned["stem"] == "attention mixes channels"


def test_sums_of_several_layers_go_together_if_asked_for():
    network = described("residual", "residual", sets=True)
    assert network.architecture.groups == ("stem", "parts.0.a", "parts.1.a", "last")
    (stem, *_) = network.groups
    before = network.architecture.params
    surgery.remove_channel(network, 0, 1)
    assert stem.width == 3
    # a row of the stem and of two convolutions that add to it, with biases; a column of three readers
    assert before - network.architecture.params == (18 + 1) + 2 * (5 + 1) + 2 * 9 * 5 + 9 * 6


def test_a_number_written_down_in_forward_shows_in_the_trial():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.head = nn.Conv2d(2, 8, 1), nn.Conv2d(8, 4, 1), nn.Linear(4, CLASSES)

        def forward(self, x):
            y = self.one(x).view(len(x), 8, 8, 8)
            return self.head(self.two(y).mean(dim=(2, 3)))

    network = networks.describe(Fixed(), image=IMAGE, classes=CLASSES)
    assert network.architecture.groups == ("two",)
    assert network.pinned["one"].startswith("without a channel it fails: shape '[3, 8, 8, 8]' is invalid")


def test_the_reason_is_the_true_one():
    class Odd(Small):
        """Two layers with one weight, one with a computed weight, and one for volumes."""

        def __init__(self):
            super().__init__(nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)))
            self.between[1].weight = self.between[0].weight
            self.normed = parametrizations.weight_norm(nn.Conv2d(4, 4, 1, bias=False))
            self.volume, self.unused = nn.Conv3d(4, 4, 1), nn.Linear(4, 4)

        def forward(self, x):
            y = self.normed(self.between(self.one(x)))
            return self.head(self.pool(F.relu(self.two(self.volume(y[:, :, None])[:, :, 0]))))

    network = networks.describe(Odd(), image=IMAGE, classes=CLASSES)
    assert network.architecture.groups == ("two",)
    assert network.pinned["between.1"] == "it shares its weights with between.0"
    assert network.pinned["normed"] == "its weights are computed"
    assert network.pinned["volume"] == "Conv3d is not taken apart"
    assert network.pinned["unused"] == "the images of the trial do not pass through it"


def test_torchscript_is_refused_by_name():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, on its end
        scripted = torch.jit.script(nn.Conv2d(4, 4, 1))
    with pytest.raises(InputError, match="its layer between is TorchScript, which cannot be taken apart"):
        networks.describe(Small(scripted), image=IMAGE, classes=CLASSES)


class Small(nn.Module):
    """Two convolutions and a head, with something between and something before the head."""

    def __init__(self, between: nn.Module, pool=lambda x: x.mean(dim=(2, 3)), inputs: int = 6) -> None:
        super().__init__()
        self.one, self.between, self.pool = nn.Conv2d(2, 4, 3, padding=1), between, pool
        self.two, self.head = nn.Conv2d(4, 6, 3, padding=1), nn.Linear(inputs, CLASSES)

    def forward(self, x):
        return self.head(self.pool(F.relu(self.two(self.between(self.one(x))))))


def test_a_depthwise_convolution_of_two_channels_is_tried_and_is_whole_again():
    class Pair(Small):
        def __init__(self):
            super().__init__(nn.Identity())
            self.one, self.two = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 6, 1)
            self.between = nn.Conv2d(2, 2, 3, padding=1, groups=2)

    network = networks.describe(Pair(), image=IMAGE, classes=CLASSES)
    assert network.architecture.groups == ("one", "two")
    assert network.eval()(torch.zeros(3, *IMAGE)).shape == (3, CLASSES)
    surgery.remove_channel(network, 0, 1)
    assert network(torch.zeros(3, *IMAGE)).shape == (3, CLASSES)


def test_a_network_that_minds_how_numbers_lie_in_memory_is_trained_as_it_is(images):
    module = Small(nn.ReLU(), lambda x: x.view(len(x), -1), 6 * 8 * 8)
    network = networks.describe(module, image=IMAGE, classes=CLASSES)
    assert network.architecture.groups == ("one", "two")
    *_, last = Pruner(network, images, PruningRecipe(2, "fisher", steps=1, lr=0.01, batch_size=8), 0)
    assert last.params == sum(p.numel() for p in network.parameters())


def test_weights_that_layers_share_are_saved_and_read_again(tmp_path):
    shared = nn.Conv2d(4, 4, 3, padding=1)
    network = networks.describe(Small(nn.Sequential(shared, nn.ReLU(), shared)), image=IMAGE, classes=CLASSES)
    assert network.architecture.groups == ("two",)
    optimizer = training.sgd(network, 0.1, 0.9, 0.0)
    training.step(network, optimizer, torch.rand(4, *IMAGE), torch.tensor([0, 1, 2, 0]))
    tensors = training.trainer.collect_tensors(network, optimizer, training.callbacks.NO_CALLBACK)
    path = checkpoints.write(tmp_path, "at", training.Checkpoint(tensors, {}))
    for name, tensor in checkpoints.read(path).tensors.items():
        assert torch.equal(tensor, tensors[name]), name
    loading.save(network, tmp_path)
    again = copy.deepcopy(network)
    again.load_state_dict(safetensors.load_file(tmp_path / loading.WEIGHTS_FILE))
    assert again.module.between[0] is again.module.between[2]


def test_the_wrapper_of_the_guide_takes_one_of_several_outputs():
    class Both(Small):
        def forward(self, x):
            return super().forward(x), x

    guide = (Path(__file__).parents[1] / "docs" / "own.md").read_text()
    (shown,) = [code for code in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "First" in code]
    exec(shown, scope := {"nn": nn})
    network = networks.describe(scope["First"](Both(nn.ReLU())), image=IMAGE, classes=CLASSES)
    assert network.architecture.groups == ("0.one", "0.two")


def test_a_network_that_answers_otherwise_in_training_is_refused():
    class Auxiliary(Small):
        def forward(self, x):
            return (super().forward(x), x) if self.training else super().forward(x)

    with pytest.raises(InputError, match="in training mode it returns tuple for 3 images and 3 classes"):
        networks.describe(Auxiliary(nn.ReLU()), image=IMAGE, classes=CLASSES)


def test_what_somebodys_code_raises_is_one_line():
    class Broken(Small):
        def forward(self, x):
            return {}["answer"]

    with pytest.raises(
        InputError, match=r"it does not accept images of shape \(2, 8, 8\): KeyError: 'answer'"
    ):
        networks.describe(Broken(nn.ReLU()), image=IMAGE, classes=CLASSES)


def test_what_making_a_network_raises_is_one_line(tmp_path):
    (tmp_path / "models.py").write_text("def make(image, classes):\n    raise ValueError('two\\nlines')\n")
    with pytest.raises(InputError) as caught:
        named(f"{tmp_path}/models.py:make")
    assert str(caught.value).endswith("it cannot be made for images of shape (2, 8, 8): ValueError: two")


def test_a_network_without_a_group_or_with_another_answer_is_refused():
    linear = nn.Sequential(nn.Flatten(), nn.Linear(128, CLASSES))
    with pytest.raises(
        InputError, match=r"no group of channels can be removed \(1: its channels are the network's"
    ):
        networks.describe(linear, image=IMAGE, classes=CLASSES)
    with pytest.raises(InputError, match=r"returns \(3, 3\) for 3 images and 4 classes"):
        networks.describe(linear, image=IMAGE, classes=4)


def test_a_module_is_left_as_it_was_and_nobody_draws_from_the_stream_of_the_process():
    module = Chain(["gate"]).train()
    before, stream = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    networks.describe(module, image=IMAGE, classes=CLASSES)
    assert module.training
    assert torch.equal(torch.get_rng_state(), stream)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name


# --- cutting is exact ----------------------------------------------------------------------------------


@settings(max_examples=12)
@given(
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=3),
    st.booleans(),
    st.booleans(),
    st.integers(0, 999),
)
def test_many_removals_leave_what_the_network_computes_without_them(kinds, flat, sets, seed):
    """Cut one after another, momentum carried along, against readers that are kept deaf, while both train."""
    network = described(*kinds, flat=flat, sets=sets).double()
    draw = torch.Generator().manual_seed(seed)
    deaf = copy.deepcopy(network)
    optimizers = [training.sgd(each, 0.01, 0.9, 5e-3) for each in (network, deaf)]
    numbers = [list(range(group.width)) for group in network.groups]
    silent: list[tuple[int, int]] = []

    def quiet() -> None:
        with torch.no_grad():
            for group, channel in silent:
                for weight, places in deaf.groups[group].read_weights(channel):
                    weight[:, places] = 0
                    if momentum := optimizers[1].state.get(weight):
                        momentum["momentum_buffer"][:, places] = 0

    for _ in range(6):
        x = torch.randn(4, *IMAGE, generator=draw, dtype=torch.float64)
        y = torch.randint(CLASSES, (4,), generator=draw)
        for each, optimizer in zip((network, deaf), optimizers, strict=True):
            training.step(each.train(), optimizer, x, y)
        quiet()
        torch.testing.assert_close(network.eval()(x), deaf.eval()(x))
        wide = [n for n, group in enumerate(network.groups) if group.width > 1]
        if wide:
            group = wide[int(torch.randint(len(wide), (), generator=draw))]
            channel = int(torch.randint(network.groups[group].width, (), generator=draw))
            silent.append((group, numbers[group].pop(channel)))
            surgery.remove_channel(network, group, channel, optimizers[0])
            quiet()
        torch.testing.assert_close(network.eval()(x), deaf.eval()(x))
    assert network.architecture.params == sum(p.numel() for p in network.parameters())
    shape = network.architecture.table.layers
    named = {layer.name for layer in network.architecture.layers}
    assert named - {"other products"} == {row.name for row in shape}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frozen", [False, True])
def test_the_closed_form_is_what_torch_counts(kind, frozen):
    torch.manual_seed(0)
    module = Chain([kind, "concat"], flat=True)
    module.parts.requires_grad_(not frozen)
    network = networks.describe(module, image=IMAGE, classes=CLASSES).eval()
    for group in network.groups:
        surgery.keep_channels(group, list(range(1, group.width)))
    with BaseTorchFunctionMode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *IMAGE))
    assert 2 * network.architecture.macs == counter.get_total_flops()
    assert network.architecture.params == sum(p.numel() for p in network.parameters())


class Patches(nn.Module):
    """Tokens of 2 x 2 pixels; queries, keys and values; and something that mixes the tokens by them."""

    def __init__(self, mixed) -> None:
        super().__init__()
        self.stem, self.qkv = nn.Conv2d(2, 8, 2, stride=2), nn.Linear(8, 24)
        self.one, self.two, self.mixed = nn.Linear(8, 12), nn.Linear(12, 8), mixed
        self.table = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 1))
        self.register_buffer("places", torch.rand(16, 2))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2) + self.table(self.places)
        x = self.mixed(*self.qkv(x).chunk(3, dim=-1))
        return self.head((x + self.two(F.gelu(self.one(x)))).mean(dim=1))


def attended(q, k, v):
    return torch.matmul((q @ k.transpose(1, 2)).softmax(-1), v)


def attended_by_sums(q, k, v):
    return torch.einsum("bnm,bmc->bnc", torch.einsum("bnc,bmc->bnm", q, k).softmax(-1), v)


def attended_in_batches(q, k, v):
    return torch.bmm(torch.baddbmm(torch.zeros(1), q, k.transpose(1, 2)), v)


class Whole(nn.Module):
    """torch's own layer of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, q, k, v):
        return self.layer(q, k, v)[0]


PRODUCTS = {
    "weight_norm": lambda: Small(parametrizations.weight_norm(nn.Conv2d(4, 4, 3, padding=1))),
    "spectral_norm": lambda: Small(parametrizations.spectral_norm(nn.Conv2d(4, 4, 3, padding=1))),
    "computed": lambda: Small(Function(lambda x: F.conv2d(x, x.new_ones(4, 4, 1, 1)))),
    "transposed": lambda: Small(nn.ConvTranspose2d(4, 4, 2, stride=2)),
    "matmul": lambda: Patches(attended),
    "einsum": lambda: Patches(attended_by_sums),
    "bmm": lambda: Patches(attended_in_batches),
    "attention": lambda: Patches(F.scaled_dot_product_attention),
    "multihead": lambda: Patches(Whole()),
    "encoder": lambda: Chain(["transformer"]),
}


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function) -> None:
        super().__init__()
        self.forward = function


@pytest.mark.parametrize("kind", PRODUCTS)
def test_products_that_are_no_layers_are_what_torch_counts_at_any_widths(kind):
    torch.manual_seed(0)
    network = networks.describe(PRODUCTS[kind](), image=IMAGE, classes=CLASSES).eval()
    for kept in (2, 1):
        with BaseTorchFunctionMode(), FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, *IMAGE))
        assert 2 * network.architecture.macs == counter.get_total_flops()
        for group in network.groups:
            surgery.keep_channels(group, list(range(0, group.width, kept)))
    again = Architecture.from_json(json.loads(json.dumps(network.architecture.to_json())))
    assert again.macs == network.architecture.macs
    assert again.layers[-1].name == "other products" or kind == "transposed"


def test_only_tables_with_products_say_so():
    assert "products" not in described("plain").architecture.to_json()["table"]
    assert described("transformer").architecture.to_json()["table"]["products"] == 2 * 16**2 * 4


def test_what_is_not_counted_is_listed(tmp_path):
    code = FILE.replace("self.three = nn.Conv2d(12, 6, 3, padding=1)", "self.three = Rows()").replace(
        "class Net",
        """class Rows(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(12, 6, batch_first=True)

    def forward(self, x):
        return self.rnn(x.mean(2).transpose(1, 2))[0].transpose(1, 2)[..., None]

class Net""",
    )
    (tmp_path / "models.py").write_text(code)
    listed = group_table.list_groups(f"{tmp_path}/models.py:make", IMAGE, CLASSES)
    assert listed.endswith("not counted: the MACs of three.rnn")


FREEZE = """        for layer in (self.one, self.norm, self.two):
            layer.requires_grad_(False)

    def forward"""
FROZEN = FILE.replace("    def forward", FREEZE)


def test_frozen_layers_are_pruned_by_their_saliency_and_stay_frozen(tmp_path, images):
    (tmp_path / "models.py").write_text(FROZEN)
    listed = group_table.list_groups(f"{tmp_path}/models.py:make", IMAGE, CLASSES)
    assert "frozen by the network's code, and not trained: one, norm, two" in listed
    network = own.trace_named(f"{tmp_path}/models.py:make", image=IMAGE, classes=CLASSES)
    before = {name: tensor.detach().clone() for name, tensor in network.named_parameters()}
    with saliency.SaliencyProbe(network, "fisher", torch.Generator()) as probe:
        F.cross_entropy(network(torch.rand(4, *IMAGE)), torch.tensor([0, 1, 2, 0])).backward()
        assert all(bool((scores > 0).any()) for scores in probe.scores())
    *_, last = Pruner(network, images, PruningRecipe(2, "random", steps=2, lr=0.1, batch_size=8), 0)
    assert last.params == sum(p.numel() for p in network.parameters())
    for name, tensor in network.named_parameters():
        moved = tensor.shape == before[name].shape and not torch.equal(tensor, before[name])
        frozen = name.split(".")[1] in ("one", "norm", "two")
        assert frozen != tensor.requires_grad
        assert not (frozen and moved), name


# --- what channels are judged by -----------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [("concat", "concat"), ("gate",), ("twice",)])
def test_a_saliency_is_the_slope_of_the_loss_when_all_readers_go_deaf(kinds):
    """Half the mean square of each example's derivative by a factor on what the readers receive, at 1."""
    network = described(*kinds, flat=True).double().eval()
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(3, *IMAGE, generator=draw, dtype=torch.float64)
    y = torch.randint(CLASSES, (3,), generator=draw)
    with saliency.SaliencyProbe(network, "fisher", torch.Generator()) as probe:
        F.cross_entropy(network(x), y).backward()
        scores = probe.scores()
    step = 1e-5
    for number, group in enumerate(network.groups):
        for channel in range(group.width):
            slopes = []
            for sign in (1, -1):
                other = copy.deepcopy(network)
                with torch.no_grad():
                    for weight, places in other.groups[number].read_weights(channel):
                        weight[:, places] *= 1 + sign * step
                    slopes.append(F.cross_entropy(other(x), y, reduction="none"))
            slope = (slopes[0] - slopes[1]) / (2 * step)
            expected = slope.square().mean() / 2
            assert scores[number][channel].item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("criterion", ["fisher", "taylor", "l1", "random"])
def test_it_is_pruned_by_rounds_and_at_one_stroke(criterion, images):
    for rounds, ratio in ((3, 0.0), (1, 0.4)):
        network = described("gate", "depthwise")
        whole = sum(network.architecture.widths)
        recipe = PruningRecipe(rounds, criterion, ratio, steps=1, lr=0.01, batch_size=8)
        *_, last = Pruner(network, images, recipe, 0)
        gone = whole - sum(last.architecture.widths)
        assert gone == rounds if not ratio else abs(gone - ratio * whole) <= len(last.architecture.widths) / 2
        assert last.params == sum(p.numel() for p in network.parameters())


def test_a_cut_has_the_strides_of_a_network_that_is_loaded(tmp_path):
    """In a depthwise convolution, whose weights have one input channel, torch takes either for the other."""
    (tmp_path / "models.py").write_text(DEPTHWISE)
    network = networks.build(named(f"{tmp_path}/models.py:make")).to_device(torch.device("cpu"))
    assert network.module.deep.weight.shape == (8, 1, 3, 3)
    surgery.remove_channel(network, 0, 3)
    built = networks.build(network.architecture).to_device(torch.device("cpu"))
    strides = {name: tensor.stride() for name, tensor in built.state_dict().items()}
    assert {name: tensor.stride() for name, tensor in network.state_dict().items()} == strides


# --- plain data, and networks made again ---------------------------------------------------------------


def test_an_architecture_says_what_a_network_is_without_its_code(file):
    whole = named(file)
    assert whole.groups == ("one", "two", "three")
    # 3 x 3 from 2 to 8 and on to 12, six with a bias; a norm of 8; a classifier
    assert whole.params == 9 * (2 * 8 + 8 * 12 + 12 * 6) + 6 + 2 * 8 + 3 * 6 + 3
    assert whole.macs == 64 * 9 * (2 * 8 + 8 * 12 + 12 * 6) + 18
    assert [n for n in whole.feature_maps if n > 64] == [64 * n for n in (8, 12, 6)]
    again = Architecture.from_json(json.loads(json.dumps(whole.to_json())))
    assert again == whole
    assert again.with_widths((5, 3, 2)).params == 9 * (2 * 5 + 5 * 3 + 3 * 2) + 2 + 2 * 5 + 3 * 2 + 3
    network = networks.build(again.with_widths((5, 3, 2)))
    assert network.architecture.params == sum(p.numel() for p in network.parameters())
    assert network(torch.zeros(4, *IMAGE)).shape == (4, CLASSES)


def test_a_key_tells_files_apart_by_what_is_in_them(tmp_path):
    keys = []
    for folder, source in (("a", FILE), ("b", FILE), ("c", FILE.replace("0.3", "0.4"))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "models.py").write_text(source)
        shape = named(f"{tmp_path}/{folder}/models.py:make")
        keys.append((shape.id, Run("train", shape, {}, {"name": "clutter"}, 0).key))
    assert keys[0] == keys[1]
    assert keys[0][0] != keys[2][0]
    assert keys[0][1] != keys[2][1]


def test_a_file_that_has_changed_is_not_what_a_run_was_about(file):
    whole = named(file)
    Path(file.partition(":")[0]).write_text(FILE.replace("0.3", "0.4"))
    with pytest.raises(InputError, match=r"models.py:make has changed"):
        networks.build(whole)


def test_a_description_alone_runs_nobodys_code(file, monkeypatch):
    whole = named(file)
    monkeypatch.setattr(code_files, "ALLOWED", set())
    with pytest.raises(InputError, match=r"models.py:make is code, which runs only if you say so"):
        networks.build(whole)
    assert whole.params  # and whoever only looks needs none
    code_files.ALLOWED.add(whole.table.digest)
    assert networks.build(whole).architecture == whole


def test_widths_and_depths_are_refused_by_name_and_the_other_families_are_there(file):
    whole = named(file)
    for family in (families.width, families.depth):
        with pytest.raises(
            InputError, match=f"family {family.__name__} changes .* models.py:make fixes: use bot"
        ):
            family(whole, params=whole.params // 2)
    for family in (families.bottleneck, families.copycat, families.uniform):
        member = family(whole, params=whole.params // 2)
        assert member.params == pytest.approx(whole.params / 2, rel=0.1)
    assert families.bottleneck(whole, scale=3.0) == whole  # its code makes no more
    with pytest.raises(InputError, match=r"group two has at most 12 channels, not 13"):
        whole.with_widths((8, 13, 6))


# --- from scratch --------------------------------------------------------------------------------------


def test_a_narrow_network_has_the_spread_of_its_own_widths(tmp_path):
    source = FILE.replace("8", "320").replace("12", "480")
    (tmp_path / "models.py").write_text(source)
    small = named(f"{tmp_path}/models.py:make").with_widths((80, 120, 6))
    network = networks.build(small, torch.Generator().manual_seed(0)).module
    # drawn for what a channel goes to, as its code does, and by torch's own rule for what it is made of
    assert network.one.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 80)), rel=0.06)
    assert network.two.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 120)), rel=0.03)
    assert network.three.weight.std().item() == pytest.approx(1 / math.sqrt(3 * 9 * 120), rel=0.06)
    assert (network.norm.weight == 1).all()
    assert (network.norm.bias == 0).all()


def test_frozen_tensors_keep_the_values_that_the_code_gives_them(tmp_path):
    (tmp_path / "models.py").write_text(FROZEN)
    whole = named(f"{tmp_path}/models.py:make")
    network, narrow = (
        networks.build(shape, torch.Generator().manual_seed(0)).module
        for shape in (whole, whole.with_widths((4, 5, 3)))
    )
    for name, tensor in narrow.named_parameters():
        kept = network.get_parameter(name)[tuple(map(slice, tensor.shape))]
        assert torch.equal(tensor, kept) or tensor.requires_grad, name


def test_a_network_that_says_how_it_begins_is_asked(tmp_path):
    source = FILE.replace(
        "    def forward",
        "    def reset_parameters(self):\n        nn.init.ones_(self.two.weight)\n\n    def forward",
    )
    (tmp_path / "models.py").write_text(source)
    whole = named(f"{tmp_path}/models.py:make")
    assert not (networks.build(whole).module.two.weight == 1).any()  # as it was made
    assert (networks.build(whole.with_widths((8, 5, 6))).module.two.weight == 1).all()


def test_the_same_seed_begins_alike_and_another_does_not(file):
    shape = named(file).with_widths((4, 6, 3))
    first, again, other = (networks.build(shape, torch.Generator().manual_seed(s)) for s in (3, 3, 4))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert not torch.equal(first.module.two.weight, other.module.two.weight)


# --- dropout -------------------------------------------------------------------------------------------


def test_what_a_network_drops_is_its_own_affair_and_goes_on_where_it_was_put_down(file, images):
    """Put down after every step and taken up by another process's network, it ends with the same bits."""
    recipe = TrainingRecipe(2, 0.05, batch_size=10)

    def begin():
        generator = torch.Generator().manual_seed(5)
        return training.Trainer(networks.build(named(file), generator), images, recipe, generator)

    straight = begin()
    for _ in straight:
        pass
    stream = torch.get_rng_state()
    torch.rand(7)  # what others draw in between does not matter

    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    state, steps = None, 0
    while steps < 8:
        trainer = begin()
        trainer.on_step = stop
        if state is not None:
            trainer.load_state_dict(state)
        with pytest.raises(Stop):
            for _ in trainer:
                pass
        state, steps = copy.deepcopy(trainer.state_dict()), trainer.step
    for name, tensor in straight.network.state_dict().items():
        assert torch.equal(tensor, trainer.network.state_dict()[name]), name
    assert "random.cpu" in state.tensors
    torch.set_rng_state(stream)
    x = torch.rand(4, *IMAGE)
    assert not torch.equal(trainer.network.train()(x), trainer.network(x))  # it does drop


def test_norms_are_estimated_without_dropout(file, images):
    network = networks.build(named(file)).to_device(torch.device("cpu")).train()
    before = network.draws.state_dict()
    training.evaluation.estimate_norms(network, images, 16)
    assert network.draws.state_dict().keys() == before.keys()
    assert network.training


class Attention(nn.Module):
    """Pixels as tokens of torch's own encoder layer."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(1, 8, 3), nn.Linear(8, 3)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x):
        return self.head(self.encoder(self.stem(x).flatten(2).transpose(1, 2)).mean(dim=1))


def test_layers_that_are_not_taken_apart_are_named():
    network = networks.describe(Attention(), image=(1, 6, 6), classes=3)
    assert network.architecture.groups == ("encoder.linear1",)
    assert network.pinned["encoder.self_attn"] == "MultiheadAttention is not taken apart"


# --- torchvision's -------------------------------------------------------------------------------------


def test_the_names_that_are_read_from_torchvisions_source_are_those_it_lists():
    with pytest.raises(InputError) as raised:
        check_traced("torchvision:nope")
    known = str(raised.value).partition("choose from ")[2].split(", ")
    assert known == models.list_models(module=models)


@pytest.mark.parametrize("model", models.list_models(module=models))
def test_the_sizes_that_are_read_from_torchvisions_source_are_those_of_the_published_weights(model):
    stated = {weights.meta["num_params"] for weights in models.get_model_weights(model)}
    assert torchvision_names.parameter_counts()[model] in (stated if model != "mobilenet_v2" else {0})


def test_a_network_that_takes_long_to_trace_is_named_with_its_size_before(monkeypatch, capsys):
    monkeypatch.setattr(networks.own, "find_groups", lambda *_: capsys.readouterr().err)
    said = networks.own.trace_named("torchvision:squeezenet1_1", image=(3, 32, 32), classes=1000)
    what = "torchvision:squeezenet1_1 (1 million parameters) to find what can be pruned"
    assert said == f"tracing {what}: this takes seconds to minutes\n"


def test_a_network_of_torchvision_takes_grey_images_and_says_which_are_too_small():
    whole = networks.named("torchvision:squeezenet1_1", image=(1, 32, 32), classes=10)
    assert len(whole.groups) == 25
    assert whole.table.digest.startswith("torchvision ")
    network = networks.build(families.bottleneck(whole, scale=0.25))
    assert network.eval()(torch.rand(2, 1, 32, 32)).shape == (2, 10)
    with pytest.raises(InputError, match=r"12 x 12 pixels \(17 x 17 works; image_size only makes"):
        networks.named("torchvision:squeezenet1_1", image=(1, 12, 12), classes=10)
    with pytest.raises(InputError, match=r"unknown torchvision network 'resnet19': did you mean 'resnet18'"):
        networks.named("torchvision:resnet19", image=(1, 16, 16), classes=10)


def accepts(model, side):
    """Whether the code of a network of torchvision's accepts such images. Only its shapes are computed."""
    square = {"image_size": side} if model.startswith("vit_") else {}
    plain = {"aux_logits": False, "init_weights": True} if model in ("googlenet", "inception_v3") else {}
    try:
        with torch.no_grad(), torch.device("cpu" if model.startswith("regnet") else "meta"):  # which it needs
            network = models.get_model(model, weights=None, num_classes=10, **square, **plain).eval()
            return network(torch.zeros(2, 3, side, side)).shape == (2, 10)
    except (RuntimeError, AssertionError):
        return False


# Of the RegNets, which are made by the same code, the two smallest.
@pytest.mark.parametrize(
    "model", [name for name in models.list_models(module=models) if not re.search("regnet.*gf$", name)]
)
def test_it_is_known_which_images_a_network_of_torchvision_accepts(model):
    known = [sides for start, sides in torchvision_names.SIDES.items() if model.startswith(start)]
    if not known:
        assert accepts(model, 1)
        return
    (sides,) = known
    assert all(accepts(model, side) for side in sides[:2])
    assert not accepts(model, sides[0] - 1)
    if sides.step > 1:
        assert not accepts(model, sides[0] + 1)


@pytest.mark.parametrize(
    ("model", "image", "said"),
    [
        ("inception_v3", (1, 16, 16), "does not accept images of 16 x 16 pixels (75 x 75 works"),
        ("vit_h_14", (3, 29, 29), "does not accept images of 29 x 29 pixels (42 x 42 works"),
        ("vit_b_16", (3, 16, 32), "takes only square images, not 16 x 32"),
        ("maxvit_t", (3, 299, 299), "does not accept images of 299 x 299 pixels (224 x 224 works"),
    ],
)
def test_images_that_a_network_of_torchvision_does_not_accept_are_refused_without_making_it(
    monkeypatch, model, image, said
):
    monkeypatch.setattr(models, "get_model", pytest.fail)
    with pytest.raises(InputError, match=re.escape(said)):
        networks.named(f"torchvision:{model}", image=image, classes=10)


@pytest.mark.parametrize("image", [(3, 40_000, 40_000), (3, 16, 10**9), (10**9, 16, 16)])
def test_images_that_no_data_set_has_are_refused_before_a_network_is_made_for_them(image):
    with pytest.raises(InputError, match="images have at most 1,024 channels, rows and columns, not"):
        networks.named("torchvision:resnet18", image=image, classes=10)


def test_functions_and_files_that_are_not_there_are_refused(file, tmp_path):
    with pytest.raises(InputError, match=r"unknown function of models.py 'mak': choose from make"):
        networks.named(file[:-1], image=IMAGE, classes=CLASSES)
    with pytest.raises(InputError, match=f"no file {tmp_path}/none.py"):
        networks.named(f"{tmp_path}/none.py:make", image=IMAGE, classes=CLASSES)


def test_a_file_may_have_dataclasses_of_its_own(tmp_path):
    source = FILE.replace("import torch\n", "from __future__ import annotations\nimport torch\n", 1)
    source += """
from dataclasses import dataclass

@dataclass
class Widths:
    first: int = 8
"""
    (tmp_path / "models.py").write_text(source.lstrip())
    assert named(f"{tmp_path}/models.py:make").widths == (8, 12, 6)


def test_slimming_asks_for_norms(file, images):
    whole = named(file)
    assert whole.table.normed == (True, False, False)
    recipe = PruningRecipe(1, "slimming", 0.3, steps=1, batch_size=8)
    with pytest.raises(InputError, match="slimming needs a batch norm in every group, but two has none"):
        Pruner(networks.build(whole), images, recipe, 0)


# --- what tracing cannot see -----------------------------------------------------------------------------


class Twice(nn.Module):
    """Two convolutions and a head; `between` is done to what the first one makes."""

    def __init__(self, between, width: int = 8) -> None:
        super().__init__()
        self.a = nn.Conv2d(IMAGE[0], width, 3, padding=1)
        self.b, self.head = nn.Conv2d(width, width, 3, padding=1), nn.Linear(width, CLASSES)
        self.aside, self.between = nn.Conv2d(width, width, 1), between

    def forward(self, x):
        return self.head(F.relu(self.b(self.between(self, F.relu(self.a(x))))).mean(dim=(2, 3)))


def swapped(module, x):
    first, second = x.chunk(2, dim=1)
    return torch.cat([second, first], dim=1)


def only_in_training(module, x):
    return x * torch.ones(1, 8, 1, 1) if module.training else x


def if_large(module, x):
    return module.aside(x) if x.mean() > 1e6 else x


@pytest.mark.parametrize("width", range(3, 17))
def test_what_takes_its_channels_apart_in_the_middle_cannot_be_pruned_at_any_width(width):
    network = networks.describe(Twice(swapped, width), image=IMAGE, classes=CLASSES)
    assert [group.name for group in network.groups] == ["b"]
    assert re.match(
        "cutting a channel does not give the same output|without a channel it fails", network.pinned["a"]
    )


def test_what_only_training_runs_is_tried_too():
    network = networks.describe(Twice(only_in_training), image=IMAGE, classes=CLASSES)
    assert [group.name for group in network.groups] == ["b"]
    assert network.pinned["a"].startswith("without a channel it fails: The size of tensor a (4) must match")


def test_a_layer_that_the_trial_does_not_reach_is_named():
    network = networks.describe(Twice(if_large), image=IMAGE, classes=CLASSES)
    assert network.pinned["aside"] == "the images of the trial do not pass through it"


def test_channels_made_by_a_parameter_of_the_module_itself_are_called_like_it():
    class Bare(Twice):
        def __init__(self) -> None:
            super().__init__(lambda module, x: F.relu(F.conv2d(x, module.kernel)))
            self.kernel = nn.Parameter(torch.randn(8, 8, 1, 1))

    network = networks.describe(Bare(), image=IMAGE, classes=CLASSES)
    assert [group.name for group in network.groups] == ["kernel", "b"]


def test_a_network_that_makes_channels_itself_is_called_what_it_is(tmp_path):
    code = FILE.replace(
        "self.head = nn.Linear(6, classes)", "self.kernel = nn.Parameter(torch.rand(classes, 6))"
    )
    code = code.replace("self.head(", "nn.functional.linear(").replace("(2, 3)))", "(2, 3)), self.kernel)")
    (tmp_path / "models.py").write_text(code)
    listed = group_table.list_groups(f"{tmp_path}/models.py:make", IMAGE, CLASSES)
    assert listed.endswith("cannot be pruned, its channels are the network's output: the network itself")


def test_a_lazy_layer_is_refused_by_its_name(tmp_path):
    code = (
        "from torch import nn\n\ndef make(image, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))\n"
    )
    (tmp_path / "lazy.py").write_text(code)
    with pytest.raises(InputError, match=r"lazy\.py:make: its layer 1 is a LazyLinear: state the number"):
        networks.named(f"{tmp_path}/lazy.py:make", image=IMAGE, classes=CLASSES)


def in_pairs(module, x):
    batch, channels, *size = x.shape
    return x.view(batch, 2, channels // 2, *size).transpose(1, 2).flatten(1, 2)


def by_parity(module, x):
    return x if x.shape[1] % 2 == 0 else 2 * x


def when_few(module, x):
    return x if x.shape[1] > 4 else 2 * x


def swapped_in_training(module, x):
    return swapped(module, x) if module.training else x


@pytest.mark.parametrize("between", [in_pairs, by_parity, when_few, swapped_in_training])
def test_what_depends_on_the_number_of_channels_cannot_be_pruned(between):
    network = networks.describe(Twice(between, 24), image=IMAGE, classes=CLASSES)
    assert [group.name for group in network.groups] == ["b"]


def test_a_network_that_cannot_be_trained_is_refused_in_one_line():
    with pytest.raises(
        InputError, match=r"^it cannot be trained: one of the variables needed .*modified by an "
    ):
        networks.describe(Twice(lambda module, x: x.mul_(2)), image=IMAGE, classes=CLASSES)


def test_code_that_ends_the_process_is_an_error(tmp_path):
    (tmp_path / "ends.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(InputError, match=r"ends\.py failed: SystemExit: 3"):
        networks.named(f"{tmp_path}/ends.py:make", image=IMAGE, classes=CLASSES)
