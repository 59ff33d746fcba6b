"""Residual G and D after R3GAN (Huang et al. 2024, 2501.05441): no normalisation, no tanh, fix-up initialisation.

Widths range from small ones for laptops to the published ones. The side of the maps is halved, rounded up, until it is
at most 7: 32 -> 16, 8, 4 as published; 28 -> 14, 7; 48 -> 24, 12, 6.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gancli.core.networks.embedding import ClassEmbedding

LARGEST_BASE = 7
PUBLISHED_WIDTH = 256  # from this width on, depth and widths follow the published configurations
EXPANSION = 2
GROUP_CHANNELS = 16
LEAKY_SLOPE = 0.2


def stage_sides(resolution: int) -> list[int]:
    """Return the sides of the maps, the largest first."""
    found = [resolution]
    while found[-1] > LARGEST_BASE:
        found.append(-(-found[-1] // 2))
    return found


def stage_widths(width: int, resolution: int) -> list[int]:
    """Return the channels of each stage, starting at the resolution of the image.

    Published widths: `width` up to 32 px, half of it up to 64 px, and so on, but at least an eighth; at 64 and 256 px
    this is as published. Laptop widths have the full `width` only up to 8 px, because the largest maps take most of the
    time: width 64 at 28 px gives 16, 32, 64.
    """
    full_side = 32 if width >= PUBLISHED_WIDTH else 8
    halvings = [max(0, math.ceil(math.log2(side / full_side))) for side in stage_sides(resolution)]
    return [max(width >> min(n, 3), 4) for n in halvings]


def blocks_per_stage(width: int) -> int:
    """Return 2, as published, or 1 for laptop widths."""
    return 2 if width >= PUBLISHED_WIDTH else 1


def init_weights(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> None:
    """Draw weights from N(0, gain^2 / fan-in), and set biases to 0."""
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def conv_layer(
    inputs: int, outputs: int, kernel: int, *, groups: int = 1, gain: float = 1.0, bias: bool = False
) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=bias)
    init_weights(layer, gain)
    return layer


def linear_layer(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=False)
    init_weights(layer)
    return layer


class ResidualBlock(nn.Module):
    """Adds a branch to x [N,C,H,W]: 1x1, grouped 3x3 and 1x1 convolutions, twice as wide inside.

    n_blocks: number of blocks in the whole network. The last layer of the branch starts at 0, the first two start with
    He's gain times n_blocks^(-1/4), after Fixup (Zhang et al. 2019, 1901.09321) with m = 3 layers.
    """

    def __init__(self, width: int, n_blocks: int) -> None:
        super().__init__()
        inside = EXPANSION * width
        gain = math.sqrt(2 / (1 + LEAKY_SLOPE**2)) * n_blocks**-0.25
        groups = inside // math.gcd(inside, GROUP_CHANNELS)
        self.widen = conv_layer(width, inside, 1, gain=gain, bias=True)
        self.spread = conv_layer(inside, inside, 3, groups=groups, gain=gain, bias=True)
        self.narrow = conv_layer(inside, width, 1, gain=0.0)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.widen(x), LEAKY_SLOPE)
        y = F.leaky_relu(self.spread(y), LEAKY_SLOPE)
        out: Tensor = x + self.narrow(y)
        return out


def binomial_blur(x: Tensor) -> Tensor:
    """Return a blur kernel for each channel of x: the outer product of [1, 3, 3, 1] with itself, scaled to sum 1.

    [1, 3, 3, 1] is [1, 2, 1] convolved with [1, 1]. It is made on the device of x: a copy from the host would wait for
    the device.
    """
    line = F.pad(x.new_full((2,), 3 / 8), (1, 1), value=1 / 8)
    return torch.outer(line, line).expand(x.shape[1], 1, 4, 4)


def downsample_maps(x: Tensor) -> Tensor:
    """Downsample maps [N,C,H,W] to half the side, rounded up, with zero padding."""
    x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
    return F.conv2d(x, binomial_blur(x), stride=2, padding=1, groups=x.shape[1])


def upsample_maps(x: Tensor, side: int) -> Tensor:
    """Upsample maps to `side`, which is twice the side of x or one less, with zero padding."""
    doubled = F.conv_transpose2d(x, 4 * binomial_blur(x), stride=2, padding=1, groups=x.shape[1])
    return doubled[:, :, :side, :side]


def width_change_layer(inputs: int, outputs: int) -> nn.Module:
    """Return a 1x1 convolution if the width changes, else an identity."""
    return conv_layer(inputs, outputs, 1) if inputs != outputs else nn.Identity()


class Generator(nn.Module):
    """z [N, z_dim] (and labels [N]) -> images [N,C,R,R], meant for [-1, 1] but not bounded.

    It starts from a learned basis, each channel scaled by a linear map of z and class. Stages of blocks follow.
    """

    def __init__(self, *, z_dim: int, width: int, resolution: int, channels: int, n_classes: int) -> None:
        super().__init__()
        base, *self.sides = reversed(stage_sides(resolution))
        stages = stage_widths(width, resolution)[::-1]
        each = blocks_per_stage(width)
        self.embed = ClassEmbedding(n_classes, z_dim, std=n_classes**-0.5) if n_classes else None
        self.basis = nn.Parameter(torch.randn(stages[0], base, base))
        self.scale = linear_layer(z_dim * (2 if n_classes else 1), stages[0])
        self.changes = nn.ModuleList(width_change_layer(a, b) for a, b in itertools.pairwise(stages))
        self.stages = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(stage, each * len(stages)) for _ in range(each))) for stage in stages
        )
        self.out = conv_layer(stages[-1], channels, 1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.embed is not None:
            z = torch.cat([z, self.embed(labels)], dim=1)
        x = (self.basis * self.scale(z)[:, :, None, None]).contiguous(memory_format=torch.channels_last)
        x = self.stages[0](x)
        for side, widen, stage in zip(self.sides, self.changes, self.stages[1:], strict=True):
            x = stage(upsample_maps(widen(x), side))
        images: Tensor = self.out(x)
        return images


class Discriminator(nn.Module):
    """images [N,C,R,R] (and labels [N]) -> logits [N]. It has the stages of G in reverse order.

    A conditional logit is the inner product of the class embedding and the features; no part is shared by all classes.
    """

    def __init__(self, *, width: int, resolution: int, channels: int, n_classes: int) -> None:
        super().__init__()
        stages, base = stage_widths(width, resolution), stage_sides(resolution)[-1]
        each = blocks_per_stage(width)
        self.read = conv_layer(channels, stages[0], 1)
        self.stages = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(stage, each * len(stages)) for _ in range(each))) for stage in stages
        )
        self.changes = nn.ModuleList(width_change_layer(a, b) for a, b in itertools.pairwise(stages))
        self.basis = nn.Conv2d(width, width, base, groups=width, bias=False)
        init_weights(self.basis)
        self.out = linear_layer(width, width if n_classes else 1)
        self.embed = ClassEmbedding(n_classes, width, std=(n_classes * width) ** -0.5) if n_classes else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.stages[0](self.read(images.contiguous(memory_format=torch.channels_last)))
        for change, stage in zip(self.changes, self.stages[1:], strict=True):
            x = stage(change(downsample_maps(x)))
        features: Tensor = self.out(self.basis(x).flatten(1))
        return features.squeeze(1) if self.embed is None else (features * self.embed(labels)).sum(dim=1)
