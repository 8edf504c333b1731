"""The work of each kind of run: from a description to files and metrics."""

import math
from collections.abc import Callable
from functools import partial

import pandas as pd
import torch

from horticulture import networks, pruning, runs, training
from horticulture.errors import InputError
from horticulture.execution import checkpoints, loading, pretrained
from horticulture.execution.initialization import moved_network, starting_network
from horticulture.execution.run_context import RunContext
from horticulture.networks import Network
from horticulture.pruning import compression, criteria, oracle, unstructured
from horticulture.runs.run import Kind
from horticulture.system import files
from horticulture.training import Checkpoint, evaluation, penalties
from horticulture.training.callbacks import NO_CALLBACK, StepCallback

# About this many checkpoints of a pruning run are kept; rounds between them can be replayed.
ROUND_CHECKPOINTS = 16


def _train(context: RunContext) -> dict:
    """Train from scratch, with the penalty that the recipe names."""
    run, recipe = context.run, context.recipe
    generator = loading.init_generator(run.architecture, run.seed)
    network = loading.initial_network(run, run.seed, generator).to_device(context.device)
    with penalties.make(network, recipe.penalty, recipe.strength) as penalty:
        metrics = _fit(context, network, generator, penalty)
        if factors := penalty.fold_into_weights():
            metrics["factors"] = factors
    return metrics | _finish(context, network)


def _evaluate_pretrained(context: RunContext) -> dict:
    """Evaluate a pretrained network; the cost of its training is unknown."""
    run = context.run
    file = run.recipe["file"]
    if pretrained.digest(file) != run.recipe["file_digest"]:
        raise InputError(f"{file} has changed since {run} was described")
    network = pretrained.network(run.architecture, file).to_device(context.device)
    metrics = _finish(context, network)
    row = {"epoch": 0, "epochs": 0, "loss": math.nan, "val_error": metrics["val_error"], "images": 0}
    files.write_csv(context.folder / "epochs.csv", pd.DataFrame([row | {"seconds": context.elapsed()}]))
    return {"recipe": runs.PRETRAINED, "train_macs": 0, **metrics}


def _move(context: RunContext) -> dict:
    """Train the network of another run on this run's data, with a new classifier."""
    network, generator = moved_network(context.run, context.outputs)
    metrics = _fit(context, network, generator, NO_CALLBACK)
    metrics["train_macs"] += runs.metrics(context.start, context.outputs)["train_macs"]
    return metrics | _finish(context, network)


def _finetune(context: RunContext) -> dict:
    """Train the network of a pruning round, starting from the weights that the recipe names."""
    run = context.run
    network, mask = starting_network(run, context.outputs, str(context.device))
    metrics = _fit(context, network, torch.Generator().manual_seed(run.seed), mask or NO_CALLBACK)
    if mask:
        metrics["params"] = unstructured.count_nonzero(mask.masks, network)
    return metrics | _finish(context, network)


def _compress(context: RunContext) -> dict:
    """Deep Compression's stages two and three: share weights, train them further, Huffman-code them."""
    run = context.run
    network = loading.load_network(context.start, context.outputs)
    masks = unstructured.current_masks(network)
    shared = compression.share_weights(network, masks, run.recipe["bits"])
    sharing = compression.WeightSharingCallback(network, shared)
    metrics = _fit(context, network, torch.Generator().manual_seed(run.seed), sharing)
    loading.set_norm_statistics(network, context.dataset, context.recipe)
    packed = compression.encode(network, sharing.shared, run.recipe["index_bits"])
    files.write(context.folder / "network.hortpack", packed)
    decoded = networks.build(run.architecture).to_device(context.device)
    compression.decode(packed, decoded)  # evaluate exactly what was written
    metrics["train_macs"] += runs.metrics(context.start, context.outputs)["train_macs"]
    metrics |= {"bytes": len(packed), "stages": compression.sizes(packed)}
    metrics["params"] = unstructured.count_nonzero(masks, network)
    return metrics | _save_and_evaluate(context, decoded)


