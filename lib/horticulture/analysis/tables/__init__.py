"""What the results frame says: tables of the curves, verdicts, and sentences no stronger than the numbers."""

from horticulture.analysis.tables.cells import (
    again,
    cells,
    complete,
    duplicates,
    listed,
    scratch_b,
    sizes,
    taken,
    times,
)
from horticulture.analysis.tables.frames import best, by_budget, by_size, notes, ordered, table, tables
from horticulture.analysis.tables.names import BUDGETS, FAMILIES, MORE_EPOCHS, NAMES, label, tag
from horticulture.analysis.tables.pairs import VERDICT_COLUMNS, verdicts
from horticulture.analysis.tables.words import conclusions, sentence

__all__ = [
    "BUDGETS",
    "FAMILIES",
    "MORE_EPOCHS",
    "NAMES",
    "VERDICT_COLUMNS",
    "again",
    "best",
    "by_budget",
    "by_size",
    "cells",
    "complete",
    "conclusions",
    "duplicates",
    "label",
    "listed",
    "notes",
    "ordered",
    "scratch_b",
    "sentence",
    "sizes",
    "table",
    "tables",
    "tag",
    "taken",
    "times",
    "verdicts",
]
