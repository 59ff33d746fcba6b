"""Choose the run or model that a command uses: the given one, or the newest run."""

from collections.abc import Sequence
from pathlib import Path

from gancli.files import find_model
from gancli.files.run_folder import RunDir, newest_run


def choose_model(source: Path | None, outdir: Path, *, best: bool = False) -> tuple[Path, Path]:
    """Return the model file and the folder for outputs: the run folder, or the current folder for a single file."""
    if source is None:
        return find_model.run_model(choose_run(None, outdir), best=best)
    return find_model.locate_model(source, outdir, best=best)


def choose_runs(sources: Sequence[Path] | None, outdir: Path) -> list[RunDir]:
    return [choose_run(source, outdir) for source in sources] if sources else [choose_run(None, outdir)]


def choose_run(source: Path | None, outdir: Path) -> RunDir:
    """Return the given run; if none is given, return the newest run and print a note."""
    if source is not None:
        return RunDir.find(source, outdir)
    from gancli.cli import render

    run = newest_run(outdir)
    render.print_notes([f"using the newest run, {run.path}"])
    return run
