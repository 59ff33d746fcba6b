"""Write samples to files: a grid, single images, or one npz. Memory use does not grow with their number."""

import collections
import io
import math
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

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


def grid_shape(
    request: SampleRequest, resolution: int, asked: GridShape | None = None, *, cut: bool = False
) -> GridShape:
    """Return the rows and columns of a grid: as asked, else those of `natural_grid_shape`.

    cut: if one picture cannot hold all images, use as many full rows as it can hold.
    Raises ConfigError if the images do not fit.
    """
    across = max(1, len(request.classes))
    most = max_grid_images(resolution, request.scale)
    places = math.prod(asked) if asked else len(request.first(most) if cut else request)
    if asked and places < len(request):
        too_small = f"a grid of {format_grid(asked)} does not hold"
        raise ConfigError(f"{too_small} {len(request):,} images; choose a larger one")
    if not 0 < places <= most:
        size = f" of {resolution * request.scale} pixels a side" if most < config.MAX_GRID else ""
        fix = "choose fewer images, --grid none, or an .npz file"
        raise ConfigError(f"a grid holds at most {most} images{size}, got {places or across}; {fix}")
    rows, columns = asked or natural_grid_shape(request.first(places))
    return (rows, columns) if asked or places == len(request) else (places // columns, columns)


def natural_grid_shape(request: SampleRequest) -> GridShape:
    """Return a shape with a row for each seed and a column for each class; about a square without several classes."""
    columns = len(request.classes) if len(request.classes) > 1 else math.ceil(math.sqrt(len(request)))
    return -(-len(request) // columns), columns


def max_grid_images(resolution: int, scale: int) -> int:
    """Return how many images one grid may hold."""
    check_grid_scale(resolution, scale)
    return min(config.MAX_GRID, image_io.MOST_PIXELS // (resolution * scale) ** 2)


def check_grid_scale(resolution: int, scale: int) -> None:
    """Raise ConfigError if one enlarged image is already too large."""
    side = resolution * scale
    if side**2 > image_io.MOST_PIXELS:
        raise ConfigError(f"--scale {scale} makes images of {side}x{side} pixels, which is too large; lower it")


def format_grid(shape: GridShape | None) -> str:
    return f"{shape[0]}x{shape[1]}" if shape else "none"


def compose_grid(made: Sequence[Tensor], shape: GridShape, scale: int) -> Picture:
    """Arrange batches of images [b,C,H,W] in one enlarged grid."""
    rows, columns = shape
    return image_io.enlarge_pixels(images.make_grid(torch.cat([*made]), columns, rows), scale)


@dataclass(frozen=True)
class SampleFiles:
    """The files to write.

    ending: "" for a folder, ".png" or ".webp" for the grid alone, ".npz" for all images in one file.
    grid: rows and columns, None for no grid in a folder or npz. A grid that is too small shows the first images.
    kind: format of the images in a folder; "npz" for images.npz and a grid.png. singles: False for the grid alone.
    """

    ending: Literal["", ".png", ".webp", ".npz"] = ""
    grid: GridShape | None = None
    kind: Literal["png", "webp", "npz"] = "png"
    singles: bool = True


def write_samples(
    path: Path,
    model: Model,
    request: SampleRequest,
    record: SampleRecord,
    files: SampleFiles,
    *,
    force: bool = False,
    progress: Callable[[int], None] = lambda done: None,
    world: World = ALONE,
) -> None:
    """Generate images and write them to files. progress: called with the number of images done.

    record: how the images are made. It is saved inside PNGs, and in a file next to other formats.
    """
    shown = request.first(math.prod(files.grid) if files.grid else 0)
    needed = request if files.singles or files.ending else shown
    kept: list[Tensor] = []
    made = watch_samples(generate_samples(model, needed, world), kept, len(shown), progress)
    if not files.ending:
        with outputs.create_output_folder(path, record, force=force) as folder:
            fill_folder(folder, made, kept, model.info, request, record, files)
        return
    is_png = files.ending == ".png"
    with outputs.create_output_file(path, None if is_png else record, force=force) as file:
        if files.ending == ".npz":
            fill_npz(file, made, model.info, request)
        else:
            collections.deque(made, maxlen=0)
            file.write(encode_grid(kept, files, request, record, path))


def watch_samples(
    made: Iterable[SampleBatch], kept: list[Tensor], most: int, progress: Callable[[int], None]
) -> Iterator[SampleBatch]:
    """Pass batches on, keep the first `most` images in `kept`, and report progress."""
    n = 0
    for batch in made:
        if n < most:
            kept.append(batch.pictures[: most - n])
        n += len(batch.pictures)
        yield batch
        progress(n)


def encode_grid(
    made: Sequence[Tensor], files: SampleFiles, request: SampleRequest, record: SampleRecord, path: Path
) -> bytes:
    assert files.grid, "a grid has rows and columns"
    picture = compose_grid(made, files.grid, request.scale)
    return image_io.encode_picture(picture, path, provenance.record_to_text(record))


def fill_folder(
    folder: Path,
    made: Iterator[SampleBatch],
    kept: list[Tensor],
    info: ModelInfo,
    request: SampleRequest,
    record: SampleRecord,
    files: SampleFiles,
) -> None:
    """Write the grid, and single images or images.npz. kept: receives the images of the grid while `made` is read."""
    if files.singles and files.kind == "npz":
        with open(folder / "images.npz", "wb") as npz:
            fill_npz(npz, made, info, request)
    elif files.singles:
        items = single_image_items(made, folder, info, request, record, files.kind)
        collections.deque(image_io.write_pictures(items), maxlen=0)
    else:
        collections.deque(made, maxlen=0)
    if files.grid:
        seeds = request.first(math.prod(files.grid)).seeds
        own = provenance.single_image_record(record, seeds, record.classes, grid=format_grid(files.grid))
        path = folder / ("grid.webp" if files.kind == "webp" else "grid.png")
        path.write_bytes(encode_grid(kept, files, request, own, path))


def single_image_items(
    made: Iterable[SampleBatch], folder: Path, info: ModelInfo, request: SampleRequest, record: SampleRecord, kind: str
) -> Iterator[tuple[Path, Picture, Mapping[str, str]]]:
    """Yield path, pixels and record of each image: seed0007.png, or with several classes seed0007-class3.png."""
    for seeds, pictures, labels in made:
        for i, picture in enumerate(images.to_hwc(pictures)):
            ending = f"-class{labels[i]}" if labels and len(request.classes) > 1 else ""
            classes = [info.class_names[labels[i]]] if labels else []
            own = provenance.single_image_record(record, [seeds[i]], classes, grid="1x1")
            file = folder / f"seed{seeds[i]:04d}{ending}.{kind}"
            yield file, image_io.enlarge_pixels(picture, request.scale), provenance.record_to_text(own)


def fill_npz(file: IO[bytes], made: Iterable[SampleBatch], info: ModelInfo, request: SampleRequest) -> None:
    """Write images uint8 [N,H,W,C], seeds int64 [N] and, if conditional, labels int64 [N]."""
    side = info.spec.resolution * request.scale
    seeds: list[int] = []
    labels: list[int] = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("images.npy", "w", force_zip64=True) as entry:
            shape = (len(request), side, side, info.spec.channels)
            np.lib.format.write_array_header_1_0(entry, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for batch in made:
                for picture in images.to_hwc(batch.pictures):  # a batch of enlarged ones may not fit into memory
                    entry.write(image_io.enlarge_pixels(picture, request.scale).tobytes())
                seeds += batch.seeds
                labels += batch.labels or []
        for name, values in {"seeds": seeds, "labels": labels}.items():
            if values:
                array = io.BytesIO()
                np.save(array, np.asarray(values, np.int64), allow_pickle=False)
                archive.writestr(f"{name}.npy", array.getvalue())
