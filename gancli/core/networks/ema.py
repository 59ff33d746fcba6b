"""The averaged generator (EMA), which makes all samples and gets all scores."""

import copy

import torch
from torch import nn


def copy_frozen(G: nn.Module) -> nn.Module:
    """Return a frozen copy of G, which the average starts from."""
    return copy.deepcopy(G).requires_grad_(False)


@torch.no_grad()
def update_ema(G_ema: nn.Module, G: nn.Module, beta: float) -> None:
    """G_ema <- beta G_ema + (1 - beta) G; buffers are copied. Yazici et al. 2018."""
    torch._foreach_lerp_(list(G_ema.parameters()), list(G.parameters()), 1.0 - beta)
    for mean, now in zip(G_ema.buffers(), G.buffers(), strict=True):
        mean.copy_(now)
