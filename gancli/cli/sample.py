"""gancli sample: pictures from a model."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from gancli import config
from gancli.cli import options as opt
from gancli.cli.sources import find_model
from gancli.errors import ConfigError
from gancli.rundir import check_free, numbered


def sample(
    source: opt.Source = None,
    n: Annotated[
        int | None,
        typer.Option(
            "--n", min=1, max=config.MAX_SEEDS, help="How many: seeds 0 to N-1.  [default: 64]", show_default=False
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", help="Which ones, such as 0-63,100.", show_default=False)
    ] = None,
    class_name: Annotated[
        str | None,
        typer.Option("--class", help="One class, by name or number; left out, all in turn.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="DIR, file.png (a grid) or file.npz.", show_default=False)
    ] = None,
    best: opt.Best = False,
    force: opt.Force = False,
    outdir: opt.Outdir = Path("runs"),
    device: Annotated[str, typer.Option("--device", help="Where to compute.", metavar=opt.DEVICES)] = "cpu",
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Generate images: a grid and one PNG per seed.

    The same seed is the same picture, whatever it is made with. Without --class, a conditional model gives
    each seed a class, balanced as its training data were.
    """
    if n is not None and seeds is not None:
        raise ConfigError("--n and --seeds exclude each other; give one")
    kind = output.suffix.lower() if output and not output.is_dir() else ""
    if kind not in ("", ".png", ".npz"):
        raise ConfigError(f"cannot write {output}: give a folder, a .png (a grid) or a .npz")
    chosen = config.parse_seeds(seeds) if seeds is not None else list(range(n or 64))
    from gancli.cli import render
    from gancli.core import devices, modelfile, samples

    path, place = find_model(source, outdir, best=best)
    if source is None:
        render.notes([f"using the newest run, {path.parent}"])
    model = modelfile.load(path, devices.resolve(device))
    labels = None if class_name is None else [model.info.class_index(class_name)] * len(chosen)
    target = output or numbered(place / "samples")
    check_free(target, force=force)
    with render.tracker(quiet=quiet) as track:

        def show(done: int) -> None:
            track("images", done, len(chosen))

        if kind == ".png":
            samples.write_grid(target, model, chosen, labels)
        elif kind == ".npz":
            for done in samples.write_npz(target, model, chosen, labels):
                show(done)
        else:
            for done in samples.write_folder(target, model, chosen, labels, force=force):
                show(done)
    if as_json:
        render.print_json({"model": str(path), "sha256": model.digest, "n": len(chosen), "output": str(target)})
    else:
        render.stdout_line(f"{len(chosen)} images: {shlex.quote(str(target))}")
