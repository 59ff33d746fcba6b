import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from gancli import media
from gancli.errors import ContractError, DataError, RunError


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (4, 3), (2, 2, 3), (1, 1)])
def test_png_round_trip_keeps_every_pixel(folder, shape):
    picture = noise(*shape)
    media.write_png(folder / "a.png", picture)
    assert np.array_equal(media.read_png(folder / "a.png"), picture)
    assert [path.name for path in folder.iterdir()] == ["a.png"]


def test_equal_pictures_give_equal_png_bytes():
    assert media.encode_png(noise(8, 8)) == media.encode_png(noise(8, 8))


@pytest.mark.parametrize(
    "data", [b"", b"not a picture", media.encode_png(noise(64, 64))[:900], media.encode_png(noise(64, 64))[:40]]
)
def test_damaged_png_is_refused_by_name_in_one_line(folder, data):
    (folder / "bad.png").write_bytes(data)
    with pytest.raises(RunError, match=r"bad\.png") as caught:
        media.read_png(folder / "bad.png")
    assert "\n" not in str(caught.value)


def test_png_with_flipped_bytes_is_refused(folder):
    data = bytearray(media.encode_png(noise(64, 64)))
    data[60:70] = bytes(10)
    (folder / "bad.png").write_bytes(data)
    with pytest.raises(RunError, match=r"bad\.png"):
        media.read_png(folder / "bad.png")


def test_missing_png_is_refused_by_name(folder):
    with pytest.raises(RunError, match=r"none\.png: No such file"):
        media.read_png(folder / "none.png")


@pytest.mark.parametrize("mode", ["RGBA", "I;16", "1"])
def test_png_of_another_kind_is_refused(folder, mode):
    Image.new(mode, (4, 4)).save(folder / "other.png")
    with pytest.raises(RunError, match="neither 8-bit grey nor 8-bit RGB"):
        media.read_png(folder / "other.png")


@pytest.mark.parametrize("array", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)])
def test_what_is_not_a_picture_is_not_written(folder, array):
    with pytest.raises(ContractError, match="expected a picture"):
        media.write_png(folder / "a.png", array)
    assert list(folder.iterdir()) == []


def test_enlarge_turns_pixels_into_squares():
    picture = np.array([[1, 2]], np.uint8)
    assert media.enlarge(picture, 2).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]
    assert media.enlarge(noise(3, 4, 3), 3).shape == (9, 12, 3)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png16(colour_type, channels):
    """A 2x2 PNG with 16 bits per channel, which Pillow cannot write but opens, in colour, as if it had 8."""

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    rows = 2 * (b"\0" + bytes(range(4 * channels)))
    header = struct.pack(">IIBBBBB", 2, 2, 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff16(channels=3):
    """A 2x2 RGB TIFF with 16 bits for each of 3 channels, or of as many as it claims: 8 entries, then their values."""
    bits_at, pixels_at = 8 + 2 + 8 * 12 + 4, 8 + 2 + 8 * 12 + 4 + 6
    entries = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 3, bits_at), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(273, 4, 1, pixels_at), (277, 3, 1, channels), (279, 4, 1, 24)]
    directory = struct.pack("<H", 8) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<HHH", 16, 16, 16) + bytes(range(24))


GREY, COLOUR = noise(9, 7), noise(9, 7, 3)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_decode_gives_back_every_pixel_of_a_lossless_file(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(media.decode(encoded(Image.fromarray(COLOUR), kind, **options)), COLOUR)
    grey = media.decode(encoded(Image.fromarray(GREY), kind, **options))
    assert np.array_equal(grey, GREY if kind != "WEBP" else np.stack([GREY] * 3, axis=-1))


def test_decode_reads_jpeg_and_the_first_frame_of_a_gif():
    smooth = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)
    assert np.abs(media.decode(encoded(Image.fromarray(smooth), "JPEG", quality=95)).astype(int) - smooth).max() < 9
    assert media.decode(encoded(Image.fromarray(COLOUR), "JPEG")).shape == (9, 7, 3)
    film = encoded(Image.fromarray(GREY), "GIF", save_all=True, append_images=[Image.fromarray(255 - GREY)])
    assert np.array_equal(media.decode(film), np.stack([GREY] * 3, axis=-1))


