"""Plan and write samples and walks, for `gancli sample`, `gancli interpolate` and gancli.generate."""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from gancli import config
from gancli.config import PathName
from gancli.core.data.load import ignore_progress
from gancli.core.data.pixel_cache import ProgressCallback
from gancli.core.distributed import ALONE, World
from gancli.core.networks import model_file
from gancli.core.networks.model_file import Model, ModelInfo
from gancli.core.sampling import interpolate, write
from gancli.core.sampling.generate import SampleRequest
from gancli.core.sampling.interpolate import Walk
from gancli.core.sampling.write import GridShape, SampleFiles
from gancli.errors import ConfigError
from gancli.files import outputs, provenance
from gancli.files.image_io import MOST_PIXELS, Picture
from gancli.files.provenance import SampleRecord
from gancli.video import gif
from gancli.video.formats import VIDEO_FORMATS

N_SAMPLES, N_SAMPLES_IN_CLASSES = 64, 8  # default number of seeds
MOST_WALKS = 1024
WALK_PX, GRID_PX = 280, 560  # films are enlarged by an integer factor to about this size
PALETTE_FRAMES = 16


class OpenModel(NamedTuple):
    """A model, the file it was read from, and the folder that outputs go under."""

    path: Path
    place: Path
    model: Model


def open_model(path: Path, place: Path, device: torch.device) -> OpenModel:
    return OpenModel(path, place, model_file.load_model(path, device))


def plan_samples(
    info: ModelInfo,
    seeds: Sequence[int] | None,
    n: int | None,
    classes: str | Sequence[str | int] | None,
    trunc: float = 1,
    scale: int = 1,
) -> SampleRequest:
    """Build a request for these seeds, or for seeds 0 to n - 1.

    classes: a list of names or numbers, or a text for ModelInfo.select_classes. Raises ConfigError for unknown classes
    and for numbers out of range.
    """
    if isinstance(classes, str | None):
        labels = info.select_classes(classes)
    else:
        labels = tuple(dict.fromkeys(info.class_index(str(name)) for name in classes))
    if n is None:
        n = N_SAMPLES_IN_CLASSES if len(labels) > 1 else N_SAMPLES
    chosen = range(n) if seeds is None else seeds
    request = SampleRequest(chosen, labels, trunc, scale)
    if len(request) > config.MAX_SEEDS:
        raise ConfigError(f"{len(request):,} images are too many; ask for at most {config.MAX_SEEDS:,}")
    if not len(request) or min(chosen) < 0 or not 0 <= trunc <= config.MAX_TRUNC:
        raise ConfigError(
            f"the number of images must be from 1 to {config.MAX_SEEDS:,}, seeds from 0, and trunc from 0 to "
            f"{config.MAX_TRUNC}"
        )
    write.check_grid_scale(info.spec.resolution, scale)
    return request


def fit_grid(files: SampleFiles, request: SampleRequest, resolution: int) -> SampleFiles:
    """Give the files the grid that was asked for, else the natural one. Raises ConfigError if the images do not fit."""
    cut = not files.ending and files.singles
    return replace(files, grid=write.grid_shape(request, resolution, files.grid, cut=cut))


def write_samples(
    source: OpenModel,
    request: SampleRequest,
    files: SampleFiles,
    output: Path | None,
    *,
    command: str,
    force: bool = False,
    progress: ProgressCallback = ignore_progress,
    world: World = ALONE,
) -> Path:
    """Write the images and return the path. command: the command line, for the record. output: None for a new numbered
    folder."""
    settings: dict[str, object] = {"grid": write.format_grid(files.grid), "scale": request.scale}
    record = record_samples(command, source, request.seeds, request.classes, request.trunc, settings)

    def show(done: int) -> None:
        progress("images", done, len(request))

    with outputs.reserve_output(output, source.place / "samples") as target:
        write.write_samples(target, source.model, request, record, files, force=force, progress=show, world=world)
    return target


def record_samples(
    command: str,
    source: OpenModel,
    seeds: Sequence[int],
    labels: Sequence[int],
    trunc: float,
    settings: dict[str, object],
) -> SampleRecord:
    """Build the record of how these images are made."""
    names = [source.model.info.class_names[label] for label in labels]
    return provenance.make_sample_record(
        command, source.path, source.model.digest, seeds=seeds, classes=names, trunc=trunc, settings=settings
    )


