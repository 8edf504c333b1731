"""A notebook states its own parameters and inherits the others; bad ones are one line, before anything."""

import json
import math
import os
from pathlib import Path

import nbformat
import pytest

from horticulture import runs
from horticulture.data import datasets
from horticulture.errors import InputError, InterruptedRun
from horticulture.execution import loading, parallel
from horticulture.pruning import criteria
from horticulture.study import base_recipe, literals, parameters, session, study_files
from horticulture.study.session import Session
from horticulture.system import files
from horticulture.training import hardware
from tests.test_cli import REFUSED

DECLARED = {path.stem[:2]: parameters.notebook_parameters(path) for path in parameters.notebooks()}
OWN = {step: {name for name in names if name not in parameters.COMMON} for step, names in DECLARED.items()}
DEFAULTS = {name: about["default"] for name, about in parameters.all_parameters().items()}

MODELS = """
from torch import nn

def make(image, classes):
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, classes)
    return nn.Sequential(nn.Conv2d(image[0], 6, 3), nn.ReLU(), *head)
"""

RESIDUAL = """
from torch import nn

class Net(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.stem, self.inner, self.outer = nn.Conv2d(channels, 6, 3), nn.Conv2d(6, 4, 1), nn.Conv2d(4, 6, 1)
        self.head = nn.Linear(6, classes)

    def forward(self, x):
        x = self.stem(x).relu()
        return self.head((x + self.outer(self.inner(x).relu())).mean(dim=(2, 3)))

def make(image, classes):
    return Net(image[0], classes)
"""


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """Opens the session of a notebook, as its kernel would after the parameters cell."""
    monkeypatch.setattr(parallel, "start", lambda *_: None)

    def go(step: str, injected: dict | None = None, more: str = "", **edited) -> Session:
        values = {name: about["default"] for name, about in DECLARED[step].items()}
        values |= {"study": "trial", "outputs": str(tmp_path), "device": "cpu", **edited}
        types = {name: about["type"] for name, about in DECLARED[step].items()}
        lines = [
            f"{name}: {types[name]} = {value!r}" if name in types else f"{name} = {value!r}"
            for name, value in values.items()
        ]
        cells = ["", "import os", "\n".join([*lines, more])]
        if injected:
            cells.append(
                "\n".join(["# Parameters", *(f"{name} = {value!r}" for name, value in injected.items())])
            )
        namespace: dict = {"nan": math.nan, "inf": math.inf}  # as they are printed
        for cell in cells:
            exec(cell, namespace)
        return Session.open({**namespace, "In": [*cells, "session = Session.open(globals())"]})

    return go


def kept(tmp_path: Path, study: str = "trial") -> dict:
    return json.loads((tmp_path / study / "study.json").read_text())


def test_a_new_study_begun_anywhere_has_the_defaults_of_the_steps_before(notebook):
    opened = notebook("04")
    assert opened.parameters.keys() == set().union(
        parameters.COMMON, *(OWN[n] for n in ("01", "02", "03", "04"))
    )
    here = {name for name, origin in opened.origins.items() if origin == session.HERE}
    assert here == OWN["04"] | set(parameters.COMMON)
    inherited = opened.parameters.keys() - here
    assert {opened.origins[name] for name in inherited} == {session.DEFAULT}
    assert {name: opened.parameters[name] for name in inherited} == {
        name: DEFAULTS[name] for name in inherited
    }
    assert opened.config.rounds == DEFAULTS["rounds"]


def test_what_one_notebook_changes_the_next_ones_find(notebook, tmp_path):
    notebook("01", epochs=3, seeds=[5])
    second = notebook("02", criterion="l1", rounds=7)
    assert second.config.epochs == 3
    assert second.origins["epochs"] == session.EARLIER
    third = notebook("03", sizes=[0.5])
    assert (third.config.criterion, third.config.rounds, third.config.seeds) == ("l1", 7, [5])
    fifth = notebook("05")
    assert (fifth.config.criterion, fifth.config.sizes, fifth.config.curves) == (
        "l1",
        [0.5],
        DEFAULTS["curves"],
    )
    assert kept(tmp_path)["parameters"]["criterion"] == "l1"
    assert not {"device", "workers", "cluster", "outputs", "study"} & kept(tmp_path)["parameters"].keys()


