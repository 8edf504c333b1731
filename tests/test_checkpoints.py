"""Nothing is lost: work put down at any moment is taken up again and ends with the same bits."""

import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import save

import horticulture
from horticulture import architecture, data, execution, networks, runs, training
from horticulture.errors import InputError
from horticulture.execution import checkpoints, parallel, tasks
from horticulture.execution.run_context import RunContext
from horticulture.pruning import Pruner, PruningRecipe, unstructured
from horticulture.system import files, locks
from horticulture.training import Trainer, TrainingRecipe, evaluation, penalties
from tests import commands, killed

CLUTTER_IMAGES = (128, 64, 64)  # to train on, to validate, to test: little time goes into evaluations
pytestmark = pytest.mark.usefixtures("little_clutter")
SHAPE = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
RECIPE = TrainingRecipe(epochs=2, lr=0.05, batch_size=32, precision="float32")
PLAN = PruningRecipe(rounds=4, steps=3, lr=0.02, batch_size=32, precision="float32")
DROPOUT = """
from torch import nn

def make(image, classes):
    return nn.Sequential(
        nn.Conv2d(image[0], 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.3),
        nn.Conv2d(8, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Dropout(0.3), nn.Linear(16, classes),
    )
"""
PLANS = {
    "fisher": PLAN,
    "random": replace(PLAN, criterion="random"),
    "a share in four rounds": replace(PLAN, criterion="taylor", ratio=0.5, measure="params"),
    "a share of every group": replace(PLAN, criterion="l1", ratio=0.3),
    "single weights": replace(PLAN, criterion="magnitude", ratio=0.7),
    "by AdamW": replace(PLAN, optimizer="adamw", lr=0.002),
}
PENALISED = {
    "none": RECIPE,
    "none, by AdamW": replace(RECIPE, optimizer="adamw", lr=0.002),
    "slimming": replace(RECIPE, penalty="slimming", strength=1e-3),
    "blocks": replace(RECIPE, penalty="blocks", strength=0.02),
    "groups": replace(RECIPE, penalty="groups", strength=0.02),
}


ROWS = "runs/*/rows.jsonl"


class PutDown(Exception):
    pass


@pytest.fixture(scope="module")
def images(little_clutter):
    return data.load("clutter")


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def interrupt(after):
    """A function for `on_step` that puts the work down after so many calls."""
    calls = iter(range(after))

    def on_step():
        if next(calls, None) is None:
            raise PutDown

    return on_step


def gather(work, seen):
    """`seen.extend(work)`, but what came before an interruption is kept for certain."""
    for each in work:
        seen.append(each)


def through_a_file(state, folder):
    """What a checkpoint gives back."""
    return checkpoints.read(checkpoints.write(folder, "state", state))


def penalised(images, recipe, seed, on_step=lambda: None):
    """A training under the recipe's penalty."""
    generator = torch.Generator().manual_seed(seed)
    network = networks.build(SHAPE, generator)
    penalty = penalties.make(network, recipe.penalty, recipe.strength)
    return Trainer(network, images, recipe, generator, on_step, penalty)


@pytest.mark.parametrize("penalty", PENALISED)
@pytest.mark.parametrize("after", [0, 2, 3, 4, 6])  # an epoch has four steps
def test_a_training_put_down_at_any_step_ends_with_the_same_bits(images, tmp_path, penalty, after):
    recipe = PENALISED[penalty]
    whole = penalised(images, recipe, 1)
    expected = list(whole)
    first, seen = penalised(images, recipe, 1, interrupt(after)), []
    with pytest.raises(PutDown):
        gather(first, seen)
    second = penalised(images, recipe, 2)
    second.load_state_dict(through_a_file(first.state_dict(), tmp_path))
    assert seen + list(second) == expected
    factors = whole.callback.fold_into_weights()
    assert second.callback.fold_into_weights() == factors
    assert bool(factors) == (penalty in ("blocks", "groups"))
    same(second.network.state_dict(), whole.network.state_dict())


