"""Users' own code in a study: networks, criteria and data sets, in files or in a cell.

A user who names a file wants its code to run; a study file or a folder of results may come from anybody.
Notebooks after the one that defines a criterion or data set do not need its code: `study.json` records it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from horticulture import data, execution
from horticulture.pruning import criteria
from horticulture.runs import code_digest
from horticulture.system import code_files
from horticulture.system.code_files import is_code

if TYPE_CHECKING:
    from horticulture.data import Dataset

NETWORKS = ("network", "guide_network")
DATA = ("data", "guide_data", "source_data")
PRETRAINED = "pretrained"
CRITERIA = ("criterion", "oracle_criteria")  # several: separated by commas, or in a list
RECORDED = ("about", "scope", "granularity", "penalty", "digest")  # of a criterion, in `study.json`


def names(name: str, value: Any) -> list[str]:
    """The names in a parameter's value, if the parameter may name code."""
    if name in CRITERIA:
        return [str(part).strip() for part in (value if isinstance(value, list) else str(value).split(","))]
    return [str(value)] if name in NETWORKS + DATA else []


def with_absolute_path(name: str, value: Any) -> Any:
    """A parameter's value with absolute file paths, because notebooks run in another directory."""
    return _with_paths(name, value, code_files.absolute)


def without_folder(name: str, value: Any) -> Any:
    """A parameter's value without the folders of files."""
    return _with_paths(name, value, lambda path: Path(path).name)


def registered_name(name: str, value: Any) -> Any:
    """A parameter's value as runs know it: criteria and data sets are registered without their folders."""
    return value if name in (*NETWORKS, PRETRAINED) else without_folder(name, value)


def _with_paths(name: str, value: Any, change: Callable[[str], str]) -> Any:
    """A parameter's value with every file path in it changed."""
    if name == PRETRAINED:
        return change(value) if value else value
    parts = names(name, value)
    if not any(map(is_code, parts)):
        return value
    changed = [change(part) if is_code(part) else part for part in parts]
    return changed if isinstance(value, list) else ",".join(changed)


def names_code(values: Mapping[str, Any]) -> bool:
    """Whether parameters name code in a file."""
    return any(is_code(part) for _, part in _names_in(values, NETWORKS + DATA + CRITERIA))


def _names_in(values: Mapping[str, Any], parameters: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(parameter, name) of everything that these parameters name."""
    for name in parameters:
        yield from ((name, part) for part in names(name, values.get(name, "")))


def check_allowed(
    values: Mapping[str, Any], given: Container[str], allow: str, recorded: Mapping[str, Any] | None = None
) -> None:
    """Raise InputError for code that the user did not name and that `allow_code` does not allow.

    given: the parameters that the user set here. allow: how to allow the code, for the message. recorded:
    criteria and data sets that the study has recorded, whose code is not needed.
    """
    for name, part in _names_in(values, NETWORKS + DATA + CRITERIA):
        recalled = name not in NETWORKS and registered_name(name, part) in (recorded or {})
        if is_code(part) and not recalled and name not in given and not values.get("allow_code"):
            raise code_files.refusal(f"{name}={part}", allow)


def load(values: Mapping[str, Any], given: Container[str], recorded: Mapping[str, Any]) -> None:
    """Register the criteria and data sets that parameters name: from files, else from the study's record.

    Arguments as for `check_allowed`, which must be called first. Raises InputError for a missing function.
    """
    for name, part in _names_in(values, DATA + CRITERIA):
        if is_code(part) and (name in given or registered_name(name, part) not in recorded):
            function = code_files.function(part)  # refuses a missing file before torch is loaded
            register = data.dataset if name in DATA else criteria.criterion
            register(function, name=registered_name(name, part))
    register_recorded(values, recorded)


def register_recorded(values: Mapping[str, Any], recorded: Mapping[str, Any]) -> None:
    """Register recorded criteria and data sets whose code is not loaded. Runs no code."""
    for name, part in _names_in(values, DATA + CRITERIA):
        if (key := registered_name(name, part)) not in recorded:
            continue
        entry = {field: str(value) for field, value in recorded[key].items()}
        missing = f"the code of {key} is in {entry.get('notebook')}: run that notebook first"
        if name in DATA and isinstance(data.DATASETS.get(key), partial | None):
            data.DATASETS[key] = partial(_load_saved, entry.get("digest", ""), missing)
        elif name in CRITERIA and isinstance(criteria.CRITERIA.get(key), criteria.AbsentCriterion | None):
            fields = {"about": key, **{field: entry[field] for field in RECORDED if field in entry}}
            criteria.CRITERIA[key] = criteria.AbsentCriterion(**fields, missing=missing)


def _load_saved(digest: str, missing: str, image_size: int) -> Dataset:
    return data.load_saved(digest, missing)


def record(values: Mapping[str, Any], notebook: str) -> dict[str, Any]:
    """The record for `study.json` of the criteria and data sets in these parameters whose code is loaded."""
    records = {}
    for name in (registered_name(*named) for named in _names_in(values, DATA)):
        if data.is_own(name) and not isinstance(data.DATASETS[name], partial):
            dataset = execution.load_dataset(name, image_size=values["image_size"])
            data.save(dataset)
            records[name] = {"digest": dataset.digest, "notebook": notebook}
    for name in (registered_name(*named) for named in _names_in(values, CRITERIA)):
        criterion = criteria.own_criteria().get(name)
        if criterion is not None and not isinstance(criterion, criteria.AbsentCriterion):
            entry = {field: getattr(criterion, field) for field in RECORDED if field != "digest"}
            records[name] = {**entry, "digest": code_digest.of(criterion), "notebook": notebook}
    return records
