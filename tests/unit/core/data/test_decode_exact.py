"""Pictures for evaluate: read without any change, or refused."""

import struct

import numpy as np
import pytest
from picture_files import Array, encoded, noise, png, rows
from PIL import Image

from gancli.core.data import resize
from gancli.core.data.archive import without_fix
from gancli.errors import DataError

GREY, COLOUR = noise(9, 7), noise(9, 7, 3)


def exact(data: bytes) -> Array:
    """[H, W, 3], or grey as [H, W]."""
    pixels = resize.decode_exact(data)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def tiff16(channels=3):
    """A 2x2 RGB TIFF with 16 bits for each of 3 channels, or of as many as it claims: 8 entries, then their values."""
    bits_at, pixels_at = 8 + 2 + 8 * 12 + 4, 8 + 2 + 8 * 12 + 4 + 6
    entries = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 3, bits_at), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(273, 4, 1, pixels_at), (277, 3, 1, channels), (279, 4, 1, 24)]
    directory = struct.pack("<H", 8) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<HHH", 16, 16, 16) + bytes(range(24))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_decode_gives_back_every_pixel_of_a_lossless_file(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(exact(encoded(COLOUR, kind, **options)), COLOUR)
    grey = exact(encoded(GREY, kind, **options))
    assert np.array_equal(grey, GREY if kind != "WEBP" else np.stack([GREY] * 3, axis=-1))


def test_decode_reads_jpeg_and_the_first_frame_of_a_gif():
    smooth = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)
    assert np.abs(exact(encoded(Image.fromarray(smooth), "JPEG", quality=95)).astype(int) - smooth).max() < 9
    assert exact(encoded(COLOUR, "JPEG")).shape == (9, 7, 3)
    film = encoded(GREY, "GIF", save_all=True, append_images=[Image.fromarray(255 - GREY)])
    assert np.array_equal(exact(film), np.stack([GREY] * 3, axis=-1))


def test_decode_drops_opaque_alpha_and_looks_colours_up_in_the_palette():
    opaque, grey = Image.fromarray(COLOUR), Image.fromarray(GREY)
    opaque.putalpha(255)
    grey.putalpha(255)
    assert (opaque.mode, grey.mode) == ("RGBA", "LA")
    assert np.array_equal(exact(encoded(opaque, "PNG")), COLOUR)
    assert np.array_equal(exact(encoded(grey, "PNG")), GREY)
    few = Image.fromarray(COLOUR).quantize(8)
    assert np.array_equal(exact(encoded(few, "PNG")), np.array(few.convert("RGB")))
    bits = Image.fromarray(GREY > 127)
    assert bits.mode == "1"
    assert np.array_equal(exact(encoded(bits, "PNG")), np.where(GREY > 127, 255, 0))


def test_a_transparent_colour_counts_only_where_it_occurs():
    two = Image.fromarray(np.array([[0, 9]], np.uint8))
    assert exact(encoded(two, "PNG", transparency=5)).tolist() == [[0, 9]]
    with pytest.raises(DataError, match="transparent in places"):
        exact(encoded(two, "PNG", transparency=9))
    few = Image.fromarray(COLOUR).quantize(8)
    with pytest.raises(DataError, match="transparent in places"):
        exact(encoded(few, "PNG", transparency=bytes([128] * 8)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello", "not a known picture format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n", "not a known picture format"),
        (encoded(Image.new("L", (4, 4)), "PPM"), "not a known picture format"),
        (encoded(COLOUR, "PNG")[:90], "truncated"),
        (encoded(COLOUR, "JPEG")[:-99], "truncated"),
        (encoded(Image.new("I;16", (4, 4)), "PNG"), "16-bit"),
        (png(2, 2, 16, 2, rows(noise(2, 2, 3, top=65536))), "16-bit"),
        (png(2, 2, 16, 4, rows(noise(2, 2, 2, top=65536))), "16-bit"),
        (png(2, 2, 16, 6, rows(noise(2, 2, 4, top=65536))), "16-bit"),
        (tiff16(), "16-bit"),
        (encoded(Image.new("F", (4, 4)), "TIFF"), "float instead of 8-bit grey or RGB"),
        (encoded(Image.new("CMYK", (4, 4)), "JPEG"), "CMYK instead of 8-bit grey or RGB"),
        (encoded(Image.new("RGBA", (4, 4), (1, 2, 3, 254)), "PNG"), "transparent in places"),
    ],
)
def test_undecodable_files_have_a_short_reason(data, reason):
    with pytest.raises(DataError) as caught:
        exact(data)
    assert without_fix(str(caught.value)) == reason != str(caught.value)


@pytest.mark.parametrize("side", [8193, 12000, 30000])
def test_a_picture_that_would_exhaust_memory_is_refused_by_its_header(side):
    """Pillow accepts 67 million pixels, warns at 144 million and fails at 900 million."""
    data = bytearray(encoded(Image.new("L", (4, 4)), "BMP"))
    data[18:26] = struct.pack("<ii", side, side)
    with pytest.raises(DataError, match="too many pixels"):
        exact(bytes(data))
