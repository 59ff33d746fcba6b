import math

import numpy as np
import pytest
import torch

from gancli.metrics import distances
from gancli.metrics.prdc import PRDC, coverage, expected_coverage, prdc, squared_radii


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_prdc_by_hand() -> None:
    """On a line with k = 1: reals 0, 1, 10 have radii 1, 1, 9; fakes 0.5, 2, 100 have radii 1.5, 1.5, 98.

    Fake 0.5 lies in the balls of 0 and 1, fake 2 in that of 10 only (at the very edge of 1's, which does not count),
    fake 100 in none: precision 2/3, density (2 + 1 + 0) / 3 = 1. Every real has a fake in its ball: coverage 1. Fake
    0.5's ball holds 0 and 1, and 100's holds 10: recall 1.
    """
    found = prdc(column(0, 1, 10), column(0.5, 2, 100), k=1)
    assert found == pytest.approx(PRDC(precision=2 / 3, recall=1, density=1, coverage=1))


def test_radius_skips_the_image_itself_but_not_its_twin() -> None:
    assert squared_radii(column(0, 0, 3), k=1).tolist() == [0, 0, 9]
    assert squared_radii(column(0, 0, 3), k=2).tolist() == [9, 9, 9]


@pytest.mark.parametrize(("n_real", "n_fake", "shift"), [(300, 300, 0.0), (300, 120, 0.7), (50, 200, 2.0)])
def test_all_four_equal_those_of_the_prdc_package(n_real: int, n_fake: int, shift: float) -> None:
    from prdc import compute_prdc

    real, fake = normal(n_real, 8, 0), normal(n_fake, 8, 1) + shift
    assert prdc(real, fake)._asdict() == compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)


def test_precision_and_recall_swap_with_their_arguments() -> None:
    a, b = normal(200, 4, 0), normal(200, 4, 1) * 0.5
    assert prdc(a, b).precision == prdc(b, a).recall
    assert prdc(a, b).recall == prdc(b, a).precision


def test_a_collapsed_generator_is_precise_but_recalls_and_covers_nothing() -> None:
    """The order of arguments: real first. Fakes crowd round one real image."""
    real = normal(400, 4, 0)
    collapsed = real[:1] + 1e-3 * normal(400, 4, 1)
    found = prdc(real, collapsed)
    assert found.precision == 1
    assert found.recall < 0.02
    assert found.coverage < 0.05


def test_an_identical_fake_repeated_gives_finite_numbers() -> None:
    found = prdc(normal(100, 4, 0), torch.full((100, 4), 9.0).double())
    assert all(math.isfinite(value) for value in found)
    assert found.recall == 0


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = normal(97, 5, 0), normal(64, 5, 1)
    whole = prdc(real, fake)
    monkeypatch.setattr(distances, "BLOCK_ELEMENTS", 300)
    assert len(list(distances.row_blocks(97, 64))) == 25
    assert prdc(real, fake) == whole


def test_no_block_is_larger_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "BLOCK_ELEMENTS", 1000)
    blocks = [block for _, block in distances.squared_distances(normal(500, 3, 0), normal(90, 3, 1))]
    assert sum(len(block) for block in blocks) == 500
    assert max(block.numel() for block in blocks) <= 1000


def test_expected_coverage_by_hand() -> None:
    """k = 1, two reals and one fake: the other real is nearer than the fake half the time."""
    assert expected_coverage(2, 1, k=1) == pytest.approx(1 / 2)
    assert expected_coverage(10_000, 10_000) == pytest.approx(1 - 2**-5, abs=1e-4)


@pytest.mark.parametrize(("n_real", "n_fake"), [(400, 400), (600, 200)])
def test_perfect_sampler_covers_what_is_expected_and_has_density_one(n_real: int, n_fake: int) -> None:
    found = [prdc(normal(n_real, 6, 2 * s), normal(n_fake, 6, 2 * s + 1)) for s in range(20)]
    assert np.mean([f.coverage for f in found]) == pytest.approx(expected_coverage(n_real, n_fake), abs=0.01)
    assert np.mean([f.density for f in found]) == pytest.approx(1, abs=0.03)


def test_coverage_alone_equals_coverage_in_prdc() -> None:
    for shift in (0.0, 0.3, 1.0):
        real, fake = normal(300, 4, 0), normal(200, 4, 1) + shift
        alone = coverage(real, squared_radii(real).sqrt(), fake)
        assert alone == prdc(real, fake).coverage
        assert 0 < alone < 1
