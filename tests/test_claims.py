"""The numbers in the prose are those of the committed results."""

import json
import math
import re

import numpy as np
import pytest

from tests import claims

NOTEBOOKS = sorted((claims.ROOT / "notebooks").glob("*.ipynb"))
# a formula, another notebook, a year, a size
NAMED = re.compile(
    r"\$\$.*?\$\$|\$.*?\$|\[\d · \w|\b0[1-5]\b|20\d\d|8 x 8|1024|to 0 \(all\)"
    r"|3 x 3|from \d+ to \d+\schannels|\d · \d+ · \d+ = [\d,]+"
    r"|of 1, 2 and 3 points. Their mean is 2",  # by hand
    re.DOTALL,
)


@pytest.mark.parametrize("page", claims.PAGES, ids=lambda page: page.name)
def test_every_number_of_a_page_is_what_the_results_say(page):
    assert claims.wrong(page.read_text()) == []
    assert claims.unmarked(page.read_text()) == []


@pytest.mark.parametrize("words", claims.SENTENCES)
def test_every_sentence_that_is_checked_stands_in_a_page(words, monkeypatch):
    assert [words in " ".join(page.read_text().split()) for page in claims.PAGES].count(True) == 1
    monkeypatch.setitem(claims.SENTENCES, words, lambda: False)
    assert claims.wrong(words) == [f"not so: {words!r}"]


def test_numbers_are_found_in_the_pages():
    actual = [name for page in claims.PAGES for name, _ in claims.MARKED.findall(page.read_text())]
    assert len(actual) > 50


def test_a_wrong_number_and_an_unknown_name_are_noticed():
    text = claims.README.read_text()
    name, said = claims.MARKED.findall(text)[0]
    altered = text.replace(f"<!--{name}-->{said}<!---->", f"<!--{name}-->99.9<!---->", 1)
    assert claims.wrong(altered)[0].startswith(f"{name}: '99.9' is written")
    assert claims.wrong("<!--nobody-->1<!---->") == ["nobody: nothing computes it"]
    assert claims.written(altered) == text


def test_no_other_number_stands_in_the_prose():
    (actual,) = claims.unmarked("In `quick`, `2` of <!--x-->40 %<!----> and the 16 minutes")
    assert "16 minutes" in actual
    assert len(claims.unmarked("Better by 40 % and 20 % faster")) == 2
    history = re.sub(r"\d\.\d\.\d|\d{4}-\d\d-\d\d", "", (claims.ROOT / "CHANGELOG.md").read_text())
    assert claims.unmarked(history) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_says_in_numbers_it_computes(path):
    """Its prose has years, sections and sizes of images; results come out of cells."""
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "markdown"]
    for text in ("".join(cell["source"]) for cell in cells):
        assert claims.unmarked(NAMED.sub("", text)) == []


def test_what_other_images_would_change_was_measured_on_the_networks_of_the_replication():
    """The rates of wrong answers, image by image, have the differences of the test errors that it records."""
    for row in claims.measured("image_sampling").itertuples():
        sizes = claims.SIZES if row.size == "mean" else [int(row.size)]
        errors = [
            [claims.mean("test_error", curve, size / 100, study=claims.AGAIN) for size in sizes]
            for curve in (row.curve, row.against)
        ]
        new, kept = map(np.mean, errors)
        assert row.difference == pytest.approx(new - kept, abs=0.01)
        assert 0 < row.standard_error < 100 / np.sqrt(row.digits)


def words(seconds: float, rounded) -> str:
    """A time as prose gives it, in whole minutes."""
    numbers = ["one", "two", "three", "four", "five", "six"]
    numbers += ["seven", "eight", "nine", "ten", "eleven", "twelve"]
    return numbers[max(1, rounded(seconds / 60)) - 1]


def test_minutes_in_words_are_those_that_were_measured():
    times = claims.measured("minutes")
    quick = times[times["study"] == "quick"]
    for path in NOTEBOOKS[:4]:
        took = quick.loc[quick["notebook"] == path.stem, "seconds"]
        fastest, slowest = words(took.min(), math.floor), words(took.max(), math.ceil)
        assert f"this takes {fastest} to {slowest} minutes" in path.read_text()
    took = quick.groupby("machine")["seconds"].sum()
    fastest, slowest = words(took.min(), math.floor), words(took.max(), math.ceil)
    assert f"in {fastest} to {slowest} minutes" in claims.parameters("quick")["about"]
    for study in ("vit-quick", "transfer-quick"):
        (took,) = times[times["study"] == study].groupby("machine")["seconds"].sum()
        assert f"{words(took, math.ceil)} minutes on two fast" in claims.parameters(study)["about"]
