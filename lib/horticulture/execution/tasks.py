"""The work of each kind of run: from a description to files and metrics."""

import math
import os
from collections.abc import Callable

import pandas as pd
import torch

from horticulture import networks, runs, training
from horticulture.execution import checkpoints, loading
from horticulture.execution.initialization import starting_network
from horticulture.execution.work import RunContext
from horticulture.networks import Network
from horticulture.pruning import PruningRound, compression, oracle, saliency, unstructured
from horticulture.training import evaluation, penalties
from horticulture.training.callbacks import StepCallback

KEPT = 16  # states of a pruning, about, that are kept for good: from one to the next any round is replayed


def _train(work: RunContext) -> dict:
    """From scratch, with the penalty that the recipe says."""
    run, recipe = work.run, loading.recipe(work.run)
    generator = loading.init_generator(run.architecture, run.seed)
    network = loading.initial(run, run.seed, generator).to_device(work.device)
    with penalties.make(network, recipe.penalty, recipe.strength) as penalty:
        metrics = _fit(work, network, generator, penalty)
        factors = penalty.fold_into_weights()
    if factors:
        metrics["factors"] = factors
    return {**metrics, **_ended(work, network)}


def _tune(work: RunContext) -> dict:
    """On from a round of a pruning, with one or another kind of weights."""
    network, masked = starting_network(work.run, work.outputs, str(work.device))
    generator = torch.Generator().manual_seed(work.run.seed)
    if work.run.recipe["epochs"]:
        metrics = _fit(work, network, generator, masked or StepCallback())
    else:
        metrics = {"recipe": runs.AS_IT_IS, "train_macs": 0}
        network.to_device(work.device)
    if masked:
        metrics["params"] = unstructured.count_nonzero(masked.masks, network)
    return {**metrics, **_ended(work, network)}


def _compress(work: RunContext) -> dict:
    """Deep Compression's second and third stage: shared weights, trained so, then written short."""
    run = work.run
    assert run.start is not None
    network = loading.load(run.start, work.outputs)
    masks = unstructured.current_masks(network)
    sharing = compression.WeightSharingCallback(
        network, compression.share_weights(network, masks, run.recipe["bits"])
    )
    metrics = _fit(work, network, torch.Generator().manual_seed(run.seed), sharing)
    loading.settle(network, work.dataset, loading.recipe(run))
    packed = compression.encode(network, sharing.shared, run.recipe["index_bits"])
    temporary = work.folder / "packed.tmp"
    temporary.write_bytes(packed)
    os.replace(temporary, work.folder / "network.hortpack")
    again = networks.build(run.architecture).to_device(work.device)
    compression.decode(packed, again)  # what is evaluated is what was written
    tuned = runs.result(run.start, work.outputs) or {}
    metrics["train_macs"] += tuned["metrics"]["train_macs"]
    sizes = {"bytes": len(packed), "stages": compression.sizes(packed)}
    metrics |= {**sizes, "params": unstructured.count_nonzero(masks, network)}
    return {**metrics, **_ended(work, again, settled=True)}


