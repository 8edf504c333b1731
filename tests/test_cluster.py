"""Runs on a Dask cluster: where it may listen, who may work on it, in what order, and what travels."""

import ast
import errno
import gc
import json
import multiprocessing.spawn
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from unittest import mock

import psutil
import pytest

from horticulture import architecture, cli, execution, networks, pruning, runs
from horticulture.errors import ClusterError, InputError
from horticulture.execution import (
    admission,
    cluster,
    file_transfer,
    inspection,
    loading,
    parallel,
    remote,
    remote_worker,
    status,
)
from horticulture.execution.board import Board
from horticulture.pruning import PruningRecipe, criteria
from horticulture.runs import Run
from horticulture.study import bounds, budgets
from horticulture.study.session import Session
from horticulture.system import code_files, files, leases, limits
from horticulture.system.progress import Progress
from horticulture.training import TrainingRecipe, hardware
from tests import commands, killed

# Dask warns of a slow disk, which a busy machine has.
pytestmark = pytest.mark.filterwarnings("ignore:Creating scratch directories is taking")
dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed", reason="Dask is not installed: horticulture[cluster]")

THREADS = inspection._threads


@pytest.fixture
def train(png_folder):
    """The description of a training run that takes some milliseconds."""
    shape = architecture.named("wrn-10-1", image=(3, 8, 8), classes=2)
    source = execution.describe_data(f"folder:{png_folder}")

    def describe(seed: int, lr: float = 0.1, epochs: int = 1) -> Run:
        recipe = TrainingRecipe(epochs=epochs, batch_size=6, lr=lr, precision="float32")
        return execution.training_run(shape, recipe, source, seed)

    return describe


def prune(base: Run, rounds: int = 2) -> Run:
    return execution.pruning_run(
        base, PruningRecipe(rounds=rounds, steps=1, batch_size=4, precision="float32")
    )


def tune(pruned: Run) -> Run:
    """A training of what the first round left."""
    recipe = TrainingRecipe(epochs=1, batch_size=6, precision="float32")
    return execution.finetuning_run(pruned, 1, pruned.architecture, recipe)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Threads that wait for each other take ten times as long on a busy machine."""
    monkeypatch.setattr(inspection, "_threads", lambda: 1)


@contextmanager
def in_threads(workers: int = 1, **given):
    """The address of a cluster in threads of this process, whose workers can be patched."""
    with distributed.LocalCluster(
        n_workers=workers,
        processes=False,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        **{"protocol": "tcp", "threads_per_worker": 1, **given},
    ) as machines:
        yield machines.scheduler_address


@pytest.fixture(scope="module")
def shared_address():
    with in_threads() as address:
        yield address


# --- on this machine ---------------------------------------------------------------------------------------


def listening(process: psutil.Process) -> set[str]:
    """The addresses that a process and its children listen on."""
    everyone = [process, *process.children(recursive=True)]
    return {
        one.laddr.ip
        for who in everyone
        for one in who.net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    }


def test_processes_here_listen_on_this_machine_only_and_end_with_it(train, tmp_path, monkeypatch):
    wanted = [prune(train(0)), train(1)]
    variables = {*os.environ, "PYTHONHASHSEED", "__DASK_PARENT_PID"}
    temporary = tmp_path / "t"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with cluster.opened("local:2") as address:
        assert re.fullmatch(r"tls://127\.0\.0\.1:\d+", address)
        assert listening(psutil.Process()) == {"127.0.0.1"}
        certificate = ast.literal_eval(os.environ["DASK_DISTRIBUTED__COMM__TLS__CA_FILE"])  # as Dask reads it
        assert certificate == dask.config.get("distributed.comm.tls.ca-file")
        with cluster.connected(address) as client:
            workers = client.scheduler_info()["workers"].values()
            assert [one["nthreads"] for one in workers] == [1, 1]
            assert len({one["nanny"] for one in workers}) == 2
            monkeypatch.setattr(inspection, "_threads", THREADS)
            (threads,) = {one.threads for one in inspection.require_fit(client).values()}
            assert threads == max(1, cluster.processors() // 2)
            there = inspection.ask(
                client, os.getpid
            ).values()  # what they had when they began to load anything
            assert {psutil.Process(pid).environ()["OMP_NUM_THREADS"] for pid in there} == {str(threads)}
        parallel.execute_all(wanted, tmp_path / "there", device="cpu", address=address)
        left = psutil.Process().children(recursive=True)
    assert (
        not os.environ.keys() - variables
    )  # of the certificate, or of threads: or other children would compute with a worker's threads
    for run in (*wanted, train(0)):
        execution.execute(run, tmp_path / "here", "cpu", threads=threads)
    assert killed.results(tmp_path / "there") == killed.results(tmp_path / "here")
    assert {runs.result(run, tmp_path / "there")["about"]["threads"] for run in wanted} == {threads}
    _, alive = psutil.wait_procs(left, timeout=10)
    assert not [one for one in alive if "resource_tracker" not in " ".join(one.cmdline())]
    assert commands.files_of(temporary) == []


def test_other_users_of_this_machine_are_not_let_in():
    """They see the ports, but not our environment, where the certificate is."""
    code = "import sys; from distributed import Client; print(Client(sys.argv[1], timeout=5).run(int))"
    with cluster.opened("local:1") as address:
        strangers = {name: text for name, text in os.environ.items() if not name.startswith("DASK_")}
        answers = [
            subprocess.run(
                [sys.executable, "-c", code, to], env=env, capture_output=True, text=True, timeout=90
            )
            for env, to in [
                (os.environ, address),
                (strangers, address),
                (strangers, address.replace("tls", "tcp")),
            ]
        ]
    assert [bool(one.returncode) for one in answers] == [False, True, True]
    assert [one.stdout.count(": 0") for one in answers] == [1, 0, 0]


def test_a_cluster_here_is_reached_after_another_was_started(train, tmp_path):
    with cluster.opened("local:1") as first, cluster.opened("local:1") as second:
        assert first != second
        for seed, address in enumerate((first, second)):
            parallel.execute_all([train(seed)], tmp_path, device="cpu", address=address)
    assert [runs.result(train(seed), tmp_path) is not None for seed in range(2)] == [True, True]


def test_processes_here_that_cannot_start_are_said_in_one_line_and_leave_nothing(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", "/bin/false")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = psutil.Process().children(recursive=True)
    for _ in range(2):  # the second time it is tried again
        with pytest.raises(InputError, match=r"the workers of local:2 cannot be started: \w+"):
            cluster.resolve("local:2")
    assert commands.files_of(tmp_path) == []
    left = [one for one in psutil.Process().children(recursive=True) if one not in before]
    assert not [one for one in left if "resource_tracker" not in " ".join(one.cmdline())]
    assert capfd.readouterr().err == 2 * "starting local:2: worker processes on this machine\n"


# --- who is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["nonsense://nowhere", "tcp://127.0.0.1:9"])
def test_a_cluster_that_does_not_answer_is_refused_by_its_address(train, tmp_path, address, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.3)
    with pytest.raises(InputError, match=rf"no Dask scheduler answers at '{address}'"):
        parallel.execute_all([train(0)], tmp_path, device="cpu", address=address)
    assert not runs.folder(train(0), tmp_path).exists()


def test_what_is_no_scheduler_is_refused_whatever_it_says(train, tmp_path, monkeypatch):
    """A web server's answer, read as Dask's, announces exabytes."""
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                connection.recv(1 << 16)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match=rf"no Dask scheduler answers at '{address}'"):
            parallel.execute_all([train(0)], tmp_path, device="cpu", address=address)
        thread.join(10)


@pytest.mark.parametrize("address", ["nonsense://nowhere", "tcp://127.0.0.1:port", "tcp://127.0.0.1:9"])
def test_no_half_made_client_is_left_behind(address, monkeypatch):
    """Freed while Dask starts a thread, it waits for a lock that this thread's starter holds."""

    def left() -> tuple[int, int]:
        clients = [one for one in gc.get_objects() if type(one) is distributed.Client]
        loops = [thread for thread in threading.enumerate() if thread.name == "IO loop"]
        return sum(one.status != "closed" for one in clients), len(loops)

    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.3)
    before = left()
    with (
        pytest.raises(InputError, match=f"no Dask scheduler answers at '{address}'"),
        cluster.connected(address),
    ):
        pass
    assert left() == before


