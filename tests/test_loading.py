"""Any round is had back as it was recorded, whatever threads are at hand; where it is not, one is told."""

import math
import shutil
import signal
from dataclasses import replace

import pandas as pd
import pytest
import torch

from horticulture import architecture, execution, runs
from horticulture.errors import InputError
from horticulture.execution import checkpoints, parallel, pool
from horticulture.pruning import PruningRecipe
from horticulture.training import TrainingRecipe, evaluation, hardware

SHAPE = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
RECIPE = TrainingRecipe(epochs=1, lr=0.05, batch_size=32)
ROUNDS = 40  # every second state is kept


@pytest.fixture(scope="module")
def run():
    base = execution.training_run(
        SHAPE, RECIPE, execution.describe_data("clutter", 128), 0
    )  # as it is: workers see no other
    plan = PruningRecipe(
        rounds=ROUNDS, steps=2, lr=0.02, batch_size=32, criterion="taylor", evaluate_every=20
    )
    return execution.pruning_run(base, plan)


@pytest.fixture(scope="module")
def outputs(run, tmp_path_factory):
    """By threads: the same pruning of the same base."""
    made = {}
    for threads in (1, 2):
        made[threads] = tmp_path_factory.mktemp("outputs")
        execution.execute(run.start, made[threads], "cpu", threads=1)
        assert execution.execute(run, made[threads], "cpu", threads=threads)["about"]["threads"] == threads
    return made


def row(run, outputs, round_) -> pd.Series:
    removed = runs.removals(run, outputs)
    return removed[removed["round"] == round_].iloc[-1]


def test_the_number_of_threads_decides_the_last_bits(run, outputs):
    """Else nothing is shown by what follows."""
    first, two = (runs.removals(run, outputs[threads])["digest"] for threads in (1, 2))
    assert (first != two).sum() > ROUNDS / 2


@pytest.mark.parametrize("made", [1, 2])
@pytest.mark.parametrize("round_", [0, 7, 19, 33, ROUNDS])
def test_a_replay_with_other_threads_follows_the_record(run, outputs, made, round_):
    with hardware.threads(3 - made):
        actual = execution.restore(run, outputs[made], round_, "cpu", estimate_norms=False)
        assert torch.get_num_threads() == 3 - made
    recorded = row(run, outputs[made], round_)
    assert actual.architecture == runs.architecture_at(run, runs.removals(run, outputs[made]), round_)
    assert (actual.architecture.id, actual.architecture.params) == (
        recorded["architecture"],
        recorded["params"],
    )
    assert evaluation.weights_digest(actual) == recorded["digest"]


@pytest.mark.parametrize("made", [1, 2])
def test_so_does_a_budget_in_a_worker(run, outputs, made):
    """Two workers, a thread each: what they begin with is the network of that round, to the last bit."""
    pool.stop()
    wanted = [execution.finetuning_run(run, at, SHAPE, replace(RECIPE, epochs=0), "kept") for at in (7, 19)]
    wanted = [
        replace(tune, architecture=runs.architecture_at(run, runs.removals(run, outputs[made]), at))
        for tune, at in zip(wanted, (7, 19), strict=True)
    ]
    parallel.execute_all(wanted, outputs[made], workers=2, device="cpu")
    pool.stop()
    for tune, at in zip(wanted, (7, 19), strict=True):
        actual = execution.load_network(tune, outputs[made])
        expected = execution.restore(run, outputs[made], at, "cpu", estimate_norms=False)
        assert actual.architecture == expected.architecture
        weights = dict(expected.named_parameters())
        assert all(torch.equal(weight, weights[name]) for name, weight in actual.named_parameters())
        metrics = runs.result(tune, outputs[made])["metrics"]
        measured = execution.restore(run, outputs[made], at, "cpu")
        error = execution.measure_error(measured, execution.load_dataset("clutter", 128), "test")
        assert metrics["test_error"] == pytest.approx(error, abs=0.2)  # a tie may fall otherwise
        assert metrics["train_macs"] == 0


# --- what is not as it was recorded ----------------------------------------------------------------------


@pytest.fixture
def copied(outputs, tmp_path):
    shutil.copytree(outputs[1], tmp_path / "outputs")
    return tmp_path / "outputs"


def alter(run, outputs, column, value, round_=7):
    """Another record of a pruning run, for which its result vouches."""
    path = runs.folder(run, outputs) / "removals.csv"
    frame = pd.read_csv(path, dtype=str)
    frame.loc[frame["round"] == str(round_), column] = value
    frame.to_csv(path, index=False)
    vouch(run, outputs)


def vouch(run, outputs, **about):
    """The result written again, with other words about the machine."""
    made = runs.result(run, outputs)
    runs.write_result(run, outputs, made["metrics"], made["about"] | about, made["files"])


def test_other_weights_than_were_recorded_are_refused(run, copied):
    alter(run, copied, "digest", "0123456789ab")
    with pytest.raises(InputError, match=rf"^{run.kind} {run.key}[^\n]* round 7 has other weights [^\n]*$"):
        execution.restore(run, copied, 7, "cpu")
    execution.restore(run, copied, 8, "cpu")  # of which nothing was altered


