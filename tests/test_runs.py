"""Runs: keys that never change, results that are whole or not there, and one frame of them all."""

import json
import os
import shutil
import subprocess
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import horticulture
from horticulture import cli, runs
from horticulture.architecture import Architecture
from horticulture.errors import InputError
from horticulture.pruning import PruningRecipe
from horticulture.runs import CurvePoint, Run
from horticulture.system import files, locks
from horticulture.system.files import CorruptFileError
from horticulture.training import TrainingRecipe
from tests import power_cut
from tests.conftest import without_channel
from tests.test_files import count_noticed

REFERENCES = sorted((Path(__file__).parents[1] / "outputs/reference").glob("*/SHA256SUMS"))

SHAPE = Architecture("wide_resnet", 10, 10, (1, 16, 16), (16, 16, 32, 64), (16, 32, 64))
TRAIN = Run(
    kind="train",
    architecture=SHAPE,
    recipe={
        "epochs": 6,
        "lr": 0.1,
        "schedule": "steps",
        "batch_size": 128,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "precision": "float32",
        "penalty": "none",
        "strength": 0.0,
        "norms": "estimated",
        "norm_images": 512,
    },
    data={"name": "clutter", "images": 4096},
    seed=0,
)
PRUNE = Run(
    kind="prune",
    architecture=SHAPE,
    recipe={
        "rounds": 3,
        "criterion": "fisher",
        "ratio": 0.0,
        "measure": "channels",
        "scope": "global",
        "floor": 0.0,
        "steps": 100,
        "lr": 8e-4,
        "batch_size": 128,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "precision": "float32",
        "norms": "estimated",
        "norm_images": 512,
        "evaluate_every": 1,
    },
    data=TRAIN.data,
    seed=0,
    start=TRAIN,
)
GONE = (1, 1, 2)  # the groups that PRUNE takes a channel from


def finish(run: Run, outputs: Path, *, train_macs: int = 1000, test_error: float = 20.0) -> None:
    metrics = {
        "recipe": "6 epochs",
        "val_error": 21.5,
        "test_error": test_error,
        "train_macs": train_macs,
        "seconds": 3.5,
    }
    runs.write_result(run, outputs, metrics, {"device": "an abacus"})


def rounds() -> pd.DataFrame:
    """What a pruning run writes: round 0 removes nothing."""
    rows, shape = [], SHAPE
    for number, group in enumerate((-1, *GONE)):
        shape = shape if group < 0 else without_channel(shape, group)
        rows.append(
            {
                "run": PRUNE.key,
                "round": number,
                "group": group,
                "channel": number - 1,
                "saliency": float("nan") if group < 0 else 0.5,
                "params": shape.params,
                "macs": shape.macs,
                "val_error": 20.0 + number,
                "test_error": 30.0 + number,
                "loss": 1.0,
                "train_macs": 5000 + 100 * number,
                "seconds": float(number),
                "architecture": shape.id,
                "digest": f"{number:012x}",
            }
        )
    return pd.DataFrame(rows)[runs.REMOVAL_COLUMNS]


def finish_pruning(outputs: Path, frame: pd.DataFrame) -> None:
    runs.folder(PRUNE, outputs).mkdir(parents=True)
    frame.to_csv(runs.folder(PRUNE, outputs) / "removals.csv", index=False)
    finish(PRUNE, outputs)


# --- keys ------------------------------------------------------------------------------------------------


def test_keys_are_frozen():
    """If this fails, every finished run on every disk is made again: days of work. A new setting must be
    left out of the description where it has its default. To freeze them anew, with a higher `runs.VERSION`:
    python -c "from tests.test_runs import PRUNE, TRAIN; print(TRAIN.key, PRUNE.key)" """
    assert TRAIN.key == "ab1b818589c0"
    assert PRUNE.key == "c46fabf3b43b"


def test_what_is_frozen_is_what_runs_are_described_by():
    assert TrainingRecipe(**TRAIN.recipe).to_json() == TRAIN.recipe
    assert PruningRecipe(**PRUNE.recipe).to_json() == PRUNE.recipe


def test_a_key_ignores_nothing_that_fixes_a_run():
    others = [
        replace(TRAIN, kind="prune"),
        replace(TRAIN, architecture=without_channel(SHAPE, 0)),
        replace(TRAIN, data={**TRAIN.data, "images": 4095}),
        replace(TRAIN, data={**TRAIN.data, "name": "cifar10"}),
        replace(TRAIN, seed=1),
        replace(TRAIN, start=PRUNE),
        *(replace(TRAIN, recipe={**TRAIN.recipe, name: "another"}) for name in TRAIN.recipe),
        replace(PRUNE, start=replace(TRAIN, seed=1)),
        PRUNE,
    ]
    keys = {TRAIN.key, *(other.key for other in others)}
    assert len(keys) == 1 + len(others)


def test_a_key_does_not_depend_on_the_order_of_names():
    backwards = dict(reversed(TRAIN.recipe.items()))
    assert list(backwards) != list(TRAIN.recipe)
    assert replace(TRAIN, recipe=backwards).key == TRAIN.key


@pytest.mark.parametrize("run", [TRAIN, PRUNE], ids=lambda run: run.kind)
def test_a_run_goes_through_json_unchanged(run):
    again = Run.from_json(json.loads(json.dumps(run.to_json())))
    assert again == run
    assert again.key == run.key


# --- one run on disk -------------------------------------------------------------------------------------


