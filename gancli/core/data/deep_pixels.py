"""Convert 16-bit pixels to 8 bits. Pillow decodes only one byte of most 16-bit values, so each byte is an image."""

import numpy as np
from PIL import Image

STRIP_PIXELS = 1 << 18  # converted at a time


def count_bits(high: Image.Image) -> int:
    """Return the number of bits, 8 to 16, that the colours use; high: L, LA, RGB or RGBA, their high bytes."""
    bands = high.getextrema()
    highest = [top for _, top in (bands if isinstance(bands[0], tuple) else (bands,))]
    colours = highest[:-1] if "A" in high.mode else highest
    return 8 + max(int(top).bit_length() for top in colours)


def scale_to_8_bits(high: Image.Image, low: Image.Image, bits: int) -> Image.Image:
    """Scale values of `bits` bits to 8 bits, in place; larger values become 255. Alpha keeps its high byte.

    high, low: the bytes of the same pixels, in one mode; low may also be L, for all colours of high. Returns high.
    """
    n_rows = max(1, STRIP_PIXELS // high.width)
    for top in range(0, high.height, n_rows):
        box = (0, top, high.width, min(top + n_rows, high.height))
        pixels, lows = (np.asarray(one.crop(box)) for one in (high, low))
        if lows.ndim < pixels.ndim:
            lows = lows[..., None]
        scaled = np.minimum((pixels.astype(np.uint16) << 8 | lows) >> (bits - 8), 255).astype(np.uint8)
        if "A" in high.mode:
            scaled[..., -1] = pixels[..., -1]
        high.paste(Image.fromarray(scaled), box)
    return high
