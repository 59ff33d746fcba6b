"""gancli evaluate: how good is a model, or any folder of images, beside what a perfect one would get."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gancli.cli import options as opt
from gancli.cli.sources import find_model, is_images, run_of
from gancli.config import MAX_SEEDS
from gancli.errors import ConfigError, DataError, RunError
from gancli.rundir import atomic_folder, numbered

if TYPE_CHECKING:
    import torch

    from gancli.core.data import ImageSet
    from gancli.core.modelfile import Model


def evaluate(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN|MODEL|IMAGES]...",
            help="Run folders, model files, or images in a folder, a zip or an npz; left out, the newest run.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", help="Real images to score against; left out, those of the model.", show_default=False),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, max=MAX_SEEDS, help="How many images to score, at most.")] = 10_000,
    only: Annotated[
        str | None,
        typer.Option("--metrics", help="Only these, such as frechet,kid,prdc.  [default: all]", show_default=False),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            "--features", help="What the scores look through.", metavar="auto|digits|fashion|random|inception"
        ),
    ] = "auto",
    best: opt.Best = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides which images are compared.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for scores.json and pictures.", show_default=False)
    ] = None,
    force: opt.Force = False,
    outdir: opt.Outdir = Path("runs"),
    device: Annotated[str, typer.Option("--device", help="Where to generate.", metavar=opt.DEVICES)] = "cpu",
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Score models or images: Frechet distance, KID, precision, recall, classes, copies, each beside its floor.

    The floor is what a perfect generator would get. docs/metrics.md says what each number means.
    """
    names = [name.strip() for name in only.split(",")] if only is not None else None
    from gancli import evaluation, metrics
    from gancli.cli import render
    from gancli.core import devices

    names = metrics.known(names)
    chosen: list[Path | None] = [*sources] if sources else [None]
    entries = [open_source(source, outdir, best, devices.resolve(device)) for source in chosen]
    if not sources:
        render.notes([f"using the newest run, {entries[0].place}"])
    if output is not None and output.exists() and not force:
        raise RunError(f"{output} exists; choose another -o, or add --force to overwrite it")
    images = own_data(entries) if data is None else load_data(data)
    render.notes(images.notes)
    for entry in entries:
        if entry.model and entry.model.info.data["digest"] != images.digest:
            render.notes([f"{entry.name} was trained on other images, so scores of copying say nothing about its own"])

    with render.tracker(quiet=quiet) as track:
        against = evaluation.reference(images, features, seed=seed, progress=track)
        fakes = [
            evaluation.of_model(entry.model, n)
            if entry.model
            else evaluation.of_files(entry.path, n, evaluation.shape_of(images), seed)
            for entry in entries
        ]
        for entry, some in zip(entries, fakes, strict=True):
            evaluation.check_shape(entry.name, some, images)
        found = [evaluation.score(against, some, images, only=names, progress=track) for some in fakes]

    shown = [{"source": e.name, **result.to_json()} for e, result in zip(entries, found, strict=True)]
    record = {key: value for key, value in shown[0].items() if len(shown) == 1} or {"models": shown}
    target = output or numbered(common_place(entries) / "scores")
    with atomic_folder(target, force=force) as folder:
        (folder / "scores.json").write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        for number, (entry, some, result) in enumerate(zip(entries, fakes, found, strict=True), start=1):
            picture = folder / ("nearest.png" if len(entries) == 1 else f"nearest-{number}.png")
            evaluation.draw_pairs(picture, result, some, images, f"{entry.name}: most like training images")
    if as_json:
        render.print_json(record)
    else:
        render.scores([(entry.name, result) for entry, result in zip(entries, found, strict=True)], target)


@dataclass(frozen=True)
class Entry:
    """One thing to score: a model file, or (model is None) images; outputs go below place."""

    name: str
    path: Path
    place: Path
    model: "Model | None"


def open_source(source: Path | None, outdir: Path, best: bool, device: "torch.device") -> Entry:
    from gancli.core import modelfile

    if source is not None and is_images(source, outdir):
        if best:
            raise ConfigError(f"--best chooses between the models of a run, and {source} holds images; leave it out")
        return Entry(str(source), source, Path(), None)
    path, place = find_model(source, outdir, best=best)
    return Entry(str(source or place), path, place, modelfile.load(path, device))


def common_place(entries: list[Entry]) -> Path:
    """The run's folder if all are of one run, else the current one."""
    places = {entry.place for entry in entries}
    return places.pop() if len(places) == 1 else Path()


def own_data(entries: list[Entry]) -> "ImageSet":
    """The data set that the models were trained on; it must be one."""
    from gancli.core import data

    found: ImageSet | None = None
    for entry in entries:
        if entry.model is None:
            continue
        name, digest = entry.model.info.data["name"], entry.model.info.data["digest"]
        run = run_of(entry.path)
        source = run.read_config().get("data", {}).get("source") if run else name
        if not run and name not in data.SOURCES:
            raise ConfigError(f"{entry.name} was trained on {name!r}, which no data set is named; give --data")
        found = found or data.load(str(source))
        if found.digest != digest:
            raise DataError(
                f"{entry.name} was trained on other images than {found.name} holds now; say which ones with --data"
            )
    if found is None:
        raise ConfigError(f"{entries[0].name} holds images only; say with --data which real ones to compare them with")
    return found


def load_data(name: str) -> "ImageSet":
    from gancli.core import data

    return data.load(name)
