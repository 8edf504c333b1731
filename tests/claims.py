"""Every number that the prose claims, computed from the committed results.

    python -m tests.claims          # says which numbers in README.md are not what the results say
    python -m tests.claims --write  # writes them

A number stands in the README between two comments that nobody sees: `<!--NAME-->9.3<!---->`.
"""

import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd

from horticulture import runs

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "outputs" / "reference"
README = ROOT / "README.md"
MARKED = re.compile(r"<!--([\w.-]+)-->(.*?)<!---->", re.DOTALL)


@cache
def frame(study: str) -> pd.DataFrame:
    """The results of a reference study."""
    return runs.collect(REFERENCE / study)


@cache
def verdicts(study: str) -> pd.DataFrame:
    """The verdicts of a reference study."""
    return pd.read_csv(REFERENCE / study / "verdicts.csv", dtype={"criterion": str})


def error(curve: str, size: float | None = None, longer: float = 1.0, study: str = "quick") -> str:
    """Mean test error over seeds of a curve, at a share of the parameters, to a tenth of a point."""
    found = frame(study)
    whole = found.loc[found["curve"] == "whole", "params"].max()
    found = found[(found["curve"] == curve) & (found["longer"] == longer)]
    if curve == "pruned-tuned":
        found = found[found["recipe"] == runs.AS_IT_IS]
    if size is not None:
        apart = (found["params"] / whole - size).abs()
        found = found[apart < 0.15 * size]
    assert found["seed"].nunique() == len(found), f"{curve} at {size}: not one network a seed"
    return f"{found['test_error'].mean():.1f}"


def counted(curve: str, against: str, study: str, column: str = "verdict") -> Callable[[str], str]:
    """How often a curve came out so against another."""

    def count(verdict: str) -> str:
        found = verdicts(study)
        pair = found[(found["curve"] == curve) & (found["against"] == against)]
        assert len(pair), f"no verdict on {curve} against {against}"
        return str(int((pair[column] == verdict).sum()))

    return count


def cases(curve: str, against: str, study: str) -> str:
    """In how many cases two curves were compared."""
    found = verdicts(study)
    return str(int(((found["curve"] == curve) & (found["against"] == against)).sum()))


def seeds(curve: str, against: str, study: str) -> str:
    """About how many seeds would tell two curves apart, from the easiest case to the hardest."""
    found = verdicts(study)
    needed = found.loc[(found["curve"] == curve) & (found["against"] == against), "seeds_needed"].dropna()
    return f"{needed.min():.0f} to {needed.max():.0f}"


def standard_error(study: str) -> str:
    """That the test set leaves in a difference of two networks: points, the median of all comparisons."""
    return f"{verdicts(study)['test_error_se'].median():.1f}"


VGG = "rethinking-quick-vgg"
CLAIMS: dict[str, Callable[[], str]] = {
    "whole": lambda: error("whole"),
    "whole.longer": lambda: error("whole", longer=2.0),
    "se": lambda: standard_error("quick"),
    **{
        f"{curve}.{size}": lambda curve=curve, size=size: error(curve, size / 100)  # type: ignore[misc]
        for curve in ("pruned-tuned", "pruned-scratch", "width", "bottleneck")
        for size in (12, 20, 40)
    },
    "tuned.cases": lambda: cases("pruned-scratch", "pruned-tuned", "quick"),
    "tuned.better": lambda: counted("pruned-scratch", "pruned-tuned", "quick")("better"),
    "tuned.worse": lambda: counted("pruned-scratch", "pruned-tuned", "quick")("worse"),
    "tuned.seeds": lambda: seeds("pruned-scratch", "pruned-tuned", "quick"),
    "pruned-tuned.longer": lambda: error("pruned-tuned", 0.2, 2.0),
    "pruned-scratch.longer": lambda: error("pruned-scratch", 0.2, 2.0),
    "vgg.cases": lambda: cases("scratch-b", "fine-tuned", VGG),
    **{
        f"vgg.{curve}.{against}.{word}{suffix}": lambda c=curve, a=against, w=word, col=column: counted(  # type: ignore[misc]
            c, a, VGG, col
        )(w)
        for curve in ("pruned-scratch", "scratch-b", "lr-rewound")
        for against in ("fine-tuned", "lr-rewound")
        if curve != against
        for word in ("better", "worse")
        for column, suffix in (("verdict", ""), ("verdict_alone", ".alone"))
    },
}


def wrong(text: str) -> list[str]:
    """What a text claims that the results do not say."""
    found = []
    for name, said in MARKED.findall(text):
        if name not in CLAIMS:
            found.append(f"{name}: nothing computes it")
        elif said != (computed := CLAIMS[name]()):
            found.append(f"{name}: {said!r} is written, the results say {computed!r}")
    return found


def written(text: str) -> str:
    """The text with the numbers that the results say."""
    return MARKED.sub(lambda found: f"<!--{found[1]}-->{CLAIMS[found[1]]()}<!---->", text)


if __name__ == "__main__":
    content = README.read_text()
    if sys.argv[1:] == ["--write"]:
        README.write_text(written(content))
    else:
        problems = wrong(content)
        print("\n".join(problems) or f"all {len(MARKED.findall(content))} numbers are what the results say")
        sys.exit(bool(problems))
