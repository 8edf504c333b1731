"""Where to compute, and what that place calls itself."""

import platform
import time
from importlib.metadata import version
from pathlib import Path

import torch

from horticulture import training
from horticulture.errors import BadInput


def place(device: str) -> torch.device:
    """`auto` is the GPU if there is one. Raises BadInput for a device that is not here."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadInput(f"no device {device!r} here ({str(error).splitlines()[0]})") from error
    return torch.device(device)


def about(device: torch.device, precision: str) -> dict:
    """What a result says of where it was made."""
    return {
        "device": device_name(device),
        "precision": str(training.precision(precision, device)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("horticulture", "torch", "numpy")},
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def device_name(device: torch.device) -> str:
    """What the device calls itself, for captions."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    model = names[0] if names else platform.processor() or platform.machine()
    return f"{model}, {torch.get_num_threads()} threads"
