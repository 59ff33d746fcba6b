"""Signals compared with values by hand; rules that warn only when a state lasts."""

import pytest
import torch

from gancli.core.training import warnings as health
from gancli.core.training.warnings import (
    EVALUATION_WINDOW,
    LONG_WINDOW,
    SHORT_WINDOW,
    WARNING_RULES,
    History,
    find_warnings,
)
from gancli.files.run_log import MetricsLine


def tick(nimg: float, **values: float | None) -> MetricsLine:
    return MetricsLine("tick", int(nimg), values=values)


def evaluation(nimg: float, short_classes: list[str] | None = None, **values: float | None) -> MetricsLine:
    return MetricsLine(
        "eval", int(nimg), values=values, short_classes=None if short_classes is None else tuple(short_classes)
    )


def test_accuracy_counts_positive_logits_as_real() -> None:
    assert health.share_judged_real(torch.tensor([2.0, -1.0, 0.5, 0.1])) == 0.75


def test_r_v_is_0_if_held_out_images_look_like_training_images_and_1_if_they_look_fake() -> None:
    train, fake = torch.tensor([3.0, 5.0]), torch.tensor([-2.0, 0.0])
    assert health.r_v(train, torch.tensor([4.0]), fake) == 0
    assert health.r_v(train, torch.tensor([-1.0]), fake) == 1
    assert health.r_v(train, torch.tensor([2.75]), fake) == pytest.approx(0.25)
    shifted = [logits + 100 for logits in (train, torch.tensor([2.75]), fake)]
    assert health.r_v(*shifted) == pytest.approx(0.25), "only differences count"
    assert health.r_v(fake, train, train) is None


def test_diversity_is_the_ratio_of_spreads() -> None:
    real = torch.tensor([-3.0, 3.0, -3.0, 3.0]).view(4, 1, 1, 1)
    assert health.rms_spread(real, None) == pytest.approx(3)
    assert health.spread_ratio(real, real / 2 + 7, None) == pytest.approx(0.5)
    assert health.spread_ratio(real, torch.zeros(4, 1, 1, 1), None) == 0
    assert health.spread_ratio(torch.ones(4, 1, 1, 1), real, None) is None


def test_diversity_within_classes_is_not_fooled_by_differences_between_them() -> None:
    labels = torch.tensor([0, 0, 5, 5])
    real = torch.tensor([0.0, 2.0, 10.0, 12.0]).view(4, 1, 1, 1)
    one_each = torch.tensor([1.0, 1.0, 11.0, 11.0]).view(4, 1, 1, 1)
    assert health.spread_ratio(real, one_each, None) > 0.9
    assert health.spread_ratio(real, one_each, labels) == 0


def ticks(n: int, **values: float | None) -> list[MetricsLine]:
    healthy = {"accuracy": 0.7, "diversity": 0.95, "r_v": 0.1}
    return [tick(2000 * (i + 1), **{**healthy, **values}) for i in range(n)]


def evaluations(*short_classes: list[str] | None) -> list[MetricsLine]:
    return [evaluation(20_000 * (i + 1), names) for i, names in enumerate(short_classes)]


