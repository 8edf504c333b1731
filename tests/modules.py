"""What each room and module is for, in CONTRIBUTING.md as the first sentences of their docstrings say it.

python -m tests.modules            write it there
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "lib" / "horticulture"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
ROW = re.compile(r"^\| `(\w+)(/|\.py)` \| .* \| (yes|no) \|$", re.MULTILINE)
HEADING = "## The modules\n"


def refreshed(text: str) -> str:
    """The guide, with its table of rooms and its list of modules as the docstrings have them."""
    rooms = [LIBRARY / name for name, kind, _ in ROW.findall(text) if kind == "/"]
    text = ROW.sub(_row, text)
    lists = ["\n".join([f"\n### `{room.name}/`\n", *_lines(room)]) + "\n" for room in rooms]
    return text.partition(HEADING)[0] + HEADING + "".join(lists)


def _row(row: re.Match) -> str:
    name, kind, torch = row.groups()
    path = LIBRARY / name / "__init__.py" if kind == "/" else LIBRARY / f"{name}.py"
    return f"| `{name}{kind}` | {purpose(path)} | {torch} |"


def _lines(folder: Path) -> Iterator[str]:
    """A line for each module in a folder, and for each folder inside with what is in it."""
    for path in sorted(folder.iterdir()):
        if (path / "__init__.py").exists():
            yield f"- `{path.name}/`: {purpose(path / '__init__.py')}"
            yield from (f"  {line}" for line in _lines(path))
        elif path.suffix == ".py" and path.stem != "__init__":
            yield f"- `{path.stem}`: {purpose(path)}"


def purpose(path: Path) -> str:
    """The first paragraph of a module's docstring."""
    return " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0].split())


if __name__ == "__main__":
    CONTRIBUTING.write_text(refreshed(CONTRIBUTING.read_text()))
