"""The card of an exported network, as model hubs show it: from `config.json` alone, so from what was measured."""

from typing import Any

from horticulture.analysis import statistics
from horticulture.user_code import is_code

CARD, WEIGHTS, PT2, ONNX = "README.md", "model.safetensors", "model.pt2", "model.onnx"

TORCH = f"""With torch:

```python
import torch

network = torch.export.load("{PT2}").module()
x = (pixels - torch.tensor({{mean}}).view(-1, 1, 1)) / torch.tensor({{std}}).view(-1, 1, 1)
classes = network(x).argmax(1)
```
"""
RUNTIME = f"""With ONNX Runtime:

```python
import numpy as np
import onnxruntime

network = onnxruntime.InferenceSession("{ONNX}")
x = ((pixels - np.reshape({{mean}}, (-1, 1, 1))) / np.reshape({{std}}, (-1, 1, 1))).astype("float32")
classes = network.run(None, {{{{"images": x}}}})[0].argmax(1)
```
"""


def card(config: dict[str, Any]) -> str:
    """The text of README.md. config: what `config.json` holds."""
    tags = ["pytorch", *(["onnx"] if ONNX in config["files"] else []), "pruning"]
    return f"""---
library_name: horticulture
pipeline_tag: image-classification
tags: [{", ".join(tags)}]
---

# {config["name"]}: {config["params"]:,} parameters

{_table(_numbers(config))}

{_over_seeds(config)}

## How it was made

{_listed(config["made"])}

Seed {config["seed"]}, run `{config["run"]}` of the study `{config["study"]}`, by horticulture {config["versions"]["horticulture"]} and torch
{config["versions"]["torch"]}. Data: {_data(config)}.

## How to use it

`pixels` are {_pixels(config)}, 0 to 255; `classes` come as numbers in the order of `classes` in `config.json`. Batches may have any
size.

{_without(config)}
With this library, the module itself, to train or to prune it further:

```python
import horticulture

network = horticulture.load("."{_code(config)})
```

Outputs of the files and of the network that was measured, as far as they are apart, of the largest (up to {config["tolerance"]:g} is let through):

{_table({f"`{name}`": f"{apart:.1e}" for name, apart in config["equality"].items()})}

## Limits

{_listed(_limits(config))}
"""


def _numbers(config: dict[str, Any]) -> dict[str, str]:
    error, recorded = config["standard_error"], config["recorded"]
    around = "" if error is None else f" ± {error:.2f} (standard error{_of_originals(config)})"
    numbers = {"test error, measured on these files' network (%)": f"{config['test_error']:.2f}{around}"}
    if recorded["test"] is not None:
        numbers["test error, as the study's results have it (%)"] = f"{recorded['test']:.2f}"
        numbers["validation error (%)"] = f"{recorded['val']:.2f}"
    stored = f" (of {config['weights']:,} that are stored)" if config["weights"] != config["params"] else ""
    return numbers | {
        "parameters": f"{config['params']:,}{stored}",
        "multiply-accumulates for an image": f"{config['macs']:,}",
        "forward multiply-accumulates of all training": f"{config['train_macs']:,}",
    }


def _of_originals(config: dict[str, Any]) -> str:
    many = config["originals"] < config["images"]["test"]
    return f" over {config['originals']:,} originals of the images" if many else " over the test images"


def _over_seeds(config: dict[str, Any]) -> str:
    seeds = config["seeds"]
    if len(seeds) < 2:
        return "One seed: what others would give is not known."
    each = ", ".join(f"{error:.2f} (seed {seed})" for seed, error in seeds.items())
    mean, low, high, n = statistics.confidence_interval(list(seeds.values()))
    sure = f", 95 % interval {low:.2f} to {high:.2f}" if n >= statistics.FEWEST else ""
    return f"Networks made alike with other seeds, test error in percent: {each}; mean {mean:.2f}{sure}."


def _data(config: dict[str, Any]) -> str:
    count = config["images"]
    return (
        f"`{config['data']['name']}`, {count['train']:,} images to train on, {count['validation']:,} to decide by, and "
        f"{count['test']:,} for the test error, which decided nothing"
    )


def _pixels(config: dict[str, Any]) -> str:
    return "(n, {}, {}, {})".format(*config["image"])


def _without(config: dict[str, Any]) -> str:
    normalisation = {name: repr(config["normalisation"][name]) for name in ("mean", "std")}
    shown = {PT2: TORCH, ONNX: RUNTIME}
    texts = [text.format(**normalisation) for name, text in shown.items() if name in config["files"]]
    texts += [f"There is no `{name}`: {reason}.\n" for name, reason in config["left_out"].items()]
    return "\n".join(texts)


def _code(config: dict[str, Any]) -> str:
    name = (config["architecture"].get("table") or {}).get("network", "")
    return f', code="{name.rpartition(":")[0]}"' if is_code(name) else ""


def _limits(config: dict[str, Any]) -> list[str]:
    limits = [
        f"It is known on the test part of `{config['data']['name']}` alone, as it was exported: in float32, on a processor.",
        f"It takes images of {_pixels(config)[4:-1]} only, normalised by the mean and spread above.",
        f"The study has {config['networks']:,} rows. Whoever chose this one by its test error sees a lower error than it has.",
        "Its time was not measured here. Fewer multiply-accumulates are not always faster.",
    ]
    if config["precision"] != "float32":
        limits.append(f"The study measured in {config['precision']}, so its results may differ from the first row.")
    if config["params"] != config["weights"]:
        limits.append("What was pruned are single weights: stored as zeros, which take as long as others.")
    return limits


def _table(rows: dict[str, str]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def _listed(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
