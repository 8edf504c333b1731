"""Dask clusters: processes on this machine, or a running one."""

import atexit
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any

from horticulture.errors import InputError, first_line
from horticulture.execution import inspection, stale_files
from horticulture.system.limits import processors

LOCAL = "local:"  # followed by a number of worker processes
LOOPBACK = "127.0.0.1"
CONNECT_SECONDS = 10.0  # seconds for a scheduler to answer
FIRST = 60.0  # seconds for the first worker of a cluster to come
SETTINGS: dict[str, Any] = {  # of Dask, for workers on this machine
    # What Dask sets before it starts a worker stays set in this process, and its children would compute with
    # as many threads as a worker.
    "distributed.nanny.pre-spawn-environ": {},
    "distributed.worker.daemon": False,
    "distributed.worker.profile.enabled": False,  # it would stop the run a hundred times a second
    "distributed.admin.tick.interval": "1s",  # instead of 50 a second in each process
    # Dask gives up a worker that is not there so long after a death; it may just have died again.
    "distributed.deploy.lost-worker-timeout": "365 days",
}

_owned: dict[str, str] = {}  # addresses of the clusters that a notebook has started here


@contextmanager
def opened(address: str) -> Iterator[str]:
    """The address of a cluster whose workers can do the work; `local:N` lasts for the duration of a `with`.

    "" is none. Says where its dashboard is. Raises InputError if no scheduler answers, or for a worker that
    cannot do the work.
    """
    with ExitStack() as stack:
        if local := address.startswith(LOCAL):
            address = stack.enter_context(_started(int(address.removeprefix(LOCAL))))
        if address:
            with connected(address) as client:
                if not local:  # they may be busy, and answer late
                    print(f"checking the workers of {address}", file=sys.stderr)
                inspection.require_fit(client)
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
    """Worker processes on this machine that nothing outside it can reach.

    Nor can its other users: a certificate is asked for, which this process makes, and hands to its children
    in their environment.
    """
    distributed = _distributed()
    from dask import config

    try:
        security = _certificate()
    except ImportError as error:
        raise InputError(f"{LOCAL}{workers} needs cryptography: pip install -e '.[cluster]'") from error
    certified = _certified(security)
    threads = str(max(1, processors() // workers))
    environment = {f"{name}_NUM_THREADS": threads for name in ("OMP", "MKL", "OPENBLAS")}
    print(f"starting {LOCAL}{workers}: worker processes on this machine", file=sys.stderr)
    # Ctrl-C is for the notebook, which saves its work; the processes inherit that they ignore it.
    ours = signal.signal(signal.SIGINT, signal.SIG_IGN) if _in_main_thread() else None
    try:
        with ExitStack() as stack:
            place = str(stack.enter_context(stale_files.temporary_folder()))
            stack.enter_context(config.set({**SETTINGS, **certified, "temporary-directory": place}))
            # As literals: Dask reads other text as Python first, and what is in a certificate may look odd.
            stack.enter_context(_inherited({_variable(name): repr(text) for name, text in certified.items()}))
            with _inherited(environment):  # workers load the script that starts them, and torch with it
                try:
                    machines = distributed.LocalCluster(
                        n_workers=workers,
                        threads_per_worker=1,
                        protocol="tls",
                        security=security,
                        host=LOOPBACK,
                        dashboard_address=f"{LOOPBACK}:0",
                        memory_limit=0,  # the operating system decides: Dask would end a worker at 95 %
                        env=environment,  # of those that are started again
                        silence_logs=logging.CRITICAL,
                    )
                except (OSError, RuntimeError) as error:
                    what = first_line(error.__cause__ or error)
                    raise InputError(f"the workers of {LOCAL}{workers} cannot be started: {what}") from error
            stack.enter_context(machines)
            if ours:
                signal.signal(signal.SIGINT, ours)
            yield machines.scheduler_address
    finally:
        if ours:
            signal.signal(signal.SIGINT, ours)


def _certified(security: Any) -> dict[str, str]:
    """Dask's settings by which clients and workers present a certificate."""
    settings = {"distributed.comm.tls.ca-file": security.tls_ca_file}
    for who in ("client", "worker"):
        settings[f"distributed.comm.tls.{who}.cert"] = security.tls_client_cert
        settings[f"distributed.comm.tls.{who}.key"] = security.tls_client_key
    return settings


@cache
def _certificate() -> Any:
    """The one certificate for all clusters of this process, which presents one at a time."""
    return _distributed().Security.temporary()


def _variable(setting: str) -> str:
    """The environment variable from which Dask reads a setting."""
    return f"DASK_{setting.upper().replace('.', '__').replace('-', '_')}"


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
    """A client of a cluster that has a worker. Raises InputError if it does not answer or has none."""
    with _client(address) as client:
        try:
            client.wait_for_workers(1, timeout=FIRST)
        except TimeoutError as error:
            raise InputError(f"the Dask scheduler at {address!r} has no worker") from error
        yield client


def _client(address: str) -> Any:
    """A client of a Dask cluster. Raises InputError if it cannot be reached or Dask is not installed."""
    distributed = _distributed()
    from distributed.comm import connect
    from distributed.utils import LoopRunner

    async def greet(**settings: Any) -> None:
        (await connect(address, timeout=CONNECT_SECONDS, **settings)).abort()

    try:
        settings = distributed.Security().get_connection_args("client")
        if address.startswith("tls") and not settings["ssl_context"]:
            raise ValueError("a certificate is needed, in DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT")
        # A client that finds nobody may be left half made. Dask closes it when Python happens to free it,
        # which waits for ever in a thread that Dask is just starting.
        LoopRunner().run_sync(greet, callback_timeout=CONNECT_SECONDS, **settings)
        return distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except Exception as error:  # what answers may be no scheduler, and what it says anything
        known = isinstance(error, OSError | ValueError | RuntimeError | TypeError) and str(error)
        why = str(error) if known else "something else answers there"
        advice = "start it, then run the same command; what is finished is kept"
        if "certificate" in why:
            advice = "docs/cluster.md says which"
        elif address.startswith("tcp") and "ConnectionReset" in why:
            why, advice = "it closes the connection", "if it speaks TLS, its address begins with tls://"
        raise InputError(f"no Dask scheduler answers at {address!r}: {why}: {advice}") from error


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise InputError("a cluster needs Dask: pip install -e '.[cluster]'") from error
    return distributed


def common_precision(wanted: str, device: str, address: str) -> str:
    """The precision for a study on a Dask cluster: one that all workers support.

    Raises InputError if a worker that can do the work lacks the device, or would only emulate the requested
    precision.
    """
    with connected(address) as client:
        fit = inspection.select_fit(client)
        replies = inspection.ask(client, _resolve_precision, wanted, device, workers=list(fit))
    for worker, reply in replies.items():
        if isinstance(reply, Exception):
            raise InputError(f"the worker {worker}: {reply}")
    if not replies:
        raise InputError(f"no worker of the cluster {address} answers")
    return "float32" if "float32" in replies.values() else next(iter(replies.values()))


def _resolve_precision(wanted: str, device: str) -> str | InputError:
    """The reply of one worker. Errors are returned, because Dask would not keep them to one line."""
    from horticulture.training import hardware

    try:
        return hardware.resolve_precision(wanted, hardware.resolve_device(device))
    except InputError as error:
        return error
