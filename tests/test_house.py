"""The house: which room may know which, and how notebooks are stored."""

import ast
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import horticulture

LIBRARY = Path(horticulture.__file__).parent
NOTEBOOKS = sorted((LIBRARY.parents[1] / "notebooks").glob("*.ipynb"))

# Every room imports only from rooms before it.
ROOMS = [
    "errors",
    "custom",
    "architecture",
    "families",
    "profiles",
    "budgets",
    "networks",
    "surgery",
    "data",
    "rules",
    "penalties",
    "evaluation",
    "training",
    "sparsity",
    "huffman",
    "compression",
    "saliency",
    "choosing",
    "pruning",
    "oracle",
    "machine",
    "latency",
    "store",
    "runs",
    "progress",
    "evidence",
    "results",
    "checkpoints",
    "jobs",
    "pruned",
    "protocol",
    "ledger",
    "pool",
    "cluster",
    "session",
    "engine",
    "study",
    "figures",
    "widgets",
    "cli",
]
# A laptop without torch can plan, collect and draw.
NO_TORCH = (
    "custom",
    "errors",
    "store",
    "architecture",
    "families",
    "huffman",
    "profiles",
    "budgets",
    "runs",
    "progress",
    "evidence",
    "results",
    "engine",
    "study",
    "figures",
    "widgets",
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

MODULES = {
    path: path.relative_to(LIBRARY) for path in sorted(LIBRARY.rglob("*.py")) if path.parent != LIBRARY
}
MODULES |= {
    path: path.relative_to(LIBRARY) for path in sorted(LIBRARY.glob("*.py")) if path.stem != "__init__"
}
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(MODULES[path]))


def room(path: Path) -> str:
    """`networks/parts.py` is in the room `networks`."""
    return MODULES[path].with_suffix("").parts[0]


def imports(path: Path) -> set[tuple[str, str, str]]:
    """Every import anywhere in a module: the module, the function or class it stands in, the dotted name."""
    found: set[tuple[str, str, str]] = set()
    for top in ast.parse(path.read_text()).body:
        names: set[str] = set()
        for node in ast.walk(top):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative imports hide the room"
                if node.module == "horticulture":
                    names |= {f"horticulture.{alias.name}" for alias in node.names}
                else:
                    names.add(node.module or "")
        found |= {(str(MODULES[path]), getattr(top, "name", ""), name) for name in names}
    return found


def imported(path: Path) -> set[str]:
    """Every module that this one imports, by its dotted name."""
    return {name for module, within, name in imports(path)}


def rooms_entered(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported(path) if name.startswith("horticulture.")}


def test_every_module_has_its_room():
    assert {room(path) for path in MODULES} <= set(ROOMS)
    assert len(ROOMS) == len(set(ROOMS))


@each_module
def test_a_room_imports_only_from_rooms_above_it(path):
    above = ROOMS[: ROOMS.index(room(path)) + 1]  # and from itself
    assert rooms_entered(path) <= set(above)


def test_the_guide_for_developers_lists_every_room_in_order():
    text = (LIBRARY.parents[1] / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (`.*`) \| .* \| (yes|no) \|$", text, re.MULTILINE)
    listed = [(name, torch) for names, torch in rows for name in re.findall(r"`(\w+)/?`", names)]
    assert [name for name, _ in listed] == ROOMS
    assert {name for name, torch in listed if torch == "no"} == {*NO_TORCH, "cli"}


def test_the_engine_knows_no_store_and_the_store_no_engine():
    engine = set(ROOMS[ROOMS.index("networks") : ROOMS.index("machine")])
    store = {"store", "runs", "progress", "evidence", "results", "study", "figures", "widgets"}
    both = {"checkpoints", "jobs", "pruned", "protocol", "ledger", "pool", "cluster", "session"}
    assert engine | store | both <= set(ROOMS)
    for path in MODULES:
        here = room(path)
        forbidden = store | both if here in engine else engine | both if here in store else set()
        assert not rooms_entered(path) & forbidden, path


@pytest.mark.parametrize("name", NO_TORCH)
def test_a_room_needs_no_torch_even_through_others(name):
    waiting, seen = {name}, set()
    while waiting:
        here = waiting.pop()
        seen.add(here)
        paths = [path for path in MODULES if room(path) == here]
        for path in paths:
            roots = {module.split(".")[0] for module in imported(path)}
            assert not roots & {"torch", "torchvision", "safetensors"}, f"{name} needs torch through {here}"
            waiting |= rooms_entered(path) - seen


def test_those_rooms_can_be_entered_where_there_is_no_torch():
    there = [
        f"horticulture.{name}" for name in (*NO_TORCH, "cli") if any(room(path) == name for path in MODULES)
    ]
    code = f"{BARRED}\nimport papermill, {', '.join(there)}"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


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
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert "widgets" not in notebook["metadata"]
    assert "papermill" not in notebook["metadata"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_code_cell_follows_another_without_prose(path):
    kinds = [cell["cell_type"] for cell in json.loads(path.read_text())["cells"]]
    assert set(kinds) == {"markdown", "code"}
    assert kinds[0] == kinds[-1] == "markdown"
    assert ("code", "code") not in itertools.pairwise(kinds)


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
