"""The classic preset compared with a plain version of the tutorial's recipe."""

import torch
from torch import nn

from gancli.config import ModelSpec
from gancli.core import images, rng
from gancli.core.data.load import batch_indices
from gancli.core.training.step import TrainStep
from gancli.presets import PRESETS

STEPS, BATCH = 20, 32

SPEC = ModelSpec(model="mlp", z_dim=64, g_width=256, d_width=256, resolution=28, channels=1, n_classes=0)


def plain_recipe(G: nn.Module, D: nn.Module, batches: list[torch.Tensor], latents: list[torch.Tensor]) -> None:
    """The tutorial's loop: sigmoid and BCELoss, one forward each for real and fake, fresh latents for the G step."""
    criterion = nn.BCELoss()
    d_optimizer = torch.optim.Adam(D.parameters(), lr=0.0002)
    g_optimizer = torch.optim.Adam(G.parameters(), lr=0.0002)
    ones, zeros = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
    for step, pixels in enumerate(batches):
        real = pixels.reshape(BATCH, -1).float() / 255 * 2 - 1

        d_loss_real = criterion(D(real), ones)
        d_loss_fake = criterion(D(G(latents[2 * step])), zeros)
        d_optimizer.zero_grad()
        g_optimizer.zero_grad()
        (d_loss_real + d_loss_fake).backward()
        d_optimizer.step()

        g_loss = criterion(D(G(latents[2 * step + 1])), ones)
        d_optimizer.zero_grad()
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()


def test_classic_matches_the_tutorials_recipe_for_twenty_steps() -> None:
    config = PRESETS["classic"]
    assert (config.batch_size, config.z_dim, config.g_width, config.d_width, config.lr) == (32, 64, 256, 256, 2e-4)
    assert (config.beta1, config.beta2, config.epochs, config.ema_kimg) == (0.9, 0.999, 100, 0)
    data = torch.randint(0, 256, (300, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    state = TrainStep(config, SPEC, torch.device("cpu"))

    G = nn.Sequential(
        nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 784), nn.Tanh()
    )  # fmt: skip
    D = nn.Sequential(
        nn.Linear(784, 256), nn.LeakyReLU(0.2), nn.Linear(256, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1), nn.Sigmoid()
    )
    for plain, ours in ((G, state.G), (D, state.D)):
        for theirs, mine in zip(plain.parameters(), ours.parameters(), strict=True):
            theirs.data.copy_(mine.data)
    start = [p.detach().clone() for p in state.G.parameters()]

    batches = [data[batch_indices(len(data), config.seed, BATCH * step, BATCH)] for step in range(STEPS)]
    latents = [
        torch.randn(BATCH, 64, generator=rng.generator(config.seed, stream, BATCH * step))
        for step in range(STEPS)
        for stream in ("z", "z_G")
    ]
    plain_recipe(G, D, batches, latents)
    for batch in batches:
        state.step(batch, None, 0.0, 0.0)

    assert state.nimg == STEPS * BATCH
    compared = 0
    for plain, ours in ((G, state.G), (D, state.D)):
        for theirs, mine in zip(plain.parameters(), ours.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)
            compared += 1
    assert compared == 12
    moved = max((p - q).abs().max().item() for p, q in zip(state.G.parameters(), start, strict=True))
    assert moved > 1e-3, "the comparison means nothing if nothing moved"
    assert state.G_ema is state.G
    assert images.to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]


def test_classic_starts_from_pytorchs_default_initialisation() -> None:
    config = PRESETS["classic"]
    state = TrainStep(config, SPEC, torch.device("cpu"))
    for network, fan_in in ((state.G, 64), (state.D, 784)):
        weight = next(network.parameters())
        bound = fan_in**-0.5  # nn.Linear: kaiming_uniform with a = sqrt(5) is U(-1/sqrt(fan_in), 1/sqrt(fan_in))
        assert 0.99 * bound < weight.abs().max().item() <= bound
        assert abs(weight.std().item() / (bound / 3**0.5) - 1) < 0.02
