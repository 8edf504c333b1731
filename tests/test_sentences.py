"""Sentences below the figures, each read off numbers that can be checked by hand."""

import math

import pandas as pd
import pytest

from horticulture.analysis import tables


def test_kept_channels_are_given_halfway_and_at_the_end_with_the_groups_at_the_extremes():
    kept = pd.DataFrame({"a, round 1": [1.0, 0.75], "a, round 2": [0.25, 0.5]}, index=["wide", "narrow"])
    said = tables.describe_kept(kept, "a")
    assert said.startswith(
        "In *a, round 1* the groups have kept 75 % (narrow) to 100 % (wide) of their channels; "
        "in *a, round 2*, 25 % (wide) to 50 % (narrow). "
    )
    nothing = tables.describe_kept(pd.DataFrame({}, ["wide", "narrow"]), "magnitude")
    assert nothing == "magnitude removed only single weights, so every group has kept all its channels."


def test_widths_are_means_over_the_seeds_and_the_mean_range_between_them():
    full = pd.Series([10, 20], ["one", "two"])
    two_seeds = pd.DataFrame([[2, 10], [4, 18]], columns=["one", "two"])  # 3 of 10, 14 of 20; 2 and 8 apart
    assert tables.describe_widths({"fisher": two_seeds, "l1": two_seeds[:1]}, full).splitlines() == [
        "- fisher: on average 30 % (one) to 70 % (two) of a group is left; "
        "a group differs by 5.0 channels between seeds.",
        "- l1: on average 20 % (one) to 50 % (two) of a group is left.",
    ]
    assert tables.describe_widths({}, full) == "Every group still has all its channels."


def test_costs_that_put_networks_in_another_order_show_in_the_rank_correlation():
    trained = pd.DataFrame({"params": [1, 2, 3], "macs": [1, 2, 3], "latency_1": [3, 2, 1]})
    costs = {"macs": "MACs", "latency_1": "time per batch of 1"}
    shares = pd.DataFrame({"MACs": [0.2, 0.4], "time per batch of 1": [0.9, 0.6]}, ["slow", "quick"])
    said = tables.describe_costs(trained, costs, shares)
    assert "(1: the same order): 1.00 for MACs, −1.00 for time per batch of 1. " in said
    assert "take 0.60 (*quick*) to 0.90 (*slow*) of the whole network's time per batch of 1." in said
    shares.loc["as slow"] = [0.4, 0.903]
    assert "to 0.90 (*slow* and *as slow*) of" in tables.describe_costs(trained, costs, shares)
    assert tables.describe_costs(trained, costs, shares[:0]).startswith("Only the whole network was trained")
    same = trained.assign(params=1)
    assert tables.describe_costs(same, costs, shares).endswith("so there is no order to compare.")


def test_two_programs_agree_as_far_as_their_times_do():
    times = {
        ("batch of 1 (ms)", "torch"): [1.0, 2.0, 4.0],
        ("batch of 1 (ms)", "ONNX Runtime"): [0.5, 0.4, 0.2],
    }
    assert tables.describe_runtimes(pd.DataFrame(times)) == (
        "Over 3 networks, for a batch of 1: ONNX Runtime takes 0.05 to 0.50 times as long as torch, "
        "and the rank correlation of the two is −1.00 (1: the same order)."
    )
    assert tables.describe_runtimes(pd.DataFrame()).startswith("ONNX Runtime is not installed")


