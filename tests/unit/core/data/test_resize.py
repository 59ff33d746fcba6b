"""Every mode in every format, compared with known pixels."""

import struct
import subprocess
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from picture_files import Array, FilesInMemory, chunk, encoded, exif, noise, png, rows, tiff
from PIL import Image, ImageCms

from gancli.core.data import decode as picturefile
from gancli.core.data import resize
from gancli.core.data.archive import without_fix
from gancli.core.data.decode import ImageHeader
from gancli.core.data.fast_png import DAMAGED
from gancli.core.data.resize import Transform
from gancli.core.data.source import decode_block
from gancli.errors import DataError

COLOUR, GREY, ALPHA = noise(8, 8, 3), noise(8, 8), noise(8, 8)[::-1].copy()
DEEP = noise(8, 8, top=65536)
IN_COLOUR, IN_GREY = Transform(8, 3), Transform(8, 1)
PALETTE = Image.fromarray(COLOUR).quantize(8)
FEW = np.array(PALETTE.convert("RGB"))


def converted(data: bytes, target: Transform = IN_COLOUR) -> Array:
    return resize.decode_image(data, target)[0]


def luma(colour: Array) -> Array:
    """ITU-R BT.601, as fractions of 65,536, rounded."""
    return ((colour.astype(int) @ [19595, 38470, 7471] + 32768) >> 16).astype(np.uint8)


def over(background: Array, colour: Array, alpha: Array) -> Array:
    share = alpha[..., None] / 255
    return colour * share + background * (1 - share)


def with_alpha(colour: Array) -> Image.Image:
    image = Image.fromarray(colour)
    image.putalpha(Image.fromarray(ALPHA))
    return image


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        *[("TIFF", {"compression": packed}) for packed in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits")],
    ],
)
def test_a_lossless_file_of_the_right_size_keeps_every_pixel(kind: str, options: dict[str, Any]) -> None:
    data = encoded(COLOUR, kind, **options)
    for fit in ("crop", "pad", "stretch"):
        assert np.array_equal(converted(data, Transform(8, 3, fit)), COLOUR)  # type: ignore[arg-type]
    assert np.array_equal(converted(data, IN_GREY)[..., 0], luma(COLOUR))
    grey = encoded(GREY, kind, **options)
    assert np.array_equal(converted(grey, IN_GREY)[..., 0], GREY)
    assert np.array_equal(converted(grey), np.stack([GREY] * 3, axis=2))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_palettes_and_single_bits_become_their_colours(kind: str) -> None:
    assert np.array_equal(converted(encoded(PALETTE, kind)), FEW)
    bits = np.where(GREY > 127, 255, 0)
    assert np.array_equal(converted(encoded(Image.fromarray(GREY > 127), kind), IN_GREY)[..., 0], bits)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_png_with_few_bits_per_pixel_is_scaled_to_0_to_255(depth: int) -> None:
    levels = np.arange(8) % 2**depth
    packed = np.packbits(((levels[:, None] >> np.arange(depth)[::-1]) & 1).astype(np.uint8)).tobytes()
    shown = levels * 255 // (2**depth - 1)
    data = png(8, 8, depth, 0, (b"\0" + packed) * 8)
    assert np.array_equal(converted(data, IN_GREY)[..., 0], np.stack([shown] * 8))
    palette = np.arange(3 * 2**depth, dtype=np.uint8)[::-1]
    data = png(8, 8, depth, 3, (b"\0" + packed) * 8, chunk(b"PLTE", palette.tobytes()))
    assert np.array_equal(converted(data), np.stack([palette.reshape(-1, 3)[levels]] * 8))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_transparent_areas_show_the_background(kind: str) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    data = encoded(with_alpha(COLOUR), kind, **options)
    background = np.array([200, 100, 50])
    expected = over(background, COLOUR, ALPHA)
    assert np.abs(converted(data, Transform(8, 3, background=(200, 100, 50))) - expected).max() <= 0.51
    expected = over(luma(background), luma(COLOUR)[..., None], ALPHA)
    assert np.abs(converted(data, Transform(8, 1, background=(200, 100, 50))) - expected).max() <= 0.51


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_with_alpha_takes_the_background_s_colour(kind: str) -> None:
    data = encoded(with_alpha(GREY), kind)
    expected = over(np.array([255, 0, 90]), np.stack([GREY] * 3, axis=2), ALPHA)
    assert np.abs(converted(data, Transform(8, 3, background=(255, 0, 90))) - expected).max() <= 0.51
    assert np.abs(converted(data, IN_GREY) - over(np.zeros(1), GREY[..., None], ALPHA)).max() <= 0.51


