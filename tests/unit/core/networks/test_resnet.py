"""The residual networks compared with the published R3GAN, and their sizes."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gancli.config import ModelSpec
from gancli.core.networks.build import build_discriminator, build_generator
from gancli.core.networks.resnet import (
    Discriminator,
    Generator,
    ResidualBlock,
    binomial_blur,
    downsample_maps,
    stage_sides,
    stage_widths,
    upsample_maps,
)


def test_maps_are_halved_rounding_up_down_to_4_to_7_pixels() -> None:
    assert stage_sides(32) == [32, 16, 8, 4] and stage_sides(256) == [256, 128, 64, 32, 16, 8, 4]
    assert (
        stage_sides(28) == [28, 14, 7]
        and stage_sides(48) == [48, 24, 12, 6]
        and stage_sides(100) == [100, 50, 25, 13, 7]
    )
    assert {stage_sides(size)[-1] for size in range(8, 257, 4)} == {4, 5, 6, 7}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_blur_kernel_is_exact_in_every_type(dtype: torch.dtype) -> None:
    kernel = binomial_blur(torch.zeros(1, 2, 4, 4, dtype=dtype))
    rows = torch.tensor([[1, 3, 3, 1], [3, 9, 9, 3], [3, 9, 9, 3], [1, 3, 3, 1]]) / 64
    assert kernel.dtype == dtype and torch.equal(kernel.float(), rows.expand(2, 1, 4, 4))


def test_widths_are_the_published_ones_and_small_networks_narrow_earlier() -> None:
    assert stage_widths(768, 32) == [768] * 4
    assert stage_widths(768, 64) == [384, 768, 768, 768, 768]
    assert stage_widths(768, 256) == [96, 192, 384, 768, 768, 768, 768]
    assert stage_widths(64, 28) == [16, 32, 64] and stage_widths(64, 64) == [8, 16, 32, 64, 64]
    assert stage_widths(64, 256) == [8, 8, 8, 16, 32, 64, 64] and stage_widths(4, 256) == [4] * 7


@pytest.mark.parametrize("n_classes", [0, 10])
def test_weights_of_the_published_size_for_cifar_10_counted_by_hand(n_classes: int) -> None:
    """Per block 2 x 768 x 1536 (1x1) + 1536 x 16 x 9 (3x3 in groups of 16) + 2 x 1536 biases; 4 stages of 2.

    As published it has 10 classes.
    """
    blocks = 8 * (2 * 768 * 1536 + 1536 * 16 * 9 + 2 * 1536)
    ends = 768 * 4 * 4 + 768 * 3  # the basis, and 1x1 to or from RGB
    spec = ModelSpec(model="resnet", z_dim=64, g_width=768, d_width=768, resolution=32, channels=3, n_classes=n_classes)
    with torch.device("meta"):
        G, D = build_generator(spec), build_discriminator(spec)
    sizes = [sum(p.numel() for p in network.parameters()) for network in (G, D)]
    if n_classes:
        assert sizes == [blocks + ends + 2 * 64 * 768 + 10 * 64, blocks + ends + 768 * 768 + 10 * 768]
        assert sizes == [20_781_952, 21_280_512]
    else:
        assert sizes == [blocks + ends + 64 * 768, blocks + ends + 768]


def test_kernels_by_hand_with_zeros_beyond_the_edge() -> None:
    """[1, 3, 3, 1] / 8 in each direction to halve, twice that to double."""
    line = torch.tensor([8.0, 16, 24, 32])
    x = torch.outer(line, line)[None, None]
    halved = torch.tensor([(3 * 8 + 3 * 16 + 24) / 8, (16 + 3 * 24 + 3 * 32) / 8])
    assert torch.equal(downsample_maps(x)[0, 0], torch.outer(halved, halved))
    doubled = torch.tensor([6.0, 6 + 4, 2 + 12, 12 + 6, 4 + 18, 18 + 8, 6 + 24, 24])
    assert torch.equal(upsample_maps(x, 8)[0, 0], torch.outer(doubled, doubled))
    assert torch.equal(upsample_maps(x, 7), upsample_maps(x, 8)[:, :, :7, :7])


def test_odd_sides_are_halved_rounding_up_with_a_row_and_column_of_zeros() -> None:
    x = torch.arange(50.0).sin().view(1, 2, 5, 5)
    assert torch.equal(downsample_maps(x), downsample_maps(F.pad(x, (0, 1, 0, 1)))) and downsample_maps(x).shape == (
        1,
        2,
        3,
        3,
    )


def test_every_size_from_8_to_256_px_works_in_g_and_d() -> None:
    visited = 0
    for size in range(8, 257, 4):
        channels = 1 if size % 8 else 3
        G = Generator(z_dim=3, width=4, resolution=size, channels=channels, n_classes=0)
        D = Discriminator(width=4, resolution=size, channels=channels, n_classes=0)
        images = G(torch.ones(2, 3))
        assert images.shape == (2, channels, size, size) and D(images).shape == (2,)
        visited += 1
    assert visited == 63


@pytest.mark.parametrize("size", [20, 52, 100])
def test_every_pixel_of_odd_sides_is_used(size: int) -> None:
    assert any(side % 2 for side in stage_sides(size)[:-1]) or stage_sides(size)[-1] % 2
    G = Generator(z_dim=3, width=4, resolution=size, channels=1, n_classes=0)
    D = Discriminator(width=4, resolution=size, channels=1, n_classes=0)
    images = G(torch.ones(1, 3)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(D(images).sum(), images)
    assert (gradient != 0).all() and (images != 0).all()


@pytest.mark.parametrize("n_classes", [1, 10, 1000])
def test_classes_up_to_a_thousand(n_classes: int) -> None:
    G = Generator(z_dim=3, width=8, resolution=16, channels=3, n_classes=n_classes)
    D = Discriminator(width=8, resolution=16, channels=3, n_classes=n_classes)
    labels = torch.tensor([0, n_classes - 1])
    assert D(G(torch.ones(2, 3), labels), labels).shape == (2,)


def test_blocks_start_as_the_identity_and_by_the_rule_of_fixup() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(128, n_blocks=8)
    x = torch.arange(128.0 * 9).sin().view(1, 128, 3, 3)
    assert torch.equal(block(x), x)
    he = math.sqrt(2 / 1.04)
    for layer, fan_in in ((block.widen, 128), (block.spread, 16 * 9)):
        assert layer.weight.std().item() == pytest.approx(0.595 * he / math.sqrt(fan_in), rel=0.02)
        assert not layer.bias.any()
    assert block.spread.groups == 16 and block.narrow.bias is None


@pytest.mark.parametrize(("width", "groups"), [(768, 96), (64, 8), (24, 3), (4, 1), (12, 3), (7, 7)])
def test_groups_have_16_channels_or_the_largest_power_of_two_that_divides(width: int, groups: int) -> None:
    with torch.device("meta"):
        assert ResidualBlock(width, 1).spread.groups == groups


def test_every_weight_of_g_and_d_starts_with_the_published_spread() -> None:
    """At 64 px and width 256: 5 stages of 2 blocks, of 128 channels at 64 px and 256 below; 100 classes.

    sqrt(1 / fan-in), but N(0, 1) for G's basis, and an embedding's table is a linear map of a one-hot of 100; D's has
    an extra 1 / sqrt(width). In the blocks He's gain times L^(-1/4) with L = 10.
    """
    torch.manual_seed(0)
    sizes = dict(width=256, resolution=64, channels=3, n_classes=100)
    he = math.sqrt(2 / 1.04) * 10**-0.25
    G_ends = {
        "embed.table.weight": 1 / math.sqrt(100),
        "basis": 1.0,
        "scale.weight": 1 / math.sqrt(2 * 32),
        "changes.3.weight": 1 / math.sqrt(256),
        "out.weight": 1 / math.sqrt(128),
    }
    D_ends = {
        "read.weight": 1 / math.sqrt(3),
        "changes.0.weight": 1 / math.sqrt(128),
        "basis.weight": 1 / 4,  # 4 x 4 weights for each channel
        "out.weight": 1 / math.sqrt(256),
        "embed.table.weight": 1 / math.sqrt(100 * 256),
    }
    for network, ends in ((Generator(z_dim=32, **sizes), G_ends), (Discriminator(**sizes), D_ends)):
        blocks = set()
        for name, weight in network.named_parameters():
            if name in ends:
                expected = ends[name]
            elif name.endswith(("bias", "narrow.weight")):
                expected = 0.0
            else:
                fan_in = {"widen": weight.shape[1], "spread": 16 * 9}[name.split(".")[-2]]
                expected = he / math.sqrt(fan_in)
            blocks |= {name} - ends.keys()
            error = 4 * expected / math.sqrt(2 * weight.numel())  # four standard errors
            assert weight.detach().square().mean().sqrt().item() == pytest.approx(expected, abs=error), name
        assert len(blocks) == 5 * 2 * 5 and len(list(network.parameters())) == len(blocks) + len(ends)


def plain_block(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    y = F.leaky_relu(F.conv2d(x, weights[f"{name}.widen.weight"], weights[f"{name}.widen.bias"]), 0.2)
    spread = weights[f"{name}.spread.weight"]
    y = F.conv2d(y, spread, weights[f"{name}.spread.bias"], padding=1, groups=len(spread) // spread.shape[1])
    return x + F.conv2d(F.leaky_relu(y, 0.2), weights[f"{name}.narrow.weight"])


def stirred(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.linspace(0.5, 40, parameter.numel()).cos().view_as(parameter)
    return network.double()


def plain_kernel(channels: int) -> Tensor:
    line = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 8
    return torch.outer(line, line).expand(channels, 1, 4, 4)


def test_networks_are_the_published_ones_written_out() -> None:
    """At 16 px and width 32: stages of 16, 32 and 32 channels at 16, 8 and 4 px, a block each."""
    sizes = dict(width=32, resolution=16, channels=3, n_classes=4)
    G, D = stirred(Generator(z_dim=5, **sizes)), stirred(Discriminator(**sizes))
    z, labels = torch.linspace(-2, 2, 20, dtype=torch.float64).sin().view(4, 5), torch.arange(4)

    g = G.state_dict()
    scale = torch.cat([z, g["embed.table.weight"]], dim=1) @ g["scale.weight"].T
    x = plain_block(g, "stages.0.0", g["basis"] * scale.view(4, 32, 1, 1))
    x = F.conv_transpose2d(x, 4 * plain_kernel(32), stride=2, padding=1, groups=32)
    x = plain_block(g, "stages.1.0", x)
    x = F.conv2d(x, g["changes.1.weight"])
    x = F.conv_transpose2d(x, 4 * plain_kernel(16), stride=2, padding=1, groups=16)
    images = F.conv2d(plain_block(g, "stages.2.0", x), g["out.weight"])
    torch.testing.assert_close(G(z, labels), images, atol=1e-12, rtol=1e-12)

    d = D.state_dict()
    x = plain_block(d, "stages.0.0", F.conv2d(images, d["read.weight"]))
    x = F.conv2d(x, plain_kernel(16), stride=2, padding=1, groups=16)
    x = plain_block(d, "stages.1.0", F.conv2d(x, d["changes.0.weight"]))
    x = plain_block(d, "stages.2.0", F.conv2d(x, plain_kernel(32), stride=2, padding=1, groups=32))
    features = (x * d["basis.weight"].squeeze(1)).sum(dim=(2, 3)) @ d["out.weight"].T
    logits = (features * d["embed.table.weight"]).sum(dim=1)
    torch.testing.assert_close(D(images, labels), logits, atol=1e-12, rtol=1e-12)