def test_budgets_are_counted_by_where_they_have_the_lowest_mean_error():
    """By hand: 12 against 11 at one half, 20 against 25 at three quarters; a shared run counts once."""
    rows = [
        ("whole", "", math.nan, 0, 10.0, "w0"),
        ("fine-tuned", "l1", 0.5, 0, 11.0, "a0"),
        ("fine-tuned", "l1", 0.5, 1, 13.0, "a1"),
        ("pruned-scratch", "l1", 0.5, 0, 12.0, "b0"),
        ("pruned-scratch", "l1", 0.5, 1, 10.0, "b1"),
        ("fine-tuned", "l1", 0.75, 0, 20.0, "c0"),
        ("pruned-scratch", "l1", 0.75, 0, 25.0, "d0"),
        ("scratch-b", "l1", 0.75, 0, 25.0, "d0"),
    ]
    columns = ["curve", "criterion", "ratio", "seed", "test_error", "run"]
    results = pd.DataFrame(rows, columns=columns).assign(params=[100, *[50] * 4, *[25] * 3])
    said = tables.describe_budgets(results)
    assert said.startswith("Of 2 cases, by criterion, share removed and length of training, the lowest mean ")
    assert "by *pruned, fine-tuned* in 1" in said
    assert "by *shape from scratch (Scratch-E)* in 1" in said
    assert tables.describe_budgets(results[:1]) == ""


def test_bytes_are_compared_with_four_for_every_parameter_of_the_whole_network():
    rows = [
        ("whole", math.nan, 10.0, math.nan),
        ("compressed", 0.5, 11.0, 100.0),
        ("compressed", 0.75, 14.0, 50.0),
    ]
    results = pd.DataFrame(rows, columns=["curve", "ratio", "test_error", "bytes"])
    results = results.assign(params=[250, 125, 62], criterion=["", "magnitude", "magnitude"], seed=0)
    assert tables.describe_bytes(results) == (
        "On disk the compressed networks are 10 times smaller with 50 % removed, at 11.0 % error and 20 "
        "times smaller with 75 % removed, at 14.0 % error; the whole network, in float32, has 10.0 %."
    )
    longer = results.assign(longer=2.0, test_error=0.0)
    both = pd.concat([results.assign(longer=1.0), longer])
    assert tables.describe_bytes(both) == tables.describe_bytes(results)  # of one length
    assert tables.describe_bytes(results[:1]) == ""


def test_spending_is_a_multiple_of_the_whole_networks_training():
    measured = pd.DataFrame(
        {
            "curve": ["whole", "whole", "whole", "pruned-scratch", "pruned-scratch", "width"],
            "longer": [1.0, 1.0, 2.0, 1.0, 1.0, 1.0],
            "train_macs": [90.0, 110.0, 200.0, 250.0, 300.0, 50.0],
            "test_error": [9.0, 9.0, 8.0, 7.5, 9.0, 9.0],
        }
    )
    said = tables.describe_spending(measured)
    assert f"{tables.label('whole')} 0.9 to 2.0; {tables.label('pruned-scratch')} 2.5 to 3.0; " in said
    assert f"{tables.label('width')} 0.5. The lowest error of all, 7.5 %, took 2.5 times the compute " in said
    unknown = tables.describe_spending(measured[measured["curve"] != "whole"])
    assert unknown.startswith("The whole network is pretrained")


def test_a_path_names_its_lowest_point_and_its_end():
    path = pd.DataFrame({"round": [8, 4, 0], "params": [250, 500, 1000], "test_error": [12.0, 9.0, 10.0]})
    said = tables.describe_path(path, 3, 1000)
    assert "The network of seed 3 was measured at 3 points along the way." in said
    assert (
        "lowest after round 4: 9.0 % with 50 % of the parameters. At the end it is 12.0 % with 25 %." in said
    )
    rising = tables.describe_path(path[1:], 3, 1000)
    assert "Its error is lowest at the end, after round 4: 9.0 % with 50 % of the parameters. Watch" in rising
    assert tables.describe_path(path[:0], 3, 1000).startswith(
        "No network of its first pruning run was measured"
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (7.71e-5, "0.000077"),
        (0.0309, "0.031"),
        (1.0, "1"),
        (314.0, "310"),
        (-0.5, "-0.5"),
        (7.7e-8, "7.7e-08"),
    ],
)
def test_a_small_number_is_plain_as_far_as_the_tables_show_it(value, said):
    assert tables.plain(value) == said
