"""Users' own functions, in files that are named such as `models.py:make`.

A file runs only if `function` is called for it, or if its digest is in `ALLOWED`. That the description of a
run names it is not enough, because a description may come from anywhere.
"""

import inspect
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from horticulture.errors import InputError, check_choice
from horticulture.system.files import (
    CorruptFileError,
    digest as content_digest,
    file_digest,
    local_path,
    read,
    resolved,
)

ALLOWED: set[str] = set()  # digests of files whose code may run in this process


def is_code(name: Any) -> bool:
    """Whether a name means a function in a user's file."""
    return bool(re.search(r"\.py:\w+$", str(name)))


def absolute(name: str) -> str:
    """The name with the absolute path of its file."""
    return str(resolved(name))


def refusal(name: str, how_to_allow: str) -> InputError:
    """The error for code that the user neither named nor allowed."""
    return InputError(f"{name} is code, which runs only if you say so: {how_to_allow}")


def digest(name: str) -> str:
    """A digest of the file's content. Raises InputError if there is no such file."""
    path = local_path(name.rpartition(":")[0]).expanduser()
    try:
        return file_digest(path)
    except (OSError, CorruptFileError) as error:
        raise InputError(f"no file {path} (relative paths start at the current directory)") from error


def function(name: str) -> Callable[..., Any]:
    """Run the file of that name and return the function.

    Raises InputError if there is no such file or function, or the file fails.
    """
    path, _, name_in_file = absolute(name).rpartition(":")
    module = _module(str(local_path(path)), digest(name))
    value: Any = getattr(module, name_in_file, None)
    if not callable(value):
        functions = [
            n for n, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__
        ]
        check_choice(name_in_file, functions, f"function of {Path(path).name}")
    return value


@lru_cache
def _module(path: str, digest: str) -> ModuleType:
    """Run a file as a module, once. Its definitions are pickled by value for other processes.

    What runs is the source with that digest, never a compiled copy that anybody could have put beside it.
    """
    source = read(Path(path))
    if content_digest(source) != digest:
        raise InputError(f"{path} has just been changed: run the same command again")
    module = ModuleType(f"horticulture_own_{digest}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses and pickle look for it there
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:  # users' code may raise anything
        raise InputError(f"{path} failed: {type(error).__name__}: {error}") from error
    cloudpickle.register_pickle_by_value(module)
    return module
