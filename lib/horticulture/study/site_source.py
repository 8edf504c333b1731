"""The folder from which Sphinx builds a web site of studies.

It mirrors the checkout, so that links between the texts work unchanged.
"""

import base64
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import nbformat
import pandas as pd
from PIL import Image

from horticulture import runs
from horticulture.analysis import explorer, tables
from horticulture.analysis.tables.wording import count
from horticulture.errors import InputError, reading
from horticulture.study import pages, study_files, untrusted
from horticulture.system import files

ROOT = Path(__file__).parents[3]
SETTINGS, NOTEBOOKS = ROOT / "docs" / "site", ROOT / "notebooks"
HOME, GLOSSARY = ROOT / "README.md", NOTEBOOKS / "glossary.md"
LINK = re.compile(r"\[(?P<text>[^]]*)\]\((?P<url>[^)\s]+)\)")
TERM = re.compile(r'^\| <a id="(?P<id>.+)"></a>\*\*(?P<words>.+)\*\* \| (?P<meaning>.*) \|$', re.MULTILINE)
GITHUB = re.compile(r"github\.com[:/](?P<name>[\w.-]+/[\w.-]+?)(\.git)?/?$")
SVG = "image/svg+xml"
DECISIVE = ("error_vs_params", "weights_or_shape")  # figures that come first
PICTURES = {"image/png": "png", "image/jpeg": "jpg", SVG: "svg"}
NOT_EXECUTED = (
    "*Not executed: `horticulture run quick`, then `horticulture publish quick`, show the results.*"
)


