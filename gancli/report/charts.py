"""The contents of plots: losses, accuracies, scores and health of runs, and their ideal values.

All drawings use this description: raster.py draws pixels (loss.png, accuracy.png, score.png, curves in films),
vector.py draws SVG (report.html). A tone is the name of a colour: blue, orange, green, ink, grey, or run0 to run7 if
runs are compared.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gancli.errors import RunError
from gancli.files.json_values import get_number, get_section, get_text
from gancli.files.run_folder import IMPLAUSIBLE_VALUE, RunDir
from gancli.files.run_log import read_metric_records
from gancli.files.scores import CLASS_BALANCE, COVERAGE, RANKING, TRAINING_SCORES
from gancli.report.series import (
    Record,
    Values,
    axis_limits,
    drawable_points,
    drop_partial_mean,
    log_axis_limits,
    metric_series,
    smooth_centred,
)
from gancli.wording import format_significant

Scale = Literal["linear", "share", "log"]
MIN_EPOCHS = 8  # with fewer, the bold line is a moving average of the ticks
UNSMOOTHED_POINTS = 20  # up to this many values are drawn without an average
BOTH = "both"  # accuracy on real and generated images together; omitted in films, which are too small


@dataclass(frozen=True)
class Line:
    """One curve: its name in the legend, its tone, and values [n] at kimg [n].

    means: kimg and values of the bold line; None draws a moving average. weight: relative size of dots.
    """

    name: str
    tone: str
    kimg: Values
    values: Values
    means: tuple[Values, Values] | None = None
    weight: float = 1


@dataclass(frozen=True)
class Mark:
    """An ideal value, drawn as a dashed line. label: drawn next to it if there is room."""

    value: float
    tone: str
    label: str = ""


@dataclass(frozen=True)
class Chart:
    """Curves that share a range of values.

    marks_name: the name of the marks in the legend. axis: the quantity and its unit. has_dots: whether each value is
    drawn as a dot, without an average. ranks: whether the lowest value is the best.
    """

    title: str
    scale: Scale
    lines: tuple[Line, ...] = ()
    marks: tuple[Mark, ...] = ()
    marks_name: str = "ideal"
    range: tuple[float, float] = (0.0, 1.0)
    axis: str = ""
    hint: str = ""
    has_dots: bool = False
    ranks: bool = False

    def best(self) -> Line | None:
        """Return the lowest value of all lines (the first if equal) as a line of one point; None without values."""
        points = [(value, kimg) for line in self.lines for value, kimg in zip(line.values, line.kimg, strict=True)]
        if not points:
            return None
        value, kimg = min(points)
        name = f"best {format_significant(value)} at {kimg:g} kimg"
        return Line(name, "green", np.array([kimg]), np.array([value]), weight=1.6)

    def thin_and_bold(
        self, line: Line, smooth: Callable[[Values], Values] = smooth_centred
    ) -> tuple[Line | None, Line]:
        """Return the measured curve (thin) and its means or moving average (bold); no thin one for few values."""
        if self.has_dots or (len(line.values) <= UNSMOOTHED_POINTS and line.means is None):
            return None, line
        kimg, values = line.means if line.means else (line.kimg, smooth(line.values))
        return line, replace(line, kimg=kimg, values=values)


NamedKey = tuple[str, str, str]  # key of metrics.jsonl, name in the legend, tone
LOSS_KEYS: tuple[NamedKey, ...] = (("d_loss", "discriminator", "blue"), ("g_loss", "generator", "orange"))
ACCURACY_KEYS: tuple[NamedKey, ...] = (
    ("accuracy_real", "training", "blue"),
    ("accuracy_fake", "generated", "orange"),
    ("accuracy", BOTH, "ink"),
    ("accuracy_heldout", "held out", "green"),
)
PAIR_ACCURACY_KEYS: tuple[NamedKey, ...] = (
    ("accuracy", "training", "blue"),
    ("accuracy_heldout", "held out", "green"),
)
HEALTH: tuple[tuple[Chart, tuple[NamedKey, ...]], ...] = (
    (
        Chart(
            "coverage and class balance",
            "share",
            hint="coverage: share of real images with a generated image nearby; class imbalance: total variation from "
            "the training set, 0 is ideal",
            has_dots=True,
        ),
        ((COVERAGE.key, COVERAGE.label, "blue"), (CLASS_BALANCE.key, CLASS_BALANCE.label, "orange")),
    ),
    (
        Chart(
            "diversity and overfitting",
            "linear",
            hint="diversity: 1 is as varied as real images, 0 is collapse; r_v: 0 is no overfitting, 1 means that D "
            "has memorised the training set",
        ),
        (("diversity", "diversity", "blue"), ("r_v", "r_v", "orange")),
    ),
    (
        Chart("gradient norms", "log", hint="steady norms are healthy; exploding or vanishing norms are not"),
        (("d_grad", "discriminator", "blue"), ("g_grad", "generator", "orange")),
    ),
    (
        Chart("augmentation", "share", hint="strength of adaptive augmentation"),
        (("augment_strength", "strength", "green"),),
    ),
)
DRAWABLE: dict[Scale, tuple[float, float]] = {
    "log": (1e-12, math.inf),
    "share": (0, 1),
    "linear": (-IMPLAUSIBLE_VALUE, IMPLAUSIBLE_VALUE),
}


def film_charts(runs: Sequence[RunDir]) -> list[list[Chart]]:
    """Return each run's charts of loss and accuracy, and of score if any run was scored.

    Charts of one kind have the same range in all runs. Raises RunError for a run without measurements.
    """
    of_runs = [run_charts(run.read_config(), read_metric_records(run)) for run in runs]
    for run, charts in zip(runs, of_runs, strict=True):
        if not any(chart.lines for chart in charts):
            raise RunError(f"{run.path} has no measurements to plot; omit --plots")
    kinds = [with_common_range(same) for same in zip(*of_runs, strict=True) if any(chart.lines for chart in same)]
    kinds = [[replace(c, lines=tuple(line for line in c.lines if line.name != BOTH)) for c in same] for same in kinds]
    return [list(charts) for charts in zip(*kinds, strict=True)]


def report_charts(runs: Sequence[tuple[Record, Sequence[Record]]]) -> list[list[Chart]]:
    """Return the charts of film_charts and the health charts of each run; no charts without measurements.

    runs: config.json and the lines of metrics.jsonl of each. If a run has no values for a chart, its chart is empty.
    """
    of_runs = [[*run_charts(*run), *health_charts(*run)] for run in runs]
    titles = dict.fromkeys(chart.title for charts in of_runs for chart in charts if chart.lines)
    same = [[chart_titled(charts, title) for charts in of_runs] for title in titles]
    return [list(charts) for charts in zip(*map(with_common_range, same), strict=True)] or [[] for _ in runs]


def chart_titled(charts: Sequence[Chart], title: str) -> Chart:
    return next((chart for chart in charts if chart.title == title), Chart(title, "linear"))


def comparison_charts(of_each: Sequence[Sequence[Chart]], names: Sequence[str]) -> list[Chart]:
    """Turn the charts of several runs into one chart for each kind of line, with one line per run.

    Each run has its own tone; a mark that all runs share is grey.
    """
    compared = []
    for same in zip(*of_each, strict=True):
        model = next(chart for chart in same if chart.lines)
        for key, tone in dict.fromkeys((line.name, line.tone) for chart in same for line in chart.lines):
            lines, marks = [], dict[Mark, None]()
            for i, (chart, name) in enumerate(zip(same, names, strict=True)):
                lines += [replace(line, name=name, tone=f"run{i}") for line in chart.lines if line.name == key]
                marks |= {Mark(mark.value, f"run{i}"): None for mark in chart.marks if mark.tone in (tone, "grey")}
            alike = {format_significant(mark.value): Mark(mark.value, "grey") for mark in marks}
            title = f"{model.title}: {key}" if sum(len(chart.lines) > 1 for chart in same) else model.title
            shown = tuple(alike.values() if len(alike) == 1 else marks)
            compared.append(replace(model, title=title, lines=tuple(lines), marks=shown))
    return compared


def run_charts(config: Record, records: Sequence[Record]) -> tuple[Chart, Chart, Chart]:
    """Return the loss, accuracy and score charts of a run, from config.json and the lines of metrics.jsonl.

    Values that the run did not measure are missing, and so are ideals outside DRAWABLE.
    """
    ideals = get_section(config, "ideals")
    unit = get_text(ideals, "loss_unit") if "loss_unit" in ideals else "nats per image"
    is_of_pairs = get_text(ideals, "accuracy_of") == "pairs"
    accuracy = get_number(ideals, "accuracy")
    return (
        Chart(
            "loss",
            "linear",
            measured_lines(records, LOSS_KEYS),
            drawable_marks(ideal_losses(ideals), "linear"),
            axis=f"loss [{unit}]" if unit else "loss",
        ),
        Chart(
            "D accuracy",
            "share",
            measured_lines(records, PAIR_ACCURACY_KEYS if is_of_pairs else ACCURACY_KEYS),
            drawable_marks(() if accuracy is None else (Mark(accuracy, "grey", f"ideal: {accuracy:.0%}"),), "share"),
            axis=f"judged correctly [% of {'pairs' if is_of_pairs else 'images'}]",
        ),
        score_chart(get_section(config, "eval"), records),
    )


def drawable_marks(marks: Sequence[Mark], scale: Scale) -> tuple[Mark, ...]:
    low, high = DRAWABLE[scale]
    return tuple(mark for mark in marks if low <= mark.value <= high)


def ideal_losses(ideals: Record) -> tuple[Mark, ...]:
    """Return marks at the ideal losses; one mark if both are equal."""
    marks = [
        Mark(value, tone, f"ideal {key[0].upper()}: {get_text(ideals, f'{key}_name')}".removesuffix(": "))
        for key, _, tone in LOSS_KEYS
        if (value := get_number(ideals, key)) is not None
    ]
    if len({mark.value for mark in marks}) < len(marks):
        return (Mark(marks[0].value, "grey", f"ideal: {get_text(ideals, 'd_loss_name')}"),)
    return tuple(marks)


def measured_lines(records: Sequence[Record], keys: Sequence[NamedKey]) -> tuple[Line, ...]:
    """Return curves of the ticks, or of the epochs if a run has fewer than two ticks and more epochs.

    From MIN_EPOCHS epochs on, the means of the epochs are the bold lines.
    """
    epochs = drop_partial_mean(records, "epoch")
    ticks = drop_partial_mean(records, "tick")
    if len(ticks) < 2 and len(epochs) > len(ticks):
        ticks = epochs
    lines = []
    for key, name, tone in keys:
        means = metric_series(epochs, key)
        line = Line(name, tone, *metric_series(ticks, key), means if len(means[0]) >= MIN_EPOCHS else None)
        lines += [line] if len(line.kimg) else []
    return tuple(lines)


def score_chart(about: Record, records: Sequence[Record]) -> Chart:
    """Return the chart of the score that ranks models. about: "eval" of config.json.

    A kernel distance can be negative, so its scale is linear.
    """
    score, floor = get_text(about, "score"), get_number(about, "floor")
    is_kernel = score.startswith("kid")
    scale: Scale = "linear" if is_kernel else "log"
    kimg, values = drawable_points([record for record in records if record["kind"] == "eval"], score)
    return Chart(
        score,
        scale,
        (Line(f"score ({RANKING.better} is better)", "ink", kimg, values),) if len(kimg) else (),
        drawable_marks(() if floor is None else (Mark(floor, "grey", f"floor {format_significant(floor)}"),), scale),
        "floor",
        axis=f"{'Kernel' if is_kernel else 'Frechet'} distance to training images",
        hint="floor: the score of a perfect generator" + ("" if is_kernel else "; logarithmic scale"),
        has_dots=True,
        ranks=True,
    )


def health_charts(config: Record, records: Sequence[Record]) -> list[Chart]:
    """Return charts that show the health of training; values outside DRAWABLE are dropped."""
    about = get_section(config, "eval")
    records = [*drop_partial_mean(records, "tick"), *(record for record in records if record["kind"] == "eval")]
    charts = []
    for model, keys in HEALTH:
        low, high = DRAWABLE[model.scale]
        lines: list[Line] = []
        marks: list[Mark] = []
        for key, name, tone in keys:
            line, floor = Line(name, tone, *drawable_points(records, key, low, high)), get_number(about, f"{key}_floor")
            lines += [line] if len(line.kimg) else []
            if len(line.kimg) and floor is not None:
                marks.append(Mark(floor, tone, f"floor {100 * floor:.3g}%"))
        names = {line.name for line in lines}
        axis = ", ".join(f"{row.label}: {row.better} is better" for row in TRAINING_SCORES if row.label in names)
        charts.append(
            replace(model, lines=tuple(lines), marks=drawable_marks(marks, model.scale), marks_name="floor", axis=axis)
        )
    return charts


def with_common_range(same: Sequence[Chart]) -> list[Chart]:
    """Give all charts one range that shows every value, and the scale of the first chart with lines."""
    model = next((chart for chart in same if chart.lines), same[0])
    groups = [line.values for chart in same for line in chart.lines]
    marks = [mark.value for chart in same for mark in chart.marks]
    if model.scale == "log":
        low, high = log_axis_limits([*np.concatenate([*groups, np.array(marks)])])
    elif model.scale == "share":
        low, high = 0.0, 1.0
    else:
        low, high = axis_limits(groups, marks)
    return [replace(chart, scale=model.scale, range=(low, high)) for chart in same]
