"""Images to score, from a model, files or an array."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from gancli.core import rng
from gancli.core.data import image_files
from gancli.core.data.dataset import ImageSet
from gancli.core.distributed import ALONE, World
from gancli.core.networks.model_file import Model
from gancli.core.sampling import latents
from gancli.core.sampling.generate import BATCH, SampleRequest, generate_samples
from gancli.errors import DataError
from gancli.files.scores import Conditions
from gancli.metrics.features import format_image_shape


@dataclass(frozen=True, eq=False)
class FakeImages:
    """Images to score: n of one shape (C, H, W), as a stream of uint8 [b,C,H,W] or chosen by index.

    requested: int64 [n], the class that each image should show, or None. class_names: () if unknown. about: plain
    values that describe where the images come from.
    """

    n: int
    shape: tuple[int, int, int]
    stream: Callable[[], Iterable[Tensor]]
    some: Callable[[Sequence[int]], Tensor]
    requested: Tensor | None = None
    class_names: tuple[str, ...] = ()
    about: Conditions = field(default_factory=dict)


def fakes_from_model(model: Model, n: int, world: World = ALONE) -> FakeImages:
    """Use the images of seeds 0 to n - 1, each in the class of its seed."""
    spec, counts = model.info.spec, model.info.class_counts

    def some(seeds: Sequence[int]) -> Iterator[Tensor]:
        return (batch.pictures for batch in generate_samples(model, SampleRequest(seeds), world))

    return FakeImages(
        n=n,
        shape=(spec.channels, spec.resolution, spec.resolution),
        stream=lambda: some(range(n)),
        some=lambda seeds: torch.cat([*some(seeds)]),
        requested=latents.classes_from_seeds(range(n), counts) if counts else None,
        class_names=model.info.class_names,
        about={"preset": model.info.preset, "nimg": model.info.nimg, "sha256": model.digest},
    )


def fakes_from_files(path: Path, n: int, shape: tuple[int, int, int], seed: int) -> FakeImages:
    """Use at most n images of a folder, zip or npz, chosen at random if there are more. Checks their shape."""
    files = image_files.open_images(path, shape)
    if len(files) > n:
        files = files.subset(draw_numbers(len(files), n, seed))
    return FakeImages(len(files), shape, files.batches, files.some, files.labels)


def draw_numbers(total: int, n: int, seed: int) -> list[int]:
    """Draw n different random numbers below total, in ascending order."""
    return sorted(torch.randperm(total, generator=rng.generator(seed, "files"))[:n].tolist())


def fakes_from_array(pictures: Tensor, n: int, seed: int) -> FakeImages:
    """Use at most n images of uint8 [N,C,H,W] in memory, chosen at random if there are more."""
    if len(pictures) > n:
        pictures = pictures[draw_numbers(len(pictures), n, seed)]

    return FakeImages(
        n=len(pictures),
        shape=(pictures.shape[1], pictures.shape[2], pictures.shape[3]),
        stream=lambda: torch.split(pictures, BATCH),
        some=lambda rows: pictures[torch.tensor(rows)],
    )


def image_shape(data: ImageSet) -> tuple[int, int, int]:
    return data.channels, data.resolution, data.resolution


def check_image_shape(name: str, fakes: FakeImages, data: ImageSet) -> None:
    if fakes.shape != image_shape(data):
        made, wanted = map(format_image_shape, (fakes.shape, image_shape(data)))
        raise DataError(
            f"{name} makes images of {made} (channels, height, width), but those of {data.name} are {wanted}; "
            "choose the images it was trained on with --data"
        )
