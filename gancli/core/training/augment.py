"""Augmentations of D's input, real and fake alike; pure functions, twice differentiable."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gancli.core import devices
from gancli.core import images as pictures

DRAWS_PER_IMAGE = 3  # uniform numbers that an augmentation may use per image
BORDERS_READ = 1000


def shift_images(images: Tensor, offsets: Tensor, limit: int, fill: Tensor) -> Tensor:
    """Shift each image by its own offset; uncovered edges get the level `fill` [C].

    images [N,C,H,W] in [-1, 1]; offsets int64 [N, 2], rows and columns, each within [-limit, limit].
    Translation after DiffAugment (Zhao et al. 2020), by whole pixels; twice differentiable.
    """
    n, c, h, w = images.shape
    rows, columns = torch.arange(h, device=images.device), torch.arange(w, device=images.device)
    from_rows = (rows + limit - offsets[:, :1]).view(n, 1, h, 1).expand(n, c, h, w + 2 * limit)
    from_columns = (columns + limit - offsets[:, 1:]).view(n, 1, 1, w).expand(n, c, h, w)
    around = (limit, limit, limit, limit)
    frame = F.pad(images.new_zeros(1, 1, h, w), around, value=1.0) * fill.view(1, -1, 1, 1)
    padded = F.pad(images, around) + frame
    return padded.gather(2, from_rows).gather(3, from_columns)


def mirror_images(images: Tensor, chosen: Tensor) -> Tensor:
    """Flip images [N,C,H,W] left to right where chosen, bool [N], is True."""
    return torch.where(chosen.view(-1, 1, 1, 1), images.flip(3), images)


# The functions below are DiffAugment (Zhao et al. 2020, 2006.10738), with the ranges of its code. Each takes images
# [N,C,H,W], draws from U(0, 1) [N, DRAWS_PER_IMAGE], and the background level [C].


def random_color(images: Tensor, draws: Tensor, fill: Tensor) -> Tensor:
    """Add -0.5 to 0.5 to brightness; multiply saturation by 0 to 2 and contrast by 0.5 to 1.5."""
    brightness, saturation, contrast = draws.view(-1, DRAWS_PER_IMAGE, 1, 1, 1).unbind(1)
    x = images + (brightness - 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * (2 * saturation)
    level = x.mean(dim=(1, 2, 3), keepdim=True)
    return level + (x - level) * (contrast + 0.5)


def random_translation(images: Tensor, draws: Tensor, fill: Tensor) -> Tensor:
    """Shift by up to an eighth of the side in each direction; half a pixel is rounded up."""
    limit = int(images.shape[3] / 8 + 0.5)
    offsets = (draws[:, :2] * (2 * limit + 1)).long() - limit
    return shift_images(images, offsets, limit, fill)


def random_cutout(images: Tensor, draws: Tensor, fill: Tensor) -> Tensor:
    """Replace a square of half the side by the background; its centre may be anywhere."""
    side = images.shape[3]
    centres = (draws[:, :2] * (side + 1)).long()
    distance = (torch.arange(side, device=images.device) + 0.5 - centres[:, :, None]).abs()
    rows, columns = (distance < side / 4).unbind(1)
    return torch.where((rows[:, :, None] & columns[:, None, :])[:, None], fill.view(1, -1, 1, 1), images)


def random_flip(images: Tensor, draws: Tensor, fill: Tensor) -> Tensor:
    """Flip left to right with probability 1/2."""
    return mirror_images(images, draws[:, 0] < 0.5)


AUGMENTS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "color": random_color,
    "translation": random_translation,
    "cutout": random_cutout,
    "flip": random_flip,
}


def augment_images(name: str, images: Tensor, strength: float, draws: Tensor, fill: Tensor) -> Tensor:
    """Apply one augmentation to each image with probability `strength`. draws: U(0, 1) [N, DRAWS_PER_IMAGE + 1]."""
    chosen = (draws[:, 0] < strength).view(-1, 1, 1, 1)
    return torch.where(chosen, AUGMENTS[name](images, draws[:, 1:], fill), images)


def augment_for_discriminator(
    images: Tensor,
    shift_chance: float,
    names: Sequence[str],
    strength: float,
    fill: Tensor,
    draws: Callable[[str], torch.Generator],
    row_mask: Tensor | None = None,
) -> Tensor:
    """Augment images for D: shift them with probability `shift_chance`, then apply each of `names`.

    A shift moves an image by -1, 0 or 1 pixels along each axis. draws: returns a CPU generator for "shift" and for each
    name. row_mask: bool [M], True for the rows of these images in a batch of M; None if they are the whole batch.
    Random numbers are always drawn for the whole batch.
    """
    n = len(images) if row_mask is None else len(row_mask)
    rows = slice(None) if row_mask is None else row_mask
    if shift_chance:
        generator = draws("shift")
        chosen = torch.rand(n, 1, generator=generator) < shift_chance
        offsets = torch.randint(-1, 2, (n, 2), generator=generator) * chosen
        images = shift_images(images, devices.move_to_device(offsets[rows], images.device), 1, fill)
    for name in names if strength else ():
        uniform = devices.move_to_device(torch.rand(n, 1 + DRAWS_PER_IMAGE, generator=draws(name))[rows], images.device)
        images = augment_images(name, images, strength, uniform, fill)
    return images


def border_level(images: Tensor) -> Tensor:
    """Return the background level of images uint8 [N,C,H,W]: the median of their border pixels, [C] in [-1, 1].

    -1 for digits on black, 1 for drawings on white, something in between for photographs.
    """
    some = images[:BORDERS_READ]
    edges = torch.cat([some[:, :, 0], some[:, :, -1], some[:, :, :, 0], some[:, :, :, -1]], dim=2)
    return pictures.to_float(edges.transpose(0, 1).flatten(1)).median(dim=1).values
