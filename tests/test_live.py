"""The picture of runs in progress: what is drawn, what is said, and that the rows of workers arrive."""

import math
import os
import re
import signal
from dataclasses import replace
from xml.etree import ElementTree

import nbformat
import pandas as pd
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from horticulture import architecture, execution, runs, training
from horticulture.analysis import live
from horticulture.analysis.live import BOTTOM, LEFT, RIGHT, TOP, RunTrace
from horticulture.execution import board, parallel
from horticulture.execution.board import Board
from horticulture.pruning import PruningRecipe
from horticulture.system.progress import MIME, Progress
from horticulture.training import TrainingRecipe
from tests import browser

CLUTTER_IMAGES = (96, 32, 32)
SHAPE = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
TRAIN = execution.training_run(
    SHAPE, TrainingRecipe(3, 0.1, "one-cycle", batch_size=32), {"name": "clutter", "images": 96}, seed=0
)
PRUNE = execution.pruning_run(TRAIN, PruningRecipe(rounds=4, steps=2, batch_size=32, evaluate_every=2))
ROWS = [
    {"epoch": 1, "loss": 2.0, "val_error": math.nan},
    {"epoch": 2, "loss": 1.0, "val_error": 50.0},
    {"epoch": 4, "loss": 0.5, "val_error": math.nan},
]


def panels(picture: str) -> list[ElementTree.Element]:
    """The panels of a picture, each an SVG; the names of its runs have small ones of their own."""
    actual = re.findall(r"<svg.*?</svg>", picture)
    return [ElementTree.fromstring(svg) for svg in actual if 'role="img"' in svg]


def lines(panel: ElementTree.Element) -> list[list[tuple[float, float]]]:
    """The points of its curves, in pixels; the axes come first among its paths."""
    paths = [path.attrib["d"] for path in panel.iter("path")][1:]
    return [[tuple(map(float, point.split())) for point in path[1:].split("L")] for path in paths]


def test_errors_that_hardly_differ_are_not_drawn_far_apart():
    rows = [{"epoch": epoch, "loss": 1.0, "val_error": error} for epoch, error in ((1, 6.9), (2, 6.7))]
    _, error = panels(live.picture([RunTrace("seed 0", "", rows)], 2))
    ((_, first), (_, last)) = lines(error)[0]
    assert last - first == pytest.approx((BOTTOM - TOP) * 0.2 / 2, abs=0.11)
    assert {"7.8", "5.8"} <= {text.text for text in error.iter("text")}


