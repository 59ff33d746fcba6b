"""Are generated images copies of training images? Distances to the nearest one, judged against held-out images; pure.

No published number separates memorisation from a generator that only makes typical images (Jiralerspong et al. 2023,
Stein et al. 2023): both lie close to the training set. So these stand beside the same number for real held-out
images, and beside the pairs themselves.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gancli.metrics.distances import nearest_neighbour

CLOSE_QUANTILE = 0.01


class Neighbours(NamedTuple):
    """For each image [N]: distance to the nearest training image, its index, and how far that one is from its own
    nearest other training image."""

    distance: Tensor
    train_index: Tensor
    spacing: Tensor

    @property
    def ratio(self) -> Tensor:
        """distance / spacing; below 1 an image is nearer to a training image than any other training image is."""
        return torch.where(self.distance == 0, 0.0, self.distance / self.spacing)


def training_neighbours(images: Tensor, train: Tensor) -> Neighbours:
    """images [N,F] and train [M,F], M >= 2, in one space (features or pixels), float64."""
    distance, index = nearest_neighbour(images, train)
    used, place = torch.unique(index, return_inverse=True)
    spacing, _ = nearest_neighbour(train[used], train, selves=used)
    return Neighbours(distance, index, spacing[place])


def authentic_pct(found: Neighbours) -> float:
    """AuthPct: percentage of images farther from their nearest training image than that one's own nearest neighbour.

    Source: Alaa et al. 2022, sec. 3.3, as in Stein et al. 2023.
    """
    return 100 * float((found.ratio > 1).double().mean())


def closer_than_heldout(fake: Tensor, heldout: Tensor) -> float:
    """P(a fake is nearer to the training set than a held-out image is), ties half: distances [N], [M] -> 0 to 1.

    0.5 for a perfect generator, 1 for copies. The statistic of Mann & Whitney 1947; for generators, Meehan et al. 2020.
    """
    ordered = heldout.sort().values
    nearer = len(ordered) - torch.searchsorted(ordered, fake, right=True)
    not_farther = len(ordered) - torch.searchsorted(ordered, fake, right=False)
    return float((nearer + not_farther).double().mean()) / (2 * len(ordered))


def close_share(fake: Tensor, heldout: Tensor, quantile: float = CLOSE_QUANTILE) -> tuple[float, float]:
    """Share of fakes as near to the training set as the nearest 1 % of held-out images, and what is expected of a
    perfect generator: distances [N], [M], M >= 100.

    Finds a few copies among many originals, which leave an average unmoved. The expectation is that of a rank,
    k / (M + 1) for the k nearest held-out images, ties with the last of them included.
    """
    edge = heldout.sort().values[max(0, int(quantile * len(heldout)) - 1)]
    expected = int((heldout <= edge).sum()) / (len(heldout) + 1)
    return float((fake <= edge).double().mean()), expected


class NearestPair(NamedTuple):
    image: int
    training_image: int
    ratio: float


def nearest_pairs(found: Neighbours, n: int = 16) -> list[NearestPair]:
    """The n most copy-like pairs, by `ratio`: plain distance would list the simplest images."""
    ratio = found.ratio
    chosen = ratio.argsort(stable=True)[:n]
    return [NearestPair(int(image), int(found.train_index[image]), float(ratio[image])) for image in chosen]
