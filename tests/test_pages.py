"""A page beside an executed notebook: what is in it. How it looks in a browser: `test_browser`."""

import base64
import re

import nbformat
import pytest
from bs4 import BeautifulSoup

from horticulture.study import pages

PIXEL = base64.b64encode(b"\x89PNG\r\n").decode()


def notebook(path, *cells):
    actual = [cell if not isinstance(cell, str) else nbformat.v4.new_markdown_cell(cell) for cell in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=actual), path)
    return path


def executed(source, data, about=None):
    output = nbformat.v4.new_output("display_data", data=data, metadata=about or {})
    return nbformat.v4.new_code_cell(source, outputs=[output], execution_count=1)


@pytest.fixture
def page(tmp_path):
    """The page of a notebook of these cells."""
    return lambda *cells: pages.write(notebook(tmp_path / "02_prune.ipynb", *cells)).read_text()


def test_equations_are_mathml_and_no_tex_is_left(page):
    text = page(r"Where $t = 4.30$ and $$\Delta_k \approx \frac{1}{2N} \sum_n a_{n}^2$$ it ends.")
    assert text.count("<math") == 2
    assert 'display="block"' in text
    assert "<mfrac><mrow><mn>1</mn></mrow><mrow><mn>2</mn><mi>N</mi></mrow></mfrac>" in text
    assert "$" not in text
    assert "Delta_k" not in text


def test_what_is_no_equation_between_dollar_signs_is_shown_as_it_is(page):
    assert "c$^$.py:score" in page(executed("1", {"text/markdown": "c$^$.py:score", "text/plain": "<>"}))


def test_equations_in_an_output_are_mathml_too(page):
    assert "<math" in page(executed("1", {"text/markdown": "a mean of $x$", "text/plain": "<Markdown>"}))


def test_links_lead_to_pages_and_those_to_other_files_are_text(page):
    text = page(
        "[next](03_scale.ipynb), [answers](solutions.md#2-prune), [paper](https://arxiv.org/abs/1810.04622), "
        "[here](#2-prune), [table](../outputs/x.csv)\n\n## 2 · `Prune`!"
    )
    assert re.findall('href="(.*?)"', text) == [
        *("03_scale.html", "solutions.html#2-prune", "https://arxiv.org/abs/1810.04622", "#2-prune")
    ]
    assert "table" in text
    assert '<h2 id="2--prune">' in text


def test_a_picture_has_the_words_that_came_with_it(page):
    text = page(executed("plot()", {"image/png": PIXEL}, {"image/png": {"alt": 'a curve, "low" & <high>'}}))
    assert BeautifulSoup(text, "html.parser").img["alt"] == 'a curve, "low" & <high>'


def test_a_widget_that_needs_a_kernel_is_not_in_it_but_what_it_shows_besides(page):
    view = {pages.WIDGET: {"model_id": "1"}, "text/plain": "IntSlider(value=0)"}
    text = page(executed("slider", view), executed("more", {**view, "text/html": "<p>a still picture</p>"}))
    assert "IntSlider" not in text
    assert "widget" not in text
    assert "<p>a still picture</p>" in text


def test_the_path_of_the_outputs_is_not_in_it(page):
    settings = nbformat.v4.new_code_cell(
        'study: str = "quick"\noutputs: str = "/home/someone/outputs"  # where',
        metadata={"tags": ["parameters"]},
    )
    text = BeautifulSoup(page(settings), "html.parser").get_text()
    assert 'study: str = "quick"\noutputs: str = ""  # where' in text


def test_it_is_titled_as_the_notebook_is_and_fetches_nothing(page):
    text = page("# 2 · Prune", executed("1 < 2", {"text/plain": "True"}))
    assert "<title>2 · Prune</title>" in text
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"<(script|link|iframe)|src=|url\(|@import", text)
    assert len(text) < 30_000
    assert "In&nbsp;[" not in text


def test_a_text_has_a_page_too(tmp_path):
    source = tmp_path / "glossary.md"
    source.write_text("# Glossary\n\n| word | meaning |\n|---|---|\n| **run** | *one* |\n")
    made = pages.write(source)
    assert "<td><strong>run</strong></td>" in made.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["glossary.html", "glossary.md"]


def test_code_that_only_writes_sentences_is_folded_and_the_sentences_are_not(page):
    sentence = {"text/markdown": "Half of them", "text/plain": "<Markdown>"}
    folded, plain = executed("Markdown(share)", sentence), executed("share = 0.5", {"text/plain": "0.5"})
    folded.metadata = {"tags": ["hide-input"]}
    found = BeautifulSoup(page(folded, plain), "html.parser")
    (fold,) = found.find_all("details")
    assert fold.summary.get_text() == pages.FOLD
    assert "Markdown(share)" in fold.get_text()
    assert "Half of them" not in fold.get_text()
    assert [code.get_text().strip() for code in found.select(".input pre")] == [
        "Markdown(share)",
        "share = 0.5",
    ]
    assert "Half of them" in found.get_text()
