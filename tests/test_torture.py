"""The short form of what `python -m tests.torture` tries for as long as one likes, and how it reports."""

import os
import signal
from collections import Counter
from contextlib import nullcontext

import pytest

from horticulture.execution import interruption
from tests import hostile, killed, torture


@pytest.mark.parametrize("once", [hostile.trial, hostile.file_trial])
def test_whatever_a_study_is_asked_for_is_refused_in_one_line_or_plain(once):
    actual = Counter(map(once, range(40)))
    assert set(actual) == {"survived", "refused"}


def test_what_ends_otherwise_than_promised_is_printed_with_the_way_to_repeat_it(monkeypatch, capsys):
    def once(seed: int) -> str:
        return ["survived", "survived", "refused", "lost"][seed]

    monkeypatch.setitem(torture.TRIALS, "odd", torture.Trial("something odd", once, 1))
    ends = {"odd": Counter(torture.outcome("odd", seed) for seed in range(5))}
    assert ends["odd"] == {"survived": 2, "refused": 1, "lost": 1, "failed": 1}
    said = capsys.readouterr().err
    assert "lost: python -m tests.torture 0 odd --seed 3\n" in said
    assert "IndexError" in said
    assert "failed: python -m tests.torture 0 odd --seed 4\n" in said
    assert torture.table(ends).splitlines()[1].split() == ["odd:", "something", "odd", *"52111"]


def test_the_exit_code_says_whether_all_ended_as_promised(monkeypatch):
    for outcome, code in (("survived", 0), ("refused", 0), ("lost", 1)):
        trial = torture.Trial("something odd", lambda seed, outcome=outcome: outcome, 1)
        monkeypatch.setattr(torture, "TRIALS", {"odd": trial})
        assert torture.main(["0"]) == code


def test_each_is_tried_even_if_the_first_took_all_the_time(monkeypatch):
    tried = []
    trials = {
        name: torture.Trial(name, lambda _, name=name: tried.append(name) or "survived", 1) for name in "abc"
    }
    monkeypatch.setattr(torture, "TRIALS", trials)
    ends = torture.torture(0, list("abc"), 0)
    assert (tried, [actual.total() for actual in ends.values()]) == (list("abc"), [1, 1, 1])


@pytest.mark.parametrize("under_way", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_when_it_is_stopped_there_is_a_table_of_what_was_tried(monkeypatch, capsys, number, under_way):
    def once(seed: int) -> str:
        if seed == 2:
            with interruption.deferred() if under_way else nullcontext():
                os.kill(os.getpid(), number)
        return "survived"

    monkeypatch.setattr(torture, "TRIALS", {"odd": torture.Trial("something odd", once, 1)})
    assert torture.main(["60", "--seed", "0"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[1].split() == ["odd:", "something", "odd", *"22000"]
    assert "each kind at least once" in said.err


def test_what_was_set_aside_is_no_result(tmp_path):
    for name in ("abc", "abc.damaged-1"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").write_text('{"metrics": {"seconds": 1, "params": 2}}')
    (tmp_path / "runs" / "abc.damaged-1" / "run.json").write_text("{")
    assert killed.results(tmp_path) == {"abc/run.json": {"params": 2}}


def test_a_run_can_be_killed_as_often_as_one_likes(monkeypatch, capsys):
    monkeypatch.setattr(killed, "trial", lambda seed: "survived")
    assert killed.main(["2", "--seed", "17"]) == 0
    assert capsys.readouterr().out == "seed 17: survived\nseed 18: survived\n"
