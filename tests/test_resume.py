"""Nothing is lost: work put down at any moment is taken up again and ends with the same bits."""

import inspect
import shutil
import threading
from dataclasses import replace

import pytest
import torch

from horticulture import (
    architecture,
    checkpoints,
    cluster,
    data,
    jobs,
    networks,
    pruning,
    runs,
    store,
    training,
)
from horticulture.data import digits
from horticulture.errors import BadInput
from horticulture.pruning import Plan, Pruning
from horticulture.training import Recipe, Training
from tests import killed

SHAPE = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
RECIPE = Recipe(epochs=2, lr=0.05, batch_size=32, precision="float32")
PLAN = Plan(rounds=4, steps=3, lr=0.02, batch_size=32, precision="float32")


class PutDown(Exception):
    pass


@pytest.fixture(scope="module", autouse=True)
def little_clutter():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits, "CLUTTER_PARTS", {"train": (128, 1), "validation": (64, 2), "test": (64, 3)})
        jobs._loaded.cache_clear()
        yield
    jobs._loaded.cache_clear()


@pytest.fixture(scope="module")
def images(little_clutter):
    return data.load("clutter")


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def interrupt(after):
    """A function for `each_step` that puts the work down after so many calls."""
    calls = iter(range(after))

    def each_step():
        if next(calls, None) is None:
            raise PutDown

    return each_step


def gather(work, seen):
    """`seen.extend(work)`, but what came before an interruption is kept for certain."""
    for each in work:
        seen.append(each)


def through_a_file(state, folder):
    """What a checkpoint gives back."""
    return checkpoints.read(checkpoints.write(folder, "state", state))


@pytest.mark.parametrize("after", [0, 2, 3, 4, 6])  # an epoch has four steps
def test_a_training_put_down_at_any_step_ends_with_the_same_bits(images, tmp_path, after):
    def fresh(each_step=lambda: None):
        generator = torch.Generator().manual_seed(1)
        return Training(networks.build(SHAPE, generator), images, RECIPE, generator, each_step)

    whole = fresh()
    expected = list(whole)
    first, seen = fresh(interrupt(after)), []
    with pytest.raises(PutDown):
        gather(first, seen)
    second = Training(networks.build(SHAPE), images, RECIPE, torch.Generator())
    second.restore(through_a_file(first.state(), tmp_path))
    assert seen + list(second) == expected
    same(second.network.state_dict(), whole.network.state_dict())


@pytest.mark.parametrize("criterion", ["fisher", "random"])
@pytest.mark.parametrize("after", [0, 2, 3, 7, 13])
def test_a_pruning_put_down_at_any_step_ends_with_the_same_bits(images, tmp_path, criterion, after):
    plan = replace(PLAN, criterion=criterion)

    def fresh(each_step=lambda: None):
        return Pruning(networks.build(SHAPE, torch.Generator().manual_seed(1)), images, plan, 5, each_step)

    whole = fresh()
    expected = list(whole)
    first, seen = fresh(interrupt(after)), []
    with pytest.raises(PutDown):
        gather(first, seen)
    state = through_a_file(first.state(), tmp_path)
    shape = SHAPE.with_widths(tuple(state.numbers["widths"]))
    second = Pruning(networks.build(shape), images, plan, 5, state=state)
    assert repr(seen + list(second)) == repr(expected)  # round 0 has a saliency that is not a number
    same(second.network.state_dict(), whole.network.state_dict())


def test_killed_at_random_moments_it_ends_as_if_left_alone():
    assert killed.survive(kills=4) >= 2


# --- any round's network ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(little_clutter, tmp_path_factory):
    """A finished pruning, a state kept every second round."""
    outputs = tmp_path_factory.mktemp("outputs")
    base = jobs.train(SHAPE, RECIPE, jobs.source("clutter"), 0)
    run = jobs.prune(base, PLAN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "KEEP", 2)
        jobs.execute(run, outputs, "cpu")
    return run, outputs