@pytest.mark.parametrize("after", [0, 2, 6])
def test_a_training_under_a_mask_put_down_ends_with_the_same_bits(images, tmp_path, after):
    def fresh(seed, share, on_step=lambda: None):
        generator = torch.Generator().manual_seed(seed)
        network = networks.build(SHAPE, generator)
        masked = unstructured.MaskCallback(network, unstructured.magnitude_masks(network, share))
        return Trainer(network, images, RECIPE, generator, on_step, masked)

    whole = fresh(1, 0.8)
    expected = list(whole)
    first, seen = fresh(1, 0.8, interrupt(after)), []
    with pytest.raises(PutDown):
        gather(first, seen)
    second = fresh(2, 0.1)  # other weights and another mask: both are put right
    second.load_state_dict(through_a_file(first.state_dict(), tmp_path))
    assert seen + list(second) == expected
    same(second.network.state_dict(), whole.network.state_dict())
    same(unstructured.current_masks(second.network), whole.callback.masks)


@pytest.fixture(scope="module", params=PLANS)
def pruned(request, images):
    """A plan, its pruning left alone, and what that said of its rounds."""
    plan = PLANS[request.param]
    under_way = Pruner(networks.build(SHAPE, torch.Generator().manual_seed(1)), images, plan, 5)
    return plan, under_way, list(under_way)


@pytest.mark.parametrize("after", [0, 2, 3, 7, 13])
def test_a_pruning_put_down_at_any_step_ends_with_the_same_bits(images, tmp_path, pruned, after):
    plan, whole, expected = pruned
    begun = networks.build(SHAPE, torch.Generator().manual_seed(1))
    first, seen = Pruner(begun, images, plan, 5, interrupt(after)), []
    with pytest.raises(PutDown):
        gather(first, seen)
    state = through_a_file(first.state_dict(), tmp_path)
    shape = SHAPE.with_widths(tuple(state.numbers["widths"]))
    second = Pruner(networks.build(shape), images, plan, 5, state=state)
    assert seen + list(second) == expected
    assert expected[-1].params < SHAPE.params
    same(second.network.state_dict(), whole.network.state_dict())


def test_killed_at_random_moments_it_ends_as_if_left_alone():
    assert killed.trial(seed=0) == "survived"


KILLED = """
import os, signal
from horticulture.execution.run_context import RunContext
steps, on_step = iter(range({steps})), RunContext.on_step

def counted(self, state):
    on_step(self, state)
    if next(steps, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)

RunContext.on_step = counted
"""


def test_killed_in_training_and_in_pruning_it_goes_on_with_the_draws_of_its_dropout(tmp_path):
    (tmp_path / "models.py").write_text(DROPOUT)
    network, outputs = f"{tmp_path}/models.py:make", tmp_path / "outputs"
    for steps, finished in ((6, 0), (16, 1)):  # in training, which has 12; in pruning, which has 18
        process = killed.start(outputs, network, KILLED.format(steps=steps))
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors
        assert len(list(outputs.glob("runs/*/run.json"))) == finished
        assert len({path.parent for path in outputs.glob("runs/*/at-*.safetensors")}) == 1
    _, errors = killed.start(outputs, network).communicate()
    assert killed.results(outputs) == killed.undisturbed(network), errors


def test_an_oracle_run_that_is_killed_goes_on_where_it_was(tmp_path):
    process = killed.start(tmp_path)
    commands.until(lambda: any(rows.read_bytes().count(b"rise") > 2 for rows in tmp_path.glob(ROWS)), process)
    process.kill()
    process.communicate()
    (kept,) = {path.parent for path in tmp_path.glob("runs/*/at-*.safetensors")}
    assert not (kept / "judged.csv").exists()
    _, errors = killed.start(tmp_path).communicate()
    assert killed.results(tmp_path) == killed.undisturbed(), errors


