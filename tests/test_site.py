"""The site: built once, of two small studies and of ours, as a person has it built."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import expect

import horticulture
from horticulture import cli
from horticulture.analysis import figures
from horticulture.study import pages, parameters, publish, site_source
from tests import browser, executed, fuzzed, strip
from tests.strangers import Copier
from tests.test_browser import CONTRAST, check_paper, check_shadows, hints, wide_figure
from tests.test_pages import executed as cell

NO_SPHINX = "" if find_spec("sphinx") and find_spec("myst_nb") else "no Sphinx here: pip install -e '.[site]'"
needs_sphinx = pytest.mark.skipif(bool(NO_SPHINX), reason=NO_SPHINX)
NO_BROWSER = browser.missing()
needs_browser = pytest.mark.skipif(bool(NO_SPHINX or NO_BROWSER), reason=NO_SPHINX or NO_BROWSER)

MINE = "git@github.com:someone/garden.git"
WIDE = " + ".join(f"x_{{{n}}}^2" for n in range(40))
TABLE = pd.DataFrame({f"column {n}": ["a verdict in words"] for n in range(12)}).to_html()
SQUARE = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0H9V9H0Z"/></svg>'
WIDGET = {pages.WIDGET: {"model_id": "1"}, "text/plain": "IntSlider(value=0)"}


def notebook(path: Path, *cells) -> None:
    actual = [one if not isinstance(one, str) else nbformat.v4.new_markdown_cell(one) for one in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=actual, metadata=strip.METADATA), path)


def study(folder: Path) -> Path:
    """A study as it leaves its folder, by hand: the tables of `quick`, two notebooks and a figure."""
    (folder / "notebooks").mkdir(parents=True)
    for table in ("results.csv", "removals.csv", "verdicts.csv", "architectures.json"):
        shutil.copy(publish.REFERENCE / "quick" / table, folder)
    drawn, ax = plt.subplots()
    ax.plot([1, 2], [12.5, 9.0], label="width")
    ax.set(xlabel="parameters", ylabel="test error (%)")
    figures.save(drawn, folder / "figures", "error_vs_params")
    plt.close(drawn)
    settings = nbformat.v4.new_code_cell('outputs: str = "/home/someone"', metadata={"tags": ["parameters"]})
    notebook(
        folder / "notebooks" / "01_train.ipynb",
        f"# 1 · Train in {folder.name}\n\n[Prune](02_prune.ipynb), [*budgets*](glossary.md#budget), "
        "[answers](solutions.md#2-prune), [later](04_scale.ipynb)",
        f"$$\\frac{{1}}{{2}} = {WIDE}$$",
        cell("x = " + " + ".join(map(str, range(100))), {"text/html": TABLE, "text/plain": ""}),
        cell("plot()", {"image/png": wide_figure()}, {"image/png": {"alt": "three `panels` [of] x_1"}}),
        settings,
        cell("slide()", WIDGET),
        cell("wait()", {"application/vnd.horticulture.progress+json": {"share": 1.0}}),
        cell("say()", {"text/markdown": "a mean of $\\alpha$", "text/plain": "<Markdown>"}),
        cell("explore()", *horticulture.explore(publish.REFERENCE / "quick")._repr_mimebundle_()),
        cell(
            "draw()",
            {"image/svg+xml": SQUARE, "text/plain": "<Figure>"},
            {"image/svg+xml": {"alt": "a square"}},
        ),
    )
    notebook(folder / "notebooks" / "02_prune.ipynb", "# 2 · Prune\n\nBy saliency, [after](01_train.ipynb).")
    return folder


def publish_them(outputs: Path, target: Path, *names: str, **environment: str):
    command = [*("-m", "horticulture", "publish"), *names, "--outputs", outputs, "--to", target]
    return subprocess.run(
        [sys.executable, *command], env=os.environ | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The site, and what the command said."""
    outputs = tmp_path_factory.mktemp("outputs")
    for name in ("one", "two"):
        study(outputs / name)
    (outputs / "two" / "verdicts.csv").unlink()  # its last notebook has not run
    shutil.rmtree(outputs / "two" / "figures")
    target = tmp_path_factory.mktemp("site") / "site"
    origin = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "remote.origin.url", "GIT_CONFIG_VALUE_0": MINE}
    said = publish_them(outputs, target, "one", "two", **origin)
    return target, said


