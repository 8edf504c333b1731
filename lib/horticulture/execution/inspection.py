"""What the workers of a Dask cluster are, by their own account, and which of them cannot do the work."""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from horticulture import files
from horticulture.errors import InputError, first_line

REPLY_SECONDS = 60.0  # seconds for a worker to answer: on a busy machine, it may load torch first
PACKAGES = ("horticulture", "torch")  # whose versions must be the same everywhere

_silent = set[str]()  # addresses of workers that have not answered

View = Literal["nothing", "file", "lock"]


@dataclass(frozen=True)
class Environment:
    """What a worker is, by its own account."""

    versions: dict[str, str]
    threads: int  # that each of its runs computes with
    sees: View  # of a file that we hold locked


def checked(client: Any, marker: str = "") -> list[Environment]:
    """What the workers are that answer. Raises InputError, by name, for one that cannot do the work.

    marker: a file that we hold locked.
    """
    wrong = {}
    for worker, about in client.scheduler_info()["workers"].items():
        if about["nthreads"] > 1:
            wrong[worker] = f"has {about['nthreads']} threads for runs: start it with --nthreads 1"
        elif 0 < (share := about["resources"].get("GPU", 1)) < 1:
            wrong[worker] = f"has GPU={share:g}: start it with GPU=1, also where several share a device"
    answers = {} if wrong else ask(client, _environment, marker)
    wrong |= {worker: _unlike_ours(client, worker, answer) for worker, answer in answers.items()}
    for worker, what in wrong.items():
        if what:
            raise InputError(f"the worker {worker} {what}")
    if not answers:
        raise InputError("no worker of the cluster answers")
    least = min(one.threads for one in answers.values())
    for worker, one in answers.items():
        if one.threads != least:  # bits would differ, too
            raise InputError(
                f"the worker {worker} computes with {one.threads} threads, another with {least}: "
                "start all of them with the same OMP_NUM_THREADS"
            )
    return list(answers.values())


def _unlike_ours(client: Any, worker: str, answer: Environment | Exception) -> str:
    """How a worker's environment differs from ours, as a text. answer: to the question what it is."""
    if isinstance(answer, Environment):
        return differences(answer.versions, own_versions())
    # Perhaps it lacks what it was asked with.
    found = {name: ask(client, version, name, only=worker).get(worker) for name in PACKAGES}
    for name, number in found.items():
        if isinstance(number, PackageNotFoundError):
            return f"has no {name}: install the same environment there"
    known = {name: number for name, number in found.items() if isinstance(number, str)}
    return differences(known, own_versions()) or f"cannot say what it is: {first_line(answer)}"


def differences(there: dict[str, str], here: dict[str, str]) -> str:
    """Which of a worker's versions is not ours, as a text. Builds for a CPU and for a GPU are the same."""
    for name, number in there.items():
        if number.partition("+")[0] != here[name].partition("+")[0]:
            return f"has {name} {number}, not {here[name]}: install the same version there"
    return ""


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


def ask(client: Any, function: Callable, *arguments: Any, only: str = "") -> dict[str, Any]:
    """The reply of every worker that gives one in time, by its address. An error is a reply too.

    One that gives none is told once, and not waited for again. only: the worker to ask.
    """

    async def one(worker: str) -> tuple[str, Any]:
        try:
            call = client.run(function, *arguments, workers=[worker], on_error="return")
            return worker, (await asyncio.wait_for(call, REPLY_SECONDS))[worker]
        except Exception as error:  # also one that could not be sent back
            return worker, error

    async def every() -> list[tuple[str, Any]]:
        return await asyncio.gather(*map(one, workers))

    known = [only] if only else list(client.scheduler_info()["workers"])
    workers = [worker for worker in known if worker not in _silent] or known
    replies = dict(client.sync(every))
    for worker in [worker for worker, reply in replies.items() if isinstance(reply, TimeoutError)]:
        print(f"the worker {worker} does not answer: going on without it", file=sys.stderr)
        _silent.add(worker)
        del replies[worker]
    return replies


async def _environment(marker: str) -> Environment:
    """In a worker: what it is."""

    def look() -> Environment:
        return Environment(own_versions(), _threads(), _view(marker))

    return await asyncio.to_thread(look)  # beside its signs of life, for loading torch takes seconds


def _threads() -> int:
    """In a worker: with how many threads its runs compute.

    Dask sets MKL_NUM_THREADS to 1 in workers that do not have it, which torch would obey.
    """
    if wanted := os.environ.get("OMP_NUM_THREADS"):
        return int(wanted.partition(",")[0])
    import torch

    return torch.get_num_threads()


def _view(marker: str) -> View:
    """In a worker: what it sees of a file that the command holds locked."""
    if not Path(marker).is_file():
        return "nothing"
    lock = FileLock(marker)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return "lock"
    except OSError:  # no locks there
        return "file"
    lock.release()
    return "file"
