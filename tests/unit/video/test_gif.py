import io

import numpy as np
import pytest
from PIL import Image

from gancli.video import gif


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def written(frames, durations_ms, palette=None):
    file = io.BytesIO()
    gif.write_gif(file, iter(frames), durations_ms, palette)
    return file.getvalue()


def shown(data):
    """Frames as RGB arrays, and their durations in ms, as a player would show them."""
    frames, durations = [], []
    with Image.open(io.BytesIO(data)) as film:
        for i in range(film.n_frames):
            film.seek(i)
            frames.append(np.array(film.convert("RGB")))
            durations.append(film.info["duration"])
    return frames, durations


def test_gif_loops_and_shows_every_grey_frame_for_its_time():
    frames = list(noise(4, 20, 24))
    data = written(frames, [80, 20, 90, 2000])
    seen, durations = shown(data)
    assert durations == [80, 20, 90, 2000]
    with Image.open(io.BytesIO(data)) as film:
        assert film.info["loop"] == 0
    for frame, colours in zip(frames, seen, strict=True):
        nearest = np.abs(frame[..., None].astype(int) - gif.GREYS[:, 0]).min(axis=-1)
        assert np.array_equal(np.abs(frame.astype(int) - colours[..., 0]), nearest)


def blocks(data):
    """(flags, x, y, width, height) of each frame: read from the blocks of the format.

    Flags 0 mean no local palette, and rows in order, which makes smaller files.
    """
    found, at = [], 13 + 3 * (2 << (data[10] & 7))
    while data[at] != ord(";"):
        if data[at] == ord(","):
            box = np.frombuffer(data, "<u2", 4, at + 1)
            found.append((data[at + 9], *box.tolist()))
            at += 11
        else:
            at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    assert at == len(data) - 1
    return found


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 3)])
def test_gif_has_one_palette_one_loop_block_and_one_end(shape):
    data = written(noise(5, *shape), [50] * 5)
    assert blocks(data) == [(0, 0, 0, 24, 20)] * 5
    assert data.count(b"NETSCAPE2.0") == 1
    assert data.count(b"GIF89a") == 1


def test_a_frame_holds_only_what_changed():
    frames = np.zeros((3, 20, 24), np.uint8)
    frames[1:, 5:9, 7:20] = 255
    frames[2, 19, 23] = 255
    data = written(frames, [50] * 3)
    assert blocks(data) == [(0, 0, 0, 24, 20), (0, 7, 5, 13, 4), (0, 23, 19, 1, 1)]
    assert np.array_equal(np.stack(shown(data)[0])[..., 0], frames)


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 3), (1, 1), (1, 2, 3)])
@pytest.mark.parametrize("equal", [slice(0, 1), slice(0, 3), slice(2, 6), slice(0, 6)])
def test_equal_frames_are_all_kept_each_with_its_own_time(shape, equal):
    frames = noise(6, *shape)
    frames[equal] = frames[equal.start]
    durations = [80, 20, 30, 40, 50, 2000]
    data = written(frames, durations)
    assert shown(data)[1] == durations
    assert len(blocks(data)) == 6
    for a, b in zip(frames, shown(data)[0], strict=True):
        assert np.array_equal(b, gif.build_palette(frames)[gif.NearestColour(gif.build_palette(frames))(a)])


def test_colour_gif_is_close_to_its_frames_and_does_not_flicker():
    ramp = np.linspace(0, 255, 30).astype(np.uint8)
    still = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], np.uint8(90)), axis=-1)
    frames = [still.copy() for _ in range(3)]
    for i, frame in enumerate(frames):
        frame[:5, :5] = (250, 10 * i, 0)
    seen, _ = shown(written(frames, [50] * 3))
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(frames, seen, strict=True)) <= 24
    assert np.array_equal(seen[0][5:], seen[1][5:])
    assert np.array_equal(seen[1][5:], seen[2][5:])


def test_grey_is_not_dithered():
    flat = np.full((32, 32), 100, np.uint8)
    assert len(np.unique(shown(written([flat], [20]))[0][0])) == 1
    colour = np.repeat(flat[..., None], 3, axis=2)
    assert len(np.unique(shown(written([colour], [20], gif.GREYS))[0][0])) == 1


