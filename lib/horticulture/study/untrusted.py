"""What a study from anybody may put on a page: text without markup, and its own files."""

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pandas as pd

from horticulture.errors import InputError

DIRECTIVE = re.compile(r"(`{3,}|~{3,}|:{3,})[ \t]*\{|\{(?=[\w:.+-]+\}`)")  # of MyST, or a role
PLAIN = re.compile(r"[\w.=+-]+")  # names of files that need no escape
ODD = re.compile(r"[<>`{}\[\]]")  # what Markdown or HTML would interpret, and no name in a table has
PUNCTUATION = re.compile(r"([!-/:-@[-`{-~])")


def plain_files(folder: Path, pattern: str) -> Iterator[Path]:
    """The regular files in a study's folder that are plainly named, and no links to files elsewhere."""
    root = folder.resolve()
    return (
        path
        for path in folder.glob(pattern)
        if PLAIN.fullmatch(path.name) and path.is_file() and path.resolve().is_relative_to(root)
    )


def check_text(frame: pd.DataFrame, what: str) -> None:
    """Raise InputError for text in a table that would be markup on a page."""
    texts = frame.select_dtypes(exclude="number")
    for text in [*map(str, frame.columns), *(str(value) for name in texts for value in texts[name].unique())]:
        if ODD.search(text) or not text.isprintable():
            raise InputError(f"{what} have markup in them, which cannot be published: {ascii(text)[:60]}")


def only(metadata: nbformat.NotebookNode, *names: str) -> nbformat.NotebookNode:
    """The metadata of these names; others can be settings of what renders the notebook."""
    return nbformat.NotebookNode({name: metadata[name] for name in names if name in metadata})


def without_directives(text: str) -> str:
    """Markdown without what would make Sphinx read other files, import modules, or run code."""
    return DIRECTIVE.sub(lambda match: f"{match[1]} " if match[1] else "\\{", text)


def escape(words: str) -> str:
    """Escape what Markdown would interpret."""
    return PUNCTUATION.sub(r"\\\1", words)
