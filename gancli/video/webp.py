"""Write lossless animated WebP: libwebp encodes each picture, and this file writes the container.

Pillow's own writer keeps every frame in memory until the end. The file format, with little-endian sizes of 24 or 32
bits: https://developers.google.com/speed/webp/docs/riff_container
"""

import itertools
import os
import struct
from collections.abc import Iterable, Sequence
from typing import IO

from gancli.files.image_io import Picture, encode_webp, map_in_threads
from gancli.video.frames import frame_changes

RIFF_HEADER = 12  # "RIFF", the size of the rest, "WEBP"
ANIMATION_FLAG = 2  # in the header of an animated film
NO_BLENDING_FLAG = 2  # in the header of a frame, which also stays visible under the next one


def write_webp(file: IO[bytes], frames: Iterable[Picture], durations_ms: Sequence[int]) -> None:
    """Write a film that loops forever. frames: of one shape, as many as durations; only a few are drawn ahead."""
    stream = iter(frames)
    first = next(stream)
    height, width = first.shape[:2]
    rectangles = frame_changes(itertools.chain([first], stream), step=2)
    file.write(b"RIFF\0\0\0\0WEBP")
    file.write(riff_chunk(b"VP8X", struct.pack("<I", ANIMATION_FLAG) + uint24_bytes(width - 1, height - 1)))
    file.write(riff_chunk(b"ANIM", bytes(4) + struct.pack("<H", 0)))  # no background, loops forever
    for frame in map_in_threads(encode_webp_frame, zip(rectangles, durations_ms, strict=True)):
        file.write(frame)
    size = file.tell() - 8
    file.seek(4)
    file.write(struct.pack("<I", size))
    file.seek(0, os.SEEK_END)


def encode_webp_frame(frame: tuple[tuple[int, int, Picture], int]) -> bytes:
    """Encode one chunk of the film from ((x, y, rectangle), milliseconds); x and y are even."""
    (x, y, rectangle), duration_ms = frame
    height, width = rectangle.shape[:2]
    place = uint24_bytes(x // 2, y // 2, width - 1, height - 1, duration_ms) + bytes([NO_BLENDING_FLAG])
    return riff_chunk(b"ANMF", place + encode_webp(rectangle)[RIFF_HEADER:])


def riff_chunk(kind: bytes, content: bytes) -> bytes:
    """Build a chunk; content must have even length, which is true for all calls here."""
    return kind + struct.pack("<I", len(content)) + content


def uint24_bytes(*values: int) -> bytes:
    return b"".join(value.to_bytes(3, "little") for value in values)
