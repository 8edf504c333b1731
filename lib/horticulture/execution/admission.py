"""Which workers of a Dask cluster get our runs: those that can do the work, also if they join later.

They are given a resource of Dask's that every run asks for. The others stay in the cluster, where they may be
at somebody else's work.
"""

import os
import queue
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from horticulture.errors import InputError, first_line
from horticulture.execution import inspection, remote_worker
from horticulture.execution.file_transfer import Sent
from horticulture.execution.inspection import Environment
from horticulture.system import files, leases
from horticulture.system.progress import remark

MIN_BYTES_PER_SECOND = 1e6  # at which a worker is sent files
MARKER = "shared-"  # beginning of the name of a marker
STALE_SECONDS = 3600.0  # seconds without a beat after which a marker is one of a killed command


class Admission:
    """The workers that get the runs of one call of `remote.execute`.

    marker: a file that we hold locked. device: of the runs. data: names of the data sets that they need.
    shared: whether the workers see our folder. threads: that each run computes with.
    """

    def __init__(self, client: Any, marker: Path, device: str, data: Iterable[str]) -> None:
        self._client = client
        self._marker = marker
        self._device = device
        self._data = list(data)
        self.shared, self.threads, self._resource = False, 1, ""
        self._gpu = False  # whether only workers with a GPU get runs
        self._needed: list[Sent] = []
        self._supplying = threading.Lock()  # a worker is sent all that is needed, or all that is new
        self._gone = queue.SimpleQueue[str]()  # tasks
        self._joined = queue.SimpleQueue[str]()  # addresses; "" in the end

    def begin(self) -> None:
        """Admit the workers that are there. Raises InputError as `inspection.select_fit`."""
        fit = inspection.select_fit(self._client, str(self._marker), self._data)
        self.shared = all(environment.sees != "nothing" for environment in fit.values())
        self.threads = next(iter(fit.values())).threads
        granted = (inspection.local_versions(), str(self._marker.parent), self.shared)
        self._resource = f"horticulture-{files.digest(repr(granted).encode())}"
        self._admit(fit)

    # --- what runs ask for ---

    def resources(self) -> dict[str, float]:
        """The resources of Dask's that a run needs."""
        self._gpu = self._device != "cpu" and any(has.get("GPU", 0) >= 1 for has in self._workers().values())
        return {self._resource: 1.0, **({"GPU": 1.0} if self._gpu else {})}

    def waiting_for(self) -> str:
        """What kind of worker the runs wait for, if there is none, as a text."""
        able = [has for has in self._admitted().values() if has.get("GPU", 0) >= 1 or not self._gpu]
        return "" if able else "waiting for a worker with a GPU" if self._gpu else "waiting for a worker"

    def _workers(self) -> dict[str, dict[str, float]]:
        """The resources of the workers that are not about to leave."""
        known = self._client.scheduler_info()["workers"]
        return {worker: now["resources"] for worker, now in known.items() if now["status"] == "running"}

    def _admitted(self) -> dict[str, dict[str, float]]:
        return {worker: has for worker, has in self._workers().items() if self._resource in has}

    # --- what workers need ---

    def supply(self, needed: Iterable[Sent]) -> None:
        """Send files of the user's to the workers that lack them, and to those that join later.

        Raises InputError if one cannot take them.
        """
        with self._supplying:
            new = [file for file in needed if file not in self._needed]
            self._needed += new
            self._send(list(self._admitted()), new)

    def _send(self, workers: Sequence[str], needed: Sequence[Sent]) -> list[str]:
        """Send files to those workers that lack them. Return the workers that have all of them."""
        if not needed:
            return list(workers)
        replies = inspection.ask(self._client, remote_worker.missing, needed, workers=workers)
        content = cache(lambda file: file.content())
        for worker, lacks in list(replies.items()):
            if isinstance(lacks, list) and lacks:
                sent = [(file, content(file)) for file in lacks]
                more = sum(len(packed) for _, packed in sent) / MIN_BYTES_PER_SECOND
                reply = inspection.ask(self._client, remote_worker.receive, sent, workers=[worker], more=more)
                replies[worker] = reply.get(worker, lacks)
            if isinstance(error := replies[worker], Exception) and worker in self._workers():
                raise InputError(f"the worker {worker} cannot take your files: {first_line(error)}")
        return [worker for worker, lacks in replies.items() if not lacks]

    # --- who joins and leaves ---

    def note(self, event: tuple[float, dict[str, Any]]) -> None:
        """Take note of one of the scheduler's events."""
        what = event[1]
        if what.get("action") == "add-worker":
            self._joined.put(what["worker"])
        elif what.get("action") == "remove-worker":
            for task in what["processing-tasks"]:
                self._gone.put(str(task))

    def abandoned(self) -> list[str]:
        """The tasks whose worker has gone since this was called last."""
        return [self._gone.get() for _ in range(self._gone.qsize())]

    def attend(self) -> None:
        """Look at each worker that joins, until `close`; meanwhile keep the marker from being forgotten."""
        worker = " "
        while worker:
            with suppress(OSError):  # of a network file system
                os.utime(self._marker)
            with suppress(queue.Empty):
                if worker := self._joined.get(timeout=leases.BEAT):
                    self._look_at(worker)

    def close(self) -> None:
        """Have `attend` return."""
        self._joined.put("")

    def _look_at(self, worker: str) -> None:
        """Admit a worker, or say in one line why not."""
        try:
            fit = inspection.select_fit(self._client, str(self._marker), self._data, [worker], self.threads)
            if self.shared and any(environment.sees == "nothing" for environment in fit.values()):
                raise InputError(f"the worker {worker} does not see {self._marker.parent}")
            self._admit(fit)
        except InputError as error:
            remark(f"{error}. It gets no runs", sys.stderr)
        except Exception as error:
            if self._client.status == "running":  # otherwise our work is over, or the scheduler is gone
                remark(f"the worker {worker} gets no runs: {first_line(error)}", sys.stderr)

    def _admit(self, fit: dict[str, Environment]) -> None:
        folder = self._marker.parent
        without_locks = any(environment.sees == "file" for environment in fit.values())
        if self.shared and without_locks and not leases.are_required(folder):
            leases.require(folder)
        with self._supplying:
            ready = self._send(list(fit), self._needed)
            inspection.ask(self._client, remote_worker.grant, self._resource, workers=ready)


