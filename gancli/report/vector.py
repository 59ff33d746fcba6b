"""Draw charts for the page template, each as a small SVG with labels around it.

The page stretches the SVG to fit. So positions are shares of width and height, and text is not in the SVG.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gancli.report.axes import Box, format_exact, format_tick, gridline_values, round_steps
from gancli.report.charts import Chart, Line
from gancli.report.series import Values
from gancli.wording import format_list

WIDE, HIGH = 1000, 400  # units of the drawing
GAP, MOST_KIMG = 70, 6  # smallest gap between horizontal lines; most steps of the kimg axis
MOST_POINTS = 600  # points of a curve


@dataclass(frozen=True)
class AxisMark:
    """A label at a share of the height or width, in percent. tone: the name of a colour of the page."""

    place: float
    label: str
    tone: str = "grey"


@dataclass(frozen=True)
class BestMark:
    left: float
    top: float
    label: str


@dataclass(frozen=True)
class CurvePaths:
    """SVG paths of a curve, some empty.

    thin: the values. bold: their moving average, or the values if they are few. dots: few values as dots. now: the
    formatted value at each moment of the page.
    """

    name: str
    tone: str
    thin: str
    bold: str
    dots: str
    now: list[str]


@dataclass(frozen=True)
class ChartDrawing:
    """A chart for the page template. words: a description for screen readers."""

    chart: Chart
    curves: list[CurvePaths]
    levels: list[AxisMark]
    kimg: list[AxisMark]
    ideals: list[AxisMark]
    best: BestMark | None
    words: str


def draw_chart_svg(chart: Chart, moments_kimg: Sequence[float], last_kimg: float) -> ChartDrawing:
    """Draw a chart for the page.

    moments_kimg: the moments of the page's pictures, ascending. last_kimg: the end of the axis, above 0.
    """
    box = Box(chart, 0, WIDE, 0, HIGH)
    best = chart.best() if chart.ranks else None
    return ChartDrawing(
        chart=chart,
        curves=[curve_paths(box, line, moments_kimg, last_kimg) for line in chart.lines],
        levels=[AxisMark(height_percent(box, value), format_tick(chart, value)) for value in gridline_values(box, GAP)],
        kimg=[AxisMark(100 * kimg / last_kimg, f"{kimg:g}") for kimg in round_steps(last_kimg, MOST_KIMG)],
        ideals=[
            AxisMark(height_percent(box, mark.value), format_exact(chart, mark.value), mark.tone)
            for mark in chart.marks
        ],
        best=best_mark(box, best, last_kimg) if best else None,
        words=describe_chart(chart),
    )


def curve_paths(box: Box, line: Line, moments_kimg: Sequence[float], last_kimg: float) -> CurvePaths:
    places = [int(place) for place in np.searchsorted(line.kimg, moments_kimg, side="right")]
    now = [format_exact(box.chart, float(line.values[place - 1])) if place else "-" for place in places]
    thin, bold = box.chart.thin_and_bold(line)

    def points(some: Line) -> tuple[Values, Values]:
        return some.kimg / last_kimg * WIDE, np.array([box.y(value) for value in some.values])

    thin_path, dots = (svg_path(*points(thin)), "") if thin else ("", svg_dots(*points(bold)))
    return CurvePaths(line.name, line.tone, thin_path, svg_path(*points(bold)), dots, now)


def best_mark(box: Box, best: Line, last_kimg: float) -> BestMark:
    return BestMark(float(100 * best.kimg[0] / last_kimg), height_percent(box, float(best.values[0])), best.name)


def svg_path(x: Values, y: Values) -> str:
    """Return a path through all points; if there are many points, through the extremes of each stretch."""
    if len(x) > MOST_POINTS:
        stretches = np.array_split(np.arange(len(x)), MOST_POINTS // 2 - 1)
        extremes = {int(i) for some in stretches for i in (some[y[some].argmin()], some[y[some].argmax()])}
        kept = sorted({0, *extremes, len(x) - 1})
        x, y = x[kept], y[kept]
    return "M" + " ".join(f"{a:.0f},{b:.0f}" for a, b in zip(x, y, strict=True)) if len(x) > 1 else ""


def svg_dots(x: Values, y: Values) -> str:
    """Return dots as strokes of zero length with round ends: they stay round when the drawing is stretched."""
    return "".join(f"M{a:.0f},{b:.0f}h0" for a, b in zip(x[-MOST_POINTS:], y[-MOST_POINTS:], strict=True))


def height_percent(box: Box, value: float) -> float:
    return 100 * box.y(value) / HIGH


def describe_chart(chart: Chart) -> str:
    """Describe a chart in words: 'loss over images seen: discriminator from 1.39 to 1.12; ideal 1.39'."""
    lines = [
        f"{line.name} from {format_exact(chart, float(line.values[0]))} "
        f"to {format_exact(chart, float(line.values[-1]))}"
        for line in chart.lines
    ]
    values = dict.fromkeys(format_exact(chart, mark.value) for mark in chart.marks)
    ideals = [f"{chart.marks_name} {format_list(list(values), len(values))}"] if values else []
    return f"{chart.title} over images seen: {'; '.join([*lines, *ideals])}"
