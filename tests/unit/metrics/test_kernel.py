import numpy as np
import pytest
import torch

from gancli.metrics.kernel import kernel_distance, polynomial_kernel, unbiased_mmd2


def normal(n: int, d: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_kernel_by_hand() -> None:
    """(2*3 + 4*1) / 2 + 1 = 6, cubed."""
    assert polynomial_kernel(torch.tensor([[2.0, 4.0]]), torch.tensor([[3.0, 1.0]])).item() == 216


def test_unbiased_mmd2_by_hand() -> None:
    """In one dimension k(a, b) = (ab + 1)^3. Reals 0, 1: k = 1 between them. Fakes 1, 2: k(1,2) = 27.
    Across: k(0,.) = 1 twice, k(1,1) = 8, k(1,2) = 27, mean 37/4. So 1 + 27 - 37/2 = 9.5.
    """
    real, fake = torch.tensor([[0.0], [1.0]]).double(), torch.tensor([[1.0], [2.0]]).double()
    assert unbiased_mmd2(real, fake) == pytest.approx(9.5)


def test_one_subset_of_everything_agrees_with_torch_fidelity_and_torchmetrics() -> None:
    from torch_fidelity.metric_kid import kernel_poly, mmd2
    from torchmetrics.image.kid import poly_mmd

    real, fake = normal(200, 12, 0), normal(200, 12, 1, shift=0.2)
    ours = kernel_distance(real, fake, generator=seeded(), subset_size=200)
    pairs = ((real, real), (real, fake), (fake, fake))
    grams = [kernel_poly(a.numpy(), b.numpy(), kid_kernel_poly_degree=3, kid_kernel_poly_coef0=1) for a, b in pairs]
    assert ours.value == pytest.approx(float(mmd2(*grams)), rel=1e-6)
    assert ours.value == pytest.approx(poly_mmd(real, fake).item(), rel=1e-6)
    assert ours.error is None


def test_two_halves_of_one_set_have_distance_zero_and_may_be_negative() -> None:
    values = [kernel_distance(normal(500, 8, 2 * s), normal(500, 8, 2 * s + 1), generator=seeded()) for s in range(20)]
    assert min(v.value for v in values) < 0
    assert abs(np.mean([v.value for v in values])) < 0.02


def test_standard_error_covers_the_true_value_at_the_expected_rate() -> None:
    """Truth from large sets; of 40 small ones about 95 % should lie within 2.26 errors (t, 9 degrees of freedom)."""
    truth = unbiased_mmd2(normal(3000, 4, 1000), normal(3000, 4, 1001, shift=0.5))
    found = [
        kernel_distance(normal(400, 4, 2 * s), normal(400, 4, 2 * s + 1, shift=0.5), generator=seeded())
        for s in range(40)
    ]
    within = np.mean([abs(f.value - truth) < 2.26 * f.error for f in found])
    assert 0.85 <= within <= 1.0
    spread = np.std([f.value for f in found])
    assert spread / 1.3 < np.mean([f.error for f in found]) < spread * 1.3


def test_standard_error_is_right_for_equal_distributions() -> None:
    found = [kernel_distance(normal(600, 8, 2 * s), normal(600, 8, 2 * s + 1), generator=seeded()) for s in range(100)]
    spread = np.std([f.value for f in found])
    assert spread / 1.3 < np.sqrt(np.mean([f.error**2 for f in found])) < spread * 1.3
    assert np.mean([f.value > 2 * f.error for f in found]) <= 0.08


def test_same_generator_same_number() -> None:
    real, fake = normal(120, 4, 0), normal(80, 4, 1)
    assert kernel_distance(real, fake, generator=seeded()) == kernel_distance(real, fake, generator=seeded())


def test_kernel_distance_depends_on_the_scale_of_the_features() -> None:
    real, fake = normal(100, 4, 0), normal(100, 4, 1, shift=1)
    assert unbiased_mmd2(3 * real, 3 * fake) > 2 * unbiased_mmd2(real, fake)
