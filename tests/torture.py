"""Everything that must not lose work nor let anything in, tried at random for as long as one likes.

    python -m tests.torture                     for an hour
    python -m tests.torture 5 killed cut        these two, for five minutes
    python -m tests.torture 0 cut --seed 17     one trial again

Each is tried at least once, and what has begun when the time is over is ended: five minutes may become twenty
on a busy machine. A trial "survived" when all is as if nothing had happened; it is "refused" when what is bad
was refused in one line, and "lost" when more work was lost than is promised. Any other end is printed, with
the way to repeat it, and makes the exit code 1.
"""

import argparse
import itertools
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple
from unittest import mock

from horticulture.errors import check_choice
from horticulture.execution import interruption
from horticulture.system.progress import Progress
from tests import commands, fuzzed, hostile, killed, power_cut, strangers

OUTCOMES = ("survived", "lost", "refused")


class Trial(NamedTuple):
    """What is tried with a seed; it says how it ended, or raises something if that was not as promised."""

    what: str
    once: Callable[[int], str]
    share: int  # of the time, against others


TRIALS = {
    "value": Trial("a parameter with a hostile value", hostile.trial, 1),
    "file": Trial("a study file from a stranger", hostile.file_trial, 1),
    "image": Trial("a damaged image file", fuzzed.trial, 1),
    "folder": Trial("a study's folder from a stranger", strangers.trial, 2),
    "network": Trial("an exported network from a stranger", strangers.network_trial, 1),
    "cut": Trial("the power is cut", power_cut.trial, 2),
    "bit": Trial("a bit is altered under way", power_cut.bit_trial, 2),
    "full": Trial("the disk is full in a run", power_cut.full_trial, 1),
    "killed": Trial("a run is killed twice", killed.trial, 2),
    "stopped": Trial("a command is stopped or killed", commands.stop_trial, 2),
    "show": Trial("a bit of a finished study is altered", commands.show_trial, 1),
    "disk": Trial("the disk is full in a study", commands.full_disk_trial, 4),
    "four": Trial("four commands at once, one killed", commands.four_trial, 4),
}


def torture(minutes: float, names: list[str], first: int) -> dict[str, Counter]:
    """Go round for so long, what had the least of its share next, and each once; how often each ended how."""
    ends, spent = {name: Counter() for name in names}, dict.fromkeys(names, 0.0)
    began = time.monotonic()
    stopped = suppress(KeyboardInterrupt, SystemExit)  # the latter by SIGTERM in the middle of a run
    with stopped, interruption.on_end_signals(), Progress("torture", minutes * 60) as progress:
        for seed in itertools.count(first):
            name = min(names, key=lambda name: spent[name] / TRIALS[name].share)
            before = time.monotonic() - began
            progress.update(before, f"{TRIALS[name].what} ({seed - first:,} tried, each kind at least once)")
            ends[name][outcome(name, seed)] += 1
            elapsed = time.monotonic() - began
            spent[name] += elapsed - before
            if elapsed >= minutes * 60 and all(ends.values()):
                break
    return ends


def outcome(name: str, seed: int) -> str:
    """How a trial ended; anything but what is promised is printed, with the way to repeat it."""
    try:
        actual = TRIALS[name].once(seed)
    except Exception:
        actual = "failed"
        traceback.print_exc()
    if actual not in ("survived", "refused"):
        print(f"{actual}: python -m tests.torture 0 {name} --seed {seed}", file=sys.stderr, flush=True)
    return actual


def table(ends: dict[str, Counter]) -> str:
    """A line for each: how often it was tried, and how that ended."""
    lines = [("what", "tried", *OUTCOMES, "failed")]
    for name, actual in ends.items():
        counts = (actual.total(), *(actual[number] for number in (*OUTCOMES, "failed")))
        lines.append((f"{name}: {TRIALS[name].what}", *(f"{count:,}" for count in counts)))
    return "\n".join(f"{what:<48}" + "".join(f"{number:>10}" for number in counts) for what, *counts in lines)


def main(arguments: list[str] | None = None) -> int:
    """Go round and print the table; returns 1 if anything was lost or ended otherwise than promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("minutes", nargs="?", type=float, default=60.0)
    parser.add_argument("trials", nargs="*", help=f"of {', '.join(TRIALS)} (default: all)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first (default: the time)")
    options = parser.parse_args(arguments)
    for name in options.trials:
        check_choice(name, TRIALS, "trial")
    with (
        tempfile.TemporaryDirectory() as place,
        mock.patch.object(tempfile, "tempdir", place),
        mock.patch.dict(os.environ, TMPDIR=place, HORTICULTURE_DATA=f"{place}/data"),
    ):
        ends = torture(options.minutes, options.trials or list(TRIALS), options.seed)
    print(table(ends))
    return int(any(actual["lost"] or actual["failed"] for actual in ends.values()))


if __name__ == "__main__":
    sys.exit(main())
