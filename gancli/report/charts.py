"""What curves show beside a film and in a report: losses, accuracies, scores and health, in ranges that runs share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gancli.errors import RunError
from gancli.files.run_folder import IMPLAUSIBLE_VALUE, RunDir
from gancli.files.scores import CLASS_BALANCE, COVERAGE
from gancli.report.series import (
    Values,
    axis_limits,
    drawable_points,
    drop_partial_mean,
    get_number,
    get_section,
    get_text,
    log_axis_limits,
    metric_series,
)
from gancli.wording import format_significant

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
    """Curves over one range. dashed: (value, colour) of what they ought to reach, called dashed_name in the legend.

    ranks: whether the lowest value is the best.
    """

    title: str
    scale: Literal["linear", "share", "log"]
    lines: tuple[Line, ...]
    dashed: tuple[tuple[float, str], ...]
    dashed_name: str = "ideal"
    range: tuple[float, float] = (0.0, 1.0)
    hint: str = ""
    ranks: bool = False


NamedKey = tuple[str, str, str]  # key of metrics.jsonl, name in the legend, colour
HEALTH: tuple[tuple[str, Literal["linear", "share", "log"], tuple[NamedKey, ...], str], ...] = (
    (
        "coverage and class balance",
        "share",
        ((COVERAGE.key, COVERAGE.label, SKY), (CLASS_BALANCE.key, CLASS_BALANCE.label, ORANGE)),
        "coverage: share of real images that have a generated one nearby; imbalance: total variation, 0 is right",
    ),
    (
        "variety and overfitting",
        "linear",
        (("diversity", "diversity", SKY), ("r_v", "r_v", ORANGE)),
        "diversity: 1 is as varied as real images, 0 is collapse; r_v: 0 is none, at 1 D knows its images by heart",
    ),
    (
        "gradient norms",
        "log",
        (("d_grad", "discriminator", SKY), ("g_grad", "generator", ORANGE)),
        "steady is healthy; a norm that explodes or vanishes is not",
    ),
    (
        "augmentation",
        "share",
        (("augment_strength", "strength", GREEN),),
        "how strong adaptive augmentation is",
    ),
)


def film_charts(runs: Sequence[RunDir]) -> list[list[Chart]]:
    """Loss, accuracy and, if any run was scored, the score of each run; the same chart has one range for all runs.

    Raises RunError for a run without measurements.
    """
    found = [run_charts(run) for run in runs]
    for run, own in zip(runs, found, strict=True):
        if not any(chart.lines for chart in own):
            raise RunError(f"{run.path} has no measurements to draw curves of; leave out --plots")
    kinds = [with_common_range(same) for same in zip(*found, strict=True) if any(chart.lines for chart in same)]
    return [list(own) for own in zip(*kinds, strict=True)]


def report_charts(runs: Sequence[RunDir]) -> list[list[Chart]]:
    """As of_runs, with charts of health, each run's without lines where it has none; no charts without measurements."""
    found = [[*run_charts(run), *health_charts(run)] for run in runs]
    titles = dict.fromkeys(chart.title for own in found for chart in own if chart.lines)
    same = [[chart_titled(own, title) for own in found] for title in titles]
    return [list(own) for own in zip(*map(with_common_range, same), strict=True)] or [[] for _ in runs]


def chart_titled(charts: Sequence[Chart], title: str) -> Chart:
    return next((chart for chart in charts if chart.title == title), Chart(title, "linear", (), ()))


def health_charts(run: RunDir) -> list[Chart]:
    """Whether training is well; values a chart has no place for are missing in it."""
    about, records = get_section(run.read_config(), "eval"), run.read_metrics()
    records = [*drop_partial_mean(records, "tick"), *(record for record in records if record["kind"] == "eval")]
    found = []
    for title, scale, named, hint in HEALTH:
        low, high = (
            (1e-12, math.inf)
            if scale == "log"
            else (0, 1)
            if scale == "share"
            else (-IMPLAUSIBLE_VALUE, IMPLAUSIBLE_VALUE)
        )
        lines = (Line(name, color, *drawable_points(records, key, low, high)) for key, name, color in named)
        floors = ((get_number(about, f"{key}_floor"), color) for key, _, color in named)
        dashed = tuple((value, color) for value, color in floors if value is not None and low <= value <= high)
        found.append(Chart(title, scale, tuple(line for line in lines if len(line.kimg)), dashed, "floor", hint=hint))
    return found


