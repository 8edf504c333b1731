"""The runner: what papermill does not tell, this must."""

import ast
import json
import threading
from dataclasses import fields

import nbformat
import pytest

from horticulture import cli
from horticulture.errors import BadInput
from horticulture.study import runner
from horticulture.study.config import Protocol
from tests.test_cluster import gone

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

    def go(*sources, parameters=None):
        paths = [
            notebook(tmp_path / "01_one.ipynb", 'study: str = ""\noutputs: str = ""\nn: int = 1', *sources)
        ]
        monkeypatch.setattr(runner, "notebooks", lambda: paths)
        wanted = runner.Study("tiny", "", parameters or {}, {})
        return runner.run(wanted, runner.settle(wanted, {}), tmp_path / "outputs")

    return go


# --- parameters, without running anything ----------------------------------------------------------------


def test_every_study_of_the_checkout_settles():
    for name in runner.studies():
        chosen = runner.read(name)
        assert chosen.about
        assert list(chosen.seconds) == [path.stem for path in runner.notebooks()]
        for part in chosen.each():
            settled = runner.settle(part, {})
            assert {given: settled[given] for given in part.parameters} == part.parameters


def test_one_parameter_means_the_same_in_every_notebook():
    seen = {}
    for path in runner.notebooks():
        for name, about in runner.declared(path).items():
            assert seen.setdefault(name, about) == about, f"{name} in {path.name}"


def test_a_protocol_asks_for_nothing_that_no_notebook_has():
    known = {name for path in runner.notebooks() for name in runner.declared(path)}
    assert {field.name for field in fields(Protocol)} <= known


@pytest.mark.parametrize("path", runner.notebooks(), ids=lambda path: path.stem)
def test_a_notebook_uses_every_parameter_that_it_has(path):
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    code = "\n".join(cell.source for cell in cells if "parameters" not in cell.metadata.get("tags", []))
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    assert "session.settle(globals()" in code
    assert set(runner.declared(path)) - used <= {field.name for field in fields(Protocol)}


def test_defaults_are_the_quick_study():
    quick = runner.read("quick")
    defaults = runner.settle(runner.Study("quick", "", {}, {}), {})
    assert {name: defaults[name] for name in quick.parameters} == quick.parameters


def test_overrides_win_and_take_the_declared_type():
    settled = runner.settle(
        runner.read("smoke"), runner.parse(["seeds=[0, 1]", "lr=1", "criterion=l1", "rounds=3"])
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
        ("rounds=many", "rounds must be of type int, not 'many'"),
        ("rounds=1.5", "rounds must be of type int, not 1.5"),
        ("rounds=true", "rounds must be of type int, not True"),
        ("seeds=3", "seeds must be of type list, not 3"),
        ("rounds", "say NAME=VALUE"),
        ("strengths=[0.001]", r"strengths must be of type dict, not \[0.001\]"),
        ("strengths=slimming", "strengths must be of type dict, not 'slimming'"),
        ("strengths={slimming: 0.001", "strengths must be of type dict, not '{slimming: 0.001'"),
    ],
)
def test_bad_parameters_are_refused_by_name(assignment, said):
    with pytest.raises(BadInput, match=said):
        runner.settle(runner.read("quick"), runner.parse([assignment]))


def test_a_parameter_can_be_a_table():
    assert runner.settle(runner.read("smoke"), {})["strengths"].keys() == {"slimming", "blocks", "groups"}
    settled = runner.settle(runner.read("smoke"), runner.parse(["strengths={slimming: 0.001, blocks: 2}"]))
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
    both = runner.read(str(tmp_path / "both.yaml"))
    vgg, long = both.each()
    common = {"about": "Two networks.", "seconds": {"01_train": 7}}
    strengths = {"slimming": 0.1}
    assert vgg == runner.Study(
        "both-vgg",
        parameters={"seeds": [0, 1], "epochs": 3, "strengths": strengths, "network": "vgg-8-8"},
        **common,
    )
    assert long == runner.Study(  # what a part says of a table replaces it
        "both-long", parameters={"seeds": [0, 1], "epochs": 9, "strengths": {"blocks": 0.2}}, **common
    )
    assert vgg.each() == [vgg]
    assert runner.settle(long, runner.parse(["epochs=2"]))["epochs"] == 2  # for all parts alike
    assert both.parameters["epochs"] == 3


def test_a_study_without_parts_is_its_only_part():
    smoke = runner.read("smoke")
    assert smoke.each() == [smoke]


@pytest.mark.parametrize("parts", ["[vgg, resnet]", "vgg", "{ vgg: vgg-8-8 }", "{ vgg: }"])
def test_malformed_parts_are_refused(tmp_path, parts):
    (tmp_path / "bad.yaml").write_text(f"parameters: {{ epochs: 3 }}\nparts: {parts}\n")
    with pytest.raises(BadInput, match=r"bad.yaml: parts must hold parameters by the name of the part"):
        runner.read(str(tmp_path / "bad.yaml"))


def test_unknown_and_malformed_studies_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"unknown study 'quik'.*did you mean 'quick'"):
        runner.read("quik")
    with pytest.raises(BadInput, match="no study file"):
        runner.read(str(tmp_path / "none.yaml"))
    (tmp_path / "bad.yaml").write_text("parameters: [")
    with pytest.raises(BadInput, match="is not YAML"):
        runner.read(str(tmp_path / "bad.yaml"))
    (tmp_path / "odd.yaml").write_text("rounds: 3")
    with pytest.raises(BadInput, match="must hold"):
        runner.read(str(tmp_path / "odd.yaml"))


# --- running ---------------------------------------------------------------------------------------------