@pytest.fixture(scope="module")
def site(built):
    return built[0]


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as found:
        yield found


@needs_sphinx
def test_it_is_built_without_a_warning_and_says_where_it_begins(built):
    target, said = built
    assert (said.returncode, said.stderr, said.stdout) == (0, "", f"{target / 'index.html'}\n")
    assert not any(path.name == ".doctrees" for path in target.rglob("*"))


@needs_sphinx
def test_every_link_leads_somewhere_on_the_disk(site):
    texts = {path: path.read_text() for path in site.rglob("*.html")}
    names = {path: set(re.findall(r' (?:id|name)="([^"]+)"', text)) for path, text in texts.items()}
    missing = []
    for path, text in texts.items():
        for link in set(re.findall(r' (?:href|src)="([^"]*)"', text)):
            url = urlsplit(link)
            if url.scheme in ("http", "https", "mailto", "data"):
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not target.exists() or (url.fragment and unquote(url.fragment) not in names.get(target, ())):
                missing.append(f"{path.relative_to(site)}: {link}")
    assert len(texts) > 40
    assert [link for link in missing if not link.endswith(": #")] == []


@needs_sphinx
def test_a_notebook_leads_to_those_of_its_study_and_to_the_words(site):
    for name in ("one", "two"):
        text, up = (site / f"studies/{name}/01_train.html").read_text(), "../../notebooks/"
        assert f"1 · Train in {name}" in text
        assert 'href="02_prune.html"' in text
        assert f'href="{up}solutions.html#2-prune"' in text or f'href="{up}solutions.html#prune"' in text
        assert f'href="{up}glossary.html#term-budget"' in text
        assert "later" in text
        assert "04_scale" not in text.partition("<article")[2].partition("</article")[0]
        assert text.count("<math") == 2
        assert "IntSlider" not in text
        assert 'alt="three `panels` [of] x_1"' in text
        assert 'alt="a square" src="../../_images/' in text
        assert len(re.findall("<horticulture-explorer-", text)) == 1
        assert "/home/someone" not in text
    assert 'href="glossary.html#term-' in (site / "notebooks/01_train.html").read_text()


@needs_sphinx
@pytest.mark.parametrize("said", [True, False], ids=["not executed", "executed"])
def test_a_notebook_says_that_it_was_not_executed(tmp_path, monkeypatch, said):
    """What Sphinx reads, where no study has executed notebooks and where ours has."""
    monkeypatch.setattr("sphinx.application.Sphinx", Copier)
    if said:
        monkeypatch.setattr(publish, "REFERENCE", tmp_path / "none")
    folder = publish.publish({}, tmp_path / "site").parent / "notebooks"
    actual = [nbformat.read(path, as_version=4).cells[1].source for path in sorted(folder.glob("0*.ipynb"))]
    assert [source.startswith("*Not executed") for source in actual] == [said] * 5


