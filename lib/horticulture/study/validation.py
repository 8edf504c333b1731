"""Refuse a study that would fail later, before anything runs; count the rounds of `rounds: all`."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from math import prod
from pathlib import Path
from typing import Any

from horticulture import architecture, execution
from horticulture.architecture import families, own, profiles
from horticulture.data import catalog
from horticulture.errors import InputError
from horticulture.pruning import criteria, presets, ranking
from horticulture.study import bounds, budgets, own_code, scaling
from horticulture.study.config import StudyConfig
from horticulture.study.parameters import ALL
from horticulture.study.pruned import PruningJob
from horticulture.system import code_files, files, limits

OF_SOURCE = ("source_images", "source_epochs", "source_lr", "move_lr")
FIXED_BY_CODE = ("width", "depth")  # curves that change what the code of a user's network fixes


def check(*studies: dict[str, Any], given: Collection[str] = ()) -> None:
    """Raise InputError, before anything runs, for studies whose parameters would fail later.

    given: names of the parameters that were given to the command; some are refused if they have no effect.
    The cheapest checks come first: plain values, then what network and data set allow, then the data
    themselves, which needs torch, and finally the device.
    """
    for parameters in studies:
        bounds.check(parameters)
        _check_files(parameters)
    _check_effect(given, studies)
    configs = [_config(parameters) for parameters in studies]
    for config, parameters in zip(configs, studies, strict=True):
        _check_applicable(config)
        _check_memory(config, parameters)
    with_data = [each for config in configs for each in (config, config.guide, config.source_config) if each]
    for config in with_data:
        catalog.check_downloaded(config.data)
    for config in with_data:  # raises InputError
        execution.load_dataset(config.data, image_size=config.image_size, **config.augmentation)
    for config in configs:
        if config.oracle_images > (held_out := len(config.dataset.validation)):
            few = f"but {config.data} has {held_out:,} held-out images: 0 means all of them"
            raise InputError(f"oracle_images is {config.oracle_images:,}, {few}")
        if config.pretrained:
            from horticulture.execution import pretrained

            pretrained.network(config.whole, config.pretrained)

    from horticulture.training import hardware

    for device in {parameters["device"] for parameters in studies if bounds.made_here(parameters)}:
        hardware.resolve_device(device)


def _check_effect(given: Collection[str], studies: Sequence[dict[str, Any]]) -> None:
    """Raise InputError for a value given to the command that has no effect on any of these studies.

    Values in a study file are not checked: what is given to the command may have made them idle.
    """
    network = studies[0]["guide_network"] if "guide_network" in given else ""
    if network and not any("transferred" in study["curves"] for study in studies):
        raise InputError(f"guide_network={network} has no effect: only the curve transferred uses it")
    for name in OF_SOURCE:
        if name in given and not any(study["source_data"] for study in studies):
            raise InputError(f"{name} has no effect without source_data, which networks are moved from")
    for size in studies[0]["factor_sizes"] if "factor_sizes" in given else []:
        if size not in (sizes := sorted({size for study in studies for size in study["sizes"]})):
            raise InputError(f"factor_sizes has {size:g}, which is not in sizes: {sizes}")


def _check_files(parameters: dict[str, Any]) -> None:
    """Raise InputError for a missing file of code or weights, before what reads it is loaded."""
    for name in own_code.NETWORKS:
        if code_files.is_code(path := parameters.get(name, "")):
            code_files.digest(path)
    weights = parameters.get(own_code.PRETRAINED)
    if weights:
        files.check_loadable(Path(weights), "weights file")


def _config(parameters: dict[str, Any]) -> StudyConfig:
    if parameters.get("precision") == "auto":  # resolved when the study starts; no check depends on it
        parameters = {**parameters, "precision": "float32"}
    return StudyConfig.of({**parameters, "digest_of": lambda *_: ""})  # nor on the content of the data


def _check_applicable(config: StudyConfig) -> None:
    """Raise InputError unless network, data, pruning runs, budgets and curves fit each other."""
    if config.residual_sets and not architecture.is_traced(config.network):
        raise InputError(f"residual_sets is for networks of your own, but {config.network} is built in")
    if config.pretrained and [*map(float, config.base_epoch_factors)] != [1.0]:
        why = "the whole network is pretrained, so it cannot be trained longer"
        raise InputError(f"base_epoch_factors={config.base_epoch_factors}: {why}; use [1]")
    _check_counts("images", config)
    _, height, width = config.outline.image
    if (pad := config.crop_padding) >= min(height, width):
        small = f"images of {width} x {height} pixels are too small to be shifted by {pad}"
        raise InputError(f"crop_padding={pad}: {small}")
    _check_source(config)
    _check_zeros(config)
    for curve in config.curves if config.sizes and architecture.is_traced(config.network) else []:
        if curve in FIXED_BY_CODE:  # before the network is made, which may take minutes
            raise InputError(f"curves has {curve}: {own.refusal(Path(config.network).name, curve)}")
    jobs = [*_feasible_jobs(config), *config.moving_jobs]
    if config.guide:
        if config.guide_data:
            with _prefix_errors("guide_data", config.guide_data):
                _check_counts("images", config.guide)
                config.guide.outline  # noqa: B018 - read for what it raises
        with _prefix_errors("guide_network", config.guide_network):
            _feasible_jobs(config.guide)
    _check_budgets(config, jobs)
    _check_curves(config)


def _check_budgets(config: StudyConfig, jobs: list[PruningJob]) -> None:
    """Raise InputError for a budget that applies to nothing that is pruned."""
    for name in config.budgets:
        budget = budgets.BUDGETS[name]
        if config.pretrained and budget.follows_training:
            raise InputError(
                f"the budget {name} depends on how {config.pretrained} was trained, which is unknown"
            )
        if not any(budget.applies(job) for job in jobs):
            raise InputError(
                f"the budget {name} does not apply to anything that {config.criterion} prunes here"
            )


def _check_curves(config: StudyConfig) -> None:
    """Raise InputError for a curve that has no networks of these sizes, or follows no pruning run."""
    for curve in config.curves:
        # Curves that follow a pruning run reach no smaller size than a copycat of the whole network.
        member = scaling.PRUNING_FREE.get(curve, families.copycat)
        for size in config.sizes:
            try:
                member(config.whole, params=round(size * config.whole.params))
            except InputError as error:
                raise InputError(f"sizes: {size:g} is impossible for the curve {curve} ({error})") from error
        if curve in scaling.PRUNING_FREE:
            continue
        followed = scaling.require_guide(config) if curve == "transferred" else config
        if not any(map(scaling.can_be_followed, followed.pruning_jobs)):
            raise InputError(
                f"the curve {curve} needs channels pruned at the study's own training length: "
                f"{config.criterion} with base_epoch_factors={config.base_epoch_factors} prunes none"
            )
        if curve == "transferred":
            with _prefix_errors("guide_network", config.guide_network):
                profiles.guided(config.whole, profiles.by_stage([followed.whole], followed.whole), scale=1.0)


def _check_counts(name: str, config: StudyConfig) -> None:
    """Raise InputError for fewer training images than classes, or than a batch. name: of the parameter."""
    classes, images = config.counts
    if images < classes:
        few = f"{config.data} has {classes} classes, so some would have none of {images} training images"
        raise InputError(f"{name}={images}: {few}")
    if config.batch_size > images:
        raise InputError(
            f"batch_size is {config.batch_size:,}, but there are only {images:,} training images"
        )


def _check_zeros(config: StudyConfig) -> None:
    """Raise InputError for `measure: zeros`, unless a penalty makes scores exactly 0 and nothing else counts.

    Users' own criteria may score 0 without a penalty.
    """
    if config.measure != ranking.ZEROS:
        return
    for name in config.criteria:
        if name in criteria.BUILT_IN and criteria.CRITERIA[name].penalty == "none":
            scored = sorted(other for other, known in criteria.BUILT_IN.items() if known.penalty != "none")
            raise InputError(
                f"measure=zeros removes what scores exactly 0, which {name} gives only by chance: use "
                f"{', '.join(scored)}, whose penalties do"
            )
    for what, value, nothing in (("ratios", config.ratios, []), ("scope", config.scope, "")):
        if value not in (nothing, "global"):
            raise InputError(
                f"measure=zeros lets the scores decide what goes, so {what}={value} has no effect"
            )


@contextmanager
def _prefix_errors(name: str, value: str) -> Iterator[None]:
    """Begin errors with the parameter that they are about."""
    try:
        yield
    except InputError as error:
        message = str(error).removeprefix(f"{Path(value).name}: ")  # with which an own network's errors begin
        raise InputError(f"{name}={value}: {message}") from error


def _check_memory(config: StudyConfig, parameters: dict[str, Any]) -> None:
    """Raise InputError for a batch of images that cannot fit into this machine's memory.

    Estimates are at most half of what torch takes, with either precision. The memory of a GPU is not known
    here, but latency is measured on the processor too.
    """
    pixels, maps = prod(config.outline.image), config.whole.feature_maps
    forward, backward = pixels + 2 * max(maps), pixels + sum(maps)  # numbers per image that exist at a time
    demands = [("latency_batch_sizes", batch, forward) for batch in parameters.get("latency_batch_sizes", [])]
    if parameters["device"] == "cpu" or not limits.may_have_gpu():
        demands.append(("batch_size", config.batch_size, backward))
        demands.append(("norm_images", min(config.norm_images, config.outline.images), forward))
    for name, batch, numbers in demands:
        needed, available = 4 * batch * numbers, limits.memory()
        if needed > available:
            raise InputError(
                f"{name}: {batch:,} images at a time take at least {needed / 1e9:,.0f} GB of memory in "
                f"{config.network}, but there are only {available / 1e9:,.0f}"
            )


def _check_source(config: StudyConfig) -> None:
    """Raise InputError unless networks can be moved from `source_data`, or nothing asks for that."""
    name = config.source_data
    if not name:
        moved = [budget for budget in config.budgets if budgets.BUDGETS[budget].needs_source]
        moved += [curve for curve in config.curves if curve in scaling.MOVED]
        if moved:
            raise InputError(f"{moved[0]} needs source_data: the data set that networks are moved from")
        return
    if config.pretrained:
        raise InputError("source_data and pretrained both say how the whole network begins: set one of them")
    if name == config.data:
        raise InputError(f"source_data={name} is the data set itself: networks move from another one")
    if architecture.is_traced(config.network):
        raise InputError(
            f"source_data={name}: only built-in networks are moved, which say what their classifier is, "
            f"not {config.network}"
        )
    for budget in config.budgets:
        if not budgets.BUDGETS[budget].for_moved:
            raise InputError(f"the budget {budget} is for networks trained from scratch, not moved ones")
    assert config.source_config
    _check_counts("source_images", config.source_config)
    size, source_size = (" x ".join(map(str, read.outline.image)) for read in (config, config.source_config))
    if size != source_size:
        raise InputError(
            f"source_data={name} has images of {source_size}, but {config.data} of {size} (channels, "
            "height, width): networks move between images of one size"
        )
    _feasible_jobs(config.source_config)


def _feasible_jobs(config: StudyConfig) -> list[PruningJob]:
    """The pruning runs of a study. Raises InputError if its data or network do not allow them."""
    with _prefix_errors("network", config.network):
        _ = config.whole
    with _prefix_errors("scope", config.scope) if config.scope in presets.PRESETS else nullcontext():
        return config.pruning_jobs  # describing a run checks it


def count_rounds(parameters: dict[str, Any]) -> None:
    """Replace `rounds: all` by the number of channels that can be removed.

    Raises InputError unless a round removes one channel.
    """
    if parameters.get("rounds") != ALL:
        return
    bounds.check(parameters)
    config = _config({**parameters, "rounds": 1})
    counts = []
    for criterion in config.criteria:
        recipe = config.pruning_recipe(criterion)
        if config.ratios or not recipe.one_by_one:
            raise InputError(
                "rounds=all means one channel a round: leave ratios and scope empty, or give a number"
            )
        blocks = criteria.CRITERIA[criterion].granularity == "block"
        least = ranking.minimal_architecture(config.whole, recipe.floor, blocks)
        counts.append(sum(config.whole.widths) - sum(least.widths))
    parameters["rounds"] = min(counts)
