"""A study's folder, or an exported network, from a stranger: it is read, or refused in one line.

One thing in it is not what we wrote, although every digest fits: a value, a cell, a part of a notebook. Or a
file is something else than a file.
"""

import contextlib
import csv
import hashlib
import io
import json
import os
import random
import shutil
import tempfile
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import horticulture
from horticulture import cli
from horticulture.errors import InputError
from horticulture.study import publish, runner
from horticulture.system import files
from tests import commands, power_cut
from tests.fuzzed import peak, within

SPHINX = bool(find_spec("sphinx") and find_spec("myst_nb"))
SECONDS = 300  # for one command, beside others on a busy machine
MEMORY = 2**31  # bytes that it may take beyond what the process had
MARKUP = "<script>alert(1)</script>"
DIRECTIVE = "\n```{include} ../../../secret\n```\n"
SECRET = "a password"
DEEP: Any = []
for _ in range(3000):
    DEEP = [DEEP]
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 7, 2**31, 2**63, 10**30, 0.5, 1e308, float("nan"), float("-inf")),
    *("", "x", "0", "nan", "../../../secret", "/dev/zero", "a\x1b[31mb", "\ud800", "\0", "x" * 100_000),
    *("folder:/dev", "kept:../../../x", "models.py:make", "torchvision:vit_h_14", MARKUP, DIRECTIVE),
    *([], {}, [[]], [0], [10**9] * 6, {"a": 1}, {"__proto__": 1}, DEEP),
]
CURVES = ("whole", "width", "bottleneck", "copycat", "pruned-tuned", "pruned-scratch")


def trial(seed: int) -> str:
    """What a command makes of a study's folder in which one thing is a stranger's."""
    draw = random.Random(seed)
    tree = dict(commands.undisturbed()[0])
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        outputs, secret = root / "outputs", root / "secret"
        secret.write_text(SECRET)
        if draw.random() < 0.8:
            what = forge(tree, draw)
            power_cut.plant(tree, outputs)
        else:
            power_cut.plant(tree, outputs)
            what = replace(outputs / draw.choice(sorted(tree)), secret, draw)
        arguments = asked(draw, root)
        before = peak()
        with within(SECONDS), contextlib.chdir(root):
            code, said, errors = answer([*arguments, "--outputs", str(outputs)])
        about = f"{what}: {' '.join(arguments)}: {code}\n{errors}"
        assert peak() - before < MEMORY, about
        assert secret.read_text() == SECRET, about
        assert {path.name for path in root.iterdir()} <= {"outputs", "secret", "site", "exported"}, about
        assert all(c.isprintable() or c == "\n" for c in said + errors), about
        for path in (root / "site", root / "exported"):
            check_written(path, about)
    if code == 0:
        return "survived"
    assert code in (1, 2), about
    assert len(errors.splitlines()) == 1, about
    return "refused"


def asked(draw: random.Random, root: Path) -> list[str]:
    """A command that reads a study."""
    curve = draw.choice(CURVES)
    export = ["export", "smoke", curve, "--to", str(root / "exported")]
    if curve == "pruned-tuned":
        export += ["--round", str(draw.randrange(9))]
    elif curve != "whole":
        export += ["--params", str(draw.choice([30_000, 70_000]))]
    others = [["show", "smoke"], ["clean", "--yes"], ["run", "smoke", "--dry-run"]]
    others += [["run", "smoke", "--from", "5"]]
    others += [["publish", "smoke", "--to", str(root / "site")]] * SPHINX
    return draw.choice([export, *others])


