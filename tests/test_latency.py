"""The networks take turns, and the median of their times counts."""

import math
import os
import subprocess
import sys

import pytest
import torch

from horticulture import architecture
from horticulture.errors import InputError
from horticulture.networks import formats, latency

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
        actual = latency.measure(shapes, 3, torch.device("cpu"), seconds=0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    turn = sorted((threads, shape.widths, 3) for threads in (1, 2) for shape in shapes)
    turns = [order[i : i + len(turn)] for i in range(0, len(order), len(turn))]
    assert len(turns) == latency.WARM_UP + 5
    assert all(sorted(taken) == turn for taken in turns)
    assert all(1000 <= milliseconds < 1100 for milliseconds in actual)


def test_a_disturbance_at_regular_intervals_does_not_always_hit_the_same_network(monkeypatch):
    count = 0

    def once(network, x):
        nonlocal count
        count += 1
        return 5.0 if count % 8 == 3 else 1.0  # once in a turn with each number of threads

    monkeypatch.setattr(latency, "forward_seconds", once)
    assert latency.measure([WHOLE] * 8, 1, torch.device("cpu"), seconds=0) == [1000.0] * 8


def test_a_much_wider_network_takes_longer():
    wider = architecture.named("wrn-10-8", image=WHOLE.image, classes=10)  # about sixty times the work
    few, many = latency.measure([WHOLE, wider], 32, torch.device("cpu"), seconds=0)
    assert 0 < few < many


@pytest.mark.skipif(not formats.has_onnx(), reason=formats.NO_ONNX)
def test_onnx_runtime_is_timed_beside_torch_and_what_cannot_be_written_has_no_time(monkeypatch):
    def written(network, image):
        if network.architecture.widths == (1, 0, 2):
            raise InputError("torch.export cannot trace this network")
        return program(network, image)

    program, order = formats.to_program, []

    def once(run, x):
        order.append((torch.get_num_threads(), run(x).shape))
        return float(len(order))

    monkeypatch.setattr(formats, "to_program", written)
    monkeypatch.setattr(latency, "forward_seconds", once)
    shapes = [WHOLE.with_widths((1, 0, 2)), WHOLE.with_widths((2, 3, 4))]
    unknown, known = latency.measure_onnx(shapes, 3, seconds=0)
    assert math.isnan(unknown)
    threads = sorted({1, torch.get_num_threads()})
    assert order == [(way, (3, 10)) for _ in range(latency.WARM_UP + 5) for way in threads]
    first = [1 + len(threads) * turn for turn in range(latency.WARM_UP, latency.WARM_UP + 5)]
    assert known == 1000 * first[2]


def test_without_onnx_runtime_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(formats, "has_onnx", lambda: False)
    with pytest.raises(InputError, match=r"pip install -e '\.\[onnx"):
        latency.measure_onnx([WHOLE], 1)


@pytest.mark.skipif(not formats.has_onnx(), reason=formats.NO_ONNX)
def test_onnx_runtime_reports_nothing_to_its_makers(tmp_path):
    """It would keep a device's number in the home folder, and send what it has noted after some seconds."""
    code = (
        "from horticulture import architecture, networks\nfrom horticulture.networks import formats\n"
        "a = architecture.named('wrn-10-1', image=(1, 16, 16), classes=10)\n"
        "formats.from_onnx(formats.to_onnx(formats.to_program(networks.build(a), a.image)), 1)"
    )
    folders = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env={**environment, **folders}, check=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "torchinductor" not in str(path)]
