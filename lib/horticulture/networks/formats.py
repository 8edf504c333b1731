"""Networks in formats that run without this library: programs of torch.export, and ONNX.

Each is one file with graph and weights. It takes batches of any size and needs no code of the network.
ONNX needs the extra `onnx`.
"""

from collections.abc import Callable
from contextlib import redirect_stderr
from importlib.util import find_spec
from io import BytesIO, StringIO
from typing import Any

import torch
from torch import Tensor, nn

from horticulture.architecture import ImageShape
from horticulture.errors import InputError, first_line

INPUT, OUTPUT = "images", "logits"  # their names in ONNX
NO_ONNX = "ONNX needs the extra onnx: pip install -e '.[onnx]'"

Function = Callable[[Tensor], Tensor]  # (batch, channels, height, width) -> (batch, classes), on the CPU


def has_onnx() -> bool:
    """Whether the packages to write and run ONNX are installed."""
    return all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))


def to_program(network: nn.Module, image: ImageShape) -> torch.export.ExportedProgram:
    """A network on the CPU as a program for batches of any size; puts the network in eval mode.

    image: (channels, height, width). Raises InputError for a network that torch.export cannot trace, such as
    one whose `forward` branches on the values of its input.
    """
    example, batch = torch.zeros(2, *image), {0: torch.export.Dim("batch")}
    try:
        with redirect_stderr(StringIO()):  # torch prints the whole graph there when it fails
            program = torch.export.export(network.eval(), (example,), dynamic_shapes=(batch,))
    except Exception as error:  # a user's own network can fail in many ways
        raise InputError(f"torch.export cannot trace this network: {first_line(error)}") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it holds paths of this machine
    return program


def to_pt2(program: torch.export.ExportedProgram) -> bytes:
    """The program as the content of a .pt2 file, which `torch.export.load` reads."""
    file = BytesIO()
    torch.export.save(program, file)
    return file.getvalue()


def to_onnx(program: torch.export.ExportedProgram) -> bytes:
    """The program as the content of an ONNX file. Raises InputError if the extra is not installed."""
    if not has_onnx():
        raise InputError(NO_ONNX)
    names: Any = {"input_names": [INPUT], "output_names": [OUTPUT], "dynamic_shapes": ({0: "batch"},)}
    exported: Any = torch.onnx.export(program, dynamo=True, external_data=False, verbose=False, **names)
    return exported.model_proto.SerializeToString()


def from_pt2(content: bytes) -> Function:
    """The function in the content of a .pt2 file."""
    return torch.export.load(BytesIO(content)).module()


def from_onnx(content: bytes, threads: int = 0) -> Function:
    """The function in the content of an ONNX file, run by ONNX Runtime. threads: 0 lets it choose."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads sleep
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {INPUT: x.numpy()})[0])
