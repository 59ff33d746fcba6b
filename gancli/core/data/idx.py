"""Read IDX files, the format of MNIST: a whole folder, or one file."""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

from gancli.core.data.archive import MOST_DEFLATED, SMALL_BYTES
from gancli.core.data.dataset import ImageSet, build_image_set
from gancli.errors import DataError

UINT8_CODE = 8
CHUNK_BYTES = 1 << 20
LARGEST_BYTES = 1 << 34
REPLACE_HINT = "copy or download it again"


def load_idx_folder(name: str, folder: Path, class_names: tuple[str, ...] = ()) -> ImageSet:
    """Load the IDX files of a folder: train-images and, if present, train-labels, t10k-images and t10k-labels."""
    train = read_idx_split(folder, "train")
    if train is None:
        raise DataError(f"no IDX files in {folder}; put train-images-idx3-ubyte or train-images-idx3-ubyte.gz there")
    return build_image_set(name, train, read_idx_split(folder, "t10k"), class_names)


def read_idx_split(folder: Path, split: str) -> tuple[Tensor, Tensor | None] | None:
    """Read images uint8 [N,1,H,W] and labels int64 [N] of one split; None if it has no images file."""
    images_path, labels_path = (
        find_idx_file(folder, split, "images-idx3"),
        find_idx_file(folder, split, "labels-idx1"),
    )
    if images_path is None:
        return None
    images = read_idx(images_path, ndim=3)
    if labels_path is None:
        return images[:, None], None
    labels = read_idx(labels_path, ndim=1)
    if len(labels) != len(images):
        raise DataError(
            f"{labels_path} holds {len(labels)} labels for {len(images)} images in {images_path}; use files of one set"
        )
    return images[:, None], labels.long()


def find_idx_file(folder: Path, split: str, kind: str) -> Path | None:
    """Find the file of a split ("train", "t10k") and kind ("images-idx3", "labels-idx1"); prefer plain to .gz.

    Raises DataError if the folder cannot be listed.
    """
    try:
        present = set(os.listdir(folder))
    except OSError as err:
        raise DataError(f"cannot read the folder {folder}: {err.strerror}; make it readable") from err
    plain = [f"{split}-{kind}-ubyte", f"{split}-{kind.replace('-', '.')}-ubyte"]
    return next((folder / name for name in [*plain, *(f"{name}.gz" for name in plain)] if name in present), None)


def read_idx(path: Path, ndim: int) -> Tensor:
    """Read the array of one file, plain or gzipped (detected by its first bytes) -> uint8 with `ndim` dimensions.

    Memory grows only with the data actually read, so a wrong header cannot exhaust it. Raises DataError, naming the
    file, if its type, number of dimensions or size is wrong.
    Source: the format's description at the end of LeCun's MNIST page.
    """
    if not path.is_file():  # reading a pipe could block forever
        raise DataError(f"{path} is not a regular file; {REPLACE_HINT}")
    try:
        with open(path, "rb") as raw:
            is_packed = raw.peek(2)[:2] == b"\x1f\x8b"
            file = gzip.GzipFile(fileobj=raw) if is_packed else raw
            header = file.read(4 + 4 * ndim)
            if len(header) < 4 + 4 * ndim:
                raise DataError(f"{path} is damaged: it ends within its header; {REPLACE_HINT}")
            zero, kind, n_dims, *shape = struct.unpack(f">HBB{ndim}I", header)
            if (zero, kind, n_dims) != (0, UINT8_CODE, ndim):
                raise DataError(
                    f"{path} is not an IDX file of bytes with {ndim} dimensions: it starts with {header[:4].hex()}; "
                    f"{REPLACE_HINT}"
                )
            size, dims = math.prod(shape), "x".join(map(str, shape))
            if not 0 < size <= LARGEST_BYTES:
                raise DataError(f"{path} is empty or too large: its header declares {dims} bytes; {REPLACE_HINT}")
            if is_packed and size > max(SMALL_BYTES, MOST_DEFLATED * path.stat().st_size):
                raise DataError(
                    f"{path} is compressed by a factor of more than {MOST_DEFLATED}; unpack it yourself if you trust it"
                )
            data = bytearray()
            while chunk := file.read(min(CHUNK_BYTES, size + 1 - len(data))):
                data += chunk
    except (OSError, EOFError, zlib.error) as err:
        if isinstance(err, OSError) and err.strerror:
            raise DataError(f"cannot read {path}: {err.strerror}; make it readable") from err
        raise DataError(f"cannot read {path}: {err}; {REPLACE_HINT}") from err
    except MemoryError as err:
        raise DataError(f"{path} does not fit into memory: its header declares {dims} bytes; use fewer images") from err
    if len(data) < size:
        raise DataError(f"{path} is truncated: its header declares {dims} bytes, it holds {len(data)}; {REPLACE_HINT}")
    if len(data) > size:
        raise DataError(
            f"{path} is damaged: it holds more than the {dims} bytes that its header declares; {REPLACE_HINT}"
        )
    return torch.frombuffer(data, dtype=torch.uint8).view(shape)
