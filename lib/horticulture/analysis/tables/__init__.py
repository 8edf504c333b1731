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
from horticulture.analysis.tables.frames import (
    best,
    by_budget,
    by_size,
    error_by_size,
    notes,
    ordered,
    tables,
)
from horticulture.analysis.tables.names import BUDGETS, FAMILIES, MORE_EPOCHS, NAMES, label, tag
from horticulture.analysis.tables.pairs import VERDICT_COLUMNS, verdicts
from horticulture.analysis.tables.words import describe_verdicts, summarize

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
    "describe_verdicts",
    "duplicates",
    "error_by_size",
    "label",
    "listed",
    "notes",
    "ordered",
    "scratch_b",
    "sizes",
    "summarize",
    "tables",
    "tag",
    "taken",
    "times",
    "verdicts",
]
