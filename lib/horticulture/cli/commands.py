"""The commands: each takes the parsed arguments and returns an exit code.

Slow imports such as pandas and torch are made in the functions that need them.
"""

import argparse
import sys
import textwrap
from pathlib import Path
from typing import Any

from horticulture import data, runs
from horticulture.data import catalog
from horticulture.errors import InputError, check_choice, printable
from horticulture.study import literals, parameters, preparation, study_files
from horticulture.study.terminal import ask_yes_no, print_status, print_tables, say

SELECTORS: dict[str, tuple[type, str]] = {  # which network of a curve, or of a run
    "seed": (int, "its seed"),
    "params": (float, "its number of parameters, approximately: the nearest for each seed"),
    "round": (int, "the round of pruning after which to take it"),
    "criterion": (str, "the criterion it was pruned by"),
    "longer": (float, "the factor on the study's length of training (column `longer`)"),
}
WIDTH = 80  # columns of the list of parameters


def run(options: argparse.Namespace) -> int:
    """Run or resume a study, or estimate what that takes."""
    cluster_given = [f"cluster={options.cluster}"] if options.cluster else []
    overrides: dict[str, Any] = parameters.parse([*options.parameters, *cluster_given])
    study = study_files.read(options.study)
    renamed = parameters.rename(study, options.name, overrides)
    outputs = runs.outputs_folder(options.outputs)
    parts = preparation.prepare(renamed, overrides, outputs, options.first, options.allow_code)

    from horticulture.execution import cluster, interruption
    from horticulture.study import base_recipe, forecast, runner

    if renamed.name != study.name and not options.name:
        where = f"results go to {renamed.name} (choose another name with --name)"
        print(f"{study.name} with changed parameters: {where}")
    for part, resolved in parts:
        if line := base_recipe.describe_change(resolved, outputs / part.name):  # only from notebook 01 on
            print(printable(line))
    _, first = parameters.notebooks_from(options.first)
    if options.dry_run:
        lines = forecast.describe({part.name: resolved for part, resolved in parts}, outputs, first)
        print(*map(printable, lines), sep="\n")
        return 0
    if line := forecast.warn_about_studies((resolved for _, resolved in parts), outputs, first):
        print(f"horticulture: {printable(line)}", file=sys.stderr)
    requested = parts[0][1]["cluster"]
    external = "" if requested.startswith(cluster.LOCAL) else requested  # outlives this command
    try:
        with interruption.on_end_signals(), cluster.opened(requested) as address:
            for part, resolved in parts:
                with runner.exclusive(outputs / part.name):
                    given = {**resolved, "cluster": address}
                    print_tables(runner.run(part, given, outputs, options.first, external))
    except KeyboardInterrupt:
        if external:
            print(f"horticulture: runs in progress go on at {external}", file=sys.stderr)
        raise
    return 0


def list_studies(options: argparse.Namespace) -> int:
    """Print the names of the studies, with what they are about."""
    for name in study_files.studies():
        print(f"{name:<24} {study_files.read(name).about.strip()}")
    return 0


def list_parameters(options: argparse.Namespace) -> int:
    """Print every parameter by notebook, as the notebook declares it: type, value or default, and meaning."""
    study = study_files.read(options.study) if options.study else study_files.Study("", "", {}, {})
    differing = {name for part in study.parts.values() for name in part}
    resolved = parameters.resolve_parameters(study, {})
    for position, notebook in enumerate(parameters.notebooks()):
        print(f"{notebook.stem}")
        for name, declaration in parameters.all_parameters().items():
            if declaration["notebook"] == position and name not in parameters.OPTIONS:
                value = "by part" if name in differing else literals.to_python(resolved[name], name)
                mark = "*" if name in study.parameters or name in differing else " "
                _say_wrapped(f"{mark} {name}: {declaration['type']} = {value}")
                option = parameters.OPTIONS_OF_FILES.get(name)
                note = f"; not for study files, use {option}" if option else ""
                _say_wrapped(f"      {declaration['help']}{note}")
    if options.study:
        say(f"* set by {study.name}; the others are defaults")
    return 0


