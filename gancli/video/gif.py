"""Write GIF films: one palette for all frames, nearest colours, no dithering. Only changed pixels are stored."""

import itertools
import struct
from collections.abc import Iterable, Sequence
from typing import IO

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
from PIL import Image

from gancli.files.image_io import Picture
from gancli.video.frames import frame_changes

# The error is at most 4, so bands on a smooth ramp are faint. 64 greys make a film of digits a quarter larger.
GREYS = np.repeat(np.linspace(0, 255, 32).round().astype(np.uint8), 3).reshape(32, 3)
COLOURS = 256
SAMPLE_PIXELS = 1 << 20
PALETTE_PIXELS = 1 << 25


def write_gif(
    file: IO[bytes], frames: Iterable[Picture], durations_ms: Sequence[int], palette: Picture | None = None
) -> None:
    """Write a GIF that loops forever.

    frames: of one shape, as many as durations; drawn one by one, so a long film need not fit in memory.
    durations_ms: multiples of 10, since GIF counts hundredths of a second.
    palette: uint8 [n, 3], distinct colours; by default from the first frames, about PALETTE_PIXELS pixels.

    Pillow, which imageio uses, keeps all frames in memory until it writes, and joins equal neighbours. So each frame is
    encoded as a separate film; its data is written between the common header and the final byte.
    """
    stream = iter(frames)
    if palette is None:
        first = next(stream)
        part = [first, *itertools.islice(stream, PALETTE_PIXELS // (first.shape[0] * first.shape[1]))]
        palette = build_palette(part)
        stream = itertools.chain(part, stream)
        del part
    indices = map(NearestColour(palette), stream)
    for i, ((x, y, rectangle), duration) in enumerate(zip(frame_changes(indices), durations_ms, strict=True)):
        data = encode_gif_frame(rectangle, duration, palette)
        start = gif_header_length(data)
        if i == 0:
            file.write(data[:start])
        file.write(place_frame_at(data[start:-1], x, y))
    file.write(b";")


def encode_gif_frame(index: Picture, duration_ms: int, palette: Picture) -> bytes:
    """Encode a GIF of one frame; index [H, W] refers to the palette [n, 3]."""
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


def gif_header_length(gif: bytes) -> int:
    """Return the length of the screen descriptor, palette and loop block.

    The descriptor has 13 bytes; the low bits of its byte 10 give the palette size.
    """
    return 13 + 3 * (2 << (gif[10] & 7)) + 19


def place_frame_at(frame: bytes, x: int, y: int) -> bytes:
    """Set the x and y of a frame, which follow its time (8 bytes) and a comma."""
    return frame[:9] + struct.pack("<HH", x, y) + frame[13:]


def build_palette(frames: Iterable[Picture], most: int = COLOURS) -> Picture:
    """Choose up to `most` colours [n, 3] for all frames: 32 greys for grey frames, else a median cut of some pixels."""
    frames = list(frames)
    if frames[0].ndim == 2:
        return GREYS
    pixels = np.concatenate([frame.reshape(-1, 3) for frame in frames])
    sample = pixels[:: max(1, len(pixels) // SAMPLE_PIXELS)]
    few = Image.fromarray(sample[None]).quantize(most, Image.Quantize.MEDIANCUT)
    return np.unique(np.array(few.getpalette(), np.uint8).reshape(-1, 3), axis=0)


class NearestColour:
    """Map a frame, [H, W] or [H, W, 3], to indices [H, W] of the nearest colours in a palette [n, 3].

    Each colour is searched for only once, at its first occurrence.
    """

    def __init__(self, palette: Picture) -> None:
        self.palette = palette.astype(np.float32)
        self.found = np.zeros(1 << 24, np.uint16)  # by 0xRRGGBB: 0 if not searched yet, else index + 1

    def __call__(self, frame: Picture) -> Picture:
        red, green, blue = (frame if frame.ndim == 2 else frame[..., i] for i in range(3))
        codes = red.astype(np.uint32) << 16 | green.astype(np.uint32) << 8 | blue
        new = np.unique(codes[self.found[codes] == 0])
        for part in np.array_split(new, 1 + len(new) // 65_536):
            self.found[part] = 1 + self.search(np.stack([part >> 16, part >> 8 & 255, part & 255], axis=1))
        places: Picture = (self.found[codes] - 1).astype(np.uint8)
        return places

    def search(self, colours: npt.NDArray[np.uint32]) -> npt.NDArray[np.intp]:
        """Return the index of the nearest palette colour: [m, 3] -> [m].

        |c - p|^2 and |p|^2 - 2 c.p have their minimum at the same p; these integers are exact in float32.
        """
        scores = (self.palette**2).sum(axis=1) - 2 * (colours.astype(np.float32) @ self.palette.T)
        nearest: npt.NDArray[np.intp] = scores.argmin(axis=1)
        return nearest
