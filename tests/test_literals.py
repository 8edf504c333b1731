"""Only plain literals pass: a study file from a stranger says what is trained, and does nothing else."""

import ast
import math
import os
from typing import Any

import nbformat
import pytest
from hypothesis import given, strategies as some

from horticulture import cli
from horticulture.errors import InputError
from horticulture.study import literals, parameters, study_files

# --- YAML ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("", None), ("~", None), ("null", None), ("nUll", "nUll")),
        *(("true", True), ("False", False), ("yes", "yes"), ("on", "on"), ("n", "n")),
        *(("12", 12), ("-3", -3), ("+3", 3), ("010", 10), ("0o17", 15), ("0x1f", 31), ("1_000", "1_000")),
        *(
            ("1e-1", 0.1),
            ("2E3", 2000.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("-.inf", -math.inf),
            ("1e999", math.inf),
        ),
        *(("1:30", "1:30"), ("2026-11-27", "2026-11-27"), ("0b11", "0b11"), ("=", "=")),
        *(("[a, 'b', \"c\"]", ["a", "b", "c"]), ("{a: [1, {b: 2}]}", {"a": [1, {"b": 2}]})),
        ("{a: 1, <<: {b: 2}}", {"a": 1, "<<": {"b": 2}}),  # 1.2 has no merging
    ],
)
def test_values_are_read_as_yaml_1_2_says(text, value):
    actual = literals.read_yaml(text, "it")
    assert actual == value
    assert type(actual) is type(value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("9" * 5000, "a number of 5000 digits"),
        ("[" * 1000, "more than 20 deep"),
        ("- " * 1000 + "1", "more than 20 deep"),
        ("a: &a [1]\nb: &b [*a, *a]\nc: [*b, *b]", "an alias"),
        ("&a [*a]", "an alias"),
        ("a: 1\na: 2", "'a' twice (line 2)"),
        ("1: 2", "the key 1 is not a string"),
        ("{[a]: 3}", "the key ['a'] is not a string"),
        ("!!binary aGk=", "the tag 'tag:yaml.org,2002:binary'"),
        ("!!set {a}", "the tag 'tag:yaml.org,2002:set'"),
        ("!!timestamp 2026-11-27", "the tag"),
        ("!!python/object/apply:os.system [ls]", "the tag"),
        ("!<tag:yaml.org,2002:python/name:os.system> ''", "the tag"),
        ("a:\n  - !own 3", "the tag '!own': plain values have none (line 2)"),
        ('"\\ud800"', "has a character that text cannot have"),
        ('{"a\\0b": 1}', "has a character that text cannot have"),
        ("--- 1\n--- 2", "another document"),
        ("a: [1,\nb: }", "(line 2)"),
        ("\x01", "special characters are not allowed"),
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_anything_else_is_one_line(text, problem):
    with pytest.raises(InputError) as error:
        literals.read_yaml(text, "it")
    assert problem in str(error.value)
    assert str(error.value).startswith("it")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("about: x".encode("utf-16"), "is not in UTF-8"),
        ("about: Grün".encode("latin-1"), "is not in UTF-8"),
        (b"# " + b"x" * 50_000, "has more than 50,000 bytes"),
        (b"rounds: 3", "has no `parameters`"),
        (b"parameters: {}\nabout: [a, b]", "about must be a string, not ['a', 'b']"),
        (b'about: "\\0"', "own.yaml has a character that text cannot have: '\\x00'"),
        (b"parameters: {}\nabuot: x", "did you mean 'about'"),
        (b"parameters: {}\nseconds: {01_train: soon}", "seconds must give a number above 0"),
        (b"parameters: {}\nseconds: 3", "seconds must give a number above 0"),
        (b"parameters: {}\nparts: { ../../x: {} }", "name 'own-../../x'"),
        (b"parameters: {}\nparts: { '': {}, 'a b': {} }", "name 'own-a b'"),
        (b"parameters: {}\nparts: {" + b"x" * 300 + b": {}}", "name 'own-xxx"),
    ],
    ids=lambda content: ascii(content[:25]),
)
def test_another_file_is_one_line_that_names_it(tmp_path, capsys, content, problem):
    (tmp_path / "own.yaml").write_bytes(content)
    assert cli.main(["run", str(tmp_path / "own.yaml"), "--outputs", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.count(f"study file {tmp_path / 'own.yaml'}") == 1
    assert problem in line
    assert not (tmp_path / "out").exists()


def test_a_byte_order_mark_does_no_harm(tmp_path):
    (tmp_path / "own.yaml").write_bytes(b"\xef\xbb\xbfparameters: { epochs: 3 }")
    assert study_files.read(str(tmp_path / "own.yaml")).parameters == {"epochs": 3}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        *((name, "is taken") for name in ("runs", "reference")),
        *((name, "like a folder") for name in ("a b", "-x")),
    ],
)
def test_a_file_of_a_name_that_no_folder_may_have_is_refused(tmp_path, name, why):
    (tmp_path / f"{name}.yaml").write_text("parameters: {}")
    with pytest.raises(InputError, match=why):
        study_files.read(str(tmp_path / f"{name}.yaml"))


