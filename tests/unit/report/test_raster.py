import numpy as np
import pytest
from PIL import ImageColor

from gancli.report import axes, lettering, raster
from gancli.report.charts import Chart, Line, Mark

SKY, ORANGE, GREEN = (raster.DARK.tones[tone] for tone in ("blue", "orange", "green"))
IDEAL = (Mark(0.5, "orange"),)
MOMENTS = [0, 500, 1000, 2000, 4000, 8000]


def chart(kimg, values, *, scale="linear", range=(0.0, 2.0), tone="blue", marks=IDEAL, **more):
    line = Line("discriminator", tone, np.array(kimg, float), np.array(values, float))
    return Chart("loss", scale, (line,), marks, range=range, **more)


def columns(picture, color=SKY):
    """Columns with a curve's colour below the legend, at half strength or more."""
    wanted = np.array(ImageColor.getrgb(color))
    near = np.abs(picture[40:].astype(int) - wanted).max(axis=2) < 60
    return np.flatnonzero(near.any(axis=0))


def grown(*charts, width=420, height=130):
    return raster.draw_growing_charts(charts, MOMENTS, width, height)


def test_page_has_exactly_the_requested_size():
    growing = grown(chart([1, 2], [1, 1.5]), chart([1, 2], [1, 1.5]), width=500, height=300)
    assert {growing.at(kimg).shape for kimg in (0, 1, 8, 99)} == {(300, 500, 3)}


def test_nothing_is_shown_before_it_was_measured():
    growing = grown(chart([1, 2, 8], [1, 1.5, 1]))
    assert len(columns(growing.at(0))) == len(columns(growing.at(0.99))) == 0
    ends = [columns(growing.at(kimg)).max() for kimg in (1, 2, 3, 7.99, 8)]
    assert ends[0] < ends[1] == ends[2] == ends[3] < ends[4]
    assert ends[1] <= growing.axis.x(2) + 2


