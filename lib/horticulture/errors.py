"""Errors shown in one line: bad input, naming the offender and the choices; a failed notebook."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

MAX_CHOICES_LISTED = 24  # with more choices than this, only the nearest is named


def printable(text: str) -> str:
    """Escape control characters, which a stranger's study could contain."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class _OneLine:
    """An error that a notebook shows as one line, because a traceback would not help."""

    def _render_traceback_(self) -> list[str]:  # called by IPython
        return list(map(printable, f"{type(self).__name__}: {self}".split("\n")))


class InputError(_OneLine, ValueError):
    """The request is impossible. The message says what was wrong and what would be right."""


class InterruptedRun(_OneLine, KeyboardInterrupt):
    """The user stopped the work. The message says how to resume."""


class ClusterError(_OneLine, RuntimeError):
    """A cluster has stopped, or runs on it failed. The message says how to go on."""


class NotebookError(Exception):
    """A notebook did not finish. The message names it, the cell, and the executed copy."""


def first_line(error: BaseException) -> str:
    """The type of an error, and the first line of its message."""
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]


def list_first(items: Iterable[str], most: int) -> str:
    """The first few items, and how many more there are."""
    every = list(items)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


@contextmanager
def reading(what: object) -> Iterator[None]:
    """Turn any error raised while reading `what` into an InputError; OSError passes through unchanged."""
    try:
        yield
    except Exception as error:  # content may be anything
        if isinstance(error, InputError) or getattr(error, "errno", None):  # of the system: a full disk
            raise
        raise InputError(f"{what} cannot be read ({first_line(error)})") from error


def check_choice(value: str, choices: Iterable[str], what: str) -> str:
    """Return `value` if it is one of `choices`, else raise InputError naming the nearest, or all of them."""
    choices = list(choices)
    if value in choices:
        return value
    near = difflib.get_close_matches(str(value), choices, n=1)
    if near and len(choices) > MAX_CHOICES_LISTED:
        raise InputError(f"unknown {what} {value!r}: did you mean {near[0]!r}?")
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(f"unknown {what} {value!r}: choose from {', '.join(choices)}{hint}")
