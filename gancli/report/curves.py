"""Charts drawn with Pillow, dark as the film they grow in.

The axis of kimg is that of the film: equal steps for its moments, which get sparser as training goes on, so that curves
grow as steadily as the pictures pass.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw

from gancli.files.image_io import Picture
from gancli.report.charts import GREEN, GREY, ORANGE, SKY, Chart, Line
from gancli.report.lettering import DIM, INK, PAPER, load_font
from gancli.report.series import Values, smooth_trailing

MIN_HEIGHT = 130  # pixels of a chart
SUPERSAMPLING = 3  # curves are drawn so many times as large, and reduced
GRID = "#262626"
FAINT_OPACITY = 0.3  # opacity of the measured values behind their moving average
UNSMOOTHED_POINTS = 20  # values that need no average
MARGIN = 4  # pixels that curves may reach beyond their box
DOT = 2.2  # radius of a score, in pixels
SHADES = 7  # of a colour in a palette
DASH = (6, 4)


@dataclass(frozen=True)
class Axis:
    """Images seen, across the page: `steps` [n] pixels for the film's moments at `kimg` [n]."""

    kimg: Values
    steps: Values

    def x(self, kimg: float) -> float:
        return float(np.interp(kimg, self.kimg, self.steps))


@dataclass(frozen=True)
class Box:
    """A chart and where its plot lies, in pixels."""

    chart: Chart
    left: int
    right: int
    top: int
    bottom: int

    def y(self, value: float) -> float:
        """Values outside the range lie on its edge."""
        low, high = self.chart.range
        value = min(max(value, low), high)
        if self.chart.scale == "log":
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.bottom - (self.bottom - self.top) * (value - low) / (high - low)


@dataclass(frozen=True)
class Stroke:
    """A curve as it grows. since: for each fine pixel [h, w], the kimg from which it is covered, or inf.

    top: the row of the page where its pixels start.
    """

    color: str
    opacity: float
    since: npt.NDArray[np.float32]
    top: int

    def mask(self, kimg: float) -> Image.Image:
        covered = (self.since <= np.float32(kimg)) * np.uint8(round(255 * self.opacity))
        return Image.fromarray(covered).reduce(SUPERSAMPLING)


@dataclass(frozen=True)
class GrowingCharts:
    """Charts, one below the other, whose curves grow. empty: the page without them, [height, width, 3]."""

    empty: Picture
    axis: Axis
    boxes: list[Box]
    strokes: list[Stroke]

    def at(self, kimg: float) -> Picture:
        """The charts at that moment: nothing that was measured later has a part in it."""
        page = Image.fromarray(self.empty)
        draw, now = ImageDraw.Draw(page), round(self.axis.x(kimg))
        for box in self.boxes:
            if now < box.right:
                draw.line((now, box.top, now, box.bottom - 1), (DIM,) * 3)
        for stroke in self.strokes:
            page.paste(stroke.color, (0, stroke.top), stroke.mask(kimg))
        return np.asarray(page)


