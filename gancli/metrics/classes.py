"""What a classifier reads in generated images: balance, missing classes, label fidelity, modes; pure.

counts and shares are [K]: a count or a probability for each class. Expectations are those of a perfect generator,
whose n labels are independent draws from the real shares: exact sums, no large-n approximation.
"""

import math

import torch
from torch import Tensor

FEWEST_EXPECTED = 14  # of ten classes


def class_shares(labels: Tensor, n_classes: int) -> Tensor:
    """labels int64 [N] -> the share of each class, float64 [K]."""
    return labels.bincount(minlength=n_classes).double() / len(labels)


def total_variation(p: Tensor, q: Tensor) -> float:
    """Half the sum of |p - q|: the part of one distribution that would have to change class to give the other."""
    return float((p - q).abs().sum()) / 2


def effective_draws(n_real: int, n_fake: int) -> int:
    """How many draws against known shares differ from these as much as n_fake draws do from the shares of n_real."""
    return max(1, round(1 / (1 / n_real + 1 / n_fake)))


def expected_total_variation(share: Tensor, n: int) -> float:
    """Of n perfect draws against `share`. De Moivre's mean deviation of a binomial; Diaconis & Zabell 1991, eq. 1.1:
    E |X - n p| = 2 m (1 - p) P(X = m) with m = floor(n p) + 1.
    """
    p = share[(share > 0) & (share < 1)].double()
    m = (n * p).floor() + 1
    return float((2 * m * (1 - p) * log_binomial(m, n, p).exp()).sum()) / (2 * n)


def min_expected_count(n_classes: int) -> int:
    """Images of a class that must have been expected for its absence to mean something.

    A perfect generator falls below a quarter of 14 once in 2,000 times, of 20 in 59,000, of 26 in 350,000 (Poisson), so
    among ten, a hundred or a thousand classes one is called short in less than 1 % of runs.
    """
    return FEWEST_EXPECTED + math.ceil(6 * max(0.0, math.log10(n_classes / 10)))


def short_classes(counts: Tensor, share: Tensor) -> list[int]:
    """Classes with less than a quarter of their share, among those of which enough images were expected."""
    expected = share * counts.sum()
    short = (counts < expected / 4) & (expected >= min_expected_count(len(share)))
    return [int(label) for label in short.nonzero().flatten()]


def label_fidelity(requested: Tensor, read: Tensor) -> float:
    """Share of images in which the classifier reads the class that was asked for; int64 [N] both."""
    return float((requested == read).double().mean())


def count_modes(counts: Tensor, at_least: int = 1) -> int:
    """Classes seen at least so many times. One misread image can hit a class; five rarely do."""
    return int((counts >= at_least).sum())


def expected_modes(share: Tensor, n: int) -> float:
    """Classes that n perfect draws are expected to hit: sum of 1 - (1 - p)^n."""
    return float((1 - (1 - share.double()) ** n).sum())


def digit_triple_shares(share: Tensor) -> Tensor:
    """Shares of a thousand numbers spelled by three digits that are drawn independently, from noisy ones: products of
    the digits' own shares. share [1000]."""
    cube = share.view(10, 10, 10)
    first, second, third = cube.sum((1, 2)), cube.sum((0, 2)), cube.sum((0, 1))
    return (first[:, None, None] * second[None, :, None] * third[None, None, :]).flatten()


def kl_from_uniform(counts: Tensor) -> float:
    """KL(counts || uniform) = sum p log(K p), in nats; the protocol of PacGAN (Lin et al. 2018)."""
    p = counts.double() / counts.sum()
    return float(torch.special.xlogy(p, len(p) * p).sum())


def expected_kl_from_uniform(share: Tensor, n: int) -> float:
    """What n perfect draws are expected to score; about (K - 1) / 2n plus the KL of the real shares themselves."""
    share = share.double()
    most = int(n * share.max() + 12 * math.sqrt(n * share.max()) + 40)
    k = torch.arange(1, min(n, most) + 1, dtype=torch.float64)
    term = k / n * (len(share) * k / n).log()
    total = 0.0
    for p in share[share > 0]:
        total += float(term[-1]) if p == 1 else float((log_binomial(k, n, p).exp() * term).sum())
    return total


def log_binomial(k: Tensor, n: int, p: Tensor) -> Tensor:
    """log P(X = k) of n draws with 0 < p < 1, where 0 <= k <= n."""
    choose = math.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    return choose + k * p.log() + (n - k) * torch.log1p(-p)
