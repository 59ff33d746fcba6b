"""gancli evaluate: how good is a model, or any folder of images, beside what a perfect one would get."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gancli.cli import options as opt
from gancli.cli.sources import choose_model
from gancli.config import EVALUATION_IMAGES, MAX_SEEDS
from gancli.errors import ConfigError
from gancli.files import outputs
from gancli.files.find_model import find_run_of_model, is_image_source
from gancli.files.run_folder import SCORES_NAME, atomic_files, create_numbered

if TYPE_CHECKING:
    import torch

    from gancli.core.data.dataset import ImageSet
    from gancli.core.distributed import World
    from gancli.core.networks.model_file import Model
    from gancli.files.scores import Evaluation
    from gancli.workflows.evaluation import FakeImages


def evaluate(
    ctx: typer.Context,
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN|MODEL|IMAGES",
            help="Run folders, model files, or images in a folder, a zip or an npz; left out, the newest run.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", help="Real images to score against; left out, those of the model.", show_default=False),
    ] = None,
    n: Annotated[
        int, typer.Option("--n", min=1, max=MAX_SEEDS, help="How many images to score, at most.")
    ] = EVALUATION_IMAGES,
    only: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            help="Only some of frechet, kid, prdc, classes, fidelity, modes, memorization, diversity.",
            show_default=False,
        ),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            "--features",
            help="What the scores look through: auto, digits, fashion, stacked-digits, random, inception.",
        ),
    ] = "auto",
    best: opt.Best = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides which images are compared.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for scores.json and pictures.", show_default=False)
    ] = None,
    force: opt.Force = False,
    outdir: opt.Outdir = Path("runs"),
    device: opt.ModelDevice = "cpu",
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Score models or images: Frechet distance, KID, precision, recall, classes, copies, each beside its floor.

    The floor is what a perfect generator would get. docs/metrics.md says what each number means.
    """
    names = [name.strip() for name in only.split(",")] if only is not None else None
    from gancli.cli import render, scoretable
    from gancli.core import devices
    from gancli.core.data import load as datasets
    from gancli.core.distributed import ALONE
    from gancli.metrics import suite
    from gancli.workflows import evaluation, training

    world = ctx.obj or ALONE
    names = suite.check_metric_names(names)
    chosen: list[Path | None] = [*sources] if sources else [None]
    entries = [open_scored_source(source, outdir, best, devices.resolve_device(device), world) for source in chosen]
    if output is not None:
        outputs.check_not_taken(output, force=force)
    images = load_training_data_of(entries) if data is None else datasets.load_dataset(data)
    render.print_notes(
        images.report.skipped if images.report else images.notes
    )  # what was done to pictures, training has said
    for entry in entries:
        if entry.model and entry.model.info.data["digest"] != images.digest:
            render.print_notes(
                [f"{entry.name} was trained on other images, so scores of copying say nothing about its own"]
            )

    with render.step_progress_bars(quiet=quiet) as track:
        against = evaluation.build_reference(images, features, seed=seed, progress=track, world=world)
        fakes = [
            evaluation.fakes_from_model(entry.model, n)
            if entry.model
            else evaluation.fakes_from_files(entry.path, n, evaluation.image_shape(images), seed)
            for entry in entries
        ]
        for entry, some in zip(entries, fakes, strict=True):
            evaluation.check_image_shape(entry.name, some, images)
        found = [evaluation.score_images(against, some, images, only=names, progress=track) for some in fakes]

    shown = [{"source": e.name, **result.to_json()} for e, result in zip(entries, found, strict=True)]
    record = shown[0] if len(shown) == 1 else {"models": shown}
    if as_json:
        render.print_json(record)
    else:
        scoretable.print_scores([(entry.name, result) for entry, result in zip(entries, found, strict=True)])
    place = common_output_folder(entries)
    target = output or create_numbered(place / "scores")
    save_scores(target, record, entries, fakes, found, images)
    run = find_run_of_model(entries[0].path)
    if output is None and run and run.path == place:
        training.refresh_report(run, lambda text: render.print_notes([text]))
    if not as_json:
        render.print_stdout(f"written to {shlex.quote(str(target))}")


@dataclass(frozen=True)
class ScoredSource:
    """One thing to score: a model file, or (model is None) images; outputs go below place."""

    name: str
    path: Path
    place: Path
    model: "Model | None"


def save_scores(
    target: Path,
    record: dict[str, Any],
    entries: list[ScoredSource],
    fakes: "list[FakeImages]",
    found: "list[Evaluation]",
    images: "ImageSet",
) -> None:
    """scores.json and the nearest pairs of each entry, over those of an evaluation that is there already."""
    from gancli.workflows import evaluation

    before = target.glob("nearest*.png") if (target / SCORES_NAME).is_file() else ()
    old = {path for path in before if re.fullmatch(r"nearest(-\d+)?\.png", path.name) and path.is_file()}
    drawn = set()
    with atomic_files(target) as folder:
        (folder / SCORES_NAME).write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        for number, (entry, some, result) in enumerate(zip(entries, fakes, found, strict=True), start=1):
            name = "nearest.png" if len(entries) == 1 else f"nearest-{number}.png"
            title = f"most like training images · {entry.name}"
            if evaluation.draw_nearest_pairs(folder / name, result, some, images, title):
                drawn.add(name)
    for path in old:
        if path.name not in drawn:  # it belonged to the scores that are overwritten
            path.unlink()


def open_scored_source(
    source: Path | None, outdir: Path, best: bool, device: "torch.device", world: "World"
) -> ScoredSource:
    from gancli.core.networks import model_file

    if source is not None and is_image_source(source):
        if best:
            raise ConfigError(f"--best chooses between the models of a run, and {source} holds images; leave it out")
        return ScoredSource(str(source), source, Path(), None)
    path, place = choose_model(source, outdir, best=best)
    return ScoredSource(
        f"{source or place}{' (best)' if best else ''}", path, place, model_file.load_model(path, device, world)
    )


def common_output_folder(entries: list[ScoredSource]) -> Path:
    """The run's folder if all are of one run, else the current one."""
    places = {entry.place for entry in entries}
    return places.pop() if len(places) == 1 else Path()


def load_training_data_of(entries: list[ScoredSource]) -> "ImageSet":
    """The data set that the models were trained on; it must be one."""
    from gancli.workflows import evaluation

    found = evaluation.load_data_of_models(
        [(entry.name, entry.model, find_run_of_model(entry.path)) for entry in entries if entry.model]
    )
    if found is None:
        raise ConfigError(f"{entries[0].name} holds images only; say with --data which real ones to compare them with")
    return found
