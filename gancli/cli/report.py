"""gancli report: one page that shows a run, or compares several. And its refreshing while a run is trained."""

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from gancli import events, outputs
from gancli.cli import options as opt
from gancli.cli.sources import find_run
from gancli.errors import ConfigError, GancliError
from gancli.rundir import RunDir

ENDINGS = (".html", ".htm")
REST = 100  # times as long as a refresh took, the page is left alone after it


def report(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN", help="Run folders, compared; left out, the newest run.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="x.html; left out, report.html of the run is made anew, or for several runs a new one in reports/.",
            show_default=False,
        ),
    ] = None,
    force: opt.Force = False,
    outdir: opt.Outdir = Path("runs"),
    as_json: opt.Json = False,
) -> None:
    """Make the page of a run, report.html, anew, or one that compares several.

    One file with all in it: pictures through training, curves, events, scores, settings. Any browser opens it.
    """
    if output is not None and output.suffix.lower() not in ENDINGS:
        raise ConfigError(f"a report is a web page, and {output} does not end in {' or '.join(ENDINGS)}; rename it")
    from gancli.cli import render
    from gancli.report import page

    chosen: list[Path | None] = [*sources] if sources else [None]
    runs = [find_run(source, outdir) for source in chosen]
    if output is None and len(runs) == 1:
        output, force = runs[0].report, True
    with outputs.place(output, Path("reports"), runs[0].report.name) as path:
        if output is not None:
            outputs.check_file(path, force=force)
        content = page.render(runs)
        with outputs.new_file(path, force=force) as file:
            file.write(content)
    if as_json:
        render.print_json({"runs": [str(run.path) for run in runs], "output": str(path)})
    else:
        render.stdout_line(f"{len(content) / 1e6:.1f} MB: {shlex.quote(str(path))}")


def refresh(run: RunDir, *, quiet: bool = False) -> bool:
    """Make the page of a run anew; whether that was possible. If not, a note says so."""
    from gancli.cli import render
    from gancli.report import page

    try:
        run.check_owned()
        page.write(run)
    except (GancliError, OSError) as err:
        render.notes([] if quiet else [f"{run.report} is not refreshed: {err}"])
        return False
    return True


class Refresher:
    """Makes report.html of a run anew at snapshots and evaluations, but never for more than 1 % of the time."""

    def __init__(self, run: RunDir, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.run, self.clock_s = run, clock_s
        self.due_s = 0.0
        self.has_failed = False

    def __call__(self, event: events.Event) -> None:
        """A page that cannot be made is said once, and ends no training."""
        start_s = self.clock_s()
        if not isinstance(event, events.SnapshotSaved | events.Scored) or start_s < self.due_s:
            return
        self.has_failed |= not refresh(self.run, quiet=self.has_failed)
        end_s = self.clock_s()
        self.due_s = end_s + REST * (end_s - start_s)
