"""From a run's description to its result: the one room that knows both the store and the engine."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from horticulture import architecture, data, families, networks, pruning, runs, training
from horticulture.architecture import Architecture
from horticulture.errors import BadInput, choose
from horticulture.networks import Network
from horticulture.pruning import Plan
from horticulture.runs import Run
from horticulture.training import Recipe

Report = Callable[[float, str], None]  # the share that is done, and what is known now


def source(name: str, images: int = 0) -> dict:
    """What a run's description says of its data: where it is, what it is, and how much of it is used."""
    return {"name": name, "images": images, "digest": dataset(name).digest}


def train(shape: Architecture, recipe: Recipe, source: dict, seed: int) -> Run:
    """The description of a training from scratch. source: from `source`."""
    return Run("train", shape, recipe.to_json(), source, seed)


def prune(start: Run, plan: Plan) -> Run:
    """The description of a pruning of what another run trained."""
    channels = sum(start.architecture.widths)
    if plan.rounds > channels:
        raise BadInput(f"rounds={plan.rounds}, but the network has {channels} channels to remove")
    return Run("prune", start.architecture, plan.to_json(), start.data, start.seed, start)


def check(parameters: dict) -> None:
    """Refuse, before anything runs, a study whose parameters would fail later. Raises BadInput."""
    images = dataset(parameters["data"], parameters["images"])
    shape = architecture.named(parameters["network"], image=images.image, classes=len(images.classes))
    known = {field.name: parameters[field.name] for field in fields(Recipe) if field.name in parameters}
    base = train(shape, Recipe(**known), source(parameters["data"], parameters["images"]), 0)
    known = {field.name: parameters[field.name] for field in fields(Plan) if field.name in parameters}
    prune(base, Plan(**{**known, "lr": parameters["tune_lr"]}))
    for curve in parameters["curves"]:
        choose(curve, families.FAMILIES, "curve")
    for size in [*parameters["sizes"], parameters["copied"]]:
        if not (isinstance(size, int | float) and 0 < size <= 1):
            raise BadInput(f"sizes are shares of the parameters, above 0 and at most 1, not {size!r}")
    for seed in parameters["seeds"]:
        if not isinstance(seed, int):
            raise BadInput(f"seeds are whole numbers, not {seed!r}")
    place(parameters["device"])


def execute(run: Run, outputs: Path, device: str = "auto", report: Report = lambda *_: None) -> dict:
    """Make a run, and first the one it starts from, unless they are there. Returns the result.

    Raises FloatingPointError when a loss is not finite; what was finished before stays.
    """
    found = runs.result(run, outputs)
    if found is not None:
        return found
    make = KINDS[choose(run.kind, KINDS, "kind of run")]
    if run.start is not None:
        execute(run.start, outputs, device, report)
    where = place(device)
    runs.folder(run, outputs).mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    metrics = make(_Work(run, outputs, where, report))
    seconds = round(time.perf_counter() - began, 2)
    return runs.finish(run, outputs, {**metrics, "seconds": seconds}, _about(run, where))


@dataclass(frozen=True)
class _Work:
    """What making a run needs to know."""

    run: Run
    outputs: Path
    device: torch.device
    report: Report

    @property
    def dataset(self) -> data.Dataset:
        name, digest = self.run.data["name"], self.run.data.get("digest")
        if digest not in (None, dataset(name).digest):
            raise BadInput(f"the data set {name} has changed since {self.run} was described")
        return dataset(name, self.run.data.get("images", 0), str(self.device))

    @property
    def folder(self) -> Path:
        return runs.folder(self.run, self.outputs)


