import re
import stat
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from gancli.errors import ConfigError, ContractError, RunError
from gancli.video import formats, mp4

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def flat(level, shape=(20, 24, 3)):
    return np.broadcast_to(np.asarray(level, np.uint8), shape).copy()


def shown(path, height, width):
    """The output of ffmpeg for the film, and its frames as RGB arrays."""
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-hide_banner",
        "-i",
        str(path),
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    done = subprocess.run(command, capture_output=True, check=True)
    return done.stderr.decode(), np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 3)])
def test_frames_come_at_their_rate_and_the_last_is_held(folder, shape):
    levels = [10, 90, 90, 160, 230]
    formats.write_film(folder / "a.mp4", (flat(level, shape) for level in levels), [40] * 4 + [400])
    words, frames = shown(folder / "a.mp4", 20, 24)
    expected = np.repeat([10, 90, 160, 230], [1, 2, 1, 10])
    assert np.abs(frames.astype(int) - expected[:, None, None, None]).max() <= 4
    assert np.ptp(frames.astype(int), axis=3).max() <= 1, "grey stays grey"
    assert "Duration: 00:00:00.56" in words
    assert "25 fps" in words


def test_browsers_can_play_it_and_know_its_colours(folder):
    formats.write_film(folder / "a.mp4", [flat((200, 40, 90))] * 3, [40] * 3)
    words, frames = shown(folder / "a.mp4", 20, 24)
    assert re.search(r"h264 .* yuv420p\(tv, bt709, progressive\), 24x20", words)
    assert np.abs(frames.astype(int) - (200, 40, 90)).max() <= 4
    data = (folder / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "it starts before all of it is there"


@pytest.mark.parametrize("shape", [(19, 23), (19, 24, 3), (20, 23, 3)])
def test_odd_sides_grow_by_their_last_pixels_and_nothing_is_rescaled(folder, shape):
    frame = flat(0, shape)
    frame[:, -1] = 255
    formats.write_film(folder / "a.mp4", [frame] * 2, [40] * 2)
    _, frames = shown(folder / "a.mp4", 20, 24)
    assert frames[0, :, shape[1] - 1 :].min() > 240
    assert frames[0, :, : shape[1] - 2].max() < 15


def test_a_rate_between_whole_milliseconds_is_exact_and_repeats_no_frame(folder):
    formats.write_film(folder / "a.mp4", (flat(8 * i) for i in range(25)), [*[42, 41, 42] * 8, 1000])
    words, frames = shown(folder / "a.mp4", 20, 24)
    assert "24 fps" in words
    assert len(frames) == 24 + 24
    assert np.abs(frames[:, 0, 0, 0].astype(int) - np.minimum(8 * np.arange(48), 192)).max() <= 4


def test_rounded_times_add_up():
    frames = [flat(i, (2, 2)) for i in range(50)]
    levels = [pixels[0] for pixels in mp4.repeat_frames(frames, [33] * 50, Fraction(10))]
    assert len(levels) == 165
    assert set(np.bincount(levels)) == {3, 4}


def test_a_single_frame_makes_a_film(folder):
    formats.write_film(folder / "a.mp4", [flat(90)], [2000])
    words, frames = shown(folder / "a.mp4", 20, 24)
    assert len(frames) == 1 and "Duration: 00:00:02.00" in words


@pytest.mark.parametrize("duration", [15, 0, -20])
def test_time_too_short_for_a_film_is_refused(folder, duration):
    with pytest.raises(ContractError, match=f"got {duration}"):
        formats.write_film(folder / "a.mp4", [flat(0)], [duration])
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "exec >&2; echo '[mp4 @ 0x55] No space left on device'; echo more; exit 1",
            "ffmpeg said: No space left on device$",
        ),
        ("exit 3", "ffmpeg said: nothing$"),
        ("cat > /dev/null; echo late >&2; exit 1", "ffmpeg said: late$"),
        ("cat > /dev/null", "ffmpeg said: nothing$"),
    ],
)
def test_when_ffmpeg_fails_its_reason_is_one_line_and_nothing_is_left(folder, monkeypatch, script, words):
    fake = folder / "ffmpeg"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(mp4, "find_ffmpeg", lambda: str(fake))
    with pytest.raises(RunError, match=words) as caught:
        formats.write_film(folder / "a.mp4", [flat(i, (200, 200, 3)) for i in range(9)], [40] * 9)
    assert "\n" not in str(caught.value)
    assert [path.name for path in folder.iterdir()] == ["ffmpeg"]


def test_an_ffmpeg_that_cannot_run_is_named(folder, monkeypatch):
    monkeypatch.setattr(mp4, "find_ffmpeg", lambda: str(folder / "none"))
    with pytest.raises(RunError, match="none: No such file"):
        formats.write_film(folder / "a.mp4", [flat(0)], [40])
    assert list(folder.iterdir()) == []


def test_a_package_without_ffmpeg_for_this_machine_says_what_to_do(folder, monkeypatch):
    def missing():
        raise RuntimeError("No ffmpeg exe could be found.\nInstall ffmpeg")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    with pytest.raises(ConfigError, match="install ffmpeg"):
        formats.write_film(folder / "a.mp4", [flat(0)], [40])
    assert list(folder.iterdir()) == []


def test_ffmpeg_says_nothing_on_the_terminal(folder):
    code = (
        "import sys, numpy, pathlib; from gancli.video import formats;"
        "formats.write_film(pathlib.Path(sys.argv[1]), [numpy.zeros((9, 9), numpy.uint8)] * 2, [40, 40])"
    )
    done = subprocess.run([sys.executable, "-c", code, folder / "a.mp4"], capture_output=True, check=True)
    assert done.stdout == done.stderr == b""
