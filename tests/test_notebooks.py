"""The five notebooks, executed: as a study by the command, and one alone by the ordinary tool."""

import ast
import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

from horticulture import runs
from horticulture.analysis import tables
from horticulture.architecture import families
from horticulture.study import parameters, runner, study_files
from horticulture.system.progress import MIME
from tests import commands

BIN = Path(sys.executable).parent
SMOKE = study_files.read("smoke")
WORKERS = ("-p", "workers=2")
MODELS = """
from torch import nn


class Net(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.one, self.two = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.drop, self.head = nn.Dropout(0.1), nn.Linear(8, classes)

    def forward(self, x):
        x = self.norm(self.stem(x)).relu()
        x = x + self.two(self.one(x).relu())
        return self.head(self.drop(x).mean(dim=(2, 3)))


def make(image, classes):
    return Net(image[0], classes)
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """One smoke study, run as a person runs it, from a directory that is not the checkout."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    outputs = elsewhere / "out {puts}"  # papermill would fill in what is in braces
    with commands.watching(elsewhere / "watched.txt") as more:
        done = command("run", "smoke", *WORKERS, "--outputs", str(outputs), cwd=elsewhere, **more)
    assert done.returncode == 0, done.stderr
    assert "Fisher-pruned, tuned each round" in done.stdout
    assert str(outputs / "smoke" / "figures" / "error_vs_params.png") in done.stdout
    assert [line.split()[0] for line in done.stderr.splitlines() if " took " in line] == [
        path.stem for path in parameters.notebooks()
    ]
    return outputs


def command(*arguments, cwd, **more):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HORTICULTURE")}
    environment |= more
    return subprocess.run(
        [BIN / "horticulture", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )


def test_every_notebook_ran_to_its_last_cell(outputs):
    for path in parameters.notebooks():
        assert runner.is_finished(outputs / "smoke" / "notebooks" / path.name), path.name
        page = BeautifulSoup(
            (outputs / "smoke" / "notebooks" / f"{path.stem}.html").read_text(), "html.parser"
        )
        words = [picture.get("alt", "") for picture in page.find_all("img")]
        assert words
        assert not [word for word in words if len(word) < 20 or "No description" in word]
        for link in page.find_all("a"):
            if not re.match(r"https?:|#", link["href"]):
                assert (outputs / "smoke" / "notebooks" / link["href"].partition("#")[0]).exists()


def test_no_process_of_a_study_reaches_another_machine_or_unpickles_a_file(outputs):
    watched = outputs.parent / "watched.txt"
    said = commands.notes(watched)
    assert {"start", "socket.bind", "pickle.find_class"} <= {event for event, _ in said}
    started = [command for event, command in said if event == "start"]
    assert sum("ipykernel_launcher" in one for one in started) == len(parameters.notebooks())
    assert sum("spawn_main" in one for one in started) >= 2 * len(parameters.notebooks())
    commands.check_watched(watched)


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
    assert measured["test_error"].between(0, 75).all()  # chance is 90 %; of other rounds those retrained
    timed = tables.worth_timing(results)
    assert results[["latency_1", "latency_16"]].notna().eq(timed, axis=0).all(axis=None)
    assert results.groupby("architecture")["latency_1"].nunique().max() == 1  # a shape has one
    assert results["latency_16"].median() > 2 * results["latency_1"].median()  # sixteen times the work
    assert results[["ratio", "bytes"]].isna().all(axis=None)  # channels went one by one, nothing was packed
    place = ["curve", "criterion", "seed", "params", "round", "run"]
    actual, kept = (
        frame[runs.RESULT_COLUMNS].astype(runs.TYPES).sort_values(place, ignore_index=True)
        for frame in (runs.collect(outputs / "smoke"), results)
    )
    pd.testing.assert_frame_equal(actual, kept, check_dtype=False, check_column_type=False)


def test_removals_are_one_a_round_and_cost_what_a_channel_costs(outputs):
    removals = pd.read_csv(outputs / "smoke" / "removals.csv")
    assert removals["round"].tolist() == list(range(SMOKE.parameters["rounds"] + 1))
    cost = {0: 9 * (16 + 16) + 2, 1: 9 * (16 + 32) + 2, 2: 9 * (32 + 64) + 2}
    assert (-removals["params"].diff()[1:]).tolist() == [cost[group] for group in removals["group"][1:]]


def test_train_macs_of_a_copycat_hold_the_search_for_its_shape(outputs):
    results = runs.collect(outputs / "smoke").set_index("curve")
    images = 4 * 512  # four epochs
    copycat, width = results.loc["copycat"].iloc[0], results.loc["width"].iloc[0]
    assert width["train_macs"] == width["macs"] * images
    assert copycat["train_macs"] > copycat["macs"] * images + results.loc["whole", "train_macs"]


def test_figures_are_pictures(outputs):
    names = {path.stem for path in (outputs / "smoke" / "figures").glob("*.png")}
    assert names == {"error_vs_params", "error_vs_cost", "error_vs_training"}  # what these results call for
    for name in names:
        assert (outputs / "smoke" / "figures" / f"{name}.png").stat().st_size > 20_000
        assert "<svg" in (outputs / "smoke" / "figures" / f"{name}.svg").read_text()[:500]


def test_a_finished_study_trains_nothing_again(outputs):
    before = {path: path.stat().st_mtime_ns for path in outputs.glob("runs/*/run.json")}
    done = command("run", "smoke", "--outputs", str(outputs), "--from", "04", cwd=outputs.parent)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in outputs.glob("runs/*/run.json")} == before