@needs_sphinx
def test_a_study_has_a_page_with_its_answer_its_tables_and_its_figures(site):
    text = (site / "studies/one/index.html").read_text()
    assert "By Scratch-E, the kept weights win: trained from new ones" in text
    assert "the shape is worse in 2 of 3 cases" in text
    assert (
        "<em>Run:</em> seeds 0, 1, 2; 630 networks in 63 runs, the test error of 71 of them measured." in text
    )
    assert (
        "455 networks in 380 runs, the test error of all of them measured."
        in (site / "studies/rethinking-quick-vgg/index.html").read_text()
    )
    assert "Planned" not in text
    assert (
        "<em>Planned:</em> Real photographs" in (site / "studies/evening-cifar10-jpeg/index.html").read_text()
    )
    assert "Fisher shape from scratch (Scratch-E)" in text
    assert "horticulture-explorer-" in text
    assert 'alt="test error (%) against parameters: width: 2 points, from 12.5 at 1 to 9 at 2."' in text
    assert "Every comparison" not in (site / "studies/two/index.html").read_text()
    assert "Not decided" in (site / "verdicts.html").read_text()
    assert "unpruned WRN-16-1: 13.9 at 174,778" in (site / "index.html").read_text()  # said of its figure
    findings = (site / "docs/findings.html").read_text()
    assert re.search("<a [^>]*>.{,60}second figure", findings)  # a link to a picture keeps its words
    gallery = (site / "gallery.html").read_text()
    assert 'href="studies/one/index.html#figure-one-error-vs-params"' in gallery
    assert '<figure class="align-default" id="figure-one-error-vs-params">' in text
    assert gallery.count("<figure") == 1 + len(list(publish.REFERENCE.glob("*/figures/*.png")))


@needs_sphinx
def test_a_notebook_can_be_opened_where_the_repository_is(site):
    text = (site / "notebooks/01_train.html").read_text()
    assert "https://mybinder.org/v2/gh/someone/garden/HEAD?labpath=notebooks/01_train.ipynb" in text
    assert (
        "https://colab.research.google.com/github/someone/garden/blob/HEAD/notebooks/01_train.ipynb" in text
    )
    shown = "".join(BeautifulSoup(text, "html.parser").article.get_text())
    assert "!git clone -q https://github.com/someone/garden && pip install -q -e garden" in shown
    assert 'import sys; sys.path.append("garden/lib")' in shown


@pytest.mark.parametrize(
    ("remote", "name"),
    [
        (MINE, "someone/garden"),
        ("https://github.com/someone/gar.den", "someone/gar.den"),
        ("https://word:secret@github.com/someone/garden.git", "someone/garden"),
        ("/srv/git/garden.git", None),
        ("https://example.org/someone/garden.git", None),
    ],
)
def test_a_repository_on_github_is_known_by_its_remote(remote, name):
    match = site_source.GITHUB.search(remote)
    assert (match and match["name"]) == name


# --- in a browser ----------------------------------------------------------------------------------------

PAGES = [
    *("index", "verdicts", "gallery", "api", "docs/findings", "docs/speed", "notebooks/glossary"),
    *(
        "notebooks/01_train",
        "studies/one/01_train",
        "studies/two/01_train",
        "studies/one/index",
        "studies/rethinking-quick-vgg/index",
    ),
    *("api/horticulture.runs", "api/horticulture.pruning", "genindex", "search"),
]


@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fetches_nothing_and_is_read_on_a_phone(chromium, site, name, dark):
    with browser.Opened(chromium, width=380, dark=dark) as opened:
        page = opened.go(site / f"{name}.html")
        for whole in ("html", ".content"):  # a part of it may be moved sideways, but not all
            assert page.locator(whole).evaluate("e => e.scrollWidth") == 380
        assert page.evaluate(CONTRAST) == []
        assert "$$" not in page.inner_text("body")
        assert page.locator("img:not([alt]), img[alt='']").count() == 0
    assert (opened.refused, opened.errors) == ([], [])


@needs_browser
@pytest.mark.parametrize("width", [768, 800, 1000, 1010, 1072, 1100, 1200, 1312, 1320, 1440, 1920])
def test_nothing_reaches_beyond_a_window_of_any_width_nor_are_verdicts_cut(chromium, site, width):
    with browser.Opened(chromium, width=width) as opened:
        page = opened.go(site / "studies/one/01_train.html")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page = opened.go(site / "verdicts.html")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        tables = page.locator(".wide:has(.pairs)")
        cut = tables.evaluate_all("all => all.map(e => e.scrollWidth - e.clientWidth)")
        assert len(cut) > 4
        assert set(cut) == {0}


