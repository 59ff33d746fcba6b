"""Words in pictures of pixels: one font and the grey levels of a dark page."""

import functools

from PIL import ImageFont

PAPER, DIM, INK = 16, 66, 230


def shorten_text(text: str, room: float, font: ImageFont.FreeTypeFont) -> str:
    """The text, or as much of it as fits in so many pixels with an ellipsis at its end."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}…") > room:
        text = text[:-1]
    return f"{text.rstrip()}…"


@functools.cache
def load_font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, the same on every machine."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
