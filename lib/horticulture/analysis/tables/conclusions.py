"""Summarise the verdicts: the answer in words, and a table of counts by pair of curves."""

import pandas as pd

from horticulture.analysis import statistics
from horticulture.analysis.curves import MORE_EPOCHS, label, short_label
from horticulture.analysis.tables.cases import case_names
from horticulture.analysis.tables.wording import capitalize, count, join_words, signed, times

MAX_NAMED = 8  # up to this many cases are named one by one
MAX_SEEDS_SAID = 100  # more seeds than anybody will train
# Pruned shapes with new weights.
NEW_WEIGHTS = ("scratch-moved", "pruned-scratch", "scratch-b", "scratch-b-all", "scratch-images")
KEPT_WEIGHTS = ("lr-rewound", "pruned-tuned", "fine-tuned")  # of the whole network, the strongest first
BY_LENGTH = "by length"  # decided at several lengths of training, and not alike
SOME_LENGTHS = "at some lengths"  # decided at one length of training and undecided at another
COUNTED = {
    statistics.BETTER: "better",
    statistics.EQUAL: "equal",
    statistics.WORSE: "worse",
    statistics.UNDECIDED: "undecided",
    SOME_LENGTHS: SOME_LENGTHS,
    BY_LENGTH: BY_LENGTH,
}


