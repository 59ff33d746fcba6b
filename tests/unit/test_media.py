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


def read_gif(path):
    """Frames as RGB arrays, and their durations in ms, as a player would show them."""
    frames, durations = [], []
    with Image.open(path) as film:
        for i in range(film.n_frames):
            film.seek(i)
            frames.append(np.array(film.convert("RGB")))
            durations.append(film.info["duration"])
    return frames, durations


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
    with pytest.raises(ContractError, match="expected a picture"):
        media.write_gif(folder / "a.gif", [array], [20])
    assert list(folder.iterdir()) == []


def test_enlarge_turns_pixels_into_squares():
    picture = np.array([[1, 2]], np.uint8)
    assert media.enlarge(picture, 2).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]
    assert media.enlarge(noise(3, 4, 3), 3).shape == (9, 12, 3)


def test_gif_loops_and_shows_every_grey_frame_for_its_time(folder):
    frames = list(noise(4, 20, 24))
    media.write_gif(folder / "a.gif", iter(frames), [80, 20, 90, 2000])
    shown, durations = read_gif(folder / "a.gif")
    assert durations == [80, 20, 90, 2000]
    with Image.open(folder / "a.gif") as film:
        assert film.info["loop"] == 0
    for frame, seen in zip(frames, shown, strict=True):
        nearest = np.abs(frame[..., None].astype(int) - media.GREYS[:, 0]).min(axis=-1)
        assert np.array_equal(np.abs(frame.astype(int) - seen[..., 0]), nearest)


def local_palettes(gif):
    """For each frame, whether it brings a palette of its own: a walk over the blocks of the format."""
    found, at = [], 13 + 3 * (2 << (gif[10] & 7))
    while gif[at] != ord(";"):
        if gif[at] == ord(","):
            found.append(bool(gif[at + 9] & 128))
            at += 11 + (3 * (2 << (gif[at + 9] & 7)) if found[-1] else 0)
        else:
            at += 2
        while gif[at]:
            at += 1 + gif[at]
        at += 1
    return found


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 3)])
def test_gif_has_one_palette(folder, monkeypatch, shape):
    monkeypatch.setattr(media, "PART_PIXELS", 2 * 20 * 24)
    media.write_gif(folder / "a.gif", list(noise(5, *shape)), [50] * 5)
    assert local_palettes((folder / "a.gif").read_bytes()) == [False] * 5


def test_colour_gif_is_close_to_its_frames_and_does_not_flicker(folder):
    ramp = np.linspace(0, 255, 30).astype(np.uint8)
    still = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], np.uint8(90)), axis=-1)
    frames = [still.copy() for _ in range(3)]
    for i, frame in enumerate(frames):
        frame[:5, :5] = (250, 10 * i, 0)
    media.write_gif(folder / "a.gif", iter(frames), [50] * 3)
    shown, _ = read_gif(folder / "a.gif")
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(frames, shown, strict=True)) <= 24
    assert np.array_equal(shown[0][5:], shown[1][5:])
    assert np.array_equal(shown[1][5:], shown[2][5:])


@pytest.mark.parametrize("per_part", [1, 2, 3, 100])
@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 3)])
def test_film_joined_from_parts_shows_what_one_part_would(folder, monkeypatch, per_part, shape):
    frames = list(noise(7, *shape))
    frames[3] = frames[2]
    durations = [20, 30, 40, 50, 60, 70, 80]
    palette = media.palette_of(frames)
    media.write_gif(folder / "one.gif", frames, durations, palette)
    monkeypatch.setattr(media, "PART_PIXELS", per_part * 20 * 24)
    media.write_gif(folder / "parts.gif", iter(frames), durations, palette)

    def each_10_ms(path):
        shown, times = read_gif(path)
        return np.concatenate([np.repeat(a[None], t // 10, axis=0) for a, t in zip(shown, times, strict=True)])

    assert np.array_equal(each_10_ms(folder / "one.gif"), each_10_ms(folder / "parts.gif"))


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 3)])
@pytest.mark.parametrize("equal", [slice(0, 3), slice(2, 6), slice(0, 6)])
def test_equal_frames_keep_their_time(folder, shape, equal):
    frames = noise(6, *shape)
    frames[equal] = frames[equal.start]
    media.write_gif(folder / "a.gif", frames, [80, 80, 80, 80, 80, 2000])
    assert sum(read_gif(folder / "a.gif")[1]) == 2400


def test_frames_are_drawn_part_by_part(folder, monkeypatch):
    drawn, seen = [], []
    encode = media.encode_gif

    def frames():
        for i in range(10):
            drawn.append(i)
            yield noise(8, 8, seed=i)

    monkeypatch.setattr(media, "PART_PIXELS", 2 * 64)
    monkeypatch.setattr(media, "encode_gif", lambda *args: seen.append(len(drawn)) or encode(*args))
    media.write_gif(folder / "a.gif", frames(), [20] * 10)
    assert seen == [2, 4, 6, 8, 10]


@pytest.mark.parametrize("duration", [25, 10, 0, -20, 655_360])
def test_time_that_gif_or_browsers_cannot_keep_is_refused(folder, duration):
    with pytest.raises(ContractError, match=f"got {duration}"):
        media.write_gif(folder / "a.gif", [noise(8, 8)], [duration])


@pytest.mark.parametrize(
    ("frames", "durations", "words"),
    [
        ([], [], "at least one frame"),
        ([noise(8, 8)], [20, 20], "2 durations given, but 1 frame"),
        ([noise(8, 8)] * 3, [20, 20], "2 durations given, but more frames"),
        ([noise(8, 8), noise(8, 9)], [20, 20], "one shape"),
    ],
)
def test_gif_that_does_not_add_up_leaves_nothing_behind(folder, frames, durations, words):
    with pytest.raises(ContractError, match=words):
        media.write_gif(folder / "a.gif", iter(frames), durations)
    assert list(folder.iterdir()) == []


def test_film_that_fails_halfway_leaves_the_old_one(folder):
    def frames():
        yield noise(8, 8)
        raise RunError("gone")

    (folder / "a.gif").write_bytes(b"old")
    with pytest.raises(RunError, match="gone"):
        media.write_gif(folder / "a.gif", frames(), [20, 20])
    assert (folder / "a.gif").read_bytes() == b"old"
    assert len(list(folder.iterdir())) == 1


def test_colours_outside_the_palette_go_to_the_nearest_in_it(folder):
    palette = np.array([[0, 0, 0], [200, 0, 0]], np.uint8)
    frame = np.zeros((4, 4, 3), np.uint8)
    frame[:2] = (255, 255, 255)
    frame[2:, 2:] = (190, 20, 20)
    media.write_gif(folder / "a.gif", [frame], [20], palette)
    shown = read_gif(folder / "a.gif")[0][0]
    assert {tuple(pixel) for pixel in shown.reshape(-1, 3).tolist()} == {(0, 0, 0), (200, 0, 0)}
    assert shown[3, 3].tolist() == [200, 0, 0]
    assert shown[3, 0].tolist() == [0, 0, 0]


def test_gif_ends_once_and_holds_one_loop_block(folder, monkeypatch):
    monkeypatch.setattr(media, "PART_PIXELS", 1)
    media.write_gif(folder / "a.gif", list(noise(3, 8, 8)), [20] * 3)
    data = (folder / "a.gif").read_bytes()
    assert data.count(b"NETSCAPE2.0") == 1
    assert data.count(b"GIF89a") == 1
    assert data.endswith(b"\x00;")
    with Image.open(io.BytesIO(data)) as film:
        assert film.n_frames == 3


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
