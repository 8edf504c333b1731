"""The explorer: what it is told, by hand; how it moves, in a real browser (`test_browser`)."""

import base64
import html
import json
import re
from pathlib import Path

import pandas as pd
import pytest

import horticulture
from horticulture import architecture, runs
from horticulture.analysis import explorer
from horticulture.analysis.curves import CRITERION_COLORS
from horticulture.errors import InputError

WHOLE = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)  # groups of 16, 32 and 64 channels
# Round by round the group that loses a channel, which one, its saliency, and the test error where measured.
ROUNDS = [(-1, -1, None, 9.0), (2, 63, 1.23456e-5, None), (0, 5, 0.5, 12.0), (2, 7, 2.0, None)]


def pruned(seed=0, rounds=ROUNDS):
    """The rows that a pruning run leaves in the removals and in the results, and its architectures."""
    removals, shapes, remaining = [], {}, WHOLE
    for round_, (group, channel, saliency, error) in enumerate(rounds):
        if group >= 0:
            remaining = remaining.with_widths(tuple(w - (g == group) for g, w in enumerate(remaining.widths)))
        shapes[remaining.id] = remaining
        place = {
            "round": round_,
            "params": remaining.params,
            "macs": remaining.macs,
            "architecture": remaining.id,
        }
        place |= {"train_macs": 1000 + round_, "test_error": error, "run": f"pruning {seed}"}
        removals.append({**place, "group": group, "channel": channel, "saliency": saliency})
    course = [{**row, "curve": "pruned-tuned", "criterion": "fisher", "seed": seed} for row in removals]
    return pd.DataFrame(removals), pd.DataFrame(course).drop(columns=["group", "channel", "saliency"]), shapes


def scratch(curve, shape, error, seed=0, criterion="", **more):
    """A network that was trained from scratch, as a row of the results."""
    place = {"params": shape.params, "macs": shape.macs, "architecture": shape.id, "train_macs": 500}
    return {
        "curve": curve, "criterion": criterion, "seed": seed, "test_error": error,
        "run": f"{curve} {shape.id} {seed}", **place, **more,
    }  # fmt: skip


def study():
    """Two seeds, a narrower network, a shallower one and the whole one."""
    frames = [pruned(0), pruned(1, [ROUNDS[0], (1, 3, 0.1, 8.0), (1, 4, 0.2, None), (1, 2, 0.3, 14.0)])]
    narrow, shapes = WHOLE.with_widths((8, 16, 32)), {}
    others = pd.DataFrame([scratch("width", narrow, 11.0), scratch("whole", WHOLE, 9.0)])
    for _, _, actual in frames:
        shapes |= actual
    results = pd.concat([*(course for _, course, _ in frames), others], ignore_index=True)
    return results, pd.concat([removals for removals, _, _ in frames]), {**shapes, narrow.id: narrow}


def told(shown):
    """The data that the element has."""
    return json.loads(html.unescape(re.search(r"data-study='(.*?)'", shown.html)[1]))


def test_a_round_is_a_group_a_channel_and_a_saliency():
    run = told(explorer.from_frames(*study()))["runs"][0]
    assert run["name"] == "fisher, seed 0"
    assert run["groups"] == list(WHOLE.groups)
    assert run["widths"] == [16, 32, 64]
    assert run["gone"] == [2, 0, 2]
    assert run["channel"] == [63, 5, 7]
    assert run["saliency"] == [1.23456e-5, 0.5, 2.0]
    assert run["params"][0] == WHOLE.params
    assert run["params"][3] == WHOLE.with_widths((15, 32, 62)).params
    assert run["train_macs"] == [1000, 1001, 1002, 1003]
    assert run["error"] == {"rounds": [0, 2], "values": [9.0, 12.0]}


def test_where_many_channels_go_at_once_each_group_has_its_number():
    results, removals, shapes = study()
    last = WHOLE.with_widths((16, 30, 63))
    rows = [{"group": group, "channel": group, "saliency": group / 10} for group in (1, 2, 1)]
    after = {"round": 1, "params": last.params, "macs": 1, "train_macs": 9, "architecture": last.id}
    after |= {"run": "pruning 0", "test_error": 20.0}
    once = pd.concat([removals.iloc[:1], pd.DataFrame([{**after, **row} for row in rows])])
    course = pd.concat([results.iloc[:1], results.iloc[:1].assign(**after)]).assign(ratio=0.5)
    run = told(explorer.from_frames(course, once, {**shapes, last.id: last}))["runs"][0]
    assert run["name"] == "fisher −50 %, seed 0"
    assert run["gone"] == [[[1, 2], [2, 1]]]
    assert (run["channel"], run["saliency"]) == ([-1], [0.2])


