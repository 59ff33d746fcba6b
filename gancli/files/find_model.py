"""Where models and images lie: a run, a model file, or pictures, by the path that was given."""

import mimetypes
from pathlib import Path

from gancli.errors import ConfigError, RunError
from gancli.files.run_folder import RunDir, suggest_run

IMAGE_FILE_EXTENSIONS = (".npz", ".zip")


def locate_model(source: Path, outdir: Path, *, best: bool = False) -> tuple[Path, Path]:
    """The model file, and the folder that outputs go under: the run's, or the current one for a lone file.

    source: a model file, a run folder, or a run's name under outdir.
    """
    if source.is_file():
        if (mimetypes.guess_type(source.name, strict=False)[0] or "").startswith("image/"):
            raise RunError(f"{source} is one picture; give a model, or a folder, zip or npz of pictures")
        if best:
            raise ConfigError(f"--best chooses between the models of a run, and {source} is one model; leave it out")
        return source, Path()
    if not source.exists() and not (outdir / source).exists():
        raise RunError(f"no run folder, model file or images {source}{suggest_run(source, outdir)}")
    return run_model(RunDir.find(source, outdir), best=best)


def run_model(run: RunDir, *, best: bool = False) -> tuple[Path, Path]:
    """The model file of a run, and its folder."""
    path = run.best_model if best else run.model
    if not path.is_file():
        why = "it is lost, or the run was not scored" if best else "train it first, or wait for its first snapshot"
        raise RunError(f"{run.path} has no {path.name}: {why}")
    return path, run.path


def find_run_of_model(model: Path) -> RunDir | None:
    """The run that a model file lies in; what `gancli export` made for the Hub is none."""
    run = RunDir(model.parent)
    is_export = run.config.is_file() and run.read_config().get("library_name") == "gancli"
    return run if run.config.is_file() and not is_export else None


def is_image_source(source: Path) -> bool:
    """Whether this holds pictures, and no run or model: a folder without a config.json, a zip or an npz."""
    if source.is_dir():
        if any(source.glob("*/config.json")):
            raise RunError(
                f"{source} holds run folders; name one of them, such as {max(source.glob('*/config.json')).parent}"
            )
        return not RunDir(source).config.is_file()
    return source.is_file() and source.suffix.lower() in IMAGE_FILE_EXTENSIONS