def test_of_two_that_are_opened_at_once_neither_undoes_what_the_other_states(notebook, tmp_path, monkeypatch):
    """The third notebook has read the criterion before the second one changes it."""
    notebook("02", criterion="fisher")
    fix = base_recipe.fix

    def slowly(*given, **how):
        monkeypatch.setattr(base_recipe, "fix", fix)
        notebook("02", criterion="l1")
        return fix(*given, **how)

    monkeypatch.setattr(base_recipe, "fix", slowly)
    notebook("03", sizes=[0.5])
    present = kept(tmp_path)["parameters"]
    assert (present["criterion"], present["sizes"]) == ("l1", [0.5])


def test_of_two_that_begin_a_study_at_once_one_fixes_its_base(notebook, tmp_path, monkeypatch):
    precision = hardware.resolve_precision

    def slowly(*given):
        monkeypatch.setattr(hardware, "resolve_precision", precision)
        notebook("01", epochs=3)
        return precision(*given)

    monkeypatch.setattr(hardware, "resolve_precision", slowly)
    with pytest.raises(InputError, match=r"started with other values \(epochs=\d+ instead of 3\)"):
        notebook("02")
    assert kept(tmp_path)["base"]["epochs"] == kept(tmp_path)["parameters"]["epochs"] == 3


def test_the_first_notebook_inherits_nothing_of_the_later_ones(notebook):
    """Its networks are those without a penalty, whatever 02 asked for once."""
    notebook("01")
    notebook("02", criterion="slimming")
    again = notebook("01")
    assert again.parameters.keys() == OWN["01"] | set(parameters.COMMON)
    assert {point.run.recipe["penalty"] for point in again.config.whole_points} == {"none"}


def test_a_study_file_is_what_a_new_study_of_its_name_inherits(notebook):
    opened = notebook("04", study="smoke")
    assert (opened.config.network, opened.config.rounds) == ("wrn-10-1", 8)
    assert opened.origins["network"] == session.FILE
    assert opened.config.curves == DEFAULTS["curves"]  # its own cell says so
    part = notebook("04", study="rethinking-quick-controls", curves=["uniform"])
    assert (part.config.network, part.config.criterion) == ("vgg-11-16", "slimming")


def test_what_papermill_injects_wins_also_for_another_step(notebook):
    opened = notebook("04", {"epochs": 2, "curves": ["bottleneck"]})
    assert (opened.config.epochs, opened.config.curves) == (2, ["bottleneck"])
    assert opened.origins["epochs"] == opened.origins["curves"] == session.HERE
    with pytest.raises(InputError, match=r"epochs=5 instead of 2.*study = \"mine\""):
        notebook("03", {"epochs": 5})


