"""Leases: one owner at a time, also when one was stopped for longer than its heartbeat."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest
from filelock import FileLock

from horticulture.system import leases, locks

QUICK = "from horticulture.system import leases; leases.BEAT, leases.STALE = 0.05, 1.0"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.05)
    monkeypatch.setattr(leases, "STALE", 1.0)


def lease_files(folder) -> list[str]:
    return sorted(name for name in os.listdir(folder) if "lease-" in name)


def test_a_lease_is_held_and_free_again(tmp_path):
    with leases.held(tmp_path / "run") as check:
        check()
        assert lease_files(tmp_path) == ["run.lease-1"]
        assert (tmp_path / "run.lease-1").read_bytes() != leases.FREE
    with leases.held(tmp_path / "run"), leases.held(tmp_path / "runner"):
        assert lease_files(tmp_path) == ["run.lease-2", "runner.lease-1"]
    assert (tmp_path / "run.lease-2").read_bytes() == leases.FREE


def test_a_second_one_says_that_it_waits_and_then_has_it(tmp_path):
    waited, order = threading.Event(), []

    def second():
        with leases.held(tmp_path / "run", waited.set):
            order.append("second")

    with leases.held(tmp_path / "run"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waited.wait(5)
        time.sleep(1.5)  # longer than a lease without a heartbeat would last
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_one_that_may_not_wait_raises(tmp_path):
    class Busy(Exception):
        pass

    def refuse():
        raise Busy

    with leases.held(tmp_path / "run"), pytest.raises(Busy), leases.held(tmp_path / "run", refuse):
        pytest.fail("it is held")


HAMMER = f"""
import sys, time
from pathlib import Path
{QUICK}
leases.BEAT = 0.02
folder = Path(sys.argv[1])
for _ in range(15):
    with leases.held(folder / "run") as check:
        number = int((folder / "number").read_text())
        time.sleep(0.002)
        check()
        (folder / "number").write_text(str(number + 1))
"""


def test_several_processes_count_without_losing_one(tmp_path):
    (tmp_path / "number").write_text("0")
    hammers = [subprocess.Popen([sys.executable, "-c", HAMMER, tmp_path]) for _ in range(4)]
    assert [one.wait(timeout=120) for one in hammers] == [0] * 4
    assert (tmp_path / "number").read_text() == "60"
    assert lease_files(tmp_path) == ["run.lease-60"]


OWNER = f"""
import sys, time
from pathlib import Path
{QUICK}
with leases.held(Path(sys.argv[1]) / "run") as check:
    print("held", flush=True)
    try:
        while True:
            check()
            time.sleep(0.01)
    except leases.LostLease:
        print("lost", flush=True)
"""


@pytest.fixture
def owner(tmp_path):
    """A process that holds a lease and checks it at every step."""
    process = subprocess.Popen([sys.executable, "-c", OWNER, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_lease_of_a_killed_process_is_taken_over(owner, tmp_path):
    owner.kill()
    began = time.monotonic()
    with leases.held(tmp_path / "run"):
        assert 0.9 < time.monotonic() - began < 5
        assert lease_files(tmp_path) == ["run.lease-2"]


def test_one_of_many_takes_over_from_a_stopped_process_which_notices(owner, tmp_path):
    os.kill(owner.pid, signal.SIGSTOP)
    inside, most, together = 0, 0, threading.Lock()

    def wait():
        nonlocal inside, most
        with leases.held(tmp_path / "run"):
            with together:
                inside += 1
                most = max(most, inside)
            time.sleep(0.1)
            with together:
                inside -= 1

    threads = [threading.Thread(target=wait) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == 1
    os.kill(owner.pid, signal.SIGCONT)
    assert owner.stdout.readline() == "lost\n"
    assert lease_files(tmp_path) == ["run.lease-7"]  # and it released nothing


def test_who_looked_for_a_lease_long_ago_takes_none_that_was_removed_meanwhile(tmp_path, monkeypatch):
    listdir, checks = os.listdir, []

    def refuse():
        raise BlockingIOError

    with ExitStack() as others:

        def looking(folder):
            """What the first who looks learns late: four leases are taken meanwhile, and the last is kept."""
            names = listdir(folder)
            if not checks:
                checks.append(lambda: None)
                for _ in range(3):
                    with leases.held(tmp_path / "run"):
                        pass
                checks.append(others.enter_context(leases.held(tmp_path / "run")))
            return names

        monkeypatch.setattr(os, "listdir", looking)
        with pytest.raises(BlockingIOError), leases.held(tmp_path / "run", on_wait=refuse):
            pass
        assert lease_files(tmp_path) == ["run.lease-4"]
        for check in checks:
            check()


def test_where_a_folder_requires_leases_files_are_not_locked(tmp_path):
    with locks.held(tmp_path / "before") as check:
        check()
    assert lease_files(tmp_path) == []
    leases.require(tmp_path)
    with locks.held(tmp_path / "after"):
        assert lease_files(tmp_path) == ["after.lease-1"]


LOCKER = """
import sys
from pathlib import Path
from horticulture.system import files, locks
with locks.held(Path(sys.argv[1]) / "run"):
    print("in", flush=True)
    sys.stdin.readline()
    (Path(sys.argv[1]) / "out").touch()
