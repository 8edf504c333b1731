"""What the verdicts say, in sentences: counts that hold, and where each side was ahead."""

import pandas as pd

from horticulture.analysis import statistics
from horticulture.analysis.tables.cells import capital, case, complete, listed, scratch_b, times
from horticulture.analysis.tables.names import MORE_EPOCHS, aside, label
from horticulture.analysis.tables.pairs import Answers, verdicts
from horticulture.errors import InputError

FEW = 8  # cases that are named one by one
LARGE = 100  # seeds that nobody will train
DEPENDS = "depends on the length of training"
ONCE = "holds at one length of training only"


def summarize(results: pd.DataFrame, margin: float, answers: Answers | None = None) -> str:
    """Everything that the numbers carry, as a Markdown list: a sentence a pair of curves.

    results, margin, answers: as for `verdicts`.
    """
    compared = verdicts(results, margin, answers)
    pairs = compared[["curve", "against"]].drop_duplicates().itertuples(index=False)
    said = [describe_verdicts(compared, curve, against, scratch_b(results)) for curve, against in pairs]
    if not said:
        return "- No pruned shape was trained again: there is nothing to compare."
    return "\n".join(f"- {one}" for one in [*_test_set(results, answers or {}), *said])


def describe_verdicts(
    verdicts: pd.DataFrame, curve: str, against: str = "fine-tuned", epochs: str = MORE_EPOCHS
) -> str:
    """What the verdicts say of one pair of curves, and no more.

    How often better, equal, worse beside all cases of the pair, and in brackets each for itself; at which
    cases which side has the lower mean; how many seeds there were and would tell. A case that was also
    trained longer counts as what it is at both lengths. Where the lower mean changes sides, or two verdicts
    differ, it depends on the length; where only one length has a verdict, it holds at one length only.
    verdicts: as `tables.verdicts` returns them. epochs: as `cells.scratch_b` says. Raises InputError if there
    is no verdict on this pair of curves.
    """
    found = verdicts[(verdicts["curve"] == curve) & (verdicts["against"] == against)]
    if found.empty:
        there = (verdicts["curve"] + " against " + verdicts["against"]).unique()
        raise InputError(
            f"no verdict on {curve} against {against}: there is {', '.join(there) or 'none at all'}"
        )
    by_case = [one for _, one in found.groupby(_cases(found), sort=False)]
    told = found["n"].max() >= statistics.FEWEST
    parts = [_counts(by_case, found["margin"].iloc[0])] if told else []
    named, other = label(curve, epochs=epochs), label(against, epochs=epochs)
    parts += [_ahead(by_case, named, other), _seeds(found)]
    errors = found["test_error_se"].dropna()
    if len(errors):
        parts.append(
            f"The test images alone give a difference a standard error of {errors.median():.1f} points "
            f"(between two single networks {found['test_error_se_one'].median():.1f})."
        )
    if against == "whole" and len(by_case) > 1:
        parts.append("All cases are held against the same whole networks, so they are not independent.")
    return f"**{capital(named)}** against **{other}**: {' '.join(parts)}"


def _cases(found: pd.DataFrame) -> pd.Series:
    """A case's name without the length of training."""
    several = found["criterion"].nunique() > 1
    return pd.Series(
        [
            case((one.criterion, one.ratio, one.size, 1.0))
            + (aside(one.criterion) if several and pd.isna(one.ratio) else "")
            for one in found[["criterion", "ratio", "size"]].itertuples(index=False, name="One")
        ],
        found.index,
    )


def _holds(one: pd.DataFrame, column: str) -> str:
    """The verdict on a case if it is the same at every length of training."""
    if one[column].nunique() == 1:
        return str(one[column].iloc[0])
    differ = len(set(one[column]) - {statistics.UNDECIDED}) > 1
    return DEPENDS if differ or len(_signs(one)) > 1 else ONCE


def _signs(one: pd.DataFrame) -> set[int]:
    """Which side has the lower mean at each length of training: -1 the first, 0 neither, to a tenth."""
    return {(d > 0) - (d < 0) for d in one["difference"].round(1)}


