"""Every number that the prose claims, computed from the committed results.

    python -m tests.claims          # says which numbers of the pages are not what the results say
    python -m tests.claims --write  # writes them

A number stands in one of `PAGES` between two comments that nobody sees: `<!--NAME-->9.3<!---->`. What was
measured and is no study's result is kept in outputs/reference/measured/. Any other is one of `PLAIN`.
"""

import re
import sys
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from horticulture import architecture, runs
from horticulture.analysis import curves, statistics, tables
from horticulture.analysis.tables import cases as by_case
from horticulture.architecture import families, vit
from horticulture.data import decoding, digits, downloads, letters, reading
from horticulture.study import study_files
from horticulture.study.parameters import all_parameters
from horticulture.training import TrainingRecipe

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "outputs" / "reference"
README = ROOT / "README.md"
# In these every number is computed, or plain.
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "notebooks" / "solutions.md"]
MARKED = re.compile(r"<!--([\w.-]+)-->(.*?)<!---->", re.DOTALL)
UNREAD = re.compile(  # code, links, what is computed, a section's or an item's number, a notebook's
    r"```.*?```|`[^`]*`|\]\([^)]*\)|<!--[\w.-]+-->.*?<!---->|^#+ \d|^(?:\*\*)?\d\. |(?<![.\w])0[1-5]\b",
    re.DOTALL | re.MULTILINE,
)
NUMBER = re.compile(r"(?<![\w-])\d[\d.,:]*")
PLAIN = tuple(  # what is no result: names, years, what a table's rows and columns are about
    phrase.strip()
    for phrase in """
    Python 3.11 to 3.13; 6 GB; 45-minute; (2018); (2019); (EagleEye, 2020)
    with 3 x 3 pixels and stride 1; has stride 2; 7 x 7 pixels and stride 2; On images of 224 x 224
    torch 2.15; torch 2.11; 11, 22 and 40 %; 12 % |; 12 % of the parameters; 20 %, trained twice; | 20 % |
    as long | 40 % |; 20 % | 40 % |; means at 20 % and 40 %; batch 128; batch 256; 32 x 32
    16 x 16; 16 channels in the first
    counts 1); (0: all that scored zero); round 0; 25 / 50 / 75 / 90 %; the same with 25 % removed
    ours with 75 % removed; 1,300 rounds; 100 rounds; 26,000; multiple of 16; 32 to 31; 1 process | 4 | 8 | 15
    a scale of 1; slimming: 0.5; CIFAR-10/100; a large batch (256); 95 % interval
    (2017); 20 % of the parameters | compute; | 40 % | compute; at 20 % (95 % interval
    | round 64 | round 128 | round 192 |; 12 / 20 / 40 % of; | 12 % | 20 % | 40 % |
    copycats of the 40 %; of the 20 %; From round 64 to round 128
    12 %, by the mean; network of 12 %; item 1 of; so that 12 % is; notebook 04
    pruned shapes of 40 % save
    at 12 %; at 20 %; at 40 %; at 100 %; Renda et al., 2020; case of 40 %; that of 20 %;
    in all 14 cases; pruned shape of 20 %; pruned shape of 12 %
    pruned to 40 %; at 40 and 20 %; network of 40 %; shape of 12 %; item 4
    | 12 % |; | 40 % |; 20 % |; 40 % |; kept 13 %; have 12 %; at 13 %
    12, 20 and 40 %; networks had 2 epochs; Scratch-E had 4 and; up to 8, for; trained for 8; published 0.0008
    20 % of the parameters; 60 % |; at 60 %; at 60 and 40 %; at 20, 40 and 60 %; of 64 x 64
    error of 10 %; pruned shapes of 12 %, there
    | 1 |; up to 2 |; 20 %, twice; at 20 and 40 %
    with 0.01 before; 20 and 13 %; while 40 % of; after round 128; round 128 is; item 1 shows; At 20 %
    """.replace("\n", ";").split(";")
    if phrase.strip()
)


@cache
def frame(study: str) -> pd.DataFrame:
    """The results of a reference study."""
    if study == MORE:
        return pd.concat([frame("quick"), measured("retrained")], ignore_index=True)
    if study == AGAIN:
        return measured("replication")
    return runs.collect(REFERENCE / study)


@cache
def verdicts(study: str) -> pd.DataFrame:
    """The verdicts of a reference study."""
    if study in (MORE, AGAIN):
        return tables.verdicts(frame(study), all_parameters()["margin"]["default"])
    return pd.read_csv(REFERENCE / study / "verdicts.csv", dtype={"criterion": str})


@cache
def on_both(study: str) -> pd.DataFrame:
    """The verdicts of a reference study, and of the same on another processor (suffix `_again`)."""
    again = measured("replication_verdicts").query("study == @study")
    # Sizes differ a little: in either, cases of two curves are listed by size.
    pairs = [
        rows.assign(case=rows.groupby(["curve", "against"]).cumcount()) for rows in (verdicts(study), again)
    ]
    return pairs[0].merge(
        pairs[1], on=["curve", "against", "case"], suffixes=("", "_again"), validate="one_to_one"
    )


def again(study: str, curve: str, against: str, case: int) -> str:
    """A difference on the other processor. case: by size, from 0."""
    found = on_both(study).query("curve == @curve and against == @against and case == @case")
    return signed(found["difference_again"].item())


def decided_again(study: str, curve: str, against: str) -> str:
    """How many of the cases of two curves are decided on the other processor."""
    found = on_both(study).query("curve == @curve and against == @against")
    return f"{(found['verdict_again'] != statistics.UNDECIDED).sum()} of {len(found)}"


def decisions(study: str) -> dict[str, str]:
    """How many cases there are, are decided here and on the other processor, on one only, and both ways."""
    both = on_both(study)
    here, there = (both[name] != statistics.UNDECIDED for name in ("verdict", "verdict_again"))
    opposite = here & there & (both["verdict"] != both["verdict_again"])
    counts = {"cases": both, "here": both[here], "there": both[there], "one": both[here != there]}
    return {name: str(len(rows)) for name, rows in {**counts, "opposite": both[opposite]}.items()}


def on_other_images(study: str, curve: str = "", against: str = "") -> str:
    """How many of the decided verdicts, on two curves or all, stay if test images count as a sample, too."""
    found = verdicts_on(curve, against, study) if curve else verdicts(study)
    decided = found[found["verdict"] != statistics.UNDECIDED]
    return f"{(decided['verdict'] == decided['verdict_other_images']).sum()} of {len(decided)}"


def by_seed(
    column: str, curve: str, size: float | None = None, longer: float = 1.0, study: str = "quick"
) -> pd.Series:
    """A column of a curve, a value a seed, at a share of the parameters."""
    actual = frame(study)
    whole = actual.loc[actual["curve"] == "whole", "params"].max()
    actual = actual[(actual["curve"] == curve) & (actual["longer"] == longer)]
    if curve == "pruned-tuned":
        actual = actual[actual["recipe"] == "as it is"]
    if size is not None:
        apart = (actual["params"] / whole - size).abs()
        actual = actual[apart < by_case.NEAR * size]
    assert actual["seed"].nunique() == len(actual), f"{curve} at {size}: not one network a seed"
    return actual.set_index("seed")[column].sort_index()


def mean(
    column: str, curve: str, size: float | None = None, longer: float = 1.0, study: str = "quick"
) -> float:
    """Mean of a column over the seeds of a curve, at a share of the parameters."""
    return float(by_seed(column, curve, size, longer, study).mean())


def spread(values: pd.Series | np.ndarray, form: str = "{:.1f}") -> str:
    """From the lowest seed to the highest."""
    return f"{form.format(values.min())} to {form.format(values.max())}"


def percent(share: float) -> str:
    """Of the whole."""
    return f"{100 * share:.0f} %"


def error(curve: str, size: float | None = None, longer: float = 1.0, study: str = "quick") -> str:
    """Mean test error over seeds of a curve, at a share of the parameters, to a tenth of a point."""
    return f"{mean('test_error', curve, size, longer, study):.1f}"


def training(curve: str, size: float | None = None, longer: float = 1.0) -> str:
    """The compute of all training that a network of `quick` needed, as a multiple of the whole network's."""
    return f"{mean('train_macs', curve, size, longer) / mean('train_macs', 'whole'):.1f}"


def compared(curve: str, against: str, size: float, study: str = "quick") -> pd.Series:
    """The verdict of a study on two curves at a size."""
    actual = verdicts(study)
    actual = actual[(actual["curve"] == curve) & (actual["against"] == against) & (actual["longer"] == 1)]
    return actual.loc[(actual["size"] - size).abs().idxmin()]


def verdicts_on(curve: str, against: str, study: str) -> pd.DataFrame:
    """All verdicts of a study on two curves."""
    found = verdicts(study)
    return found[(found["curve"] == curve) & (found["against"] == against)]


def both_processors(
    curve: str = "pruned-scratch", against: str = "lr-rewound"
) -> dict[str, statistics.Difference]:
    """A budget minus another curve with the networks of both processors, at each size and the longer one."""
    sides = {
        case: [
            np.concatenate([by_seed("test_error", one, *case_of, study=study) for study in (MORE, AGAIN)])
            for one in (curve, against)
        ]
        for case, case_of in BOTH.items()
        if (curve, case) != ("scratch-images", "longer")  # trained twice as long on one of them only
    }
    return {case: statistics.welch_difference(*errors) for case, errors in sides.items()}


def better_on_again(curve: str, against: str) -> list[float]:
    """The sizes, for each length, at which one curve is better than another on the other processor."""
    found = verdicts_on(curve, against, AGAIN)
    return list(found.loc[found["verdict"] == statistics.BETTER, "size"])


def rewound_controls(longer: float) -> pd.Series:
    """The verdict on new weights with more epochs against the rewound networks, among the controls."""
    found = verdicts_on("scratch-b-all", "lr-rewound", CONTROLS)
    return found[found["longer"] == longer].iloc[0]


def at_all_sizes(curve: str, against: str, *studies: str) -> statistics.Difference:
    """One curve minus another by the mean over the three sizes, which is one value a seed and study."""

    def means(one: str) -> np.ndarray:
        by_study = [
            [by_seed("test_error", one, size / 100, study=name) for size in SIZES] for name in studies
        ]
        return np.concatenate([np.mean([at.to_numpy() for at in sizes], axis=0) for sizes in by_study])

    return statistics.welch_difference(means(curve), means(against))


def of_budgets(*studies: str) -> dict[str, statistics.Difference]:
    """The three budgets of new weights minus LR-rewound, by the mean over the sizes: one family of tests."""
    return {curve: at_all_sizes(curve, "lr-rewound", *studies) for curve in NEW_BUDGETS}


def seed_means(curve: str, *studies: str) -> np.ndarray:
    """The mean test error over the sizes (and studies), by seed."""
    every = [by_seed("test_error", curve, size / 100, study=name) for size in SIZES for name in studies]
    return np.mean([values.to_numpy() for values in every], axis=0)


def by_seed_averaged(
    difference: Callable[..., statistics.Difference] = statistics.welch_difference,
) -> dict[str, statistics.Difference]:
    """The same with the two networks of a seed, one from each processor, averaged: three a side."""
    rewound = seed_means("lr-rewound", MORE, AGAIN)
    return {curve: difference(seed_means(curve, MORE, AGAIN), rewound) for curve in NEW_BUDGETS}


def by_seed_paired() -> dict[str, statistics.Difference]:
    """The same, paired by seed."""
    return by_seed_averaged(statistics.paired_difference)


