"""Write a folder for the Hugging Face Hub: the model, its configuration, a model card and pictures."""

import dataclasses
import json
from pathlib import Path

from gancli._version import __version__
from gancli.config import format_seeds
from gancli.core.networks import model_file
from gancli.core.networks.model_file import Model
from gancli.core.sampling import write
from gancli.core.sampling.generate import SampleRequest
from gancli.export import card
from gancli.files import outputs
from gancli.files.provenance import make_sample_record
from gancli.files.run_folder import RunDir

MODEL, GRID, FILM = "model.safetensors", "grid.png", "progress.gif"
SEEDS = range(64)
GRID_PIXELS = 512  # a grid of small images is enlarged to about this width


def write_hub_folder(path: Path, model: Model, run: RunDir | None, *, force: bool) -> None:
    """Write the folder. run: the model's run; its film and scores are included. No paths of this machine are written.

    Raises RunError.
    """
    request = SampleRequest(SEEDS)
    shape, resolution = write.natural_grid_shape(request), model.info.spec.resolution
    request = dataclasses.replace(request, scale=max(1, GRID_PIXELS // (shape[1] * resolution)))
    record = make_sample_record(
        f"gancli sample {MODEL} --seeds {format_seeds(SEEDS)} --scale {request.scale}",
        Path(MODEL),
        model.digest,
        seeds=SEEDS,
        settings={"grid": write.format_grid(shape), "scale": request.scale},
    )
    whole = dataclasses.replace(record, command="gancli export --to hub")
    with outputs.create_output_folder(path, whole, force=force) as folder:
        (folder / MODEL).write_bytes(model_file.pack_model(model.G, model.info))
        about = {"library_name": "gancli", "gancli": __version__, "sha256": model.digest}
        text = json.dumps({**about, **dataclasses.asdict(model.info)}, indent=2)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
        write.write_samples(folder / GRID, model, request, record, write.SampleFiles(".png", shape))
        if run and is_regular_gif(run.film):
            (folder / FILM).write_bytes(run.film.read_bytes())
        pictures = {"64 samples, seeds 0 to 63": GRID, "Samples during training": FILM}
        shown = {title: name for title, name in pictures.items() if (folder / name).is_file()}
        (folder / "README.md").write_text(card.render_card(model, run, shown), encoding="utf-8")


def is_regular_gif(path: Path) -> bool:
    """Return whether the path is a GIF and not a link; a link in a foreign run could publish a private file."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"GIF8"
