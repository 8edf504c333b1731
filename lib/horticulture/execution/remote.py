"""Execute runs on a Dask cluster: each is a task that depends on the run it starts from.

Nothing waits for what it does not need. Errors come back as text: Dask waits for ever for an exception
that it cannot unpickle. Where workers do not share the outputs folder, finished runs travel as bytes.
"""

import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import Any

from horticulture import runs
from horticulture.errors import ClusterError, InputError, first_line
from horticulture.execution import admission, cluster, file_transfer, pool, remote_worker
from horticulture.execution.admission import Admission
from horticulture.execution.board import POLL, Board
from horticulture.execution.remote_worker import SKIPPED, Parcel, PickledCode, Reply, Settings
from horticulture.execution.specs import estimated_cost
from horticulture.pruning import criteria
from horticulture.runs import Run
from horticulture.runs.run import RESULT
from horticulture.system import code_files, locks

VISIBLE = 90.0  # seconds after which a network file system shows a new file everywhere
QUIET = 2.0  # seconds without news after which we look whether there is a worker
MAX_RETRIES = 3  # of a run that Dask could not give to a worker
WRITTEN = Reply("")  # stands for the reply of a run whose result we see


def execute(
    todo: Sequence[Run],
    then: Callable[[Run], Sequence[Run]],
    outputs: Path,
    device: str,
    address: str,
    board: Board,
) -> None:
    """Execute distinct runs, each after the one it starts from if that is among them; the costly ones first.

    then: gives further runs to execute once a run is finished.

    A run that fails is reported with its traceback and does not stop those that do not start from it. Raises
    ClusterError in the end if any failed, and at once if the scheduler is lost; InputError as
    `cluster.connected` and for a worker that cannot do the work.
    """
    data = {str(link.data["name"]) for run in todo for link in run.chain}
    with (
        cluster.connected(address) as client,
        admission.opened(client, outputs, device, data) as workers,
    ):
        client.subscribe_topic(remote_worker.TOPIC, lambda event: pool.messages.put(event[1]))
        try:
            _Tasks(client, workers, outputs, device, board).execute(todo, then)
        except (CancelledError, OSError) as error:
            from distributed.comm import CommClosedError

            lost = isinstance(error, (CancelledError, CommClosedError))  # the client may notice it later
            if client.status == "running" and not lost:
                raise  # of our own disk
            raise ClusterError(
                f"the Dask scheduler at {address} is gone; finished runs and checkpoints are kept: start it "
                "again, then run the same command"
            ) from error
    if board.failed:
        (name, what), *_ = board.failures()
        skipped = f", {board.skipped} skipped" if board.skipped else ""
        raise ClusterError(
            f"{len(board.failed)} of {board.count} runs failed{skipped}; the first is {name}: {what}"
        )