def _say_wrapped(text: str) -> None:
    say(textwrap.fill(text, WIDTH, subsequent_indent=6 * " ", break_on_hyphens=False))


def show(options: argparse.Namespace) -> int:
    """Print the tables of a study, or of each of its parts."""
    for folder in (folders := _study_folders(options.study, options)):
        if len(folders) > 1:
            print(f"\n{folder.name}\n")
        print_tables(folder)
    return 0


def status(options: argparse.Namespace) -> int:
    """Print how far a study, or each of its parts, has come."""
    for folder in _study_folders(options.study, options):
        print_status(folder)
    return 0


def _study_folders(study: str, options: argparse.Namespace) -> list[Path]:
    return study_files.folders(study, runs.outputs_folder(options.outputs))


def export(options: argparse.Namespace) -> int:
    """Write one network of a study into a folder."""
    from horticulture.study import exporting

    folder, *more = _study_folders(options.study, options)
    if more:
        names = ", ".join(part.name for part in (folder, *more))
        raise InputError(f"{options.study} has parts: export from one of {names}")
    if not options.to:
        study_files.check_own_folders(folder)
    values = {name: getattr(options, name) for name in SELECTORS}
    for line in exporting.export(folder, options.run, options.to, options.allow_code, **values):
        say(line)
    return 0


def publish(options: argparse.Namespace) -> int:
    """Build the web site."""
    studies = {path.name: path for name in options.studies for path in _study_folders(name, options)}

    from horticulture.study import publish

    print(publish.publish(studies, Path(options.to) if options.to else publish.SITE))
    return 0


def list_groups(options: argparse.Namespace) -> int:
    """Print which channels of a network can be pruned, and why the others cannot."""
    try:
        channels, height, width = map(int, options.image.lower().split("x"))
    except ValueError as error:
        raise InputError(f"--image {options.image!r}: expected CxHxW, such as 3x32x32") from error
    image = channels, height, width

    from horticulture.study import bounds

    bounds.network_for(options.network, image, options.classes)  # refused before torch is loaded

    from horticulture.networks import group_table

    print(group_table.list_groups(options.network, image, options.classes, options.residual_sets))
    return 0


def clean(options: argparse.Namespace) -> int:
    """Remove the runs that belong to no study, once confirmed."""
    from horticulture.study import housekeeping

    outputs = runs.outputs_folder(options.outputs)
    unused = housekeeping.find_unused_runs(outputs)
    old = [run for run in unused if not run.recent]
    for run in old:
        say(f"{run.size / 1e6:>10,.1f} MB  {run.folder.name}  {run.description}")
    if len(old) < len(unused):
        print(f"keeping {len(unused) - len(old)} more, changed within the last hour")
    for path in housekeeping.not_runs(outputs):
        say(f"keeping {path}, which is no run")
    if not old and not any((outputs / "runs").glob("*")):
        print(f"nothing to remove: there are no runs in {outputs}")
        return 0
    if not old:
        other = "other " if unused else ""
        print(f"nothing to remove: every {other}run in {outputs} belongs to a study")
        return 0
    count = f"{len(old):,} runs that belong" if len(old) > 1 else "1 run that belongs"
    print(f"{sum(run.size for run in old) / 1e6:>10,.1f} MB in {count} to no study")
    if not options.yes and not ask_yes_no("remove them?"):
        print("nothing removed (use --yes to remove without asking)")
        return 0
    housekeeping.remove(old)
    print("removed")
    return 0


def download(options: argparse.Namespace) -> int:
    """Download a data set."""
    check_choice(options.data, catalog.DOWNLOADED, "data set to download")  # before torch is loaded
    print(f"{options.data} is in {data.download(options.data)}")
    return 0
