"""Charts drawn as pixels with Pillow: a plot on a light page, or growing curves on the dark page of a film.

The kimg axis of a film gives each moment the same width, although moments get sparser during training, so the curves
grow steadily with the pictures. The kimg axis of a plot is linear, with epochs above it.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw

from gancli.files.image_io import Picture
from gancli.report.axes import Box, format_tick, gridline_values, keep_spaced, round_steps, tick_candidates
from gancli.report.charts import Chart, Line
from gancli.report.lettering import DIM, INK, PAPER, load_font, shorten_text
from gancli.report.series import Values, smooth_centred, smooth_trailing

MIN_HEIGHT = 130  # pixels of a chart in a film
SUPERSAMPLING = 3  # curves are drawn this many times larger, then reduced
FAINT_OPACITY = 0.3  # opacity of the measured values behind their moving average
MARGIN = 10  # pixels by which curves may leave their box
SHADES = 7  # shades of each colour in a palette
DASH = (6, 4)
PLOT_WIDTH, PLOT_SIZE = 1200, 20  # pixels: width of a plot's page, and size of its text
PANEL_HEIGHTS = ((520,), (420, 220))  # heights of one plot on a page, and of two
HEADING, HEAD, FOOT, BETWEEN, LEFT, RIGHT = 32, 142, 88, 90, 84, 1020  # pixels around the plots
MOST_STEPS = 8  # steps on the axes of kimg and epochs


@dataclass(frozen=True)
class Theme:
    """Colours of a page, width of bold lines and radius of dots, in pixels."""

    paper: str
    grid: str
    dim: str
    ink: str
    tones: Mapping[str, str]
    bold: float
    dot: float


def grey(level: int) -> str:
    return f"#{level:02x}{level:02x}{level:02x}"


# The colours of Okabe and Ito, which colour-blind readers can distinguish; lighter on a dark page.
DARK = Theme(
    grey(PAPER),
    "#262626",
    grey(DIM),
    grey(INK),
    {"blue": "#56B4E9", "orange": "#E69F00", "green": "#19B989", "ink": "#E6E6E6", "grey": "#969696"},
    bold=2,
    dot=2.2,
)
LIGHT = Theme(
    "#ffffff",
    "#e4e4e4",
    "#444444",
    "#222222",
    {"blue": "#0072B2", "orange": "#D55E00", "green": "#009E73", "ink": "#222222", "grey": "#5c5c5c"},
    bold=3.8,
    dot=5.5,
)
SMALL_LIGHT = replace(LIGHT, bold=DARK.bold, dot=DARK.dot)


@dataclass
class Canvas:
    """A page with text and straight lines. words: each text and the box of pixels that it covers."""

    image: Image.Image
    theme: Theme
    size: int
    words: list[tuple[str, tuple[float, float, float, float]]] = field(default_factory=list)

    @classmethod
    def empty(cls, width: int, height: int, theme: Theme, size: int) -> "Canvas":
        return cls(Image.new("RGB", (width, height), theme.paper), theme, size)

    def write(self, x: float, y: float, words: str, tone: str = "grey", anchor: str = "ls", size: int = 0) -> None:
        """Write text at (x, y). size: of the text in pixels; 0 uses the page's size."""
        draw, font = ImageDraw.Draw(self.image), load_font(size or self.size)
        draw.text((x, y), words, self.theme.tones[tone], font, anchor)
        self.words.append((words, draw.textbbox((x, y), words, font, anchor)))

    def line(self, start: tuple[float, float], end: tuple[float, float], color: str, width: int = 1) -> None:
        ImageDraw.Draw(self.image).line((start, end), color, width)

    def length(self, words: str) -> float:
        return load_font(self.size).getlength(words)


@dataclass(frozen=True)
class Axis:
    """The horizontal axis: `kimg` [n] lies at x = `steps` [n] pixels."""

    kimg: Values
    steps: Values

    def x(self, kimg: float) -> float:
        return float(np.interp(kimg, self.kimg, self.steps))


@dataclass(frozen=True)
class Stroke:
    """A growing curve: the pixels that it covers, and when.

    since: for each fine pixel [h, w], the kimg at which the curve reaches it, or inf. top: the first row of the page
    that the curve covers.
    """

    color: str
    opacity: float
    since: npt.NDArray[np.float32]
    top: int

    def mask(self, kimg: float) -> Image.Image:
        covered = (self.since <= np.float32(kimg)) * np.uint8(round(255 * self.opacity))
        return Image.fromarray(covered).reduce(SUPERSAMPLING)

    def paste(self, page: Image.Image, kimg: float) -> None:
        page.paste(self.color, (0, self.top), self.mask(kimg))


@dataclass(frozen=True)
class GrowingCharts:
    """Charts with growing curves, one below the other. empty: the page without curves."""

    empty: Image.Image
    theme: Theme
    axis: Axis
    boxes: list[Box]
    strokes: list[Stroke]

    def at(self, kimg: float) -> Picture:
        """Draw the charts at a moment, [height, width, 3]; later measurements do not affect the picture."""
        page = self.empty.copy()
        draw, now = ImageDraw.Draw(page), round(self.axis.x(kimg))
        for box in self.boxes:
            if now < box.right:
                draw.line((now, box.top, now, box.bottom - 1), self.theme.dim)
        for stroke in self.strokes:
            stroke.paste(page, kimg)
        return np.asarray(page)


