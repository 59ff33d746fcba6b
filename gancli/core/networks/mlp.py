"""Fully connected G and D, as in the tutorial, with PyTorch's default initialisation."""

import torch
from torch import Tensor, nn

from gancli.core.networks.embedding import EMBEDDING_DIM, ClassEmbedding


class Generator(nn.Module):
    """z [N, z_dim] (and labels [N]) -> images [N,C,R,R] in [-1, 1]. Two hidden layers, ReLU, tanh."""

    def __init__(self, *, z_dim: int, width: int, resolution: int, channels: int, n_classes: int) -> None:
        super().__init__()
        self.shape = (channels, resolution, resolution)
        self.embed = ClassEmbedding(n_classes, EMBEDDING_DIM) if n_classes else None
        self.layers = nn.Sequential(
            nn.Linear(z_dim + (EMBEDDING_DIM if n_classes else 0), width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, channels * resolution * resolution),
            nn.Tanh(),
        )

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.embed is not None:
            z = torch.cat([z, self.embed(labels)], dim=1)
        images: Tensor = self.layers(z)
        return images.view(-1, *self.shape)


class Discriminator(nn.Module):
    """images [N,C,R,R] (and labels [N]) -> logits [N]. Two hidden layers, LeakyReLU 0.2; projection if conditional."""

    def __init__(self, *, width: int, resolution: int, channels: int, n_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels * resolution * resolution, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
        )
        self.out = nn.Linear(width, 1)
        self.embed = ClassEmbedding(n_classes, width, std=width**-0.5) if n_classes else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.layers(images.flatten(1))
        logits: Tensor = self.out(features).squeeze(1)
        if self.embed is not None:
            logits = logits + (features * self.embed(labels)).sum(dim=1)
        return logits
