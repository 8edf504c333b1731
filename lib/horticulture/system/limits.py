"""How many processors, and how much memory, this process may use."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

GPUS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # at least one exists if there is a GPU


def processors(root: Path = Path("/")) -> int:
    """How many processors this process may use, by its affinity and its container's limit.

    A limit of one and a half counts as two. root: the folder that contains `proc` and `sys`.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([count, *(max(1, math.ceil(share)) for share in _limits(root))])


def memory(root: Path = Path("/")) -> int:
    """How many bytes of memory this process may use, by the machine and its container's limit."""
    limits = [psutil.virtual_memory().total]
    for group in _groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):  # v2, v1
            with contextlib.suppress(OSError, ValueError):  # no readable limit
                limits.append(int((group / name).read_text()))
    return min(limits)


def may_have_gpu() -> bool:
    """Whether this machine may have a GPU that torch can use. Looks for the driver, without torch."""
    return os.name == "nt" or any(map(os.path.exists, GPUS))


def _limits(root: Path) -> Iterator[float]:
    """The limits, in processors, of the control groups (v1 or v2) that this process is in."""
    for group in _groups(root, "cpu"):
        try:
            if (group / "cpu.max").exists():
                quota, period = (group / "cpu.max").read_text().split()
            else:
                quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            if quota != "max" and int(quota) > 0:  # "max" or -1: no limit
                yield int(quota) / int(period)
        except (OSError, ValueError, ZeroDivisionError):  # no readable limit
            continue


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's control group and of its parents. controller: of v1, `cpu` or `memory`.

    Inside a container the path is often that of the host, and the group is the mounted folder itself.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            mounted = root / "sys/fs/cgroup" / (controller if controllers else "")
            parts = Path(path.strip("/")).parts
            yield from (mounted.joinpath(*parts[:depth]) for depth in range(len(parts) + 1))
