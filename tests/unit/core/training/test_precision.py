"""A step in bf16: which parts use it, and which never do."""

import statistics
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gancli import presets
from gancli.config import ModelSpec, TrainConfig
from gancli.core.training import step as states
from gancli.core.training.step import TrainStep

CPU = torch.device("cpu")
Seen = dict[str, list[torch.dtype]]


def made(precision: str, *, n_classes: int = 0, **settings: object) -> TrainStep:
    small = {"z_dim": 8, "g_width": 8, "d_width": 8, "batch_size": 8, "kimg": 1.0, "r1_interval": 1, "augment": "none"}
    config: TrainConfig = presets.resolve_config("quick", flags={**small, **settings})[1]
    spec = ModelSpec(model=config.model, z_dim=8, g_width=8, d_width=8, resolution=8, channels=1, n_classes=n_classes)
    return TrainStep(config, spec, CPU, precision=precision)


def images(n: int = 8) -> Tensor:
    """Half black, half white."""
    return torch.tensor([0, 255], dtype=torch.uint8).repeat(n // 2).view(n, 1, 1, 1).expand(n, 1, 8, 8)


@pytest.fixture
def penalised(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """Types of the images and logits of penalties."""
    seen: Seen = {"r1_penalty": [], "gradient_penalty": []}

    def watch(name: str) -> None:
        penalty = getattr(states, name)

        def watched(x: Tensor, logits: Tensor) -> Any:
            seen[name] += [x.dtype, logits.dtype]
            return penalty(x, logits)

        monkeypatch.setattr(states, name, watched)

    for name in seen:
        watch(name)
    yield seen


def computed(state: TrainStep) -> Seen:
    """Train a step; returns the output types of the last layers of G and D, forward by forward."""
    seen: Seen = {"G": [], "D": []}

    def watch(name: str, net: nn.Module) -> None:
        layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
        layers[-1].register_forward_hook(lambda layer, x, out: seen[name].append(out.dtype))

    watch("G", state.G)
    watch("D", state.D)
    state.step(images(), None, 0.1, 0.0)
    return seen


LOW, FULL = torch.bfloat16, torch.float32


@pytest.mark.parametrize("model", ["conv", "mlp", "resnet"])
@pytest.mark.parametrize(
    ("settings", "D"),
    [
        ({"gamma": 0.1}, [LOW, FULL, LOW]),  # real and fake, a forward for R1, G's step
        ({"gamma": 0.1, "r2": True}, [FULL, LOW]),  # R1 and R2 from the logits of the loss
        ({"gamma": 0.0}, [LOW, LOW]),
        ({"loss": "wasserstein", "gamma": 0.0, "gradient_penalty": 10.0}, [LOW, FULL, LOW]),
        ({"loss": "relativistic", "gamma": 0.0, "spectral_norm": True}, [LOW, LOW, LOW]),
    ],
)
def test_forwards_are_in_bf16_and_penalties_in_float32(
    model: str, settings: dict[str, object], D: list[torch.dtype], penalised: Seen
) -> None:
    seen = computed(made("bf16", model=model, **settings))
    assert seen["D"] == D and seen["G"] and set(seen["G"]) == {LOW}
    taken = penalised["r1_penalty"] + penalised["gradient_penalty"]
    assert len(taken) == (2 if FULL in D else 0) and set(taken) <= {FULL}


def test_a_run_in_float32_has_nothing_in_bf16() -> None:
    seen = computed(made("float32", gamma=0.1))
    assert set(seen["D"]) == set(seen["G"]) == {FULL} and len(seen["D"]) == 3


def test_weights_and_losses_are_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    state = made("bf16", gamma=0.1, spectral_norm=True, n_classes=2)
    seen, output = [], state.output

    def watched(*args: Any) -> Tensor:
        seen.append(output(*args))
        return seen[-1]

    monkeypatch.setattr(state, "output", watched)
    state.step(images(), torch.arange(8) % 2, 0.1, 0.0)
    assert len(seen) == 3 and all(tensor.dtype == FULL for tensor in seen)
    weights = [tensor for net in state.modules.values() for tensor in net.state_dict().values()]
    moments = [
        tensor for opt in state.optimizers.values() for of in opt.moments.values() for tensor in vars(of).values()
    ]
    assert len(moments) > 30 and {tensor.dtype for tensor in [*weights, *moments]} == {FULL}
    assert len(state.modules) == 3


def d_losses(state: TrainStep, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        state.step(images(), None, 0.1, 0.0)
        losses.append(state.read_tally(0)["d_loss"])
    return losses


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("model", ["conv", "resnet"])
def test_the_loss_falls_as_it_does_in_float32(model: str, seed: int) -> None:
    """A single step says little: once D is nearly right, some steps are outliers, in float32 and in bf16."""
    falling = {}
    for precision in ("float32", "bf16"):
        state = made(precision, model=model, seed=seed, gamma=0.1, lr=2e-3)
        state.opt_G.step = lambda: None  # type: ignore[method-assign]
        falling[precision] = d_losses(state, 80)
    for losses in falling.values():
        assert statistics.median(losses[-20:]) < 0.75 * losses[0]
    assert falling["bf16"] != falling["float32"]
    for low, full in zip(falling["bf16"][:10], falling["float32"][:10], strict=True):
        assert low == pytest.approx(full, rel=0.05)