@pytest.mark.parametrize("path", parameters.notebooks(), ids=lambda path: path.stem)
def test_every_notebook_runs_alone_by_ordinary_papermill(outputs, tmp_path, path):
    """In a new study, with parameters of other steps injected too; what it starts from is made."""
    book, study = tmp_path / "out.ipynb", f"alone-{path.stem}"
    values = {**SMOKE.parameters, "study": study, "outputs": str(outputs)}
    if path.stem == "02_prune":
        values["criterion"] = "l1"
    settings = tmp_path / "settings.yaml"
    settings.write_text(json.dumps(values))
    done = subprocess.run(
        [BIN / "papermill", path, book, "-f", settings],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert runner.is_finished(book)
    actual = runs.collect(outputs / study)
    expected = {
        "01_train": {"whole"},
        "02_prune": {"whole", "pruned-tuned"},
        "03_retrain_from_scratch": {"whole", "pruned-tuned", "pruned-scratch"},
        "04_scale": {"whole", "pruned-tuned", "width", "bottleneck", "copycat"},
        "05_analysis": {"whole", "pruned-tuned"},
    }
    assert set(actual["curve"]) == expected[path.stem]
    criterion = "l1" if path.stem == "02_prune" else "fisher"
    assert set(actual.loc[actual["curve"] == "pruned-tuned", "criterion"]) <= {criterion}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("epochs", "three"), "InputError: parameter epochs must be of type int, such as 7, not 'three'"),
        (("epoch", "3"), "InputError: unknown parameter 'epoch'"),
    ],
)
def test_bad_input_by_ordinary_papermill_is_one_line_in_the_page(tmp_path, given, said):
    book = tmp_path / "out.ipynb"
    done = subprocess.run(
        [BIN / "papermill", parameters.notebooks()[0], book, "-p", "outputs", str(tmp_path), "-p", *given],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode != 0
    assert said in done.stderr
    (error,) = [o for cell in nbformat.read(book, 4).cells for o in cell.get("outputs", []) if "ename" in o]
    assert len(error["traceback"]) == 1
    assert error["traceback"][0].startswith(said)
    assert [path.name for path in tmp_path.iterdir()] == ["out.ipynb"]


def test_a_finished_notebook_is_not_waited_for(outputs):
    """With workers, a kernel that is asked to end does not: ten seconds went by after every last cell."""
    for path in (outputs / "smoke" / "notebooks").glob("*.ipynb"):
        content = nbformat.read(path, as_version=4)
        notebook, cell = (of.metadata["papermill"]["end_time"] for of in (content, content.cells[-1]))
        assert (datetime.fromisoformat(notebook) - datetime.fromisoformat(cell)).total_seconds() < 6


def test_the_executed_page_shows_each_parameter_once(outputs):
    for path in parameters.notebooks():
        cells = nbformat.read(outputs / "smoke" / "notebooks" / path.name, 4).cells
        assert not [cell for cell in cells if "injected-parameters" in cell.metadata.get("tags", [])]
        (tagged,) = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
        actual = parameters.notebook_parameters(outputs / "smoke" / "notebooks" / path.name)
        wanted = {**SMOKE.parameters, "study": "smoke", "outputs": str(outputs)}
        del wanted["workers"]  # of which the command was given more
        assert {name: about["default"] for name, about in actual.items() if name in wanted} == {
            name: value for name, value in wanted.items() if name in actual
        }
        lines = [line for line in tagged.source.splitlines() if not line.startswith("#")]
        assert len(lines) == len(actual)


def test_the_library_does_what_the_readme_says(outputs):
    (code,) = re.findall(
        r"```python\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(), re.DOTALL
    )
    code = code.replace('"outputs/quick"', repr(str(outputs / "smoke"))).replace("round=100", "round=5")
    there: dict = {"outputs": outputs}
    exec(code.replace("runs.outputs_folder()", "outputs"), there)
    assert there["smaller"].params == pytest.approx(500_000, rel=0.01)
    assert len(there["results"])
    assert there["restored"].architecture.params < there["pruning_run"].architecture.params


# --- as a person runs them: a Jupyter server, and its kernels over the network ----------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A Jupyter server on loopback, with a token; its address."""
    token, place = secrets.token_hex(8), tmp_path_factory.mktemp("server")
    arguments = ["--no-browser", "--port=0", "--allow-root", f"--IdentityProvider.token={token}"]
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(place), "JUPYTER_CONFIG_DIR": str(place)}
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "jupyter_server",
            *arguments,
            f"--ServerApp.root_dir={parameters.notebooks()[0].parent}",
        ],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        address = next(
            re.findall(r"http://127\.0\.0\.1:\d+/", line)[0]
            for line in process.stderr
            if "127.0.0.1:" in line
        )
        threading.Thread(target=process.stderr.read, daemon=True).start()  # or the pipe fills up
        yield address, token
        process.terminate()


