"""Study files and the parameters of the notebooks: read, checked and typed before anything starts.

Neither papermill nor torch is loaded here: the command answers at once.
"""

import ast
import contextlib
import hashlib
import io
import json
import re
import tokenize
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from horticulture.errors import InputError, check_choice

TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}
PLACE = ("device", "workers", "cluster")  # where a study is computed: no part of its result
COMMON = ("study", "outputs", *PLACE)  # declared in every notebook; any other belongs to one
RENAMED = {  # as the folders of earlier versions call them
    "tune_lr": "finetune_lr",
    "tune_epochs": "finetune_epochs",
    "longer": "base_epoch_factors",
    "longer_sizes": "factor_sizes",
    "judged": "oracle_criteria",
    "judged_channels": "oracle_channels",
    "judged_images": "oracle_images",
    "timed": "latency_batch_sizes",
    "timed_seconds": "latency_seconds",
    "copied": "copycat_size",
}
OPTIONS = {"study": "--name NAME", "outputs": "--outputs PATH"}  # parameters that the command itself gives
ALL = "all"  # as `rounds`: until nothing more can be removed
RESERVED = ("runs", "reference")  # folders under outputs that are no studies
LONGEST = 60  # characters of a name that is made here


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-1 is a number, as everywhere else."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


@dataclass(frozen=True)
class Study:
    """What a study file says. seconds: what each notebook took on two cores, to estimate the time left.

    A study in parts goes through the notebooks once for each: `parts` has what is different in it.
    """

    name: str
    about: str
    parameters: dict[str, Any]
    seconds: dict[str, float]
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def expand_parts(self) -> list["Study"]:
        """The study itself, or one for each of its parts, called `STUDY-PART`."""
        if not self.parts:
            return [self]
        return [
            replace(self, name=f"{self.name}-{part}", parameters=self.parameters | different, parts={})
            for part, different in self.parts.items()
        ]


