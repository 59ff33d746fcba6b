"""Squared Euclidean distances between two sets, one block of rows at a time, so memory does not grow with n^2."""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK_ELEMENTS = 1 << 22  # 32 MiB of float64; smaller blocks slow down the matrix products


def row_blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Split the rows into slices; a block has at most BLOCK_ELEMENTS elements, or is one row."""
    step = max(1, BLOCK_ELEMENTS // n_columns)
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def squared_distances(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield blocks (rows, |a_i - b_j|^2 [rows, M]), never below zero; a [N,F], b [M,F]."""
    b_norms = b.square().sum(dim=1)
    for rows in row_blocks(len(a), len(b)):
        block = torch.addmm(b_norms, a[rows], b.T, alpha=-2)
        yield rows, block.add_(a[rows].square().sum(dim=1, keepdim=True)).clamp_(min=0)


def nearest_neighbour(queries: Tensor, references: Tensor, selves: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Find the nearest of `references` [M,F] for each of `queries` [N,F]: its distance (float64 [N]) and index (int64).

    selves int64 [N]: for each query, the index of a reference to skip, usually the query itself. The search runs in
    float32, which takes less than half the time of float64. The returned distance is the norm of the difference in
    float64, so that it is exactly 0 for a copy.
    """
    centre = references.mean(dim=0)
    near, far = (queries - centre).float(), (references - centre).float()
    far_norms = far.square().sum(dim=1)
    indices = torch.empty(len(queries), dtype=torch.int64)
    for rows in row_blocks(len(queries), len(references)):
        order = torch.addmm(far_norms, near[rows], far.T, alpha=-2)  # |a - b|^2 without |a|^2
        if selves is not None:
            order.scatter_(1, selves[rows, None], torch.inf)
        indices[rows] = order.argmin(dim=1)
    return (queries - references[indices]).norm(dim=1), indices
