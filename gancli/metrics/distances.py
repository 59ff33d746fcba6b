"""Squared Euclidean distances between two sets, a block of rows at a time, so that memory does not grow with n^2."""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK_ELEMENTS = 1 << 22  # 32 MiB of float64; fewer rows at a time slow down the products


def row_blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Consecutive rows, as many at a time as keep a block within BLOCK_ELEMENTS."""
    step = max(1, BLOCK_ELEMENTS // n_columns)
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def squared_distances(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """a [N,F], b [M,F] -> blocks (rows, |a_i - b_j|^2 [rows, M]), never below zero."""
    b_norms = b.square().sum(dim=1)
    for rows in row_blocks(len(a), len(b)):
        block = torch.addmm(b_norms, a[rows], b.T, alpha=-2)
        yield rows, block.add_(a[rows].square().sum(dim=1, keepdim=True)).clamp_(min=0)


def nearest_neighbour(queries: Tensor, references: Tensor, selves: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Distance to the nearest of `references` [M,F] and its index, for each of `queries` [N,F] -> float64, int64 [N].

    selves int64 [N]: for each query the one reference to leave out, usually the query itself. The search runs in
    float32, at less than half the time; distances are exact, so that of a copy is 0.
    """
    centre = references.mean(dim=0)
    near, far = (queries - centre).float(), (references - centre).float()
    far_norms = far.square().sum(dim=1)
    indices = torch.empty(len(queries), dtype=torch.int64)
    for rows in row_blocks(len(queries), len(references)):
        order = torch.addmm(far_norms, near[rows], far.T, alpha=-2)  # |a - b|^2 but for |a|^2
        if selves is not None:
            order.scatter_(1, selves[rows, None], torch.inf)
        indices[rows] = order.argmin(dim=1)
    return (queries - references[indices]).norm(dim=1), indices
