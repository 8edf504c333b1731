"""Export a network of a study: a folder with its weights, programs that run anywhere, and a model card.

Each file is read back and compared with the network before the folder appears. The card is made from
`config.json` alone.
"""

import importlib.metadata
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import torch as safetensors

from horticulture import networks, runs
from horticulture.analysis import curves, statistics
from horticulture.analysis.tables.cases import CASE, assign_cases
from horticulture.analysis.tables.wording import capitalize, count
from horticulture.architecture import Architecture
from horticulture.data import Dataset
from horticulture.errors import InputError, reading
from horticulture.execution import checkpoints, loading, stale_files
from horticulture.execution.model_card import CARD, ONNX, PT2, SAFETENSORS, card
from horticulture.networks import Network, formats
from horticulture.runs import StudyNetwork
from horticulture.system import code_files, files
from horticulture.system.code_files import is_code
from horticulture.training import evaluation

CONFIG = "config.json"
FORMAT = "horticulture network, 1"
TOLERANCE = 1e-4  # for differences between outputs, as a fraction of the largest
COMPARED = 256  # test images to compare outputs on
BYTES = 4  # per weight
ERROR_TOLERANCE = 0.5  # points of test error from the record, which may be from other hardware


def load(folder: str | Path, code: str | Path = "") -> Network:
    """Load the network from an exported folder, in eval mode, on the CPU. No code in the folder runs.

    Input: (batch, channels, height, width) floats, normalised as `config.json` says; output: logits.
    code: the file that defines a user's own network; that file runs. Raises InputError if the folder is not
    an export, was altered, or the network cannot be built here.
    """
    config = _config(Path(folder))
    path = Path(folder) / SAFETENSORS
    with reading(f"the network in {folder}"):
        if not path.exists() or files.file_digest(path) != config["files"][SAFETENSORS]:
            raise InputError(f"{path} is missing or altered: export it again")
        description = config["architecture"]
        if is_code(name := description.get("table", {}).get("network")):
            if not code:
                raise InputError(
                    f"{name} defines this network: pass that file as code=..., which runs it, or use {PT2}"
                )
            name = description["table"]["network"] = code_files.absolute(f"{code}:{name.rpartition(':')[2]}")
            if code_files.digest(name) != description["table"]["digest"]:
                raise InputError(
                    f"{code} is not the file that made this network: pass that one, or use {PT2}"
                )
            code_files.ALLOWED.add(code_files.digest(name))
        return _build(Architecture.from_json(description), files.read(path))


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.exists():
        raise InputError(f"{folder} is not an exported network: it has no {CONFIG}")
    try:
        config = files.read_json(path) if files.is_sealed(path) else {}
    except files.CorruptFileError as error:
        raise InputError(f"{path} is altered: export it again") from error
    if config.get("format") != FORMAT:
        raise InputError(f"{path} is not the {CONFIG} of an exported network")
    return config


def _build(architecture: Architecture, weights: bytes) -> Network:
    """The network. Raises InputError if the weights are too few, before it takes up memory."""
    if architecture.params * BYTES > len(weights):
        raise InputError(f"{SAFETENSORS} has fewer weights than the {architecture.params:,} of the network")
    network = networks.build(architecture)
    network.load_state_dict(safetensors.load(weights))
    return network.eval()


def default_folder(chosen: StudyNetwork) -> Path:
    """The default folder of an export, in the study's folder."""
    at = f"-round{chosen.row['round']}" if chosen.run.kind == "prune" else ""
    return chosen.study / "exports" / f"{chosen.row['curve']}-{chosen.run.key}{at}"


