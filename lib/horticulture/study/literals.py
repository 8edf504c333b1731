"""Plain literals, the only values a study may contain: read from YAML, written into notebooks as source.

A study file can come from a stranger, and its values are written into cells that are executed. So only None,
bool, int, float, str, and lists and dicts of these are allowed, at every depth.
"""

import ast
import json
import math
import re
from pathlib import Path
from typing import Any

import yaml

from horticulture.errors import InputError

MAX_BYTES = 50_000  # bytes of a study file
MAX_NESTING = 20  # levels of nested lists and mappings
MAX_DIGITS = 18  # of an integer: what fits in 64 bits
MAX_BITS = 1000  # of an integer that is not written in YAML: what fits in a float


def check(value: Any, what: str) -> Any:
    """Return a value if it is a plain literal throughout. what: its name for the InputError otherwise."""
    waiting = [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        if type(part) is dict and all(type(key) is str for key in part):
            inside = [*part, *part.values()]
        elif type(part) is list:
            inside = part
        elif _is_plain(part):
            inside = []
        else:
            raise InputError(f"{what} {_problem(part)}")
        if depth > MAX_NESTING:
            raise InputError(f"{what} is nested more than {MAX_NESTING} deep")
        waiting += [(element, depth + 1) for element in inside]
    return value


def _is_plain(value: Any) -> bool:
    """Whether it is a value without others inside, and of an ordinary size."""
    if type(value) is int:
        return value.bit_length() < MAX_BITS
    return type(value) in (type(None), bool, float) or (type(value) is str and _is_text(value))


def _problem(value: Any) -> str:
    """Why a value is not plain."""
    if type(value) is str:
        return f"has a character that text cannot have: {_short(value)}"
    if type(value) is int:
        return f"has a number that is too large: {_short(value)}"
    return f"must be plain numbers, strings, lists and mappings, not {_short(value)}"


def _is_text(text: str) -> bool:
    """Whether it can be written to a file, and be a file name: no lone surrogate, no NUL."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _short(value: Any) -> str:
    try:
        text = ascii(value)
    except ValueError:  # an integer of thousands of digits
        text = f"a large {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:59]}…"


def to_python(value: Any, what: str) -> str:
    """The literal as Python source, verified to evaluate to it. Raises InputError for any other value."""
    check(value, what)
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
    try:
        proved = ast.literal_eval(text) == value
    except (ValueError, SyntaxError):  # infinity, not a number
        proved = False
    if not proved:
        raise InputError(f"{what} must be a plain value, not {_short(value)}")
    return text


# --- YAML ------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """The part of YAML 1.2 that plain literals need: no tags, aliases, dates or base-60 numbers."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            self._refuse("an alias (& or *): write the value itself", event)
        if event.tag is not None:
            self._refuse(f"the tag {_short(event.tag)}: plain values have none", event)
        self.depth += 1
        if self.depth > MAX_NESTING:
            self._refuse(f"lists and mappings more than {MAX_NESTING} deep", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        """A mapping whose keys are strings, each once."""
        mapping: dict = {}
        for key, value in node.value:
            name = self.construct_object(key, deep=True)
            if type(name) is not str:
                self._refuse(f"the key {_short(name)} is not a string", key)
            if name in mapping:
                self._refuse(f"{_short(name)} twice", key)
            mapping[name] = self.construct_object(value, deep=deep)
        return mapping

    def construct_number(self, node: Any) -> int:
        """An integer: decimal, 0o17 or 0x0f."""
        if len(node.value) > MAX_DIGITS:
            self._refuse(f"a number of {len(node.value)} digits; at most {MAX_DIGITS} are allowed", node)
        return int(node.value, {"0o": 8, "0x": 16}.get(node.value[:2], 10))

    def construct_fraction(self, node: Any) -> float:
        """A floating-point number, .inf or .nan."""
        return float(re.sub(r"\.(?=[in])", "", node.value.lower()))

    @staticmethod
    def _refuse(problem: str, node: Any) -> None:
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


_Loader.yaml_implicit_resolvers = {}  # drop those of YAML 1.1
for kind, pattern, first in (  # the core schema of YAML 1.2, chapter 10.3
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
):
    tag = f"tag:yaml.org,2002:{kind}"
    _Loader.add_implicit_resolver(tag, re.compile(rf"(?:{pattern})\Z"), [*first, *[""] * (kind == "null")])
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_fraction)


def read_yaml(text: str, what: str) -> Any:
    """The plain literal in a YAML text. what: its name for errors. Raises InputError, naming the line."""
    if len(text) > MAX_BYTES:
        raise InputError(f"{what} has more than {MAX_BYTES:,} characters")
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        if type(error) is not yaml.MarkedYAMLError:  # the parser's, and not ours
            problem = f"cannot be read as YAML: {problem.removeprefix('but ')}"
        mark = getattr(error, "problem_mark", None)
        raise InputError(f"{what}: {problem}{f' (line {mark.line + 1})' if mark else ''}") from error
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{what}: cannot be read as YAML: an escape for a character that does not exist"
        ) from error
    return check(value, what)


def read_file(path: Path) -> Any:
    """The plain literal in a YAML file. Raises InputError for any other file, and for one too large."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for a writer
            raise InputError(f"study file {path} is not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"study file {path} has more than {MAX_BYTES:,} bytes")
        return read_yaml(content.decode("utf-8-sig"), f"study file {path}")
    except OSError as error:
        raise InputError(f"no study file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"study file {path} is not in UTF-8: save it in that encoding") from error


def is_number(value: Any) -> bool:
    """Whether it is a finite number. Booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
