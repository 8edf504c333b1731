"""The same runs here, in other processes, and on a cluster: each made once, returned in the order asked."""

import functools
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
import torch

from horticulture import architecture, cluster, jobs, runs
from horticulture.errors import BadInput
from horticulture.pruning import Plan
from horticulture.runs import Run
from horticulture.training import Recipe


@pytest.fixture
def train(png_folder):
    """The description of a training that takes some milliseconds."""
    shape = architecture.named("wrn-10-1", image=(3, 8, 8), classes=2)

    def describe(seed: int, lr: float = 0.1) -> Run:
        recipe = Recipe(epochs=1, batch_size=6, lr=lr, precision="float32")
        return jobs.train(shape, recipe, {"name": f"folder:{png_folder}", "images": 0}, seed)

    return describe


@pytest.fixture
def made(monkeypatch) -> list[str]:
    """The keys of the runs that were really made in this process, in order."""
    keys: list[str] = []
    for kind, make in list(jobs.KINDS.items()):
        note = functools.partial(_noting, make, keys)
        monkeypatch.setitem(jobs.KINDS, kind, note)
    return keys


def _noting(make, keys: list[str], work) -> dict:
    keys.append(work.run.key)
    return make(work)


def files(run: Run, outputs: Path) -> list[str]:
    return sorted(path.name for path in runs.folder(run, outputs).iterdir())


def test_each_run_is_made_once_and_returned_in_the_order_asked(train, made, tmp_path):
    first, second = train(0), train(1)
    found = cluster.map([second, first, second], tmp_path, workers=1, device="cpu")
    assert [result["key"] for result in found] == [second.key, first.key, second.key]
    assert made == [second.key, first.key]
    again = cluster.map([first, train(2), second], tmp_path, workers=1, device="cpu")
    assert [result["key"] for result in again] == [first.key, train(2).key, second.key]
    assert made[2:] == [train(2).key]
    assert again[0] == found[1]


def test_a_run_asked_for_twice_is_handed_to_one_worker(train, monkeypatch, tmp_path):
    """Two workers would make it at the same time, each finding that it is not there yet."""
    handed = []

    def submit(work, description, *rest) -> Future:
        future: Future = Future()
        handed.append(Run.from_json(description).key)
        future.set_result(work(description, *rest))
        return future

    monkeypatch.setattr(cluster, "_processes", lambda workers: nullcontext(submit))
    base, other = train(0), train(1)
    wanted = [jobs.prune(base, Plan(rounds=1, steps=1, batch_size=4, criterion=c)) for c in ("l1", "fisher")]
    cluster.map([*wanted, other, other, *wanted], tmp_path, workers=2, device="cpu")
    assert sorted(handed) == sorted(run.key for run in (*wanted, other))
    assert runs.result(base, tmp_path) is not None


