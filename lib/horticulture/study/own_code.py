"""Networks whose code is in somebody's file: where the file is, and whether it may run.

A person who names a file wants its code to run; a study file, or a folder of results, may come from anybody.
"""

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from horticulture.architecture import is_code
from horticulture.errors import InputError

NETWORKS = ("network", "guide_network")  # parameters that may name code in a file


def absolute(name: str, value: Any) -> Any:
    """The value of a parameter, with the whole path of a file of code: notebooks run elsewhere."""
    code = name in NETWORKS and is_code(value)
    return str(Path(value).expanduser().resolve()) if code else value


def short(value: Any) -> Any:
    """The value of a parameter, without the folder of a file of code."""
    return Path(value).name if is_code(value) else value


def named_in(values: Mapping[str, Any]) -> bool:
    """Whether parameters name code in a file."""
    return any(is_code(values.get(name, "")) for name in NETWORKS)


def refuse(values: Mapping[str, Any], given: Container[str], allow: str) -> None:
    """Raise InputError for code that no person named, and that is not allowed by `allow_code`.

    given: the parameters whose values a person gave here. allow: what to say for the code to run.
    """
    for name in NETWORKS:
        if is_code(values.get(name, "")) and name not in given and not values.get("allow_code"):
            raise InputError(f"{name}={values[name]} is code, which runs only if you say so: {allow}")
