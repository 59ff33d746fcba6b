"""Where pictures come from: one interface over folders, zips and npz files, for training and for scoring."""

import contextlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from gancli.core import devices
from gancli.core.data import fast_png, resize
from gancli.core.data.archive import UnreadError
from gancli.core.data.decode import ImageHeader, Pixels
from gancli.core.data.resize import Transform
from gancli.errors import DataError
from gancli.files.image_io import map_in_threads

SAMPLE_IMAGES, SAMPLE_BYTES = 256, 1 << 26
TASK_IMAGES, TASK_BYTES = 256, 1 << 23
THREADED_BYTES = 1 << 12  # of a file; smaller ones wait longer for Python than for their decoder

ClassLabels = npt.NDArray[np.int64]
Fault = tuple[int, str]


class SourceError(DataError):
    """A source that gives no further images, rather than one bad image."""


@dataclass(frozen=True, eq=False)
class DecodedBlock:
    """What `n` images in a row became: pixels uint8 [good,C,R,R], the place of each bad one and why, and headers.

    unread: the places of those bad ones that the system did not give, though another time it might.
    """

    n: int
    pixels: Pixels
    faults: list[Fault]
    headers: Counter[ImageHeader]
    unread: list[int]


@dataclass(eq=False)
class ImageSource(ABC):
    """Images at a path, in order. A new kind of source is a subclass in a file of its own, and a row of load.SOURCES.

    mean_bytes: of an image as it is stored. labels: int64 [N] or None, class_names theirs. stamp: of `for_training`,
    a digest that is another one if the images or labels may be others. notes: what the user should be told.
    is_sequential: reading in order is cheap, and anything else is not.
    """

    path: Path
    mean_bytes: int
    labels: ClassLabels | None = None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stamp: str = ""
    is_sequential: ClassVar[bool] = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, row: int) -> str: ...

    @abstractmethod
    def read(self, row: int) -> bytes | Pixels:
        """A picture file, or pixels [H, W] or [H, W, 1 or 3]. Raises DataError, its text the reason alone, or
        UnreadError, where it may work another time; SourceError, a whole sentence, where no image can be read."""

    @abstractmethod
    def for_training(self, *, conditional: bool) -> Self:
        """The same with its labels, notes and stamp. Raises DataError for what is no training data; for labels that
        cannot be right only if conditional, else there are none."""

    def rows_to_score(self) -> Sequence[int]:
        return range(len(self))

    def sample_headers(self) -> Counter[ImageHeader]:
        """What some of the images are."""
        headers, n_bytes = Counter[ImageHeader](), 0
        order = range(1) if self.is_sequential else np.random.default_rng(0).permutation(len(self))[:SAMPLE_IMAGES]
        for row in order:
            with contextlib.suppress(DataError):
                data = self.read(int(row))
                headers[resize.read_image_header(data)] += 1
                n_bytes += len(data)
            if n_bytes > SAMPLE_BYTES:
                break
        return headers

    def can_read(self, rows: Sequence[int]) -> bool:
        """Whether any of these, which the system did not give, can be read now."""
        for row in rows:
            with contextlib.suppress(UnreadError):
                self.read(row)
                return True
        return False

    def decode(self, target: Transform, start: int = 0) -> Iterator[DecodedBlock]:
        """All from `start` on, in order, on all cores where that is faster."""
        largest = max(target.channels * target.resolution**2, self.mean_bytes, 1)
        per_task = max(1, min(TASK_IMAGES, TASK_BYTES // largest))
        tasks = (range(row, min(row + per_task, len(self))) for row in range(start, len(self), per_task))
        is_serial = self.is_sequential or self.mean_bytes < THREADED_BYTES

        def decode(rows: range) -> DecodedBlock:
            return decode_block(self, rows, target)

        try:
            yield from map(decode, tasks) if is_serial else map_in_threads(decode, tasks, devices.count_cores())
        except MemoryError as err:
            raise DataError(f"there is too little memory to decode {self.path}; make huge pictures smaller") from err


def decode_block(source: ImageSource, rows: range, target: Transform) -> DecodedBlock:
    """Decode these images; of PNGs that have the size and channels wanted, only the rows, and all of them at once."""
    R, C = target.resolution, target.channels
    plain: dict[int, bytes] = {}
    others: dict[int, Pixels] = {}
    faults, unread, headers = [], [], Counter[ImageHeader]()
    for place, row in enumerate(rows):
        try:
            data = source.read(row)
            if isinstance(data, bytes) and (filtered := fast_png.read_plain_rows(data, R, C)):
                plain[place] = filtered
            else:
                others[place], header = resize.decode_image(data, target)
                headers[header] += 1
        except SourceError:
            raise
        except DataError as err:
            faults.append((place, str(err)))
            if isinstance(err, UnreadError):
                unread.append(place)
    pixels = np.empty((len(rows), R, R, C), np.uint8)
    if plain:
        pixels[list(plain)] = fast_png.undo_filters([*plain.values()], R, C)
        headers[ImageHeader("PNG", R, R, "grey" if C == 1 else "RGB", is_grey=C == 1)] += len(plain)
    for place, picture in others.items():
        pixels[place] = picture
    good = pixels[sorted(plain.keys() | others.keys())]
    return DecodedBlock(len(rows), to_channels_first(good), faults, headers, unread)


def to_channels_first(pixels: Pixels) -> Pixels:
    """uint8 [N,R,R,C] -> [N,C,R,R]."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
