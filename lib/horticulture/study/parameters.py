"""The notebooks' parameters: declared there, changed by study files and on the command line.

Neither papermill nor torch is loaded here, so the command answers at once.
"""

import ast
import hashlib
import io
import json
import re
import tokenize
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from horticulture.errors import InputError, check_choice
from horticulture.study import literals, own_code
from horticulture.study.study_files import Study, check_name, names as study_names, notebooks

TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}
COMPUTING = ("device", "workers", "cluster", "allow_code")  # does not affect results
COMMON = ("study", "outputs", *COMPUTING)  # declared in every notebook; any other belongs to one
# Parameters that the command sets through options of its own.
OPTIONS = {"study": "--name NAME", "outputs": "--outputs PATH", "allow_code": "--allow-code"}
OPTIONS_OF_FILES = {**OPTIONS, "cluster": "--cluster ADDRESS"}  # a stranger's file must not make connections
ALL = "all"  # as `rounds`: until nothing more can be removed
MADE_NAME = 60  # most characters of a name generated here


def notebooks_from(first: str) -> tuple[list[Path], int]:
    """The notebooks from the one that `first` names (`4`, `04`, `04_scale`), and its position, from 0."""
    paths = notebooks()
    wanted = first.zfill(2)
    start = next((i for i, path in enumerate(paths) if path.stem.startswith(wanted)), None)
    if start is None:
        names = ", ".join(path.stem for path in paths)
        raise InputError(f"no notebook begins with {first!r}: choose from {names}")
    return paths[start:], start