@contextmanager
def opened(client: Any, outputs: Path, device: str, data: Iterable[str]) -> Iterator[Admission]:
    """The `Admission` of workers for the duration of a `with`."""
    with _marker(outputs) as marker:
        admission = Admission(client, marker, device, data)
        client.subscribe_topic("all", admission.note)  # of the scheduler's events
        try:
            admission.begin()
            threading.Thread(target=admission.attend, daemon=True).start()
            yield admission
        finally:
            admission.close()
            with suppress(Exception):  # the client was closed, because the scheduler is gone
                client.unsubscribe_topic("all")  # or the scheduler would complain that it cannot reach us


@contextmanager
def _marker(outputs: Path) -> Iterator[Path]:
    """A file in our outputs folder that is locked for the duration of a `with`, to find out who sees it.

    Removes those of killed commands, by the time that the file system gives to them and to ours.
    """
    folder = outputs / "runs" / ".locks"
    files.make_folder(folder)
    path = folder / f"{MARKER}{uuid.uuid4().hex}"
    with FileLock(path) as lock:
        try:
            for other in folder.glob(f"{MARKER}*"):
                with suppress(OSError):  # another command removes it as well
                    if path.stat().st_mtime - other.stat().st_mtime > STALE_SECONDS:
                        other.unlink()
            yield path
        finally:
            lock.release()
            path.unlink(missing_ok=True)
