"""What the results frame says: tables of the curves, verdicts, and sentences no stronger than the numbers."""

from horticulture.analysis.tables.cases import retrained_rounds, scratch_b_epochs, worth_timing
from horticulture.analysis.tables.comparisons import VERDICT_COLUMNS, verdicts
from horticulture.analysis.tables.names import (
    BUDGETS,
    FAMILIES,
    NAMES,
    count,
    join_words,
    label,
    percent,
    signed,
    times,
)
from horticulture.analysis.tables.sentences import conclude, describe_verdicts, summarize
from horticulture.analysis.tables.summaries import (
    describe_best,
    drop_budgets,
    error_by_budget,
    error_by_size,
    error_tables,
    notes,
    sort_by_criterion,
    verdict_table,
)

__all__ = [
    "BUDGETS",
    "FAMILIES",
    "NAMES",
    "VERDICT_COLUMNS",
    "conclude",
    "count",
    "describe_best",
    "describe_verdicts",
    "drop_budgets",
    "error_by_budget",
    "error_by_size",
    "error_tables",
    "join_words",
    "label",
    "notes",
    "percent",
    "retrained_rounds",
    "scratch_b_epochs",
    "signed",
    "sort_by_criterion",
    "summarize",
    "times",
    "verdict_table",
    "verdicts",
    "worth_timing",
]