"""


def test_who_has_a_lock_when_leases_become_required_is_waited_for(tmp_path):
    waited, order = threading.Event(), []

    def second():
        with locks.held(tmp_path / "run", waited.set):
            order.append((tmp_path / "out").exists())

    with subprocess.Popen(
        [sys.executable, "-c", LOCKER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout.readline() == "in\n"
        leases.require(tmp_path)
        thread = threading.Thread(target=second)
        thread.start()
        try:
            assert waited.wait(5)
        finally:
            first.communicate("\n")
            thread.join(5)
    assert order == [True]
    assert lease_files(tmp_path) == ["run.lease-1"]


def test_where_its_lock_is_not_seen_it_leases_what_it_has_or_notices_that_another_does(tmp_path, monkeypatch):
    """The lock of a process on another machine is one in another place."""
    with locks.held(tmp_path / "mine") as mine, locks.held(tmp_path / "theirs") as theirs:
        mine()
        assert lease_files(tmp_path) == []
        leases.require(tmp_path)
        mine()
        monkeypatch.setattr(locks, "FileLock", lambda path: FileLock(path.with_suffix(".there")))
        with locks.held(tmp_path / "theirs"):
            assert lease_files(tmp_path) == ["mine.lease-1", "theirs.lease-1"]
            with pytest.raises(leases.LostLease):
                theirs()
        with pytest.raises(leases.LostLease):  # nor may it go on when the other is done
            theirs()

        def refuse():
            raise TimeoutError

        with pytest.raises(TimeoutError), locks.held(tmp_path / "mine", refuse):
            pytest.fail("it is held")
        mine()
    assert (tmp_path / "mine.lease-1").read_bytes() == leases.FREE


def test_who_waits_for_a_lock_and_then_for_a_lease_says_so_once(tmp_path, monkeypatch):
    """While it waits for the lock, another machine's process, which does not see that, takes the lease."""
    said, lock = [], FileLock(tmp_path / "run")
    with ExitStack() as stack:

        class Waiting(FileLock):
            def acquire(self, blocking=True):
                if blocking:
                    leases.require(tmp_path)
                    theirs = stack.enter_context(leases.held(tmp_path / "run"))
                    threading.Timer(0.3, stack.close).start()
                    theirs()
                    lock.release()
                return super().acquire(blocking=blocking)

        lock.acquire()
        monkeypatch.setattr(locks, "FileLock", Waiting)
        with locks.held(tmp_path / "run", lambda: said.append(1)):
            assert lease_files(tmp_path) == ["run.lease-2"]
    assert said == [1]


def test_a_stopped_process_can_be_taken_over_from_on_its_own_machine(tmp_path):
    """Whoever holds a lease keeps no lock."""
    leases.require(tmp_path)
    with locks.held(tmp_path / "run"):
        FileLock(tmp_path / "run").acquire(blocking=False).lock.release()


def test_a_file_system_without_locks_gets_leases(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.FileLock, "acquire", refuse)
    with locks.held(tmp_path / "run"):
        assert lease_files(tmp_path) == ["run.lease-1"]
    monkeypatch.undo()
    assert leases.are_required(tmp_path)
