"""What a command is given to work on: a run, a model file, or images."""

from pathlib import Path

from gancli.errors import ConfigError, RunError
from gancli.rundir import RunDir, newest

IMAGE_FILES = (".npz", ".zip")


def find_model(source: Path | None, outdir: Path, *, best: bool = False) -> tuple[Path, Path]:
    """The model file, and the folder that outputs go under: the run's, or the current one for a lone file."""
    if source is not None and source.is_file():
        from gancli.core.sources import EXTENSIONS

        if source.suffix.lower() in EXTENSIONS:
            raise RunError(f"{source} is one picture; give a model, or a folder, zip or npz of pictures")
        if best:
            raise ConfigError(f"--best chooses between the models of a run, and {source} is one model; leave it out")
        return source, Path()
    if source is not None and not source.exists() and not (outdir / source).exists():
        raise RunError(f"no run folder, model file or images {source}")
    run = find_run(source, outdir)
    path = run.best_model if best else run.model
    if not path.is_file():
        why = "it is lost, or the run was not scored" if best else "train it first, or wait for its first snapshot"
        raise RunError(f"{run.path} has no {path.name}: {why}")
    return path, run.path


def find_run(source: Path | None, outdir: Path) -> RunDir:
    """The run asked for, or the newest one, which is said."""
    if source is not None:
        return RunDir.find(source, outdir)
    from gancli.cli import render

    run = newest(outdir)
    render.notes([f"using the newest run, {run.path}"])
    return run


def run_of(model: Path) -> RunDir | None:
    """The run that a model file lies in."""
    run = RunDir(model.parent)
    return run if run.config.is_file() else None


def is_images(source: Path) -> bool:
    """Whether this holds pictures, and no run or model: a folder without a config.json, a zip or an npz."""
    if source.is_dir():
        if any(source.glob("*/config.json")):
            raise RunError(
                f"{source} holds run folders; name one of them, such as {max(source.glob('*/config.json')).parent}"
            )
        return not RunDir(source).config.is_file()
    return source.is_file() and source.suffix.lower() in IMAGE_FILES
