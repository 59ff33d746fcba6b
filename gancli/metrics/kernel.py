"""Kernel distance (KID): unbiased squared MMD with the cubic kernel of Binkowski et al. 2018; pure."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

SUBSET = 1000
SUBSETS = 10
REPEATS = 4


class KernelDistance(NamedTuple):
    """value may be below zero; error is its standard error, None from a single subset."""

    value: float
    error: float | None


def polynomial_kernel(a: Tensor, b: Tensor) -> Tensor:
    """(a.b / F + 1)^3: [N,F], [M,F] -> [N,M]. It depends on the features' scale."""
    base = (a @ b.T).div_(a.shape[1]).add_(1)
    return base * base * base


def unbiased_mmd2(real: Tensor, fake: Tensor) -> float:
    """Squared maximum mean discrepancy of [N,F] and [M,F], N, M >= 2. Gretton et al. 2012, eq. 3."""
    return within(real) + within(fake) - 2 * float(polynomial_kernel(real, fake).mean())


def within(x: Tensor) -> float:
    """Mean of the kernel over pairs of different rows."""
    kernel = polynomial_kernel(x, x)
    return float(kernel.sum() - kernel.trace()) / (len(x) * (len(x) - 1))


def kernel_distance(
    real: Tensor, fake: Tensor, *, generator: torch.Generator, subset_size: int | None = None, repeats: int = REPEATS
) -> KernelDistance:
    """Mean and standard error of `unbiased_mmd2` over subsets: real [N,F], fake [M,F], float64.

    Each repeat deals both sets anew into disjoint subsets (default: 10, of at most 1,000 each). Only disjoint ones are
    independent, so the error is the spread within a repeat over the root of their number, averaged over repeats; the
    spread over overlapping subsets, which is often printed as an error, is something else. Whether features are
    standardised (by the mean and deviation of the real ones) is the caller's choice, and changes the number.
    """
    n = min(len(real), len(fake))
    size = subset_size or max(2, min(SUBSET, n // SUBSETS))
    means, errors = [], []
    for _ in range(repeats if size < max(len(real), len(fake)) else 1):
        chosen = [torch.randperm(len(x), generator=generator)[: n // size * size].view(-1, size) for x in (real, fake)]
        values = torch.tensor([unbiased_mmd2(real[i], fake[j]) for i, j in zip(*chosen, strict=True)]).double()
        means.append(float(values.mean()))
        if len(values) > 1:
            errors.append(float(values.std()) / math.sqrt(len(values)))
    return KernelDistance(sum(means) / len(means), sum(errors) / len(errors) if errors else None)