def test_a_result_is_there_only_when_it_was_finished(tmp_path):
    assert runs.result(TRAIN, tmp_path) is None
    runs.folder(TRAIN, tmp_path).mkdir(parents=True)
    assert runs.result(TRAIN, tmp_path) is None
    finish(TRAIN, tmp_path, test_error=12.5)
    actual = runs.result(TRAIN, tmp_path)
    assert actual["metrics"]["test_error"] == 12.5
    assert Run.from_json(actual["run"]) == TRAIN
    assert (tmp_path / "runs" / TRAIN.key / "run.json").exists()
    assert runs.result(PRUNE, tmp_path) is None


def test_a_result_of_another_run_is_not_believed(tmp_path):
    other = replace(TRAIN, seed=TRAIN.seed + 1)
    for run, error in ((TRAIN, 12.5), (other, 50.0)):
        runs.folder(run, tmp_path).mkdir(parents=True)
        finish(run, tmp_path, test_error=error)
    shutil.copy(runs.folder(other, tmp_path) / "run.json", runs.folder(TRAIN, tmp_path) / "run.json")
    with pytest.raises(CorruptFileError, match=TRAIN.key):
        runs.result(TRAIN, tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"run": {}}', b"\xff\xfe", b"[]", b"null", b"3"],
    ids=lambda content: repr(content)[2:-1],
)
def test_a_damaged_result_is_refused_by_its_path(tmp_path, content):
    path = runs.folder(TRAIN, tmp_path) / "run.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{path} is damaged: run the study again"):
        runs.result(TRAIN, tmp_path)


def test_no_altered_byte_of_a_result_or_its_table_goes_unnoticed_or_changes_anything(tmp_path):
    finish_pruning(tmp_path, rounds())
    where = runs.folder(PRUNE, tmp_path)
    runs.write_result(PRUNE, tmp_path, {"test_error": 12.5}, {"device": "an abacus"}, ["removals.csv"])
    # What remains are blanks.
    assert count_noticed(where / "run.json", lambda: runs.result(PRUNE, tmp_path)) > 0.5
    assert count_noticed(where / "removals.csv", lambda: runs.removals(PRUNE, tmp_path).to_csv()) == 1


def test_answers_that_were_altered_are_refused(tmp_path):
    where = runs.folder(TRAIN, tmp_path)
    runs.write_image_errors(where, runs.ImageErrors(np.array([True, False]), np.array([3, 4])))
    runs.write_result(TRAIN, tmp_path, {}, {}, [runs.IMAGE_ERRORS])
    with np.load(where / runs.IMAGE_ERRORS) as arrays:
        assert set(arrays) == {"wrong", "source"}  # as earlier versions wrote them

    def read():
        wrong, original = runs.image_errors(TRAIN.key, tmp_path)
        return wrong.tolist(), original.tolist()

    assert read() == ([True, False], [3, 4])
    assert count_noticed(where / runs.IMAGE_ERRORS, read) == 1


def test_removals_come_back_as_they_were_written(tmp_path):
    with pytest.raises(InputError, match=r"is not finished.*removals\.csv"):
        runs.removals(PRUNE, tmp_path)
    finish_pruning(tmp_path, rounds())
    pd.testing.assert_frame_equal(runs.removals(PRUNE, tmp_path), rounds())


def test_a_table_of_a_run_is_read_if_it_is_finished_and_unaltered(tmp_path):
    table = runs.folder(TRAIN, tmp_path) / "epochs.csv"
    files.write(table, "epoch,loss\n1,2.5\n")
    with pytest.raises(InputError, match="not finished"):
        runs.run_table(TRAIN, tmp_path, table.name)
    runs.write_result(TRAIN, tmp_path, {}, {}, [table.name])
    assert runs.run_table(TRAIN, tmp_path, table.name).to_dict("list") == {"epoch": [1], "loss": [2.5]}
    table.write_text("epoch,loss\n1,2.4\n")
    with pytest.raises(files.CorruptFileError, match=r"epochs\.csv is damaged"):
        runs.run_table(TRAIN, tmp_path, table.name)


@pytest.mark.parametrize("name", ["files", "metrics", "run"])
@pytest.mark.parametrize("content", [[], 3, "text"])
def test_a_result_whose_digest_is_right_may_still_be_no_result(tmp_path, name, content):
    """A stranger's: sealed, with something else than a dict in it."""
    finish_pruning(tmp_path, rounds())
    path = runs.folder(PRUNE, tmp_path) / "run.json"
    files.write_json(path, {**files.read_json(path), name: content})
    for read in (runs.result, runs.verified_result, runs.removals):
        with pytest.raises(InputError, match=rf"{path} is damaged"):
            read(PRUNE, tmp_path)


@pytest.mark.parametrize("damage", ["empty", "a column lost", "cut within a line", "a line lost", "not text"])
def test_damaged_removals_are_refused_by_their_path(tmp_path, damage):
    finish_pruning(tmp_path, rounds())
    path = runs.folder(PRUNE, tmp_path) / "removals.csv"
    if damage == "empty":
        path.write_text("")
    elif damage == "a column lost":
        rounds().drop(columns="channel").to_csv(path, index=False)
    elif damage == "cut within a line":
        path.write_text(path.read_text().rpartition(",")[0] + ",")
    elif damage == "a line lost":
        rounds()[:-1].to_csv(path, index=False)
    else:
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=rf"{path} is damaged"):
        runs.removals(PRUNE, tmp_path)


def test_removals_of_more_rounds_than_fit_into_memory_are_refused(tmp_path):
    """As a stranger's run may claim."""
    endless = replace(PRUNE, recipe={**PRUNE.recipe, "rounds": 10**15})
    path = runs.folder(endless, tmp_path) / "removals.csv"
    path.parent.mkdir(parents=True)
    rounds().to_csv(path, index=False)
    with pytest.raises(InputError, match=rf"{path} is damaged"):
        runs.removals(endless, tmp_path)


