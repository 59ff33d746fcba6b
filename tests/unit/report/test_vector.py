import math
import re

import numpy as np
import pytest

from gancli.report import axes, vector
from gancli.report.charts import Chart, Line, Mark


def line(values, step=1.0, name="discriminator", tone="blue"):
    values = np.array(values, np.float64)
    return Line(name, tone, step * np.arange(1, len(values) + 1), values)


def points(path):
    return [tuple(map(float, each)) for each in re.findall(r"(-?\d+),(-?\d+)", path)]


def test_few_values_are_dots_on_one_curve_in_shares_of_the_range():
    drawn = vector.draw_chart_svg(
        Chart("loss", "linear", (line([0, 1, 2]),), (Mark(1.0, "grey"),), range=(0, 2)), [0.5, 2], 4
    )
    (curve,) = drawn.curves
    assert points(curve.bold) == [(250, 400), (500, 200), (750, 0)] == points(curve.dots) and curve.thin == ""
    assert curve.tone == "blue" and curve.now == ["-", "1.00"]
    assert [(mark.place, mark.label) for mark in drawn.ideals] == [(50, "1.00")]
    assert drawn.words == "loss over images seen: discriminator from 0.00 to 2.00; ideal 1.00"


def test_values_outside_the_range_lie_on_its_edge():
    drawn = vector.draw_chart_svg(Chart("loss", "linear", (line([-9, 99]),), (), range=(0, 2)), [], 2)
    assert points(drawn.curves[0].bold) == [(500, 400), (1000, 0)]


def test_a_long_curve_keeps_its_spikes_and_few_points():
    values = np.ones(50_000)
    values[12_345] = 2
    drawn = vector.draw_chart_svg(Chart("loss", "linear", (line(values, 0.002),), (), range=(0, 2)), [], 100)
    found = points(drawn.curves[0].thin)
    assert len(found) <= vector.MOST_POINTS and min(y for _, y in found) == 0
    assert [x for x, _ in found] == sorted(x for x, _ in found) and found[-1][0] == 1000


def test_the_best_score_is_marked_where_it_was():
    drawn = vector.draw_chart_svg(Chart("fd", "log", (line([100, 1, 10]),), (), "floor", (1, 100), ranks=True), [], 4)
    assert (drawn.best.left, drawn.best.top, drawn.best.label) == (50, 100, "best 1.00 at 2 kimg")


@pytest.mark.parametrize("last", [0.001, 0.3, 1, 7, 60, 60.02, 147.5, 99_999])
def test_the_axis_has_a_few_round_steps_from_zero(last):
    steps = axes.round_steps(last, vector.MOST_KIMG)
    assert steps[0] == 0 and 3 <= len(steps) <= vector.MOST_KIMG + 1 and steps[-1] <= last * (1 + 1e-9)
    mantissa = steps[1] / 10 ** math.floor(math.log10(steps[1]) + 1e-9)
    assert min(abs(mantissa - each) for each in (1, 2, 5)) < 1e-6