def test_the_command_refuses_it_before_anything_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.3)
    outputs = tmp_path / "out"
    assert cli.main(["run", "smoke", "--cluster", "tcp://127.0.0.1:9", "--outputs", str(outputs)]) == 2
    assert re.fullmatch("horticulture: no Dask scheduler answers at .*\n", capsys.readouterr().err)
    assert not outputs.exists()


def test_a_scheduler_without_a_worker_is_refused(train, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "FIRST", 0.3)
    with in_threads(0) as address, pytest.raises(InputError, match=rf"{address}' has no worker"):
        parallel.execute_all([train(0)], tmp_path, device="cpu", address=address)


@contextmanager
def worker(address: str, folder: Path, *options: str, **environment: str):
    """A worker process of its own."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1"),
            *("--no-dashboard", "--dashboard-address", "127.0.0.1:0", "--host", "127.0.0.1"),
            *("--local-directory", folder, *options),
        ],
        env={**os.environ, **environment},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                one.kill()
        process.wait(timeout=30)


@pytest.mark.parametrize("package", inspection.PACKAGES)
def test_a_worker_with_another_version_is_refused_by_name(train, tmp_path, package):
    other = tmp_path / f"{package}-9.9.dist-info"  # found before the installed one
    other.mkdir()
    (other / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 9.9\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    said = rf"the worker tcp://127\.0\.0\.1:\d+ has {package} 9\.9, not .*: install the same version"
    with (
        in_threads(0) as address,
        worker(address, tmp_path / "w", PYTHONPATH=path),
        pytest.raises(InputError, match=said),
    ):
        parallel.execute_all([train(0)], tmp_path / "o", device="cpu", address=address)
    assert not runs.folder(train(0), tmp_path / "o").exists()


def test_a_worker_with_other_code_is_refused_though_its_version_is_the_same(
    train, tmp_path, shared_address, monkeypatch
):
    there = inspection.Environment({**inspection.local_versions(), "code of the package": "0"}, 1, "lock", [])
    monkeypatch.setattr(inspection, "ask", lambda *_, **__: {"w": there})
    with pytest.raises(InputError, match="the worker w has code of the package 0, not "):
        parallel.execute_all([train(0)], tmp_path, device="cpu", address=shared_address)


def test_builds_for_another_device_are_the_same_version():
    assert not inspection.differences({"torch": "2.15.0+cpu"}, {"torch": "2.15.0+cu130"})


def test_a_worker_without_the_package_is_refused_by_name(shared_address, monkeypatch):
    def absent(client, function, *arguments, workers=None):
        if function is inspection.version and arguments[0] == "torch":
            return dict.fromkeys(workers, "2.15")
        return dict.fromkeys(client.scheduler_info()["workers"], PackageNotFoundError(*arguments))

    monkeypatch.setattr(inspection, "ask", absent)
    with (
        cluster.connected(shared_address) as client,
        pytest.raises(InputError, match=r"the worker \S+ has no horticulture: install the same environment"),
    ):
        inspection.require_fit(client)


def test_a_worker_that_cannot_say_what_it_is_is_refused(shared_address, monkeypatch):
    monkeypatch.setattr(inspection, "_view", lambda marker: 1 / 0)
    with (
        cluster.connected(shared_address) as client,
        pytest.raises(InputError, match=r"worker \S+ cannot say what it is: ZeroDivisionError: division"),
    ):
        inspection.require_fit(client)


def test_workers_with_different_threads_are_refused(monkeypatch):
    counts = iter([1, 4])
    monkeypatch.setattr(inspection, "_threads", lambda: next(counts))
    with (
        in_threads(2) as address,
        cluster.connected(address) as client,
        pytest.raises(InputError, match=r"the worker \S+ computes with 4 threads, another with 1: start all"),
    ):
        inspection.require_fit(client)


def test_a_worker_says_its_threads_by_one_variable(train, tmp_path, monkeypatch):
    """Dask sets MKL_NUM_THREADS=1 in its processes, which torch would obey."""
    monkeypatch.setattr(inspection, "_threads", THREADS)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with in_threads(0) as address, worker(address, tmp_path / "w", OMP_NUM_THREADS="2"):
        parallel.execute_all([train(0)], tmp_path / "o", device="cpu", address=address)
    assert runs.result(train(0), tmp_path / "o")["about"]["threads"] == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"threads_per_worker": 2}, "has 2 threads for runs: start it with --nthreads 1"),
        ({"resources": {"GPU": 0.5}}, "has GPU=0.5: start it with GPU=1, also where several share a device"),
    ],
)
def test_a_worker_for_several_runs_or_for_none_is_refused(train, tmp_path, given, said):
    with (
        in_threads(**given) as address,
        pytest.raises(InputError, match=rf"the worker \S+ {said}"),
    ):
        parallel.execute_all([train(0)], tmp_path, device="auto", address=address)
    assert not runs.folder(train(0), tmp_path).exists()


def test_a_worker_that_does_not_answer_is_told_and_waited_for_once(
    tmp_path, shared_address, capsys, monkeypatch
):
    monkeypatch.setattr(inspection, "_silent", set())
    with cluster.connected(shared_address) as client, worker(shared_address, tmp_path / "w"):
        client.wait_for_workers(2, timeout=100)
        numbers = inspection.ask(client, os.getpid)
        (silent,) = [one for one, number in numbers.items() if number != os.getpid()]
        os.kill(numbers[silent], signal.SIGSTOP)
        monkeypatch.setattr(inspection, "REPLY_SECONDS", 1)
        assert silent not in inspection.ask(client, os.getpid)
        monkeypatch.setattr(inspection, "REPLY_SECONDS", 1000)
        assert silent not in inspection.ask(client, os.getpid)
    assert capsys.readouterr().err.count(f"the worker {silent} does not answer: going on without it") == 1


def other_code(place: Path) -> dict[str, str]:
    """The environment of a process whose package has the same version and another line."""
    shutil.copytree(Path(execution.__file__).parents[1], place / "horticulture")
    with (place / "horticulture" / "errors.py").open("a") as module:
        module.write("# another\n")
    return {"PYTHONPATH": str(place)}


def older_code(place: Path) -> dict[str, str]:
    """That of one whose package lacks most of what a worker is asked with, and digests itself elsewhere."""
    environment = other_code(place)
    for name in ("inspection", "remote_worker"):
        (place / "horticulture" / "execution" / f"{name}.py").unlink()
    return environment


def without_folder(place: Path) -> dict[str, str]:
    """The environment of a process that sees no file of ours as one."""
    return patched(
        place,
        "import pathlib; there = pathlib.Path.exists\n"
        "pathlib.Path.exists = lambda self, **given: 'shared-' not in self.name and there(self, **given)\n"
        "pathlib.Path.is_file = pathlib.Path.exists\n",
    )


def other_threads(place: Path) -> dict[str, str]:
    return {"OMP_NUM_THREADS": "2"}


def without_data(place: Path) -> dict[str, str]:
    return {"HORTICULTURE_DATA": str(place)}


def patched(place: Path, code: str) -> dict[str, str]:
    """The environment of a process that begins with this code."""
    (place / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join([str(place), str(Path(execution.__file__).parents[2])])}


def test_a_worker_whose_code_is_too_old_to_be_asked_is_refused_by_name(train, tmp_path):
    (tmp_path / "there").mkdir()
    environment = older_code(tmp_path / "there")
    said = rf"the worker \S+ has other code of the package, not {inspection.code_digest()}: install the same"
    with (
        in_threads(0) as address,
        worker(address, tmp_path / "w", **environment),
        pytest.raises(InputError, match=said),
    ):
        parallel.execute_all([train(0)], tmp_path / "o", device="cpu", address=address)
    assert not runs.folder(train(0), tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("unfit", "said"),
    [
        (other_code, r"has code of the package \w+, not \w+: install the same version there"),
        (older_code, r"has other code of the package, not \w+: install the same version there"),
        (without_folder, r"does not see \S+"),
        (other_threads, r"computes with 2 threads, another with 1: start all of them .*"),
        (without_data, r"lacks the data set svhn: run `horticulture download svhn` there"),
    ],
)
def test_a_worker_that_comes_later_and_cannot_do_the_work_gets_no_runs_and_stays(
    train, tmp_path, monkeypatch, capsys, unfit, said
):
    """It is told while the first run lasts. Then somebody else can still use it."""
    bases = [train(seed) for seed in range(4)]
    wanted = [*bases, *map(prune, bases)]
    (tmp_path / "there").mkdir()
    environment, told = {"OMP_NUM_THREADS": "1"} | unfit(tmp_path / "there"), threading.Event()
    execute, look_at = remote_worker._execute, admission.Admission._look_at

    def looking(self, worker):
        look_at(self, worker)
        told.set()

    with in_threads() as address, ExitStack() as stack:

        def patiently(*arguments):
            if not started:
                started.append(stack.enter_context(worker(address, tmp_path / "w", **environment)))
            assert told.wait(60)
            execute(*arguments)

        started = list[subprocess.Popen]()
        monkeypatch.setattr(remote_worker, "_execute", patiently)
        monkeypatch.setattr(admission.Admission, "_look_at", looking)
        if unfit is without_data:  # which no run here needs: this machine need not have it
            opened = admission.opened
            monkeypatch.setattr(admission, "opened", lambda *given: opened(*given[:-1], ["svhn"]))
            monkeypatch.setattr(inspection, "_lacking", lambda name: False)
        parallel.execute_all(wanted, tmp_path / "o", device="cpu", address=address)
        with cluster.connected(address) as client:
            replies = inspection.ask(client, os.getpid)
    assert all(runs.result(run, tmp_path / "o") for run in wanted)
    assert len(replies) == 2
    lines = re.findall(r"the worker tcp://\S+ (.*)\. It gets no runs\n", capsys.readouterr().err)
    assert len(lines) == 1
    assert re.fullmatch(said, lines[0])


def test_a_worker_that_joins_between_two_notebooks_does_not_end_the_study(train, tmp_path, capsys):
    (tmp_path / "there").mkdir()
    with in_threads() as address, ExitStack() as stack:
        parallel.execute_all([train(0)], tmp_path / "o", device="cpu", address=address)
        stack.enter_context(worker(address, tmp_path / "w", **other_code(tmp_path / "there")))
        with cluster.connected(address) as client:
            client.wait_for_workers(2)
        for seeds in ([1, 2], [3]):  # notebooks
            parallel.execute_all([*map(train, seeds)], tmp_path / "o", device="cpu", address=address)
        assert len(re.findall("It gets no runs", capsys.readouterr().err)) == 1
        with pytest.raises(InputError, match="has code of the package"), cluster.opened(address):
            pytest.fail("a command that starts now refuses it")
    assert all(runs.result(train(seed), tmp_path / "o") for seed in range(4))


@pytest.mark.parametrize("folder", ["shared", "apart"])
def test_a_worker_that_comes_later_gets_runs_and_the_files_that_it_lacks(
    tmp_path, png_folder, monkeypatch, folder
):
    """It sees the user's network and the images at no time; all runs that it makes need them."""
    place, there = tmp_path / "mine", tmp_path / "there"
    place.mkdir()
    there.mkdir()
    (place / "own.py").write_text(OWN)
    shutil.copytree(png_folder, place / "pictures")
    shape = networks.named(f"{place}/own.py:make", image=(3, 8, 8), classes=2)
    recipe = TrainingRecipe(epochs=1, batch_size=6, precision="float32")
    source = execution.describe_data(f"folder:{place}/pictures")
    wanted = [execution.training_run(shape, recipe, source, seed) for seed in range(6)]
    hidden = [str(place), *(["shared-"] if folder == "apart" else [])]
    environment = patched(
        there,
        "import os; stat = os.stat\n"
        "def look(path, *more, **given):\n"
        f"    if any(one in str(path) for one in {hidden}): raise FileNotFoundError(2, path)\n"
        "    return stat(path, *more, **given)\n"
        "os.stat = look\n",
    ) | {"OMP_NUM_THREADS": "1", "HORTICULTURE_DATA": str(there)}
    execute, who = remote_worker._execute, threading.Event()
    if folder == "apart":
        monkeypatch.setattr(inspection, "_view", lambda marker: "nothing")
    update = Board.update
    with in_threads() as address, ExitStack() as stack:
        started = list[subprocess.Popen]()

        def patiently(run, *arguments):
            if not started:
                started.append(stack.enter_context(worker(address, tmp_path / "w", **environment)))
            assert who.wait(60)  # until the other worker has begun a run
            execute(run, *arguments)

        def updating(board, message):
            who.set()
            update(board, message)

        monkeypatch.setattr(remote_worker, "_execute", patiently)
        monkeypatch.setattr(Board, "update", updating)
        parallel.execute_all(wanted, tmp_path / "o", device="cpu", address=address)
    assert started
    assert who.is_set()
    assert all(runs.result(run, tmp_path / "o") for run in wanted)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_with_certificates_a_client_without_one_is_refused(train, tmp_path, monkeypatch):
    """As in docs/cluster.md, by settings of Dask alone."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            key,
            "-out",
            certificate,
            "-days",
            "2",
            "-subj",
            "/CN=horticulture",
        ],
        check=True,
        capture_output=True,
    )
    whole = {"distributed.comm.require-encryption": True, "distributed.comm.tls.ca-file": str(certificate)}
    for who in ("scheduler", "worker", "client"):
        whole[f"distributed.comm.tls.{who}.cert"] = str(certificate)
        whole[f"distributed.comm.tls.{who}.key"] = str(key)
    with dask.config.set(whole), in_threads(protocol="tls") as address:
        assert address.startswith("tls://")
        parallel.execute_all([train(0)], tmp_path, device="cpu", address=address)
        # A client that lacks one would be in the way until it has been waited for.
        monkeypatch.setattr(distributed, "Client", pytest.fail)
        with (
            dask.config.set(dict.fromkeys(whole)),
            pytest.raises(
                InputError,
                match=r"no Dask scheduler answers at 'tls://\S+': a certificate is needed, .* says which",
            ),
        ):
            parallel.execute_all([train(1)], tmp_path, device="cpu", address=address)
        plain = address.replace("tls", "tcp")
        closes = f"no Dask scheduler answers at '{plain}': it closes the connection: if it speaks TLS, its "
        unencrypted = {"distributed.comm.require-encryption": False}
        with dask.config.set(unencrypted), pytest.raises(InputError, match=closes):
            parallel.execute_all([train(1)], tmp_path, device="cpu", address=plain)
    assert runs.result(train(0), tmp_path) is not None
    assert runs.result(train(1), tmp_path) is None


def test_workers_may_have_a_gpu_where_the_command_has_none(train, tmp_path, shared_address, monkeypatch):
    """A laptop asks for cuda; whether there is one is for the workers to say, by name."""
    monkeypatch.setattr(limits, "GPUS", ())
    bounds.check({"device": "cuda", "cluster": "tcp://there:8786"})
    for here in ("", "local:2"):
        with pytest.raises(InputError, match="no device 'cuda' here: choose from auto and cpu"):
            bounds.check({"device": "cuda", "cluster": here})
    monkeypatch.setattr(hardware, "resolve_device", lambda device: 1 / 0)
    with pytest.raises(ClusterError, match=r"1 of 1 runs failed; .* ZeroDivisionError"):  # there
        parallel.execute_all([train(0)], tmp_path, device="cuda", address=shared_address)
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"the worker tcp://\S+: no device 'cuda:99' here"):
        cluster.common_precision("auto", "cuda:99", shared_address)


# --- order, progress and failures --------------------------------------------------------------------------


def test_a_cluster_makes_the_same_runs_in_the_order_asked(train, tmp_path, shared_address, monkeypatch):
    first, second = train(0), train(1)
    wanted, seen = prune(first), []
    monkeypatch.setattr(Board, "update", lambda self, message: seen.append(message[0]))
    found = parallel.execute_all([wanted, second, first], tmp_path, device="cpu", address=shared_address)
    assert {first.key, second.key, wanted.key} == set(seen)
    assert [result["key"] for result in found] == [wanted.key, second.key, first.key]


@pytest.fixture
def ended(monkeypatch):
    """The keys of the runs that have ended, in order."""
    keys, finish = list[str](), Board.finish
    monkeypatch.setattr(
        Board, "finish", lambda self, run, *error: (keys.append(run.key), finish(self, run, *error))
    )
    return keys


@pytest.fixture
def lasts_until(ended, monkeypatch):
    """Has a run, on workers in threads of this process, last until another one has ended."""

    def lasts(slow: runs.Run, last: runs.Run) -> None:
        execute = remote_worker._execute

        def executing(run, *arguments):
            end = time.monotonic() + 60
            while run.key == slow.key and last.key not in ended and time.monotonic() < end:
                time.sleep(0.01)
            execute(run, *arguments)

        monkeypatch.setattr(remote_worker, "_execute", executing)

    return lasts


def test_nothing_waits_for_what_it_does_not_need(train, tmp_path, ended, lasts_until):
    """The pruning of a short training is over while a long training still runs."""
    slow, quick = train(0, epochs=3), train(1)
    lasts_until(slow, prune(quick))
    with in_threads(2) as address:
        parallel.execute_all([prune(slow), prune(quick)], tmp_path, device="cpu", address=address)
    assert ended == [quick.key, prune(quick).key, slow.key, prune(slow).key]


@pytest.mark.parametrize(("folder", "there"), [("shared", 0), ("apart", 1)])
def test_what_follows_from_a_run_begins_while_others_go_on(
    train, tmp_path, ended, lasts_until, folder, there, request
):
    """A short run's pruning and the training of what that left are over while a long one still trains."""
    if folder == "apart":
        request.getfixturevalue("apart")
    slow, quick = train(0, epochs=3), train(1)
    pruned = prune(quick)
    lasts_until(slow, tune(pruned))
    after = {quick.key: [pruned], pruned.key: [tune(pruned)]}
    for run in [quick, pruned][:there]:
        execution.execute(run, tmp_path / "o", "cpu", threads=1)
    with in_threads(2) as address:
        parallel.execute_all(
            *([slow, quick], tmp_path / "o"),
            device="cpu",
            address=address,
            then=lambda run: after.get(run.key, []),
        )
    assert ended == [run.key for run in (quick, pruned, tune(pruned))[there:]] + [slow.key]
    for run in (quick, pruned, tune(pruned), slow):
        execution.execute(run, tmp_path / "here", "cpu", threads=1)
    assert killed.results(tmp_path / "o") == killed.results(tmp_path / "here")