def comparison_charts(of_each: Sequence[Sequence[Chart]], names: Sequence[str]) -> list[Chart]:
    """Charts of several runs -> one chart for each of their lines, with a line for each run.

    Colours are the places of the runs, "0", "1" and so on; what all runs ought to reach is grey.
    """
    found = []
    for same in zip(*of_each, strict=True):
        for key in dict.fromkeys((line.name, line.color) for chart in same for line in chart.lines):
            lines, dashed = [], dict[tuple[float, str], None]()
            for i, (chart, name) in enumerate(zip(same, names, strict=True)):
                lines += [replace(line, name=name, color=str(i)) for line in chart.lines if line.name == key[0]]
                dashed |= dict.fromkeys((value, str(i)) for value, color in chart.dashed if color in (key[1], GREY))
            alike = {format_significant(value): value for value, _ in dashed}
            marks = tuple((value, GREY) for value in alike.values()) if len(alike) == 1 else tuple(dashed)
            model = next(chart for chart in same if chart.lines)
            title = f"{model.title}: {key[0]}" if sum(len(chart.lines) > 1 for chart in same) else model.title
            found.append(replace(model, title=title, lines=tuple(lines), dashed=marks))
    return found


def run_charts(run: RunDir) -> tuple[Chart, Chart, Chart]:
    """The three charts of a run; what it did not measure is missing in them."""
    config, records = run.read_config(), run.read_metrics()
    ideals, about = get_section(config, "ideals"), get_section(config, "eval")
    ticks = drop_partial_mean(records, "tick") or drop_partial_mean(records, "epoch")
    evaluations = [record for record in records if record["kind"] == "eval"]
    score = get_text(about, "score")

    def lines(*named: tuple[str, str, str]) -> tuple[Line, ...]:
        curves = (Line(name, color, *metric_series(ticks, key)) for key, name, color in named)
        return tuple(line for line in curves if len(line.kimg))

    def dashed(*ideal: tuple[float | None, str]) -> tuple[tuple[float, str], ...]:
        return tuple((value, color) for value, color in ideal if value is not None)

    can_be_negative = score.startswith("kid")
    scored = Line(
        "lower is better", WHITE, *drawable_points(evaluations, score, *(() if can_be_negative else (1e-12,)))
    )
    return (
        Chart(
            "loss",
            "linear",
            lines(("d_loss", "discriminator", SKY), ("g_loss", "generator", ORANGE)),
            dashed((get_number(ideals, "d_loss"), SKY), (get_number(ideals, "g_loss"), ORANGE)),
        ),
        Chart(
            "D accuracy",
            "share",
            lines(
                *((("accuracy", "training", SKY),) if get_text(ideals, "accuracy_of") == "pairs" else ()),
                ("accuracy_real", "training", SKY),
                ("accuracy_fake", "generated", ORANGE),
                ("accuracy_heldout", "held out", GREEN),
            ),
            dashed((get_number(ideals, "accuracy"), GREY)),
        ),
        Chart(
            score,
            "linear" if can_be_negative else "log",
            (scored,) if len(scored.kimg) else (),
            dashed((get_number(about, "floor"), GREY)),
            "floor",
            hint="the floor is what a perfect generator would get" + ("" if can_be_negative else "; logarithmic"),
            ranks=True,
        ),
    )


def with_common_range(same: Sequence[Chart]) -> list[Chart]:
    """The charts with the range that shows them all, and the scale of those that have lines."""
    model = next((chart for chart in same if chart.lines), same[0])
    groups = [line.values for chart in same for line in chart.lines]
    marks = [value for chart in same for value, _ in chart.dashed]
    if model.scale == "log":
        low, high = log_axis_limits([*np.concatenate(groups), *marks])
    elif model.scale == "share":
        low, high = 0.0, 1.0
    else:
        low, high = axis_limits(groups, marks)
    return [replace(chart, scale=model.scale, range=(low, high)) for chart in same]
