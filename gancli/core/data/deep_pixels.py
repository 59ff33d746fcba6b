"""Convert 16-bit pixels to 8 bits. Pillow decodes only one byte of most 16-bit values, so each byte is an image."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

FEWEST_BITS, MOST_BITS = 8, 16


@dataclass
class DeepImage:
    """A picture with 16 bits per channel. high: the high bytes, L, LA, RGB or RGBA. load_low: loads the low bytes.

    finish: changes the picture after its conversion to 8 bits, such as turning it upright.
    """

    high: Image.Image
    load_low: Callable[[], Image.Image]
    finish: Callable[[Image.Image], Image.Image]

    @functools.cached_property
    def low(self) -> Image.Image:
        return self.load_low()

    def to_8_bits(self, bits: int) -> Image.Image:
        """Scale values of `bits` bits to 8 bits; 16 takes the high bytes. Raises DataError."""
        return self.finish(self.high if bits == MOST_BITS else scale_to_8_bits(self.high, self.low, bits))


def count_bits(high: Image.Image) -> int:
    """Return the number of bits, 8 to 16, that the colours use; high: L, LA, RGB or RGBA, their high bytes."""
    bands = high.getextrema()
    highest = [top for _, top in (bands if isinstance(bands[0], tuple) else (bands,))]
    colours = highest[:-1] if "A" in high.mode else highest
    return FEWEST_BITS + max(int(top).bit_length() for top in colours)


def scale_to_8_bits(high: Image.Image, low: Image.Image, bits: int) -> Image.Image:
    """Scale values of `bits` bits to 8 bits; larger values become 255. Alpha keeps its high byte.

    high, low: the bytes of the same pixels, in one mode.
    """
    values = np.asarray(high).astype(np.uint16) << 8 | np.asarray(low)
    scaled = np.minimum(values >> (bits - FEWEST_BITS), 255).astype(np.uint8)
    if "A" in high.mode:
        scaled[..., -1] = np.asarray(high)[..., -1]
    return Image.fromarray(scaled)