def test_a_palette_can_be_transparent_in_part() -> None:
    alphas = bytes([0, 128, 255])
    data = encoded(PALETTE, "PNG", transparency=alphas)
    alpha = np.array([*alphas, 255, 255, 255, 255, 255])[np.array(PALETTE)]
    assert (
        np.abs(converted(data, Transform(8, 3, background=(9, 8, 7))) - over(np.array([9, 8, 7]), FEW, alpha)).max()
        < 0.51
    )
    hole = encoded(PALETTE, "GIF", transparency=3)
    shown = np.where((np.array(PALETTE) == 3)[..., None], [9, 8, 7], FEW)
    assert np.array_equal(converted(hole, Transform(8, 3, background=(9, 8, 7))), shown)


def test_one_colour_of_a_png_can_be_transparent_at_any_depth() -> None:
    background = Transform(8, 1, background=(77, 77, 77))
    for depth, value, shown in [(1, 1, 255), (2, 1, 85), (4, 15, 255), (8, 200, 200)]:
        packed = {1: 0b01010101, 2: 0b00010001, 4: 0x0F, 8: None}[depth]
        row = bytes([0, 200] * 4) if packed is None else bytes([packed] * depth)
        data = png(8, 8, depth, 0, (b"\0" + row) * 8, chunk(b"tRNS", value.to_bytes(2, "big")))
        assert converted(data, background)[0, :, 0].tolist() == [0, 77] * 4, depth
        opaque = png(8, 8, depth, 0, (b"\0" + row) * 8)
        assert converted(opaque, background)[0, :, 0].tolist() == [0, shown] * 4, depth
    key = COLOUR[2, 3].astype(">u2").tobytes()
    pixels = converted(png(8, 8, 8, 2, rows(COLOUR), chunk(b"tRNS", key)), Transform(8, 3, background=(1, 2, 3)))
    assert pixels[2, 3].tolist() == [1, 2, 3]
    assert (pixels != COLOUR).any(axis=2).sum() == 1


def test_16_bits_become_8_by_the_high_byte() -> None:
    high = (DEEP >> 8).astype(np.uint8)
    assert high.max() > 250 and len(np.unique(high)) > 40
    big = Image.frombytes("I;16B", (8, 8), DEEP.astype(">u2").tobytes())
    for data in (
        encoded(DEEP, "PNG"),
        encoded(DEEP, "TIFF"),
        encoded(DEEP, "TIFF", compression="tiff_lzw"),
        encoded(big, "TIFF"),
        png(8, 8, 16, 0, rows(DEEP)),
    ):
        pixels, header = resize.decode_image(data, IN_GREY)
        assert np.array_equal(pixels[..., 0], high)
        assert (header.mode, header.is_grey) == ("16-bit grey", True)
    grey_alpha = noise(8, 8, 2, top=65536)
    grey_alpha[..., 1] = 65535
    assert np.array_equal(converted(png(8, 8, 16, 4, rows(grey_alpha)), IN_GREY), grey_alpha[..., :1] >> 8)
    colour = noise(8, 8, 3, top=65536)
    pixels, header = resize.decode_image(png(8, 8, 16, 2, rows(colour)), IN_COLOUR)
    assert np.array_equal(pixels, colour >> 8)
    assert header.mode == "16-bit RGB"
    alpha = np.full((8, 8, 1), 65535, np.uint16)
    pixels, header = resize.decode_image(png(8, 8, 16, 6, rows(np.concatenate([colour, alpha], axis=2))), IN_COLOUR)
    assert np.array_equal(pixels, colour >> 8)
    assert header.mode == "16-bit RGBA"