def test_the_architecture_after_a_round_by_hand():
    expected = [(16, 32, 64), (16, 31, 64), (16, 30, 64), (16, 30, 63)]
    for number, widths in enumerate(expected):
        assert runs.architecture_at(PRUNE, rounds(), number) == SHAPE.with_widths(widths)
    for number in (-1, 4):
        with pytest.raises(InputError, match=rf"no round {number}.*rounds 0 to 3"):
            runs.architecture_at(PRUNE, rounds(), number)


def several() -> pd.DataFrame:
    """Two channels in the first round, nothing in the second, single weights in the third."""
    frame = rounds().iloc[[0, 1, 2, 2, 2]].reset_index(drop=True)
    frame["round"], frame["group"], frame["channel"] = [0, 1, 1, 2, 3], [-1, 1, 1, -1, -1], [-1, 0, 5, -1, -1]
    frame.loc[frame["group"] < 0, "saliency"] = float("nan")
    last = SHAPE.with_widths((16, 30, 64))
    frame.loc[1:, ["params", "macs", "architecture"]] = last.params, last.macs, last.id
    frame.loc[4, "params"] = last.params - 50
    return frame


def test_a_round_may_take_several_channels_or_none(tmp_path):
    finish_pruning(tmp_path, several())
    removed = runs.removals(PRUNE, tmp_path)
    pd.testing.assert_frame_equal(removed, several())
    shapes = [runs.architecture_at(PRUNE, removed, number).widths for number in range(4)]
    assert shapes == [(16, 32, 64), *[(16, 30, 64)] * 3]
    remaining = runs.remaining_channels(PRUNE, removed, 3)
    assert remaining == [list(range(16)), [c for c in range(32) if c not in (0, 5)], list(range(64))]
    runs.record_curves(tmp_path / "trial", [CurvePoint("pruned-tuned", PRUNE, "l1", ratio=0.02)])
    frame = runs.collect(tmp_path / "trial")
    assert frame["round"].tolist() == [0, 1, 2, 3]  # a row for every network, however many channels went
    whole, last = SHAPE.params, SHAPE.params - 868
    assert frame["params"].tolist() == [whole, last, last, last - 50]
    assert frame["ratio"].tolist() == [0.02] * 4
    actual = runs.architectures(tmp_path / "trial")
    assert set(frame["architecture"]) == set(actual)
    assert {shape.widths for shape in actual.values()} == {(16, 32, 64), (16, 30, 64)}


def test_the_size_that_a_run_measured_is_the_one_in_the_results(tmp_path):
    """A sparse network has the shape of the whole one, but not its parameters."""
    metrics = {"recipe": "", "val_error": 1.0, "test_error": 2.0, "train_macs": 3, "seconds": 4.0}
    runs.write_result(TRAIN, tmp_path, {**metrics, "params": 123, "bytes": 456}, {"device": "here"})
    again = replace(TRAIN, seed=1)
    runs.write_result(again, tmp_path, metrics, {"device": "there"})
    runs.record_curves(
        tmp_path / "trial", [CurvePoint("compressed", TRAIN, "magnitude"), CurvePoint("width", again)]
    )
    frame = runs.collect(tmp_path / "trial").set_index("curve")
    assert frame["params"].to_dict() == {"compressed": 123, "width": SHAPE.params}
    assert frame.loc["compressed", "bytes"] == 456
    assert pd.isna(frame.loc["width", "bytes"])
    assert frame["device"].to_dict() == {"compressed": "here", "width": "there"}
    assert set(frame["precision"]) == {"float32"}


def test_the_round_nearest_in_size_by_hand():
    frame = rounds()  # one channel of the second group: 9 * 16 + 9 * 32 + 2 = 434; of the third: 866
    assert frame["params"].diff().tolist()[1:] == [-434, -434, -866]
    whole = SHAPE.params
    assert runs.nearest_round(frame, whole + 5000) == 0
    assert runs.nearest_round(frame, whole - 216) == 0
    assert runs.nearest_round(frame, whole - 218) == 1
    assert runs.nearest_round(frame, whole - 868 - 432) == 2
    assert runs.nearest_round(frame, whole - 868 - 434) == 3
    assert runs.nearest_round(frame, 0) == 3


# --- a study's curves ------------------------------------------------------------------------------------


@pytest.fixture
def study(tmp_path) -> Path:
    """The whole network, its pruning of three rounds, and a shape from scratch that cost 700 to find."""
    again = replace(TRAIN, architecture=SHAPE.with_widths((16, 30, 64)))
    finish(TRAIN, tmp_path, train_macs=1000, test_error=10.0)
    finish(again, tmp_path, train_macs=90, test_error=11.0)
    finish_pruning(tmp_path, rounds())
    members = [
        CurvePoint("whole", TRAIN),
        CurvePoint("pruned-tuned", PRUNE, "fisher"),
        CurvePoint("pruned-scratch", again, "fisher", round=2, search_macs=700),
    ]
    runs.record_curves(tmp_path / "trial", members)
    return tmp_path / "trial"


def test_recorded_members_come_back(study):
    actual = {member.curve: member for member in runs.read_curves(study)}
    assert set(actual) == {"whole", "pruned-tuned", "pruned-scratch"}
    assert actual["whole"] == CurvePoint("whole", TRAIN)
    assert actual["pruned-tuned"] == CurvePoint("pruned-tuned", PRUNE, "fisher")
    assert actual["pruned-scratch"][2:] == ("fisher", 2, 700, None, 1.0, 0)


