"""The pictures a run shows of itself: frames of fixed latents, samples, and training images in the same layout."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gancli import media
from gancli.config import ModelSpec
from gancli.core import images, latents
from gancli.core.data import batch_indices
from gancli.core.generate import generate
from gancli.core.imageset import ImageSet
from gancli.rundir import RunDir

COLUMNS, ROWS = 10, 8
PICTURE_PX = 600  # pictures are enlarged by a whole factor to about this width


class Gallery:
    """Draws for one run; G is the generator that samples are taken from."""

    def __init__(self, run: RunDir, record: dict[str, Any], spec: ModelSpec, data: ImageSet, G: nn.Module) -> None:
        self.run, self.spec, self.data, self.G = run, spec, data, G
        self.seed: int = record["train"]["seed"]
        self.class_counts: list[int] = record["data"]["class_counts"]
        self.scale = max(1, PICTURE_PX // (COLUMNS * spec.resolution))

    def picture(self) -> npt.NDArray[np.uint8]:
        """The same latents at every point of training, classes in columns when there are some."""
        z = latents.from_seeds(range(COLUMNS * ROWS), self.spec.z_dim)
        return images.grid(generate(self.G, z, self.column_labels()), COLUMNS)

    def column_labels(self) -> Tensor | None:
        if not self.spec.n_classes:
            return None
        present = torch.tensor(self.class_counts).nonzero().flatten()
        return present[torch.arange(COLUMNS * ROWS) % COLUMNS % len(present)]

    def save_frame(self, nimg: int) -> Path:
        path = self.run.frame(nimg)
        media.write_png(path, self.picture())
        return path

    def save_samples(self) -> None:
        media.write_png(self.run.samples, media.enlarge(self.picture(), self.scale))

    def save_reals(self) -> None:
        """Training images in the layout of the samples."""
        labels = self.column_labels()
        chosen = batch_indices(len(self.data.images), self.seed, 0, COLUMNS * ROWS)
        if labels is not None and self.data.labels is not None:
            members = [torch.nonzero(self.data.labels == label).flatten() for label in range(self.spec.n_classes)]
            picks = [(members[label], position // COLUMNS) for position, label in enumerate(labels.tolist())]
            chosen = torch.stack([some[row % len(some)] for some, row in picks])
        picture = images.grid(self.data.images[chosen], COLUMNS)
        media.write_png(self.run.reals, media.enlarge(picture, self.scale))

    def restore(self, nimg: int) -> None:
        """Make again what is missing of the pictures that the present state can give."""
        if not self.run.reals.exists():
            self.save_reals()
        if not self.run.samples.exists():
            self.save_samples()
        if not self.run.frame_paths():
            self.run.frames.mkdir(exist_ok=True)
            self.save_frame(nimg)
