"""gancli interpolate: films that walk from picture to picture."""

import dataclasses
import itertools
import shlex
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gancli import config, provenance
from gancli.cli import options as opt
from gancli.cli.sources import find_model
from gancli.errors import ConfigError
from gancli.rundir import atomic_folder, check_free, numbered

if TYPE_CHECKING:
    from gancli.core.modelfile import Model
    from gancli.core.walks import Walk
    from gancli.media import Picture

FILM = "walk.gif"
MOST_FRAMES, MOST_WALKS = 20_000, 1024
FRAMES, STRIP_FRAMES = 60, 8
KEYS = 5
WALK_PX, GRID_PX = 280, 560  # films are enlarged by a whole factor to about this size
PALETTE_FRAMES = 32
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
    fps: Annotated[int, typer.Option("--fps", min=1, max=50, help="Frames per second.")] = 20,
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
        typer.Option(
            "--output", "-o", help="x.gif, x.webp, x.mp4, x.png (a strip) or DIR (frames).", show_default=False
        ),
    ] = None,
    best: opt.Best = False,
    force: opt.Force = False,
    outdir: opt.Outdir = Path("runs"),
    device: Annotated[str, typer.Option("--device", help="Where to compute.", metavar=opt.DEVICES)] = "cpu",
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Film a walk from picture to picture, passing each exactly as `gancli sample` shows it."""
    if n is not None and seeds is not None:
        raise ConfigError("--n and --seeds exclude each other; give one")
    if frames is not None and duration is not None:
        raise ConfigError("--frames and --duration exclude each other; give one")
    if path == "circle" and loop is False:
        raise ConfigError("a circle always closes; leave --no-loop out")
    rows, columns = config.parse_grid(grid)
    from gancli import films
    from gancli.cli import render
    from gancli.core import devices, modelfile, walks

    kind = ".gif" if output is None else films.film_kind(output)
    is_film = kind not in ("", ".png")
    is_loop = path == "circle" or (kind != ".png" if loop is None else loop)
    step_ms = frame_ms(kind, fps)
    model_path, place = find_model(source, outdir, best=best)
    if source is None:
        render.notes([f"using the newest run, {model_path.parent}"])
    model = modelfile.load(model_path, devices.resolve(device))
    classes = [] if class_name is None else model.info.class_indices(class_name)
    dealt = deal(seeds, n or (2 if path == "circle" else 1 if len(classes) > 1 else KEYS), rows * columns)
    keys = len(dealt[0]) if len(dealt[0]) > 1 else max(1, len(classes))
    if duration is not None:
        frames = segment_frames(config.parse_seconds(duration), step_ms, keys - (not is_loop))
    frames = frames or (STRIP_FRAMES if kind == ".png" else FRAMES)
    scale = scale or (visible_scale(rows, columns, model.info.spec.resolution) if is_film else 1)
    check_size(rows * columns * (model.info.spec.resolution * scale) ** 2, keys * frames)
    some = [
        walks.plan(model.info, cell, classes, path=path, frames=frames, is_loop=is_loop, trunc=trunc) for cell in dealt
    ]
    record = provenance.make(
        opt.typed(ctx),
        model_path,
        model.digest,
        seeds=[seed for cell in dealt for seed in cell],
        classes=[model.info.class_names[label] for label in classes],
        trunc=trunc,
        settings={
            "path": path,
            "frames": frames,
            "loop": is_loop,
            "grid": f"{rows}x{columns}",
            "scale": scale,
            "frame_ms": step_ms if is_film else None,
        },
    )
    if output is not None:
        check_free(output, force=force)
    if output is not None and is_film:
        check_free(provenance.sidecar(output), force=force)
    if kind == ".gif" and step_ms * fps != 1000:
        render.notes([f"a GIF counts hundredths of a second: {1000 / step_ms:.4g} frames a second instead of {fps}"])

    film, n_frames = output or numbered(place / "walks") / FILM, len(some[0])
    with render.tracker(quiet=quiet) as track:
        stream = counted(walks.pictures(model, some, columns, scale), lambda done: track("frames", done, n_frames))
        colours = palette(model, some) if kind == ".gif" else None
        save(film, stream, [step_ms] * n_frames, colours, record, in_new_folder=output is None, force=force)
    if kind and (note := films.size_note(film, "fewer frames, a lower --scale or a smaller --grid make it smaller")):
        render.notes([note])
    if as_json:
        render.print_json({**dataclasses.asdict(record), "n": n_frames, "output": str(film)})
    else:
        length = f", {n_frames * step_ms / 1000:.3g} s" if is_film else ""
        render.stdout_line(f"{n_frames} frames{length}: {shlex.quote(str(film))}")


def save(
    film: Path,
    frames: "Iterable[Picture]",
    durations_ms: Sequence[int],
    colours: "Picture | None",
    record: provenance.Record,
    *,
    in_new_folder: bool,
    force: bool,
) -> None:
    """Write the film and what made it; a strip carries that in its text."""
    from gancli import films

    text = provenance.to_text(record)
    if in_new_folder:
        with atomic_folder(film.parent) as folder:
            films.write_film(folder / film.name, frames, durations_ms, palette=colours, text=text)
            provenance.write_sidecar(folder, record)
    else:
        films.write_film(film, frames, durations_ms, palette=colours, text=text, force=force)
        if films.film_kind(film) != ".png":
            provenance.write_sidecar(film, record)


def deal(seeds: str | None, n: int, cells: int) -> list[list[int]]:
    """The seeds of each walk of a grid: those given, or n from 0 on for the first, the next n for the second, ..."""
    if cells > MOST_WALKS or n * cells > config.MAX_SEEDS:
        raise ConfigError(f"{cells:,} walks past {n:,} pictures each are too many; a grid holds at most {MOST_WALKS:,}")
    chosen = range(n * cells) if seeds is None else config.parse_seeds(seeds)
    each, left_over = divmod(len(chosen), cells)
    if left_over:
        raise ConfigError(f"{len(chosen)} seeds cannot be shared out to {cells} walks; give as many to each of them")
    return [list(chosen[cell * each : (cell + 1) * each]) for cell in range(cells)]


def frame_ms(kind: str, fps: int) -> int:
    """How long a frame lasts; GIF counts hundredths of a second."""
    return round(100 / fps) * 10 if kind == ".gif" else round(1000 / fps)


def segment_frames(seconds: float, step_ms: int, segments: int) -> int:
    """Frames from one key to the next, so that all segments are alike and the film comes closest to its length."""
    if not seconds:
        raise ConfigError("--duration must be above 0")
    return max(1, round(seconds * 1000 / step_ms / max(1, segments)))


def visible_scale(rows: int, columns: int, resolution: int) -> int:
    wanted = WALK_PX if rows * columns == 1 else GRID_PX
    return max(1, round(wanted / (max(rows, columns) * resolution)))


def check_size(frame_pixels: int, frames: int) -> None:
    """Refuse what would never end, or not fit in memory, before anything is generated."""
    if frames > MOST_FRAMES:
        raise ConfigError(f"{frames:,} frames are too many; a film has at most {MOST_FRAMES:,}")
    from gancli.media import MOST_PIXELS

    if frame_pixels > MOST_PIXELS:
        raise ConfigError(f"frames of {frame_pixels:,} pixels are too large; lower --scale or --grid")


def palette(model: "Model", some: "Sequence[Walk]") -> "Picture | None":
    """Of a GIF in colour: one that suits the whole way, not only its first frames."""
    from gancli.core import walks
    from gancli.films import gif

    if model.info.spec.channels == 1:
        return None
    coarse = [dataclasses.replace(walk, frames=4) for walk in some]
    return gif.palette_of(itertools.islice(walks.pictures(model, coarse), PALETTE_FRAMES))


def counted(frames: "Iterable[Picture]", show: Callable[[int], None]) -> "Iterator[Picture]":
    """Hand on what is made, and say how much it was."""
    for done, frame in enumerate(frames, start=1):
        yield frame
        show(done)
