"""Evaluate a network: precision, norm statistics, and the errors it makes."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from horticulture.data import Dataset, Images
from horticulture.training import recipe

SIDE = 32  # pixels, height and width: of larger images fewer are evaluated at a time
DTYPES = {name: getattr(torch, name) for name in recipe.PRECISIONS}


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """A context in which matrix products are computed in that type."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


class Evaluation(NamedTuple):
    """How well a network classifies a part of a data set, in all and image by image.

    error: wrong images in percent. loss: mean cross-entropy. wrong: (n,) bool, on the CPU.
    """

    error: float
    loss: float
    wrong: Tensor


@torch.no_grad()
def estimate_norms(
    network: nn.Module, dataset: Dataset, images: int, dtype: torch.dtype = torch.float32
) -> None:
    """Set every norm's statistics from the first `images` training images, not augmented, in place.

    Running averages reflect weights from many steps ago. After a cut the weights differ, and a network
    measured with the old statistics looks worse than it is (Li et al., EagleEye, 2020). This is one forward
    pass with one batch, so the same images give the same statistics. Norms that no image reaches keep theirs,
    and so do those that the network's own `train` leaves in evaluation mode.
    """
    was_training = network.training
    network.train()
    norms = [norm for norm in norm_layers(network) if norm.training]
    if not norms:  # a transformer has none that keep any
        network.train(was_training)
        return
    momentum = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    network.eval()  # except the norms: nothing is dropped out
    for norm in norms:
        norm.train()
    first = dataset.train.pixels[:images]
    with autocast(dtype, first.device):
        network(dataset.normalise(first))
    for norm, before in zip(norms, momentum, strict=True):
        norm.momentum = before
    network.train(was_training)


@contextmanager
def estimated_norms(
    network: nn.Module, dataset: Dataset, images: int, dtype: torch.dtype = torch.float32
) -> Iterator[None]:
    """Use the norm statistics of `estimate_norms`, and restore the old ones on exit.

    images: 0 changes nothing.
    """
    before = {name: buffer.clone() for name, buffer in network.named_buffers()} if images else {}
    if images:
        estimate_norms(network, dataset, images, dtype)
    try:
        yield
    finally:
        for name, tensor in before.items():
            network.get_buffer(name).copy_(tensor)


def norm_layers(network: nn.Module) -> list[_BatchNorm]:
    """The norms that keep statistics."""
    norms = (module for module in network.modules() if isinstance(module, _BatchNorm))
    return [norm for norm in norms if norm.track_running_stats]


@torch.inference_mode()
def evaluate(
    network: nn.Module, dataset: Dataset, part: Images, dtype: torch.dtype = torch.float32
) -> Evaluation:
    """Error and loss on a part of a data set, not augmented. Leaves the network's mode unchanged."""
    was_training = network.training
    network.eval()
    wrong, losses = [], []
    device = part.labels.device
    chunk = _chunk(part.pixels)
    for x, y in zip(part.pixels.split(chunk), part.labels.split(chunk), strict=True):
        with autocast(dtype, device):
            logits = network(dataset.normalise(x)).float()
        wrong.append(logits.argmax(dim=1) != y)
        losses.append(F.cross_entropy(logits, y, reduction="sum"))
    network.train(was_training)
    wrong_images = torch.cat(wrong).cpu()
    loss = torch.stack(losses).sum().item() / len(part)
    return Evaluation(100 * wrong_images.sum().item() / len(part), loss, wrong_images)


def _chunk(pixels: Tensor) -> int:
    """Images evaluated at a time: fewer if they are large, because of the memory that feature maps take."""
    most = 5000 if pixels.device.type == "cuda" else 256  # on a CPU small chunks fit in the cache
    height, width = pixels.shape[2:]
    return max(1, min(most, most * SIDE**2 // (height * width)))


def weights_digest(network: nn.Module) -> str:
    """A digest (twelve hexadecimal digits) of all weights and statistics, to the last bit."""
    digest = hashlib.sha256()
    for tensor in network.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()[:12]
