"""From a run's description to its result: the one room that knows both the store and the engine."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from horticulture import (
    architecture,
    checkpoints,
    data,
    families,
    machine,
    networks,
    pruning,
    runs,
    store,
    training,
)
from horticulture.architecture import Architecture
from horticulture.errors import BadInput, choose
from horticulture.networks import Network
from horticulture.pruning import Plan
from horticulture.runs import Run
from horticulture.training import Recipe, State

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
    machine.place(parameters["device"])


def execute(run: Run, outputs: Path, device: str = "auto", report: Report = lambda *_: None) -> dict:
    """Make a run, and first the one it starts from, unless they are there. Returns the result.

    A run that was begun goes on from its last checkpoint; of two processes that want the same run one waits
    for the other. Raises FloatingPointError when a loss is not finite; what was finished before stays.
    """
    found = made(run, outputs)
    if found is not None:
        return found
    make = KINDS[choose(run.kind, KINDS, "kind of run")]
    if run.start is not None:
        execute(run.start, outputs, device, report)
    where = machine.place(device)
    with store.locked(outputs / "runs" / ".locks" / run.key):
        found = made(run, outputs)  # another process may have made it while we waited
        if found is not None:
            return found
        runs.folder(run, outputs).mkdir(exist_ok=True)
        try:
            metrics = make(work := _Work(run, outputs, where, report))
        except store.Damaged as error:  # what an earlier process left: begin again
            _aside(run, outputs, error)
            runs.folder(run, outputs).mkdir()
            metrics = make(work := _Work(run, outputs, where, report))
        metrics["seconds"] = work.clock()
        about = machine.about(where, run.recipe["precision"])
        found = runs.finish(run, outputs, metrics, about, FILES)
        work.keeper.clear()
        work.rows.clear()
        return found


def made(run: Run, outputs: Path) -> dict | None:
    """The result if there is one and its files are what they were; what is damaged is set aside."""
    try:
        return runs.verified(run, outputs)
    except store.Damaged as error:
        _aside(run, outputs, error)
        return None


def _aside(run: Run, outputs: Path, error: store.Damaged) -> None:
    aside = runs.set_aside(run, outputs)
    warnings.warn(f"{error.path} is damaged: set aside in {aside.name}, and made again", stacklevel=4)


FILES = ("weights.safetensors", "epochs.csv", "removals.csv")  # what a result vouches for, where it is there
KEEP = 100  # rounds from one state that is kept for good to the next


@dataclass
class _Work:
    """What making a run needs to know, and what it has done so far."""

    run: Run
    outputs: Path
    device: torch.device
    report: Report

    def __post_init__(self) -> None:
        self.keeper = checkpoints.Keeper(self.folder)
        self.rows = store.Rows(self.folder / "rows.jsonl")
        self.before, self._began = 0.0, time.perf_counter()

    def taken_up(self) -> State | None:
        """The last checkpoint, if the run was begun before."""
        state = self.keeper.latest()
        self.before = state.numbers["seconds"] if state else 0.0
        return state

    def each_step(self, state: Callable[[], State]) -> None:
        """Put down the work now and then."""
        self.keeper.consider(lambda: self.stamped(state()))

    def stamped(self, state: State) -> State:
        """With the time that it took."""
        return State(state.tensors, {**state.numbers, "seconds": self.clock()})

    def clock(self) -> float:
        """Seconds of work on this run, those of earlier processes included."""
        return round(self.before + time.perf_counter() - self._began, 2)

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
    run, images, state = work.run, work.dataset, work.taken_up()
    recipe = Recipe(**run.recipe)
    generator = torch.Generator().manual_seed(run.seed)
    network = networks.build(run.architecture, generator)
    under_way = training.Training(network, images, recipe, generator, lambda: work.each_step(under_way.state))
    if state:
        under_way.restore(state)
    work.rows.cut(under_way.step // under_way.batches.steps_per_epoch)
    for epoch in under_way:
        work.rows.append({**epoch._asdict(), "seconds": work.clock()})
        note = f"epoch {epoch.epoch}/{recipe.epochs}, validation {epoch.val_error:.1f} %"
        work.report(epoch.epoch / recipe.epochs, note)
    work.rows.to_csv(work.folder / "epochs.csv")
    _save(network, work.folder)
    return {
        "recipe": str(recipe),
        "val_error": evaluate(network, images, "validation", recipe.precision),
        "test_error": evaluate(network, images, "test", recipe.precision),
        "train_macs": run.architecture.macs * under_way.steps * recipe.batch_size,
    }


def _prune(work: _Work) -> dict:
    run, state = work.run, work.taken_up()
    plan = Plan(**run.recipe)
    under_way = _pruning(work.run, work.outputs, work.dataset, state, lambda: work.each_step(under_way.state))
    kept = checkpoints.Kept(work.folder / "rounds")
    work.rows.cut(under_way.round)
    last = work.rows.last()
    macs = last["train_macs"] if last else _metrics(run.start, work.outputs)["train_macs"]
    for removal in under_way:
        shape = removal.architecture
        macs += shape.macs * plan.steps * plan.batch_size
        more = {
            "run": run.key,
            "params": shape.params,
            "macs": shape.macs,
            "architecture": shape.id,
            "train_macs": macs,
            "seconds": work.clock(),
        }
        row = {**removal._asdict(), **more}
        work.rows.append({name: row[name] for name in runs.REMOVAL_COLUMNS})
        if removal.round % KEEP == 0:
            kept.keep(removal.round, under_way.state())
        note = f"{shape.params:,} parameters, validation {removal.val_error:.1f} %"
        work.report(removal.round / plan.rounds, f"round {removal.round}/{plan.rounds}, {note}")
    work.rows.to_csv(work.folder / "removals.csv")
    _save(under_way.network, work.folder)
    last = work.rows.last() or {}
    names = ("val_error", "test_error", "train_macs", "params", "macs")
    return {"recipe": str(plan), **{name: last[name] for name in names}}


def _pruning(
    run: Run,
    outputs: Path,
    images: data.Dataset,
    state: State | None,
    each_step: Callable[[], None] = lambda: None,
    evaluated: bool = True,
) -> pruning.Pruning:
    """A pruning from its beginning, or from where it was put down."""
    assert run.start is not None
    if state:
        network = networks.build(run.architecture.with_widths(tuple(state.numbers["widths"])))
    else:
        network = load(run.start, outputs)
    return pruning.Pruning(network, images, Plan(**run.recipe), run.seed, each_step, state, evaluated)


def _metrics(run: Run | None, outputs: Path) -> dict:
    found = runs.result(run, outputs) if run else None
    return found["metrics"] if found else {}


def restore(run: Run, outputs: Path, round: int, device: str = "auto") -> Network:
    """The network of any round of a pruning, to the last bit: replayed from the state kept before it.

    Raises BadInput if there was no such round, or nothing is kept to begin from.
    """
    if run.kind != "prune" or not 0 <= round <= run.recipe["rounds"]:
        raise BadInput(f"no round {round}: {run} has rounds 0 to {run.recipe.get('rounds', 'none')}")
    found = checkpoints.Kept(runs.folder(run, outputs) / "rounds").before(round)
    if found is None:
        where = runs.folder(run, outputs)
        raise BadInput(f"{run}: no state is kept before round {round}: delete {where} to make it again")
    images = dataset(run.data["name"], run.data.get("images", 0), str(machine.place(device)))
    under_way = _pruning(run, outputs, images, found[1], evaluated=False)
    if under_way.round <= round:
        for removal in under_way:
            if removal.round == round:
                break
    return under_way.network


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


def _save(network: Network, folder: Path) -> None:
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    temporary = folder / "weights.tmp"
    save_file(weights, temporary)
    temporary.replace(folder / "weights.safetensors")
