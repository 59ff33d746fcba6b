"""Images to score, still on disk, whatever holds them: checked while they are read, batch by batch."""

import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gancli.core.data import resize
from gancli.core.data.archive import shorten_name
from gancli.core.data.decode import ACCEPTED_FORMATS_HINT, Pixels
from gancli.core.data.load import open_source
from gancli.core.data.source import ImageSource, SourceError
from gancli.errors import ContractError, DataError
from gancli.wording import format_list

BATCH = 256
BATCH_BYTES = 1 << 25
MOST_NAMED = 5

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Images of one shape (C, H, W). labels: int64 [N], or None. rows: which images of the source, ascending."""

    source: ImageSource
    rows: Sequence[int]
    shape: Shape
    labels: Tensor | None

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

        Raises DataError; about single images only after all were opened, so that it can say how many are bad.
        """
        per_batch = max(1, min(BATCH, BATCH_BYTES // math.prod(self.shape)))
        pictures = exact_pictures(self.source, self.rows, self.shape)
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
    if not os.path.exists(path):
        raise DataError(f"{path} does not exist; {ACCEPTED_FORMATS_HINT}")
    source = open_source(path)
    rows = source.rows_to_score()
    if not rows:
        raise DataError(f"no images in {path}; {ACCEPTED_FORMATS_HINT}")
    first = next(exact_pictures(source, rows))
    height, width, channels = first.shape
    shape = shape or (channels, height, width)
    if (height, width) != shape[1:]:
        sizes = f"images of {width}x{height} pixels, the data {shape[2]}x{shape[1]}"
        raise DataError(f"{path} holds {sizes}; resize them to {shape[2]}x{shape[1]} first")
    try:
        match_shape(first, shape)
    except DataError as err:
        raise DataError(f"{path} holds colour images, the data grey ones; convert them to grey first") from err
    return ImageFiles(source, rows, shape, None if source.labels is None else torch.from_numpy(source.labels))


def exact_pictures(source: ImageSource, rows: Sequence[int], shape: Shape | None = None) -> Iterator[Pixels]:
    """uint8 [H,W,C] of those rows that can be read and have the shape (C, H, W); then DataError for the others."""
    faults = []
    for row in rows:
        try:
            picture = match_shape(resize.decode_exact(source.read(row)), shape)
        except SourceError:
            raise
        except DataError as err:
            faults.append(f"{shorten_name(source.name(row))} ({err})")
        else:
            yield picture
    if faults:
        bad = f"{len(faults):,} of {len(rows):,} images in {source.path} cannot be used"
        raise DataError(f"{bad}: {format_list(faults, MOST_NAMED)}; repair or delete them")


def match_shape(picture: Pixels, shape: Shape | None) -> Pixels:
    """uint8 [H,W,1 or 3] -> [H,W,C] of this shape, or as it is. Raises DataError, its text the reason alone."""
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