def test_decode_drops_opaque_alpha_and_looks_colours_up_in_the_palette():
    opaque, grey = Image.fromarray(COLOUR), Image.fromarray(GREY)
    opaque.putalpha(255)
    grey.putalpha(255)
    assert (opaque.mode, grey.mode) == ("RGBA", "LA")
    assert np.array_equal(media.decode(encoded(opaque, "PNG")), COLOUR)
    assert np.array_equal(media.decode(encoded(grey, "PNG")), GREY)
    few = Image.fromarray(COLOUR).quantize(8)
    assert np.array_equal(media.decode(encoded(few, "PNG")), np.array(few.convert("RGB")))
    bits = Image.fromarray(GREY > 127)
    assert bits.mode == "1"
    assert np.array_equal(media.decode(encoded(bits, "PNG")), np.where(GREY > 127, 255, 0))


def test_a_transparent_colour_counts_only_where_it_occurs():
    two = Image.fromarray(np.array([[0, 9]], np.uint8))
    assert media.decode(encoded(two, "PNG", transparency=5)).tolist() == [[0, 9]]
    with pytest.raises(DataError, match="transparent in places"):
        media.decode(encoded(two, "PNG", transparency=9))
    few = Image.fromarray(COLOUR).quantize(8)
    with pytest.raises(DataError, match="transparent in places"):
        media.decode(encoded(few, "PNG", transparency=bytes([128] * 8)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n", "not a picture"),
        (encoded(Image.new("L", (4, 4)), "PPM"), "not a picture"),
        (encoded(Image.fromarray(COLOUR), "PNG")[:90], "truncated"),
        (encoded(Image.fromarray(COLOUR), "JPEG")[:-99], "truncated"),
        (encoded(Image.new("I;16", (4, 4)), "PNG"), "16-bit"),
        (png16(2, 3), "16-bit"),
        (png16(4, 2), "16-bit"),
        (png16(6, 4), "16-bit"),
        (tiff16(), "16-bit"),
        (encoded(Image.new("F", (4, 4)), "TIFF"), "float instead of 8-bit grey or RGB"),
        (encoded(Image.new("CMYK", (4, 4)), "JPEG"), "CMYK instead of 8-bit grey or RGB"),
        (encoded(Image.new("RGBA", (4, 4), (1, 2, 3, 254)), "PNG"), "transparent in places"),
    ],
)
def test_what_decode_cannot_use_has_a_short_reason(data, reason):
    with pytest.raises(DataError) as caught:
        media.decode(data)
    assert str(caught.value) == reason


@pytest.mark.parametrize("side", [8193, 12000, 30000])
def test_a_picture_that_would_fill_the_memory_is_refused_by_its_header(side):
    """Between Pillow's silence, its warning and its error: 67, 144 and 900 million pixels."""
    data = bytearray(encoded(Image.new("L", (4, 4)), "BMP"))
    data[18:26] = struct.pack("<ii", side, side)
    with pytest.raises(DataError, match="too many pixels"):
        media.decode(bytes(data))