def test_a_16_bit_tiff_whose_white_is_0_is_inverted() -> None:
    data = bytearray(encoded(DEEP, "TIFF"))
    at = data.index((262).to_bytes(2, "little") + b"\x03\0\1\0\0\0")
    assert data[at + 8] == 1
    data[at + 8] = 0
    assert np.array_equal(converted(bytes(data), IN_GREY)[..., 0], 255 - (DEEP >> 8))


def test_12_bits_become_8_by_the_high_byte() -> None:
    entries = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 1, 12), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 98)]
    data = tiff(*entries, (279, 4, 1, 3), pixels=b"\xff\xf8\x01")
    assert converted(data, Transform(2, 1, "stretch"))[0, :, 0].tolist() == [255, 128]


def deep_tiff(*more: tuple[int, int, int, int], samples: int, pixels: bytes, packed: int = 1, planar: int = 1) -> bytes:
    """2x1, 16 bits a sample; with three samples and planar 2, each sample has its own strip."""
    n = 9 + len(more)
    at = 14 + 12 * n  # where bits, offsets and lengths follow
    n_strips, size = (3, len(pixels) // 3) if planar == 2 else (1, len(pixels))
    bits, offsets, lengths = at, at + 8, at + 8 + 4 * n_strips
    start = lengths + 4 * n_strips
    table = struct.pack("<4H", *[16] * 4) + struct.pack(f"<{n_strips}I", *range(start, start + n_strips * size, size))
    entries = [
        (256, 3, 1, 2), (257, 3, 1, 1), (258, 3, samples, bits if samples > 2 else 16 * 65537), (259, 3, 1, packed),
        (262, 3, 1, 2 if samples == 3 else 1), (273, 4, n_strips, offsets if n_strips > 1 else start),
        (277, 3, 1, samples), (279, 4, n_strips, lengths if n_strips > 1 else size), (284, 3, 1, planar), *more,
    ]  # fmt: skip
    return tiff(*entries, pixels=table + struct.pack(f"<{n_strips}I", *[size] * n_strips) + pixels)


@pytest.mark.parametrize("packed", [1, 8])
def test_a_16_bit_colour_tiff_is_scaled_from_the_bits_in_use(packed: int) -> None:
    values = [4095, 256, 255, 16, 15, 0]
    data = struct.pack("<6H", *values)
    data = deep_tiff(samples=3, pixels=zlib.compress(data) if packed == 8 else data, packed=packed)
    for bits in (16, 12, 8):
        pixels, header = resize.decode_image(data, Transform(2, 3, "stretch", bits=bits))
        assert header.bits == 12
        assert pixels[0].ravel().tolist() == [min(value >> bits - 8, 255) for value in values]


def test_signed_numbers_are_refused() -> None:
    """Pillow would clip 16 bits at 255, and read 8 bits as unsigned."""
    data = deep_tiff((339, 3, 1, 2), samples=1, pixels=struct.pack("<2h", 300, -5))
    with pytest.raises(DataError, match=r"^signed 16-bit grey"):
        converted(data, Transform(2, 1, "stretch"))
    assert resize.read_image_header(data).mode == "signed 16-bit grey"
    entries = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 110)]
    with pytest.raises(DataError, match=r"^signed grey instead of"):
        converted(tiff(*entries, (279, 4, 1, 2), (339, 3, 1, 2), pixels=b"\x05\xfb"), Transform(2, 1, "stretch"))


def test_16_bits_in_planes_are_refused_unless_they_are_read_right() -> None:
    """Pillow reads uncompressed 16-bit planes as 8 bits; compressed ones go through libtiff, which is correct."""
    planes = [struct.pack("<2H", *(value << 8 for value in pair)) for pair in ((10, 20), (30, 40), (50, 60))]
    with pytest.raises(DataError, match=r"^unsupported pixel layout"):
        converted(deep_tiff(samples=3, pixels=b"".join(planes), planar=2), Transform(2, 3, "stretch"))
    packed = b"".join(map(zlib.compress, planes))
    pixels = converted(deep_tiff(samples=3, pixels=packed, packed=8, planar=2), Transform(2, 3, "stretch"))
    assert pixels[0].tolist() == [[10, 30, 50], [20, 40, 60]]
    mixed = b"".join(plane[at : at + 2] for at in (0, 2) for plane in planes)
    pixels = converted(deep_tiff(samples=3, pixels=mixed), Transform(2, 3, "stretch"))
    assert pixels[0].tolist() == [[10, 30, 50], [20, 40, 60]]


