"""The allowed values of each parameter, in one table that needs neither data nor torch."""

import re
from collections.abc import Callable, Collection, Mapping
from math import prod
from typing import Any

from horticulture import architecture
from horticulture.architecture import torchvision_names
from horticulture.data import datasets
from horticulture.errors import InputError, check_choice
from horticulture.pruning.criteria import CRITERIA
from horticulture.pruning.presets import PRESETS
from horticulture.pruning.ranking import MEASURES, SCOPES, ZEROS
from horticulture.study import budgets, own_code, scaling
from horticulture.study.literals import is_number
from horticulture.study.parameters import ALL
from horticulture.study.study_files import check_name
from horticulture.system import code_files, limits
from horticulture.training.recipe import NORMS, OPTIMIZERS, PRECISIONS, SCHEDULES

Bound = Callable[[str, Any], None]  # the name of a parameter and its value; raises InputError

FLIPS = ("auto", "random", "never")  # auto: what the data set says
MAX_COUNT = 1_000_000  # epochs, images, ...: more would be a typing error
MAX_PORT, MAX_LOCAL_WORKERS = 65_535, 256
MAX_LIST_VALUES = 1000  # of a list
MAX_PRUNING_RUNS = 1000  # pruning runs: describing more would take minutes
TRAINED = 3 * 4  # bytes per parameter in training: value, gradient and momentum
EXAMPLE = (3, 64, 64)  # an image that every network accepts; parameters hardly depend on its size


# --- kinds of bounds -------------------------------------------------------------------------------------


def within(words: str, holds: Callable[[Any], bool]) -> Bound:
    """A bound given by a condition. words: what the value must be, for the error."""

    def check(name: str, value: Any) -> None:
        if not holds(value):
            raise InputError(f"{name} must be {words}, not {value!r}")

    return check


def integer(least: int, most: int = MAX_COUNT) -> Bound:
    """A whole number."""
    words = f"a whole number from {least:,} to {most:,}"
    return within(words, lambda value: type(value) is int and least <= value <= most)


def number(words: str, holds: Callable[[float], bool]) -> Bound:
    """A finite number."""
    return within(f"a number {words}", lambda value: is_number(value) and holds(value))


def one_of(choices: Collection[str], what: str) -> Bound:
    """One of these names, which are looked up at each check because users may add some."""

    def check(name: str, value: Any) -> None:
        check_choice(value, choices, what)

    return check


def each(bound: Bound, least: int = 0) -> Bound:
    """A list of different values within that bound."""

    def check(name: str, values: Any) -> None:
        if not least <= len(values) <= MAX_LIST_VALUES:
            raise InputError(f"{name} must have {least} to {MAX_LIST_VALUES:,} values, not {len(values)}")
        for i, value in enumerate(values):
            bound(f"each of {name}", value)
            if value in values[:i]:
                raise InputError(f"{name} has {value!r} twice")

    return check


def optional(bound: Bound, nothing: Any) -> Bound:
    """Either the bound or one other value, which stands for none."""

    def check(name: str, value: Any) -> None:
        if value != nothing:
            try:
                bound(name, value)
            except InputError as error:
                also = "" if nothing == "" else f"; {nothing!r} is allowed, too"
                raise InputError(f"{error}{also}") from error

    return check


# --- of single parameters --------------------------------------------------------------------------------


def network(name: str, value: Any) -> None:
    """A known network that fits into memory here. Networks made by users' code are checked later."""
    if architecture.is_traced(value):
        architecture.check_traced(value)
        params = torchvision_names.parameter_counts().get(value.removeprefix(architecture.TORCHVISION), 0)
    else:
        params = architecture.named(value, image=EXAMPLE, classes=10).params
    needed, available = params * TRAINED, limits.memory()
    if needed > available:
        raise InputError(
            f"{name}={value} has {params:,} parameters: training takes {needed / 1e9:,.0f} GB of memory, but "
            f"there are only {available / 1e9:,.0f}"
        )


def network_for(name: str, image: architecture.ImageShape, classes: int) -> None:
    """Raise InputError, without torch, for a network that cannot be made for such images."""
    from horticulture.data.decoding import MAX_SIDE  # loads Pillow

    integer(2, architecture.MAX_WIDTH)("classes", classes)
    if max(image) > MAX_SIDE:
        raise InputError(f"images have at most {MAX_SIDE:,} channels, rows and columns, not {image}")
    if code_files.is_code(name):
        code_files.digest(name)
    elif architecture.is_traced(name):
        network("network", name)
        architecture.check_traced(name, image)
    else:
        architecture.named(name, image=image, classes=classes)


def data_set(name: str, value: Any) -> None:
    """The name of a data set. Whether a folder exists is checked later."""
    datasets.check_name(own_code.registered_name(name, value))


def criteria(name: str, value: Any) -> None:
    """Names of criteria, separated by commas."""
    names = own_code.names(name, own_code.registered_name(name, value))
    if "" in names:
        raise InputError(f"{name} must be a name, or several separated by commas, not {value!r}")
    each(one_of(CRITERIA, "criterion"), 1)(name, names)


def strengths(name: str, value: Any) -> None:
    """The strengths of the penalties that criteria need."""
    penalties = sorted({criterion.penalty for criterion in CRITERIA.values()} - {"none"})
    for penalty, strength in dict(value).items():
        check_choice(penalty, penalties, f"penalty in {name}")
        not_negative(f"{name} of {penalty}", strength)


