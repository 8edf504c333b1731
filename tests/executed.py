"""Small copies of executed notebooks, committed beside the tables of a reference study.

python -m tests.executed FOLDER    write those of a finished study, such as outputs/quick
python -m tests.executed --check   list the copies whose text differs from the notebooks, and fail if any does

After editing a notebook: `horticulture run quick` retrains nothing; then write the copies again.
"""

import base64
import io
import json
import sys
from pathlib import Path

import nbformat
from PIL import Image

from horticulture.study import pages, runner
from tests import strip

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "outputs" / "reference"
COLOURS = 64  # per figure: all of them would double its size


def small(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with only what a page shows: no paths and no times of this machine."""
    notebook = pages.portable(notebook)
    notebook.metadata = nbformat.from_dict(strip.METADATA)
    for cell in notebook.cells:
        kept = {name: value for name, value in cell.metadata.items() if name not in strip.OF_A_RUN}
        cell.metadata = nbformat.from_dict(kept)
        for output in cell.get("outputs", []):
            _lighten(output)
    return notebook


def _lighten(output: nbformat.NotebookNode) -> None:
    """Keep only the format that a page shows, and reduce the colours of a figure."""
    data = output.get("data", {})
    shown = next((kind for kind in pages.SHOWN if kind in data), None)
    for kind in set(data) - {shown}:
        del data[kind]
    if shown == "image/png":
        picture = Image.open(io.BytesIO(base64.b64decode(data[shown]))).convert("RGB")
        buffer = io.BytesIO()
        picture.quantize(COLOURS).save(buffer, "png", optimize=True)
        data[shown] = base64.b64encode(buffer.getvalue()).decode()


def written(path: Path) -> list[str]:
    """The source of every cell but the parameters, whose values are the study's."""
    cells = json.loads(path.read_text())["cells"]
    return ["".join(c["source"]) for c in cells if "parameters" not in c["metadata"].get("tags", [])]


def outdated(reference: Path = REFERENCE) -> list[Path]:
    """The committed copies whose text differs from the notebook."""
    found = sorted(reference.glob("*/notebooks/*.ipynb"))
    return [path for path in found if written(path) != written(strip.NOTEBOOKS / path.name)]


def write(study: Path, reference: Path = REFERENCE) -> list[Path]:
    """Write the copies of a finished study's notebooks; returns their paths."""
    targets = []
    for notebook in sorted((study / "notebooks").glob("*.ipynb")):
        assert runner.finished(notebook), f"{notebook} did not run to its end"
        targets.append(reference / study.name / "notebooks" / notebook.name)
        targets[-1].parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(small(nbformat.read(notebook, as_version=4)), targets[-1])
    return targets


def main(arguments: list[str]) -> int:
    """Write or check; returns the exit code."""
    if arguments != ["--check"]:
        for study in arguments:
            for path in write(Path(study)):
                print(f"{path.stat().st_size / 1e3:6.0f} kB  {path}")
    for path in outdated():
        print(f"{path}: differs from notebooks/{path.name}: python -m tests.executed FOLDER")
    return int(bool(outdated()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