@pytest.mark.parametrize("where", ["typed", "injected", "of another step"])
def test_a_misspelt_name_is_refused_with_the_nearest(notebook, tmp_path, where):
    given = {"typed": {"more": "criterium = 'l1'"}, "injected": {"injected": {"criterium": "l1"}}}
    with pytest.raises(InputError, match=r"^unknown parameter '\w+': did you mean '(criterion|epochs)'\?$"):
        notebook("02", **given.get(where, {"more": "epoch = 3"}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("step", "injected", "said"),
    [
        ("01", {"epochs": "three"}, "parameter epochs must be of type int, such as 7, not 'three'"),
        ("01", {"seeds": 0}, r"parameter seeds must be of type list, such as \[0, 1, 2\], not 0"),
        ("02", {"device": "mps"}, "unknown device 'mps': choose from auto, cpu"),
        ("03", {"sizes": [2]}, "each of sizes must be a number above 0 and at most 1, not 2"),
        ("02", {"study": "../../x"}, "study '../../x': a study is named like a folder"),
        ("02", {"study": "runs"}, "study 'runs'"),
        ("01", {"data": "folder:/" + 5000 * "x"}, "^data folder:/x+ is not an image folder"),
        ("01", {"outputs": "/" + 300 * "x"}, r"^outputs /x{59}\.\.\.: File name too long"),
    ],
)
def test_bad_values_are_one_line_before_anything_is_written(notebook, tmp_path, step, injected, said):
    with pytest.raises(InputError, match=said) as error:
        notebook(step, injected)
    assert "\n" not in str(error.value)
    assert error.value._render_traceback_() == [f"InputError: {error.value}"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "line"),
    [row for row in REFUSED if row[0].partition("=")[0] in DEFAULTS.keys() - {"study"}],
    ids=lambda given: ascii(given[:30]),
)
def test_what_the_command_refuses_a_notebook_refuses_in_the_same_words(notebook, tmp_path, given, line):
    """Typed in a notebook's own cell, injected into it as the text of `papermill -p`, and into the last."""
    name, _, text = given.partition("=")
    try:
        value = literals.read_yaml(text, name)
    except InputError:
        value = text
    value = value if isinstance(value, type(DEFAULTS[name])) else text
    # Whether a size suits a curve is known from where curves are declared.
    own = "04" if "for the curve" in line else f"{parameters.all_parameters()[name]['notebook'] + 1:02}"
    study = {"study": "smoke", "sizes": [0.001]} if given == "curves=[copycat]" else {"study": "smoke"}
    of_file = study_files.read("smoke").parameters
    study |= {other: of_file[other] for other in OWN[own] & of_file.keys()}
    for step, injected, typed in (
        (own, {}, {name: value}),
        (own, {name: text}, {}),
        ("05", {name: value}, {}),
    ):
        with pytest.raises(InputError) as error:
            notebook(step, injected, **{**study, **typed})
        (said,) = error.value._render_traceback_()
        assert said.startswith(f"InputError: {line}")
        assert "\n" not in said
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("seeds", 7, "parameter seeds must be of type list"),
        ("seeds", [0, -1], "each of seeds must be a whole number"),
        ("strengths", "slimming", "parameter strengths must be of type dict"),
        ("rounds", 10**9, "rounds must be a whole number from 1 to 1,000,000"),
        ("lr", 10**400, "parameter lr has a number that is too large"),
        ("network", ["wrn-10-1"], "parameter network must be of type str"),
        ("pretrained", 5, "parameter pretrained must be of type str"),
    ],
)
def test_what_an_earlier_notebook_left_is_checked_again(notebook, tmp_path, monkeypatch, name, value, said):
    """Its file may have come from anybody; no worker is started for it."""
    notebook("01")
    notebook("02", rounds=2)
    remaining = files.read_json(tmp_path / "trial" / "study.json")
    place = "base" if name in remaining["base"] else "parameters"
    remaining[place][name] = value
    files.write_json(tmp_path / "trial" / "study.json", remaining)
    before = (tmp_path / "trial" / "study.json").read_bytes()
    monkeypatch.setattr(parallel, "start", pytest.fail)
    with pytest.raises(InputError, match=said):
        notebook("03")
    assert (tmp_path / "trial" / "study.json").read_bytes() == before


def test_text_is_read_as_the_declared_type(notebook):
    opened = notebook("01", {"epochs": "3", "lr": 1, "seeds": "[4, 5]"})
    assert (opened.config.epochs, opened.config.seeds) == (3, [4, 5])
    assert isinstance(opened.parameters["lr"], float)


def test_other_variables_and_other_cells_do_not_matter(tmp_path, monkeypatch):
    """Only what the parameters cell and papermill's say; and both can be run again."""
    monkeypatch.setattr(parallel, "start", lambda *_: None)
    monkeypatch.setenv("HORTICULTURE_OUTPUTS", str(tmp_path))
    cells = [
        "",
        "study: str = 'a'\nrounds: int = 3",
        "rounds = 9",
        "%magic",
        "study: str = 'b'",
        "rounds = 4",
    ]
    kernel = {"study": "b", "rounds": 4, "criterion": "none", "os": os}
    opened = Session.open({**kernel, "In": cells})
    here = {name for name, origin in opened.origins.items() if origin == session.HERE}
    assert (opened.study, here) == ("b", {"study"})
    injected = Session.open({**kernel, "In": [*cells, "# Parameters\nrounds = 4\n"]})
    here = {name for name, origin in injected.origins.items() if origin == session.HERE}
    assert (injected.config.rounds, here) == (4, {"study", "rounds"})
    with pytest.raises(InputError, match="run the parameters cell first"):
        Session.open({"In": ["", "x = 1"]})


