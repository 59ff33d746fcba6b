"""Pictures of a run: frames from fixed latents, samples, and training images in the same layout."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gancli import config as configs
from gancli.core import images, rng
from gancli.core.data.dataset import ImageSet
from gancli.core.data.load import batch_indices
from gancli.core.sampling import latents
from gancli.core.sampling.generate import generate
from gancli.core.training import augment
from gancli.errors import RunError
from gancli.files import image_io
from gancli.files.cache import cache_folder
from gancli.files.run_config import RunConfig
from gancli.files.run_folder import RunDir

COLUMNS, ROWS = 10, 8
PICTURE_PX = 600  # pictures are enlarged by an integer factor to about this width


class ImageLogger:
    """Draws the pictures of one run. G: the generator that makes the samples."""

    def __init__(self, run: RunDir, record: RunConfig, data: ImageSet, G: nn.Module) -> None:
        self.run, self.data, self.G = run, data, G
        self.seed, self.z_dim, self.class_counts = record.train.seed, record.train.z_dim, record.data.class_counts
        self.scale = picture_scale(record.data.resolution)

    def picture(self) -> npt.NDArray[np.uint8]:
        """Return a grid of samples with the classes of `grid_labels`; the latents are the same throughout the run."""
        z = latents.latents_from_seeds(range(COLUMNS * ROWS), self.z_dim)
        return images.make_grid(generate(self.G, z, self.labels()), COLUMNS)

    def labels(self) -> Tensor | None:
        return grid_labels(self.class_counts)

    def save_frame(self, nimg: int) -> Path:
        path = self.run.frame(nimg)
        image_io.write_png(path, self.picture())
        return path

    def save_samples(self) -> None:
        image_io.write_png(self.run.samples, image_io.enlarge_pixels(self.picture(), self.scale))

    def save_reals(self) -> None:
        """Save training images in the layout of the samples."""
        chosen = select_per_class(self.data, self.labels(), self.seed)
        picture = images.make_grid(self.data.images[chosen], COLUMNS)
        image_io.write_png(self.run.reals, image_io.enlarge_pixels(picture, self.scale))

    def restore(self, nimg: int) -> None:
        """Write the training images again if they are missing, and a frame if there is none."""
        if not self.run.reals.exists():
            self.save_reals()
        if not self.run.frame_paths():
            self.run.frames.mkdir(exist_ok=True)
            self.save_frame(nimg)


def picture_scale(resolution: int) -> int:
    return max(1, PICTURE_PX // (COLUMNS * resolution))


def grid_labels(class_counts: Sequence[int]) -> Tensor | None:
    """Return the class of each cell of a grid, int64 [80]; None without classes.

    One class per column if there are enough columns, else the classes of seeds 0 to 79.
    """
    if not class_counts:
        return None
    present = torch.tensor(class_counts).nonzero().flatten()
    if len(present) > COLUMNS:
        return latents.classes_from_seeds(range(COLUMNS * ROWS), class_counts)
    return present[torch.arange(COLUMNS * ROWS) % COLUMNS % len(present)]


def select_per_class(data: ImageSet, labels: Tensor | None, seed: int) -> Tensor:
    """Choose the first training images, with these classes if any are given -> indices int64 [80]."""
    if labels is None or data.labels is None:
        return batch_indices(len(data.images), seed, 0, COLUMNS * ROWS)
    order = batch_indices(len(data.images), seed, 0, len(data.images))
    members = {label: itertools.cycle(order[data.labels[order] == label]) for label in set(labels.tolist())}
    return torch.stack([next(members[label]) for label in labels.tolist()])


def augmented_examples(record: RunConfig, data: ImageSet) -> npt.NDArray[np.uint8]:
    """Return a grid of training images as D sees them, with the classes of `grid_labels`.

    They are mirrored, shifted with the highest probability of the run, and augmented with the initial strength.
    """
    train = record.train

    def named_draws(name: str) -> torch.Generator:
        return rng.generator(train.seed, f"as shown {name}")

    chosen = select_per_class(data, grid_labels(record.data.class_counts), train.seed)
    x = images.to_float(data.images[chosen])
    if train.mirror:
        x = augment.mirror_images(x, torch.rand(len(x), generator=named_draws("mirror")) < 0.5)
    names, fill = configs.parse_augment(train.augment), augment.border_level(data.images)
    x = augment.augment_for_discriminator(x, train.shift, names, train.augment_strength, fill, named_draws)
    return images.make_grid(images.to_uint8(x), COLUMNS)


def save_preview(name: str, picture: npt.NDArray[np.uint8], resolution: int) -> str | None:
    """Save a grid as a PNG in the cache folder. Returns its path, None if it cannot be written."""
    path = cache_folder() / "previews" / f"{name}.png"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image_io.write_png(path, image_io.enlarge_pixels(picture, picture_scale(resolution)))
    except (OSError, RunError):
        return None
    return str(path)
