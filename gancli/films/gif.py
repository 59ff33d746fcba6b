"""GIF films: one palette for all frames, nearest colours, no dithering, and of each frame only what changed."""

import itertools
import struct
from collections.abc import Iterable, Sequence
from typing import IO

import imageio.v3 as iio
import numpy as np
from PIL import Image

from gancli.films.frames import changes, check_durations
from gancli.media import Picture

LONGEST_SIDE = 65_535
# As few as still look smooth on digits: 20 make a film a sixth smaller than 32 do.
GREYS = np.repeat(np.linspace(0, 255, 20).round().astype(np.uint8), 3).reshape(20, 3)
COLOURS = 256
SAMPLE_PIXELS = 1 << 20
PALETTE_PIXELS = 1 << 25


def write(
    file: IO[bytes], frames: Iterable[Picture], durations_ms: Sequence[int], palette: Picture | None = None
) -> None:
    """A GIF that loops for ever.

    frames: of one shape, as many as durations; drawn one by one, so a long film need not fit in memory.
    durations_ms: multiples of 10, since GIF counts hundredths.
    palette: uint8 [n, 3], distinct colours; left out, it is made from the first frames, PALETTE_PIXELS in all.

    Pillow, under imageio, holds all frames it is given until it writes, and joins equal neighbours. So each frame is
    encoded as a film of its own, and put between the header, the same for all, and the one byte that ends the film.
    """
    check_durations(durations_ms, step=10, longest=655_350)
    stream = iter(frames)
    if palette is None:
        first = next(stream)
        part = [first, *itertools.islice(stream, PALETTE_PIXELS // (first.shape[0] * first.shape[1]))]
        palette = palette_of(part)
        stream = itertools.chain(part, stream)
        del part
    indices = (to_index(frame, palette) for frame in stream)
    for i, ((x, y, rectangle), duration) in enumerate(zip(changes(indices), durations_ms, strict=True)):
        data = encode(rectangle, duration, palette)
        start = header_length(data)
        if i == 0:
            file.write(data[:start])
        file.write(moved(data[start:-1], x, y))
    file.write(b";")


def encode(index: Picture, duration_ms: int, palette: Picture) -> bytes:
    """index [H, W] into the palette [n, 3] -> a GIF of one frame."""
    return iio.imwrite(
        "<bytes>",
        index,
        plugin="pillow",
        extension=".gif",
        is_batch=False,
        palette=palette.tobytes(),
        duration=duration_ms,
        loop=0,
        interlace=False,
    )


def header_length(gif: bytes) -> int:
    """Screen descriptor (13 bytes, the low bits of byte 10 size the palette), palette, and the loop block (19)."""
    return 13 + 3 * (2 << (gif[10] & 7)) + 19


def moved(frame: bytes, x: int, y: int) -> bytes:
    """A frame placed at x, y, which follow its time (8 bytes) and a comma."""
    return frame[:9] + struct.pack("<HH", x, y) + frame[13:]


def palette_of(frames: Iterable[Picture], most: int = COLOURS) -> Picture:
    """At most 256 colours [n, 3] that suit all of these frames: 20 greys, or a median cut of a sample of pixels."""
    frames = list(frames)
    if frames[0].ndim == 2:
        return GREYS
    pixels = np.concatenate([frame.reshape(-1, 3) for frame in frames])
    sample = pixels[:: max(1, len(pixels) // SAMPLE_PIXELS)]
    few = Image.fromarray(sample[None]).quantize(most, Image.Quantize.MEDIANCUT)
    return np.unique(np.array(few.getpalette(), np.uint8).reshape(-1, 3), axis=0)


def to_index(frame: Picture, palette: Picture) -> Picture:
    """[H, W] or [H, W, 3] -> [H, W], for every pixel the place of the nearest colour in the palette."""
    if frame.ndim == 2:
        distances = np.abs(np.arange(256)[:, None] - palette[:, 0].astype(int))
        return np.asarray(distances.argmin(axis=1).astype(np.uint8)[frame])
    table = Image.new("P", (1, 1))
    table.putpalette(np.pad(palette, ((0, 256 - len(palette)), (0, 0)), mode="edge").tobytes())
    index = np.asarray(Image.fromarray(frame).quantize(palette=table, dither=Image.Dither.NONE))
    return index.clip(max=len(palette) - 1).astype(np.uint8)