@pytest.mark.parametrize("round_", range(PLAN.rounds + 1))
def test_any_round_can_be_had_back_to_the_last_bit(made, images, round_):
    run, outputs = made
    expected = {}
    assert run.start is not None
    for removal in (under_way := Pruning(jobs.load(run.start, outputs), images, PLAN, run.seed)):
        if removal.round == round_:
            expected = {name: tensor.clone() for name, tensor in under_way.network.state_dict().items()}
            break
    found = jobs.restore(run, outputs, round_, "cpu")
    same(found.state_dict(), expected)
    row = runs.removals(run, outputs).set_index("round").loc[round_]
    assert jobs.evaluate(found, images, "test", "float32") == row["test_error"]
    assert found.architecture.id == row["architecture"]


def test_a_round_that_never_was_is_refused(made):
    run, outputs = made
    with pytest.raises(BadInput, match=r"no round 5: .* has rounds 0 to 4"):
        jobs.restore(run, outputs, 5)
    with pytest.raises(BadInput, match="no round 0"):
        jobs.restore(run.start, outputs, 0)


# --- damage ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weights.safetensors", "removals.csv", "run.json"])
def test_a_truncated_file_is_noticed_named_set_aside_and_made_again(made, tmp_path, name):
    run, whole = made
    outputs = tmp_path / "outputs"
    shutil.copytree(whole, outputs)
    path = runs.folder(run, outputs) / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(UserWarning, match=rf"{name} is damaged: set aside in {run.key}.damaged-1"):
        again = jobs.execute(run, outputs, "cpu")
    assert (outputs / "runs" / f"{run.key}.damaged-1" / name).exists()
    first = runs.result(run, whole)
    assert first is not None
    timeless = [{k: v for k, v in result["metrics"].items() if k != "seconds"} for result in (first, again)]
    assert timeless[0] == timeless[1]
    weights = [runs.folder(run, place) / "weights.safetensors" for place in (whole, outputs)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.parametrize("name", ["weights.safetensors", "run.json"])
def test_a_notebook_too_has_a_damaged_run_made_again(made, tmp_path, name):
    run, whole = made
    outputs = tmp_path / "outputs"
    shutil.copytree(whole, outputs)
    path = runs.folder(run.start, outputs) / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(UserWarning, match=rf"{name} is damaged: set aside"):
        cluster.map([run.start], outputs, device="cpu")
    weights = [runs.folder(run.start, place) / "weights.safetensors" for place in (whole, outputs)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    keeper = checkpoints.Keeper(tmp_path)
    for step in range(3):
        keeper.consider(lambda step=step: training.State({"x": torch.ones(step + 1)}, {"step": step}))
    older, newest = sorted(tmp_path.glob("at-*.safetensors"))  # two are there, not three
    newest.write_bytes(newest.read_bytes()[:-1] + b"\x07")
    with pytest.warns(UserWarning, match="is damaged: set aside"):
        state = keeper.latest()
    assert state is not None
    assert state.numbers == {"step": 1}
    assert torch.equal(state.tensors["x"], torch.ones(2))
    assert older.exists()
    keeper.clear()
    assert keeper.latest() is None


def test_of_two_that_want_the_same_run_one_waits_and_makes_nothing(made):
    run, outputs = made
    before = (runs.folder(run, outputs) / "run.json").read_bytes()
    other = replace(run, seed=99)
    lock = outputs / "runs" / ".locks" / other.key
    found = []
    with store.locked(lock):
        waiting = threading.Thread(target=lambda: found.append(jobs.execute(other, outputs, "cpu")))
        waiting.start()
        waiting.join(timeout=0.5)
        assert waiting.is_alive()
        runs.folder(other, outputs).mkdir()
        runs.finish(other, outputs, {"made by": "the first"}, {})
    waiting.join(timeout=60)
    assert found[0]["metrics"] == {"made by": "the first"}
    assert (runs.folder(run, outputs) / "run.json").read_bytes() == before


def test_nothing_is_unpickled():
    """No pickle in the library: weights are safetensors, everything else JSON or CSV."""
    for room in (checkpoints, jobs, store, runs, pruning, training):
        source = inspect.getsource(room)
        assert "torch.load" not in source
        assert "import pickle" not in source
