import io
import struct

import numpy as np
import pytest
from PIL import Image

from gancli.video import webp


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def written(frames, durations_ms):
    file = io.BytesIO()
    webp.write_webp(file, iter(frames), durations_ms)
    assert file.tell() == len(file.getvalue())
    return file.getvalue()


def shown(data):
    with Image.open(io.BytesIO(data)) as film:
        assert film.info["loop"] == 0
        frames, durations = [], []
        for i in range(film.n_frames):
            film.seek(i)
            frames.append(np.array(film.convert("RGB")))
            durations.append(film.info["duration"])
    return np.stack(frames), durations


def chunks(data):
    """(kind, content) of each chunk after the header."""
    assert data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    assert struct.unpack("<I", data[4:8]) == (len(data) - 8,)
    at = 12
    while at < len(data):
        kind, size = struct.unpack("<4sI", data[at : at + 8])
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


@pytest.mark.parametrize("shape", [(20, 23, 3), (20, 23), (1, 1), (2, 1, 3)])
@pytest.mark.parametrize("equal", [slice(0, 1), slice(0, 3), slice(2, 6), slice(0, 6)])
def test_every_pixel_of_every_frame_is_kept_and_shown_for_its_time(shape, equal):
    frames = noise(6, *shape)
    frames[equal] = frames[equal.start]
    durations = [80, 20, 33, 41, 100, 70_000]
    seen, times = shown(written(frames, durations))
    assert times == durations
    assert np.array_equal(seen, frames if frames.ndim == 4 else np.stack([frames] * 3, axis=-1))


def test_a_single_frame_makes_a_film():
    seen, times = shown(written(noise(1, 5, 7, 3), [40]))
    assert np.array_equal(seen, noise(1, 5, 7, 3)) and times == [40]


def test_a_frame_holds_only_what_changed_from_an_even_place_on():
    frames = np.zeros((4, 21, 25, 3), np.uint8)
    frames[1:, 5:9, 7:20] = 255
    frames[2:, 20, 24] = 255
    found = list(chunks(written(frames, [50] * 4)))
    assert [kind for kind, _ in found] == [b"VP8X", b"ANIM"] + [b"ANMF"] * 4
    boxes = [[int.from_bytes(content[i : i + 3], "little") for i in range(0, 12, 3)] for _, content in found[2:]]
    assert boxes == [[0, 0, 24, 20], [3, 2, 13, 4], [12, 10, 0, 0], [0, 0, 0, 0]], "halves, then sizes less one"
    assert np.array_equal(shown(written(frames, [50] * 4))[0], frames)


def test_only_a_few_frames_are_drawn_ahead(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    file, ahead = io.BytesIO(), []

    def frames():
        for i in range(30):
            ahead.append(i - file.getvalue().count(b"ANMF"))
            yield noise(8, 8, 3, seed=i)

    webp.write_webp(file, frames(), [20] * 30)
    assert len(ahead) == 30 and max(ahead) <= 6
