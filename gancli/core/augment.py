"""Differentiable augmentations applied to what D sees, real and fake alike; pure."""

import torch
import torch.nn.functional as F
from torch import Tensor


def shift(images: Tensor, offsets: Tensor, limit: int) -> Tensor:
    """Move each picture by its own offset, filling with -1 (black).

    images [N,C,H,W] in [-1, 1]; offsets int64 [N, 2], rows and columns, each within [-limit, limit].
    Translation after DiffAugment (Zhao et al. 2020), by whole pixels; twice differentiable.
    """
    if limit == 0:
        return images
    n, c, h, w = images.shape
    padded = F.pad(images, (limit, limit, limit, limit), value=-1.0)
    rows = (torch.arange(h, device=images.device) + limit - offsets[:, :1]).view(n, 1, h, 1)
    columns = (torch.arange(w, device=images.device) + limit - offsets[:, 1:]).view(n, 1, 1, w)
    batch = torch.arange(n, device=images.device).view(n, 1, 1, 1)
    channel = torch.arange(c, device=images.device).view(1, c, 1, 1)
    return padded[batch, channel, rows, columns]
