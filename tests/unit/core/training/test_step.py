"""The training step of quick compared with a plain version."""

import copy
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gancli import presets
from gancli.config import ModelSpec, TrainConfig
from gancli.core import rng
from gancli.core.networks import spectral_norm
from gancli.core.networks.build import build_discriminator, build_generator
from gancli.core.training import augment, schedules
from gancli.core.training.step import TrainStep

SPEC = ModelSpec(model="conv", z_dim=8, g_width=8, d_width=8, resolution=12, channels=1, n_classes=3)
STEPS, BATCH, T, EPOCHS = 6, 16, 0.75, 5.0


def make_config(**settings: object) -> TrainConfig:
    small = {
        "z_dim": 8,
        "g_width": 8,
        "d_width": 8,
        "batch_size": BATCH,
        "kimg": 1.0,
        "r1_interval": 3,
        "ema_kimg": 0.05,
    }
    return presets.resolve_config("quick", small | settings)[1]


def make_batches() -> tuple[list[Tensor], list[Tensor]]:
    draws = torch.Generator().manual_seed(5)
    pictures = [torch.randint(0, 256, (BATCH, 1, 12, 12), dtype=torch.uint8, generator=draws) for _ in range(STEPS)]
    return pictures, [torch.randint(0, 3, (BATCH,), generator=draws) for _ in range(STEPS)]


def moved(pictures: Tensor, seed: int, stream: str, nimg: int, chance: float, fill: float = -1.0) -> Tensor:
    """Each picture rolled by its own offset, with the wrapped pixels replaced by `fill`."""
    draws = rng.generator(seed, f"shift_{stream}", nimg)
    chosen = torch.rand(len(pictures), 1, generator=draws) < chance
    offsets = torch.randint(-1, 2, (len(pictures), 2), generator=draws) * chosen
    shifted = []
    for picture, (down, right) in zip(pictures, offsets.tolist(), strict=True):
        rolled = picture.roll((down, right), (1, 2))
        outside = torch.zeros_like(rolled, dtype=torch.bool)
        if down:
            outside[:, 0 if down > 0 else -1] = True
        if right:
            outside[:, :, 0 if right > 0 else -1] = True
        shifted.append(torch.where(outside, torch.tensor(fill), rolled))
    return torch.stack(shifted)


def plain_quick(
    config: TrainConfig, G: nn.Module, D: nn.Module, batches: list[Tensor], labels: list[Tensor]
) -> tuple[list[Tensor], dict[str, float]]:
    """Non-saturating loss, lazy R1 on reals, one latent for both steps, decayed rates, averaged G; and the log."""
    every, ratio = config.r1_interval, config.r1_interval / (config.r1_interval + 1)
    lr = config.lr * (1 - T) / (1 - config.lr_decay_from)
    chance = config.shift * EPOCHS / 10 * (1 - T)
    opt_G = torch.optim.Adam(G.parameters(), lr, betas=(config.beta1, config.beta2))
    opt_D = torch.optim.Adam(D.parameters(), lr * ratio, betas=(config.beta1**ratio, config.beta2**ratio))
    average = [p.detach().clone() for p in G.parameters()]
    logged: dict[str, list[float]] = {}
    for step, (pixels, y) in enumerate(zip(batches, labels, strict=True)):
        nimg = step * BATCH
        x = (pixels.float() / 255 * 2 - 1).requires_grad_()
        fake = G(torch.randn(BATCH, config.z_dim, generator=rng.generator(config.seed, "z", nimg)), y)
        both = moved(torch.cat([x, fake.detach()]), config.seed, "D", nimg, chance)
        on_real, on_fake = D(both[:BATCH], y), D(both[BATCH:], y)
        d_loss = -F.logsigmoid(on_real).mean() - F.logsigmoid(-on_fake).mean()
        objective = d_loss
        if step % every == 0:
            (slope,) = torch.autograd.grad(D(moved(x, config.seed, "R1", nimg, chance), y).sum(), x, create_graph=True)
            r1 = slope.pow(2).sum() / BATCH
            objective = objective + every * config.gamma / 2 * r1
            logged.setdefault("r1", []).append(r1.item())
        opt_D.zero_grad()
        objective.backward()
        opt_D.step()
        g_loss = -F.logsigmoid(D(moved(fake, config.seed, "G", nimg, chance), y)).mean()
        opt_G.zero_grad()
        g_loss.backward()
        opt_G.step()
        half_life = min(config.ema_kimg * 1000, config.ema_ramp * (nimg + BATCH))
        beta = 0.5 ** (BATCH / half_life)
        average = [beta * mean + (1 - beta) * p.detach() for mean, p in zip(average, G.parameters(), strict=True)]
        for name, value in (
            ("d_loss", d_loss.item()),
            ("g_loss", g_loss.item()),
            ("accuracy_real", (on_real > 0).double().mean().item()),
            ("accuracy_fake", (on_fake < 0).double().mean().item()),
        ):
            logged.setdefault(name, []).append(value)
    return average, {name: sum(values) / len(values) for name, values in logged.items()}


