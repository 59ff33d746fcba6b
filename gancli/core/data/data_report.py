"""What is known of the files that a data set was read from, and of the copies among its images. Needs no torch."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MOST_PAIRS = 3

RowIndices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Copies:
    """n: images that are, pixel by pixel, an earlier one. n_across: held-out ones of them that are a training one.

    pairs: names of a few, the earlier one first.
    """

    n: int = 0
    n_across: int = 0
    pairs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class DataReport:
    """Files of a data set. kinds, modes, sizes: how many there are of each, most frequent first.

    done: what is done to them. faults: the names of those that cannot be used, and why. skipped: the same for people.
    """

    kinds: dict[str, int]
    modes: dict[str, int]
    sizes: dict[str, int]
    fit: str
    background: tuple[int, int, int]
    done: tuple[str, ...]
    n_files: int
    faults: tuple[tuple[str, str], ...]
    skipped: tuple[str, ...]
    duplicates: Copies
    cache: str


def find_copies(
    images: Iterable[npt.NDArray[np.uint8]],
    heldout: Iterable[npt.NDArray[np.uint8]],
    name: Callable[[int], str],
    rows: RowIndices,
    heldout_rows: RowIndices,
) -> Copies:
    """The copies among training and held-out images; name: of an image by its row."""
    first: dict[int, int] = {}  # by a hash of 64 bits: among a million pictures, a chance of 1 in 10 million to mistake
    copies, across = 0, 0
    pairs: list[tuple[int, int]] = []
    for place, picture in enumerate(itertools.chain(images, heldout)):
        before = first.setdefault(hash(picture.tobytes()), place)
        if before != place:
            copies += 1
            across += place >= len(rows) > before
            if len(pairs) < MOST_PAIRS:
                pairs.append((before, place))
    every = np.concatenate([rows, heldout_rows]).tolist()
    return Copies(copies, across, tuple((name(every[before]), name(every[place])) for before, place in pairs))