def test_16_bit_grey_with_alpha_in_a_tiff_is_not_damage() -> None:
    with pytest.raises(DataError, match=r"^unsupported pixel layout"):
        converted(deep_tiff((338, 3, 1, 2), samples=2, pixels=bytes(8)), Transform(2, 1, "stretch"))


def test_jpegs_of_all_modes_show_their_colours() -> None:
    flat = Image.new("RGB", (8, 8), (200, 60, 30))
    assert np.abs(converted(encoded(flat, "JPEG", quality=95)) - np.array([200, 60, 30.0])).max() <= 2
    assert np.abs(converted(encoded(Image.new("L", (8, 8), 90), "JPEG"), IN_GREY) - 90.0).max() <= 1
    assert converted(encoded(flat, "JPEG", progressive=True)).shape == (8, 8, 3)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_converted_as_ink_on_white(kind: str) -> None:
    """(255 - ink) (255 - black) / 255; in a JPEG, Adobe's inverted values, which Pillow also writes and marks."""
    data = encoded(Image.new("CMYK", (8, 8), (0, 255, 128, 51)), kind)
    assert kind != "JPEG" or b"Adobe" in data
    pixels, header = resize.decode_image(data, IN_COLOUR)
    assert np.abs(pixels - np.array([204, 0, 127 * 204 / 255])).max() <= 2
    assert header.mode == "CMYK"