@pytest.mark.parametrize("kind", media.DECODED)
def test_decode_answers_every_damage_with_a_picture_or_a_reason(kind):
    draw, refused = np.random.default_rng(1), 0
    whole = encoded(Image.fromarray(COLOUR), kind)
    for _ in range(100):
        data = bytearray(whole)
        for at in draw.integers(0, len(data), 3):
            data[at] = draw.integers(256)
        try:
            picture = media.decode(bytes(data[: draw.integers(len(data) // 2, len(data) + 1)]))
            assert picture.dtype == np.uint8 and picture.ndim in (2, 3)
        except DataError as err:
            assert 0 < len(str(err)) < 40
            refused += 1
    assert refused > 20


def test_decode_says_nothing_of_damaged_files_but_its_reason():
    code = "import sys; from gancli import media; media.decode(sys.stdin.buffer.read())"
    done = subprocess.run([sys.executable, "-c", code], input=tiff16(channels=99), capture_output=True)
    first, *_, last = done.stderr.decode().splitlines()
    assert first.startswith("Traceback"), "nothing is written before the error"
    assert last == "gancli.errors.DataError: not a picture"


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunk(kind, content, *, last=False):
    """A small PNG with one more chunk, behind its header or before its end."""
    data = media.encode_png(noise(4, 4))
    at = len(data) - 12 if last else 33
    return data[:at] + png_chunk(kind, content) + data[at:]


TEXTS = {"gancli": '{"command": "gancli sample"}', "Title": "Zür\nich", "Author": "日本 😀", "Empty": "", "NUL": "a\0b"}


def test_text_in_a_png_comes_back_and_leaves_the_pixels_alone(folder):
    media.write_png(folder / "a.png", noise(6, 7, 3), TEXTS)
    assert media.read_png_text(folder / "a.png") == TEXTS
    assert np.array_equal(media.read_png(folder / "a.png"), noise(6, 7, 3))
    with Image.open(folder / "a.png") as image:
        assert image.text == TEXTS
    assert (folder / "a.png").read_bytes() == media.encode_png(noise(6, 7, 3), TEXTS)


def test_a_png_without_text_has_none_and_the_same_bytes_as_ever(folder):
    media.write_png(folder / "a.png", noise(6, 7), {})
    assert media.read_png_text(folder / "a.png") == {}
    assert media.encode_png(noise(6, 7), {}) == media.encode_png(noise(6, 7))


def test_a_path_that_is_not_unicode_is_written_out():
    assert b"\\udcff" in media.encode_png(noise(2, 2), {"path": "a\udcff"})


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"tEXt", b"k\0caf\xe9"),
        (b"zTXt", b"k\0\0" + zlib.compress(b"caf\xe9")),
        (b"iTXt", b"k\0\0\0en\0k\0" + "café".encode()),
        (b"iTXt", b"k\0\1\0\0\0" + zlib.compress("café".encode())),
    ],
)
def test_text_of_every_kind_is_read_wherever_it_stands(folder, kind, content, last):
    (folder / "a.png").write_bytes(with_chunk(kind, content, last=last))
    assert media.read_png_text(folder / "a.png") == {"k": "café"}


def test_text_is_read_without_the_pixels(folder):
    data = bytearray(media.encode_png(noise(64, 64), {"k": "v"}))
    at = data.index(b"IDAT") + 20
    data[at : at + 100] = bytes(100)
    (folder / "a.png").write_bytes(data)
    assert media.read_png_text(folder / "a.png") == {"k": "v"}


BOMB = zlib.compress(bytes(50_000_000))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a picture",
        media.PNG_START,
        media.encode_png(noise(64, 64), {"k": "v" * 99})[:80],
        media.encode_png(noise(64, 64), {"k": "v"})[:-20],
        with_chunk(b"zTXt", b"k\0\0" + BOMB),
        with_chunk(b"iTXt", b"k\0\1\0\0\0" + BOMB),
        with_chunk(b"zTXt", b"k\0\0" + zlib.compress(noise(99).tobytes())[:-9]),
        with_chunk(b"zTXt", b"k\0\0" + b"junk"),
        with_chunk(b"tEXt", b"k\0" + bytes(media.MOST_TEXT)),
        with_chunk(b"tEXt", b"no end"),
        with_chunk(b"iTXt", b"k\0\0\0\0"),
        with_chunk(b"iTXt", b"k\0\0\0\0\0\xff\xfe"),
        with_chunk(b"tEXt", b"k\0v").replace(b"k\0v", b"k\0w"),
    ],
)
def test_text_that_is_damaged_or_would_fill_the_memory_is_refused_by_name_in_one_line(folder, data):
    (folder / "bad.png").write_bytes(data)
    with pytest.raises(RunError, match=r"bad\.png: damaged or not a PNG") as caught:
        media.read_png_text(folder / "bad.png")
    assert "\n" not in str(caught.value)


def test_text_of_a_missing_png_is_refused_by_name(folder):
    with pytest.raises(RunError, match=r"none\.png: No such file"):
        media.read_png_text(folder / "none.png")


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_webp_keeps_every_pixel(shape):
    seen = media.decode(media.encode_webp(noise(*shape)))
    assert np.array_equal(seen, noise(*shape) if len(shape) == 3 else np.stack([noise(*shape)] * 3, axis=-1))


@pytest.mark.parametrize("side", [4, 80])
def test_many_pngs_are_written_in_order_and_counted(folder, side):
    pictures = noise(20, side, side)
    items = ((folder / f"{i}.png", picture, {"i": str(i)}) for i, picture in enumerate(pictures))
    for done in media.write_pngs(items):
        assert (folder / f"{done - 1}.png").exists()
    assert done == 20
    for i, picture in enumerate(pictures):
        assert (folder / f"{i}.png").read_bytes() == media.encode_png(picture, {"i": str(i)})


def test_no_pngs_are_none(folder):
    assert list(media.write_pngs([])) == []


def test_only_a_few_of_many_pngs_are_drawn_ahead(folder, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    drawn = []

    def items():
        for i in range(40):
            drawn.append(i)
            yield folder / f"{i}.png", noise(80, 80), None

    for done in media.write_pngs(items()):
        assert len(drawn) <= done + 5
    assert done == 40


def test_a_png_that_cannot_be_written_stops_the_rest(folder):
    items = [(folder / ("none/a.png" if i == 3 else f"{i}.png"), noise(80, 80), None) for i in range(30)]
    with pytest.raises(FileNotFoundError):
        list(media.write_pngs(items))
    assert len(list(folder.iterdir())) < 29