async def executed(address, token, sources, interrupted=(), running=0):
    """Execute cells one after another in a new kernel, as JupyterLab does; every message of every cell.

    interrupted: the numbers of the cells that are interrupted as soon as they have made something, and so
    many runs have begun.
    """
    headers, client = {"Authorization": f"token {token}"}, AsyncHTTPClient()
    answer = await client.fetch(f"{address}api/kernels", method="POST", body="{}", headers=headers)
    kernel = json.loads(answer.body)["id"]
    url = f"{address.replace('http', 'ws')}api/kernels/{kernel}/channels"
    socket = await websocket_connect(HTTPRequest(url, headers=headers))
    said = []
    for n, source in enumerate(sources):
        header = {
            "msg_id": f"cell-{n}",
            "msg_type": "execute_request",
            "session": "s",
            "username": "u",
            "version": "5.3",
        }
        content = {"code": source, "silent": False, "store_history": True, "stop_on_error": True}
        content["allow_stdin"] = True  # a person is there
        waiting = n in interrupted
        await socket.write_message(
            json.dumps(
                {
                    "header": header,
                    "parent_header": {},
                    "metadata": {},
                    "content": content,
                    "channel": "shell",
                }
            )
        )
        status, busy = "", True  # the reply may overtake what the cell says, which ends with "idle"
        while busy or not status:
            message = json.loads(await socket.read_message())
            if message["parent_header"].get("msg_id") != f"cell-{n}":
                continue
            said.append(message)
            progress = message["content"].get("data", {}).get(MIME, {})
            begun = f", {running} running" in progress.get("line", "") or not running
            if waiting and begun and progress.get("share", 0) > progress.get("resumed", 0):
                waiting = False
                path = f"{address}api/kernels/{kernel}/interrupt"
                await client.fetch(path, method="POST", body="{}", headers=headers)
            if message["msg_type"] == "execute_reply":
                status = message["content"]["status"]
            busy = busy and message["content"].get("execution_state") != "idle"
        if status != "ok" and n not in interrupted:
            break
    socket.close()
    while await socket.read_message() is not None:  # until it is closed
        pass
    await client.fetch(f"{address}api/kernels/{kernel}", method="DELETE", headers=headers)
    return said


