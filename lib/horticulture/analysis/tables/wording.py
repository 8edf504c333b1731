"""Words that the tables, the sentences and the figures share."""

from collections.abc import Iterable

import pandas as pd


def case_name(
    criterion: str, ratio: float, size: float = 1.0, longer: float = 1.0, separator: str = " "
) -> str:
    """What a case is called: `12 %`, or `l1 −50 %`; where it was trained longer, how long."""
    removed = f"−{100 * ratio:.0f} %" if ratio else "all zeros"
    parts = [f"{100 * size:.0f} %"] if pd.isna(ratio) else [criterion, removed]
    parts += [] if longer == 1 else [f"({times(longer)} as long)"]
    return separator.join(filter(None, parts))


def times(longer: float) -> str:
    """`twice`, `3 times`."""
    return "twice" if longer == 2 else f"{longer:g} times"


def join_words(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def capitalize(text: str) -> str:
    """As at the beginning of a sentence; the rest keeps its capitals."""
    return text[:1].upper() + text[1:]
