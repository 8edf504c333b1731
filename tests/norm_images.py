"""From how many images should norm statistics be estimated? Validation errors of a study's networks.

    python -m tests.norm_images FOLDER

FOLDER is a finished study, outputs/quick say. It trains nothing, and replaces that study's rows in
outputs/reference/measured/norm_images.csv: means over seeds, and of pruned ones the running averages too.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from horticulture import data, execution, networks, runs
from horticulture.execution import loading
from horticulture.training import evaluation, hardware
from tests.claims import REFERENCE

COUNTS = (64, 128, 256, 512, 1024, 2048)
COMPARED = ("whole", "pruned-tuned", "pruned-scratch")
COLUMNS = ["study", "curve", "size", "norm_images", "val_error", "seeds"]
TABLE = REFERENCE / "measured" / "norm_images.csv"


def network_of(point: runs.CurvePoint, outputs: Path, device: str) -> networks.Network:
    """A point's network on a device; of a pruning run's round with the running averages of its training."""
    if point.measures_round:
        return execution.restore(point.run.start, outputs, point.round, device, estimate_norms=False)
    return execution.load_network(point.run, outputs).to(device)


def errors(network: networks.Network, images: data.Dataset, precision: str) -> dict[str, float]:
    """Validation error (%) as the network is, and with statistics estimated from so many images."""
    actual = {"running": execution.measure_error(network, images, "validation", precision)}
    for count in COUNTS:
        evaluation.estimate_norms(network, images, count, evaluation.DTYPES[precision])
        actual[str(count)] = execution.measure_error(network, images, "validation", precision)
    return actual


def measure(folder: Path) -> pd.DataFrame:
    """Mean validation error by network and count: whole, pruned and tuned, and its shape from scratch."""
    device, actual = str(hardware.resolve_device("auto")), defaultdict(list)
    points = [point for point in runs.read_curves(folder) if point.curve in COMPARED and point.longer == 1]
    whole = max(point.run.architecture.params for point in points)
    for point in points:
        if point.run.kind == "prune":  # its rounds that are compared have runs of their own
            continue
        network = network_of(point, folder.parent, device)
        size = round(100 * network.architecture.params / whole)
        images = loading.images_of(point.run, device)
        for count, error in errors(network, images, point.run.recipe["precision"]).items():
            if count != "running" or point.measures_round:  # of others no running averages are kept
                actual[point.curve, size, count].append(error)
        print(f"{point.curve} {size} %, seed {point.run.seed}")
    rows = [(folder.name, *key, round(float(np.mean(each)), 2), len(each)) for key, each in actual.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


if __name__ == "__main__":
    measured = measure(Path(sys.argv[1]))
    others = pd.read_csv(TABLE)
    others = others[~others["study"].isin(measured["study"])]
    pd.concat([others, measured], ignore_index=True).to_csv(TABLE, index=False)