# What holds of a notebook's variables once it has run: numbers worked by hand, and what follows from them.
HOLDS = {
    "01_train": """
assert abs(loss.item() - math.log(2)) < 1e-3 and toy.weight[0].item() == 0.5
assert counts["train"].sum() == len(dataset.train) == images
assert 0.95 * whole.params < sum(layers["parameters"]) < whole.params  # norms are not drawn
assert abs(losses[0] - guess) < 0.5 and guess == math.log(10) and mean_last == sum(losses[-10:]) / 10
assert mean_errors.index[-1] == epochs and mean_errors.iloc[-1] < mean_errors.iloc[0] < 90
assert yardstick["test_error"].tolist() == [result["metrics"]["test_error"] for result in training_results]
""",
    "02_prune": """
assert fisher(activation, gradient).tolist() == [0.5, 4.5]
assert [channel[:2] for channel in by_library] == [channel[:2] for channel in by_hand] and len(by_hand) == 3
assert removals["round"].tolist() == list(range(rounds + 1)) and removals["params"].is_monotonic_decreasing
assert set(correlations["criterion"]) == set(oracle_criteria)
assert correlations["correlation"].between(-1, 1).all()
assert by_criterion["by chance"].between(0.4, 0.8).all()  # four channels: 1 / sqrt(3) if all are compared
assert silenced.architecture.widths[0] == smaller.architecture.widths[0] + 1
assert silenced.architecture.params - smaller.architecture.params == 2 * 9 * 16 + 2
measured_rounds = removals.dropna(subset=["val_error"]).set_index("round")
for round_, error in by_statistics["estimated"].items():
    assert abs(error - measured_rounds.loc[round_, "val_error"]) < 0.2  # what the run itself wrote down
lost = (1 - np.array(list(kept.values())[-1])) * whole.widths
assert round(lost.sum()) == rounds == len(removed_channels)
""",
    "03_retrain_from_scratch": """
assert scratch_b(10, 100, 50, 0) == 20 and scratch_b(10, 100, 25, 2) == 20
assert abs(he_deviation(2, 9) - 1 / 3) < 1e-12 and largest_deviation < 0.5
of_whole = pd.Series(full.widths, full.groups)[deviations.index]
expected = deviations["by the rule"] * (deviations["channels"] / of_whole) ** 0.5
assert (deviations["slice of the whole"] / expected - 1).abs().max() < 0.3
assert [pruned.architecture.widths for pruned in pruned_networks] == [
    point.run.architecture.widths for point in points if point.curve == "pruned-scratch"
]
of_scratch = spent[spent["budget"] == "pruned-scratch"]
assert (of_scratch["epochs"] == config.epochs).all() and of_scratch["compute"].between(0.9, 1).all()
assert set(shown["curve"]) == {"whole", "pruned-tuned", "pruned-scratch"}
""",
    "04_scale": """
assert 0.2 < half.params / wide.params < 0.3 and found.params <= wish < wide.params
assert set(members) == set(curves) and len(points) == len(curves) * len(config.sizes)
assert all(abs(100 * shape.params / whole.params / middle_size - 1) < 0.05 for shape in members.values())
assert members["width"].trunk[-1] < whole.trunk[-1] and members["bottleneck"].trunk == whole.trunk
assert all(abs(point.run.architecture.params / whole.params - 0.9) < 0.12 for point in points)
""",
    "05_analysis": """
import os
assert interval([1, 2, 3])[0] == 2 and interval([1, 2, 3])[1] < 0
assert results.loc[timed, "latency_16"].median() > 2 * results.loc[timed, "latency_1"].median()
assert results.loc[~timed, ["latency_1", "latency_16"]].isna().all(axis=None)
assert tables.label("whole") + " 1.0;" in tables.describe_spending(measured)
most = measured.groupby("curve")["train_macs"].max()
assert most["pruned-tuned"] > most["whole"]
assert verdicts.empty and tables.conclude(verdicts).startswith("**Not tested here.**")
assert {"verdicts.csv", "removals.csv", "results.csv"} <= set(os.listdir(session.folder))
""",
}


def executed_cells(outputs, stem, study="smoke"):
    """The code cells of an executed notebook of the study, and of each what it put out, by kind."""
    cells = nbformat.read(outputs / study / "notebooks" / f"{stem}.ipynb", 4).cells
    actual = []
    for cell in (cell for cell in cells if cell.cell_type == "code"):
        shown: dict[str, str] = {}
        for output in cell.outputs:
            for kind, content in output.get("data", {"text": output.get("text", "")}).items():
                shown[kind] = shown.get(kind, "") + str(content)
        actual.append((cell.source, shown))
    return actual


def said_by(outputs, stem, study="smoke"):
    """What an executed notebook says in Markdown that it computed."""
    return " ".join(shown.get("text/markdown", "") for _, shown in executed_cells(outputs, stem, study))


def test_what_a_notebook_says_is_what_the_results_say(outputs):
    """Sentences in the executed pages, against the frame."""
    said = {path.stem: said_by(outputs, path.stem) for path in parameters.notebooks()}
    results = runs.collect(outputs / "smoke").set_index("curve")
    whole = results.loc["whole"].squeeze()
    error = f"{whole['test_error']:.1f}"
    assert f"over 1 seed, with the range in brackets: {error} % ({error} to {error})" in said["01_train"]
    assert "Nothing was trained longer" in said["01_train"]
    removals = pd.read_csv(outputs / "smoke" / "removals.csv").dropna(subset=["test_error"])
    first, last = removals.iloc[0], removals.iloc[-1]
    assert f"by parameters left: {first['test_error']:.1f} % at 100 %" in said["02_prune"]
    above = last["test_error"] - removals["test_error"].min()
    end = f"is {above:.1f} points above that" if above else "of the parameters, in the last network."
    assert end in said["02_prune"]
    assert "Mean correlation over 1 seed with 4 channels each" in said["02_prune"]
    scratch = results.loc["pruned-scratch"].sort_values("params").iloc[0]
    for stem in ("03_retrain_from_scratch", "04_scale", "05_analysis"):
        assert f"{scratch['test_error']:.1f}" in said[stem], stem
    width = results.loc["width"].sort_values("params").iloc[1]
    assert f"**width**: {width['params']:,} parameters" in said["04_scale"]
    pairs = next(s for source, s in executed_cells(outputs, "05_analysis") if "tables.pair_table" in source)
    sizes = len(SMOKE.parameters["sizes"])
    assert f"{sizes} ({sizes})" in pairs["text/plain"]  # one seed: undecided at every size


