import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gancli.config import ModelSpec
from gancli.core.networks.build import build_networks
from gancli.core.networks.spectral_norm import SpectralNorm, apply_spectral_norm


def matrix(rows: int, columns: int) -> Tensor:
    return torch.linspace(-3, 5, rows * columns, dtype=torch.float64).sin().view(rows, columns)


def norm_of(weight: Tensor) -> SpectralNorm:
    torch.manual_seed(0)
    return SpectralNorm(weight)


def largest(weight: Tensor) -> float:
    return torch.linalg.matrix_norm(weight.flatten(1).detach(), ord=2).item()


def test_one_iteration_matches_the_paper() -> None:
    weight = matrix(4, 6).requires_grad_()
    norm = norm_of(weight)
    norm.u.copy_(F.normalize(torch.arange(1.0, 5.0, dtype=torch.float64), dim=0))
    v = weight.T @ norm.u
    u = weight @ (v / v.norm())
    u = u / u.norm()
    sigma = (weight.T @ u).norm()  # u^T W v with the v that belongs to u
    torch.testing.assert_close(norm(weight), weight / sigma)
    torch.testing.assert_close(norm.u, u.detach())


def test_the_largest_singular_value_becomes_1() -> None:
    weight = matrix(5, 12).view(5, 3, 2, 2).requires_grad_()
    norm = norm_of(weight)
    for _ in range(30):
        found = norm(weight)
    assert largest(weight) != pytest.approx(1, rel=0.1) and largest(found) == pytest.approx(1)


def test_it_starts_close_to_the_largest_singular_value() -> None:
    weight = torch.diag(torch.tensor([1.0, 1.2, 1.5], dtype=torch.float64))
    assert (weight.T @ norm_of(weight).u).norm().item() == pytest.approx(1.5, rel=1e-3)


def test_gradients_are_right_and_so_is_that_of_r1() -> None:
    weight, x = matrix(3, 4).requires_grad_(), matrix(2, 4).requires_grad_()
    norm = norm_of(weight)
    for _ in range(300):  # where u no longer changes, the gradient through sigma is that of the singular value
        norm(weight)

    def layer(weight: Tensor, x: Tensor) -> Tensor:
        return (x @ norm(weight).T).square()

    def r1(weight: Tensor, x: Tensor) -> Tensor:
        (slope,) = torch.autograd.grad(layer(weight, x).sum(), x, create_graph=True)
        return slope.square().sum()

    assert torch.autograd.gradcheck(layer, (weight, x))
    assert torch.autograd.gradcheck(r1, (weight, x))
    assert torch.autograd.gradcheck(lambda w: w / torch.linalg.matrix_norm(w, ord=2) - norm(w), (weight,))


def test_u_changes_once_in_a_d_step_and_nowhere_else() -> None:
    layer = nn.Linear(6, 4)
    nn.init.normal_(layer.weight)
    torch.manual_seed(0)
    D = apply_spectral_norm(layer)
    (norm,) = [module for module in D.modules() if isinstance(module, SpectralNorm)]
    norm.u.copy_(F.normalize(torch.ones(4), dim=0))
    start, x = norm.u.clone(), torch.ones(2, 6)
    with torch.no_grad():
        D(x)
    D.requires_grad_(False)
    D(x.requires_grad_()).sum().backward()
    assert torch.equal(norm.u, start)
    D.requires_grad_(True)
    first, second = D(x), D(x)  # two forwards before the gradients
    assert not torch.equal(norm.u, start)
    (first + second).sum().backward()
    assert layer.parametrizations.weight.original.grad.any()


@pytest.mark.parametrize(("model", "n_layers"), [("mlp", 4), ("conv", 6), ("resnet", 10)])
def test_every_layer_of_d_is_normalised_and_none_of_g(model: str, n_layers: int) -> None:
    """In resnet also the layers that start at 0, which would give 0 / 0. u is saved."""
    spec = ModelSpec(model=model, z_dim=5, g_width=16, d_width=16, resolution=8, channels=1, n_classes=3)
    G, D = build_networks(spec, seed=0, spectral_norm=True)
    assert not any(parametrize.is_parametrized(layer) for layer in G.modules())
    layers = [layer for layer in D.modules() if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding)]
    assert all(parametrize.is_parametrized(layer, "weight") for layer in layers) and len(layers) == n_layers
    assert sum(key.endswith("0.u") for key in D.state_dict()) == n_layers
    labels, images = torch.arange(4) % 3, torch.linspace(-9, 9, 256).sin().view(4, 1, 8, 8)
    for _ in range(60):
        logits = D(images, labels)
    assert logits.isfinite().all()
    assert all(largest(layer.weight) == pytest.approx(1, rel=0.01) for layer in layers)


def test_without_spectral_norm_nothing_changes_for_g_and_d() -> None:
    spec = ModelSpec(model="conv", z_dim=5, g_width=16, d_width=16, resolution=8, channels=1, n_classes=0)
    plain, normalised = build_networks(spec, seed=0), build_networks(spec, seed=0, spectral_norm=True)
    for name, weight in plain[0].state_dict().items():
        assert torch.equal(weight, normalised[0].state_dict()[name])
    assert torch.equal(plain[1].out.weight, normalised[1].out.parametrizations.weight.original)
