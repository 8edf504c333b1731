"""A web site of studies, built by Sphinx: executed notebooks, tables, figures, and the texts of the checkout.

`site_source` writes what Sphinx reads. The settings and the pages that do not depend on the studies are in
`docs/site/`.

A study can come from anybody. Nothing in its folder runs here, only its own files and linked files of the
checkout are copied, and its tables and descriptions become text. Its executed notebooks are shown as they
are: what they display, scripts included, runs in the reader's browser.
"""

from collections.abc import Mapping
from pathlib import Path

from horticulture.errors import InputError, NotebookError
from horticulture.execution import stale_files
from horticulture.study import study_files
from horticulture.study.site_source import ROOT, SiteSource
from horticulture.system import files

SITE = ROOT / "build" / "site"
REFERENCE = ROOT / "outputs" / "reference"


def publish(studies: Mapping[str, Path], target: Path = SITE) -> Path:
    """Build a site of these studies, folders by name, and of the reference studies; returns its first page.

    A site of studies at `target` is replaced. Raises InputError if Sphinx is not installed, `target` has
    anything else in it, or a study's tables have markup in them; NotebookError if Sphinx fails.
    """
    for name in studies:
        study_files.check_name(name)
    in_the_way = any(path.is_file() for path in (target, *target.parents))
    is_ours = all((target / name).exists() for name in ("searchindex.js", "studies"))  # not any Sphinx site
    if in_the_way or (target.exists() and any(target.iterdir()) and not is_ours):
        raise InputError(f"{target} is neither a site of studies nor an empty folder: choose another folder")
    try:
        from sphinx.application import Sphinx
        from sphinx.errors import SphinxError
        from sphinx.util.docutils import docutils_namespace
    except ImportError as error:
        raise InputError("Sphinx is not installed: run make site, or pip install -e '.[site]'") from error
    found = sorted(REFERENCE.glob("*/results.csv"), key=lambda path: (path.parent.name != "quick", path))
    reference = {path.parent.name: path.parent for path in found}
    files.make_folder(target.parent)
    with stale_files.temporary_folder(target.parent) as folder:
        source, doctrees, site = (folder / name for name in ("source", "doctrees", "site"))
        SiteSource(source).write({**reference, **studies})
        try:
            with docutils_namespace():
                Sphinx(source, source, site, doctrees, "html", status=None).build()
        except SphinxError as error:
            raise NotebookError(f"the site cannot be built: {error}") from error
        if target.exists():
            target.rename(folder / "old")
        site.rename(target)
    return target / "index.html"
