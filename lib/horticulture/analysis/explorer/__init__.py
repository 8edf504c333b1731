"""An interactive view of a study's pruning runs: one HTML element that needs no kernel and no network access.

The element contains `explorer.js`, `explorer.css` and the data. Where scripts are removed, as from a notebook
that JupyterLab does not trust, a still picture with a description remains.
"""

import base64
import hashlib
import html
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from IPython.core.pylabtools import print_figure
from PIL import Image

from horticulture import runs
from horticulture.analysis import figures
from horticulture.analysis.explorer.frames import PruningRun, describe, pruning_runs
from horticulture.analysis.tables.wording import LATENCY, join_words, percent
from horticulture.architecture import Architecture


@dataclass(frozen=True)
class Explorer:
    """The explorer for a notebook: its HTML element, a still picture (base64) and a description of it."""

    html: str
    png: str
    words: str

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        data = {"text/html": self.html, "image/png": self.png, "text/plain": self.words}
        return data, {"image/png": {"alt": self.words}}


def explore(study: str | Path) -> Explorer:
    """Explore the network after any round of a study's pruning runs, interactively in a notebook.

    study: its name or folder. Latencies are included if notebook 05 has written its results. Raises
    InputError if there are no results, or if no network was pruned.
    """
    folder = Path(study) if Path(study).is_dir() else runs.outputs_folder() / study
    results, written = runs.collect(folder), folder / "results.csv"
    if written.exists():
        table = runs.read_table(written)
        timed = [name for name in table if name.startswith(LATENCY) and name not in results]
        latencies = table[["architecture", *timed]].drop_duplicates("architecture")
        results = results.merge(latencies, on="architecture", how="left")
    return from_frames(results, runs.collect_removals(folder), runs.architectures(folder))


def from_frames(
    results: pd.DataFrame, removals: pd.DataFrame, architectures: Mapping[str, Architecture]
) -> Explorer:
    """The explorer of the given frames.

    results: as returned by `runs.collect`, with columns latency_BATCH (ms) if any were measured; removals: by
    `runs.collect_removals`; architectures: by id, by `runs.architectures`. Raises InputError if no network
    was pruned.
    """
    pruned = pruning_runs(results, removals, architectures)
    round_ = _start(pruned[0])
    png, words = _still(pruned[0], round_)
    data = {"start": round_, **describe(pruned, results, architectures)}
    # The attribute is in single quotes, because JSON is full of double ones.
    attribute = html.escape(json.dumps(data, separators=(",", ":")), quote=False).replace("'", "&#39;")
    picture = f'<img alt="{html.escape(words)}" src="data:image/png;base64,{png}">'
    tag, script = _script()
    return Explorer(f"<{tag} data-study='{attribute}'>{picture}</{tag}><script>{script}</script>", png, words)


@cache
def _script() -> tuple[str, str]:
    """The element's name and script, without indentation and comments.

    A page can define a name only once, so every version of the script has its own.
    """
    texts = ((files(__name__) / f"explorer.{kind}").read_text() for kind in ("css", "js"))
    style, script = (re.sub(r"^\s*(//.*\n\s*)*", "", text, flags=re.MULTILINE) for text in texts)
    tag = f"horticulture-explorer-{hashlib.sha256((style + script).encode()).hexdigest()[:8]}"
    return tag, script.replace("__TAG__", tag).replace("__STYLE__", style)


def _start(run: PruningRun) -> int:
    """The evaluated round nearest to the middle of a run."""
    measured = run.rounds.index[run.rounds["test_error"].notna()]
    return int(min(measured, key=lambda round_: abs(round_ - len(run.rounds) // 2), default=0))


def _still(run: PruningRun, round_: int) -> tuple[str, str]:
    """A picture of one round, and its description."""
    rounds, widths = run.rounds, run.widths(round_)
    pruned = run.whole.with_widths(widths)
    figure = figures.round_view(rounds.reset_index(), run.whole, pruned, round_, run.color)
    drawn, packed = Image.open(io.BytesIO(print_figure(figure, dpi=80))), io.BytesIO()
    drawn.convert("RGB").quantize(64).save(packed, "png", optimize=True)  # a third of the size
    png = base64.b64encode(packed.getvalue()).decode()
    plt.close(figure)
    params, errors = rounds["params"], rounds["test_error"]
    before = "round 0: fine-tuned, nothing removed"
    return png, (
        f"Pruning by {run.name}, after round {round_:,} of {len(rounds) - 1:,}: "
        f"{params[round_]:,} of {run.whole.params:,} parameters are left, and the test error is "
        f"{errors[round_]:.1f} % ({f'{before}, {errors[0]:.1f} %' if round_ else before}). "
        f"{_losses(run.whole, widths, params[round_])}"
    )


def _losses(whole: Architecture, widths: tuple[int, ...], params: int) -> str:
    """Which groups lost the largest share of their channels."""
    left, full = pd.Series(widths, whole.groups), pd.Series(whole.widths, whole.groups)
    shares = 1 - left / full
    most = shares.index[shares == shares.max()]
    if shares.max() == 0:
        return f"No group lost a channel{': single weights were removed' if params < whole.params else ''}."
    if len(most) == 1:
        return f"Group {most[0]} lost most: {left[most[0]]} of {full[most[0]]} channels are left."
    if len(most) == len(shares):
        return f"Every group lost the same share of its channels: {percent(shares.max())}."
    return f"Groups {join_words(most)} lost most: {percent(shares.max())} of the channels of each."
