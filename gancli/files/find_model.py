"""Find a model or images at a user's path: a run folder, a model file, or pictures."""

import mimetypes
from pathlib import Path

from gancli.errors import ConfigError, RunError
from gancli.files.run_folder import RunDir, suggest_run

IMAGE_FILE_EXTENSIONS = (".npz", ".zip")


def locate_model(source: Path, outdir: Path, *, best: bool = False) -> tuple[Path, Path]:
    """Return the model file and the output folder: the run folder, or the current folder for a single model file.

    source: a model file, a run folder, or a run's name under outdir.
    """
    if source.is_file():
        if (mimetypes.guess_type(source.name, strict=False)[0] or "").startswith("image/"):
            raise RunError(f"{source} is one picture; give a model, or a folder, zip or npz of pictures")
        if best:
            raise ConfigError(f"--best needs a run folder, and {source} is a model file; remove --best")
        return source, Path()
    if not source.exists() and not (outdir / source).exists():
        raise RunError(f"no run folder, model file or images at {source}{suggest_run(source, outdir)}; check the path")
    return run_model(RunDir.find(source, outdir), best=best)


def run_model(run: RunDir, *, best: bool = False) -> tuple[Path, Path]:
    """Return the model file of a run, and its folder."""
    path = run.best_model if best else run.model
    if not path.is_file():
        fix = (
            "remove --best; only runs with scores (--eval-kimg) have one"
            if best
            else "train it first, or wait for its first snapshot"
        )
        raise RunError(f"{run.path} has no {path.name}; {fix}")
    return path, run.path


def find_run_of_model(model: Path) -> RunDir | None:
    """Return the run that contains a model file; None for the folder of an export."""
    run = RunDir(model.parent)
    is_export = run.config.is_file() and run.read_config().get("library_name") == "gancli"
    return run if run.config.is_file() and not is_export else None


def is_image_source(source: Path) -> bool:
    """Whether the path is a zip, an npz, or a folder without config.json. Raises RunError for a folder of runs."""
    if source.is_dir():
        if any(source.glob("*/config.json")):
            raise RunError(
                f"{source} holds run folders; name one of them, such as {max(source.glob('*/config.json')).parent}"
            )
        return not RunDir(source).config.is_file()
    return source.is_file() and source.suffix.lower() in IMAGE_FILE_EXTENSIONS
