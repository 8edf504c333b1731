"""Progress reads well everywhere and never floods a log."""

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from horticulture.system import progress
from horticulture.system.progress import Progress


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (62, "1:02"), (59.6, "1:00"), (11265, "3:07:45"), (-3, "0:00")]
)
def test_clock(seconds, text):
    assert progress.clock(seconds) == text


def test_time_left_follows_from_the_share_done(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = Progress("pruning", total=200)
    now[0] += 60
    bar.update(50, "round 50/200")
    assert bar.line() == "pruning   25%  1:00, 3:00 left  round 50/200"
    assert bar.line(finished=True) == "pruning   25%  1:00 elapsed  round 50/200"
    bar.update(199.9)  # not all yet
    assert bar.line() == "pruning   99%  1:00, 0:01 left"
    bar.update(200)
    assert bar.line().startswith("pruning   99%")


def test_what_was_there_when_it_was_taken_up_says_nothing_of_the_time_left(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = Progress("pruning", total=200)
    bar.update(150, "going on", resumed=150)
    assert bar.line() == "pruning   75%  0:00 elapsed  going on"
    now[0] += 60
    bar.update(160, "round 160/200", resumed=150)
    assert bar.line() == "pruning   80%  1:00, 4:00 left  round 160/200"


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_a_row_fits_the_terminal(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    short, long = (
        progress.row(0.5, "pruning   50%"),
        progress.row(0.5, "pruning   50%  " + "note " * 40, "02_prune"),
    )
    assert len(long) == width - 1
    assert long.endswith("…")
    assert "pruning   50%" in short
    assert len(short) < width
    assert ("█" in short) == (width > 20)


def test_a_log_gets_a_line_every_half_minute_and_not_thousands(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Progress("training", total=1000) as bar:
        for done in range(1000):
            now[0] += 0.1  # a hundred seconds in all
            bar.update(done + 1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5  # at 0, 30, 60 and 90 seconds, and at the end
    assert "100%" in lines[-1]


def test_showing_it_takes_at_most_an_eightieth_of_the_time_however_slow_it_is(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    class Slow(io.StringIO):
        def flush(self):
            now[0] += 2.0  # of every line

    monkeypatch.setattr(sys, "stderr", Slow())
    bar, spent = Progress("training", total=1000), 0.0
    for done in range(1000):
        before = now[0]
        bar.update(done + 1)
        spent += now[0] - before
        now[0] += 1.0
    assert 2.0 < spent <= 2.0 + now[0] / 80  # the first comes at once


@pytest.mark.parametrize(("share", "full"), [(-1, 0), (0, 0), (0.5, 10), (0.99, 19), (1, 20), (7, 20)])
def test_bar_stays_within_its_width(share, full):
    assert progress.bar(share) == "█" * full + "░" * (20 - full)


TWO_RUNS = """
import time
from horticulture.system.progress import Progress
from horticulture.study.terminal import Terminal
note = "epoch 3/7, validation error 12.3 %; round 17/192, 88,210 parameters left; 0/2 finished"
progress = Progress("training pruned shapes", 2)
with progress:
    for share in (0.0, 0.7, 2.0):
        progress.update(share, note)
        time.sleep(0.25)  # so that it is shown
terminal = Terminal({"03_retrain_from_scratch": 60.0, "04_scale": 60.0})
terminal.begin("03_retrain_from_scratch")
for share in (0.0, 0.35, 1.0):
    time.sleep(0.25)
    terminal.update(f"training pruned shapes  {share:4.0%}  0:21, 0:19 left  {note}", share, 0.0)
terminal.end(finished=True)
"""


def test_in_a_real_terminal_of_80_columns_no_line_wraps_with_two_runs_under_way():
    """One that wraps cannot be written over, and leaves debris."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    with subprocess.Popen([sys.executable, "-c", TWO_RUNS], stderr=theirs, env=environment):
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # at its end
            while part := os.read(ours, 4096):
                shown += part
    os.close(ours)
    rows = re.split("[\r\n]+", shown.decode().replace("\x1b[K", ""))
    assert max(map(len, rows)) == 79  # the last column stays free, for the cursor
    live = [row for row in rows if "training pruned shapes" in row]
    assert sum(row.endswith("…") for row in live) >= 4  # too long, and cut
    assert "took 0:0" in rows[-2]
