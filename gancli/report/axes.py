"""The positions of values on a plot, and the labels of its axes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gancli.report.charts import Chart
from gancli.wording import format_significant


@dataclass(frozen=True)
class Box:
    """A chart and the position of its plot, in pixels or in units of a drawing; y grows downwards."""

    chart: Chart
    left: int
    right: int
    top: int
    bottom: int

    def y(self, value: float) -> float:
        """Return the y of a value; values outside the range are moved to its edge."""
        low, high = self.chart.range
        value = min(max(value, low), high)
        if self.chart.scale == "log":
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.bottom - (self.bottom - self.top) * (value - low) / (high - low)


def gridline_values(box: Box, gap: float) -> Sequence[float]:
    """Return round values for horizontal lines that are at least `gap` apart."""
    low, high = box.chart.range
    if box.chart.scale == "log":
        return keep_spaced([value for value in tick_candidates(high) if value >= low], box.y, gap)
    steps = sorted(tick_candidates(high - low))
    step = next((step for step in steps if box.y(low) - box.y(low + step) >= gap), high - low)
    return [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def round_steps(last: float, most: int) -> list[float]:
    """Return round values from 0 to `last`, with at most `most` steps."""
    step = min(step for step in tick_candidates(last) if last / step <= most)
    return [i * step for i in range(int(last / step) + 1)]


def tick_candidates(high: float) -> list[float]:
    """Return the powers of ten up to `high` over 24 decades, largest first; then 5 times and 2 times these powers."""
    top = math.floor(math.log10(high)) if high > 0 else 0
    values = [factor * 10.0**power for factor in (1.0, 5.0, 2.0) for power in range(top, top - 24, -1)]
    return [value for value in values if value <= high]


def keep_spaced(values: Sequence[float], place: Callable[[float], float], gap: float) -> list[float]:
    """Keep each value whose place is at least `gap` from the places of all values kept before."""
    kept: list[float] = []
    for value in values:
        if all(abs(place(value) - place(other)) >= gap for other in kept):
            kept.append(value)
    return kept


def format_exact(chart: Chart, value: float) -> str:
    return f"{value:.1%}" if chart.scale == "share" else format_significant(value)


def format_tick(chart: Chart, value: float) -> str:
    return f"{value:.0%}" if chart.scale == "share" else f"{value:g}"
