"""Download and read CIFAR-10 in its binary version."""

import hashlib
import io
import os
import tarfile
import urllib.request
from pathlib import Path

import torch
from torch import Tensor

from gancli.core.data.dataset import ImageSet, build_image_set
from gancli.errors import DataError
from gancli.files.cache import DownloadError, cache_folder, fetch_dataset

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
MOST_BYTES = 200_000_000  # the archive has 162 MiB
TIMEOUT_S = 10.0

RECORD_BYTES = 1 + 3 * 32 * 32  # a label, then the red, the green and the blue plane, row by row
IMAGES_PER_FILE = 10_000
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILE = "test_batch.bin"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_cifar10() -> ImageSet:
    """Load CIFAR-10 from the cache or the network."""
    try:
        folder = fetch_dataset("cifar10", "CIFAR-10", download_cifar10)
    except DownloadError as err:
        where = cache_folder() / "cifar10"
        raise DataError(f"{err}; get cifar-10-binary.tar.gz and put its six .bin files into {where}") from err
    try:
        return load_cifar10_folder(folder)
    except DataError as err:
        raise DataError(f"{err}; delete {folder} to download it again") from err


def load_cifar10_folder(folder: Path) -> ImageSet:
    """Load a folder of the six .bin files. Raises DataError naming the bad file."""
    parts = [read_cifar10_file(folder / name) for name in TRAIN_FILES]
    images, labels = (torch.cat(some) for some in zip(*parts, strict=True))
    return build_image_set("cifar10", (images, labels), read_cifar10_file(folder / TEST_FILE), CLASSES)


def read_cifar10_file(path: Path) -> tuple[Tensor, Tensor]:
    """Read images uint8 [N,3,32,32] and labels int64 [N] from one file; N is at most 10,000.

    Source: the description of the binary version on the CIFAR-10 page.
    """
    try:
        with open(path, "rb") as file:
            data = bytearray(file.read(IMAGES_PER_FILE * RECORD_BYTES + 1))
    except OSError as err:
        raise DataError(f"cannot read {path}: {err.strerror}") from err
    if not data or len(data) % RECORD_BYTES:
        raise DataError(
            f"{path} is damaged: its size is not 1 to {IMAGES_PER_FILE:,} records of {RECORD_BYTES:,} bytes"
        )
    records = torch.frombuffer(data, dtype=torch.uint8).view(-1, RECORD_BYTES)
    labels = records[:, 0].long()
    if labels.max() >= len(CLASSES):
        raise DataError(
            f"{path} is damaged: it holds the label {int(labels.max())}, but there are only {len(CLASSES)} classes"
        )
    return records[:, 1:].reshape(-1, 3, 32, 32), labels


def download_cifar10(root: Path) -> Path:
    """Download the archive, verify it, and unpack its six files into a folder below root. Raises OSError."""
    with urllib.request.urlopen(URL, timeout=TIMEOUT_S) as answer:
        archive = answer.read(MOST_BYTES + 1)
    if hashlib.md5(archive, usedforsecurity=False).hexdigest() != MD5:
        raise OSError(f"received {len(archive):,} bytes that are not the archive, perhaps from a proxy or login page")
    folder = root / "files"
    folder.mkdir()
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for name in (*TRAIN_FILES, TEST_FILE):
            (folder / name).write_bytes(find_archive_member(tar, f"cifar-10-batches-bin/{name}"))
    return folder


def find_archive_member(tar: tarfile.TarFile, name: str) -> bytes:
    """Return the content of one file of an archive. Raises OSError if it does not hold 10,000 images."""
    try:
        file = tar.extractfile(name)
    except KeyError:
        file = None
    content = file.read(IMAGES_PER_FILE * RECORD_BYTES + 1) if file else b""
    if len(content) != IMAGES_PER_FILE * RECORD_BYTES:
        raise OSError(f"{os.path.basename(name)} in the archive is missing or does not hold {IMAGES_PER_FILE:,} images")
    return content