def test_another_shape_than_was_recorded_is_refused(run, copied):
    alter(run, copied, "architecture", "0123456789ab")
    with pytest.raises(InputError, match=r"^[^\n]*round 7[^\n]*$"):
        execution.restore(run, copied, 7, "cpu")


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"widths": [10**9] * 3}, "a checkpoint has fewer weights than its network"),
        ({"threads": 10**6}, "a run has 1 to 1,024 threads, not 1000000"),
    ],
)
def test_a_checkpoint_that_asks_for_more_than_a_machine_has_is_refused(run, copied, numbers, said):
    folder = runs.folder(run, copied) / "rounds"
    number, state = checkpoints.RoundCheckpoints(folder).before(7)
    for path in folder.iterdir():
        path.unlink()
    odd = state._replace(numbers={**state.numbers, **numbers})
    checkpoints.write(folder, f"round-{number:06d}", odd)
    with pytest.raises(InputError, match=said):
        execution.restore(run, copied, 7, "cpu")


def test_what_was_made_on_another_device_is_restored_with_a_warning(run, copied, recwarn):
    execution.restore(run, copied, 7, "cpu")
    assert not recwarn.list
    vouch(run, copied, device="an abacus")
    alter(run, copied, "digest", "0123456789ab")
    with pytest.warns(
        UserWarning, match=r"made on an abacus .* same widths, but its weights are not bit-identical"
    ):
        network = execution.restore(run, copied, 7, "cpu")
    assert network.architecture.id == row(run, copied, 7)["architecture"]


def test_a_replay_removes_what_is_recorded_and_not_what_it_would_choose(run, copied):
    removed = runs.removals(run, copied)
    chosen = int(row(run, copied, 7)["group"])
    other = next(group for group in range(len(SHAPE.widths)) if group != chosen)
    channel = runs.remaining_channels(run, removed, 7)[other][0]
    alter(run, copied, "group", str(other))
    alter(run, copied, "channel", str(channel))
    shape = runs.architecture_at(run, runs.removals(run, copied), 7)
    alter(run, copied, "architecture", shape.id)
    alter(run, copied, "digest", "0123456789ab")
    vouch(run, copied, device="an abacus")
    with pytest.warns(UserWarning, match="an abacus"):
        network = execution.restore(run, copied, 7, "cpu")
    assert network.architecture == shape


def test_a_run_keeps_the_threads_that_it_began_with(run, outputs, tmp_path):
    shutil.copytree(outputs[1] / "runs" / run.start.key, tmp_path / "runs" / run.start.key)
    said = []

    def stop(share, note, rows):
        said.append(share)
        if len(said) == 9:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        execution.execute(run, tmp_path, "cpu", stop, threads=1)
    result = execution.execute(run, tmp_path, "cpu", threads=2)
    assert result["about"]["threads"] == 1
    assert row(run, tmp_path, ROUNDS)["digest"] == row(run, outputs[1], ROUNDS)["digest"]
    assert row(run, tmp_path, ROUNDS)["digest"] != row(run, outputs[2], ROUNDS)["digest"]


def test_without_a_kept_state_there_is_no_replay(run, copied):
    shutil.rmtree(runs.folder(run, copied) / "rounds")
    with pytest.raises(InputError, match=r"no checkpoint before round 7: delete .* to make the run again"):
        execution.restore(run, copied, 7, "cpu")


def test_about_sixteen_states_are_kept(run, outputs):
    """Each with its threads: a replay needs them."""
    paths = sorted((runs.folder(run, outputs[2]) / "rounds").glob("round-*"))
    assert [int(path.stem.split("-")[1]) for path in paths] == list(range(0, ROUNDS + 1, 2))
    kept = checkpoints.RoundCheckpoints(paths[0].parent)
    assert {kept.before(at)[1].numbers["threads"] for at in (0, 20, ROUNDS)} == {2}


# --- rounds that are measured ----------------------------------------------------------------------------


def test_only_every_so_many_rounds_are_measured_and_the_last(run, outputs, tmp_path):
    uneven = replace(run, recipe={**run.recipe, "rounds": 7, "evaluate_every": 3})
    shutil.copytree(outputs[1] / "runs" / run.start.key, tmp_path / "runs" / run.start.key)
    execution.execute(uneven, tmp_path, "cpu")
    removed = runs.removals(uneven, tmp_path)
    for name in ("val_error", "test_error"):
        assert removed.loc[removed[name].notna(), "round"].tolist() == [0, 3, 6, 7]
    assert removed.drop(columns=["val_error", "test_error", "saliency"]).notna().all(axis=None)
    text = (runs.folder(uneven, tmp_path) / "removals.csv").read_text().splitlines()[2]
    assert ",," in text  # an empty cell, not the word nan
    runs.record_curves(tmp_path / "study", [runs.CurvePoint("pruned-tuned", uneven, "taylor")])
    frame = runs.collect(tmp_path / "study")
    assert frame["round"].tolist() == list(range(8))
    assert [math.isnan(error) for error in frame["test_error"]] == [r not in (0, 3, 6, 7) for r in range(8)]
    every = replace(uneven, recipe={**uneven.recipe, "evaluate_every": 1})
    execution.execute(every, tmp_path, "cpu")
    whole = runs.removals(every, tmp_path)  # to measure changes nothing
    pd.testing.assert_series_equal(whole["digest"], removed["digest"])
    due = removed["test_error"].notna()
    assert whole.loc[due, "test_error"].tolist() == removed.loc[due, "test_error"].tolist()