def test_recording_replaces_the_same_curve_and_criterion_and_no_other(study):
    other = replace(TRAIN, seed=5)
    runs.record_curves(
        study,
        [CurvePoint("pruned-tuned", PRUNE, "l1"), CurvePoint("whole", other), CurvePoint("whole", TRAIN)],
    )
    actual = [(member.curve, member.criterion, member.run.seed) for member in runs.read_curves(study)]
    assert sorted(actual) == [
        ("pruned-scratch", "fisher", 0),
        ("pruned-tuned", "fisher", 0),
        ("pruned-tuned", "l1", 0),
        ("whole", "", 0),
        ("whole", "", 5),
    ]


def test_results_have_a_row_for_every_network_that_was_evaluated(study):
    frame = runs.collect(study)
    assert list(frame.columns[: len(runs.RESULT_COLUMNS)]) == runs.RESULT_COLUMNS
    assert frame["curve"].value_counts().to_dict() == {"pruned-tuned": 4, "whole": 1, "pruned-scratch": 1}
    assert set(frame["study"]) == {"trial"}
    pruned = frame[frame["curve"] == "pruned-tuned"].sort_values("round")
    assert pruned["round"].tolist() == [0, 1, 2, 3]
    assert pruned["params"].tolist() == [SHAPE.params - lost for lost in (0, 434, 868, 1734)]
    assert pruned["test_error"].tolist() == [30, 31, 32, 33]
    assert pruned["architecture"].tolist()[2] == SHAPE.with_widths((16, 30, 64)).id
    assert set(pruned["run"]) == {PRUNE.key}


def test_the_training_of_a_shape_includes_what_it_cost_to_find_it(study):
    frame = runs.collect(study).set_index("curve")
    assert frame.loc["pruned-scratch", "train_macs"] == 700 + 90
    assert frame.loc["whole", "train_macs"] == 1000
    assert frame.loc["pruned-tuned", "train_macs"].tolist() == [5000, 5100, 5200, 5300]
    scratch = frame.loc["pruned-scratch"]
    assert (scratch["round"], scratch["criterion"], scratch["epochs"]) == (2, "fisher", 6)
    assert scratch["params"] == SHAPE.params - 868
    assert scratch["test_error"] == 11.0
    assert pd.isna(frame.loc["whole", "round"])
    assert frame.loc["whole", "criterion"] == ""


def test_a_study_of_simple_families_alone_can_be_collected(tmp_path):
    finish(TRAIN, tmp_path)
    runs.record_curves(tmp_path / "small", [CurvePoint("width", TRAIN)])
    frame = runs.collect(str(tmp_path / "small"))
    assert frame["round"].isna().all()
    assert frame["run"].tolist() == [TRAIN.key]
    assert runs.collect_removals(tmp_path / "small").columns.tolist() == runs.REMOVAL_COLUMNS


def test_all_removals_of_a_study_are_in_one_frame(study):
    pd.testing.assert_frame_equal(runs.collect_removals(study), rounds())


def test_every_short_id_of_the_results_can_be_resolved(study):
    actual = runs.architectures(study)
    assert set(runs.collect(study)["architecture"]) <= set(actual)
    for short, shape in actual.items():
        assert shape.id == short
    expected = {(16, 32, 64), (16, 31, 64), (16, 30, 64), (16, 30, 63)}
    assert {shape.widths for shape in actual.values()} == expected


def test_the_architectures_that_were_trained_are_kept_for_where_the_runs_are_not(study, tmp_path):
    results, known = runs.collect(study), runs.architectures(study)
    runs.write_architectures(study, results)
    elsewhere = tmp_path / "copied"
    elsewhere.mkdir()
    (study / "architectures.json").rename(elsewhere / "architectures.json")
    actual = runs.architectures(elsewhere)
    trained = results[(results["curve"] != "pruned-tuned") | (results["round"] == 0)]
    assert actual == {name: known[name] for name in trained["architecture"]}
    assert len(actual) < len(known)  # the rounds follow from the removals


def test_every_table_and_the_architectures_have_a_checksum_that_sha256sum_knows(study):
    results = runs.collect(study)
    for _ in range(2):  # the second time in place of the first
        runs.write_tables(study, results=results, removals=runs.collect_removals(study))
        runs.write_architectures(study, results)
        runs.write_architectures(study, results)
    check_sums(study)
    (study / "SHA256SUMS").unlink()  # a new one would lack the tables, which would count as damaged
    runs.write_architectures(study, results)
    assert runs.files_without_digest(study) == [study / "results.csv", study / "removals.csv"]


def test_tables_and_architectures_are_written_in_any_order(study):
    results = runs.collect(study)
    runs.write_architectures(study, results)
    runs.write_tables(study, results=results, removals=runs.collect_removals(study))
    check_sums(study)


def check_sums(study: Path) -> None:
    sums = (study / "SHA256SUMS").read_text().splitlines()
    assert [line.split()[1] for line in sums] == ["results.csv", "removals.csv", "architectures.json"]
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=study, check=True)


