"""Export a network of a study into a folder: `horticulture export`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from horticulture import runs
from horticulture.errors import reading
from horticulture.study import own_code, study_files
from horticulture.system import code_files, files
from horticulture.system.code_files import is_code


def export(study: Path, name: str, to: str = "", allow_code: bool = False, **values: Any) -> Iterator[str]:
    """Export the network that matches and yield lines to print.

    study: the study's folder. name, values: as for `runs.find_network`. to: the folder to write (empty: in
    the study's folder). Raises InputError for bad input, and for a user's code that is not allowed to run.
    """
    with reading(study):
        chosen = runs.find_network(study, name, **values)
    from horticulture.execution import exported  # loads torch, which takes seconds

    folder = files.resolved(to) if to else exported.default_folder(chosen)
    exported.check_replaceable(folder)
    table = chosen.run.architecture.table
    if table is not None and is_code(table.network):
        if not allow_code:
            raise code_files.refusal(table.network, "--allow-code")
        code_files.ALLOWED.add(table.digest)
    recorded = study_files.read_study_json(study)
    own_code.register_recorded(recorded.get("parameters", {}), recorded.get("own", {}))
    with reading(chosen.run):
        config = exported.export(chosen, folder, recorded.get("parameters", {}).get("network", ""))
    measured = f"test error {config['test_error']:.2f} %, seed {config['seed']}"
    yield f"{config['name']}: {config['params']:,} parameters, {measured}"
    yield from (f"no {left_out}: {reason}" for left_out, reason in config["left_out"].items())
    yield str(folder)
