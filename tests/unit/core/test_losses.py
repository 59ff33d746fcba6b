"""sigma(log 3) = 3/4 makes every value here a fraction: softplus(log 3) = log 4, softplus(-log 3) = log 4/3."""

import math
import typing

import pytest
import torch

from gancli.config import LossName
from gancli.core import losses
from gancli.core.losses import LOSSES

LOG3 = torch.tensor([math.log(3)], dtype=torch.float64)


def leaf(values: torch.Tensor) -> torch.Tensor:
    return values.clone().requires_grad_()


def test_registry_offers_what_the_configuration_names() -> None:
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


def test_ideal_values_are_those_of_an_undecided_d() -> None:
    visited = 0
    zero = torch.zeros(1, dtype=torch.float64)
    for loss in LOSSES.values():
        assert loss.d_loss(zero, zero).item() == pytest.approx(loss.d_ideal)
        assert loss.g_loss(zero).item() == pytest.approx(loss.g_ideal)
        visited += 1
    assert visited == len(LOSSES) >= 1
    assert (LOSSES["non-saturating"].d_ideal, LOSSES["non-saturating"].g_ideal) == (math.log(4), math.log(2))


def test_losses_are_per_sample_and_finite_at_extreme_logits() -> None:
    far = torch.tensor([-1000.0, 1000.0])
    assert losses.d_logistic(far, -far).tolist() == [2000, 0]
    assert losses.g_non_saturating(far).tolist() == [1000, 0]


def test_losses_match_finite_differences() -> None:
    logits = torch.linspace(-3, 3, 7, dtype=torch.float64)
    visited = 0
    for loss in LOSSES.values():
        assert torch.autograd.gradcheck(loss.d_loss, (leaf(logits), leaf(logits.flip(0) / 2)))
        assert torch.autograd.gradcheck(loss.g_loss, (leaf(logits),))
        visited += 1
    assert visited >= 1


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


def test_r1_gradient_matches_finite_differences() -> None:
    x = pictures(2)
    w = torch.linspace(-0.5, 0.5, 18, dtype=torch.float64).view(2, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: losses.r1_penalty(x, (x * w).sum(dim=(1, 2, 3)).tanh()), (w,))
