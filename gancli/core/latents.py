"""Latents and classes from seeds; pure."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gancli.core import rng

GOLDEN_MILLIONTHS = 618_034  # whole, so that seeds of any size are exact


def from_seeds(seeds: Sequence[int], z_dim: int) -> Tensor:
    """One latent per seed, each from a generator of its own -> [n, z_dim], N(0, 1)."""
    z, generator = torch.empty(len(seeds), z_dim), torch.Generator()
    for row, seed in zip(z, seeds, strict=True):
        row.normal_(generator=generator.manual_seed(rng.state(seed, "latent")))
    return z


def truncate(z: Tensor, psi: float) -> Tensor:
    """Latents drawn towards the centre of N(0, 1): z -> psi z, so that 1 changes nothing and 0 leaves one latent.

    Fewer surprises for less variety. The generators here have no mapping network whose mean StyleGAN's truncation
    would draw towards, so z itself is scaled.
    """
    return z if psi == 1 else z * psi


def classes_from_seeds(seeds: Sequence[int], class_counts: Sequence[int]) -> Tensor:
    """One class per seed -> int64 [n], spread so that any run of seeds is balanced as the counts are.

    Seed s takes the class at the point frac((s + 1/2) x 0.618034) of the cumulative frequencies
    (a golden-ratio additive recurrence, a very even low-discrepancy sequence).
    """
    counts = torch.tensor(class_counts, dtype=torch.float64)
    edges = counts.cumsum(0) / counts.sum()
    millionths = [(2 * seed + 1) * (GOLDEN_MILLIONTHS // 2) % 1_000_000 for seed in seeds]
    points = torch.tensor(millionths, dtype=torch.float64) / 1e6
    return torch.searchsorted(edges, points, right=True).clamp(max=len(class_counts) - 1)