@pytest.mark.parametrize(
    ("place", "workers", "count", "expected"),
    [
        ("meta", 0, 3, None),  # on a GPU, say, one process has it to itself,
        ("meta", 2, 3, 2),  # unless more are asked for
        ("meta", 5, 3, 3),
        ("meta", 5, 1, None),  # a single run is made here
        ("cpu", 0, 3, 3),
        ("cpu", 0, 9, 4),  # one a core
        ("cpu", 1, 3, None),
    ],
)
def test_how_many_processes_there_are(train, monkeypatch, tmp_path, place, workers, count, expected):
    started, here, elsewhere = [], [], []

    def processes(workers):
        started.append(workers)
        return nullcontext(lambda work, description, *_: elsewhere.append(description) or finished)

    finished: Future = Future()
    finished.set_result(None)
    monkeypatch.setattr(cluster.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(cluster.machine, "place", lambda device: torch.device(place))
    monkeypatch.setattr(cluster, "_processes", processes)
    monkeypatch.setattr(cluster, "_elsewhere", lambda submit, todo, *_: [submit(None, run) for run in todo])
    monkeypatch.setattr(jobs, "execute", lambda run, *_: here.append(run))
    wanted = [train(seed) for seed in range(count)]
    cluster.map(wanted, tmp_path, workers=workers, device="auto")
    assert started == ([] if expected is None else [expected])
    assert (here, elsewhere) == ((wanted, []) if expected is None else ([], wanted))


def test_nothing_asked_is_nothing_made(made, tmp_path):
    assert cluster.map([], tmp_path, device="cpu") == []
    assert made == []


def test_what_several_prunings_start_from_is_made_once_and_first(train, made, tmp_path):
    base = train(0)
    wanted = [jobs.prune(base, Plan(rounds=1, steps=1, batch_size=4, criterion=c)) for c in ("fisher", "l1")]
    found = cluster.map(wanted, tmp_path, workers=1, device="cpu")
    assert made == [base.key, *(run.key for run in wanted)]
    assert [result["key"] for result in found] == made[1:]


def test_a_run_that_fails_raises_and_leaves_the_others(train, made, tmp_path):
    good, bad, later = train(0), train(0, lr=1e30), train(1)
    with pytest.raises(FloatingPointError, match="learning rate"):
        cluster.map([good, bad, later], tmp_path, workers=1, device="cpu")
    assert runs.result(good, tmp_path) is not None
    assert runs.result(bad, tmp_path) is None
    made.clear()
    cluster.map([good, later], tmp_path, workers=1, device="cpu")
    assert made == [later.key]


def test_processes_leave_the_same_files_and_a_failure_leaves_the_others(train, tmp_path):
    """The one test that starts processes: they take seconds."""
    good, bad = [train(0), train(1)], train(0, lr=1e30)
    with pytest.raises(FloatingPointError, match="learning rate"):
        cluster.map([good[0], bad, good[1]], tmp_path / "processes", workers=2, device="cpu")
    assert runs.result(bad, tmp_path / "processes") is None
    finished = [run for run in good if runs.result(run, tmp_path / "processes") is not None]
    assert good[0] in finished  # it was under way when the other failed
    cluster.map(finished, tmp_path / "here", workers=1, device="cpu")
    for run in finished:
        assert files(run, tmp_path / "processes") == files(run, tmp_path / "here")
        here, there = (runs.result(run, tmp_path / place) for place in ("here", "processes"))
        assert here.keys() == there.keys()
        assert here["run"] == there["run"]
        assert here["metrics"].keys() == there["metrics"].keys()
        assert here["metrics"]["train_macs"] == there["metrics"]["train_macs"]
        frames = [pd.read_csv(runs.folder(run, tmp_path / o) / "epochs.csv") for o in ("here", "processes")]
        assert frames[0].shape == frames[1].shape
        assert frames[0]["loss"].tolist() == pytest.approx(frames[1]["loss"].tolist(), rel=1e-3)
    assert there["about"]["threads"] == 1 or there["about"]["threads"] < here["about"]["threads"]
    assert not list((tmp_path / "processes").rglob("share.json"))


def test_a_worker_writes_down_how_far_it_is(train, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "POLL", -1.0)  # at every step
    run, seen = train(0), []
    assert cluster._share(run, tmp_path) == 0

    def execute(run, outputs, device, report):
        for share in (0.25, 0.75):
            report(share, "")
            seen.append(cluster._share(run, outputs))

    monkeypatch.setattr(jobs, "execute", execute)
    cluster._work(run.to_json(), str(tmp_path), "cpu")
    assert seen == [0.25, 0.75]
    assert cluster._share(run, tmp_path) == 0
    runs.folder(run, tmp_path).joinpath("share.json").write_text("0.")  # being written just now
    assert cluster._share(run, tmp_path) == 0
    runs.folder(run, tmp_path).joinpath("share.json").write_text("")
    assert cluster._share(run, tmp_path) == 0


def test_a_dask_cluster_makes_the_same_runs(train, tmp_path):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: horticulture[cluster]")
    first, second = train(0), train(1)
    wanted = jobs.prune(first, Plan(rounds=1, steps=1, batch_size=4))
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=None,
    ) as machines:
        address = machines.scheduler_address
        found = cluster.map([wanted, second], tmp_path, device="cpu", address=address)
        assert [result["key"] for result in found] == [wanted.key, second.key]
        with pytest.raises(FloatingPointError, match="learning rate"):
            cluster.map([train(3, lr=1e30)], tmp_path, device="cpu", address=address)
    assert runs.result(first, tmp_path) is not None
    assert "share.json" not in files(second, tmp_path)


@pytest.mark.parametrize("address", ["nonsense://nowhere", "tcp://127.0.0.1:9"])
def test_a_cluster_that_does_not_answer_is_refused_by_its_address(train, tmp_path, address, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: horticulture[cluster]")
    client = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda at, timeout, **k: client(at, timeout=0.3, **k))
    with pytest.raises(BadInput, match=rf"no Dask scheduler answers at '{address}'"):
        cluster.map([train(0)], tmp_path, device="cpu", address=address)
    assert runs.result(train(0), tmp_path) is None


def test_an_unknown_device_is_refused_before_any_work(train, made, tmp_path):
    with pytest.raises(BadInput, match="no device 'gpu'"):
        cluster.map([train(0)], tmp_path, device="gpu")
    assert made == []
