"""The runner: what papermill does not tell, this must."""

import ast
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import fields
from queue import Empty

import nbformat
import pytest
from jupyter_client.channels import AsyncZMQSocketChannel

from horticulture import cli
from horticulture.errors import InputError, NotebookError
from horticulture.study import bounds, parameters, runner, study_files, terminal as terminal_module
from horticulture.study.config import StudyConfig
from horticulture.study.terminal import Terminal
from horticulture.system import files
from tests.test_parallel import gone

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def notebook(path, *sources):
    """A notebook whose first cell is the parameters cell."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), path)
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a study of notebooks with these cells; returns the folder."""

    def go(*sources, given=None):
        paths = [
            notebook(tmp_path / "01_one.ipynb", 'study: str = ""\noutputs: str = ""\nn: int = 1', *sources)
        ]
        monkeypatch.setattr(parameters, "notebooks", lambda: paths)
        wanted = study_files.Study("tiny", "", given or {}, {})
        return runner.run(wanted, parameters.resolve_parameters(wanted, {}), tmp_path / "outputs")

    return go


# --- parameters, without running anything ----------------------------------------------------------------


def test_every_study_of_the_checkout_settles():
    for name in study_files.studies():
        chosen = study_files.read(name)
        assert chosen.about
        assert list(chosen.seconds) == [path.stem for path in parameters.notebooks()]
        for part in chosen.expand_parts():
            settled = parameters.resolve_parameters(part, {})
            assert {given: settled[given] for given in part.parameters} == part.parameters


def test_every_parameter_is_declared_once_but_for_what_all_notebooks_share():
    seen = {}
    for path in parameters.notebooks():
        for name, about in parameters.notebook_parameters(path).items():
            assert name not in seen or name in parameters.COMMON, f"{name} again in {path.name}"
            assert seen.setdefault(name, about) == about, f"{name} in {path.name}"
        assert set(parameters.COMMON) <= set(parameters.notebook_parameters(path))


def test_every_parameter_has_a_bound_and_its_default_is_within():
    declared = parameters.all_parameters()
    assert bounds.BOUNDS.keys() == declared.keys()
    bounds.check({name: declaration["default"] for name, declaration in declared.items()})


def test_a_config_asks_for_nothing_that_no_notebook_has():
    known = {name for path in parameters.notebooks() for name in parameters.notebook_parameters(path)}
    assert {field.name for field in fields(StudyConfig)} <= known | {"digest_of"}


@pytest.mark.parametrize("path", parameters.notebooks(), ids=lambda path: path.stem)
def test_a_notebook_uses_every_parameter_that_it_has(path):
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    code = "\n".join(cell.source for cell in cells if "parameters" not in cell.metadata.get("tags", []))
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    assert "session = Session.open(globals())\nconfig = session.config" in code
    of_session = {field.name for field in fields(StudyConfig)} | set(parameters.COMMON)
    assert set(parameters.notebook_parameters(path)) - used <= of_session


def test_defaults_are_the_quick_study():
    quick = study_files.read("quick")
    defaults = parameters.resolve_parameters(study_files.Study("quick", "", {}, {}), {})
    assert {name: defaults[name] for name in quick.parameters} == quick.parameters