@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("name", "columns"),
    [
        *(("studies/one/01_train", 13), ("studies/one/index", 8), ("notebooks/05_analysis", 9)),
        *(("docs/options", 0), ("api/horticulture.runs", 0)),
    ],
)
def test_nothing_is_cut_or_pale_on_paper(chromium, site, name, columns, dark):
    check_paper(chromium, site / f"{name}.html", dark, columns)


@needs_browser
def test_one_search_finds_words_functions_and_notebooks_from_the_disk(chromium, site):
    with browser.Opened(chromium) as opened:
        page = opened.go(site / "index.html")
        page.get_by_role("textbox", name="Search").fill("saliency")
        page.get_by_role("textbox", name="Search").press("Enter")
        for wanted in ("Glossary", "pruning.saliency", "2 · Prune"):
            expect(page.locator("#search-results li", has_text=wanted).first).to_be_visible()
        page.locator("#search-results").get_by_role("link", name="Glossary").first.click()
        expect(page).to_have_url(re.compile("glossary.html.*#term-saliency"))
    assert (opened.refused, opened.errors) == ([], [])


@needs_browser
@pytest.mark.parametrize("name", ["studies/one/index", "notebooks/02_prune", "index"])
@pytest.mark.parametrize("width", [380, 1000])
def test_a_line_says_that_a_picture_goes_on_beyond_a_phone(chromium, site, name, width):
    with browser.Opened(chromium, width=width) as opened:
        said, cut = hints(opened.go(site / f"{name}.html"))
        assert said == cut
        assert (said > 0) == (width == 380)


@needs_browser
def test_code_and_tables_have_a_shadow_where_they_go_on_beyond_a_phone(chromium, site):
    with browser.Opened(chromium, width=380) as opened:
        page = opened.go(site / "studies/one/01_train.html")
        check_shadows(page, page.locator("pre").first)
        check_shadows(page, page.locator(".cell_output:has(table)").first)
        page = opened.go(site / "docs/findings.html")
        wide = page.locator(".table-wrapper").evaluate_all(
            "all => all.findIndex(e => e.scrollWidth > e.clientWidth)"
        )
        check_shadows(page, page.locator(".table-wrapper").nth(wide))


@needs_browser
def test_what_is_wide_is_moved_sideways_and_the_explorer_moves(chromium, site):
    with browser.Opened(chromium, width=380) as opened:
        page = opened.go(site / "studies/one/01_train.html")
        for wide in (".cell_output:has(table)", ".cell_output p:has(img)", "math[display=block]"):
            inner, outer = page.locator(wide).first.evaluate("e => [e.scrollWidth, e.clientWidth]")
            assert inner > outer
            assert page.locator(wide).first.evaluate("e => getComputedStyle(e).overflowX") == "auto"
        page = opened.go(site / "studies/one/index.html")
        page.get_by_role("slider").press("End")
        expect(page.get_by_role("slider")).to_have_attribute(
            "aria-valuetext", re.compile("^round 192 of 192")
        )


@needs_browser
def test_the_button_that_leads_to_the_top_does_not_lie_over_the_explorer(chromium, site):
    with browser.Opened(chromium, width=380) as opened:
        page = opened.go(site / "studies/one/index.html")
        menu = page.get_by_role("combobox", name="against")
        button = page.locator(".back-to-top")
        menu.scroll_into_view_if_needed()
        page.mouse.wheel(0, 600)
        page.mouse.wheel(0, -60)  # it shows when the page is scrolled upwards
        button.wait_for()
        top = button.bounding_box()["y"]
        page.evaluate("by => scrollBy(0, by)", menu.bounding_box()["y"] - top)
        assert button.is_visible()
        menu.select_option(index=1, timeout=1000)
        box = button.bounding_box()
        on_top = page.evaluate(
            "([x, y]) => document.elementFromPoint(x, y).matches('[data-study]')",
            [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2],
        )
        assert on_top