@pytest.mark.parametrize("scale", ["linear", "share", "log"])
@pytest.mark.parametrize("n", [9, 80])
def test_later_measurements_change_no_earlier_frame(scale, n):
    kimg = np.linspace(0.1, 8, n)
    values = np.random.default_rng(0).uniform(0.1, 0.9, n)
    compared = 0
    for end in (1, n // 4, n // 2, n - 1):
        others = np.where(np.arange(n) < end, values, values[::-1] + 0.05)
        first, second = (grown(chart(kimg, kind, scale=scale, range=(0.01, 1.0))) for kind in (values, others))
        for known in kimg[:end]:
            assert np.array_equal(first.at(known), second.at(known))
            compared += 1
        assert not np.array_equal(first.at(kimg[end]), second.at(kimg[end]))
    assert compared == 1 + n // 4 + n // 2 + n - 1


def test_drawn_curves_stay_unchanged():
    growing = grown(chart([0.5, 1, 2, 4, 8], [1, 1.5, 1, 0.5, 1]))
    before, after = growing.at(2), growing.at(8)
    drawn = (before[40:] == ImageColor.getrgb(SKY)).all(axis=2)
    assert drawn.sum() > 100
    assert np.array_equal(before[40:][drawn], after[40:][drawn])


def test_a_sparse_curve_waits_for_its_next_point():
    often = Line("training", "blue", np.array([1.0, 2, 4, 8]), np.full(4, 0.5))
    rarely = Line("held out", "orange", np.array([1.0, 8]), np.array([0.2, 0.2]))
    growing = grown(Chart("accuracy", "share", (often, rarely), ()))
    ends = [[columns(growing.at(kimg), color).max() for color in (SKY, ORANGE)] for kimg in (1, 4, 8)]
    (often_1, rarely_1), (often_4, rarely_4), (often_8, rarely_8) = ends
    assert often_1 < often_4 < often_8 == rarely_8
    assert rarely_1 == rarely_4


def test_moments_of_the_film_are_equal_steps_on_the_axis():
    growing = grown(chart([8], [1]))
    steps = np.diff([growing.axis.x(nimg / 1000) for nimg in MOMENTS])
    assert np.allclose(steps, steps[0]) and steps[0] > 20


def test_each_chart_shows_a_curve_from_its_first_point():
    growing = grown(chart([1, 8], [1, 1]), chart([8], [1], tone="green"), height=260)
    below = growing.boxes[1].top - 40  # below the legend, which has the same colour
    before, after = growing.at(4), growing.at(8)
    assert len(columns(before, SKY)) and not len(columns(before[below:], GREEN))
    assert len(columns(after[below:], GREEN))


def test_higher_values_lie_higher_and_those_outside_on_the_edge():
    box = axes.Box(chart([1], [1]), 0, 100, 20, 80)
    assert [box.y(value) for value in (-5, 0, 1, 2, 99)] == [80, 80, 50, 20, 20]
    scored = axes.Box(chart([1], [1], scale="log", range=(0.1, 1000.0)), 0, 100, 20, 60)
    assert [round(scored.y(value), 9) for value in (0.1, 1, 10, 1000)] == [60, 50, 40, 20]


def test_dashed_lines_are_drawn_from_the_start():
    assert len(columns(grown(chart([8], [1])).at(0), ORANGE)) > 100


def test_values_that_are_not_finite_and_charts_without_curves_are_omitted():
    empty = Chart("fd", "log", (), (), range=(0.1, 1.0))
    growing, without = (
        grown(chart(kimg, values), empty, height=260)
        for kimg, values in (([1, 2, 4, 8], [1, np.nan, np.inf, 0.5]), ([1, 8], [1, 0.5]))
    )
    assert all(np.array_equal(growing.at(kimg), without.at(kimg)) for kimg in (1, 2, 4, 8))
    assert len(columns(growing.at(8)))


def test_a_line_marks_the_moment_until_the_last():
    growing = grown(chart([8], [1], marks=()))
    [box] = growing.boxes
    for nimg in MOMENTS:
        now = round(growing.axis.x(nimg / 1000))
        is_marked = (growing.at(nimg / 1000)[box.top : box.bottom, now] == lettering.DIM).all()
        assert is_marked == (nimg < MOMENTS[-1])


def test_measured_values_are_faint_behind_their_average():
    values = np.full(80, 0.5)
    values[60] = 1.5
    growing = grown(chart(np.linspace(0.1, 8, 80), values, marks=()))
    [box] = growing.boxes
    spike = growing.at(8)[round(box.y(1.4)), box.left : box.right].astype(int)
    brightest = spike[spike[:, 2].argmax()]
    full, faint = np.array(ImageColor.getrgb(SKY)), raster.FAINT_OPACITY
    assert (brightest <= faint * full + (1 - faint) * 0x26 + 1).all() and brightest[2] > 50
    assert (growing.at(8)[round(box.y(0.5)), box.left : box.right] == full).all(axis=1).sum() > 100


def test_scores_are_dots():
    def thickness(has_dots):
        growing = grown(chart([4], [1], scale="log", range=(0.1, 10.0), marks=(), has_dots=has_dots))
        page = growing.at(8)[:, round(growing.axis.x(4))]
        return (page == ImageColor.getrgb(SKY)).all(axis=1).sum()

    assert thickness(True) > thickness(False) > 0


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 1.49), (0, 6.2), (-1, 6), (0, 7e5), (0, 3e-4)])
def test_levels_are_round_and_have_room(low, high):
    box = axes.Box(chart([1], [1], range=(low, high)), 0, 100, 0, 80)
    values = axes.gridline_values(box, 24)
    assert 2 <= len(values) <= 5
    assert all(low <= value <= high * 1.0001 for value in values)
    assert np.diff([box.y(value) for value in values]).max() <= -24


def test_levels_of_a_log_scale_are_powers_of_ten_first():
    box = axes.Box(chart([1], [1], scale="log", range=(0.2, 150.0)), 0, 100, 0, 80)
    assert sorted(axes.gridline_values(box, 24)) == [1, 10, 100]


def test_ticks_are_multiples_of_one_two_or_five_up_to_the_end():
    values = axes.tick_candidates(240)
    assert {1, 2, 5, 10, 20, 50, 100, 200} <= set(values) and max(values) == 200
    assert values[:3] == [100, 10, 1]
    assert axes.tick_candidates(0) == []


def test_film_of_a_single_moment_has_an_axis():
    growing = raster.draw_growing_charts([chart([0.5], [1])], [500], 420, 130)
    assert len(columns(growing.at(0.5)))


def test_palette_has_the_colours_of_curves_and_darker_shades():
    palette = raster.curve_colours()
    assert palette.shape == (3 * raster.SHADES, 3)
    for color in (SKY, ORANGE, GREEN):
        assert list(ImageColor.getrgb(color)) in palette.tolist()
    assert palette.max(axis=1).min() > lettering.PAPER
