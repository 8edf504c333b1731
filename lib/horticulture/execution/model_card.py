"""The card of an exported network, as model hubs show it: from `config.json`, which has what was measured."""

from typing import Any

from horticulture.analysis import statistics
from horticulture.user_code import is_code

CARD, WEIGHTS, PT2, ONNX = "README.md", "model.safetensors", "model.pt2", "model.onnx"
SHOWN = 20  # class names that the card lists

USES = {
    PT2: """With torch, where `pixels` is a tensor:

```python
import torch

network = torch.export.load("model.pt2").module()
x = (pixels - torch.tensor({mean}).view(-1, 1, 1)) / torch.tensor({std}).view(-1, 1, 1)
classes = network(x).argmax(1)
```
""",
    ONNX: """With ONNX Runtime, where `pixels` is an array:

```python
import numpy as np
import onnxruntime

network = onnxruntime.InferenceSession("model.onnx")
x = (pixels - np.reshape({mean}, (-1, 1, 1))) / np.reshape({std}, (-1, 1, 1))
classes = network.run(None, {{"images": x.astype("float32")}})[0].argmax(1)
```
""",
}

TEXT = """---
library_name: horticulture
pipeline_tag: image-classification
tags: [pruning, pytorch{onnx}]
---

# {name}: {params:,} parameters

{numbers}

{over_seeds}

## How it was made

{made}

Seed {seed}, run `{run}` of the study `{study}`; exported by horticulture {horticulture} and torch {torch}.
The data set is `{data}`: {train:,} images to train on, {validation:,} to validate on, {test:,} for the test
error, by which nothing was decided.

## How to use it

`pixels` are any number of images, (n, {channels}, {height}, {width}), from 0 to 255. A class is a place in
the list `classes` of `config.json`.

{uses}
With the library, from this folder, as a module to train or to prune further:

```python
import horticulture

network = horticulture.load("."{code})
```

All forms were read back and compared with the network that was measured, in batches of several sizes. The
largest difference between outputs, as a share of the largest output (above {tolerance:g} the export fails):

{equality}

## Limits

{limits}
"""


def card(config: dict[str, Any]) -> str:
    """The text of README.md. config: what `config.json` holds."""
    channels, height, width = config["image"]
    own = config["architecture"].get("table", {}).get("network", "")
    uses = [text.format(**config["normalisation"]) for form, text in USES.items() if form in config["files"]]
    uses += [f"There is no `{form}`: {reason}.\n" for form, reason in config["left_out"].items()]
    said = {
        "onnx": ", onnx" if ONNX in config["files"] else "",
        "numbers": _table(_numbers(config)),
        "over_seeds": _over_seeds(config["seeds"]),
        "made": _listed(config["made"]),
        "data": config["data"]["name"],
        "uses": "\n".join(uses),
        "code": f', code="{own.rpartition(":")[0]}"' if is_code(own) else "",
        "equality": _table({f"`{form}`": f"{apart:.1e}" for form, apart in config["equality"].items()}),
        "limits": _listed(_limits(config)),
    }
    sizes = {"channels": channels, "height": height, "width": width, **config["images"]}
    return TEXT.format(**{**config, **config["versions"], **sizes, **said})


def _numbers(config: dict[str, Any]) -> dict[str, str]:
    error, recorded, classes = config["standard_error"], config["recorded"], config["classes"]
    images, originals = config["images"]["test"], config["originals"]
    counted = f"{images:,} images" + (f" drawn from {originals:,} originals" if originals < images else "")
    around = "" if error is None else f" ± {error:.2f} (standard error, {counted})"
    numbers = {"test error (%), measured for this card": f"{config['test_error']:.2f}{around}"}
    for part, error in recorded.items():
        if error is not None:
            numbers[f"{part} error (%), in the study's results"] = f"{error:.2f}"
    stored = f" that are not zero, of {config['weights']:,}" if _sparse(config) else ""
    names = f": {', '.join(classes)}" if len(classes) <= SHOWN else ""
    return numbers | {
        "parameters": f"{config['params']:,}{stored}",
        "multiply-accumulates per image": f"{config['macs']:,}",
        "forward multiply-accumulates of all training": f"{config['train_macs']:,}",
        "classes": f"{len(classes)}{names}",
    }


def _over_seeds(errors: dict[str, float]) -> str:
    if len(errors) < 2:
        return "The study has no network of another seed to compare it with."
    each = ", ".join(f"{error:.2f} (seed {seed})" for seed, error in errors.items())
    mean, low, high, n = statistics.confidence_interval(list(errors.values()))
    sure = f", 95 % confidence interval {low:.2f} to {high:.2f}" if n >= statistics.FEWEST else ""
    return f"Test error (%) with each seed, this one among them: {each}; mean {mean:.2f}{sure}."


def _sparse(config: dict[str, Any]) -> bool:
    """Whether single weights were pruned."""
    return config["params"] != config["weights"]


def _limits(config: dict[str, Any]) -> list[str]:
    limits = [
        "Its error is known on the test images of this data set alone.",
        "It takes images of the size above only, normalised as shown.",
        f"The study's results have {config['networks']:,} rows: a network that is chosen among them by its "
        "test error looks better than it is.",
        "Its latency was not measured for this card; fewer multiply-accumulates are not always faster.",
    ]
    if config["precision"] != "float32":
        limits.append(f"The study evaluated it in {config['precision']}; as exported it computes in float32.")
    if _sparse(config):
        limits.append("Single weights were pruned: they are stored as zeros, which take as long as others.")
    return limits


def _table(rows: dict[str, str]) -> str:
    lines = (f"| {name} | {value.replace('|', chr(92) + '|')} |" for name, value in rows.items())
    return "\n".join(["| | |", "|---|---|", *lines])


def _listed(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
