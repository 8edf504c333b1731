"""Every *Try it* of the notebooks, tried: the numbers of the answers that no committed study has.

    python -m tests.solutions OUTPUTS

It makes the runs that are not in OUTPUTS yet, those of `quick` among them, and writes
outputs/reference/measured/solutions.csv: a row for each number of notebooks/solutions.md that `tests.claims`
does not compute, as it stands there. From nothing that takes a quarter of an hour on two cores.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable
from itertools import chain, combinations, count
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from horticulture import runs
from horticulture.analysis import statistics
from horticulture.analysis.statistics import Values
from horticulture.execution import parallel
from horticulture.runs import CurvePoint, Run
from horticulture.study import budgets, parameters, scaling, study_files
from horticulture.study.config import StudyConfig
from tests.claims import REFERENCE, ROUNDS, SIZES, percent, signed, spread

WORKERS = 2
BySize = dict[tuple[str, int], list[Run]]  # by curve and size (%), a run a seed


def study(**changed: object) -> StudyConfig:
    """`quick` with some parameters changed, and nothing trained longer."""
    quick = study_files.read("quick")
    return StudyConfig.of(parameters.resolve_parameters(quick, {"base_epoch_factors": [1], **changed}))


class Answers:
    """Runs that are made, and rows of what is said about them."""

    def __init__(self, outputs: Path) -> None:
        self.outputs, self.rows = outputs, []
        quick = study()
        self.whole = self.made(quick.baselines)
        self.prunings = self.made(job.run for job in quick.pruning_jobs)
        self.quick = self.retrained(quick)
        self.known = {run.key for run in chain(self.whole, self.prunings, *self.quick.values())}

    # --- making runs ---

    def made(self, wanted: Iterable[Run]) -> list[Run]:
        """All of them, made."""
        wanted = list(wanted)
        parallel.execute_all(wanted, self.outputs, workers=WORKERS, device="cpu")
        return wanted

    def made_by_size(self, config: StudyConfig, points: Iterable[CurvePoint]) -> BySize:
        """The runs of some points of a study, made."""
        found: BySize = defaultdict(list)
        sizes = [round(100 * size) for size in config.sizes]
        for point in sorted(points, key=lambda point: point.run.seed):
            share = 100 * point.run.architecture.params / config.whole.params
            found[point.curve, min(sizes, key=lambda size: abs(size - share))].append(point.run)
        self.made(chain(*found.values()))
        return found

    def retrained(self, config: StudyConfig) -> BySize:
        """What its pruning runs, which must exist, left at its sizes: as it is and by its budgets."""
        networks = config.pruned_networks(self.outputs)
        return self.made_by_size(config, budgets.budget_points(config, networks))

    def errors(self, made: Iterable[Run]) -> list[float]:
        """Test errors in percent."""
        return [runs.metrics(run, self.outputs)["test_error"] for run in made]

    def after(self, number: int, prunings: Iterable[Run], column: str) -> pd.Series:
        """A column of pruning runs after a round, one value per seed."""
        rounds = pd.concat(runs.removals(run, self.outputs) for run in prunings)
        return rounds.set_index("round").loc[number, column]

    def row(self, point: CurvePoint, config: StudyConfig) -> dict[str, object]:
        """A network of a study of its own, as in the results of `quick`."""
        run, actual = point.run, runs.metrics(point.run, self.outputs)
        spent = run.recipe["epochs"] * run.architecture.macs
        return {
            **{"curve": point.curve, "criterion": point.criterion, "seed": run.seed, "round": point.round},
            **{"longer": point.longer, "recipe": actual["recipe"], "epochs": run.recipe["epochs"]},
            **{"architecture": run.architecture.id, "params": run.architecture.params},
            "compute_share": round(spent / (config.epochs * point.longer * config.whole.macs), 4),
            **{"val_error": actual["val_error"], "test_error": actual["test_error"], "run": run.key},
        }

    # --- saying ---

    def say(self, name: str, value: object, what: str) -> None:
        """One number, as it is written in the page."""
        self.rows.append({"name": name, "value": str(value), "what": what})

    def say_errors(self, name: str, what: str, errors: Values) -> None:
        """Mean and spread."""
        self.say(name, f"{np.mean(errors):.1f}", f"{what}: test error (%), mean of {len(errors)} seeds")
        self.say(f"{name}.spread", spread(pd.Series(errors)), f"{what}: lowest to highest seed")

    def say_difference(self, name: str, what: str, a: Values, b: Values, *, paired: bool) -> None:
        """Difference and interval, paired by seed where both sides begin with a base's weights."""
        actual = statistics.paired_difference(a, b) if paired else statistics.welch_difference(a, b)
        how = "paired by seed" if paired else "Welch"
        self.say(f"{name}.diff", signed(actual.mean), f"{what}: difference, points")
        known = np.isfinite(actual.low)
        interval = f"{signed(actual.low)} to {signed(actual.high)}" if known else "no interval"
        self.say(f"{name}.interval", interval, f"{what}: its 95 % interval, {how}")

    def say_time(self, name: str, what: str, made: Iterable[Run]) -> None:
        """How long those runs took that `quick` has not."""
        seconds = {run.key: runs.metrics(run, self.outputs)["seconds"] for run in made}
        new = [took for key, took in seconds.items() if key not in self.known]
        text = f"{what}: seconds of {len(new)} new runs, their sum, {WORKERS} at a time"
        self.say(f"{name}.time", f"{sum(new):.0f}", text)

    def write(self, path: Path) -> None:
        """Keep all of it, with the machine."""
        environment = (runs.result(self.whole[0], self.outputs) or {})["about"]
        machine = f"{WORKERS} cores of {environment['device']}, float32"
        pd.DataFrame(self.rows).assign(machine=machine).to_csv(path, index=False)
        print(f"{len(self.rows)} numbers in {path}")


