"""Cluster unlabelled images, so that training can use clusters as classes.

If each cluster is sampled as often as it occurs in the training set, G still models the distribution of all images.
Source: Sage et al. 2018 (1712.04407), who also fix the clusters before training; Liu et al. 2020 (2006.10728) update
them during training.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from gancli.core import rng
from gancli.core.data.dataset import ImageSet
from gancli.core.data.load import ignore_progress
from gancli.core.data.pixel_cache import ProgressCallback

THUMBNAIL_SIDE = 14  # pixels
FEWEST_PER_CLUSTER = 100  # training images, on average
MOST_COMPARED = 20_000  # images used to find the centres
MOST_ROUNDS = 30
CHUNK_BYTES = 2**22  # of images processed at once
CHUNK_THUMBNAILS = 4096  # thumbnails processed at once


def with_training_labels(
    images: ImageSet, *, conditional: bool, clusters: int, progress: ProgressCallback = ignore_progress
) -> ImageSet:
    """Return the set with its own labels if conditional, else with clusters as labels, or none for too few images."""
    if conditional and images.n_classes:
        return images
    k = min(clusters, len(images.images) // FEWEST_PER_CLUSTER)
    if k < 2:
        return dataclasses.replace(images, labels=None, heldout_labels=None, class_names=())
    small = make_thumbnails(images.images, progress)
    order = torch.randperm(len(small), generator=rng.generator(0, "clusters"))
    means = kmeans_centres(small[order[:MOST_COMPARED]].double(), k, progress)
    labels, heldout_labels = (
        assign_clusters(small, means),
        assign_clusters(make_thumbnails(images.heldout_images), means),
    )
    names = tuple(f"cluster {i}" for i in range(len(means)))
    return dataclasses.replace(
        images, labels=labels, heldout_labels=heldout_labels, class_names=names, is_clustered=True
    )


def make_thumbnails(images: Tensor, progress: ProgressCallback = ignore_progress) -> Tensor:
    """Shrink images uint8 [N,C,H,W] -> uint8 [N, C THUMBNAIL_SIDE^2]; each pixel is the mean of an area."""
    n, (channels, *_) = len(images), images.shape[1:]
    small = torch.empty(n, channels * THUMBNAIL_SIDE**2, dtype=torch.uint8)
    step = max(1, CHUNK_BYTES // images[:1].nbytes) if n else 1
    for start in range(0, n, step):
        progress("clusters: making thumbnails", start, n)
        part = images[start : start + step].float()
        small[start : start + step] = F.adaptive_avg_pool2d(part, THUMBNAIL_SIDE).round().to(torch.uint8).flatten(1)
    return small


def kmeans_centres(points: Tensor, k: int, progress: ProgressCallback = ignore_progress) -> Tensor:
    """Find k-means centres of points [N, d] -> [k, d], the largest cluster first.

    Returns fewer than k if there are fewer distinct points. Deterministic.
    Source: Lloyd 1982, initialised by k-means++ (Arthur and Vassilvitskii 2007).
    """
    draws = rng.generator(0, "centres")
    means = points[torch.randint(len(points), (1,), generator=draws)]
    squares = points.square().sum(1)
    apart = distances_from_squares(points, squares, means)[:, 0]
    while len(means) < k:
        progress("clusters: choosing first centres", len(means), k)
        chosen = points[torch.multinomial(apart + 1e-9, 1, generator=draws)]
        means, apart = (
            torch.cat([means, chosen]),
            torch.minimum(apart, distances_from_squares(points, squares, chosen)[:, 0]),
        )
    labels = torch.full((len(points),), -1)
    for done in range(MOST_ROUNDS):
        progress("clusters: moving the centres", done, MOST_ROUNDS)
        before, labels = labels, distances_from_squares(points, squares, means).argmin(1)
        if torch.equal(before, labels):
            break
        counts = labels.bincount(minlength=k)
        sums = torch.zeros_like(means).index_add_(0, labels, points)
        means = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), means)
    counts = labels.bincount(minlength=k)
    return means[counts.argsort(descending=True, stable=True)[: int((counts > 0).sum())]]


def centre_distances(points: Tensor, means: Tensor) -> Tensor:
    """Return the squared distances [N, k] of points [N, d] to centres [k, d]."""
    return distances_from_squares(points, points.square().sum(1), means)


def distances_from_squares(points: Tensor, squares: Tensor, means: Tensor) -> Tensor:
    """Return `centre_distances` from the known squared lengths of the points, squares [N]."""
    return torch.addmm(squares[:, None], points, -2 * means.T).add_(means.square().sum(1)).clamp_(min=0)


def assign_clusters(small: Tensor, means: Tensor) -> Tensor:
    """Return the nearest cluster of each thumbnail, int64 [N]."""
    parts = [centre_distances(part.double(), means).argmin(1) for part in torch.split(small, CHUNK_THUMBNAILS)]
    return torch.cat(parts) if len(small) else torch.zeros(0, dtype=torch.int64)