def pair_table(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The number of cases with each verdict: one row per pair of curves, the decisive ones first.

    `2 (3)` means 2 cases when adjusted for all cases of the pair, 3 without adjustment. A case with several
    lengths of training counts once: under the verdict that holds at every length, as *at some lengths* if it
    is decided at only some of them, or as *by length* if it is decided differently at some. *mean lower* and
    *mean higher*: in how many cases the first curve has the lower, or the higher, mean error at every length.
    *seeds needed*: about how many would decide the undecided cases. verdicts: as returned by
    `tables.verdicts`.
    """
    rows = {}
    for (curve, against), pair in verdicts.groupby(["curve", "against"], sort=False):
        cases = list(_by_case(pair).values())
        together = [_verdict(case, "verdict") for case in cases]
        alone = [_verdict(case, "verdict_alone") for case in cases]
        signs = [_signs(case) for case in cases]
        rows[short_label(str(curve)), short_label(str(against))] = {
            "cases": len(cases),
            **{name: f"{together.count(kind)} ({alone.count(kind)})" for kind, name in COUNTED.items()},
            "mean lower": signs.count({-1}),
            "mean higher": signs.count({1}),
            "seeds needed": _needed(pair),
        }
    columns = ["cases", *COUNTED.values(), "mean lower", "mean higher", "seeds needed"]
    index = pd.MultiIndex.from_tuples(rows, names=["curve", "against"]) if rows else None
    return pd.DataFrame(rows.values(), index, columns)


def decisive_verdicts(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The verdicts on the decisive pairs of curves, with a column `case`: its name in words.

    These compare the shapes with new weights with the network that kept its weights: with the learning rate
    rewound if that was compared (the stronger way to keep weights: Renda et al., 2020), otherwise the one
    tuned during pruning, otherwise the fine-tuned one. verdicts: as returned by `tables.verdicts`.
    """
    pairs = verdicts[verdicts["curve"].isin(NEW_WEIGHTS) & verdicts["against"].isin(KEPT_WEIGHTS)]
    strongest = min(pairs["against"], key=KEPT_WEIGHTS.index, default="")
    pairs = pairs[pairs["against"] == strongest]
    return pairs.assign(case=case_names(pairs))


def conclude(verdicts: pd.DataFrame, epochs: str = MORE_EPOCHS) -> str:
    """Weights or shape? The answer that the verdicts on the decisive pair of curves give, in Markdown.

    Works for any number of seeds, and if nothing was compared. verdicts: as returned by `tables.verdicts`.
    epochs: from `scratch_b_in_words`.
    """
    pairs = decisive_verdicts(verdicts)
    if pairs.empty:
        return (
            "**Not tested here.** No pruned shape was trained from scratch to compare with the network that "
            "kept its weights, so these results do not say which of the two is worth more."
        )
    other = label(pairs["against"].iloc[0], epochs=epochs)
    budgets = {name: _by_case(budget) for name, budget in pairs.groupby("curve", sort=False)}
    answers = {short_label(budget): _answer(cases) for budget, cases in budgets.items()}
    decided = [_decided(cases) for cases in budgets.values()]
    if {1, -1} <= {(better > 0) - (worse > 0) for better, worse, _ in decided}:
        answer = "It depends on the budget."
    elif len(set(answers.values())) > 1 or (pairs["verdict"] != statistics.UNDECIDED).any():
        # by name: what one budget decides and another does not is no difference between the two
        answer = " ".join(
            _answer_by_budget(name, text.removeprefix("Not decided: ")) for name, text in answers.items()
        )
    elif len({_ahead(cases) for cases in budgets.values()}) == 1:
        answer = next(iter(answers.values()))
    else:
        answer = "Not decided, and which mean is lower depends on the budget."
    parts = [f"**{answer}** The comparison is with *{other}*."]
    for budget, cases in budgets.items():
        name = label(budget, epochs=epochs)
        better, worse, _ = _decided(cases)
        if better or worse or len(budgets) > 1:
            of = count(len(cases), "case")
            parts.append(f"*{capitalize(name)}* is better in {better} and worse in {worse} of {of}.")
        parts.append(_lower_means(cases, name, other))
    return " ".join([*parts, _seeds(pairs)])


def _answer_by_budget(budget: str, answer: str) -> str:
    """`By Scratch-E, the kept weights win.`; `For the shape from scratch, moved: the kept weights win.`"""
    by = f"By {budget}," if budget[0].isupper() else f"For the {budget}:"
    return f"{by} {answer[0].lower()}{answer[1:]}"


def _ahead(cases: dict[str, pd.DataFrame]) -> bool:
    """Whether the first side has the lower mean more often than the second."""
    signs = [sign for case in cases.values() for sign in _signs(case)]
    return signs.count(-1) > signs.count(1)


def _answer(cases: dict[str, pd.DataFrame]) -> str:
    """Weights or shape, in one sentence. cases: verdicts on a shape from scratch against kept weights."""
    every = pd.concat(list(cases.values()))
    seeds = count(int(every["n"].max()), "seed")
    if every["n"].max() < statistics.FEWEST:
        return f"Not decided: {seeds} cannot tell."
    better, worse, equal = _decided(cases)
    changing = sum(_verdict(case, "verdict") == BY_LENGTH for case in cases.values())
    within = f"equal to within {every['margin'].iloc[0]:.1f} points"
    rest = _at_some_lengths(cases)
    if changing:
        rest.append(f"the verdict changes with the length of training{_case_count(changing, cases)}")
    if equal and (better or worse):
        rest.append(f"the two are {within}{_case_count(equal, cases)}")
    if better and worse:
        sides = f"the shape in {better} and the weights in {worse} of {len(cases)} cases"
        first = f"sometimes one, sometimes the other: {sides}"
    elif better:
        won = "the shape wins: trained from new weights, it" if 2 * better > len(cases) else "the shape"
        first = f"{won} is better{_case_count(better, cases)}"
    elif worse:
        won = "the kept weights win: trained from new ones, " if 2 * worse > len(cases) else ""
        first = f"{won}the shape is worse{_case_count(worse, cases)}"
    elif equal:
        what = "only the shape:" if 2 * equal > len(cases) else "the two are"
        first = f"{what} {within}{_case_count(equal, cases)}"
    elif rest:
        first = ""
    else:
        where = {1: "", 2: " in either case"}.get(len(cases), f" in any of the {len(cases)} cases")
        return f"Not decided: {seeds} cannot tell{where}."
    return capitalize("; ".join(filter(None, [first, *rest]))) + "."


def _case_count(number: int, cases: dict[str, pd.DataFrame]) -> str:
    """` in 2 of 3 cases`, ` in both cases`, or "" if there is one only."""
    if len(cases) == number == 2:
        return " in both cases"
    return f" in {number} of {len(cases)} cases" if len(cases) > 1 else ""


def _at_some_lengths(cases: dict[str, pd.DataFrame]) -> list[str]:
    """What is decided at some lengths of training and undecided at others, and in how many cases."""
    found: dict[str, int] = {}
    for case in cases.values():
        is_decided = case["verdict"] != statistics.UNDECIDED
        if _verdict(case, "verdict") == SOME_LENGTHS:
            at, not_at = (
                join_words(_length(longer) for longer in sorted(set(some["longer"])))
                for some in (case[is_decided], case[~is_decided])
            )
            kind = COUNTED[case.loc[is_decided, "verdict"].iloc[0]]
            kind += f" to within {case['margin'].iloc[0]:.1f} points" if kind == "equal" else ""
            sentence = f"the shape is {kind} {at}, and nothing is decided {not_at}"
            found[sentence] = found.get(sentence, 0) + 1
    return [f"{_case_count(number, cases)} {sentence}".strip() for sentence, number in found.items()]


def _length(longer: float) -> str:
    return "at the usual length of training" if longer == 1 else f"when trained {times(longer)} as long"


def _decided(cases: dict[str, pd.DataFrame]) -> tuple[int, int, int]:
    """The numbers of cases that are better, worse and equal at every length of training."""
    kinds = [_verdict(case, "verdict") for case in cases.values()]
    better, worse, equal = map(kinds.count, (statistics.BETTER, statistics.WORSE, statistics.EQUAL))
    return better, worse, equal


def _by_case(pair: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The verdicts on a pair of curves, for all lengths of training, by the name of the case."""
    return {str(name): case for name, case in pair.groupby(case_names(pair, with_length=False), sort=False)}


def _verdict(case: pd.DataFrame, column: str) -> str:
    """The verdict on a case if it is the same at every length of training, else how it depends on the length.

    If one length is decided and another is not, that is no difference between them (Gelman and Stern, 2006).
    """
    kinds = set(case[column])
    if len(kinds) == 1:
        return str(kinds.pop())
    return BY_LENGTH if len(kinds - {statistics.UNDECIDED}) > 1 else SOME_LENGTHS


def _signs(case: pd.DataFrame) -> set[int]:
    """Which side has the lower mean, at all lengths of training: -1 the first, 1 the second, 0 neither.

    Means are compared to a tenth of a point.
    """
    return {(d > 0) - (d < 0) for d in case["difference"].round(1)}


def _lower_means(cases: dict[str, pd.DataFrame], first: str, second: str) -> str:
    """At which cases each side has the lower mean error, and by how much. first, second: their names."""
    few = len(cases) <= MAX_NAMED
    sides: dict[tuple[int, ...], dict[str, pd.DataFrame]] = {}
    for name, case in cases.items():
        signs = _signs(case)
        sides.setdefault(tuple(signs) if len(signs) == 1 else (), {})[name] = case
    names = {(-1,): first, (1,): second}
    ahead = [f"{name} {_describe_cases(sides[sign], few)}" for sign, name in names.items() if sign in sides]
    parts = [f"Lower mean error: {'; '.join(ahead)}."] if ahead else []
    if level := sides.get((0,)):
        parts.append(
            f"Equal means {_describe_cases(level, few) if few else 'in ' + count(len(level), 'case')}."
        )
    if changing := sides.get(()):
        where = capitalize(_describe_cases(changing, few))
        parts.append(f"{where}, which mean is lower depends on the length of training.")
    return " ".join(parts)


def _describe_cases(cases: dict[str, pd.DataFrame], few: bool) -> str:
    if few:
        return f"at {join_words(f'{name} ({_differences(case)})' for name, case in cases.items())}"
    sizes = pd.concat(list(cases.values()))["difference"].round(1).abs()
    low, high = f"{sizes.min():.1f}", f"{sizes.max():.1f}"
    return f"in {count(len(cases), 'case')} (by {low if low == high else f'{low} to {high}'} points)"


def _differences(case: pd.DataFrame) -> str:
    """`−2.1`, or `−2.1, trained twice as long −0.4`, in points."""
    return ", ".join(
        f"{'' if row.longer == 1 else f'trained {times(row.longer)} as long '}{signed(row.difference)}"
        for row in case.sort_values("longer").itertuples()
    )


def _seeds(pair: pd.DataFrame) -> str:
    """How many seeds a case has, and about how many would decide the undecided cases."""
    fewest, most = int(pair["n"].min()), int(pair["n"].max())
    if most == 1:
        return "One seed shows what happened once, not how often it would happen."
    if most < statistics.FEWEST:
        return "Two seeds: too few to tell."
    seeds = f"{most}" if fewest == most else f"{fewest} to {most}"
    needed = _needed(pair)
    return f"{seeds} seeds per case{f'; the undecided cases would take about {needed}' if needed else ''}."


def _needed(pair: pd.DataFrame) -> str:
    """About how many seeds would decide the undecided cases: `5 to 72`, or "" if there are none."""
    needed = pair.loc[pair["verdict"] == statistics.UNDECIDED, "seeds_needed"].dropna()
    if needed.empty:
        return ""
    low, high = int(needed.min()), int(needed.max())
    if low > MAX_SEEDS_SAID:
        return f"more than {MAX_SEEDS_SAID}"
    return (
        f"{low}"
        if low == high
        else f"{low} to {high if high <= MAX_SEEDS_SAID else f'more than {MAX_SEEDS_SAID}'}"
    )
