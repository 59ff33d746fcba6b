"""gancli export: a model for others."""

from pathlib import Path
from typing import Annotated

import typer

from gancli import platform
from gancli._version import install_hint
from gancli.cli import options as opt
from gancli.cli.sources import choose_model
from gancli.errors import ConfigError, did_you_mean
from gancli.files import outputs
from gancli.files.find_model import find_run_of_model

FORMATS = ("hub", "onnx")


def export(
    source: opt.Source = None,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="|".join(FORMATS),
            help="Format: hub (a folder with a model card, for the Hugging Face Hub) or onnx (needs no PyTorch).",
        ),
    ] = "hub",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Output: DIR, or file.onnx.  [default: a new path in exports/]", show_default=False
        ),
    ] = None,
    best: opt.Best = False,
    force: opt.Force = False,
    outdir: opt.Outdir = Path("runs"),
    as_json: opt.Json = False,
) -> None:
    """Export a model for others: as a folder for the Hugging Face Hub, or as ONNX.

    Nothing is uploaded. docs/sharing.md describes the files and how to upload them.
    """
    if to not in FORMATS:
        raise ConfigError(f"cannot export to {to!r}{did_you_mean(to, FORMATS)}")
    if to == "onnx" and output and output.suffix.lower() != ".onnx":
        raise ConfigError(f"cannot write {output}: --to onnx writes a file; give a name that ends in .onnx")
    if to == "hub" and output and output.suffix.lower() == ".onnx":
        raise ConfigError(f"cannot write {output}: --to hub writes a folder; add --to onnx for a file")
    path, place = choose_model(source, outdir, best=best)
    from gancli.cli import render
    from gancli.core.networks import model_file

    if to == "onnx":
        try:
            from gancli.export import onnx
        except ImportError as err:
            raise ConfigError(f"--to onnx needs the package {err.name}; {install_hint('onnx')}") from err
    else:
        from gancli.export import hub
    model = model_file.load_model(path)
    with outputs.reserve_output(output, place / "exports", "model.onnx" if to == "onnx" else "") as target:
        if to == "onnx":
            onnx.write_onnx(target, model, force=force)
        else:
            hub.write_hub_folder(target, model, find_run_of_model(path), force=force)
    if as_json:
        render.print_json({"model": str(path), "sha256": model.digest, "to": to, "output": str(target)})
        return
    render.print_stdout(f"exported to {platform.quote(target)}")
    if to == "hub":
        render.print_stdout(
            f"next: read its README.md and choose a license, then run: hf upload USER/NAME {platform.quote(target)} ."
        )
