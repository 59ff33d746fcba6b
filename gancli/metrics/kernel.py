"""Kernel distance (KID): unbiased squared MMD with the cubic kernel of Binkowski et al. 2018; pure."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

SUBSET = 1000
SUBSETS = 10
REPEATS = 4


class KernelDistance(NamedTuple):
    """A kernel distance, which can be negative, and its standard error, None if there was only one subset."""

    value: float
    error: float | None


def polynomial_kernel(a: Tensor, b: Tensor) -> Tensor:
    """Return (a.b / F + 1)^3 for all pairs of rows: [N,F], [M,F] -> [N,M]. It depends on the scale of the features."""
    base = (a @ b.T).div_(a.shape[1]).add_(1)
    return base * base * base


def unbiased_mmd2(real: Tensor, fake: Tensor) -> float:
    """Return the squared maximum mean discrepancy of [N,F] and [M,F], N, M >= 2. Source: Gretton et al. 2012, eq. 3."""
    return mean_kernel_within(real) + mean_kernel_within(fake) - 2 * float(polynomial_kernel(real, fake).mean())


def mean_kernel_within(x: Tensor) -> float:
    """Return the mean of the kernel over all pairs of different rows."""
    kernel = polynomial_kernel(x, x)
    return float(kernel.sum() - kernel.trace()) / (len(x) * (len(x) - 1))


def kernel_distance(
    real: Tensor, fake: Tensor, *, generator: torch.Generator, subset_size: int | None = None, repeats: int = REPEATS
) -> KernelDistance:
    """Return the mean and standard error of `unbiased_mmd2` over subsets; real [N,F], fake [M,F], float64.

    Each repeat splits both sets at random into disjoint subsets (default: at least 10, of at most 1,000 each). Disjoint
    subsets are independent, so the error of one repeat is their standard deviation divided by the square root of their
    number. Averaging over repeats removes the variance due to the random split. The spread over overlapping subsets,
    which other tools often print as an error, is a different quantity. The caller may standardise the features by the
    mean and deviation of the real ones; this changes the result.
    """
    n = min(len(real), len(fake))
    size = subset_size or max(2, min(SUBSET, n // SUBSETS))
    repeats = repeats if size < max(len(real), len(fake)) else 1
    dealt = torch.stack([subset_mmd2(real, fake, size, generator) for _ in range(repeats)])
    means, n_subsets = dealt.mean(dim=1), dealt.shape[1]
    if n_subsets < 2:
        return KernelDistance(float(means.mean()), None)
    one = float(dealt.var(dim=1).mean()) / n_subsets
    dealing = float(means.var()) * (1 - 1 / repeats) if repeats > 1 else 0.0
    return KernelDistance(float(means.mean()), math.sqrt(max(one - dealing, one / 4)))


def subset_mmd2(real: Tensor, fake: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Return `unbiased_mmd2` of each pair of disjoint random subsets of this size, float64 [S]."""
    n = min(len(real), len(fake)) // size * size
    real_rows, fake_rows = (torch.randperm(len(x), generator=generator)[:n].view(-1, size) for x in (real, fake))
    found = [unbiased_mmd2(real[i], fake[j]) for i, j in zip(real_rows, fake_rows, strict=True)]
    return torch.tensor(found, dtype=torch.float64)
