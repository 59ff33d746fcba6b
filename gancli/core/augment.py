"""Differentiable augmentations applied to what D sees, real and fake alike; pure."""

import torch
import torch.nn.functional as F
from torch import Tensor


def shift(images: Tensor, offsets: Tensor, limit: int) -> Tensor:
    """Move each picture by its own offset, filling with -1 (black).

    images [N,C,H,W] in [-1, 1]; offsets int64 [N, 2], rows and columns, each within [-limit, limit].
    Translation after DiffAugment (Zhao et al. 2020), by whole pixels; twice differentiable.
    """
    n, c, h, w = images.shape
    rows, columns = torch.arange(h, device=images.device), torch.arange(w, device=images.device)
    from_rows = (rows + limit - offsets[:, :1]).view(n, 1, h, 1).expand(n, c, h, w + 2 * limit)
    from_columns = (columns + limit - offsets[:, 1:]).view(n, 1, 1, w).expand(n, c, h, w)
    padded = F.pad(images, (limit, limit, limit, limit), value=-1.0)
    return padded.gather(2, from_rows).gather(3, from_columns)


def mirror(images: Tensor, chosen: Tensor) -> Tensor:
    """Flip those pictures of [N,C,H,W] left to right where chosen, bool [N], says so."""
    return torch.where(chosen.view(-1, 1, 1, 1), images.flip(3), images)
