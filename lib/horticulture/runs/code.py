"""What a function does, in twelve digits: so that one which somebody has edited makes a run of its own.

A criterion of ours is known by its name, and changes only with `runs.VERSION`. One that was put into a table
from a notebook may have another body under the same name a minute later.
"""

import ast
import hashlib
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

PLAIN = bool | int | float | complex | str | bytes | range | slice | None


def extra(name: str, table: Mapping[str, Any], originals: Mapping[str, Any]) -> dict[str, str]:
    """What a run's description adds to a name: nothing for the library's own functions, a digest for others.

    originals: the table as it was when the library was imported.
    """
    return {} if name in originals and table[name] is originals[name] else {"code": digest(table[name])}


def digest(value: object) -> str:
    """12 hex digits of what a function does, or a dataclass, tuple or dict that holds functions.

    They cover the source (the bytecode where there is none), the defaults, the closure, and what is named
    in it: functions and classes of the same module with all that they name in turn, numbers, strings, arrays
    and containers of them. Of a function that was imported the source counts, of a class the name, of any
    other object its class. Defining the same once more gives the same digits.
    """
    said = json.dumps(_described(value, {}), sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def _described(value: Any, seen: dict[int, int]) -> Any:
    """Plain data for anything. seen: by id the order in which functions and classes came, against circles."""
    if isinstance(value, PLAIN):
        return [type(value).__name__, repr(value)]
    if isinstance(value, ModuleType):
        return ["module", value.__name__]
    if isinstance(value, FunctionType | type):
        if id(value) in seen:
            return ["again", seen[id(value)]]
        seen[id(value)] = len(seen)
        return _function(value, seen) if isinstance(value, FunctionType) else _class(value, seen)
    if isinstance(value, MethodType):
        return ["method", _described(value.__func__, seen), _described(value.__self__, seen)]
    if isinstance(value, partial):
        return ["partial", *(_described(part, seen) for part in (value.func, value.args, value.keywords))]
    if is_dataclass(value):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        return [_name(type(value)), _described(parts, seen)]
    if isinstance(value, Mapping):
        return ["mapping", *([_described(key, seen), _described(one, seen)] for key, one in value.items())]
    if isinstance(value, set | frozenset):
        return ["set", *sorted((_described(one, seen) for one in value), key=json.dumps)]
    if isinstance(value, list | tuple):
        return [type(value).__name__, *(_described(one, seen) for one in value)]
    if hasattr(value, "tolist"):  # an array or a tensor
        return ["array", str(value.dtype), repr(value.tolist())]
    if hasattr(value, "__qualname__"):  # of C
        return ["name", _name(value)]
    return ["object", _described(type(value), seen)]


def _function(function: FunctionType, seen: dict[int, int]) -> Any:
    code, own = function.__code__, function.__globals__
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    names = sorted({name for each in _codes(code) for name in each.co_names} & own.keys())
    return {
        "source": _source(code),
        "defaults": _described(function.__defaults__, seen),
        "keywords": _described(function.__kwdefaults__, seen),
        "closure": [[name, _described(cell.cell_contents, seen)] for name, cell in cells if _full(cell)],
        "globals": [[name, _of_module(own[name], function.__module__, seen)] for name in names],
    }


def _class(one: type, seen: dict[int, int]) -> Any:
    """Its name and its bases'; its own methods, properties and plain values."""
    found = []
    for name, part in sorted(vars(one).items()):
        if isinstance(part, property | classmethod | staticmethod):
            part = part.fget if isinstance(part, property) else part.__func__
        if isinstance(part, FunctionType) or (not name.startswith("__") and isinstance(part, PLAIN)):
            found.append([name, _described(part, seen)])
    return ["class", _name(one), [_name(base) for base in one.__bases__], found]


def _of_module(value: Any, module: str, seen: dict[int, int]) -> Any:
    """What a global name stands for. Where it comes from another module, what that calls is left out."""
    if isinstance(value, FunctionType | type) and value.__module__ != module:
        return [_name(value), _source(value.__code__) if isinstance(value, FunctionType) else ""]
    return _described(value, seen)


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{value.__qualname__}"


def _full(cell: Any) -> bool:
    """Whether a closure's cell holds something yet."""
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A code object, and those of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _source(code: CodeType) -> Any:
    try:
        if code.co_name == "<lambda>":
            return _lambda(code)
        return textwrap.dedent(inspect.getsource(code))
    except (OSError, TypeError, SyntaxError, LookupError):  # typed into a shell, or made by `exec`
        return _bytecode(code)


def _lambda(code: CodeType) -> str:
    """The lambda alone. `inspect.getsource` gives its first line with all that stands beside it.

    Raises LookupError if there is none at that place.
    """
    whole = "".join(inspect.findsource(code)[0])
    inside = [(line, column) for line, _, column, _ in code.co_positions() if line and column]
    around = []
    for node in ast.walk(ast.parse(whole)):
        if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno:
            body = node.body
            start, end = (body.lineno, body.col_offset), (body.end_lineno or 0, body.end_col_offset or 0)
            if inside and all(start <= place < end for place in inside):
                around.append(node)
    if not around:
        raise LookupError("no lambda there")
    return ast.get_source_segment(whole, around[-1]) or ""  # the innermost, for they come by depth


def _bytecode(code: CodeType) -> Any:
    constants = [_bytecode(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return ["bytecode", code.co_code.hex(), constants, list(code.co_names)]
