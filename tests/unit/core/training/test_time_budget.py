"""The plan of a time budget, on a machine where a step takes 20 ms and 1 ms more for each image."""

import pytest

from gancli.core.training import time_budget

STEP_S, IMAGE_S = 0.02, 0.001
SIZES = [(0, 16), (5000, 32), (20_000, 64)]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the clock, as a list of one number."""
    now = [100.0]
    monkeypatch.setattr("gancli.core.training.time_budget.time.perf_counter", lambda: now[0])
    return now


def size_at(nimg: int) -> int:
    return next(size for start, size in reversed(SIZES) if nimg >= start)


def train(machine: list[float], timer: time_budget.TimeBudget, nimg: int, total: int | None) -> int:
    """Train until the plan is due, or up to a total. The first step of all takes a second."""
    while total is None or nimg < total:
        batch = size_at(nimg)
        machine[0] += (STEP_S + batch * IMAGE_S) + (1.0 if nimg == 0 else 0)
        nimg += batch
        if total is None and timer.measure(nimg, batch):
            break
    return nimg


@pytest.mark.parametrize("budget_s", [3.0, 10.0, 30.0, 60.0, 120.0, 600.0])
def test_a_plan_uses_its_budget_up_to_the_margin_whatever_batches_follow(machine: list[float], budget_s: float) -> None:
    timer = time_budget.TimeBudget(budget_s, 0)
    nimg = train(machine, timer, 0, None)
    planned_at = timer.elapsed_s
    assert planned_at == pytest.approx(time_budget.MEASURE_PART * budget_s, abs=1.1)
    total = timer.plan(nimg, SIZES)
    assert total > nimg
    train(machine, timer, nimg, total)
    used = (timer.elapsed_s - planned_at) / (budget_s - planned_at)
    first = 16 * IMAGE_S / (STEP_S + 16 * IMAGE_S)  # from a single size, a step counts by its images
    assert (first if nimg < 5000 else 0.93) < used < 0.98 + 0.1 / budget_s


def test_before_two_steps_of_a_size_the_overall_rate_is_used(machine: list[float]) -> None:
    timer = time_budget.TimeBudget(1.0, 0)
    machine[0] += 0.5
    assert timer.measure(16, 16)
    assert timer.estimate_rate(16, 16) == timer.estimate_rate(64, 16) == 32
    assert timer.plan(16, SIZES) == 16 + int(0.5 * time_budget.MARGIN * 32)


def test_going_back_keeps_the_measured_rates(machine: list[float]) -> None:
    timer = time_budget.TimeBudget(10.0, 0)
    nimg = 0
    for _ in range(20):
        machine[0] += 0.1
        nimg += 16
        timer.measure(nimg, 16)
    assert timer.estimate_rate(16, nimg) == pytest.approx(160)
    machine[0] += 3  # to read a checkpoint
    timer.restart_after_rollback(16)
    assert timer.estimate_rate(16, 16) == pytest.approx(160)
    for nimg in (32, 48):
        machine[0] += 0.1
        timer.measure(nimg, 16)
        assert timer.estimate_rate(16, nimg) == pytest.approx(160)


def test_images_reached_follow_the_rate_of_each_stage() -> None:
    rates = [(0, 100.0), (5000, 200.0), (20_000, 400.0)]
    for nimg, seconds, expected in ((0, 10, 1000), (0, 50, 5000), (0, 55, 6000), (4000, 20, 7000), (30_000, 1, 30_400)):
        assert time_budget.images_reached(nimg, seconds, rates) == expected
