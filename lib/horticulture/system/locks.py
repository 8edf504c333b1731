"""Locks: one process at a time, by the file system's locks or, where it has none, by leases."""

import errno
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from horticulture.system import leases
from horticulture.system.files import make_folder

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)  # of network file systems mounted without locks


def _nothing() -> None:
    pass


@contextmanager
def held(path: Path, on_wait: Callable[[], None] = _nothing) -> Iterator[Callable[[], None]]:
    """Let one process in at a time. The lock is released when the process ends, however it dies.

    Where the file system has no locks, or `leases` are required in the folder, a lease is held instead. If
    leases become required while a lock is held, the next check takes a lease.
    Yields a function to call before anything is written: it raises `leases.LostLease` if another process has
    taken over. on_wait: called once before waiting for other processes; it may raise instead.
    """
    make_folder(path.parent)
    lock, checks = FileLock(path), list[Callable[[], None]]()  # of the lease, once there is one
    with ExitStack() as stack:
        # First the lock, also where leases are required: one that has it may have come before that.
        try:
            lock.acquire(blocking=False)
        except Timeout:
            on_wait()
            on_wait = _nothing  # it has been said
            lock.acquire()
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            leases.require(path.parent)
        stack.callback(lock.release)  # does nothing if it was not acquired
        if leases.are_required(path.parent):
            lock.release()  # or nobody on this machine could take over from a process that was stopped
            checks.append(stack.enter_context(leases.held(path, on_wait)))

        def check() -> None:
            if not checks and leases.are_required(path.parent):
                if leases.was_ever_held(path):  # also by one that has come and gone since
                    _overtaken()
                checks.append(stack.enter_context(leases.held(path, _overtaken)))
            if checks:
                checks[0]()

        yield check


def _overtaken() -> None:
    raise leases.LostLease("another process leased what this one had only locked")
