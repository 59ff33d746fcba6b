"""PNG files taken apart by hand: Pillow's reader is slower on small ones, and neither checks sums nor misses rows.

Source: W3C, Portable Network Graphics (PNG) Specification, third edition.
"""

import functools
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from gancli.errors import DataError

MAGIC = b"\x89PNG\r\n\x1a\n"
KEPT_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"eXIf", b"iCCP", b"acTL"}
MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}

PLAIN_CHUNKS = {b"IHDR", b"PLTE", b"IDAT"}
HIGHEST_FILTER = 4
NOT_INTERLACED = ((0, 0, 1, 1),)
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


@dataclass(frozen=True, eq=False)
class Png:
    """mode: L, LA, P, RGB or RGBA. depth: bits a channel. palette: uint8 [n, 3], n = 0 where mode is not P."""

    width: int
    height: int
    mode: str
    depth: int
    is_interlaced: bool
    palette: npt.NDArray[np.uint8]
    chunks: dict[bytes, bytes]

    def load(self) -> Image.Image:
        """The pixels, of mode L, LA, RGB or RGBA; 16 bits become 8 by their high byte. Raises DataError."""
        mode, layout = pillow_modes(self.mode, self.depth)
        rows = zlib.compress(
            inflate_rows(self.chunks[b"IDAT"], self.n_bytes()), level=0
        )  # as they are: Pillow takes away the filters, and wants zlib
        try:
            image = Image.frombytes(mode, (self.width, self.height), rows, "zip", layout, self.is_interlaced)
        except ValueError as err:
            raise DataError("damaged") from err
        transparent = self.chunks.get(b"tRNS")
        if mode == "P":
            return apply_palette(image, self.palette, transparent)
        if mode == "1":
            image = image.convert("L")
        return image if transparent is None else apply_transparent_colour(image, transparent, self.depth)

    def n_bytes(self) -> int:
        """How many bytes all rows have, with one before each for its filter."""
        n_bits = self.depth * len(self.mode)
        total = 0
        for top, left, down, right in ADAM7 if self.is_interlaced else NOT_INTERLACED:
            height, width = -((top - self.height) // down), -((left - self.width) // right)
            if height > 0 and width > 0:
                total += height * (1 + (width * n_bits + 7) // 8)
        return total


def parse_png(data: bytes) -> Png:
    """Everything but the pixels. Raises DataError, its text the reason alone."""
    chunks = read_chunks(data)
    if len(chunks.get(b"IHDR", b"")) != 13 or b"IDAT" not in chunks:
        raise DataError("damaged")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    if depth not in DEPTHS.get(colour, ()) or interlaced > 1:
        raise DataError("damaged")
    palette = chunks.get(b"PLTE", b"") if colour == 3 else b""
    if len(palette) % 3 or len(palette) > 3 << depth or (colour == 3 and not palette):
        raise DataError("damaged")
    colours = np.frombuffer(palette, np.uint8).reshape(-1, 3)
    return Png(width, height, MODES[colour], depth, interlaced == 1, colours, chunks)


@functools.cache
def plain_png_header(side: int, channels: int) -> bytes:
    """How a PNG starts that is side x side, of 8 bits, grey or RGB as `channels` 1 or 3 says, and not interlaced."""
    return MAGIC + struct.pack(">I4sIIBBBBB", 13, b"IHDR", side, side, 8, {1: 0, 3: 2}[channels], 0, 0, 0)


def read_plain_rows(data: bytes, side: int, channels: int) -> bytes | None:
    """The filtered rows of a PNG with such a header, if that is all it has; else None. Raises DataError."""
    if not data.startswith(plain_png_header(side, channels)):
        return None
    chunks = read_chunks(data)
    if b"IDAT" not in chunks or not chunks.keys() <= PLAIN_CHUNKS:
        return None
    row = 1 + side * channels
    rows = inflate_rows(chunks[b"IDAT"], side * row)
    if max(rows[::row]) > HIGHEST_FILTER:
        raise DataError("damaged")
    return rows


def undo_filters(rows: Sequence[bytes], side: int, channels: int) -> npt.NDArray[np.uint8]:
    """The plain rows of N files -> uint8 [N, side, side, channels].

    They are decoded as one tall picture, in half the time, with a row of zeros before each file, which is what filters
    take to lie above the first row. Raises DataError.
    """
    blank = bytes(1 + side * channels)
    tall, mode = zlib.compress(blank + blank.join(rows), level=0), {1: "L", 3: "RGB"}[channels]
    try:
        image = Image.frombytes(mode, (side, len(rows) * (side + 1)), tall, "zip", mode, False)
    except ValueError as err:
        raise DataError("damaged") from err
    return np.frombuffer(image.tobytes(), np.uint8).reshape(len(rows), side + 1, side, channels)[:, 1:]


def inflate_rows(packed: bytes, n_bytes: int) -> bytes:
    """The filtered rows, all of them and no more: a stream that ends early would leave Pillow's picture black."""
    stream = zlib.decompressobj()
    try:
        rows = stream.decompress(packed, n_bytes + 1)
    except zlib.error as err:
        raise DataError("damaged") from err
    if len(rows) < n_bytes:
        raise DataError("truncated")
    if len(rows) > n_bytes or not stream.eof:
        raise DataError("damaged")
    return rows


def read_chunks(data: bytes) -> dict[bytes, bytes]:
    """Those of KEPT_CHUNKS, by name; those of IDAT joined."""
    chunks: dict[bytes, bytes] = {}
    packed, at, name = [], len(MAGIC), b""
    while name != b"IEND":
        if at + 12 > len(data):
            raise DataError("truncated")
        n_bytes, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + n_bytes
        if end > len(data):
            raise DataError("truncated")
        if name in KEPT_CHUNKS:
            body = data[at + 8 : end - 4]
            if zlib.crc32(body, zlib.crc32(name)) != int.from_bytes(data[end - 4 : end], "big"):
                raise DataError("damaged")
            if name == b"IDAT":
                packed.append(body)
            else:
                chunks.setdefault(name, body)
        at = end
    return {**chunks, b"IDAT": b"".join(packed)} if packed else chunks


def pillow_modes(mode: str, depth: int) -> tuple[str, str]:
    """Pillow's mode for the pixels in memory, and its word for their layout in the file."""
    if depth == 16:
        return "RGBA" if mode == "LA" else mode, f"{mode};16B"
    if mode == "L" and depth == 1:
        return "1", "1"
    return mode, mode if depth == 8 else f"{mode};{depth}"


def apply_palette(image: Image.Image, palette: npt.NDArray[np.uint8], alpha: bytes | None) -> Image.Image:
    """Indices -> RGB, or RGBA where the palette has alpha; colours without one are opaque."""
    if np.asarray(image).max() >= len(palette):
        raise DataError("damaged")
    if alpha is None:
        image.putpalette(palette.tobytes())
        return image.convert("RGB")
    alphas = np.frombuffer(alpha[: len(palette)].ljust(len(palette), b"\xff"), np.uint8)
    image.putpalette(np.column_stack([palette, alphas]).tobytes(), "RGBA")
    return image.convert("RGBA")


def apply_transparent_colour(image: Image.Image, colour: bytes, depth: int) -> Image.Image:
    """L or RGB -> LA or RGBA: one colour, 2 bytes a channel, is transparent."""
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    if len(colour) != 2 * pixels.shape[2] or image.mode not in ("L", "RGB"):
        raise DataError("damaged")
    if depth == 16:
        raise DataError("16-bit with a transparent colour")  # told from its neighbours by the low byte, which is gone
    value = np.frombuffer(colour, ">u2") * (255 // (2**depth - 1))
    alpha = np.where((pixels == value).all(axis=2), 0, 255)
    image.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return image
