"""Networks as other programs run them: as a program of torch.export, and as ONNX.

Either is one file with graph and weights, takes batches of any size, and runs without this library and
without the code of the network. ONNX needs the extra `onnx`.
"""

from collections.abc import Callable
from contextlib import redirect_stderr
from importlib.util import find_spec
from io import BytesIO, StringIO
from typing import Any

import torch
from torch import Tensor, nn

from horticulture.errors import InputError

INPUT, OUTPUT = "images", "logits"  # what ONNX calls them
NO_ONNX = "ONNX needs the extra onnx: pip install 'horticulture[onnx]'"

Function = Callable[[Tensor], Tensor]  # (batch, channels, height, width) -> (batch, classes), on the CPU


def has_onnx() -> bool:
    """Whether ONNX can be written and run here."""
    return all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))


def to_program(network: nn.Module, image: tuple[int, int, int]) -> torch.export.ExportedProgram:
    """A network on the CPU, in eval mode, as a program for batches of any size.

    image: (channels, height, width). Raises InputError for one that torch.export cannot follow, such as one
    whose `forward` looks at the numbers that pass it.
    """
    example, batch = torch.zeros(2, *image), {0: torch.export.Dim("batch")}
    try:
        with redirect_stderr(StringIO()):  # where torch writes the whole graph of what it cannot follow
            program = torch.export.export(network.eval(), (example,), dynamic_shapes=(batch,))
    except Exception as error:  # of somebody's own network there are many kinds
        said = (str(error).strip().splitlines() or [""])[0]
        raise InputError(
            f"torch.export cannot follow this network: {type(error).__name__}: {said}"
        ) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def to_pt2(program: torch.export.ExportedProgram) -> bytes:
    """The program as the content of a file, which `torch.export.load` reads."""
    file = BytesIO()
    torch.export.save(program, file)
    return file.getvalue()


def to_onnx(program: torch.export.ExportedProgram) -> bytes:
    """The program as the content of an ONNX file. Raises InputError where the extra is missing."""
    if not has_onnx():
        raise InputError(NO_ONNX)
    names: Any = {"input_names": [INPUT], "output_names": [OUTPUT], "dynamic_shapes": ({0: "batch"},)}
    found: Any = torch.onnx.export(program, dynamo=True, external_data=False, verbose=False, **names)
    return found.model_proto.SerializeToString()


def from_pt2(content: bytes) -> Function:
    """What the content of a file computes, by torch alone."""
    return torch.export.load(BytesIO(content)).module()


def from_onnx(content: bytes, threads: int = 0) -> Function:
    """What the content of a file computes, by ONNX Runtime on the processor. threads: 0 is its own choice."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # threads that wait are to sleep
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {INPUT: x.numpy()})[0])