def test_overrides_win_and_take_the_declared_type():
    settled = parameters.resolve_parameters(
        study_files.read("smoke"), parameters.parse(["seeds=[0, 1]", "lr=1", "criterion=l1", "rounds=3"])
    )
    assert settled["seeds"] == [0, 1]
    assert settled["lr"] == 1.0
    assert isinstance(settled["lr"], float)
    assert settled["criterion"] == "l1"
    assert settled["rounds"] == 3


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("criteron=l1", "did you mean 'criterion'"),
        ("rounds=many", "rounds must be of type int, such as 192, not 'many'"),
        ("rounds=1.5", "rounds must be of type int, such as 192, not 1.5"),
        ("rounds=true", "rounds must be of type int, such as 192, not True"),
        ("rounds", "expected NAME=VALUE"),
        ("study=mine", "study is not a study parameter .* use --name NAME"),
        ("outputs=/tmp", "outputs is not a study parameter .* use --outputs PATH"),
        ("strengths=[0.001]", r"strengths must be of type dict, such as {'slimming': .*}, not \[0.001\]"),
        ("strengths=slimming", "strengths must be of type dict, such as .*, not 'slimming'"),
        (
            "strengths={slimming: 0.001",
            r"parameter strengths: cannot be read as YAML: expected ',' or '}', .* \(line 1\)",
        ),
    ],
)
def test_bad_parameters_are_refused_by_name(assignment, said):
    with pytest.raises(InputError, match=said):
        parameters.resolve_parameters(study_files.read("quick"), parameters.parse([assignment]))


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("lr=1e-1", 0.1),
        ("lr=2E3", 2000.0),
        ("seeds=0,1,2", [0, 1, 2]),
        ("seeds=[0, 1, 2]", [0, 1, 2]),
        ("seeds=3", [3]),
        ("ratios=", []),
        ("sizes=0.5, 1e-1", [0.5, 0.1]),
        ("curves=width", ["width"]),
        ("curves=width,uniform", ["width", "uniform"]),
        ("rounds=all", "all"),
        ("criterion=l1,taylor", "l1,taylor"),
    ],
)
def test_a_value_is_read_as_a_person_writes_it(assignment, value):
    settled = parameters.resolve_parameters(study_files.read("quick"), parameters.parse([assignment]))
    assert settled[assignment.partition("=")[0]] == value


def test_numbers_mean_the_same_in_a_study_file(tmp_path):
    (tmp_path / "own.yaml").write_text("parameters: { lr: 1e-1, rounds: all }")
    settled = parameters.resolve_parameters(study_files.read(str(tmp_path / "own.yaml")), {})
    assert (settled["lr"], settled["rounds"]) == (0.1, "all")


@pytest.mark.parametrize("path", parameters.notebooks(), ids=lambda path: path.stem)
def test_parameters_are_those_that_papermill_finds(path):
    import papermill

    declared, actual = parameters.notebook_parameters(path), papermill.inspect_notebook(str(path))
    assert list(declared) == list(actual)
    for name, about in actual.items():
        mine = declared[name]
        assert mine["type"] == about["inferred_type_name"]
        assert mine["default"] == ast.literal_eval(about["default"])
        assert mine["help"] if not about["help"] else mine["help"] == about["help"]


@pytest.mark.parametrize(
    ("assignments", "name"),
    [
        ([], "quick"),
        (["workers=4", "device=cpu"], "quick"),  # where it is computed changes nothing
        (["seeds=0,1,2", "lr=2e-1"], "quick"),  # as its file says
        (["criterion=l1"], "quick-criterion-l1"),
        (["seeds=[0,1]", "lr=1e-1"], "quick-seeds-0-1-lr-0.1"),
        (["data=folder:/a b/c"], "quick-data-folder-a-b-c"),
    ],
)
def test_a_study_with_other_parameters_has_a_name_of_its_own(assignments, name):
    assert parameters.rename(study_files.read("quick"), "", parameters.parse(assignments)).name == name


def test_a_long_name_is_cut_and_still_its_own():
    long = [f"strengths={{slimming: 0.{n}, blocks: 0.00001, groups: 0.00000001}}" for n in (1, 2)]
    names = [parameters.rename(study_files.read("quick"), "", parameters.parse([one])).name for one in long]
    assert len(set(names)) == 2
    assert all(len(name) <= parameters.MADE_NAME + 7 for name in names)


def test_a_parameter_can_be_a_table():
    assert parameters.resolve_parameters(study_files.read("smoke"), {})["strengths"].keys() == {
        "slimming",
        "blocks",
        "groups",
    }
    settled = parameters.resolve_parameters(
        study_files.read("smoke"), parameters.parse(["strengths={slimming: 0.001, blocks: 2}"])
    )
    assert settled["strengths"] == {"slimming": 0.001, "blocks": 2}


# --- a study in parts ------------------------------------------------------------------------------------

PARTS = """
about: Two networks.
seconds: { 01_train: 7 }
parameters: { seeds: [0, 1], epochs: 3, strengths: { slimming: 0.1 } }
parts:
  vgg: { network: vgg-8-8 }
  long: { epochs: 9, strengths: { blocks: 0.2 } }
"""


