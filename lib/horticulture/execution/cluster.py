"""Connect to a running Dask cluster: what its workers can do, and how to submit work."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from horticulture.errors import InputError
from horticulture.execution import pool
from horticulture.execution.board import Message

TOPIC = "horticulture"  # name of the workers' progress messages


def precision(wanted: str, device: str, address: str) -> str:
    """The precision for a study on a Dask cluster: one that all workers support.

    Raises InputError if a worker would only emulate the requested one, or if there is no worker.
    """
    with _client(address) as client:
        answers = list(client.run(_precision, wanted, device).values())
    for answer in answers:
        if isinstance(answer, InputError):
            raise InputError(f"a worker of the cluster {address}: {answer}")
    if not answers:
        raise InputError(f"the Dask scheduler at {address!r} has no worker")
    return "float32" if "float32" in answers else answers[0]


def _precision(wanted: str, device: str) -> str | InputError:
    """The answer of one worker. Errors are returned, because Dask would not keep them to one line."""
    from horticulture.training import hardware

    try:
        return hardware.precision(wanted, hardware.resolve_device(device))
    except InputError as error:
        return error


@contextmanager
def executor(address: str) -> Iterator[Callable[..., Future]]:
    """Yield a function that submits work to a Dask cluster. Its messages arrive in `pool.messages`."""
    with _client(address) as client, client.get_executor(pure=False) as workers:
        client.subscribe_topic(TOPIC, lambda event: pool.messages.put(event[1]))
        yield workers.submit


def send(message: Message) -> None:
    """In a worker of the cluster: send a message to the process that submitted its work."""
    from distributed import get_worker

    get_worker().log_event(TOPIC, message)


def _client(address: str) -> Any:
    """A client of a Dask cluster. Raises InputError if it cannot be reached or Dask is not installed."""
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError("a cluster needs Dask: pip install -e '.[cluster]'") from error
    try:
        return Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address!r}: {error}") from error
