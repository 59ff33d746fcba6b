"""Charts as a small SVG and the labels around it, for a template to write down.

The page stretches the drawing to the room it has, so places are shares of width and height, and words stay out of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gancli.report import charts
from gancli.report.charts import Chart, Line
from gancli.report.curves import FEW, Box, graduations, levels
from gancli.report.series import Values, smoothed
from gancli.wording import listed, significant

WIDE, HIGH = 1000, 400  # units of the drawing
GAP, MOST_KIMG = 70, 6  # units between levels; steps of the kimg axis, at most
MOST_POINTS = 600  # of a curve
TONES = {charts.SKY: "blue", charts.ORANGE: "orange", charts.GREEN: "green", charts.WHITE: "ink", charts.GREY: "grey"}


@dataclass(frozen=True)
class Mark:
    """A label at a share of the height or width, in percent. tone: a name that the page has a colour for."""

    place: float
    label: str
    tone: str = "grey"


@dataclass(frozen=True)
class Best:
    left: float
    top: float
    label: str


@dataclass(frozen=True)
class Curve:
    """Paths of SVG, some empty: thin, of the values; bold, of their moving average, or of values that are few and have
    dots. now: what it was at each moment of the page."""

    name: str
    tone: str
    thin: str
    bold: str
    dots: str
    now: list[str]


@dataclass(frozen=True)
class Drawing:
    """words: what it shows, for those who do not see it."""

    title: str
    hint: str
    curves: list[Curve]
    levels: list[Mark]
    kimg: list[Mark]
    ideals: list[Mark]
    ideal_name: str
    best: Best | None
    words: str


def draw(chart: Chart, moments_kimg: Sequence[float], last_kimg: float) -> Drawing:
    """moments_kimg: of the page's pictures, ascending. last_kimg: where the axis ends, above 0."""
    box = Box(chart, 0, WIDE, 0, HIGH)
    return Drawing(
        title=chart.title,
        hint=chart.hint,
        curves=[curve(box, line, moments_kimg, last_kimg) for line in chart.lines],
        levels=[Mark(percent(box, value), plain(chart, value)) for value in levels(box, GAP)],
        kimg=[Mark(100 * kimg / last_kimg, f"{kimg:g}") for kimg in axis(last_kimg)],
        ideals=[Mark(percent(box, value), shown(chart, value), tone(color)) for value, color in chart.dashed],
        ideal_name=chart.dashed_name,
        best=best(box, last_kimg) if chart.ranks else None,
        words=described(chart),
    )


def curve(box: Box, line: Line, moments_kimg: Sequence[float], last_kimg: float) -> Curve:
    x = line.kimg / last_kimg * WIDE
    places = [int(place) for place in np.searchsorted(line.kimg, moments_kimg, side="right")]
    now = [shown(box.chart, float(line.values[place - 1])) if place else "-" for place in places]
    measured = heights(box, line.values)
    if box.chart.ranks or len(x) <= FEW:
        return Curve(line.name, tone(line.color), "", path(x, measured), dots(x, measured), now)
    average = path(x, heights(box, smoothed(line.values)))
    return Curve(line.name, tone(line.color), path(x, measured), average, "", now)


def tone(color: str) -> str:
    """Of a colour of charts; of a run's place among several, as charts.compared has it."""
    return TONES.get(color, f"run{color}")


def heights(box: Box, values: Values) -> Values:
    return np.array([box.y(value) for value in values])


def path(x: Values, y: Values) -> str:
    """A line through all points, or through the extremes of each stretch of them where they are many."""
    if len(x) > MOST_POINTS:
        stretches = np.array_split(np.arange(len(x)), MOST_POINTS // 2 - 1)
        extremes = {int(i) for some in stretches for i in (some[y[some].argmin()], some[y[some].argmax()])}
        kept = sorted({0, *extremes, len(x) - 1})
        x, y = x[kept], y[kept]
    return "M" + " ".join(f"{a:.0f},{b:.0f}" for a, b in zip(x, y, strict=True)) if len(x) > 1 else ""


def dots(x: Values, y: Values) -> str:
    """Strokes of no length, which round ends make dots of however the drawing is stretched."""
    return "".join(f"M{a:.0f},{b:.0f}h0" for a, b in zip(x[-MOST_POINTS:], y[-MOST_POINTS:], strict=True))


def percent(box: Box, value: float) -> float:
    return 100 * box.y(value) / HIGH


def axis(last_kimg: float) -> list[float]:
    """Round values from 0 to the last."""
    step = min(step for step in graduations(last_kimg) if last_kimg / step <= MOST_KIMG)
    return [i * step for i in range(int(last_kimg / step) + 1)]


def best(box: Box, last_kimg: float) -> Best | None:
    """The lowest value of all lines."""
    found = [
        (line.values[i], line.kimg[i]) for line in box.chart.lines if len(line.kimg) for i in [line.values.argmin()]
    ]
    if not found:
        return None
    value, kimg = min(found)
    label = f"best {significant(float(value))} at {kimg:g} kimg"
    return Best(float(100 * kimg / last_kimg), percent(box, float(value)), label)


def shown(chart: Chart, value: float) -> str:
    return f"{value:.1%}" if chart.scale == "share" else significant(value)


def plain(chart: Chart, value: float) -> str:
    return f"{value:.0%}" if chart.scale == "share" else f"{value:g}"


def described(chart: Chart) -> str:
    """'loss over images seen: discriminator from 1.39 to 1.12; ideal 1.39'."""
    lines = [
        f"{line.name} from {shown(chart, float(line.values[0]))} to {shown(chart, float(line.values[-1]))}"
        for line in chart.lines
    ]
    values = dict.fromkeys(shown(chart, value) for value, _ in chart.dashed)
    ideals = [f"{chart.dashed_name} {listed(list(values), len(values))}"] if values else []
    return f"{chart.title} over images seen: {'; '.join([*lines, *ideals])}"
