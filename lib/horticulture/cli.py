"""The `horticulture` command, thin over the rest. Exit codes: 1 a notebook failed, 2 bad input."""

import argparse
import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from horticulture import data, runs
from horticulture.data import catalog
from horticulture.errors import InputError, NotebookError, check_choice, printable
from horticulture.study import literals, parameters, preparation, study_files
from horticulture.study.terminal import confirmed, print_status, print_tables, say

# Slow imports such as pandas and torch are made in the functions that need them.

STOPPED = "horticulture: stopped; run the same command again to resume"
EXAMPLES = """examples:
  # the study in the README
  horticulture run quick
  # estimate its time and disk space
  horticulture run quick --dry-run
  # other criteria, as a separate study
  horticulture run quick -p criterion=l1,taylor
  # the same with five seeds, named mine
  horticulture run quick --name mine -p seeds=0,1,2,3,4
  # only from the fourth notebook on
  horticulture run quick --name mine -p seeds=0,1,2,3,4 --from 4
  # your own study file, with changes
  horticulture run mine.yaml -p rounds=all -p lr=1e-1
"""
SELECTORS: dict[str, tuple[type, str]] = {  # which network of a curve, or of a run
    "seed": (int, "its seed"),
    "params": (float, "its number of parameters, approximately: the nearest for each seed"),
    "round": (int, "the round of pruning after which to take it"),
    "criterion": (str, "the criterion it was pruned by"),
    "longer": (float, "the factor on the study's length of training (column `longer`)"),
}
ENVIRONMENT = """environment:
  HORTICULTURE_OUTPUTS  where results are (default: outputs/ in the checkout)
  HORTICULTURE_DATA     where data sets are (default: data/ in the checkout)
"""
MADE = "a name from `horticulture studies`, a YAML file, or the name given with --name"
WIDTH = 80  # columns of the list of parameters


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except (InputError, NotebookError) as error:
        print(f"horticulture: {printable(str(error))}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a folder without write permission
        intact = "" if isinstance(error, FileNotFoundError) else "; finished work is intact"
        print(f"horticulture: {error}{intact}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
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


def _studies(options: argparse.Namespace) -> int:
    for name in study_files.studies():
        print(f"{name:<24} {study_files.read(name).about.strip()}")
    return 0


def _parameters(options: argparse.Namespace) -> int:
    """Print every parameter by notebook, as the notebook declares it: type, value or default, and meaning."""
    study = study_files.read(options.study) if options.study else study_files.Study("", "", {}, {})
    differing = {name for part in study.parts.values() for name in part}
    resolved = parameters.resolve_parameters(study, {})
    for position, notebook in enumerate(parameters.notebooks()):
        print(f"{notebook.stem}")
        for name, declaration in parameters.declared().items():
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


def _show(options: argparse.Namespace) -> int:
    for folder in (folders := _study_folders(options.study, options)):
        if len(folders) > 1:
            print(f"\n{folder.name}\n")
        print_tables(folder)
    return 0


def _status(options: argparse.Namespace) -> int:
    for folder in _study_folders(options.study, options):
        print_status(folder)
    return 0


def _study_folders(study: str, options: argparse.Namespace) -> list[Path]:
    return study_files.folders(study, runs.outputs_folder(options.outputs))


def _export(options: argparse.Namespace) -> int:
    from horticulture.study import exporting

    folder, *more = _study_folders(options.study, options)
    if more:
        names = ", ".join(part.name for part in (folder, *more))
        raise InputError(f"{options.study} has parts: export from one of {names}")
    values = {name: getattr(options, name) for name in SELECTORS}
    for line in exporting.export(folder, options.run, options.to, options.allow_code, **values):
        say(line)
    return 0


def _publish(options: argparse.Namespace) -> int:
    studies = {path.name: path for name in options.studies for path in _study_folders(name, options)}

    from horticulture.study import publish

    print(publish.publish(studies, Path(options.to) if options.to else publish.SITE))
    return 0


def _groups(options: argparse.Namespace) -> int:
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


def _clean(options: argparse.Namespace) -> int:
    from horticulture.study import housekeeping

    outputs = runs.outputs_folder(options.outputs)
    unused = housekeeping.unused(outputs)
    old = [run for run in unused if not run.recent]
    for run in old:
        say(f"{run.size / 1e6:>10,.1f} MB  {run.folder.name}  {run.description}")
    if len(old) < len(unused):
        print(f"keeping {len(unused) - len(old)} more, changed within the last hour")
    if not old:
        other = "other " if unused else ""
        print(f"nothing to remove: every {other}run in {outputs} belongs to a study")
        return 0
    count = f"{len(old):,} runs that belong" if len(old) > 1 else "1 run that belongs"
    print(f"{sum(run.size for run in old) / 1e6:>10,.1f} MB in {count} to no study")
    if not options.yes and not confirmed("remove them?"):
        print("nothing removed (use --yes to remove without asking)")
        return 0
    housekeeping.remove(old)
    print("removed")
    return 0


def _download(options: argparse.Namespace) -> int:
    check_choice(options.data, catalog.DOWNLOADED, "data set to download")  # before torch is loaded
    print(f"{options.data} is in {data.download(options.data)}")
    return 0


class _Parser(argparse.ArgumentParser):
    """Says in one line what it refuses: also empty arguments, as those of unset variables of a shell are."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        given = sys.argv[1:] if args is None else args
        for argument in given:
            if not argument.strip() or (argument.startswith("--") and argument.endswith("=")):
                self.error(f"{argument.strip() or 'an argument'} is empty")
        return super().parse_args(given, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {printable(message)} ({self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="horticulture",
        description="Prune networks, train what is left from scratch, and compare.",
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    outputs = argparse.ArgumentParser(add_help=False)
    outputs.add_argument("--outputs", metavar="PATH", default="", help="where results are (default: outputs)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[argparse.Namespace], int], **settings: Any) -> Callable[..., Any]:
        """Add a command; returns the method that adds its arguments."""
        sentence = settings["help"][:1].upper() + settings["help"][1:] + "."
        command = commands.add_parser(name, **{"description": sentence, **settings})
        command.set_defaults(command=function)
        return command.add_argument

    argument = add(
        "run",
        _run,
        parents=[outputs],
        help="run or resume a study",
        description="Run or resume a study. A second command for the same study waits for the first.",
        epilog=f"{EXAMPLES}\n{ENVIRONMENT}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    argument("study", metavar="STUDY", help="a name from `horticulture studies`, or a YAML file")
    change: Any = {"dest": "parameters", "metavar": "NAME=VALUE", "action": "append", "default": []}
    argument("-p", help="change a parameter (see `horticulture parameters`)", **change)
    argument("--name", metavar="NAME", default="", help="run it as a separate study with this name")
    argument("--from", dest="first", metavar="N", default="01", help="start with this notebook (default: 01)")
    argument("--dry-run", action="store_true", help="only estimate the runs, hours and disk space needed")
    argument("--allow-code", action="store_true", help="allow code named in the study file to run")
    addresses = "local:N, tcp://HOST:PORT or tls://HOST:PORT"
    argument("--cluster", metavar="ADDRESS", default="", help=f"train on a Dask cluster: {addresses}")

    add("studies", _studies, help="list the studies")

    argument = add("parameters", _parameters, help="list the parameters that -p can change")
    which = "show its values (without it: the defaults)"
    argument("study", metavar="STUDY", nargs="?", default="", help=which)

    what = "show the tables of a study and the paths of its figures"
    argument = add("show", _show, parents=[outputs], help=what)
    argument("study", metavar="STUDY", help=MADE)

    argument = add("status", _status, parents=[outputs], help="show how far a study has come")
    argument("study", metavar="STUDY", help=MADE)

    argument = add("export", _export, parents=[outputs], help="write one network into a folder")
    argument("study", metavar="STUDY", help=MADE)
    argument("run", metavar="RUN", help="a curve, or the start of a run's id, as in results.csv")
    for name, (kind, what) in SELECTORS.items():
        argument(f"--{name}", type=kind, help=what)
    argument("--to", metavar="FOLDER", default="", help="(default: in the study's exports/)")
    argument("--allow-code", action="store_true", help="allow code that the run names to run")

    argument = add(
        "publish",
        _publish,
        parents=[outputs],
        help="build a web site of studies that works offline",
        description="Build a web site of the reference studies and of yours that works offline.",
    )
    argument("studies", metavar="STUDY", nargs="*", help=f"{MADE}; replaces the reference of its name")
    argument("--to", metavar="PATH", default="", help="where to put the site (default: build/site)")

    argument = add("groups", _groups, help="show which channels of a network can be pruned")
    argument("network", metavar="NETWORK", help="wrn-40-2, torchvision:resnet18, models.py:make, ...")
    argument("--image", metavar="CxHxW", default="3x32x32", help="image shape (default: 3x32x32)")
    argument("--classes", metavar="N", type=int, default=10, help="number of classes (default: 10)")
    argument("--residual-sets", action="store_true", help="include channels that several layers add up")

    argument = add("clean", _clean, parents=[outputs], help="remove runs that belong to no study")
    argument("--yes", action="store_true", help="remove without asking")

    argument = add("download", _download, help="download a data set")
    argument("data", metavar="DATA", help="cifar10, cifar100 or svhn")
    return parser
