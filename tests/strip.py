"""Notebooks as they are stored: what was written, and nothing of what was run.

python -m tests.strip            strip the notebooks, or those named
python -m tests.strip --check    say which would change, and fail if any would
"""

import json
import sys
from pathlib import Path

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
OF_A_RUN = ("papermill", "execution", "ExecuteTime", "collapsed", "scrolled")  # in the metadata of a cell


def stripped(text: str) -> str:
    """The notebook without outputs, counts and whatever else a run or a person's editor leaves in it."""
    notebook = json.loads(text)
    notebook["metadata"] = METADATA
    for cell in notebook["cells"]:
        cell["metadata"] = {name: value for name, value in cell["metadata"].items() if name not in OF_A_RUN}
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Strip or check; returns the exit code."""
    check = "--check" in arguments
    named = [Path(argument) for argument in arguments if argument != "--check"]
    changed = []
    for path in named or sorted(NOTEBOOKS.glob("*.ipynb")):
        text = path.read_text()
        if stripped(text) != text:
            changed.append(path)
            if not check:
                path.write_text(stripped(text))
    for path in changed:
        print(f"{path}: {'has outputs or is not as stored: python -m tests.strip' if check else 'stripped'}")
    return int(check and bool(changed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