def test_a_study_in_parts_is_a_study_for_each(tmp_path):
    (tmp_path / "both.yaml").write_text(PARTS)
    both = study_files.read(str(tmp_path / "both.yaml"))
    vgg, long = both.expand_parts()
    common = {"about": "Two networks.", "seconds": {"01_train": 7}}
    strengths = {"slimming": 0.1}
    assert vgg == study_files.Study(
        "both-vgg",
        parameters={"seeds": [0, 1], "epochs": 3, "strengths": strengths, "network": "vgg-8-8"},
        **common,
    )
    assert long == study_files.Study(  # what a part says of a table replaces it
        "both-long", parameters={"seeds": [0, 1], "epochs": 9, "strengths": {"blocks": 0.2}}, **common
    )
    assert vgg.expand_parts() == [vgg]
    assert (
        parameters.resolve_parameters(long, parameters.parse(["epochs=2"]))["epochs"] == 2
    )  # for all parts alike
    assert both.parameters["epochs"] == 3


def test_a_study_without_parts_is_its_only_part():
    smoke = study_files.read("smoke")
    assert smoke.expand_parts() == [smoke]


@pytest.mark.parametrize(
    ("file", "parts", "name"),
    [
        ("transfer", "{ quick: {} }", "transfer-quick"),
        ("rethinking", "{ quick-vgg: {} }", "rethinking-quick-vgg"),
    ],
)
def test_a_part_has_no_name_of_ours(tmp_path, file, parts, name):
    """Its run would clear and refill that study."""
    (tmp_path / f"{file}.yaml").write_text(f"parameters: {{ epochs: 3 }}\nparts: {parts}\n")
    with pytest.raises(InputError, match=f"there is a study '{name}', so give the file another name"):
        study_files.read(str(tmp_path / f"{file}.yaml"))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ('{ "": {} }', "part '': a study is named like a folder"),
        ('{ ".": {} }', "part '.': a study is named like a folder"),
        ("{ a: {}, A: {} }", "parts must differ in more than upper and lower case"),
    ],
)
def test_a_part_has_a_name_that_can_be_a_folder_of_its_own(tmp_path, parts, said):
    (tmp_path / "odd.yaml").write_text(f"parameters: {{ epochs: 3 }}\nparts: {parts}\n")
    with pytest.raises(InputError, match=re.escape(said)):
        study_files.read(str(tmp_path / "odd.yaml"))


@pytest.mark.parametrize("seconds", ["0", "-1", "true", ".inf", "1.0e+308", "x"])
def test_seconds_are_those_of_a_notebook(tmp_path, seconds):
    """The sum of two that are nearly infinite would be infinite."""
    content = (
        f"parameters: {{ epochs: 3 }}\nseconds: {{ 02_prune: {seconds}, 03_retrain_from_scratch: {seconds} }}"
    )
    (tmp_path / "odd.yaml").write_text(content)
    with pytest.raises(InputError, match=r"seconds must give a number above 0, and at most 1e\+09, for each"):
        study_files.read(str(tmp_path / "odd.yaml"))


def test_seconds_are_of_a_notebook_that_there_is(tmp_path):
    (tmp_path / "odd.yaml").write_text("parameters: { epochs: 3 }\nseconds: { 02_prun: 5 }")
    with pytest.raises(InputError, match=r"unknown notebook in seconds of \S+ '02_prun': .*'02_prune'"):
        study_files.read(str(tmp_path / "odd.yaml"))


@pytest.mark.parametrize("parts", ["[vgg, resnet]", "vgg", "{ vgg: vgg-8-8 }", "{ vgg: }"])
def test_malformed_parts_are_refused(tmp_path, parts):
    (tmp_path / "bad.yaml").write_text(f"parameters: {{ epochs: 3 }}\nparts: {parts}\n")
    with pytest.raises(InputError, match=r"bad.yaml: parts must map the name of each part to its parameters"):
        study_files.read(str(tmp_path / "bad.yaml"))