def train(answers: Answers) -> None:
    """Notebook 01."""
    errors = {"quick": answers.errors(answers.whole)}
    for name, what, changed in (
        ("images-1024", "images=1024", {"images": 1024}),
        ("images-4096", "images=4096", {"images": 4096}),
        ("images-all", "images=0 (8,192)", {"images": 0}),
        ("ten", "ten seeds", {"seeds": list(range(10))}),
        ("low", "one-cycle, lr=0.05", {"lr": 0.05}),
        ("constant", "constant, lr=0.05", {"lr": 0.05, "schedule": "constant"}),
    ):
        made = answers.made(study(**changed).baselines)
        errors[name] = answers.errors(made)
        answers.say_errors(f"1.{name}", what, errors[name])
        answers.say_time(f"1.{name}", what, made)
    for name, against in {"low": "quick", "constant": "low"}.items():
        sides = errors[name], errors[against]
        answers.say_difference(f"1.{name}", f"{name}, less {against}", *sides, paired=False)
    longer = answers.made(study(images=1024).trained_longer(2.0).baselines)
    answers.say_errors("1.images-1024.longer", "images=1024, twice the epochs", answers.errors(longer))
    chance(answers, sorted(errors["ten"]))


def chance(answers: Answers, ten: list[float]) -> None:
    """Notebooks 01 and 05: what the scatter of ten whole networks means. ten: test errors, lowest first."""
    deviation, remaining = np.std(ten, ddof=1), len(ten) - 1
    answers.say("1.ten.sd", f"{deviation:.1f}", "ten seeds: standard deviation of the test error, points")
    bounds = deviation * np.sqrt(remaining / stats.chi2.ppf([0.975, 0.025], remaining))
    text = "ten seeds: 95 % interval of that deviation, if errors are normal"
    answers.say("1.ten.sd.interval", spread(bounds), text)
    gap = np.mean([high - low for low, high in combinations(ten, 2)])
    answers.say("1.ten.gap", f"{gap:.1f}", "ten seeds: mean distance of two of them, points")
    threes = np.array([np.mean(ten[:3]), np.mean(ten[-3:])])
    answers.say("1.ten.threes", spread(threes), "ten seeds: lowest and highest mean that three of them have")
    text = "half the 95 % interval of a difference of two independent means, with that deviation"
    half = half_width(deviation, 3)
    answers.say("5.three", f"{half:.1f}", f"{text}: points, with three seeds on each side")
    for name, points in {"one": 1.0, "two": 2.0}.items():
        seeds = next(n for n in count(2) if half_width(deviation, n) <= points)
        answers.say(f"5.width.{name}", seeds, f"{text}: seeds on each side until it is {points:g} or less")
        needed = statistics.seeds_needed(deviation, points, other_std=deviation)
        what = f"seeds on each side to find a difference of {points:g} in four studies of five"
        answers.say(f"5.seeds.{name}", needed, f"{what}, with that deviation")


def half_width(deviation: float, seeds: int) -> float:
    """Half the 95 % interval of a difference of two means of so many, both sides of that deviation."""
    return stats.t.ppf(0.975, 2 * seeds - 2) * deviation * np.sqrt(2 / seeds)


