"""Read and write pictures as numpy uint8 arrays, grey [H, W] or colour [H, W, 3]."""

import io
import itertools
import logging
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, BinaryIO, TypeVar

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from gancli.errors import ContractError, RunError
from gancli.files.run_folder import atomic_write

Picture = npt.NDArray[np.uint8]
Item = TypeVar("Item")
Result = TypeVar("Result")

logging.getLogger("PIL").addHandler(logging.NullHandler())  # without a handler, Pillow's log messages go to stderr

MOST_PIXELS = 1 << 26  # as in core/data; Pillow warns above it
MOST_TEXT = 1 << 20
PNG_START = b"\x89PNG\r\n\x1a\n"
THREADED_PIXELS = 1 << 12  # for smaller pictures a thread costs more than it saves


def encode_png(picture: Picture, text: Mapping[str, str] | None = None) -> bytes:
    """Encode a PNG. text: keyword (Latin-1, at most 79 characters) -> any text; stored before the pixels."""
    check_picture(picture)
    info = PngImagePlugin.PngInfo()
    for keyword, value in (text or {}).items():
        info.add_text(keyword, value.encode("utf-8", "backslashreplace").decode())
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", pnginfo=info)  # as imageio does, but three times faster
    return buffer.getvalue()


def write_png(path: Path, picture: Picture, text: Mapping[str, str] | None = None) -> None:
    atomic_write(path, encode_png(picture, text))


def encode_picture(picture: Picture, path: Path, text: Mapping[str, str] | None = None) -> bytes:
    """Encode as WebP (which drops the text) if the path ends in .webp, else as PNG."""
    return encode_webp(picture) if path.suffix.lower() == ".webp" else encode_png(picture, text)


def write_pictures(items: Iterable[tuple[Path, Picture, Mapping[str, str] | None]]) -> Iterator[int]:
    """Encode and write (path, picture, text) in order, on all cores if they are large; yield the number written.

    Single files are not written atomically: write them into an `atomic_folder`.
    """

    def write(item: tuple[Path, Picture, Mapping[str, str] | None]) -> None:
        path, picture, text = item
        path.write_bytes(encode_picture(picture, path, text))

    stream = iter(items)
    first = next(stream, None)
    if first is None:
        return
    large = first[1].size >= THREADED_PIXELS
    stream = itertools.chain([first], stream)
    for done, _ in enumerate(map_in_threads(write, stream) if large else map(write, stream), start=1):
        yield done


def map_in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], cores: int = os.cpu_count() or 1
) -> Iterator[Result]:
    """Apply a function to each item in `cores` threads; yield results in order, taking only a few items ahead."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * cores:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:  # if the caller stopped early
                one.cancel()


def read_png(path: Path) -> Picture:
    """Read a PNG. Raises RunError if it is missing, damaged, too large, or not 8-bit grey or RGB."""
    try:
        with open_regular_file(path) as file:
            width, height = parse_png_size(file)
            if width * height > MOST_PIXELS:
                raise RunError(
                    f"cannot use the picture {path}: {width}x{height} pixels are too many; replace or delete it"
                )
            file.seek(0)
            picture = iio.imread(file, plugin="pillow", extension=".png", index=0)
    except (OSError, SyntaxError, ValueError, struct.error) as err:  # Pillow reports a broken PNG as a SyntaxError
        reason = getattr(err, "strerror", None) or "damaged or not a PNG"
        raise RunError(f"cannot read the picture {path}: {reason}; restore or delete it") from err
    if not is_picture(picture):
        raise RunError(f"cannot use the picture {path}: it is neither 8-bit grey nor 8-bit RGB; replace or delete it")
    return picture


def open_regular_file(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises OSError, or ValueError for other kinds: a pipe could block."""
    if path.exists() and not path.is_file():
        raise ValueError("not a file")
    return open(path, "rb")


def parse_png_size(file: IO[bytes]) -> tuple[int, int]:
    """Read width and height, 1 or more, from the start of a file. Source: PNG specification, third edition, 11.2.1."""
    start, _length, kind, width, height = struct.unpack(">8s4s4sII", file.read(24))
    if start != PNG_START or kind != b"IHDR" or not width or not height:
        raise ValueError("not a PNG")
    return width, height


def read_png_size(path: Path) -> tuple[int, int]:
    """Read width and height without decoding pixels. Raises RunError."""
    try:
        with open_regular_file(path) as file:
            return parse_png_size(file)
    except (OSError, ValueError, struct.error) as err:
        reason = getattr(err, "strerror", None) or "damaged or not a PNG"
        raise RunError(f"cannot read the picture {path}: {reason}; restore or delete it") from err


def read_png_text(path: Path) -> dict[str, str]:
    """Read all text of a PNG without decoding pixels.

    Raises RunError if the file is missing, damaged, or holds more than MOST_TEXT bytes of text in total.
    """
    try:
        with open_regular_file(path) as file:
            return dict(read_text_chunks(file))
    except (OSError, ValueError, struct.error, zlib.error) as err:
        reason = getattr(err, "strerror", None) or "damaged or not a PNG"
        raise RunError(f"cannot read the metadata of {path}: {reason}; choose a PNG that gancli wrote") from err


def read_text_chunks(file: IO[bytes]) -> Iterator[tuple[str, str]]:
    """Yield (keyword, text) of each text chunk. Source: PNG specification, third edition, 5.3 and 11.3.3."""
    if file.read(len(PNG_START)) != PNG_START:
        raise ValueError("not a PNG")
    kind, left = b"", MOST_TEXT
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind not in (b"tEXt", b"zTXt", b"iTXt"):
            file.seek(length + 4, os.SEEK_CUR)
            continue
        if length > left:
            raise ValueError("too much text")
        content = file.read(length)
        if struct.unpack(">I", file.read(4)) != (zlib.crc32(kind + content),):
            raise ValueError("wrong checksum")
        keyword, value = content.split(b"\0", 1)
        if kind == b"iTXt":
            flags, (_language, _translated, value) = value[:2], value[2:].split(b"\0", 2)
            value = inflate_text(value, left) if flags[:1] == b"\1" else value
        elif kind == b"zTXt":
            value = inflate_text(value[1:], left)
        left -= len(keyword) + len(value) + 1
        yield keyword.decode("latin-1"), value.decode("utf-8" if kind == b"iTXt" else "latin-1")


def inflate_text(data: bytes, most: int) -> bytes:
    """Decompress text. Raises ValueError if it is truncated or longer than `most` bytes."""
    stream = zlib.decompressobj()
    text = stream.decompress(data, max(most, 1))  # 0 would mean no limit
    if not stream.eof:
        raise ValueError("too much text, or truncated")
    return text


def encode_webp(picture: Picture) -> bytes:
    """Encode a lossless WebP. WebP has no grey mode, so a grey picture is read back as RGB."""
    check_picture(picture)
    # The fastest settings without much larger files: libwebp's default takes 1.5 times as long and saves 0 to 4 %.
    return iio.imwrite(
        "<bytes>", picture, plugin="pillow", extension=".webp", is_batch=False, lossless=True, method=2, quality=50
    )


def enlarge_pixels(picture: Picture, scale: int) -> Picture:
    """Enlarge every pixel to a square of scale x scale pixels."""
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def is_picture(array: npt.NDArray[np.generic]) -> bool:
    return array.dtype == np.uint8 and array.size > 0 and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3))


def check_picture(array: npt.NDArray[np.generic]) -> None:
    if not is_picture(array):
        raise ContractError(f"expected a picture, uint8 [H, W] or [H, W, 3], got {array.dtype} {array.shape}")
