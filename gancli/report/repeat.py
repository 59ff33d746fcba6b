"""The record of a run -> the command that repeats it."""

import shlex
from typing import Any

from gancli import config
from gancli.report.series import number, section, text


def command(record: dict[str, Any]) -> str:
    """What was asked for by flags, a file or a model to start from, with the threads and precision that a trial chose.

    A time budget becomes the images it came to. The preset, the data and the version of gancli decide the rest. What a
    foreign record lacks is left out.
    """
    train, sources, machine = (section(record, key) for key in ("train", "sources", "machine"))
    asked = {"preset": text(record, "preset"), "data": text(section(record, "data"), "source")}
    asked |= {"init": text(section(record, "init"), "source")}
    words = [word for name, value in asked.items() if value for word in (config.flag(name), value)]
    total = number(section(record, "plan"), "total_nimg")
    is_budget_spent = bool(train.get("time_budget") and total)
    for name in config.tunable():
        is_idle = name in config.LENGTHS and (is_budget_spent or not train.get(name))
        if name not in asked and sources.get(name) in ("flag", "file") and not is_idle:
            words += given(name, train.get(name))
    if total and is_budget_spent:
        words += given("kimg", total / 1000)
    for name in ("threads", "precision"):
        if config.flag(name) not in words:
            words += given(name, machine.get(name))
    n = machine.get("processes", 1)
    program = ["torchrun", f"--nproc-per-node={n}", "-m", "gancli"] if type(n) is int and n > 1 else ["gancli"]
    return shlex.join([*program, "train", *words])


def given(name: str, value: object) -> list[str]:
    """The words that set one setting: ["--lr", "0.002"], ["--no-ada"]."""
    off = config.off_flag(name)
    if isinstance(value, bool):
        return [config.flag(name) if value else off] if off else []
    if off or not isinstance(value, str | int | float):
        return []
    return [config.flag(name), f"{value:.15g}" if isinstance(value, float) else str(value)]