def test_unknown_and_malformed_studies_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"unknown study 'quik'.*did you mean 'quick'"):
        study_files.read("quik")
    with pytest.raises(InputError, match="no study file"):
        study_files.read(str(tmp_path / "none.yaml"))
    (tmp_path / "bad.yaml").write_text("parameters: [")
    with pytest.raises(
        InputError, match=r"bad.yaml: cannot be read as YAML: expected the node content, .* \(line 1\)"
    ):
        study_files.read(str(tmp_path / "bad.yaml"))
    (tmp_path / "odd.yaml").write_text("rounds: 3")
    with pytest.raises(InputError, match="has no `parameters`"):
        study_files.read(str(tmp_path / "odd.yaml"))


# --- running ---------------------------------------------------------------------------------------------


def test_a_widget_cell_cannot_stall_and_progress_is_passed_on(run, capsys, monkeypatch):
    shown = []
    monkeypatch.setattr(Terminal, "update", lambda self, *progress: shown.append(progress))
    folder = run(
        "import ipywidgets\nfor i in range(5):\n    with ipywidgets.Output():\n        print(i)\n"
        "ipywidgets.interact(lambda k: k, k=(0, 5));",
        "from horticulture.system.progress import Progress\n"
        "with Progress('counting', 4) as p:\n    p.update(4, 'all of it')",
        "print('n is', n, 'in', study)",
        given={"n": 7},
    )
    target = folder / "notebooks" / "01_one.ipynb"
    assert runner.is_finished(target)
    cells = nbformat.read(target, 4).cells
    assert cells[-1].outputs[0].text == "n is 7 in tiny\n"
    assert shown[-1][1:] == (1.0, 0.0)
    assert "counting  100%" in shown[-1][0]
    remaining = [o for o in cells[-2].outputs if o.output_type == "display_data"]
    assert len(remaining) == 1  # one line is left, whatever was shown on the way
    assert "all of it" in remaining[0].data["text/plain"]
    assert (folder / "notebooks" / "01_one.html").exists()
    assert "01_one" in capsys.readouterr().err


@pytest.mark.parametrize("before", ['{"base": {"epochs": 2}, "parameters": {"n": 9}}', "{"])
def test_what_notebooks_have_fixed_stays_when_the_study_is_run_again(run, tmp_path, before):
    """A later notebook, run alone with other parameters, has it to compare with; damage is mended."""
    path = tmp_path / "outputs" / "tiny" / "study.json"
    path.parent.mkdir(parents=True)
    path.write_text(before)
    run("n")
    said = {"study": "tiny", "parameters": {"n": 1}}
    assert files.read_json(path) == (said | {"base": {"epochs": 2}} if "base" in before else said)


def test_a_failing_cell_is_named_and_its_copy_kept(run):
    with pytest.raises(
        runner.NotebookError,
        match=r"01_one failed in cell 3: ValueError: no such bird \(see .*01_one.ipynb\)",
    ):
        run("x = 1", "raise ValueError('no such bird')", "print('never')")


