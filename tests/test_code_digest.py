"""A digest of what somebody wrote: another when anything that it does changes, else the same."""

import functools
import importlib
import linecache
import math
import sys
import threading
from dataclasses import dataclass
from itertools import count
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from horticulture.errors import InputError
from horticulture.runs import code_digest

CELLS = count()


def cell(source: str, **names) -> dict:
    """What the names mean after a notebook's cell: a file name of its own, and its lines are kept."""
    file = f"<cell {next(CELLS)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names |= {"__name__": "__main__"}
    exec(compile(source, file, "exec"), names)
    return names


def of(source: str, **names) -> str:
    return code_digest.of(cell(source, **names)["mine"])


SCORE = """
SCALE = 3

def helper(x):
    return SCALE * x

def mine(x, power=2):
    def inside(y):
        return helper(y)
    return inside(x) ** power
"""


def test_the_same_once_more_is_the_same():
    assert of(SCORE) == of(SCORE) == of("import math\n\n" + SCORE + "\nother = 4\n")


def test_the_digest_is_frozen():
    """If this fails, every run by a criterion, schedule or penalty of one's own is made again."""
    assert of(SCORE) == "de8f6f0d7787"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("inside(x) ** power", "inside(x) ** -power"),  # the body
        ("return helper(y)", "return helper(-y)"),  # of a function inside
        ("SCALE * x", "SCALE + x"),  # a helper
        ("SCALE = 3", "SCALE = 4"),  # a constant, of the helper's
        ("SCALE = 3", "SCALE = 3.0"),
        ("power=2", "power=3"),  # a default
    ],
)
def test_whatever_changes_what_it_does_changes_the_digest(old, new):
    assert SCORE.replace(old, new) != SCORE
    assert of(SCORE.replace(old, new)) != of(SCORE)


def test_a_default_counts_by_its_value():
    source = "def mine(x, *, power=POWER):\n    return x ** power\n"
    assert of(source, POWER=2) == of(source, POWER=2) != of(source, POWER=3)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (2, 3),
        ((1, [2]), (1, [3])),
        ({"a": 1}, {"a": 2}),
        ({1, 2}, {1, 3}),
        (np.arange(3), np.arange(4)),
        (lambda x: x, lambda x: -x),
        (functools.partial(math.pow, 2), functools.partial(math.pow, 3)),
        (math.sin, math.cos),
    ],
    ids=repr,
)
def test_what_it_closes_over_or_names_counts(one, other):
    closing = "def make(value):\n    return lambda x: (x, value)\nmine = make(VALUE)\n"
    naming = "def mine(x):\n    return (x, VALUE)\n"
    for source in (closing, naming):
        assert of(source, VALUE=one) == of(source, VALUE=one) != of(source, VALUE=other)


class Weighted:
    """A callable with a state."""

    def __init__(self, *weights):
        self.weights = list(weights)

    def __call__(self, x):
        return self.weights[0] * x


def linear(weight):
    made = nn.Linear(2, 2)
    nn.init.constant_(made.weight, weight)
    nn.init.zeros_(made.bias)
    return made


@pytest.mark.parametrize(
    "make",
    [
        Weighted,
        lambda n: functools.partial(Weighted(n), 1),
        lambda n: Weighted(n).__call__,
        lambda n: np.full(3, n).mean,
        lambda n: SimpleNamespace(scale=SimpleNamespace(by=n)),
        lambda n: linear(float(n)),
        lambda n: nn.Sequential(nn.ReLU(), linear(float(n))),
        lambda n: torch.full((2, 1), n, dtype=torch.bfloat16),
        lambda n: nn.Parameter(torch.tensor(float(n))),
        lambda n: torch.full((n,), 1),
        lambda n: np.array([n, "x"], dtype=object),
        lambda n: torch.float32 if n == 1 else torch.float64,
        lambda n: np.random.default_rng(n),
    ],
)
def test_the_state_of_an_object_counts(make):
    source = "def mine(x):\n    return VALUE(x)\n"
    assert of(source, VALUE=make(1)) == of(source, VALUE=make(1)) != of(source, VALUE=make(2))


