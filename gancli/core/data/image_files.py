"""Images in a folder, a zip or an npz, made by any tool: read one after another, checked while they are read."""

import contextlib
import itertools
import math
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gancli.core.data import listing, resize
from gancli.core.data.archive import (
    LARGEST_BYTES,
    file_entries,
    open_npz_array,
    open_zip,
    read_exactly,
    read_file_bytes,
    read_zip_entry,
    shorten_name,
)
from gancli.core.data.decode import ACCEPTED_FORMATS_HINT
from gancli.core.data.listing import is_picture_name
from gancli.core.data.resize import Pixels
from gancli.errors import ContractError, DataError
from gancli.files.run_folder import SCORES_NAME
from gancli.wording import format_list

CONTACT_SHEETS = ("grid.png", "grid.webp")
BATCH = 256
BATCH_BYTES = 1 << 25
MOST_IMAGES = 1 << 24
MOST_NAMED = 5

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Images of one shape (C, H, W), still on disk.

    labels: int64 [N], or None; only an npz has them. rows: which images of the source these are, ascending.
    """

    path: Path
    shape: Shape
    labels: Tensor | None
    source: "PictureFiles | NpzArray"
    rows: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    def subset(self, rows: Iterable[int]) -> "ImageFiles":
        """The images at these places, each once, in the order of the files."""
        chosen = sorted(set(rows))
        if chosen and not 0 <= chosen[0] <= chosen[-1] < len(self):
            raise ContractError(f"expected rows from 0 to {len(self) - 1}, got {chosen[0]} to {chosen[-1]}")
        labels = None if self.labels is None else self.labels[chosen]
        return replace(self, rows=[self.rows[row] for row in chosen], labels=labels)

    def batches(self) -> Iterator[Tensor]:
        """All in order -> uint8 [b,C,H,W], b at most 256 and, unless one image is larger, a batch at most 32 MiB.

        Raises DataError; about picture files only after all were opened, so that it can say how many are bad.
        """
        per_batch = max(1, min(BATCH, BATCH_BYTES // math.prod(self.shape)))
        pictures = self.source.pictures(self.rows, self.shape)
        while part := list(itertools.islice(pictures, per_batch)):
            yield torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).contiguous()

    def some(self, rows: Sequence[int]) -> Tensor:
        """The images at these places, in any order, repeated or not -> uint8 [len(rows),C,H,W]."""
        chosen, back = np.unique(np.asarray(rows, np.int64), return_inverse=True)
        none = torch.empty((0, *self.shape), dtype=torch.uint8)
        return torch.cat([none, *self.subset(chosen.tolist()).batches()])[torch.from_numpy(back)]


def open_images(path: Path, shape: Shape | None = None) -> ImageFiles:
    """The images in a folder with its subfolders, in a zip, or in an npz.

    shape: (C, H, W) wanted, C 1 or 3; left out, that of the first image. Grey images serve as colour, and colour ones
    as grey where all channels are equal. Hidden files do not count, nor does grid.png beside other images.
    An npz holds uint8 [N,H,W] or [N,H,W,C] as images, arr_0 or its only array, and maybe labels, int [N].
    Raises DataError if there are none, or if the first one does not fit the shape.
    """
    source, labels = open_picture_folder(path) if os.path.isdir(path) else open_picture_archive(path)
    if len(source) == 0:
        raise DataError(f"no images in {path}; {ACCEPTED_FORMATS_HINT}")
    first = next(source.pictures(range(len(source))))
    height, width, channels = first.shape
    shape = shape or (channels, height, width)
    if (height, width) != shape[1:]:
        sizes = f"images of {width}x{height} pixels, the data {shape[2]}x{shape[1]}"
        raise DataError(f"{path} holds {sizes}; resize them to {shape[2]}x{shape[1]} first")
    try:
        match_shape(first, shape)
    except DataError as err:
        raise DataError(f"{path} holds colour images, the data grey ones; convert them to grey first") from err
    return ImageFiles(path, shape, labels, source, range(len(source)))


def match_shape(picture: Pixels, shape: Shape | None) -> Pixels:
    """uint8 [H,W] or [H,W,1 or 3] -> [H,W,C] of this shape, or with the channels it has.

    Raises DataError, its text the reason alone.
    """
    picture = picture[..., None] if picture.ndim == 2 else picture
    height, width, channels = picture.shape
    if shape is None or (channels, height, width) == shape:
        return picture
    if (height, width) != shape[1:]:
        raise DataError(f"{width}x{height} pixels instead of {shape[2]}x{shape[1]}")
    if channels == 1:
        return picture.repeat(3, axis=2)
    if (picture != picture[..., :1]).any():
        raise DataError("colour instead of grey")
    return picture[..., :1]


@dataclass(frozen=True, eq=False)
class PictureFiles:
    """Files of one picture each: names below the folder `path`, or of the entries `infos` of the zip `path`."""

    path: Path
    names: Sequence[str]
    infos: Sequence[zipfile.ZipInfo] = ()

    def __len__(self) -> int:
        return len(self.names)

    def pictures(self, rows: Sequence[int], shape: Shape | None = None) -> Iterator[Pixels]:
        """uint8 [H,W,C] of those rows that can be read and have the shape; then DataError if there were others."""
        faults = []
        with open_zip(self.path) if self.infos else contextlib.nullcontext() as archive:
            for row in rows:
                try:
                    data = (
                        read_zip_entry(archive, self.infos[row])
                        if archive
                        else read_file_bytes(self.path / self.names[row])
                    )
                    picture = match_shape(resize.decode_exact(data), shape)
                except DataError as err:
                    faults.append(f"{shorten_name(self.names[row])} ({err})")
                else:
                    yield picture
        if faults:
            bad = f"{len(faults):,} of {len(rows):,} images in {self.path} cannot be used"
            raise DataError(f"{bad}: {format_list(faults, MOST_NAMED)}; repair or delete them")


@dataclass(frozen=True, eq=False)
class NpzArray:
    """One array of an npz, uint8 [N,H,W,C] or [N,H,W] in C order: `shape` without the N."""

    path: Path
    info: zipfile.ZipInfo
    n: int
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return self.n

    def pictures(self, rows: Sequence[int], shape: Shape | None = None) -> Iterator[Pixels]:
        """uint8 [H,W,C] of these rows, ascending. Raises DataError at the first that does not fit the shape."""
        n_bytes = math.prod(self.shape)
        with open_zip(self.path) as archive, open_npz_array(self.path, archive, self.info) as (entry, _, _):
            start = entry.tell()
            for row in rows:
                entry.seek(start + row * n_bytes)
                pixels = np.frombuffer(read_exactly(entry, n_bytes), np.uint8)
                yield match_shape(pixels.reshape(self.shape), shape)


def open_picture_folder(path: Path) -> tuple[PictureFiles, None]:
    """The pictures of a folder and its subfolders, sorted by path, but for those of an evaluation."""
    files, _ = listing.find_pictures_below(path, lambda _, names: SCORES_NAME not in names)
    return PictureFiles(path, drop_contact_sheets(sorted(files))), None


def open_picture_archive(path: Path) -> tuple["PictureFiles | NpzArray", Tensor | None]:
    """The pictures in a zip, sorted by path; without any, the arrays of an npz: its images and labels."""
    if not os.path.isfile(path):
        found = "is neither a folder nor a file" if os.path.exists(path) else "does not exist"
        raise DataError(f"{path} {found}; {ACCEPTED_FORMATS_HINT}")
    with open_zip(path) as archive:
        infos = {info.filename: info for info in file_entries(archive)}
        if names := drop_contact_sheets(sorted(filter(is_picture_name, infos))):
            return PictureFiles(path, names, [infos[name] for name in names]), None
        arrays = {name.removesuffix(".npy"): info for name, info in infos.items() if name.endswith(".npy")}
        return open_npz(path, archive, arrays) if arrays else (PictureFiles(path, ()), None)


def drop_contact_sheets(names: list[str]) -> list[str]:
    """Without the grids that samples are shown in, unless there is nothing else."""
    return [name for name in names if os.path.basename(name) not in CONTACT_SHEETS] or names


def open_npz(
    path: Path, archive: zipfile.ZipFile, arrays: dict[str, zipfile.ZipInfo]
) -> tuple[NpzArray, Tensor | None]:
    others = [name for name in arrays if name != "labels"]
    known = [name for name in ("images", "arr_0") if name in arrays] or (others if len(others) == 1 else [])
    if not known:
        raise DataError(f"{path} has no array called images, only {shorten_name(', '.join(arrays))}; name it images")
    info = arrays[known[0]]
    with open_npz_array(path, archive, info) as (entry, shape, dtype):
        n_bytes = info.file_size - entry.tell()
    if dtype != np.uint8 or len(shape) not in (3, 4) or 0 in shape[1:] or shape[3:] not in ((), (1,), (3,)):
        wanted = "must be uint8 0..255, [N,H,W] or [N,H,W,C] with C 1 or 3"
        raise DataError(f"{shorten_name(known[0])} in {path} {wanted}; got {dtype} {list(shape)}")
    n, *sides = shape
    if n > MOST_IMAGES or math.prod(sides) > LARGEST_BYTES:
        most = f"{MOST_IMAGES:,} images of {LARGEST_BYTES >> 20} MiB are the most that is read"
        raise DataError(f"{path} declares {n:,} images of {math.prod(sides):,} bytes; {most}")
    if n_bytes != math.prod(shape):
        held = f"{n_bytes:,} bytes of images where {list(shape)} needs {math.prod(shape):,}"
        raise DataError(f"{path} is damaged: it holds {held}; write it again")
    labels = read_npz_labels(path, archive, arrays["labels"], n) if "labels" in arrays else None
    return NpzArray(path, info, n, tuple(sides)), labels


def read_npz_labels(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, n: int) -> Tensor:
    """The labels of n images -> int64 [n]."""
    labels = None
    with open_npz_array(path, archive, info) as (entry, shape, dtype):
        if shape == (n,) and dtype.kind in "iu":
            labels = np.frombuffer(read_exactly(entry, n * dtype.itemsize), dtype)
    if labels is None or (n and not 0 <= labels.min() <= labels.max() < 1 << 31):
        wanted = f"must be whole numbers from 0, one for each of {n:,} images"
        raise DataError(f"labels in {path} {wanted}; got {dtype} {list(shape)}")
    return torch.from_numpy(labels.astype(np.int64))