@pytest.mark.parametrize("made", ["", "train", "prune"])
def test_where_03_runs_alone_a_seed_is_retrained_before_another_is_trained_or_pruned(
    tmp_path, png_folder, monkeypatch, made
):
    """made: for the seed in front, that much of the earlier notebooks was there."""
    shared = {"study": "mine", "outputs": str(tmp_path), "seeds": [0, 1], "network": "wrn-10-1"}
    shared |= {"data": f"folder:{png_folder}", "batch_size": 4, "epochs": 1, "rounds": 4, "steps": 1}
    shared |= {"base_epoch_factors": [1], "precision": "float32", "evaluate_every": 2, "images": 0}
    shared |= {"sizes": [0.9], "budgets": ["pruned-scratch", "lr-rewound"], "finetune_epochs": 1}
    front, retrained = threading.Event(), []
    execute, finish = remote_worker._execute, Board.finish

    def patiently(run, *arguments):
        assert run.seed == 0 or front.wait(100)
        return execute(run, *arguments)

    def finishing(board, run, error=""):
        finish(board, run, error)
        if run.seed == 0 and (run.kind == "finetune" or run.architecture != config.whole):
            retrained.append(run)
        if len(retrained) == 3:  # as it is, LR-rewound, and from scratch
            front.set()

    with in_threads(2) as address:
        session = Session.open({**shared, "cluster": address})
        config, (base, _) = session.config, session.config.baselines
        (first, _) = config.pruning_jobs
        for run in [base, first.run][: ["", "train", "prune"].index(made)]:
            execution.execute(run, tmp_path, "cpu", threads=1)
        monkeypatch.setattr(remote_worker, "_execute", patiently)
        monkeypatch.setattr(Board, "finish", finishing)
        session.catch_up(retraining=True)
        points = budgets.budget_points(config, config.pruned_networks(tmp_path))
        left = {run.key for run in retrained} ^ {point.run.key for point in points if point.run.seed == 0}
        assert not left
        assert all(runs.result(point.run, tmp_path) for point in points)


