"""The caption of a film: the name of the run, its progress in kimg, and a progress bar."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gancli.files.image_io import Picture
from gancli.report.lettering import DIM, INK, PAPER, load_font, shorten_text

FIGURE_SPACE = "\u2007"  # as wide as a digit


def format_moment(nimg: int, last_nimg: int, n_train: float | None) -> str:
    """Return '12.8 kimg · epoch 2.8'; each number is padded to its width at the end of the film."""

    def padded(value: float, last: float) -> str:
        return f"{value:.1f}".rjust(len(f"{last:.1f}"), FIGURE_SPACE)

    kimg = f"{padded(nimg / 1000, last_nimg / 1000)} kimg"
    return f"{kimg} · epoch {padded(nimg / n_train, last_nimg / n_train)}" if n_train else kimg


def draw_caption(width: int, left: str, right: str, done: float) -> Picture:
    """Draw a caption, grey [height, width]; the font size and the height depend on the width."""
    size = min(max(15, round(width / 31)), 24)
    font = load_font(size)
    pad, bar = size // 2, max(3, size // 5)
    baseline = pad + size
    height = baseline + pad + bar
    image = Image.new("L", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    room = draw_text_right(draw, (width - pad, baseline), right, font) - 2 * pad
    draw.text((pad, baseline), shorten_text(left, room, font), fill=INK, font=font, anchor="ls")
    draw.rectangle((0, height - bar, width, height), fill=DIM)
    if filled := round(width * done):
        draw.rectangle((0, height - bar, filled - 1, height), fill=INK)
    return np.asarray(image)


def draw_text_right(draw: ImageDraw.ImageDraw, end: tuple[int, int], text: str, font: ImageFont.FreeTypeFont) -> int:
    """Draw text that ends at a point on its baseline, and return the x where it starts.

    All digits take the same room, so the text does not move while the numbers change.
    """
    x, y = end
    for char in reversed(text):
        room = round(font.getlength("0" if char == FIGURE_SPACE else char))
        if char != FIGURE_SPACE:
            draw.text((x - room // 2, y), char, fill=INK, font=font, anchor="ms")
        x -= room
    return x