# --- breaking out ----------------------------------------------------------------------------------------

HOSTILE = (
    "__import__('os').system('touch broken-out')",
    "\"); __import__('os').system('touch broken-out'); (\"",
    '"""\n!touch broken-out\n"""',
    "{__import__('os').system('touch broken-out')}",
    "{{ cookiecutter }}",
    "\\",
    "'",
    "\\'; raise SystemExit  # \u2028 raise SystemExit",
    "\r\x0c\x1b]0;title\x07\x85",
    "%run evil.py",
)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
@pytest.mark.parametrize("kind", ["str", "list", "dict"])
def test_no_text_breaks_out_of_the_cell_that_it_is_written_into(text, kind):
    """It comes back out of the source as it went in, and nothing else has come to stand there."""
    value = {"str": text, "list": [text, 1], "dict": {text: [text]}}[kind]
    before = {"str": "''", "list": "[]", "dict": "{}"}[kind]
    source = parameters.fill_in(f"a: {kind} = {before}  # why\nb: int = 1\n", {"a": value, "b": 2})
    first, second = ast.parse(source).body
    assert ast.literal_eval(first.value) == value
    assert ast.literal_eval(second.value) == 2
    assert source.endswith("  # why\nb: int = 2\n")


plain = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False)
    | some.text(some.characters(codec="utf-8", exclude_characters="\0")),
    lambda inside: some.lists(inside) | some.dictionaries(some.text("ab'\"\\{\n"), inside),
    max_leaves=8,
)  # fmt: skip


@given(plain)
def test_a_plain_value_is_the_same_when_its_source_is_read(value):
    assert ast.literal_eval(literals.to_python(value, "it")) == value


class Text(str):
    """One that says something else when it is written down."""

    def __repr__(self) -> str:
        return "print('broken out')"


@pytest.mark.parametrize(
    "value",
    [
        *(b"hi", {1, 2}, (1, 2), range(3), print, math.nan, math.inf, [math.inf], 1j, {1: 2}, {("a",): 2}),
        *(Text("x"), [Text("x")], {Text("x"): 1}, {"a": {"b": [b"x"]}}, [10**400]),
    ],
    ids=ascii,
)
def test_what_is_no_plain_literal_is_never_written(value):
    with pytest.raises(InputError, match=r"^it (must be (a )?plain|has a (number|character) that)"):
        literals.to_python(value, "it")
    with pytest.raises(InputError, match=r"^parameter a (must be|has a number that)"):
        parameters.fill_in("a: dict = {}\n", {"a": value})


def test_what_contains_itself_is_refused():
    endless: list = []
    endless.append(endless)
    with pytest.raises(InputError, match="nested more than 20 deep"):
        literals.check(endless, "it")


def test_a_pipe_or_a_folder_is_no_study_file(tmp_path, capsys):
    """To open a pipe would wait for ever for whoever writes into it."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("pipe", "folder"):
        assert cli.main(["run", str(tmp_path / f"{name}.yaml"), "--outputs", str(tmp_path / "out")]) == 2
        assert capsys.readouterr().err.endswith(f"{name}.yaml is not a regular file\n")


STRANGER = """
about: "\\"\\"\\"'''{x}"
parameters: { epochs: 1, data: "folder:'); import os; os.system('touch broken-out') #" }
"""


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("study: ../../x", "study is not a study parameter (study own): use --name NAME"),
        ("outputs: /etc", "outputs is not a study parameter (study own): use --outputs PATH"),
        ("cluster: 'tcp://evil:1'", "cluster is not for study files (study own): use --cluster ADDRESS"),
        ("__builtins__: {}", "unknown parameter (study own) '__builtins__'"),
        ("'epochs = 1; import os; x': 1", "unknown parameter (study own)"),
    ],
)
def test_a_file_says_neither_where_it_writes_nor_whom_it_trusts(tmp_path, capsys, more, problem):
    (tmp_path / "own.yaml").write_text(f"parameters:\n  {more}\n")
    assert cli.main(["run", str(tmp_path / "own.yaml"), "--outputs", str(tmp_path / "out")]) == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_strangers_file_is_read_to_plain_literals(tmp_path):
    (tmp_path / "own.yaml").write_text(STRANGER)
    study = study_files.read(str(tmp_path / "own.yaml"))
    settled = parameters.resolve_parameters(study, {})
    assert settled["data"] == "folder:'); import os; os.system('touch broken-out') #"
    written_as_literals(settled)


def written_as_literals(settled: dict[str, Any]) -> None:
    """The values of a study come back out of the notebooks' source, and nothing else stands there."""
    for notebook in parameters.notebooks():
        cells = nbformat.read(notebook, 4).cells
        (cell,) = (cell for cell in cells if "parameters" in cell.metadata.get("tags", []))
        for line in ast.parse(parameters.fill_in(cell.source, settled)).body:
            assert ast.literal_eval(line.value) == settled[line.target.id]


def test_a_number_too_long_to_be_written_is_refused_in_one_line():
    with pytest.raises(InputError, match="too large: a large int"):
        literals.check([10**5000], "it")
