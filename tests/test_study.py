"""The runner: what papermill does not tell, this must."""

import nbformat
import pytest

from horticulture import study
from horticulture.errors import BadInput

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
        monkeypatch.setattr(study, "notebooks", lambda: paths)
        wanted = study.Study("tiny", "", parameters or {}, {})
        return study.run(wanted, study.settle(wanted, {}), tmp_path / "outputs")

    return go


# --- parameters, without running anything ----------------------------------------------------------------


def test_every_study_of_the_checkout_settles():
    for name in study.studies():
        chosen = study.read(name)
        assert study.settle(chosen, {}).keys() >= chosen.parameters.keys()
        assert chosen.about


def test_one_parameter_means_the_same_in_every_notebook():
    seen = {}
    for path in study.notebooks():
        for name, about in study.declared(path).items():
            assert seen.setdefault(name, about) == about, f"{name} in {path.name}"


def test_defaults_are_the_quick_study():
    quick = study.read("quick")
    defaults = study.settle(study.Study("quick", "", {}, {}), {})
    assert {name: defaults[name] for name in quick.parameters} == quick.parameters


def test_overrides_win_and_take_the_declared_type():
    settled = study.settle(
        study.read("smoke"), study.parse(["seeds=[0, 1]", "lr=1", "criterion=l1", "rounds=3"])
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
    ],
)
def test_bad_parameters_are_refused_by_name(assignment, said):
    with pytest.raises(BadInput, match=said):
        study.settle(study.read("quick"), study.parse([assignment]))


def test_unknown_and_malformed_studies_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"unknown study 'quik'.*did you mean 'quick'"):
        study.read("quik")
    with pytest.raises(BadInput, match="no study file"):
        study.read(str(tmp_path / "none.yaml"))
    (tmp_path / "bad.yaml").write_text("parameters: [")
    with pytest.raises(BadInput, match="is not YAML"):
        study.read(str(tmp_path / "bad.yaml"))
    (tmp_path / "odd.yaml").write_text("rounds: 3")
    with pytest.raises(BadInput, match="must hold"):
        study.read(str(tmp_path / "odd.yaml"))


# --- running ---------------------------------------------------------------------------------------------


def test_a_widget_cell_cannot_stall_and_progress_is_heard(run, capsys, monkeypatch):
    heard = []
    monkeypatch.setattr(study._Terminal, "hear", lambda self, line, share: heard.append((line, share)))
    folder = run(
        "import ipywidgets\nfor i in range(5):\n    with ipywidgets.Output():\n        print(i)\n"
        "ipywidgets.interact(lambda k: k, k=(0, 5));",
        "from horticulture.progress import Progress\n"
        "with Progress('counting', 4) as p:\n    p.update(4, 'all of it')",
        "print('n is', n, 'in', study)",
        parameters={"n": 7},
    )
    target = folder / "notebooks" / "01_one.ipynb"
    assert study.finished(target)
    cells = nbformat.read(target, 4).cells
    assert cells[-1].outputs[0].text == "n is 7 in tiny\n"
    assert heard[-1][1] == 1.0
    assert "counting  100%" in heard[-1][0]
    shown = [o for o in cells[-2].outputs if o.output_type == "display_data"]
    assert len(shown) == 1  # one line is left, whatever was shown on the way
    assert "all of it" in shown[0].data["text/plain"]
    assert (folder / "notebooks" / "01_one.html").exists()
    assert "01_one" in capsys.readouterr().err


def test_a_failing_cell_is_named_and_its_copy_kept(run):
    with pytest.raises(
        study.NotebookFailed,
        match=r"01_one failed in cell 4: ValueError: no such bird \(see .*01_one.ipynb\)",
    ):
        run("x = 1", "raise ValueError('no such bird')", "print('never')")


def test_a_killed_kernel_is_noticed(run, tmp_path):
    with pytest.raises(study.NotebookFailed, match="kernel died"):
        run("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "print('never')")
    assert not study.finished(tmp_path / "outputs" / "tiny" / "notebooks" / "01_one.ipynb")


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
        return study.finished(tmp_path / "book.ipynb")

    assert verdict()
    book.cells[1].execution_count = None  # a kernel killed before the last cell
    assert not verdict()
    book.cells[1].execution_count = 2
    book.cells[1].outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]
    assert not verdict()
    book.cells[1].outputs = []
    book.metadata["papermill"]["end_time"] = None  # papermill itself was killed
    assert not verdict()
