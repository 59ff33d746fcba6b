"""Trains every recipe below for some steps, alone or under torchrun, and saves the result: see test_distributed.py.

usage: shared_steps.py FOLDER
"""

import os
import sys
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from gancli.config import ModelSpec, TrainConfig
from gancli.core import distributed, images
from gancli.core.training.step import TrainStep

N_IMAGES, BATCH, STEPS = 40, 8, 50
CPU = torch.device("cpu")

# model, whether there are labels, and the settings
RECIPES: dict[str, tuple[str, bool, dict[str, object]]] = {
    "non-saturating, lazy R1": ("conv", True, {"gamma": 0.5, "r1_interval": 4, "ema_kimg": 0.1, "share_latents": True}),
    "minimax": ("mlp", False, {"loss": "minimax", "share_latents": False}),
    "hinge, spectral norm": ("conv", True, {"loss": "hinge", "spectral_norm": True}),
    "wasserstein, gradient penalty": ("mlp", True, {"loss": "wasserstein", "gradient_penalty": 10.0, "lr": 1e-3}),
    "relativistic, R1 and R2": ("resnet", False, {"loss": "relativistic", "gamma": 0.5, "r2": True}),
    "relativistic, lazy R1 and R2": (
        "conv",
        True,
        {"loss": "relativistic", "gamma": 0.5, "r2": True, "r1_interval": 3},
    ),
    "every augmentation": (
        "conv",
        True,
        {"gamma": 0.5, "shift": 0.5, "augment": "color,translation,cutout,flip", "augment_strength": 0.5},
    ),
    "schedules": (
        "conv",
        False,
        {"gamma": 0.5, "gamma_end": 0.1, "lr_end": 0.1, "beta2_end": 0.999, "burn_in": 0.5, "ema_kimg": 0.1},
    ),
}


def make(name: str, here: distributed.World) -> tuple[TrainStep, Tensor, Tensor | None]:
    model, is_labelled, settings = RECIPES[name]
    plan = {"kimg": 1.0, "z_dim": 5, "g_width": 8, "d_width": 8, "batch_size": BATCH, **settings}
    spec = ModelSpec(
        model=model, z_dim=5, g_width=8, d_width=8, resolution=8, channels=1, n_classes=3 if is_labelled else 0
    )
    draws = torch.Generator().manual_seed(5)
    pixels = torch.randint(0, 256, (N_IMAGES, 1, 8, 8), dtype=torch.uint8, generator=draws)
    state = TrainStep(TrainConfig(**plan), spec, CPU, world=here)  # type: ignore[arg-type]
    return state, pixels, torch.arange(N_IMAGES) % 3 if is_labelled else None


def step(state: TrainStep, pixels: Tensor, labels: Tensor | None) -> None:
    nimg = state.nimg
    index = (torch.arange(nimg, nimg + BATCH) % N_IMAGES)[state.world.rows(BATCH)]
    state.step(pixels[index], None if labels is None else labels[index], nimg / 1000, nimg / N_IMAGES)


def gradients_in_float32(name: str, here: distributed.World) -> dict[str, Tensor]:
    state, pixels, labels = make(name, here)
    step(state, pixels, labels)
    return {
        f"{name}/{net}/{key}": p.grad.clone()
        for net, module in (("G", state.G), ("D", state.D))
        for key, p in module.named_parameters()
        if p.grad is not None
    }


def weights_in_float64(name: str, here: distributed.World) -> dict[str, Tensor]:
    state, pixels, labels = make(name, here)
    for net in state.modules.values():
        net.double()
    state.background = state.background.double()
    single = state.latents
    state.latents = lambda stream, n: single(stream, n).double()  # type: ignore[method-assign]
    for _ in range(STEPS):
        step(state, pixels, labels)
    found = {
        f"{name}/{net}/{key}": p for net, module in state.modules.items() for key, p in module.state_dict().items()
    }
    return {**found, f"{name}/tallies": state.tallies}


def main() -> None:
    torch.set_num_threads(1)
    here, folder = distributed.join_world() if "RANK" in os.environ else distributed.ALONE, Path(sys.argv[1])
    gradients = {key: value for name in RECIPES for key, value in gradients_in_float32(name, here).items()}
    images.to_float = lambda pixels: pixels.double() / 127.5 - 1
    weights = {key: value for name in RECIPES for key, value in weights_in_float64(name, here).items()}
    for kind, tensors in (("gradients", gradients), ("weights", weights)):
        plain = {key: tensor.detach().contiguous() for key, tensor in tensors.items()}
        safetensors.torch.save_file(plain, folder / f"{kind}-{here.rank}-of-{here.size}.safetensors")


if __name__ == "__main__":
    main()
