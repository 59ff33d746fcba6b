"""gancli interpolate: films that walk from picture to picture."""

import dataclasses
import itertools
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gancli import config
from gancli.cli import filming
from gancli.cli import options as opt
from gancli.cli.sources import choose_model
from gancli.errors import ConfigError
from gancli.files import provenance
from gancli.video.formats import VIDEO_FORMATS, output_help

if TYPE_CHECKING:
    from gancli.core.networks.model_file import Model
    from gancli.core.sampling.interpolate import Walk
    from gancli.files.image_io import Picture

SIZE_ADVICE = "fewer frames, a lower --scale or a smaller --grid make it smaller"
MOST_FRAMES, MOST_WALKS = 20_000, 1024
FRAMES, STRIP_FRAMES = 60, 8
KEYS = 5
WALK_PX, GRID_PX = 280, 560  # films are enlarged by a whole factor to about this size
PALETTE_FRAMES = 16
PATHS = "|".join(typing.get_args(config.PathName))


def interpolate(
    ctx: typer.Context,
    source: opt.Source = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", help="The pictures to pass, such as 3,7,12.", show_default=False)
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            "--n", min=1, help=f"How many pictures to pass, seeds 0 to N-1; left out, {KEYS}.", show_default=False
        ),
    ] = None,
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class",
            help="One class for all, or several, such as 1,7, to walk between: one seed passes through them all, "
            "several take them in turn. Left out, each seed has one of its own.",
            show_default=False,
        ),
    ] = None,
    path: Annotated[
        config.PathName,
        typer.Option(
            "--path",
            help="Along great circles (slerp), straight lines, or all the way round the circle through two seeds.",
            metavar=PATHS,
        ),
    ] = "slerp",
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames",
            min=1,
            max=MOST_FRAMES,
            help=f"From one picture to the next; left out, {FRAMES}, in a strip {STRIP_FRAMES}.",
            show_default=False,
        ),
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--duration", help="Of the whole film, such as 6s.", show_default=False)
    ] = None,
    fps: opt.Fps = 20,
    loop: Annotated[
        bool | None,
        typer.Option(
            "--loop/--no-loop",
            help="Walk back to the first; left out, films do and strips do not.",
            show_default=False,
        ),
    ] = None,
    grid: Annotated[
        str,
        typer.Option("--grid", help="Many walks at once; each takes the next seeds.", metavar="ROWSxCOLUMNS"),
    ] = "1x1",
    trunc: opt.Trunc = 1,
    scale: Annotated[
        int | None,
        typer.Option(
            "--scale",
            min=1,
            max=config.MAX_SCALE,
            help="Enlarge every pixel to a square of so many; left out, as many as make a film easy to see, else 1.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help=f"{output_help()}.", show_default=False),
    ] = None,
    best: opt.Best = False,
    force: opt.Force = False,
    outdir: opt.Outdir = Path("runs"),
    device: opt.ModelDevice = "cpu",
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Film a walk from picture to picture, passing each exactly as `gancli sample` shows it."""
    opt.check_exclusive(n=n, seeds=seeds)
    opt.check_exclusive(frames=frames, duration=duration)
    if path == "circle" and loop is False:
        raise ConfigError("a circle always closes; leave --no-loop out")
    rows, columns = config.parse_grid(grid)
    kind = filming.output_kind(output)
    form = VIDEO_FORMATS[kind].form
    from gancli.core import devices
    from gancli.core.networks import model_file
    from gancli.core.sampling import interpolate as walks
    from gancli.video import timing

    step_ms = timing.frame_ms(kind, fps)
    wanted = None if duration is None else parse_walk_duration(duration) * 1000 / step_ms
    model_path, place = choose_model(source, outdir, best=best)
    model = model_file.load_model(model_path, devices.resolve_device(device))
    classes = [] if class_name is None else model.info.class_indices(class_name)
    dealt = split_seeds(seeds, n or (2 if path == "circle" else 1 if len(classes) > 1 else KEYS), rows * columns)
    is_loop = form != "strip" if loop is None else loop
    frames = frames or (STRIP_FRAMES if form == "strip" else FRAMES)
    some = [
        walks.plan_walk(model.info, cell, classes, path=path, segment_frames=frames, is_loop=is_loop, trunc=trunc)
        for cell in dealt
    ]
    some = some if wanted is None else [walk.with_length(wanted) for walk in some]
    resolution = model.info.spec.resolution
    scale = scale or (default_scale(rows, columns, resolution) if form == "film" else 1)
    check_walk_size(rows * columns * (resolution * scale) ** 2, len(some[0]))
    filming.note_rounded_rate(kind, fps, step_ms)
    record = provenance.make_sample_record(
        opt.canonical_command(ctx),
        model_path,
        model.digest,
        seeds=[seed for cell in dealt for seed in cell],
        classes=[model.info.class_names[label] for label in classes],
        trunc=trunc,
        settings={
            "path": path,
            "frames": some[0].segment_frames,
            "loop": some[0].is_loop,
            "grid": f"{rows}x{columns}",
            "scale": scale,
            "frame_ms": step_ms if form == "film" else None,
        },
    )
    film = filming.FilmOutput(
        frames=walks.render_walks(model, some, columns, scale),
        durations_ms=timing.round_durations(len(some[0]), step_ms, kind),
        palette=lambda: sample_palette(model, some),
        record=record,
        about=dataclasses.asdict(record),
        smaller=SIZE_ADVICE,
    )
    filming.write_film_output(film, output, place / "walks" / "walk.gif", force=force, quiet=quiet, as_json=as_json)


def split_seeds(seeds: str | None, n: int, cells: int) -> list[list[int]]:
    """The seeds of each walk of a grid: those given, or n from 0 on for the first, the next n for the second, ..."""
    if cells > MOST_WALKS or n * cells > config.MAX_SEEDS:
        raise ConfigError(f"{cells:,} walks past {n:,} pictures each are too many; a grid holds at most {MOST_WALKS:,}")
    chosen = range(n * cells) if seeds is None else config.parse_seeds(seeds)
    each, left_over = divmod(len(chosen), cells)
    if left_over:
        raise ConfigError(f"{len(chosen)} seeds cannot be shared out to {cells} walks; give as many to each of them")
    return [list(chosen[cell * each : (cell + 1) * each]) for cell in range(cells)]


def parse_walk_duration(duration: str) -> float:
    if not (seconds := config.parse_seconds(duration)):
        raise ConfigError("--duration must be above 0")
    return seconds


def default_scale(rows: int, columns: int, resolution: int) -> int:
    wanted = WALK_PX if rows * columns == 1 else GRID_PX
    return max(1, round(wanted / (max(rows, columns) * resolution)))


def check_walk_size(frame_pixels: int, frames: int) -> None:
    """Refuse what would never end, or not fit in memory, before anything is generated."""
    if frames > MOST_FRAMES:
        raise ConfigError(f"{frames:,} frames are too many; a film has at most {MOST_FRAMES:,}")
    from gancli.files.image_io import MOST_PIXELS

    if frame_pixels > MOST_PIXELS:
        raise ConfigError(f"frames of {frame_pixels:,} pixels are too large; lower --scale or --grid")


def sample_palette(model: "Model", some: "Sequence[Walk]") -> "Picture | None":
    """Of a GIF in colour: one that suits frames from all over the walks, at most PALETTE_FRAMES."""
    from gancli.core.sampling import interpolate as walks
    from gancli.video import gif

    if model.info.spec.channels == 1:
        return None
    coarse = [walk.with_length(PALETTE_FRAMES) for walk in some]
    every = -(-len(coarse[0]) // PALETTE_FRAMES)
    return gif.build_palette(itertools.islice(walks.render_walks(model, coarse), 0, None, every))
