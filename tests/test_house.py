"""The house: which room may know which, and how notebooks are stored."""

import ast
import importlib
import json
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import horticulture
from tests import modules, strip

LIBRARY = Path(horticulture.__file__).parent
NOTEBOOKS = sorted((LIBRARY.parents[1] / "notebooks").glob("*.ipynb"))

# The twelve rooms. Each imports only from those before it: without a circle and without an exception.
HOUSE = (
    *("errors", "system", "architecture", "data", "networks", "runs"),
    *("training", "analysis", "pruning", "execution", "study", "cli"),
)
# A laptop without torch can plan, collect and draw, and a command answers before torch could be loaded.
NO_TORCH = ("errors", "system", "architecture", "runs", "analysis", "cli")
# And a study is refused before it: so recipes, and all that describes a study, need none at once.
NO_TORCH_EITHER = (
    *(f"data/{name}.py" for name in ("__init__", "arrays", "catalog", "datasets", "decoding", "folders")),
    *("data/locations.py", "data/reading.py", "training/__init__.py", "training/recipe.py"),
    *(f"execution/{name}.py" for name in ("__init__", "specs")),
    *(f"pruning/{name}.py" for name in ("__init__", "criteria", "presets", "recipe", "ranking")),
    *(f"study/{name}.py" for name in ("bounds", "budgets", "config", "housekeeping", "inventory")),
    *(f"study/{name}.py" for name in ("literals", "papermill_engine", "parameters", "pruned", "runner")),
    *(f"study/{name}.py" for name in ("preparation", "scaling", "session", "snapshots", "study_files")),
    *(f"study/{name}.py" for name in ("terminal", "training_config", "validation")),
)
LONGEST = 320  # lines
BARRED = """
import sys
class Barrier:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("torch", "torchvision", "safetensors"):
            raise ModuleNotFoundError(f"no {name} here")
sys.meta_path.insert(0, Barrier())
"""

BESIDE = ("__init__", "__main__")  # the only files beside the rooms
MODULES = {
    path: path.relative_to(LIBRARY)
    for path in sorted(LIBRARY.rglob("*.py"))
    if path.parent != LIBRARY or path.stem not in BESIDE
}
NAMES = {".".join(("horticulture", *there.with_suffix("").parts)): path for path, there in MODULES.items()}
NAMES = {name.removesuffix(".__init__"): path for name, path in NAMES.items()}
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(MODULES[path]))


def room(path: Path) -> str:
    """`networks/layers.py` is in the room `networks`."""
    return MODULES[path].with_suffix("").parts[0]


def imported(path: Path, in_functions_too: bool = True) -> set[str]:
    """Every module that this one imports, by its dotted name; not
    `in_functions_too`: none that a function imports."""
    modules: set[str] = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if in_functions_too else tree.body:
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                modules.add(name if name in NAMES else node.module or "")
    return modules


def rooms_entered(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported(path) if name.startswith("horticulture.")}


def test_the_house_has_these_rooms_and_no_others():
    beside = {f"{name}.py" for name in BESIDE}
    assert {path.name for path in LIBRARY.iterdir()} - beside - {"__pycache__"} == {*HOUSE[1:], "errors.py"}


@each_module
def test_a_room_imports_only_from_rooms_above_it(path):
    assert rooms_entered(path) <= set(HOUSE[: HOUSE.index(room(path)) + 1])  # and from itself