def _fit(context: RunContext, network: Network, generator: torch.Generator, callback: StepCallback) -> dict:
    """Train by the run's recipe, recording a row per epoch; not if it has no epochs. Return the cost."""
    run, recipe, state = context.run, context.recipe, context.resume()
    if not recipe.epochs:
        network.to_device(context.device)
        return {"recipe": str(recipe), "train_macs": 0}
    error = ""
    new: list[dict] = []  # rows that have not been reported yet

    def report() -> None:
        number = -(-trainer.step // trainer.batches.steps_per_epoch)
        context.report(trainer.step / trainer.steps, f"epoch {number}/{recipe.epochs}{error}", new)
        new.clear()

    def on_step() -> None:
        report()
        context.on_step(trainer.state_dict)

    trainer = training.Trainer(network, context.dataset, recipe, generator, on_step, callback)
    if state:
        trainer.load_state_dict(state)
    new += context.rows.truncate(trainer.step // trainer.batches.steps_per_epoch)
    report()
    for epoch in trainer:
        context.rows.append({**epoch._asdict(), "seconds": context.elapsed()})
        new.append(epoch._asdict())
        error = error if math.isnan(epoch.val_error) else f", error {epoch.val_error:.1f} %"
    context.rows.to_csv(context.folder / "epochs.csv")
    return {"recipe": str(recipe), "train_macs": run.architecture.macs * trainer.steps * recipe.batch_size}


def _finish(context: RunContext, network: Network) -> dict:
    """Set the network's norm statistics, then save and evaluate it."""
    loading.set_norm_statistics(network, context.dataset, context.recipe)
    return _save_and_evaluate(context, network)


def _save_and_evaluate(context: RunContext, network: Network) -> dict:
    """Save the network as evaluated, and which images it got wrong. Return its errors in percent."""
    loading.save(network, context.folder)
    images, dtype = context.dataset, context.recipe.dtype
    parts = images.validation, images.test
    val, test = (evaluation.evaluate(network, images, part, dtype) for part in parts)
    runs.write_image_errors(
        context.folder, runs.ImageErrors(test.wrong.numpy(), images.test.originals.cpu().numpy())
    )
    return {"val_error": val.error, "test_error": test.error}


def _prune(context: RunContext) -> dict:
    """Prune round by round, then evaluate what is left."""
    pruner = loading.resume_pruner(context.run, context.outputs, context.dataset, context.resume())
    _record_rounds(context, pruner)
    context.rows.to_csv(context.folder / "removals.csv")
    last = context.rows.rows()[-1]
    metrics = {
        "recipe": str(context.recipe),
        **{name: last[name] for name in ("train_macs", "params", "macs")},
    }
    metrics |= _finish(context, pruner.network)
    if pruner.mask:
        metrics["nonzero_macs"] = unstructured.nonzero_macs(pruner.network, pruner.mask.masks)
    return metrics


def _record_rounds(context: RunContext, pruner: pruning.Pruner) -> None:
    """Do the remaining rounds, recording a row for every removal and some permanent checkpoints."""
    recipe = context.recipe
    kept = checkpoints.RoundCheckpoints(context.folder / "rounds")
    every = max(1, recipe.rounds // ROUND_CHECKPOINTS)
    rows = context.rows.truncate_to_round(pruner.round)
    removed = sum(pruner.whole.widths) - sum(map(len, pruner.numbers)) - len(pruner.removed)
    if sum(row["group"] >= 0 for row in rows) != removed:
        raise files.CorruptFileError(context.rows.path)
    macs = (rows[-1] if rows else runs.metrics(context.start, context.outputs))["train_macs"]
    size, error, new = "", "", list(rows)

    def report() -> None:
        done = (pruner.round + pruner.step / recipe.steps) / (recipe.rounds + 1)
        number = min(pruner.round, recipe.rounds)
        context.report(min(1.0, done), f"round {number}/{recipe.rounds}{size}{error}", new)
        new.clear()

    def on_step() -> None:
        report()
        context.on_step(pruner.state_dict)

    pruner.on_step = on_step
    report()
    for round_ in pruner:
        macs += round_.architecture.macs * recipe.steps * recipe.batch_size
        for row in _rows(round_):
            row |= {"run": context.run.key, "train_macs": macs, "seconds": context.elapsed()}
            context.rows.append({name: row[name] for name in runs.REMOVAL_COLUMNS})
        new.append(round_._asdict())
        if round_.round % every == 0:
            kept.keep(round_.round, context.stamp(pruner.state_dict()))
        size = f", {round_.params:,} parameters"
        error = error if math.isnan(round_.val_error) else f", error {round_.val_error:.1f} %"


def _rows(round_: pruning.PruningRound) -> list[dict]:
    """A row per removed channel, or one row without a channel for a round that removed none."""
    architecture = round_.architecture
    common = {**round_._asdict(), "macs": architecture.macs, "architecture": architecture.id}
    removed = round_.removed or ((-1, -1, None),)
    return [{**common, "group": g, "channel": c, "saliency": s} for g, c, s in removed]


def _compare_criteria(context: RunContext) -> dict:
    """Measure the true rise in loss without each sampled channel, next to every criterion's score."""
    run, config, state = context.run, context.recipe, context.resume()
    network = loading.load_network(context.start, context.outputs).to_device(context.device)
    scores = oracle.score_channels(
        network, context.dataset, config.criteria, config.steps, config.batch_size, run.seed, config.dtype
    )
    channels = oracle.sample_channels(network, config.channels, run.seed)
    done = state.numbers["channels"] if state else 0
    context.rows.truncate(done)
    context.report(done / len(channels), f"leaving out {len(channels)} channels, one at a time")
    increases = oracle.loss_increases(
        network,
        context.dataset,
        channels[done:],
        config.dtype,
        norm_images=config.images_for_norms,
        images=config.images,
    )
    for number, (group, channel) in enumerate(channels[done:], done + 1):
        by_criterion = {name: float(by_group[group][channel]) for name, by_group in scores.items()}
        context.rows.append({"group": group, "channel": channel, **next(increases)._asdict(), **by_criterion})
        context.report(number / len(channels), f"channel {number} of {len(channels)} left out")
        context.on_step(partial(Checkpoint, {}, {"channels": number}))
    frame = pd.DataFrame(context.rows.rows())
    files.write_csv(context.folder / "judged.csv", frame)
    scopes = {name: criteria.CRITERIA[name].scope for name in config.criteria}
    truth, groups = frame["rise"].tolist(), frame["group"].tolist()
    halves = frame["first"].tolist(), frame["second"].tolist()
    return {
        "correlations": {
            name: oracle.agreement(frame[name].tolist(), truth, groups, scope)
            for name, scope in scopes.items()
        },
        "ceilings": {name: oracle.ceiling(*halves, groups, scope) for name, scope in scopes.items()},
    }


KINDS: dict[Kind, Callable[[RunContext], dict]] = {
    "train": _train,
    "given": _evaluate_pretrained,
    "move": _move,
    "prune": _prune,
    "tune": _finetune,
    "compress": _compress,
    "judge": _compare_criteria,
}
