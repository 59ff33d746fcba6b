"""Images to score, in a folder, zip or npz: read and checked batch by batch."""

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
from gancli.core.data.data_report import format_faults
from gancli.core.data.decode import ACCEPTED_FORMATS_HINT, Pixels
from gancli.core.data.load import open_source
from gancli.core.data.source import ImageSource, SourceError
from gancli.errors import ContractError, DataError

BATCH = 256
BATCH_BYTES = 1 << 25
MOST_NAMED = 5

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Images of one shape (C, H, W). labels: int64 [N], or None. rows: their rows in the source, ascending."""

    source: ImageSource
    rows: Sequence[int]
    shape: Shape
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.rows)

    def subset(self, rows: Iterable[int]) -> "ImageFiles":
        """Return the images at these indices, without repeats, in the order of the files."""
        chosen = sorted(set(rows))
        if chosen and not 0 <= chosen[0] <= chosen[-1] < len(self):
            raise ContractError(f"expected rows from 0 to {len(self) - 1}, got {chosen[0]} to {chosen[-1]}")
        labels = None if self.labels is None else self.labels[chosen]
        return replace(self, rows=[self.rows[row] for row in chosen], labels=labels)

    def batches(self) -> Iterator[Tensor]:
        """Read all images in order -> uint8 [b,C,H,W], in batches of up to 256 images and 32 MiB (at least one image).

        Raises DataError. Bad images are reported together, after all images were read.
        """
        per_batch = max(1, min(BATCH, BATCH_BYTES // math.prod(self.shape)))
        pictures = exact_pictures(self.source, self.rows, self.shape)
        while part := list(itertools.islice(pictures, per_batch)):
            yield torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).contiguous()

    def some(self, rows: Sequence[int]) -> Tensor:
        """Read the images at these indices, in this order, with repeats -> uint8 [len(rows),C,H,W]."""
        chosen, positions = np.unique(np.asarray(rows, np.int64), return_inverse=True)
        none = torch.empty((0, *self.shape), dtype=torch.uint8)
        return torch.cat([none, *self.subset(chosen.tolist()).batches()])[torch.from_numpy(positions)]


def open_images(path: Path, shape: Shape | None = None) -> ImageFiles:
    """Open the images in a folder with its subfolders, in a zip, or in an npz.

    shape: the required (C, H, W), C 1 or 3; by default that of the first image. Grey images can be used as colour, and
    colour images as grey if their channels are equal. Hidden files, and grid.png next to other images, are skipped.
    An npz holds uint8 [N,H,W] or [N,H,W,C] named images or arr_0 (or as its only array), and optional int labels [N].
    Raises DataError if there are no images, or if the first one does not have the shape.
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
        wanted = f"{shape[2]}x{shape[1]}"
        raise DataError(
            f"{path} holds {width}x{height} images, but the data is {wanted}; resize them to {wanted} first"
        )
    try:
        match_shape(first, shape)
    except DataError as err:
        raise DataError(f"{path} holds colour images, but the data is grey; convert them to grey first") from err
    return ImageFiles(source, rows, shape, None if source.labels is None else torch.from_numpy(source.labels))


def exact_pictures(source: ImageSource, rows: Sequence[int], shape: Shape | None = None) -> Iterator[Pixels]:
    """Yield the picture uint8 [H,W,C] of each good row; then raise DataError if others are bad or not of the shape."""
    faults = []
    for row in rows:
        try:
            picture = match_shape(resize.decode_exact(source.read(row)), shape)
        except SourceError:
            raise
        except DataError as err:
            faults.append((source.name(row), str(err)))
        else:
            yield picture
    if faults:
        bad = f"{len(faults):,} of {len(rows):,} images in {source.path} cannot be used"
        raise DataError(f"{bad}: {format_faults(faults, MOST_NAMED)}")


def match_shape(picture: Pixels, shape: Shape | None) -> Pixels:
    """Convert a picture uint8 [H,W,1 or 3] to the channels of a shape; None keeps it unchanged. Raises DataError."""
    height, width, channels = picture.shape
    if shape is None or (channels, height, width) == shape:
        return picture
    if (height, width) != shape[1:]:
        raise DataError(f"{width}x{height} pixels instead of {shape[2]}x{shape[1]}; resize it")
    if channels == 1:
        return picture.repeat(3, axis=2)
    if (picture != picture[..., :1]).any():
        raise DataError("colour instead of grey; convert it")
    return picture[..., :1]