def test_altered_architectures_are_noticed_where_they_are_listed(published):
    results = runs.collect(published)
    sums, written = published / "SHA256SUMS", published / "architectures.json"
    runs.write_tables(published, results=results, removals=runs.collect_removals(published))
    files.write_json(written, {})
    assert runs.files_without_digest(published) == []  # of an earlier version, which did not list them
    assert runs.architectures(published) == {}
    with sums.open("a") as lines:
        lines.write(f"{64 * '0'}  architectures.json\n")
    for read in (runs.files_without_digest, runs.architectures):
        with pytest.raises(CorruptFileError, match=r"architectures\.json is damaged, or SHA256SUMS"):
            read(published)


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda path: path.parent.name)
def test_the_checksums_of_the_reference_studies_hold_for_every_table(reference):
    names = {line.split()[1] for line in reference.read_text().splitlines()}
    assert names == {"architectures.json", *(path.name for path in reference.parent.glob("*.csv"))}
    subprocess.run(["sha256sum", "--check", "--strict", reference.name], cwd=reference.parent, check=True)


def test_results_that_were_published_without_their_runs_are_read_from_the_table(study, tmp_path):
    published = tmp_path / "elsewhere" / "trial"
    published.mkdir(parents=True)
    frame = runs.collect(study)
    frame.to_csv(published / "results.csv", index=False)
    again = runs.collect(published)
    pd.testing.assert_frame_equal(again, frame)
    assert (again["round"].dtype, again["ratio"].dtype, again["bytes"].dtype) == ("Int64", float, "Int64")


def test_no_altered_byte_of_a_curve_goes_unnoticed_or_changes_anything(study):
    path = study / "curves" / "pruned-scratch-fisher.json"
    assert count_noticed(path, lambda: runs.read_curves(study)) > 0.4  # the rest are blanks


@pytest.mark.parametrize("target", ["nowhere", "whole.json"])
def test_a_curve_that_is_a_link_to_no_file_is_missing(study, target):
    gone = study / "curves" / "whole.json"
    gone.unlink()
    gone.symlink_to(target)
    with pytest.raises(CorruptFileError, match=r"whole\.json is missing: run the study again"):
        runs.collect(study)


@pytest.fixture
def published(study, tmp_path) -> Path:
    """Tables without their runs."""
    folder = tmp_path / "elsewhere" / "trial"
    folder.mkdir(parents=True)
    runs.write_tables(folder, results=runs.collect(study), removals=runs.collect_removals(study))
    return folder


def test_no_altered_byte_of_a_published_table_goes_unnoticed(published):
    for name, collect in (("results", runs.collect), ("removals", runs.collect_removals)):
        assert count_noticed(published / f"{name}.csv", lambda: collect(published).to_csv()) == 1  # noqa: B023
    sums = published / "SHA256SUMS"
    subprocess.run(["sha256sum", "--check", "--strict", sums.name], cwd=published, check=True)
    noticed = count_noticed(
        sums, lambda: runs.collect(published).to_csv(), named=str(published / "results.csv")
    )
    assert 0.4 < noticed < 0.6  # one of its two lines


@pytest.mark.parametrize("again", [False, True])
def test_a_curve_that_is_gone_is_missed(study, capsys, again):
    """By all that reads curves, until it is made anew."""
    gone = study / "curves" / "whole.json"
    points, whole = runs.read_curves(study), gone.read_bytes()
    gone.unlink()
    if again:  # another curve is recorded since
        runs.record_curves(study, [point for point in points if point.curve == "pruned-scratch"])
    for command in (["show", "trial"], ["clean"]):
        assert cli.main([*command, "--outputs", str(study.parent)]) == 2
        assert capsys.readouterr().err.count(f"{gone} is missing: run the study again") == 1
    with pytest.raises(CorruptFileError):
        runs.collect(study)
    runs.record_curves(study, [point for point in points if point.curve == "whole"])
    assert gone.read_bytes() == whole
    assert runs.read_curves(study) == points
    runs.forget_curves(study)
    assert runs.read_curves(study) == []


@pytest.mark.parametrize("content", ["{}", "[]", '{"files": 3}', "3"])
def test_an_index_that_is_none_is_refused_by_its_path_until_it_is_made_anew(study, content):
    index, points = study / "curves" / "index", runs.read_curves(study)
    index.write_text(content)
    with pytest.raises(CorruptFileError, match=f"{index} is damaged"):
        runs.collect(study)
    runs.record_curves(study, points)
    assert runs.read_curves(study) == points


def test_curves_that_were_removed_do_not_come_back_after_a_power_cut(tmp_path):
    """Those of another base, or of a pruning that was replaced, would be taken for results."""
    disk, study = power_cut.Disk(tmp_path), tmp_path / "trial"
    with disk.following():
        files.make_folder(study / "curves")
        runs.record_curves(study, found_by(pruned_with(2)))
        runs.record_curves(study, [CurvePoint("pruned-tuned", pruned_with(3), "fisher")])
        replaced = len(disk.moments)
        runs.forget_curves(study)
    certain = [{Path(path).name for path in moment.certain} for moment in disk.moments]
    assert certain[replaced] == {"index", "pruned-tuned-fisher.json"}
    assert certain[-1] == set()


def test_what_nothing_vouches_for_is_named(study, published, capsys):
    assert runs.files_without_digest(study) == runs.files_without_digest(published) == []
    assert cli.main(["show", "trial", "--outputs", str(published.parent)]) == 0
    assert "not verified" not in capsys.readouterr().out
    (published / "SHA256SUMS").unlink()  # as an earlier version left it
    assert runs.files_without_digest(published) == [published / "results.csv", published / "removals.csv"]
    assert cli.main(["show", "trial", "--outputs", str(published.parent)]) == 0
    assert (
        capsys.readouterr().out.count(
            "not verified, written without a digest by an earlier version: results.csv and 1 more"
        )
        == 1
    )
    curve, result = study / "curves" / "whole.json", runs.folder(TRAIN, study.parent) / "run.json"
    curve.write_text(json.dumps(files.read_json(curve)["points"]))
    result.write_text(json.dumps(files.read_json(result)))
    assert runs.files_without_digest(study) == [curve, result]
    (curve.parent / "index").unlink()
    assert runs.files_without_digest(study) == [curve, result, *sorted(set(curve.parent.iterdir()) - {curve})]
    assert len(runs.collect(study)) == 6


