"""Charts as a small SVG and the labels around it, for a template to write down.

The page stretches the drawing to the room it has, so places are shares of width and height, and words stay out of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gancli.report import charts
from gancli.report.charts import Chart, Line
from gancli.report.curves import UNSMOOTHED_POINTS, Box, gridline_values, tick_candidates
from gancli.report.series import Values, smooth_centred
from gancli.wording import format_list, format_significant

WIDE, HIGH = 1000, 400  # units of the drawing
GAP, MOST_KIMG = 70, 6  # units between levels; steps of the kimg axis, at most
MOST_POINTS = 600  # of a curve
COLOUR_TONES = {
    charts.SKY: "blue",
    charts.ORANGE: "orange",
    charts.GREEN: "green",
    charts.WHITE: "ink",
    charts.GREY: "grey",
}


@dataclass(frozen=True)
class AxisMark:
    """A label at a share of the height or width, in percent. tone: a name that the page has a colour for."""

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
    """Paths of SVG, some empty: thin, of the values; bold, of their moving average, or of values that are few and have
    dots. now: what it was at each moment of the page."""

    name: str
    tone: str
    thin: str
    bold: str
    dots: str
    now: list[str]


@dataclass(frozen=True)
class ChartDrawing:
    """words: what it shows, for those who do not see it."""

    title: str
    hint: str
    curves: list[CurvePaths]
    levels: list[AxisMark]
    kimg: list[AxisMark]
    ideals: list[AxisMark]
    ideal_name: str
    best: BestMark | None
    words: str


def draw_chart_svg(chart: Chart, moments_kimg: Sequence[float], last_kimg: float) -> ChartDrawing:
    """moments_kimg: of the page's pictures, ascending. last_kimg: where the axis ends, above 0."""
    box = Box(chart, 0, WIDE, 0, HIGH)
    return ChartDrawing(
        title=chart.title,
        hint=chart.hint,
        curves=[curve_paths(box, line, moments_kimg, last_kimg) for line in chart.lines],
        levels=[AxisMark(height_percent(box, value), format_tick(chart, value)) for value in gridline_values(box, GAP)],
        kimg=[AxisMark(100 * kimg / last_kimg, f"{kimg:g}") for kimg in axis_values(last_kimg)],
        ideals=[
            AxisMark(height_percent(box, value), format_exact(chart, value), colour_tone(color))
            for value, color in chart.dashed
        ],
        ideal_name=chart.dashed_name,
        best=best_mark(box, last_kimg) if chart.ranks else None,
        words=describe_chart(chart),
    )


def curve_paths(box: Box, line: Line, moments_kimg: Sequence[float], last_kimg: float) -> CurvePaths:
    x = line.kimg / last_kimg * WIDE
    places = [int(place) for place in np.searchsorted(line.kimg, moments_kimg, side="right")]
    now = [format_exact(box.chart, float(line.values[place - 1])) if place else "-" for place in places]
    measured = box_heights(box, line.values)
    if box.chart.ranks or len(x) <= UNSMOOTHED_POINTS:
        return CurvePaths(line.name, colour_tone(line.color), "", svg_path(x, measured), svg_dots(x, measured), now)
    average = svg_path(x, box_heights(box, smooth_centred(line.values)))
    return CurvePaths(line.name, colour_tone(line.color), svg_path(x, measured), average, "", now)


def colour_tone(color: str) -> str:
    """Of a colour of charts; of a run's place among several, as charts.compared has it."""
    return COLOUR_TONES.get(color, f"run{color}")


def box_heights(box: Box, values: Values) -> Values:
    return np.array([box.y(value) for value in values])


def svg_path(x: Values, y: Values) -> str:
    """A line through all points, or through the extremes of each stretch of them where they are many."""
    if len(x) > MOST_POINTS:
        stretches = np.array_split(np.arange(len(x)), MOST_POINTS // 2 - 1)
        extremes = {int(i) for some in stretches for i in (some[y[some].argmin()], some[y[some].argmax()])}
        kept = sorted({0, *extremes, len(x) - 1})
        x, y = x[kept], y[kept]
    return "M" + " ".join(f"{a:.0f},{b:.0f}" for a, b in zip(x, y, strict=True)) if len(x) > 1 else ""


def svg_dots(x: Values, y: Values) -> str:
    """Strokes of no length, which round ends make dots of however the drawing is stretched."""
    return "".join(f"M{a:.0f},{b:.0f}h0" for a, b in zip(x[-MOST_POINTS:], y[-MOST_POINTS:], strict=True))


def height_percent(box: Box, value: float) -> float:
    return 100 * box.y(value) / HIGH


def axis_values(last_kimg: float) -> list[float]:
    """Round values from 0 to the last."""
    step = min(step for step in tick_candidates(last_kimg) if last_kimg / step <= MOST_KIMG)
    return [i * step for i in range(int(last_kimg / step) + 1)]


def best_mark(box: Box, last_kimg: float) -> BestMark | None:
    """The lowest value of all lines."""
    found = [
        (line.values[i], line.kimg[i]) for line in box.chart.lines if len(line.kimg) for i in [line.values.argmin()]
    ]
    if not found:
        return None
    value, kimg = min(found)
    label = f"best {format_significant(float(value))} at {kimg:g} kimg"
    return BestMark(float(100 * kimg / last_kimg), height_percent(box, float(value)), label)


def format_exact(chart: Chart, value: float) -> str:
    return f"{value:.1%}" if chart.scale == "share" else format_significant(value)


def format_tick(chart: Chart, value: float) -> str:
    return f"{value:.0%}" if chart.scale == "share" else f"{value:g}"


def describe_chart(chart: Chart) -> str:
    """'loss over images seen: discriminator from 1.39 to 1.12; ideal 1.39'."""
    lines = [
        f"{line.name} from {format_exact(chart, float(line.values[0]))} "
        f"to {format_exact(chart, float(line.values[-1]))}"
        for line in chart.lines
    ]
    values = dict.fromkeys(format_exact(chart, value) for value, _ in chart.dashed)
    ideals = [f"{chart.dashed_name} {format_list(list(values), len(values))}"] if values else []
    return f"{chart.title} over images seen: {'; '.join([*lines, *ideals])}"