@pytest.mark.parametrize("name", HOUSE)
def test_the_files_of_a_room_have_an_order_too(name):
    """Who imports whom within a room, its own front door included, never comes back to where it began."""
    inside = {module for module, path in NAMES.items() if room(path) == name}
    graph = {module: imported(NAMES[module]) & inside for module in inside}
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_the_guide_for_developers_lists_every_room_in_order():
    text = (LIBRARY.parents[1] / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| `(\w+)(?:/|\.py)` \| .* \| (yes|no) \|$", text, re.MULTILINE)
    assert tuple(name for name, _ in rows) == HOUSE
    assert {name for name, torch in rows if torch == "no"} == set(NO_TORCH)
    assert modules.refreshed(text) == text, "python -m tests.modules"


def needs_no_torch(path: Path) -> bool:
    return room(path) in NO_TORCH or str(MODULES[path]) in NO_TORCH_EITHER


@pytest.mark.parametrize("path", list(filter(needs_no_torch, MODULES)), ids=lambda path: str(MODULES[path]))
def test_a_module_needs_no_torch_even_through_others(path):
    waiting, seen = {path}, set()
    while waiting:
        here = waiting.pop()
        seen.add(here)
        actual = imported(here, in_functions_too=False)
        roots = {name.split(".")[0] for name in actual}
        assert not roots & {"torch", "torchvision", "safetensors"}, f"{path} needs torch through {here}"
        doors = {name.rpartition(".")[0] for name in actual}  # the package of a module is entered first
        waiting |= {NAMES[name] for name in actual | doors if name in NAMES} - seen


def test_those_modules_can_be_entered_where_there_is_no_torch():
    present = [name for name, path in NAMES.items() if needs_no_torch(path)]
    code = f"{BARRED}\nimport papermill, {', '.join(present)}"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("name", sorted(horticulture.LAZY))
def test_what_the_package_offers_beside_its_rooms_can_be_taken_first_of_all(name):
    code = f"from horticulture import {name}; import horticulture; assert horticulture.{name} is {name}"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


@each_module
def test_a_module_is_not_too_long_to_read(path):
    assert len(path.read_text().splitlines()) <= LONGEST


@each_module
def test_everything_public_says_what_it_is_for(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    public = [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
    for node in list(public):
        if isinstance(node, ast.ClassDef):
            public += [n for n in node.body if isinstance(n, kinds) and not n.name.startswith("_")]
    assert [node.name for node in public if not ast.get_docstring(node)] == []


@each_module
def test_no_module_seeds_a_global_stream(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    for call in calls:
        name = ast.unparse(call.func)
        assert name not in ("torch.manual_seed", "torch.seed", "np.random.seed", "random.seed"), name


# --- notebooks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_as_it_was_written_not_as_it_was_run(path):
    assert strip.stripped(path.read_text()) == path.read_text(), "python -m tests.strip"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_prose_and_code_take_turns(path):
    """At most two short code cells in a row; one that only says something in words counts as prose."""
    cells = json.loads(path.read_text())["cells"]
    assert cells[0]["cell_type"] == cells[-1]["cell_type"] == "markdown"
    silent = [c["cell_type"] == "code" and "Markdown(" not in "".join(c["source"]) for c in cells]
    assert not any(all(silent[n : n + 3]) for n in range(len(silent)))
    lengths = {n: len(c["source"]) for n, c in enumerate(cells) if c["cell_type"] == "code" and n > 1}
    assert {n: length for n, length in lengths.items() if length > 30} == {}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_one_cell_of_parameters_all_of_them_plain(path):
    cells = json.loads(path.read_text())["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1
    assert tagged[0]["cell_type"] == "code"
    for line in ast.parse("".join(tagged[0]["source"])).body:
        assert isinstance(line, ast.AnnAssign), "a parameter has its annotation"
        ast.literal_eval(line.value)  # raises if it is not a plain value
    assert not [cell for cell in cells if "injected-parameters" in cell["metadata"].get("tags", [])]


def test_every_name_that_notebooks_take_from_the_library_exists():
    for path in NOTEBOOKS:
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        tree, names = ast.parse("\n".join("".join(cell["source"]) for cell in cells)), {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("horticulture"):
                for name in node.names:
                    room = importlib.import_module(node.module)
                    if not hasattr(room, name.name):
                        importlib.import_module(f"{node.module}.{name.name}")
                    names[name.asname or name.name] = getattr(room, name.name)
        taken = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        for node in taken:
            if isinstance(node.value, ast.Name) and node.value.id in names:
                assert hasattr(names[node.value.id], node.attr), f"{path.name}: {ast.unparse(node)}"
        assert names
