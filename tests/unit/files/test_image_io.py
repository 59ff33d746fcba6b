import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gancli.core.data import resize
from gancli.errors import ContractError, RunError
from gancli.files import image_io


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
    image_io.write_png(folder / "a.png", picture)
    assert np.array_equal(image_io.read_png(folder / "a.png"), picture)
    assert [path.name for path in folder.iterdir()] == ["a.png"]


def test_equal_pictures_give_equal_png_bytes():
    assert image_io.encode_png(noise(8, 8)) == image_io.encode_png(noise(8, 8))


@pytest.mark.parametrize(
    "data", [b"", b"not a picture", image_io.encode_png(noise(64, 64))[:900], image_io.encode_png(noise(64, 64))[:40]]
)
def test_damaged_png_is_refused_by_name_in_one_line(folder, data):
    (folder / "bad.png").write_bytes(data)
    with pytest.raises(RunError, match=r"bad\.png") as caught:
        image_io.read_png(folder / "bad.png")
    assert "\n" not in str(caught.value)


def test_png_with_flipped_bytes_is_refused(folder):
    data = bytearray(image_io.encode_png(noise(64, 64)))
    data[60:70] = bytes(10)
    (folder / "bad.png").write_bytes(data)
    with pytest.raises(RunError, match=r"bad\.png"):
        image_io.read_png(folder / "bad.png")


def test_a_png_that_would_fill_the_memory_is_refused_before_it_is_decoded(folder, monkeypatch):
    monkeypatch.setattr(image_io.iio, "imread", lambda *_, **__: pytest.fail("decoded"))
    data = bytearray(image_io.encode_png(noise(2, 2)))
    data[16:24] = struct.pack(">II", 13_000, 13_000)
    (folder / "bomb.png").write_bytes(data)
    with pytest.raises(RunError, match=r"bomb\.png: 13000x13000"):
        image_io.read_png(folder / "bomb.png")


def test_a_pipe_named_like_a_png_does_not_block(folder):
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(RunError, match=r"pipe\.png: damaged"):
        image_io.read_png(folder / "pipe.png")


def test_missing_png_is_refused_by_name(folder):
    with pytest.raises(RunError, match=r"none\.png: No such file"):
        image_io.read_png(folder / "none.png")


@pytest.mark.parametrize("mode", ["RGBA", "I;16", "1"])
def test_png_of_another_kind_is_refused(folder, mode):
    Image.new(mode, (4, 4)).save(folder / "other.png")
    with pytest.raises(RunError, match="8-bit"):
        image_io.read_png(folder / "other.png")


@pytest.mark.parametrize("array", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)])
def test_an_array_that_is_not_a_picture_is_not_written(folder, array):
    with pytest.raises(ContractError, match="expected a picture"):
        image_io.write_png(folder / "a.png", array)
    assert list(folder.iterdir()) == []


def test_enlarge_turns_pixels_into_squares():
    picture = np.array([[1, 2]], np.uint8)
    assert image_io.enlarge_pixels(picture, 2).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]
    assert image_io.enlarge_pixels(noise(3, 4, 3), 3).shape == (9, 12, 3)


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunk(kind, content, *, last=False):
    """A small PNG with one more chunk, after its header or before its end."""
    data = image_io.encode_png(noise(4, 4))
    at = len(data) - 12 if last else 33
    return data[:at] + png_chunk(kind, content) + data[at:]


TEXTS = {"gancli": '{"command": "gancli sample"}', "Title": "Zür\nich", "Author": "日本 😀", "Empty": "", "NUL": "a\0b"}


def test_text_in_a_png_is_read_back_and_does_not_change_the_pixels(folder):
    image_io.write_png(folder / "a.png", noise(6, 7, 3), TEXTS)
    assert image_io.read_png_text(folder / "a.png") == TEXTS
    assert np.array_equal(image_io.read_png(folder / "a.png"), noise(6, 7, 3))
    with Image.open(folder / "a.png") as image:
        assert image.text == TEXTS
    assert (folder / "a.png").read_bytes() == image_io.encode_png(noise(6, 7, 3), TEXTS)


def test_a_png_without_text_has_the_same_bytes_as_before(folder):
    image_io.write_png(folder / "a.png", noise(6, 7), {})
    assert image_io.read_png_text(folder / "a.png") == {}
    assert image_io.encode_png(noise(6, 7), {}) == image_io.encode_png(noise(6, 7))


def test_a_path_that_is_not_unicode_is_escaped():
    assert b"\\udcff" in image_io.encode_png(noise(2, 2), {"path": "a\udcff"})


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
def test_text_chunks_of_every_kind_are_read_at_any_position(folder, kind, content, last):
    (folder / "a.png").write_bytes(with_chunk(kind, content, last=last))
    assert image_io.read_png_text(folder / "a.png") == {"k": "café"}


