"""Epochs for the same compute, by hand."""

import pytest

from horticulture.errors import InputError
from horticulture.study import budgets

VGG_16 = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
VGG_16_A = (32, 64, 128, 128, 256, 256, 256, 256, 256, 256, 256, 256, 256)
SIDES = (32, 32, 16, 16, 8, 8, 8, 4, 4, 4, 2, 2, 2)


def macs(widths):
    inputs = (3, *widths)
    return sum(9 * a * b * side**2 for a, b, side in zip(inputs, widths, SIDES, strict=False))


def test_the_published_example():
    """VGG-16-A of Li et al. (2017): 313.2 and 206.1 million, 160 epochs."""
    whole, pruned = macs(VGG_16), macs(VGG_16_A)
    assert (round(whole / 1e5), round(pruned / 1e5)) == (3132, 2061)
    assert budgets.scratch_b(160, whole, pruned) == 243  # 160 * 1.5197 = 243.1


def test_a_budget_is_capped_and_the_cap_can_go():
    assert budgets.scratch_b(90, 500, 100) == 180  # 2 x 90, as on ImageNet
    assert budgets.scratch_b(90, 500, 100, cap=0) == 450
    assert budgets.scratch_b(100, 500, 100, cap=1.15) == 115
    assert budgets.scratch_b(90, 200, 100) == 180
    assert budgets.scratch_b(90, 199, 100) == 179


def test_a_budget_takes_the_whole_part_and_no_less():
    assert budgets.scratch_b(100, 115, 100) == 115  # a computer's 100 * 1.15 lies below
    assert budgets.scratch_b(10, 119, 100) == 11
    assert budgets.scratch_b(5, 7, 7) == 5


def test_fine_tuning_counts_where_it_is_asked_for():
    # K1 F1 / F2 + K2 of Wang et al. (2023)
    assert budgets.scratch_b(160, 300, 200, tuning_epochs=40) == 240 + 40
    assert budgets.scratch_b(90, 500, 100, tuning_epochs=20) == 180 + 20  # the cap is one on the ratio


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"whole_macs": 0}, {"pruned_macs": 0}, {"cap": -1}, {"tuning_epochs": -1}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_budget_of_nothing_is_refused(wrong):
    right = {"epochs": 5, "whole_macs": 7, "pruned_macs": 3, "cap": 2.0, "tuning_epochs": 0}
    with pytest.raises(InputError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        budgets.scratch_b(**(right | wrong))
