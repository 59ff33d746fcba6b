"""Scores from a classifier's labels of generated images: balance, missing classes, label fidelity, modes; pure.

counts and shares are [K]: a count or a probability for each class. Expected values are those of a perfect generator,
whose n labels are independent draws from the real shares. They are exact sums, not large-n approximations.
"""

import math

import torch
from torch import Tensor

FEWEST_EXPECTED = 14  # for ten classes


def class_shares(labels: Tensor, n_classes: int) -> Tensor:
    """Return the share of each class, float64 [K]; labels int64 [N]."""
    return labels.bincount(minlength=n_classes).double() / len(labels)


def total_variation(p: Tensor, q: Tensor) -> float:
    """Return half the sum of |p - q|: the share of images that must change class to turn p into q."""
    return float((p - q).abs().sum()) / 2


def effective_draws(n_real: int, n_fake: int) -> int:
    """Return how many draws differ from known shares as much as n_fake draws differ from n_real draws."""
    return max(1, round(1 / (1 / n_real + 1 / n_fake)))


def expected_total_variation(share: Tensor, n: int) -> float:
    """Return the expected total variation between n perfect draws and `share`.

    Uses De Moivre's mean deviation of a binomial (Diaconis & Zabell 1991, eq. 1.1):
    E |X - n p| = 2 m (1 - p) P(X = m) with m = floor(n p) + 1.
    """
    p = share[(share > 0) & (share < 1)].double()
    m = (n * p).floor() + 1
    return float((2 * m * (1 - p) * log_binomial(m, n, p).exp()).sum()) / (2 * n)


def min_expected_count(n_classes: int) -> int:
    """Return the smallest expected count at which a class may be reported as short.

    Even a perfect generator sometimes makes less than a quarter of the expected images: once in 2,000 times if 14 are
    expected, once in 59,000 for 20, once in 350,000 for 26 (Poisson). So with 10, 100 or 1,000 classes, less than 1 %
    of runs report a class by mistake.
    """
    return FEWEST_EXPECTED + math.ceil(6 * max(0.0, math.log10(n_classes / 10)))


def short_classes(counts: Tensor, share: Tensor) -> list[int]:
    """Return the classes with less than a quarter of their share; skip those with too few expected images."""
    expected = share * counts.sum()
    short = (counts < expected / 4) & (expected >= min_expected_count(len(share)))
    return [int(label) for label in short.nonzero().flatten()]


def label_fidelity(requested: Tensor, read: Tensor) -> float:
    """Return the share of images that the classifier assigns to the requested class; both int64 [N]."""
    return float((requested == read).double().mean())


def count_modes(counts: Tensor, at_least: int = 1) -> int:
    """Return the number of classes seen at least `at_least` times.

    One wrong prediction can add a class that was never generated; five wrong predictions of one class are rare.
    """
    return int((counts >= at_least).sum())


def expected_modes(share: Tensor, n: int) -> float:
    """Return the expected number of classes in n perfect draws: sum of 1 - (1 - p)^n."""
    return float((1 - (1 - share.double()) ** n).sum())


def digit_triple_shares(share: Tensor) -> Tensor:
    """Smooth the shares of the numbers 000 to 999: multiply the shares of their three independent digits.

    share [1000], estimated from few images.
    """
    cube = share.view(10, 10, 10)
    first, second, third = cube.sum((1, 2)), cube.sum((0, 2)), cube.sum((0, 1))
    return (first[:, None, None] * second[None, :, None] * third[None, None, :]).flatten()


def kl_from_uniform(counts: Tensor) -> float:
    """Return KL(counts || uniform) = sum p log(K p), in nats, as in the protocol of PacGAN (Lin et al. 2018)."""
    p = counts.double() / counts.sum()
    return float(torch.special.xlogy(p, len(p) * p).sum())


def expected_kl_from_uniform(share: Tensor, n: int) -> float:
    """Return the expected KL of n perfect draws: about (K - 1) / 2n plus the KL of the real shares."""
    share = share.double()
    most = int(n * share.max() + 12 * math.sqrt(n * share.max()) + 40)
    k = torch.arange(1, min(n, most) + 1, dtype=torch.float64)
    term = k / n * (len(share) * k / n).log()
    total = 0.0
    for p in share[share > 0]:
        total += float(term[-1]) if p == 1 else float((log_binomial(k, n, p).exp() * term).sum())
    return total


def log_binomial(k: Tensor, n: int, p: Tensor) -> Tensor:
    """Return log P(X = k) of a binomial with n draws; 0 < p < 1 and 0 <= k <= n."""
    choose = math.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    return choose + k * p.log() + (n - k) * torch.log1p(-p)
