"""Latents and classes from seeds, and interpolation between latents; pure functions."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gancli.core import rng
from gancli.errors import ContractError

GOLDEN_MILLIONTHS = 618_034  # an integer, so that seeds of any size are exact
NEARLY_PARALLEL = 1e-6  # below this sine of their angle, two latents do not define a plane


def latents_from_seeds(seeds: Sequence[int], z_dim: int) -> Tensor:
    """Draw one latent per seed, each with its own generator -> [n, z_dim], N(0, 1)."""
    z, generator = torch.empty(len(seeds), z_dim), torch.Generator()
    for row, seed in zip(z, seeds, strict=True):
        row.normal_(generator=generator.manual_seed(rng.generator_seed(seed, "latent")))
    return z


def truncate_latents(z: Tensor, psi: float) -> Tensor:
    """Scale latents towards the centre of N(0, 1): z -> psi z. psi = 1 changes nothing, 0 makes all latents equal.

    A smaller psi gives more typical images with less variety. StyleGAN truncates towards the mean of its mapping
    network; our generators have none, so z itself is scaled.
    """
    return z if psi == 1 else z * psi


def classes_from_seeds(seeds: Sequence[int], class_counts: Sequence[int]) -> Tensor:
    """Choose one class per seed -> int64 [n], such that consecutive seeds follow the frequencies of the counts.

    Seed s takes the class at the point frac((s + 1/2) x 0.618034) of the cumulative frequencies
    (a golden-ratio additive recurrence, a very even low-discrepancy sequence).
    """
    counts = torch.tensor(class_counts, dtype=torch.float64)
    edges = counts.cumsum(0) / counts.sum()
    millionths = [(2 * seed + 1) * (GOLDEN_MILLIONTHS // 2) % 1_000_000 for seed in seeds]
    points = torch.tensor(millionths, dtype=torch.float64) / 1e6
    return torch.searchsorted(edges, points, right=True).clamp(max=len(class_counts) - 1)


def lerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Return the point t on the straight line from a (t = 0) to b (t = 1). Both ends are exact.

    If a equals b, the result equals them, too.
    """
    if t in (0, 1):
        return (b if t else a).clone()
    return a + t * (b - a)


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Return the point t on the great circle from a (t = 0) to b (t = 1), both ends exact.

    The length changes linearly. a, b: [..., z_dim], nonzero rows; nearly parallel ones fall back to lerp. Between
    latents of N(0, 1), whose lengths are all about sqrt(z_dim), a straight line would pass through much shorter ones.
    Raises ContractError for opposite rows, which many great circles join. Source: Shoemake 1985; for latents, White
    2016.
    """
    omega = angle_between(a, b)
    parallel = omega.sin() < NEARLY_PARALLEL
    if bool((parallel & (omega > 1)).any()):
        raise ContractError("these latents are opposite, so no unique great circle joins them")
    if t in (0, 1):
        return (b if t else a).clone()
    u, v = unit_vectors(a), unit_vectors(b)
    direction = (((1 - t) * omega).sin() * u + (t * omega).sin() * v) / omega.sin()
    return torch.where(parallel, lerp(a, b, t), (direction * lerp(vector_norms(a), vector_norms(b), t)).to(a.dtype))


def circle_path(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Return the point t on the whole great circle through a (t = 0, 1, ...) and b (t = arc_fraction(a, b)).

    The pace is even. a, b: [..., z_dim], both reached exactly. The length changes smoothly from a's to b's and back
    (`circle_weight`). Raises ContractError for rows of equal or opposite directions, which do not define a great
    circle.
    """
    omega = angle_between(a, b)
    if bool((omega.sin() < NEARLY_PARALLEL).any()):
        raise ContractError("these latents have equal or opposite directions, so they do not define a circle")
    t = t % 1
    if t == 0:
        return a.clone()
    u, v = unit_vectors(a), unit_vectors(b)
    across = (v - omega.cos() * u) / omega.sin()
    direction = math.cos(math.tau * t) * u + math.sin(math.tau * t) * across
    share = circle_weight(arc_fraction(a, b), t)
    point = direction * (vector_norms(a) + share * (vector_norms(b) - vector_norms(a)))
    return torch.where(arc_fraction(a, b) == t, b, point.to(a.dtype))


def arc_fraction(a: Tensor, b: Tensor) -> Tensor:
    """Return the short arc from a to b as a fraction of the circle: [..., z_dim] -> float64 [..., 1] in [0, 1/2]."""
    return angle_between(a, b) / math.tau


def circle_weight(turn: Tensor, t: float) -> Tensor:
    """Return the weight of b at the point t in [0, 1] of a circle: 0 at a (t = 0, 1), 1 at b (t = turn), smooth."""
    passed = torch.where(t <= turn, t / turn, (1 - t) / (1 - turn))
    return (1 - (math.pi * passed).cos()) / 2


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Return the angle between rows, [..., z_dim] -> float64 [..., 1] in [0, pi]; exact near 0 and pi (Kahan 2006)."""
    u, v = unit_vectors(a), unit_vectors(b)
    return 2 * torch.atan2(vector_norms(u - v), vector_norms(u + v))


def unit_vectors(z: Tensor) -> Tensor:
    return F.normalize(z.double(), dim=-1)


def vector_norms(z: Tensor) -> Tensor:
    return z.double().square().sum(dim=-1, keepdim=True).sqrt()