def test_quick_matches_its_published_recipe_for_six_steps() -> None:
    config = make_config(augment="none")  # as for sets of 2,000 images or more
    assert (config.gamma, config.shift, config.lr_decay_from, config.ema_ramp) == (0.5, 0.6, 0.5, 0.05)
    state = TrainStep(config, SPEC, torch.device("cpu"))
    G, D = copy.deepcopy(state.G), copy.deepcopy(state.D)
    start = [p.detach().clone() for p in D.parameters()]
    batches, labels = make_batches()
    average, logged = plain_quick(config, G, D, batches, labels)
    for pixels, y in zip(batches, labels, strict=True):
        state.step(pixels, y, T, EPOCHS)

    compared = 0
    for ours, plain in ((state.G, list(G.parameters())), (state.D, list(D.parameters())), (state.G_ema, average)):
        for mine, theirs in zip(ours.parameters(), plain, strict=True):
            torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)
            compared += 1
    assert compared == 9 + 11 + 9
    assert max((p - q).abs().max().item() for p, q in zip(state.D.parameters(), start, strict=True)) > 1e-3
    means = state.read_tally(0)
    for name, value in logged.items():
        assert means[name] == pytest.approx(value, abs=1e-5), name
    assert means["accuracy"] == (means["accuracy_real"] + means["accuracy_fake"]) / 2
    assert state.tallies[0].eq(0).all() and state.tallies[1, -1] == STEPS * BATCH


def test_fresh_latents_give_another_run() -> None:
    shared, fresh = (TrainStep(make_config(share_latents=share), SPEC, torch.device("cpu")) for share in (True, False))
    batches, labels = make_batches()
    for state in (shared, fresh):
        state.step(batches[0], labels[0], 0.0, 0.0)
    pairs = zip(shared.G.parameters(), fresh.G.parameters(), strict=True)
    assert any(not torch.equal(p, q) for p, q in pairs)
    assert all(torch.equal(p, q) for p, q in zip(shared.D.parameters(), fresh.D.parameters(), strict=True))


@pytest.mark.parametrize("part", ["G", "D", "G_ema", "tallies"])
def test_one_bad_number_anywhere_is_detected(part: str) -> None:
    state = TrainStep(make_config(), SPEC, torch.device("cpu"))
    assert state.is_finite()
    tensor = state.tallies if part == "tallies" else next(state.modules[part].parameters())
    with torch.no_grad():
        tensor.view(-1)[-1] = float("inf")
    assert not state.is_finite()


def test_augmentations_follow_the_shift_in_order_each_with_its_own_random_numbers() -> None:
    config = make_config(augment="cutout,color", augment_strength=0.7, seed=3)
    state = TrainStep(config, SPEC, torch.device("cpu"), torch.tensor([0.5]))
    state.nimg = 48
    x = torch.linspace(-1, 1, BATCH * 144).sin().view(BATCH, 1, 12, 12)
    expected = moved(x, 3, "D", 48, 0.4, 0.5)
    for name in ("cutout", "color"):
        draws = torch.rand(BATCH, 4, generator=rng.generator(3, f"{name}_D", 48))
        expected = augment.augment_images(name, expected, 0.7, draws, torch.tensor([0.5]))
    assert torch.equal(state.augment(x, "D", 0.4), expected) and not torch.equal(expected, x)
    assert not torch.equal(state.augment(x, "G", 0.4), expected)
    state.strength = 0.0
    assert state.augment(x, "D", 0.0) is x


