"""What the verdicts say, in sentences: counts that hold, and where each side was ahead."""

import pandas as pd

from horticulture.analysis import statistics
from horticulture.analysis.curves import MORE_EPOCHS, criterion_suffix, label
from horticulture.analysis.tables.cases import fill_defaults, scratch_b_in_words
from horticulture.analysis.tables.comparisons import Answers, verdicts
from horticulture.analysis.tables.wording import (
    capitalize,
    case_name,
    count,
    join_words,
    signed,
    times,
)
from horticulture.errors import InputError

NAMED = 8  # cases that are named one by one
LARGE = 100  # seeds that nobody will train
NEW_WEIGHTS = ("pruned-scratch", "scratch-b")  # shapes with new weights
KEPT_WEIGHTS = ("pruned-tuned", "lr-rewound", "fine-tuned")  # and networks that kept those of the whole
DEPENDS, ONCE = "depends", "once"  # verdicts on a case at several lengths of training


def summarize(results: pd.DataFrame, margin: float, answers: Answers | None = None) -> str:
    """Everything that the numbers carry, as a Markdown list: a sentence a pair of curves.

    results, margin, answers: as for `verdicts`.
    """
    found, epochs = verdicts(results, margin, answers), scratch_b_in_words(results)
    pairs = found[["curve", "against"]].drop_duplicates().itertuples(index=False)
    sentences = [describe_verdicts(found, curve, against, epochs) for curve, against in pairs]
    if not sentences:
        return "- No pruned shape was trained again: there is nothing to compare."
    return "\n".join(f"- {one}" for one in [*_describe_test_set(results, answers or {}), *sentences])


def conclude(verdicts: pd.DataFrame, epochs: str = MORE_EPOCHS) -> str:
    """Weights or shape? What the verdicts say of the pair of curves that decides it, the answer first.

    A shape from scratch against the network that kept its weights: tuned in the pruning if there is such a
    pair, else rewound, else fine-tuned. verdicts: as `tables.verdicts` returns them, what decides first.
    epochs: as `scratch_b_in_words` says. Markdown, for any number of seeds, and where nothing was compared.
    """
    pairs = verdicts[verdicts["curve"].isin(NEW_WEIGHTS) & verdicts["against"].isin(KEPT_WEIGHTS)]
    if pairs.empty:
        return (
            "**Not asked here.** No pruned shape was trained from scratch beside the network that kept its "
            "weights, so these results do not say which of the two is worth more."
        )
    curve, against = pairs[["curve", "against"]].iloc[0]
    pairs, other = pairs[pairs["against"] == against], label(against, epochs=epochs)
    budgets = {name: _by_case(budget) for name, budget in pairs.groupby("curve", sort=False)}
    first = pairs[pairs["curve"] == curve]
    if len({_ahead(cases) for cases in budgets.values()}) > 1:
        some = any(any(_decided(cases)) for cases in budgets.values())
        answer = f"{'It' if some else 'Not decided, and which mean is lower'} depends on the budget."
    else:
        answer = _answer(budgets[curve])
    parts = [f"**{answer}** Compared with *{other}*."]
    for budget, cases in budgets.items():
        name = label(budget, epochs=epochs)
        better, worse, _ = _decided(cases)
        if first["n"].max() >= statistics.FEWEST:
            of = count(len(cases), "case")
            parts.append(f"*{capitalize(name)}* is better in {better} and worse in {worse} of {of}.")
        parts.append(_lower_means(cases, name, other))
    return " ".join([*parts, _seeds(first)])


def _ahead(cases: dict[str, pd.DataFrame]) -> bool:
    """Whether the first side of the comparison has the lower mean in most cases."""
    signs = [sign for case in cases.values() for sign in _signs(case)]
    return signs.count(-1) > signs.count(1)


