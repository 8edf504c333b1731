"""The hardware: device, precision, threads, memory, and what a result records of them."""

import ctypes
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from horticulture.errors import InputError, check_choice
from horticulture.training.recipe import PRECISIONS

MAX_THREADS = 1024  # more than any machine has
# Of glibc's mallopt: from which size on memory is given back when freed, and mapped anew for each tensor.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3


def resolve_device(device: str) -> torch.device:
    """Resolve a device name; `auto` is the GPU if any. The device is prepared: see `prepare`.

    Raises InputError for a device that does not exist here.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        choices = ", ".join(["auto", "cpu", *gpus])
        raise InputError(f"no device {device!r} here: choose from {choices}") from error
    prepare(torch.device(device))
    return torch.device(device)


def prepare(device: torch.device) -> None:
    """Make convolutions reproducible, in true float32, and have this process keep the memory it frees.

    By default cuDNN adds in no fixed order: the same float32 steps, run twice on an H200, differed by 0.4 %
    in a saliency, so another channel was removed; its deterministic convolutions are as fast there. By
    default it also rounds the factors of float32 convolutions to ten bits (TF32), which is another precision.
    Attention's fused kernels add in no fixed order either.
    """
    keep_memory()
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False
        for kernel in ("flash", "mem_efficient", "cudnn"):
            getattr(torch.backends.cuda, f"enable_{kernel}_sdp")(False)


@cache
def keep_memory() -> None:
    """Have the C library keep freed memory for the next tensors, instead of giving it back and asking anew.

    By default every step touches new pages, which the kernel has to clear: about a fifth of the time of
    pruning small networks on a CPU. The most memory that a process holds hardly changes.
    Does nothing without glibc.
    """
    with suppress(OSError, TypeError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(TRIM_THRESHOLD, 2**30)
        mallopt(MMAP_THRESHOLD, 2**30) or mallopt(MMAP_THRESHOLD, 2**25)  # what older versions allow


def has_bfloat16(device: torch.device) -> bool:
    """Whether the hardware supports bfloat16; otherwise torch emulates it, ten times slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def resolve_precision(wanted: str, device: torch.device) -> str:
    """Resolve a precision to a name in `PRECISIONS`; `auto` is bfloat16 if the device supports it.

    Raises InputError if bfloat16 would only be emulated.
    """
    native = has_bfloat16(device)
    if wanted == "auto":
        return "bfloat16" if native else "float32"
    if wanted == "bfloat16" and not native:
        raise InputError(f"{device_name(device)} only emulates bfloat16, ten times slower: use float32")
    return check_choice(wanted, ["auto", *PRECISIONS], "precision")


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Compute with that many threads (None: as many as now), which affects the last bits of every sum.

    Raises InputError for a number that no machine has, from a file that is not ours.
    """
    if count is not None and not 0 < count <= MAX_THREADS:
        raise InputError(f"a run has 1 to {MAX_THREADS:,} threads, not {count!r}")
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def environment_info(device: torch.device) -> dict:
    """The device, threads, versions and time that a result records."""
    return {
        "device": device_name(device),
        "instructions": instructions(device),
        "threads": torch.get_num_threads(),
        "versions": dict(_versions()),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


@cache  # reading them takes longer than all else that recording a result does
def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("horticulture", "torch", "numpy")}


def same_bits(theirs: dict, device: torch.device) -> bool:
    """Whether this machine, with as many threads, computes the same bits as the one described.

    Several kinds of processor can share a name, so the instructions that torch uses must match too, if the
    result records them.
    """
    ours = environment_info(device)
    same = theirs["device"] == ours["device"] and theirs["versions"]["torch"] == ours["versions"]["torch"]
    return same and theirs.get("instructions", ours["instructions"]) == ours["instructions"]


def instructions(device: torch.device) -> str:
    """What determines torch's kernels: a CPU's instruction set, a GPU's compute capability."""
    if device.type == "cuda":
        return "sm_{}{}".format(*torch.cuda.get_device_capability(device))
    return torch.backends.cpu.get_cpu_capability()


@cache
def device_name(device: torch.device) -> str:
    """The name of the device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