def test_d_and_g_see_augmented_images_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real and fake in the D step, real in R1, fake in the G step."""
    state = TrainStep(make_config(augment="cutout"), SPEC, torch.device("cpu"))
    seen: list[int] = []
    plain = augment.augment_images
    monkeypatch.setattr(augment, "augment_images", lambda name, x, *rest: seen.append(len(x)) or plain(name, x, *rest))
    batches, labels = make_batches()
    state.step(batches[0], labels[0], T, EPOCHS)
    assert seen == [2 * BATCH, BATCH, BATCH]


def test_adaptive_strength_follows_r_v_and_a_fixed_one_is_constant() -> None:
    settings = {"augment": "color", "augment_strength": 0.3, "tick_kimg": 1.0}
    fixed, adaptive = (TrainStep(make_config(**settings, ada=ada), SPEC, torch.device("cpu")) for ada in (False, True))
    for state in (fixed, adaptive):
        state.adapt_augment_strength(0.9)
    assert fixed.strength == 0.3 and adaptive.strength == pytest.approx(0.31)
    adaptive.adapt_augment_strength(None)
    assert adaptive.strength == pytest.approx(0.3)
    often = TrainStep(make_config(augment="color", ada=True, tick_kimg=0.001), SPEC, torch.device("cpu"))
    often.adapt_augment_strength(0.9)
    assert often.strength == pytest.approx(0.5 + BATCH / 100_000), "a tick is a step at least"


def test_spectral_norm_is_updated_once_per_d_forward_and_not_in_the_g_step() -> None:
    state = TrainStep(make_config(spectral_norm=True, r1_interval=1), SPEC, torch.device("cpu"))
    batches, labels = make_batches()
    moves = 0
    original = spectral_norm.power_iteration
    layers = sum(key.endswith("0.u") for key in state.D.state_dict())

    def counted(matrix: Tensor, u: Tensor) -> Tensor:
        nonlocal moves
        moves += 1
        return original(matrix, u)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spectral_norm, "power_iteration", counted)
        state.step(batches[0], labels[0], T, EPOCHS)
        assert layers == 6 and moves == 2 * layers  # one forward for real and fake, one for R1
        state.signals(batches[0], labels[0], batches[1], labels[1])
    assert moves == 2 * layers


def spec_of(config: TrainConfig) -> ModelSpec:
    """The networks of a preset for colour images in ten classes, at its own resolution or 28 px."""
    return ModelSpec(
        model=config.model,
        z_dim=config.z_dim,
        g_width=config.g_width,
        d_width=config.d_width,
        resolution=config.resolution or 28,
        channels=3,
        n_classes=10,
    )


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_every_preset_is_built_and_makes_a_step(preset: str) -> None:
    """Presets for a GPU are built at full size without memory, and step at a width that takes one core a second."""
    config = presets.PRESETS[preset]
    with torch.device("meta"):
        nets = build_generator(spec_of(config)), build_discriminator(spec_of(config))
    millions = [sum(p.numel() for p in net.parameters()) / 1e6 for net in nets]
    is_for_gpu = preset.startswith("r3gan")
    assert all(20 < n < 24 if is_for_gpu else n < 1.5 for n in millions)

    config = replace(config, batch_size=2, **{"g_width": 16, "d_width": 16} if is_for_gpu else {})
    spec = spec_of(config)
    state = TrainStep(config, spec, torch.device("cpu"))
    before = [p.clone() for p in (*state.G.parameters(), *state.D.parameters())]
    real = torch.randint(0, 256, (2, 3, spec.resolution, spec.resolution), generator=torch.Generator().manual_seed(1))
    state.step(real.to(torch.uint8), torch.tensor([3, 7]), 0.0, 0.0)
    assert state.nimg == 2 and state.is_finite()
    after = [*state.G.parameters(), *state.D.parameters()]
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def narrow(preset: str) -> tuple[TrainConfig, ModelSpec]:
    config = replace(presets.PRESETS[preset], g_width=8, d_width=8)
    return config, spec_of(config)


def test_r3gan_has_its_final_rates_at_the_end_of_the_burn_in() -> None:
    state = TrainStep(*narrow("r3gan-32"), torch.device("cpu"))
    state.set_optimizer_rates(0.0)
    assert state.opt_G.lr == 2e-4 and state.opt_G.betas == (0.0, 0.9)
    assert state.half_life(0.0) == 0
    state.set_optimizer_rates(0.08)  # 20 of 250 Mimg
    for optimizer in state.optimizers.values():
        assert optimizer.lr == pytest.approx(5e-5) and optimizer.betas == pytest.approx((0.0, 0.99))


@pytest.mark.parametrize(("name", "longest"), [("r3gan-32", 5e6), ("r3gan-64", 5e5)])
def test_the_ema_of_a_full_r3gan_run_is_the_published_one(name: str, longest: float) -> None:
    """Half a cosine from 0 over 20 of 250 Mimg, not limited by a share of the images seen."""
    state = TrainStep(*narrow(name), torch.device("cpu"))
    for mimg in [*range(1, 41), 250]:
        rise = (1 - math.cos(math.pi * min(mimg / 20, 1))) / 2
        state.nimg = mimg * 1_000_000
        assert state.half_life(mimg / 250) == pytest.approx(longest * rise)


@pytest.mark.parametrize("mimg", [0.25, 1, 2.5, 25])
def test_the_ema_of_a_shorter_r3gan_run_covers_its_end(mimg: float) -> None:
    """Half of it comes from weights of the last third of the run, not from its start."""
    state = TrainStep(*narrow("r3gan-32"), torch.device("cpu"))
    batch_size = state.config.batch_size
    steps, weights = round(mimg * 1e6 / batch_size), list[float]()
    for step in range(steps):
        state.nimg = (step + 1) * batch_size
        weights.append(schedules.ema_beta(batch_size, state.half_life(step / steps)))
    left, newest = 1.0, 0.0  # going back: remaining weight, and total weight of newer steps
    for step in reversed(range(steps)):
        newest += left * (1 - weights[step])
        left *= weights[step]
        if newest > 0.5:
            break
    assert step / steps > 2 / 3
