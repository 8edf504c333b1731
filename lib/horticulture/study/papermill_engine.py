"""A papermill engine that cannot stall on a widget, and that reports a notebook's progress.

`papermill --engine horticulture ...`. papermill loads this module while it is itself being imported: import
papermill first.
"""

import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any

import zmq
from jupyter_core.utils import ensure_event_loop, run_sync
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine
from papermill.log import logger

from horticulture.execution import stale_files
from horticulture.system.progress import MIME, REMARK

SLICE = 0.5  # seconds between checks while waiting for the kernel
SOCKET_PATH = 90  # most bytes of a socket path; systems allow 104 or more
SAVING_SECONDS = 20.0  # seconds for an interrupted kernel to save its work; more than its workers have
# The same once all is saved. A kernel with workers never ends by itself: it waits for multiprocessing's
# resource tracker, which ignores what the kernel sends it.
AT_ONCE = 1.0
OUTPUTS = ("log_output", "stdout_file", "stderr_file")  # options for what a notebook prints


class _Client(PapermillNotebookClient):
    """nbclient, but checking every half second while it waits for the kernel.

    nbclient sends widget messages on a socket that another task waits on; the wake-up is sometimes lost,
    and without a timeout that wait never ends (jupyter/nbclient issue 312).
    """

    on_progress: Callable[[str, float, float], None] | None = None
    on_remark: Callable[[str], None] | None = None
    folder: Path  # for what kernel and client share

    def create_kernel_manager(self) -> Any:
        """A kernel that communicates through sockets in a private folder, without ports.

        If that is impossible, it listens on this machine only, as Jupyter kernels do. (ipykernel opens a
        local port in any case, for the output of its child processes.)
        """
        manager: Any = super().create_kernel_manager()
        manager.shutdown_wait_time = AT_ONCE
        manager.connection_file = str(self.folder / "kernel.json")
        if zmq.has("ipc") and len(manager.connection_file.encode()) <= SOCKET_PATH:
            manager.transport = "ipc"
        return manager

    async def async_start_new_kernel_client(self) -> Any:
        try:
            client = await super().async_start_new_kernel_client()
        except RuntimeError as error:  # it did not answer within the time
            raise TimeoutError(str(error)) from error
        channel, receive = client.shell_channel, client.shell_channel.get_msg

        async def get_msg(timeout: float | None = None) -> Any:
            end = None if timeout is None else time.monotonic() + timeout
            while True:
                wait = SLICE if end is None else min(SLICE, max(0.0, end - time.monotonic()))
                try:
                    return await receive(timeout=wait)
                except Empty:
                    if end is not None and time.monotonic() >= end:
                        raise

        channel.get_msg = get_msg
        return client

    start_new_kernel_client = run_sync(async_start_new_kernel_client)

    def papermill_execute_cells(self) -> None:
        """As papermill does, but when interrupted, without complaints about the unfinished cell."""
        try:
            super().papermill_execute_cells()
        except KeyboardInterrupt:
            self.km.shutdown_wait_time = SAVING_SECONDS
            ensure_event_loop().set_exception_handler(lambda *_: None)
            raise

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        """Report progress and remarks, then do as nbclient does."""
        data = msg["content"].get("data", {})
        if (remark := data.get(REMARK)) and self.on_remark:
            self.on_remark(remark["line"])
        if (progress := data.get(MIME)) and self.on_progress:
            self.on_progress(progress["line"], progress["share"], progress["resumed"])
        return super().process_message(msg, cell, cell_index)


class Engine(NBClientEngine):
    """papermill's engine with the client above: `papermill --engine horticulture ...`."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        """As papermill calls it. `on_progress` receives the line, the share done, and the share resumed;
        `on_remark` the line of `progress.remark`.
        """
        listeners = [options.pop(name, None) for name in ("on_progress", "on_remark")]
        timeout = options.pop("execution_timeout", None)
        settings: dict[str, Any] = {
            "timeout": timeout,
            "startup_timeout": options.pop("start_timeout", 60),
            "kernel_name": kernel_name,
            "log": logger,
        }
        settings |= {name: options[name] for name in OUTPUTS if name in options}
        client = _Client(nb_man, **settings)
        client.on_progress, client.on_remark = listeners
        with stale_files.temporary_folder() as client.folder:
            return client.execute()