def test_the_conclusion_stands_first_and_is_that_of_the_verdicts(outputs):
    """One seed decides nothing, and what is said of the means is what the table of verdicts has."""
    conclusion = next(
        shown["text/markdown"]
        for source, shown in executed_cells(outputs, "05_analysis")
        if "tables.conclude" in source
    )
    assert conclusion.startswith("**Not decided: 1 seed cannot tell.**")
    verdicts = pd.read_csv(outputs / "smoke" / "verdicts.csv")
    decisive = verdicts[(verdicts["curve"] == "pruned-scratch") & (verdicts["against"] == "pruned-tuned")]
    assert len(decisive) == len(SMOKE.parameters["sizes"])
    for row in decisive.itertuples():
        assert f"{100 * row.size:.0f} % ({tables.signed(row.difference)})" in conclusion


@pytest.mark.parametrize("path", parameters.notebooks(), ids=lambda path: path.stem)
def test_every_figure_is_followed_by_what_it_says_in_numbers(outputs, path):
    cells = [shown for _, shown in executed_cells(outputs, path.stem)]
    pictures = [n for n, shown in enumerate(cells) if "image/png" in shown]
    assert pictures
    for n in pictures:
        after = " ".join(shown.get("text/markdown", "") for shown in cells[n + 1 : n + 3])
        assert re.search(r"\d", after), f"nothing reads the figure of code cell {n}"


def test_an_executed_page_has_one_line_for_each_piece_of_work_and_no_picture_of_it(outputs):
    for path in parameters.notebooks():
        cells = nbformat.read(outputs / "smoke" / "notebooks" / path.name, 4).cells
        for cell in cells:
            actual = [o.data for o in cell.get("outputs", []) if MIME in o.get("data", {})]
            assert len({data["text/plain"].split("  ")[0] for data in actual}) == len(actual)
            assert not [data for data in actual if "<svg" in data["text/html"]]


@pytest.mark.parametrize("path", parameters.notebooks(), ids=lambda path: path.stem)
def test_nothing_that_is_no_number_is_shown(outputs, path):
    """Nor a plural that is none, nor percents in another spelling."""
    for _, shown in executed_cells(outputs, path.stem):
        for kind in ("text/markdown", "text/html", "text"):
            text = shown.get(kind, "").split("</style>")[-1]
            assert not re.search(r"\b[Nn]a[Nn]\b|\w\(s\)", text), text
            if not (kind == "text" or text.startswith("<pre")):  # progress is shown as a terminal's is
                assert not re.search(r"\d%", text), text


def test_a_step_that_nothing_is_asked_of_is_skipped_and_says_so(tmp_path):
    lists = ("oracle_criteria", "sizes", "budgets", "latency_batch_sizes", "factor_sizes")
    given = [part for name in lists for part in ("-p", f"{name}=[]")]
    command = [BIN / "horticulture", "run", "smoke", "--name", "less", *given, "--outputs", tmp_path]
    subprocess.run(command, check=True, timeout=400, capture_output=True)
    pages = [path.read_text() for path in sorted((tmp_path / "less" / "notebooks").glob("0*.ipynb"))]
    steps = ("leaving channels out", "training pruned shapes", "training the families")
    for page, step in zip(pages[1:4], steps, strict=True):
        assert f"{step}: skipped" in page


