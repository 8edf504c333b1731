"""What is said to a person in one line: bad input, with the offender and the choices; a failed notebook."""

import difflib
from collections.abc import Iterable

MANY = 24  # choices that nobody wants to read where one is near


class _OneLine:
    """An error that a notebook shows as one line: where in the library it was raised helps nobody."""

    def _render_traceback_(self) -> list[str]:  # IPython asks for it
        return [f"{type(self).__name__}: {self}"]


class InputError(_OneLine, ValueError):
    """What a person asked for cannot be done; the message says what was wrong and what would be right."""


class InterruptedRun(_OneLine, KeyboardInterrupt):
    """A person stopped the work; the message says how to go on."""


class NotebookError(Exception):
    """A notebook did not finish; the message says which, in which cell, and where its executed copy is."""


def check_choice(value: str, choices: Iterable[str], what: str) -> str:
    """Return `value` if it is one of `choices`, else raise InputError naming the nearest, or all of them."""
    choices = list(choices)
    if value in choices:
        return value
    near = difflib.get_close_matches(str(value), choices, n=1)
    if near and len(choices) > MANY:
        raise InputError(f"unknown {what} {value!r}: did you mean {near[0]!r}?")
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(f"unknown {what} {value!r}: choose from {', '.join(choices)}{hint}")
