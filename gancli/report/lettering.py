"""Text in raster pictures: the font and the grey levels of a dark page."""

import functools

from PIL import ImageFont

PAPER, DIM, INK = 16, 66, 230


def shorten_text(text: str, room: float, font: ImageFont.FreeTypeFont) -> str:
    """Shorten the text to `room` pixels; a shortened text ends with an ellipsis."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}…") > room:
        text = text[:-1]
    return f"{text.rstrip()}…"


@functools.cache
def load_font(size: int) -> ImageFont.FreeTypeFont:
    """Load Pillow's built-in font, which is the same on every machine."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
