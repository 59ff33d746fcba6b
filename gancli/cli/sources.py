"""What a command is given to work on, or the newest run."""

from pathlib import Path

from gancli.files import find_model as places
from gancli.files.run_folder import RunDir, newest


def find_model(source: Path | None, outdir: Path, *, best: bool = False) -> tuple[Path, Path]:
    """The model file, and the folder that outputs go under: the run's, or the current one for a lone file."""
    if source is None:
        return places.model_of(find_run(None, outdir), best=best)
    return places.find_model(source, outdir, best=best)


def find_run(source: Path | None, outdir: Path) -> RunDir:
    """The run asked for, or the newest one, which is said."""
    if source is not None:
        return RunDir.find(source, outdir)
    from gancli.cli import render

    run = newest(outdir)
    render.notes([f"using the newest run, {run.path}"])
    return run
