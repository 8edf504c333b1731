"""Pages of executed notebooks: single HTML files that load nothing from elsewhere.

Equations are MathML, pictures and styles are embedded, code that only writes sentences is folded, and light
or dark follows the reader's screen.
"""

import html
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

from horticulture.study.parameters import fill_in
from horticulture.system import files

TEMPLATE, SHADOWS = Path(__file__).parent / "page", "shadows.css"  # the site has the latter, too
LIGHT, DARK = "default", "github-dark"  # styles of Pygments
FOLD = "How this is computed"  # shown instead of the code of a cell tagged `hide-input`
WIDGET = "application/vnd.jupyter.widget-view+json"  # shown by its alternatives, since there is no kernel
SHOWN_TYPES = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", WIDGET, "text/plain"]


def write(path: Path) -> Path:
    """Write the page of an executed notebook or a Markdown text next to it. It is complete or absent."""
    text = path.read_text()
    if path.suffix == ".md":
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    else:
        notebook = nbformat.reads(text, as_version=4)
    notebook = portable(notebook)
    heading = re.search(r"^# (.*)$", "\n".join(cell.source for cell in notebook.cells), re.MULTILINE)
    resources = {"title": heading[1] if heading else path.stem, "style": _style(), "fold": FOLD}
    page, _ = _Exporter().from_notebook_node(notebook, resources=resources)
    target = path.with_suffix(".html")
    files.write(target, page)
    return target


def portable(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without what shows nothing unless a kernel runs, and without the path of its results."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = fill_in(cell.source, {"outputs": ""})
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _needs_kernel(output)]
    return notebook


def _needs_kernel(output: nbformat.NotebookNode) -> bool:
    """Remove the widget from an output; return whether nothing to show is left."""
    return bool(output.get("data", {}).pop(WIDGET, None)) and output.data.keys() <= {"text/plain"}


@cache
def _style() -> str:
    light, dark = (HtmlFormatter(style=name).get_style_defs(".highlight") for name in (LIGHT, DARK))
    rules = "".join((TEMPLATE / name).read_text() for name in (SHADOWS, "page.css"))
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n{rules}"


class _Renderer(IPythonRenderer):
    """Renders equations as MathML, and links to notebooks as links to pages."""

    def block_math(self, body: str) -> str:
        return _equation(body, "block")

    def inline_math(self, body: str) -> str:
        return _equation(body, "inline")

    def heading(self, text: str, level: int, **_: Any) -> str:
        attributes: dict[str, Any] = {"id": _anchor(re.sub("<.*?>", "", text))}
        return super().heading(text, level, **attributes)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """Link a notebook or text to its page. Other files get no link, because a page is passed on alone."""
        if re.match(r"\w+:|#", url):
            return super().link(text, url, title)
        path, _, anchor = url.partition("#")
        if not re.fullmatch(r"[\w-]+\.(ipynb|md)", path):
            return text
        return super().link(text, f"{Path(path).stem}.html{'#' if anchor else ''}{anchor}", title)


def _equation(tex: str, display: str) -> str:
    """MathML; what is no equation, such as a part of a name between dollar signs, is shown as it is."""
    try:
        return convert(tex, display=display)
    except Exception:  # of many kinds, without a common one
        return html.escape(f"${tex}$")


def _anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")


class _Exporter(HTMLExporter):
    def __init__(self) -> None:
        super().__init__(
            template_name=TEMPLATE.name,
            extra_template_basedirs=[str(TEMPLATE.parent)],
            exclude_input_prompt=True,
            exclude_output_prompt=True,
            exclude_anchor_links=True,
        )

    def default_filters(self) -> Iterator[tuple[str, Any]]:
        def to_html(_: Any, markdown: str) -> str:
            return MarkdownWithMath(_Renderer(escape=False, exclude_anchor_links=True)).render(markdown)

        yield from super().default_filters()
        yield "markdown2html", pass_context(to_html)
