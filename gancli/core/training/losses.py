"""GAN losses and gradient penalties: pure functions, one value per sample; high logits mean real."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-12  # added under the square root, whose derivative is infinite at 0


@dataclass(frozen=True)
class Loss:
    """A loss as two functions of logits [N] -> [N], with the values of both at the ideal equilibrium.

    unit: the unit of both losses, "" if they have none. is_paired: G's loss compares the i-th fake with the i-th real
    image, so it needs the logits of both. has_threshold: a logit of 0 separates real from fake; otherwise only
    differences of logits have a meaning, and accuracy is the share of pairs in which the real image has the higher
    logit. An ideal is None if the loss has no fixed level.
    """

    d_loss: Callable[[Tensor, Tensor], Tensor]  # (real logits, fake logits)
    g_loss: Callable[[Tensor, Tensor | None], Tensor]  # (fake logits, real logits or None if not is_paired)
    d_ideal: float
    g_ideal: float | None
    d_ideal_name: str
    g_ideal_name: str
    unit: str = ""
    is_paired: bool = False
    has_threshold: bool = True


def d_logistic(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return -log D(x) - log(1 - D(G(z))), the minimax criterion of Goodfellow et al. 2014, eq. 1, on logits."""
    return F.softplus(-real_logits) + F.softplus(fake_logits)


def g_non_saturating(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """Return -log D(G(z)). Goodfellow et al. 2014, end of sec. 3."""
    return F.softplus(-fake_logits)


def g_minimax(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """Return log(1 - D(G(z))), whose gradient vanishes when D is certain. Goodfellow et al. 2014, eq. 1."""
    return -F.softplus(fake_logits)


def d_hinge(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return max(0, 1 - D(x)) + max(0, 1 + D(G(z))). Lim and Ye 2017; Miyato et al. 2018, eq. 16."""
    return F.relu(1 - real_logits) + F.relu(1 + fake_logits)


def d_wasserstein(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return D(G(z)) - D(x): the negative distance, if D has gradient norm 1. Arjovsky et al. 2017, eq. 3."""
    return fake_logits - real_logits


def g_linear(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """Return -D(G(z)), for the Wasserstein and hinge losses."""
    return -fake_logits


def d_relativistic(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return -log sigma(D(x) - D(G(z))), pair by pair. Jolicoeur-Martineau 2018; Huang et al. 2024, sec. 2."""
    return F.softplus(fake_logits - real_logits)


def g_relativistic(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """Return -log sigma(D(G(z)) - D(x)): d_relativistic with real and fake exchanged."""
    assert real_logits is not None
    return F.softplus(real_logits - fake_logits)


def r1_penalty(images: Tensor, logits: Tensor) -> Tensor:
    """Return R1 without gamma/2: squared norm of dD/dx at real x [N,C,H,W] -> [N]. Mescheder et al. 2018, sec. 4.1.

    At generated x the result is R2. Each logit must depend on its own image alone.
    """
    (grad,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return grad.square().sum(dim=(1, 2, 3))


def gradient_penalty(images: Tensor, logits: Tensor) -> Tensor:
    """Return (|dD/dx| - 1)^2 at x [N,C,H,W] between real and fake -> [N].

    Source: Gulrajani et al. 2017, eq. 3, without its lambda.
    """
    return ((r1_penalty(images, logits) + EPSILON).sqrt() - 1).square()


def interpolates(real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """Mix each pair [N,C,H,W]; shares [N] in [0, 1] weight the real images. Gulrajani et al. 2017, alg. 1."""
    return torch.lerp(fake, real, shares.view(-1, 1, 1, 1))


LOSSES = {
    "non-saturating": Loss(
        d_logistic, g_non_saturating, math.log(4), math.log(2), "log 4", "log 2", unit="nats per image"
    ),
    "minimax": Loss(d_logistic, g_minimax, math.log(4), -math.log(2), "log 4", "-log 2", unit="nats per image"),
    "hinge": Loss(d_hinge, g_linear, 2.0, 0.0, "2", "0"),
    "wasserstein": Loss(d_wasserstein, g_linear, 0.0, None, "0", "", has_threshold=False),
    "relativistic": Loss(
        d_relativistic,
        g_relativistic,
        math.log(2),
        math.log(2),
        "log 2",
        "log 2",
        unit="nats per pair",
        is_paired=True,
        has_threshold=False,
    ),
}