def test_greys_are_at_most_four_off_and_equally_far_apart():
    ramp = np.arange(256, dtype=np.uint8)[None]
    index = gif.NearestColour(gif.GREYS)(ramp)
    assert np.abs(gif.GREYS[index, 0].astype(int) - ramp).max() == 4
    assert np.unique(index).size == 32 and np.bincount(index[0]).max() == 9


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 3)])
def test_every_pixel_takes_the_nearest_colour_of_the_palette(shape):
    palette, frames = noise(256, 3, seed=9), [noise(*shape), noise(*shape), noise(*shape, seed=1)]
    nearest = gif.NearestColour(palette)
    for frame in frames:
        pixels = np.broadcast_to(frame.reshape(30, 40, -1), (30, 40, 3)).astype(int)
        distances = ((pixels[:, :, None] - palette.astype(int)) ** 2).sum(axis=-1)
        chosen = np.take_along_axis(distances, nearest(frame)[..., None].astype(int), axis=-1)[..., 0]
        assert np.array_equal(chosen, distances.min(axis=-1))


def test_a_colour_is_looked_for_once(monkeypatch):
    nearest, looked_for = gif.NearestColour(gif.GREYS), []
    search = nearest.search
    monkeypatch.setattr(nearest, "search", lambda colours: looked_for.extend(colours.tolist()) or search(colours))
    for frame in (np.full((4, 4), 7, np.uint8), np.full((4, 4, 3), 7, np.uint8), np.full((4, 4), 9, np.uint8)):
        nearest(frame)
    assert looked_for == [[7, 7, 7], [9, 9, 9]]


def test_more_new_colours_than_fit_into_one_lookup():
    frame = np.stack(np.meshgrid(*[np.arange(0, 256, 5, dtype=np.uint8)] * 3), axis=-1).reshape(52, -1, 3)
    assert frame.size // 3 > 2 * 65_536
    palette = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
    assert np.array_equal(gif.NearestColour(palette)(frame), frame.astype(int).sum(axis=2) * 2 > 765)


def test_a_palette_suits_the_last_frame_as_well_as_the_first(monkeypatch):
    monkeypatch.setattr(gif, "SAMPLE_PIXELS", 40)
    colours = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 0)], np.uint8)
    frames = [np.broadcast_to(colour, (10, 10, 3)) for colour in colours]
    assert {tuple(colour) for colour in colours.tolist()} <= {tuple(c) for c in gif.build_palette(frames).tolist()}


def test_the_palette_is_made_from_the_first_frames_only(monkeypatch):
    drawn, seen = [], []
    palette_of = gif.build_palette
    monkeypatch.setattr(gif, "PALETTE_PIXELS", 2 * 64)
    monkeypatch.setattr(gif, "build_palette", lambda part: seen.append((len(part), len(drawn))) or palette_of(part))

    def frames():
        for i in range(10):
            drawn.append(i)
            yield noise(8, 8, 3, seed=i)

    data = written(frames(), [20] * 10)
    assert seen == [(3, 3)]
    assert len(blocks(data)) == 10


def test_frames_are_written_one_by_one():
    file, sizes = io.BytesIO(), []

    def frames():
        for i in range(6):
            sizes.append(file.tell())
            yield noise(8, 8, seed=i)

    gif.write_gif(file, frames(), [20] * 6, gif.GREYS)
    assert sizes == sorted(set(sizes)) and len(sizes) == 6


def test_colours_outside_the_palette_go_to_the_nearest_in_it():
    palette = np.array([[0, 0, 0], [200, 0, 0]], np.uint8)
    frame = np.zeros((4, 4, 3), np.uint8)
    frame[:2] = (255, 255, 255)
    frame[2:, 2:] = (190, 20, 20)
    seen = shown(written([frame], [20], palette))[0][0]
    assert {tuple(pixel) for pixel in seen.reshape(-1, 3).tolist()} == {(0, 0, 0), (200, 0, 0)}
    assert seen[3, 3].tolist() == [200, 0, 0]
    assert seen[3, 0].tolist() == [0, 0, 0]
