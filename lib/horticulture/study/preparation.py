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
    chosen, anew = parameters.beginning(first)
    stated = {name for notebook in chosen for name in parameters.notebook_parameters(notebook)}

    from horticulture.study import validation  # takes half a second

    for part, settled in parts:
        recorded = study_files.read_study_json(outputs / part.name).get("own", {}) if not anew else {}
        settled["allow_code"] = allow_code
        in_cells = {name: settled[name] for name in settled.keys() & stated}  # where code runs
        own_code.check_allowed({**in_cells, "allow_code": allow_code}, overrides, "--allow-code")
        own_code.check_allowed(settled, overrides, "--allow-code", recorded)
        own_code.load(settled, settled if allow_code else overrides, recorded)
        settled["allow_code"] = own_code.names_code(settled)  # for notebooks that get the name from a file
        validation.count_rounds(settled)
    validation.check(*(settled for _, settled in parts))

    from horticulture.study import base_recipe  # loads torch

    if not anew:  # the first notebook may begin anew
        for part, settled in parts:
            base_recipe.check_base(settled, outputs / part.name)
    return parts