def test_a_round_that_another_run_measured_has_its_error():
    results, removals, shapes = study()
    measured = results[(results["round"] == 3) & (results["seed"] == 0)]
    results.loc[measured.index, "run"] = "a run that measures"
    results.loc[measured.index, "test_error"] = 15.0
    runs_ = told(explorer.from_frames(results, removals, shapes))["runs"]
    assert [run["name"] for run in runs_] == ["fisher, seed 0", "fisher, seed 1"]
    assert runs_[0]["error"] == {"rounds": [0, 2, 3], "values": [9.0, 12.0, 15.0]}


def longer(frames, seeds=(0, 1)):
    """The frames, with pruning runs of twice the training, of whose rounds other runs evaluated the last."""
    results, removals, shapes = frames
    for seed in seeds:
        rounds, course, _ = pruned(seed)
        made = {"train_macs": 2000 + course["round"]}
        last = course.assign(**made, longer=2.0).iloc[-1:].assign(run=f"measures {seed}", test_error=10.0)
        again = scratch("pruned-scratch", WHOLE.with_widths((15, 32, 62)), 11.0, seed, "fisher")
        again |= {"longer": 2.0, "round": 3}
        results = pd.concat([results, last, pd.DataFrame([again])], ignore_index=True)
        removals = pd.concat([removals, rounds.assign(**made, run=f"longer {seed}")], ignore_index=True)
    return results, removals, shapes


def test_a_pruning_run_is_found_by_the_runs_that_retrained_its_rounds():
    runs_ = told(explorer.from_frames(*longer(study(), [0])))["runs"]
    assert [run["name"] for run in runs_] == [
        *("fisher, seed 0", "fisher, seed 1", "fisher, seed 0, trained twice as long")
    ]
    assert runs_[2]["train_macs"] == [2000, 2001, 2002, 2003]
    assert runs_[2]["error"] == {"rounds": [0, 2, 3], "values": [9.0, 12.0, 10.0]}  # its own, and the other's
    results, removals, shapes = longer(study(), [0])
    timed = told(explorer.from_frames(results.assign(latency_1=1.5), removals, shapes))["runs"]
    assert [len(run["latency_1"]["rounds"]) for run in timed] == [2, 3, 0]  # a round says nothing of others


def test_where_two_runs_made_the_same_rounds_neither_is_guessed():
    assert len(told(explorer.from_frames(*longer(study())))["runs"]) == 2


def test_a_retrained_round_of_longer_training_has_a_mark_unless_it_was_pruned_by_a_ratio():
    results, removals, shapes = longer(study())
    data = told(explorer.from_frames(results, removals, shapes))
    marks = [network for network in data["networks"] if network["error"] == 10.0]
    assert [(mark["seed"], mark["longer"]) for mark in marks] == [(0, 2.0), (1, 2.0)]
    assert data["curves"][marks[0]["curve"]]["name"] == "Fisher-pruned, tuned each round"
    results["ratio"] = results["longer"].map({2.0: 0.5})
    networks = told(explorer.from_frames(results, removals, shapes))["networks"]
    assert all(network["error"] != 10.0 for network in networks)


def test_networks_from_scratch_have_their_widths_their_costs_and_their_curves_mark():
    data = told(explorer.from_frames(*study()))
    whole, narrow = data["networks"]
    assert data["architectures"][narrow["architecture"]] == [8, 16, 32]
    assert (narrow["error"], narrow["train_macs"], narrow["seed"]) == (11.0, 500, 0)
    assert data["curves"][narrow["curve"]]["name"] == "narrower from scratch"
    square = data["curves"][narrow["curve"]]["marker"]
    assert square == "M-1,1L1,1L1,-1L-1,-1L-1,1Z"
    assert data["curves"][whole["curve"]]["colors"] == ["currentColor"] * 2  # black would vanish in the dark


def test_the_other_networks_are_in_the_order_of_the_legends_then_by_size_and_seed():
    results, removals, shapes = study()
    small, large = WHOLE.with_widths((8, 16, 32)), WHOLE.with_widths((12, 24, 48))
    rows = [
        scratch("bottleneck", small, 10.0),
        *(scratch("width", shape, 10.0, seed) for seed in (1, 0) for shape in (large, small)),
        scratch("width", small, 10.0, longer=2.0, run="longer"),
        scratch("whole", WHOLE, 9.0),
    ]
    results = pd.concat([results[results["curve"] == "pruned-tuned"], pd.DataFrame(rows)], ignore_index=True)
    data = told(explorer.from_frames(results, removals, {**shapes, small.id: small, large.id: large}))
    assert [curve["name"] for curve in data["curves"]] == [
        *("unpruned", "narrower from scratch", "bottleneck from scratch")
    ]
    narrower = [network for network in data["networks"] if network["curve"] == 1]
    assert [(network["params"], network["seed"], network["longer"]) for network in narrower] == [
        *((small.params, 0, 1.0), (small.params, 1, 1.0), (large.params, 0, 1.0), (large.params, 1, 1.0)),
        (small.params, 0, 2.0),
    ]