def prune(answers: Answers) -> None:
    """Notebook 02, but for its first item."""
    apart: list[float] = []
    ways = {"steps-1": {"steps": 1}, "steps-4": {"steps": 4}, "lr-0.001": {"finetune_lr": 0.001}}
    for name, changed in ways.items():
        config = study(**changed)
        prunings = answers.made(job.run for job in config.pruning_jobs)
        for number in ROUNDS:
            at, what = f"2.{name}.round-{number}", f"{name} after round {number}"
            errors = answers.after(number, prunings, "test_error")
            usual = answers.after(number, answers.prunings, "test_error")
            answers.say_errors(at, what, errors)
            answers.say_difference(at, f"{what}, less quick", errors, usual, paired=True)
            remaining = [
                answers.after(number, some, "params").mean() for some in (prunings, answers.prunings)
            ]
            apart.append(100 * abs(remaining[0] - remaining[1]) / config.whole.params)
        answers.say_time(f"2.{name}", name, prunings)
    text = (
        "parameters left after a round, less those of quick: points of the whole's, the most of all of these"
    )
    answers.say("2.left.apart", f"{max(apart):.1f}", text)


def draw_lots(answers: Answers) -> None:
    """Notebook 02, item 1, and notebook 03, item 4: random pruning, tuned, and the shapes from scratch."""
    config = study(criterion="random", sizes=[0.2, 0.4], budgets=["pruned-scratch"])
    prunings, whole = answers.made(job.run for job in config.pruning_jobs), answers.errors(answers.whole)
    answers.say_time("2.random", "random prunings", prunings)
    remaining = 100 * answers.after(ROUNDS[-1], prunings, "params") / config.whole.params
    answers.say(
        "2.random.left", f"{spread(remaining, '{:.0f}')} %", "random prunings: parameters left in the end"
    )
    made = answers.retrained(config)
    for (curve, size), of_size in made.items():
        tuned = curve == "pruned-tuned"
        chapter, what = 2 if tuned else 3, f"random, {curve} at {size} %"
        name = f"{chapter}.random.{size}"
        errors, usual = answers.errors(of_size), answers.errors(answers.quick[curve, size])
        answers.say_errors(name, what, errors)
        answers.say_difference(name, f"{what}, less fisher", errors, usual, paired=tuned)
        if tuned:
            answers.say_difference(
                f"2.random.whole.{size}", f"{what}, less the whole", errors, whole, paired=True
            )
        else:
            macs = np.mean([run.architecture.macs for run in of_size]) / config.whole.macs
            answers.say(f"{chapter}.random.macs.{size}", percent(macs), f"{what}: MACs, of the whole's")
    answers.say_time("3.random", "random prunings and shapes", chain(prunings, *made.values()))


def retrain(answers: Answers) -> None:
    """Notebook 03: other budgets, each network's error on its own; `tests.claims` compares them."""
    rows = []
    tried = {
        **{"scratch-b": ("scratch-b", [1, 2]), "rewound": ("weights-rewound", [1])},
        **{"on": ("fine-tuned", [1]), "seen": ("scratch-images", [1])},
    }
    for short, (budget, lengths) in tried.items():
        config = study(budgets=[budget], base_epoch_factors=lengths)
        answers.made(job.run for job in config.pruning_jobs)
        points = budgets.budget_points(config, config.pruned_networks(answers.outputs))
        points = [point for point in points if point.curve == budget]
        answers.made(point.run for point in points)
        rows += [answers.row(point, config) for point in points]
        answers.say_time(f"3.{short}", budget, [point.run for point in points if point.longer == 1])
    pd.DataFrame(rows).to_csv(REFERENCE / "measured" / "retrained.csv", index=False)


def scale(answers: Answers) -> None:
    """Notebook 04: families that follow a pruning run."""
    ways = {"copycat": ("copycat", 40), "late": ("copycat", 20), "guided": ("guided", 40)}
    for name, (curve, copied) in ways.items():
        config = study(curves=[curve], copycat_size=copied / 100)
        made = answers.made_by_size(config, scaling.family_points(config, answers.outputs))
        for size in SIZES:
            at, what = f"4.{name}.{size}", f"{curve} of the {copied} %, at {size} %"
            of_size, pruned = made[curve, size], answers.quick["pruned-scratch", size]
            answers.say_errors(at, what, answers.errors(of_size))
            apart = [pair for pair in zip(of_size, pruned, strict=True) if pair[0].key != pair[1].key]
            errors, usual = (answers.errors(side) for side in zip(*apart, strict=True))
            answers.say_difference(at, f"{what}, less pruned-scratch", errors, usual, paired=False)
            if curve == "copycat" and size == copied:
                same = len(of_size) - len(apart)
                answers.say(f"4.same.{name}", same, f"{what}: how many are the pruned shape itself")
        answers.say_time(f"4.{name}", name, chain(*made.values()))


if __name__ == "__main__":
    answers = Answers(Path(sys.argv[1]))
    for chapter in (train, prune, draw_lots, retrain, scale):
        chapter(answers)
    answers.write(REFERENCE / "measured" / "solutions.csv")