@cache
def notebook_parameters(notebook: Path) -> dict[str, dict]:
    """The parameters of a notebook: name -> {"type", "default", "help"}, from its `parameters` cell."""
    cells = json.loads(notebook.read_text())["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    code = "".join(tagged[0]["source"]) if tagged else ""
    comments = {
        token.start[0]: token.string.removeprefix("#").strip()
        for token in tokenize.generate_tokens(io.StringIO(code).readline)
        if token.type == tokenize.COMMENT
    }
    return {
        name: {
            "type": kind or type(_plain(value)).__name__,
            "default": _plain(value),
            "help": " ".join(
                comments[n] for n in range(value.lineno, (value.end_lineno or 0) + 1) if n in comments
            ),
        }
        for name, kind, value in _assignments(code)
    }


def _assignments(code: str) -> list[tuple[str, str, ast.expr]]:
    """Name, type ("" if it has none) and value of every assignment in a parameters cell."""
    assignments = []
    for line in ast.parse(code).body:
        if isinstance(line, ast.AnnAssign) and line.value:
            assignments.append((ast.unparse(line.target), ast.unparse(line.annotation), line.value))
        elif isinstance(line, ast.Assign):
            assignments += [(ast.unparse(target), "", line.value) for target in line.targets]
    return assignments


def assigned_names(code: str) -> dict[str, bool]:
    """The names that a cell assigns, and whether with a type annotation."""
    try:
        return {name: bool(kind) for name, kind, _ in _assignments(code) if name.isidentifier()}
    except SyntaxError:
        return {}


def _plain(value: ast.expr) -> Any:
    """A literal's value, or None for an expression that only a kernel can evaluate."""
    try:
        return ast.literal_eval(value)
    except ValueError:
        return None


def all_parameters() -> dict[str, dict]:
    """The parameters of all notebooks, as in `notebook_parameters`, each with its "notebook".

    That is the position of the notebook, from 0. Parameters that all notebooks declare belong to the first.
    """
    parameters: dict[str, dict] = {}
    for position, notebook in enumerate(notebooks()):
        for name, declaration in notebook_parameters(notebook).items():
            parameters.setdefault(name, {**declaration, "notebook": position})
    return parameters


def fill_in(code: str, values: dict[str, Any]) -> str:
    """Put new values into the code of a parameters cell, so that a reader finds each of them once.

    Raises InputError for a value that is not a plain literal.
    """
    lines = code.encode().splitlines(keepends=True)
    for name, _, old in reversed(_assignments(code)):  # backwards, so that earlier positions stay valid
        if name not in values or _plain(old) == values[name]:
            continue
        first, last = old.lineno - 1, (old.end_lineno or old.lineno) - 1
        before, after = lines[first][: old.col_offset], lines[last][old.end_col_offset :]
        lines[first : last + 1] = [
            before + literals.to_python(values[name], f"parameter {name}").encode() + after
        ]
    return b"".join(lines).decode()


def parse(assignments: list[str]) -> dict[str, str]:
    """`["seeds=[0, 1]", "data=clutter"]` -> {"seeds": "[0, 1]", "data": "clutter"}."""
    given: dict[str, str] = {}
    for name, equals, value in (assignment.partition("=") for assignment in assignments):
        if not equals:
            raise InputError(f"-p {name!r}: expected NAME=VALUE")
        if name.strip() in given:
            raise InputError(f"parameter {name.strip()} is given twice")
        given[name.strip()] = value
    return given


def resolve_parameters(study: Study, overrides: dict[str, Any]) -> dict[str, Any]:
    """All parameters of all notebooks: defaults, then the study's, then the overrides.

    An override given as text is read as the type that the notebooks declare. Raises InputError for an unknown
    name or a value of the wrong type.
    """
    known = all_parameters()
    resolved = {name: declaration["default"] for name, declaration in known.items()}
    from_file = (f"study {study.name}", study.parameters, OPTIONS_OF_FILES)
    for origin, given, options in (from_file, ("-p", overrides, OPTIONS)):
        for name, value in given.items():
            if name not in options:  # the others cannot be given here
                check_choice(name, [n for n in known if n not in options], f"parameter ({origin})")
            else:
                what = "a study parameter" if name in OPTIONS else "for study files"
                raise InputError(f"{name} is not {what} ({origin}): use {options[name]}")
            resolved[name] = convert(name, value, known[name])
    for name, value in resolved.items():
        if value is None:
            raise InputError(
                f"parameter {name}: the notebook computes it, so give its value with -p {name}=..."
            )
    return resolved


def with_absolute_folders(resolved: dict[str, Any]) -> dict[str, Any]:
    """Make the paths of image folders absolute: notebooks run in another directory than the command."""
    located = dict(resolved)
    for name in resolved.keys() & own_code.DATA:
        kind, _, path = located[name].partition(":")
        try:
            absolute = Path(path).expanduser().is_absolute()
        except RuntimeError as error:  # ~ of an unknown user
            raise InputError(f"{name}={located[name]}: no such home folder") from error
        if kind == "folder" and path and not absolute:
            located[name] = f"folder:{Path.cwd() / path}"
    return located


def convert(name: str, value: Any, declaration: dict[str, Any]) -> Any:
    """Convert a value, perhaps given as text, to the type that a notebook declares.

    Raises InputError for another type, or if it is not a plain literal.
    """
    kind = declaration["type"]
    if name == "rounds" and value == ALL:
        return value
    if isinstance(value, str) and kind != "str":
        text = f"[{value}]" if kind == "list" and not value.strip().startswith("[") else value
        value = literals.read_yaml(text, f"parameter {name}")
    literals.check(value, f"parameter {name}")
    wanted = TYPES[kind]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise InputError(
            f"parameter {name} must be of type {kind}, such as {declaration['default']!r}, not {value!r}"
        )
    if isinstance(value, int) and kind == "float":
        return float(value)
    return own_code.with_absolute_path(name, value)


def changes(study: Study, overrides: dict[str, Any]) -> dict[str, Any]:
    """The overrides that differ from the study's file and affect its results."""
    changed: dict[str, Any] = {}
    for part in study.expand_parts():
        own, resolved = resolve_parameters(part, {}), resolve_parameters(part, overrides)
        changed |= {
            name: resolved[name]
            for name in overrides
            if name not in COMPUTING and resolved[name] != own[name]
        }
    return changed


def rename(study: Study, name: str, overrides: dict[str, Any]) -> Study:
    """The study under the name that its results will have.

    That is `name`, if given. Otherwise, a study whose parameters differ from its file is named after the
    differences, so that the two do not overwrite each other's figures. The same parameters always give the
    same name. Raises InputError for a name that cannot be a folder of its own.
    """
    if not name:
        different = changes(study, overrides).items()
        suffix = "".join(f" {key} {own_code.without_folder(key, value)}" for key, value in different)
        made = study.name + re.sub(r"[^\w.]+", "-", suffix).rstrip("-")
        if len(made) > MADE_NAME:
            made = f"{made[:MADE_NAME]}-{hashlib.sha256(suffix.encode()).hexdigest()[:6]}"
        return replace(study, name=made)
    check_name(name, "--name")
    if name in study_names() - {study.name, *(part.name for part in study.expand_parts())}:
        raise InputError(f"--name {name!r}: a study of that name exists, choose another")
    return replace(study, name=name)
