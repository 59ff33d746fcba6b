"""One PNG that shows generated images next to their nearest training images, to compare by eye."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from gancli.errors import ContractError, make_printable
from gancli.files import image_io
from gancli.files.image_io import Picture
from gancli.report.lettering import DIM, INK, PAPER, load_font, shorten_text

MOST_PAIRS, COLUMNS = 16, 4
SIDE = 112  # pixels; images are enlarged until their longer side is about this long
GUTTER, MARGIN = 20, 24  # pixels around pairs, and around the whole picture
MIN_WIDTH, MIN_COLUMN = 420, 120
TITLE, TEXT = 20, 14
SOFT_INK = 160
PAIRS_LEGEND = "left: generated, right: nearest training image; below: image number · distance (1: typical, 0: a copy)"


def write_pairs(path: Path, pairs: Sequence[tuple[Picture, Picture]], captions: Sequence[str], title: str) -> None:
    """Write a PNG of the first 16 pairs (generated, nearest training image), each above its caption.

    All images need one shape, [H, W] or [H, W, 3], and each pair needs a caption; otherwise raises ContractError.
    """
    if not pairs or len(captions) != len(pairs):
        raise ContractError(f"expected one or more pairs and a caption for each, got {len(pairs)} and {len(captions)}")
    for picture in (picture for pair in pairs for picture in pair):
        image_io.check_picture(picture)
        if picture.shape != pairs[0][0].shape:
            raise ContractError(f"pairs must have one shape, got {pairs[0][0].shape} and {picture.shape}")
    image_io.write_png(path, compose_pairs(pairs[:MOST_PAIRS], captions[:MOST_PAIRS], title))


def compose_pairs(pairs: Sequence[tuple[Picture, Picture]], captions: Sequence[str], title: str) -> Picture:
    """Draw the title, a legend and a grid of pairs on a dark page: [H, W, 3]."""
    tiles = [join_pair(*pair) for pair in pairs]
    tile_height, tile_width = tiles[0].shape[:2]
    column = max(tile_width, MIN_COLUMN)
    row = tile_height + 2 * TEXT
    n_columns, n_rows = min(COLUMNS, len(tiles)), math.ceil(len(tiles) / COLUMNS)
    top = MARGIN + TITLE + 2 * TEXT + GUTTER
    inner = max(n_columns * (column + GUTTER) - GUTTER, MIN_WIDTH)
    size = inner + 2 * MARGIN, top + n_rows * (row + GUTTER) - GUTTER + MARGIN
    image = Image.new("RGB", size, (PAPER,) * 3)
    draw = ImageDraw.Draw(image)

    def say(x: int, baseline: int, words: str, size: int, level: int, room: int) -> None:
        font = load_font(size)
        draw.text((x, baseline), shorten_text(make_printable(words), room, font), (level,) * 3, font, anchor="ls")

    say(MARGIN, MARGIN + TITLE, title, TITLE, INK, inner)
    say(MARGIN, MARGIN + TITLE + 2 * TEXT, PAIRS_LEGEND, TEXT, SOFT_INK, inner)
    for i, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        x, y = MARGIN + i % COLUMNS * (column + GUTTER), top + i // COLUMNS * (row + GUTTER)
        image.paste(Image.fromarray(tile), (x, y))
        say(x, y + row - TEXT // 2, caption, TEXT, SOFT_INK, column)
    return np.asarray(image)


def join_pair(left: Picture, right: Picture) -> Picture:
    """Join two images of one shape, enlarged by a whole factor, with a line between them."""
    scale = max(1, round(SIDE / max(left.shape[:2])))
    line = np.full((left.shape[0] * scale, 2, *left.shape[2:]), DIM, np.uint8)
    return np.concatenate([image_io.enlarge_pixels(left, scale), line, image_io.enlarge_pixels(right, scale)], axis=1)
