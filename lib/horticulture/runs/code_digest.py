"""A digest of what a function does, so that an edited function makes a new run.

A built-in criterion is identified by its name, and changes only with `runs.VERSION`. One defined in a
notebook may have another body under the same name a minute later.
"""

import ast
import copyreg
import inspect
import json
import site
import sys
import sysconfig
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property, partial
from pathlib import Path
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from horticulture.errors import InputError
from horticulture.system import files

PLAIN = bool | int | float | complex | str | bytes | range | slice | None
VALUES = PLAIN | list | tuple | dict | set | frozenset | np.ndarray | type  # of a class
INSTALLED = (sysconfig.get_path("stdlib"), *site.getsitepackages(), site.getusersitepackages())
# By id: when an object was seen first, and the object, kept alive so that its id is not reused.
Seen = dict[int, tuple[int, Any]]


def of_own(name: str, registry: Mapping[str, Any], originals: Mapping[str, Any]) -> dict[str, str]:
    """What a run's description adds to a name: nothing for the library's functions, a digest for others.

    originals: the registry as the library made it. An entry with a `digest` attribute keeps it.
    """
    if name in originals and registry[name] is originals[name]:
        return {}
    return {"code": getattr(registry[name], "digest", "") or of(registry[name])}


def of(value: object) -> str:
    """12 hex digits of what a function does, or of a dataclass, tuple or dict that contains functions.

    They cover the source (or else the bytecode), the defaults, the closure and the globals used: functions
    and classes, recursively; numbers, strings, arrays, tensors and containers of them; the state of any other
    object; of a module its file, and the files of what it imports. Of what is installed, functions count by
    their source, and classes and modules by their names. Defining the same function again gives the same
    digits. Raises InputError for an object whose state cannot be read.
    """
    description = _named("it", value, {}, _describe)[1]
    return files.digest(json.dumps(description, sort_keys=True).encode())


def users_modules() -> list[ModuleType]:
    """The loaded modules of users: neither installed nor of this library."""
    named = [(name, module) for name, module in list(sys.modules.items()) if name != "__main__"]
    # `sys.modules` may have anything under any name.
    modules = [m for name, m in named if isinstance(m, ModuleType) and m.__name__ == name]
    return [module for module in modules if _is_user_code(module.__name__)]


def _named(name: str, value: Any, seen: Seen, describe: Any) -> list:
    """A name and the description of what it means."""
    try:
        return [name, describe(value, seen)]
    except (TypeError, RecursionError) as error:
        raise InputError(
            f"a run's key must cover what its code refers to, and {name} cannot be read ({error}): make it "
            "inside the function, or use numbers, strings, arrays and functions"
        ) from error


def _describe(value: Any, seen: Seen) -> Any:
    """Describe anything as plain data. Raises TypeError for anything else. seen: breaks cycles."""

    def each(values: Any) -> list:
        return [_describe(item, seen) for item in values]

    if isinstance(value, PLAIN):
        return [type(value).__name__, repr(value)]
    if isinstance(value, np.ndarray | np.generic) or _is_tensor(value):
        return _array(value, seen)
    if id(value) in seen:
        return ["again", seen[id(value)][0]]
    if isinstance(value, type) and not _is_user_code(value.__module__):
        return [_name(value), ""]
    if isinstance(value, FunctionType | type):
        seen[id(value)] = len(seen), value
        return _function(value, seen) if isinstance(value, FunctionType) else _class(value, seen)
    if isinstance(value, ModuleType):
        return ["module", value.__name__, *sorted(_files(value, {}).items())]
    if isinstance(value, MethodType):
        return ["method", *each((value.__func__, value.__self__))]
    if isinstance(value, partial):
        return ["partial", *each((value.func, value.args, value.keywords))]
    if is_dataclass(value):
        made = {f.name: getattr(value, f.name) for f in fields(value)}
        users = _is_user_code(type(value).__module__)
        return [_describe(type(value), seen) if users else _name(type(value)), _describe(made, seen)]
    if isinstance(value, Mapping):
        return ["mapping", *map(each, value.items())]
    if isinstance(value, set | frozenset):
        return ["set", *sorted(each(value), key=json.dumps)]
    if isinstance(value, list | tuple):
        return [type(value).__name__, *each(value)]
    if hasattr(value, "__wrapped__"):  # by functools.cache
        return ["wrapped", *each((type(value), value.__wrapped__))]
    if hasattr(value, "__qualname__"):  # a C function, perhaps of an object
        owner = value.__self__ if isinstance(value, BuiltinFunctionType) else None
        return ["name", _name(value), *([] if isinstance(owner, ModuleType | type | None) else each([owner]))]
    seen[id(value)] = len(seen), value
    return ["object", *each((type(value), *_state(value)))]


