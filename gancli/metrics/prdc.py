"""Precision, recall, density and coverage, computed in blocks; pure.

Sources: Kynkaanniemi et al. 2019 (precision, recall), Naeem et al. 2020 (density, coverage). All four depend on the
number of images, so compare only sets of equal size.
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
    """Return the squared distance from each row of x [N,F] to its k-th nearest other row -> [N]; needs N > k."""
    radii = x.new_empty(len(x))
    for rows, squared in squared_distances(x, x):
        squared.diagonal(rows.start).fill_(torch.inf)
        radii[rows] = squared.kthvalue(k, dim=1).values
    return radii


def prdc(real: Tensor, fake: Tensor, k: int = K) -> PRDC:
    """Compute precision, recall, density and coverage; real [N,F], fake [M,F], float64, both longer than k.

    Each image has a ball that reaches its k-th nearest neighbour in its own set. Precision is the share of fakes inside
    a real ball, recall the share of reals inside a fake ball, coverage the share of real balls that contain a fake.
    Density is the mean number of real balls that contain a fake, divided by k; it can exceed 1.
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
    """Compute only the coverage of `prdc`; real_radii are the square roots of `squared_radii(real)`."""
    distance, _ = nearest_neighbour(real, fake)
    return float((distance < real_radii).double().mean())


def expected_coverage(n_real: int, n_fake: int, k: int = K) -> float:
    """Return the coverage of a perfect generator, 1 - prod_j (N - j) / (M + N - j) with j = 1..k.

    It is 0.969 at equal counts and k = 5. A real image has N - 1 + M interchangeable neighbours; the product is the
    probability that none of the nearest k is a fake. (The density of a perfect generator is 1 at any counts.)
    """
    missed = 1.0
    for j in range(1, k + 1):
        missed *= (n_real - j) / (n_fake + n_real - j)
    return 1 - missed
