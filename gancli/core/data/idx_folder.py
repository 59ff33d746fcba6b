"""A folder of IDX files -> a data set."""

from pathlib import Path

from torch import Tensor

from gancli.core.data import idx
from gancli.core.data.dataset import ImageSet, build_image_set
from gancli.errors import DataError


def load_idx_folder(name: str, folder: Path, class_names: tuple[str, ...] = ()) -> ImageSet:
    """The IDX files of a folder: train-images, and where they exist train-labels, t10k-images, t10k-labels."""
    train = read_idx_split(folder, "train")
    if train is None:
        raise DataError(f"no IDX files in {folder}; expected train-images-idx3-ubyte or train-images-idx3-ubyte.gz")
    return build_image_set(name, train, read_idx_split(folder, "t10k"), class_names)


def read_idx_split(folder: Path, split: str) -> tuple[Tensor, Tensor | None] | None:
    """images uint8 [N,1,H,W] and labels int64 [N] of one split; None if it has no images."""
    images_path, labels_path = (
        idx.find_idx_file(folder, split, "images-idx3"),
        idx.find_idx_file(folder, split, "labels-idx1"),
    )
    if images_path is None:
        return None
    images = idx.read_idx(images_path, ndim=3)
    if labels_path is None:
        return images[:, None], None
    labels = idx.read_idx(labels_path, ndim=1)
    if len(labels) != len(images):
        raise DataError(f"{labels_path} holds {len(labels)} labels for the {len(images)} images of {images_path}")
    return images[:, None], labels.long()
