"""Convolutional G and D for a CPU: most channels are at low resolutions, and G ends in a pixel shuffle."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gancli.core.networks.embedding import EMBEDDING_DIM, ClassEmbedding

LARGEST_BASE = 10


def map_sides(resolution: int) -> list[int]:
    """Return the sides of the feature maps: the image side, halved (rounded down) at least twice, until at most 10.

    28 -> 14, 7. 256 -> 128, 64, 32, 16, 8. 100 -> 50, 25, 12, 6.
    """
    found = [resolution // 2, resolution // 4]
    while found[-1] > LARGEST_BASE:
        found.append(found[-1] // 2)
    return found


class Generator(nn.Module):
    """z [N, z_dim] (and labels [N]) -> images [N,C,R,R] in [-1, 1]. The lowest map has the full width, others half."""

    def __init__(self, *, z_dim: int, width: int, resolution: int, channels: int, n_classes: int) -> None:
        super().__init__()
        self.size, second, *higher = reversed(map_sides(resolution))
        self.width = width
        self.embed = ClassEmbedding(n_classes, EMBEDDING_DIM) if n_classes else None
        self.project = nn.Linear(z_dim + (EMBEDDING_DIM if n_classes else 0), width * self.size**2)
        self.low = nn.Conv2d(width, width, 3, padding=1)
        self.up = upsample_layer(width, width // 2, second)
        self.further = nn.ModuleList(upsample_layer(width // 2, width // 2, side) for side in higher)
        self.out = nn.Conv2d(width // 2, 4 * channels, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.embed is not None:
            z = torch.cat([z, self.embed(labels)], dim=1)
        x = F.leaky_relu(self.project(z), 0.2).view(-1, self.size, self.size, self.width).permute(0, 3, 1, 2)
        x = F.leaky_relu(self.low(x), 0.2)
        x = F.leaky_relu(self.up(x), 0.2)
        for up in self.further:
            x = F.leaky_relu(up(x), 0.2)
        return F.pixel_shuffle(self.out(x), 2).tanh()


def upsample_layer(inputs: int, outputs: int, side: int) -> nn.ConvTranspose2d:
    """Upsample maps from side // 2 to side."""
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, output_padding=side % 2)


class Discriminator(nn.Module):
    """images [N,C,R,R] (and labels [N]) -> logits [N]; projection conditioning.

    It has the map sides of G with half as many channels, then one convolution to the full width.
    """

    def __init__(self, *, width: int, resolution: int, channels: int, n_classes: int) -> None:
        super().__init__()
        _, *between, low = map_sides(resolution)
        further = [
            layer
            for _ in between
            for layer in (nn.Conv2d(width // 4, width // 4, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        ]
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width // 4, 5, stride=2, padding=2),
            nn.LeakyReLU(0.2),
            *further,
            nn.Conv2d(width // 4, width // 2, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width // 2, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(width * low**2, 2 * width),
            nn.LeakyReLU(0.2),
        )
        self.out = nn.Linear(2 * width, 1)
        self.embed = ClassEmbedding(n_classes, 2 * width, std=(2 * width) ** -0.5) if n_classes else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.layers(images.contiguous(memory_format=torch.channels_last))
        logits: Tensor = self.out(features).squeeze(1)
        if self.embed is not None:
            logits = logits + (features * self.embed(labels)).sum(dim=1)
        return logits