def on_again(curve: str, longer: float) -> statistics.Difference:
    """A budget minus LR-rewound at 20 % on the other processor."""
    sides = (by_seed("test_error", one, 0.2, longer, AGAIN) for one in (curve, "lr-rewound"))
    return statistics.welch_difference(*(side.to_numpy() for side in sides))


def image_se(*, of_means: bool) -> pd.Series:
    """Standard errors that the test images leave in the budgets less LR-rewound: at one size, or of means."""
    actual = measured("image_sampling")
    return actual[(actual["size"] == "mean") == of_means].set_index("curve")["standard_error"]


def compared_on_images(curve: str, against: str) -> pd.Series:
    """The standard errors that the test images leave in `quick`'s own differences at one size."""
    return verdicts("quick").query("curve == @curve and against == @against")["test_error_se"]


def on_other_digits(*studies: str) -> dict[str, statistics.Difference]:
    """The three budgets, with the error of the test images added to that of the seeds."""
    digits = int(measured("image_sampling")["digits"].iloc[0])
    errors = image_se(of_means=True)
    return {
        curve: one.with_error(errors[curve], digits - 1)
        for curve, one in of_budgets(*(studies or (MORE, AGAIN))).items()
    }


def corrected(*studies: str) -> list[str]:
    """The verdicts on the three budgets, corrected for one another."""
    margin = all_parameters()["margin"]["default"]
    return statistics.holm_verdicts(list(of_budgets(*studies).values()), margin)


def of_seeds(curve: str, size: float | None = None) -> str:
    """Test error of a curve of `transfer-quick` at a size: the mean, and the seeds."""
    errors = by_seed("test_error", curve, size, study=TRANSFER)
    return f"{errors.mean():.1f} ({spread(errors)})"


def of_whole_compute(curve: str, size: float) -> str:
    """All compute that a network of `transfer-quick` needed, in trainings of the whole network."""
    costs = (mean("train_macs", name, of, study=TRANSFER) for name, of in ((curve, size), ("whole", None)))
    return f"{next(costs) / next(costs):.1f}"


def letters_seen(size: float | None) -> float:
    """Epochs of letters that a tuned network of `transfer-quick` has seen: moved, pruned, tuned.

    size: of the network, or None for one that was not pruned round by round.
    """
    told, networks = parameters(TRANSFER)["parameters"], frame(TRANSFER)
    epochs = told["epochs"] + told["finetune_epochs"]
    if size is None:
        return epochs
    tuned = networks[networks["curve"] == "lr-rewound"]
    rounds = tuned.loc[
        (tuned["params"] / networks.loc[networks["curve"] == "whole", "params"].max() - size).abs() < 0.05,
        "round",
    ].mean()
    return epochs + rounds * told["steps"] * 64 / told["images"]


def transfer_rates(stage: str, *, last: bool = False) -> pd.Series:
    """Mean validation error by rate, as chosen for `transfer-quick`. last: only of the last round."""
    actual = measured("transfer_rates")
    actual = actual[actual["stage"] == stage]
    if last:
        actual = actual[actual["round"] == actual["round"].max()]
    return actual.groupby("lr")["val_error"].mean()


def transfer_rate_gap(*, last: bool) -> str:
    """By how many points the two rates of pruning differ in validation error, on average or at the end."""
    own, other = transfer_rates("prune").sort_values().index
    actual = transfer_rates("prune", last=last)
    return f"{abs(actual[other] - actual[own]):.1f}"


def apart(
    curve: str, against: str, size: float, what: str, longer: float = 1.0, study: str | None = None
) -> str:
    """How far two budgets of `quick` are apart at a size: points, or the interval, for that case alone."""
    sides = [by_seed("test_error", one, size, longer, study or MORE).to_numpy() for one in (curve, against)]
    both = all(one in curves.CURVES and curves.CURVES[one].inherits for one in (curve, against))
    return difference((statistics.paired_difference if both else statistics.welch_difference)(*sides), what)


def answer(study: str) -> str:
    """Weights or shape, as notebook 05 says it."""
    (said,) = re.findall(r"^\*\*(.+?)\.\*\*", tables.conclude(verdicts(study)))
    return said


def from_the_shape(curve: str, what: str) -> str:
    """How far a curve lies from the pruned shape from scratch in `controls`, at the greatest length of both.

    Points, the interval, or by how much its networks are larger.
    """
    actual = verdicts(CONTROLS)
    pair = actual[(actual["curve"] == curve) & (actual["against"] == "pruned-scratch")]
    first = pair.loc[pair["longer"].idxmax()]
    if what == "larger":
        return f"{first['size_miss']:.0f} %"
    return difference(first, "difference" if what == "diff" else what)


def decided(study: str) -> int:
    """How many verdicts of a study the seeds decide."""
    return int((verdicts(study)["verdict"] != statistics.UNDECIDED).sum())


def never_decided(curve: str, against: Iterable[str], study: str) -> bool:
    """Whether three seeds decide nothing between a curve and others, at any case."""
    actual = verdicts(study)
    pairs = actual[(actual["curve"] == curve) & actual["against"].isin(list(against))]
    return len(pairs) > 0 and bool((pairs["verdict"] == statistics.UNDECIDED).all())


def difference(found: pd.Series | statistics.Difference, what: str = "difference") -> str:
    """A difference in points, or its 95 % interval, that case alone."""
    if what == "interval":
        return f"{signed(found.low)} to {signed(found.high)}"
    return signed(found["difference"] if isinstance(found, pd.Series) else found.mean)


@cache
def verdicts_with(margin: float) -> pd.DataFrame:
    """The verdicts on `quick` with a margin."""
    return tables.verdicts(frame("quick"), margin)


def with_margin(points: float, column: str, verdict: str) -> str:
    """How many verdicts on `quick` come out so with another margin."""
    return str(int((verdicts_with(points)[column] == verdict).sum()))


def counted(curve: str, against: str, study: str, column: str = "verdict") -> Callable[[str], str]:
    """How often a curve came out so against another."""

    def count(verdict: str) -> str:
        actual = verdicts(study)
        pair = actual[(actual["curve"] == curve) & (actual["against"] == against)]
        assert len(pair), f"no verdict on {curve} against {against}"
        return str(int((pair[column] == verdict).sum()))

    return count


def cases(curve: str, against: str, study: str) -> str:
    """In how many cases two curves were compared."""
    actual = verdicts(study)
    return str(int(((actual["curve"] == curve) & (actual["against"] == against)).sum()))


def seeds(curve: str, against: str, study: str) -> str:
    """About how many seeds would tell what is undecided, from the easiest case to the hardest."""
    actual = verdicts(study)
    pair = actual[(actual["curve"] == curve) & (actual["against"] == against)]
    needed = pair.loc[pair["verdict"] == statistics.UNDECIDED, "seeds_needed"].dropna()
    return f"{needed.min():.0f} to {needed.max():.0f}"


def seen(study: str, rounds: float | None = None) -> float:
    """Images seen in that many rounds of a pruning run, or in all, over those of its base's training."""
    values = parameters(study)["parameters"]
    batch = values.get("batch_size", 64)
    per_epoch = values["images"] // batch * batch
    rounds = values["rounds"] if rounds is None else rounds
    return (rounds + 1) * values["steps"] * batch / (values["epochs"] * per_epoch)


def rewinding_gains() -> pd.Series:
    """By how much rewinding lowered the mean test errors of tuned networks of `quick`: points, by case."""
    actual = verdicts("quick")
    pair = actual[(actual["curve"] == "lr-rewound") & (actual["against"] == "pruned-tuned")]
    return -pair["difference"]


def lr_rewound_epochs() -> float:
    """How long a rewound network of `quick` is trained after pruning, in trainings of the whole network."""
    values = parameters("quick")["parameters"]
    return values["finetune_epochs"] / values["epochs"]


@cache
def removals() -> pd.DataFrame:
    """Every round of the pruning runs of `quick`, but for those trained longer."""
    actual, drawn = runs.collect_removals(REFERENCE / "quick"), frame("quick")
    return actual[actual["run"].isin(drawn.loc[drawn["curve"] == "pruned-tuned", "run"])]


def at_round(number: int, column: str) -> pd.Series:
    """A column of the pruning runs of `quick` after a round, one value per seed."""
    return removals().set_index("round").loc[number, column]


def first_loss(group: int) -> str:
    """In which round of `quick` a group lost its first channel."""
    return spread(removals().query("group == @group").groupby("run")["round"].min(), "{}")


def left(group: int, share: float) -> str:
    """What a group has left of its channels after a share of the rounds of `quick`."""
    rounds = removals()
    gone = ((rounds["group"] == group) & (rounds["round"] <= share * rounds["round"].max())).sum()
    return percent(1 - gone / rounds["run"].nunique() / WHOLE.widths[group])


def matched(family: str, size: float, in_: str, of: str) -> str:
    """The parameters of a family's member, given its MACs, or the other way round: shares of the whole's."""
    member = FAMILIES[family](WHOLE, **{in_: round(size * getattr(WHOLE, in_))})
    return percent(getattr(member, of) / getattr(WHOLE, of))


def standard_error(study: str, column: str = "test_error_se") -> str:
    """That the test set leaves in a difference of two networks: points, the median of all comparisons."""
    return f"{verdicts(study)[column].median():.1f}"


@cache
def parameters(study: str) -> dict:
    """A study's file."""
    return yaml.safe_load((ROOT / "notebooks" / "studies" / f"{study}.yaml").read_text())


def minutes(study: str, processor: str = "Intel") -> str:
    """What a study took when it was timed on a machine with this processor."""
    actual = measured("minutes").query("study == @study and machine.str.contains(@processor)")
    seconds = int(actual["seconds"].sum())
    return f"{seconds // 60}:{seconds % 60:02d}"


def more_norm_images(study: str) -> str:
    """By how much more images than the recipes take lowered a study's validation errors, at most: points."""
    actual = measured("norm_images").query("study == @study")
    actual = actual.pivot_table("val_error", ["curve", "size"], "norm_images")
    taken = TrainingRecipe(epochs=1).norm_images
    more = actual[[count for count in actual if count.isdigit() and int(count) > taken]]
    return f"{more.rsub(actual[str(taken)], axis=0).max(axis=None):.1f}"


def with_norms(curve: str, how: str) -> str:
    """Mean validation error of the smallest networks of a curve of `quick`, by their norm statistics."""
    count = how if how == "running" else str(TrainingRecipe(epochs=1).norm_images)
    actual = measured("norm_images").query("study == 'quick' and curve == @curve").sort_values("size")
    return f"{actual.loc[actual['norm_images'] == count, 'val_error'].iloc[0]:.1f}"


def rates(study: str, column: str = "val_error") -> pd.DataFrame:
    """Validation errors of pruning runs by round and fine-tuning rate, means over seeds."""
    actual = measured("finetune_lr")
    return actual[actual["study"] == study].pivot_table(column, "round", "finetune_lr")


def rate_difference(rate: float) -> statistics.Difference:
    """The validation error of `quick` at a fine-tuning rate less that at its own: means of its rounds."""
    actual = measured("finetune_lr")
    errors = actual[actual["study"] == "quick"].pivot_table("val_error", "finetune_lr", "seed")
    expected = parameters("quick")["parameters"]["finetune_lr"]
    return statistics.paired_difference(errors.loc[rate].to_numpy(), errors.loc[expected].to_numpy())


