"""sigma(log 3) = 3/4 makes values fractions here: softplus(log 3) = log 4, softplus(-log 3) = log 4/3."""

import math
import typing

import pytest
import torch

from gancli.config import LossName
from gancli.core.training import losses
from gancli.core.training.losses import LOSSES

LOG3 = torch.tensor([math.log(3)], dtype=torch.float64)
ZERO = torch.zeros(1, dtype=torch.float64)


def leaf(values: torch.Tensor) -> torch.Tensor:
    return values.clone().requires_grad_()


def test_registry_matches_the_names_in_the_config() -> None:
    assert set(LOSSES) == set(typing.get_args(LossName))


def test_d_loss_by_hand() -> None:
    """-log 3/4 - log 1/4 = log 16/3; both certain and right: -2 log 3/4."""
    assert losses.d_logistic(LOG3, LOG3).item() == pytest.approx(math.log(16 / 3))
    assert losses.d_logistic(LOG3, -LOG3).item() == pytest.approx(2 * math.log(4 / 3))


def test_d_gradients_by_hand() -> None:
    """d/d real = -(1 - sigma) = -1/4 and d/d fake = sigma = 3/4, at log 3."""
    real, fake = leaf(LOG3), leaf(LOG3)
    losses.d_logistic(real, fake).sum().backward()
    assert (real.grad.item(), fake.grad.item()) == pytest.approx((-1 / 4, 3 / 4))


def test_g_loss_and_gradient_by_hand() -> None:
    """-log 3/4, with gradient -(1 - sigma) = -1/4: high logits mean real."""
    fake = leaf(LOG3)
    loss = losses.g_non_saturating(fake)
    loss.sum().backward()
    assert (loss.item(), fake.grad.item()) == pytest.approx((math.log(4 / 3), -1 / 4))


