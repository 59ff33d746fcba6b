import pytest
import torch
from torch import nn

from gancli.core.networks import ema
from gancli.core.training import schedules


def filled(value: float) -> nn.Module:
    """A network with all weights at `value`, and its running mean too."""
    G = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    with torch.no_grad():
        for parameter in G.parameters():
            parameter.fill_(value)
        G[1].running_mean.fill_(value)
    return G


def test_update_moves_weights_by_one_minus_beta() -> None:
    """0.75 x 2 + 0.25 x 6 = 3."""
    G_ema, G = ema.copy_frozen(filled(2.0)), filled(6.0)
    ema.update_ema(G_ema, G, 0.75)
    assert all(parameter.eq(3).all() for parameter in G_ema.parameters())
    assert all(parameter.eq(6).all() for parameter in G.parameters())


def test_beta_zero_copies_and_beta_one_keeps() -> None:
    for beta, expected in ((0.0, 6.0), (1.0, 2.0)):
        G_ema = ema.copy_frozen(filled(2.0))
        ema.update_ema(G_ema, filled(6.0), beta)
        assert all(parameter.eq(expected).all() for parameter in G_ema.parameters())


def test_buffers_are_copied() -> None:
    G_ema = ema.copy_frozen(filled(2.0))
    ema.update_ema(G_ema, filled(6.0), 0.75)
    assert G_ema[1].running_mean.tolist() == [6, 6, 6]


def test_copy_is_frozen_and_shares_nothing() -> None:
    G = filled(2.0)
    G_ema = ema.copy_frozen(G)
    assert not any(parameter.requires_grad for parameter in G_ema.parameters())
    assert all(parameter.requires_grad for parameter in G.parameters())
    assert not {p.data_ptr() for p in G.parameters()} & {p.data_ptr() for p in G_ema.parameters()}


def test_old_weights_count_half_after_the_half_life() -> None:
    batch_size, half_life = 64, 6400
    G_ema, G = ema.copy_frozen(filled(1.0)), filled(0.0)
    for _ in range(half_life // batch_size):
        ema.update_ema(G_ema, G, schedules.ema_beta(batch_size, half_life))
    assert G_ema[0].weight[0, 0].item() == pytest.approx(0.5, abs=1e-5)
