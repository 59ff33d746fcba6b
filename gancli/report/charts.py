"""What the curves beside a film show: the loss, accuracy and score of each run, in ranges that all of them share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gancli.errors import RunError
from gancli.report.series import Values, limits, log_limits, number, points, section, series, text
from gancli.rundir import RunDir

SKY, ORANGE, GREEN = "#56B4E9", "#E69F00", "#19B989"  # after Okabe and Ito, light enough for a dark page
WHITE, GREY = "#E6E6E6", "#969696"


@dataclass(frozen=True)
class Line:
    """One curve: its name in the legend, colour, and values [n] at kimg [n]."""

    name: str
    color: str
    kimg: Values
    values: Values


@dataclass(frozen=True)
class Chart:
    """Curves over one range. dashed: (value, colour) of what they ought to reach, called dashed_name in the legend."""

    title: str
    scale: Literal["linear", "share", "log"]
    lines: tuple[Line, ...]
    dashed: tuple[tuple[float, str], ...]
    dashed_name: str = "ideal"
    range: tuple[float, float] = (0.0, 1.0)


def of_runs(runs: Sequence[RunDir]) -> list[list[Chart]]:
    """Loss, accuracy and, if any run was scored, the score of each run; the same chart has one range for all runs.

    Raises RunError for a run without measurements.
    """
    found = [measured(run) for run in runs]
    for run, own in zip(runs, found, strict=True):
        if not any(chart.lines for chart in own):
            raise RunError(f"{run.path} has no measurements to draw curves of; leave out --plots")
    kinds = [common_range(same) for same in zip(*found, strict=True) if any(chart.lines for chart in same)]
    return [list(own) for own in zip(*kinds, strict=True)]


def measured(run: RunDir) -> tuple[Chart, Chart, Chart]:
    """The three charts of a run; what it did not measure is missing in them."""
    config, records = run.read_config(), run.read_metrics()
    ideals, about = section(config, "ideals"), section(config, "eval")
    ticks = [record for record in records if record["kind"] == "tick"]
    ticks = ticks or [record for record in records if record["kind"] == "epoch"]
    evaluations = [record for record in records if record["kind"] == "eval"]
    score = text(about, "score")

    def lines(*named: tuple[str, str, str]) -> tuple[Line, ...]:
        curves = (Line(name, color, *series(ticks, key)) for key, name, color in named)
        return tuple(line for line in curves if len(line.kimg))

    def dashed(*ideal: tuple[float | None, str]) -> tuple[tuple[float, str], ...]:
        return tuple((value, color) for value, color in ideal if value is not None)

    scored = Line("lower is better", WHITE, *points(evaluations, score, low=1e-12))
    return (
        Chart(
            "loss",
            "linear",
            lines(("d_loss", "discriminator", SKY), ("g_loss", "generator", ORANGE)),
            dashed((number(ideals, "d_loss"), SKY), (number(ideals, "g_loss"), ORANGE)),
        ),
        Chart(
            "D accuracy",
            "share",
            lines(
                *((("accuracy", "training", SKY),) if text(ideals, "accuracy_of") == "pairs" else ()),
                ("accuracy_real", "training", SKY),
                ("accuracy_fake", "generated", ORANGE),
                ("accuracy_heldout", "held out", GREEN),
            ),
            dashed((number(ideals, "accuracy"), GREY)),
        ),
        Chart(score, "log", (scored,) if len(scored.kimg) else (), dashed((number(about, "floor"), GREY)), "floor"),
    )


def common_range(same: Sequence[Chart]) -> list[Chart]:
    """The charts with the range that shows them all."""
    groups = [line.values for chart in same for line in chart.lines]
    marks = [value for chart in same for value, _ in chart.dashed]
    if same[0].scale == "log":
        low, high = log_limits([*np.concatenate(groups), *marks])
    elif same[0].scale == "share":
        low, high = 0.0, 1.0
    else:
        low, high = limits(groups, marks)
    return [replace(chart, range=(low, high)) for chart in same]
