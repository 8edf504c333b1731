"""The published way to prune, as a baseline: masks to the end, float32, images one by one."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from horticulture import data, networks, training
from horticulture.architecture import Architecture
from horticulture.pruning import saliency


class Masked(nn.Module):
    """A relu whose output channels are multiplied by a mask; nothing ever gets smaller."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mask = nn.Parameter(torch.ones(1, width, 1, 1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x) * self.mask


class Pictures(Dataset):
    """Images as PIL pictures, transformed one at a time."""

    def __init__(self, images: data.Images) -> None:
        to_picture = transforms.ToPILImage()
        self.pictures = [to_picture(pixels) for pixels in images.pixels]
        self.labels = images.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize([0.5] * 3, [0.25] * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pictures[index]), self.labels[index]


class Sweep:
    """Fine-tuning steps with Fisher saliency on a network that keeps all its channels."""

    def __init__(self, whole: Architecture, images: data.Images, batch: int) -> None:
        self.network = networks.build(whole)
        for block in self.network.blocks:
            block.relu2 = Masked(block.conv1.out_channels)
        self.network.groups = tuple(
            networks.Group(g.name, g.producer, g.norm, block.relu2, g.readers)
            for g, block in zip(self.network.groups, self.network.blocks, strict=True)
        )
        self.optimizer = training.sgd(self.network, 8e-4, 0.9, 5e-4)
        self.loader = DataLoader(Pictures(images), batch, shuffle=True, drop_last=True)
        self._batches = iter(self.loader)
        self.probe = saliency.SaliencyProbe(self.network, "fisher", torch.Generator())
        self.probe.__enter__()

    def step(self) -> None:
        """One fine-tuning step."""
        try:
            x, y = next(self._batches)
        except StopIteration:
            self._batches = iter(self.loader)
            x, y = next(self._batches)
        training.step(self.network, self.optimizer, x, y)

    @torch.no_grad()
    def evaluate(self, x: Tensor) -> None:
        """A forward pass over a batch of test images."""
        self.network.eval()
        self.network(x)
        self.network.train()
