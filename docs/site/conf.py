"""Sphinx settings of the site that `horticulture publish` builds; the site fetches nothing from a network.

Equations are MathML, notebooks are shown as executed, and search works from `file://`.
"""

from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

from horticulture.study.pages import DARK, FOLD, LIGHT, SHADOWS, TEMPLATE

project = html_title = "neural-horticulture"
author = "the neural-horticulture developers"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.githubpages"]
templates_path = ["templates"]

nb_execution_mode = "off"
nb_render_markdown_format = "myst"
nb_code_prompt_show = nb_code_prompt_hide = FOLD
suppress_warnings = ["mystnb.unknown_mime_type"]  # what only a terminal reads
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 4  # with the anchors that code forges use

autodoc_member_order = "bysource"
default_role = "literal"  # single backticks in docstrings are code
add_module_names = False
maximum_signature_line_length = 88

html_theme = "furo"
pygments_style, pygments_dark_style = LIGHT, DARK
html_math_renderer = "mathml"
html_static_path = [str(TEMPLATE / SHADOWS), "site.css"]
html_css_files = [SHADOWS, "site.css"]
html_copy_source = html_show_sourcelink = False
html_show_search_summary = False  # it fetches pages, which browsers refuse from file://
html_show_copyright = html_show_sphinx = False


def _write(self: Any, node: nodes.Element, display: str) -> None:
    """Write an equation as MathML; one that cannot be converted as its source, with a warning."""
    try:
        self.body.append(convert(node.astext(), display=display))
    except Exception as error:
        logging.getLogger(__name__).warning("equation cannot be converted: %s", error, location=node)
        self.body.append(f"<code>{self.encode(node.astext())}</code>")
    raise nodes.SkipNode


def _inline(self: Any, node: nodes.Element) -> None:
    _write(self, node, "inline")


def _block(self: Any, node: nodes.Element) -> None:
    _write(self, node, "block")


def _skip(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a module imports from elsewhere, and tuple fields without a docstring."""
    if str(obj.__doc__).startswith("Alias for field number"):
        return True
    page = app.env.current_document.docname.rpartition("/")[2]
    home = getattr(obj, "__module__", None)
    elsewhere = isinstance(home, str) and not f"{home}.".startswith(f"{page}.")
    return True if what == "module" and elsewhere else None


def _contain(app: Sphinx, env: Any) -> None:
    """Refuse a link or picture that would put another file of this machine on the site."""
    for name, (linking, _) in [*env.dlfiles.items(), *env.images.items()]:
        if not (app.srcdir / name).resolve().is_relative_to(Path(app.srcdir).resolve()):
            text = app.env.doc2path(min(linking), base=False)
            raise ExtensionError(f"{text} links to {Path(name).name}, which is not a file of the site")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the above."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("autodoc-skip-member", _skip)
    app.connect("env-updated", _contain)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
