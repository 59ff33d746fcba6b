"""The registry of network families, and the one place that turns a spec into networks."""

import torch
from torch import nn

from gancli.config import ModelSpec
from gancli.core.models import conv, mlp, resnet, spectral

MODELS: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "conv": (conv.Generator, conv.Discriminator),
    "mlp": (mlp.Generator, mlp.Discriminator),
    "resnet": (resnet.Generator, resnet.Discriminator),
}


def build_generator(spec: ModelSpec) -> nn.Module:
    make_G, _ = MODELS[spec.model]
    G = make_G(
        z_dim=spec.z_dim,
        width=spec.g_width,
        resolution=spec.resolution,
        channels=spec.channels,
        n_classes=spec.n_classes,
    )
    return G.to(memory_format=torch.channels_last)


def build_discriminator(spec: ModelSpec, *, spectral_norm: bool = False) -> nn.Module:
    _, make_D = MODELS[spec.model]
    D = make_D(width=spec.d_width, resolution=spec.resolution, channels=spec.channels, n_classes=spec.n_classes)
    D = D.to(memory_format=torch.channels_last)
    return spectral.normalize(D) if spectral_norm else D


def build(spec: ModelSpec, seed: int, *, spectral_norm: bool = False) -> tuple[nn.Module, nn.Module]:
    """A fresh G and D whose weights depend on the seed alone; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build_generator(spec), build_discriminator(spec, spectral_norm=spectral_norm)