def draw_growing_charts(charts: Sequence[Chart], moments: Sequence[int], width: int, height: int) -> GrowingCharts:
    """Draw the charts, once for a whole film of these moments (images seen, ascending)."""
    size = max(13, round(width / 34))
    left, right, foot = round(3.4 * size), width - size, round(1.6 * size)
    axis = Axis(np.array(moments) / 1000, np.linspace(left, right, len(moments)))
    edges = np.linspace(0, height - foot, len(charts) + 1).round().astype(int).tolist()
    boxes = [
        Box(chart, left, right, start + 2 * size, end - size // 2)
        for chart, start, end in zip(charts, edges, edges[1:], strict=False)
    ]
    image = Image.new("RGB", (width, height), (PAPER,) * 3)
    draw = ImageDraw.Draw(image)
    draw_kimg(draw, axis, boxes, height - size // 2, size)
    for box in boxes:
        draw_box(draw, box, size)
    strokes = [stroke for box in boxes for line in box.chart.lines for stroke in line_strokes(box, line, axis, width)]
    return GrowingCharts(np.asarray(image), axis, boxes, strokes)


def draw_kimg(draw: ImageDraw.ImageDraw, axis: Axis, boxes: Sequence[Box], baseline: int, size: int) -> None:
    """Vertical lines through all boxes, and their kimg in one line below."""
    font = load_font(size)
    draw.text((boxes[0].right, baseline), "kimg", GREY, font, "rs")
    unit_left = boxes[0].right - font.getlength("kimg")
    for kimg in keep_spaced([0, *tick_candidates(axis.kimg[-1])], axis.x, 3.2 * size):
        for box in boxes:
            draw.line((axis.x(kimg), box.top, axis.x(kimg), box.bottom), GRID)
        label = f"{kimg:g}"
        if axis.x(kimg) + font.getlength(label) / 2 + size / 2 < unit_left:
            draw.text((axis.x(kimg), baseline), label, GREY, font, "ms")


def draw_box(draw: ImageDraw.ImageDraw, box: Box, size: int) -> None:
    """All of a chart but its curves: title and legend, horizontal lines with their values, the ideals dashed."""
    font, chart = load_font(size), box.chart
    for value in gridline_values(box, 1.8 * size):
        draw.line((box.left, box.y(value), box.right, box.y(value)), GRID)
        label = f"{value:.0%}" if chart.scale == "share" else f"{value:g}"
        draw.text((box.left - size // 2, box.y(value)), label, GREY, font, "rm")
    for value, color in chart.dashed:
        for start in range(box.left, box.right, sum(DASH)):
            draw.line((start, box.y(value), min(start + DASH[0], box.right), box.y(value)), color)
    draw_legend(draw, box, box.top - round(0.7 * size), size)


def draw_legend(draw: ImageDraw.ImageDraw, box: Box, baseline: int, size: int) -> None:
    """The title, then the name of each curve after a stroke in its colour, as far as there is room."""
    font, chart = load_font(size), box.chart
    entries = [(line.name, line.color, [(0.0, 1.1)]) for line in chart.lines]
    entries += [(chart.dashed_name, GREY, [(0.0, 0.4), (0.7, 1.1)])] if chart.dashed else []
    draw.text((box.left, baseline), chart.title, (INK,) * 3, font, "ls")
    x = box.left + font.getlength(chart.title) + 1.2 * size
    for name, color, strokes in entries:
        room = 1.5 * size + font.getlength(name)
        if x + room > box.right:
            break
        for start, end in strokes:
            draw.line((x + start * size, baseline - size // 3, x + end * size, baseline - size // 3), color, 2)
        draw.text((x + 1.5 * size, baseline), name, color, font, "ls")
        x += room + size


def line_strokes(box: Box, line: Line, axis: Axis, width: int) -> list[Stroke]:
    """A curve: its values faint behind their moving average, or each as a dot where a score was taken."""
    if box.chart.scale == "log":
        return [draw_stroke(box, line, axis, width, radius=DOT)]
    if len(line.values) <= UNSMOOTHED_POINTS:
        return [draw_stroke(box, line, axis, width)]
    bold = replace(line, values=smooth_trailing(line.values))
    return [
        draw_stroke(box, line, axis, width, opacity=FAINT_OPACITY, thickness=1.2),
        draw_stroke(box, bold, axis, width),
    ]


def draw_stroke(
    box: Box, line: Line, axis: Axis, width: int, *, opacity: float = 1, thickness: float = 2, radius: float = 0
) -> Stroke:
    """thickness of the curve and radius of its points, in pixels; at least so that the joints are round."""
    top = box.top - MARGIN
    path = [
        (kimg, (SUPERSAMPLING * (axis.x(kimg) + 0.5), SUPERSAMPLING * (box.y(value) - top + 0.5)))
        for kimg, value in zip(line.kimg, line.values, strict=True)
        if math.isfinite(value)
    ]
    image = Image.new("F", (SUPERSAMPLING * width, SUPERSAMPLING * (box.bottom + MARGIN - top)), math.inf)
    draw = ImageDraw.Draw(image)
    for i in reversed(range(len(path))):  # what was there first goes on top
        kimg, point = path[i]
        if i:
            draw.line((path[i - 1][1], point), kimg, round(SUPERSAMPLING * thickness))
        draw.circle(point, SUPERSAMPLING * max(radius, thickness / 2), kimg)
    return Stroke(line.color, opacity, np.asarray(image), top)


def gridline_values(box: Box, gap: float) -> Sequence[float]:
    """Round values for horizontal lines, at least `gap` pixels apart."""
    low, high = box.chart.range
    if box.chart.scale == "share":
        return [0, 0.5, 1]
    if box.chart.scale == "log":
        return keep_spaced([value for value in tick_candidates(high) if value >= low], box.y, gap)
    steps = sorted(tick_candidates(high - low))
    step = next((step for step in steps if box.y(low) - box.y(low + step) >= gap), high - low)
    return [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def tick_candidates(high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten up to `high`, over 24 decades: the powers first, then the fives, the twos."""
    top = math.floor(math.log10(high)) if high > 0 else 0
    values = [factor * 10.0**power for factor in (1.0, 5.0, 2.0) for power in range(top, top - 24, -1)]
    return [value for value in values if value <= high]


def keep_spaced(values: Sequence[float], place: Callable[[float], float], gap: float) -> list[float]:
    """Those that lie at least `gap` pixels from all that come before them."""
    kept: list[float] = []
    for value in values:
        if all(abs(place(value) - place(other)) >= gap for other in kept):
            kept.append(value)
    return kept


def curve_colours() -> Picture:
    """[n, 3]: what curves are drawn in, in shades down to the page's, for a palette."""
    ramps = [np.linspace([PAPER] * 3, ImageColor.getrgb(color), SHADES + 1)[1:] for color in (SKY, ORANGE, GREEN)]
    return np.concatenate(ramps).round().astype(np.uint8)
