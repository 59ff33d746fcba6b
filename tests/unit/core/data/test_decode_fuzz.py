"""Malformed files of every format: each gives pixels of the exact shape, or one DataError with a short reason."""

import functools
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from picture_files import Array, chunk, encoded, exif, noise, png, tiff
from PIL import Image

from gancli.core.data import resize
from gancli.core.data.decode import IMAGE_FORMATS, ImageHeader
from gancli.core.data.resize import Transform
from gancli.errors import DataError

COLOUR, GREY = noise(24, 20, 3), noise(24, 20)
PALETTE = Image.fromarray(COLOUR).quantize(16)
CLEAR = Image.fromarray(COLOUR)
CLEAR.putalpha(Image.fromarray(GREY))
FRAMES = [Image.fromarray(255 - GREY), Image.fromarray(GREY[::-1])]
WHOLE = {
    "png": encoded(COLOUR, "PNG", exif=exif(6)),
    "png palette": encoded(PALETTE, "PNG", transparency=bytes(range(16))),
    "png 16-bit": encoded(noise(24, 20, top=65536), "PNG"),
    "apng": encoded(GREY, "PNG", save_all=True, append_images=FRAMES),
    "jpeg": encoded(COLOUR, "JPEG", exif=exif(3)),
    "jpeg progressive": encoded(COLOUR, "JPEG", progressive=True),
    "jpeg cmyk": encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"),
    "webp": encoded(CLEAR, "WEBP", exif=exif(5)),
    "webp lossless": encoded(COLOUR, "WEBP", lossless=True),
    "webp film": encoded(GREY, "WEBP", save_all=True, append_images=FRAMES[:1]),
    "bmp": encoded(COLOUR, "BMP"),
    "bmp palette": encoded(PALETTE, "BMP"),
    "tiff": encoded(COLOUR, "TIFF", exif=exif(8)),
    "tiff lzw": encoded(COLOUR, "TIFF", compression="tiff_lzw"),
    "tiff deflate": encoded(CLEAR, "TIFF", compression="tiff_adobe_deflate"),
    "tiff jpeg": encoded(COLOUR, "TIFF", compression="jpeg"),
    "tiff 16-bit pages": encoded(noise(24, 20, top=65536), "TIFF", save_all=True, append_images=FRAMES),
    "gif": encoded(PALETTE, "GIF", transparency=3),
    "gif film": encoded(GREY, "GIF", save_all=True, append_images=FRAMES[:1]),
}
LIBTIFF = ("tiff lzw", "tiff deflate", "tiff jpeg")
PER_FILE = 60
SLOWEST_S = 5.0

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")  # decode sets this on import; the filters of pytest come first


def attempt(data: bytes) -> tuple[Array, ImageHeader] | None:
    """None for a DataError. Any other error, or a picture of another shape, fails the test."""
    start = time.perf_counter()
    try:
        pixels, header = resize.decode_image(data, Transform(16, 3, "pad"))
    except DataError as err:
        assert 0 < len(str(err)) < 70 and "\n" not in str(err)
        return None
    finally:
        assert time.perf_counter() - start < SLOWEST_S
    assert pixels.shape == (16, 16, 3) and pixels.dtype == np.uint8
    assert resize.read_image_header(data) == replace(header, bits=0, hidden_on=None, hidden_by_bits=())
    return pixels, header


