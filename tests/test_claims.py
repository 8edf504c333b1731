"""The numbers in the prose are those of the committed results."""

from tests import claims


def test_every_number_of_the_readme_is_what_the_results_say():
    text = claims.README.read_text()
    assert len(claims.MARKED.findall(text)) > 10
    assert claims.wrong(text) == []


def test_a_wrong_number_and_an_unknown_name_are_noticed():
    text = claims.README.read_text()
    name, said = claims.MARKED.findall(text)[0]
    altered = text.replace(f"<!--{name}-->{said}<!---->", f"<!--{name}-->99.9<!---->", 1)
    assert claims.wrong(altered)[0].startswith(f"{name}: '99.9' is written")
    assert claims.wrong("<!--nobody-->1<!---->") == ["nobody: nothing computes it"]
    assert claims.written(altered) == text
