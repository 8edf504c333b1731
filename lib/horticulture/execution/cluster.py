"""Dask clusters: processes on this machine, or a running one; and whether their workers can do the work."""

import asyncio
import atexit
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from horticulture import files
from horticulture.errors import InputError, first_line
from horticulture.execution import stale_files
from horticulture.limits import processors

LOCAL = "local:"  # followed by a number of worker processes
LOOPBACK = "127.0.0.1"
CONNECT_SECONDS = 10.0  # seconds for a scheduler to answer
REPLY_SECONDS = 60.0  # seconds for a worker to answer: on a busy machine, it loads torch first
FIRST = 60.0  # seconds for the first worker of a cluster to come
PACKAGES = ("horticulture", "torch")  # whose versions must be the same everywhere

_owned: dict[str, str] = {}  # addresses of the clusters that a notebook has started here


@contextmanager
def opened(address: str) -> Iterator[str]:
    """The address of a cluster whose workers can do the work; `local:N` lasts for the duration of a `with`.

    "" is none. Says where its dashboard is. Raises InputError if no scheduler answers, or for a worker with
    other versions.
    """
    with ExitStack() as stack:
        if address.startswith(LOCAL):
            address = stack.enter_context(_started(int(address.removeprefix(LOCAL))))
        if address:
            with connected(address) as client:
                if "dashboard" in client.scheduler_info()["services"] and find_spec("bokeh"):
                    print(f"Dask dashboard: {client.dashboard_link}", file=sys.stderr)
        yield address


def resolve(address: str) -> str:
    """The address of a cluster for a notebook. `local:N` is started once, and ends with this process."""
    if not address.startswith(LOCAL):
        return address
    if address not in _owned:
        stack = ExitStack()
        _owned[address] = stack.enter_context(opened(address))
        atexit.register(stack.close)
    return _owned[address]


@contextmanager
def _started(workers: int) -> Iterator[str]:
    """Worker processes on this machine that nothing outside it can reach."""
    distributed = _distributed()
    from dask import config

    threads = str(max(1, processors() // workers))
    environment = {f"{name}_NUM_THREADS": threads for name in ("OMP", "MKL", "OPENBLAS")}
    # What Dask sets before it starts a worker stays set in this process, and its children would compute with
    # as many threads as a worker.
    settings: dict[str, Any] = {"distributed.nanny.pre-spawn-environ": {}, "distributed.worker.daemon": False}
    settings["distributed.worker.profile.enabled"] = False  # it would stop the run a hundred times a second
    # Ctrl-C is for the notebook, which saves its work; the processes inherit that they ignore it.
    ours = signal.signal(signal.SIGINT, signal.SIG_IGN) if _in_main_thread() else None
    try:
        with ExitStack() as stack:
            settings["temporary-directory"] = str(stack.enter_context(stale_files.temporary_folder()))
            stack.enter_context(config.set(settings))
            with _inherited(environment):  # workers load the script that starts them, and torch with it
                machines = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    host=LOOPBACK,
                    dashboard_address=f"{LOOPBACK}:0",
                    memory_limit=0,  # the operating system decides: Dask would end a worker at 95 %
                    env=environment,  # of those that are started again
                    silence_logs=logging.ERROR,
                )
            stack.enter_context(machines)
            if ours:
                signal.signal(signal.SIGINT, ours)
            yield machines.scheduler_address
    finally:
        if ours:
            signal.signal(signal.SIGINT, ours)


@contextmanager
def _inherited(environment: dict[str, str]) -> Iterator[None]:
    """Set variables for what is started during a `with`."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A client of a cluster whose workers have been checked. Raises InputError as `opened`."""
    with _client(address) as client:
        try:
            client.wait_for_workers(1, timeout=FIRST)
        except TimeoutError as error:
            raise InputError(f"the Dask scheduler at {address!r} has no worker") from error
        for name in PACKAGES:
            for worker, reply in ask(client, version, name).items():
                _check_worker(worker, name, reply, version(name))
        for worker, reply in ask(client, code_digest).items():
            _check_worker(worker, "code of the package", reply, code_digest())
        yield client


def _client(address: str) -> Any:
    """A client of a Dask cluster. Raises InputError if it cannot be reached or Dask is not installed."""
    distributed = _distributed()
    try:
        return distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, RuntimeError, TypeError) as error:  # the last: without a certificate
        raise InputError(f"no Dask scheduler answers at {address!r}: {error}") from error


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise InputError("a cluster needs Dask: pip install -e '.[cluster]'") from error
    return distributed