def test_webp_of_every_kind_is_read() -> None:
    flat = Image.new("RGBA", (8, 8), (200, 60, 30, 255))
    assert np.abs(converted(encoded(flat.convert("RGB"), "WEBP")) - np.array([200, 60, 30.0])).max() <= 6
    clear = Image.new("RGBA", (8, 8), (200, 60, 30, 0))
    pixels, header = resize.decode_image(encoded(clear, "WEBP"), Transform(8, 3, background=(5, 6, 7)))
    assert (pixels == [5, 6, 7]).all()
    assert header == ImageHeader("WebP", 8, 8, "RGBA", is_grey=False, has_alpha=True)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_several_is_used(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    frames = [Image.fromarray(255 - GREY), Image.fromarray(GREY[::-1])]
    data = encoded(GREY, kind, save_all=True, append_images=frames, **options)
    pixels, header = resize.decode_image(data, IN_GREY)
    assert np.array_equal(pixels[..., 0], GREY)
    assert header.has_more_frames
    assert not resize.read_image_header(encoded(GREY, kind, **options)).has_more_frames


TURNED = {  # Exif 2.3, tag 274: the sides of the visible picture that the stored row 0 and column 0 are
    1: lambda shown: shown,
    2: lambda shown: shown[:, ::-1],
    3: lambda shown: shown[::-1, ::-1],
    4: lambda shown: shown[::-1],
    5: lambda shown: shown.swapaxes(0, 1),
    6: lambda shown: shown.swapaxes(0, 1)[::-1],
    7: lambda shown: shown[::-1, ::-1].swapaxes(0, 1),
    8: lambda shown: shown.swapaxes(0, 1)[:, ::-1],
}


@pytest.mark.parametrize("turn", TURNED)
def test_a_picture_is_rotated_upright(turn: int) -> None:
    """A tag names the sides of the visible picture that row 0 and column 0 are: 1 top left, 6 right top, 8 left bottom.

    So a file with 6 was stored by turning the picture a quarter to the left, and so on.
    """
    shown = noise(6, 4, 3)
    stored = np.ascontiguousarray(TURNED[turn](shown))
    window = shown[1:5]
    for kind in ("PNG", "TIFF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        pixels, header = resize.decode_image(encoded(stored, kind, exif=exif(turn), **options), Transform(4, 3))
        assert np.array_equal(pixels, window), kind
        assert (header.width, header.height, header.is_oriented) == (4, 6, turn > 1), kind
    halves = np.zeros((16, 8), np.uint8)
    halves[:8] = 255
    jpeg = encoded(np.ascontiguousarray(TURNED[turn](halves)), "JPEG", exif=exif(turn))
    pixels, header = resize.decode_image(jpeg, Transform(16, 1, "stretch"))
    assert pixels[:6].min() > 250 and pixels[-6:].max() < 5
    assert (header.width, header.height) == (8, 16)


@pytest.mark.parametrize("bad", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", exif(9), exif(0), b"\xff" * 40])
def test_exif_without_orientation_changes_nothing(bad: bytes) -> None:
    pixels, header = resize.decode_image(png(8, 8, 8, 2, rows(COLOUR), chunk(b"eXIf", bad)), IN_COLOUR)
    assert np.array_equal(pixels, COLOUR)
    assert not header.is_oriented


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_colour_profile_changes_nothing_but_is_reported(kind: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    with_it, without = (encoded(COLOUR, kind, **options) for options in ({"icc_profile": profile}, {}))
    assert np.array_equal(converted(with_it), converted(without))
    assert resize.read_image_header(with_it).has_profile
    assert not resize.read_image_header(without).has_profile


def test_a_header_says_what_a_file_is() -> None:
    assert resize.read_image_header(encoded(noise(3, 5), "PNG")) == ImageHeader("PNG", 5, 3, "grey", is_grey=True)
    assert resize.read_image_header(encoded(COLOUR, "JPEG")) == ImageHeader("JPEG", 8, 8, "RGB", is_grey=False)
    assert resize.read_image_header(encoded(PALETTE, "BMP")) == ImageHeader("BMP", 8, 8, "palette", is_grey=False)
    assert resize.read_image_header(encoded(GREY, "GIF")) == ImageHeader("GIF", 8, 8, "palette", is_grey=True)
    assert resize.read_image_header(encoded(with_alpha(GREY), "PNG")) == ImageHeader(
        "PNG", 8, 8, "grey+alpha", True, has_alpha=True
    )
    greys = chunk(b"PLTE", bytes([0, 0, 0, 9, 9, 9]))
    assert resize.read_image_header(png(1, 1, 8, 3, b"\0\1", greys)) == ImageHeader(
        "PNG", 1, 1, "palette", is_grey=True
    )
    assert resize.read_image_header(encoded(GREY > 127, "PNG")) == ImageHeader("PNG", 8, 8, "1-bit", is_grey=True)


@pytest.mark.parametrize(("height", "width"), [(8, 13), (13, 8), (8, 9), (9, 8)])
def test_crop_takes_the_middle_square_and_no_pixel_changes(height: int, width: int) -> None:
    picture = noise(height, width, 3)
    top, left = (height - 8) // 2, (width - 8) // 2
    expected = picture[top : top + 8, left : left + 8]
    assert np.array_equal(converted(encoded(picture, "PNG"), Transform(8, 3, "crop")), expected)
    assert np.array_equal(resize.decode_image(picture, Transform(8, 3, "crop"))[0], expected)


def test_pad_shows_the_whole_picture_on_the_background() -> None:
    picture = noise(8, 5, 3)
    pixels = converted(encoded(picture, "PNG"), Transform(8, 3, "pad", (1, 2, 3)))
    assert np.array_equal(pixels[:, 1:6], picture)
    assert (pixels[:, [0, 6, 7]] == [1, 2, 3]).all()
    wide = converted(encoded(np.full((10, 40), 255, np.uint8), "PNG"), Transform(16, 1, "pad", (90, 90, 90)))
    assert (wide[6:10] == 255).all()
    assert (wide[:6] == 90).all() and (wide[10:] == 90).all()
    line = converted(encoded(np.full((1, 500), 255, np.uint8), "PNG"), Transform(16, 1, "pad"))
    assert (line[7] == 255).all() and (np.delete(line, 7, axis=0) == 0).all()


def test_stretch_uses_every_pixel() -> None:
    halves = np.zeros((4, 32), np.uint8)
    halves[:, 16:] = 255
    pixels = converted(encoded(halves, "PNG"), Transform(8, 1, "stretch"))[..., 0]
    assert (pixels[:, :3] < 12).all() and (pixels[:, 5:] > 243).all()
    assert (pixels == pixels[0]).all()
    cropped = converted(
        encoded(np.repeat([[0, 255, 0]], 4, axis=0).repeat(4, axis=1).astype(np.uint8), "PNG"), Transform(4, 1)
    )
    assert (cropped == 255).all()


def test_shrinking_is_antialiased_and_flat_areas_stay_flat() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    pixels = converted(encoded(stripes, "PNG"), Transform(8, 1))
    assert np.abs(pixels - 127.5).max() < 8
    assert (converted(encoded(np.full((37, 37), 91, np.uint8), "PNG"), Transform(16, 1)) == 91).all()


def test_arrays_are_fitted_as_files_are() -> None:
    for target in (Transform(16, 3, "pad", (3, 2, 1)), Transform(16, 1, "crop"), Transform(12, 3, "stretch")):
        for picture in (noise(20, 30, 3), noise(20, 30)):
            array = picture.reshape(20, 30, -1)
            assert np.array_equal(resize.decode_image(array, target)[0], converted(encoded(picture, "PNG"), target))
    assert resize.decode_image(GREY[..., None], IN_GREY)[0].tobytes() == GREY.tobytes()


def test_interlaced_and_split_png_files_are_read() -> None:
    whole = encoded(COLOUR, "PNG")
    at = whole.index(b"IDAT") - 4
    n_bytes = int.from_bytes(whole[at : at + 4], "big")
    packed = whole[at + 8 : at + 8 + n_bytes]
    parts = [chunk(b"IDAT", packed[:20]), chunk(b"IDAT", b""), chunk(b"IDAT", packed[20:])]
    assert np.array_equal(converted(whole[:at] + b"".join(parts) + chunk(b"IEND", b"")), COLOUR)
    steps = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    passes = b"".join(rows(COLOUR[top::down, left::right]) for top, left, down, right in steps)
    assert np.array_equal(converted(png(8, 8, 8, 2, passes, is_interlaced=True)), COLOUR)
    assert converted(png(1, 3, 1, 0, b"\0\x80\0\0\0\0", is_interlaced=True), Transform(3, 1, "stretch")).max() == 255


def test_a_wrong_checksum_is_damage() -> None:
    data = bytearray(encoded(COLOUR, "PNG"))
    data[data.index(b"IDAT") + 60] ^= 1
    with pytest.raises(DataError, match=f"^{DAMAGED}$"):
        converted(bytes(data))
    data = bytearray(encoded(PALETTE, "PNG"))
    data[data.index(b"PLTE") + 5] ^= 1
    with pytest.raises(DataError, match=f"^{DAMAGED}$"):
        converted(bytes(data))


@pytest.mark.parametrize("target", [IN_COLOUR, Transform(8, 1), Transform(4, 3)])
def test_a_compressed_stream_without_an_end_is_damage(target: Transform) -> None:
    """All bytes are present, but the checksum after them is missing."""
    packed = zlib.compress(rows(COLOUR.reshape(8, 24)))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    for end, is_whole in ((len(packed), True), (-4, False)):
        parts = [chunk(b"IHDR", header), chunk(b"IDAT", packed[:end]), chunk(b"IEND", b"")]
        data = b"\x89PNG\r\n\x1a\n" + b"".join(parts)
        if is_whole:
            assert resize.decode_image(data, target)[1] == resize.read_image_header(data)
            continue
        with pytest.raises(DataError, match=f"^{DAMAGED}$"):
            resize.decode_image(data, target)
        found = decode_block(FilesInMemory({"a.png": data}), range(1), target)
        assert found.faults == [(0, DAMAGED)]


def test_an_index_outside_the_palette_is_damage() -> None:
    with pytest.raises(DataError, match=f"^{DAMAGED}$"):
        converted(png(1, 1, 8, 3, b"\0\2", chunk(b"PLTE", bytes(6))))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello", "not a known picture format"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "not a known picture format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n", "not a known picture format"),
        (encoded(COLOUR, "PNG")[:90], "truncated"),
        (encoded(COLOUR, "PNG")[:-13], "truncated"),
        (encoded(COLOUR, "JPEG")[:-99], "truncated"),
        (encoded(COLOUR, "WEBP", lossless=True)[:-9], "truncated"),
        (encoded(COLOUR, "BMP")[:-9], "truncated"),
        (encoded(Image.new("F", (4, 4)), "TIFF"), "float instead of 8-bit or 16-bit grey or RGB"),
        (encoded(Image.new("I", (4, 4)), "TIFF"), "signed 32-bit instead of 8-bit or 16-bit grey or RGB"),
        (png(1, 1, 16, 0, b"\0\0\0", chunk(b"tRNS", b"\0\0")), "16-bit with a transparent colour"),
        (png(0, 1, 8, 0, b"\0"), "damaged"),
        (png(1, 1, 3, 0, b"\0\0"), "damaged"),
        (png(1, 1, 8, 3, b"\0\0"), "damaged"),
        (png(1, 2, 8, 0, b"\0\0"), "truncated"),
        (png(1, 2, 8, 0, b"\0\0\0\0\0"), "damaged"),
        (png(1, 2, 8, 0, b"\0\0\5\0"), "damaged"),
    ],
)
def test_unusable_files_have_a_short_reason(data: bytes, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        converted(data)
    assert without_fix(str(caught.value)) == reason != str(caught.value)
    if "instead of" in reason:
        assert resize.read_image_header(data).mode in reason


def test_decoding_imports_no_torch_and_keeps_pillow_s_limits() -> None:
    code = (
        "import sys, PIL.Image, PIL.ImageFile; most = PIL.Image.MAX_IMAGE_PIXELS; import gancli.core.data.resize;"
        "print('torch' in sys.modules, 'imageio' in sys.modules, most == PIL.Image.MAX_IMAGE_PIXELS,"
        " PIL.ImageFile.LOAD_TRUNCATED_IMAGES)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True", "False"]
    assert picturefile.MOST_PIXELS == 1 << 26


def test_a_jpeg_of_very_many_scans_is_damaged_but_what_follows_its_end_does_not_count() -> None:
    """Each scan of a progressive file is a pass over all its pixels, and costs a few bytes."""
    whole = encoded(COLOUR, "JPEG", progressive=True)
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    assert converted(whole[:-2] + scan * 50 + whole[-2:]).shape == (8, 8, 3)
    with pytest.raises(DataError, match=f"^{DAMAGED}$"):
        converted(whole[:-2] + scan * 5000 + whole[-2:])
    with pytest.raises(DataError, match=f"^{DAMAGED}$"):
        converted(whole[:-2] + (b"\xff\x01" + scan) * 5000 + whole[-2:])
    assert np.array_equal(converted(whole + scan * 5000), converted(whole)), "a film may be appended to a photograph"


def test_pixels_of_many_bytes_have_a_lower_size_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picturefile, "MOST_BYTES", 8 * 8 * 4)
    assert converted(encoded(with_alpha(COLOUR), "PNG")).shape == (8, 8, 3)
    with pytest.raises(DataError, match=r"^too many pixels"):
        converted(png(8, 8, 16, 2, rows(noise(8, 24, top=65536))))


def test_too_little_memory_is_not_called_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", load)
    with pytest.raises(MemoryError):
        converted(encoded(COLOUR, "JPEG"))


def test_a_picture_of_another_size_is_resized_by_lanczos() -> None:
    """A step of 16 pixels made 8, so the kernel L(x) = sinc(x) sinc(x/3) is twice as wide: an input pixel d away has
    the weight L(d/2) / 2. Beyond the edge, with L(3/4, 5/4, ...) / 2 = 0.1355, -0.0666, -0.0340, 0.0151, 0.0037:
    the pixel before it is 64 + 128 (0.0537) = 71, the next 64 + 128 (-0.0153) = 62, then 64 + 128 (0.0037) = 64."""
    step = np.repeat(np.array([[64] * 8 + [192] * 8], np.uint8), 16, axis=0)
    assert converted(encoded(step, "PNG"), IN_GREY)[..., 0].tolist() == [[64, 64, 62, 71, 185, 194, 192, 192]] * 8