def test_only_what_was_timed_is_an_axis():
    results, removals, shapes = study()
    assert [key for key, _ in told(explorer.from_frames(results, removals, shapes))["axes"]] == [
        *("params", "macs", "train_macs", "round")
    ]
    results = results.assign(latency_1=[1.5, *[None] * 3, 1.4, *[None] * 3, 0.75, None], latency_8=None)
    data = told(explorer.from_frames(results, removals, shapes))
    assert data["axes"][4:] == [["latency_1", "latency of a batch of 1 (ms)"]]
    assert data["runs"][0]["latency_1"] == {"rounds": [0], "values": [1.5]}
    assert data["networks"][1]["latency_1"] == 0.75
    assert "latency_1" not in data["networks"][0]


def test_the_still_picture_says_in_words_what_it_shows():
    shown = explorer.from_frames(*study())
    remaining = WHOLE.with_widths((15, 32, 63))
    assert shown.words == (
        f"Pruning by fisher, seed 0, after round 2 of 3: {remaining.params:,} of {WHOLE.params:,} parameters "
        "are left, and the test error is 12.0 % (round 0: fine-tuned, nothing removed, 9.0 %). Group "
        f"{WHOLE.groups[0]} lost most: 15 of 16 channels are left."
    )
    data, about = shown._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert about == {"image/png": {"alt": shown.words}}
    assert f'<img alt="{shown.words}" src="data:image/png;base64,{data["image/png"]}">' in data["text/html"]


def after(widths, params=None):
    """What the still picture says of a network with these widths after a single round."""
    results, removals, shapes = study()
    left = WHOLE.with_widths(widths)
    gone = [[group] * (w - left) for group, (w, left) in enumerate(zip(WHOLE.widths, widths, strict=True))]
    channels = pd.DataFrame({"group": [group for groups in gone for group in groups] or [-1]})
    last = {"run": "pruning 0", "round": 1, "params": params or left.params, "architecture": left.id}
    last |= {"macs": 1, "train_macs": 9, "test_error": 20.0}
    once = pd.concat([removals.iloc[:1], channels.assign(**last, channel=0, saliency=0.5)])
    course = pd.concat([results.iloc[:1], results.iloc[:1].assign(**last)])
    return course, once, {**shapes, left.id: left}


def single_weights():
    return after(WHOLE.widths, WHOLE.params - 1000)


@pytest.mark.parametrize(
    ("widths", "said"),
    [
        ((8, 32, 64), "Group 1.1 lost most: 8 of 16 channels are left."),
        ((8, 16, 64), "Groups 1.1 and 2.1 lost most: 50 % of the channels of each."),
        ((8, 16, 32), "Every group lost the same share of its channels: 50 %."),
        ((16, 32, 64), "No group lost a channel."),
    ],
)
def test_the_still_picture_names_every_group_that_lost_most(widths, said):
    words = explorer.from_frames(*after(widths)).words
    assert words.startswith("Pruning by fisher, seed 0, after round 1 of 1: ")
    assert words.endswith(said)


def test_the_still_picture_says_that_single_weights_were_removed():
    words = explorer.from_frames(*single_weights()).words
    assert words.endswith("No group lost a channel: single weights were removed.")


def shared():
    """Fisher and L1 each with a shape of its own and one that both found, which is a narrower one, too."""
    results, removals, shapes = study()
    course, rows = results[results["run"] == "pruning 0"], removals[removals["run"] == "pruning 0"]
    by_l1 = course.assign(criterion="l1", run="by l1"), rows.assign(run="by l1")
    both, fishers, l1s = (WHOLE.with_widths(widths) for widths in ((8, 16, 32), (9, 16, 32), (10, 16, 32)))
    networks = [
        scratch("width", both, 11.0, run="both"),
        scratch("width", l1s, 12.0, run="l1's"),
        scratch("pruned-scratch", both, 11.0, criterion="fisher", run="both"),
        scratch("pruned-scratch", fishers, 12.5, criterion="fisher"),
        scratch("pruned-scratch", both, 11.0, criterion="l1", run="both"),
        scratch("pruned-scratch", l1s, 12.0, criterion="l1", run="l1's"),
    ]
    results = pd.concat([pd.DataFrame(networks), course, by_l1[0]], ignore_index=True)
    more = {shape.id: shape for shape in (both, fishers, l1s)}
    return results, pd.concat([rows, by_l1[1]]), shapes | more


