"""gancli report: one page that shows a run or compares several."""

from pathlib import Path
from typing import Annotated

import typer

from gancli import platform
from gancli.cli import options as opt
from gancli.cli.completion import complete_runs
from gancli.cli.sources import choose_runs
from gancli.errors import ConfigError
from gancli.files import outputs

PAGE_EXTENSIONS = (".html", ".htm")


def report(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN",
            help="Run folders to show or compare.  [default: the newest run]",
            show_default=False,
            autocompletion=complete_runs,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Output: x.html.  [default: report.html of the run, overwritten; for several runs a new page in "
            "reports/]",
            show_default=False,
        ),
    ] = None,
    force: opt.Force = False,
    outdir: opt.Outdir = Path("runs"),
    as_json: opt.Json = False,
) -> None:
    """Write an HTML page that shows a run or compares several runs.

    The page is a single file with samples over training, curves, events, scores and settings.
    """
    if output is not None and output.suffix.lower() not in PAGE_EXTENSIONS:
        raise ConfigError(
            f"cannot write {output}: a report is a web page; give a name that ends in {' or '.join(PAGE_EXTENSIONS)}"
        )
    from gancli.cli import render
    from gancli.report import page

    runs = choose_runs(sources, outdir)
    is_own_page = output is None and len(runs) == 1
    if is_own_page:
        output, force = runs[0].report, True
    with outputs.reserve_output(output, Path("reports"), runs[0].report.name) as path:
        if output is not None:
            outputs.check_output_file(path, force=force)
        content = page.render_run_report(runs[0]) if is_own_page else page.render_report(runs)
        with outputs.create_output_file(path, force=force) as file:
            file.write(content)
    if as_json:
        render.print_json({"runs": [str(run.path) for run in runs], "output": str(path)})
    else:
        render.print_stdout(f"{len(content) / 1e6:.1f} MB: {platform.quote(path)}")
