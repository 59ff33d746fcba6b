import math

import numpy as np
import pytest

from gancli.report import series


def test_limits_show_the_ideals_and_ignore_a_spike():
    usual = np.linspace(0.8, 1.0, 20)
    spiked = np.append(usual, 500.0)
    low, high = series.axis_limits([spiked], [math.log(4), math.log(2)])
    assert low == 0
    assert math.log(4) < high < 2
    assert series.axis_limits([np.array([1.0, 1.0, 1.0, 19.0])], [])[1] < 2


def test_limits_follow_lasting_values():
    collapsed = np.append(np.full(80, 1.0), np.full(20, 8.0))
    assert series.axis_limits([collapsed], [])[1] > 8
    assert series.axis_limits([np.array([4.0, 0.9])], [])[1] > 4
    assert series.axis_limits([np.array([-3.0, 2.0])], [])[0] < -3


def test_limits_without_values_are_still_a_range():
    for groups in ([], [np.array([])], [np.array([np.nan, np.inf])], [np.array([0.0])]):
        low, high = series.axis_limits(groups, [])
        assert low < high and math.isfinite(high - low)


def test_smoothing_keeps_the_length_and_the_mean_level():
    values = np.tile([1.0, 3.0], 60)
    smooth = series.smooth_centred(values)
    assert len(smooth) == len(values)
    assert np.abs(smooth[6:-6] - 2).max() < 0.1
    assert np.array_equal(series.smooth_centred(np.array([5.0, 7.0])), [5.0, 7.0])


def test_a_trailing_average_takes_the_last_tenth_so_far():
    values = np.arange(40.0)
    means = series.smooth_trailing(values)
    assert np.array_equal(means[:10], values[:10])
    assert [means[i] for i in (10, 19, 20, 39)] == [9.5, 18.5, 19, 37.5]
    assert np.array_equal(series.smooth_trailing(np.append(values[:20], np.full(20, 1e9)))[:20], means[:20])


def test_log_limits_show_every_value_and_at_least_a_decade():
    for values in ([], [0.0, -1.0], [7.7], [1e-300, 1e300], [0.2, 300.0], [5.0, 5.1]):
        low, high = series.log_axis_limits(values)
        assert 0 < low < high < math.inf and high / low > 9.99
        assert all(low < value < high for value in values if 1e-12 <= value <= 1e12)


@pytest.mark.parametrize(
    ("ends", "kept"),
    [([1, 2, 3], 3), ([1000, 2000, 2400], 2), ([1000, 2000, 2600], 3), ([1000, 1100], 2), ([5], 1), ([], 0)],
)
def test_a_partial_last_tick_is_not_a_point_of_the_curve(ends: list[int], kept: int) -> None:
    records = [{"kind": kind, "nimg": nimg} for nimg in ends for kind in ("tick", "eval")]
    assert [record["nimg"] for record in series.drop_partial_mean(records, "tick")] == ends[:kept]