def test_a_killed_kernel_is_noticed(run, tmp_path):
    with pytest.raises(runner.NotebookError, match="kernel died"):
        run("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "print('never')")
    assert not runner.is_finished(tmp_path / "outputs" / "tiny" / "notebooks" / "01_one.ipynb")


# --- pages -----------------------------------------------------------------------------------------------


@pytest.fixture
def pages(monkeypatch, tmp_path):
    """Run a study of three notebooks of which nothing is executed, with this way of making a page."""

    def go(to_html, execute=lambda target: None, run=runner.run):
        paths = [
            notebook(tmp_path / f"0{n}_x.ipynb", 'study: str = ""\noutputs: str = ""') for n in (1, 2, 3)
        ]
        monkeypatch.setattr(parameters, "notebooks", lambda: paths)
        monkeypatch.setattr(runner, "execute_notebook", lambda book, target, *_: execute(target.stem))
        monkeypatch.setattr(runner, "to_html", lambda target: to_html(target.stem))
        return run(study_files.Study("tiny", "", {}, {}), {}, tmp_path / "outputs")

    return go


def test_a_page_is_made_while_the_next_notebook_runs_and_all_are_there_at_the_end(pages):
    """The first page waits for the second notebook: made before it, it would wait for ever."""
    second_runs, made = threading.Event(), []

    def to_html(stem):
        assert second_runs.wait(timeout=20)
        made.append(stem)

    pages(to_html, lambda stem: second_runs.set() if stem == "02_x" else None)
    assert sorted(made) == ["01_x", "02_x", "03_x"]


def test_a_page_that_cannot_be_made_stops_nothing_and_is_said_in_one_line(pages):
    executed, made = [], []

    def to_html(stem):
        if stem == "01_x":
            raise OSError("no space\nat all")
        made.append(stem)

    with pytest.raises(runner.NotebookError) as caught:
        pages(to_html, executed.append)
    assert executed == ["01_x", "02_x", "03_x"]
    assert sorted(made) == ["02_x", "03_x"]
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("could not make a page of ")
    assert str(caught.value).endswith("01_x.ipynb (OSError: no space)")


def test_a_failing_notebook_is_what_is_raised_and_the_page_is_said_beside_it(pages, capsys):
    def to_html(stem):
        raise OSError("no space")

    def execute(stem):
        if stem == "02_x":
            raise runner.NotebookError("02_x failed")

    with pytest.raises(runner.NotebookError, match="02_x failed"):
        pages(to_html, execute)
    assert capsys.readouterr().err.splitlines()[-1].endswith("01_x.ipynb (OSError: no space)")


def test_an_interruption_waits_for_no_page_and_is_one_line(pages, monkeypatch, capsys, tmp_path):
    wait = threading.Event()

    def execute(stem):
        if stem == "02_x":
            raise KeyboardInterrupt

    try:
        real = runner.run
        monkeypatch.setattr(
            runner, "run", lambda *_: pages(lambda stem: wait.wait(timeout=20), execute, real)
        )
        assert cli.main(["run", "smoke", "--outputs", str(tmp_path / "out")]) == 130
        assert [t for t in threading.enumerate() if t.name != "MainThread" and t.daemon]  # it is at it still
    finally:
        wait.set()
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line == "horticulture: stopped; run the same command again to resume"


INTERRUPTED = """
import sys
from pathlib import Path
from horticulture import cli
from horticulture.study import parameters, runner, study_files

place, run = Path(sys.argv[1]), runner.run

def tiny(*_):
    parameters.notebooks = lambda: [place / "01_one.ipynb"]
    return run(study_files.Study("tiny", "", {}, {}), {}, place / "outputs")

runner.run = tiny
sys.exit(cli.main(["run", "smoke", "--outputs", str(place / "outputs")]))
"""


def test_an_interruption_of_a_cell_is_one_line(tmp_path):
    """Without the cell's traceback, which asyncio would show."""
    began = tmp_path / "began"
    wait = f"import pathlib, time\npathlib.Path({str(began)!r}).touch()\ntime.sleep(300)"
    notebook(tmp_path / "01_one.ipynb", 'study: str = ""\noutputs: str = ""', wait)
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not began.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert said == "horticulture: stopped; run the same command again to resume\n"
    assert process.returncode == 130


# --- the line in the terminal ----------------------------------------------------------------------------


@pytest.fixture
def terminal(monkeypatch):
    """The line of a study of three notebooks, expected to take 10, 20 and 30 seconds; and a clock to set."""
    now = [0.0]
    monkeypatch.setattr(terminal_module.time, "monotonic", lambda: now[0])
    return Terminal({"01_train": 10.0, "02_prune": 20.0, "03_retrain_from_scratch": 30.0}), now


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_longer_than_the_terminal(terminal, monkeypatch, capsys, width):
    line, now = terminal
    line.live = True
    monkeypatch.setenv("COLUMNS", str(width))
    line.begin("03_retrain_from_scratch")
    for share in (0.0, 0.5, 1.0):
        now[0] += 10
        two = "epoch 3/7, error 12.3 %; epoch 3/7, error 14.0 %; 0/2 finished"
        note = f"0:21, 0:19 left  {two:<130}."
        line.update(f"training pruned shapes  {share:4.0%}  {note}", share, 0.0)
    line.end(finished=True)
    rows = [row.replace("\x1b[K", "") for row in re.split("[\r\n]+", capsys.readouterr().err)]
    assert max(map(len, rows)) < width
    assert max(map(len, rows)) > 0.9 * width - 10
    assert any("50%" in row for row in rows)
    assert any("epoch 3/7, error 12.3 %" in row for row in rows) == (width >= 80)


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ([(0.5, 0.0), (1.0, 0.0)], "about 1:40"),  # twice as long as expected
        ([], "up to about 0:50"),  # all was there, and so may the rest be
        ([(0.9, 0.8), (1.0, 0.8)], "up to about 0:50"),  # most was there
    ],
)
def test_time_left_follows_from_what_was_really_made(terminal, capsys, said, left):
    line, now = terminal
    line.begin("01_train")
    now[0] += 20
    for share, actual in said:
        line.update("training", share, actual)
    line.end(finished=True)
    assert f"01_train                 took 0:20, {left} left for 02, 03\n" == capsys.readouterr().err


