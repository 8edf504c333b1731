"""The five notebooks, executed: as a study by the command, and one alone by the ordinary tool."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from horticulture import runs
from horticulture.study import parameters, runner

BIN = Path(sys.executable).parent
SMOKE = parameters.read("smoke")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """One smoke study, run as a person runs it, from a directory that is not the checkout."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    outputs = elsewhere / "out {puts}"  # papermill would fill in what is in braces
    done = command("run", "smoke", "--outputs", str(outputs), cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert "Fisher-pruned, tuned each round" in done.stdout
    assert str(outputs / "smoke" / "figures" / "error_vs_params.png") in done.stdout
    assert [line.split()[0] for line in done.stderr.splitlines() if " took " in line] == [
        path.stem for path in parameters.notebooks()
    ]
    return outputs


def command(*arguments, cwd):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HORTICULTURE")}
    return subprocess.run(
        [BIN / "horticulture", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )


def test_every_notebook_ran_to_its_last_cell(outputs):
    for path in parameters.notebooks():
        assert runner.finished(outputs / "smoke" / "notebooks" / path.name), path.name
        assert (outputs / "smoke" / "notebooks" / f"{path.stem}.html").stat().st_size > 10_000


def test_results_have_every_network_and_every_curve(outputs):
    results = pd.read_csv(outputs / "smoke" / "results.csv").fillna({"criterion": ""})
    assert set(runs.RESULT_COLUMNS) <= set(results.columns)
    sizes, rounds = len(SMOKE.parameters["sizes"]), SMOKE.parameters["rounds"]
    assert results.groupby("curve").size().to_dict() == {
        "whole": 1,
        "pruned-tuned": rounds + 1,
        **dict.fromkeys(("pruned-scratch", "width", "bottleneck", "copycat"), sizes),
    }
    measured = results[(results["curve"] != "pruned-tuned") | (results["round"] % 4 == 0)]
    assert measured["test_error"].between(0, 100).all()  # of the other rounds only those that were retrained
    assert results.loc[results["curve"] != "pruned-tuned", ["latency_1", "latency_16"]].gt(0).all(axis=None)
    assert results[["ratio", "bytes"]].isna().all(axis=None)  # channels went one by one, nothing was packed
    place = ["curve", "criterion", "seed", "params", "round", "run"]
    found, kept = (
        frame[runs.RESULT_COLUMNS].astype(runs.TYPES).sort_values(place, ignore_index=True)
        for frame in (runs.collect(outputs / "smoke"), results)
    )
    pd.testing.assert_frame_equal(found, kept, check_dtype=False, check_column_type=False)


def test_removals_are_one_a_round_and_cost_what_a_channel_costs(outputs):
    removals = pd.read_csv(outputs / "smoke" / "removals.csv")
    assert removals["round"].tolist() == list(range(SMOKE.parameters["rounds"] + 1))
    cost = {0: 9 * (16 + 16) + 2, 1: 9 * (16 + 32) + 2, 2: 9 * (32 + 64) + 2}
    assert (-removals["params"].diff()[1:]).tolist() == [cost[group] for group in removals["group"][1:]]


def test_train_macs_of_a_copycat_hold_the_search_for_its_shape(outputs):
    results = runs.collect(outputs / "smoke").set_index("curve")
    images = 256  # one epoch
    copycat, width = results.loc["copycat"].iloc[0], results.loc["width"].iloc[0]
    assert width["train_macs"] == width["macs"] * images
    assert copycat["train_macs"] > copycat["macs"] * images + results.loc["whole", "train_macs"]


def test_figures_are_pictures(outputs):
    there = {path.stem for path in (outputs / "smoke" / "figures").glob("*.png")}
    assert there == {"error_vs_params", "error_vs_cost", "error_vs_training"}  # what these results call for
    for name in there:
        assert (outputs / "smoke" / "figures" / f"{name}.png").stat().st_size > 20_000
        assert "<svg" in (outputs / "smoke" / "figures" / f"{name}.svg").read_text()[:500]


def test_a_finished_study_trains_nothing_again(outputs):
    before = {path: path.stat().st_mtime_ns for path in outputs.glob("runs/*/run.json")}
    done = command("run", "smoke", "--outputs", str(outputs), "--from", "04", cwd=outputs.parent)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in outputs.glob("runs/*/run.json")} == before


def test_ordinary_papermill_runs_one_notebook_with_another_criterion(outputs, tmp_path):
    book = tmp_path / "out.ipynb"
    arguments = {**SMOKE.parameters, "criterion": "l1", "study": "mine", "outputs": str(outputs)}
    settings = tmp_path / "settings.yaml"
    settings.write_text(json.dumps({name: arguments[name] for name in arguments if name in mine()}))
    source = next(path for path in parameters.notebooks() if path.stem == "02_prune")
    done = subprocess.run(
        [BIN / "papermill", source, book, "-f", settings, "-p", "criterion", "l1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert runner.finished(book)
    found = runs.collect(outputs / "mine")
    assert found.groupby("curve")["criterion"].unique().map(list).to_dict() == {
        "whole": [""],
        "pruned-tuned": ["l1"],
    }
    injected = [
        cell
        for cell in nbformat.read(book, 4).cells
        if "injected-parameters" in cell.metadata.get("tags", [])
    ]
    assert 'criterion = "l1"' in injected[0].source


def mine():
    return parameters.notebook_parameters(
        next(path for path in parameters.notebooks() if path.stem == "02_prune")
    )