def answer(arguments: list[str]) -> tuple[int, str, str]:
    """What a command answers. No notebook is executed, and Sphinx only copies what it would read."""
    said, errors = io.StringIO(), io.StringIO()
    with (
        contextlib.ExitStack() as stack,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(errors),
        mock.patch.object(runner, "execute_notebook"),
        mock.patch.object(runner, "to_html"),
        mock.patch.object(publish, "REFERENCE", Path("nowhere")),
        warnings.catch_warnings(action="ignore"),  # of damage that can be handled
    ):
        if SPHINX:
            stack.enter_context(mock.patch("sphinx.application.Sphinx", Copier))
        code = cli.main(arguments)
    return code, said.getvalue(), errors.getvalue()


class Copier:
    """In the place of Sphinx: the site is what Sphinx would read."""

    def __init__(self, source: Path, _: Path, site: Path, *__: object, **___: object) -> None:
        self.source, self.site = source, site

    def build(self) -> None:
        shutil.copytree(self.source, self.site)


def check_written(folder: Path, about: str) -> None:
    """Nothing of a stranger's is markup on a page, and no file was taken along."""
    for path in folder.rglob("*"):
        assert not path.is_symlink(), about
        if path.is_file():
            content = path.read_text(errors="replace")
            assert SECRET not in content, f"{path}: {about}"
            if path.suffix == ".md":
                assert MARKUP not in content, f"{path}: {about}"
                assert DIRECTIVE.strip() not in content, f"{path}: {about}"


# --- what a stranger changed -----------------------------------------------------------------------------


def forge(tree: power_cut.Tree, draw: random.Random) -> str:
    """Change one thing in one file, and all digests of it; returns what."""
    of_kind = {".json": _json, ".ipynb": _json, ".csv": _table, ".safetensors": _tensors}
    paths = [path for path in sorted(tree) if Path(path).suffix in of_kind]
    path = draw.choice(paths)
    tree[path], what = of_kind[Path(path).suffix](tree[path], draw)
    refit(tree, path)
    return f"{path} {what}"


def refit(tree: power_cut.Tree, path: str) -> None:
    """Correct the digests of a changed file."""
    folder, _, name = path.rpartition("/")
    sums, result = f"{folder}/SHA256SUMS", f"{folder}/run.json"
    if sums in tree:
        names = [line.split()[1].decode() for line in tree[sums].splitlines()]
        lines = (f"{hashlib.sha256(tree[f'{folder}/{one}']).hexdigest()}  {one}\n" for one in names)
        tree[sums] = "".join(lines).encode()
    if result in tree and name != "run.json":
        record = json.loads(tree[result])
        record.pop(files.SEAL)
        record["files"][name] = files.digest(tree[path])
        tree[result] = json.dumps(files.seal(record)).encode()
    if name.startswith(("round-", "at-")):  # the name has the digest
        beginning = name.rpartition("-")[0]
        content = tree.pop(path)
        tree[f"{folder}/{beginning}-{files.digest(content)}.safetensors"] = content


def altered(record: Any, draw: random.Random) -> str:
    """Alter one thing in plain data; returns what."""
    places: list[tuple[Any, Any]] = []
    waiting = [record]
    while waiting:
        here = waiting.pop()
        keys = list(here) if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
        places += [(here, key) for key in keys]
        waiting += [here[key] for key in keys]
    place, key = draw.choice(places)
    match draw.randrange(8):
        case 0:
            del place[key]
            return f"without {key!r}"
        case 1:
            other, one = draw.choice(places)
            value = other[one] if one in other or isinstance(other, list) else None
            value = json.loads(json.dumps(value))  # no cycles
        case 2 if isinstance(place[key], int | float):
            value = draw.choice([-place[key], place[key] + 1, place[key] * 10**6, place[key] / 7])
        case 3 if isinstance(place, dict):
            place[draw.choice(["", "odd", "name", "run", MARKUP])] = draw.choice(VALUES)
            return "with another key"
        case _:
            value = draw.choice(VALUES)
    place[key] = value
    return f"{key!r}: {ascii(value)[:60] if value is not DEEP else 'deep'}"


