"""gancli animate: the film of a training, or of several side by side."""

import shlex
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gancli import provenance
from gancli.cli import options as opt
from gancli.config import parse_seconds
from gancli.errors import ConfigError
from gancli.report.timing import FilmOptions, frame_ms
from gancli.rundir import RunDir, check_free, newest, numbered

if TYPE_CHECKING:
    from gancli.media import Picture

STANDARD = FilmOptions()
SMALLER = "fewer pictures (--rows 4) or frames (--every 2) make it smaller, and so does -o x.mp4"


def animate(
    ctx: typer.Context,
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN", help="Run folders, shown side by side; left out, the newest run.", show_default=False
        ),
    ] = None,
    fps: Annotated[float, typer.Option("--fps", help="Frames a second.")] = STANDARD.fps,
    duration: Annotated[
        str | None,
        typer.Option("--duration", help="Length without the hold, such as 8s; instead of --fps.", show_default=False),
    ] = None,
    hold: Annotated[str, typer.Option("--hold", help="How long the last frame stays.")] = f"{STANDARD.hold_s:g}s",
    every: Annotated[
        int, typer.Option("--every", min=1, help="Show every so many-th frame, and the last.")
    ] = STANDARD.every,
    rows: Annotated[
        int | None,
        typer.Option("--rows", min=1, help="Only so many rows of pictures: a smaller film.", show_default=False),
    ] = STANDARD.rows,
    caption: Annotated[
        bool, typer.Option("--caption/--no-caption", help="Name the run and the images seen below.")
    ] = STANDARD.caption,
    plots: Annotated[
        bool, typer.Option("--plots/--no-plots", help="Let loss, accuracy and score grow with the pictures.")
    ] = STANDARD.plots,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="x.gif, .webp, .mp4, .png (a strip) or a folder of frames; left out, progress.gif of the run is made "
            "anew, and several runs go to films/.",
            show_default=False,
        ),
    ] = None,
    force: opt.Force = False,
    outdir: opt.Outdir = Path("runs"),
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Make a film of how runs learned, from the frames in their folders.

    It needs no model. Several runs are aligned by images seen; one that ended earlier keeps its last frame.
    """
    if duration is not None and opt.given(ctx, "fps"):
        raise ConfigError("--fps and --duration exclude each other; give one")
    options = FilmOptions(
        fps=fps,
        duration_s=None if duration is None else parse_seconds(duration),
        hold_s=parse_seconds(hold),
        every=every,
        rows=rows,
        caption=caption,
        plots=plots,
    )
    from gancli import films
    from gancli.cli import render
    from gancli.report import film as reports

    kind = ".gif" if output is None else films.film_kind(output)
    if output is not None:
        check_free(output, force=force)
    runs = [RunDir.find(source, outdir) for source in sources] if sources else [newest(outdir)]
    if not sources:
        render.notes([f"using the newest run, {runs[0].path}"])
    film = reports.plan(runs, options)
    shown_fps = 1000 / frame_ms(fps)
    is_timed = kind not in ("", ".png")
    if is_timed and opt.given(ctx, "fps") and abs(shown_fps / fps - 1) > 0.01:
        render.notes([f"frames last whole hundredths of a second: {fps:g} a second become {shown_fps:.3g}"])

    target = output or (runs[0].film if len(runs) == 1 else numbered(Path("films"), "side-by-side.gif"))
    made = provenance.FilmRecord.make(opt.typed(ctx), [run.path.resolve().name for run in runs], film.moments)
    with render.tracker(quiet=quiet) as track:
        frames = counted(film.frames(film.moments), lambda done: track("frames", done, len(film.moments)))
        films.write_film(
            target,
            frames,
            film.durations_ms,
            palette=film.palette() if kind == ".gif" else None,
            text=provenance.to_text(made),
            force=force,
        )
    if kind == "":
        provenance.write_sidecar(target, made)
    elif note := films.size_note(target, SMALLER):
        render.notes([note])
    seconds = sum(film.durations_ms) / 1000 if is_timed else None
    if as_json:
        names = [str(run.path) for run in runs]
        render.print_json({"runs": names, "frames": len(film.moments), "seconds": seconds, "output": str(target)})
    else:
        size = f", {seconds:g} s, {target.stat().st_size / 1e6:.2g} MB" if seconds is not None else ""
        render.stdout_line(f"{len(film.moments)} frames{size}: {shlex.quote(str(target))}")


def counted(frames: "Iterable[Picture]", tell: Callable[[int], None]) -> "Iterator[Picture]":
    for done, frame in enumerate(frames, start=1):
        yield frame
        tell(done)
