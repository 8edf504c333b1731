"""The networks take turns, and the median of their times counts."""

import torch

from horticulture import architecture
from horticulture.networks import latency

WHOLE = architecture.named("wrn-10-1", image=(1, 8, 8), classes=10)


def test_networks_take_turns_and_the_median_counts(monkeypatch):
    order, clock = [], iter(range(1000))

    def once(network, x):
        order.append((network.architecture.widths, len(x)))
        return {0: 9.0, 1: 9.0}.get(len(order) // 2, 1.0 + next(clock) / 1000)  # the first turns are slow

    monkeypatch.setattr(latency, "_once", once)
    shapes = [WHOLE, WHOLE.with_widths((1, 0, 2))]
    found = latency.measure(shapes, 3, torch.device("cpu"), seconds=0)
    assert order == [(shape.widths, 3) for _ in range(latency.WARM_UP + 5) for shape in shapes]
    assert all(1000 <= milliseconds < 1100 for milliseconds in found)


def test_a_much_wider_network_takes_longer():
    wider = architecture.named("wrn-10-8", image=WHOLE.image, classes=10)  # about sixty times the work
    few, many = latency.measure([WHOLE, wider], 32, torch.device("cpu"), seconds=0)
    assert 0 < few < many