class SiteSource:
    """The folder that Sphinx reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        terms = TERM.finditer(GLOSSARY.read_text())
        self.terms = {term["id"]: term["words"].split(", ")[0] for term in terms}
        self.repository = _github()

    def write(self, studies: Mapping[str, Path]) -> None:
        """Write everything."""
        shutil.copytree(SETTINGS, self.folder)
        for text in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *NOTEBOOKS.glob("*.md")]:
            self._write(_site_path(text), self._relink(text.read_text(), text.parent))
        main = next((folder for folder in studies.values() if _notebooks(folder)), ROOT)  # ROOT: not executed
        for notebook in _notebooks(main):
            self._notebook(notebook, "notebooks", [NOT_EXECUTED] if main == ROOT else [])
        for name, folder in studies.items():
            with reading(f"the study {name} in {folder}"):
                self._study(name, folder, [] if folder == main else _notebooks(folder))

    def _write(self, target: str, content: str | bytes) -> None:
        """Write a file, or append to a page."""
        path = self.folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            files.write(path, content)
        else:
            with path.open("a") as page:
                page.write(content)

    def _relink(self, text: str, base: Path, beside: Path | None = None) -> str:
        """A text with its links adapted to the site.

        Links into the glossary become `term` roles, linked files of the checkout are copied, and links to
        notebooks that do not exist, or to files elsewhere, become plain text. base: the folder that links are
        relative to; beside: the folder of the notebooks, if that is another.
        """

        def adapt(link: re.Match) -> str:
            name, _, anchor = link["url"].partition("#")
            target = (base / name).resolve()
            if re.match(r"\w+:|#", link["url"]):
                return link[0]
            if target == GLOSSARY and anchor in self.terms:
                return f"{{term}}`{re.sub('[`*]', '', link['text'])} <{self.terms[anchor]}>`"
            if target.suffix == ".ipynb":
                return link[0] if ((beside or base) / name).exists() else link["text"]
            words = link["text"]
            if not _is_public(target):
                return words
            if target.suffix != ".md" and target.is_file():
                self._write(_site_path(target), target.read_bytes())
            if target.suffix == ".png" and link.string[: link.start()].endswith("!"):  # shown, not linked
                words = untrusted.escape(_description(target, words))
            return f"[{words}](/{_site_path(target)}{'#' if anchor else ''}{anchor})"

        text = re.sub(r"<!--[\w.-]*-->", "", text)  # names of computed numbers
        if TERM.search(text):
            entries = [
                "\n".join([*term["words"].split(", "), f"  {term['meaning']}"]) + "\n"
                for term in TERM.finditer(text)
            ]
            text = text.partition("| word |")[0] + "\n".join(["```{glossary}", *entries, "```\n"])
        return LINK.sub(adapt, text)

    def _notebook(self, path: Path, page_folder: str, remarks: Sequence[str] = ()) -> str:
        """Add a notebook, with its pictures as files that have alt text; returns a link to it.

        remarks: what to say below its title.
        """
        with reading(path):
            notebook = pages.portable(nbformat.reads(files.read(path).decode(), as_version=4))
            self._adapt(notebook, path, page_folder)
        if self.repository:
            remarks = [*remarks, _invitation(self.repository, path.name)]
        notebook.cells[1:1] = [nbformat.v4.new_markdown_cell(remark) for remark in remarks]
        self._write(f"{page_folder}/{path.name}", nbformat.writes(notebook))
        return f"- [](/{page_folder}/{path.name})"

    def _adapt(self, notebook: nbformat.NotebookNode, path: Path, page_folder: str) -> None:
        """Adapt the texts and links of a notebook to the site, and write its pictures there."""
        # Other metadata are settings.
        notebook.metadata = untrusted.only(notebook.metadata, "kernelspec", "language_info")
        for number, cell in enumerate(notebook.cells):
            cell.metadata = untrusted.only(cell.metadata, "tags")
            if cell.cell_type == "markdown":
                text = untrusted.without_directives(cell.source)
                cell.source = self._relink(text, NOTEBOOKS, path.parent)
            for which, output in enumerate(cell.get("outputs", [])):
                data = output.get("data", {})
                shown = next((kind for kind in pages.SHOWN_TYPES if kind in data), None)
                for kind in data.keys() - {shown}:  # myst-nb would write even pictures that are not shown
                    del data[kind]
                if "text/markdown" in data:
                    data["text/markdown"] = untrusted.without_directives(data["text/markdown"])
                if shown in PICTURES:
                    words = output.metadata.get(shown, {}).get("alt", "a figure without a description")
                    picture = f"{path.stem}-{number}-{which}.{PICTURES[shown]}"
                    content = data[shown].encode() if shown == SVG else base64.b64decode(data[shown])
                    self._write(f"{page_folder}/{picture}", content)
                    output.data = {"text/markdown": f"![{untrusted.escape(words)}]({picture})"}

    def _study(self, name: str, folder: Path, notebooks: list[Path]) -> None:
        """Write the page of a study, and its sections of the verdicts and the gallery."""
        page = f"studies/{name}/index"
        results = runs.collect(folder)
        written = folder / "verdicts.csv"
        untrusted.check_text(results, f"the results of {name}")
        parts, comparisons = [*_plan(name), _extent(results)], []
        if written.exists():
            verdicts = runs.read_table(written).fillna({"criterion": ""})
            untrusted.check_text(verdicts, f"{written}")
            parts.append(tables.conclude(verdicts, tables.scratch_b_in_words(results)))
            parts.append(_table(tables.pair_table(verdicts)))
            comparisons = ["## Every comparison", _table(tables.verdict_table(verdicts))]
        self._write("verdicts.md", "\n\n".join([f"\n## [{name}](/{page}.md)", *parts, ""]))
        parts += ["## Test error", *map(_table, tables.error_tables(results))]
        parts.append("\n".join(f"- {note}" for note in tables.notes(results)))
        if notebooks:
            titles = [self._notebook(notebook, f"studies/{name}") for notebook in notebooks]
            parts += ["## Notebooks", *titles, "```{toctree}\n:hidden:\n:glob:\n\n0*\n```"]
        drawn = untrusted.plain_files(folder, "figures/*.png")
        if figures := sorted(drawn, key=lambda path: (path.stem not in DECISIVE, path.stem)):
            anchors = {figure: _anchor(name, figure) for figure in figures}
            parts.append("## Figures")
            parts += [self._figure(figure, name, f":name: {to}") for figure, to in anchors.items()]
            links = {figure: f":target: {page}.html#{to}" for figure, to in anchors.items()}
            linked = [self._figure(figure, name, option) for figure, option in links.items()]
            gallery = [f"\n## [{name}](/{page}.md)", "::::{container} gallery", *linked, "::::\n"]
            self._write("gallery.md", "\n\n".join(gallery))
        with suppress(InputError):  # nothing was pruned
            parts += ["## Every network on the way", _raw(explorer.explore(folder).html)]
        csvs = sorted(untrusted.plain_files(folder, "*.csv"))
        for table in csvs:
            self._write(f"studies/{name}/{table.name}", table.read_bytes())
        numbers = ", ".join(f"[{path.name}](/studies/{name}/{path.name})" for path in csvs)
        end = f"The numbers: {numbers}; [what the columns mean](/docs/files.md).\n"
        self._write(f"{page}.md", "\n\n".join([f"# {name}", *parts, *comparisons, end]))

    def _figure(self, path: Path, study: str, option: str) -> str:
        """Add a figure; returns it as Markdown, with the description in the file as alt text."""
        title = path.stem.replace("_vs_", " against ").replace("_", " ").replace("params", "parameters")
        words = _description(path, f"{title}, in the study {study}")
        target = f"studies/{study}/figures/{path.name}"
        self._write(target, path.read_bytes())
        return f":::{{figure}} /{target}\n:alt: {words}\n{option}\n\n{title.capitalize()}\n:::"


def _description(figure: Path, otherwise: str) -> str:
    with reading(figure), Image.open(figure, formats=["PNG"]) as picture:
        return " ".join(str(picture.info.get("Description", otherwise)).split())  # in one line


def _is_public(path: Path) -> bool:
    """Whether it is a file of the checkout, and not one that tools keep hidden there."""
    return path.is_relative_to(ROOT) and not any(
        part.startswith(".") for part in path.relative_to(ROOT).parts
    )


def _site_path(path: Path) -> str:
    """The path of a file in the site: as in the checkout, or else as on the disk."""
    if path == HOME:
        return "index.md"
    return path.relative_to(ROOT if path.is_relative_to(ROOT) else path.anchor).as_posix()


def _notebooks(folder: Path) -> list[Path]:
    return sorted(untrusted.plain_files(folder, "notebooks/0*.ipynb"))


def _anchor(study: str, figure: Path) -> str:
    """The id of a figure on the page of its study; words that Sphinx leaves as they are."""
    return "-".join(re.findall("[a-z0-9]+", f"figure {study} {figure.stem}".lower()))


def _github() -> str:
    """`owner/name` of the remote repository, if it is on GitHub."""
    command = ["git", "-C", str(ROOT), "config", "remote.origin.url"]
    try:
        remote = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git
        return ""
    return match["name"] if (match := GITHUB.search(remote)) else ""


def _invitation(repository: str, notebook: str) -> str:
    colab = f"https://colab.research.google.com/github/{repository}/blob/HEAD/notebooks/{notebook}"
    binder = f"https://mybinder.org/v2/gh/{repository}/HEAD?labpath=notebooks/{notebook}"
    clone = Path(repository).name
    install = f"!git clone -q https://github.com/{repository} && pip install -q -e {clone}"
    found = f'import sys; sys.path.append("{clone}/lib")'  # installed packages are found by the next kernel
    return f"Run this notebook on [Binder]({binder}), or on [Colab]({colab}) after `{install}` and `{found}`."


def _plan(study: str) -> list[str]:
    """The description in the study file, or in that of the study it is a part or variant of, if any."""
    files = [name for name in study_files.studies() if f"{study}-".startswith(f"{name}-")]
    return [f"*Planned:* {study_files.read(max(files, key=len)).about.strip()}"] if files else []


def _extent(results: pd.DataFrame) -> str:
    """What was run, which may be less than was planned."""
    seeds = sorted(results["seed"].unique())
    networks = results.groupby(["run", "round"], dropna=False)["test_error"].max()
    measured = networks.count()  # NaN: a round that was not evaluated
    of = f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
    whose = "all of them" if measured == len(networks) else f"{measured:,} of them"
    passed = f"{count(len(networks), 'network')} in {count(results['run'].nunique(), 'run')}"
    return f"*Run:* {of}; {passed}, the test error of {whose} measured."


def _table(frame: pd.DataFrame) -> str:
    if "against" in frame.index.names:  # one narrow column for the pair, so that a phone shows the verdicts
        frame = frame.reset_index()
        frame.insert(0, "curves", frame.pop("curve") + " against " + frame.pop("against"))
        kind = "pairs cases" if "case" in frame else "pairs"
        return _raw(frame.to_html(border=0, index=False, na_rep="", classes=kind))
    if frame.index.nlevels > 1:
        return _raw(frame.reset_index().to_html(border=0, index=False, na_rep="", classes="cases"))
    frame = frame.rename_axis(index=None, columns=frame.index.name)
    return _raw(frame.to_html(border=0, na_rep="", float_format="{:.1f}".format))


def _raw(html: str) -> str:
    fence = "~" * max([4, *(1 + len(tildes) for tildes in re.findall("~+", html))])
    return f"{fence}{{raw}} html\n<div class='wide'>\n{html}\n</div>\n{fence}"