def _counts(by_case: list[pd.DataFrame], margin: float) -> str:
    kinds = (*statistics.VERDICTS, DEPENDS, ONCE)
    together = [_holds(one, "verdict") for one in by_case]
    alone = [_holds(one, "verdict_alone") for one in by_case]
    better, equal, worse, undecided, depends, once = (together.count(kind) for kind in kinds)
    b, e, w, u, d, o = (alone.count(kind) for kind in kinds)
    cases = "1 case" if len(by_case) == 1 else f"{len(by_case)} cases"
    said = (
        f"better in {better} of {cases} (each for itself: {b}), "
        f"equal within {margin:.1f} points in {equal} ({e}), worse in {worse} ({w})"
    )
    if undecided or u:
        said += f"; in {undecided} ({u}) the seeds cannot tell"
    if depends or d:
        said += f"; in {depends} ({d}) it {DEPENDS}"
    if once or o:
        said += f"; in {once} ({o}) it {ONCE}"
    return f"{said}."


def _ahead(by_case: list[pd.DataFrame], first: str, second: str) -> str:
    """Where which side, by name, has the lower mean error, and by how much."""
    sides: dict[str, list[pd.DataFrame]] = {"first": [], "second": [], "level": [], "depends": []}
    for one in by_case:
        signs = _signs(one)
        side = {-1: "first", 1: "second", 0: "level"}[signs.pop()] if len(signs) == 1 else "depends"
        sides[side].append(one)
    few = len(by_case) <= FEW
    names = {"first": first, "second": second}
    said = [f"{names[side]} {_where(sides[side], few)}" for side in ("first", "second") if sides[side]]
    parts = [f"Lower mean error: {'; '.join(said)}."] if said else []
    if sides["level"]:
        parts.append(f"Level {_where(sides['level'], few)}." if few else f"Level in {len(sides['level'])}.")
    if sides["depends"]:
        parts.append(f"Which mean is lower {DEPENDS} {_where(sides['depends'], few)}.")
    return " ".join(parts)


def _where(found: list[pd.DataFrame], few: bool) -> str:
    if not few:
        apart = [abs(d) for one in found for d in one["difference"].round(1)]
        low, high = f"{min(apart):.1f}", f"{max(apart):.1f}"
        return f"in {len(found)} (by {low if low == high else f'{low} to {high}'} points)"
    return f"at {listed(f'{_cases(one).iloc[0]} ({_apart(one)})' for one in found)}"


def _apart(one: pd.DataFrame) -> str:
    """`−2.1`, or `−2.1, trained twice as long −0.4`, in points."""
    return ", ".join(
        f"{'' if row.longer == 1 else f'trained {times(row.longer)} as long '}{_signed(row.difference)}"
        for row in one.sort_values("longer").itertuples()
    )


def _signed(points: float) -> str:
    return f"{points:+.1f}".replace("-", "−") if abs(points) >= 0.05 else "0.0"


def _seeds(found: pd.DataFrame) -> str:
    few, many = int(found["n"].min()), int(found["n"].max())
    if many == 1:
        return "One seed: what happened once, not how often it would."
    if many < statistics.FEWEST:
        return "Two seeds: too few to tell."
    seeds = f"{many}" if few == many else f"{few} to {many}"
    needed = found.loc[found["verdict"] == statistics.UNDECIDED, "seeds_needed"].dropna()
    if needed.empty:
        return f"{seeds} seeds a case."
    low, high = int(needed.min()), int(needed.max())
    about = f"about {low}" if low == high else f"about {low} to {high}"
    if high > LARGE:
        about = f"more than {LARGE}" if low > LARGE else f"about {low} to more than {LARGE}"
    return f"{seeds} seeds a case; {about} would tell what these cannot."


def _test_set(results: pd.DataFrame, answers: Answers) -> list[str]:
    """How much the test set leaves open in one network's error."""
    found = complete(results)
    whole = found[(found["curve"] == "whole") & found["run"].isin(answers.keys())]
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
