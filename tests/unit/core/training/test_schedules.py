import itertools
import math

import pytest

from gancli.core.training import schedules


def test_progress_is_the_fraction_done() -> None:
    assert [schedules.part_done(nimg, 200) for nimg in (0, 50, 200, 300)] == [0, 0.25, 1, 1]
    assert schedules.part_done(50, None) == 0


def test_decay_holds_then_falls_to_zero() -> None:
    assert [schedules.linear_decay(t, 0.5) for t in (0, 0.5, 0.625, 0.75, 1)] == [1, 1, 0.75, 0.5, 0]
    assert [schedules.linear_decay(t, 0) for t in (0, 0.25, 1)] == [1, 0.75, 0]
    assert {schedules.linear_decay(t, 1) for t in (0, 0.5, 1)} == {1}


def test_cosine_goes_from_first_to_last_and_stays() -> None:
    points = [schedules.cosine_schedule(0.9, 0.5, t) for t in (0, 0.25, 0.5, 1, 7)]
    assert points == pytest.approx([0.9, 0.7 + 0.2 * 0.5**0.5, 0.7, 0.5, 0.5])
    assert {schedules.cosine_schedule(0.3, 0.3, t) for t in (0, 0.1, 0.7, 2)} == {0.3}, "nothing moves that has no end"


@pytest.mark.parametrize("batch_size", [1, 32, 100])
def test_ema_weight_halves_after_its_half_life_at_any_batch_size(batch_size: int) -> None:
    half_life = 10_000
    steps = half_life / batch_size
    assert schedules.ema_beta(batch_size, half_life) ** steps == pytest.approx(0.5)


def test_ema_without_half_life_keeps_nothing() -> None:
    assert schedules.ema_beta(32, 0) == 0


def test_ema_half_life_is_ramped_at_first() -> None:
    assert [schedules.ema_half_life(nimg, 10_000, 0.05) for nimg in (0, 1000, 200_000, 10**9)] == [
        0,
        50,
        10_000,
        10_000,
    ]


def test_lazy_adam_gives_the_same_moments_over_one_interval() -> None:
    """interval + 1 updates instead of interval updates: beta^(ratio (k+1)) = beta^k."""
    lr, (beta1, beta2) = schedules.lazy_adam_settings(2e-3, (0.5, 0.99), 8)
    assert lr == pytest.approx(2e-3 * 8 / 9)
    assert (beta1**9, beta2**9) == pytest.approx((0.5**8, 0.99**8))
    assert schedules.lazy_adam_settings(2e-3, (0.0, 0.99), 1) == (2e-3, (0.0, 0.99))


def test_frames_are_500_images_apart_at_first_then_6_percent() -> None:
    times = list(schedules.frame_times(1_000_000))
    assert times[:4] == [0, 500, 1000, 1500]
    turn = 500 / 0.06
    for before, after in itertools.pairwise(times):
        expected = 500 if before < turn else 0.06 * before
        assert after - before == pytest.approx(expected, abs=1.1)


def test_frames_do_not_depend_on_the_plan() -> None:
    short, long = list(schedules.frame_times(5000)), list(schedules.frame_times(100_000))
    assert long[: len(short)] == short and short[-1] <= 5000 < long[len(short)]


@pytest.mark.parametrize("batch_size", [2, 64, 700])
def test_a_frame_is_due_once_per_time_whatever_the_batch_size(batch_size: int) -> None:
    steps = range(0, 50_000, batch_size)
    due = [nimg + batch_size for nimg in steps if schedules.is_frame_due(nimg, nimg + batch_size)]
    last = steps[-1] + batch_size
    expected = {math.ceil(time / batch_size) * batch_size for time in schedules.frame_times(last) if time > 0}
    assert due == sorted(expected)


def test_due_when_a_step_reaches_a_multiple() -> None:
    cases = {(0, 999): False, (0, 1000): True, (1000, 1500): False, (900, 1100): True, (1000, 3500): True}
    assert {steps: schedules.is_due(*steps, 1000) for steps in cases} == cases


def test_due_counts_as_many_times_as_there_are_multiples() -> None:
    assert sum(schedules.is_due(nimg, nimg + 64, 2000.0) for nimg in range(0, 64 * 1000, 64)) == 64 * 1000 // 2000


def test_batches_grow_from_a_quarter_to_the_whole() -> None:
    sizes = [schedules.ramped_batch_size(nimg, 64, 20_000) for nimg in (0, 4_999, 5_000, 19_999, 20_000, 10**9)]
    assert sizes == [16, 16, 32, 32, 64, 64]
    assert schedules.ramped_batch_size(0, 64, 0) == 64
    assert schedules.batch_size_steps(64, 20_000) == [(0, 16), (5_000, 32), (20_000, 64)]
    assert schedules.batch_size_steps(64, 0) == [(0, 64)]
    assert schedules.ramped_batch_size(0, 4, 1000) == 2, "a batch of one has nothing to average"


def test_shift_probability_grows_as_images_repeat_and_ends_at_0() -> None:
    assert schedules.shift_chance(0.0, 0.0, 0.6) == 0
    assert schedules.shift_chance(0.0, 5.0, 0.6) == pytest.approx(0.3)
    assert schedules.shift_chance(0.5, 40.0, 0.6) == pytest.approx(0.3)
    assert schedules.shift_chance(1.0, 40.0, 0.6) == 0
    assert schedules.shift_chance(0.5, 40.0, 0.0) == 0


def test_evaluations_are_due_at_a_quarter_half_and_multiples_of_the_interval() -> None:
    due = [nimg for nimg in range(0, 10_000, 8) if schedules.is_evaluation_due(nimg - 8, nimg, 4000)]
    assert due == [1000, 2000, 4000, 8000]


def test_adaptive_strength_follows_r_v_from_0_to_its_limit() -> None:
    assert schedules.ada_strength(0.3, 0.61, 2000) == pytest.approx(0.32)
    assert schedules.ada_strength(0.3, 0.6, 2000) == pytest.approx(0.28)
    assert schedules.ada_strength(0.3, None, 2000) == pytest.approx(0.28), "where D tells nothing apart, it is too much"
    assert schedules.ada_strength(0.79, 1.0, 2000) == 0.8 and schedules.ada_strength(0.01, 0.0, 2000) == 0
