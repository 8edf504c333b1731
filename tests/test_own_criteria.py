"""Criteria that somebody brings: in a cell or a file, in workers too; later notebooks do without the code."""

import importlib.util
import json
import math
import py_compile
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cloudpickle
import pandas as pd
import pytest
import torch

from horticulture import architecture, execution, networks, pruning, runs
from horticulture.errors import InputError
from horticulture.execution import file_transfer, parallel
from horticulture.pruning import PruningRecipe, criteria, saliency
from horticulture.study import own_code
from horticulture.system import code_files
from horticulture.training import TrainingRecipe

CLUTTER_IMAGES = (96, 32, 32)
pytestmark = pytest.mark.usefixtures("little_clutter", "the_criteria_as_they_were")
SHAPE = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
BASE = execution.training_run(
    SHAPE, TrainingRecipe(1, 0.1, batch_size=32), {"name": "clutter", "images": 96}, 0
)
FILE = """
import torch

FACTOR = 2.0

def score(group):
    "The largest weight that makes a channel."
    return FACTOR * largest(group.filters())

def largest(weights):
    return weights.abs().amax(dim=(1, 2, 3))

def odd(a, b, c):
    return a
"""


@pytest.fixture
def the_criteria_as_they_were(monkeypatch):
    monkeypatch.setattr(code_files, "ALLOWED", set())
    for name in criteria.own_criteria():
        del criteria.CRITERIA[name]
    yield
    for name in criteria.own_criteria():
        del criteria.CRITERIA[name]


@pytest.fixture
def file(tmp_path) -> str:
    (tmp_path / "my.py").write_text(FILE)
    return f"{tmp_path}/my.py:score"


def test_a_compiled_copy_beside_the_file_never_runs(file, tmp_path):
    """Python believes one that is marked unchecked, whatever source it was compiled from."""
    other = tmp_path / "other.py"
    other.write_text(FILE.replace("FACTOR = 2.0", "FACTOR = -1.0"))
    path = Path(file.rpartition(":")[0])
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    copy = importlib.util.cache_from_source(str(path))
    py_compile.compile(str(other), cfile=copy, invalidation_mode=unchecked)
    assert code_files.function(file).__globals__["FACTOR"] == 2.0
    path.write_text(FILE.replace("FACTOR = 2.0", "FACTOR = 3.0"))  # as large, perhaps in the same moment
    assert code_files.function(file).__globals__["FACTOR"] == 3.0
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["__pycache__", "my.py", "other.py"]
    assert [str(entry) for entry in (tmp_path / "__pycache__").iterdir()] == [copy]  # none of ours


def prune(criterion: str):
    return execution.pruning_run(BASE, PruningRecipe(2, criterion, steps=1, batch_size=32))


def test_a_decorated_function_scores_weights_or_what_channels_contributed():
    @pruning.criterion(scope="layer")
    def weights(group):
        """Weights, squared."""
        return group.filters().square().sum(dim=(1, 2, 3))

    @pruning.criterion
    def contributed(contributions, positions):
        return contributions.abs().sum(dim=0) * positions

    assert criteria.CRITERIA["weights"].about == "Weights, squared."
    assert criteria.CRITERIA["weights"].scope == "layer"
    network = networks.build(SHAPE)
    with torch.no_grad():
        for group in network.groups:
            group.producer.weight.fill_(0.5)
    fan_in = network.groups[0].producer.weight[0].numel()
    scores = saliency.SaliencyProbe(network, "weights", torch.Generator()).scores()
    assert scores[0].tolist() == [fan_in / 4] * 16
    made = criteria.CRITERIA["contributed"].from_gradients(torch.tensor([[1.0, -2.0], [3.0, 4.0]]), 10)
    assert made.tolist() == [40.0, 60.0]


def raising(group):
    raise OSError("no\nfile")


def writing(group):
    group.filters().mul_(0)
    return group.norm.weight.abs()


