"""Convert images between uint8 and [-1, 1], and arrange them in grids; pure functions."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gancli.contracts import check_images_uint8


def to_float(images: Tensor) -> Tensor:
    """Convert uint8 -> float32 in [-1, 1]: 0 -> -1, 255 -> 1."""
    return images.to(torch.float32).div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """Convert float in [-1, 1] -> uint8, rounded to nearest; values outside are clipped."""
    return images.float().add(1).mul(127.5).round_().clamp_(0, 255).to(torch.uint8)


def to_hwc(images: Tensor) -> npt.NDArray[np.uint8]:
    """Convert uint8 [N,C,H,W] -> numpy [N,H,W] for one channel, else [N,H,W,C]."""
    check_images_uint8(images)
    array = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array[..., 0] if array.shape[-1] == 1 else array


def make_grid(images: Tensor, columns: int, rows: int = 0) -> npt.NDArray[np.uint8]:
    """Arrange uint8 [N,C,H,W] row by row in one picture, without gaps; unused cells are black.

    rows: at least this many rows.
    """
    pictures = to_hwc(images)
    rows = max(rows, -(-len(pictures) // columns))
    missing = rows * columns - len(pictures)
    pictures = np.concatenate([pictures, np.zeros((missing, *pictures.shape[1:]), np.uint8)])
    height, width = pictures.shape[1:3]
    cells = pictures.reshape(rows, columns, height, width, -1).swapaxes(1, 2)
    picture = cells.reshape(rows * height, columns * width, -1)
    return picture[..., 0] if picture.shape[-1] == 1 else picture