def draw_growing_charts(
    charts: Sequence[Chart], moments: Sequence[int], width: int, height: int, theme: Theme = DARK
) -> GrowingCharts:
    """Draw the charts once for a whole film; moments: images seen at its frames, ascending."""
    size = max(13, round(width / 34))
    left, right, foot = round(3.4 * size), width - size, round(1.6 * size)
    axis = Axis(np.array(moments) / 1000, np.linspace(left, right, len(moments)))
    edges = np.linspace(0, height - foot, len(charts) + 1).round().astype(int).tolist()
    boxes = [
        Box(chart, left, right, start + 2 * size, end - size // 2)
        for chart, start, end in zip(charts, edges, edges[1:], strict=False)
    ]
    canvas, baseline = Canvas.empty(width, height, theme, size), height - size // 2
    unit_left = right - canvas.length("kimg")
    canvas.write(right, baseline, "kimg", anchor="rs")
    for kimg in keep_spaced([0, *tick_candidates(axis.kimg[-1])], axis.x, 3.2 * size):
        draw_vertical(canvas, boxes, axis.x(kimg))
        if axis.x(kimg) + canvas.length(f"{kimg:g}") / 2 + size / 2 < unit_left:
            canvas.write(axis.x(kimg), baseline, f"{kimg:g}", anchor="ms")
    for box in boxes:
        draw_box(canvas, box)
        draw_legend(canvas, box, box.top - round(0.7 * size), box.chart.title)
    strokes = [stroke for box in boxes for stroke in box_strokes(box, axis, width, theme, smooth_trailing)]
    return GrowingCharts(canvas.image, theme, axis, boxes, strokes)


def draw_plot(heading: str, charts: Sequence[Chart], last_kimg: float, n_train: float | None, note: str) -> Canvas:
    """Draw one or two charts, one below the other, from 0 to last_kimg (above 0), with a scale of epochs."""
    heights = PANEL_HEIGHTS[len(charts) - 1]
    bottom, boxes = HEAD - BETWEEN, []
    for chart, height in zip(charts, heights, strict=True):
        boxes.append(Box(chart, LEFT, RIGHT, bottom + BETWEEN, bottom := bottom + BETWEEN + height))
    canvas = Canvas.empty(PLOT_WIDTH, bottom + FOOT, LIGHT, PLOT_SIZE)
    draw_heading(canvas, heading)
    axis = Axis(np.array([0, last_kimg]), np.array([LEFT, RIGHT]))
    for kimg in round_steps(last_kimg, MOST_STEPS):
        draw_vertical(canvas, boxes, axis.x(kimg))
        canvas.write(axis.x(kimg), bottom + 26, f"{kimg:g}", anchor="ms")
    canvas.write((LEFT + RIGHT) / 2, bottom + 58, "images seen [kimg]", "ink", "ms")
    canvas.write(PLOT_WIDTH - 16, bottom + FOOT - 10, note, anchor="rs", size=14)
    if n_train and n_train >= 1:
        draw_epochs(canvas, axis, last_kimg * 1000 / n_train)
    for i, box in enumerate(boxes):
        draw_box(canvas, box)
        draw_legend(canvas, box, box.top - (58 if i == 0 else 18), box.chart.axis)
        label_marks(canvas, box)
        canvas.line((LEFT, box.top), (LEFT, box.bottom), LIGHT.dim)
        canvas.line((LEFT, box.bottom), (RIGHT, box.bottom), LIGHT.dim)
        for stroke in box_strokes(box, axis, PLOT_WIDTH, LIGHT, smooth_centred):
            stroke.paste(canvas.image, last_kimg)
    return canvas


def draw_heading(canvas: Canvas, heading: str) -> None:
    """Write the heading as large as fits in one line, but at least as large as the other text."""
    room = PLOT_WIDTH - LEFT - 16
    sizes = range(HEADING, PLOT_SIZE, -1)
    size = next((size for size in sizes if load_font(size).getlength(heading) <= room), PLOT_SIZE)
    canvas.write(LEFT, 44, shorten_text(heading, room, load_font(size)), "ink", size=size)


def draw_vertical(canvas: Canvas, boxes: Sequence[Box], x: float) -> None:
    for box in boxes:
        canvas.line((x, box.top), (x, box.bottom), canvas.theme.grid)


def draw_epochs(canvas: Canvas, axis: Axis, last: float) -> None:
    """Draw a second scale above the first plot, with its name next to it."""
    for epoch in round_steps(last, MOST_STEPS):
        x = axis.x(axis.kimg[-1] * epoch / last)
        canvas.line((x, HEAD - 6), (x, HEAD), LIGHT.dim)
        canvas.write(x, HEAD - 13, f"{epoch:g}", anchor="ms")
    canvas.write(RIGHT + 40, HEAD - 13, "epochs", "ink")
    canvas.line((LEFT, HEAD), (RIGHT, HEAD), LIGHT.dim)


def draw_box(canvas: Canvas, box: Box) -> None:
    """Draw labelled horizontal lines, and the marks as dashed lines."""
    chart, size = box.chart, canvas.size
    for value in gridline_values(box, max(1.8 * size, (box.bottom - box.top) / 11)):
        canvas.line((box.left, box.y(value)), (box.right, box.y(value)), canvas.theme.grid)
        canvas.write(box.left - size // 2, box.y(value), format_tick(chart, value), anchor="rm")
    for mark in chart.marks:
        for start in range(box.left, box.right, sum(DASH)):
            points = (start, box.y(mark.value)), (min(start + DASH[0], box.right), box.y(mark.value))
            canvas.line(*points, canvas.theme.tones[mark.tone], round(0.6 * canvas.theme.bold))
    if not chart.lines:
        canvas.write(
            (box.left + box.right) / 2, box.top + 0.4 * (box.bottom - box.top), "no measurements yet", anchor="mm"
        )


def draw_legend(canvas: Canvas, box: Box, baseline: int, title: str) -> None:
    """Write the title, then for each curve a stroke in its colour and its name, as long as there is room."""
    chart, size = box.chart, canvas.size
    entries = [(line.name, line.tone, [(0.0, 1.1)]) for line in chart.lines]
    entries += [(chart.marks_name, "grey", [(0.0, 0.4), (0.7, 1.1)])] if chart.marks else []
    canvas.write(box.left, baseline, title, "ink")
    x = box.left + canvas.length(title) + 1.2 * size
    for name, tone, strokes in entries:
        room = 1.5 * size + canvas.length(name)
        if x + room > box.right:
            break
        for start, end in strokes:
            y = baseline - size // 3
            canvas.line((x + start * size, y), (x + end * size, y), canvas.theme.tones[tone], round(canvas.theme.bold))
        canvas.write(x + 1.5 * size, baseline, name, tone)
        x += room + size


def label_marks(canvas: Canvas, box: Box) -> None:
    """Write the labels of marks in the right margin; labels that are close are moved apart."""
    gap, lowest = 1.3 * canvas.size, -math.inf
    for mark in sorted(box.chart.marks, key=lambda mark: box.y(mark.value)):
        lowest = max(box.y(mark.value), lowest + gap)
        canvas.write(box.right + canvas.size // 2, lowest, mark.label, mark.tone, "lm")


def box_strokes(box: Box, axis: Axis, width: int, theme: Theme, smooth: Callable[[Values], Values]) -> Iterator[Stroke]:
    """Draw each curve: faint values behind their moving average; if there are few values, a dot for each."""
    for line in box.chart.lines:
        thin, bold = box.chart.thin_and_bold(line, smooth)
        is_single = theme is not DARK and len(bold.kimg) == 1  # a curve of one point is invisible without a dot
        color, radius = theme.tones[line.tone], theme.dot * line.weight if box.chart.has_dots or is_single else 0
        if thin:
            yield draw_stroke(box, thin, axis, width, color, thickness=0.6 * theme.bold, opacity=FAINT_OPACITY)
        yield draw_stroke(box, bold, axis, width, color, thickness=theme.bold, radius=radius)


def draw_stroke(
    box: Box, line: Line, axis: Axis, width: int, color: str, *, thickness: float, radius: float = 0, opacity: float = 1
) -> Stroke:
    """Draw a curve; thickness and radius in pixels. Its points are as wide as the line, so that joints are round."""
    points = [(kimg, box.y(value)) for kimg, value in zip(line.kimg, line.values, strict=True) if math.isfinite(value)]
    heights = [round(y) for _, y in points] or [box.bottom]
    top, bottom = min(heights) - MARGIN, max(heights) + MARGIN
    path = [(kimg, (SUPERSAMPLING * (axis.x(kimg) + 0.5), SUPERSAMPLING * (y - top + 0.5))) for kimg, y in points]
    image = Image.new("F", (SUPERSAMPLING * width, SUPERSAMPLING * (bottom - top)), math.inf)
    draw = ImageDraw.Draw(image)
    for i in reversed(range(len(path))):  # earlier points are drawn on top
        kimg, point = path[i]
        if i:
            draw.line((path[i - 1][1], point), kimg, round(SUPERSAMPLING * thickness))
        draw.circle(point, SUPERSAMPLING * max(radius, thickness / 2), kimg)
    return Stroke(color, opacity, np.asarray(image), top)


def curve_colours() -> Picture:
    """Return palette colours of curves [n, 3]: shades from each curve's colour to the page's."""
    colors = [DARK.tones[tone] for tone in ("blue", "orange", "green")]
    ramps = [np.linspace([PAPER] * 3, ImageColor.getrgb(color), SHADES + 1)[1:] for color in colors]
    return np.concatenate(ramps).round().astype(np.uint8)