@needs_browser
@pytest.mark.parametrize("width", [380, 900])
def test_the_explorer_passes_behind_the_header_and_its_buttons(chromium, site, width):
    with browser.Opened(chromium, width=width) as opened:
        page = opened.go(site / "studies/one/index.html")
        header = page.locator(".mobile-header").bounding_box()
        top = page.locator("[data-study]").bounding_box()["y"]
        page.evaluate("by => scrollBy(0, by)", top + header["height"])  # it begins above the window
        seen = page.evaluate(
            "xs => xs.map(x => !!document.elementFromPoint(x, 20).closest('.mobile-header'))",
            [20, width / 2, width - 20],
        )
        assert page.locator("[data-study]").bounding_box()["y"] < 0
        assert seen == [True] * 3


@needs_browser
@pytest.mark.parametrize(("name", "column"), [("verdicts", "worse"), ("studies/one/index", "verdict")])
def test_a_phone_shows_verdicts_and_keeps_the_names_where_they_are(chromium, site, name, column):
    with browser.Opened(chromium, width=380) as opened:
        table = opened.go(site / f"{name}.html").locator(".wide:has(.pairs)").last
        edges = "e => [e.getBoundingClientRect().left, e.getBoundingClientRect().right]"
        verdict, curves = (table.locator(f"th:text-is('{words}')") for words in (column, "curves"))
        assert verdict.evaluate(edges)[1] < 380 - 16
        before = curves.evaluate(edges)
        table.evaluate("e => e.scrollLeft = 100")
        assert curves.evaluate(edges) == before
        assert verdict.evaluate(edges)[1] < 380 - 100


@needs_browser
def test_the_explorer_follows_the_button_that_makes_the_page_dark(chromium, site):
    with browser.Opened(chromium) as opened:
        page = opened.go(site / "studies/one/index.html")
        dark = page.locator("[data-study]").get_attribute("dark")
        assert dark is None
        page.evaluate("document.body.dataset.theme = 'dark'")
        expect(page.locator("[data-study]")).to_have_attribute("dark", "")
        assert page.evaluate(CONTRAST) == []


# --- what is refused, and what is committed --------------------------------------------------------------


@needs_sphinx
def test_what_is_no_site_is_left_alone(tmp_path, capsys):
    (tmp_path / "letters").mkdir()
    letter = tmp_path / "letters" / "dear.txt"
    letter.write_text("Dear")
    for target in (letter.parent, letter, letter / "site"):
        assert cli.main(["publish", "--to", str(target)]) == 2
        assert f"{target} is neither a site of studies nor an empty folder: choose" in capsys.readouterr().err
    assert letter.read_text() == "Dear"
    (letter.parent / "searchindex.js").touch()  # a site of something else
    assert cli.main(["publish", "--to", str(letter.parent)]) == 2
    assert letter.exists()


FENCE = "```{raw} html\n<script>stolen()</script>\n```"


