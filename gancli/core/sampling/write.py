"""Samples of a model as files: a grid, single pictures, or one npz. Memory does not grow with their number."""

import dataclasses
import io
import math
import zipfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gancli import config
from gancli.core import images
from gancli.core.networks.model_file import Model, ModelInfo
from gancli.core.sampling.generate import generate_from_seeds
from gancli.errors import ConfigError
from gancli.files import image_io, outputs, provenance
from gancli.files.image_io import Picture
from gancli.files.provenance import SampleRecord

GridShape = tuple[int, int]  # rows, columns
SampleBatch = tuple[
    Sequence[int], Tensor, list[int] | None
]  # seeds, native uint8 [b,C,H,W], classes of a conditional model


@dataclass(frozen=True)
class SampleRequest:
    """Which pictures, in order: every seed in each of the classes, side by side; without classes, in its own."""

    seeds: Sequence[int]
    classes: tuple[int, ...] = ()
    trunc: float = 1
    scale: int = 1

    def __len__(self) -> int:
        return len(self.seeds) * max(1, len(self.classes))

    def first(self, n: int) -> "SampleRequest":
        """The pictures of the first seeds, as many as make n pictures."""
        return dataclasses.replace(self, seeds=self.seeds[: n // max(1, len(self.classes))])


def generate_samples(model: Model, draw: SampleRequest) -> Iterator[SampleBatch]:
    several = len(draw.classes)
    seeds = [seed for seed in draw.seeds for _ in range(several)] if several > 1 else draw.seeds
    labels = list(draw.classes) * len(draw.seeds) if several else None
    for some, pictures, classes in generate_from_seeds(model, seeds, labels, trunc=draw.trunc):
        yield some, pictures, None if classes is None else classes.tolist()


def grid_shape(draw: SampleRequest, resolution: int, asked: GridShape | None = None, *, cut: bool = False) -> GridShape:
    """Rows and columns of a grid: as asked, else the natural ones.

    cut: where all would be too much for one picture, as many full rows as it may hold.
    Raises ConfigError for what does not fit.
    """
    across = max(1, len(draw.classes))
    most = max_grid_images(resolution, draw.scale)
    places = math.prod(asked) if asked else len(draw.first(most) if cut else draw)
    if asked and places < len(draw):
        raise ConfigError(f"a grid of {asked[0]}x{asked[1]} does not hold {len(draw):,} images; ask for a larger one")
    if not 0 < places <= most:
        size = f" of {resolution * draw.scale} pixels a side" if most < config.MAX_GRID else ""
        instead = "ask for fewer, or for --grid none, or write an .npz"
        raise ConfigError(f"a grid holds at most {most} images{size}, asked for {places or across}; {instead}")
    rows, columns = asked or natural_grid_shape(draw.first(places))
    return (rows, columns) if asked or places == len(draw) else (places // columns, columns)


def natural_grid_shape(draw: SampleRequest) -> GridShape:
    """A row for each seed and a column for each class, or a square where there are not several classes."""
    columns = len(draw.classes) if len(draw.classes) > 1 else math.ceil(math.sqrt(len(draw)))
    return -(-len(draw) // columns), columns


def max_grid_images(resolution: int, scale: int) -> int:
    """How many pictures one grid may hold."""
    check_grid_scale(resolution, scale)
    return min(config.MAX_GRID, image_io.MOST_PIXELS // (resolution * scale) ** 2)


def check_grid_scale(resolution: int, scale: int) -> None:
    """Raises ConfigError where not even one picture is of a size that can be handled."""
    side = resolution * scale
    if side**2 > image_io.MOST_PIXELS:
        raise ConfigError(f"--scale {scale} makes pictures of {side}x{side} pixels, more than can be handled; lower it")


def format_grid(shape: GridShape | None) -> str:
    return f"{shape[0]}x{shape[1]}" if shape else "none"


def compose_grid(made: Sequence[Tensor], shape: GridShape, scale: int) -> Picture:
    """Pictures [b,C,H,W] -> one, each pixel enlarged."""
    rows, columns = shape
    return image_io.enlarge_pixels(images.make_grid(torch.cat([*made]), columns, rows), scale)


def write_sample_grid(
    path: Path, model: Model, draw: SampleRequest, record: SampleRecord, shape: GridShape, *, force: bool = False
) -> Generator[int, None, None]:
    """One PNG or, by the ending, WebP; yields how many images are done."""
    with outputs.create_output_file(path, None if path.suffix.lower() == ".png" else record, force=force) as file:
        made: list[Tensor] = []
        for _, pictures, _ in generate_samples(model, draw):
            made.append(pictures)
            yield sum(map(len, made))
        file.write(
            image_io.encode_picture(compose_grid(made, shape, draw.scale), path, provenance.record_to_text(record))
        )


@dataclass(frozen=True)
class FolderParts:
    """What a folder holds: a grid of this shape or none, and single pictures or none.

    kind: "png", "webp", or "npz" for single pictures in one file beside a grid.png.
    """

    shape: GridShape | None
    kind: str = "png"
    singles: bool = True


def write_sample_folder(
    path: Path, model: Model, draw: SampleRequest, record: SampleRecord, parts: FolderParts, *, force: bool = False
) -> Generator[int, None, None]:
    """grid.png, single pictures or images.npz, and provenance.json; yields how many images are done.

    Where the grid does not hold all, it shows the first.
    """
    shown = draw.first(math.prod(parts.shape) if parts.shape else 0)
    kept: list[Tensor] = []
    with outputs.create_output_folder(path, record, force=force) as folder:
        made = keep_first(generate_samples(model, draw if parts.singles else shown), kept, len(shown))
        if not parts.singles:
            yield from (sum(map(len, kept)) for _ in made)
        elif parts.kind == "npz":
            with open(folder / "images.npz", "wb") as npz:
                yield from fill_sample_npz(npz, made, model.info, draw)
        else:
            yield from image_io.write_pictures(single_image_items(made, folder, model.info, draw, record, parts.kind))
        if parts.shape:
            text = provenance.record_to_text(
                provenance.single_image_record(record, shown.seeds, record.classes, grid=format_grid(parts.shape))
            )
            file = folder / ("grid.webp" if parts.kind == "webp" else "grid.png")
            file.write_bytes(image_io.encode_picture(compose_grid(kept, parts.shape, draw.scale), file, text))


def keep_first(made: Iterable[SampleBatch], kept: list[Tensor], most: int) -> Iterator[SampleBatch]:
    """Hand on what is made, and keep the first pictures."""
    n = 0
    for some, pictures, classes in made:
        if n < most:
            kept.append(pictures[: most - n])
        n += len(pictures)
        yield some, pictures, classes


def single_image_items(
    made: Iterable[SampleBatch], folder: Path, info: ModelInfo, draw: SampleRequest, record: SampleRecord, kind: str
) -> Iterator[tuple[Path, Picture, Mapping[str, str]]]:
    """seed0007.png, or seed0007-class3.png where seeds come in several classes; each with a record of its own."""
    for seeds, pictures, classes in made:
        for i, picture in enumerate(images.to_hwc(pictures)):
            ending = f"-class{classes[i]}" if classes and len(draw.classes) > 1 else ""
            own = provenance.single_image_record(
                record, [seeds[i]], [info.class_names[classes[i]]] if classes else [], grid="1x1"
            )
            file = folder / f"seed{seeds[i]:04d}{ending}.{kind}"
            yield file, image_io.enlarge_pixels(picture, draw.scale), provenance.record_to_text(own)


def write_sample_npz(
    path: Path, model: Model, draw: SampleRequest, record: SampleRecord, *, force: bool = False
) -> Generator[int, None, None]:
    """A lone npz, what made it beside it; yields how many images are done."""
    with outputs.create_output_file(path, record, force=force) as file:
        yield from fill_sample_npz(file, generate_samples(model, draw), model.info, draw)


def fill_sample_npz(
    file: IO[bytes], made: Iterable[SampleBatch], info: ModelInfo, draw: SampleRequest
) -> Iterator[int]:
    """images uint8 [N,H,W,C], seeds int64 [N] and, if conditional, labels int64 [N]; yields how many are done."""
    side = info.spec.resolution * draw.scale
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        seeds: list[int] = []
        labels: list[int] = []
        with archive.open("images.npy", "w", force_zip64=True) as entry:
            write_npy_header(entry, (len(draw), side, side, info.spec.channels))
            for some, pictures, classes in made:
                if draw.scale == 1:
                    entry.write(images.to_hwc(pictures).tobytes())
                else:  # one by one: a batch of large ones may not fit in memory
                    for picture in images.to_hwc(pictures):
                        entry.write(image_io.enlarge_pixels(picture, draw.scale).tobytes())
                seeds += some
                labels += classes or []
                yield len(seeds)
        archive.writestr("seeds.npy", npy_bytes(np.asarray(seeds, np.int64)))
        if labels:
            archive.writestr("labels.npy", npy_bytes(np.asarray(labels, np.int64)))


def write_npy_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    header: dict[str, Any] = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def npy_bytes(array: npt.NDArray[np.int64]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