def _answer(cases: dict[str, pd.DataFrame]) -> str:
    """Weights or shape, in a line. cases: verdicts on a shape from scratch against kept weights."""
    every = pd.concat(list(cases.values()))
    seeds, of = count(int(every["n"].max()), "seed"), f"of {count(len(cases), 'case')}"
    better, worse, equal = _decided(cases)
    if every["n"].max() < statistics.FEWEST:
        return f"Not decided: {seeds} cannot tell."
    if better and worse:
        return f"Now the one, now the other: the shape in {better} and the weights in {worse} {of}."
    if better:
        return f"The shape: with new weights it is better in {better} {of}."
    if worse:
        return f"The weights: with new ones the shape is worse in {worse} {of}."
    if equal:
        return f"Only the shape: equal to within {every['margin'].iloc[0]:.1f} points in {equal} {of}."
    return f"Not decided: {seeds} cannot tell{f' in any {of}' if len(cases) > 1 else ''}."


def _decided(cases: dict[str, pd.DataFrame]) -> tuple[int, int, int]:
    """In how many cases the verdict is better, worse and equal, at every length of training."""
    kinds = [_verdict(case, "verdict") for case in cases.values()]
    better, worse, equal = map(kinds.count, (statistics.BETTER, statistics.WORSE, statistics.EQUAL))
    return better, worse, equal