def _state(value: Any) -> list:
    """What an object consists of, as it would be pickled."""
    try:
        reduce = copyreg.dispatch_table.get(type(value))
        state = reduce(value) if reduce else value.__reduce_ex__(4)
    except Exception as error:  # an object may raise anything
        raise TypeError(f"an object of {_name(type(value))} does not reveal its state") from error
    if isinstance(state, str):  # a name: torch.float32
        return [state]
    _, arguments, *rest = state  # its state, then iterators over the items of a list and of a dict
    return [arguments, *(list(part) if isinstance(part, Iterator) else part for part in rest)]


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _array(value: Any, seen: Seen) -> Any:
    kind = ["array", str(value.dtype), list(value.shape)]
    if _is_tensor(value):
        import torch

        if value.layout != torch.strided:
            raise TypeError(f"a tensor in the layout {value.layout}")
        value = value.detach().cpu().resolve_conj().resolve_neg().reshape(-1).view(torch.uint8).numpy()
    if value.dtype.hasobject:
        return [*kind, _describe(value.tolist(), seen)]
    return [*kind, files.digest(value.tobytes())]


def _files(module: ModuleType, digests: dict[str, str]) -> dict[str, str]:
    """The digests of the files of a module and of all that it imports, but for what is installed."""
    if module.__name__ not in digests and _is_user_code(module.__name__):
        file = getattr(module, "__file__", None)
        try:
            digests[module.__name__] = files.file_digest(Path(file)) if file else ""
        except OSError as error:
            raise TypeError(f"the file of {module.__name__} is gone") from error
        for value in list(vars(module).values()):
            name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(name, str) and (other := sys.modules.get(name)):
                _files(other, digests)
    return digests


def _is_user_code(name: str) -> bool:
    """Whether a module is the user's: not installed, and not of this library."""
    if name == "__main__":
        return True
    if name.partition(".")[0] == "horticulture":
        return False
    module = sys.modules.get(name) or sys.modules.get(name.partition(".")[0])
    if module is None:  # made by `exec`
        return True
    path = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return path is not None and not any(Path(path).is_relative_to(folder) for folder in INSTALLED)


def _function(function: FunctionType, seen: Seen) -> Any:
    code, namespace = function.__code__, function.__globals__
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    full = [(name, cell.cell_contents) for name, cell in cells if cell != CellType()]
    names = {name for inner in _codes(code) for name in inner.co_names} & namespace.keys()
    if not _is_user_code(function.__module__ or ""):
        names = set()  # of what is installed, what it calls is left out
    return {
        "source": _source(code),
        "defaults": _describe(function.__defaults__, seen),
        "keywords": _describe(function.__kwdefaults__, seen),
        "closure": [_named(name, value, seen, _describe) for name, value in full],
        "globals": [_named(name, namespace[name], seen, _of_module) for name in sorted(names)],
    }


def _class(kind: type, seen: Seen) -> Any:
    """A class: its name, its bases, and its own methods, properties and values (but not what Python adds)."""
    parts = []
    for name, part in sorted(vars(kind).items()):
        if isinstance(part, property | classmethod | staticmethod):
            part = part.fget if isinstance(part, property) else part.__func__
        part = part.func if isinstance(part, cached_property) else part
        added = name.startswith("_") and name.endswith("_")  # by Python
        if isinstance(part, FunctionType) or (not added and (isinstance(part, VALUES) or _is_tensor(part))):
            parts.append(_named(name, part, seen, _describe))
    bases = [
        _describe(base, seen) if _is_user_code(base.__module__) else _name(base) for base in kind.__bases__
    ]
    return ["class", _name(kind), bases, parts]


def _of_module(value: Any, seen: Seen) -> Any:
    """The value of a global name. An installed function is its name and source."""
    if isinstance(value, FunctionType) and not _is_user_code(value.__module__ or ""):
        return [_name(value), _source(value.__code__)]
    return _describe(value, seen)


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{value.__qualname__}"


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A code object, and those of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _source(code: CodeType) -> Any:
    try:
        return _lambda(code) if code.co_name == "<lambda>" else textwrap.dedent(inspect.getsource(code))
    except (OSError, TypeError, SyntaxError, LookupError):  # typed into a shell, or made by `exec`
        return _bytecode(code)


def _lambda(code: CodeType) -> Any:
    """The innermost lambda around all of the code; `inspect.getsource` returns whole lines.

    Raises LookupError if there is none at that place.
    """
    text = "".join(inspect.findsource(code)[0])
    inside = [(line, column) for line, _, column, _ in code.co_positions() if line and column]
    around = [
        node
        for node in ast.walk(ast.parse(text))  # the innermost comes last
        if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno and inside
        if (node.body.lineno, node.body.col_offset) <= min(inside)
        if max(inside) < (node.body.end_lineno or 0, node.body.end_col_offset or 0)
    ]
    return ast.get_source_segment(text, around[-1]) or ""


def _bytecode(code: CodeType) -> Any:
    constants = [_bytecode(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return ["bytecode", code.co_code.hex(), constants, list(code.co_names)]
