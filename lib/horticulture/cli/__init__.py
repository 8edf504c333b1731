"""The `horticulture` command. Exit codes: 1 a notebook or the system failed, 2 bad input, 130 stopped."""

import errno
import io
import os
import sys

from horticulture.errors import InputError, NotebookError, printable

STOPPED = "horticulture: stopped"
TO_RESUME = "; run the same command again to resume"


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, io.TextIOWrapper):  # of an encoding that may lack some characters of the tables
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        from horticulture.cli import parser  # takes long enough to be interrupted

        options = parser.build().parse_args(given)
        return options.command(options)
    except (InputError, NotebookError) as error:
        print(f"horticulture: {printable(str(error))}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a folder without write permission
        if error.errno == errno.ENAMETOOLONG:  # of an argument, or HORTICULTURE_DATA
            print(
                f"horticulture: {printable(str(error.filename)[:60])}...: {error.strerror}", file=sys.stderr
            )
            return 2
        intact = "" if isinstance(error, FileNotFoundError) else "; finished work is intact"
        print(f"horticulture: {error}{intact}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{STOPPED}{TO_RESUME if given[:1] == ['run'] else ''}", file=sys.stderr)
        return 130
