"""Spectral normalisation of a discriminator: every weight divided by its largest singular value."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

FIRST_ITERATIONS = 15


class SpectralNorm(nn.Module):
    """Divides a weight by sigma, the largest singular value of the weight as a matrix [outputs, rest].

    Each forward pass that records gradients of the weight, as in a D step, runs one power iteration. In evaluation, and
    while D is frozen in the G step, u does not change. For a convolution, sigma approximates the norm of the whole map.
    Always in float32. Source: Miyato et al. 2018 (1802.05957), sec. 2.1 and algorithm 1.
    """

    u: Tensor  # [outputs]: estimate of the left singular vector; saved with the weights

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        u = torch.empty_like(matrix[:, 0])
        if not weight.is_meta:
            u = F.normalize(torch.randn_like(u), dim=0)
            for _ in range(FIRST_ITERATIONS):
                u = power_iteration(matrix, u)
        self.register_buffer("u", u)

    def forward(self, weight: Tensor) -> Tensor:
        matrix, u = weight.flatten(1), self.u
        is_training = weight.requires_grad and torch.is_grad_enabled()
        with torch.autocast(weight.device.type, enabled=False):
            with torch.no_grad():
                if is_training:
                    u = power_iteration(matrix, u)
                    self.u.copy_(u)
                v = F.normalize(matrix.T @ u, dim=0)
            return weight / (u @ matrix @ v)


def power_iteration(matrix: Tensor, u: Tensor) -> Tensor:
    """Return the next estimate [outputs] of the left singular vector of the largest singular value."""
    return F.normalize(matrix @ F.normalize(matrix.T @ u, dim=0), dim=0)


def apply_spectral_norm(D: nn.Module) -> nn.Module:
    """Normalise every linear layer, convolution and embedding of D; return D.

    Weights that start at 0 cannot be normalised, so they start from N(0, 1) instead; the scale does not matter. Weights
    on the meta device have no values.
    """
    for layer in [m for m in D.modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.Embedding)]:
        if not layer.weight.is_meta and not layer.weight.any():
            nn.init.normal_(layer.weight)
        norm = SpectralNorm(layer.weight)
        parametrize.register_parametrization(
            layer, "weight", norm, unsafe=layer.weight.is_meta
        )  # unsafe: skips a trial call
    return D
