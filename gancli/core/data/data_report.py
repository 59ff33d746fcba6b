"""A report on the files of a data set, and on exact copies among its images. Needs no torch."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gancli.core.data.archive import shorten_name, without_fix
from gancli.core.data.deep_pixels import MOST_BITS
from gancli.wording import format_list

MOST_PAIRS = 3

RowIndices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Copies:
    """Exact copies among the images of a data set.

    n: images that equal an earlier image, pixel by pixel. n_across: held-out images that equal a training image.
    pairs: names of a few pairs, the earlier image first.
    """

    n: int = 0
    n_across: int = 0
    pairs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class DataReport:
    """The files of a data set. kinds, modes, sizes: number of files of each, most frequent first.

    done: one sentence for each conversion of the pictures. faults: name and reason of each bad file. skipped: one
    sentence about the bad files, () if there are none. n_transparent: pictures with transparency. bits: that 16-bit
    pictures are scaled from.
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
    n_transparent: int = 0
    bits: int = MOST_BITS


def format_faults(faults: Iterable[tuple[str, str]], most: int) -> str:
    """List bad files as 'a.png (truncated; copy it again), b.png (truncated)'; each advice is shown once."""
    rows, shown = [], set()
    for name, reason in faults:
        rows.append(f"{shorten_name(name)} ({without_fix(reason) if reason in shown else reason})")
        shown.add(reason)
    return format_list(rows, most)


def find_copies(
    images: Iterable[npt.NDArray[np.uint8]],
    heldout: Iterable[npt.NDArray[np.uint8]],
    name: Callable[[int], str],
    rows: RowIndices,
    heldout_rows: RowIndices,
) -> Copies:
    """Find exact copies among training and held-out images. name: returns the name of the image in a row."""
    first: dict[int, int] = {}  # keys: 64-bit hashes; a collision among a million images has a probability of 3e-8
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