def listing(contributions, positions):
    return [1.0] * contributions.shape[1]


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (raising, "failed for group 1.1: OSError: no$"),
        (writing, "changed a tensor of the network in place for group 1.1: let it copy first"),
        (listing, r"returned list for group 3.1: return a tensor of shape .64,., a score for each channel"),
        (lambda group: group.norm.weight.detach().numpy(), r"returned ndarray of shape .16,. for group 1.1"),
        (lambda group: group.filters(), r"returned Parameter of shape .16, 16, 3, 3. for group 1.1"),
        (lambda group: group.norm.weight * math.nan, "gave group 1.1 a score that is NaN$"),
        (lambda group: group.norm.weight - math.inf, "gave group 1.1 a score that is -inf$"),
        (lambda group: group.norm.weight.to(torch.complex64), "returned complex numbers for group 1.1"),
    ],
)
def test_what_is_no_score_is_one_line_that_names_the_criterion_and_the_group(score, said):
    pruning.criterion(score, name="mine")
    network = networks.build(SHAPE)
    with saliency.SaliencyProbe(network, "mine", torch.Generator()) as probe:
        torch.nn.functional.cross_entropy(network(torch.rand(4, 1, 16, 16)), torch.arange(4)).backward()
        with pytest.raises(InputError, match=f"^the criterion mine {said}"):
            probe.scores()


