"""Build the command that repeats a run, from its config.json."""

import json

from gancli import config, platform
from gancli.errors import make_printable
from gancli.files.json_values import get_number, get_section, get_text
from gancli.files.run_folder import is_positive_count
from gancli.report.series import Record
from gancli.wording import format_list

ASKED_SOURCES = ("flag", "file")  # sources of settings that the user chose; the others are presets and rules
CHOSEN_BY_TRIAL = ("threads", "precision")  # "auto" decides these by a trial
MOST_TOTALS, MOST_PROCESSES = 5, 100_000  # earlier lengths to list; processes accepted from a foreign record


def repeat_command(record: Record) -> str:
    """Return the command that repeats a run.

    It has the settings from flags, a file or --init, and the threads and precision that a trial chose. A time budget
    becomes the number of images planned for it. The preset, the data and the version of gancli decide the rest. Values
    missing from the record are omitted. `repeat_caveats` lists what the command cannot express.
    """
    train, sources, machine = (get_section(record, key) for key in ("train", "sources", "machine"))
    asked = {"preset": get_text(record, "preset"), "data": get_text(get_section(record, "data"), "source")}
    asked |= {"init": get_text(get_section(record, "init"), "path") or get_text(get_section(record, "init"), "source")}
    words = [word for name, value in asked.items() if value for word in (config.flag_name(name), value)]
    total = get_number(get_section(record, "plan"), "total_nimg")
    is_budget_spent = bool(train.get("time_budget") and total)
    for name in config.tunable_settings():
        is_idle = name in config.LENGTH_SETTINGS and (is_budget_spent or not train.get(name))
        is_idle |= name in CHOSEN_BY_TRIAL and train.get(name) == "auto"
        if name not in asked and sources.get(name) in ASKED_SOURCES and not is_idle:
            words += setting_arguments(name, train.get(name))
    if total and is_budget_spent:
        words += setting_arguments("kimg", total / 1000)
    for name in CHOSEN_BY_TRIAL:
        if config.flag_name(name) not in words:
            words += setting_arguments(name, machine.get(name))
    n = machine.get("processes", 1)
    torchrun = ["torchrun", "--standalone", f"--nproc-per-node={n}", "-m", "gancli", "--"]
    return platform.join_command(
        [*(torchrun if is_positive_count(n) and 1 < n < MOST_PROCESSES else ["gancli"]), "train", *words]
    )


def repeat_caveats(record: Record) -> list[str]:
    """Return the reasons why the command gives different weights, or needs additional files."""
    train, sources = get_section(record, "train"), get_section(record, "sources")
    plan, init = get_section(record, "plan"), get_section(record, "init")
    found = []
    if train.get("time_budget"):
        found.append(
            "The run had a time budget, so its length depended on the machine's speed. The command trains for the "
            "planned number of images and gives a similar model, not an identical one."
        )
    if isinstance(earlier := plan.get("earlier"), list) and earlier:
        lengths = [f"{nimg / 1000:g} kimg" if is_positive_count(nimg) else "a time budget" for nimg in earlier]
        found.append(
            f"The run was first planned for {format_list(lengths, MOST_TOTALS)} and then extended. Its schedules "
            "followed the shorter plan, so one run of the full length gives a similar model, not an identical one."
        )
    in_file = [name for name in train if name not in config.tunable_settings() and sources.get(name) in ASKED_SOURCES]
    if in_file:
        settings = "; ".join(f"{name} = {make_printable(json.dumps(train[name]))}" for name in in_file)
        found.append(f"Settings without a flag go into a file for --config FILE.toml: {settings}.")
    if digest := get_text(init, "sha256"):
        found.append(f"The run started from the networks with sha256 {digest[:16]}...; --init needs the same ones.")
    return found


def setting_arguments(name: str, value: object) -> list[str]:
    """Return the arguments for one setting: ["--lr", "0.002"], ["--no-ada"]."""
    off = config.off_flag_name(name)
    if isinstance(value, bool):
        return [config.flag_name(name) if value else off] if off else []
    if off or not isinstance(value, str | int | float):
        return []
    return [config.flag_name(name), shortest_number(value) if isinstance(value, float) else str(value)]


def shortest_number(value: float) -> str:
    """Return the shortest text that parses to this number: 60.0 -> '60', 1/3 -> '0.3333333333333333'."""
    return short if float(short := f"{value:.15g}") == value else repr(value)