# --- what workers are --------------------------------------------------------------------------------------


def ask(client: Any, function: Callable, *arguments: Any) -> dict[str, Any]:
    """The reply of every worker that gives one in time, by its address. An error is a reply too."""

    async def one(worker: str) -> tuple[str, Any]:
        try:
            call = client.run(function, *arguments, workers=[worker], on_error="return")
            return worker, (await asyncio.wait_for(call, REPLY_SECONDS))[worker]
        except Exception as error:  # also one that could not be sent back
            return worker, error

    async def every() -> list[tuple[str, Any]]:
        return await asyncio.gather(*map(one, workers))

    workers = list(client.scheduler_info()["workers"])
    replies = client.sync(every)
    return {worker: reply for worker, reply in replies if not isinstance(reply, TimeoutError)}


def _check_worker(worker: str, what: str, there: Any, here: str) -> None:
    """Raise InputError if a worker has another version of something."""
    if isinstance(there, PackageNotFoundError):
        raise InputError(f"the worker {worker} has no {what}: install the same environment there")
    if isinstance(there, Exception):
        raise InputError(f"the worker {worker} cannot say its {what}: {first_line(there)}")
    if _public(there) != _public(here):
        raise InputError(
            f"the worker {worker} has {what} {there}, not {here}: install the same version there"
        )


def _public(number: str) -> str:
    """A version without its local part: builds for a CPU and for a GPU are the same version."""
    return number.partition("+")[0]


def differences(versions: dict[str, str]) -> str:
    """In a worker that came later: what differs here from these versions, as a text."""
    here = own_versions()
    wrong = [name for name in versions if _public(here[name]) != _public(versions[name])]
    return ", ".join(f"{name} {here[name]}, not {versions[name]}" for name in wrong)


@cache  # every run asks
def own_versions() -> dict[str, str]:
    """What must be the same in all processes."""
    return {**{name: version(name) for name in PACKAGES}, "code of the package": code_digest()}


@cache
def code_digest() -> str:
    """A digest of the package's modules, which differ between checkouts of the same version."""
    root = Path(__file__).parents[1]
    paths = sorted(root.rglob("*.py"))
    return files.digest(b"".join(str(path.relative_to(root)).encode() + path.read_bytes() for path in paths))


def threads(client: Any) -> int:
    """With how many threads each worker computes. Raises InputError if they differ: bits would too."""
    counts = ask(client, _threads)
    if not counts:
        raise InputError("no worker of the cluster answers")
    for worker, count in counts.items():
        if count != min(counts.values()):
            raise InputError(
                f"the worker {worker} computes with {count} threads, another with {min(counts.values())}: "
                "start all of them with the same OMP_NUM_THREADS"
            )
    return min(counts.values())


async def _threads() -> int:
    def count() -> int:
        import torch

        return torch.get_num_threads()

    return await asyncio.to_thread(
        count
    )  # beside the worker's signs of life, for loading torch takes seconds


def common_precision(wanted: str, device: str, address: str) -> str:
    """The precision for a study on a Dask cluster: one that all workers support.

    Raises InputError if a worker would only emulate the requested one.
    """
    with connected(address) as client:
        replies = list(ask(client, _resolve_precision, wanted, device).values())
    for reply in replies:
        if isinstance(reply, Exception):
            raise InputError(f"a worker of the cluster {address}: {reply}")
    if not replies:
        raise InputError(f"no worker of the cluster {address} answers")
    return "float32" if "float32" in replies else replies[0]


def _resolve_precision(wanted: str, device: str) -> str | InputError:
    """The reply of one worker. Errors are returned, because Dask would not keep them to one line."""
    from horticulture.training import hardware

    try:
        return hardware.resolve_precision(wanted, hardware.resolve_device(device))
    except InputError as error:
        return error