def rate_gap(study: str, rate: float, other: float, low: int, high: int) -> str:
    """By how much one rate lowers the validation error of another, mean of rounds `low` to `high`: points."""
    actual = rates(study).loc[low:high]
    return f"{(actual[other] - actual[rate]).mean():.1f}"


def rate_gaps(study: str, rate: float, other: float, low: int, high: int) -> str:
    """By how much the validation error differs at another rate: points, of rounds `low` to `high`."""
    actual = rates(study).loc[low:high]
    least, most = np.quantile(actual[other] - actual[rate], (0, 1))
    return f"{signed(least)} to {signed(most)}"


def scratch_rate(rate: float, curves: tuple[str, ...] = ()) -> str:
    """Mean validation error of networks from scratch of `quick`, whole included, by highest rate."""
    actual = measured("scratch_lr")
    chosen = actual["curve"].isin(curves) if curves else actual["curve"] != "pruned-tuned"
    return f"{actual[(actual['lr'] == rate) & chosen]['val_error'].mean():.1f}"


def by_scratch_rate() -> pd.DataFrame:
    """Mean test errors of `quick` by highest rate and size (%), a column a curve, where both sides are."""
    actual = measured("scratch_lr")
    share = 100 * actual["params"] / actual.loc[actual["curve"] == "whole", "params"].max()
    actual["size"] = [min((12, 20, 40, 100), key=lambda size: abs(one - size)) for one in share]
    means = actual.pivot_table("test_error", ["lr", "size"], "curve")[["pruned-tuned", "pruned-scratch"]]
    return means.dropna()


def scratch_rate_gaps(size: int) -> str:
    """By how many points the tuned networks of a size have the lower mean, by each highest rate."""
    means = by_scratch_rate().xs(size, level="size")
    low, middle, high = (f"{gap:.1f}" for gap in means["pruned-scratch"] - means["pruned-tuned"])
    return f"{low}, {middle} and {high}"


def gaps_at_scratch_rate(rate: float) -> str:
    """By how many points the tuned networks have the lower mean at a highest rate, from the smallest on."""
    means = by_scratch_rate().xs(rate, level="lr")
    first, *middle, last = (f"{gap:.1f}" for gap in means["pruned-scratch"] - means["pruned-tuned"])
    return f"{', '.join([first, *middle])} and {last}"


def preresnet_base(criterion: str) -> str:
    """Mean test error of the network that was pruned by a criterion with a penalty."""
    actual = frame(PRERESNET)
    actual = actual[(actual["curve"] == "whole") & (actual["criterion"] == criterion)]
    return f"{actual['test_error'].mean():.1f}"


def preresnet_milliseconds(curve: str, criteria: tuple[str, ...] | None) -> str:
    """Of a batch of 256: the networks' quickest and slowest."""
    actual = frame(PRERESNET)
    actual = actual[(actual["curve"] == curve) & actual["latency_256"].notna()]
    if criteria:
        actual = actual[actual["criterion"].isin(criteria)]
    low, high = f"{actual['latency_256'].min():.0f}", f"{actual['latency_256'].max():.0f}"
    return low if low == high else f"{low} to {high}"


def whole_longer(study: str, epochs: int) -> str:
    """Mean test error of the whole network of a part of `rethinking-quick`, by epochs, without pruning."""
    actual = measured("whole_longer")
    return f"{actual[(actual['study'] == study) & (actual['epochs'] == epochs)]['test_error'].mean():.1f}"


def after_ratio(study: str, curve: str, criterion: str, longer: float = 1.0) -> str:
    """Test error of what was pruned by the only ratio of a study, by budget: the mean, and the seeds."""
    actual = frame(study)
    actual = actual[(actual["curve"] == curve) & (actual["criterion"] == criterion) & actual["ratio"].notna()]
    actual = actual[actual["longer"] == longer]
    assert actual["seed"].nunique() == len(actual) > 0, f"{curve} by {criterion}: not one network a seed"
    return f"{actual['test_error'].mean():.1f} ({spread(actual['test_error'])})"


def epochs_of(curve: str, size: float) -> str:
    """For how many epochs a budget of `quick` trained at a size: `10 to 11`."""
    actual = by_seed("epochs", curve, size, study=MORE)
    return f"{actual.min():.0f}" if actual.nunique() == 1 else spread(actual, "{:.0f}")


def spread_of_epochs(study: str, curve: str) -> str:
    """For how many epochs the networks of a budget were trained, from the fewest to the most."""
    actual = frame(study)
    return spread(actual.loc[actual["curve"] == curve, "epochs"], "{:.0f}")


def lowest(study: str, curve: str) -> str:
    """The lowest mean test error of a budget over seeds, of all criteria and ratios."""
    actual = frame(study)
    actual = actual[actual["curve"].isin([curve, f"sparse-{curve}"])]
    return f"{actual.groupby(['curve', 'criterion', 'ratio'])['test_error'].mean().min():.1f}"


def best_rate(study: str) -> str:
    """The fine-tuning rate with the lowest mean validation error, of those that went to the last round."""
    return f"{rates(study).dropna(axis=1).mean().idxmin():g}"


def other_rate_gap(size: float) -> str:
    """As `gap`, in `evening` at three times its fine-tuning rate: points."""
    actual = measured("evening_other_rate")
    near = actual[(actual["params"] / frame(EVENING)["params"].max() - size).abs() < by_case.NEAR * size]
    errors = near.set_index("curve")["test_error"]
    return signed(errors["pruned-tuned"] - errors["pruned-scratch"])


def share(study: str, extreme: str) -> str:
    """The least or most compute that Scratch-B spent, as a multiple of the whole network's training."""
    actual = frame(study)
    return f"{getattr(actual.loc[actual['curve'].str.endswith('scratch-b'), 'compute_share'], extreme)():.1f}"


@cache
def measured(name: str) -> pd.DataFrame:
    """A table of what was measured and is no study's result."""
    return pd.read_csv(REFERENCE / "measured" / f"{name}.csv")


def solutions() -> pd.DataFrame:
    """What was measured for the answers to the exercises, each value as it is written there."""
    return pd.read_csv(REFERENCE / "measured" / "solutions.csv", dtype=str)


def bench_row(what: str) -> float:
    """One value of the benchmarks, by how its name begins."""
    actual = measured("bench")
    (value,) = actual.loc[actual["what"].str.startswith(what), "value"]
    return value


def bench(what: str, form: str = "{:.2f}") -> Callable[[], str]:
    """One row of the benchmarks, as a text."""
    return lambda: form.format(bench_row(what)).replace("%", " %")


def gap(
    study: str, size: float, curve: str = "pruned-tuned", against: str = "pruned-scratch", longer: float = 1.0
) -> str:
    """How much lower the error of the pruned shape from scratch is than that of another curve: points.

    Mean of the seeds that both curves have.
    """
    first, other = (by_seed("test_error", each, size, longer, study) for each in (curve, against))
    return signed((first - other).mean())


def rewound_by_seed(size: float) -> str:
    """The errors of the rewound networks of `evening` less those of their shapes from scratch: points."""
    one, other = (
        by_seed("test_error", each, size, study=EVENING) for each in ("lr-rewound", "pruned-scratch")
    )
    *first, last = map(signed, one - other)
    return f"{', '.join(first)} and {last}"


def at_both_lengths(curve: str, longer: float) -> str:
    """Test error of a curve of `evening` at 20 %, of the seeds that were trained for both lengths."""
    once, twice = (by_seed("test_error", curve, 0.2, length, EVENING) for length in (1.0, 2.0))
    both = once.index.intersection(twice.index)
    return f"{(once if longer == 1 else twice)[both].mean():.1f}"


def above_whole(longer: float) -> str:
    """How much higher the error of the tuned network of 20 % is than the whole one's, in `quick`: points."""
    return signed(mean("test_error", "pruned-tuned", 0.2, longer) - mean("test_error", "whole", None, longer))


def before_removals(study: str) -> float:
    """Mean test error of a pruning run's network after the fine-tuning before the first removal."""
    actual = frame(study)
    return float(actual.loc[(actual["round"] == 0) & (actual["longer"] == 1), "test_error"].mean())


def evening_miss() -> np.ndarray:
    """By how many percent the families of `evening` have more parameters at 12 % than the pruned shape."""
    families_ = [
        by_seed("params", curve, 0.12, study=EVENING) for curve in ("width", "bottleneck", "copycat")
    ]
    shape = by_seed("params", "pruned-scratch", 0.12, study=EVENING)
    return np.array([100 * float((family / shape).dropna().mean() - 1) for family in families_])


def published(params: str) -> str:
    """The same in the published figure, as it was read off."""
    actual = measured("post_figure").set_index("parameters").loc[params]
    return signed(actual["pruned-tuned"] - actual["pruned-scratch"])


def p_value(p: float) -> str:
    """To three digits."""
    return f"{p:.3f}" if p >= 0.001 else "less than 0.001"


def signed(points: float) -> str:
    """With a sign that can be read, to a digit more if it would be lost: −0.02 is below zero."""
    return f"{points:+z.{1 if abs(points) >= 0.05 else 2}f}".replace("-", "−")


def transformer(side: int = vit.ViT.smallest_image) -> architecture.Architecture:
    """The whole network of `vit-quick`, for images of that height and width."""
    return architecture.named(parameters(VIT)["parameters"]["network"], image=(1, side, side), classes=10)


def left_of_transformer(group: int, size: float) -> str:
    """What pruning left of the heads (0) or the units (1) of all blocks of `vit-quick` at a size."""
    shapes, whole = runs.architectures(REFERENCE / VIT), transformer()
    names = by_seed("architecture", "pruned-scratch", size, study=VIT)
    remaining = [sum(shapes[name].widths[group::2]) for name in names]
    return percent(np.mean(remaining) / sum(whole.widths[group::2]))


def of_transformer(curve: str, against: str, size: float, what: str) -> str:
    """One curve less another in `vit-quick`: points, or their 95 % interval."""
    actual = verdicts(VIT)
    actual = actual[(actual["curve"] == curve) & (actual["against"] == against)]
    return difference(actual.loc[(actual["size"] - size).abs().idxmin()], what)


def transformer_by(what: str = "whole", **recipe: str | float) -> str:
    """Mean validation error of transformers by recipe; of rounds, without the first and the last."""
    actual = measured("vit_recipe")
    actual = actual[actual["what"].str.startswith(what) & ~actual["round"].isin((0, 540))]
    for name, value in recipe.items():
        actual = actual[actual[name] == value]
    assert len(actual), recipe
    return f"{actual['val_error'].mean():.1f}"


def gpu(what: str, processes: int) -> Callable[[], str]:
    """Steps a second on a GPU, all processes together."""

    def say() -> str:
        actual = measured("gpu").set_index(["what", "processes"])["value"]
        return f"{actual[what, processes]:,}"

    return say


def on_photographs(name: str) -> architecture.Architecture:
    """A network for images of the size usual for ImageNet."""
    return architecture.named(name, image=(3, 224, 224), classes=10)


def peer(network: str, column: str) -> str:
    """What was found for a network of torchvision: a number, milliseconds, so many of so many, or words."""
    row = measured("peers").set_index("network").loc[network]
    tried = {"cuts": "tried", "their_right": "their_tried"}.get(column)
    if pd.isna(row[column]):
        return "–"
    if isinstance(row[column], str):
        return row[column]
    return f"{row[column]:.{column.endswith('ms'):d}f}{f' of {row[tried]:.0f}' if tried else ''}"