def test_a_widget_cell_cannot_stall_and_progress_is_heard(run, capsys, monkeypatch):
    heard = []
    monkeypatch.setattr(runner._Terminal, "hear", lambda self, line, share: heard.append((line, share)))
    folder = run(
        "import ipywidgets\nfor i in range(5):\n    with ipywidgets.Output():\n        print(i)\n"
        "ipywidgets.interact(lambda k: k, k=(0, 5));",
        "from horticulture.progress import Progress\n"
        "with Progress('counting', 4) as p:\n    p.update(4, 'all of it')",
        "print('n is', n, 'in', study)",
        parameters={"n": 7},
    )
    target = folder / "notebooks" / "01_one.ipynb"
    assert runner.finished(target)
    cells = nbformat.read(target, 4).cells
    assert cells[-1].outputs[0].text == "n is 7 in tiny\n"
    assert heard[-1][1] == 1.0
    assert "counting  100%" in heard[-1][0]
    shown = [o for o in cells[-2].outputs if o.output_type == "display_data"]
    assert len(shown) == 1  # one line is left, whatever was shown on the way
    assert "all of it" in shown[0].data["text/plain"]
    assert (folder / "notebooks" / "01_one.html").exists()
    assert "01_one" in capsys.readouterr().err


@pytest.mark.parametrize("before", ['{"base": {"epochs": 2}, "parameters": {"n": 9}}', "{"])
def test_what_notebooks_have_fixed_stays_when_the_study_is_run_again(run, tmp_path, before):
    """A later notebook, run alone with other parameters, has it to compare with; damage is mended."""
    path = tmp_path / "outputs" / "tiny" / "study.json"
    path.parent.mkdir(parents=True)
    path.write_text(before)
    run("n")
    said = {"study": "tiny", "parameters": {"study": "", "outputs": "", "n": 1}}
    assert json.loads(path.read_text()) == (said | {"base": {"epochs": 2}} if "base" in before else said)


def test_a_failing_cell_is_named_and_its_copy_kept(run):
    with pytest.raises(
        runner.NotebookFailed,
        match=r"01_one failed in cell 4: ValueError: no such bird \(see .*01_one.ipynb\)",
    ):
        run("x = 1", "raise ValueError('no such bird')", "print('never')")


def test_a_killed_kernel_is_noticed(run, tmp_path):
    with pytest.raises(runner.NotebookFailed, match="kernel died"):
        run("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "print('never')")
    assert not runner.finished(tmp_path / "outputs" / "tiny" / "notebooks" / "01_one.ipynb")


# --- pages -----------------------------------------------------------------------------------------------


@pytest.fixture
def pages(monkeypatch, tmp_path):
    """Run a study of three notebooks of which nothing is executed, with this way of making a page."""

    def go(to_html, execute=lambda target: None):
        paths = [
            notebook(tmp_path / f"0{n}_x.ipynb", 'study: str = ""\noutputs: str = ""') for n in (1, 2, 3)
        ]
        monkeypatch.setattr(runner, "notebooks", lambda: paths)
        monkeypatch.setattr(runner, "_execute", lambda book, target, *_: execute(target.stem))
        monkeypatch.setattr(runner, "to_html", lambda target: to_html(target.stem))
        return runner.run(runner.Study("tiny", "", {}, {}), {}, tmp_path / "outputs")

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

    with pytest.raises(runner.NotebookFailed) as caught:
        pages(to_html, executed.append)
    assert executed == ["01_x", "02_x", "03_x"]
    assert sorted(made) == ["02_x", "03_x"]
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("no page could be made of ")
    assert str(caught.value).endswith("01_x.ipynb (OSError: no space)")


def test_a_failing_notebook_is_what_is_raised_and_the_page_is_said_beside_it(pages, capsys):
    def to_html(stem):
        raise OSError("no space")

    def execute(stem):
        if stem == "02_x":
            raise runner.NotebookFailed("02_x failed")

    with pytest.raises(runner.NotebookFailed, match="02_x failed"):
        pages(to_html, execute)
    assert capsys.readouterr().err.splitlines()[-1].endswith("01_x.ipynb (OSError: no space)")


def test_an_interruption_waits_for_no_page_and_is_one_line(pages, monkeypatch, capsys):
    wait = threading.Event()

    def execute(stem):
        if stem == "02_x":
            raise KeyboardInterrupt

    try:
        monkeypatch.setattr(cli, "_run", lambda options: pages(lambda stem: wait.wait(timeout=20), execute))
        assert cli.main(["run", "smoke"]) == 130
        assert [t for t in threading.enumerate() if t.name != "MainThread" and t.daemon]  # it is at it still
    finally:
        wait.set()
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line == "horticulture: stopped; the same command goes on from the last finished run"


def test_a_page_is_whole_or_not_there(tmp_path, monkeypatch):
    book = notebook(tmp_path / "01_one.ipynb", "1")
    page = runner.to_html(book)
    assert page.read_text().rstrip().endswith("</html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01_one.html", "01_one.ipynb"]


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
        return runner.finished(tmp_path / "book.ipynb")

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
        "from horticulture.execution import cluster, pool\ncluster.start(2, 'cpu')\n"
        "print(*[process.pid for process in pool._kept.processes])"
    )
    numbers = []
    target = run(code) / "notebooks" / "01_one.ipynb"
    numbers += nbformat.read(target, 4).cells[-1].outputs[0].text.split()
    with pytest.raises(runner.NotebookFailed, match="kernel died"):
        run(code, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    numbers += nbformat.read(target, 4).cells[-2].outputs[0].text.split()
    assert len(set(numbers)) == 4
    assert gone(map(int, numbers))
