"""A digest of what a function does, so that an edited function makes a new run.

A built-in criterion is identified by its name, and changes only with `runs.VERSION`. One defined in a
notebook may have another body under the same name a minute later.
"""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from horticulture import files

PLAIN = bool | int | float | complex | str | bytes | range | slice | None


def extra(name: str, table: Mapping[str, Any], originals: Mapping[str, Any]) -> dict[str, str]:
    """What a run's description adds to a name: nothing for the library's functions, a digest for others.

    originals: the table as it was when the library was imported. An entry with a `digest` attribute keeps it.
    """
    if name in originals and table[name] is originals[name]:
        return {}
    return {"code": getattr(table[name], "digest", "") or digest(table[name])}


def digest(value: object) -> str:
    """12 hex digits of what a function does, or of a dataclass, tuple or dict that contains functions.

    They cover the source (or else the bytecode), the defaults, the closure and the globals used: functions
    and classes of the same module, recursively, and numbers, strings, arrays and containers of them. An
    imported function counts by its source, an imported class by its name, any other object by its class.
    Defining the same function again gives the same digits.
    """
    return files.digest(json.dumps(_describe(value, {}), sort_keys=True).encode())


def _describe(value: Any, seen: dict[int, int]) -> Any:
    """Describe anything as plain data. seen: order of functions and classes by id, to break cycles."""

    def each(values: Any) -> list:
        return [_describe(one, seen) for one in values]

    if isinstance(value, PLAIN):
        return [type(value).__name__, repr(value)]
    if isinstance(value, FunctionType | type):
        if id(value) in seen:
            return ["again", seen[id(value)]]
        seen[id(value)] = len(seen)
        return _function(value, seen) if isinstance(value, FunctionType) else _class(value, seen)
    if isinstance(value, ModuleType):
        return ["module", value.__name__]
    if isinstance(value, MethodType):
        return ["method", *each((value.__func__, value.__self__))]
    if isinstance(value, partial):
        return ["partial", *each((value.func, value.args, value.keywords))]
    if is_dataclass(value):
        return [_name(type(value)), _describe({f.name: getattr(value, f.name) for f in fields(value)}, seen)]
    if isinstance(value, Mapping):
        return ["mapping", *map(each, value.items())]
    if isinstance(value, set | frozenset):
        return ["set", *sorted(each(value), key=json.dumps)]
    if isinstance(value, list | tuple):
        return [type(value).__name__, *each(value)]
    if hasattr(value, "tolist"):  # an array or a tensor
        return ["array", str(value.dtype), repr(value.tolist())]
    if hasattr(value, "__qualname__"):  # a C function
        return ["name", _name(value)]
    return ["object", _describe(type(value), seen)]


def _function(function: FunctionType, seen: dict[int, int]) -> Any:
    code, own = function.__code__, function.__globals__
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    full = [(name, cell.cell_contents) for name, cell in cells if cell != CellType()]
    names = sorted({name for each in _codes(code) for name in each.co_names} & own.keys())
    return {
        "source": _source(code),
        "defaults": _describe(function.__defaults__, seen),
        "keywords": _describe(function.__kwdefaults__, seen),
        "closure": [[name, _describe(value, seen)] for name, value in full],
        "globals": [[name, _of_module(own[name], function.__module__, seen)] for name in names],
    }


def _class(one: type, seen: dict[int, int]) -> Any:
    """A class: its name, its bases' names, and its own methods, properties and plain values."""
    parts = []
    for name, part in sorted(vars(one).items()):
        if isinstance(part, property | classmethod | staticmethod):
            part = part.fget if isinstance(part, property) else part.__func__
        if isinstance(part, FunctionType) or (not name.startswith("__") and isinstance(part, PLAIN)):
            parts.append([name, _describe(part, seen)])
    return ["class", _name(one), [_name(base) for base in one.__bases__], parts]


def _of_module(value: Any, module: str, seen: dict[int, int]) -> Any:
    """The value of a global name. For one from another module, what it calls is left out."""
    if isinstance(value, FunctionType | type) and value.__module__ != module:
        return [_name(value), _source(value.__code__) if isinstance(value, FunctionType) else ""]
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