def test_text_is_read_without_the_pixels(folder):
    data = bytearray(image_io.encode_png(noise(64, 64), {"k": "v"}))
    at = data.index(b"IDAT") + 20
    data[at : at + 100] = bytes(100)
    (folder / "a.png").write_bytes(data)
    assert image_io.read_png_text(folder / "a.png") == {"k": "v"}


BOMB = zlib.compress(bytes(50_000_000))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a picture",
        image_io.PNG_START,
        image_io.encode_png(noise(64, 64), {"k": "v" * 99})[:80],
        image_io.encode_png(noise(64, 64), {"k": "v"})[:-20],
        with_chunk(b"zTXt", b"k\0\0" + BOMB),
        with_chunk(b"iTXt", b"k\0\1\0\0\0" + BOMB),
        with_chunk(b"zTXt", b"k\0\0" + zlib.compress(noise(99).tobytes())[:-9]),
        with_chunk(b"zTXt", b"k\0\0" + b"junk"),
        with_chunk(b"tEXt", b"k\0" + bytes(image_io.MOST_TEXT)),
        with_chunk(b"tEXt", b"no end"),
        with_chunk(b"iTXt", b"k\0\0\0\0"),
        with_chunk(b"iTXt", b"k\0\0\0\0\0\xff\xfe"),
        with_chunk(b"tEXt", b"k\0v").replace(b"k\0v", b"k\0w"),
    ],
)
def test_text_that_is_damaged_or_would_fill_the_memory_is_refused_by_name_in_one_line(folder, data):
    (folder / "bad.png").write_bytes(data)
    with pytest.raises(RunError, match=r"bad\.png: damaged") as caught:
        image_io.read_png_text(folder / "bad.png")
    assert "\n" not in str(caught.value)


def test_the_size_limit_applies_to_all_texts_together(folder):
    """Each text alone would be small enough."""
    part = bytes(image_io.MOST_TEXT // 2 - 99)
    chunks = [png_chunk(b"zTXt", b"%d\0\0" % i + zlib.compress(part)) for i in range(3)]
    data = image_io.encode_png(noise(4, 4))
    for n, is_read in ((2, True), (3, False)):
        (folder / "a.png").write_bytes(data[:33] + b"".join(chunks[:n]) + data[33:])
        if is_read:
            assert len(image_io.read_png_text(folder / "a.png")) == 2
        else:
            with pytest.raises(RunError, match="damaged"):
                image_io.read_png_text(folder / "a.png")


def test_text_of_a_missing_png_is_refused_by_name(folder):
    with pytest.raises(RunError, match=r"none\.png: No such file"):
        image_io.read_png_text(folder / "none.png")


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_webp_keeps_every_pixel(shape):
    seen = resize.decode_exact(image_io.encode_webp(noise(*shape)))
    assert np.array_equal(seen, noise(*shape) if len(shape) == 3 else np.stack([noise(*shape)] * 3, axis=-1))


@pytest.mark.parametrize("side", [4, 80])
def test_many_pngs_are_written_in_order_and_counted(folder, side):
    pictures = noise(20, side, side)
    items = ((folder / f"{i}.png", picture, {"i": str(i)}) for i, picture in enumerate(pictures))
    for done in image_io.write_pictures(items):
        assert (folder / f"{done - 1}.png").exists()
    assert done == 20
    for i, picture in enumerate(pictures):
        assert (folder / f"{i}.png").read_bytes() == image_io.encode_png(picture, {"i": str(i)})


@pytest.mark.parametrize("side", [4, 80])
def test_many_pictures_are_written_in_the_format_of_their_extension(folder, side):
    picture, names = noise(side, side), ("a.png", "b.webp", "c.WEBP", "d.png")
    assert list(image_io.write_pictures((folder / name, picture, {"k": "v"}) for name in names)) == [1, 2, 3, 4]
    for name in names:
        is_webp = name.lower().endswith("webp")
        expected = image_io.encode_webp(picture) if is_webp else image_io.encode_png(picture, {"k": "v"})
        assert (folder / name).read_bytes() == expected


def test_an_empty_list_of_pngs_writes_nothing(folder):
    assert list(image_io.write_pictures([])) == []


def test_only_a_few_of_many_pngs_are_drawn_ahead(folder, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    drawn = []

    def items():
        for i in range(40):
            drawn.append(i)
            yield folder / f"{i}.png", noise(80, 80), None

    for done in image_io.write_pictures(items()):
        assert len(drawn) <= done + 5
    assert done == 40


def test_a_png_that_cannot_be_written_stops_the_rest(folder):
    items = [(folder / ("none/a.png" if i == 3 else f"{i}.png"), noise(80, 80), None) for i in range(30)]
    with pytest.raises(FileNotFoundError):
        list(image_io.write_pictures(items))
    assert len(list(folder.iterdir())) < 29
