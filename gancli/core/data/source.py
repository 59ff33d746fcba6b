"""The interface to folders, zips and npz files of images, for training and scoring."""

import contextlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self, TypeVar

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
THREADED_BYTES = 1 << 12  # smaller files spend more time in Python than in the decoder, so threads do not help

Item = TypeVar("Item")
Result = TypeVar("Result")
ClassLabels = npt.NDArray[np.int64]
Fault = tuple[int, str]


class SourceError(DataError):
    """Raised if the whole source cannot be read, not only one image."""


@dataclass(frozen=True, eq=False)
class DecodedBlock:
    """The result of decoding n consecutive images. pixels: uint8 [good,C,R,R]. faults: index and reason of bad images.

    unread: indices of the bad images that the system failed to read; a later attempt may succeed.
    """

    n: int
    pixels: Pixels
    faults: list[Fault]
    headers: Counter[ImageHeader]
    unread: list[int]


@dataclass(eq=False)
class ImageSource(ABC):
    """Images at a path, in order. To add a kind of source, write a subclass in its own file and add it to load.SOURCES.

    mean_bytes: mean size of a stored image. labels: int64 [N] or None. class_names: names of the labels. stamp: set by
    `for_training`, a digest that changes when the images or labels may have changed. notes: messages for the user.
    held: set by `for_training`, bool [N] if the data has a test split. is_sequential: only reading in order is cheap.
    """

    path: Path
    mean_bytes: int
    labels: ClassLabels | None = None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stamp: str = ""
    held: npt.NDArray[np.bool_] | None = None
    is_sequential: ClassVar[bool] = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, row: int) -> str: ...

    @abstractmethod
    def read(self, row: int) -> bytes | Pixels:
        """Return a picture file's bytes, or pixels [H, W] or [H, W, 1 or 3].

        Raises DataError("what is wrong; what to do") for a bad image, UnreadError if a later attempt may succeed, and
        SourceError with a complete message if no image can be read.
        """

    @abstractmethod
    def for_training(self, *, conditional: bool, as_in_0_1: bool = False) -> Self:
        """Return the source with labels, notes and stamp. Raises DataError if it is not training data.

        conditional: also raise DataError for invalid labels; otherwise they are ignored. as_in_0_1: read what version
        0.1 read: a training and a test folder are classes, and single PNGs that gancli wrote are pictures.
        """

    def rows_to_score(self) -> Sequence[int]:
        return range(len(self))

    def sample_headers(self) -> Counter[ImageHeader]:
        """Read the headers of a random sample of the images, and measure these images, on all cores."""
        order = range(1) if self.is_sequential else np.random.default_rng(0).permutation(len(self))[:SAMPLE_IMAGES]

        def measure(row: int) -> tuple[ImageHeader | None, int]:
            try:
                data = self.read(int(row))
                return resize.measure_image(data), len(data)
            except (DataError, MemoryError):  # decoding all images reports it
                return None, 0

        headers, n_bytes = Counter[ImageHeader](), 0
        for header, size in self.map_tasks(measure, order):
            headers += Counter([header] if header else [])
            n_bytes += size
            if n_bytes > SAMPLE_BYTES:
                break
        return headers

    def can_read(self, rows: Sequence[int]) -> bool:
        """Whether any of these rows, which the system failed to read before, can be read now."""
        for row in rows:
            with contextlib.suppress(UnreadError):
                self.read(row)
                return True
        return False

    def map_tasks(self, function: Callable[[Item], Result], tasks: Iterable[Item]) -> Iterator[Result]:
        """Apply a function that reads images to each task, in order, on all cores if that is faster."""
        if self.is_sequential or self.mean_bytes < THREADED_BYTES:
            return map(function, tasks)
        return map_in_threads(function, tasks, devices.count_cores())

    def decode(self, target: Transform, start: int = 0) -> Iterator[DecodedBlock]:
        """Decode all images from `start` on, in order, on all cores if that is faster. Raises DataError."""
        largest = max(target.channels * target.resolution**2, self.mean_bytes, 1)
        per_task = max(1, min(TASK_IMAGES, TASK_BYTES // largest))
        tasks = (range(row, min(row + per_task, len(self))) for row in range(start, len(self), per_task))

        def decode(rows: range) -> DecodedBlock:
            return decode_block(self, rows, target)

        try:
            yield from self.map_tasks(decode, tasks)
        except MemoryError as err:
            raise DataError(f"not enough memory to decode {self.path}; make huge pictures smaller") from err


def decode_block(source: ImageSource, rows: range, target: Transform) -> DecodedBlock:
    """Decode these images. Plain PNGs that need no conversion are decoded together, which is faster."""
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
    """Convert uint8 [N,R,R,C] to [N,C,R,R]."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
