"""GAN losses and gradient penalties; pure, per sample, high logits mean real."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """A loss as two functions of logits [N] -> [N], with the values both have at the ideal equilibrium."""

    d_loss: Callable[[Tensor, Tensor], Tensor]  # (real logits, fake logits)
    g_loss: Callable[[Tensor], Tensor]  # (fake logits)
    d_ideal: float
    g_ideal: float
    d_ideal_name: str
    g_ideal_name: str


def d_logistic(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(G(z))), the minimax criterion of Goodfellow et al. 2014, eq. 1, on logits."""
    return F.softplus(-real_logits) + F.softplus(fake_logits)


def g_non_saturating(fake_logits: Tensor) -> Tensor:
    """-log D(G(z)). Goodfellow et al. 2014, end of sec. 3."""
    return F.softplus(-fake_logits)


def r1_penalty(images: Tensor, logits: Tensor) -> Tensor:
    """R1 without gamma/2: squared norm of dD/dx at real x [N,C,H,W] -> [N]. Mescheder et al. 2018, sec. 4.1."""
    (grad,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return grad.square().sum(dim=(1, 2, 3))


LOSSES = {
    "non-saturating": Loss(d_logistic, g_non_saturating, math.log(4), math.log(2), "log 4", "log 2"),
}
