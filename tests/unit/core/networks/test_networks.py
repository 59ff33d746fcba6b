"""Properties of every family of networks, at small sizes."""

import itertools
import subprocess
import sys
import typing

import pytest
import torch
from torch import nn

from gancli.config import ModelName, ModelSpec
from gancli.core.networks.build import MODELS, build_discriminator, build_generator, build_networks
from gancli.core.networks.embedding import ClassEmbedding
from gancli.core.training import losses

N = 6
FAMILIES = tuple(typing.get_args(ModelName))


def spec(model: str, *, resolution: int = 8, channels: int = 1, n_classes: int = 3) -> ModelSpec:
    sizes = dict(z_dim=5, g_width=16, d_width=16)
    return ModelSpec(model=model, resolution=resolution, channels=channels, n_classes=n_classes, **sizes)


def inputs(s: ModelSpec) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """z, images and labels by a fixed rule."""
    z = torch.linspace(-2, 2, N * s.z_dim).sin().view(N, s.z_dim)
    images = torch.linspace(-9, 9, N * s.channels * s.resolution**2).sin().view(N, s.channels, s.resolution, -1)
    return z, images, torch.arange(N) % s.n_classes if s.n_classes else None


def stir(network: nn.Module) -> nn.Module:
    """Change every weight a little by a fixed rule, so that no zero hides the effect of another weight."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.linspace(0.5, 40, parameter.numel()).cos().view_as(parameter)
    return network


def test_registry_matches_the_names_in_the_config() -> None:
    assert set(MODELS) == set(FAMILIES)
    assert len(FAMILIES) >= 2


CASES = tuple(itertools.product(FAMILIES, (8, 28, 32, 100), (1, 3), (0, 3)))


@pytest.mark.parametrize(("model", "resolution", "channels", "n_classes"), CASES)
def test_family_builds_and_keeps_shapes_and_range(model: str, resolution: int, channels: int, n_classes: int) -> None:
    s = spec(model, resolution=resolution, channels=channels, n_classes=n_classes)
    z, images, labels = inputs(s)
    G, D = build_networks(s, seed=0)
    fakes = G(z, labels)
    assert fakes.shape == images.shape
    assert fakes.abs().max() <= 1 or model == "resnet", "only resnet may leave the range; pictures of it are clipped"
    assert D(images, labels).shape == D(fakes, labels).shape == (N,)


@pytest.mark.parametrize("n_classes", [0, 3])
@pytest.mark.parametrize("model", FAMILIES)
def test_every_weight_gets_a_gradient(model: str, n_classes: int) -> None:
    s = spec(model, n_classes=n_classes)
    z, images, labels = inputs(s)
    G, D = (stir(network) for network in build_networks(s, seed=0))
    losses.d_logistic(D(images, labels), D(G(z, labels), labels)).sum().backward()
    without = [
        name for network in (G, D) for name, p in network.named_parameters() if p.grad is None or not p.grad.any()
    ]
    assert not without
    assert sum(1 for _ in G.parameters()) >= 4 and sum(1 for _ in D.parameters()) >= 4


@pytest.mark.parametrize("model", FAMILIES)
def test_r1_reaches_the_weights_of_d(model: str) -> None:
    s = spec(model)
    _, images, labels = inputs(s)
    D = stir(build_networks(s, seed=0)[1])
    images.requires_grad_()
    losses.r1_penalty(images, D(images, labels)).sum().backward()
    reached = [name for name, p in D.named_parameters() if p.grad is not None and p.grad.any()]
    assert len([name for name in reached if name.endswith("weight")]) >= 3


@pytest.mark.parametrize("model", FAMILIES)
def test_initial_weights_depend_only_on_the_seed(model: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        return torch.cat([p.flatten() for network in build_networks(spec(model), seed) for p in network.parameters()])

    first = weights(3)
    torch.rand(7)
    assert torch.equal(weights(3), first)
    assert not torch.equal(weights(4), first)


@pytest.mark.parametrize("model", FAMILIES)
def test_building_does_not_touch_the_global_generator(model: str) -> None:
    before = torch.get_rng_state()
    build_networks(spec(model), seed=3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("model", FAMILIES)
def test_class_weights_that_are_one_hot_equal_labels(model: str) -> None:
    s = spec(model)
    z, images, labels = inputs(s)
    G, D = build_networks(s, seed=0)
    one_hot = nn.functional.one_hot(labels, s.n_classes).float()
    torch.testing.assert_close(G(z, one_hot), G(z, labels), atol=1e-6, rtol=0)
    torch.testing.assert_close(D(images, one_hot), D(images, labels), atol=1e-6, rtol=0)


@pytest.mark.parametrize("model", FAMILIES)
def test_labels_matter_to_both_networks(model: str) -> None:
    s = spec(model)
    z, images, labels = inputs(s)
    G, D = build_networks(s, seed=0)
    other = (labels + 1) % s.n_classes
    assert not torch.allclose(G(z, labels), G(z, other), atol=1e-4)
    assert not torch.allclose(D(images, labels), D(images, other), atol=1e-4)


@pytest.mark.parametrize("model", FAMILIES)
def test_each_image_depends_only_on_its_own_latent(model: str) -> None:
    s = spec(model)
    z, _, labels = inputs(s)
    G = build_networks(s, seed=0)[0].eval()
    torch.testing.assert_close(G(z[2:3], labels[2:3]), G(z, labels)[2:3], atol=1e-5, rtol=0)


@pytest.mark.parametrize("model", FAMILIES)
def test_networks_built_separately_have_the_same_weights(model: str) -> None:
    G, D = build_networks(spec(model), seed=0)
    build_generator(spec(model)).load_state_dict(G.state_dict())
    build_discriminator(spec(model)).load_state_dict(D.state_dict())


def test_class_embedding_blends_by_weight() -> None:
    embed = ClassEmbedding(3, 4)
    rows = embed(torch.arange(3))
    torch.testing.assert_close(embed(torch.tensor([[0.5, 0.0, 0.5]])), (rows[:1] + rows[2:]) / 2)


BUILD = """
import sys
from gancli.config import ModelSpec
from gancli.core.networks.build import MODELS, build_discriminator, build_generator, on_meta_device
for model in MODELS:
    spec = ModelSpec(model=model, z_dim=8, g_width=8, d_width=8, resolution=16, channels=1, n_classes=3)
    for spectral_norm in (False, True):
        with on_meta_device():
            nets = build_generator(spec), build_discriminator(spec, spectral_norm=spectral_norm)
        assert all(tensor.is_meta for net in nets for tensor in net.state_dict().values())
print([name for name in sys.modules if name.startswith("torch._dynamo")])
"""


@pytest.mark.slow
def test_building_on_the_meta_device_imports_no_compiler() -> None:
    """For meta tensors, torch draws normal numbers through its compiler, which takes seconds to import."""
    end = subprocess.run([sys.executable, "-c", BUILD], capture_output=True, text=True, check=True)
    assert end.stdout == "[]\n"
