"""The IDX format of MNIST and its relatives: a folder of its files -> a data set, one file read safely."""

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


def load_idx_folder(name: str, folder: Path, class_names: tuple[str, ...] = ()) -> ImageSet:
    """The IDX files of a folder: train-images, and where they exist train-labels, t10k-images, t10k-labels."""
    train = read_idx_split(folder, "train")
    if train is None:
        raise DataError(f"no IDX files in {folder}; expected train-images-idx3-ubyte or train-images-idx3-ubyte.gz")
    return build_image_set(name, train, read_idx_split(folder, "t10k"), class_names)


def read_idx_split(folder: Path, split: str) -> tuple[Tensor, Tensor | None] | None:
    """images uint8 [N,1,H,W] and labels int64 [N] of one split; None if it has no images."""
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
        raise DataError(f"{labels_path} holds {len(labels)} labels for the {len(images)} images of {images_path}")
    return images[:, None], labels.long()


def find_idx_file(folder: Path, split: str, kind: str) -> Path | None:
    """The file of one split ("train", "t10k") and kind ("images-idx3", "labels-idx1"), plain before gzipped.

    Raises DataError if the folder cannot be listed.
    """
    try:
        present = set(os.listdir(folder))
    except OSError as err:
        raise DataError(f"cannot read the folder {folder}: {err.strerror}") from err
    plain = [f"{split}-{kind}-ubyte", f"{split}-{kind.replace('-', '.')}-ubyte"]
    return next((folder / name for name in [*plain, *(f"{name}.gz" for name in plain)] if name in present), None)


def read_idx(path: Path, ndim: int) -> Tensor:
    """The array of one file, gzipped or not (its first bytes tell) -> uint8 with `ndim` dimensions.

    What the header promises is compared with what the file holds while reading, so a wrong header cannot exhaust
    memory. Raises DataError, naming the file, for any other type, number of dimensions or size.
    Source: the format's description at the end of LeCun's MNIST page.
    """
    if not path.is_file():  # a pipe would let us wait for ever
        raise DataError(f"cannot read {path}: it is not a file")
    try:
        with open(path, "rb") as raw:
            is_packed = raw.peek(2)[:2] == b"\x1f\x8b"
            file = gzip.GzipFile(fileobj=raw) if is_packed else raw
            header = file.read(4 + 4 * ndim)
            if len(header) < 4 + 4 * ndim:
                raise DataError(f"{path} is damaged: it ends within its header")
            zero, kind, n_dims, *shape = struct.unpack(f">HBB{ndim}I", header)
            if (zero, kind, n_dims) != (0, UINT8_CODE, ndim):
                raise DataError(f"{path} is not IDX with {ndim} dimensions of bytes: it starts with {header[:4].hex()}")
            size, dims = math.prod(shape), "x".join(map(str, shape))
            if not 0 < size <= LARGEST_BYTES:
                raise DataError(f"{path} cannot be used: its header promises {dims} bytes")
            if is_packed and size > max(SMALL_BYTES, MOST_DEFLATED * path.stat().st_size):
                raise DataError(f"{path} cannot be used: it is packed more than {MOST_DEFLATED} times")
            data = bytearray()
            while chunk := file.read(min(CHUNK_BYTES, size + 1 - len(data))):
                data += chunk
    except (OSError, EOFError, zlib.error) as err:
        reason = err.strerror if isinstance(err, OSError) and err.strerror else err
        raise DataError(f"cannot read {path}: {reason}") from err
    except MemoryError as err:
        raise DataError(f"{path} does not fit into memory: its header promises {dims} bytes") from err
    if len(data) < size:
        raise DataError(f"{path} is cut short: its header promises {dims} bytes, it holds {len(data)}")
    if len(data) > size:
        raise DataError(f"{path} has bytes left over after the {dims} that its header promises")
    return torch.frombuffer(data, dtype=torch.uint8).view(shape)
