"""Precision, recall, density and coverage, in blocks; pure.

Kynkaanniemi et al. 2019 (precision, recall), Naeem et al. 2020 (density, coverage). All four depend on the counts:
compare sets of equal size.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gancli.metrics.distances import nearest_neighbour, squared_distances

K = 5


class PRDC(NamedTuple):
    precision: float
    recall: float
    density: float
    coverage: float


def squared_radii(x: Tensor, k: int = K) -> Tensor:
    """Squared distance of each row of x [N,F] to its k-th nearest other row -> [N]; needs N > k."""
    radii = x.new_empty(len(x))
    for rows, squared in squared_distances(x, x):
        squared.diagonal(rows.start).fill_(torch.inf)
        radii[rows] = squared.kthvalue(k, dim=1).values
    return radii


def prdc(real: Tensor, fake: Tensor, k: int = K) -> PRDC:
    """real [N,F], fake [M,F], float64, both longer than k.

    With balls around each image that reach its k-th nearest neighbour in its own set: precision is the share of fakes
    inside a real ball, recall the share of reals inside a fake ball, density the mean number of real balls a fake is
    in, over k (it can exceed 1), coverage the share of real balls with a fake inside.
    """
    real_radii, fake_radii = squared_radii(real, k), squared_radii(fake, k)
    balls = torch.zeros(len(fake), dtype=torch.int64)
    recalled = covered = 0
    for rows, squared in squared_distances(real, fake):
        inside = squared < real_radii[rows, None]
        balls += inside.sum(dim=0)
        covered += int(inside.any(dim=1).sum())
        recalled += int((squared < fake_radii).any(dim=1).sum())
    return PRDC(
        precision=float((balls > 0).double().mean()),
        recall=recalled / len(real),
        density=float(balls.double().mean()) / k,
        coverage=covered / len(real),
    )


def coverage(real: Tensor, real_radii: Tensor, fake: Tensor) -> float:
    """The coverage of `prdc` alone, where the roots of `squared_radii` of the reals are known already."""
    distance, _ = nearest_neighbour(real, fake)
    return float((distance < real_radii).double().mean())


def expected_coverage(n_real: int, n_fake: int, k: int = K) -> float:
    """Coverage of a perfect generator: 1 - prod_j (N - j) / (M + N - j), j = 1..k; 0.969 at equal counts and k = 5.

    Among the N - 1 + M others that look alike to a real image, none of the k nearest is a fake with that product as
    its probability. (Density of a perfect generator is 1 at any counts.)
    """
    missed = 1.0
    for j in range(1, k + 1):
        missed *= (n_real - j) / (n_fake + n_real - j)
    return 1 - missed
