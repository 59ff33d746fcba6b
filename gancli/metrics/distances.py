"""Squared Euclidean distances between two sets, a block of rows at a time, so that memory does not grow with n^2."""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK_ELEMENTS = 1 << 20  # 8 MiB of float64


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


def nearest(queries: Tensor, references: Tensor, selves: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Distance to the nearest of `references` [M,F] and its index, for each of `queries` [N,F] -> float64, int64 [N].

    selves int64 [N]: for each query the one reference to leave out, usually the query itself.
    """
    distances = queries.new_empty(len(queries))
    indices = torch.empty(len(queries), dtype=torch.int64)
    for rows, squared in squared_distances(queries, references):
        if selves is not None:
            squared.scatter_(1, selves[rows, None], torch.inf)
        minimum = squared.min(dim=1)
        distances[rows], indices[rows] = minimum.values.sqrt(), minimum.indices
    return distances, indices
