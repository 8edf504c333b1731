"""What the results frame says: tables of the curves, verdicts, and sentences no stronger than the numbers."""

from horticulture.results.cells import again, cells, complete, duplicates, listed, sizes, taken, times
from horticulture.results.frames import best, by_budget, by_size, notes, spent, table, tables
from horticulture.results.names import BUDGETS, FAMILIES, NAMES, label, tag
from horticulture.results.pairs import VERDICT_COLUMNS, verdicts
from horticulture.results.words import conclusions, sentence

__all__ = [
    "BUDGETS",
    "FAMILIES",
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
    "sentence",
    "sizes",
    "spent",
    "table",
    "tables",
    "tag",
    "taken",
    "times",
    "verdicts",
]