def check_replaceable(folder: Path) -> None:
    """Raise InputError if the folder exists and is neither empty nor an exported network."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        try:
            _config(folder)
        except (InputError, NotADirectoryError) as error:
            raise InputError(
                f"{folder} exists and is not an exported network: choose another folder"
            ) from error


def export(chosen: StudyNetwork, folder: Path, network_name: str = "") -> dict[str, Any]:
    """Write a network into a folder and return the content of `config.json`.

    The folder is complete or unchanged, whenever the process dies. An earlier export in it is replaced.
    network_name: the name of the unpruned network, for the card. The entry `left_out` has the files that
    could not be written, with the reasons. Raises InputError for any other folder, a damaged run, or a
    network whose test error is not the recorded one.
    """
    check_replaceable(folder)
    run, outputs = chosen.run, chosen.study.parent
    runs.verified_result(run, outputs)
    if run.kind == "prune":
        network = loading.network_at(run, outputs, int(chosen.row["round"]))
    else:
        network = loading.load_network(run, outputs)
    network = network.to("cpu").to(memory_format=torch.contiguous_format).eval()
    images = loading.images_of(run, "cpu")
    config = _describe(chosen, network, images, network_name)
    contents, config["left_out"] = _encode(network, images.image)
    config["equality"] = _compare_outputs(network, images, contents)
    config["tolerance"] = TOLERANCE
    config["files"] = {name: files.digest(content) for name, content in contents.items()}
    files.make_folder(folder.parent)
    with stale_files.temporary_folder(folder.parent) as temporary:
        new = temporary / "new"
        for name, content in {**contents, CARD: card(config).encode()}.items():
            files.write(new / name, content)
        files.write_json(new / CONFIG, config)
        if folder.exists():
            os.rename(folder, temporary / "old")
        os.rename(new, folder)
        files.sync(folder.parent)
    return config


def _encode(network: Network, image: tuple[int, int, int]) -> tuple[dict[str, bytes], dict[str, str]]:
    """The content of each file that holds the network, and why others are left out."""
    weights = checkpoints.separate(network.state_dict())
    contents = {SAFETENSORS: safetensors.save(weights, metadata={"format": "pt"})}
    left_out = {}
    try:
        program = formats.to_program(network, image)
        contents[PT2] = formats.to_pt2(program)
        contents[ONNX] = formats.to_onnx(program)
    except InputError as error:
        left_out = {name: str(error) for name in (PT2, ONNX) if name not in contents}
    return contents, left_out


@torch.inference_mode()
def _compare_outputs(network: Network, images: Dataset, contents: dict[str, bytes]) -> dict[str, float]:
    """By file, the largest difference from the network's outputs, as a fraction of the largest output.

    Compared at several batch sizes. Raises InputError if a difference exceeds `TOLERANCE`.
    """
    read = {PT2: formats.from_pt2, ONNX: formats.from_onnx}
    functions: dict[str, Any] = {SAFETENSORS: _build(network.architecture, contents[SAFETENSORS])}
    functions |= {name: read[name](content) for name, content in contents.items() if name in read}
    x = images.normalise(images.test.pixels[:COMPARED]).contiguous()
    batches = [x[:1], x[:2], x]
    expected = [network(batch) for batch in batches]
    largest = max(float(logits.abs().max()) for logits in expected)
    differences = {}
    for name, function in functions.items():
        pairs = zip(batches, expected, strict=True)
        differences[name] = (
            max(float((function(batch) - logits).abs().max()) for batch, logits in pairs) / largest
        )
        if not differences[name] <= TOLERANCE:
            raise InputError(
                f"outputs of {name} differ from the network's by {differences[name]:.1g} of the largest"
            )
    return differences


# --- what config.json says ---------------------------------------------------------------------------------


def _describe(chosen: StudyNetwork, network: Network, images: Dataset, network_name: str) -> dict[str, Any]:
    """The content of `config.json`, except for what concerns the files."""
    run, row, architecture = chosen.run, chosen.row, network.architecture
    mean, std = (statistic.flatten().tolist() for statistic in images.mean_and_std)
    described: dict[str, Any] = {
        "format": FORMAT,
        "name": capitalize(curves.label(row["curve"], row["criterion"], network_name)),
        **{name: row[name] for name in ("study", "curve", "criterion", "run")},
        **{name: int(row[name]) for name in ("seed", "params", "macs", "train_macs")},
        "round": None if pd.isna(row["round"]) else int(row["round"]),
        "weights": sum(parameter.numel() for parameter in network.parameters()),
        "architecture": architecture.identity(),
        "image": list(images.image),
        "normalisation": {"pixels": [0, 255], "mean": mean, "std": std},
        "classes": list(images.classes),
        "data": {"name": images.name, "digest": run.data.get("digest")},
        "images": {part: len(getattr(images, part)) for part in ("train", "validation", "test")},
        "made": list(_history(chosen)),
        "precision": row["precision"],
        "recorded": {"test": _number(row["test_error"]), "validation": _number(row["val_error"])},
        "networks": len(chosen.results),
        "seeds": _over_seeds(chosen),
        "versions": {name: importlib.metadata.version(name) for name in ("horticulture", "torch")},
    }
    return described | _measure(network, images, described["recorded"]["test"])


def _number(value: Any) -> Any:
    """A number for JSON, which has no NaN."""
    return None if pd.isna(value) else float(value)


def _measure(network: Network, images: Dataset, recorded: float | None) -> dict[str, Any]:
    """The network's test error in float32. Raises InputError if the recorded one differs by too much."""
    evaluated = evaluation.evaluate(network, images, images.test)
    original = images.test.originals
    if recorded is not None and abs(evaluated.error - recorded) > max(
        ERROR_TOLERANCE, 200 / len(images.test)
    ):
        raise InputError(
            f"the network's test error is {evaluated.error:.2f} %, but {recorded:.2f} % was recorded"
        )
    wrong, originals, error = evaluated.wrong.numpy(), len(original.unique()), math.nan
    if originals > 1:
        _, error = statistics.clustered_difference(wrong, 0 * wrong, original.numpy())
    return {"test_error": evaluated.error, "standard_error": _number(error), "originals": originals}


