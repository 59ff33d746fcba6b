"""Convolutional G and D made for a CPU: width sits at low resolutions, and G ends in a pixel shuffle."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gancli.core.models.condition import EMBEDDING, ClassEmbedding


class Generator(nn.Module):
    """z [N, z_dim] (and labels [N]) -> images [N,C,R,R] in [-1, 1]."""

    def __init__(self, *, z_dim: int, width: int, resolution: int, channels: int, n_classes: int) -> None:
        super().__init__()
        self.width, self.size = width, resolution // 4
        self.embed = ClassEmbedding(n_classes, EMBEDDING) if n_classes else None
        self.project = nn.Linear(z_dim + (EMBEDDING if n_classes else 0), width * self.size**2)
        self.low = nn.Conv2d(width, width, 3, padding=1)
        self.up = nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1)
        self.out = nn.Conv2d(width // 2, 4 * channels, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.embed is not None:
            z = torch.cat([z, self.embed(labels)], dim=1)
        x = F.leaky_relu(self.project(z), 0.2).view(-1, self.size, self.size, self.width).permute(0, 3, 1, 2)
        x = F.leaky_relu(self.low(x), 0.2)
        x = F.leaky_relu(self.up(x), 0.2)
        return F.pixel_shuffle(self.out(x), 2).tanh()


class Discriminator(nn.Module):
    """images [N,C,R,R] (and labels [N]) -> logits [N]; projection conditioning."""

    def __init__(self, *, width: int, resolution: int, channels: int, n_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width // 4, 5, stride=2, padding=2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width // 4, width // 2, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width // 2, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(width * (resolution // 4) ** 2, 2 * width),
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
