"""Picture files made in memory for the tests of decoding."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from gancli.core.data.source import ImageSource

Array = npt.NDArray[Any]


def noise(*shape: int, top: int = 256) -> Array:
    return np.random.default_rng(len(shape)).integers(0, top, shape).astype(np.uint8 if top == 256 else np.uint16)


def encoded(picture: Image.Image | Array, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    width: int, height: int, depth: int, colour: int, filtered: bytes, *between: bytes, is_interlaced: bool = False
) -> bytes:
    """A PNG. filtered: the rows, each after a byte 0 (no filter); between: chunks before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, is_interlaced)
    body = [chunk(b"IHDR", header), *between, chunk(b"IDAT", zlib.compress(filtered)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def tiff(*entries: tuple[int, int, int, int], pixels: bytes = bytes(64), next_at: int = 0) -> bytes:
    """A TIFF with one IFD of these entries: (tag, type, count, value or offset); then the pixels."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", next_at) + pixels


def rows(values: Array) -> bytes:
    """[H, ...] -> rows for png(); 16-bit values high byte first."""
    big = values.astype(values.dtype.newbyteorder(">"))
    return b"".join(b"\0" + row.tobytes() for row in big)


def exif(orientation: int) -> bytes:
    found = Image.Exif()
    found[274] = orientation
    return found.tobytes()


class FilesInMemory(ImageSource):
    """A source of files in memory, by name."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(Path("memory"), 0)
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def name(self, row: int) -> str:
        return [*self.files][row]

    def read(self, row: int) -> bytes:
        return self.files[self.name(row)]

    def for_training(self, *, conditional: bool, as_in_0_1: bool = False) -> Self:
        return self