MORE = "quick, with more budgets"  # of retraining: not a study, but its results and those measured apart
AGAIN = "quick, on another processor"
ALL_SIZES = {  # compared by the mean over all sizes
    "scratch.lr": ("pruned-scratch", "lr-rewound", "quick"),
    "again.scratch.lr": ("pruned-scratch", "lr-rewound", AGAIN),
    "scratch.tuned": ("pruned-scratch", "pruned-tuned", "quick"),
    "again.scratch.tuned": ("pruned-scratch", "pruned-tuned", AGAIN),
    "seen.lr": ("scratch-images", "lr-rewound", MORE),
    "again.seen.lr": ("scratch-images", "lr-rewound", AGAIN),
    "scratch-b.lr": ("scratch-b", "lr-rewound", MORE),
    "again.scratch-b.lr": ("scratch-b", "lr-rewound", AGAIN),
    "both.scratch.lr": ("pruned-scratch", "lr-rewound", MORE, AGAIN),
    "both.scratch-b.lr": ("scratch-b", "lr-rewound", MORE, AGAIN),
    "both.seen.lr": ("scratch-images", "lr-rewound", MORE, AGAIN),
    "both.scratch.tuned": ("pruned-scratch", "pruned-tuned", "quick", AGAIN),
}
NEW_BUDGETS = ("pruned-scratch", "scratch-b", "scratch-images")
REWOUND = ("pruned-scratch", "lr-rewound")  # the pair that decides, where it was trained
BOTH = {"12": (0.12, 1.0), "20": (0.2, 1.0), "longer": (0.2, 2.0), "40": (0.4, 1.0)}  # size and length
BUDGETS = {
    **{"tuned": "pruned-tuned", "lr": "lr-rewound", "rewound": "weights-rewound"},
    **{"scratch": "pruned-scratch", "scratch-b": "scratch-b", "seen": "scratch-images", "on": "fine-tuned"},
}
BUDGET_PAIRS = (
    *(("scratch", "tuned"), ("scratch", "lr"), ("scratch-b", "tuned"), ("scratch-b", "lr")),
    *(("scratch-b", "scratch"), ("rewound", "tuned"), ("rewound", "scratch"), ("lr", "tuned")),
    *(("seen", "lr"), ("lr", "on"), ("on", "tuned"), ("seen", "on")),
)
VGG, EVENING = "rethinking-quick-vgg", "evening-cifar10-jpeg"
PAIRS_OF_PHOTOGRAPHS = {
    "tuned": ("pruned-scratch", "pruned-tuned"),
    "scratch.lr": ("pruned-scratch", "lr-rewound"),
}
VIT = "vit-quick"
TRANSFER = "transfer-quick"
ARMS = (  # of `transfer-quick`
    *("pruned-tuned", "lr-rewound", "fine-tuned", "random-channels", "pruned-moving", "scratch-moved"),
    *("uniform-moved", "pruned-scratch", "uniform", "width"),
)
TRANSFER_PAIRS = (
    *(("scratch-moved", against) for against in ("pruned-tuned", "lr-rewound", "fine-tuned")),
    *(("pruned-scratch", against) for against in ("pruned-tuned", "lr-rewound")),
    ("scratch-moved", "pruned-scratch"),
    *(("random-channels", "fine-tuned"), ("pruned-moving", "lr-rewound"), ("lr-rewound", "whole")),
    *(("uniform-moved", against) for against in ("scratch-moved", "pruned-tuned", "lr-rewound")),
)
CONTROLS, PRERESNET = "rethinking-quick-controls", "rethinking-quick-preresnet"
POST = ("0.25M", "0.50M", "0.90M")  # 11, 22 and 40 % of a WRN-40-2
SMALL, LARGE = "WRN-16-1, batch 128, 16 x 16, bfloat16", "WRN-40-2, batch 256, 32 x 32, bfloat16"
UNFLUSHED = "k. overhead of a run among 10,000 empty ones, not flushed"
FLUSHED = "k. overhead of a run among 10,000 empty ones, flushed"
COLLECTING = "k. collecting 10,000"
SIZES, ROUNDS = (12, 20, 40), (64, 128, 192)  # of `quick`, in percent and where it measures
WHOLE = architecture.named(  # of `quick`
    parameters("quick")["parameters"]["network"],
    image=(1, digits.CLUTTER_IMAGE, digits.CLUTTER_IMAGE),
    classes=10,
)
FAMILIES = {"width": families.width, "bottleneck": families.bottleneck}
CLAIMS: dict[str, Callable[[], str]] = {
    "whole": lambda: error("whole"),
    "whole.longer": lambda: error("whole", longer=2.0),
    "se": lambda: standard_error("quick"),
    "se.one": lambda: standard_error("quick", "test_error_se_one"),
    **{
        f"{curve}.{size}": lambda curve=curve, size=size: error(curve, size / 100)  # type: ignore[misc]
        for curve in ("pruned-tuned", "pruned-scratch", "width", "bottleneck")
        for size in (12, 20, 40)
    },
    **{
        f"training.{curve}.{size}": lambda curve=curve, size=size: training(curve, size / 100)  # type: ignore[misc]
        for curve in ("pruned-tuned", "lr-rewound", "pruned-scratch", "width")
        for size in (12, 20, 40)
    },
    "training.whole": lambda: training("whole"),
    "training.whole.longer": lambda: training("whole", longer=2.0),
    **{
        f"ms.{batch}.{curve}.{size}": lambda b=batch, c=curve, s=size: (  # type: ignore[misc]
            f"{mean(f'latency_{b}', c, s / 100 if s < 100 else None):{'.2f' if b == 1 else '.0f'}}"
        )
        for batch in (1, 256)
        for curve, sizes in {
            **dict.fromkeys(("pruned-scratch", "width", "bottleneck"), (12, 20, 40)),
            "whole": (100,),
        }.items()
        for size in sizes
    },
    **{
        f"margin.{points}.{name}.{verdict.split()[0]}": partial(with_margin, points, column, verdict)
        for points in (1, 3)
        for name, column in (("all", "verdict"), ("alone", "verdict_alone"))
        for verdict in statistics.VERDICTS
    },
    "verdicts": lambda: str(len(verdicts("quick"))),
    **{f"stay.{study.partition('-')[0]}": partial(on_other_images, study) for study in ("quick", TRANSFER)},
    "quick.minutes": lambda: minutes("quick"),
    "quick.minutes.amd": lambda: minutes("quick", "without AVX-512"),
    "quick.minutes.new": lambda: minutes("quick", "with AVX-512"),
    **{
        f"again.{short}.{size}": partial(error, BUDGETS[short], size / 100, study=AGAIN)
        for short in ("tuned", "lr", "scratch")
        for size in SIZES
    },
    **{
        f"again.{size}.{what}": partial(apart, *REWOUND, size / 100, what, study=AGAIN)
        for size in SIZES
        for what in ("diff", "interval")
    },
    **{
        f"3.{short}.longer.spread": lambda c=BUDGETS[short]: spread(  # type: ignore[misc]
            by_seed("test_error", c, 0.2, 2.0, MORE)
        )
        for short in ("tuned", "lr", "scratch", "scratch-b")
    },
    "again.longer.diff": lambda: apart(*REWOUND, 0.2, "diff", 2.0, AGAIN),
    "again.longer.interval": lambda: apart(*REWOUND, 0.2, "interval", 2.0, AGAIN),
    **{f"both.{case}": lambda case=case: f"{both_processors()[case].mean:+.1f}" for case in BOTH},  # type: ignore[misc]
    **{f"all.{pair}.diff": lambda of=of: signed(at_all_sizes(*of).mean) for pair, of in ALL_SIZES.items()},  # type: ignore[misc]
    **{
        f"all.{pair}.interval": lambda of=of: "{} to {}".format(*map(signed, at_all_sizes(*of)[1:3]))  # type: ignore[misc]
        for pair, of in ALL_SIZES.items()
    },
    **{f"all.{pair}.p": lambda of=of: p_value(at_all_sizes(*of).p) for pair, of in ALL_SIZES.items()},  # type: ignore[misc]
    "both.longer.interval": lambda: difference(both_processors()["longer"], "interval"),
    **{
        f"both.{case}.scratch-b.interval": lambda case=case: difference(  # type: ignore[misc]
            both_processors("scratch-b")[case], "interval"
        )
        for case in ("20", "longer")
    },
    "seeds.means.p": lambda: p_value(max(statistics.holm([one.p for one in by_seed_averaged().values()]))),
    "both.20.seen": lambda: signed(both_processors("scratch-images")["20"].mean),
    "both.20.seen.interval": lambda: difference(both_processors("scratch-images")["20"], "interval"),
    "se.lr": lambda: spread(
        pd.concat([image_se(of_means=False), compared_on_images("pruned-scratch", "lr-rewound")])
    ),
    "se.lr.means": lambda: spread(image_se(of_means=True)),
    **{
        f"images.{curve}.interval": lambda curve=curve: difference(on_other_digits()[curve], "interval")  # type: ignore[misc]
        for curve in NEW_BUDGETS
    },
    **{
        f"paired.{curve}.p": lambda at=at: p_value(
            statistics.holm([d.p for d in by_seed_paired().values()])[at]
        )  # type: ignore[misc]
        for at, curve in enumerate(NEW_BUDGETS)
    },
    "paired.scratch-b.interval": lambda: "{} to {}".format(*map(signed, by_seed_paired()["scratch-b"][1:3])),
    "images.p": lambda: p_value(max(statistics.holm([one.p for one in on_other_digits().values()]))),
    "evening.hours": lambda: f"{sum(study_files.read('evening').seconds.values()) / 3600:.1f}",
    "both.longer.scratch-b": lambda: signed(both_processors("scratch-b")["longer"].mean),
    "both.20.scratch-b": lambda: signed(both_processors("scratch-b")["20"].mean),
    "again.seen.20.diff": lambda: apart("scratch-images", "lr-rewound", 0.2, "diff", 1.0, AGAIN),
    "again.seen.20.interval": lambda: apart("scratch-images", "lr-rewound", 0.2, "interval", 1.0, AGAIN),
    "controls.scratch-b.lr.diff": lambda: f"{-rewound_controls(2.0)['difference']:.1f}",
    "controls.scratch-b.lr.interval": lambda: (
        f"{-rewound_controls(2.0)['high']:.1f} to {-rewound_controls(2.0)['low']:.1f}"
    ),
    "both.means.p": lambda: p_value(
        max(statistics.holm([one.p for one in of_budgets(MORE, AGAIN).values()]))
    ),
    "again.means.p": lambda: spread(
        np.array(statistics.holm([one.p for one in of_budgets(AGAIN).values()])), "{:.3f}"
    ),
    "again.seen.longer.diff": lambda: apart("scratch-images", "lr-rewound", 0.2, "diff", 2.0, AGAIN),
    "again.seen.longer.interval": lambda: apart("scratch-images", "lr-rewound", 0.2, "interval", 2.0, AGAIN),
    **{
        f"again.{short}.{size}": partial(error, BUDGETS[short], size / 100, study=AGAIN)
        for short in ("scratch-b", "seen")
        for size in SIZES
    },
    "both.p": lambda: p_value(max(statistics.holm([one.p for one in both_processors().values()]))),
    "quick.answer": lambda: answer("quick"),
    "3.seen.lr.12.p": lambda: p_value(compared("scratch-images", "lr-rewound", 0.12, MORE)["p_adjusted"]),
    "again.lr.tuned": lambda: counted("lr-rewound", "pruned-tuned", AGAIN)("better"),
    "again.p": lambda: spread(verdicts_on(*REWOUND, AGAIN)["p_adjusted"], "{:.3f}"),
    "rethinking.minutes": lambda: minutes("rethinking-quick"),
    "quick.images": lambda: f"{parameters('quick')['parameters']['images']:,}",
    "quick.epochs": lambda: f"{parameters('quick')['parameters']['epochs']}",
    "rate.quick": lambda: best_rate("quick"),
    **{
        f"rate.quick.{rate}.{what}": lambda rate=rate, what=what: difference(rate_difference(rate), what)  # type: ignore[misc]
        for rate in (0.01, 0.02, 0.05)
        for what in ("diff", "interval")
    },
    **{
        f"3.{one}.{other}.{size}.{what}": partial(apart, BUDGETS[one], BUDGETS[other], size / 100, what)
        for one, other in BUDGET_PAIRS
        for size in SIZES
        for what in ("diff", "interval")
    },
    **{
        f"3.{one}.{other}.longer.{what}": partial(apart, BUDGETS[one], BUDGETS[other], 0.2, what, 2.0)
        for one, other in BUDGET_PAIRS
        if {one, other} <= {"tuned", "lr", "scratch", "scratch-b"}
        for what in ("diff", "interval")
    },
    **{
        f"3.{one}.{other}.{size}.p": lambda a=one, b=other, s=size: p_value(  # type: ignore[misc]
            compared(BUDGETS[a], BUDGETS[b], s / 100, MORE)["p_adjusted"]
        )
        for one, other in (("scratch", "lr"), ("scratch-b", "tuned"), ("scratch-b", "lr"), ("lr", "tuned"))
        for size in SIZES
    },
    **{
        f"3.{short}.{size}": partial(error, BUDGETS[short], size / 100, study=MORE)
        for short in ("scratch-b", "rewound", "lr", "seen", "on")
        for size in SIZES
    },
    **{f"3.{short}.longer": partial(error, BUDGETS[short], 0.2, 2.0, MORE) for short in ("scratch-b", "lr")},
    **{
        f"3.scratch-b.epochs.{size}": lambda s=size: epochs_of("scratch-b", s / 100)  # type: ignore[misc]
        for size in SIZES
    },
    "3.seen.epochs": lambda: spread(frame(MORE).query("curve == 'scratch-images'")["epochs"], "{:.0f}"),
    **{
        f"3.scratch-b.compute.{size}": lambda s=size: percent(  # type: ignore[misc]
            mean("compute_share", "scratch-b", s / 100, study=MORE)
        )
        for size in SIZES
    },
    "3.answer": lambda: answer(MORE),
    "rate.scratch.lr": lambda: f"{all_parameters()['lr']['default']:g}",
    **{f"rate.scratch.{rate}": partial(scratch_rate, rate) for rate in (0.1, 0.2, 0.4)},
    "rate.quick.lost": lambda: rate_gap("quick", 0.03, 0.01, 192, 192),
    "rate.evening": lambda: best_rate(EVENING),
    "rate.evening.large": lambda: rate_gap(EVENING, 0.003, 0.01, 8, 120),
    "rate.evening.small": lambda: rate_gaps(EVENING, 0.003, 0.01, 128, 192),
    **{f"evening.other.{size}": partial(other_rate_gap, size / 100) for size in (13, 20, 40)},
    "rethinking.epochs": lambda: f"{parameters('rethinking-quick')['parameters']['epochs']}",
    **{
        f"{part}.ratio": lambda part=part: percent(  # type: ignore[misc]
            parameters("rethinking-quick")["parts"][part]["ratios"][0]
        )
        for part in ("controls", "preresnet")
    },
    **{f"vgg.whole.{epochs}": partial(whole_longer, VGG, epochs) for epochs in (4, 8)},
    "vgg.scratch-b.lowest": lambda: lowest(VGG, "scratch-b"),
    **{f"preresnet.whole.{epochs}": partial(whole_longer, PRERESNET, epochs) for epochs in (4, 8, 12)},
    "preresnet.scratch-b.epochs": lambda: spread_of_epochs(PRERESNET, "scratch-b"),
    **{
        f"preresnet.{curve}.{criterion}": partial(after_ratio, PRERESNET, curve, criterion)
        for curve in ("fine-tuned", "lr-rewound", "pruned-scratch", "scratch-b", "reselected")
        for criterion in ("l1", "slimming", "blocks")
    },
    **{
        f"controls.{curve}.{longer:g}": partial(after_ratio, CONTROLS, curve, "slimming", longer)
        for curve in (
            *("fine-tuned", "lr-rewound", "weights-rewound", "random-channels", "pruned-scratch"),
            *("sliced", "shuffled", "scratch-b-all"),
        )
        for longer in (1.0, 2.0)
    },
    **{
        f"controls.{curve}.{what}": partial(from_the_shape, curve, what)
        for curve in (
            *("uniform", "copycat", "guided", "transferred"),
            *("weights-rewound", "sliced", "shuffled"),
        )
        for what in ("diff", "interval")
    },
    "controls.shuffled.larger": partial(from_the_shape, "shuffled", "larger"),
    "controls.decided": lambda: str(decided(CONTROLS)),
    "controls.stay": partial(on_other_images, CONTROLS),
    "controls.verdicts": lambda: str(len(verdicts(CONTROLS))),
    "vgg.share.low": lambda: share(VGG, "min"),
    "vgg.share.high": lambda: share(VGG, "max"),
    "quick.seen": lambda: f"{seen('quick'):.1f}",
    **{f"stem.{stride}": lambda least=least: str(least) for least, stride in architecture.SUITED.items()},  # type: ignore[misc]
    "stem.share": lambda: percent(on_photographs("wrn-16-1-stem4").macs / on_photographs("wrn-16-1").macs),
    **{
        f"peers.{network}.{column}": partial(peer, network, column)
        for network in measured("peers")["network"]
        for column in (
            *("groups", "with_sets", "removal_ms", "their_groups", "their_right", "cuts", "their_removal_ms"),
            *("seconds", "remark"),
        )
    },
    **{f"peers.{what}": lambda what=what: measured("peers")[what].iloc[0] for what in ("machine", "version")},  # type: ignore[misc]
    "peers.count": lambda: str(len(measured("peers"))),
    "peers.least_seconds": lambda: f"{measured('peers')['seconds'].min():.0f}",
    "peers.most_seconds": lambda: f"{measured('peers')['seconds'].nlargest(2).iloc[1]:.0f}",  # but for one
    "peers.their_most_seconds": lambda: f"{measured('peers')['their_seconds'].max():.1f}",
    "transfer.whole": lambda: of_seeds("whole"),
    **{
        f"transfer.{curve}.{size}": partial(of_seeds, curve, size / 100)
        for curve in ARMS
        for size in (20, 40)
    },
    **{
        f"transfer.compute.{curve}.{size}": partial(of_whole_compute, curve, size / 100)
        for curve in ARMS
        for size in (20, 40)
    },
    **{
        f"transfer.{curve}-{against}.{size}.{what}": lambda c=curve, a=against, s=size, w=what: difference(  # type: ignore[misc]
            compared(c, a, s / 100, TRANSFER), w
        )
        for curve, against in TRANSFER_PAIRS
        for size in (20, 40)
        for what in ("diff", "interval")
    },
    "transfer.images": lambda: f"{parameters(TRANSFER)['parameters']['images']:,}",
    "transfer.fonts": lambda: str(len(letters.FONTS)),
    "transfer.test.images": lambda: f"{letters.LETTER_PARTS['test'][0]:,}",
    "transfer.se": lambda: spread(verdicts(TRANSFER)["test_error_se"].dropna(), "{:.1f}"),
    "transfer.epochs": lambda: f"{parameters(TRANSFER)['parameters']['epochs']}",
    "transfer.seen.20": lambda: f"{letters_seen(0.2):.0f}",
    "transfer.seen.40": lambda: f"{letters_seen(0.4):.0f}",
    "transfer.seen.random": lambda: f"{letters_seen(None):.0f}",
    "transfer.test.fonts": lambda: str(
        sum(n % 5 in letters.LETTER_PARTS["test"][1] for n in range(len(letters.FONTS)))
    ),
    **{
        f"transfer.rate.{stage}": lambda stage=stage: f"{transfer_rates(stage).idxmin():g}"  # type: ignore[misc]
        for stage in ("move", "scratch", "prune")
    },
    **{
        f"transfer.rates.{stage}": lambda stage=stage: spread(transfer_rates(stage).index, "{:g}")  # type: ignore[misc]
        for stage in ("move", "scratch")
    },
    "transfer.rate.other": lambda: f"{transfer_rates('prune').idxmax():g}",
    "transfer.rate.gap": lambda: transfer_rate_gap(last=False),
    "transfer.rate.last": lambda: transfer_rate_gap(last=True),
    "image.pad": lambda: str(downloads.PAD),
    "image.side": lambda: f"{decoding.MAX_SIDE:,}",
    "image.pixels": lambda: f"{decoding.MAX_PIXELS:,}",
    "image.bytes": lambda: f"{decoding.MAX_BYTES:,}",
    "image.scans": lambda: str(decoding.MAX_SCANS),
    "image.memory": lambda: f"{reading.IN_FLIGHT:,}",
    "image.per_pixel": lambda: str(reading.PER_PIXEL),
    "test.images": lambda: f"{digits.CLUTTER_PARTS['test'][0]:,}",
    "test.digits": lambda: f"{digits.CLUTTER_PARTS['test'][1]:,}",
    "norm.more": lambda: more_norm_images("quick"),
    **{
        f"norm.{curve.split('-')[-1]}.{how}": partial(with_norms, curve, how)
        for curve, how in (("pruned-tuned", "running"), ("pruned-tuned", "estimated"), ("whole", "estimated"))
    },
    "norm.more.evening": lambda: more_norm_images("evening-short"),
    "norm.images": lambda: str(TrainingRecipe(epochs=1).norm_images),
    **{
        f"bench.{name}.{precision}": bench(f"{what}, {precision}", form)
        for precision in ("float32", "bfloat16")
        for name, what, form in (
            ("fisher", "a. step with Fisher / plain step", "{:.2f}"),
            *((f"removed.{of}", f"b. step at {of}% removed / whole", "{:.2f}") for of in (25, 50, 75, 90)),
            ("random", "b. step at 25% removed at random / whole", "{:.2f}"),
            ("beside", "b. share of a step that is not convolution", "{:.0%}"),
        )
    },
    **{
        f"gap.{study}.{size}": lambda study=study, size=size: gap(study, size / 100)  # type: ignore[misc]
        for study in ("quick", EVENING)
        for size in (12, 20, 40)
    },
    **{f"gap.published.{params}": lambda params=params: published(params) for params in POST},  # type: ignore[misc]
    "evening.miss": lambda: spread(evening_miss(), "{:.1f} %"),
    f"gap.{EVENING}.longer": lambda: gap(EVENING, 0.2, longer=2.0),
    "gap.quick.longer": lambda: gap("quick", 0.2, longer=2.0),
    **{
        f"gap.{study}.lr-rewound.{size}": partial(gap, study, size / 100, "lr-rewound")
        for study in ("quick", EVENING)
        for size in (12, 20, 40)
    },
    "gap.quick.lr-rewound.longer": lambda: gap("quick", 0.2, "lr-rewound", longer=2.0),
    "evening.rewound.first": lambda: f"{by_seed('test_error', 'lr-rewound', 0.2, study=EVENING)[0]:.1f}",
    **{f"evening.lr.{size}": partial(rewound_by_seed, size / 100) for size in (12, 20, 40)},
    "tuned.whole.20": lambda: above_whole(1.0),
    "tuned.whole.longer": lambda: above_whole(2.0),
    **{
        f"gap.{EVENING}.{curve}.{size}": partial(gap, EVENING, size / 100, curve)
        for curve in ("width", "bottleneck", "copycat")
        for size in (12, 20, 40)
        if (curve, size) != ("copycat", 40)  # that is the pruned shape itself
    },
    **{
        f"evening.{curve}.{longer:g}": partial(at_both_lengths, curve, longer)
        for curve in ("pruned-tuned", "pruned-scratch")
        for longer in (1.0, 2.0)
    },
    **{
        f"evening.{name}.{size}{part}": partial(apart, *pair, size / 100, what, 1.0, EVENING)
        for name, pair in PAIRS_OF_PHOTOGRAPHS.items()
        for size in (12, 20, 40)
        for part, what in (("", "diff"), (".interval", "interval"))
    },
    "evening.tuned.before": lambda: f"{before_removals(EVENING):.1f}",
    "evening.whole": lambda: error("whole", study=EVENING),
    "evening.whole.longer": lambda: error("whole", longer=2.0, study=EVENING),
    "evening.se": lambda: standard_error(EVENING, "test_error_se_one"),
    "evening.epochs": lambda: f"{parameters('evening')['parameters']['epochs']}",
    "bench.removal": bench("c. one removal / one fine-tuning step, whole", "{:.4f}"),
    "bench.sweep": bench("d. our sweep of 1,300 rounds / the published one"),
    "bench.floor": bench("d. its floor"),
    **{
        f"bench.memory.{name}": bench(f"g. peak memory of fine-tuning, {way}", "{:.0f}")
        for name, way in (("published", "the published"), ("whole", "ours, whole"), ("pruned", "ours, 75%"))
    },
    "bench.disk": bench("h. a run of 1,300 rounds on disk", "{:.0f}"),
    "bench.late": bench("h. keeping a round after 26,000", "{:.1f}"),
    "scale.overhead": bench(UNFLUSHED, "{:.1f}"),
    "scale.overhead.first": bench(UNFLUSHED.replace("10,000", "1,000"), "{:.1f}"),
    "scale.dask": bench("k. of which Dask's own", "{:.1f}"),
    "scale.flushed": bench(FLUSHED, "{:.1f}"),
    "scale.file": bench("k. a file written, flushed to disk and renamed", "{:.1f}"),
    "scale.collect": bench(COLLECTING, "{:.1f}"),
    "scale.speedup": bench("k. a batch of small runs, one worker / 2, of one core each, on a cluster"),
    "scale.speedup.apart": bench("k. a batch of small runs, one worker / 2, of one core each, without one"),
    "scale.million": lambda: f"{1e6 * bench_row(FLUSHED) / 3.6e6:.1f}",  # hours
    "scale.million.collect": lambda: f"{100 * bench_row(COLLECTING) / 60:.0f}",  # minutes
    "scale.million.workers": lambda: f"{round(60e3 / bench_row(FLUSHED), -3):,.0f}",  # for a minute a run
    "bench.freed.training": bench("l. training with freed memory kept / given back"),
    "bench.freed.pruning": bench("l. pruning with freed memory kept / given back"),
    "bench.machine": lambda: measured("bench")["machine"].iloc[0],
    **{
        f"gpu.{name}.{count}": gpu(what, count)
        for name, what in (("small", SMALL), ("large", LARGE))
        for count in (1, 4, 8, 15)
    },
    "gpu.small.graph": gpu(f"{SMALL}, one CUDA graph", 1),
    "gpu.large.graph": gpu(f"{LARGE}, one CUDA graph", 1),
    "tuned.cases": lambda: cases("pruned-scratch", "pruned-tuned", "quick"),
    "tuned.better": lambda: counted("pruned-scratch", "pruned-tuned", "quick")("better"),
    "tuned.worse": lambda: counted("pruned-scratch", "pruned-tuned", "quick")("worse"),
    **{
        f"tuned.{verdict}.alone": lambda verdict=verdict: counted(  # type: ignore[misc]
            "pruned-scratch", "pruned-tuned", "quick", "verdict_alone"
        )(verdict)
        for verdict in ("better", "worse")
    },
    **{
        f"preresnet.scratch-b.{against}.better": lambda against=against: counted(  # type: ignore[misc]
            "scratch-b", against, PRERESNET
        )("better")
        for against in ("fine-tuned", "lr-rewound")
    },
    "preresnet.scratch-b.fine-tuned.cases": lambda: cases("scratch-b", "fine-tuned", PRERESNET),
    "preresnet.blocks.base": lambda: preresnet_base("blocks"),
    "preresnet.ms.whole": lambda: preresnet_milliseconds("whole", None),
    "preresnet.ms.pruned": lambda: preresnet_milliseconds("pruned-scratch", ("l1", "slimming")),
    "preresnet.ms.blocks": lambda: preresnet_milliseconds("pruned-scratch", ("blocks",)),
    **{f"rate.scratch.whole.{rate}": partial(scratch_rate, rate, ("whole",)) for rate in (0.2, 0.4)},
    **{f"rate.scratch.gap.{size}": partial(scratch_rate_gaps, size) for size in (12, 40)},
    **{f"rate.scratch.gap.lr.{rate}": partial(gaps_at_scratch_rate, rate) for rate in (0.2, 0.4)},
    **{
        f"lr.{verdict}{suffix}": lambda v=verdict, column=column: counted(  # type: ignore[misc]
            "pruned-scratch", "lr-rewound", "quick", column
        )(v)
        for verdict in ("better", "worse")
        for column, suffix in (("verdict", ""), ("verdict_alone", ".alone"))
    },
    "lr.tuned.better": lambda: counted("lr-rewound", "pruned-tuned", "quick")("better"),
    "lr.tuned.cases": lambda: cases("lr-rewound", "pruned-tuned", "quick"),
    **{
        f"3.lr.tuned.{end}": lambda end=end: f"{getattr(rewinding_gains(), end)():.1f}"  # type: ignore[misc]
        for end in ("min", "max")
    },
    "tuned.seeds": lambda: seeds("pruned-scratch", "pruned-tuned", "quick"),
    "pruned-tuned.longer": lambda: error("pruned-tuned", 0.2, 2.0),
    "pruned-scratch.longer": lambda: error("pruned-scratch", 0.2, 2.0),
    **{
        f"vgg.stay.{curve}.{against}": partial(on_other_images, VGG, curve, against)
        for curve in ("pruned-scratch", "scratch-b", "lr-rewound")
        for against in ("fine-tuned", "lr-rewound")
        if curve != against
    },
    "vgg.cases": lambda: cases("scratch-b", "fine-tuned", VGG),
    **{
        f"vgg.{curve}.{against}.{word}{suffix}": lambda c=curve, a=against, w=word, col=column: counted(  # type: ignore[misc]
            c, a, VGG, col
        )(w)
        for curve in ("pruned-scratch", "scratch-b", "lr-rewound")
        for against in ("fine-tuned", "lr-rewound")
        if curve != against
        for word in ("better", "worse")
        for column, suffix in (("verdict", ""), ("verdict_alone", ".alone"))
    },
    "1.quick.spread": lambda: spread(by_seed("test_error", "whole")),
    "1.quick.longer.spread": lambda: spread(by_seed("test_error", "whole", longer=2.0)),
    **{f"2.quick.round-{n}": lambda n=n: f"{at_round(n, 'test_error').mean():.1f}" for n in ROUNDS},  # type: ignore[misc]
    **{f"2.quick.round-{n}.spread": lambda n=n: spread(at_round(n, "test_error")) for n in ROUNDS},  # type: ignore[misc]
    **{
        f"2.quick.round-{n}.left": lambda n=n: percent(at_round(n, "params").mean() / WHOLE.params)  # type: ignore[misc]
        for n in ROUNDS
    },
    **{f"2.first.{name}": partial(first_loss, group) for group, name in enumerate(WHOLE.groups)},
    **{f"2.half.{name}": partial(left, group, 0.5) for group, name in enumerate(WHOLE.groups)},
    **{f"2.left.{name}": partial(left, group, 1.0) for group, name in enumerate(WHOLE.groups)},
    **{
        f"3.{name}.{size}.spread": lambda c=curve, s=size: spread(  # type: ignore[misc]
            by_seed("test_error", c, s / 100, study=MORE)
        )
        for name, curve in {**BUDGETS, "width": "width", "bottleneck": "bottleneck"}.items()
        for size in SIZES
    },
    **{
        f"seen.{size}": lambda s=size: f"{1 + seen('quick', mean('round', 'pruned-tuned', s / 100)):.1f}"  # type: ignore[misc]
        for size in SIZES
    },
    **{
        f"seen.lr.{size}": lambda s=size: (  # type: ignore[misc]
            f"{1 + seen('quick', mean('round', 'lr-rewound', s / 100)) + lr_rewound_epochs():.1f}"
        )
        for size in SIZES
    },
    **{
        f"4.macs.pruned.{size}": lambda s=size: percent(mean("macs", "pruned-scratch", s / 100) / WHOLE.macs)  # type: ignore[misc]
        for size in SIZES
    },
    **{
        f"4.{of}.{family}.{size}": partial(matched, family, size / 100, in_, of)
        for in_, of in (("params", "macs"), ("macs", "params"))
        for family in FAMILIES
        for size in SIZES
    },
    **{
        f"vit.{optimizer}.{lr}": partial(transformer_by, optimizer=optimizer, lr=lr, batch_size=64)
        for optimizer, rates in (("sgd", (0.05, 0.1, 0.2, 0.4, 0.8)), ("adamw", (0.001, 0.002, 0.004, 0.008)))
        for lr in rates
    },
    **{
        f"vit.batch-32.{lr}": partial(transformer_by, network="vit-4-64", batch_size=32, lr=lr, epochs=6)
        for lr in (0.002, 0.003)
    },
    "vit.8192": partial(transformer_by, images=8192),
    **{f"vit.{name}": partial(transformer_by, network=name) for name in ("vit-3-64", "vit-4-48", "vit-4-32")},
    **{f"vit.tuning.{lr}": partial(transformer_by, "pruning", lr=lr) for lr in (0.0003, 0.001, 0.003)},
    **{
        f"vit.{curve}.{size}": partial(error, curve, size / 100, 1.0, VIT)
        for curve in ("pruned-tuned", "pruned-scratch", "uniform")
        for size in (20, 40, 60)
    },
    **{
        f"vit.{name}.{size}.{what}": partial(of_transformer, curve, against, size / 100, what)
        for name, curve, against in (
            ("gap", "pruned-scratch", "pruned-tuned"),
            ("profile", "uniform", "pruned-scratch"),
            ("shape", "pruned-scratch", "whole"),
        )
        for size in (20, 40, 60)
        for what in ("difference", "interval")
    },
    **{
        f"vit.{what}.{size}": partial(left_of_transformer, group, size / 100)
        for group, what in enumerate(("heads", "units"))
        for size in (20, 40, 60)
    },
    **{
        f"vit.again.{size}": partial(again, VIT, "pruned-scratch", "pruned-tuned", case)
        for case, size in enumerate((20, 40, 60))
    },
    "vit.again.decided": lambda: decided_again(VIT, "pruned-scratch", "pruned-tuned"),
    **{
        f"transfer.again.{size}": partial(again, TRANSFER, "uniform-moved", "lr-rewound", case)
        for case, size in enumerate((20, 40))
    },
    "transfer.again.decided": lambda: decided_again(TRANSFER, "uniform-moved", "lr-rewound"),
    **{
        f"transfer.{what}": lambda what=what: decisions(TRANSFER)[what]  # type: ignore[misc]
        for what in ("cases", "here", "there", "one", "opposite")
    },
    "vit.whole": lambda: error("whole", study=VIT),
    "vit.whole.spread": lambda: spread(by_seed("test_error", "whole", study=VIT)),
    "vit.images": lambda: f"{parameters(VIT)['parameters']['images']:,}",
    "vit.epochs": lambda: f"{parameters(VIT)['parameters']['epochs']}",
    "vit.se": lambda: standard_error(VIT),
    "vit.before": lambda: f"{before_removals(VIT):.1f}",
    **{
        f"vit.seen.{size}": lambda s=size: (  # type: ignore[misc]
            f"{1 + seen(VIT, mean('round', 'pruned-tuned', s / 100, study=VIT)):.1f}"
        )
        for size in (20, 40, 60)
    },
    "vit.least": lambda: str(vit.ViT.smallest_image),
    "vit.most": lambda: str(vit.MAX_IMAGE_SIDE),
    "vit.patch": lambda: str(vit.PATCH),
    "vit.head": lambda: str(vit.HEAD),
    "vit.head.units": lambda: str(4 * vit.HEAD // 2),  # rows for queries, keys and values, and columns
    **{
        f"vit.tokens.{side}": lambda side=side: str(transformer(side).layers[0].positions)  # type: ignore[misc]
        for side in (16, 32, 64)
    },
    **{row.name: lambda said=row.value: said for row in solutions().itertuples(index=False)},  # type: ignore[misc]
}


def lower(first: str, second: str, sizes: Iterable[float], study: str = "quick", longer: float = 1.0) -> bool:
    """Whether one curve has the lower mean test error at all these sizes."""
    return all(
        mean("test_error", first, size, longer, study) < mean("test_error", second, size, longer, study)
        for size in sizes
    )


def scratch_b_better() -> bool:
    """Whether Scratch-B is better than the tuned networks of `quick` at each size, all of them together."""
    return all_come_out(statistics.BETTER, "scratch-b", "pruned-tuned")


def all_come_out(verdict: str, curve: str, against: str) -> bool:
    """Whether that is the verdict on two budgets of `quick` at every size, at the study's length."""
    return all(compared(curve, against, size / 100, MORE)["verdict"] == verdict for size in SIZES)


def shapes_ahead_in_every_seed() -> bool:
    """Whether all seeds of `evening` have shapes from scratch with lower errors than the tuned networks."""
    ahead = [
        by_seed("test_error", "pruned-tuned", size, study=EVENING)
        - by_seed("test_error", "pruned-scratch", size, study=EVENING)
        for size in (0.12, 0.2, 0.4)
    ]
    return all(len(one) == 3 and bool((one > 0).all()) for one in ahead)


def said_of_photographs(against: str) -> list[str]:
    """The verdicts of `evening` on the shapes from scratch at 12, 20 and 40 %, at the study's length."""
    return [compared("pruned-scratch", against, size, EVENING)["verdict"] for size in (0.12, 0.2, 0.4)]


def shapes_and_rewound_not_apart() -> bool:
    """Whether `evening` decides for no side between shapes and rewound networks, and for equal at 20 %."""
    return said_of_photographs("lr-rewound") == [
        *(statistics.UNDECIDED, statistics.EQUAL, statistics.UNDECIDED)
    ]


def longer_come_out(verdict: str, curve: str, against: str) -> bool:
    """Whether that is the verdict on two budgets of `quick` where both were trained longer."""
    actual = verdicts(MORE)
    actual = actual[(actual["curve"] == curve) & (actual["against"] == against) & (actual["longer"] != 1)]
    return len(actual) > 0 and set(actual["verdict"]) == {verdict}


def scratch_b_and_rewound_undecided() -> bool:
    """Whether three seeds decide nothing between Scratch-B and the rewound networks of `quick`."""
    return never_decided("scratch-b", ["lr-rewound"], MORE)


def rewound_lower(study: str) -> bool:
    """Whether rewinding has the lower mean error than fine-tuning in every case of a study."""
    actual = verdicts(study)
    pair = actual[(actual["curve"] == "lr-rewound") & (actual["against"] == "fine-tuned")]
    return len(pair) > 0 and bool((pair["difference"] < 0).all())


def tuned_lower_by_every_rate() -> bool:
    """Whether the tuned networks of `quick` have the lower means by every rate of training from scratch."""
    means = by_scratch_rate()
    assert len(means) == 9, means
    return bool((means["pruned-tuned"] < means["pruned-scratch"]).all())


def controls_in_order(longer: float) -> list[float]:
    """Means of the controls' rows but the last, in the order in which the page has them."""
    rows = ("lr-rewound", "fine-tuned", "weights-rewound", "random-channels", "pruned-scratch", "sliced")
    return [float(after_ratio(CONTROLS, row, "slimming", longer).split()[0]) for row in (*rows, "shuffled")]


def scratch_b_lowest() -> bool:
    """Whether Scratch-B has the lowest mean by each criterion of the part with PreResNet."""
    actual = frame(PRERESNET)
    budgets = ("fine-tuned", "lr-rewound", "pruned-scratch", "reselected", "scratch-b")
    means = actual[actual["curve"].isin(budgets)].pivot_table("test_error", "criterion", "curve")
    return bool((means.idxmin(axis=1) == "scratch-b").all()) and len(means) == 3


def same_images_decided() -> bool:
    """Whether a shape that saw as many images as the rewound network is better, corrected, at 12 % only."""
    sizes = [compared("scratch-images", "lr-rewound", size, MORE)["verdict"] for size in (0.12, 0.2, 0.4)]
    return sizes == [statistics.BETTER, statistics.UNDECIDED, statistics.UNDECIDED]


# What the pages say in words, each with what makes it true.
SENTENCES: dict[str, Callable[[], bool]] = {
    "Against parameters, the rewound networks have the lowest mean at every size, followed by the tuned "
    "networks and by the same shapes from scratch; by the verdicts, three seeds decide the first of these "
    "steps and not the second": lambda: (
        lower("lr-rewound", "pruned-tuned", (0.12, 0.2, 0.4))
        and lower("pruned-tuned", "pruned-scratch", (0.12, 0.2, 0.4))
        and all(lower("pruned-scratch", family, (0.12, 0.2, 0.4)) for family in ("width", "bottleneck"))
        and all_come_out(statistics.BETTER, "lr-rewound", "pruned-tuned")
        and never_decided("pruned-scratch", ["pruned-tuned"], "quick")
    ),
    "The rewound networks still have the lowest means at any time that they take. But from scratch a "
    "narrower network of 40 %": lambda: (
        all(mean("test_error", "lr-rewound", size) < mean("test_error", "width", 0.4) for size in (0.12, 0.4))
        and abs(mean("test_error", "width", 0.4) - mean("test_error", "pruned-scratch", 0.2))
        < float(CLAIMS["se"]())
    ),
    "there are only narrower networks": lambda: (
        mean("latency_256", "width", 0.2)
        < mean("latency_256", "pruned-scratch", 0.12)
        < min(mean("latency_256", "bottleneck", size) for size in (0.12, 0.2, 0.4))
    ),
    "(Scratch-E): the kept weights win": lambda: corrected(MORE, AGAIN)[0] == statistics.WORSE,
    "and more: the new weights win, by little": lambda: corrected(MORE, AGAIN)[2] == statistics.BETTER,
    "on the second processor alone, where it was trained twice as long, too": lambda: (
        both_processors("scratch-images")["20"].high < 0 < on_again("scratch-images", 2.0).high
        and on_again("scratch-images", 2.0).low < 0
    ),
    "neither decides. We chose this test": lambda: all(
        on_again("scratch-images", longer).low < 0 < on_again("scratch-images", longer).high
        for longer in (1.0, 2.0)
    ),
    "three seeds are too few to decide at any size by Scratch-E": lambda: (
        set(verdicts_on("pruned-scratch", "pruned-tuned", "quick")["verdict"]) == {statistics.UNDECIDED}
    ),
    "by Scratch-B the shapes are better at all three (on the first processor)": lambda: all(
        compared("scratch-b", "pruned-tuned", size / 100, MORE)["verdict"] == statistics.BETTER
        for size in SIZES
    ),
    "three seeds decide for the shapes at 20 % only, at both lengths": lambda: (
        [round(size, 1) for size in better_on_again("scratch-b", "pruned-tuned")] == [0.2, 0.2]
    ),
    "the networks of both processors decide at all three sizes and at both lengths": lambda: (
        set(statistics.holm_verdicts([*both_processors("scratch-b", "pruned-tuned").values()], 1.0))
        == {statistics.BETTER}
    ),
    "than the rewound networks by <!--controls": lambda: (
        rewound_controls(2.0)["verdict"] == statistics.BETTER
        and rewound_controls(1.0)["verdict"] == statistics.UNDECIDED
    ),
    "and less than what they lack to the rewound ones": lambda: (
        mean("test_error", "whole") - mean("test_error", "whole", longer=2.0)
        < min(compared(*REWOUND, size / 100)["difference"] for size in SIZES)
    ),
    "Of the Intel's networks alone, two of the three stay decided": lambda: (
        statistics.holm_verdicts(list(on_other_digits(MORE).values()), 1.0).count(statistics.UNDECIDED) == 1
        and statistics.UNDECIDED not in corrected(MORE)
    ),
    "averaging the two of a seed, which leaves three a side, decides the same": lambda: (
        statistics.holm_verdicts(list(by_seed_averaged().values()), 1.0) == corrected(MORE, AGAIN)
    ),
    "the kept weights have the lower mean with every seed on both processors": lambda: (
        min(min(seed_means("scratch-b", one) - seed_means("lr-rewound", one)) for one in (MORE, AGAIN)) > 0
    ),
    "but whether that is more than chance depends on the test": lambda: (
        [by_seed_averaged()["scratch-b"].low > 0, by_seed_paired()["scratch-b"].low > 0] == [True, False]
    ),
    "At 20 % nothing is decided at either length": lambda: all(
        both_processors("scratch-b")[case].low < 0 < both_processors("scratch-b")[case].high
        for case in ("20", "longer")
    ),
    "only Scratch-E is decided at both lengths": lambda: (
        [both_processors(curve)["longer"].low > 0 for curve in ("pruned-scratch", "scratch-b")]
        == [True, False]
        and both_processors("pruned-scratch")["20"].low > 0
        and on_again("scratch-images", 2.0).low < 0 < on_again("scratch-images", 2.0).high
    ),
    "added to the error of the seeds, all three stay decided": lambda: (
        statistics.holm_verdicts(list(on_other_digits().values()), 1.0) == corrected(MORE, AGAIN)
    ),
    "and those of the AMD alone none (p =": lambda: (
        set(corrected(AGAIN)) == {statistics.UNDECIDED}
        and [one.mean > 0 for one in of_budgets(AGAIN).values()] == [True, True, False]
        and [one.mean > 0 for one in of_budgets(MORE).values()] == [True, True, False]
    ),
    "it could be trained for eleven times as many epochs": lambda: (
        round(mean("train_macs", "lr-rewound", 0.2) / mean("train_macs", "width", 0.2)) == 11
    ),
    "<!---->, most of it for the search": lambda: (
        mean("train_macs", "pruned-tuned", 0.2) > 0.8 * mean("train_macs", "pruned-scratch", 0.2)
    ),
    "So nearly all of what pruning seemed to cost was the lag": lambda: (
        float(with_norms("pruned-tuned", "running")) - float(with_norms("pruned-tuned", "estimated"))
        > 0.8 * (float(with_norms("pruned-tuned", "running")) - float(with_norms("whole", "estimated")))
    ),
    "At equal sizes Fisher's are better": lambda: all(
        float(CLAIMS[f"2.random.{size}.diff"]().replace("−", "-")) > 0 for size in (20, 40)
    ),
    "Size by size, three seeds often cannot tell": lambda: (
        scratch_b_and_rewound_undecided()
        and same_images_decided()
        and set(verdicts_on(*REWOUND, AGAIN)["verdict"]) == {statistics.UNDECIDED}
    ),
    "On the other processor two of these four signs turn": lambda: (
        [
            mean("test_error", "pruned-scratch", *case, study=AGAIN)
            > mean("test_error", "pruned-tuned", *case, study=AGAIN)
            for case in BOTH.values()
        ]
        == [False, True, True, True]
    ),
    "twice the training shrinks the lead of the kept weights over Scratch-E, and does not end it": lambda: (
        both_processors()["longer"].low > 0 and both_processors()["longer"].high < both_processors()["20"].low
    ),
    "There, too, the rewound networks have lower means than the tuned ones and than the shapes by "
    "Scratch-E": lambda: (
        lower("lr-rewound", "pruned-tuned", (0.12, 0.2, 0.4), AGAIN)
        and lower("lr-rewound", "pruned-scratch", (0.12, 0.2, 0.4), AGAIN)
    ),
    "In each case alone Scratch-E is worse; corrected for all of them, three seeds decide none": lambda: (
        set(verdicts_on(*REWOUND, AGAIN)["verdict_alone"]) == {statistics.WORSE}
        and set(verdicts_on(*REWOUND, AGAIN)["verdict"]) == {statistics.UNDECIDED}
    ),
    "Against the tuned networks the shape has the lower mean at 12 % and the higher at 20 and 40 %, all "
    "undecided": lambda: (
        lower("pruned-scratch", "pruned-tuned", [0.12], AGAIN)
        and lower("pruned-tuned", "pruned-scratch", (0.2, 0.4), AGAIN)
        and set(verdicts_on("pruned-scratch", "pruned-tuned", AGAIN)["verdict"]) == {statistics.UNDECIDED}
    ),
    "and nothing against the rewound ones (alone: the case of 40 %, for the weights; that of 20 %, equal to "
    "within a point), which have the lower means": lambda: (
        scratch_b_and_rewound_undecided()
        and lower("lr-rewound", "scratch-b", (0.12, 0.2, 0.4), MORE)
        and [compared("scratch-b", "lr-rewound", size, MORE)["verdict_alone"] for size in (0.12, 0.2, 0.4)]
        == [statistics.UNDECIDED, statistics.EQUAL, statistics.WORSE]
    ),
    "it has lower means at every size, decided at each, also corrected for all cases of the pair": (
        scratch_b_better
    ),
    "Rewound, they are better than Scratch-E at every size": lambda: all_come_out(
        statistics.WORSE, "pruned-scratch", "lr-rewound"
    ),
    "the shapes are ahead in the mean at every size, decided at 12 %": same_images_decided,
    "lower means than those of the rewound networks at every size": lambda: lower(
        "scratch-images", "lr-rewound", (0.12, 0.2, 0.4), MORE
    ),
    "of which three seeds decide the first": same_images_decided,
    "trained on like that, the tuned networks get to": lambda: lower(
        "lr-rewound", "fine-tuned", (0.12, 0.2, 0.4), MORE
    ),
    "and between them and Scratch-B three seeds decide nothing": scratch_b_and_rewound_undecided,
    "with the lower mean on their side at every size": lambda: lower(
        "lr-rewound", "scratch-b", (0.12, 0.2, 0.4), MORE
    ),
    "in all 14 cases the rewound rate has the lower mean, and after correction five seeds decide one of "
    "them": lambda: rewound_lower(VGG) and counted("lr-rewound", "fine-tuned", VGG)("better") == "1",
    "In `quick` the tuned networks have the lower mean at 12, 20 and 40 %, though three seeds decide none "
    "of it; trained twice as long, at 20 %, the shape does": lambda: (
        lower("pruned-tuned", "pruned-scratch", (0.12, 0.2, 0.4))
        and lower("pruned-scratch", "pruned-tuned", [0.2], longer=2.0)
        and counted("pruned-scratch", "pruned-tuned", "quick")("better") == "0"
        and counted("pruned-scratch", "pruned-tuned", "quick")("worse") == "0"
    ),
    "By each of the three rates the tuned networks have the lower mean test error at all three sizes": (
        tuned_lower_by_every_rate
    ),
    "Above the last row, the less was kept, the higher the mean; trained twice as long, this holds no longer "
    "for the lower rows, and all of them are closer together": (
        lambda: (
            controls_in_order(1.0) == sorted(controls_in_order(1.0))
            and controls_in_order(2.0) != sorted(controls_in_order(2.0))
            and np.ptp(controls_in_order(2.0)) < np.ptp(controls_in_order(1.0))
        )
    ),
    "Scratch-B has the lowest mean in every row": scratch_b_lowest,
    "There three seeds decide against the tuned networks at all three sizes, also after Holm's correction": (
        scratch_b_better
    ),
    "when both are trained twice as long; three seeds decide neither": lambda: never_decided(
        "pruned-tuned", ["whole"], "quick"
    ),
    "They decide nothing between the shape from scratch and its controls": lambda: all(
        never_decided(control, ["pruned-scratch"], CONTROLS)
        for control in set(curves.CONTROLS) & set(verdicts(CONTROLS)["curve"])
    ),
    "no pair of curves is decided one way at one length and another way at the other": lambda: (
        set(tables.pair_table(verdicts(CONTROLS))["by length"]) == {"0 (0)"}
    ),
    "the gap to the tuned networks at the small sizes is there at both rates": lambda: all(
        float(said.replace("−", "-")) > 0
        for said in (gap(EVENING, 0.12), gap(EVENING, 0.2), other_rate_gap(0.13), other_rate_gap(0.2))
    ),
    "the shapes beat the tuned networks at every size, as published, and three seeds cannot tell the shapes "
    "from the rewound networks: at 20 % the two are equal, to within a point": lambda: (
        said_of_photographs("pruned-tuned") == 3 * [statistics.BETTER] and shapes_and_rewound_not_apart()
    ),
    "At 20 % new and kept weights are equal, to within a point, and three seeds do not set them apart at the "
    "other two sizes": shapes_and_rewound_not_apart,
    "all decided, also after Holm's correction (intervals for each case alone)": lambda: (
        said_of_photographs("pruned-tuned") == 3 * [statistics.BETTER]
    ),
    "with three seeds, new weights beat the tuned networks but not the rewound ones": lambda: (
        said_of_photographs("pruned-tuned") == 3 * [statistics.BETTER] and shapes_and_rewound_not_apart()
    ),
    "they have lower means than the shapes at every size: nothing of that gap is left": lambda: lower(
        "lr-rewound", "pruned-scratch", (0.12, 0.2, 0.4), EVENING
    ),
    "Longer training left most of the gap to the tuned networks": lambda: (
        float(gap(EVENING, 0.2, longer=2.0)) > float(gap(EVENING, 0.2)) / 2
    ),
    "And smaller is not faster there": lambda: (
        float(preresnet_milliseconds("pruned-scratch", ("l1", "slimming")).split(" to ")[0])
        > float(preresnet_milliseconds("whole", None))
    ),
    "the weights at 60 and 40 % of the parameters and the shape at 20 %; three seeds decide all three "
    "cases": lambda: (
        [counted("pruned-scratch", "pruned-tuned", VIT)(verdict) for verdict in ("worse", "better")]
        == ["2", "1"]
        and lower("pruned-scratch", "pruned-tuned", [0.2], VIT)
    ),
    "In all three seeds the shapes had lower errors than the tuned networks at every size, as published, and "
    "the smaller the network, the larger the gap": lambda: (
        shapes_ahead_in_every_seed()
        and float(gap(EVENING, 0.12)) > float(gap(EVENING, 0.2)) > float(gap(EVENING, 0.4)) > 0
    ),
    "With these budgets, pruning pays against networks that see only the letters": lambda: (
        counted("pruned-scratch", "lr-rewound", TRANSFER)("worse")
        == cases("pruned-scratch", "lr-rewound", TRANSFER)
    ),
    "three seeds decide none of these. A uniform shape that went the same way is worse than the rewound "
    "network at both sizes": lambda: (
        all(
            counted("scratch-moved", against, TRANSFER)(kind) == "0"
            for against in ("lr-rewound", "pruned-tuned")
            for kind in ("better", "worse")
        )
        and counted("uniform-moved", "lr-rewound", TRANSFER)("worse") == "2"
    ),
    "At 20 % part of that is due to the digits, not to the pruning, and at 40 % it may be": lambda: (
        [compared("scratch-moved", "pruned-scratch", size, TRANSFER)["verdict"] for size in (0.2, 0.4)]
        == [statistics.BETTER, statistics.UNDECIDED]
    ),
    "which three seeds do not decide either": lambda: all(
        counted("random-channels", "fine-tuned", TRANSFER)(kind) == "0" for kind in ("better", "worse")
    ),
    "Twice as much gives the whole network": lambda: (
        float(scratch_rate(0.4, ("whole",))) < float(scratch_rate(0.2, ("whole",)))
        and float(scratch_rate(0.4, ("bottleneck",))) > float(scratch_rate(0.2, ("bottleneck",)))
    ),
}


def wrong(text: str) -> list[str]:
    """What a text claims that the results do not say."""
    flat = " ".join(text.split())
    actual = [f"not so: {words!r}" for words, holds in SENTENCES.items() if words in flat and not holds()]
    for name, said in MARKED.findall(text):
        if name not in CLAIMS:
            actual.append(f"{name}: nothing computes it")
        elif said != (computed := CLAIMS[name]()):
            actual.append(f"{name}: {said!r} is written, the results say {computed!r}")
    return actual


def unmarked(text: str) -> list[str]:
    """Numbers in the prose that nothing computes, each with what stands around it."""
    remaining = UNREAD.sub(" ", text)
    for phrase in PLAIN:
        remaining = remaining.replace(phrase, " ")
    return [
        remaining[max(0, one.start() - 20) : one.end() + 20].strip() for one in NUMBER.finditer(remaining)
    ]


def written(text: str) -> str:
    """The text with the numbers that the results say."""
    return MARKED.sub(lambda found: f"<!--{found[1]}-->{CLAIMS[found[1]]()}<!---->", text)


if __name__ == "__main__":
    problems, count = [], 0
    for page in PAGES:
        content = page.read_text()
        if sys.argv[1:] == ["--write"]:
            content = written(content)
            page.write_text(content)
        said = [*wrong(content), *(f"nothing computes {one!r}" for one in unmarked(content))]
        problems += [f"{page.name}: {one}" for one in said]
        count += len(MARKED.findall(content))
    print("\n".join(problems) or f"all {count} numbers are what was computed or measured")
    sys.exit(bool(problems))
