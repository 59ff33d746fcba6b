"""gancli sample: pictures from a model."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gancli import config
from gancli.cli import options as opt
from gancli.cli.sources import choose_model
from gancli.errors import ConfigError
from gancli.files import outputs, provenance

if TYPE_CHECKING:
    from gancli.core.networks.model_file import ModelInfo
    from gancli.core.sampling.write import SampleRequest

Count = Annotated[
    int | None,
    typer.Option(
        "--n",
        min=1,
        max=config.MAX_SEEDS,
        help="How many: seeds 0 to N-1.  [default: 64, or 8 in several classes]",
        show_default=False,
    ),
]
Seeds = Annotated[str | None, typer.Option("--seeds", help="Which ones, such as 0-63,100.", show_default=False)]
Classes = Annotated[
    str | None,
    typer.Option(
        "--class",
        help="By name or number: 3, or 1,7, or all. Every seed is drawn in every class named; left out, each seed "
        "takes one of its own.",
        show_default=False,
    ),
]
Grid = Annotated[
    str,
    typer.Option(
        "--grid",
        metavar="GRID",
        help="All in one picture, ROWSxCOLUMNS. auto: a square, or a row for each seed and a column for each of "
        "several classes. none: single pictures alone.",
    ),
]
Singles = Annotated[
    bool, typer.Option("--singles/--no-singles", help="In a folder, one file per picture beside the grid.")
]
Format = Annotated[
    Literal["png", "webp", "npz"] | None,
    typer.Option(
        "--format", metavar="png|webp|npz", help="Of single pictures in a folder; npz is one file.  [default: png]"
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="DIR, file.png or file.webp (the grid alone), or file.npz.", show_default=False
    ),
]
Like = Annotated[
    Path | None,
    typer.Option(
        "--like", metavar="FILE.png", help="Make this picture again, byte for byte, from its text.", show_default=False
    ),
]
Preview = Annotated[bool, typer.Option("--preview/--no-preview", help="Show some in the terminal, if it has colours.")]


def sample(
    ctx: typer.Context,
    source: opt.Source = None,
    n: Count = None,
    seeds: Seeds = None,
    class_name: Classes = None,
    trunc: opt.Trunc = 1,
    grid: Grid = "auto",
    singles: Singles = True,
    scale: opt.Scale = 1,
    form: Format = None,
    output: Output = None,
    like: Like = None,
    preview: Preview = True,
    best: opt.Best = False,
    force: opt.Force = False,
    outdir: opt.Outdir = Path("runs"),
    device: opt.ModelDevice = "cpu",
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Generate images: a grid and one PNG per seed.

    The same seed is the same picture, whatever it is made with. Without --class, a conditional model gives
    each seed a class, balanced as its training data were.
    """
    opt.check_exclusive(n=n, seeds=seeds)
    ending = output.suffix.lower() if output and not output.is_dir() else ""
    check_output_kind(output, ending, form)
    check_output_parts(ctx, ending, grid, singles=singles)
    asked = None if grid in ("auto", "none") else config.parse_grid(grid)
    most = config.MAX_GRID if ending in (".png", ".webp") or not singles else config.MAX_SEEDS
    chosen = list(dict.fromkeys(config.parse_seeds(seeds, most))) if seeds is not None else None
    from gancli.cli import preview as terminal
    from gancli.cli import remake, render
    from gancli.core import devices
    from gancli.core.distributed import ALONE
    from gancli.core.networks import model_file
    from gancli.core.sampling import write

    if like is not None:
        remake.check_like_is_alone(ctx)
        again = remake.remake_image(like, source, output, outdir, devices.resolve_device(device), force=force)
        remake.report_remake(like, again, as_json=as_json)
        return
    path, place = choose_model(source, outdir, best=best)
    model = model_file.load_model(path, devices.resolve_device(device), ctx.obj or ALONE)
    classes = model.info.select_classes(class_name)
    draw = write.SampleRequest(chosen or range(n or (8 if len(classes) > 1 else 64)), classes, trunc, scale)
    check_sample_request(draw, model.info)
    shape = None
    if grid != "none" and ending != ".npz":
        shape = write.grid_shape(draw, model.info.spec.resolution, asked, cut=not ending and singles)
    record = provenance.make_sample_record(
        opt.canonical_command(ctx),
        path,
        model.digest,
        seeds=draw.seeds,
        classes=[model.info.class_names[label] for label in classes],
        trunc=trunc,
        settings={"grid": write.format_grid(shape), "scale": scale},
    )
    with outputs.reserve_output(output, place / "samples") as target, render.step_progress_bars(quiet=quiet) as track:
        if ending == ".npz":
            work = write.write_sample_npz(target, model, draw, record, force=force)
        elif ending and shape:
            work = write.write_sample_grid(target, model, draw, record, shape, force=force)
        else:
            parts = write.FolderParts(shape, form or "png", singles)
            work = write.write_sample_folder(target, model, draw, record, parts, force=force)
        with contextlib.closing(work):
            for done in work:
                track("images", done, len(draw))
    if preview and not quiet and not as_json and terminal.can_show(console := render.stderr_console()):
        terminal.print_samples(console, model, draw, shape or write.natural_grid_shape(draw))
    if as_json:
        render.print_json({"model": str(path), "sha256": model.digest, "n": len(draw), "output": str(target)})
    else:
        render.print_image_count(len(draw), target)


def check_output_kind(output: Path | None, ending: str, form: str | None) -> None:
    if ending not in ("", ".png", ".webp", ".npz"):
        raise ConfigError(f"cannot write {output}: give a folder, a .png or .webp (a grid) or a .npz")
    if ending and form and ending != f".{form}":
        raise ConfigError(f"--format {form} and -o {output} contradict each other; leave one out")


def check_output_parts(ctx: typer.Context, ending: str, grid: str, *, singles: bool) -> None:
    """Refuse flags that leave nothing to write, or that the file has no place for."""
    if ending == ".npz" and (opt.was_given(ctx, "grid") or not singles):
        raise ConfigError("an npz holds single pictures and no grid; leave --grid and --no-singles out")
    if grid == "none" and (ending or not singles) and ending != ".npz":
        raise ConfigError("--grid none leaves nothing to write; give a folder, and leave --no-singles out")


def check_sample_request(draw: "SampleRequest", info: "ModelInfo") -> None:
    from gancli.core.sampling import write

    if len(draw) > config.MAX_SEEDS:
        raise ConfigError(f"{len(draw):,} images are too many; at most {config.MAX_SEEDS:,} go at once")
    write.check_grid_scale(info.spec.resolution, draw.scale)
