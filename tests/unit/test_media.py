import io

import numpy as np
import pytest
from PIL import Image

from gancli import media
from gancli.errors import ContractError, RunError


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
