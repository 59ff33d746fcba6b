"""Samples of a model as files: a grid, single pictures, or one npz. Memory does not grow with their number."""

import math
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from gancli import config
from gancli.core import images
from gancli.core.distributed import ALONE, World
from gancli.core.networks.model_file import Model, ModelInfo
from gancli.core.sampling.generate import SampleBatch, SampleRequest, generate_samples
from gancli.errors import ConfigError
from gancli.files import image_io, outputs, provenance
from gancli.files.image_io import Picture
from gancli.files.provenance import SampleRecord

GridShape = tuple[int, int]  # rows, columns


def ignore_count(_: int) -> None: ...


def grid_shape(
    request: SampleRequest, resolution: int, asked: GridShape | None = None, *, cut: bool = False
) -> GridShape:
    """Rows and columns of a grid: as asked, else the natural ones.

    cut: where all would be too much for one picture, as many full rows as it may hold.
    Raises ConfigError for what does not fit.
    """
    across = max(1, len(request.classes))
    most = max_grid_images(resolution, request.scale)
    places = math.prod(asked) if asked else len(request.first(most) if cut else request)
    if asked and places < len(request):
        raise ConfigError(
            f"a grid of {asked[0]}x{asked[1]} does not hold {len(request):,} images; ask for a larger one"
        )
    if not 0 < places <= most:
        size = f" of {resolution * request.scale} pixels a side" if most < config.MAX_GRID else ""
        instead = "ask for fewer, or for --grid none, or write an .npz"
        raise ConfigError(f"a grid holds at most {most} images{size}, asked for {places or across}; {instead}")
    rows, columns = asked or natural_grid_shape(request.first(places))
    return (rows, columns) if asked or places == len(request) else (places // columns, columns)


def natural_grid_shape(request: SampleRequest) -> GridShape:
    """A row for each seed and a column for each class, or a square where there are not several classes."""
    columns = len(request.classes) if len(request.classes) > 1 else math.ceil(math.sqrt(len(request)))
    return -(-len(request) // columns), columns


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
    path: Path,
    model: Model,
    request: SampleRequest,
    record: SampleRecord,
    shape: GridShape,
    *,
    force: bool = False,
    progress: Callable[[int], None] = ignore_count,
    world: World = ALONE,
) -> None:
    """One PNG or, by the ending, WebP. progress is told how many images are done, here and below."""
    with outputs.create_output_file(path, None if path.suffix.lower() == ".png" else record, force=force) as file:
        made: list[Tensor] = []
        for batch in generate_samples(model, request, world):
            made.append(batch.pictures)
            progress(sum(map(len, made)))
        text = provenance.record_to_text(record)
        file.write(image_io.encode_picture(compose_grid(made, shape, request.scale), path, text))


@dataclass(frozen=True)
class FolderParts:
    """What a folder holds: a grid of this shape or none, and single pictures or none.

    kind: "png", "webp", or "npz" for single pictures in one file beside a grid.png.
    """

    shape: GridShape | None
    kind: str = "png"
    singles: bool = True


def write_sample_folder(
    path: Path,
    model: Model,
    request: SampleRequest,
    record: SampleRecord,
    parts: FolderParts,
    *,
    force: bool = False,
    progress: Callable[[int], None] = ignore_count,
    world: World = ALONE,
) -> None:
    """grid.png, single pictures or images.npz, and provenance.json.

    Where the grid does not hold all, it shows the first.
    """
    shown = request.first(math.prod(parts.shape) if parts.shape else 0)
    kept: list[Tensor] = []
    with outputs.create_output_folder(path, record, force=force) as folder:
        made = keep_first(generate_samples(model, request if parts.singles else shown, world), kept, len(shown))
        if not parts.singles:
            for _ in made:
                progress(sum(map(len, kept)))
        elif parts.kind == "npz":
            with open(folder / "images.npz", "wb") as npz:
                fill_sample_npz(npz, made, model.info, request, progress)
        else:
            items = single_image_items(made, folder, model.info, request, record, parts.kind)
            for done in image_io.write_pictures(items):
                progress(done)
        if parts.shape:
            own = provenance.single_image_record(record, shown.seeds, record.classes, grid=format_grid(parts.shape))
            file = folder / ("grid.webp" if parts.kind == "webp" else "grid.png")
            picture = compose_grid(kept, parts.shape, request.scale)
            file.write_bytes(image_io.encode_picture(picture, file, provenance.record_to_text(own)))


def keep_first(made: Iterable[SampleBatch], kept: list[Tensor], most: int) -> Iterator[SampleBatch]:
    """Hand on what is made, and keep the first pictures."""
    n = 0
    for batch in made:
        if n < most:
            kept.append(batch.pictures[: most - n])
        n += len(batch.pictures)
        yield batch


def single_image_items(
    made: Iterable[SampleBatch], folder: Path, info: ModelInfo, request: SampleRequest, record: SampleRecord, kind: str
) -> Iterator[tuple[Path, Picture, Mapping[str, str]]]:
    """seed0007.png, or seed0007-class3.png where seeds come in several classes; each with a record of its own."""
    for seeds, pictures, labels in made:
        for i, picture in enumerate(images.to_hwc(pictures)):
            ending = f"-class{labels[i]}" if labels and len(request.classes) > 1 else ""
            classes = [info.class_names[labels[i]]] if labels else []
            own = provenance.single_image_record(record, [seeds[i]], classes, grid="1x1")
            file = folder / f"seed{seeds[i]:04d}{ending}.{kind}"
            yield file, image_io.enlarge_pixels(picture, request.scale), provenance.record_to_text(own)


def write_sample_npz(
    path: Path,
    model: Model,
    request: SampleRequest,
    record: SampleRecord,
    *,
    force: bool = False,
    progress: Callable[[int], None] = ignore_count,
    world: World = ALONE,
) -> None:
    """A lone npz, what made it beside it."""
    with outputs.create_output_file(path, record, force=force) as file:
        fill_sample_npz(file, generate_samples(model, request, world), model.info, request, progress)


def fill_sample_npz(
    file: IO[bytes],
    made: Iterable[SampleBatch],
    info: ModelInfo,
    request: SampleRequest,
    progress: Callable[[int], None],
) -> None:
    """images uint8 [N,H,W,C], seeds int64 [N] and, if conditional, labels int64 [N]."""
    side = info.spec.resolution * request.scale
    seeds: list[int] = []
    labels: list[int] = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("images.npy", "w", force_zip64=True) as entry:
            shape = (len(request), side, side, info.spec.channels)
            np.lib.format.write_array_header_1_0(entry, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for batch in made:
                for picture in images.to_hwc(batch.pictures):  # one by one: a batch of large ones may not fit in memory
                    entry.write(image_io.enlarge_pixels(picture, request.scale).tobytes())
                seeds += batch.seeds
                labels += batch.labels or []
                progress(len(seeds))
        for name, values in {"seeds": seeds, "labels": labels}.items():
            if values:
                with archive.open(f"{name}.npy", "w") as entry:
                    np.lib.format.write_array(entry, np.asarray(values, np.int64), allow_pickle=False)
