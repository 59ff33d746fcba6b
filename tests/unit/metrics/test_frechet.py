"""Frechet distance: Gaussians by hand, the closed form of its bias, and two other implementations."""

import math
import warnings

import pytest
import torch

from gancli.metrics.frechet import Moments, expected_bias, frechet_distance, moments, scaled_floor


def gaussian(mean: list[float], covariance: list[list[float]]) -> Moments:
    return Moments(torch.tensor(mean).double(), torch.tensor(covariance).double(), 100)


def draw(n: int, d: int, seed: int) -> torch.Tensor:
    """n samples of a Gaussian whose covariance is not diagonal."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.eye(d).double() + 0.3 * torch.ones(d, d).double().tril()
    return torch.randn(n, d, generator=generator, dtype=torch.float64) @ mixing + seed


def torch_fidelity(a: torch.Tensor, b: torch.Tensor) -> float:
    from torch_fidelity import metric_fid

    statistics = [metric_fid.fid_features_to_statistics(x) for x in (a, b)]
    return metric_fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


def test_moments_by_hand() -> None:
    """Points (0,0), (2,0), (1,3): mean (1,1), squared deviations sum to 2 and 6, products to 0; divided by 3 - 1."""
    found = moments(torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]))
    assert found.mean.tolist() == [1, 1]
    assert found.covariance.tolist() == [[1, 0], [0, 3]]
    assert found.n == 3


def test_distance_of_commuting_gaussians_by_hand() -> None:
    """Diagonal: (3-0)^2 + (0-4)^2 = 25 for the means, plus (sqrt 4 - sqrt 1)^2 + (sqrt 9 - sqrt 25)^2 = 5."""
    a, b = gaussian([0, 0], [[4, 0], [0, 9]]), gaussian([3, -4], [[1, 0], [0, 25]])
    assert frechet_distance(a, b) == pytest.approx(30, rel=1e-12)


def test_distance_of_gaussians_that_do_not_commute_by_hand() -> None:
    """In 2 dimensions tr M^(1/2) = sqrt(tr M + 2 sqrt(det M)). S1 = [[2,1],[1,2]], S2 = diag(1,4): M = S1 S2 has
    trace 2 + 8 = 10 and determinant 3 * 4 = 12, so the distance is 4 + 5 - 2 sqrt(10 + 2 sqrt 12).
    """
    a, b = gaussian([0, 0], [[2, 1], [1, 2]]), gaussian([0, 0], [[1, 0], [0, 4]])
    assert frechet_distance(a, b) == pytest.approx(9 - 2 * math.sqrt(10 + 2 * math.sqrt(12)), rel=1e-12)


def test_distance_is_symmetric_and_zero_to_itself() -> None:
    a, b = moments(draw(50, 6, 0)), moments(draw(50, 6, 1))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_one_repeated_image_scores_the_missing_variance() -> None:
    """S2 = 0: |m1 - m2|^2 + tr S1."""
    real = draw(50, 6, 0)
    collapsed = real[:1].expand(50, -1)
    expected = (real.mean(0) - real[0]).square().sum() + real.var(dim=0).sum()
    assert frechet_distance(moments(real), moments(collapsed)) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("n_fake", [400, 5])
def test_distance_agrees_with_torch_fidelity_and_torchmetrics(n_fake: int) -> None:
    """5 fakes in 16 dimensions have a singular covariance."""
    from torchmetrics.image.fid import _compute_fid

    real, fake = draw(400, 16, 0), draw(n_fake, 16, 1)
    ours = frechet_distance(moments(real), moments(fake))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = _compute_fid(real.mean(0), real.T.cov(), fake.mean(0), fake.T.cov()).item()
    assert ours == pytest.approx(torch_fidelity(real, fake), rel=1e-6)
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_bias_for_unit_variance_is_d_times_d_plus_5_over_4n() -> None:
    assert expected_bias(torch.eye(64), 1000) == pytest.approx(64 * 69 / 4000)


def test_bias_by_hand_for_unequal_variances() -> None:
    """l = 1, 3: trace 4; pairs l_i l_j / (l_i + l_j) sum to 1/2 + 3/2 + 2 * 3/4 = 3.5, the diagonal once more: 2."""
    assert expected_bias(torch.diag(torch.tensor([1.0, 3.0])), 10) == pytest.approx((4 + (3.5 + 2) / 2) / 10)


def test_bias_ignores_directions_without_spread() -> None:
    flat = torch.diag(torch.tensor([1.0, 3.0, 0.0, 0.0]))
    assert expected_bias(flat, 10) == pytest.approx(expected_bias(flat[:2, :2], 10))


def test_perfect_sampler_is_biased_as_the_closed_form_says() -> None:
    """Mean over 40 pairs of sets of 1,000 draws each, so both biases add."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.linspace(0.5, 2, 12).double()
    sets = [torch.randn(1000, 12, generator=generator, dtype=torch.float64) * scale for _ in range(80)]
    measured = [frechet_distance(moments(a), moments(b)) for a, b in zip(sets[::2], sets[1::2], strict=True)]
    assert sum(measured) / 40 == pytest.approx(2 * expected_bias(scale.square().diag(), 1000), rel=0.05)


def test_floor_scales_with_the_bias_of_both_sides() -> None:
    """Two sets of 500 have a bias of 2/500; 1,000 against 2,000 have 3/2000: three eighths of it."""
    assert scaled_floor(8.0, 500, 1000, 2000) == pytest.approx(3.0)
    assert scaled_floor(8.0, 500, 500, 500) == 8.0
