"""The networks take turns, and the median of their times counts."""

import torch

from horticulture import architecture
from horticulture.networks import latency

WHOLE = architecture.named("wrn-10-1", image=(1, 8, 8), classes=10)


def test_networks_take_turns_and_the_median_of_the_faster_way_counts(monkeypatch):
    """With one thread and with all: here one takes a second, and all take three."""
    order = []

    def once(network, x):
        order.append((torch.get_num_threads(), network.architecture.widths, len(x)))
        slow = 9.0 if len(order) <= 4 * latency.WARM_UP else 0.0  # the first turns
        return slow + (1.0 if torch.get_num_threads() == 1 else 3.0) + len(order) / 1000

    monkeypatch.setattr(latency, "forward_seconds", once)
    shapes, before = [WHOLE, WHOLE.with_widths((1, 0, 2))], torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = latency.measure(shapes, 3, torch.device("cpu"), seconds=0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    turn = [(threads, shape.widths, 3) for threads in (1, 2) for shape in shapes]
    assert order == turn * (latency.WARM_UP + 5)
    assert all(1000 <= milliseconds < 1100 for milliseconds in found)


def test_a_much_wider_network_takes_longer():
    wider = architecture.named("wrn-10-8", image=WHOLE.image, classes=10)  # about sixty times the work
    few, many = latency.measure([WHOLE, wider], 32, torch.device("cpu"), seconds=0)
    assert 0 < few < many
