"""gancli doctor: a report on the installation and the machine, to paste into an issue."""

from pathlib import Path
from typing import Annotated

import typer

from gancli.cli import options as opt


def doctor(
    speed: Annotated[bool, typer.Option("--speed/--no-speed", help="Measure the speed for ten seconds.")] = True,
    outdir: opt.Outdir = Path("runs"),
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Report versions, extras, devices, precision, folders and speed.

    Safe to paste into an issue: contains no machine or user names, and ~ for the home folder.
    """
    from gancli.cli import render
    from gancli.doctor import diagnosis
    from gancli.files.cache import cache_folder

    report = diagnosis.installation_report(cache_folder(), outdir)
    try:
        from gancli.doctor import benchmark

        report["hardware"] = benchmark.hardware_report()
        if speed:
            render.print_status("measuring the speed of this machine for ten seconds", quiet=quiet or as_json)
            report["speed"] = benchmark.speed_report()
    except Exception as err:  # a broken torch or device is a finding to report
        report["fault"] = diagnosis.anonymize_text(f"{type(err).__name__}: {err}".splitlines()[0])
    if as_json:
        render.print_json(report)
    else:
        for line in diagnosis.report_lines(report):
            render.print_stdout(line)
