"""Checks of tensors that several packages need."""

import torch
from torch import Tensor

from gancli.errors import ContractError


def check_images_uint8(images: Tensor) -> None:
    if images.ndim != 4 or images.dtype != torch.uint8:
        raise ContractError(f"expected uint8 [N,C,H,W], got {images.dtype} {tuple(images.shape)}")