# --- runs of every kind ----------------------------------------------------------------------------------


def chains():
    """Two ways from a training run to its end, every run by a name."""
    source, tuning = execution.describe_data("clutter"), replace(RECIPE, epochs=1, lr=0.02)
    base = execution.training_run(SHAPE, RECIPE, source, 0)
    sparse = execution.pruning_run(base, replace(PLANS["single weights"], rounds=2))
    tuned = execution.finetuning_run(sparse, 2, SHAPE, tuning)
    whole = {
        "base": base,
        "sparse": sparse,
        "tuned": tuned,
        "compressed": execution.compression_run(tuned, tuning, 3),
    }
    fresh = execution.finetuning_run(sparse, 2, SHAPE, tuning, "fresh")
    blocks = execution.training_run(SHAPE, PENALISED["blocks"], source, 0)
    stroke = execution.pruning_run(blocks, replace(PLAN, criterion="blocks", rounds=1, ratio=0.1))
    oracle = execution.OracleConfig(("fisher", "random"), channels=5, steps=2, batch_size=32)
    judged = execution.oracle_run(base, oracle)
    moved = execution.moving_run(base, SHAPE, tuning, source)
    others = {"fresh": fresh, "blocks": blocks, "stroke": stroke, "judged": judged, "moved": moved}
    return {**whole, **others}


@pytest.fixture(scope="module")
def alone(little_clutter, tmp_path_factory):
    """All of them made without an interruption."""
    outputs = tmp_path_factory.mktemp("alone")
    for run in chains().values():
        execution.execute(run, outputs, "cpu")
    return outputs


CUT_SHORT = ["sparse", "tuned", "fresh", "compressed", "blocks", "stroke", "judged", "moved"]


@pytest.mark.parametrize("name", CUT_SHORT)
@pytest.mark.parametrize("after", [1, 3])
def test_a_run_of_any_kind_put_down_ends_with_the_same_files(alone, tmp_path, monkeypatch, name, after):
    run, outputs = chains()[name], tmp_path / "outputs"
    shutil.copytree(alone, outputs)
    shutil.rmtree(runs.folder(run, outputs))
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        put_down, on_step = interrupt(after), RunContext.on_step
        patch.setattr(RunContext, "on_step", lambda context, state: (on_step(context, state), put_down()))
        with pytest.raises(PutDown):
            execution.execute(run, outputs, "cpu")
    assert runs.result(run, outputs) is None
    taken_up = []
    report = RunContext.resume
    monkeypatch.setattr(
        RunContext, "resume", lambda context: taken_up.append(report(context)) or taken_up[-1]
    )
    execution.execute(run, outputs, "cpu")
    assert taken_up[0] is not None  # it did not begin anew
    mine, theirs = (killed.results(place) for place in (outputs, alone))
    assert mine == theirs
    actual, expected = (runs.result(run, place)["metrics"] for place in (outputs, alone))
    assert {**actual, "seconds": 0} == {**expected, "seconds": 0}
    if name == "compressed":
        files = [runs.folder(run, place) / "network.hortpack" for place in (outputs, alone)]
        assert files[0].read_bytes() == files[1].read_bytes()


# --- any round's network ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(little_clutter, tmp_path_factory):
    """A finished pruning, a state kept every second round."""
    outputs = tmp_path_factory.mktemp("outputs")
    base = execution.training_run(SHAPE, RECIPE, execution.describe_data("clutter"), 0)
    run = execution.pruning_run(base, PLAN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "ROUND_CHECKPOINTS", 2)
        execution.execute(run, outputs, "cpu")
    return run, outputs


