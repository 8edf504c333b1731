"""The set-up: pins that every Python takes, and what a repository is expected to have."""

import json
import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests import strip

HERE = Path(__file__).parents[1]
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
LINES = (HERE / "constraints.txt").read_text().splitlines()
PINS = dict(line.split("==") for line in LINES if not line.startswith("#"))
NAMED = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)


def test_the_oldest_python_that_was_tried_is_the_oldest_that_is_allowed():
    assert PROJECT["requires-python"] == f">={NAMED[0]}"


def test_a_pin_takes_every_python_that_is_named_from_its_first_release_on():
    """By the metadata of what is installed; at another version than the pin, that says nothing."""
    known = {}
    for name, version in PINS.items():
        try:
            actual = metadata(name)
        except PackageNotFoundError:
            continue
        if actual["Version"] == version:
            known[name] = SpecifierSet(actual.get("Requires-Python", ""))
    assert len(known) > len(PINS) / 2
    refused = {
        name: str(wanted) for name, wanted in known.items() if not all(f"{n}.0" in wanted for n in NAMED)
    }
    assert refused == {}


def test_every_dependency_is_pinned_to_a_version_that_is_allowed():
    wanted = [Requirement(line) for line in PROJECT["dependencies"]]
    wanted += [Requirement(line) for group in PROJECT["optional-dependencies"].values() for line in group]
    pins = {canonicalize_name(name): version for name, version in PINS.items()}
    for one in wanted:
        if one.name != PROJECT["name"]:
            assert pins[canonicalize_name(one.name)] in one.specifier


def test_continuous_integration_runs_on_the_lowest_and_the_highest_python_that_are_named():
    job = yaml.safe_load((HERE / ".github/workflows/ci.yml").read_text())["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == [NAMED[0], NAMED[-1]]
    assert job["steps"][-1]["run"] == "bash .ci/run"


# --- notebooks are stored as they were written -----------------------------------------------------------


def notebook() -> dict:
    return json.loads((strip.NOTEBOOKS / "01_train.ipynb").read_text())


def run_cell(found: dict) -> None:
    cell = next(cell for cell in found["cells"] if cell["cell_type"] == "code")
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["1\n"]}]
    cell["execution_count"] = 1


def count_cell(found: dict) -> None:
    next(cell for cell in found["cells"] if cell["cell_type"] == "code")["execution_count"] = 7


def time_cell(found: dict) -> None:
    found["cells"][0]["metadata"]["papermill"] = {"duration": 1.5}


def keep_widgets(found: dict) -> None:
    found["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}


def choose_kernel(found: dict) -> None:
    found["metadata"]["kernelspec"]["name"] = "my-environment"


@pytest.mark.parametrize("spoil", [run_cell, count_cell, time_cell, keep_widgets, choose_kernel])
def test_a_notebook_saved_after_a_run_is_noticed_and_stripped_to_what_was_written(tmp_path, capsys, spoil):
    actual, path = notebook(), tmp_path / "01_train.ipynb"
    spoil(actual)
    path.write_text(json.dumps(actual))
    assert strip.main(["--check", str(path)]) == 1
    assert str(path) in capsys.readouterr().out
    assert json.loads(path.read_text()) == actual
    assert strip.main([str(path)]) == 0
    assert path.read_text() == (strip.NOTEBOOKS / path.name).read_text()
    assert strip.main(["--check", str(path)]) == 0


def test_what_a_person_gave_a_cell_stays():
    actual = notebook()
    actual["cells"][0]["metadata"] = {"tags": ["mine"], "jupyter": {"source_hidden": True}}
    text = json.dumps(actual, indent=1, ensure_ascii=False) + "\n"
    assert strip.stripped(text) == text


def texts() -> dict[Path, str]:
    """Every page and every notebook's prose, by its path."""
    pages = [*HERE.glob("*.md"), *(HERE / "docs").glob("*.md"), *(HERE / "notebooks").glob("*.md")]
    actual = {path: path.read_text() for path in pages}
    for path in (HERE / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        actual[path] = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return actual


def anchors(text: str) -> set[str]:
    """The names by which a page's headings are linked, and the places that have a name of their own."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    named = re.findall(r'<a id="([^"]+)"></a>', text)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings} | {
        *named
    }


@pytest.mark.parametrize("path", texts(), ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    pages = texts()
    for link in re.findall(r"\]\(([^)\s]+)\)", pages[path]):
        if link.startswith(("http", "mailto")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(pages[target]), link
