"""gancli sample: images from a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from gancli import config
from gancli.cli import options as opt
from gancli.cli.completion import complete_classes
from gancli.cli.sources import choose_model
from gancli.errors import ConfigError

if TYPE_CHECKING:
    from gancli.workflows.remake import RemadeImage

SampleEnding = Literal["", ".png", ".webp", ".npz"]
RECORDED_FLAGS = ("n", "seeds", "class_name", "trunc", "grid", "singles", "scale", "form", "best")

Count = Annotated[
    int | None,
    typer.Option(
        "--n",
        min=1,
        max=config.MAX_SEEDS,
        metavar="N",
        help="Number of seeds: 0 to N-1.  [default: 64; 8 with several classes]",
        show_default=False,
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option("--seeds", help="Seeds to use, such as 0-63,100.  [default: 0 to N-1]", show_default=False),
]
Classes = Annotated[
    str | None,
    typer.Option(
        "--class",
        help="Classes to generate for each seed, by name or number: 3, or 1,7, or all.  [default: depends on the seed]",
        show_default=False,
        autocompletion=complete_classes,
    ),
]
Grid = Annotated[
    str,
    typer.Option(
        "--grid",
        metavar="GRID",
        help="Layout of the grid picture: ROWSxCOLUMNS, auto (a square; with several classes, one row per seed and "
        "one column per class), or none.",
    ),
]
Singles = Annotated[bool, typer.Option("--singles/--no-singles", help="Write one file per image.")]
Format = Annotated[
    Literal["png", "webp", "npz"] | None,
    typer.Option(
        "--format", metavar="png|webp|npz", help="Format of the single images; npz is one file.  [default: png]"
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Output: DIR, file.png or file.webp (only the grid), or file.npz.  [default: a new folder in samples/]",
        show_default=False,
    ),
]
Like = Annotated[
    Path | None,
    typer.Option(
        "--like", metavar="FILE.png", help="Recreate this PNG byte for byte from its metadata.", show_default=False
    ),
]


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
    preview: opt.Preview = True,
    best: opt.Best = False,
    force: opt.Force = False,
    outdir: opt.Outdir = Path("runs"),
    device: opt.ModelDevice = "cpu",
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Generate images: a grid and one PNG per seed.

    Same seed, same pixels, in every grid, folder and npz. Without --class, a conditional model gives each seed a
    class, in the proportions of its training data.
    """
    opt.check_exclusive(n=n, seeds=seeds)
    ending = output_ending(output, form)
    check_output_parts(ctx, ending, grid, singles=singles)
    shape = config.parse_grid(grid) if grid not in ("auto", "none") else None
    chosen = None if seeds is None else parse_different_seeds(seeds, ending, singles=singles)
    from gancli.cli import render
    from gancli.cli.preview import can_show, print_samples
    from gancli.core import devices
    from gancli.core.distributed import ALONE
    from gancli.core.sampling.write import SampleFiles
    from gancli.workflows import remake, sampling

    where = devices.resolve_device(device)
    if like is not None:
        check_like_is_alone(ctx)
        print_remade(like, remake.remake_image(like, source, output, outdir, where, force=force), as_json=as_json)
        return
    opened = sampling.open_model(*choose_model(source, outdir, best=best), where)
    request = sampling.plan_samples(opened.model.info, chosen, n, class_name, trunc, scale)
    files = SampleFiles(ending, shape, form or "png", singles)
    if grid != "none" and ending != ".npz":
        files = sampling.fit_grid(files, request, opened.model.info.spec.resolution)
    command, world = opt.canonical_command(ctx), ctx.obj or ALONE
    with render.step_progress_bars(quiet=quiet) as track:
        target = sampling.write_samples(
            opened, request, files, output, command=command, force=force, progress=track, world=world
        )
    if preview and not quiet and not as_json and can_show(console := render.stderr_console()):
        print_samples(console, opened.model, request, files.grid)
    if as_json:
        about = {"model": str(opened.path), "sha256": opened.model.digest}
        render.print_json({**about, "n": len(request), "output": str(target)})
    else:
        render.print_image_count(len(request), target)


def output_ending(output: Path | None, form: str | None) -> SampleEnding:
    """Return the kind of output that -o names: "" for a folder, else a file extension."""
    ending: Any = output.suffix.lower() if output and not output.is_dir() else ""
    if ending not in ("", ".png", ".webp", ".npz"):
        raise ConfigError(
            f"cannot write {output} as samples; give a folder, a .png or .webp file (a grid), or a .npz file"
        )
    if ending and form and ending != f".{form}":
        raise ConfigError(f"--format {form} contradicts -o {output}; remove one of them")
    return cast(SampleEnding, ending)


def parse_different_seeds(seeds: str, ending: str, *, singles: bool) -> list[int]:
    """Return the seeds without duplicates. Raises ConfigError if there are more than the output can hold."""
    most = config.MAX_GRID if ending in (".png", ".webp") or not singles else config.MAX_SEEDS
    return list(dict.fromkeys(config.parse_seeds(seeds, most)))


def check_output_parts(ctx: typer.Context, ending: str, grid: str, *, singles: bool) -> None:
    """Refuse flags that leave nothing to write or that do not fit the output file."""
    if ending == ".npz" and (opt.was_given(ctx, "grid") or not singles):
        raise ConfigError("an npz holds single images and no grid; remove --grid and --no-singles")
    if grid == "none" and (ending or not singles) and ending != ".npz":
        raise ConfigError("--grid none leaves nothing to write; give a folder and remove --no-singles")


def check_like_is_alone(ctx: typer.Context) -> None:
    for name in filter(lambda name: opt.was_given(ctx, name), RECORDED_FLAGS):
        flag = next(max(param.opts, key=len) for param in ctx.command.params if param.name == name)
        raise ConfigError(f"{flag} cannot be used with --like; remove it")


def print_remade(like: Path, made: "RemadeImage", *, as_json: bool) -> None:
    from gancli.cli import render

    if not made.is_same:
        reason = "it was made with another version, device or processor, or was changed later"
        render.print_stderr(f"warning: {made.output} differs from {like} in some bytes: {reason}")
    if as_json:
        about = {"model": str(made.model), "sha256": made.sha256, "n": made.n, "output": str(made.output)}
        render.print_json({**about, "identical": made.is_same})
    else:
        render.print_image_count(made.n, made.output)
