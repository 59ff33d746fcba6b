import pytest
import torch

from gancli.metrics.diversity import diversity_ratio
from gancli.metrics.frechet import moments

REAL = torch.randn(60, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def rms_pair_distance(x: torch.Tensor) -> float:
    return float(torch.pdist(x).square().mean().sqrt())


def test_diversity_is_the_ratio_of_mean_distances_over_all_pairs() -> None:
    fake = REAL[:40] * torch.tensor([0.2, 1, 1, 0.5, 2]) + 3
    expected = rms_pair_distance(fake) / rms_pair_distance(REAL)
    assert diversity_ratio(moments(REAL), moments(fake)) == pytest.approx(expected)


def test_real_comes_first_and_a_collapsed_generator_has_no_diversity() -> None:
    assert diversity_ratio(moments(REAL), moments(REAL / 4)) == pytest.approx(1 / 4)
    assert diversity_ratio(moments(REAL), moments(REAL[:1].expand(10, -1))) == 0


def test_equal_real_images_give_no_ratio() -> None:
    assert diversity_ratio(moments(REAL[:1].expand(10, -1)), moments(REAL)) is None