def test_a_damaged_table_is_one_line_of_show(study, published, capsys):
    for folder in (study, published):
        runs.write_tables(folder, results=runs.collect(study))
        path = folder / "results.csv"
        path.write_bytes(path.read_bytes().replace(b"30.0", b"20.0"))
        assert cli.main(["show", "trial", "--outputs", str(folder.parent)]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith(f"horticulture: {path} is damaged, or SHA256SUMS beside it is: run")
        assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (",whole,", ",{x},", 0),
        (",whole,", ",{criterion:>4000000000},", 0),
        (",whole,", ",\x1b]0;mine\x07,", 0),
        (",30.0,", ",thirty,", 2),
    ],
)
def test_odd_text_in_a_strangers_table_does_nothing(published, capsys, old, new, code):
    (published / "SHA256SUMS").unlink()
    path = published / "results.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert cli.main(["show", "trial", "--outputs", str(published.parent)]) == code
    said = capsys.readouterr()
    assert "\x1b" not in said.out
    assert said.err == (
        f"horticulture: {path} is damaged: run the study again to remake it\n" if code else ""
    )


def test_a_pipe_in_place_of_a_file_is_not_read(published, capsys):
    """To open one would wait for ever for whoever writes into it."""
    for name in ("results.csv", "SHA256SUMS", "curves/whole.json", "curves/index"):
        path = published / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        assert cli.main(["show", "trial", "--outputs", str(published.parent)]) == 2
        assert f"{path} is damaged" in capsys.readouterr().err
        path.unlink()


@pytest.mark.parametrize("name", ["run.json", "removals.csv", "answers.npz", "weights.safetensors"])
def test_a_pipe_among_the_files_of_a_run_is_noticed_and_not_read(study, name):
    path = runs.folder(PRUNE, study.parent) / name
    runs.write_image_errors(path.parent, runs.ImageErrors(np.array([True]), np.array([3])))
    path.with_name("weights.safetensors").write_bytes(b"weights")
    every = ["removals.csv", "answers.npz", "weights.safetensors"]
    runs.write_result(PRUNE, study.parent, {}, {}, every)
    path.unlink()
    os.mkfifo(path)
    for read in (
        lambda: runs.verified_result(PRUNE, study.parent),
        lambda: runs.read_verified(path.parent, name),
    ):
        with pytest.raises(CorruptFileError, match=f"{path} is damaged"):
            read()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("curves/whole.json", '"kind"', '"kinf"'),
        ("curves/whole.json", '"seed": 0', '"seee": 0'),
        ("curves/whole.json", '"curve"', '"curvf"'),
        ("curves/whole.json", '"depth": 10', '"depth": "ten"'),
        ("curves/whole.json", '"widths": [16', '"widths": [Infinity'),
        (f"../runs/{TRAIN.key}/run.json", '"device"', '"devicf"'),
        (f"../runs/{TRAIN.key}/run.json", '"recipe": "6', '"recipf": "6'),
    ],
)
def test_damage_of_what_has_no_digest_is_one_line_too(study, name, old, new):
    path = study / name
    text = json.dumps(files.read_json(path))  # without the seal
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    with pytest.raises(CorruptFileError, match=f"{path.name} is damaged"):
        runs.collect(study)


@pytest.mark.parametrize(
    "change",
    [
        *({name: None} for name in ("kind", "architecture", "recipe", "data", "seed")),
        *({"recipe": []}, {"data": {"name": ["clutter"]}}, {"start": {"kind": "train"}}, {"more": 1}),
        {"architecture": {**SHAPE.to_json(), "widths": [float("inf")] * 3}},
    ],
    ids=str,
)
def test_what_describes_no_run_is_refused_in_one_line_even_if_it_is_sealed(study, capsys, change):
    described = {**TRAIN.to_json(), **change}
    with pytest.raises(InputError, match="this describes no run"):
        Run.from_json(described)
    path = study / "curves" / "whole.json"
    files.write_json(path, {"points": [{"curve": "whole", "run": described}]})
    for command in (["show", "trial"], ["clean"]):
        assert cli.main([*command, "--outputs", str(study.parent)]) == 2
        assert f"{path} is damaged" in capsys.readouterr().err
    runs.record_curves(study, [CurvePoint("whole", TRAIN)])
    path = runs.folder(TRAIN, study.parent) / "run.json"
    files.write_json(path, {**files.read_json(path), "run": described})
    assert cli.main(["clean", "--outputs", str(study.parent)]) == 0


def test_a_round_without_end_is_refused(study):
    runs.record_curves(study, [CurvePoint("whole", TRAIN, round=float("inf"))])
    with pytest.raises(CorruptFileError, match=f"{study} is damaged"):
        runs.collect(study)


@pytest.mark.parametrize("value", ["ten", [10.0], {}])
def test_a_result_that_is_no_number_is_refused(study, value):
    """Sealed, for a stranger can do that too."""
    path = runs.folder(TRAIN, study.parent) / "run.json"
    content = files.read_json(path)
    content["metrics"]["test_error"] = value
    files.write_json(path, content)
    with pytest.raises(CorruptFileError, match=f"{study} is damaged"):
        runs.collect(study)
    content["metrics"]["test_error"], content["about"]["device"] = 10.0, [value]
    files.write_json(path, content)
    with pytest.raises(CorruptFileError, match=f"{study} is damaged"):
        runs.collect(study)