def _json(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    record = json.loads(content)
    sealed = isinstance(record, dict) and record.pop(files.SEAL, None)
    what = altered(record, draw)
    try:
        return json.dumps(files.seal(record) if sealed else record).encode(), what
    except RecursionError:  # too deep for Python to write
        text = json.dumps({"a": 1})[:-1] + ', "b": ' + "[" * 100_000 + "]" * 100_000 + "}"
        return text.encode(), "deep"


def _table(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    rows = list(csv.reader(io.StringIO(content.decode())))
    row = draw.choice(rows)
    column = draw.randrange(len(row))
    value = str(draw.choice([one for one in VALUES if one is not DEEP]))
    match draw.randrange(6):
        case 0:
            rows.remove(row)
            what = f"without {row[0]}"
        case 1:
            for one in rows:
                del one[column]
            what = f"without column {column}"
        case 2:
            rows += [list(row)] * draw.choice([1, 1000])
            what = "with rows twice"
        case _:
            row[column] = value
            what = f"{rows[0][column]}: {ascii(value)[:60]}"
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors="surrogatepass"), what


def _tensors(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    about = header.get("__metadata__", {})
    if "numbers" in about and draw.random() < 0.7:
        numbers = json.loads(about["numbers"])
        what = altered(numbers, draw)
        try:
            about["numbers"] = json.dumps(numbers)
        except RecursionError:
            about["numbers"] = "[" * 100_000
    else:
        what = altered(header, draw)
    try:
        text = json.dumps(header).encode()
    except RecursionError:
        text = b"[" * 100_000
    return len(text).to_bytes(8, "little") + text + data, what


def replace(path: Path, secret: Path, draw: random.Random) -> str:
    """Put something else in the place of a file; returns what."""
    path.unlink()
    kind = draw.choice(["link", "zero", "loop", "nowhere", "pipe", "folder", "empty", "huge", "bytes"])
    match kind:
        case "link":
            path.symlink_to(secret)
        case "zero":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
        case "nowhere":
            path.symlink_to(path.parent / "nowhere")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
        case "huge":
            with path.open("wb") as file:
                file.truncate(2**40)
        case _:
            path.write_bytes(draw.randbytes(200))
    return f"{path} {kind}"


# --- an exported network ---------------------------------------------------------------------------------


@cache
def exported() -> power_cut.Tree:
    """The files of an exported network."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        power_cut.plant(commands.undisturbed()[0], root / "outputs")
        given = ["export", "smoke", "width", "--params", "70000", "--to", str(root / "exported")]
        code, _, errors = answer([*given, "--outputs", str(root / "outputs")])
        assert code == 0, errors
        return power_cut.tree(root / "exported")


def network_trial(seed: int) -> str:
    """Load an exported network in which one thing is a stranger's."""
    draw = random.Random(seed)
    tree = dict(exported())
    with tempfile.TemporaryDirectory() as place, within(SECONDS):
        root = Path(place) / "exported"
        secret = Path(place) / "secret"
        secret.write_text(SECRET)
        name = draw.choice(["config.json", "config.json", "model.safetensors"])
        if draw.random() < 0.9:
            change = _json if name == "config.json" else _tensors
            tree[name], what = change(tree[name], draw)
            if name != "config.json":
                config = json.loads(tree["config.json"])
                config.pop(files.SEAL)
                config["files"][name] = files.digest(tree[name])
                tree["config.json"] = json.dumps(files.seal(config)).encode()
            power_cut.plant(tree, root)
        else:
            power_cut.plant(tree, root)
            what = replace(root / name, secret, draw)
        before = peak()
        try:
            network = horticulture.load(root)
            outcome = "survived"
            assert sum(one.numel() for one in network.parameters()) == network.architecture.params
        except InputError as refusal:
            outcome = "refused" if "\n" not in str(refusal) else "failed"
        except Exception as error:
            raise AssertionError(f"{what}: {error}") from error
        assert peak() - before < MEMORY, what
    return outcome
