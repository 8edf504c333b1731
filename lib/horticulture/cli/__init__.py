"""The `horticulture` command, thin over the rest. Exit codes: 1 a notebook failed, 2 bad input."""

import os
import sys

from horticulture.cli import parser
from horticulture.errors import InputError, NotebookError, printable

STOPPED = "horticulture: stopped; run the same command again to resume"


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parser.build().parse_args(arguments)
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