@dataclass(frozen=True)
class WalkFilm:
    """Walks of equal length side by side, each with its own seeds. labels: the chosen classes."""

    source: OpenModel
    walks: list[Walk]
    seeds: list[int]
    labels: list[int]
    grid: GridShape
    trunc: float
    scale: int

    def __len__(self) -> int:
        return len(self.walks[0])

    def frames(self) -> Iterator[Picture]:
        return interpolate.render_walks(self.source.model, self.walks, self.grid[1], self.scale)

    def record(self, command: str, frame_ms: float | None) -> SampleRecord:
        """Build the record of how the film is made. frame_ms: None for a still strip."""
        walk = self.walks[0]
        settings: dict[str, object] = {
            "path": walk.path,
            "frames": walk.segment_frames,
            "loop": walk.is_loop,
            "grid": write.format_grid(self.grid),
            "scale": self.scale,
            "frame_ms": frame_ms,
        }
        return record_samples(command, self.source, self.seeds, self.labels, self.trunc, settings)

    def palette(self) -> Picture | None:
        """Build a palette for a colour GIF from at most PALETTE_FRAMES frames of the walks; None for grey images."""
        if self.source.model.info.spec.channels == 1:
            return None
        coarse = [walk.with_length(PALETTE_FRAMES) for walk in self.walks]
        every = -(-len(coarse[0]) // PALETTE_FRAMES)
        return gif.build_palette(itertools.islice(interpolate.render_walks(self.source.model, coarse), 0, None, every))


def plan_walks(
    source: OpenModel,
    kind: str,
    *,
    seeds: str | None = None,
    n: int | None = None,
    classes: str | None = None,
    path: PathName = "slerp",
    frames: int | None = None,
    total: float | None = None,
    is_loop: bool | None = None,
    grid: GridShape = (1, 1),
    trunc: float = 1,
    scale: int | None = None,
) -> WalkFilm:
    """Plan a walk for each cell of a grid.

    kind: the film's format, a key of VIDEO_FORMATS. seeds: the keys of the walks; None for n seeds per walk, from 0 on.
    classes: a text for ModelInfo.class_indices. frames: from one key to the next. total: frames of the whole film,
    instead of `frames`. scale: zoom factor, None for automatic. Raises ConfigError.
    """
    info, cells, form = source.model.info, math.prod(grid), VIDEO_FORMATS[kind].form
    labels = [] if classes is None else info.class_indices(classes)
    seeds_of_walks = split_seeds(
        seeds, n or (2 if path == "circle" else 1 if len(labels) > 1 else config.WALK_KEYS), cells
    )
    plan = functools.partial(
        interpolate.plan_walk,
        path=path,
        segment_frames=frames or (config.STRIP_FRAMES if form == "strip" else config.WALK_FRAMES),
        is_loop=form != "strip" if is_loop is None else is_loop,
        trunc=trunc,
    )
    walks = [plan(info, some, labels) for some in seeds_of_walks]
    if total is not None:
        walks = [walk.with_length(total) for walk in walks]
    resolution = info.spec.resolution
    scale = scale or (default_scale(grid, resolution) if form == "film" else 1)
    check_walk_size(cells * (resolution * scale) ** 2, len(walks[0]))
    return WalkFilm(source, walks, [seed for some in seeds_of_walks for seed in some], labels, grid, trunc, scale)


def split_seeds(seeds: str | None, n: int, cells: int) -> list[list[int]]:
    """Split the seeds equally between the walks.

    By default the first walk has the seeds 0 to n - 1, the second n to 2n - 1, ...
    """
    if cells > MOST_WALKS or n * cells > config.MAX_SEEDS:
        raise ConfigError(
            f"{cells:,} walks through {n:,} images each are too many; a grid holds at most {MOST_WALKS:,}"
        )
    chosen = range(n * cells) if seeds is None else config.parse_seeds(seeds)
    each, remainder = divmod(len(chosen), cells)
    if remainder:
        raise ConfigError(
            f"{len(chosen)} seeds cannot be split equally between {cells} walks; give a multiple of {cells}"
        )
    return [list(chosen[cell * each : (cell + 1) * each]) for cell in range(cells)]


def default_scale(grid: GridShape, resolution: int) -> int:
    wanted = WALK_PX if grid == (1, 1) else GRID_PX
    return max(1, round(wanted / (max(grid) * resolution)))


def check_walk_size(frame_pixels: int, frames: int) -> None:
    """Raise ConfigError if a film is too long or its frames are too large. Call this before generating images."""
    if frames > config.MAX_FRAMES:
        raise ConfigError(f"{frames:,} frames are too many; a film has at most {config.MAX_FRAMES:,}")
    if frame_pixels > MOST_PIXELS:
        raise ConfigError(f"frames of {frame_pixels:,} pixels are too large; lower --scale or --grid")
