"""Read the labels of an npz, and its images, uint8 [N,H,W] or [N,H,W,C], one by one."""

import contextlib
import hashlib
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, ClassVar, Self

import numpy as np

from gancli.config import MOST_CLASSES
from gancli.core.data.archive import (
    LARGEST_BYTES,
    SAVE_ARRAY_HINT,
    check_compression,
    open_zip_entry,
    read_exactly,
    read_npy_header,
    shorten_name,
    translate_zip_faults,
)
from gancli.core.data.decode import Pixels
from gancli.core.data.labels import check_class_count
from gancli.core.data.source import ClassLabels, ImageSource, SourceError
from gancli.errors import DataError
from gancli.wording import format_list

MOST_IMAGES = 1 << 24
MOST_CHANNELS = 4
MOST_NAMED = 5
USED_ARRAYS = ("images", "labels", "seeds")  # seeds: written by gancli sample


@dataclass(eq=False)
class NpzArray(ImageSource):
    """The images of an npz.

    info: the zip entry of the array. shape: [N,H,W] or [N,H,W,C]. entry: the open entry, at image `next_row`.
    """

    archive: zipfile.ZipFile = None  # type: ignore[assignment]
    info: zipfile.ZipInfo = None  # type: ignore[assignment]
    shape: tuple[int, ...] = ()
    entry: IO[bytes] | None = None
    next_row: int = 0
    is_sequential: ClassVar[bool] = True

    def __len__(self) -> int:
        return self.shape[0]

    def name(self, row: int) -> str:
        return f"row {row}"

    def read(self, row: int) -> Pixels:
        """Read an image. For an earlier row, reopen the entry: its checksum is verified only if it is read in order."""
        with name_array(self.path, self.info):
            if self.entry is None or row < self.next_row:
                self.entry, self.next_row = open_zip_entry(self.archive, self.info), 0
                read_npy_header(self.entry)
            if row > self.next_row:
                with translate_zip_faults():
                    self.entry.seek((row - self.next_row) * self.mean_bytes, 1)
            self.next_row = row + 1
            pixels = np.frombuffer(read_exactly(self.entry, self.mean_bytes), np.uint8)
        return pixels.reshape(self.shape[1:])

    def for_training(self, *, conditional: bool, as_in_0_1: bool = False) -> Self:
        try:
            check_compression(self.info)
        except DataError as err:
            raise DataError(f"the images in {self.path} are {err}") from err
        labels = self.labels
        n_classes = 0 if labels is None or not len(labels) else int(labels.max()) + 1
        if n_classes > MOST_CLASSES and not conditional:
            labels, n_classes = None, 0
        check_class_count(n_classes, f"{self.path} has labels up to {n_classes - 1:,}")
        status = self.path.stat()
        stamp = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns} {n_classes}".encode()).hexdigest()
        return replace(self, labels=labels, class_names=tuple(map(str, range(n_classes))), stamp=stamp)


@contextlib.contextmanager
def name_array(path: Path, info: zipfile.ZipInfo) -> Iterator[None]:
    """Raise a DataError of the block as a SourceError that names the array and the file."""
    try:
        yield
    except DataError as err:
        name = shorten_name(info.filename.removesuffix(".npy"))
        raise SourceError(f"cannot use the array {name} in {path}: {err}") from err


def open_npz(path: Path, archive: zipfile.ZipFile, arrays: dict[str, zipfile.ZipInfo]) -> NpzArray:
    """Open the array named images or arr_0, or the only one except labels. Raises DataError."""
    others = [name for name in arrays if name != "labels"]
    known = [name for name in ("images", "arr_0") if name in arrays] or (others if len(others) == 1 else [])
    if not known:
        raise DataError(
            f"{path} has no array named images, only {shorten_name(', '.join(arrays))}; rename one to images"
        )
    info = arrays[known[0]]
    with name_array(path, info), open_zip_entry(archive, info) as entry:
        shape, dtype = read_npy_header(entry)
        n_bytes = info.file_size - entry.tell()
    if dtype != np.uint8 or len(shape) not in (3, 4) or 0 in shape[1:] or shape[3:] not in ((), (1,), (3,)):
        requirement = "save uint8 0..255, [N,H,W] or [N,H,W,C] with C 1 or 3"
        raise DataError(f"the array {shorten_name(known[0])} in {path} is {dtype} {list(shape)}; {requirement}")
    if len(shape) == 3 and shape[2] <= MOST_CHANNELS:
        several = "save several images as [N,H,W] or [N,H,W,3]"
        raise DataError(f"the array {shorten_name(known[0])} in {path} is a single image {list(shape)}; {several}")
    n, row_bytes = shape[0], math.prod(shape[1:])
    if n > MOST_IMAGES or row_bytes > LARGEST_BYTES:
        limit = f"at most {MOST_IMAGES:,} images of {LARGEST_BYTES >> 20} MiB are supported"
        raise DataError(f"{path} declares {n:,} images of {row_bytes:,} bytes; split it: {limit}")
    if n_bytes != math.prod(shape):
        held = f"{n_bytes:,} bytes of images, but {list(shape)} needs {math.prod(shape):,}"
        raise DataError(f"{path} is damaged: it holds {held}; {SAVE_ARRAY_HINT}")
    labels = read_npz_labels(path, archive, arrays["labels"], n) if "labels" in arrays else None
    notes = unused_array_notes(path, archive, {name: arrays[name] for name in arrays if name != known[0]}, n)
    return NpzArray(path, row_bytes, labels, notes=notes, archive=archive, info=info, shape=shape)


def unused_array_notes(
    path: Path, archive: zipfile.ZipFile, arrays: dict[str, zipfile.ZipInfo], n: int
) -> tuple[str, ...]:
    """Return a note about arrays that are not read; it says how to use one that could hold the labels."""
    unused = [name for name in arrays if name not in USED_ARRAYS]
    if not unused:
        return ()
    note = f"skipped arrays in {path.name}: {format_list([shorten_name(name) for name in unused], MOST_NAMED)}"
    possible = [] if "labels" in arrays else [name for name in unused if may_hold_labels(archive, arrays[name], n)]
    return (f"{note}; to train on classes, rename {shorten_name(possible[0])} to labels" if possible else note,)


def may_hold_labels(archive: zipfile.ZipFile, info: zipfile.ZipInfo, n: int) -> bool:
    """Whether an array holds one whole number for each image."""
    try:
        with open_zip_entry(archive, info) as entry:
            shape, dtype = read_npy_header(entry)
    except DataError:
        return False
    return shape == (n,) and dtype.kind in "iu"


def read_npz_labels(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, n: int) -> ClassLabels:
    labels = None
    with name_array(path, info), open_zip_entry(archive, info) as entry:
        shape, dtype = read_npy_header(entry)
        if shape == (n,) and dtype.kind in "iu":
            labels = np.frombuffer(read_exactly(entry, n * dtype.itemsize), dtype)
    if labels is None or (n and not 0 <= labels.min() <= labels.max() < 1 << 31):
        requirement = f"save whole numbers from 0, one for each of {n:,} images"
        values = "" if labels is None else f" with values from {labels.min()} to {labels.max()}"
        raise DataError(f"the array labels in {path} is {dtype} {list(shape)}{values}; {requirement}")
    return labels.astype(np.int64)
