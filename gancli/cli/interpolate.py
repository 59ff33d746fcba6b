"""gancli interpolate: films that move from image to image through latent space."""

import dataclasses
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gancli import config
from gancli.cli import filming
from gancli.cli import options as opt
from gancli.cli.completion import complete_classes
from gancli.cli.sources import choose_model
from gancli.errors import ConfigError
from gancli.video.formats import VIDEO_FORMATS, output_help

if TYPE_CHECKING:
    from gancli.workflows.sampling import WalkFilm

SIZE_ADVICE = "to make it smaller, lower --frames, --scale or --grid"

Seeds = Annotated[
    str | None, typer.Option("--seeds", help="Seeds to visit, such as 3,7,12.  [default: 0 to N-1]", show_default=False)
]
Count = Annotated[
    int | None,
    typer.Option(
        "--n",
        min=1,
        metavar="N",
        help=f"Number of seeds to visit: 0 to N-1.  [default: {config.WALK_KEYS}]",
        show_default=False,
    ),
]
Classes = Annotated[
    str | None,
    typer.Option(
        "--class",
        help="One class for all seeds, or a list such as 1,7: one class per seed, in order. With one seed, only "
        "the class changes.  [default: depends on the seed]",
        show_default=False,
        autocompletion=complete_classes,
    ),
]
WalkPath = Annotated[
    config.PathName,
    typer.Option(
        "--path",
        help="Path between latents: slerp (arc), lerp (straight line), or circle (closed, through two seeds).",
        metavar="|".join(typing.get_args(config.PathName)),
    ),
]
Frames = Annotated[
    int | None,
    typer.Option(
        "--frames",
        min=1,
        max=config.MAX_FRAMES,
        help=f"Frames from one seed to the next.  [default: {config.WALK_FRAMES}; {config.STRIP_FRAMES} for a strip]",
        show_default=False,
    ),
]
Duration = Annotated[
    str | None,
    typer.Option(
        "--duration",
        help="Length of the film, such as 6s; replaces --frames.  [default: depends on --frames and --fps]",
        show_default=False,
    ),
]
Loop = Annotated[
    bool | None,
    typer.Option(
        "--loop/--no-loop",
        help="Return to the first image.  [default: loop for films, no-loop for strips]",
        show_default=False,
    ),
]
Grid = Annotated[
    str,
    typer.Option(
        "--grid", help="Layout of several walks in one film; each walk has its own seeds.", metavar="ROWSxCOLUMNS"
    ),
]
Scale = Annotated[
    int | None,
    typer.Option(
        "--scale",
        min=1,
        max=config.MAX_SCALE,
        help="Zoom factor.  [default: automatic for films, else 1]",
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help=f"Output: {output_help()}.  [default: a new GIF in walks/]", show_default=False
    ),
]


def interpolate(
    ctx: typer.Context,
    source: opt.Source = None,
    seeds: Seeds = None,
    n: Count = None,
    class_name: Classes = None,
    path: WalkPath = "slerp",
    frames: Frames = None,
    duration: Duration = None,
    fps: opt.Fps = 20,
    loop: Loop = None,
    grid: Grid = "1x1",
    trunc: opt.Trunc = 1,
    scale: Scale = None,
    output: Output = None,
    best: opt.Best = False,
    force: opt.Force = False,
    outdir: opt.Outdir = Path("runs"),
    device: opt.ModelDevice = "cpu",
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Make a film that moves from seed to seed through latent space. Each seed looks exactly as in `gancli sample`."""
    opt.check_exclusive(n=n, seeds=seeds)
    opt.check_exclusive(frames=frames, duration=duration)
    if path == "circle" and loop is False:
        raise ConfigError("--path circle always loops; remove --no-loop")
    shape = config.parse_grid(grid)
    kind = filming.output_kind(output)
    from gancli.core import devices
    from gancli.video.timing import frame_ms
    from gancli.workflows import sampling

    step_ms = frame_ms(kind, fps)
    total = None if duration is None else parse_walk_duration(duration) * 1000 / step_ms
    opened = sampling.open_model(*choose_model(source, outdir, best=best), devices.resolve_device(device))
    walk = sampling.plan_walks(
        opened,
        kind,
        seeds=seeds,
        n=n,
        classes=class_name,
        path=path,
        frames=frames,
        total=total,
        is_loop=loop,
        grid=shape,
        trunc=trunc,
        scale=scale,
    )
    filming.note_rounded_rate(kind, fps, step_ms)
    film = film_output(walk, opt.canonical_command(ctx), kind, step_ms)
    default = opened.place / "walks" / "walk.gif"
    filming.write_film_output(film, output, default, force=force, quiet=quiet, as_json=as_json)


def film_output(walk: "WalkFilm", command: str, kind: str, step_ms: float) -> filming.FilmOutput:
    from gancli.video import timing

    record = walk.record(command, step_ms if VIDEO_FORMATS[kind].form == "film" else None)
    return filming.FilmOutput(
        frames=walk.frames(),
        durations_ms=timing.round_durations(len(walk), step_ms, kind),
        palette=walk.palette,
        record=record,
        about=dataclasses.asdict(record),
        smaller=SIZE_ADVICE,
    )


def parse_walk_duration(duration: str) -> float:
    if not (seconds := config.parse_seconds(duration)):
        raise ConfigError("--duration must be above 0")
    return seconds