def test_whole_numbers_and_parameters_are_scores():
    pruning.criterion(lambda group: torch.arange(group.width), name="counted")
    pruning.criterion(lambda group: group.norm.weight, name="scale")
    for name in ("counted", "scale"):
        for score in saliency.SaliencyProbe(networks.build(SHAPE), name, torch.Generator()).scores():
            assert score.numpy().dtype == "float32"


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("measure", ["channels", "params"])
def test_a_channel_that_scores_inf_is_never_removed(scope, measure):
    @pruning.criterion
    def guarded(group):
        scores = torch.arange(group.width).float()
        scores[: group.width // 2] = math.inf
        return scores

    scores = saliency.SaliencyProbe(networks.build(SHAPE), "guarded", torch.Generator()).scores()
    recipe = PruningRecipe(1, "guarded", ratio=0.4, scope=scope, measure=measure)
    removed = recipe.select(scores, SHAPE, SHAPE, 1)
    assert len({group for group, *_ in removed}) == len(SHAPE.widths)
    for group, channel, score in removed:
        assert score == channel >= SHAPE.widths[group] // 2
    most = replace(recipe, ratio=0.9)
    if (scope, measure) == ("layer", "channels"):  # no other group loses more instead
        assert len(most.select(scores, SHAPE, SHAPE, 1)) == sum(SHAPE.widths) // 2
    else:
        with pytest.raises(InputError, match=f"only {sum(SHAPE.widths) // 2} more channels can be"):
            most.select(scores, SHAPE, SHAPE, 1)


def test_inf_that_a_normalisation_makes_nan_is_refused():
    def guarded(group):
        return torch.tensor([math.inf, *[1.0] * (group.width - 1)])

    pruning.criterion(guarded, normalize=criteria.per_layer)
    with pytest.raises(InputError, match=r"gave group 1.1 a score that is NaN, once normalised$"):
        saliency.SaliencyProbe(networks.build(SHAPE), "guarded", torch.Generator()).scores()


def test_a_criterion_may_work_in_place_on_the_contributions_that_it_is_given():
    pruning.criterion(lambda contributions, positions: contributions.abs_().mean(dim=0), name="inplace")
    pruning.criterion(lambda contributions, positions: contributions.abs().mean(dim=0), name="copying")
    network = networks.build(SHAPE)
    scores = []
    for name in ("inplace", "copying"):
        with saliency.SaliencyProbe(network, name, torch.Generator()) as probe:
            x = torch.linspace(0, 1, 4 * 256).reshape(4, 1, 16, 16)
            torch.nn.functional.cross_entropy(network(x), torch.arange(4)).backward()
            scores.append(torch.cat(probe.scores()))
    assert torch.equal(*scores)


def test_parameters_with_defaults_do_not_count():
    def norm(group, p=2, *more, **options):
        return group.filters().flatten(1).norm(p, dim=1)

    assert pruning.criterion(norm) is norm
    assert criteria.CRITERIA["norm"].from_weights is norm
    pruning.criterion(lambda contributions, positions, p=2: contributions.mean(dim=0), name="three")
    assert criteria.CRITERIA["three"].from_gradients is not None
    with pytest.raises(InputError, match="not 0 arguments"):
        pruning.criterion(lambda p=2: None, name="none")


def test_what_cannot_be_pickled_is_imported_where_it_arrives(tmp_path, monkeypatch):
    """And whatever stands in `sys.modules` is in nobody's way."""
    code = (
        "import threading\nLOCK = threading.Lock()\ndef largest(w):\n    return w.abs().amax(dim=(1, 2, 3))\n"
    )
    (tmp_path / "locked.py").write_text(code)
    (tmp_path / "my.py").write_text(
        "import locked\ndef score(group):\n    return locked.largest(group.filters())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    pruning.criterion(code_files.function(f"{tmp_path}/my.py:score"), name="my.py:score")
    monkeypatch.setitem(sys.modules, "blocked", None)
    monkeypatch.setitem(sys.modules, "alias", sys.modules["locked"])
    monkeypatch.setitem(sys.modules, "odd", object())
    before = cloudpickle.list_registry_pickle_by_value()
    assert file_transfer.pack_code()
    assert cloudpickle.list_registry_pickle_by_value() == before


def test_what_cannot_be_called_is_refused():
    for function in (lambda group, *, k: group, dict):
        with pytest.raises(
            InputError, match=r"the criterion odd (cannot be called with|must take) \(group\) or "
        ):
            pruning.criterion(function, name="odd")


def test_names_of_ours_and_other_arguments_are_refused(file):
    with pytest.raises(InputError, match="a criterion 'l1' is built in: choose another name"):
        pruning.criterion(lambda group: None, name="l1")
    with pytest.raises(InputError, match=r"the criterion odd must take \(group\) or .*, not 3 arguments"):
        pruning.criterion(code_files.function(file.replace("score", "odd")))


def test_workers_prune_by_it_as_this_process_does(file, tmp_path):
    """The function, what it calls and what it names go along, from a file as from a cell."""
    factor = torch.tensor(2.0)

    @pruning.criterion
    def mine(group):
        return factor * group.filters().abs().amax(dim=(1, 2, 3))

    pruning.criterion(code_files.function(file), name="my.py:score")
    first, two = prune("mine"), prune("my.py:score")
    assert first.key != two.key
    parallel.execute_all([first, two], tmp_path / "there", workers=2, device="cpu")
    parallel.execute_all([first, two], tmp_path / "here", workers=1, device="cpu")
    columns = ["group", "channel", "saliency"]
    by_workers, by_process, by_file = (
        runs.removals(run, tmp_path / place)[columns]
        for run, place in ((first, "there"), (first, "here"), (two, "there"))
    )
    pd.testing.assert_frame_equal(by_workers, by_process, rtol=1e-3)
    pd.testing.assert_frame_equal(by_workers, by_file, rtol=1e-3)  # both ask for the same
    assert by_workers["group"].tolist()[0] == -1  # no channel goes in the first round
    assert (by_workers["saliency"][1:] > 0).all()


@pytest.mark.parametrize("how", ["from helper import largest", "import helper; largest = helper.largest"])
def test_what_a_criterion_imports_from_files_goes_along(how, tmp_path, monkeypatch):
    """The other process has neither file."""
    (tmp_path / "helper.py").write_text(
        "def largest(weights):\n    return weights.abs().amax(dim=(1, 2, 3))\n"
    )
    code = f"{how}\n\ndef score(group):\n    return 2 * largest(group.filters())\n"
    (tmp_path / "my.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    name = "my.py:score"
    pruning.criterion(code_files.function(f"{tmp_path}/{name}"), name=name)
    (tmp_path / "packed").write_bytes(file_transfer.pack_code())
    monkeypatch.delitem(sys.modules, "helper")
    for path in tmp_path.glob("*.py"):
        path.unlink()
    there = f"""
from pathlib import Path
import torch
from horticulture.execution import file_transfer
from horticulture.pruning import criteria
file_transfer.unpack_code(Path("packed").read_bytes())
class Group:
    filters = staticmethod(lambda: torch.tensor([[[[1.0]], [[-3.0]]], [[[0.0]], [[2.0]]]]))
print(criteria.CRITERIA["{name}"].from_weights(Group()).tolist())
"""
    done = subprocess.run(
        [sys.executable, "-c", there], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "[6.0, 4.0]\n", done.stderr


def test_another_body_makes_another_run_and_the_same_again_the_same(tmp_path):
    keys = []
    for body in ("sum", "amax", "sum"):
        (tmp_path / body).mkdir(exist_ok=True)
        (tmp_path / body / "my.py").write_text(FILE.replace("amax", body))
        pruning.criterion(code_files.function(f"{tmp_path}/{body}/my.py:score"), name="mine")
        keys.append(prune("mine").key)
    assert keys[0] == keys[2] != keys[1]


def test_without_its_code_what_was_pruned_is_found_and_what_was_not_is_refused_first(file, tmp_path):
    pruning.criterion(code_files.function(file), name="mine")
    pruned = prune("mine")
    parallel.execute_all([pruned], tmp_path, workers=1, device="cpu")
    criteria.CRITERIA["mine"] = criteria.AbsentCriterion(
        "mine",
        digest=pruned.recipe["code"],
        missing="the code of mine is in 02_prune: run that notebook first",
    )
    again = prune("mine")
    assert again.key == pruned.key
    shape = execution.load_network(pruned, tmp_path).architecture
    tuned = execution.finetuning_run(again, 2, shape, TrainingRecipe(1, 0.01, batch_size=32))
    parallel.execute_all([again, tuned], tmp_path, workers=2, device="cpu")
    other = replace(BASE, seed=1)
    with pytest.raises(InputError, match="the code of mine is in 02_prune: run that notebook first"):
        parallel.execute_all(
            [execution.pruning_run(other, PruningRecipe(1, "mine", batch_size=32))], tmp_path
        )
    assert runs.result(other, tmp_path) is None  # before any work


def test_a_study_records_all_that_a_criterion_is_without_its_code():
    @criteria.criterion(scope="layer", penalty="slimming")
    def mine(group):
        """Size of the norm's scale."""
        return group.norm.weight.abs()

    whole, values = criteria.CRITERIA["mine"], {"criterion": "fisher,mine"}
    kept = own_code.record(values, "02_prune")
    assert list(kept) == ["mine"]
    del criteria.CRITERIA["mine"]
    own_code.register_recorded(values, json.loads(json.dumps(kept)))
    absent = criteria.CRITERIA["mine"]
    assert isinstance(absent, criteria.AbsentCriterion)
    for field in ("about", "scope", "penalty", "granularity"):
        assert getattr(absent, field) == getattr(whole, field)
    assert absent.missing == "the code of mine is in 02_prune: run that notebook first"


def test_what_the_guide_shows_is_a_criterion():
    guide = (Path(__file__).parents[1] / "docs" / "own.md").read_text()
    (shown,) = [code for code in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "criterion" in code]
    exec(shown, {})
    scores = saliency.SaliencyProbe(networks.build(SHAPE), "largest", torch.Generator()).scores()
    assert [len(score) for score in scores] == list(SHAPE.widths)
