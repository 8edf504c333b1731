"""How long the explorer takes from a move of its slider to the painted picture, in Chromium.

python -m tests.benchmarks.moves: milliseconds, the median and the slowest of sixty, at 1,300 rounds.
"""

import random
import statistics
import tempfile
from pathlib import Path

import pandas as pd
from playwright.sync_api import Browser

from horticulture import architecture
from horticulture.analysis import explorer
from tests.browser import Opened, chromium

WHOLE = architecture.named("preresnet-164", image=(3, 32, 32), classes=10)  # 163 groups
ROUNDS, MOVES = 1300, 60
# A move, then the first task after the frame that it led to: by then it is painted.
MOVE = """async ([rounds, moves]) => {
  const slider = document.querySelector("[data-study]").shadowRoot.querySelector("input"), took = [];
  for (let i = 0; i < moves; i++) {
    await new Promise(requestAnimationFrame);
    const began = performance.now();
    slider.value = (i * 211) % rounds;
    slider.dispatchEvent(new Event("input"));
    await new Promise(done => requestAnimationFrame(() => {
      const after = new MessageChannel();
      after.port1.onmessage = done;
      after.port2.postMessage(0);
    }));
    took.push(performance.now() - began);
  }
  return took;
}"""


def study(rounds: int = ROUNDS, runs: int = 2) -> explorer.Explorer:
    """Two pruning runs of that many rounds, and sixty networks from scratch, all made up."""
    draw, results, removals = random.Random(0), [], []
    for seed in range(runs):
        left = list(WHOLE.widths)
        for round_ in range(rounds + 1):
            group = draw.choice([g for g, width in enumerate(left) if width > 1]) if round_ else -1
            if round_:
                left[group] -= 1
            params = WHOLE.params - 1000 * round_
            row = {"run": f"run {seed}", "round": round_, "params": params, "macs": 100 * params}
            row |= {"train_macs": 10**12 + 10**9 * round_, "test_error": 5 + round_ / 200}
            removals.append({**row, "group": group, "channel": left[group], "saliency": draw.random() / 1000})
            results.append({**row, "curve": "pruned-tuned", "criterion": "fisher", "seed": seed})
    for i in range(60):
        row = {
            "curve": "width",
            "criterion": "",
            "seed": i % 3,
            "run": f"width {i}",
            "params": 20_000 * (i + 1),
        }
        row |= {"macs": 2_000_000 * (i + 1), "train_macs": 10**12, "test_error": 5 + 5 * draw.random()}
        results.append(row)
    frames = [pd.DataFrame(rows).assign(architecture=WHOLE.id) for rows in (results, removals)]
    return explorer.from_frames(*frames, {WHOLE.id: WHOLE})


def measure(browser: Browser, rounds: int = ROUNDS) -> list[float]:
    """Milliseconds, of each move."""
    with tempfile.TemporaryDirectory() as folder, Opened(browser) as opened:
        path = Path(folder) / "explorer.html"
        path.write_text(f"<!DOCTYPE html><meta charset=utf-8>{study(rounds).html}")
        return opened.go(path).evaluate(MOVE, [rounds, MOVES])


if __name__ == "__main__":
    with chromium() as found:
        took = measure(found)
    print(f"{statistics.median(took):.0f} ms, the slowest {max(took):.0f} ms")