def _train(work: _Work) -> dict:
    run, images = work.run, work.dataset
    recipe = Recipe(**run.recipe)
    generator = torch.Generator().manual_seed(run.seed)
    network = networks.build(run.architecture, generator)
    epochs = []
    for epoch in training.fit(network, images, recipe, generator):
        epochs.append(epoch._asdict())
        work.report(
            epoch.epoch / recipe.epochs,
            f"epoch {epoch.epoch}/{recipe.epochs}, validation {epoch.val_error:.1f} %",
        )
    pd.DataFrame(epochs).to_csv(work.folder / "epochs.csv", index=False)
    _save(network, work.folder)
    return {
        "recipe": str(recipe),
        "val_error": evaluate(network, images, "validation", recipe.precision),
        "test_error": evaluate(network, images, "test", recipe.precision),
        "train_macs": run.architecture.macs * epochs[-1]["images"],
    }


def _prune(work: _Work) -> dict:
    run, images = work.run, work.dataset
    assert run.start is not None
    plan = Plan(**run.recipe)
    network = load(run.start, work.outputs)
    macs = runs.result(run.start, work.outputs)["metrics"]["train_macs"]  # type: ignore[index]
    rows, seen, began = [], 0, time.perf_counter()
    for removal in pruning.prune(network, images, plan, run.seed):
        shape = removal.architecture
        macs += shape.macs * (removal.images - seen)
        seen = removal.images
        row = removal._asdict() | {
            "run": run.key,
            "params": shape.params,
            "macs": shape.macs,
            "architecture": shape.id,
            "train_macs": macs,
            "seconds": round(time.perf_counter() - began, 2),
        }
        rows.append(row)
        work.report(
            removal.round / plan.rounds,
            f"round {removal.round}/{plan.rounds}, {shape.params:,} parameters, "
            f"validation {removal.val_error:.1f} %",
        )
    pd.DataFrame(rows)[runs.REMOVAL_COLUMNS].to_csv(work.folder / "removals.csv", index=False)
    _save(network, work.folder)
    last = rows[-1]
    found = {name: last[name] for name in ("val_error", "test_error", "train_macs")}
    return {"recipe": str(plan), **found, "params": last["params"], "macs": last["macs"]}


KINDS: dict[str, Callable[[_Work], dict]] = {"train": _train, "prune": _prune}


def load(run: Run, outputs: Path) -> Network:
    """The network that a finished run ended with, on the CPU. Raises BadInput if it is not finished."""
    if runs.result(run, outputs) is None:
        raise BadInput(f"{run} is not finished")
    shape = run.architecture
    if run.kind == "prune":
        removed = runs.removals(run, outputs)
        shape = runs.architecture_at(run, removed, int(removed["round"].max()))
    network = networks.build(shape)
    network.load_state_dict(load_file(runs.folder(run, outputs) / "weights.safetensors"))
    return network


def evaluate(network: Network, images: data.Dataset, part: str, wanted: str = "auto") -> float:
    """Error in percent on one part of the data: validation or test."""
    chosen = getattr(images, part)
    dtype = training.precision(wanted, chosen.labels.device)
    return training.evaluate(network, images, chosen, dtype).error


@lru_cache(maxsize=2)
def _loaded(name: str, device: str) -> data.Dataset:
    return data.load(name, device=device)


def dataset(name: str, images: int = 0, device: str = "cpu") -> data.Dataset:
    """The data set, read once a process, with its first `images` training images (0: all)."""
    if images < 0:
        raise BadInput(f"images must be 0 (all) or more, not {images}")
    whole = _loaded(name, device)
    return replace(whole, train=whole.train.first(images)) if images else whole


def place(device: str) -> torch.device:
    """`auto` is the GPU if there is one. Raises BadInput for a device that is not here."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadInput(f"no device {device!r} here ({str(error).splitlines()[0]})") from error
    return torch.device(device)


def _save(network: Network, folder: Path) -> None:
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    temporary = folder / "weights.tmp"
    save_file(weights, temporary)
    temporary.replace(folder / "weights.safetensors")


def _about(run: Run, device: torch.device) -> dict:
    return {
        "device": device_name(device),
        "precision": str(training.precision(run.recipe["precision"], device)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("horticulture", "torch", "numpy")},
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def device_name(device: torch.device) -> str:
    """What the device calls itself, for captions."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    model = names[0] if names else platform.processor() or platform.machine()
    return f"{model}, {torch.get_num_threads()} threads"