@needs_sphinx
def test_a_study_from_a_stranger_runs_nothing_and_takes_no_file_along(tmp_path):
    secret, ran, folder = tmp_path / "secret.csv", tmp_path / "ran", study(tmp_path / "outputs" / "odd")
    secret.write_text("a password")
    (folder / "linked.csv").symlink_to(secret)
    figure = folder / "figures" / "error_vs_params.png"
    fields = PngInfo()
    fields.add_itxt("Description", f"words\n:::\n\n{FENCE}\n")
    Image.new("RGB", (8, 8)).save(figure, pnginfo=fields)
    asks = {"mystnb": {"execution_mode": "force"}, "myst": {"enable_extensions": ["substitution"]}}
    book = nbformat.v4.new_notebook(metadata={**strip.METADATA, **asks})
    output = nbformat.v4.new_output("display_data", data={"text/markdown": f"```{{include}} {secret}\n```"})
    book.cells = [
        nbformat.v4.new_markdown_cell(
            f"# 1\n\n[a]({secret})\n\n> ```{{include}} {secret}\n> ```\n\n{{{{ 'ab' * 9 }}}}\n\n{FENCE}"
        ),
        nbformat.v4.new_code_cell(f"open({str(ran)!r}, 'w')", outputs=[output], execution_count=1),
    ]
    nbformat.write(book, folder / "notebooks" / "01_train.ipynb")
    assert publish_them(tmp_path / "outputs", tmp_path / "site", "odd").returncode == 0
    assert not ran.exists()
    for path in (tmp_path / "site").rglob("*"):
        if path.is_file():
            assert b"a password" not in path.read_bytes(), path
            assert b"ab" * 9 not in path.read_bytes(), path
            assert b"<script>stolen" not in path.read_bytes() or path.suffix == ".png", path
    book.cells[0].source = f"# 1\n\n[a]\n\n[a]: {os.path.relpath('/', '/1/2/3/4/5/6/7/8/9')}{secret}"
    nbformat.write(book, folder / "notebooks" / "01_train.ipynb")
    said = publish_them(tmp_path / "outputs", tmp_path / "site", "odd")
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == (
        "horticulture: the site cannot be built: studies/odd/01_train.ipynb links to secret.csv, "
        "which is not a file of the site\n"
    )


PNG = b"\x89PNG\r\n\x1a\n"
PICTURE = {"output_type": "display_data", "metadata": {}, "data": {"image/png": 5}}
CELL = {"cell_type": "code", "id": "a", "source": "", "metadata": {}, "execution_count": 1}
NO_PICTURE = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{**CELL, "outputs": [PICTURE]}]}


@needs_sphinx
@pytest.mark.parametrize("content", ["", '{"cells": 3}', json.dumps(NO_PICTURE), "\udcff"])
def test_a_notebook_that_is_none_is_refused_by_its_path(tmp_path, capsys, content):
    folder = study(tmp_path / "outputs" / "odd")
    (folder / "notebooks" / "02_prune.ipynb").write_bytes(content.encode(errors="surrogateescape"))
    os.mkfifo(folder / "notebooks" / "03_retrain_from_scratch.ipynb")  # to read it would take for ever
    os.mkfifo(folder / "figures" / "pipe.png")
    given = ["publish", "odd", "--outputs", str(tmp_path / "outputs"), "--to", str(tmp_path / "site")]
    assert cli.main(given) == 2
    said = capsys.readouterr().err
    assert f"{folder}/notebooks/02_prune.ipynb cannot be read (" in said
    assert len(said.splitlines()) == 1


@needs_sphinx
@pytest.mark.parametrize("odd", ["bomb", "no picture", "text"])
def test_a_figure_that_is_none_is_refused_by_its_path(tmp_path, capsys, odd):
    folder = study(tmp_path / "outputs" / "odd")
    path = folder / "figures" / "error_vs_params.png"
    content = PNG + fuzzed.chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    if odd == "text":  # of a gigabyte, when it is unpacked
        content = PNG + fuzzed.chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
        content += fuzzed.chunk(b"zTXt", b"Description\0\0" + fuzzed.deflated(bytes(2**24)))
    path.write_bytes(b"a letter" if odd == "no picture" else content)
    given = ["publish", "odd", "--outputs", str(tmp_path / "outputs"), "--to", str(tmp_path / "site")]
    assert cli.main(given) == 2
    said = capsys.readouterr().err
    assert f"{path} cannot be read (" in said
    assert len(said.splitlines()) == 1


