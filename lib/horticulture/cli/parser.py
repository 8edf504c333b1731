"""The commands, their arguments and their help."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from horticulture.cli import commands
from horticulture.errors import printable

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
ENVIRONMENT = """environment:
  HORTICULTURE_OUTPUTS  where results are (default: outputs/ in the checkout)
  HORTICULTURE_DATA     where data sets are (default: data/ in the checkout)
"""
A_STUDY = "a name from `horticulture studies`, a YAML file, or the name given with --name"
# Adds a command, and returns a function that adds its arguments.
Add = Callable[..., Callable[..., Any]]


class _Parser(argparse.ArgumentParser):
    """Refuses in one line, also empty arguments (from unset variables of a shell)."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        for argument in args:
            if not argument.strip() or (argument.startswith("--") and argument.endswith("=")):
                self.error(f"{argument.strip() or 'an argument'} is empty")
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {printable(message)} ({self.prog} --help)\n")


def build() -> argparse.ArgumentParser:
    """The parser; what it returns has the function of the command as `command`."""
    parser = _Parser(
        prog="horticulture",
        description="Prune networks, train what is left from scratch, and compare.",
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    outputs = argparse.ArgumentParser(add_help=False)
    outputs.add_argument("--outputs", metavar="PATH", default="", help="where results are (default: outputs)")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[argparse.Namespace], int], **settings: Any) -> Callable[..., Any]:
        sentence = settings["help"][:1].upper() + settings["help"][1:] + "."
        command = subparsers.add_parser(name, **{"description": sentence, **settings})
        command.set_defaults(command=function)
        return command.add_argument

    _add_run(add, outputs)
    _add_studies(add, outputs)
    _add_results(add, outputs)
    _add_others(add, outputs)
    return parser


def _add_run(add: Add, outputs: argparse.ArgumentParser) -> None:
    """The command that makes everything."""
    argument = add(
        "run",
        commands.run,
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


def _add_studies(add: Add, outputs: argparse.ArgumentParser) -> None:
    """What studies there are, and how far they have come."""
    add("studies", commands.list_studies, help="list the studies")

    argument = add("parameters", commands.list_parameters, help="list the parameters that -p can change")
    which = "show its values (without it: the defaults)"
    argument("study", metavar="STUDY", nargs="?", default="", help=which)

    what = "show the tables of a study and the paths of its figures"
    argument = add("show", commands.show, parents=[outputs], help=what)
    argument("study", metavar="STUDY", help=A_STUDY)

    argument = add("status", commands.status, parents=[outputs], help="show how far a study has come")
    argument("study", metavar="STUDY", help=A_STUDY)


def _add_results(add: Add, outputs: argparse.ArgumentParser) -> None:
    """What a finished study gives to others."""
    argument = add("export", commands.export, parents=[outputs], help="write one network into a folder")
    argument("study", metavar="STUDY", help=A_STUDY)
    argument("run", metavar="RUN", help="a curve, or the start of a run's key, as in results.csv")
    for name, (kind, what) in commands.SELECTORS.items():
        argument(f"--{name}", type=kind, help=what)
    argument("--to", metavar="FOLDER", default="", help="(default: in the study's exports/)")
    argument("--allow-code", action="store_true", help="allow code that the run names to run")

    argument = add(
        "publish",
        commands.publish,
        parents=[outputs],
        help="build a web site of studies that works offline",
        description="Build a web site of the reference studies and of yours that works offline.",
    )
    argument("studies", metavar="STUDY", nargs="*", help=f"{A_STUDY}; replaces the reference of its name")
    argument("--to", metavar="PATH", default="", help="where to put the site (default: build/site)")


def _add_others(add: Add, outputs: argparse.ArgumentParser) -> None:
    """What belongs to no study."""
    argument = add("groups", commands.list_groups, help="show which channels of a network can be pruned")
    argument("network", metavar="NETWORK", help="wrn-40-2, torchvision:resnet18, models.py:make, ...")
    argument("--image", metavar="CxHxW", default="3x32x32", help="image shape (default: 3x32x32)")
    argument("--classes", metavar="N", type=int, default=10, help="number of classes (default: 10)")
    argument("--residual-sets", action="store_true", help="include channels that several layers add up")

    argument = add("clean", commands.clean, parents=[outputs], help="remove runs that belong to no study")
    argument("--yes", action="store_true", help="remove without asking")

    argument = add("download", commands.download, help="download a data set")
    argument("data", metavar="DATA", help="cifar10, cifar100 or svhn")
