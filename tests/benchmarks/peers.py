"""Groups found in fifteen networks of torchvision, and the time of a removal: ours and Torch-Pruning's.

python -m tests.benchmarks.peers [NETWORK...]: a row for each network, in outputs/bench/peers.csv. Without
Torch-Pruning (pip install torch-pruning) its columns stay empty. Both cut the first channel of the same
layers, one layer after the other, in double precision; after each cut both must answer as the whole network
does when nothing reads the channel. Times are of the processor, with one thread. Memory is limited.
"""

import copy
import math
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from horticulture import networks
from horticulture.errors import InputError
from horticulture.networks import own
from horticulture.networks.cut_check import reason
from horticulture.networks.traced_network import TracedNetwork
from horticulture.pruning import surgery
from horticulture.training import hardware

IMAGE, CLASSES = (3, 64, 64), 10
MEMORY = 4 * 2**30  # bytes: of some networks Torch-Pruning would take all that there is
CUTS = 40  # layers of a network that are cut, at most
NETWORKS = (
    *("alexnet", "vgg11_bn", "resnet18", "resnet50"),
    *("resnext50_32x4d", "densenet121", "googlenet", "squeezenet1_1"),
    *("mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x1_0", "efficientnet_b0"),
    *("regnet_y_400mf", "convnext_tiny", "swin_t"),
)


def measure(name: str) -> dict[str, Any]:
    """The row of a network."""
    module = stirred(own.make(f"torchvision:{name}", IMAGE, CLASSES).eval())
    ours, found = timed(lambda: networks.describe(copy.deepcopy(module), image=IMAGE, classes=CLASSES))
    sets = networks.describe(copy.deepcopy(module), image=IMAGE, classes=CLASSES, residual_sets=True)
    row = {"network": name, "groups": len(ours.groups), "with_sets": len(sets.groups), "seconds": found}
    try:
        return row | compare(ours.double(), module.double())
    except ImportError:
        return row | {"removal_ms": 1000 * statistics.median(one.seconds for one in removals(ours))}