def _fit(work: RunContext, network: Network, generator: torch.Generator, rule: StepCallback) -> dict:
    """Train by the run's recipe under a rule, an epoch's row at a time; returns what it cost."""
    run, recipe, state = work.run, loading.recipe(work.run), work.resume()
    error = ""

    def tell() -> None:
        number = -(-under_way.step // under_way.batches.steps_per_epoch)
        work.report(under_way.step / under_way.steps, f"epoch {number}/{recipe.epochs}{error}")

    def on_step() -> None:
        tell()
        work.on_step(under_way.state_dict)

    under_way = training.Trainer(network, work.dataset, recipe, generator, on_step, rule)
    if state:
        under_way.load_state_dict(state)
    work.rows.truncate(under_way.step // under_way.batches.steps_per_epoch)
    tell()
    for epoch in under_way:
        work.rows.append({**epoch._asdict(), "seconds": work.elapsed()})
        error = error if math.isnan(epoch.val_error) else f", error {epoch.val_error:.1f} %"
    work.rows.to_csv(work.folder / "epochs.csv")
    macs = run.architecture.macs * under_way.steps * recipe.batch_size
    return {"recipe": str(recipe), "train_macs": macs}


def _ended(work: RunContext, network: Network, settled: bool = False) -> dict:
    """Say what the network is worth, and keep it as it was measured, with what it got wrong."""
    run, images = work.run, work.dataset
    if not settled:
        loading.settle(network, images, loading.plan(run) if run.kind == "prune" else loading.recipe(run))
    loading.save(network, work.folder)
    dtype = evaluation.PRECISIONS[run.recipe["precision"]]
    val, test = (
        evaluation.evaluate(network, images, part, dtype) for part in (images.validation, images.test)
    )
    source = images.test.sources.cpu().numpy()
    runs.write_answers(work.folder, runs.Answers(test.wrong.numpy(), source))
    return {"val_error": val.error, "test_error": test.error}


def _prune(work: RunContext) -> dict:
    """Round after round; a row for everything that goes, and a state for good now and then."""
    run, plan = work.run, loading.plan(work.run)
    assert run.start is not None
    under_way = loading.resume_pruner(run, work.outputs, work.dataset, work.resume())
    left, error = "", ""

    def tell() -> None:
        done = (under_way.round + under_way.step / plan.steps) / (plan.rounds + 1)
        work.report(min(1.0, done), f"round {min(under_way.round, plan.rounds)}/{plan.rounds}{left}{error}")

    def on_step() -> None:
        tell()
        work.on_step(under_way.state_dict)

    under_way.on_step = on_step
    tell()
    kept, every = checkpoints.RoundCheckpoints(work.folder / "rounds"), max(1, plan.rounds // KEPT)
    rows = work.rows.truncate_to_round(under_way.round)
    start = runs.result(run.start, work.outputs) or {}
    macs = rows[-1]["train_macs"] if rows else start["metrics"]["train_macs"]
    for removal in under_way:
        macs += removal.architecture.macs * plan.steps * plan.batch_size
        for row in _rows(removal):
            row |= {"run": run.key, "train_macs": macs, "seconds": work.elapsed()}
            work.rows.append({name: row[name] for name in runs.REMOVAL_COLUMNS})
        if removal.round % every == 0:
            kept.keep(removal.round, work.stamped(under_way.state_dict()))
        left = f", {removal.params:,} parameters"
        error = error if math.isnan(removal.val_error) else f", error {removal.val_error:.1f} %"
    work.rows.to_csv(work.folder / "removals.csv")
    last = work.rows.last() or {}
    metrics = {"recipe": str(plan), **{name: last[name] for name in ("train_macs", "params", "macs")}}
    metrics |= _ended(work, under_way.network)
    if under_way.masked:
        metrics["nonzero_macs"] = unstructured.macs(under_way.network, under_way.masked.masks)
    return metrics


def _rows(removal: PruningRound) -> list[dict]:
    """A row for each channel that went; one, without a channel, for a round in which none did."""
    shape = removal.architecture
    common = {**removal._asdict(), "params": removal.params, "macs": shape.macs, "architecture": shape.id}
    gone = removal.gone or ((-1, -1, None),)
    return [{**common, "group": g, "channel": c, "saliency": s} for g, c, s in gone]


def _judge(work: RunContext) -> dict:
    """The true change of the loss without each of some channels, beside what every criterion says."""
    run, told = work.run, work.run.recipe
    assert run.start is not None
    network = loading.load(run.start, work.outputs).to_device(work.device)
    dtype = evaluation.PRECISIONS[told["precision"]]
    listened = oracle.scores(
        network, work.dataset, told["criteria"], told["steps"], told["batch_size"], run.seed, dtype
    )
    channels = oracle.sample_channels(network, told["channels"], run.seed)
    rows: list[dict] = []
    work.report(0.0, f"{len(channels)} channels are left out, one at a time")
    count = told["norm_images"] if told["norms"] == "estimated" else 0
    rises = oracle.loss_increases(
        network, work.dataset, channels, dtype, norm_images=count, images=told["images"]
    )
    for number, found in enumerate(rises):
        group, channel = channels[number]
        said = {name: float(scores[group][channel]) for name, scores in listened.items()}
        rows.append({"group": group, "channel": channel, **found._asdict(), **said})
        work.report((number + 1) / len(channels), f"channel {number + 1} of {len(channels)} left out")
    frame = pd.DataFrame(rows)
    frame.to_csv(work.folder / "judged.csv", index=False)
    scopes = {name: saliency.CRITERIA[name].scope for name in told["criteria"]}
    truth, groups = frame["rise"].tolist(), frame["group"].tolist()
    halves = frame["first"].tolist(), frame["second"].tolist()
    return {
        "correlations": {
            name: oracle.agreement(frame[name].tolist(), truth, groups, scope)
            for name, scope in scopes.items()
        },
        "ceilings": {name: oracle.ceiling(*halves, groups, scope) for name, scope in scopes.items()},
    }


KINDS: dict[str, Callable[[RunContext], dict]] = {
    "train": _train,
    "prune": _prune,
    "tune": _tune,
    "compress": _compress,
    "judge": _judge,
}