# name -> D's loss at (log 3, 0), its gradients there; G's loss at fake log 3 and real 0, its gradient there.
BY_HAND = {
    "non-saturating": (math.log(8 / 3), (-1 / 4, 1 / 2), math.log(4 / 3), -1 / 4),
    "minimax": (math.log(8 / 3), (-1 / 4, 1 / 2), -math.log(4), -3 / 4),
    "hinge": (1.0, (0.0, 1.0), -math.log(3), -1.0),
    "wasserstein": (-math.log(3), (-1.0, 1.0), -math.log(3), -1.0),
    "relativistic": (math.log(4 / 3), (-1 / 4, 1 / 4), math.log(4 / 3), -1 / 4),
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_and_its_gradient_by_hand(name: str) -> None:
    value, slopes, g_value, g_slope = BY_HAND[name]
    real, fake = leaf(LOG3), leaf(ZERO)
    d_loss = LOSSES[name].d_loss(real, fake)
    d_loss.sum().backward()
    assert d_loss.item() == pytest.approx(value)
    assert (real.grad.item(), fake.grad.item()) == pytest.approx(slopes)
    fake = leaf(LOG3)
    g_loss = LOSSES[name].g_loss(fake, ZERO)
    g_loss.sum().backward()
    assert (g_loss.item(), fake.grad.item()) == pytest.approx((g_value, g_slope))


def test_hinge_has_no_gradient_beyond_its_margin() -> None:
    real, fake = leaf(torch.tensor([0.5, 1.5])), leaf(torch.tensor([-0.5, -1.5]))
    losses.d_hinge(real, fake).sum().backward()
    assert (real.grad.tolist(), fake.grad.tolist()) == ([-1, 0], [1, 0])


def test_ideal_values_are_those_of_an_undecided_d() -> None:
    visited = 0
    for loss in LOSSES.values():
        assert loss.d_loss(ZERO, ZERO).item() == pytest.approx(loss.d_ideal)
        if loss.g_ideal is not None:
            assert loss.g_loss(ZERO, ZERO).item() == pytest.approx(loss.g_ideal)
        for value, name in ((loss.d_ideal, loss.d_ideal_name), (loss.g_ideal, loss.g_ideal_name)):
            sign = -1 if name.startswith("-") else 1
            number = name.removeprefix("-")
            worth = math.log(float(number[4:])) if number.startswith("log ") else float(number or 0)
            assert (value or 0) == sign * worth
        visited += 1
    assert visited == len(LOSSES) >= 5
    assert (LOSSES["non-saturating"].d_ideal, LOSSES["non-saturating"].g_ideal) == (math.log(4), math.log(2))


def test_without_a_threshold_only_differences_count() -> None:
    real, fake = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([0.0, 1.0, -3.0])
    visited = 0
    for loss in LOSSES.values():
        moved = loss.d_loss(real + 8, fake + 8)
        assert torch.allclose(loss.d_loss(real, fake), moved, atol=1e-5) is not loss.has_threshold
        visited += 1
    assert visited >= 5


def test_a_paired_loss_compares_image_by_image() -> None:
    real, fake = torch.tensor([1.0, 5.0]), torch.tensor([5.0, 1.0])
    paired = [name for name, loss in LOSSES.items() if loss.is_paired]
    assert paired == ["relativistic"]
    assert losses.d_relativistic(real, fake).tolist() == pytest.approx([4.01815, 0.01815], abs=1e-5)
    assert losses.g_relativistic(fake, real).tolist() == pytest.approx([0.01815, 4.01815], abs=1e-5)


def test_losses_are_per_sample_and_finite_at_extreme_logits() -> None:
    far = torch.tensor([-1000.0, 1000.0])
    assert losses.d_logistic(far, -far).tolist() == [2000, 0]
    assert losses.g_non_saturating(far).tolist() == [1000, 0]


def test_losses_match_finite_differences() -> None:
    """Of first and second order, away from the corners of the hinge at -1 and 1."""
    logits = torch.linspace(-3.1, 3.1, 8, dtype=torch.float64)
    visited = 0
    for loss in LOSSES.values():
        for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
            assert check(loss.d_loss, (leaf(logits), leaf(logits.flip(0) / 2)))
            assert check(lambda fake, loss=loss: loss.g_loss(fake, logits.sin()), (leaf(logits),))
            visited += 1
    assert visited >= 10


def pictures(n: int) -> torch.Tensor:
    return torch.linspace(-1, 1, n * 2 * 3 * 3, dtype=torch.float64).view(n, 2, 3, 3).requires_grad_()


def test_r1_of_a_linear_d_is_the_squared_norm_of_its_weights() -> None:
    x, w = pictures(4), pictures(1).detach()[0]
    penalty = losses.r1_penalty(x, (x * w).sum(dim=(1, 2, 3)))
    torch.testing.assert_close(penalty, w.square().sum().expand(4))


def test_r1_of_a_quadratic_d_by_hand() -> None:
    """D = a/2 |x|^2 has gradient a x, so R1 = a^2 |x|^2 per sample and dR1/da = 2 a |x|^2."""
    x = pictures(3)
    a = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    norms = x.detach().square().sum(dim=(1, 2, 3))
    penalty = losses.r1_penalty(x, a / 2 * x.square().sum(dim=(1, 2, 3)))
    torch.testing.assert_close(penalty.detach(), 1.5**2 * norms)
    (grad,) = torch.autograd.grad(penalty.sum(), a)
    torch.testing.assert_close(grad, 2 * 1.5 * norms.sum())


def test_wgan_gp_of_a_linear_d_by_hand() -> None:
    """D = <w, x> has a gradient of norm |w| everywhere: (|w| - 1)^2, with the gradient 2 (|w| - 1) w / |w|."""
    x, w = pictures(4), pictures(1).detach()[0].requires_grad_()
    penalty = losses.gradient_penalty(x, (x * w).sum(dim=(1, 2, 3)))
    norm = w.detach().norm()
    torch.testing.assert_close(penalty.detach(), (norm - 1).square().expand(4))
    (grad,) = torch.autograd.grad(penalty.mean(), w)
    torch.testing.assert_close(grad, 2 * (norm - 1) * w.detach() / norm)


def test_wgan_gp_of_a_flat_d_is_1_and_its_gradient_finite() -> None:
    x, w = pictures(2), torch.zeros(2, 3, 3, dtype=torch.float64, requires_grad=True)
    penalty = losses.gradient_penalty(x, (x * w).sum(dim=(1, 2, 3)))
    torch.testing.assert_close(penalty.detach(), torch.ones(2, dtype=torch.float64), atol=1e-5, rtol=0)
    (grad,) = torch.autograd.grad(penalty.sum(), w)
    assert grad.isfinite().all()


def small_d(x: torch.Tensor, w: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Two layers with a smooth activation: w [K,C,H,W], v [K]; images [N,C,H,W] -> logits [N]."""
    return torch.einsum("nchw,kchw->nk", x, w).tanh() @ v


PENALTIES = {
    "r1": (losses.r1_penalty, lambda slope: slope.square().sum()),
    "gradient_penalty": (losses.gradient_penalty, lambda slope: (slope.norm() - 1) ** 2),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_match_finite_differences(name: str) -> None:
    """D's gradient by central differences, pixel by pixel; the gradient of the penalty by gradcheck."""
    penalty, of_slope = PENALTIES[name]
    x = pictures(2)
    w, v = pictures(3).detach().cos().requires_grad_(), torch.tensor([0.7, -0.4, 0.9], dtype=torch.float64)
    found, h = penalty(x, small_d(x, w, v)), 1e-5
    visited = 0
    for n in range(2):
        slope = torch.zeros(18, dtype=torch.float64)
        for i in range(18):
            step = torch.zeros(18, dtype=torch.float64)
            step[i] = h
            above, below = (small_d(x[n : n + 1] + sign * step.view(1, 2, 3, 3), w, v) for sign in (1, -1))
            slope[i] = ((above - below) / (2 * h)).item()
            visited += 1
        assert found[n].item() == pytest.approx(of_slope(slope).item(), rel=1e-6)
    assert visited == 36
    inputs = (w, v.requires_grad_())
    assert torch.autograd.gradcheck(lambda w, v: penalty(x, small_d(x, w, v)), inputs)


def test_each_interpolate_has_its_own_mixing_weight() -> None:
    real, fake = torch.full((3, 1, 2, 2), 1.0), torch.full((3, 1, 2, 2), -1.0)
    mixed = losses.interpolates(real, fake, torch.tensor([0.0, 1.0, 0.75]))
    assert mixed[:, 0, 1, 1].tolist() == [-1, 1, 0.5]