@pytest.mark.parametrize(
    "cell", ["study = 'mine'\nrounds: int = 3", "study: str = 'a'\nrounds: int = 3\nstudy = 'mine'"]
)
def test_a_name_may_be_typed_without_its_annotation(tmp_path, monkeypatch, cell):
    """As "Try it" shows it, in place of the line that is there or below it."""
    monkeypatch.setattr(parallel, "start", lambda *_: None)
    monkeypatch.setenv("HORTICULTURE_OUTPUTS", str(tmp_path))
    opened = Session.open({"study": "mine", "rounds": 3, "In": ["", cell]})
    assert (opened.study, opened.config.rounds) == ("mine", 3)


def test_text_that_papermill_injects_reaches_the_cells_as_the_value_it_stands_for(tmp_path, monkeypatch):
    """`papermill -p seeds "[3, 4]"` injects a string, and cells read `seeds[0]`."""
    monkeypatch.setattr(parallel, "start", lambda *_: None)
    monkeypatch.setenv("HORTICULTURE_OUTPUTS", str(tmp_path))
    cells = ["", "study: str = 'a'\nseeds: list = [0]", "# Parameters\nseeds = '[3, 4]'\nmargin = '2'\n"]
    kernel = {"study": "a", "seeds": "[3, 4]", "margin": "2", "In": cells}
    assert Session.open(kernel).config.seeds == [3, 4]
    assert (kernel["seeds"], kernel["margin"]) == ([3, 4], 2.0)


def test_a_step_that_has_nothing_to_do_says_so(notebook, capsys):
    assert notebook("03", {"budgets": [], "sizes": []}).execute([], "training pruned shapes") == []
    assert capsys.readouterr().out == "training pruned shapes: skipped, this study asks for none\n"


def test_a_study_folder_with_a_link_to_another_folder_is_not_opened(notebook, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / "curves").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="curves is a link to"):
        notebook("01")
    assert [path.name for path in (tmp_path / "trial").iterdir()] == ["curves"]


def test_an_older_study_json_is_read_by_the_new_names(notebook, tmp_path):
    base = {name: DEFAULTS[name] for name in OWN["01"] - {"seeds", "base_epoch_factors"}}
    older = {"longer": [1, 3], "tune_lr": 0.5, "longer_sizes": [0.3], "copied": 0.7, "timed": [8]}
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / "study.json").write_text(json.dumps({"parameters": older, "base": base}))
    opened = notebook("03")
    config = opened.config
    assert (config.base_epoch_factors, config.factor_sizes, config.finetune_lr) == ([1, 3], [0.3], 0.5)
    assert opened.origins["finetune_lr"] == session.EARLIER


def test_all_rounds_are_counted(notebook):
    assert notebook("02", {"rounds": "all", "network": "wrn-10-1"}).config.rounds == 112


def test_a_session_shows_what_it_inherits_and_from_where_and_nothing_twice(notebook):
    opened = notebook("04", {"epochs": 2})
    html = opened._repr_html_()
    for name in opened.parameters.keys() - set(parameters.COMMON):
        assert (f"<td>{name}</td>" in html) == (opened.origins[name] != session.HERE)
    assert "<td>epochs</td>" not in html  # it stands in the notebook's own cell
    assert "<td>network</td><td><code>&#x27;wrn-16-1&#x27;</code></td><td>default</td>" in html
    assert "from default: data='clutter'" in repr(opened)


