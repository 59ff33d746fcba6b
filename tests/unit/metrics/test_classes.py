import math

import numpy as np
import pytest
import torch

from gancli.metrics import classes

UNEQUAL = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def draws(share: torch.Tensor, n: int, repeats: int, seed: int = 0) -> torch.Tensor:
    """Counts of n perfect draws, repeated -> float64 [repeats, K]."""
    return torch.from_numpy(np.random.RandomState(seed).multinomial(n, share.numpy() / float(share.sum()), repeats))


def test_total_variation_by_hand() -> None:
    """Half of |0.5 - 0.7| + |0.3 - 0.3| + |0.2 - 0|."""
    assert classes.total_variation(UNEQUAL, torch.tensor([0.7, 0.3, 0.0]).double()) == pytest.approx(0.2)


def test_shares_count_classes_that_are_absent() -> None:
    assert classes.class_shares(torch.tensor([1, 1, 0, 1]), 3).tolist() == [0.25, 0.75, 0]


def test_expected_total_variation_by_hand() -> None:
    """Two draws from a fair coin: split evenly half the time, else all on one side, a variation of 1/2."""
    assert classes.expected_total_variation(torch.tensor([0.5, 0.5]), 2) == pytest.approx(1 / 4)


def test_expected_total_variation_of_simulated_draws() -> None:
    simulated = [classes.total_variation(c / 200, UNEQUAL) for c in draws(UNEQUAL, 200, 2000)]
    assert np.mean(simulated) == pytest.approx(classes.expected_total_variation(UNEQUAL, 200), rel=0.03)


def test_a_class_without_images_adds_nothing() -> None:
    padded = torch.cat([UNEQUAL, torch.zeros(1).double()])
    assert classes.expected_total_variation(padded, 50) == classes.expected_total_variation(UNEQUAL, 50)
    assert classes.expected_total_variation(torch.tensor([1.0, 0.0]), 50) == 0


def test_missing_classes_have_less_than_a_quarter_of_their_share() -> None:
    """Of 200: expected 100, 60, 40; a quarter of 40 is 10."""
    assert classes.short_classes(torch.tensor([130, 61, 9]), UNEQUAL) == [2]
    assert classes.short_classes(torch.tensor([129, 61, 10]), UNEQUAL) == []


def test_too_few_images_report_no_class_as_missing() -> None:
    """Of 50, 10 were expected of the last class: fewer than 12."""
    assert classes.short_classes(torch.tensor([30, 20, 0]), UNEQUAL) == []


def test_label_fidelity_by_hand() -> None:
    assert classes.label_fidelity(torch.tensor([7, 7, 1, 0]), torch.tensor([7, 1, 1, 0])) == 0.75


def test_modes_by_hand() -> None:
    counts = torch.tensor([9, 1, 0, 5])
    assert classes.count_modes(counts) == 3
    assert classes.count_modes(counts, at_least=5) == 2


def test_modes_that_a_perfect_sampler_misses() -> None:
    """Of 1,000 equal modes 2,000 draws miss 1000 (1 - 1/1000)^2000 = 135.2, 5,000 miss 6.7."""
    uniform = torch.full((1000,), 1e-3)
    assert 1000 - classes.expected_modes(uniform, 2000) == pytest.approx(135.2, abs=0.1)
    assert 1000 - classes.expected_modes(uniform, 5000) == pytest.approx(6.7, abs=0.05)


def test_kl_by_hand() -> None:
    """All in one of four classes: log 4. Halves in two of them: log 2."""
    assert classes.kl_from_uniform(torch.tensor([8, 0, 0, 0])) == pytest.approx(math.log(4))
    assert classes.kl_from_uniform(torch.tensor([4, 4, 0, 0])) == pytest.approx(math.log(2))
    assert classes.kl_from_uniform(torch.tensor([5, 5, 5, 5])) == pytest.approx(0)


def test_expected_kl_by_hand() -> None:
    """Two draws from a fair coin: log 2 half the time, else 0."""
    assert classes.expected_kl_from_uniform(torch.tensor([0.5, 0.5]), 2) == pytest.approx(math.log(2) / 2)
    assert classes.expected_kl_from_uniform(torch.tensor([1.0, 0.0]), 9) == pytest.approx(math.log(2))


def test_expected_kl_of_a_perfect_stacked_mnist_sampler() -> None:
    """(K - 1) / 2n = 0.0192 at 26,000 draws from 1,000 equal modes; more when n is small, as the simulation says."""
    uniform = torch.full((1000,), 1e-3, dtype=torch.float64)
    assert classes.expected_kl_from_uniform(uniform, 26_000) == pytest.approx(999 / 52_000, rel=0.02)
    simulated = [classes.kl_from_uniform(c) for c in draws(uniform, 2000, 50)]
    assert np.mean(simulated) == pytest.approx(classes.expected_kl_from_uniform(uniform, 2000), rel=0.01)


@pytest.mark.parametrize(("n_real", "n_fake"), [(200, 200), (500, 5000), (4500, 10_000)])
def test_expected_total_variation_of_two_sampled_sides(n_real: int, n_fake: int) -> None:
    share = torch.tensor([0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.03, 0.02], dtype=torch.float64)
    real, fake = draws(share, n_real, 400), draws(share, n_fake, 400, seed=1)
    simulated = (real / n_real - fake / n_fake).abs().sum(dim=1).mean() / 2
    assert classes.expected_total_variation(share, classes.effective_draws(n_real, n_fake)) == pytest.approx(
        float(simulated), rel=0.08
    )


@pytest.mark.parametrize("n_classes", [1, 2, 10, 30, 100, 300, 1000])
def test_a_perfect_sampler_hardly_ever_lacks_a_class(n_classes: int) -> None:
    """P(X < expected / 4) of a Poisson count, times the classes, stays below 1 %."""
    for expected in range(classes.min_expected_count(n_classes), 60):
        for just in (expected, expected + 0.01):
            below = torch.arange(math.ceil(just / 4), dtype=torch.float64)
            p = (below * math.log(just) - just - torch.lgamma(below + 1)).exp().sum()
            assert n_classes * p < 0.011
    assert classes.min_expected_count(10) == 14 and classes.min_expected_count(1000) == 26


def test_shares_of_spelled_numbers_come_from_their_digits() -> None:
    digits = torch.arange(1, 11, dtype=torch.float64) / 55
    truth = torch.einsum("i,j,k->ijk", digits, digits.flip(0), digits).flatten()
    assert torch.allclose(classes.digit_triple_shares(truth), truth, atol=1e-15)
    sampled = truth.clone()
    sampled[123], sampled[723] = sampled[123] - 0.001, sampled[723] + 0.001
    sampled[753], sampled[153] = sampled[753] - 0.001, sampled[153] + 0.001
    assert torch.allclose(classes.digit_triple_shares(sampled), truth, atol=1e-15), (
        "what keeps the digits' shares changes nothing"
    )


def test_floors_of_a_perfect_stacked_mnist_sampler_hardly_depend_on_the_real_sample() -> None:
    share = torch.full((1000,), 1e-3, dtype=torch.float64)
    (counts,) = draws(share, 2000, 1)
    sampled = classes.digit_triple_shares(counts / 2000)
    assert classes.expected_modes(sampled, 2000) == pytest.approx(classes.expected_modes(share, 2000), rel=0.01)
    assert classes.expected_kl_from_uniform(sampled, 2000) == pytest.approx(
        classes.expected_kl_from_uniform(share, 2000), rel=0.05
    )
