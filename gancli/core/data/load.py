"""Training data by name or folder, and the resumable order in which it is shown."""

import contextlib
import functools
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gancli.core import rng
from gancli.core.data import idx, image_folder, transform
from gancli.core.data.dataset import ImageSet, tensors_digest
from gancli.core.data.decode import ImageHeader
from gancli.core.data.decode_workers import to_channels_first
from gancli.core.data.pixel_cache import ProgressCallback
from gancli.core.data.resize import fit_pixels
from gancli.core.data.transform import TransformOptions
from gancli.datasets import DATASETS
from gancli.errors import DataError, did_you_mean, make_printable

DEFAULT_OPTIONS = TransformOptions()


def has_fixed_size(name: str) -> bool:
    """Whether the images of this name or path come at one size, as named sets and IDX files do and pictures do not."""
    return name in DATASETS or find_idx_folder(name) is not None


def find_idx_folder(name: str) -> Path | None:
    """The folder of this path, if it holds IDX files."""
    path = absolute_path(name)
    return path if os.path.isdir(path) and idx.find_idx_file(path, "train", "images-idx3") else None


def absolute_path(name: str) -> Path:
    with contextlib.suppress(ValueError):  # the name of a user that no system could have
        name = os.path.expanduser(name)
    return Path(os.path.abspath(name))


def ignore_progress(what: str, done: int, total: int) -> None:
    """A Progress that shows nothing."""


def load_dataset(
    name: str,
    options: TransformOptions = DEFAULT_OPTIONS,
    progress: ProgressCallback = ignore_progress,
    *,
    verify: bool = False,
) -> ImageSet:
    """A named data set, or the pictures or IDX files at a path. Raises DataError.

    Named sets and IDX files are fitted to the options in memory; pictures are decoded into the cache. verify: whether
    what is in the cache already is read through, so that not even a flipped bit gets by.
    """
    if name in DATASETS:
        return fit_dataset(DATASETS[name].load(), options)
    path = absolute_path(name)
    if find_idx_folder(name):
        found = replace(idx.load_idx_folder(name, path), name=make_printable(path.name), source=str(path))
        return fit_dataset(found, options)
    if name and os.path.exists(path):
        return image_folder.load_pictures(path, options, progress, verify=verify)
    if os.sep in name:
        raise DataError(f"no folder or file {name}; --data takes a path or one of {', '.join(DATASETS)}")
    raise DataError(
        f"unknown data set {name!r}{did_you_mean(name.lower(), DATASETS)}, and no folder or file of that name"
    )


def fit_dataset(found: ImageSet, options: TransformOptions) -> ImageSet:
    """The set with every image of the size and channels that are wanted."""
    n, channels, height, width = found.images.shape
    facts = Counter({ImageHeader("array", width, height, "grey" if channels == 1 else "RGB", channels == 1): n})
    wanted = transform.choose_transform(facts, options)
    if (wanted.channels, wanted.resolution, wanted.resolution) == (channels, height, width):
        return found

    def fit(images: Tensor) -> Tensor:
        pixels = np.empty((len(images), wanted.resolution, wanted.resolution, wanted.channels), np.uint8)
        for row, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
            pixels[row] = fit_pixels(image, wanted)
        return torch.from_numpy(to_channels_first(pixels))

    images, heldout = fit(found.images), fit(found.heldout_images)
    return replace(
        found,
        images=images,
        heldout_images=heldout,
        digest=tensors_digest(images, found.labels, heldout, found.heldout_labels),
        notes=(*found.notes, *transform.transform_notes(facts, wanted, options)),
    )


@functools.lru_cache(maxsize=4)
def epoch_permutation(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=rng.generator(seed, "order", epoch))


def batch_indices(n: int, seed: int, nimg: int, batch_size: int) -> Tensor:
    """Which of n training images to show after nimg of them -> int64 [batch_size].

    The stream is endless, one permutation after another: position p is element p % n of permutation p // n. It
    depends on the arguments alone, so a resumed run sees what an uninterrupted one would. Fast when called in
    sequence: the latest permutations are kept.
    """
    parts = []
    while batch_size > 0:
        epoch, start = divmod(nimg, n)
        parts.append(epoch_permutation(n, seed, epoch)[start : start + batch_size])
        nimg += len(parts[-1])
        batch_size -= len(parts[-1])
    return torch.cat(parts)