def test_results_that_are_not_there_are_refused(study, tmp_path):
    with pytest.raises(InputError, match=rf"no results in {tmp_path / 'nothing'}"):
        runs.collect(tmp_path / "nothing")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "results.csv").write_text("study,curve\n")
    with pytest.raises(InputError, match=r"results\.csv lacks the columns criterion, family"):
        runs.collect(tmp_path / "nothing")
    (tmp_path / "nothing" / "results.csv").write_text(",".join(runs.RESULT_COLUMNS))
    with pytest.raises(InputError, match=r"no results in .*results\.csv"):
        runs.collect(tmp_path / "nothing")
    (tmp_path / "nothing" / "removals.csv").write_text("run,round\n")
    with pytest.raises(InputError, match=r"removals\.csv lacks the columns group, channel"):
        runs.collect_removals(tmp_path / "nothing")
    (runs.folder(TRAIN, tmp_path) / "run.json").unlink()
    with pytest.raises(InputError, match=rf"{TRAIN.key}.*curve whole is not finished"):
        runs.collect(study)
    shutil.rmtree(tmp_path / "runs")  # the study's folder was copied alone
    with pytest.raises(InputError, match=rf"of the curve \S+ is missing: copy {tmp_path / 'runs'} "):
        runs.collect(study)


def test_damaged_curves_are_refused_by_their_path(study):
    (study / "curves" / "whole.json").write_text("[{")
    with pytest.raises(InputError, match=r"whole\.json is damaged"):
        runs.collect(study)


def test_outputs_go_where_they_are_asked_to(tmp_path, monkeypatch):
    monkeypatch.setenv("HORTICULTURE_OUTPUTS", str(tmp_path / "from env"))
    assert runs.outputs_folder() == tmp_path / "from env"
    assert runs.outputs_folder(tmp_path / "asked") == tmp_path / "asked"
    monkeypatch.chdir(tmp_path)
    assert runs.outputs_folder("here") == tmp_path / "here"
    monkeypatch.delenv("HORTICULTURE_OUTPUTS")
    assert runs.outputs_folder() == Path(horticulture.__file__).parents[2] / "outputs"


def test_the_same_data_in_another_place_is_the_same_run():
    here = replace(TRAIN, data={"name": "folder:/here", "images": 8, "digest": "abc"})
    elsewhere = replace(TRAIN, data={"name": "folder:/there", "images": 8, "digest": "abc"})
    other = replace(TRAIN, data={"name": "folder:/here", "images": 8, "digest": "abd"})
    assert here.key == elsewhere.key != other.key
    cut = [runs.Run("prune", run.architecture, {}, run.data, 0, run) for run in (here, elsewhere, other)]
    assert cut[0].key == cut[1].key != cut[2].key


def test_measured_rounds_stay_when_their_pruning_is_recorded_again(tmp_path):
    """Every notebook records the pruning runs again; what the third one measured must not go by that."""
    recipe = TrainingRecipe(epochs=0).to_json()
    pruned = replace(PRUNE, recipe=PruningRecipe(rounds=3).to_json())
    measured = Run("tune", TRAIN.architecture, {**recipe, "round": 1, "weights": "kept"}, {}, 0, pruned)
    runs.record_curves(tmp_path, [CurvePoint("pruned-tuned", pruned, "fisher")])
    runs.record_curves(tmp_path, [CurvePoint("pruned-tuned", measured, "fisher", 1)])
    runs.record_curves(tmp_path, [CurvePoint("pruned-tuned", pruned, "fisher")])
    assert {member.run.kind for member in runs.read_curves(tmp_path)} == {"prune", "tune"}


def pruned_with(steps: int, seed: int = 0) -> Run:
    return replace(PRUNE, recipe=PruningRecipe(rounds=3, steps=steps).to_json(), seed=seed)


def found_by(pruning: Run, longer: float = 1.0) -> list[CurvePoint]:
    """All that a pruning run leads to: a measured round, one trained on, one anew, and a family from it."""
    at = {**TrainingRecipe(epochs=0).to_json(), "round": 1, "weights": "kept"}
    measured = Run("tune", SHAPE, at, pruning.data, pruning.seed, pruning)
    tuned = replace(measured, recipe={**at, "epochs": 2})
    scratch = replace(TRAIN, architecture=SHAPE.with_widths((16, 31, 64)), seed=pruning.seed)
    runs_ = {"pruned-tuned": measured, "fine-tuned": tuned, "pruned-scratch": scratch, "guided": scratch}
    return [CurvePoint(curve, run, "fisher", 1, longer=longer) for curve, run in runs_.items()]


