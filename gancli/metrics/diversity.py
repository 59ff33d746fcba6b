"""Diversity: do generated images differ from each other as much as real images do? Pure."""

import math

from gancli.metrics.frechet import Moments


def diversity_ratio(real: Moments, fake: Moments) -> float | None:
    """Return the RMS distance between two fakes, divided by that of two reals; None if all reals are equal.

    The mean squared distance of a pair is exactly 2 tr S, so no pairs are drawn. 1 is ideal, 0 is collapse. The ratio
    can stay near 1 even if half of the classes are missing.
    """
    real_spread = float(real.covariance.trace())
    return math.sqrt(float(fake.covariance.trace()) / real_spread) if real_spread > 0 else None