@needs_sphinx
def test_markup_in_a_table_is_refused(tmp_path, capsys):
    folder = study(tmp_path / "outputs" / "odd")
    verdicts = pd.read_csv(folder / "verdicts.csv")
    verdicts["criterion"] = f"l1\n~~~~\n\n{FENCE}"
    verdicts.to_csv(folder / "verdicts.csv", index=False)
    assert (
        cli.main(["publish", "odd", "--outputs", str(tmp_path / "outputs"), "--to", str(tmp_path / "site")])
        == 2
    )
    assert "verdicts.csv have markup in them, which cannot be published" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_a_study_that_is_not_there_is_named(tmp_path, capsys):
    assert cli.main(["publish", "nowhere", "--outputs", str(tmp_path)]) == 2
    assert "no study 'nowhere'" in capsys.readouterr().err


def test_a_figure_keeps_what_it_shows_in_words_and_writes_through_no_link(tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("dear")
    (tmp_path / "one" / "figures").mkdir(parents=True)
    (tmp_path / "one" / "figures" / "error_vs_params.png").symlink_to(mine)
    study(tmp_path / "one")
    assert mine.read_text() == "dear"
    with Image.open(tmp_path / "one/figures/error_vs_params.png") as picture:
        assert picture.info["Description"].endswith("width: 2 points, from 12.5 at 1 to 9 at 2.")


def test_the_executed_notebooks_that_are_committed_are_all_there_and_of_todays_text():
    committed = sorted(path.name for path in (publish.REFERENCE / "quick/notebooks").iterdir())
    assert committed == [path.name for path in parameters.notebooks()]
    assert executed.outdated() == []


def finished(source: Path, target: Path) -> None:
    """A notebook as if it had been run: every cell counted, and one with a figure and a widget."""
    run = nbformat.read(source, as_version=4)
    run.metadata["papermill"] = {"end_time": "2026-01-01"}
    run.metadata["widgets"] = {"state": "x" * 1000}
    code = [one for one in run.cells if one.cell_type == "code"]
    for number, one in enumerate(code):
        one.execution_count, one.metadata["papermill"] = number, {"duration": 1.0}
    code[0].source = code[0].source.replace('outputs: str = ""', 'outputs: str = "/home/someone"')
    shown = {"image/png": wide_figure(), "text/plain": "<Figure>"}
    code[1].outputs = [
        nbformat.v4.new_output("display_data", data=shown, metadata={"image/png": {"alt": "a"}})
    ]
    code[2].outputs = [nbformat.v4.new_output("display_data", data=dict(WIDGET))]
    nbformat.write(run, target)


def test_an_executed_notebook_is_committed_without_its_bulk_and_an_edit_is_noticed(tmp_path):
    folder = tmp_path / "tiny" / "notebooks"
    folder.mkdir(parents=True)
    finished(strip.NOTEBOOKS / "01_train.ipynb", folder / "01_train.ipynb")
    (tmp_path / "tiny/figures").mkdir()
    for name in executed.TABLES:
        (tmp_path / "tiny" / name).write_text(name)
    (tmp_path / "tiny/architectures.json").write_text("{}")
    (path,) = executed.write(tmp_path / "tiny", tmp_path / "reference")
    assert executed.outdated(tmp_path / "reference") == []
    (tmp_path / "reference/tiny/results.csv").write_text("of another day")
    assert executed.outdated(tmp_path / "reference") == [path]
    (tmp_path / "reference/tiny/results.csv").write_text("results.csv")
    assert executed.outdated(tmp_path / "reference") == []
    assert path.stat().st_size < (folder / path.name).stat().st_size - 10_000
    text = path.read_text()
    for gone in ("papermill", "/home/someone", "IntSlider", "<Figure>", "x" * 1000):
        assert gone not in text
    assert '"alt": "a"' in text
    content = json.loads(text)
    content["cells"][0]["source"] += "!"
    path.write_text(json.dumps(content))
    assert executed.outdated(tmp_path / "reference") == [path]
