"""gancli runs: a table of all runs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gancli.cli import options as opt
from gancli.errors import RunError
from gancli.files.run_folder import RunDir, list_run_folders
from gancli.wording import format_significant

if TYPE_CHECKING:
    from gancli.report.overview import Overview

WIDE_COLUMNS = 200  # width of output to a file or another program


def runs(
    outdir: Annotated[
        Path, typer.Argument(metavar="OUTDIR", help="Folder that holds the numbered run folders.")
    ] = Path("runs"),
    as_json: opt.Json = False,
) -> None:
    """List all runs, newest first: state, length, best score, size, preset and data.

    States: running, finished, stopped, diverged, killed (exited unexpectedly) or broken (unreadable). To continue
    a run that is not broken or running, use gancli train --resume.
    """
    if RunDir(outdir).config.is_file():
        raise RunError(f"{outdir} is a run folder; give the folder that contains it")
    folders = list_run_folders(outdir)
    if not folders:
        raise RunError(f"no run found under {outdir}/; train one first: gancli train")
    from gancli.cli import render
    from gancli.report import overview

    found = [overview.read_overview(run) for run in folders]
    if as_json:
        render.print_json({"runs": [each.to_json() for each in found]})
    else:
        print_runs(found)


def print_runs(found: "list[Overview]") -> None:
    """Print a table of runs, or two lines for each run if the table is too wide."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.measure import Measurement
    from rich.table import Table

    from gancli.errors import make_printable

    out = Console(file=sys.stdout, highlight=False, emoji=False, width=None if sys.stdout.isatty() else WIDE_COLUMNS)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in ("kimg", "size") else "left", overflow="fold")
    rows = [[escape(make_printable(cell)) for cell in run_cells(each)] for each in found]
    for row in rows:
        table.add_row(*row)
    if Measurement.get(out, out.options.update(max_width=10_000), table).maximum <= out.width:
        out.print(table)
        return
    for run, state, kimg, *rest in rows:
        out.print(f"{run}  {state}{f', {kimg} kimg' if kimg else ''}", soft_wrap=True)
        out.print(f"  {'; '.join(filter(None, rest))}", soft_wrap=True)


HEADINGS = ("run", "state", "kimg", "best score", "size", "preset", "data")


def run_cells(each: "Overview") -> tuple[str, ...]:
    """Return one cell for each of HEADINGS. kimg is '240', or '48 of 240' for an incomplete run."""
    nimg, total, best, kimg, score = each.nimg, each.total_nimg, each.best, "", ""
    if nimg is not None:
        kimg = f"{nimg / 1000:g}" + (f" of {total / 1000:g}" if total and nimg < total else "")
    if best:
        times = best.score.times_floor
        score = f"{best.score.name} {format_significant(best.score.value)}"
        score += "" if times is None else f", {times:.3g} times its floor"
    state = each.state + (f": {each.fault}" if each.fault else "")
    return each.path.name, state, kimg, score, f"{each.size_bytes / 1e6:,.1f} MB", each.preset, each.data
