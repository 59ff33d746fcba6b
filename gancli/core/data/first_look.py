"""Measure pictures while they are decoded: the bits that 16-bit files use, and backgrounds that hide transparent ink.

`ImageHeader` carries these facts. They are added up over the whole set, and `transform.choose_transform` derives the
scale and the background from them. Needs no torch.
"""

from collections import Counter

import numpy as np
from PIL import Image

from gancli.config import parse_colour
from gancli.core.data import deep_pixels
from gancli.core.data.decode import ImageHeader, Pixels
from gancli.core.data.deep_pixels import FEWEST_BITS, MOST_BITS, DeepImage

Colour = tuple[int, int, int]

BLACK: Colour = (0, 0, 0)
BACKGROUNDS: dict[str, Colour] = {name: parse_colour(name) for name in ("black", "white", "grey")}  # in this order
MOST_HIDDEN = 0.25  # share of the transparent pictures that a background may hide
LEAST_CONTRAST = 64  # levels of 256; below it, a background hides the ink
MOST_SAMPLES = 128  # pixels per side that are looked at


def find_hiding_backgrounds(image: Image.Image) -> tuple[str, ...] | None:
    """Return the names of BACKGROUNDS that hide a picture's ink; None if it has no transparent place or no ink.

    image: L, LA, RGB or RGBA.
    """
    pixels = choose_transparent_ink(image)
    return None if pixels is None else list_hiding_backgrounds(pixels)


def find_hiding_backgrounds_by_bits(image: DeepImage) -> tuple[tuple[str, ...], ...]:
    """Do this for a 16-bit picture scaled from 8, 9 ... 16 bits; empty if it has no transparent place or no ink.

    The scale is that of the whole set, which is known only when all pictures are measured.
    """
    pixels = choose_transparent_ink(image.high)
    if pixels is None:
        return ()
    high, low = Image.fromarray(pixels), Image.fromarray(choose_pixels(image.low))
    scaled = (deep_pixels.scale_to_8_bits(high, low, bits) for bits in range(FEWEST_BITS, MOST_BITS + 1))
    return tuple(list_hiding_backgrounds(np.asarray(one)) for one in scaled)


def choose_transparent_ink(image: Image.Image) -> Pixels | None:
    """Return `choose_pixels` of a picture with transparent places and ink; None for any other."""
    if "A" not in image.mode or image.getchannel("A").getextrema()[0] == 255:
        return None
    pixels = choose_pixels(image)
    return pixels if pixels[..., -1].any() else None


def choose_pixels(image: Image.Image) -> Pixels:
    """Return up to MOST_SAMPLES x MOST_SAMPLES evenly spaced pixels."""
    step_x, step_y = -(-image.width // MOST_SAMPLES), -(-image.height // MOST_SAMPLES)
    return np.ascontiguousarray(np.asarray(image)[::step_y, ::step_x])


def list_hiding_backgrounds(pixels: Pixels) -> tuple[str, ...]:
    """Return the names of BACKGROUNDS that hide the ink of pixels [H, W, C and alpha], not all of them clear.

    A background hides the ink if the root mean square of the difference, weighted by alpha, is below LEAST_CONTRAST.
    Dark photos with clear corners are therefore not hidden.
    """
    ink, alpha = pixels[..., :-1].astype(np.float64), pixels[..., -1:].astype(np.float64)
    weights = alpha / alpha.sum()
    contrasts = {name: ((ink - colour[: ink.shape[2]]) ** 2 * weights).sum() for name, colour in BACKGROUNDS.items()}
    return tuple(name for name, square in contrasts.items() if square < ink.shape[2] * LEAST_CONTRAST**2)


def hiding_backgrounds(header: ImageHeader, bits: int) -> tuple[str, ...] | None:
    """Return the measured names of a picture; bits: 16-bit pictures are scaled from this many."""
    return header.hidden_by_bits[bits - FEWEST_BITS] if header.hidden_by_bits else header.hidden_on


def is_measured_at_own_scale(header: ImageHeader) -> bool:
    """Whether an older version measured a 16-bit picture as if its largest value were white."""
    return header.bits > 0 and header.hidden_on is not None


def choose_background(headers: Counter[ImageHeader], bits: int) -> Colour:
    """Choose the first of black, white and grey that hides the ink of at most a quarter of the transparent pictures.

    Black ink gets white. If each hides more, such as half black and half white ink, choose the colour that hides the
    fewest. bits: 16-bit pictures are scaled from this many.
    """
    n_hidden = count_hidden(headers, bits)
    n = sum(n for header, n in headers.items() if hiding_backgrounds(header, bits) is not None)
    enough = (name for name in BACKGROUNDS if n_hidden[name] <= MOST_HIDDEN * n)
    return BACKGROUNDS[next(enough, min(BACKGROUNDS, key=lambda name: n_hidden[name]))]


def count_hidden(headers: Counter[ImageHeader], bits: int) -> Counter[str]:
    """Count the pictures that each background hides."""
    n_hidden: Counter[str] = Counter()
    for header, n in headers.items():
        n_hidden.update(dict.fromkeys(hiding_backgrounds(header, bits) or (), n))
    return n_hidden


def choose_bits(headers: Counter[ImageHeader]) -> int:
    """Return the smallest number of bits, 8 to 16, that holds every value of the 16-bit pictures; 16 without any."""
    return max((header.bits for header in headers), default=0) or MOST_BITS
