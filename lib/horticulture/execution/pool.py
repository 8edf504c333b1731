"""Worker processes on this machine, reused until this process ends.

They never outlive this process, however it ends, and it does not wait for them; if one dies, the others
continue. (`concurrent.futures` ends all workers when one dies, and waits for them at exit.) Each worker gets
its work through a pipe; the messages that it sends back all arrive in one queue.
"""

import atexit
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

SAVING_SECONDS = 10.0  # seconds allowed for saving: one step of a large network on a busy machine
messages: queue.SimpleQueue[Any] = queue.SimpleQueue()  # what workers `send`, in order
_to_parent: Connection | None = None  # in a worker


def send(message: Any) -> None:
    """In a worker: send a message to the parent process."""
    assert _to_parent
    _to_parent.send((False, message))


def drain(waiting: queue.SimpleQueue[Any], seconds: float = 0.0) -> list[Any]:
    """All that is in a queue, after waiting that long for the first of it."""
    received = []
    with suppress(queue.Empty):
        if seconds:
            received.append(waiting.get(timeout=seconds))
        while True:
            received.append(waiting.get_nowait())
    return received


class _Workers:
    """Processes that wait for work, each served by a thread of this process."""

    def __init__(self) -> None:
        self.processes: list[BaseProcess] = []
        self._tasks: queue.SimpleQueue = queue.SimpleQueue()

    def grow(self, count: int) -> None:
        """Start processes until there are at least `count`; they load in the background."""
        spawn = multiprocessing.get_context("spawn")  # a forked torch can hang
        while len(self.processes) < count:
            pipe, end_of_child = spawn.Pipe()
            process = spawn.Process(target=_serve, args=(end_of_child,), daemon=True)
            process.start()
            end_of_child.close()
            self.processes.append(process)
            threading.Thread(target=self._hand_over, args=(pipe,), daemon=True).start()

    def submit(self, work: Callable, *arguments: Any) -> Future:
        """Run `work(*arguments)` in the next free process."""
        future: Future = Future()
        self._tasks.put((future, work, arguments))
        return future

    def stop(self) -> None:
        """End the processes, after at most `SAVING_SECONDS` seconds in which they can save their work."""
        for process in self.processes:
            process.terminate()
            self._tasks.put(None)
        end = time.monotonic() + SAVING_SECONDS
        for process in self.processes:
            process.join(timeout=max(0.0, end - time.monotonic()))
            process.kill()

    def _hand_over(self, pipe: Connection) -> None:
        while (task := self._tasks.get()) is not None:
            future, work, arguments = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                pipe.send((work, arguments))
                ended, message = pipe.recv()
                while not ended:
                    messages.put(message)
                    ended, message = pipe.recv()
            except (EOFError, OSError):
                died = "a worker process died, perhaps out of memory: run again to resume"
                future.set_exception(RuntimeError(died))
                return
            if message is None:
                future.set_result(None)
            else:
                future.set_exception(message)


_workers = _Workers()


def start(allowed: int, count: int) -> Callable[..., Future]:
    """Start at least `count` worker processes and return a function that submits work to them.

    They load in the background. Processes of an earlier call are reused, unless one of them died or there
    are more than `allowed`.
    """
    processes = _workers.processes
    if len(processes) > allowed or not all(process.is_alive() for process in processes):
        stop()
    _workers.grow(count)
    return _workers.submit


@atexit.register
def stop() -> None:
    """End the worker processes, if there are any. `start` starts new ones."""
    global _workers
    _workers.stop()
    _workers = _Workers()


def _serve(pipe: Connection) -> None:
    """The main loop of a worker process."""
    global _to_parent
    _to_parent = pipe
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and ends us or reuses us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    import horticulture.execution.executor  # noqa: F401  takes seconds, so load it before work comes

    torch.set_num_threads(1)
    while True:
        try:
            work, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            work(*arguments)
            error = None
        except Exception as raised:
            error = _portable(raised)
        pipe.send((True, error))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    wait([parent.sentinel])
    os._exit(1)  # the parent may have been killed: nobody waits for us


def _portable(error: Exception) -> Exception:
    """Make an error picklable, with a note of where it was raised."""
    error.add_note(f"in a worker process:\n{''.join(traceback.format_exception(error))}")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