def device(name: str, value: Any) -> None:
    """A supported device. Whether it responds is checked later, where the runs are made."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", value, re.ASCII):
        raise InputError(f"unknown device {value!r}: choose from auto, cpu, cuda and cuda:NUMBER")


def is_cluster(value: Any) -> bool:
    """Whether it looks like a Dask scheduler's address, or `local:N` with 1 to 256 workers."""
    address = r"(tcp|tls|ws|wss|ucx)://[\w.\[\]:-]+:([0-9]{1,5})|local:([1-9][0-9]{0,2})"
    found = re.fullmatch(address, str(value), re.ASCII)
    if found is None:
        return False
    return int(found[2] or 1) <= MAX_PORT and int(found[3] or 1) <= MAX_LOCAL_WORKERS


def channel_criteria(name: str, value: Any) -> None:
    """A criterion that the oracle can check channel by channel."""
    known = [name for name, c in CRITERIA.items() if c.granularity == "channel" and not c.precomputed]
    check_choice(own_code.registered_name("oracle_criteria", value), known, "criterion of single channels")


positive = number("above 0 and at most 1,000", lambda x: 0 < x <= 1000)
not_negative = number("of 0 or more and at most 1,000", lambda x: 0 <= x <= 1000)
share = number("above 0 and at most 1", lambda x: 0 < x <= 1)  # of the parameters of the whole network
boolean = within("true or false", lambda value: isinstance(value, bool))
text = within("a string", lambda value: isinstance(value, str))

BOUNDS: dict[str, Bound] = {
    "study": lambda name, value: check_name(value),
    "outputs": text,
    "device": device,
    "allow_code": boolean,
    "workers": integer(0, 256),
    "cluster": optional(
        within(
            f"local:N, with N up to {MAX_LOCAL_WORKERS}, or a Dask scheduler's address, such as "
            f"tcp://host:8786, with a port up to {MAX_PORT:,}",
            is_cluster,
        ),
        "",
    ),
    # 01
    "data": data_set,
    "images": optional(integer(2), 0),
    "image_size": integer(0, 10_000),
    "flip": one_of(FLIPS, "flip"),
    "crop_padding": optional(integer(0, 1000), -1),
    "network": network,
    "residual_sets": boolean,
    "pretrained": text,
    "source_data": optional(data_set, ""),
    "source_images": optional(integer(2), 0),
    "source_epochs": integer(1),
    "source_lr": positive,
    "move_lr": positive,
    "seeds": each(integer(0, 2**53), 1),
    "epochs": integer(1),
    "lr": positive,
    "schedule": one_of(SCHEDULES, "schedule"),
    "batch_size": integer(2),
    "weight_decay": not_negative,
    "optimizer": one_of(OPTIMIZERS, "optimizer"),
    "precision": one_of(("auto", *PRECISIONS), "precision"),
    "norms": one_of(NORMS, "norms"),
    "norm_images": integer(2),
    "base_epoch_factors": each(positive, 1),
    # 02
    "criterion": criteria,
    "strengths": strengths,
    "ratios": each(number("above 0 and below 1", lambda x: 0 < x < 1)),
    "measure": one_of((*MEASURES, ZEROS), "measure"),
    "scope": optional(one_of((*SCOPES, *PRESETS), "scope"), ""),
    "floor": number("of 0 or more and below 1", lambda x: 0 <= x < 1),
    "rounds": optional(integer(1), ALL),
    "steps": integer(1),
    "evaluate_every": integer(1),
    "finetune_lr": positive,
    "factor_sizes": each(share),
    "oracle_criteria": each(channel_criteria),
    "oracle_channels": integer(1),
    "oracle_images": optional(integer(2), 0),  # in two halves
    # 03
    "sizes": each(share),
    "budgets": each(one_of(budgets.BUDGETS, "budget")),
    "finetune_epochs": integer(1),
    "cap": number("of 1 to 1,000, or 0 for no limit", lambda x: x == 0 or 1 <= x <= 1000),
    "bits": integer(1, 16),
    # 04
    "curves": each(one_of((*scaling.PRUNING_FREE, *scaling.FROM_PRUNING), "curve")),
    "copycat_size": share,
    "guide_network": optional(network, ""),
    "guide_data": optional(data_set, ""),
    # 05
    "latency_batch_sizes": each(integer(1, 100_000)),
    "latency_seconds": number("above 0 and at most 3,600", lambda x: 0 < x <= 3600),
    "margin": positive,
}


def made_here(parameters: Mapping[str, Any]) -> bool:
    """Whether a study's runs are made on this machine, and not by a scheduler's workers elsewhere."""
    return "://" not in str(parameters.get("cluster", ""))


def check(parameters: Mapping[str, Any]) -> None:
    """Raise InputError, naming the parameter, for a value that no study can have."""
    for name, value in parameters.items():
        if name in BOUNDS:
            try:
                BOUNDS[name](name, value)
            except InputError as error:
                raise InputError(str(error) if name in str(error) else f"{name}: {error}") from error
    if (
        str(device := parameters.get("device")).startswith("cuda")
        and made_here(parameters)
        and not limits.may_have_gpu()
    ):
        raise InputError(f"no device {device!r} here: choose from auto and cpu")
    lists = {name: len(parameters.get(name) or [0]) for name in ("seeds", "ratios", "base_epoch_factors")}
    lists["criterion"] = len(own_code.names("criterion", parameters.get("criterion", "")))
    if (wanted := prod(lists.values())) > MAX_PRUNING_RUNS:
        most = f"at most {MAX_PRUNING_RUNS:,} are allowed"
        raise InputError(f"{', '.join(lists)} ask for {wanted:,} pruning runs; {most}")
    if parameters.get("guide_data") and not parameters.get("guide_network"):
        raise InputError("guide_data is where guide_network is pruned: set both or neither")
