"""Training data by name or folder, and the resumable order in which it is shown."""

import functools
import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from gancli.core import idxfolder, rng
from gancli.core.imageset import ImageSet
from gancli.core.named import SOURCES
from gancli.errors import DataError, did_you_mean


def load(name: str) -> ImageSet:
    """A named data set, or the folder of IDX files at a path. Raises DataError."""
    if name in SOURCES:
        return SOURCES[name]()
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        found = idxfolder.load(name, Path(path))
        return replace(found, name=Path(os.path.abspath(path)).name, source=os.path.abspath(path))
    if os.path.exists(path) or os.sep in name:
        fault = f"{name} is not a folder" if os.path.exists(path) else f"no folder {name}"
        raise DataError(f"{fault}; --data takes a folder of IDX files or one of {', '.join(SOURCES)}")
    raise DataError(f"unknown data set {name!r}{did_you_mean(name.lower(), SOURCES)}, and no folder of that name")


@functools.lru_cache(maxsize=4)
def permutation(n: int, seed: int, epoch: int) -> Tensor:
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
        parts.append(permutation(n, seed, epoch)[start : start + batch_size])
        nimg += len(parts[-1])
        batch_size -= len(parts[-1])
    return torch.cat(parts)
