"""gancli evaluate: scores of models or images, with the floor of each score."""

from pathlib import Path
from typing import Annotated

import typer

from gancli import platform
from gancli.cli import options as opt
from gancli.cli.completion import complete_names, complete_runs
from gancli.cli.sources import choose_run
from gancli.config import EVALUATION_IMAGES, EXTRACTOR_NAMES, MAX_SEEDS, METRIC_NAMES, format_choices
from gancli.datasets import DATASETS
from gancli.files import outputs
from gancli.files.run_folder import create_numbered

Sources = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="RUN|MODEL|IMAGES",
        help="Run folders, model files, or folders, zips and npz files of images.  [default: the newest run]",
        show_default=False,
        autocompletion=complete_runs,
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="Real images to compare with.  [default: the training data of the model]",
        show_default=False,
        autocompletion=complete_names(DATASETS),
    ),
]
Count = Annotated[
    int, typer.Option("--n", min=1, max=MAX_SEEDS, metavar="N", help="Maximum number of images to score.")
]
Metrics = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        help=f"Metrics to compute, separated by commas: {format_choices(METRIC_NAMES)}.  [default: all]",
        show_default=False,
    ),
]
Features = Annotated[
    str,
    typer.Option("--features", help=f"Feature extractor: auto, {format_choices(EXTRACTOR_NAMES)}."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed that selects the images to compare.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Folder for scores.json and nearest.png.  [default: a new folder in scores/]",
        show_default=False,
    ),
]


def evaluate(
    ctx: typer.Context,
    sources: Sources = None,
    data: Data = None,
    n: Count = EVALUATION_IMAGES,
    only: Metrics = None,
    features: Features = "auto",
    best: opt.Best = False,
    seed: Seed = 0,
    output: Output = None,
    force: opt.Force = False,
    outdir: opt.Outdir = Path("runs"),
    device: opt.ModelDevice = "cpu",
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Score models or images: Frechet distance, KID, precision, recall, classes and memorization, each with its floor.

    The floor is the score that a perfect generator would get. docs/scores.md explains each number.
    """
    names = [name.strip() for name in only.split(",")] if only is not None else None
    from gancli.cli import render, scoretable
    from gancli.core import devices
    from gancli.core.distributed import ALONE
    from gancli.metrics import suite
    from gancli.workflows import evaluation, training

    names = suite.check_metric_names(names)
    where = devices.resolve_device(device)
    chosen: list[Path | None] = [*sources] if sources else [None]
    entries = [
        evaluation.open_scored_source(source or choose_run(None, outdir), outdir, where, best=best) for source in chosen
    ]
    if output is not None:
        outputs.check_not_taken(output, force=force)
    reals = evaluation.load_reals(entries, data)
    render.print_notes(evaluation.evaluation_notes(entries, reals))
    with render.step_progress_bars(quiet=quiet) as track:
        scored = evaluation.evaluate(
            entries, reals, n=n, metrics=names, extractor=features, seed=seed, progress=track, world=ctx.obj or ALONE
        )
    if as_json:
        render.print_json(evaluation.evaluations_to_json(scored))
    else:
        scoretable.print_scores([(each.source.name, each.evaluation) for each in scored])
    places = {entry.place for entry in entries}
    place = places.pop() if len(places) == 1 else Path()
    target = output or create_numbered(place / "scores")
    evaluation.save_evaluations(target, scored, reals)
    run = entries[0].run
    if output is None and run and run.path == place:
        training.refresh_report(run, lambda text: render.print_notes([text]))
    if not as_json:
        render.print_stdout(f"written to {platform.quote(target)}")
