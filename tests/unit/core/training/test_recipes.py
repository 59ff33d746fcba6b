"""Losses, penalties and schedules other than those of quick: one step compared with a plain version, in float64."""

import copy
import math
import typing

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gancli.config import LossName, ModelSpec, TrainConfig
from gancli.core import images, rng
from gancli.core.networks.build import MODELS
from gancli.core.training.step import TrainStep

BATCH, BEFORE = 6, 600  # images of the step, and seen before it


def spec(model: str) -> ModelSpec:
    return ModelSpec(model=model, z_dim=5, g_width=8, d_width=8, resolution=8, channels=1, n_classes=3)


def recipe(**settings: object) -> TrainConfig:
    return TrainConfig(**{"kimg": 1.0, "z_dim": 5, "g_width": 8, "d_width": 8, "batch_size": BATCH} | settings)


def batch() -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(5)
    pixels = torch.randint(0, 256, (BATCH, 1, 8, 8), dtype=torch.uint8, generator=draws)
    return pixels, torch.tensor([0, 1, 2, 2, 1, 0])


def in_float64(config: TrainConfig, model: str, monkeypatch: pytest.MonkeyPatch) -> TrainStep:
    """A state that computes in float64; its random numbers are those of float32."""
    state = TrainStep(config, spec(model), torch.device("cpu"))
    for net in state.modules.values():
        net.double()
    single = state.latents
    monkeypatch.setattr(state, "latents", lambda stream, n: single(stream, n).double())
    monkeypatch.setattr(images, "to_float", lambda pixels: pixels.double() / 127.5 - 1)
    state.nimg = BEFORE
    return state


def latents(nimg: int) -> tuple[Tensor, Tensor]:
    """For the D step and the G step."""
    z, z_G = (torch.randn(BATCH, 5, generator=rng.generator(0, name, nimg)).double() for name in ("z", "z_G"))
    return z, z_G


class PlainAdam:
    """Kingma and Ba 2015, alg. 1, with beta1 = 0, so that the first moment is the gradient."""

    def __init__(self, net: nn.Module, lr: float, beta2: float) -> None:
        self.weights, self.lr, self.beta2, self.n = list(net.parameters()), lr, beta2, 0
        self.v = [torch.zeros_like(p) for p in self.weights]

    def descend(self, objective: Tensor) -> None:
        self.n += 1
        for p, v, g in zip(self.weights, self.v, torch.autograd.grad(objective, self.weights), strict=True):
            v.copy_(self.beta2 * v + (1 - self.beta2) * g * g)
            p.data -= self.lr * g / ((v / (1 - self.beta2**self.n)).sqrt() + 1e-8)


def check_equal(net: nn.Module, plain: list[Tensor], start: list[Tensor]) -> None:
    moved = 0.0
    for mine, theirs, before in zip(net.parameters(), plain, start, strict=True):
        torch.testing.assert_close(mine.detach(), theirs.detach(), atol=1e-9, rtol=0)
        moved = max(moved, float((mine - before).detach().abs().max()))
    assert moved > 1e-5, "the comparison means nothing if nothing moved"