def test_a_study_that_prunes_at_once_goes_through_all_five(tmp_path):
    """By ratio instead of one by one, channels and single weights, at two lengths of training."""
    values = {
        **{"network": "vgg-8-8", "criterion": "l1,magnitude", "ratios": [0.5], "rounds": 1, "floor": 0.1},
        **{"budgets": "[fine-tuned, pruned-scratch, scratch-b, compressed]", "base_epoch_factors": [1, 2]},
        **{
            "images": 128,
            "epochs": 1,
            "steps": 1,
            "evaluate_every": 1,
            "finetune_epochs": 1,
            "oracle_channels": 3,
        },
        **{"sizes": [0.3], "curves": "[uniform]", "latency_batch_sizes": [1], "latency_seconds": 0.1},
    }
    changed = [part for name, value in values.items() for part in ("-p", f"{name}={value}")]
    done = command(
        "run", "smoke", *changed, *WORKERS, "--name", "once", "--outputs", str(tmp_path), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    actual = runs.collect(tmp_path / "once")
    pruned = actual[actual["ratio"].notna()]
    assert set(pruned["criterion"]) == {"l1", "magnitude"}
    assert {"fine-tuned", "pruned-scratch", "scratch-b", "compressed"} <= set(
        pruned["curve"].str.removeprefix("sparse-")
    )
    assert set(pruned["longer"]) == {1, 2}
    page = (tmp_path / "once" / "notebooks" / "05_analysis.ipynb").read_text()
    assert "was measured at 2 points along the way" in page


ONE_OF_EACH = {  # as little of a study as goes through all five notebooks
    **{"images": 128, "epochs": 1, "base_epoch_factors": [1], "steps": 1, "finetune_epochs": 1},
    **{
        "oracle_channels": 3,
        "latency_batch_sizes": [1],
        "latency_seconds": 0.1,
        "seeds": [0],
        "sizes": [0.9],
    },
}


def run_little(name: str, study: str, folder: Path, **values):
    """The shipped study with little of everything; its results."""
    changed = [part for key, value in (ONE_OF_EACH | values).items() for part in ("-p", f"{key}={value}")]
    done = command("run", study, *changed, *WORKERS, "--name", name, "--outputs", str(folder), cwd=folder)
    assert done.returncode == 0, done.stderr
    return runs.collect(folder / name)


def test_a_transformer_goes_through_all_five(tmp_path):
    actual = run_little("little", "vit-quick", tmp_path, network="vit-2-24", rounds=12, evaluate_every=6)
    assert {"whole", "pruned-tuned", "pruned-scratch", "uniform"} == set(actual["curve"])
    assert set(actual["family"]) == {"vit"}
    assert "heads" in said_by(tmp_path, "02_prune", study="little")


def test_networks_that_move_go_through_all_five(tmp_path):
    actual = run_little(
        *("little", "transfer-quick", tmp_path),
        **{"network": "wrn-10-1", "source_images": 128, "source_epochs": 1, "rounds": 8, "evaluate_every": 4},
    )
    asked = study_files.read("transfer-quick").parameters
    assert {*asked["budgets"], *asked["curves"], "whole", "pruned-tuned"} == set(actual["curve"])


# --- as they are written ----------------------------------------------------------------------------------


def test_the_glossary_has_every_word_that_is_linked_once_and_in_order():
    glossary = (parameters.notebooks()[0].parent / "glossary.md").read_text()
    anchors = re.findall(r'^\| <a id="([\w-]+)"></a>\*\*(.+?)\*\* \| .+ \|$', glossary, re.MULTILINE)
    words = [word for _, word in anchors]
    assert words == sorted(set(words), key=str.lower)
    assert len(words) == glossary.count("\n| ") - 1  # but for the head
    linked = {
        anchor
        for path in parameters.notebooks()
        for anchor in re.findall(r"\(glossary\.md#([\w-]+)\)", path.read_text())
    }
    assert len(linked) > 15
    assert linked <= {anchor for anchor, _ in anchors}


@pytest.mark.parametrize("path", parameters.notebooks(), ids=lambda path: path.stem)
def test_no_cell_is_longer_than_a_screen_and_code_seldom_stands_alone(path):
    cells = nbformat.read(path, 4).cells
    for cell in cells:
        if cell.cell_type == "code" and "parameters" not in cell.metadata.get("tags", []):
            assert cell.source.count("\n") < 20, cell.source
    kinds = "".join(cell.cell_type[0] for cell in cells)
    assert "ccc" not in kinds


@pytest.mark.parametrize("path", parameters.notebooks(), ids=lambda path: path.stem)
def test_code_that_only_writes_sentences_is_folded_everywhere(path):
    """By JupyterLab (`source_hidden`), by the site and by the pages (`hide-input`); a short line may stay."""
    for cell in nbformat.read(path, 4).cells:
        folded = cell.metadata.get("jupyter", {}).get("source_hidden", False)
        assert folded == ("hide-input" in cell.metadata.get("tags", []))
        last = ast.parse(cell.source).body[-1] if cell.cell_type == "code" else None
        writes = isinstance(last, ast.Expr) and ast.unparse(last).startswith("Markdown(")
        assert not folded or writes, cell.source
        assert folded or not writes or len(ast.unparse(last)) <= 120, cell.source


@pytest.mark.parametrize("path", parameters.notebooks(), ids=lambda path: path.stem)
def test_every_notebook_runs_alone_in_a_kernel_of_a_jupyter_server(outputs, server, path):
    """As somebody who edits the parameters cell and runs all cells, in a study that is not there yet."""
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    values = {**SMOKE.parameters, "study": f"served-{path.stem}", "outputs": str(outputs)}
    declared = parameters.notebook_parameters(path)
    more = [f"{name} = {value!r}" for name, value in values.items() if name not in declared]
    first = "\n".join([parameters.fill_in(cells[0].source, values), *more])
    sources = [first, *(cell.source for cell in cells[1:]), HOLDS[path.stem]]
    said = asyncio.run(executed(*server, sources))
    errors = [message["content"] for message in said if message["msg_type"] == "error"]
    assert errors == []
    assert sum(message["msg_type"] == "execute_reply" for message in said) == len(sources)
    assert (outputs / f"served-{path.stem}" / "curves" / "whole.json").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_cell_says_how_much_is_kept_and_run_again_goes_on_from_there(
    server, tmp_path, workers
):
    """By the button of a Jupyter server, while runs are made in the kernel and in worker processes."""
    cells = [cell for cell in nbformat.read(parameters.notebooks()[0], 4).cells if cell.cell_type == "code"]
    values = {
        **SMOKE.parameters,
        "epochs": 2000,
        "seeds": [0, 1],
        "workers": workers,
        "outputs": str(tmp_path),
    }
    sources = [
        parameters.fill_in(cells[0].source, {**values, "study": "stopped"}),
        cells[1].source,
        *["session.execute([point.run for point in config.whole_points], 'training')"] * 2,
    ]
    said = asyncio.run(executed(*server, sources, interrupted=(2, 3), running=workers))
    first, second = (message["content"]["traceback"] for message in said if message["msg_type"] == "error")
    line = (
        r"InterruptedRun: training: stopped, (\d+\.\d) % is kept \(0 of 2 finished, (\d) started\); "
        "run the cell again to resume"
    )
    kept, more = (re.fullmatch(line, *one) for one in (first, second))
    assert kept
    assert more
    assert int(kept[2]) == workers
    assert len(list(tmp_path.glob("runs/*/at-*.safetensors"))) >= workers
    pictures = [
        message["content"]["data"]
        for message in said
        if message["parent_header"]["msg_id"] == "cell-3" and MIME in message["content"].get("data", {})
    ]
    assert float(more[1]) >= float(kept[1])
    assert 100 * pictures[-1][MIME]["resumed"] >= float(kept[1]) - 0.05
    assert "% kept from before" in pictures[-1]["text/html"]


def test_whatever_is_interrupted_is_one_line(server, tmp_path):
    cells = [cell for cell in nbformat.read(parameters.notebooks()[0], 4).cells if cell.cell_type == "code"]
    first = parameters.fill_in(cells[0].source, {**SMOKE.parameters, "outputs": str(tmp_path)})
    said = asyncio.run(executed(*server, [first, cells[1].source, "raise KeyboardInterrupt"]))
    (error,) = [message["content"] for message in said if message["msg_type"] == "error"]
    assert error["traceback"] == ["KeyboardInterrupt: stopped; run the cell again"]


def test_bad_input_in_a_cell_is_one_line(server, tmp_path):
    cells = [cell for cell in nbformat.read(parameters.notebooks()[1], 4).cells if cell.cell_type == "code"]
    first = parameters.fill_in(cells[0].source, {"outputs": str(tmp_path)}) + "\nsteps = 'many'"
    said = asyncio.run(executed(*server, [first, cells[1].source]))
    (error,) = [message["content"] for message in said if message["msg_type"] == "error"]
    assert error["traceback"] == ["InputError: parameter steps must be of type int, such as 2, not 'many'"]
    assert list(tmp_path.iterdir()) == []


CELL = """
import numpy as np
from horticulture import pruning
from horticulture.data import dataset

@pruning.criterion
def mine(group):
    return group.filters().square().sum(dim=(1, 2, 3))

@dataset(pad=1)
def stripes():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 160)
    pixels = (draw.integers(0, 99, (160, 1, 16, 16)) + 50 * labels[:, None, None, None]).astype(np.uint8)
    return (pixels[:128], labels[:128]), (pixels[128:], labels[128:])
"""


def test_a_criterion_and_images_of_a_cell_go_to_workers_and_later_notebooks_need_no_code(tmp_path):
    second, third = parameters.notebooks()[1:3]
    book = nbformat.read(second, 4)
    book.cells.insert(1, nbformat.v4.new_code_cell(CELL))  # above the parameters
    nbformat.write(book, tmp_path / "mine.ipynb")
    values = {
        **{"study": "mine", "outputs": str(tmp_path / "outputs"), "network": "wrn-10-1", "images": 0},
        **{"data": "stripes", "criterion": "mine", "oracle_criteria": ["mine", "l1"], "oracle_channels": 3},
        **{"seeds": [0, 1], "epochs": 1, "base_epoch_factors": [1], "batch_size": 32, "rounds": 2},
        **{"steps": 1, "evaluate_every": 2, "workers": 2, "device": "cpu"},
    }

    def run(path, **more):
        (tmp_path / "settings.yaml").write_text(json.dumps(more))
        arguments = [BIN / "papermill", path, tmp_path / "out.ipynb", "-f", tmp_path / "settings.yaml"]
        environment = os.environ | {"HORTICULTURE_DATA": str(tmp_path / "data")}
        return subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=600)

    done = run(tmp_path / "mine.ipynb", **values)
    assert done.returncode == 0, done.stderr
    same = {name: values[name] for name in ("study", "outputs", "workers", "device")}
    done = run(third, **same, sizes=[0.9], budgets=["pruned-scratch", "fine-tuned"], finetune_epochs=1)
    assert done.returncode == 0, done.stderr
    actual = runs.collect(tmp_path / "outputs" / "mine")
    assert set(actual["curve"]) == {"whole", "pruned-tuned", "pruned-scratch", "fine-tuned"}
    assert set(actual.loc[actual["curve"] != "whole", "criterion"]) == {"mine"}
    for run_json in (tmp_path / "outputs" / "runs").glob("*/run.json"):
        described = json.loads(run_json.read_text())["run"]
        assert described["data"]["name"] == f"kept:{described['data']['digest']}"
    done = run(third, **same, sizes=[0.9], seeds=[0, 1, 2])
    assert "InputError: the code of mine is in 02_prune: run that notebook first" in done.stderr


