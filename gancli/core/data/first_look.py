"""Measure pictures while they are decoded: the bits that 16-bit files use, and backgrounds that hide transparent ink.

`ImageHeader` carries both facts. They are added up over the whole set, and `transform.choose_transform` derives the
scale and the background from them. Needs no torch.
"""

from collections import Counter

import numpy as np
from PIL import Image

from gancli.config import COLOURS, parse_colour
from gancli.core.data.decode import ImageHeader

Colour = tuple[int, int, int]

BLACK: Colour = (0, 0, 0)
BACKGROUNDS: dict[str, Colour] = {name: parse_colour(name) for name in ("black", "white", "grey")}  # in this order
MOST_HIDDEN = 0.25  # share of the transparent pictures that black may hide before another background is chosen
LEAST_CONTRAST = 64  # levels of 256; below it, a background hides the ink
MOST_SAMPLES = 128  # pixels per side that are looked at
FEWEST_BITS, MOST_BITS = 8, 16


def find_hiding_backgrounds(image: Image.Image, scale: float = 1.0) -> tuple[str, ...] | None:
    """Return the names of BACKGROUNDS that hide a picture's ink; None if it has no transparent place or no ink.

    image: LA or RGBA. scale: multiplies its colours. A background hides the ink if the root mean square of the
    difference, weighted by alpha, is below LEAST_CONTRAST. Dark photos with clear corners are therefore not hidden.
    """
    if image.getchannel("A").getextrema()[0] == 255:
        return None
    step_x, step_y = -(-image.width // MOST_SAMPLES), -(-image.height // MOST_SAMPLES)
    pixels = np.asarray(image)[::step_y, ::step_x].astype(np.float64)
    alpha, ink = pixels[..., -1:], np.minimum(pixels[..., :-1] * scale, 255)
    if not alpha.any():
        return None
    weights = alpha / alpha.sum()
    contrasts = {name: ((ink - colour[: ink.shape[2]]) ** 2 * weights).sum() for name, colour in BACKGROUNDS.items()}
    return tuple(name for name, square in contrasts.items() if square < ink.shape[2] * LEAST_CONTRAST**2)


def choose_background(headers: Counter[ImageHeader]) -> Colour:
    """Choose black, unless it hides the ink of more than a quarter of the pictures with transparent places.

    Then choose the colour of black, white and grey that hides the fewest pictures: white for black ink, and grey for
    black ink in some pictures and white in others.
    """
    n_hidden = count_hidden(headers)
    n = sum(n for header, n in headers.items() if header.hidden_on is not None)
    if n_hidden["black"] <= MOST_HIDDEN * n:
        return BLACK
    return BACKGROUNDS[min(BACKGROUNDS, key=lambda name: n_hidden[name])]


def count_hidden(headers: Counter[ImageHeader]) -> Counter[str]:
    """Count the pictures that each background hides."""
    n_hidden: Counter[str] = Counter()
    for header, n in headers.items():
        n_hidden.update(dict.fromkeys(header.hidden_on or (), n))
    return n_hidden


def choose_bits(headers: Counter[ImageHeader]) -> int:
    """Return the smallest number of bits, 8 to 16, that holds every value of the 16-bit pictures; 16 without any."""
    return max((header.bits for header in headers), default=0) or MOST_BITS


def colour_name(colour: Colour) -> str:
    """Return 'white' or '#ffaa00'."""
    code = "#{:02x}{:02x}{:02x}".format(*colour)
    return next((name for name, known in COLOURS.items() if known == code), code)