def test_a_network_of_several_curves_is_in_the_first_of_them_for_each_criterion():
    data = told(explorer.from_frames(*shared()))
    names = [data["curves"][network["curve"]]["name"] for network in data["networks"]]
    fisher, l1 = (f"{name} shape from scratch (Scratch-E)" for name in ("Fisher", "L1"))
    assert sorted(names) == [fisher] * 2 + [l1] * 2 + ["narrower from scratch"] * 2
    same = [network["same"] for network in data["networks"]]
    assert [same.count(number) for number in same] == [
        3,
        1,
        3,
        2,
        3,
        2,
    ]  # the curve without a criterion is last


def test_a_pruning_run_has_the_colour_that_its_criterion_has_in_the_figures():
    (one, *_) = told(explorer.from_frames(*study()))["runs"]
    assert one["colors"] == ["#d55e00"] * 2
    two = told(explorer.from_frames(*shared()))["runs"]
    assert [run["colors"][0] for run in two] == [color.lower() for color in CRITERION_COLORS[:2]]


def test_a_name_with_a_quote_or_a_bracket_harms_nothing():
    results, removals, shapes = study()
    odd = 'it\'s <b>&amp;"bold"'
    shown = explorer.from_frames(results.replace({"criterion": {"fisher": odd}}), removals, shapes)
    assert told(shown)["runs"][0]["criterion"] == odd
    assert "<b>" not in shown.html.partition("<script>")[0]


def test_the_element_is_small_and_fetches_nothing():
    actual = explorer.from_frames(*study()).html
    assert len(actual.partition("<script>")[2].encode()) < 25_000
    assert not re.search(r"https?:|//cdn|import\(|fetch\(", actual)


def test_without_a_pruning_run_there_is_nothing_to_explore():
    results, removals, shapes = study()
    with pytest.raises(InputError, match="no network of these results was pruned"):
        explorer.from_frames(results[results["curve"] == "width"], removals, shapes)


def test_a_study_is_explored_by_its_folder_or_its_name_with_the_latencies_that_were_measured(
    tmp_path, monkeypatch
):
    results, removals, shapes = study()
    monkeypatch.setattr(runs, "collect", lambda folder: results)
    monkeypatch.setattr(runs, "collect_removals", lambda folder: removals)
    monkeypatch.setattr(runs, "architectures", lambda folder: shapes)
    monkeypatch.setenv("HORTICULTURE_OUTPUTS", str(tmp_path))
    (tmp_path / "tiny").mkdir()
    written = results.assign(latency_1=1.25)
    written.to_csv(tmp_path / "tiny" / "results.csv", index=False)
    for name in ("tiny", tmp_path / "tiny"):
        data = told(horticulture.explore(name))
        assert data["runs"][0]["latency_1"]["values"] == [1.25, 1.25]
        assert len(data["networks"]) == 2


def test_a_study_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no results in .*none: run the study first"):
        horticulture.explore(tmp_path / "none")


# --- the reference studies, of which a fresh clone has tables and no runs ----------------------------------

REFERENCE = sorted(
    path.parent for path in (Path(__file__).parents[1] / "outputs/reference").glob("*/results.csv")
)


@pytest.mark.parametrize("folder", REFERENCE, ids=lambda folder: folder.name)
def test_a_reference_study_has_every_architecture_under_its_id(folder):
    shapes, results = runs.architectures(folder), runs.collect(folder)
    assert {name: shape.id for name, shape in shapes.items()} == {name: name for name in shapes}
    trained = results[~results["curve"].str.endswith("pruned-tuned")]
    assert set(trained["architecture"]) <= shapes.keys()


def test_a_fresh_clone_explores_the_reference_study_and_every_round_is_the_one_that_was_recorded():
    folder = next(path for path in REFERENCE if path.name == "quick")
    data, removals = told(horticulture.explore(folder)), runs.collect_removals(folder)
    whole = runs.architectures(folder)[removals["architecture"].iloc[0]]
    assert [run["name"] for run in data["runs"]] == [
        f"fisher, seed {seed}{length}" for length in ("", ", trained twice as long") for seed in (0, 1, 2)
    ]
    for run, (_, rows) in zip(data["runs"], removals.groupby("run", sort=False), strict=True):
        remaining, actual = list(run["widths"]), [whole.id]
        for group in run["gone"]:
            remaining[group] -= 1
            actual.append(whole.with_widths(remaining).id)
        assert actual == rows["architecture"].tolist()
    assert [key for key, _ in data["axes"]][4:] == ["latency_1", "latency_256"]