def test_a_run_that_fails_is_told_with_its_traceback_and_stops_no_other(
    train, tmp_path, shared_address, capsys
):
    bad, good = train(0, lr=1e30), train(1)
    wanted = [prune(bad), bad, prune(good)]
    said = r"1 of 4 runs failed, 1 skipped; the first is .*: FloatingPointError: .*rate"
    with pytest.raises(ClusterError, match=said):
        parallel.execute_all(wanted, tmp_path, device="cpu", address=shared_address, study=tmp_path / "study")
    assert runs.result(prune(good), tmp_path) is not None
    assert runs.result(bad, tmp_path) is None
    said = capsys.readouterr().err
    assert f"{bad} failed: FloatingPointError" in said
    assert 'tasks.py", line' in said
    assert said.count("Traceback") == 1
    assert f"{prune(bad)} skipped: a run that it starts from failed" in said
    assert cli.main(["status", "study", "--outputs", str(tmp_path)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert re.match(r"study: runs +100%  .*  2/4 finished, 1 failed, 1 skipped$", told[0])
    assert re.fullmatch(rf"  written 0:\d\d ago by process {os.getpid()} on \S+", told[1])
    (failed,) = (line for line in told if "failed: " in line)
    assert "FloatingPointError" in failed


def test_failures_of_runs_with_the_same_name_are_all_counted(train, tmp_path, shared_address, monkeypatch):
    wanted, boards, show = [train(0, lr=lr) for lr in (1e30, 2e30, 3e30)], list[Board](), Board.show
    monkeypatch.setattr(Board, "show", lambda self: (boards.append(self), show(self)))
    with pytest.raises(ClusterError, match=r"3 of 3 runs failed; the first is seed 0: "):
        parallel.execute_all(wanted, tmp_path, device="cpu", address=shared_address, study=tmp_path / "s")
    assert (boards[-1].progress.share, boards[-1].progress.note) == (1.0, "0/3 finished, 3 failed")
    assert len(status.read(tmp_path / "s")["failed"]) == 3


def test_runs_after_one_that_dask_gives_up_are_skipped(train, tmp_path, shared_address, monkeypatch):
    """Dask gives up the tasks that depend on it as well, with the same error."""

    def given_up(*_):
        raise RuntimeError("no worker survives it")  # its own error needs the scheduler's words for a worker

    monkeypatch.setattr(remote_worker, "work", given_up)
    with pytest.raises(
        ClusterError, match=r"1 of 3 runs failed, 2 skipped; the first is .*: no worker survives it"
    ):
        parallel.execute_all([tune(prune(train(0)))], tmp_path, device="cpu", address=shared_address)


def test_a_killed_workers_run_waits_for_another_worker_and_ends_with_the_same_bits(
    train, tmp_path, monkeypatch
):
    """The short form of `python -m tests.faults`."""
    slow, said, killed_ones, update, wait = train(0, epochs=100), [], list[int](), Board.update, Board.wait
    wanted = [slow, prune(slow)]

    def killing(board, message):
        update(board, message)
        if message[0] == slow.key and message[1] > 0.1 and not killed_ones:
            with distributed.Client(address, set_as_default=False) as client:
                (number,) = inspection.ask(client, os.getpid).values()
            killed_ones.append(number)
            os.kill(number, signal.SIGKILL)

    def waiting(board, key):
        wait(board, key)
        said.append((key, board.progress.note, board.progress.details))

    monkeypatch.setattr(Board, "update", killing)
    monkeypatch.setattr(Board, "wait", waiting)
    with in_threads(0) as address, worker(address, tmp_path / "w", OMP_NUM_THREADS="1"):
        parallel.execute_all(wanted, tmp_path / "there", device="cpu", address=address)
    assert killed_ones
    (told,) = {one for one in said if one[0] == slow.key}
    assert told[1:] == ("0/2 finished, 1 waiting for another worker", "its worker is gone")
    for run in wanted:
        execution.execute(run, tmp_path / "here", "cpu", threads=1)
    assert killed.results(tmp_path / "there") == killed.results(tmp_path / "here")


def test_a_worker_that_is_asked_to_end_saves_its_work_for_the_next(train, tmp_path, monkeypatch):
    slow, shares, asked, update = train(0, epochs=200), list[float](), list[int](), Board.update
    with in_threads(0) as address, ExitStack() as stack:
        first = stack.enter_context(worker(address, tmp_path / "first"))

        def ending(board, message):
            update(board, message)
            shares.append(message[1])
            if message[1] > 0.1 and not asked:
                first.terminate()
                asked.append(len(shares))
                stack.enter_context(worker(address, tmp_path / "second"))

        monkeypatch.setattr(Board, "update", ending)
        parallel.execute_all([slow], tmp_path / "there", device="cpu", address=address)
    assert asked
    assert min(shares[asked[0] :]) > 0.1  # checkpoints that are due are half a minute apart
    execution.execute(slow, tmp_path / "here", "cpu", threads=1)
    assert killed.results(tmp_path / "there") == killed.results(tmp_path / "here")


def test_the_status_of_a_study_shows_what_is_running(train, tmp_path, capsys):
    wanted = [train(0), train(1), train(2)]
    with Progress("training", len(wanted)) as progress:
        board = Board(progress, wanted, tmp_path / "mine")
        assert cli.main(["status", "mine", "--outputs", str(tmp_path)]) == 2
        board.update((train(0).key, 0.5, "epoch 1/2", []))
        board.finish(train(1))
        board.write_status()
    assert cli.main(["status", "mine", "--outputs", str(tmp_path)]) == 0
    assert "training   50%" in (said := capsys.readouterr().out)
    assert "left  epoch 1/2; 1/3 finished, 1 running" in said


def test_runs_that_no_worker_can_do_wait_for_one_and_say_so(train, tmp_path, monkeypatch, capsys):
    """The only worker with a GPU leaves; another one comes when that has been shown."""
    monkeypatch.setattr(remote, "QUIET", 0.1)
    left, submit, show, said = threading.Event(), remote._Tasks._submit, Board.show, list[str]()
    monkeypatch.setattr(remote_worker, "_execute", lambda *_: left.wait(300))

    def submitting(self, todo):
        submit(self, todo)
        self._client.retire_workers(list(self._client.scheduler_info()["workers"]))  # also if busy
        left.set()

    with in_threads(resources={"GPU": 1}) as address, ExitStack() as stack:

        def showing(board):
            show(board)
            if board.waiting_for and not said:
                board.write_status()
                assert cli.main(["status", "mine", "--outputs", str(tmp_path)]) == 0
                said.append(capsys.readouterr().out)
                stack.enter_context(worker(address, tmp_path / "w", "--resources", "GPU=1"))

        monkeypatch.setattr(remote._Tasks, "_submit", submitting)
        monkeypatch.setattr(Board, "show", showing)
        given = {"device": "auto", "address": address, "study": tmp_path / "mine"}
        parallel.execute_all([train(0), train(1)], tmp_path, **given)
    assert "waiting for a worker with a GPU; 0/2 finished" in said[0]


RELEASED = threading.Event()


def occupy() -> None:
    """What somebody else has given to a worker."""
    RELEASED.wait(300)


def test_runs_that_wait_behind_the_work_of_others_say_so(train, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(remote, "QUIET", 0.1)
    show, said = Board.show, list[str]()

    def showing(board):
        show(board)
        if board.waiting_for:
            said.append(board.waiting_for)
            RELEASED.set()

    monkeypatch.setattr(Board, "show", showing)
    RELEASED.clear()
    with in_threads() as address, distributed.Client(address, set_as_default=False) as other:
        theirs = other.submit(occupy, pure=False)
        parallel.execute_all([train(0)], tmp_path, device="cpu", address=address)
        assert theirs.result() is None
    assert set(said) == {"waiting for a free worker"}


@pytest.mark.parametrize("cluster", ["local:2", "tcp://127.0.0.1:7"])
def test_an_interrupted_command_says_which_runs_go_on(tmp_path, monkeypatch, capsys, cluster):
    @contextmanager
    def opened(address):
        yield "tls://127.0.0.1:9" if address == "local:2" else address

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("horticulture.execution.cluster.opened", opened)
    monkeypatch.setattr("horticulture.study.runner.run", interrupted)
    assert cli.main(["run", "smoke", "--cluster", cluster, "--outputs", str(tmp_path)]) == 130
    goes_on = f"horticulture: runs in progress go on at {cluster}\n" if cluster != "local:2" else ""
    assert capsys.readouterr().err.endswith(f"{goes_on}{cli.STOPPED}{cli.TO_RESUME}\n")
    assert ("go on" in goes_on) == (cluster != "local:2")


def test_a_run_that_ends_its_workers_fails_and_stops_no_other(train, tmp_path, capsys):
    """As long as Dask waits for a worker that has died, a death soon after another seems to be its end."""

    def deadly(group):
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    impatient = {"distributed.deploy.lost-worker-timeout": "1ms", "distributed.scheduler.allowed-failures": 1}
    with mock.patch.dict(criteria.CRITERIA), dask.config.set(impatient), cluster.opened("local:1") as address:
        pruning.criterion(deadly)
        recipe = PruningRecipe(2, steps=1, batch_size=4, precision="float32", criterion="deadly")
        bad, good = execution.pruning_run(train(0), recipe), train(1)
        with pytest.raises(ClusterError, match=r"1 of 4 runs failed, 1 skipped; .*: 2 workers died at it,"):
            parallel.execute_all([bad, tune(bad), good], tmp_path, device="cpu", address=address)
    assert runs.result(good, tmp_path) is not None
    assert "Traceback" not in capsys.readouterr().err


def test_a_lost_scheduler_is_told_in_one_line(train, tmp_path, monkeypatch):
    monkeypatch.setattr(remote_worker, "_execute", lambda *_: time.sleep(3))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"),
            *("--no-dashboard", "--dashboard-address", "127.0.0.1:0"),
            *("--scheduler-file", tmp_path / "where.json"),
        ],
        stderr=subprocess.DEVNULL,
    )
    while not (tmp_path / "where.json").exists():
        time.sleep(0.1)
    address = files.read_json(tmp_path / "where.json")["address"]
    monkeypatch.setattr(Board, "show", lambda self: process.kill())
    try:
        with (
            worker(address, tmp_path / "w"),
            pytest.raises(ClusterError, match=f"scheduler at {address} is gone"),
        ):
            parallel.execute_all([train(0, epochs=3000)], tmp_path / "o", device="cpu", address=address)
    finally:
        process.kill()
        process.wait()


# --- what travels ------------------------------------------------------------------------------------------


@pytest.fixture
def apart(monkeypatch):
    """Workers that do not see our outputs folder."""
    monkeypatch.setattr(inspection, "_view", lambda marker: "nothing")


def test_a_connection_that_breaks_before_the_client_notices_is_a_lost_scheduler(
    train, tmp_path, apart, monkeypatch
):
    from distributed.comm import CommClosedError

    def broken(self, futures, errors):
        assert self.status == "running"
        raise CommClosedError("Connection reset by peer")

    with in_threads(1) as address:
        monkeypatch.setattr("distributed.Client.gather", broken)
        with pytest.raises(ClusterError, match=f"scheduler at {address} is gone"):
            parallel.execute_all([train(0)], tmp_path / "o", device="cpu", address=address)


def test_an_error_of_our_own_disk_is_not_a_lost_scheduler(train, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with in_threads(1) as address:
        monkeypatch.setattr(remote, "_take_in", full)
        with pytest.raises(OSError, match="No space left"):
            parallel.execute_all([train(0)], tmp_path / "o", device="cpu", address=address)


def test_without_a_shared_folder_starts_and_results_travel(train, tmp_path, apart, monkeypatch):
    """Also those that were finished before; every byte of what was made there is here."""
    base, made = train(0), tmp_path / "here"
    execution.execute(base, made, "cpu", threads=1)
    pruned = prune(base)
    parcel, unpack = [], file_transfer.unpack

    def noting(run, packed, outputs):
        parcel.append((run.key, outputs == made, packed))
        unpack(run, packed, outputs)

    monkeypatch.setattr(file_transfer, "unpack", noting)
    with in_threads(2) as address:
        parallel.execute_all([tune(pruned), train(1)], made, device="cpu", address=address)
    arrived = {key: packed for key, here, packed in parcel if here}
    assert arrived.keys() == {pruned.key, tune(pruned).key, train(1).key}
    for key, packed in arrived.items():
        assert {name: (made / "runs" / key / name).read_bytes() for name in packed} == packed
    assert any(name.startswith("rounds/") for name in arrived[pruned.key])
    for run in (base, pruned, tune(pruned), train(1)):
        execution.execute(run, tmp_path / "alone", "cpu", threads=1)
    assert killed.results(made) == killed.results(tmp_path / "alone")
    execution.restore(pruned, made, 1, "cpu")


@pytest.fixture
def finished(train, tmp_path):
    """A finished pruning run, packed, and an empty folder for it."""
    run = prune(train(0))
    execution.execute(run, tmp_path / "made", "cpu")
    return run, file_transfer.pack(run, tmp_path / "made"), tmp_path / "new"


def altered(packed: dict[str, bytes], name: str) -> dict[str, bytes]:
    content = bytearray(packed[name])
    content[len(content) // 2] ^= 1
    return {**packed, name: bytes(content)}


def test_a_parcel_that_was_altered_is_refused_whole(finished):
    run, packed, outputs = finished
    for name in packed:
        with pytest.raises(files.CorruptFileError, match=f"{Path(name).name} is missing"):
            file_transfer.unpack(run, altered(packed, name), outputs)
    assert not outputs.exists()
    file_transfer.unpack(run, packed, outputs)
    assert file_transfer.pack(run, outputs) == packed


@pytest.mark.parametrize(
    "name", ["../x", "/tmp/x", "rounds/../../x", "at-0-000000000000.safetensors", "more.csv", "rounds/x"]
)
def test_a_parcel_with_another_file_is_refused(finished, name):
    run, packed, outputs = finished
    with pytest.raises(files.CorruptFileError):
        file_transfer.unpack(run, {**packed, name: b"x"}, outputs)
    assert not outputs.exists()


def test_a_parcel_without_a_file_or_of_another_run_is_refused(finished, train):
    run, packed, outputs = finished
    for name in (one for one in packed if not one.startswith("rounds/")):
        with pytest.raises(files.CorruptFileError):
            file_transfer.unpack(run, {key: value for key, value in packed.items() if key != name}, outputs)
    with pytest.raises(files.CorruptFileError):
        file_transfer.unpack(prune(train(1)), packed, outputs)
    assert not outputs.exists()


OWN = """
from torch import nn

def make(image, classes):
    return nn.Sequential(
        nn.Conv2d(image[0], 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
"""


def test_the_files_of_own_networks_weights_and_images_go_along(tmp_path, png_folder, apart, monkeypatch):
    """They are moved away while the worker, which is told where they were, makes the runs."""
    place = tmp_path / "mine"
    place.mkdir()
    (place / "own.py").write_text(OWN)
    shutil.copytree(png_folder, place / "pictures")
    shape = networks.named(f"{place}/own.py:make", image=(3, 8, 8), classes=2)
    torch_weights = {
        name: tensor.clone() for name, tensor in networks.build(shape).module.state_dict().items()
    }
    from safetensors.torch import save_file

    save_file(torch_weights, place / "weights.safetensors")
    recipe = TrainingRecipe(epochs=1, batch_size=6, precision="float32")
    source = execution.describe_data(f"folder:{place}/pictures")
    given = execution.pretrained_run(shape, str(place / "weights.safetensors"), recipe, source, 0)
    wanted = [execution.training_run(shape, recipe, source, 0), given]
    assert {Path(one[0]).name for one in file_transfer.own_files(wanted)} == {
        "own.py",
        "pictures",
        "weights.safetensors",
    }
    submit = remote._Tasks._submit

    def hiding(*arguments):
        submit(*arguments)
        loading.full_dataset.cache_clear()
        code_files._module.cache_clear()
        place.rename(tmp_path / "gone")  # last, for the worker begins then

    execute, begun = remote_worker._execute, []

    def slowly(*arguments):  # not before they are gone
        while place.exists():
            time.sleep(0.01)
        begun.append(1)
        return execute(*arguments)

    monkeypatch.setattr(file_transfer.SentFile, "is_here", lambda *_: False)
    monkeypatch.setattr(file_transfer.SentDataset, "is_here", lambda *_: False)
    monkeypatch.setattr(remote._Tasks, "_submit", hiding)
    monkeypatch.setattr(remote_worker, "_execute", slowly)
    with in_threads() as address:
        found = parallel.execute_all(wanted, tmp_path / "o", device="cpu", address=address)
    assert len(begun) == 2
    described = json.dumps([one.to_json() for one in wanted])  # with the places here
    assert [one["run"] for one in found] == json.loads(described)
    files.LOCAL_COPIES.clear()


def test_a_file_that_was_altered_on_its_way_is_refused(tmp_path):
    one = file_transfer.SentFile("/there/own.py", files.digest(b"here"))
    with pytest.raises(InputError, match=r"/there/own\.py was altered on its way"):
        one.install(b"hers", tmp_path)
    assert not list(tmp_path.iterdir())
    assert not one.is_here(tmp_path)


# --- a shared folder ---------------------------------------------------------------------------------------


def test_leases_are_used_where_a_worker_does_not_see_our_lock(train, tmp_path, shared_address, monkeypatch):
    run, folder = train(0), tmp_path / "runs" / ".locks"
    parallel.execute_all([train(1)], tmp_path, device="cpu", address=shared_address)
    assert not leases.are_required(folder)
    monkeypatch.setattr(inspection, "_view", lambda marker: "file")
    parallel.execute_all([run], tmp_path, device="cpu", address=shared_address)
    assert (folder / f"{run.key}.lease-1").read_bytes() == leases.FREE
    assert [path.name for path in folder.glob("shared-*")] == []


def test_the_markers_of_killed_commands_are_removed_and_not_those_of_living_ones(
    tmp_path, shared_address, monkeypatch
):
    """By the time of the files alone: neither a lock nor a process of another machine need be seen."""
    monkeypatch.setattr(admission, "STALE_SECONDS", 3.0)
    monkeypatch.setattr(leases, "BEAT", 0.1)
    folder = tmp_path / "runs" / ".locks"
    files.make_folder(folder)
    (folder / "shared-dead").touch()
    (folder / "other").touch()
    with (
        cluster.connected(shared_address) as client,
        admission.opened(client, tmp_path, "cpu", []),
    ):
        (living,) = {path.name for path in folder.glob("shared-*")} - {"shared-dead"}
        time.sleep(4)
        with admission.opened(client, tmp_path, "cpu", []):
            names = {path.name for path in folder.iterdir()}
            assert {living, "other"} < names
            assert len(names) == 3
            assert "shared-dead" not in names
    assert [path.name for path in folder.iterdir()] == ["other"]


def test_a_result_that_a_network_file_system_shows_late_is_waited_for(train, tmp_path, monkeypatch):
    run, made, seen = train(0), tmp_path / "made", tmp_path / "seen"
    execution.execute(run, made, "cpu")
    runs.folder(run, seen).parent.mkdir(parents=True)
    show = threading.Timer(1.5, runs.folder(run, made).rename, [runs.folder(run, seen)])
    monkeypatch.setattr(remote_worker, "_execute", lambda *_: show.start())
    with in_threads() as address:
        parallel.execute_all([run], seen, device="cpu", address=address)
        monkeypatch.setattr(remote_worker, "_execute", lambda *_: None)
        monkeypatch.setattr(remote, "VISIBLE", 0.1)
        with pytest.raises(ClusterError, match=r"a worker finished it, but .* has no result"):
            parallel.execute_all([train(1)], seen, device="cpu", address=address)
    assert show.finished.is_set()