def test_an_object_that_refers_to_itself_is_digested():
    first, other = SimpleNamespace(n=1), SimpleNamespace(n=2)
    first.itself = other.itself = first
    assert code_digest.of(first) == code_digest.of(first) != code_digest.of(other)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (threading.Lock(), "an object of _thread.lock does not reveal its state"),
        (SimpleNamespace(inside=iter([]), lock=threading.Lock()), "an object of _thread.lock"),
        (torch.eye(2).to_sparse(), "a tensor in the layout torch.sparse_coo"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(value, said):
    source = "def mine(x):\n    return helper(x)\n\ndef helper(x):\n    return (x, THING)\n"
    with pytest.raises(InputError, match=rf"THING cannot be read \({said}[^\n]*inside the function, or use"):
        of(source, THING=value)


HELPERS = {  # files, and what is written in a cell
    "import helpers\ndef mine(x):\n    return helpers.score(x)\n": "deeper",
    "import helpers as other\ndef mine(x):\n    return (lambda: other.deeper.inside(x))()\n": "deeper",
    "from helpers import score\ndef mine(x):\n    return score(x)\n": "deeper",
    "from helpers import Score as mine\n": "helpers",
    "from helpers import Score\nclass mine(Score):\n    pass\n": "helpers",
    "from helpers import cached as mine\n": "helpers",
}


@pytest.mark.parametrize("source", HELPERS)
def test_files_of_ones_own_that_it_imports_count(source, tmp_path, monkeypatch):
    """Also what they import, and what an imported function calls; files that it does not reach do not."""
    monkeypatch.syspath_prepend(tmp_path)
    written = {
        "helpers": "import functools\nimport deeper\n\ndef score(x):\n    return within(x)\n\n"
        "def within(x):\n    return deeper.inside(x)\n\nclass Base:\n    def __call__(self, x):\n"
        "        return 2 * x\n\nclass Score(Base):\n    pass\n\n@functools.cache\ndef cached(x):\n"
        "    return 2 * x\n",
        "deeper": "def inside(x):\n    return 2 * x\n",
        "unused": "2 * 2\n",
    }

    def after(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return of(source)

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    try:
        first = after(**written)
        assert after(**written) == first == after(**{**written, "unused": "3 * 3\n"})
        changed = HELPERS[source]
        assert after(**{**written, changed: written[changed].replace("2 * x", "3 * x")}) != first
    finally:
        for name in written:
            sys.modules.pop(name, None)


def test_lambdas_differ_where_they_do_on_one_line_too():
    made = cell(
        "a, b, c = lambda x: x + 1, lambda x: x + 2, lambda x: (lambda y: x + y)\n"
        "d = lambda x: x + 1\n"
        "e = (lambda x: x\n    .real\n    .imag)\n"
        "f = (lambda x: x\n    .real\n    .real)\n"
        "mine = None\n"
    )
    digests = {name: code_digest.of(made[name]) for name in "abcdef"}
    assert digests["a"] == digests["d"]
    assert len(set(digests.values())) == 5
    assert code_digest.of(made["c"](0)) not in digests.values()


def test_without_a_source_the_bytecode_counts():
    def made(source):
        names = {"__name__": "typed"}
        exec(source, names)
        return code_digest.of(names["mine"])

    assert made("def mine(x): return x + 1") == made("def mine(x): return x + 1")
    bodies = ("x + 1", "x + 2", "x - 1", "[y + 1 for y in x]", "[y + 2 for y in x]", "abs(x)", "max(x)")
    assert len({made(f"def mine(x): return {body}") for body in bodies}) == len(bodies)


def test_functions_may_call_each_other_and_themselves():
    source = "def mine(x):\n    return other(x - 1)\n\ndef other(x):\n    return mine(x) if x else 0\n"
    assert of(source) == of(source) != of(source.replace("else 0", "else 1"))


def test_a_decorated_function_is_both():
    source = (
        "import functools\n"
        "def twice(f):\n    @functools.wraps(f)\n    def g(x):\n        return 2 * f(x)\n    return g\n"
        "@twice\ndef mine(x):\n    return x + 1\n"
    )
    assert of(source) == of(source)
    assert of(source) != of(source.replace("2 * f", "3 * f"))
    assert of(source) != of(source.replace("x + 1", "x + 2"))


def test_a_class_counts_by_its_methods_and_values():
    source = (
        "class Scale:\n    by = 2\n    def __call__(self, x):\n        return self.by * self.times(x)\n"
        "    @staticmethod\n    def times(x):\n        return 5 * x\n"
        "def mine(x):\n    return Scale()(x)\n"
    )
    assert of(source) == of(source)
    for old, new in (("by = 2", "by = 3"), ("self.by *", "self.by +"), ("5 *", "6 *")):
        assert of(source) != of(source.replace(old, new))
    several = source.replace("by = 2", "by = {'one': [2, (3, 4)]}")
    assert of(several) == of(several) != of(several.replace("3", "5"))
    cached = source.replace(
        "@staticmethod\n    def times(x)", "@functools.cached_property\n    def times(self)"
    )
    cached = f"import functools\n{cached}"
    assert of(cached) == of(cached) != of(cached.replace("5 *", "6 *"))
    assert of(source.replace("def mine(x):\n    return Scale()(x)", "mine = Scale()")) != of(source)


@dataclass(frozen=True)
class Made:
    about: str
    score: object = None
    scope: str = "global"


class Pair(NamedTuple):
    first: object
    second: object


def test_all_fields_of_a_dataclass_or_a_tuple_count():
    digests = [
        code_digest.of(value)
        for value in (
            Made("one", lambda x: x),
            Made("two", lambda x: x),
            Made("one", lambda x: -x),
            Made("one", lambda x: x, "layer"),
            Pair(math.sin, 1),
            Pair(math.cos, 1),
            Pair(math.sin, 2),
        )
    ]
    assert len(set(digests)) == len(digests)
    assert code_digest.of(Made("one", lambda x: x)) == digests[0]


def test_only_what_is_not_ours_has_a_digest():
    originals = {"ours": abs}
    table = {**originals, "mine": lambda x: x}
    assert code_digest.of_own("ours", table, originals) == {}
    assert code_digest.of_own("mine", table, originals) == {"code": code_digest.of(table["mine"])}
    table["ours"] = lambda x: x  # overwritten: ours no longer
    assert code_digest.of_own("ours", table, originals) == {"code": code_digest.of(table["ours"])}