@pytest.mark.parametrize("model", sorted(MODELS))
@pytest.mark.parametrize("interval", [1, 2])
def test_relativistic_with_r1_and_r2_matches_the_published_step(
    model: str, interval: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Huang et al. 2024: D first, fresh latents for G, gamma/2 (R1 + R2) each step, cosines over the burn-in.

    Two steps at t = 1/8 of the run, half of a burn-in of a quarter, where every cosine is half-way. With an
    interval of 2, which the paper does not use, the penalty counts twice and D's Adam follows Karras et al. 2020
    (1912.04958, appendix B).
    """
    config = recipe(
        loss="relativistic", gamma=0.6, gamma_end=0.1, r2=True, r1_interval=interval, lr=2e-4, lr_end=0.25, beta1=0.0,
        beta2=0.9, beta2_end=0.99, burn_in=0.25, ema_kimg=0.01, ema_ramp=0.0,
    )  # fmt: skip
    gamma, lr, beta2, half_life = 0.6 * (1 + 0.1) / 2, 2e-4 * (1 + 0.25) / 2, (0.9 + 0.99) / 2, 10 / 2
    state = in_float64(config, model, monkeypatch)
    G, D = copy.deepcopy(state.G), copy.deepcopy(state.D)
    G_start, D_start = ([p.detach().clone() for p in net.parameters()] for net in (G, D))
    lazy = interval / (interval + 1) if interval > 1 else 1
    opt_G, opt_D = PlainAdam(G, lr, beta2), PlainAdam(D, lr * lazy, beta2**lazy)
    average, kept = G_start, 0.5 ** (BATCH / half_life)
    pixels, y = batch()
    for nimg in (BEFORE, BEFORE + BATCH):
        state.step(pixels, y, 0.125, 0.0)

        z, z_G = latents(nimg)
        x = (pixels.double() / 127.5 - 1).requires_grad_()
        fake = G(z, y).detach().requires_grad_()
        on_real, on_fake = D(x, y), D(fake, y)
        (r1_slope,) = torch.autograd.grad(on_real.sum(), x, create_graph=True)
        (r2_slope,) = torch.autograd.grad(on_fake.sum(), fake, create_graph=True)
        d_loss = -F.logsigmoid(on_real - on_fake).mean()
        r1, r2 = r1_slope.pow(2).sum() / BATCH, r2_slope.pow(2).sum() / BATCH
        is_due = nimg // BATCH % interval == 0
        opt_D.descend(d_loss + gamma / 2 * interval * (r1 + r2) if is_due else d_loss)
        g_loss = -F.logsigmoid(D(G(z_G, y), y) - D(x, y)).mean()
        opt_G.descend(g_loss)
        average = [kept * mean + (1 - kept) * p.detach() for mean, p in zip(average, G.parameters(), strict=True)]

        means, right = state.read_tally(0), (on_real > on_fake).double().mean()
        expected = {"d_loss": d_loss, "g_loss": g_loss, "accuracy": right} | ({"r1": r1, "r2": r2} if is_due else {})
        assert {name: means[name] for name in expected} == pytest.approx({k: v.item() for k, v in expected.items()})
        assert not {"accuracy_real", "accuracy_fake"} & means.keys(), "a logit has no sign here"
        assert is_due or not {"r1", "r2"} & means.keys()
    check_equal(state.D, opt_D.weights, D_start)
    check_equal(state.G, opt_G.weights, G_start)
    check_equal(state.G_ema, average, G_start)


def test_wasserstein_with_gradient_penalty_matches_the_published_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gulrajani et al. 2017, algorithm 1, with one critic step per G step."""
    config = recipe(loss="wasserstein", gradient_penalty=10.0, lr=1e-4, beta1=0.0, beta2=0.9)
    state = in_float64(config, "mlp", monkeypatch)
    G, D = copy.deepcopy(state.G), copy.deepcopy(state.D)
    G_start, D_start = ([p.detach().clone() for p in net.parameters()] for net in (G, D))
    opt_G, opt_D = PlainAdam(G, 1e-4, 0.9), PlainAdam(D, 1e-4, 0.9)
    pixels, y = batch()
    state.step(pixels, y, 0.0, 0.0)

    z, z_G = latents(BEFORE)
    x, fake = pixels.double() / 127.5 - 1, G(z, y).detach()
    a = torch.rand(BATCH, generator=rng.generator(0, "interpolates", BEFORE)).double().view(-1, 1, 1, 1)
    between = (a * x + (1 - a) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(D(between, y).sum(), between, create_graph=True)
    penalty = (slope.flatten(1).norm(dim=1) - 1).pow(2).mean()
    d_loss = D(fake, y).mean() - D(x, y).mean()
    opt_D.descend(d_loss + 10 * penalty)
    g_loss = -D(G(z_G, y), y).mean()
    opt_G.descend(g_loss)

    check_equal(state.D, opt_D.weights, D_start)
    check_equal(state.G, opt_G.weights, G_start)
    means = state.read_tally(0)
    expected = {"d_loss": d_loss.item(), "g_loss": g_loss.item(), "gradient_penalty": penalty.item()}
    assert {name: means[name] for name in expected} == pytest.approx(expected)


def test_lazy_r2_comes_with_r1_every_few_steps_and_is_averaged_over_those() -> None:
    state = TrainStep(recipe(gamma=1.0, r2=True, r1_interval=3), spec("conv"), torch.device("cpu"))
    pixels, y = batch()
    found = []
    for _ in range(6):
        state.step(pixels, y, 0.0, 0.0)
        found.append(state.read_tally(0))
    together = state.read_tally(1)
    assert [{"r1", "r2"} <= means.keys() for means in found] == [True, False, False] * 2
    for name in ("r1", "r2"):
        first, second = found[0][name], found[3][name]
        assert 0 < first != second > 0 and together[name] == pytest.approx((first + second) / 2)
    assert together["d_loss"] == pytest.approx(sum(means["d_loss"] for means in found) / 6)
    assert not state.has_tally(0) and not state.has_tally(1)
    state.step(pixels, y, 0.0, 0.0)
    assert state.has_tally(0) and state.has_tally(1)


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("model", sorted(MODELS))
@pytest.mark.parametrize("loss", typing.get_args(LossName))
def test_every_loss_trains_every_model(loss: LossName, model: str, share: bool) -> None:
    penalty = {"gradient_penalty": 10.0} if loss == "wasserstein" else {"gamma": 1.0, "r2": True}
    config = recipe(loss=loss, share_latents=share, shift=0.5, beta1=0.0, **penalty)
    state = TrainStep(config, spec(model), torch.device("cpu"))
    before = {name: net.state_dict() for name, net in copy.deepcopy(state.modules).items()}
    for _ in range(2):
        state.step(*batch(), 0.5, 10.0)
    assert state.is_finite()
    moved = [not torch.equal(p, before[net][name]) for net in "GD" for name, p in state.modules[net].named_parameters()]
    unmoved = 1 if loss in ("relativistic", "wasserstein") else 0  # the last bias of D, which cancels in differences
    assert moved.count(False) <= unmoved and len(moved) > 10
    means = state.read_tally(0)
    assert all(math.isfinite(value) for value in means.values()) and 0 <= means["accuracy"] <= 1


@pytest.mark.parametrize(
    ("settings", "streams"),
    [
        ({"gamma": 1.0}, ["D", "R1", "G"]),
        ({"gamma": 1.0, "r2": True}, ["D", "G"]),
        ({"loss": "hinge", "gradient_penalty": 10.0}, ["D", "GP", "G"]),
        ({"loss": "relativistic"}, ["D", "G_real", "G"]),
    ],
    ids=str,
)
def test_d_sees_only_augmented_images(settings: dict[str, object], streams: list[str]) -> None:
    state = TrainStep(recipe(**settings), spec("conv"), torch.device("cpu"))
    D, seen, drawn = state.D.forward, [], []

    def augment(pictures: Tensor, stream: str, chance: float, parts: int = 1) -> Tensor:
        drawn.append(stream)
        return pictures + 100

    def forward(pictures: Tensor, labels: Tensor | None) -> Tensor:
        seen.append(float(pictures.detach().min()))
        return D(pictures, labels)

    state.augment, state.D.forward = augment, forward
    state.step(*batch(), 0.0, 0.0)
    assert drawn == streams and len(seen) == len(streams) and min(seen) >= 99


@pytest.mark.parametrize("loss", ["relativistic", "wasserstein"])
def test_health_without_a_threshold_ignores_a_common_offset_of_the_logits(loss: LossName) -> None:
    config = recipe(loss=loss, **({"gradient_penalty": 10.0} if loss == "wasserstein" else {}))
    state = TrainStep(config, spec("mlp"), torch.device("cpu"))
    draws = torch.Generator().manual_seed(3)
    real, heldout = (torch.randint(0, 256, (n, 1, 8, 8), dtype=torch.uint8, generator=draws) for n in (40, 30))
    labels, heldout_labels = torch.arange(40) % 3, torch.arange(30) % 2
    before = state.signals(real, labels, heldout, heldout_labels)
    D, offsets = state.D, torch.tensor([100.0, -50.0, 7.0])

    class Lifted(nn.Module):
        def forward(self, images: Tensor, labels: Tensor) -> Tensor:
            return D(images, labels) + offsets[labels]

    state.D = Lifted()
    after = state.signals(real, labels, heldout, heldout_labels)
    assert set(after) == {"diversity", "accuracy_heldout", "r_v"}
    assert after["accuracy_heldout"] == before["accuracy_heldout"]
    assert after["r_v"] == (before["r_v"] and pytest.approx(before["r_v"], abs=1e-3))


def test_r_v_of_pairs_is_0_for_similar_images_and_1_if_held_out_images_look_generated() -> None:
    state = TrainStep(recipe(loss="relativistic"), spec("mlp"), torch.device("cpu"))
    bright = torch.full((20, 1, 8, 8), 255, dtype=torch.uint8)
    labels = torch.zeros(20, dtype=torch.int64)

    class Brightness(nn.Module):
        def forward(self, images: Tensor, labels: Tensor) -> Tensor:
            return images.mean(dim=(1, 2, 3))

    class Dark(nn.Module):
        def forward(self, z: Tensor, labels: Tensor) -> Tensor:
            return torch.full((len(z), 1, 8, 8), -1.0)

    state.D, state.G = Brightness(), Dark()
    for heldout, r_v, accuracy in ((bright, 0, 1), (bright * 0, 1, 0)):
        found = state.signals(bright, labels, heldout, labels)
        assert (found["r_v"], found["accuracy_heldout"]) == (pytest.approx(r_v), accuracy)