def test_a_page_is_whole_or_not_there(tmp_path, monkeypatch):
    book = notebook(tmp_path / "01_one.ipynb", "1")
    page = runner.to_html(book)
    assert page.read_text().rstrip().endswith("</html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01_one.html", "01_one.ipynb"]


def test_a_kernel_that_does_not_start_is_told_in_one_line(run, monkeypatch):
    """Jupyter first waits a second for the answer, and then looks whether the time is over."""
    get_msg = AsyncZMQSocketChannel.get_msg

    async def late(channel, timeout=None):
        if timeout == 1:
            raise Empty
        return await get_msg(channel, timeout=timeout)

    monkeypatch.setattr(AsyncZMQSocketChannel, "get_msg", late)
    monkeypatch.setattr(runner, "KERNEL_SECONDS", 0)
    said = r"01_one: its kernel did not start: Kernel didn't respond in 0 seconds; run the same command again"
    with pytest.raises(NotebookError, match=said):
        run("1")


def test_a_remark_of_a_notebook_stands_in_the_terminal_too(run, capfd):
    line = "random: 12 % was not reached"
    target = run(f"from horticulture.system import progress\nprogress.remark({line!r})\n0")
    assert f"01_one: {line}\n" in capfd.readouterr().err
    assert line in (target / "notebooks" / "01_one.html").read_text()


def test_what_every_notebook_remarks_stands_in_the_terminal_once(capsys):
    shown = terminal_module.Terminal({"01": 1.0, "02": 1.0})
    for name in ("01", "02"):
        shown.begin(name)
        shown.remark("the worker w1 gets no runs")
        shown.remark(f"only {name}")
    assert capsys.readouterr().err.splitlines() == [
        "01: the worker w1 gets no runs",
        "01: only 01",
        "02: only 02",
    ]


# --- finished --------------------------------------------------------------------------------------------


def test_finished_means_every_cell(tmp_path):
    cells = [
        nbformat.v4.new_code_cell("1", execution_count=1),
        nbformat.v4.new_code_cell("2", execution_count=2),
    ]
    book = nbformat.v4.new_notebook(
        cells=cells, metadata={"papermill": {"end_time": "now", "exception": None}}
    )

    def verdict():
        nbformat.write(book, tmp_path / "book.ipynb")
        return runner.is_finished(tmp_path / "book.ipynb")

    assert verdict()
    book.cells[1].execution_count = None  # a kernel killed before the last cell
    assert not verdict()
    book.cells[1].execution_count = 2
    book.cells[1].outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]
    assert not verdict()
    book.cells[1].outputs = []
    book.metadata["papermill"]["end_time"] = None  # papermill itself was killed
    assert not verdict()


def test_a_kernel_leaves_no_worker_behind(run):
    """Under papermill; also one that was killed."""
    code = (
        "import multiprocessing\nfrom horticulture.execution import parallel\nparallel.start(2, 'cpu')\n"
        "print(*[process.pid for process in multiprocessing.active_children()])"
    )
    numbers = []
    target = run(code) / "notebooks" / "01_one.ipynb"
    numbers += nbformat.read(target, 4).cells[-1].outputs[0].text.split()
    with pytest.raises(runner.NotebookError, match="kernel died"):
        run(code, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    numbers += nbformat.read(target, 4).cells[-2].outputs[0].text.split()
    assert len(set(numbers)) == 4
    assert gone(map(int, numbers))
