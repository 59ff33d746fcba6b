import numpy as np
import pytest

from gancli.errors import ConfigError
from gancli.video import timing
from gancli.video.timing import FilmOptions


@pytest.mark.parametrize(
    ("fps", "hold_s", "expected"),
    [(12, 2.0, [80, 80, 2000]), (10, 0, [100, 100, 100]), (50, 0.5, [20, 20, 500]), (0.5, 0, [2000, 2000, 2000])],
)
def test_timeline_has_equal_steps_of_whole_hundredths_and_a_hold(fps, hold_s, expected):
    assert timing.frame_timeline(3, FilmOptions(fps=fps, hold_s=hold_s)) == expected


def test_one_frame_is_held():
    assert timing.frame_timeline(1, FilmOptions(hold_s=3)) == [3000]
    assert timing.frame_timeline(1, FilmOptions(duration_s=8, hold_s=0)) == [80]


@pytest.mark.parametrize("n", [2, 3, 80, 81, 401])
def test_a_duration_is_met_exactly_before_the_hold(n):
    steps = timing.frame_timeline(n, FilmOptions(duration_s=8, hold_s=2))
    assert sum(steps[:-1]) == 8000 and steps[-1] == max(2000, steps[-2])
    assert max(steps[:-1]) - min(steps[:-1]) <= 10
    assert all(step % 10 == 0 and step >= 20 for step in steps)


def test_a_duration_too_short_for_its_frames_suggests_a_longer_one():
    with pytest.raises(ConfigError, match=r"81 frames .*50 .*1\.6 s"):
        timing.frame_timeline(81, FilmOptions(duration_s=1))
    assert timing.frame_timeline(81, FilmOptions(duration_s=1.6))[0] == 20


@pytest.mark.parametrize(
    "wrong",
    [
        {"fps": 0},
        {"fps": 51},
        {"fps": -1},
        {"fps": float("nan")},
        {"hold_s": -1},
        {"hold_s": 601},
        {"duration_s": 601},
        {"duration_s": float("nan")},
    ],
    ids=str,
)
def test_impossible_film_times_are_refused(wrong):
    with pytest.raises(ConfigError, match="must be from"):
        FilmOptions(**wrong)


@pytest.mark.parametrize(
    ("fps", "gif_ms"), [(12.5, 80), (15, 70), (24, 40), (30, 30), (45, 20), (50, 20), (0.1, 10_000), (12, 80)]
)
def test_a_gif_rounds_to_hundredths_and_other_formats_keep_the_exact_rate(fps, gif_ms):
    assert timing.frame_ms(".gif", fps) == gif_ms
    assert timing.round_durations(4, gif_ms, ".gif") == [gif_ms] * 4
    for kind in (".webp", ".mp4", ".png", ""):
        assert timing.frame_ms(kind, fps) == 1000 / fps
        exact = np.arange(1, 100) * 1000 / fps
        steps = timing.round_durations(99, 1000 / fps, kind)
        assert np.abs(np.cumsum(steps) - exact).max() <= 0.5 and min(steps) >= 20


@pytest.mark.parametrize("kind", [".webp", ".mp4"])
def test_a_film_timed_in_milliseconds_is_exact(kind):
    assert timing.frame_timeline(4, FilmOptions(fps=24, hold_s=0.123, kind=kind)) == [42, 41, 42, 123]
    assert timing.frame_timeline(4, FilmOptions(duration_s=0.1, hold_s=0, kind=kind)) == [33, 34, 33, 33]


def test_thinning_keeps_the_first_and_the_last():
    assert timing.thin_moments([0, 1, 2, 3, 4], 2) == [0, 2, 4]
    assert timing.thin_moments([0, 1, 2, 3], 2) == [0, 2, 3]
    assert timing.thin_moments([0, 1, 2, 3], 99) == [0, 3]
    assert timing.thin_moments([7], 3) == [7]


def test_moments_of_one_run_are_its_own():
    assert timing.merge_moments([[0, 500, 501, 12_000]]) == [0, 500, 501, 12_000]


def test_runs_whose_batches_end_a_little_apart_share_their_moments():
    assert timing.merge_moments([[0, 512, 1008, 1504], [0, 512, 1024, 1520]]) == [0, 512, 1024, 1520]


@pytest.mark.parametrize(
    ("runs", "moments"),
    [
        ([[0, 10, 20], [15]], [0, 15, 20]),
        ([[0, 10, 20], [16]], [0, 10, 16, 20]),
        ([[0, 10], [15]], [0, 15]),  # the last step counts as long as the one before
        ([[0, 10], [16]], [0, 10, 16]),
        ([[7], [8]], [7, 8]),
    ],
)
def test_frames_share_a_moment_up_to_half_a_step(runs, moments):
    assert timing.merge_moments(runs) == moments


def test_a_run_that_ends_earlier_adds_its_end():
    assert timing.merge_moments([[0, 500, 1000, 1500], [0, 500, 600]]) == [0, 500, 600, 1000, 1500]


def test_no_frame_of_any_run_is_skipped():
    runs = [[0, 100, 200, 300, 400], [0, 10, 20, 30], [5], list(range(0, 400, 7))]
    moments = timing.merge_moments(runs)
    assert moments == sorted(set(moments))
    assert len(moments) >= max(map(len, runs))
    for nimgs in runs:
        latest = {max((nimg for nimg in nimgs if nimg <= moment), default=nimgs[0]) for moment in moments}
        assert latest == set(nimgs)