@pytest.mark.parametrize("round_", range(PLAN.rounds + 1))
def test_any_round_can_be_had_back_to_the_last_bit(made, images, round_):
    run, outputs = made
    expected = {}
    assert run.start is not None
    for removal in (under_way := Pruner(execution.load_network(run.start, outputs), images, PLAN, run.seed)):
        if removal.round == round_:
            expected = {name: tensor.clone() for name, tensor in under_way.network.state_dict().items()}
            break
    actual = execution.restore(run, outputs, round_, "cpu", estimate_norms=False)
    same(actual.state_dict(), expected)
    row = runs.removals(run, outputs).set_index("round").loc[round_]
    assert evaluation.weights_digest(actual) == row["digest"]
    assert actual.architecture.id == row["architecture"]
    measured = execution.restore(run, outputs, round_, "cpu")
    assert evaluation.weights_digest(measured) != row["digest"]  # its norms have other statistics
    assert execution.measure_error(measured, images, "test") == row["test_error"]
    assert execution.measure_error(measured, images, "validation") == row["val_error"]


def test_a_round_of_a_sparse_pruning_is_had_back_with_its_mask(alone, images):
    run = chains()["sparse"]
    network = execution.load_network(run.start, alone)
    under_way = Pruner(network, images, PruningRecipe(**run.recipe), run.seed)
    for removal in under_way:
        actual = execution.restore(run, alone, removal.round, "cpu", estimate_norms=False)
        same(actual.state_dict(), under_way.network.state_dict())
        assert unstructured.count_nonzero(unstructured.current_masks(actual), actual) == removal.params


def test_a_round_that_never_was_is_refused(made):
    run, outputs = made
    with pytest.raises(InputError, match=r"no round 5: .* has rounds 0 to 4"):
        execution.restore(run, outputs, 5)
    with pytest.raises(InputError, match="no round 0"):
        execution.restore(run.start, outputs, 0)


# --- damage ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weights.safetensors", "removals.csv", "run.json"])
def test_a_truncated_file_is_noticed_named_set_aside_and_made_again(made, tmp_path, name):
    run, whole = made
    outputs = tmp_path / "outputs"
    shutil.copytree(whole, outputs)
    path = runs.folder(run, outputs) / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(UserWarning, match=rf"{name} is damaged; it was set aside in {run.key}.damaged-1"):
        again = execution.execute(run, outputs, "cpu")
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
    with pytest.warns(UserWarning, match=rf"{name} is damaged; it was set aside"):
        parallel.execute_all([run.start], outputs, device="cpu")
    weights = [runs.folder(run.start, place) / "weights.safetensors" for place in (whole, outputs)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    checkpoint = checkpoints.RollingCheckpoint(tmp_path)
    for step in range(3):
        checkpoint.maybe_save(
            lambda step=step: training.Checkpoint({"x": torch.ones(step + 1)}, {"step": step})
        )
    older, newest = sorted(tmp_path.glob("at-*.safetensors"))  # two are there, not three
    newest.write_bytes(newest.read_bytes()[:-1] + b"\x07")
    with pytest.warns(UserWarning, match="is damaged; it was set aside"):
        state = checkpoint.latest()
    assert state is not None
    assert state.numbers == {"step": 1}
    assert torch.equal(state.tensors["x"], torch.ones(2))
    assert older.exists()
    checkpoint.clear()
    assert checkpoint.latest() is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        (2).to_bytes(8, "little") + b"{}",
        (1000).to_bytes(8, "little") + b"[" * 1000,
        save({"x": torch.ones(1)}, metadata={"numbers": "[" * 100_000}),
        save({"x": torch.ones(1)}, metadata={"other": "1"}),
    ],
    ids=["empty", "no length", "no metadata", "no JSON", "deep", "no numbers"],
)
def test_a_file_that_is_no_checkpoint_is_set_aside_although_its_digest_fits(tmp_path, content):
    path = tmp_path / f"at-0-{files.digest(content)}.safetensors"
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="is damaged; it was set aside"):
        assert checkpoints.read(path) is None
    assert [left.suffix for left in tmp_path.iterdir()] == [".damaged"]


