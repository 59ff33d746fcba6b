"""Do generated images differ from each other as much as real ones do? Pure."""

import math

from gancli.metrics.frechet import Moments


def diversity_ratio(real: Moments, fake: Moments) -> float | None:
    """Root-mean-square distance between two fakes over that between two reals; None if the reals are all equal.

    The mean squared distance of a pair is 2 tr S exactly, so no pairs are drawn. 1 is right, 0 is collapse; half of
    the classes missing may still leave it near 1.
    """
    real_spread = float(real.covariance.trace())
    return math.sqrt(float(fake.covariance.trace()) / real_spread) if real_spread > 0 else None
