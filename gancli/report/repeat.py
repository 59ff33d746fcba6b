"""The record of a run -> the command that repeats it."""

import json
import shlex
from typing import Any

from gancli import config
from gancli.errors import printable
from gancli.files.run_folder import is_count
from gancli.report.series import number, section, text
from gancli.wording import listed

ASKED = ("flag", "file")  # where a setting comes from that neither a preset nor a rule gave
CHOSEN = ("threads", "precision")  # settings that "auto" leaves to a trial
MOST_TOTALS, MOST_PROCESSES = 5, 100_000  # earlier lengths that are named; what a foreign record may ask for


def command(record: dict[str, Any]) -> str:
    """What was asked for by flags, a file or a model to start from, with the threads and precision that a trial chose.

    A time budget becomes the images that it was planned for. The preset, the data and the version of gancli decide the
    rest. What a foreign record lacks is left out; what this command cannot say, `caveats` do.
    """
    train, sources, machine = (section(record, key) for key in ("train", "sources", "machine"))
    asked = {"preset": text(record, "preset"), "data": text(section(record, "data"), "source")}
    asked |= {"init": text(section(record, "init"), "path") or text(section(record, "init"), "source")}
    words = [word for name, value in asked.items() if value for word in (config.flag(name), value)]
    total = number(section(record, "plan"), "total_nimg")
    is_budget_spent = bool(train.get("time_budget") and total)
    for name in config.tunable():
        is_idle = name in config.LENGTHS and (is_budget_spent or not train.get(name))
        is_idle |= name in CHOSEN and train.get(name) == "auto"
        if name not in asked and sources.get(name) in ASKED and not is_idle:
            words += given(name, train.get(name))
    if total and is_budget_spent:
        words += given("kimg", total / 1000)
    for name in CHOSEN:
        if config.flag(name) not in words:
            words += given(name, machine.get(name))
    n = machine.get("processes", 1)
    torchrun = ["torchrun", "--standalone", f"--nproc-per-node={n}", "-m", "gancli", "--"]
    return shlex.join([*(torchrun if is_count(n) and 1 < n < MOST_PROCESSES else ["gancli"]), "train", *words])


def caveats(record: dict[str, Any]) -> list[str]:
    """Why the command does not give the same weights, bit for bit, or what else it takes."""
    train, sources = section(record, "train"), section(record, "sources")
    plan, init = section(record, "plan"), section(record, "init")
    found = []
    if train.get("time_budget"):
        found.append(
            "A time budget goes by the speed of the machine: this trains for as many images as were planned, and "
            "gives a similar model, not the same one."
        )
    if isinstance(earlier := plan.get("earlier"), list) and earlier:
        lengths = [f"{nimg / 1000:g} kimg" if is_count(nimg) else "a time budget" for nimg in earlier]
        found.append(
            f"It was planned for {listed(lengths, MOST_TOTALS)} before, and extended; schedules went by that, so that "
            "one run of the whole length gives a similar model, not the same one."
        )
    in_file = [name for name in train if name not in config.tunable() and sources.get(name) in ASKED]
    if in_file:
        settings = "; ".join(f"{name} = {printable(json.dumps(train[name]))}" for name in in_file)
        found.append(f"What no flag gives, --config FILE.toml does: {settings}.")
    if digest := text(init, "sha256"):
        found.append(f"It starts from the networks with sha256 {digest[:16]}..., as they were after that training.")
    return found


def given(name: str, value: object) -> list[str]:
    """The words that set one setting: ["--lr", "0.002"], ["--no-ada"]."""
    off = config.off_flag(name)
    if isinstance(value, bool):
        return [config.flag(name) if value else off] if off else []
    if off or not isinstance(value, str | int | float):
        return []
    return [config.flag(name), plain(value) if isinstance(value, float) else str(value)]


def plain(value: float) -> str:
    """The shortest text that is read as this number: 60.0 -> '60', 1/3 -> '0.3333333333333333'."""
    return short if float(short := f"{value:.15g}") == value else repr(value)