class _Tasks:
    """The tasks of one call of `execute`: one for each run, and those that hold what it needs."""

    def __init__(
        self,
        client: Any,
        workers: Admission,
        outputs: Path,
        device: str,
        board: Board,
    ) -> None:
        self._client, self._workers, self._outputs = client, workers, outputs
        self._board = board
        self._settings = Settings(str(outputs), workers.shared, device, workers.threads)
        # Of the runs that have not ended, by key: themselves, their futures, and those of what they need.
        self._runs: dict[str, Run] = {}
        self._futures: dict[str, Any] = {}
        self._sent: dict[str, list[Any]] = {}
        self._resources: dict[str, float] = {}  # that runs ask for
        self._tries = Counter[str]()  # of runs that Dask could not give to a worker
        self._given_up = set[str]()  # names of tasks
        self._look = time.monotonic() + QUIET

    def execute(self, todo: Sequence[Run], then: Callable[[Run], Sequence[Run]]) -> None:
        """Submit all runs, take in what they made, submit what follows from each, and show their progress."""
        while todo or self._runs:
            if todo:
                self._submit(todo)
            ended = self._ended()
            messages = [message for message in pool.drain(pool.messages) if message[0] in self._futures]
            for message in messages:  # none from a run that continued after an earlier call
                self._board.update(message)
            for task in self._workers.abandoned():
                self._board.wait(task.rpartition("-")[0].rpartition("-")[2])  # by its key
            if any(future.status == "cancelled" for future in ended.values()):
                raise CancelledError
            todo = []
            for key, made in self._replies(ended).items():
                run = self._runs.pop(key)
                error = made.error or _take_in(run, made.packed, self._outputs)
                if error == SKIPPED or (error and self._starts_failed(run)):
                    print(f"{run} skipped: {SKIPPED}", file=sys.stderr)
                    self._board.skip(run)
                else:
                    if error:
                        print(f"{run} failed: {error}\n{made.trace}".rstrip(), file=sys.stderr)
                    self._board.finish(run, error)
                del self._futures[key]  # what it sent is needed no longer
                self._sent.pop(key, None)
                todo += [] if error else then(run)
            self._board.add(todo)
            self._board.waiting_for = self._waiting_for(news=bool(ended or messages))
            self._board.show()

    def _starts_failed(self, run: Run) -> bool:
        return any(start.key in self._board.failed for start in list(run.chain)[1:])

    def _ended(self) -> dict[str, Any]:
        """Wait a little; return those of our futures whose task has ended.

        Looking at all of them takes a few per cent of the time, however many they are. Callbacks, which Dask
        makes in a thread one by one, would take more.
        """
        time.sleep(max(POLL / 10, 20e-6 * len(self._futures)))
        return {key: future for key, future in self._futures.items() if future.done()}

    def _replies(self, ended: dict[str, Any]) -> dict[str, Reply]:
        """What ended tasks made, by key of the run; without those that are tried again."""
        seen = {key for key in ended if self._settings.shared and _written(self._runs[key], self._outputs)}
        erred = {key: f for key, f in ended.items() if f.status == "error" and key not in seen}
        finished = {key: f for key, f in ended.items() if f.status == "finished" and key not in seen}
        replies = dict.fromkeys(seen, WRITTEN)
        if finished:  # the slow way; not of those whose worker has died meanwhile
            gathered = self._client.gather(finished, errors="skip")
            replies |= {key: made for key, made in gathered.items() if made is not None}
        replies |= self._try_again(erred) if erred else {}
        return {key: replies[key] for key in ended if key in replies}

    def _submit(self, todo: Sequence[Run]) -> None:
        """Submit runs. Dask starts each when what it depends on is finished."""
        name = uuid.uuid4().hex[:8]  # another command may have submitted the same runs
        self._workers.supply(file_transfer.own_files(todo))
        self._resources = self._workers.resources()
        sent = []
        if code_files.ALLOWED or criteria.own_criteria():
            sent = [self._hold(PickledCode(file_transfer.pack_code()), f"code-{name}")]
        given: dict[str, Any] = {}  # finished runs that others start from, where folders are not shared
        for run in todo:
            starts = []
            for start in list(run.chain)[1:]:
                future = self._futures.get(start.key) or given.get(start.key)
                if not future and not self._settings.shared:
                    packed = Reply(_text(start), file_transfer.pack(start, self._outputs))
                    future = given[start.key] = self._hold(packed, f"start-{start.key}-{name}")
                starts += [future] if future else []
            key = f"{run.kind}-{run.key}-{name}"
            arguments = (_text(run), self._settings, *starts, *sent)
            self._runs[run.key] = run
            how = {"key": key, "priority": float(estimated_cost(run)), "resources": self._resources}
            self._futures[run.key] = self._client.submit(remote_worker.work, *arguments, **how)
            if held := [*sent, *starts]:
                self._sent[run.key] = held  # or Dask could not try again what it forgets

    def _hold(self, parcel: Parcel, key: str) -> Any:
        return self._client.submit(remote_worker.hold, parcel, key=key, resources=self._resources)

    def _waiting_for(self, *, news: bool) -> str:
        """What kind of worker all runs wait for, as a text. Looks only without news."""
        now = time.monotonic()
        if news:
            self._look = now + QUIET
            return ""
        if now < self._look:
            return self._board.waiting_for
        self._look = now + QUIET
        busy = "waiting for a free worker" if self._board.is_idle() else ""  # they are at others' work
        return self._workers.waiting_for() or busy

    def _try_again(self, erred: dict[str, Any]) -> dict[str, Reply]:
        """Have other workers try what one died at; return what is given up, by key."""
        from distributed import KilledWorker

        errors = {key: future.exception() for key, future in erred.items()}
        given_up = {}
        for key, error in errors.items():
            self._tries[key] += 1
            died = isinstance(error, KilledWorker) and error.task == erred[key].key
            # Dask also counts the deaths of a worker at which a run only waited.
            if self._tries[key] > MAX_RETRIES or (died and self._board.has_begun(key)):
                given_up[key] = Reply("", {}, _describe(error, died))
                self._given_up.add(erred[key].key)
        for key, error in errors.items():
            if key not in given_up and getattr(error, "task", "") in self._given_up:
                given_up[key] = Reply("", {}, SKIPPED)
        if again := [future for key, future in erred.items() if key not in given_up]:
            self._client.retry(again)
        return given_up


def _describe(error: BaseException, died: bool) -> str:
    deaths = getattr(error, "allowed_failures", 0) + 1
    return f"{deaths} workers died at it, one after the other (out of memory?)" if died else first_line(error)


def _text(run: Run) -> str:
    return json.dumps(run.to_json())


def _written(run: Run, outputs: Path) -> bool:
    """Whether we see the result of a run. It is read when all runs are finished."""
    return (runs.folder(run, outputs) / RESULT).exists()


def _take_in(run: Run, packed: dict[str, bytes], outputs: Path) -> str:
    """Write what a worker without our folder sent, or wait until we see what it wrote. Return an error."""
    from horticulture.execution import executor

    if packed:
        try:
            with locks.held(executor.lock_path(run, outputs)):
                if not _written(run, outputs):
                    file_transfer.unpack(run, packed, outputs)
        except InputError as error:
            return first_line(error)
    end = time.monotonic() + VISIBLE
    while not _written(run, outputs):
        if time.monotonic() > end:
            return f"a worker finished it, but {runs.folder(run, outputs)} has no result"
        with suppress(OSError):  # reading the names makes a network file system look again
            list(runs.folder(run, outputs).parent.iterdir())
        time.sleep(POLL)
    return ""