def mutants(whole: bytes, other: bytes, draw: np.random.Generator) -> Iterator[bytes]:
    """PER_FILE damaged copies: bytes replaced, numbers made absurd, parts cut out, doubled, or from another file."""
    for which in range(PER_FILE):
        data = bytearray(whole)
        at, end = sorted(draw.integers(0, len(data), 2).tolist())
        match which % 6:
            case 0:
                for place in draw.integers(0, len(data), 4):
                    data[place] = draw.integers(256)
            case 1:
                data[draw.integers(0, min(80, len(data)))] ^= 1 << draw.integers(8)
            case 2:
                place = draw.integers(0, min(200, len(data) - 4))
                data[place : place + 4] = draw.choice(
                    [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\1\0\0"]
                )
            case 3:
                del data[at:end]
            case 4:
                data[at:at] = data[at:end]
            case 5:
                data[at:end] = other[: len(other) * at // len(data)]
        yield bytes(data)


def test_every_damaged_file_gives_the_right_shape_or_a_reason() -> None:
    draw = np.random.default_rng(0)
    tried, refused = 0, dict.fromkeys(WHOLE, 0)
    others = [*list(WHOLE.values())[1:], WHOLE["png"]]
    for (name, whole), other in zip(WHOLE.items(), others, strict=True):
        assert attempt(whole) is not None
        for data in mutants(whole, other, draw):
            refused[name] += attempt(data) is None
            tried += 1
    assert tried == PER_FILE * len(WHOLE) >= 1140
    assert min(refused.values()) >= PER_FILE // 6, refused


def test_a_truncated_file_is_refused_or_still_complete() -> None:
    """A few bytes at the end have no pixels. If any other bytes are missing, no picture may be returned."""
    tried = taken = 0
    for name, whole in WHOLE.items():
        right = attempt(whole)
        assert right is not None
        for n_bytes in {*range(0, len(whole), max(1, len(whole) // 40)), *range(len(whole) - 24, len(whole))}:
            got = attempt(whole[:n_bytes])
            tried += 1
            if got is not None:
                assert np.array_equal(got[0], right[0]), (name, n_bytes)
                taken += 1
    assert tried > 1000
    assert taken < tried // 5


def test_every_format_is_damaged_here() -> None:
    assert {resize.read_image_header(whole).kind for whole in WHOLE.values()} == IMAGE_FORMATS.keys()


def damaged_png(**changes: int) -> bytes:
    """Headers that contradict the pixels, with correct checksums."""
    return png(
        changes.get("width", 4), changes.get("height", 4), changes.get("depth", 8), changes.get("colour", 0), bytes(20)
    )


def test_a_png_whose_header_lies_is_refused() -> None:
    tried = 0
    for depth in (0, 1, 2, 3, 4, 8, 16, 32, 255):
        for colour in range(8):
            for width, height in ((4, 5), (5, 4), (4, 1 << 20), (1 << 31, 1), (0, 4)):
                assert attempt(damaged_png(width=width, height=height, depth=depth, colour=colour)) is None
                tried += 1
    assert tried == 360


HONEST = [
    (256, 3, 1, 4),
    (257, 3, 1, 4),
    (258, 3, 1, 8),
    (259, 3, 1, 1),
    (262, 3, 1, 1),
    (273, 4, 1, 98),
    (279, 4, 1, 16),
]


@functools.cache
def bombs() -> dict[str, bytes]:
    """A few kilobytes each that would decompress to gigabytes."""
    zeros = zlib.compress(bytes(1 << 24), 9)
    deep = zlib.compressobj(9)
    more = deep.compress(bytes(1 << 26)) + deep.flush()
    header = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    gif = bytearray(WHOLE["gif"])
    gif[6:10] = b"\xff" * 4
    frame = bytearray(WHOLE["gif"])
    at = frame.index(b"\x2c\0\0\0\0")
    frame[at + 5 : at + 9] = b"\xff" * 4
    bmp = bytearray(WHOLE["bmp"])
    bmp[18:26] = struct.pack("<ii", 1 << 20, 1 << 20)
    return {
        "60000 x 60000": png(60000, 60000, 8, 2, b""),
        "too many by one row": png(1 << 13, (1 << 13) + 1, 8, 0, b""),
        "64 MiB behind 16 pixels": b"".join(
            [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"IDAT", more), chunk(b"IEND", b"")]
        ),
        "gif screen": bytes(gif),
        "gif frame": bytes(frame),
        "bmp": bytes(bmp),
        "webp": b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2 + b"VP8 \0\0\0\0",
        "jpeg": WHOLE["jpeg"].replace(b"\0\x18\0\x14\x03", b"\xff\xff\xff\xff\x03"),
        "tiff": tiff((256, 4, 1, 60_000), (257, 4, 1, 60_000), *HONEST[2:]),
        "text": png(4, 4, 8, 0, bytes(20), chunk(b"zTXt", b"a\0\0" + zeros)),
        "profile": png(4, 4, 8, 0, bytes(20), chunk(b"iCCP", b"a\0\0" + zeros)),
    }


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_takes_little_time_and_memory(name: str) -> None:
    data = bombs()[name]
    assert len(data) < 100_000
    tracemalloc.start()
    start = time.perf_counter()
    try:
        got = attempt(data)
        took, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (got is not None) == (name in ("text", "profile")), "these two are pictures, and nothing else is unpacked"
    assert took < 2 and peak < 8 << 20


def test_a_tiff_with_wild_offsets_is_refused() -> None:
    assert attempt(tiff(*HONEST)) is not None
    tried = refused = 0
    for place, (tag, kind, _, _) in enumerate(HONEST):
        for count in (0, 1, 2, 1 << 16, (1 << 32) - 1):
            for value in (0, 3, 8, 1 << 20, (1 << 31) - 1, (1 << 32) - 1):
                entries = [*HONEST[:place], (tag, kind, count, value), *HONEST[place + 1 :]]
                refused += attempt(tiff(*entries)) is None
                tried += 1
    assert tried == 210
    assert refused > 100
    assert attempt(tiff(*HONEST, next_at=8)) is not None, "the next page is the first: it is not looked for"
    assert attempt(tiff()) is None


@pytest.mark.slow
def test_damaged_files_print_nothing_in_a_fresh_process() -> None:
    """Without pytest's filters: no warnings and nothing on stderr, except messages of libtiff's C code."""
    code = (
        "import sys; sys.path[:0] = sys.argv[1:];"
        "import numpy as np; from test_decode_fuzz import LIBTIFF, WHOLE, attempt, mutants;"
        "draw = np.random.default_rng(1);"
        "files = [whole for name, whole in WHOLE.items() if name not in LIBTIFF];"
        "n = sum(attempt(data) is None for whole in files for data in mutants(whole, WHOLE['jpeg'], draw));"
        "print(n)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *(path for path in sys.path if path)],
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert int(done.stdout) > 300
