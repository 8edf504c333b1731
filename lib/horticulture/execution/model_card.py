"""The model card of an exported network. It is made from `config.json`, so all its numbers are measured."""

from typing import Any

from horticulture.analysis import statistics
from horticulture.system.code_files import is_code

CARD, SAFETENSORS, PT2, ONNX = "README.md", "model.safetensors", "model.pt2", "model.onnx"
MAX_CLASSES_LISTED = 20  # the card lists up to this many class names

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
error, which was only reported.

## How to use it

`pixels` holds n images as (n, {channels}, {height}, {width}), with values from 0 to 255, for any n. A class
is an index into `classes` in `config.json`.

{uses}
With the library, as a module to train or prune further:

```python
import horticulture

network = horticulture.load("."{code})
```

Every file was read back and its outputs compared with those of the measured network, at several batch sizes.
The largest differences, as fractions of the largest output (above {tolerance:g} the export fails):

{equality}

## Limits

{limits}
"""


def card(config: dict[str, Any]) -> str:
    """The text of README.md. config: the content of `config.json`."""
    channels, height, width = config["image"]
    network = config["architecture"].get("table", {}).get("network", "")
    uses = [text.format(**config["normalisation"]) for form, text in USES.items() if form in config["files"]]
    uses += [f"There is no `{form}`: {reason}.\n" for form, reason in config["left_out"].items()]
    texts = {
        "onnx": ", onnx" if ONNX in config["files"] else "",
        "numbers": _table(_numbers(config)),
        "over_seeds": _over_seeds(config["seeds"]),
        "made": _listed(config["made"]),
        "data": config["data"]["name"],
        "uses": "\n".join(uses),
        "code": f', code="{network.rpartition(":")[0]}"' if is_code(network) else "",
        "equality": _table(
            {f"`{form}`": f"{difference:.1g}" for form, difference in config["equality"].items()}
        ),
        "limits": _listed(_limits(config)),
    }
    sizes = {"channels": channels, "height": height, "width": width, **config["images"]}
    return TEXT.format(**{**config, **config["versions"], **sizes, **texts})


def _numbers(config: dict[str, Any]) -> dict[str, str]:
    error = config["standard_error"]
    recorded = config["recorded"]
    classes = config["classes"]
    images, originals = config["images"]["test"], config["originals"]
    counted = f"{images:,} images" + (f" drawn from {originals:,} originals" if originals < images else "")
    around = "" if error is None else f" ± {error:.2f} (standard error, {counted})"
    numbers = {"test error (%), measured for this card": f"{config['test_error']:.2f}{around}"}
    for part, error in recorded.items():
        if error is not None:
            numbers[f"{part} error (%), in the study's results"] = f"{error:.2f}"
    stored = f" that are not zero, of {config['weights']:,}" if _sparse(config) else ""
    names = f": {', '.join(classes)}" if len(classes) <= MAX_CLASSES_LISTED else ""
    return numbers | {
        "parameters": f"{config['params']:,}{stored}",
        "multiply-accumulates per image": f"{config['macs']:,}",
        "forward multiply-accumulates of all training": f"{config['train_macs']:,}",
        "classes": f"{len(classes)}{names}",
    }


def _over_seeds(errors: dict[str, float]) -> str:
    if len(errors) < 2:
        return "No network of another seed was measured at this point of its curve."
    each = ", ".join(f"{error:.2f} (seed {seed})" for seed, error in errors.items())
    mean, low, high, n = statistics.confidence_interval(list(errors.values()))
    sure = f", 95 % confidence interval {low:.2f} to {high:.2f}" if n >= statistics.FEWEST else ""
    return f"Test error (%) by seed, this network included: {each}; mean {mean:.2f}{sure}."


def _sparse(config: dict[str, Any]) -> bool:
    """Whether single weights were pruned."""
    return config["params"] != config["weights"]


def _limits(config: dict[str, Any]) -> list[str]:
    limits = [
        "Its error is known only for the test images of this data set.",
        "It takes only images of the size above, normalised as shown.",
        f"The study's results have {config['networks']:,} rows. If you choose among them by test error, the "
        "error of the chosen network is too low an estimate.",
        "Its latency was not measured for this card; fewer multiply-accumulates can take as long.",
    ]
    if config["precision"] != "float32":
        limits.append(
            f"The study evaluated it in {config['precision']}; the exported files compute in float32."
        )
    if _sparse(config):
        limits.append("Single weights were pruned: they are stored as zeros and save no time.")
    return limits


def _table(rows: dict[str, str]) -> str:
    lines = (f"| {name} | {value.replace('|', chr(92) + '|')} |" for name, value in rows.items())
    return "\n".join(["| | |", "|---|---|", *lines])


def _listed(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
