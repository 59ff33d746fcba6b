"""A data set for training: training images, held-out images, their classes and a digest."""

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gancli.config import LONGEST_NAME, are_valid_names
from gancli.core import rng
from gancli.core.data.data_report import DataReport
from gancli.errors import DataError

FEWEST_IMAGES = 10
FEWEST_TO_HOLD_OUT = 200
MOST_HELD_OUT = 10_000


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Decoded training and held-out images, in memory or mapped from the cache.

    images: uint8 [N,C,H,W]. labels: int64 [N] or None. heldout_*: the same for M held-out images; M may be 0.
    class_names: () without labels. name: the data set actually used (for a path, its last part). source: the argument
    with which `load_dataset` loads it again, from any current folder. digest: sha256 over all images and labels with
    their shapes, but without clusters. notes: messages to show the user once. report: facts about the files, None for
    named sets and IDX files. is_clustered: the labels are clusters (core/data/clusters.py).
    """

    name: str
    source: str
    images: Tensor
    labels: Tensor | None
    heldout_images: Tensor
    heldout_labels: Tensor | None
    class_names: tuple[str, ...]
    digest: str
    notes: tuple[str, ...]
    report: DataReport | None = None
    is_clustered: bool = False

    def __post_init__(self) -> None:
        if not are_valid_names(self.class_names):
            raise DataError(
                f"{self.name} has two equal class names, or a name longer than {LONGEST_NAME} characters; rename them"
            )

    @property
    def resolution(self) -> int:
        return self.images.shape[-1]

    @property
    def channels(self) -> int:
        return self.images.shape[1]

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @property
    def class_counts(self) -> list[int]:
        """Number of training images of each class; [] without labels."""
        return [] if self.labels is None else self.labels.bincount(minlength=self.n_classes).tolist()

    def n_judgeable_heldout(self, *, labelled: bool) -> int:
        """Number of held-out images that D can judge during training. labelled: D needs their labels."""
        return 0 if labelled and self.heldout_labels is None else len(self.heldout_images)


def build_image_set(
    name: str,
    train: tuple[Tensor, Tensor | None],
    heldout: tuple[Tensor, Tensor | None] | None = None,
    class_names: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> ImageSet:
    """Check a set, hold images out if it has no test split, name the classes, and compute the digest.

    train, heldout: images uint8 [N,C,H,W] and labels int64 [N] or None. class_names: by default the label numbers.
    """
    images, labels = train
    if len(images) < FEWEST_IMAGES:
        raise DataError(f"{name} holds {len(images)} training images; add more, at least {FEWEST_IMAGES} are needed")
    if heldout is None:
        chosen = heldout_mask(len(images), labels)
        if len(images) < FEWEST_TO_HOLD_OUT:
            notes += (few_images_note(name, len(images)),)
        heldout = images[chosen], None if labels is None else labels[chosen]
        images, labels = images[~chosen], None if labels is None else labels[~chosen]
    heldout_images, heldout_labels = heldout[0], None if labels is None else heldout[1]
    if heldout_images.shape[1:] != images.shape[1:]:
        sizes = f"{heldout_images.shape[-1]} and {images.shape[-1]}"
        raise DataError(
            f"the test and training images of {name} differ in size: {sizes} pixels a side; use files of one size"
        )
    if labels is not None:
        highest = max(int(part.max()) for part in (labels, heldout_labels) if part is not None and len(part))
        class_names = class_names or tuple(str(label) for label in range(highest + 1))
        if highest >= len(class_names):
            raise DataError(
                f"{name} has the label {highest}, but only {len(class_names)} classes; replace its label files"
            )
    return ImageSet(
        name=name,
        source=name,
        images=images,
        labels=labels,
        heldout_images=heldout_images,
        heldout_labels=heldout_labels,
        class_names=class_names if labels is not None else (),
        digest=tensors_digest(images, labels, heldout_images, heldout_labels),
        notes=notes,
    )


def few_images_note(name: str, n: int) -> str:
    return f"{name} has only {n} images, so none are held out to detect overfitting"


def heldout_mask(n: int, labels: Tensor | None) -> Tensor:
    """Choose which of n images are held out -> bool [n]: about a tenth of each class, at most 10,000 in total.

    The choice is the same in every run: every k-th element of a fixed permutation sorted by class. Each class keeps
    training images, because k is at least 10 and the only image of a class is never held out.
    """
    chosen = torch.zeros(n, dtype=torch.bool)
    if n < FEWEST_TO_HOLD_OUT:
        return chosen
    order = torch.randperm(n, generator=rng.generator(0, "heldout"))
    if labels is not None:
        order = order[labels[order].argsort(stable=True)]
        order = order[labels.bincount()[labels[order]] > 1]
    k = max(10, math.ceil(n / MOST_HELD_OUT))
    chosen[order[k - 1 :: k]] = True
    return chosen


def tensors_digest(*parts: Tensor | None) -> str:
    """Return a sha256 over shapes and contents; None is hashed too."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(f"{None if part is None else tuple(part.shape)};".encode())
        if part is not None:
            hasher.update(part.contiguous().numpy().data)
    return hasher.hexdigest()
