"""Groups found in fifteen networks of torchvision, and the time of a removal: ours and Torch-Pruning's.

python -m tests.benchmarks.peers: a row for each network, in outputs/bench/peers.csv. Without Torch-Pruning
(pip install torch-pruning) its columns stay empty. Both cut the first channel of the same layers, one layer
after the other, in double precision; after each cut the two networks must answer alike. The times take turns.
"""

import copy
import math
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from horticulture import networks
from horticulture.errors import InputError
from horticulture.networks import own
from horticulture.networks.traced import TracedGroup, TracedNetwork
from horticulture.networks.trial import first_line
from horticulture.pruning import surgery
from horticulture.training import hardware

IMAGE, CLASSES = (3, 64, 64), 10
CUTS = 40  # layers of a network that are cut, at most
NETWORKS = (
    *("alexnet", "vgg11_bn", "resnet18", "resnet50"),
    *("resnext50_32x4d", "densenet121", "googlenet", "squeezenet1_1"),
    *("mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x1_0", "efficientnet_b0"),
    *("regnet_y_400mf", "convnext_tiny", "swin_t"),
)


def measure(name: str) -> dict[str, Any]:
    """The row of a network."""
    module = own.make(f"torchvision:{name}", IMAGE, CLASSES).eval()
    ours, found = timed(lambda: networks.describe(copy.deepcopy(module), image=IMAGE, classes=CLASSES))
    sets = networks.describe(copy.deepcopy(module), image=IMAGE, classes=CLASSES, residual_sets=True)
    row = {"network": name, "groups": len(ours.groups), "with_sets": len(sets.groups), "seconds": found}
    try:
        return row | compare(ours.double(), module.double())
    except ImportError:
        return row | {"removal_ms": 1000 * statistics.median(t for t, _ in removals(ours))}


def compare(ours: TracedNetwork, module: nn.Module) -> dict[str, Any]:
    """Both cut, layer by layer; what went wrong with theirs stands in `remark`."""
    import torch_pruning

    x = torch.rand(2, *IMAGE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    row: dict[str, Any] = {"version": version("torch-pruning"), "cuts": 0, "remark": ""}
    try:
        graph, row["their_seconds"] = timed(
            lambda: torch_pruning.DependencyGraph().build_dependency(module, example_inputs=x)
        )
        row["their_groups"] = len(list(graph.get_all_groups(ignored_layers=[list(module.modules())[-1]])))
    except Exception as error:
        return row | {"remark": f"it finds nothing: {first_line(error)}"}
    layers, taken, theirs = dict(module.named_modules()), [], []
    for seconds, group in removals(ours):
        taken.append(seconds)
        if row["remark"]:
            continue
        try:
            layer = layers[group.name]
            theirs.append(timed(lambda layer=layer: cut(graph, layer))[1])
            wrong = "" if alike(module(x), ours(x)) else "another answer"
        except Exception as error:
            wrong = first_line(error)
        row["cuts"] += not wrong
        row["remark"] = f"after {group.name}: {wrong}" if wrong else ""
    times = {"removal_ms": taken, "their_removal_ms": theirs}
    return row | {what: 1000 * statistics.median(each) if each else math.nan for what, each in times.items()}


def cut(graph: Any, layer: nn.Module) -> None:
    """The first channel of a layer, by Torch-Pruning."""
    import torch_pruning

    way = torch_pruning.prune_linear_out_channels if isinstance(layer, nn.Linear) else None
    graph.get_pruning_group(layer, way or torch_pruning.prune_conv_out_channels, idxs=[0]).prune()


def removals(network: TracedNetwork) -> Iterator[tuple[float, TracedGroup]]:
    """The first channel of some groups is cut, one after the other: seconds, and the group."""
    for number in range(0, len(network.groups), -(-len(network.groups) // CUTS)):
        _, seconds = timed(lambda number=number: surgery.remove_channel(network, number, 0))
        yield seconds, network.groups[number]


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the seconds that it took."""
    began = time.perf_counter()
    found = work()
    return found, time.perf_counter() - began


@torch.no_grad()
def alike(one: Tensor, other: Tensor) -> bool:
    """Whether two networks answer the same, but for rounding."""
    return bool(((one - other).abs().max() <= 1e-7 * other.abs().max()).all())


def main() -> None:
    """Measure and print."""
    rows = []
    for name in NETWORKS:
        try:
            row = measure(name)
        except InputError as error:
            row = {"network": name, "remark": str(error)}
        rows.append(row)
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
    machine = f"{hardware.processor(torch.device('cpu'))}, {torch.get_num_threads()} threads"
    path = Path("outputs/bench/peers.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).round(4).assign(machine=machine, torch=torch.__version__).to_csv(path, index=False)
    print(f"{machine}; written to {path}")


if __name__ == "__main__":
    main()
