"""Compare tensors of two devices or precisions: pure functions."""

from collections.abc import Mapping

import torch
from torch import Tensor

SMALL = 1e-2  # a tensor's difference is relative to its own norm, but at least to this share of the largest norm

Tensors = Mapping[str, Tensor]


def largest_difference(found: Tensors, reference: Tensors) -> tuple[float, str]:
    """Return the largest relative difference between tensors of the same name, and the name.

    The difference of a tensor is the norm of the difference over the norm of the reference. Gradients that are almost 0
    consist of rounding errors alone, so the divisor is at least SMALL times the largest norm of all references. NaN if
    a value is not finite. Raises ValueError if the names or shapes differ.
    """
    if found.keys() != reference.keys() or not found:
        raise ValueError(f"expected the same tensors, got {sorted(found.keys() ^ reference.keys())}")
    norms = {name: norm(tensor) for name, tensor in reference.items()}
    floor = SMALL * max(norms.values())
    differences = dict[str, float]()
    for name, tensor in found.items():
        if tensor.shape != reference[name].shape:
            raise ValueError(f"{name}: expected {tuple(reference[name].shape)}, got {tuple(tensor.shape)}")
        off = norm(to_double(tensor) - to_double(reference[name]))
        differences[name] = off / max(norms[name], floor) if off else 0.0
    worst = max(differences, key=lambda name: (differences[name] != differences[name], differences[name]))
    return differences[worst], worst


def are_equal(found: Tensors, reference: Tensors) -> bool:
    """Whether all tensors are equal bit for bit, except that 0 equals -0."""
    return found.keys() == reference.keys() and all(
        torch.equal(tensor.cpu(), reference[name].cpu()) for name, tensor in found.items()
    )


def to_double(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().double()


def norm(tensor: Tensor) -> float:
    return float(to_double(tensor).norm())
