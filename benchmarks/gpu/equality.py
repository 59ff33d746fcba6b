"""One training step on the device and on the CPU, from the same weights with the same draws."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor

from benchmarks.gpu.compare import Tensors, largest_difference
from benchmarks.gpu.rows import Row, within
from gancli.config import ModelSpec, TrainConfig
from gancli.core import images
from gancli.core.training.adam import Adam
from gancli.core.training.checkpoint import select_prefix
from gancli.core.training.losses import LOSSES
from gancli.core.training.step import TrainStep

TOLERANCE = 1e-4  # float32 reaches about 1e-6; TF32 would give about 1e-3
BATCH, CHANNELS, CLASSES, Z_DIM = 16, 3, 3, 8
NETWORKS = ("mlp", "conv", "resnet")
PENALTIES: dict[str, dict[str, Any]] = {
    "none": {},
    "R1": {"gamma": 1.0},
    "R1 and R2": {"gamma": 1.0, "r2": True},
    "gradient penalty": {"gradient_penalty": 10.0},
}
OTHERS: dict[str, dict[str, Any]] = {
    "spectral norm": {"loss": "hinge", "spectral_norm": True},
    "augmentations": {"augment": "color,translation,cutout,flip", "augment_strength": 0.7, "shift": 0.7, "gamma": 1.0},
    "shared latents, average": {"share_latents": True, "ema_kimg": 0.1},
}
CPU = torch.device("cpu")


class Size(NamedTuple):
    """Side of the images and width of the networks."""

    side: int
    width: int


ON_GPU, ON_CPU = Size(16, 32), Size(8, 16)


class Stepped(NamedTuple):
    """Gradients of G and D, and means of the step: losses, penalties, gradient norms."""

    gradients: dict[str, Tensor]
    means: dict[str, Tensor]


def check(device: torch.device) -> Iterator[Row]:
    for network, loss in itertools.product(NETWORKS, LOSSES):
        cases = {name: bounded({"loss": loss, **penalty}) for name, penalty in PENALTIES.items()}
        yield compare_cases(f"{network}, {loss}", network, cases, device)
    for network in NETWORKS:
        yield compare_cases(f"{network}, other settings", network, OTHERS, device)
    yield within("equality", "Adam, 3 steps of equal gradients", adam_difference(device), TOLERANCE)


def bounded(settings: dict[str, Any]) -> dict[str, Any]:
    """Add spectral normalisation where the Wasserstein loss needs a bound."""
    needs = settings["loss"] == "wasserstein" and "gradient_penalty" not in settings
    return settings | ({"spectral_norm": True} if needs else {})


def compare_cases(what: str, network: str, cases: dict[str, dict[str, Any]], device: torch.device) -> Row:
    """Compare each case; the row has the largest difference and the difference of each case.

    On a CPU, float64 stands in for the other device.
    """
    differences, rounding, size = dict[str, float](), 0.0, ON_CPU if device == CPU else ON_GPU
    for name, settings in cases.items():
        exact, on_cpu = (make_step(network, settings, size, CPU, dtype) for dtype in (torch.float64, torch.float32))
        off = difference(on_cpu, exact)
        rounding = max(rounding, off)
        differences[name] = off if device == CPU else difference(make_step(network, settings, size, device), on_cpu)
    listed = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
    other = "CPU in float64" if device == CPU else f"CPU, which differs by {rounding:.1e} from float64"
    worst = max(differences.values(), key=lambda value: (value != value, value))
    row = within("equality", what, worst, TOLERANCE, f"{listed}; against the {other}")
    return Row(**{**vars(row), "numbers": {**row.numbers, "cases": differences, "cpu_rounding": rounding}})


def difference(found: Stepped, reference: Stepped) -> float:
    gradients = [
        largest_difference(*(select_prefix(each.gradients, net) for each in (found, reference)))[0] for net in "GD"
    ]
    return max(*gradients, mean_difference(found, reference))


def mean_difference(found: Stepped, reference: Stepped) -> float:
    """Return the largest difference of a mean, relative to its size but at least to 1."""
    return max(
        abs(float(value) - float(reference.means[name])) / max(1.0, abs(float(reference.means[name])))
        for name, value in found.means.items()
    )


def make_step(
    network: str, settings: dict[str, Any], size: Size, device: torch.device, dtype: torch.dtype = torch.float32
) -> Stepped:
    """Train one step, from weights and images that depend only on the settings.

    The learning rate is tiny: Adam's first step is +-lr for each weight, so a gradient that is almost 0 could change a
    weight of D by 2 lr, and with it G's gradients.
    """
    sizes: dict[str, Any] = {"model": network, "z_dim": Z_DIM, "g_width": size.width, "d_width": size.width}
    config = TrainConfig(kimg=1.0, lr=1e-8, batch_size=BATCH, **sizes, **settings)
    spec = ModelSpec(resolution=size.side, channels=CHANNELS, n_classes=CLASSES, **sizes)
    draws = torch.Generator().manual_seed(1)
    state = TrainStep(config, spec, CPU)
    for net in (state.G, state.D):
        for weight in net.parameters():  # layers that start at 0 would hide others
            weight.data += 0.05 * torch.randn(weight.shape, generator=draws)
    weights = {name: net.state_dict() for name, net in state.modules.items()}
    pixels = torch.randint(0, 256, (BATCH, CHANNELS, size.side, size.side), dtype=torch.uint8, generator=draws)
    state = TrainStep(config, spec, device)
    for name, net in state.modules.items():
        net.load_state_dict(weights[name])
    labels = torch.arange(BATCH) % CLASSES
    step_in(state, pixels.to(device), labels.to(device), dtype)
    gradients = {
        f"{name}.{key}": weight.grad.cpu()
        for name, net in (("G", state.G), ("D", state.D))
        for key, weight in net.named_parameters()
        if weight.grad is not None
    }
    means = dict(zip(state.statistics, state.tallies[0].cpu(), strict=True))
    return Stepped(gradients, {name: value / BATCH for name, value in means.items() if "accuracy" not in name})


def step_in(state: TrainStep, pixels: Tensor, labels: Tensor, dtype: torch.dtype) -> None:
    """Train a step with all numbers in this type."""
    if dtype == torch.float32:
        state.step(pixels, labels, 0.0, 0.0)
        return
    for net in state.modules.values():
        net.to(dtype)
    state.background = state.background.to(dtype)
    drawn = state.latents
    with (
        mock.patch.object(state, "latents", lambda stream, n: drawn(stream, n).to(dtype)),
        mock.patch.object(images, "to_float", lambda pixels: pixels.to(dtype) / 127.5 - 1),
    ):
        state.step(pixels, labels, 0.0, 0.0)


def adam_difference(device: torch.device) -> float:
    """Return the difference of weights after three steps of Adam with equal gradients."""
    found = [adam_weights(each) for each in (device, CPU)]
    return largest_difference(*found)[0]


def adam_weights(device: torch.device) -> Tensors:
    draws = torch.Generator().manual_seed(2)
    weights = [
        torch.nn.Parameter(torch.randn(shape, generator=draws).to(device)) for shape in ((5,), (64, 3), (8, 4, 3, 3))
    ]
    optimizer = Adam(weights)
    optimizer.lr, optimizer.betas = 1e-2, (0.5, 0.9)
    for _ in range(3):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=draws).to(device)
        optimizer.step()
    return {str(place): weight.detach() for place, weight in enumerate(weights)}
