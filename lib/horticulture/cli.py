"""The `horticulture` command, thin over the rest. Exit codes: 1 a notebook failed, 2 bad input."""

import argparse
import sys
from pathlib import Path

from horticulture import runs
from horticulture.analysis import tables
from horticulture.errors import BadInput
from horticulture.study import runner


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except BadInput as error:
        print(f"horticulture: {error}", file=sys.stderr)
        return 2
    except runner.NotebookFailed as error:
        print(f"horticulture: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a folder without write permission
        print(f"horticulture: {error}; what was finished before is whole", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nhorticulture: stopped; the same command goes on from the last finished run", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    overrides = runner.parse(options.parameters)
    if options.cluster:
        overrides["cluster"] = options.cluster
    parts = [(part, runner.settle(part, overrides)) for part in runner.read(options.study).each()]
    outputs = runs.outputs_folder(options.outputs)

    from horticulture.study import ledger, session  # the rest of this command needs no torch

    for part, parameters in parts:
        ledger.check(parameters)
        if not runner.notebooks()[0].name.startswith(options.first):  # the first notebook may begin anew
            session.check(parameters, outputs / part.name)
    for part, parameters in parts:
        _print(runner.run(part, parameters, outputs, options.first))
    return 0


def _studies(options: argparse.Namespace) -> int:
    for name in runner.studies():
        print(f"{name:<24} {runner.read(name).about.strip()}")
    return 0


def _show(options: argparse.Namespace) -> int:
    outputs = runs.outputs_folder(options.outputs)
    folders = [outputs / part.name for part in _parts(options.study)]
    folders = [folder for folder in folders if folder.is_dir()]
    if not folders:
        there = [path.parent.name for path in outputs.glob("*/results.csv")]
        raise BadInput(f"no study {options.study!r} in {outputs}: there is {', '.join(there) or 'none yet'}")
    for folder in folders:
        _print(folder)
    return 0


def _parts(name: str) -> list[runner.Study]:
    """The parts of a study; one that has no file any more, or is itself a part, has one."""
    known = name in runner.studies()
    return runner.read(name).each() if known else [runner.Study(name, "", {}, {})]


def _download(options: argparse.Namespace) -> int:
    from horticulture import data

    print(f"{options.data} is in {data.download(options.data)}")
    return 0


def _print(folder: Path) -> None:
    """The tables, what is to be known about them, and where the pictures are."""
    found = runs.collect(folder)
    print(tables.table(found).to_string(na_rep=""))
    by_budget = tables.by_budget(found)
    if len(by_budget):
        print(f"\ntest error (%) by budget\n{by_budget.to_string(na_rep='')}")
    for note in tables.notes(found):
        print(note)
    for path in sorted((folder / "figures").glob("*.png")):
        print(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="horticulture", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("run", help="run a study, or go on with it")
    command.add_argument("study", metavar="STUDY", help="a name from `horticulture studies`, or a YAML file")
    command.add_argument(
        "-p", dest="parameters", metavar="NAME=VALUE", action="append", default=[], help="change a parameter"
    )
    command.add_argument("--from", dest="first", metavar="NN", default="01", help="begin with that notebook")
    command.add_argument("--outputs", metavar="PATH", default="", help="where results go (default: outputs)")
    command.add_argument("--cluster", metavar="ADDRESS", default="", help="a Dask scheduler to train on")
    command.set_defaults(command=_run)

    command = commands.add_parser("studies", help="what studies there are")
    command.set_defaults(command=_studies)

    command = commands.add_parser("show", help="the table and the figures of a study")
    command.add_argument("study", metavar="STUDY")
    command.add_argument("--outputs", metavar="PATH", default="")
    command.set_defaults(command=_show)

    command = commands.add_parser("download", help="fetch a data set")
    command.add_argument("data", metavar="DATA", help="cifar10, cifar100 or svhn")
    command.set_defaults(command=_download)
    return parser


if __name__ == "__main__":
    sys.exit(main())
