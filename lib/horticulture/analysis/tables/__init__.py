"""Tables of the curves, verdicts, and sentences that claim no more than the numbers show."""

from horticulture.analysis.curves import CURVES, label
from horticulture.analysis.tables.cases import retrained_rounds, scratch_b_in_words, worth_timing
from horticulture.analysis.tables.caveats import notes
from horticulture.analysis.tables.comparisons import VERDICT_COLUMNS, verdicts
from horticulture.analysis.tables.conclusions import conclude, decisive_verdicts, pair_table
from horticulture.analysis.tables.sentences import (
    describe_best,
    describe_budgets,
    describe_bytes,
    describe_costs,
    describe_kept,
    describe_path,
    describe_runtimes,
    describe_spending,
    describe_test_set,
    describe_widths,
    rounds_of,
)
from horticulture.analysis.tables.summaries import (
    drop_budgets,
    error_by_budget,
    error_by_size,
    error_tables,
    sort_by_criterion,
    trained_from_scratch,
    verdict_table,
)
from horticulture.analysis.tables.wording import count, join_words, percent, plain, signed, times