def compare(ours: TracedNetwork, module: nn.Module) -> dict[str, Any]:
    """Both cut, layer by layer; what went wrong with theirs stands in `remark`.

    The judge is the untouched network with the readers of what was cut deaf to it: all its weights in place,
    some of them 0. Ours must answer as it does after every cut, or this fails. noticed: cuts that changed its
    answer.
    """
    import torch_pruning

    x = torch.rand(2, *IMAGE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    judge = copy.deepcopy(module)
    row: dict[str, Any] = {"version": version("torch-pruning"), "remark": ""}
    row |= dict.fromkeys(("tried", "noticed", "cuts"), 0)
    *_, last = (one for one in module.modules() if isinstance(one, nn.Conv2d | nn.Linear))
    graph = torch_pruning.DependencyGraph()
    try:
        row["their_seconds"] = timed(lambda: graph.build_dependency(module, example_inputs=x))[1]
    except Exception as error:
        row["remark"] = f"it traces nothing: {reason(error)}"
    try:
        listed = [group[0].dep for group in graph.get_all_groups(ignored_layers=[last])]
        row |= {"their_groups": len(listed)} | cut_apart(listed, module, x)
    except Exception as error:
        row["remark"] = row["remark"] or f"it lists no groups: {reason(error)}"
    stopped = row["remark"] if "their_seconds" not in row else ""
    names = {one: name for name, one in ours.module.named_modules()}
    taken, theirs, right = [], [], judge(x)
    for removal in removals(ours):
        row["tried"] += 1
        taken.append(removal.seconds)
        for reader, columns in removal.read:
            judge.get_submodule(names[reader]).weight.data[:, columns] = 0
        before, right = right, judge(x)
        name = names[removal.layer]
        row["noticed"] += not alike(before, right)  # else the channel was dead, or hardly alive
        assert alike(ours(x), right), f"ours is wrong after {name}"
        if stopped:
            continue
        try:
            layer = module.get_submodule(name)
            theirs.append(timed(lambda layer=layer, places=removal.places: cut(graph, layer, places))[1])
            stopped = "" if alike(module(x), right) else "another answer"
        except Exception as error:
            stopped = reason(error)
        row["cuts"] += not stopped
        if stopped:
            row["remark"] = "; ".join(filter(None, [row["remark"], f"after {name}: {stopped}"]))
    times = {"removal_ms": taken, "their_removal_ms": theirs}
    return row | {what: 1000 * statistics.median(each) if each else math.nan for what, each in times.items()}


def cut_apart(listed: list[Any], module: nn.Module, x: Tensor) -> dict[str, Any]:
    """Of the groups that Torch-Pruning lists: the first channel of some is cut, each from a fresh copy.

    their_tried, their_running: how many, and of how many the network still runs. their_right: how many answer
    as the whole network in which the layers that the group itself names as readers are deaf to the channel.
    """
    import torch_pruning

    names = {one: name for name, one in module.named_modules()}
    found: dict[str, Any] = dict.fromkeys(("their_tried", "their_running", "their_right"), 0)
    found["remark"] = ""  # the first error
    for number in range(0, len(listed), -(-len(listed) // CUTS)):
        found["their_tried"] += 1
        theirs, judge = copy.deepcopy(module), copy.deepcopy(module)
        layer = theirs.get_submodule(names[listed[number].target.module])
        graph = torch_pruning.DependencyGraph().build_dependency(theirs, example_inputs=x)
        its_names = {one: name for name, one in theirs.named_modules()}
        try:
            group = first_of_each(graph, layer)
            for dep, places in group.items:
                if dep.handler.__name__ == "prune_in_channels":
                    silence(judge.get_submodule(its_names[dep.target.module]), places)
            group.prune()
            answer = theirs(x)
        except Exception as error:
            found["remark"] = found["remark"] or f"{its_names[layer]} alone: {reason(error)}"
            continue
        found["their_running"] += 1
        found["their_right"] += alike(answer, judge(x))
    return found


def first_of_each(graph: Any, layer: nn.Module) -> Any:
    """The group of a layer's first channel; of the first in each set, where a convolution has several.

    So Torch-Pruning's own pruners take them: as many from each set of channels, in the same places.
    """
    way = graph.get_pruner_of_module(layer).prune_out_channels
    modules = [dep.target.module for dep, _ in graph.get_pruning_group(layer, way, [0]).items]
    sets = max(1 if depthwise(one) else getattr(one, "groups", 1) for one in modules)
    made = graph.get_out_channels(layer)
    return graph.get_pruning_group(layer, way, list(range(0, made, made // sets)) if sets > 1 else [0])


def silence(reader: nn.Module, places: list[int]) -> None:
    """Set to zero what reads these channels; a depthwise convolution passes them on instead."""
    weight = reader.weight.data
    if isinstance(reader, nn.Conv2d) and reader.groups > 1:
        if depthwise(reader):
            return
        made, read = reader.out_channels // reader.groups, reader.in_channels // reader.groups
        for place in places:
            one = place // read
            weight[one * made : (one + 1) * made, place % read] = 0
    else:
        weight[:, list(places)] = 0


def depthwise(layer: nn.Module) -> bool:
    """Whether every channel has a filter of its own."""
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1


def cut(graph: Any, layer: nn.Module, places: list[int]) -> None:
    """These outputs of a layer, by Torch-Pruning."""
    import torch_pruning

    way = torch_pruning.prune_linear_out_channels if isinstance(layer, nn.Linear) else None
    graph.get_pruning_group(layer, way or torch_pruning.prune_conv_out_channels, idxs=places).prune()


class Removal(NamedTuple):
    """The first channel of a group was cut: where its layer made it, and where the whole network reads it."""

    seconds: float
    layer: nn.Module
    places: list[int]
    read: list[tuple[nn.Module, Tensor]]


def removals(network: TracedNetwork) -> Iterator[Removal]:
    """The first channel of some groups is cut, one after the other."""
    for number in range(0, len(network.groups), -(-len(network.groups) // CUTS)):
        group = network.groups[number]
        channel, layer = group.remaining[0], group.producer
        (made,) = [
            one
            for one in group.places
            if one.axis.module is layer and (one.axis.name, one.axis.dim) == ("weight", 0)
        ]
        places = made.axis.places(made.indices[channel]).tolist()
        read = [(axis.module, indices[channel]) for axis, indices in group.reader_places]
        _, seconds = timed(lambda number=number: surgery.remove_channel(network, number, 0))
        yield Removal(seconds, layer, places, read)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the seconds of processor time that it took."""
    began = time.process_time()
    found = work()
    return found, time.process_time() - began


@torch.no_grad()
def stirred(module: nn.Module) -> nn.Module:
    """Constant tensors become random: behind scales that are 0, or nearly so, no cut would show."""
    draw = torch.Generator().manual_seed(0)
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point() and tensor.numel() > 1 and bool((tensor == tensor.flatten()[0]).all()):
            tensor.uniform_(0.5, 1.5, generator=draw)
    return module


@torch.no_grad()
def alike(one: Tensor, other: Tensor) -> bool:
    """Whether two networks answer the same, but for rounding."""
    return bool(((one - other).abs().max() <= 1e-7 * other.abs().max()).all())


def main() -> None:
    """Measure and print: all of the networks, or those that are named."""
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    rows = []
    for name in sys.argv[1:] or NETWORKS:
        try:
            row = measure(name)
        except InputError as error:
            row = {"network": name, "remark": str(error)}
        rows.append(row)
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
    machine = f"{hardware.device_name(torch.device('cpu'))}, {torch.get_num_threads()} threads"
    path = Path("outputs/bench/peers.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).round(4).assign(machine=machine, torch=torch.__version__).to_csv(path, index=False)
    print(f"{machine}; written to {path}")


if __name__ == "__main__":
    main()
