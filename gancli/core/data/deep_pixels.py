"""Convert 16-bit pixels to 8 bits. Pillow decodes only one byte of most 16-bit values, so each byte is an image."""

import numpy as np
from PIL import Image


def count_bits(high: Image.Image) -> int:
    """Return the number of bits, 8 to 16, that the colours use; high: L, LA, RGB or RGBA, their high bytes."""
    bands = high.getextrema()
    highest = [top for _, top in (bands if isinstance(bands[0], tuple) else (bands,))]
    colours = highest[:-1] if "A" in high.mode else highest
    return 8 + max(int(top).bit_length() for top in colours)


def scale_to_8_bits(high: Image.Image, low: Image.Image, bits: int) -> Image.Image:
    """Scale values of `bits` bits to 8 bits; larger values become 255. Alpha keeps its high byte.

    high, low: the bytes of the same pixels, in one mode.
    """
    values = np.asarray(high).astype(np.uint16) << 8 | np.asarray(low)
    scaled = np.minimum(values >> (bits - 8), 255).astype(np.uint8)
    if "A" in high.mode:
        scaled[..., -1] = np.asarray(high)[..., -1]
    return Image.fromarray(scaled)