def test_a_curve_goes_through_its_points():
    loss, error = panels(live.picture([RunTrace("seed 0", "epoch 5/5", ROWS)], 5))
    wide, high = RIGHT - LEFT, BOTTOM - TOP
    assert lines(loss) == [
        [
            (LEFT + wide / 5, TOP),
            (LEFT + 2 * wide / 5, round(BOTTOM - high / 3, 1)),
            (LEFT + 4 * wide / 5, BOTTOM),
        ]
    ]
    assert [text.text for text in loss.iter("text")] == ["loss", "0", "epoch 5", "2", "0.5"]
    assert lines(error) == [[(LEFT + 2 * wide / 5, (TOP + BOTTOM) // 2)]]  # there is one value: in the middle
    assert loss.attrib["aria-label"] == "loss: seed 0 from 2 at epoch 1 to 0.5 at epoch 4"
    assert error.attrib["aria-label"] == "validation error (%): seed 0 50 at epoch 2"


def test_a_pruning_run_has_its_parameters_and_says_what_is_not_known_yet():
    rows = [{"round": 0, "loss": 0.1, "val_error": math.nan, "params": 1_250_000}]
    *_, error, params = panels(live.picture([RunTrace("l1 & me", "round 1/4", rows)], 4))
    assert error.attrib["aria-label"] == "validation error (%): not measured yet"
    assert params.attrib["aria-label"] == "parameters: l1 & me 1.25 M at round 0"


def test_until_the_first_validation_the_picture_says_when_it_comes():
    rows = [{"epoch": 1, "epochs": 200, "loss": 2.0, "val_error": math.nan}]
    kept = [live.live_columns(row) for row in rows]
    _, error = panels(live.picture([RunTrace("seed 0", "epoch 1/200", kept)], 200))
    assert "first measured after epoch 66" in [text.text for text in error.iter("text")]
    assert error.attrib["aria-label"] == "validation error (%): first measured after epoch 66"


@pytest.mark.parametrize(
    ("epochs", "when"), [(1, [1]), (2, [2, 1]), (7, [7, 4, 1]), (9, [9, 6, 3]), (200, [200, 133, 66])]
)
def test_a_training_run_is_validated_three_times_at_most_and_at_its_end(epochs, when):
    assert list(training.validation_epochs(epochs)) == when


def test_before_anything_is_measured_there_are_words_alone():
    assert live.picture([], 5) == ""
    picture = live.picture([RunTrace("<seed>", "epoch 1/5", [])], 5)
    assert panels(picture) == []
    assert "&lt;seed&gt;: epoch 1/5" in picture


def test_of_many_runs_the_last_six_have_a_style_of_their_own_and_keep_it():
    traces = [RunTrace(f"seed {n}", "", [{"epoch": 1, "loss": float(n)}]) for n in range(30)]
    (panel,) = panels(live.picture(traces, 5))
    strokes = [(path.get("stroke"), path.get("stroke-dasharray")) for path in panel.iter("path")][1:]
    assert len(strokes) == live.MAX_CURVES
    assert len(set(strokes[-6:])) == 6
    assert set(strokes[:-6]) == {("currentColor", None)}
    (panel,) = panels(live.picture([*traces, RunTrace("seed 30", "", [])], 5))
    later = [(path.get("stroke"), path.get("stroke-dasharray")) for path in panel.iter("path")][1:]
    assert later[-5:] == strokes[-5:]
    assert "24 started earlier" in live.picture(traces, 5)


def test_a_long_curve_is_thinned_and_keeps_its_end():
    rows = [{"round": n, "loss": float(n)} for n in range(1301)]
    (panel,) = panels(live.picture([RunTrace("seed 0", "", rows)], 1300))
    assert live.MAX_POINTS <= len(lines(panel)[0]) <= 2 * live.MAX_POINTS
    assert lines(panel)[0][-1] == (RIGHT, TOP)


def test_runs_are_called_by_what_they_differ_in():
    longer = replace(TRAIN, seed=1, recipe={**TRAIN.recipe, "epochs": 6})
    assert list(board.names([TRAIN]).values()) == ["seed 0"]
    assert list(board.names([TRAIN, longer]).values()) == ["3 epochs, seed 0", "6 epochs, seed 1"]
    by_l1 = replace(PRUNE, recipe={**PRUNE.recipe, "criterion": "l1"})
    assert list(board.names([PRUNE, by_l1]).values()) == ["fisher, seed 0", "l1, seed 0"]


def test_a_run_has_its_colour_before_it_begins_and_whoever_begins_first():
    second = replace(TRAIN, seed=1)
    progress = Progress("training", 2)
    both = Board(progress, [TRAIN, second])
    assert progress.picture() == ""
    both.update((second.key, 0.2, "epoch 1/3", [{"epoch": 1, "loss": 2.0}]))
    (panel,) = panels(progress.picture())
    assert [path.get("stroke") for path in panel.iter("path")][1:] == [live.STYLES[1][0]]
    assert "seed 0: waiting" in progress.picture()
    both.finish(TRAIN)  # another process had made it
    assert "seed 0: finished" in progress.picture()


def test_a_run_keeps_its_colour_when_the_one_before_it_has_been_finished():
    first, second = TRAIN, replace(TRAIN, seed=1)
    progress = Progress("training", 1)
    later = Board(progress, [second], among=[first, second])
    later.update((second.key, 0.4, "epoch 2/3", [{"epoch": 1, "loss": 2.0}]))
    (panel,) = panels(progress.picture())
    assert [path.get("stroke") for path in panel.iter("path")][1:] == [live.STYLES[1][0]]
    assert "seed 0: finished already" in progress.picture()


@pytest.fixture
def boards(monkeypatch):
    """The boards that were shown, again for each time."""
    shown: list[Board] = []
    show = Board.show
    monkeypatch.setattr(Board, "show", lambda self: (shown.append(self), show(self)))
    return shown


def test_what_is_stopped_is_not_said_to_be_running():
    second = replace(TRAIN, seed=1)
    progress = Progress("training", 2)
    both = Board(progress, [TRAIN, second])
    both.finish(TRAIN)
    both.update((second.key, 0.2, "epoch 1/3", []))
    both.stop()
    assert (progress.note, progress.details) == ("1/2 finished, 1 stopped", "stopped at epoch 1/3")
    assert "seed 1: stopped at epoch 1/3" in progress.picture()


def test_a_run_without_a_worker_waits_until_another_one_goes_on_with_it():
    second = replace(TRAIN, seed=1)
    progress = Progress("training", 2)
    both = Board(progress, [TRAIN, second])
    both.wait(TRAIN.key)  # it had only been given to that worker
    both.update((TRAIN.key, 0.2, "epoch 1/3", []))
    both.update((second.key, 0.4, "epoch 2/3", []))
    both.wait(TRAIN.key)
    assert progress.note == "0/2 finished, 1 running, 1 waiting for another worker"
    assert progress.details == "its worker is gone; epoch 2/3"
    assert progress.done == pytest.approx(0.6)
    both.update((TRAIN.key, 0.3, "epoch 1/3", []))
    assert progress.note == "0/2 finished, 2 running"
    both.wait(TRAIN.key)
    both.finish(TRAIN)  # by another command
    assert (progress.note, progress.details) == ("1/2 finished, 1 running", "epoch 2/3")
    assert "seed 0: finished" in progress.picture()
    both.skip(second)
    assert (progress.share, progress.note) == (1.0, "1/2 finished, 1 skipped")


@pytest.mark.usefixtures("little_clutter")
def test_a_study_that_goes_on_shows_all_its_runs_and_says_when_it_is_stopped(tmp_path, boards, monkeypatch):
    second = replace(TRAIN, seed=1)
    parallel.execute_all([TRAIN], tmp_path, device="cpu")

    def interrupted(run, outputs, device, report, **_):
        report(0.2, "epoch 1/3", [])
        raise KeyboardInterrupt

    monkeypatch.setattr(execution, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        parallel.execute_all([TRAIN, second], tmp_path, device="cpu")
    picture = boards[-1].picture()
    assert "seed 0: finished already" in picture
    assert "seed 1: stopped at epoch 1/3" in picture


# --- the rows that are drawn ------------------------------------------------------------------------------


@pytest.mark.usefixtures("little_clutter")
def test_every_row_of_every_run_arrives_from_its_worker_process(tmp_path, boards):
    second = replace(TRAIN, seed=1)
    parallel.execute_all([TRAIN, second], tmp_path, workers=2, device="cpu")
    parallel.execute_all([PRUNE, replace(PRUNE, seed=1, start=second)], tmp_path, workers=2, device="cpu")
    training, pruning = boards[0], boards[-1]
    epochs = pd.read_csv(runs.folder(TRAIN, tmp_path) / "epochs.csv")
    loss, error = panels(training.picture())
    (said,) = re.findall(r"seed 0 from (\S+) at epoch 1 to (\S+) at epoch 3", loss.attrib["aria-label"])
    assert said == tuple(f"{epochs['loss'].iloc[place]:.3g}" for place in (0, -1))
    assert [len(line) for line in lines(loss)] == [3, 3]
    assert [len(line) for line in lines(error)] == [epochs["val_error"].notna().sum()] * 2
    loss, error, params = panels(pruning.picture())
    assert [len(line) for line in lines(params)] == [5, 5]  # round 0 and four more
    assert [len(line) for line in lines(error)] == [3, 3]
    assert f"{SHAPE.params:,} at round 0 to" in params.attrib["aria-label"]


@pytest.mark.parametrize(("run", "at"), [(TRAIN, 6), (PRUNE, 6)], ids=["training", "pruning"])
@pytest.mark.usefixtures("little_clutter")
def test_what_an_earlier_process_measured_is_drawn_again(tmp_path, run, at):
    if run.start:
        execution.execute(run.start, tmp_path, "cpu")
    told: list[tuple[float, list]] = []

    def stop(share, note, rows):
        told.append((share, rows))
        if len(told) == at:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        execution.execute(run, tmp_path, "cpu", stop)
    before = [row for _, rows in told for row in rows]
    later = Board(Progress("going on", 1), [run])
    first: list[str] = []

    def go_on(share, note, rows):
        later.update((run.key, share, note, rows))
        first.append(later.picture())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execution.execute(run, tmp_path, "cpu", go_on)
    assert before
    assert len(lines(panels(first[0])[0])[0]) == len(before)
    assert f"{100 * told[-1][0]:.1f} % kept from before" in first[0]


# --- who sees it ------------------------------------------------------------------------------------------

CELL = """
from horticulture import architecture, execution
from horticulture.execution.board import Board
from horticulture.system.progress import Progress
from horticulture.training import TrainingRecipe

shape = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
run = execution.training_run(shape, TrainingRecipe(3), {"name": "clutter", "digest": "0"}, 0)
with Progress("training", 1) as progress:
    board = Board(progress, [run])
    board.update((run.key, 0.5, "epoch 2/3", [{"epoch": 1, "loss": 2.0}]))
"""


def test_a_person_who_runs_a_cell_sees_one_picture_that_changes():
    manager, client = start_new_kernel()
    shown: list[dict] = []
    try:
        client.execute_interactive(CELL, allow_stdin=True, timeout=120, output_hook=shown.append)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    shown = [message for message in shown if MIME in message["content"].get("data", {})]
    first, *others = (message["msg_type"] for message in shown)
    assert first == "display_data"
    assert set(others) == {"update_display_data"}
    last = shown[-1]["content"]["data"]
    assert len(panels(last["text/html"])) == 1
    assert "epoch 2/3" in last["text/plain"]


def test_a_notebook_that_is_executed_headlessly_has_one_line_and_no_picture():
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(book, timeout=120).execute()
    (output,) = book.cells[0].outputs
    assert "<svg" not in output.data["text/html"]
    assert "epoch 2/3" in output.data["text/html"]


@pytest.mark.skipif(bool(browser.missing()), reason=browser.missing())
def test_on_a_phone_the_panels_stand_one_below_the_other(tmp_path):
    rows = [{"round": n, "loss": 1.0 / (n + 1), "val_error": float(n), "params": 10**6 - n} for n in range(9)]
    traces = [RunTrace(f"criterion {n}, seed {n}", "round 8/9, 1,234,567 parameters", rows) for n in range(6)]
    page = tmp_path / "page.html"
    page.write_text(f"<!DOCTYPE html><meta charset=utf-8>{live.picture(traces, 9)}")
    with browser.chromium() as chromium, browser.Opened(chromium, width=380) as opened:
        shown = opened.go(page)
        assert shown.evaluate("document.documentElement.scrollWidth") <= 380
        places = [panel.bounding_box() for panel in shown.get_by_role("img").all()]
    assert [place["width"] for place in places] == [live.WIDTH] * 3
    assert places[0]["x"] == places[1]["x"]
