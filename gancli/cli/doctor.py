"""gancli doctor: what to paste into an issue."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gancli.cli import options as opt
from gancli.errors import make_printable
from gancli.wording import format_count, format_significant


def doctor(
    speed: Annotated[bool, typer.Option("--speed/--no-speed", help="Try for ten seconds how fast it is.")] = True,
    outdir: opt.Outdir = Path("runs"),
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Say what there is: versions, extras, devices, precision, folders, and how fast this machine is.

    Made to be pasted into an issue: no name of a machine or a user, and ~ for the home folder.
    """
    from gancli.cli import render
    from gancli.doctor import diagnosis
    from gancli.files.cache import cache_folder

    found: dict[str, Any] = {
        "versions": diagnosis.package_versions(),
        "extras": diagnosis.extras_report(),
        "environment": diagnosis.environment_values(),
        "cache": diagnosis.cache_report(cache_folder()),
        "outdir": diagnosis.outdir_report(outdir),
    }
    try:
        from gancli.doctor import benchmark

        found["hardware"] = benchmark.hardware_report()
        if speed:
            render.print_status("trying how fast this machine is, for ten seconds", quiet=quiet or as_json)
            found["speed"] = benchmark.speed_report()
    except Exception as err:  # a torch or a device that does not work, which is what is to be known
        found["fault"] = diagnosis.anonymize_text(f"{type(err).__name__}: {err}".splitlines()[0])
    if as_json:
        render.print_json(found)
        return
    for line in report_lines(found):
        render.print_stdout(line)


def report_lines(found: Mapping[str, Any]) -> Iterator[str]:
    for section in ("versions", "extras", "environment"):
        yield from section_lines(section, found[section])
    if hardware := found.get("hardware"):
        yield from section_lines("hardware", hardware_values(hardware))
    for section in ("cache", "outdir"):
        yield from section_lines(section, folder_values(found[section]))
    if speed := found.get("speed"):
        yield from section_lines("speed", speed_values(speed))
    if fault := found.get("fault"):
        yield f"fault: {fault}"


def section_lines(section: str, values: Mapping[str, Any]) -> Iterator[str]:
    if not values:
        return
    width = max(map(len, values))
    yield f"{section}:"
    for name, value in values.items():
        yield f"  {name:{width}}  {make_printable(str(value))}"


def hardware_values(hardware: Mapping[str, Any]) -> dict[str, Any]:
    shown = {"torch": hardware["torch"]}
    for each in hardware["devices"]:
        size = f"{each['memory_bytes'] / 1e9:,.1f} GB"
        shown[each["device"]] = f"{each['name']}, {size}, {' and '.join(each['precision'])}"
    parts = (
        format_count(hardware["cores"], "core"),
        format_count(hardware["threads"], "thread"),
        hardware["instructions"],
    )
    shown |= {"processor": ", ".join(parts), "--device auto": hardware["device"]}
    return shown | {f"warning {i}": text for i, text in enumerate(hardware["warnings"], start=1)}


def speed_values(speed: Mapping[str, Any]) -> dict[str, str]:
    where = f"{speed['device']}, {format_count(speed['threads'], 'thread')}"
    shown = {"device": where, "quick": f"{format_significant(speed['quick_images_per_s'])} images/s"}
    for name in ("float32", "bf16"):
        if rate := speed.get(f"{name}_gflop_per_s"):
            shown[name] = f"{format_significant(rate)} GFLOP/s in matrix products"
    return shown


def folder_values(about: Mapping[str, Any]) -> dict[str, Any]:
    state = "can be written" if about["can_write"] else "cannot be written"
    shown = {"folder": f"{about['folder']}, {state}, {about['free_bytes'] / 1e9:,.1f} GB free"}
    return shown | {name: f"{size / 1e6:,.1f} MB" for name, size in about.get("parts", {}).items()}
