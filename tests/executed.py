"""The reference studies: tables and figures of a study, and small copies of its executed notebooks.

python -m tests.executed FOLDER            write those of a finished study, such as outputs/quick
python -m tests.executed --tables FOLDER   only its tables and figures
python -m tests.executed --check           list the copies that are not of today's notebooks, or not of the
                                           tables beside them, and fail if there are any

After editing a notebook: `horticulture run quick` retrains nothing, but times networks, so run it on an idle
machine; then write the copies again.
"""

import base64
import io
import json
import shutil
import sys
from pathlib import Path

import nbformat
from PIL import Image

from horticulture.runs import results
from horticulture.study import pages, runner
from horticulture.system.files import file_digest
from tests import strip

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "outputs" / "reference"
TABLES = ("results.csv", "removals.csv", "verdicts.csv", "SHA256SUMS")
RESULTS = "results"  # metadata of a copy: the digest of the results.csv that it was executed with
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
    shown = next((kind for kind in pages.SHOWN_TYPES if kind in data), None)
    for kind in set(data) - {shown}:
        del data[kind]
    if shown == "image/png":
        picture = Image.open(io.BytesIO(base64.b64decode(data[shown]))).convert("RGB")
        buffer = io.BytesIO()
        picture.quantize(COLOURS).save(buffer, "png", optimize=True)
        data[shown] = base64.b64encode(buffer.getvalue()).decode()


def written(path: Path) -> list[tuple[str, list[str]]]:
    """The source and the tags of every cell but the parameters, whose values are the study's."""
    cells = [(cell, cell["metadata"].get("tags", [])) for cell in json.loads(path.read_text())["cells"]]
    return [("".join(cell["source"]), tags) for cell, tags in cells if "parameters" not in tags]


def outdated(reference: Path = REFERENCE) -> list[Path]:
    """The copies whose text or tags differ from the notebook, or whose results are not the tables'."""
    actual = sorted(reference.glob("*/notebooks/*.ipynb"))
    return [
        path
        for path in actual
        if written(path) != written(strip.NOTEBOOKS / path.name)
        or nbformat.read(path, as_version=4).metadata.get(RESULTS)
        != file_digest(path.parents[1] / "results.csv")
    ]


def write_tables(study: Path, reference: Path = REFERENCE) -> None:
    """Copy the tables and figures of a finished study."""
    target = reference / study.name
    target.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        shutil.copy(study / name, target)
    shapes = json.loads((study / "architectures.json").read_text())
    lines = ",\n ".join(f"{json.dumps(name)}: {json.dumps(shape)}" for name, shape in shapes.items())
    (target / "architectures.json").write_text(f"{{\n {lines}\n}}\n")
    results.add_sum(target / "architectures.json")
    shutil.rmtree(target / "figures", ignore_errors=True)
    shutil.copytree(study / "figures", target / "figures")


def write(study: Path, reference: Path = REFERENCE) -> list[Path]:
    """Write the tables, the figures and the copies of a finished study's notebooks; returns their paths."""
    write_tables(study, reference)
    digest, targets = file_digest(study / "results.csv"), []
    for notebook in sorted((study / "notebooks").glob("*.ipynb")):
        assert runner.is_finished(notebook), f"{notebook} did not run to its end"
        targets.append(reference / study.name / "notebooks" / notebook.name)
        targets[-1].parent.mkdir(parents=True, exist_ok=True)
        copy = small(nbformat.read(notebook, as_version=4))
        copy.metadata[RESULTS] = digest
        nbformat.write(copy, targets[-1])
    return targets


def main(arguments: list[str]) -> int:
    """Write or check; returns the exit code."""
    if arguments[:1] == ["--tables"]:
        for study in arguments[1:]:
            write_tables(Path(study))
    elif arguments != ["--check"]:
        for study in arguments:
            for path in write(Path(study)):
                print(f"{path.stat().st_size / 1e3:6.0f} kB  {path}")
    for path in outdated():
        print(f"{path}: not today's notebook, or not these results: python -m tests.executed FOLDER")
    return int(bool(outdated()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