def test_what_replaced_pruning_runs_found_goes_from_the_curves(tmp_path):
    """Of seed 0 the steps of the pruning change: at every length, for what it found is of another recipe."""
    study = tmp_path / "trial"
    old, other, new = pruned_with(2), pruned_with(2, seed=1), pruned_with(3)
    beside = [
        CurvePoint("whole", TRAIN),
        CurvePoint("whole", TRAIN, "fisher"),
        CurvePoint("width", TRAIN),
        CurvePoint("guided", TRAIN, "l1"),
    ]
    stay = [*beside, CurvePoint("pruned-tuned", other, "fisher"), *found_by(other)]
    longer = found_by(pruned_with(4), longer=2)  # whose pruning is no curve
    runs.record_curves(study, [*stay, CurvePoint("pruned-tuned", old, "fisher"), *found_by(old), *longer])
    everything = len(runs.read_curves(study))
    now = [CurvePoint("pruned-tuned", run, "fisher") for run in (old, other, pruned_with(2, seed=2))]
    assert runs.record_curves(study, now) == []  # one seed more
    assert len(runs.read_curves(study)) == everything + 1

    now = [CurvePoint("pruned-tuned", run, "fisher") for run in (new, other)]
    (line,) = runs.record_curves(study, now)

    def named(members: list[CurvePoint]) -> list[tuple]:
        return sorted((m.curve, m.criterion, m.longer, m.run.key) for m in members)

    assert named(runs.read_curves(study)) == named([*stay, now[0]])
    assert line.startswith("trial has new pruning runs by fisher")
    assert "(fine-tuned, guided, pruned-scratch, pruned-tuned), their runs are kept" in line


def test_pruning_runs_that_were_tuned_otherwise_are_named(tmp_path):
    """By another criterion they stay where they are, but a picture of both would compare the tuning."""
    beside = [
        CurvePoint("pruned-tuned", pruned_with(2), "random"),
        CurvePoint("pruned-tuned", pruned_with(5), "taylor"),
    ]
    longer = CurvePoint("pruned-tuned", pruned_with(4), "fisher", longer=2)
    assert runs.record_curves(tmp_path / "trial", beside) == []  # all at once: as they were asked for
    (line,) = runs.record_curves(
        tmp_path / "trial", [CurvePoint("pruned-tuned", pruned_with(2, seed=1), "fisher"), longer]
    )
    assert line.startswith("trial has pruning runs by taylor with another recipe")
    assert len(runs.read_curves(tmp_path / "trial")) == 4


def test_budgets_that_were_tuned_for_other_epochs_are_named(tmp_path):
    pruned = pruned_with(2)

    def budget(curve, epochs):
        weights = "fresh" if curve == "pruned-scratch" else "kept"
        recipe = {"epochs": epochs, "precision": "float32", "weights": weights}
        return CurvePoint(curve, replace(pruned, kind="tune", recipe=recipe, start=pruned), "fisher")

    study = tmp_path / "trial"
    runs.record_curves(study, [budget("fine-tuned", 1), budget("lr-rewound", 1), budget("pruned-scratch", 7)])
    assert runs.record_curves(study, [budget("fine-tuned", 1)]) == []
    (line,) = runs.record_curves(study, [budget("fine-tuned", 3)])
    assert line.startswith("trial has lr-rewound-fisher, fine-tuned for other epochs than these")


def test_what_an_earlier_pruning_found_goes_without_that_pruning_too(tmp_path):
    """As in a study whose curves were mixed already, or whose file of the pruning is damaged."""
    old, new = pruned_with(2), CurvePoint("pruned-tuned", pruned_with(3), "fisher")
    runs.record_curves(tmp_path, found_by(old))
    (tmp_path / "curves" / "pruned-tuned-fisher.json").write_text("[{")
    (line,) = runs.record_curves(tmp_path, [new])
    assert runs.read_curves(tmp_path) == [new]
    assert "their runs are kept" in line


def test_removals_of_a_pruning_run_of_which_only_a_retrained_network_is_drawn_are_there(tmp_path):
    finish_pruning(tmp_path, rounds())
    (member, *_) = found_by(PRUNE)
    runs.record_curves(tmp_path / "longer", [member._replace(whole_macs=1)])
    pd.testing.assert_frame_equal(runs.collect_removals(tmp_path / "longer"), rounds())


def test_a_round_measured_of_another_pruning_takes_no_row_of_this_one(study, tmp_path):
    """It counts for the pruning that it goes on from, not for any of the same criterion and seed."""
    for pruning, rounds_ in ((PRUNE, [0, 2, 3]), (pruned_with(7), [0, 1, 2, 3])):
        member = found_by(pruning)[0]
        runs.write_result(member.run, tmp_path, {"recipe": "as it is", "train_macs": 0}, {"device": "here"})
        runs.record_curves(study, [member._replace(whole_macs=1)])
        tuned = runs.collect(study).query("curve == 'pruned-tuned'")
        assert sorted(tuned.loc[tuned["run"] == PRUNE.key, "round"]) == rounds_
        assert tuned.loc[tuned["run"] == member.run.key, "round"].tolist() == [1]


def test_a_notebook_records_its_curves_when_another_has_recorded_its_own(tmp_path):
    """Two notebooks of a study may be open at the same time."""
    study, point = tmp_path / "trial", CurvePoint("width", TRAIN)
    second = threading.Thread(target=runs.record_curves, args=(study, [point]))
    with locks.held(study / ".curves.lock"):
        second.start()
        second.join(timeout=0.2)
        assert second.is_alive()
        assert not (study / "curves").exists()
    second.join()
    assert runs.read_curves(study) == [point]


def test_curves_are_forgotten_and_tables_written_by_one_process_at_a_time(study):
    """Otherwise an index could list what is gone, or checksums be those of other tables."""
    results = runs.collect(study)
    for lock, change in (
        (".tables.lock", partial(runs.write_tables, study, results=results)),
        (".curves.lock", partial(runs.forget_curves, study)),
    ):
        before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
        second = threading.Thread(target=change)
        with locks.held(study / lock):
            second.start()
            second.join(timeout=0.2)
            assert second.is_alive()
            assert before == {path: path.read_bytes() for path in before}
        second.join()
    assert (study / "results.csv").exists()
    assert runs.read_curves(study) == []