def test_the_newest_checkpoint_is_the_one_written_last_whatever_the_clock_says(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    checkpoints.write(
        tmp_path, "at-01700000000000000000", training.Checkpoint({}, {"step": 0})
    )  # of old: a time
    monkeypatch.setattr(time, "time_ns", lambda: 5)  # back to the beginning of all clocks
    for step in (1, 2, 3):
        checkpoints.RollingCheckpoint(tmp_path).maybe_save(
            lambda step=step: training.Checkpoint({}, {"step": step})
        )
        assert checkpoints.RollingCheckpoint(tmp_path).latest().numbers == {"step": step}


def test_rows_are_on_the_disk_before_the_checkpoint_that_counts_them(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    run = execution.training_run(SHAPE, RECIPE, {"name": "clutter", "images": 0}, 0)
    runs.folder(run, tmp_path).mkdir(parents=True)
    context = RunContext(run, tmp_path, torch.device("cpu"), lambda *_: None)
    context.rows.append({"epoch": 1})
    forced, fsync = [], os.fsync

    def recorded(opened):
        forced.append(Path(os.readlink(f"/proc/self/fd/{opened}")).name)
        fsync(opened)

    monkeypatch.setattr(os, "fsync", recorded)
    context.on_step(lambda: training.Checkpoint({}, {}))
    assert forced[:2] == ["rows.jsonl", run.key]
    assert forced[2].startswith("at-")
    assert forced[3:] == [run.key]


def test_a_damaged_row_of_a_pruning_run_under_way_is_noticed_and_all_made_again(made, tmp_path, monkeypatch):
    """The last row of a round that took several channels: what is left of the round looks whole."""
    base, outputs = made[0].start, tmp_path / "outputs"
    run = execution.pruning_run(base, PLANS["a share in four rounds"])
    shutil.copytree(made[1], outputs)
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    put_down, on_step = interrupt(2 * PLAN.steps), RunContext.on_step
    with monkeypatch.context() as patch:
        patch.setattr(RunContext, "on_step", lambda context, state: (on_step(context, state), put_down()))
        with pytest.raises(PutDown):
            execution.execute(run, outputs, "cpu")
    rows = runs.folder(run, outputs) / "rows.jsonl"
    lines = rows.read_bytes()
    assert lines.count(b'"round": 1') > 1
    rows.write_bytes(lines[:-1] + b"?")  # and not even its end of line is there
    with pytest.warns(UserWarning, match=r"rows\.jsonl is damaged; it was set aside"):
        execution.execute(run, outputs, "cpu")
    execution.execute(run, made[1], "cpu")
    removed = [runs.removals(run, place).drop(columns="seconds") for place in (outputs, made[1])]
    pd.testing.assert_frame_equal(*removed)


def test_of_two_that_want_the_same_run_one_waits_and_makes_nothing(made):
    run, outputs = made
    before = (runs.folder(run, outputs) / "run.json").read_bytes()
    other = replace(run, seed=99)
    lock = outputs / "runs" / ".locks" / other.key
    actual = []
    with locks.held(lock):
        waiting = threading.Thread(target=lambda: actual.append(execution.execute(other, outputs, "cpu")))
        waiting.start()
        waiting.join(timeout=0.5)
        assert waiting.is_alive()
        runs.folder(other, outputs).mkdir()
        runs.write_result(other, outputs, {"made by": "the first"}, {})
    waiting.join(timeout=60)
    assert actual[0]["metrics"] == {"made by": "the first"}
    assert (runs.folder(run, outputs) / "run.json").read_bytes() == before


def test_nothing_is_unpickled():
    """No pickle is read from a file: weights are safetensors or tensors alone, the rest JSON or CSV."""
    for path in Path(horticulture.__file__).parent.rglob("*.py"):
        source = path.read_text()
        assert source.count("torch.load(") == source.count("weights_only=True")
        if path.stem != "pool":  # between processes of its own
            assert "import pickle" not in source
