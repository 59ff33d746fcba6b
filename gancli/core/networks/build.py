"""The registry of network families, and the functions that build networks from a spec."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from gancli.config import ModelSpec
from gancli.core.networks import conv, mlp, resnet
from gancli.core.networks import spectral_norm as spectral

MODELS: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "conv": (conv.Generator, conv.Discriminator),
    "mlp": (mlp.Generator, mlp.Discriminator),
    "resnet": (resnet.Generator, resnet.Discriminator),
}


@contextlib.contextmanager
def on_meta_device() -> Iterator[None]:
    """Build networks without values in this block: they have names, shapes and types, but take no memory or time."""
    with torch.device("meta"), SkipInitialization():
        yield


class SkipInitialization(TorchFunctionMode):
    """Skips the random initialisation of meta tensors, because torch would import its compiler for it (2 seconds)."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in (nn.init.normal_, torch.Tensor.normal_):
            tensor = args[0] if args else (kwargs or {})["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **(kwargs or {}))


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
    return spectral.apply_spectral_norm(D) if spectral_norm else D


def build_networks(spec: ModelSpec, seed: int, *, spectral_norm: bool = False) -> tuple[nn.Module, nn.Module]:
    """Build a new G and D whose weights depend only on the seed; torch's global generator does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build_generator(spec), build_discriminator(spec, spectral_norm=spectral_norm)
