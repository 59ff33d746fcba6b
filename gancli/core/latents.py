"""Latents and classes from seeds; pure."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gancli.core import rng

GOLDEN = 0.618034


def from_seeds(seeds: Sequence[int], z_dim: int) -> Tensor:
    """One latent per seed, each from a generator of its own -> [n, z_dim], N(0, 1)."""
    return torch.stack([torch.randn(z_dim, generator=rng.generator(seed, "latent")) for seed in seeds])


def classes_from_seeds(seeds: Sequence[int], class_counts: Sequence[int]) -> Tensor:
    """One class per seed -> int64 [n], spread so that any run of seeds is balanced as the counts are.

    Seed s takes the class at the point frac((s + 1/2) x 0.618034) of the cumulative frequencies
    (a golden-ratio additive recurrence: the most even of the one-dimensional low-discrepancy sequences).
    """
    counts = torch.tensor(class_counts, dtype=torch.float64)
    edges = counts.cumsum(0) / counts.sum()
    points = torch.tensor([((seed + 0.5) * GOLDEN) % 1.0 for seed in seeds], dtype=torch.float64)
    return torch.searchsorted(edges, points, right=True).clamp(max=len(class_counts) - 1)
