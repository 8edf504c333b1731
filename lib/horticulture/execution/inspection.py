"""What the workers of a Dask cluster report of themselves, and which of them cannot do the work."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from horticulture.data import catalog
from horticulture.errors import InputError, first_line
from horticulture.system import files
from horticulture.system.progress import remark

REPLY_SECONDS = 60.0  # seconds for a worker to answer: on a busy machine, it may load torch first
PACKAGES = ("horticulture", "torch")  # whose versions must be the same everywhere
CODE = "code of the package"  # which must be so, too

_silent = set[str]()  # addresses of workers that have not answered
_reported = set[tuple[str, str]]()  # addresses of workers that get no runs, and why

View = Literal["nothing", "file", "lock"]


@dataclass(frozen=True)
class Environment:
    """The versions and threads that a worker reports, and what it sees and lacks."""

    versions: dict[str, str]
    threads: int  # that each of its runs computes with
    sees: View  # of a file that we hold locked
    lacks: list[str]  # data sets that were not downloaded there


def require_fit(client: Any) -> dict[str, Environment]:
    """The environment of every worker, by address. Raises InputError, naming the worker, if one is unfit."""
    fit, wrong = inspect_workers(client)
    for worker, what in wrong.items():
        raise InputError(f"the worker {worker} {what}")
    return _require_any(fit)


def select_fit(
    client: Any,
    marker: str = "",
    data: Iterable[str] = (),
    workers: Sequence[str] | None = None,
    threads: int = 0,
) -> dict[str, Environment]:
    """The environments of the workers that can do the work, by address; says once why others cannot.

    Arguments as of `inspect_workers`. Raises InputError if there is none, unless only some are looked at.
    """
    fit, wrong = inspect_workers(client, marker, data, workers, threads)
    for worker, what in wrong.items():
        if not fit and workers is None:
            raise InputError(f"the worker {worker} {what}")
        if (worker, what) not in _reported:
            remark(f"the worker {worker} {what}. It gets no runs", sys.stderr)
            _reported.add((worker, what))
    return fit if workers is not None else _require_any(fit)


def _require_any(fit: dict[str, Environment]) -> dict[str, Environment]:
    if not fit:
        raise InputError(f"no worker of the cluster answers within {REPLY_SECONDS:.0f} seconds")
    return fit


def inspect_workers(
    client: Any,
    marker: str = "",
    data: Iterable[str] = (),
    workers: Sequence[str] | None = None,
    threads: int = 0,
) -> tuple[dict[str, Environment], dict[str, str]]:
    """The environments of the workers that can do the work, and what is wrong with the others, by address.

    marker: a file that we hold locked. data: names of the data sets that runs need. workers: those to look
    at, if not all. threads: that each must compute with (0: as most do, or the fewest of two that are equal).
    """
    known = client.scheduler_info()["workers"]
    addresses = list(known) if workers is None else [worker for worker in workers if worker in known]
    wrong = {worker: what for worker in addresses if (what := _settings(known[worker]))}
    fit: dict[str, Environment] = {}
    able = [worker for worker in addresses if worker not in wrong]
    for worker, answer in ask(client, _environment, marker, list(data), workers=able).items():
        if not isinstance(answer, Exception):
            lacks = "".join(answer.lacks[:1])
            download = f"lacks the data set {lacks}: run `horticulture download {lacks}` there"
            what = differences(answer.versions, local_versions()) or (lacks and download)
        elif worker in client.scheduler_info()["workers"]:
            what = _why(client, worker, answer)
        else:
            continue  # it has left
        if what:
            wrong[worker] = what
        else:
            fit[worker] = answer
    counts = Counter(environment.threads for environment in fit.values())
    expected = threads or min(counts, key=lambda number: (-counts[number], number), default=0)
    others = [worker for worker, environment in fit.items() if environment.threads != expected]
    for worker in others:  # another number of threads gives other bits
        same = f"another with {expected}: start all of them with the same OMP_NUM_THREADS"
        wrong[worker] = f"computes with {fit.pop(worker).threads} threads, {same}"
    return fit, wrong


def _settings(about: dict[str, Any]) -> str:
    """What is wrong with how a worker was started, as a text."""
    if about["nthreads"] > 1:
        return f"has {about['nthreads']} threads for runs: start it with --nthreads 1"
    if 0 < (share := about["resources"].get("GPU", 1)) < 1:
        return f"has GPU={share:g}: start it with GPU=1, also where several share a device"
    return ""


def _why(client: Any, worker: str, error: Exception) -> str:
    """Why a worker could not say what it is, as a text. Perhaps its code is too old to know the question."""
    for name in PACKAGES:
        number = ask(client, version, name, workers=[worker]).get(worker)
        if isinstance(number, PackageNotFoundError):
            return f"has no {name}: install the same environment there"
        if isinstance(number, str) and (what := differences({name: number}, {name: version(name)})):
            return what
    if ask(client, code_digest, workers=[worker]).get(worker) == code_digest():
        return f"cannot say what it is: {first_line(error)}"
    return f"has other {CODE}, not {code_digest()}: install the same version there"


def differences(theirs: dict[str, str], ours: dict[str, str]) -> str:
    """Which of a worker's versions is not ours, as a text. Builds for a CPU and for a GPU are the same."""
    for name, number in theirs.items():
        if number.partition("+")[0] != ours[name].partition("+")[0]:
            return f"has {name} {number}, not {ours[name]}: install the same version there"
    return ""


def local_versions() -> dict[str, str]:
    """What must be the same in all processes."""
    return {**{name: version(name) for name in PACKAGES}, CODE: code_digest()}


@cache
def code_digest() -> str:
    """A digest of the package's modules, which differ between checkouts of the same version."""
    root = Path(__file__).parents[1]
    paths = sorted(root.rglob("*.py"))
    return files.digest(b"".join(str(path.relative_to(root)).encode() + path.read_bytes() for path in paths))


def ask(
    client: Any,
    function: Callable,
    *arguments: Any,
    workers: Sequence[str] | None = None,
    more: float = 0.0,
) -> dict[str, Any]:
    """The reply of every worker that gives one in time, by its address. An error is a reply too.

    One that gives none is reported once, and not waited for again. workers: those to ask, if not all.
    more: seconds that it may take besides `REPLY_SECONDS`.
    """

    async def one(worker: str) -> tuple[str, Any]:
        try:
            call = client.run(function, *arguments, workers=[worker], on_error="return")
            return worker, (await asyncio.wait_for(call, REPLY_SECONDS + more))[worker]
        except Exception as error:  # also one that could not be sent back
            return worker, error

    async def every() -> list[tuple[str, Any]]:
        return await asyncio.gather(*map(one, addresses))

    known = client.scheduler_info()["workers"] if workers is None else workers
    addresses = [worker for worker in known if worker not in _silent] or list(known)
    replies = dict(client.sync(every))
    for worker in [worker for worker, reply in replies.items() if isinstance(reply, TimeoutError)]:
        remark(f"the worker {worker} does not answer: going on without it", sys.stderr)
        _silent.add(worker)
        del replies[worker]
    return replies


async def _environment(marker: str, data: Sequence[str]) -> Environment:
    """In a worker: what it is."""

    def look() -> Environment:
        return Environment(local_versions(), _threads(), _view(marker), list(filter(_lacking, data)))

    return await asyncio.to_thread(look)  # beside its signs of life, for loading torch takes seconds


def _lacking(name: str) -> bool:
    """In a worker: whether a data set was not downloaded."""
    try:
        catalog.check_downloaded(name)
    except InputError:
        return True
    return False


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