def _history(chosen: StudyNetwork) -> Iterator[str]:
    """How the network was made, one line for each step, in order."""
    for run in reversed(list(chosen.run.chain)):
        recipe, how = run.recipe, runs.metrics(run, chosen.study.parent)["recipe"]
        match run.kind:
            case "prune":
                yield f"pruned by {recipe['criterion']} in {count(recipe['rounds'], 'round')}: {how}"
            case "tune":
                yield f"taken after round {recipe['round']}, with {recipe['weights']} weights"
                if recipe["epochs"]:
                    yield f"trained further: {how}"
            case "compress":
                yield f"weights shared ({recipe['bits']} bits), trained, Huffman-coded and decoded: {how}"
            case "given":
                yield f"weights from a file (digest {recipe['file_digest']}), whose training is unknown"
                yield "all seeds begin with these weights"
            case "move":
                yield f"moved to {run.data['name']}, with a new classifier: {how}"
            case _:
                elsewhere = f" on {run.data['name']}" if run.data["name"] != chosen.run.data["name"] else ""
                yield f"trained from scratch{elsewhere}: {how}"
    if not pd.isna(chosen.row["round"]) and all(run.kind != "prune" for run in chosen.run.chain):
        row = chosen.row
        yield f"its shape was found by pruning by {row['criterion']}, after round {row['round']}"
    if chosen.run.kind == "prune":
        yield f"taken after round {chosen.row['round']}"


def _over_seeds(chosen: StudyNetwork) -> dict[str, float]:
    """The recorded test error by seed, of the networks at the same place of the same curve."""
    for _, case in assign_cases(chosen.results).groupby(["curve", *CASE], dropna=False):
        if chosen.row.name in case.index:
            errors = zip(case["seed"], case["test_error"], strict=True)
            return {str(seed): float(error) for seed, error in errors}
    return {}
