"""How much of the machine is used: no more processors than one may, and none to spin on while waiting."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from horticulture.system import limits


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 64 processors, of which this process may use eight, with these files."""

    def make(**files):
        monkeypatch.setattr(limits.os, "cpu_count", lambda: 64)
        monkeypatch.setattr(limits.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return tmp_path

    return make


OWN = "proc/self/cgroup"
V1 = "sys/fs/cgroup/cpu"
NO_LIMIT = {OWN: "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}
CONTAINER = {OWN: "0::/\n", "sys/fs/cgroup/cpu.max": "300000 100000\n"}
SERVICE = {OWN: "0::/user.slice/job\n", "sys/fs/cgroup/user.slice/job/cpu.max": "max 100000\n"}
OLDER = {OWN: "5:memory:/\n4:cpu,cpuacct:/docker/4f\n0::/docker/4f\n", f"{V1}/cpu.cfs_period_us": "50000\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        (NO_LIMIT, 8),
        (CONTAINER, 3),
        (CONTAINER | {"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        (CONTAINER | {"sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1),
        (CONTAINER | {"sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 8),
        (SERVICE, 8),
        (SERVICE | {"sys/fs/cgroup/user.slice/cpu.max": "400000 100000\n"}, 4),
        (OLDER | {f"{V1}/cpu.cfs_quota_us": "-1\n"}, 8),
        (OLDER | {f"{V1}/cpu.cfs_quota_us": "100000\n"}, 2),
        (
            OLDER
            | {
                f"{V1}/docker/4f/cpu.cfs_quota_us": "250000\n",
                f"{V1}/docker/4f/cpu.cfs_period_us": "50000\n",
            },
            5,
        ),
        (CONTAINER | {"sys/fs/cgroup/cpu.max": "not a limit\n"}, 8),
    ],
    ids=[
        *("not Linux", "no limit", "a limit", "one and a half", "a tenth", "more than there are"),
        *("no limit in a group", "a limit on the group above", "version 1, no limit"),
        *("version 1 inside a container", "version 1, the group below", "nothing to read"),
    ],
)
def test_processors_are_those_that_affinity_and_container_allow(machine, files, expected):
    assert limits.processors(machine(**files)) == expected


ROOM = 2**29  # bytes, less than any machine has that runs this
MEMORY_V1 = "sys/fs/cgroup/memory"


@pytest.mark.parametrize(
    ("files", "limited"),
    [
        ({}, False),
        ({OWN: "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, False),
        ({OWN: "0::/\n", "sys/fs/cgroup/memory.max": f"{ROOM}\n"}, True),
        ({OWN: "0::/user.slice/job\n", "sys/fs/cgroup/user.slice/memory.max": f"{ROOM}\n"}, True),
        ({OWN: "5:memory:/docker/4f\n", f"{MEMORY_V1}/memory.limit_in_bytes": f"{ROOM}\n"}, True),
        ({OWN: "5:memory:/docker/4f\n", f"{MEMORY_V1}/docker/4f/memory.limit_in_bytes": f"{ROOM}\n"}, True),
        ({OWN: "5:memory:/\n", f"{MEMORY_V1}/memory.limit_in_bytes": "9223372036854771712\n"}, False),
        ({OWN: "5:cpu:/\n", f"{MEMORY_V1}/memory.limit_in_bytes": f"{ROOM}\n"}, False),
    ],
    ids=[
        *("not Linux", "no limit", "a limit", "a limit on the group above"),
        *("version 1 inside a container", "version 1, the group below", "version 1, no limit"),
        "version 1, another controller",
    ],
)
def test_memory_is_what_the_container_allows(machine, files, limited):
    whole = limits.memory(Path("/nowhere"))
    assert whole > ROOM
    assert limits.memory(machine(**files)) == (ROOM if limited else whole)


def test_memory_is_known_where_the_system_has_no_such_numbers(monkeypatch):
    """As on Windows: its `os` has no `sysconf`."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.delattr(os, "sysconf")
    assert limits.memory(Path("/nowhere")) == whole


def test_without_affinity_and_container_all_processors_count(machine, monkeypatch):
    nowhere = machine()
    monkeypatch.delattr(limits.os, "sched_getaffinity")
    assert limits.processors(nowhere) == 64


CODE = """
import os, subprocess, sys
import horticulture
child = "import os; print(os.environ['OMP_WAIT_POLICY'])"
subprocess.run([sys.executable, "-c", child], check=True)
if sys.argv[1:] == ["torch"]:
    import torch
"""


def policy(own, *arguments):
    """What a process says that has imported this package, and a child of it: on standard output and error."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | own
    command = [sys.executable, "-c", CODE, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip(), done.stderr


def test_threads_that_wait_sleep_here_and_in_what_is_started_from_here():
    """By what OpenMP says of itself when torch loads it."""
    child, said = policy({"OMP_DISPLAY_ENV": "true"}, "torch")
    assert child == "PASSIVE"
    assert re.findall(r"OMP_WAIT_POLICY ?= ?'(\w+)'", said) == ["PASSIVE"]


def test_a_wait_policy_of_ones_own_stays():
    assert policy({"OMP_WAIT_POLICY": "ACTIVE"})[0] == "ACTIVE"
