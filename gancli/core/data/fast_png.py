"""A PNG parser that is faster than Pillow on small files, verifies checksums and detects missing rows.

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
TRUNCATED = "truncated; copy or download it again"
DAMAGED = "damaged; copy it again or save it in another program"
KEPT_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"eXIf", b"iCCP", b"acTL"}
MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
LOW_BYTE_LAYOUTS = {"L": "L;16", "RGB": "RGB;16L", "RGBA": "RGBA;16L"}  # Pillow takes the second byte as the high one
PLAIN_CHUNKS = {b"IHDR", b"PLTE", b"IDAT"}
HIGHEST_FILTER = 4
NOT_INTERLACED = ((0, 0, 1, 1),)
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


@dataclass(frozen=True, eq=False)
class Png:
    """A parsed PNG whose pixels are not decoded yet.

    mode: L, LA, P, RGB or RGBA. depth: bits per channel. palette: uint8 [n, 3]; n = 0 unless mode is P.
    """

    width: int
    height: int
    mode: str
    depth: int
    is_interlaced: bool
    palette: npt.NDArray[np.uint8]
    chunks: dict[bytes, bytes]

    def load(self) -> Image.Image:
        """Decode the pixels to mode L, LA, RGB or RGBA; 16-bit values keep their high byte. Raises DataError."""
        mode, layout = pillow_modes(self.mode, self.depth)
        image = self.decode_rows(mode, layout)
        transparent = self.chunks.get(b"tRNS")
        if mode == "P":
            return apply_palette(image, self.palette, transparent)
        if mode == "1":
            image = image.convert("L")
        return image if transparent is None else apply_transparent_colour(image, transparent, self.depth)

    def load_low_bytes(self) -> Image.Image:
        """Decode the low bytes of 16-bit values to the mode of `load`. Raises DataError."""
        if self.mode == "LA":  # Pillow has no such layout, so decode all four bytes of a pixel
            _, grey, _, alpha = self.decode_rows("RGBA", "RGBA").split()
            return Image.merge("RGBA", (grey, grey, grey, alpha))
        return self.decode_rows(self.mode, LOW_BYTE_LAYOUTS[self.mode])

    def decode_rows(self, mode: str, layout: str) -> Image.Image:
        """Decode the pixels to a mode of Pillow. layout: Pillow's name for the bytes of a pixel. Raises DataError."""
        # Pillow undoes the row filters but accepts only zlib data, so wrap the rows in zlib without compressing them.
        rows = zlib.compress(inflate_rows(self.chunks[b"IDAT"], self.n_bytes()), level=0)
        try:
            return Image.frombytes(mode, (self.width, self.height), rows, "zip", layout, self.is_interlaced)
        except ValueError as err:
            raise DataError(DAMAGED) from err

    def n_bytes(self) -> int:
        """Return the size of all rows, including one filter byte per row."""
        n_bits = self.depth * len(self.mode)
        total = 0
        for top, left, down, right in ADAM7 if self.is_interlaced else NOT_INTERLACED:
            height, width = -((top - self.height) // down), -((left - self.width) // right)
            if height > 0 and width > 0:
                total += height * (1 + (width * n_bits + 7) // 8)
        return total


def parse_png(data: bytes) -> Png:
    """Parse everything except the pixels. Raises DataError("what is wrong; what to do")."""
    chunks = read_chunks(data)
    if len(chunks.get(b"IHDR", b"")) != 13 or b"IDAT" not in chunks:
        raise DataError(DAMAGED)
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    if depth not in DEPTHS.get(colour, ()) or interlaced > 1:
        raise DataError(DAMAGED)
    palette = chunks.get(b"PLTE", b"") if colour == 3 else b""
    if len(palette) % 3 or len(palette) > 3 << depth or (colour == 3 and not palette):
        raise DataError(DAMAGED)
    colours = np.frombuffer(palette, np.uint8).reshape(-1, 3)
    return Png(width, height, MODES[colour], depth, interlaced == 1, colours, chunks)


@functools.cache
def plain_png_header(side: int, channels: int) -> bytes:
    """Return the first bytes of an 8-bit, non-interlaced PNG of side x side pixels; channels: 1 grey, 3 RGB."""
    return MAGIC + struct.pack(">I4sIIBBBBB", 13, b"IHDR", side, side, 8, {1: 0, 3: 2}[channels], 0, 0, 0)


def read_plain_rows(data: bytes, side: int, channels: int) -> bytes | None:
    """Return the filtered rows of a PNG that starts with `plain_png_header` and has no optional chunks, else None.

    Raises DataError.
    """
    if not data.startswith(plain_png_header(side, channels)):
        return None
    chunks = read_chunks(data)
    if b"IDAT" not in chunks or not chunks.keys() <= PLAIN_CHUNKS:
        return None
    row = 1 + side * channels
    rows = inflate_rows(chunks[b"IDAT"], side * row)
    if max(rows[::row]) > HIGHEST_FILTER:
        raise DataError(DAMAGED)
    return rows


def undo_filters(rows: Sequence[bytes], side: int, channels: int) -> npt.NDArray[np.uint8]:
    """Decode the filtered rows of N files -> uint8 [N, side, side, channels].

    All files are decoded as one tall picture, which takes half the time. A row of zeros precedes each file, since PNG
    filters assume zeros above the first row. Raises DataError.
    """
    blank = bytes(1 + side * channels)
    tall, mode = zlib.compress(blank + blank.join(rows), level=0), {1: "L", 3: "RGB"}[channels]
    try:
        image = Image.frombytes(mode, (side, len(rows) * (side + 1)), tall, "zip", mode, False)
    except ValueError as err:
        raise DataError(DAMAGED) from err
    return np.frombuffer(image.tobytes(), np.uint8).reshape(len(rows), side + 1, side, channels)[:, 1:]


def inflate_rows(packed: bytes, n_bytes: int) -> bytes:
    """Decompress exactly n_bytes of rows; Pillow would leave missing rows black. Raises DataError."""
    stream = zlib.decompressobj()
    try:
        rows = stream.decompress(packed, n_bytes + 1)
    except zlib.error as err:
        raise DataError(DAMAGED) from err
    if len(rows) < n_bytes:
        raise DataError(TRUNCATED)
    if len(rows) > n_bytes or not stream.eof:
        raise DataError(DAMAGED)
    return rows


def read_chunks(data: bytes) -> dict[bytes, bytes]:
    """Read the chunks in KEPT_CHUNKS by name, with all IDAT chunks joined. Raises DataError."""
    chunks: dict[bytes, bytes] = {}
    packed, at, name = [], len(MAGIC), b""
    while name != b"IEND":
        if at + 12 > len(data):
            raise DataError(TRUNCATED)
        n_bytes, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + n_bytes
        if end > len(data):
            raise DataError(TRUNCATED)
        if name in KEPT_CHUNKS:
            body = data[at + 8 : end - 4]
            if zlib.crc32(body, zlib.crc32(name)) != int.from_bytes(data[end - 4 : end], "big"):
                raise DataError(DAMAGED)
            if name == b"IDAT":
                packed.append(body)
            else:
                chunks.setdefault(name, body)
        at = end
    return {**chunks, b"IDAT": b"".join(packed)} if packed else chunks


def pillow_modes(mode: str, depth: int) -> tuple[str, str]:
    """Return Pillow's mode for the decoded pixels, and Pillow's name for their layout in the file."""
    if depth == 16:
        return "RGBA" if mode == "LA" else mode, f"{mode};16B"
    if mode == "L" and depth == 1:
        return "1", "1"
    return mode, mode if depth == 8 else f"{mode};{depth}"


def apply_palette(image: Image.Image, palette: npt.NDArray[np.uint8], alpha: bytes | None) -> Image.Image:
    """Convert palette indices to RGB, or to RGBA if the palette has alpha; missing alpha values are opaque."""
    if np.asarray(image).max() >= len(palette):
        raise DataError(DAMAGED)
    if alpha is None:
        image.putpalette(palette.tobytes())
        return image.convert("RGB")
    alphas = np.frombuffer(alpha[: len(palette)].ljust(len(palette), b"\xff"), np.uint8)
    image.putpalette(np.column_stack([palette, alphas]).tobytes(), "RGBA")
    return image.convert("RGBA")


def apply_transparent_colour(image: Image.Image, colour: bytes, depth: int) -> Image.Image:
    """Make one colour (2 bytes per channel) transparent: L or RGB -> LA or RGBA."""
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    if len(colour) != 2 * pixels.shape[2] or image.mode not in ("L", "RGB"):
        raise DataError(DAMAGED)
    if depth == 16:
        # comparing pixels with the colour needs their low byte, which Pillow dropped
        raise DataError("16-bit with a transparent colour; save it with an alpha channel or 8 bits")
    value = np.frombuffer(colour, ">u2") * (255 // (2**depth - 1))
    alpha = np.where((pixels == value).all(axis=2), 0, 255)
    image.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return image
