"""Show samples in the terminal: each character shows two pixels, one as its colour and one as its background."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment, Segments
from rich.style import Style

from gancli.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path

    from gancli.core.networks.model_file import Model
    from gancli.core.sampling.generate import SampleRequest
    from gancli.core.sampling.write import GridShape
    from gancli.files.image_io import Picture

HALF_BLOCK = "\N{UPPER HALF BLOCK}"
MOST_LINES = 24
SMALLEST = 12  # pixels per side; smaller images show too little
LIVE_ROWS = 2  # rows of images above a bar
LEAST_WIDTH, LEAST_HEIGHT = 60, 24  # smaller terminals show no images above a bar


def can_show(console: Console) -> bool:
    """Return whether this is a terminal with colours and UTF-8."""
    is_colourful = console.color_system is not None and not console.no_color
    return console.is_terminal and not console.is_dumb_terminal and is_colourful and console.encoding == "utf-8"


def print_samples(console: Console, model: "Model", request: "SampleRequest", shape: "GridShape | None") -> None:
    """Print a grid of the first samples that fit, at full size or smaller; each class keeps its column."""
    from gancli.core.sampling import generate, write

    side, height = model.info.spec.resolution, 2 * min(MOST_LINES, console.height - 2)
    factor, rows, columns = preview_layout(shape or write.natural_grid_shape(request), side, console.width, height)
    if not rows * columns:
        return
    several = len(request.classes) > 1
    part = dataclasses.replace(
        request,
        seeds=request.seeds[: rows if several else rows * columns],
        classes=request.classes[:columns] if several else request.classes,
    )
    made = [batch.pictures for batch in generate.generate_samples(model, part)]
    print_picture(console, shrink_picture(write.compose_grid(made, (rows, columns), 1), factor))


def print_sample_grid(console: Console, picture: "Picture", side: int) -> None:
    """Print the part of a grid that fits into the terminal; each image has `side` x `side` pixels."""
    shape = picture.shape[0] // side, picture.shape[1] // side
    factor, rows, columns = preview_layout(shape, side, console.width, 2 * min(MOST_LINES, console.height - 2))
    if rows * columns:
        print_picture(console, shrink_picture(picture[: rows * side, : columns * side], factor))


def print_picture(console: Console, picture: "Picture") -> None:
    with contextlib.suppress(OSError):
        console.print(Segments(half_block_segments(picture)), end="")


def preview_layout(shape: "GridShape", side: int, width: int, height: int) -> "tuple[int, int, int]":
    """Return the factor by which images of `side` pixels are reduced, and the rows and columns of the grid to show.

    The whole grid is shown at the largest size that fits. If no size fits, as much of it as possible is shown at the
    smallest size.
    """
    factors = [factor for factor in range(1, side + 1) if side % factor == 0 and side // factor >= SMALLEST] or [1]
    for factor in factors:
        rows, columns = (min(n, room * factor // side) for n, room in zip(shape, (height, width), strict=True))
        if (rows, columns) == shape:
            break
    return factor, rows, columns


def shrink_picture(picture: "Picture", factor: int) -> "Picture":
    """Average each square of factor x factor pixels; factor must divide both sides."""
    import numpy as np

    height, width = (n // factor for n in picture.shape[:2])
    squares = picture.reshape(height, factor, width, factor, *picture.shape[2:])
    means: Picture = squares.mean(axis=(1, 3)).round().astype(np.uint8)
    return means


def half_block_segments(picture: "Picture") -> Iterator[Segment]:
    """Yield one line of characters for every two rows of pixels; an odd last row is padded with black."""
    import numpy as np

    colours = np.broadcast_to(picture.reshape(*picture.shape[:2], -1), (*picture.shape[:2], 3))
    colours = np.pad(colours, ((0, len(colours) % 2), (0, 0), (0, 0)))
    for upper, lower in zip(colours[::2].tolist(), colours[1::2].tolist(), strict=True):
        for above, below in zip(upper, lower, strict=True):
            yield Segment(HALF_BLOCK, segment_style(tuple(above), tuple(below)))
        yield Segment.line()


@functools.cache
def segment_style(above: tuple[int, int, int], below: tuple[int, int, int]) -> Style:
    return Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below))


class LiveSamples:
    """The first rows of a run's newest frame, small enough for a live display. side: pixels of an image in a frame."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.frame: tuple[Path, Picture] | None = None
        self.drawn: tuple[Path, int] | None = None
        self.lines: list[Segment] = []

    @property
    def path(self) -> "Path | None":
        return self.frame[0] if self.frame else None

    def show(self, path: "Path") -> None:
        """Show this frame from now on; a file that cannot be read is ignored."""
        from gancli.files import image_io

        with contextlib.suppress(RunError):
            self.frame = path, image_io.read_png(path)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        frame, (width, height) = self.frame, console.size
        if frame is None or width < LEAST_WIDTH or height < LEAST_HEIGHT:
            return
        path, picture = frame
        columns = min(picture.shape[1] // self.side, width // min(self.side, SMALLEST))
        if (path, columns) != self.drawn:
            small = thumbnail_grid(picture, self.side, columns)
            self.lines, self.drawn = list(Segment.simplify(half_block_segments(small))), (path, columns)
        yield Segments(self.lines)


def thumbnail_grid(picture: "Picture", side: int, columns: int) -> "Picture":
    """Return the first rows and columns of a grid of images of `side` pixels, each reduced to SMALLEST pixels."""
    import numpy as np
    from PIL import Image

    rows, small = min(LIVE_ROWS, picture.shape[0] // side), min(side, SMALLEST)
    shown = Image.fromarray(picture[: rows * side, : columns * side])
    return np.asarray(shown.resize((columns * small, rows * small), Image.Resampling.BOX))