def notebooks() -> list[Path]:
    """The ordered notebooks of the checkout. Raises InputError if the package is not in one."""
    found = sorted((Path(__file__).parents[3] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise InputError(
            "the notebooks are not beside the package: install it from a checkout, pip install -e ."
        )
    return found


def beginning(first: str) -> tuple[list[Path], bool]:
    """The notebooks from the one that `first` names (`4`, `04`, `04_scale`), and whether those are all."""
    every = notebooks()
    wanted = first.zfill(2)
    start = next((i for i, path in enumerate(every) if path.stem.startswith(wanted)), None)
    if start is None:
        names = ", ".join(path.stem for path in every)
        raise InputError(f"no notebook begins with {first!r}: choose from {names}")
    return every[start:], start == 0


def studies() -> dict[str, Path]:
    """The study files of the checkout, by name."""
    folder = Path(__file__).parents[3] / "notebooks" / "studies"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def kept(folder: Path) -> dict[str, Any]:
    """What `study.json` in a study's folder says, {} if there is none: `study`, `parameters`, `base`.

    Parameters of earlier versions come by the names of today. Raises CorruptFileError if it cannot be read.
    """
    from horticulture.files import CorruptFileError, read_json

    path = folder / "study.json"
    said = read_json(path) if path.exists() else {}
    if not isinstance(said, dict) or not isinstance(said.get("parameters", {}), dict):
        raise CorruptFileError(path)
    if "parameters" in said:
        said["parameters"] = {RENAMED.get(name, name): value for name, value in said["parameters"].items()}
    return said


def is_file(name: str) -> bool:
    """Whether a study is named by the path of its file."""
    return name.endswith((".yaml", ".yml"))


def read(name: str) -> Study:
    """A study by its name or the path of its file. Raises InputError if there is none or it is malformed."""
    path = Path(name) if is_file(name) else studies()[check_choice(name, studies(), "study")]
    try:
        content = yaml.load(path.read_text(), _Loader)
    except FileNotFoundError as error:
        raise InputError(f"no study file {path}") from error
    except yaml.YAMLError as error:
        raise InputError(f"study file {path} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict) or not isinstance(content.get("parameters"), dict):
        raise InputError(f"study file {path} must hold `about`, `seconds` and `parameters`")
    parts = content.get("parts") or {}
    if not isinstance(parts, dict) or not all(isinstance(part, dict) for part in parts.values()):
        raise InputError(f"study file {path}: parts must hold parameters by the name of the part")
    about, seconds = content.get("about", ""), content.get("seconds") or {}
    return Study(path.stem, about, content["parameters"], seconds, parts)


# --- parameters ------------------------------------------------------------------------------------------


@cache
def notebook_parameters(notebook: Path) -> dict[str, dict]:
    """The parameters of a notebook: name -> {"type", "default", "help"}, from its `parameters` cell."""
    cells = json.loads(notebook.read_text())["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    source = "".join(tagged[0]["source"]) if tagged else ""
    comments = {
        token.start[0]: token.string.removeprefix("#").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    return {
        name: {
            "type": kind or type(_plain(value)).__name__,
            "default": _plain(value),
            "help": " ".join(comments[n] for n in _lines(value) if n in comments),
        }
        for name, kind, value in _assignments(source)
    }


def _assignments(source: str) -> list[tuple[str, str, ast.expr]]:
    """Name, type ("" if it is not said) and value of everything that a parameters cell assigns."""
    found = []
    for line in ast.parse(source).body:
        if isinstance(line, ast.AnnAssign) and line.value:
            found.append((ast.unparse(line.target), ast.unparse(line.annotation), line.value))
        elif isinstance(line, ast.Assign) and len(line.targets) == 1:
            found.append((ast.unparse(line.targets[0]), "", line.value))
    return found


def _plain(value: ast.expr) -> Any:
    """A literal's value. None for what a person wrote and saved there that only a kernel can compute."""
    try:
        return ast.literal_eval(value)
    except ValueError:
        return None


def declared() -> dict[str, dict]:
    """The parameters of all notebooks, as `notebook_parameters`, each with the "step" that it belongs to.

    A step is the place of the notebook in the order, from 0. What all notebooks declare belongs to the first.
    """
    found: dict[str, dict] = {}
    for step, notebook in enumerate(notebooks()):
        for name, about in notebook_parameters(notebook).items():
            found.setdefault(name, {**about, "step": step})
    return found


def fill_in(source: str, values: dict[str, Any]) -> str:
    """The source of a parameters cell with other values, so that a reader finds each of them once.

    Raises InputError for a value that is no plain literal.
    """
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    for name, _, old in reversed(_assignments(source)):  # from the end, so that places before stay
        if name not in values or _plain(old) == values[name]:
            continue
        first, last = old.lineno - 1, (old.end_lineno or old.lineno) - 1
        before, after = lines[first][: old.col_offset], lines[last][old.end_col_offset :]
        lines[first : last + 1] = [before + _literal(name, values[name]).encode() + after]
    return b"".join(lines).decode()


def _literal(name: str, value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
    try:
        same = ast.literal_eval(text) == value
    except (ValueError, SyntaxError):
        same = False
    if not same:
        raise InputError(f"parameter {name} must be a plain value, not {value!r}")
    return text


def _lines(node: ast.expr) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def parse(assignments: list[str]) -> dict[str, str]:
    """`["seeds=[0, 1]", "data=clutter"]` -> {"seeds": "[0, 1]", "data": "clutter"}."""
    split = [assignment.partition("=") for assignment in assignments]
    for name, equals, _ in split:
        if not equals:
            raise InputError(f"-p {name!r}: say NAME=VALUE")
    return {name.strip(): value for name, _, value in split}


def resolve_parameters(study: Study, overrides: dict[str, Any]) -> dict[str, Any]:
    """All parameters of all notebooks: defaults, then the study's, then the overrides.

    An override given as text is read as the type that the notebooks declare. Raises InputError for a name
    that no notebook has, or a value of the wrong type.
    """
    known = declared()
    settled = {name: about["default"] for name, about in known.items()}
    for source, given in ((f"study {study.name}", study.parameters), ("-p", overrides)):
        for name, value in given.items():
            check_choice(name, known, f"parameter ({source})")
            if name in OPTIONS:
                raise InputError(f"{name} is no parameter of a study ({source}): use {OPTIONS[name]}")
            settled[name] = typed(name, value, known[name])
    for name, value in settled.items():
        if value is None:
            raise InputError(
                f"parameter {name}: the notebook computes it, so say its value with -p {name}=..."
            )
    return settled


def typed(name: str, value: Any, about: dict[str, Any]) -> Any:
    """A value of the type that a notebook declares, also if it was given as text. Raises InputError."""
    kind = about["type"]
    if (name, value) == ("device", "mps"):
        raise InputError("device 'mps' is not supported: nothing here was ever tried on it; use cpu or auto")
    if name == "rounds" and value == ALL:
        return value
    if isinstance(value, str) and kind != "str":
        text = f"[{value}]" if kind == "list" and not value.strip().startswith("[") else value
        with contextlib.suppress(yaml.YAMLError):  # what stays text is refused below
            value = yaml.load(text, _Loader)
    wanted = TYPES[kind]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise InputError(
            f"parameter {name} must be of type {kind}, such as {about['default']}, not {value!r}"
        )
    return float(value) if isinstance(value, int) and kind == "float" else value


def changes(study: Study, overrides: dict[str, Any]) -> dict[str, Any]:
    """What the overrides make different from the study's file, as far as results depend on it."""
    found: dict[str, Any] = {}
    for part in study.expand_parts():
        own, settled = resolve_parameters(part, {}), resolve_parameters(part, overrides)
        found |= {
            name: settled[name] for name in overrides if name not in PLACE and settled[name] != own[name]
        }
    return found


def check_name(name: str, what: str = "study") -> None:
    """Raise InputError for a name that cannot be the folder of a study."""
    if not re.fullmatch(r"\w[\w.=+-]*", name) or name in RESERVED:
        raise InputError(f"{what} {name!r}: a study needs the name of a folder, of letters and digits")


def named(study: Study, name: str, overrides: dict[str, Any]) -> Study:
    """The study under the name that its results go by.

    That is `name` if there is one. Without, a study whose parameters are not those of its file is called
    after what differs, so that it neither overwrites the figures of the other nor mixes with them; the same
    parameters always give the same name. Raises InputError for a name that cannot be a folder of its own.
    """
    if not name:
        said = "".join(f" {key} {value}" for key, value in changes(study, overrides).items())
        made = study.name + re.sub(r"[^\w.]+", "-", said).rstrip("-")
        if len(made) > LONGEST:
            made = f"{made[:LONGEST]}-{hashlib.sha256(said.encode()).hexdigest()[:6]}"
        return replace(study, name=made)
    check_name(name, "--name")
    others = {part.name for other in studies() if other != study.name for part in read(other).expand_parts()}
    if name in others | (set(studies()) - {study.name}):
        raise InputError(f"--name {name!r}: there is a study of that name, choose another")
    return replace(study, name=name)
