"""gancli animate: a film of one training run, or of several side by side."""

from pathlib import Path
from typing import Annotated

import typer

from gancli.cli import filming
from gancli.cli import options as opt
from gancli.cli.completion import complete_runs
from gancli.cli.sources import choose_runs
from gancli.config import parse_seconds
from gancli.files import provenance
from gancli.video.formats import output_help
from gancli.video.timing import FilmOptions, frame_ms

DEFAULT_FILM = FilmOptions()
SIZE_ADVICE = "to make it smaller, show fewer images (--rows 4) or frames (--every 2), or write -o x.mp4"

Duration = Annotated[
    str | None,
    typer.Option(
        "--duration",
        help="Length of the film without the --hold time, such as 8s; replaces --fps.  [default: depends on --fps]",
        show_default=False,
    ),
]
Hold = Annotated[str, typer.Option("--hold", help="Display time of the last frame.")]
Every = Annotated[int, typer.Option("--every", min=1, metavar="N", help="Show every N-th frame and the last.")]
Rows = Annotated[
    int | None, typer.Option("--rows", min=1, help="Number of image rows to show.  [default: all]", show_default=False)
]
Caption = Annotated[
    bool, typer.Option("--caption/--no-caption", help="Show the run name and the number of images seen.")
]
Plots = Annotated[
    bool,
    typer.Option("--plots/--no-plots", help="Add curves of loss, accuracy and score up to the current frame."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help=f"Output: {output_help()}.  [default: progress.gif of the run, overwritten; for several runs or with "
        "other options, a new film in films/]",
        show_default=False,
    ),
]


def animate(
    ctx: typer.Context,
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN",
            help="Run folders to show side by side.  [default: the newest run]",
            show_default=False,
            autocompletion=complete_runs,
        ),
    ] = None,
    fps: opt.Fps = DEFAULT_FILM.fps,
    duration: Duration = None,
    hold: Hold = f"{DEFAULT_FILM.hold_s:g}s",
    every: Every = DEFAULT_FILM.every,
    rows: Rows = DEFAULT_FILM.rows,
    caption: Caption = DEFAULT_FILM.caption,
    plots: Plots = DEFAULT_FILM.plots,
    output: Output = None,
    force: opt.Force = False,
    outdir: opt.Outdir = Path("runs"),
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Make a film of training from the frames in run folders.

    It needs no model. Several runs are aligned by images seen; a shorter run shows its last frame until the end.
    """
    opt.check_exclusive(fps=fps if opt.was_given(ctx, "fps") else None, duration=duration)
    kind = filming.output_kind(output)
    options = FilmOptions(
        fps=fps,
        duration_s=None if duration is None else parse_seconds(duration),
        hold_s=parse_seconds(hold),
        every=every,
        rows=rows,
        caption=caption,
        plots=plots,
        kind=kind,
    )
    from gancli.report.film import plan_film

    runs = choose_runs(sources, outdir)
    plan = plan_film(runs, options)
    if duration is None:
        filming.note_rounded_rate(kind, fps, frame_ms(kind, fps))
    is_standard = output is None and len(runs) == 1 and options == DEFAULT_FILM
    names = [run.path.resolve().name for run in runs]
    film = filming.FilmOutput(
        frames=plan.frames(plan.moments),
        durations_ms=plan.durations_ms,
        palette=plan.palette,
        record=None if is_standard else provenance.FilmRecord.make(opt.canonical_command(ctx), names, plan.moments),
        about={"runs": [str(run.path) for run in runs]},
        smaller=SIZE_ADVICE,
    )
    if is_standard:
        output, force = runs[0].film, True
    default = (runs[0].path if len(runs) == 1 else Path()) / "films" / runs[0].film.name
    filming.write_film_output(film, output, default, force=force, quiet=quiet, as_json=as_json)