def test_a_network_a_criterion_and_images_that_somebody_brings_go_through_all_five(tmp_path):
    """Named on the command line, by a path from where that was given; its code is not asked for again."""
    (tmp_path / "models.py").write_text(MODELS + CELL)
    values = {
        "network": "models.py:make",
        "data": "models.py:stripes",
        "criterion": "models.py:mine",
        "workers": 2,
        **{"images": 128, "epochs": 1, "rounds": 2, "steps": 1, "evaluate_every": 2, "oracle_channels": 3},
        **{"sizes": "[0.9]", "curves": "[bottleneck, uniform, copycat, guided]", "latency_seconds": 0.1},
    }
    changed = [part for name, value in values.items() for part in ("-p", f"{name}={value}")]
    done = command("run", "smoke", *changed, "--name", "mine", "--outputs", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    actual = runs.collect(tmp_path / "mine")
    assert {"whole", "pruned-tuned", "pruned-scratch", "bottleneck", "copycat"} <= set(actual["curve"])
    assert set(actual["family"]) == {"own"}
    assert set(actual.loc[actual["curve"] == "pruned-tuned", "criterion"]) == {"models.py:mine"}


def test_a_network_that_cannot_be_as_small_as_the_example_of_04_goes_through_it(tmp_path):
    """Most of it is in a trunk that keeps its channels: what can go is less than 60 % of it."""
    code = MODELS.replace("8, 8, 3, padding=1), nn.Conv2d(8, 8", "8, 4, 3, padding=1), nn.Conv2d(4, 8")
    (tmp_path / "models.py").write_text(code)
    values = {
        **{"study": "mine", "outputs": str(tmp_path), "network": f"{tmp_path}/models.py:make"},
        **{"curves": ["bottleneck"], "sizes": [0.8], "images": 128, "seeds": [0], "epochs": 1},
        **{"base_epoch_factors": [1], "batch_size": 32, "rounds": 1, "steps": 1, "evaluate_every": 1},
        **{"workers": 1, "device": "cpu"},
    }
    (tmp_path / "settings.yaml").write_text(json.dumps(values))
    (path,) = (path for path in parameters.notebooks() if path.stem == "04_scale")
    arguments = [BIN / "papermill", path, tmp_path / "out.ipynb", "-f", tmp_path / "settings.yaml"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    shapes = {point.curve: point.run.architecture for point in runs.read_curves(tmp_path / "mine")}
    assert shapes["bottleneck"].params < shapes["whole"].params
    smallest = families.bottleneck(shapes["whole"], scale=1e-9).params
    assert smallest > 0.4 * shapes["whole"].params
