"""Scores of copying: compare distances to training images with those of held-out images. Pure.

No published score can distinguish memorisation from a generator that makes only typical images (Jiralerspong et al.
2023, Stein et al. 2023): in both cases the images lie close to the training set. So each score is shown with its value
for held-out images, and the nearest pairs are shown as images.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gancli.metrics.distances import nearest_neighbour

CLOSE_QUANTILE = 0.01


class Neighbours(NamedTuple):
    """The nearest training image of each of N images: its distance, its index and its spacing.

    The spacing is the distance from that training image to the training image nearest to it.
    """

    distance: Tensor
    train_index: Tensor
    spacing: Tensor

    @property
    def ratio(self) -> Tensor:
        """Distance / spacing; below 1, the image is closer to that training image than any other training image is."""
        return torch.where(self.distance == 0, 0.0, self.distance / self.spacing)


def training_neighbours(images: Tensor, train: Tensor) -> Neighbours:
    """Find the nearest training images; images [N,F], train [M,F], M >= 2, both features or both pixels, float64."""
    distance, index = nearest_neighbour(images, train)
    used, place = torch.unique(index, return_inverse=True)
    spacing, _ = nearest_neighbour(train[used], train, selves=used)
    return Neighbours(distance, index, spacing[place])


def authentic_pct(found: Neighbours) -> float:
    """Return AuthPct, the percentage of images with a `ratio` above 1.

    Source: Alaa et al. 2022, sec. 3.3, as in Stein et al. 2023.
    """
    return 100 * float((found.ratio > 1).double().mean())


def closer_than_heldout(fake: Tensor, heldout: Tensor) -> float:
    """Return the probability that a fake is closer to the training set than a held-out image; ties count half.

    fake, heldout: distances [N], [M]. The result is 0.5 for a perfect generator and 1 for copies. Source: Mann &
    Whitney 1947; for generators, Meehan et al. 2020.
    """
    ordered = heldout.sort().values
    nearer = len(ordered) - torch.searchsorted(ordered, fake, right=True)
    not_farther = len(ordered) - torch.searchsorted(ordered, fake, right=False)
    return float((nearer + not_farther).double().mean()) / (2 * len(ordered))


def close_share(fake: Tensor, heldout: Tensor, quantile: float = CLOSE_QUANTILE) -> tuple[float, float]:
    """Return the share of fakes as close to the training set as the closest 1 % of held-out images.

    fake, heldout: distances [N], [M], M >= 100. The second value is the share expected from a perfect generator:
    k / (M + 1), where k counts these held-out images, including ties with the last one. The share shows a few copies
    among many originals, which an average would hide.
    """
    edge = heldout.sort().values[max(0, int(quantile * len(heldout)) - 1)]
    expected = int((heldout <= edge).sum()) / (len(heldout) + 1)
    return float((fake <= edge).double().mean()), expected


class NearestPair(NamedTuple):
    image: int
    training_image: int
    ratio: float


def nearest_pairs(found: Neighbours, n: int = 16) -> list[NearestPair]:
    """Return the n pairs with the smallest `ratio`. Sorting by distance would list the simplest images first."""
    ratio = found.ratio
    chosen = ratio.argsort(stable=True)[:n]
    return [NearestPair(int(image), int(found.train_index[image]), float(ratio[image])) for image in chosen]
