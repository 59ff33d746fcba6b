"""Signals against values worked out by hand; rules that speak when something lasts, and not before."""

import pytest
import torch

from gancli.core import health
from gancli.core.health import FEW, LONG, RULES, SHORT, History, Line, warnings


def test_accuracy_counts_positive_logits_as_real() -> None:
    assert health.accuracy(torch.tensor([2.0, -1.0, 0.5, 0.1])) == 0.75


def test_overfitting_is_0_where_held_out_looks_like_training_and_1_where_it_looks_fake() -> None:
    train, fake = torch.tensor([3.0, 5.0]), torch.tensor([-2.0, 0.0])
    assert health.overfitting(train, torch.tensor([4.0]), fake) == 0
    assert health.overfitting(train, torch.tensor([-1.0]), fake) == 1
    assert health.overfitting(train, torch.tensor([2.75]), fake) == pytest.approx(0.25)
    shifted = [logits + 100 for logits in (train, torch.tensor([2.75]), fake)]
    assert health.overfitting(*shifted) == pytest.approx(0.25), "only differences count"
    assert health.overfitting(fake, train, train) is None


def test_diversity_is_the_ratio_of_spreads() -> None:
    real = torch.tensor([-3.0, 3.0, -3.0, 3.0]).view(4, 1, 1, 1)
    assert health.spread(real, None) == pytest.approx(3)
    assert health.diversity(real, real / 2 + 7, None) == pytest.approx(0.5)
    assert health.diversity(real, torch.zeros(4, 1, 1, 1), None) == 0
    assert health.diversity(torch.ones(4, 1, 1, 1), real, None) is None


def test_diversity_within_classes_is_not_fooled_by_differences_between_them() -> None:
    labels = torch.tensor([0, 0, 5, 5])
    real = torch.tensor([0.0, 2.0, 10.0, 12.0]).view(4, 1, 1, 1)
    one_each = torch.tensor([1.0, 1.0, 11.0, 11.0]).view(4, 1, 1, 1)
    assert health.diversity(real, one_each, None) > 0.9
    assert health.diversity(real, one_each, labels) == 0


def ticks(n: int, **values: float | None) -> list[Line]:
    healthy = {"accuracy": 0.7, "diversity": 0.95, "r_v": 0.1}
    return [{"nimg": 2000.0 * (i + 1), **healthy, **values} for i in range(n)]


def evaluations(n: int, short_classes: float) -> list[Line]:
    return [{"nimg": 20_000.0 * (i + 1), "short_classes": short_classes} for i in range(n)]


BAD = {
    "discriminator_wins": (LONG, {"accuracy": 0.99}, "99.0% of the time since 2 kimg"),
    "discriminator_lost": (LONG, {"accuracy": 0.5}, "50.0% of the time since 2 kimg"),
    "collapse": (SHORT, {"diversity": 0.1}, "nearly all alike since 2 kimg (0.1 times"),
    "overfitting": (SHORT, {"r_v": 0.9}, "since 2 kimg (r_v 0.90"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_rule_speaks_once_a_bad_state_has_lasted_and_names_nothing_else(name: str) -> None:
    n, values, text = BAD[name]
    found = warnings(History(ticks(n, **values), []))
    assert list(found) == [name] and text in found[name]
    assert not warnings(History(ticks(n - 1, **values), []))
    assert not warnings(History(ticks(n), []))
    assert not warnings(History([*ticks(n, **values)[1:], *ticks(1, **dict.fromkeys(values))], []))


def test_every_rule_is_tested() -> None:
    assert {*BAD, "missing_classes", "past_best"} == set(RULES)


def test_a_single_good_tick_does_not_hide_a_bad_stretch() -> None:
    lines = ticks(SHORT, r_v=0.9)
    lines[4] = {**lines[4], "r_v": 0.5}
    assert "overfitting" in warnings(History(lines, []))


def test_an_accuracy_of_one_half_is_right_where_the_score_is_near_its_floor() -> None:
    lines = ticks(LONG, accuracy=0.5)
    assert not warnings(History(lines, [{"nimg": 2000, "fd": 1.5}], "fd", (1.5, 2000), floor=1.0))
    assert "discriminator_lost" in warnings(History(lines, [{"nimg": 2000, "fd": 60}], "fd", (60, 2000), floor=1.0))


def test_missing_classes_are_named_after_some_evaluations_in_a_row() -> None:
    found = warnings(History([], evaluations(FEW, 2), short_classes=["3", "8"]))
    assert "hardly any generated image has shown 3, 8 since 20 kimg" in found["missing_classes"]
    many = warnings(History([], evaluations(FEW, 9), short_classes=list("123456789")))
    assert "1, 2, 3, 4, 5 and 4 more" in many["missing_classes"]
    assert not warnings(History([], evaluations(FEW - 1, 2), short_classes=["3"]))
    assert not warnings(History([], [*evaluations(FEW, 2), *evaluations(1, 0)], short_classes=[]))


def test_a_score_that_stays_worse_than_its_best_is_past_it() -> None:
    def history(*scores: float | None) -> History:
        lines = [{"nimg": 20_000.0 * (i + 1), "fd": value} for i, value in enumerate(scores)]
        return History([], lines, "fd", (2.0, 5000))

    found = warnings(history(2.6, 2.7, 2.8, 3.0))["past_best"]
    assert "fd has been worse than its 2 at 5 kimg since 20 kimg, now 3;" in found
    for healthy in ((2.6, 2.7, 2.8), (2.4, 2.7, 2.8, 3.0), (2.6, 2.7, None, 3.0)):
        assert not warnings(history(*healthy))