def _by_case(pair: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The verdicts on a pair of curves, at all lengths of training, by the name of the case."""
    return {str(name): case for name, case in pair.groupby(_case_names(pair), sort=False)}


def describe_verdicts(
    verdicts: pd.DataFrame, curve: str, against: str = "fine-tuned", epochs: str = MORE_EPOCHS
) -> str:
    """What the verdicts say of one pair of curves, and no more.

    How often better, equal, worse beside all cases of the pair, and in brackets tested alone; at which
    cases which side has the lower mean; how many seeds there were and would tell. A case that was also
    trained longer counts as what it is at both lengths. Where the lower mean changes sides, or two verdicts
    differ, it depends on the length; where only one length has a verdict, it is decided at one only.
    verdicts: as `tables.verdicts` returns them. epochs: as `scratch_b_in_words` says. Raises InputError if
    there is no verdict on this pair of curves.
    """
    pair = verdicts[(verdicts["curve"] == curve) & (verdicts["against"] == against)]
    if pair.empty:
        there = (verdicts["curve"] + " against " + verdicts["against"]).unique()
        raise InputError(
            f"no verdict on {curve} against {against}: there is {', '.join(there) or 'none at all'}"
        )
    cases, name, other = _by_case(pair), label(curve, epochs=epochs), label(against, epochs=epochs)
    parts = [_counts(cases, pair["margin"].iloc[0])] if pair["n"].max() >= statistics.FEWEST else []
    parts += [_lower_means(cases, name, other), _seeds(pair)]
    errors = pair["test_error_se"].dropna()
    if len(errors):
        parts.append(
            f"The test images alone leave a standard error of {errors.median():.1f} points in the difference "
            f"(of two single networks: {pair['test_error_se_one'].median():.1f})."
        )
    if against == "whole" and len(cases) > 1:
        parts.append("All cases are compared with the same whole networks, so they are not independent.")
    return f"**{capitalize(name)}** against **{other}**: {' '.join(parts)}"


def _case_names(pair: pd.DataFrame) -> pd.Series:
    """A case's name without the length of training."""
    several = pair["criterion"].nunique() > 1
    return pd.Series(
        [
            case_name(criterion, ratio, size)
            + (criterion_suffix(criterion) if several and pd.isna(ratio) else "")
            for criterion, ratio, size in pair[["criterion", "ratio", "size"]].itertuples(index=False)
        ],
        pair.index,
    )


def _counts(cases: dict[str, pd.DataFrame], margin: float) -> str:
    """How often which verdict holds beside the other cases, and in brackets how often tested alone."""
    together = [_verdict(case, "verdict") for case in cases.values()]
    alone = [_verdict(case, "verdict_alone") for case in cases.values()]
    phrases = {
        statistics.BETTER: "better",
        statistics.EQUAL: f"equal to within {margin:.1f} points",
        statistics.WORSE: "worse",
        statistics.UNDECIDED: "undecided for want of seeds",
        DEPENDS: "dependent on the length of training",
        ONCE: "decided at one length of training only",
    }
    counts = [
        f"{phrase} in {together.count(verdict)} ({alone.count(verdict)})"
        for verdict, phrase in phrases.items()
        if verdict in {statistics.BETTER, statistics.EQUAL, statistics.WORSE, *together, *alone}
    ]
    return f"Of {count(len(cases), 'case')} {', '.join(counts)}; in brackets, tested alone."


def _verdict(case: pd.DataFrame, column: str) -> str:
    """The verdict on a case if it is the same at every length of training, else in which way it is not."""
    kinds = set(case[column])
    if len(kinds) == 1:
        return str(kinds.pop())
    return DEPENDS if len(kinds - {statistics.UNDECIDED}) > 1 or len(_signs(case)) > 1 else ONCE


def _signs(case: pd.DataFrame) -> set[int]:
    """Which side has the lower mean at each length of training: -1 the first, 0 neither, to a tenth."""
    return {(d > 0) - (d < 0) for d in case["difference"].round(1)}


def _lower_means(cases: dict[str, pd.DataFrame], first: str, second: str) -> str:
    """Where which side, by name, has the lower mean error, and by how much."""
    few = len(cases) <= NAMED
    sides: dict[tuple[int, ...], dict[str, pd.DataFrame]] = {}
    for name, case in cases.items():
        signs = _signs(case)
        sides.setdefault(tuple(signs) if len(signs) == 1 else (), {})[name] = case
    names = {(-1,): first, (1,): second}
    ahead = [f"{name} {_where(sides[sign], few)}" for sign, name in names.items() if sign in sides]
    parts = [f"Lower mean error: {'; '.join(ahead)}."] if ahead else []
    if level := sides.get((0,)):
        parts.append(f"Equal means {_where(level, few)}." if few else f"Equal means in {len(level)}.")
    if changing := sides.get(()):
        parts.append(f"Which mean is lower depends on the length of training {_where(changing, few)}.")
    return " ".join(parts)


def _where(cases: dict[str, pd.DataFrame], few: bool) -> str:
    if few:
        return f"at {join_words(f'{name} ({_differences(case)})' for name, case in cases.items())}"
    apart = pd.concat(list(cases.values()))["difference"].round(1).abs()
    low, high = f"{apart.min():.1f}", f"{apart.max():.1f}"
    return f"in {len(cases)} (by {low if low == high else f'{low} to {high}'} points)"


def _differences(case: pd.DataFrame) -> str:
    """`−2.1`, or `−2.1, trained twice as long −0.4`, in points."""
    return ", ".join(
        f"{'' if row.longer == 1 else f'trained {times(row.longer)} as long '}{signed(row.difference)}"
        for row in case.sort_values("longer").itertuples()
    )


def _seeds(pair: pd.DataFrame) -> str:
    """How many seeds a case has, and about how many would decide those that are undecided."""
    fewest, most = int(pair["n"].min()), int(pair["n"].max())
    if most == 1:
        return "One seed: what happened once, not how often it would."
    if most < statistics.FEWEST:
        return "Two seeds: too few to tell."
    seeds = f"{most}" if fewest == most else f"{fewest} to {most}"
    needed = pair.loc[pair["verdict"] == statistics.UNDECIDED, "seeds_needed"].dropna()
    if needed.empty:
        return f"{seeds} seeds per case."
    low, high = int(needed.min()), int(needed.max())
    about = f"about {low}" if low == high else f"about {low} to {high}"
    if high > LARGE:
        about = f"more than {LARGE}" if low > LARGE else f"about {low} to more than {LARGE}"
    return f"{seeds} seeds per case; {about} would decide what these cannot."


def _describe_test_set(results: pd.DataFrame, answers: Answers) -> list[str]:
    """How much the test set leaves open in one network's error."""
    results = fill_defaults(results)
    whole = results[(results["curve"] == "whole") & results["run"].isin(answers.keys())]
    if whole.empty:
        return []
    wrong, source = answers[whole["run"].iloc[0]]
    sources = len(set(source.tolist()))
    error, deviation = statistics.clustered_difference(wrong, 0 * wrong, source)
    of = "" if sources == len(source) else f" drawn from {sources:,} originals"
    return [
        f"The test set has {len(source):,} images{of}: an error of {error:.1f} % has a standard error of "
        f"{deviation:.1f} points{', clustered by original' if of else ''}."
    ]
