"""Resolve and check the parameters of a study before `horticulture run` starts its first notebook."""

from pathlib import Path
from typing import Any

from horticulture.study import own_code, parameters, study_files
from horticulture.study.study_files import Study


def prepare(
    study: Study, overrides: dict[str, Any], outputs: Path, first: str, allow_code: bool
) -> list[tuple[Study, dict[str, Any]]]:
    """Each part of a study with all its parameters. Raises InputError for anything that would fail later.

    study: under the name of its results. overrides: parameters given to the command. first: the notebook to
    start with. allow_code: whether code that the study file names may run.
    """
    parts = [
        (part, parameters.with_absolute_folders(parameters.resolve_parameters(part, overrides)))
        for part in study.expand_parts()
    ]
    chosen, position = parameters.notebooks_from(first)
    declared_here = {name for notebook in chosen for name in parameters.notebook_parameters(notebook)}

    from horticulture.study import validation  # takes half a second

    for part, resolved in parts:
        study_files.check_own_folders(outputs / part.name)
        recorded = study_files.read_study_json(outputs / part.name).get("own", {}) if position else {}
        resolved["allow_code"] = allow_code
        in_cells = {name: resolved[name] for name in resolved.keys() & declared_here}  # where code runs
        own_code.check_allowed({**in_cells, "allow_code": allow_code}, overrides, "--allow-code")
        own_code.check_allowed(resolved, overrides, "--allow-code", recorded)
        own_code.load(resolved, resolved if allow_code else overrides, recorded)
        resolved["allow_code"] = own_code.names_code(resolved)  # for notebooks that get the name from a file
        validation.count_rounds(resolved)
    validation.check(*(resolved for _, resolved in parts), given=overrides)

    from horticulture.study import base_recipe  # loads torch

    for part, resolved in parts:
        if position:  # the first notebook may begin a new study
            base_recipe.check_base(resolved, outputs / part.name)
        base_recipe.check_precision(resolved, outputs / part.name)
        if not position:
            base_recipe.check_defaults(
                resolved, {*part.parameters, *overrides}, outputs / part.name, study.name
            )
    return parts