BAD = {
    "discriminator_wins": (LONG_WINDOW, {"accuracy": 0.971}, {"accuracy": 0.969}, "97.1% of the time since 2 kimg"),
    "discriminator_lost": (LONG_WINDOW, {"accuracy": 0.519}, {"accuracy": 0.521}, "51.9% of the time since 2 kimg"),
    "collapse": (SHORT_WINDOW, {"diversity": 0.49}, {"diversity": 0.51}, "too similar since 2 kimg (0.49 times"),
    "overfitting": (SHORT_WINDOW, {"r_v": 0.61}, {"r_v": 0.59}, "since 2 kimg (r_v 0.61"),
    "augmentation_limit": (
        SHORT_WINDOW,
        {"augment_strength": 0.8},
        {"augment_strength": 0.78},
        "its limit of 0.8 since 2 kimg",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_rule_warns_after_a_lasting_bad_state_and_no_other_rule_does(name: str) -> None:
    n, values, just_right, text = BAD[name]
    found = find_warnings(History(ticks(n, **values), []))
    assert list(found) == [name] and text in found[name] and "{" not in found[name]
    assert not find_warnings(History(ticks(n - 1, **values), []))
    assert not find_warnings(History(ticks(n), []))
    assert not find_warnings(History(ticks(n, **just_right), []))
    assert not find_warnings(History([*ticks(n, **values)[1:], *ticks(1, **dict.fromkeys(values))], []))


def test_every_rule_is_tested() -> None:
    assert {*BAD, "missing_classes", "past_best"} == set(WARNING_RULES)


def test_a_single_good_tick_does_not_hide_a_bad_stretch() -> None:
    lines = ticks(SHORT_WINDOW, r_v=0.9)
    lines[4] = tick(lines[4].nimg, **{**lines[4].values, "r_v": 0.5})
    assert "overfitting" in find_warnings(History(lines, []))


def test_an_accuracy_of_one_half_is_fine_if_the_score_is_near_its_floor() -> None:
    lines = ticks(LONG_WINDOW, accuracy=0.5)
    assert not find_warnings(History(lines, [evaluation(2000, fd=3.9)], "fd", (3.9, 2000), floor=1.0))
    assert "discriminator_lost" in find_warnings(
        History(lines, [evaluation(2000, fd=4.1)], "fd", (4.1, 2000), floor=1.0)
    )
    assert "nearly identical" in find_warnings(History(ticks(SHORT_WINDOW, diversity=0.19), []))["collapse"]


def test_classes_missing_in_consecutive_evaluations_are_named() -> None:
    found = find_warnings(History([], evaluations(["3", "8"], ["8", "1"], ["8"], ["1", "8"])))
    assert "hardly any generated image has shown 8 since 20 kimg" in found["missing_classes"]
    many = find_warnings(History([], evaluations(*[list("abcdefghijkl")] * EVALUATION_WINDOW)))
    assert "i, j and 2 others since" in many["missing_classes"]
    for healthy in (
        [["3"]] * (EVALUATION_WINDOW - 1),
        [["3"], ["3"], ["3"], []],
        [["1"], ["2"], ["3"], ["4"]],
        [None] * EVALUATION_WINDOW,
    ):
        assert not find_warnings(History([], evaluations(*healthy)))


def test_a_score_that_stays_worse_than_its_best_gives_a_warning() -> None:
    def history(*scores: float | None) -> History:
        lines = [evaluation(20_000 * (i + 1), fd=value) for i, value in enumerate(scores)]
        return History([], lines, "fd", (2.0, 5000))

    found = find_warnings(history(2.6, 2.7, 2.8, 3.0))["past_best"]
    assert "fd has been worse than its best (2 at 5 kimg) since 20 kimg and is now 3;" in found
    for healthy in ((2.6, 2.7, 2.8), (2.4, 2.7, 2.8, 3.0), (2.6, 2.7, None, 3.0)):
        assert not find_warnings(history(*healthy))
    negative = History([], [evaluation(1000, kid=value) for value in (-0.1, 0.2, 0.2, 0.2, 0.3)], "kid", (-0.1, 1000))
    assert not find_warnings(negative), "a share of a negative best means nothing"


@pytest.mark.parametrize(("best_nimg", "limit"), [(20_000, 0.4), (40_000, 0.9), (60_000, 0.9)])
def test_overfitting_warns_sooner_once_the_score_stops_improving(best_nimg: int, limit: float) -> None:
    lines = [evaluation(nimg, fd=2.0 if nimg == best_nimg else 2.1) for nimg in (20_000, 40_000, 60_000)]
    for r_v, is_said in ((limit - 0.01, False), (limit + 0.01, True)):
        found = find_warnings(History(ticks(SHORT_WINDOW, r_v=r_v), lines, "fd", (2.0, best_nimg)))
        assert ("overfitting" in found) is is_said


def test_overfitting_does_not_suggest_augmentation_that_is_already_adaptive() -> None:
    plain, adaptive = (
        find_warnings(History(ticks(SHORT_WINDOW, r_v=0.95, **more), []))["overfitting"]
        for more in ({}, {"augment_strength": 0.3})
    )
    assert "add images, try --ada with --augment color,translation,cutout, or stop earlier" in plain
    assert "add images, or stop earlier" in adaptive
