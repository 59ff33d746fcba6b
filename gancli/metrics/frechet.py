"""Frechet distance between Gaussians fitted to two sets of features, and its bias at finite n; pure."""

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Mean [F], covariance [F,F] (divided by n - 1) and the number of samples."""

    mean: Tensor
    covariance: Tensor
    n: int


def moments(features: Tensor) -> Moments:
    """Compute float64 moments of features [N,F], N >= 2; float32 covariances would add an error of about 4e-4."""
    features = features.double()
    mean = features.mean(dim=0)
    centred = features - mean
    return Moments(mean, centred.T @ centred / (len(features) - 1), len(features))


def frechet_distance(real: Moments, fake: Moments) -> float:
    """Return |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2).

    The last trace is computed as tr (R S2 R)^(1/2) with R = S1^(1/2). That matrix is symmetric, so its eigenvalues are
    real and the result is finite even for the singular covariance of a collapsed generator. Source: Dowson & Landau
    1982; for images, Heusel et al. 2017, eq. 6.
    """
    values, vectors = torch.linalg.eigh(real.covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    inner = root @ fake.covariance @ root
    trace_of_root = torch.linalg.eigvalsh((inner + inner.T) / 2).clamp(min=0).sqrt().sum()
    gap = (real.mean - fake.mean).square().sum()
    return max(0.0, float(gap + real.covariance.trace() + fake.covariance.trace() - 2 * trace_of_root))


def expected_bias(covariance: Tensor, n: int) -> float:
    """Return the expected distance between n samples of a Gaussian and the Gaussian itself, to first order in 1/n.

    The formula is (1/n) [tr S + 1/2 sum_ij l_i l_j (1 + d_ij) / (l_i + l_j)], where l are the eigenvalues of S. For
    unit variance in d dimensions, this is d (d + 5) / 4n. If both sides are samples, add their biases. Source:
    second-order expansion of the Bures distance around S, with the covariance of a Wishart matrix.
    """
    values = torch.linalg.eigvalsh(covariance.double()).clamp(min=0)
    sums = values[:, None] + values
    pairs = torch.where(sums > 0, values[:, None] * values / sums, 0.0)
    return float(values.sum() + (pairs.sum() + pairs.trace()) / 2) / n


def scaled_floor(measured: float, m: int, n_real: int, n_fake: int) -> float:
    """Convert a distance, measured between two real sets of m images each, to n_real and n_fake images.

    The bias of each side is proportional to 1/n, so the factor is (1/n_real + 1/n_fake) / (2/m).
    """
    return measured * (1 / n_real + 1 / n_fake) * m / 2