def test_an_interruption_is_one_line_that_says_how_to_go_on(notebook, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(parallel, "execute_all", stopped)
    opened = notebook("02")
    with pytest.raises(InterruptedRun, match="pruning: stopped, work so far is kept") as error:
        opened.execute(opened.config.baselines, "pruning")
    assert error.value.__suppress_context__
    assert error.value._render_traceback_()[0].startswith("InterruptedRun: pruning: stopped")


def test_a_value_is_put_into_the_parameters_cell_and_nothing_else_changes():
    source = 'a: int = 1  # so many\nb: str = (\n    "x"  # why\n)\nc: list = [1, 2]\nd: float = 0.5\n'
    filled = parameters.fill_in(source, {"a": 7, "b": 'é"y', "c": [], "d": 0.5, "other": 3})
    assert (
        filled == 'a: int = 7  # so many\nb: str = (\n    "é\\"y"  # why\n)\nc: list = []\nd: float = 0.5\n'
    )
    with pytest.raises(InputError, match="parameter a must be a plain value"):
        parameters.fill_in(source, {"a": float("nan")})


def test_what_a_person_wrote_and_saved_in_a_parameters_cell_is_read(tmp_path):
    """JupyterLab saves by itself: values that only a kernel can compute, and names without a type."""
    source = "a: list = list(range(10))  # ten\nb = 7  # seven\nc: int = 1\n"
    path = tmp_path / "01_saved.ipynb"
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    assert parameters.notebook_parameters(path) == {
        "a": {"type": "list", "default": None, "help": "ten"},
        "b": {"type": "int", "default": 7, "help": "seven"},
        "c": {"type": "int", "default": 1, "help": ""},
    }
    assert (
        parameters.fill_in(source, {"a": [1], "b": 8}) == "a: list = [1]  # ten\nb = 8  # seven\nc: int = 1\n"
    )


def test_a_default_that_only_a_kernel_can_compute_is_named_by_the_command(monkeypatch):
    computed = {"seeds": {"type": "list", "default": None, "help": "", "notebook": 0}}
    monkeypatch.setattr(parameters, "all_parameters", lambda: computed)
    study = study_files.Study("mine", "", {}, {})
    with pytest.raises(InputError, match=r"parameter seeds: the notebook computes it"):
        parameters.resolve_parameters(study, {})
    assert parameters.resolve_parameters(study, {"seeds": "0,1"}) == {"seeds": [0, 1]}


def test_catching_up_makes_what_earlier_notebooks_make(notebook, monkeypatch, capsys):
    made = []
    monkeypatch.setattr(
        Session, "execute", lambda self, wanted, what, then: made.append((what, len(list(wanted))))
    )
    monkeypatch.setattr(runs, "record_curves", lambda folder, points: made.append(len(points)) or ["mind"])
    opened = notebook("03", {"seeds": [0, 1]})
    capsys.readouterr()
    opened.catch_up()
    assert made == [("the whole network", 4), 4, ("pruning", 4), 2]  # twice as long, too; drawn for itself
    assert capsys.readouterr().out == "mind\nmind\n"  # what is to be known of the curves


def test_a_study_has_one_way_to_flip_and_shift_images(notebook, tmp_path):
    notebook("01", flip="never", crop_padding=1)
    with pytest.raises(InputError, match="flip='random' instead of 'never'"):
        notebook("02", flip="random", rounds=2)
    assert notebook("02", rounds=2).config.augmentation == {"flip": False, "pad": 1}
    begun = files.read_json(tmp_path / "trial" / "study.json")
    for name in ("flip", "crop_padding"):  # as by a version that had none
        del begun["base"][name], begun["parameters"][name]
    files.write_json(tmp_path / "trial" / "study.json", begun)
    assert notebook("02", rounds=2).config.augmentation == {}


# --- somebody's code -------------------------------------------------------------------------------------


def test_sums_of_layers_are_groups_where_the_study_says_so(notebook, tmp_path):
    (tmp_path / "models.py").write_text(RESIDUAL)
    name = f"{tmp_path}/models.py:make"
    assert notebook("01", network=name).config.whole.groups == ("inner",)
    with pytest.raises(InputError, match="residual_sets=True instead of False"):
        notebook("02", network=name, residual_sets=True, rounds=2)
    whole = notebook("01", network=name, residual_sets=True).config.whole
    assert (whole.groups, whole.widths) == (("stem", "inner"), (6, 4))
    with pytest.raises(
        InputError, match="residual_sets is for networks of your own, but wrn-10-1 is built in"
    ):
        notebook("01", network="wrn-10-1", residual_sets=True)
    begun = files.read_json(tmp_path / "trial" / "study.json")
    del begun["base"]["residual_sets"]  # as by a version that had none
    files.write_json(tmp_path / "trial" / "study.json", begun)
    with pytest.raises(InputError, match="residual_sets=True instead of False"):
        notebook("02", network=name, residual_sets=True, rounds=2)


def test_code_that_an_earlier_notebook_named_runs_only_where_it_is_allowed(notebook, tmp_path):
    (tmp_path / "models.py").write_text(MODELS)
    name = f"{tmp_path}/models.py:make"
    assert notebook("01", network=name).config.whole.groups == ("0",)  # who names it here wants it to run
    with pytest.raises(InputError, match=r"network=.*models.py:make is code, .*: allow_code = True in"):
        notebook("02", rounds=2)
    opened = notebook("02", rounds=2, allow_code=True)
    assert opened.config.whole.table.network == name
    assert "allow_code" not in kept(tmp_path)["parameters"]


def test_what_is_kept_of_code_lets_no_network_run(notebook, tmp_path, monkeypatch):
    (tmp_path / "models.py").write_text("open('ran', 'w').close()")
    monkeypatch.chdir(tmp_path)
    notebook("01")
    theirs = files.read_json(tmp_path / "trial" / "study.json")
    theirs["base"]["network"] = theirs["parameters"]["network"] = f"{tmp_path}/models.py:make"
    files.write_json(tmp_path / "trial" / "study.json", {**theirs, "own": {"models.py:make": {}}})
    with pytest.raises(InputError, match=r"network=.*models.py:make is code, which runs only if you say so"):
        notebook("02", rounds=2)
    assert not (tmp_path / "ran").exists()


SCORE = """
def score(group):
    return group.filters().abs().amax(dim=(1, 2, 3))

def load():
    import torch
    pixels, labels = torch.arange(40 * 256).view(40, 1, 16, 16) % 251, torch.arange(40) % 3
    return ((pixels.byte(), labels),) * 2
"""


@pytest.fixture
def a_new_kernel(monkeypatch, tmp_path):
    """Forgets what was defined, as a later notebook never knew it."""
    monkeypatch.setenv("HORTICULTURE_DATA", str(tmp_path / "data"))
    ours, whole = criteria.BUILT_IN, datasets.BUILT_IN

    def forget():
        for table, known in ((criteria.CRITERIA, ours), (datasets.DATASETS, whole)):
            for name in table.keys() - known.keys():
                del table[name]
        loading.full_dataset.cache_clear()

    yield forget
    forget()


def test_a_criterion_and_data_are_known_afterwards_without_their_code(notebook, tmp_path, a_new_kernel):
    file = tmp_path / "my.py"
    file.write_text(SCORE)
    base = {"data": f"{file}:load", "batch_size": 8, "network": "wrn-10-1"}
    notebook("01", **base)
    a_new_kernel()
    second = notebook("02", criterion=f"{file}:score", rounds=2, oracle_criteria=["l1"])
    keys = [job.run.key for job in second.config.pruning_jobs]
    assert second.config.pruning_jobs[0].label == "my.py:score"
    for text in (SCORE, SCORE.replace("amax", "sum"), None):  # there, changed, and gone
        file.write_text(text) if text else file.unlink()
        a_new_kernel()
        third = notebook("03", allow_code=text is not None)
        assert [job.run.key for job in third.config.pruning_jobs] == keys
        with pytest.raises(
            InputError, match=r"the code of my.py:score is in 02_prune: run that notebook first"
        ):
            third.execute([job.run for job in third.config.pruning_jobs], "pruning")


@pytest.mark.parametrize("name", ["criterion", "oracle_criteria", "data", "guide_data"])
def test_nobody_elses_criterion_or_data_run(name, notebook, tmp_path, monkeypatch, a_new_kernel):
    (tmp_path / "my.py").write_text("open('ran', 'w').close()")
    value = f"{tmp_path}/my.py:score"
    theirs = study_files.Study("trial", "", {name: [value] if name == "oracle_criteria" else value}, {})
    monkeypatch.setattr(study_files, "studies", lambda: {"trial": Path()})
    monkeypatch.setattr(study_files, "read", lambda _: theirs)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"{name}=.*my.py:score is code, which runs only if you say so"):
        notebook("05", more="")
    assert not (tmp_path / "ran").exists()
