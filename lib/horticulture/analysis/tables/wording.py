"""Wording shared by tables, sentences and figures."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from horticulture.analysis.curves import MORE_EPOCHS, label

LATENCY = "latency_"  # prefix of columns in milliseconds, followed by the batch size
COSTS = {
    "params": "parameters",
    "macs": "multiply-accumulates per image",
    "train_macs": "forward multiply-accumulates of all training, pruning included",
}


def cost_name(cost: str) -> str:
    """An axis label by column: params, macs, train_macs or latency_BATCH; other names are unchanged."""
    batch = cost.removeprefix(LATENCY)
    return COSTS.get(cost, cost if batch == cost else f"latency of a batch of {batch} (ms)")


def case_name(
    criterion: str, ratio: float, size: float = 1.0, longer: float = 1.0, separator: str = " "
) -> str:
    """The name of a case: `12 %`, or `l1 −50 %`, with its length of training if longer than usual."""
    removed = f"−{percent(ratio)}" if ratio else "all zeros"
    parts = [percent(size)] if pd.isna(ratio) else [criterion, removed]
    parts += [] if longer == 1 else [f"({times(longer)} as long)"]
    return separator.join(filter(None, parts))


def row_name(curve: str, criterion: str = "", longer: float = 1.0, epochs: str = MORE_EPOCHS) -> str:
    """A curve's name with its criterion and, if longer than usual, its length of training."""
    name = label(curve, criterion, epochs=epochs)
    return name if longer == 1 else f"{name}, trained {times(longer)} as long"


def percent(share: float) -> str:
    """`12 %`."""
    return f"{100 * share:.0f} %"


def plain(value: float) -> str:
    """`0.000077`, `310`: two digits. Below a millionth `7.7e-08`, as in the tables."""
    if 0 < abs(value) < 1e-6:
        return f"{value:.2g}"
    return np.format_float_positional(value, 2, fractional=False, trim="-")


def count(number: int, thing: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def signed(points: float) -> str:
    """`+2.1`, `−0.4`, `0.0`: a signed difference, with a proper minus sign."""
    return f"{points:+.1f}".replace("-", "−") if abs(points) >= 0.05 else "0.0"


def times(longer: float) -> str:
    """`twice`, `3 times`."""
    return "twice" if longer == 2 else f"{longer:g} times"


def join_words(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def capitalize(text: str) -> str:
    """Capitalise the first letter only; the rest is unchanged."""
    return text[:1].upper() + text[1:]
