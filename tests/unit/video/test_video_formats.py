import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gancli.errors import ConfigError, ContractError, RunError
from gancli.files import image_io, provenance
from gancli.video import formats, timing

RECORD = provenance.FilmRecord.make("gancli animate é", ["a"], [0])
NAMES = ["a.gif", "a.webp", "a.mp4", "a.png", "frames"]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.gif", ".gif"), ("A.WebP", ".webp"), ("a.mp4", ".mp4"), ("a.b.png", ".png"), ("a", ""), ("d/a", "")],
)
def test_the_ending_says_what_a_film_is(name, kind):
    assert formats.film_kind(Path(name)) == kind


@pytest.mark.parametrize("name", ["v1.2", "old.gif"])
def test_an_existing_folder_gets_frames_whatever_its_name(folder, name):
    (folder / name).mkdir()
    assert formats.film_kind(folder / name) == ""


@pytest.mark.parametrize("name", ["a.giff", "a.jpg", "a.2", "a.tar.gz"])
def test_another_ending_is_refused_and_the_known_ones_named(name):
    with pytest.raises(ConfigError, match=r"known: \.gif, \.webp, \.mp4, \.png") as caught:
        formats.film_kind(Path(name))
    assert "\n" not in str(caught.value)


def test_mp4_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"a\.mp4 needs ffmpeg"):
        formats.film_kind(Path("a.mp4"))
    assert formats.film_kind(Path("a.gif")) == ".gif"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("frames", "durations", "words"),
    [
        ([], [], "at least one frame"),
        ([noise(8, 8)], [20, 20], "2 durations given, but 1 frame"),
        ([noise(8, 8)] * 3, [20, 20], "2 durations given, but more frames"),
        ([noise(8, 8), noise(8, 9)], [20, 20], "one shape"),
        ([noise(8, 8), noise(8, 8, 4)], [20, 20], "expected a picture"),
    ],
)
def test_inconsistent_film_leaves_nothing_behind(folder, name, frames, durations, words):
    with pytest.raises(ContractError, match=words):
        formats.write_film(folder / name, iter(frames), durations)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_film_that_fails_halfway_leaves_the_old_one(folder, name):
    def frames(fails):
        yield noise(8, 8)
        if fails:
            raise RunError("gone")
        yield noise(8, 8, seed=1)

    def content():
        return {path.relative_to(folder): path.is_file() and path.read_bytes() for path in folder.rglob("*")}

    formats.write_film(folder / name, frames(False), [20, 20], record=RECORD)
    before = content()
    with pytest.raises(RunError, match="gone"):
        formats.write_film(folder / name, frames(True), [20, 20], record=RECORD, force=True)
    assert content() == before
    assert Path(name) in before


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3)])
def test_a_strip_has_all_frames_in_one_row_and_says_what_made_it(folder, shape):
    frames = noise(5, *shape)
    formats.write_film(folder / "a.png", iter(frames), [20] * 5, record=RECORD)
    assert np.array_equal(image_io.read_png(folder / "a.png"), np.concatenate(frames, axis=1))
    assert image_io.read_png_text(folder / "a.png") == provenance.record_to_text(RECORD)


def test_a_folder_has_a_png_for_every_frame_and_each_says_what_made_it(folder):
    frames = noise(12, 6, 8, 3)
    formats.write_film(folder / "a", iter(frames), [20] * 12, record=RECORD)
    *paths, record = sorted((folder / "a").iterdir())
    assert [path.name for path in paths] == [f"{i:05d}.png" for i in range(12)] and record.name == "provenance.json"
    for path, frame in zip(paths, frames, strict=True):
        assert np.array_equal(image_io.read_png(path), frame)
        assert image_io.read_png_text(path) == provenance.record_to_text(RECORD)


def test_an_existing_folder_needs_force_and_keeps_no_frame_of_a_longer_film(folder):
    formats.write_film(folder / "a", noise(12, 6, 8), [20] * 12, record=RECORD)
    with pytest.raises(RunError, match="exists"):
        formats.write_film(folder / "a", noise(2, 6, 8), [20] * 2, record=RECORD)
    assert len(list((folder / "a").iterdir())) == 13
    formats.write_film(folder / "a", noise(2, 6, 8, seed=1), [20] * 2, record=RECORD, force=True)
    assert sorted(path.name for path in (folder / "a").iterdir()) == ["00000.png", "00001.png", "provenance.json"]
    assert np.array_equal(image_io.read_png(folder / "a" / "00001.png"), noise(2, 6, 8, seed=1)[1])


@pytest.mark.parametrize(
    ("name", "shape", "n", "words"),
    [
        ("a.png", (8, 400), 100, r"a\.png would be a strip of 100 frames of 400x8 pixels, 40000 wide"),
        ("a.png", (9000, 8), 1000, "strip of 1000 frames"),
        ("a.webp", (1, 16_384), 2, r"frames of 16384x1 pixels; a \.webp has at most 16383 a side"),
        ("a.mp4", (8_193, 1), 2, "at most 8192 a side"),
        ("a.gif", (65_536, 1), 2, "at most 65535 a side"),
    ],
)
def test_frames_too_large_for_their_film_are_refused_at_the_first(folder, name, shape, n, words):
    drawn = []

    def frames():
        for i in range(n):
            drawn.append(i)
            yield np.zeros(shape, np.uint8)

    with pytest.raises(ConfigError, match=words) as caught:
        formats.write_film(folder / name, frames(), [20] * n)
    assert "\n" not in str(caught.value)
    assert drawn == [0]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("duration", [25, 10, 0, -20, 655_360])
def test_time_that_gif_or_browsers_cannot_keep_is_refused(folder, duration):
    with pytest.raises(ContractError, match=f"20 to 655350 ms in steps of 10, got {duration}"):
        formats.write_film(folder / "a.gif", [noise(8, 8)], [duration])
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("duration", [19, 0, -20, 1 << 24])
def test_time_that_webp_or_browsers_cannot_keep_is_refused(folder, duration):
    with pytest.raises(ContractError, match=f"20 to 16777215 ms, got {duration}"):
        formats.write_film(folder / "a.webp", [noise(8, 8, 3)], [duration])
    assert list(folder.iterdir()) == []


def test_the_palette_of_a_gif_can_be_given(folder):
    palette = np.array([[0, 0, 0], [200, 0, 0]], np.uint8)
    formats.write_film(folder / "a.gif", noise(2, 8, 8, 3), [20, 20], palette=lambda: palette)
    with Image.open(folder / "a.gif") as film:
        assert {colour for _, colour in film.convert("RGB").getcolors()} <= {(0, 0, 0), (200, 0, 0)}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "a.gif"])
def test_only_a_gif_uses_a_palette(folder, name):
    formats.write_film(folder / name, noise(2, 8, 8, 3), [20, 20], palette=lambda: pytest.fail("asked"))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "frames"])
def test_a_file_from_another_process_is_overwritten_only_with_force(folder, name):
    """Both processes may have found the name free before they drew their frames."""

    def frames():
        yield noise(8, 8)
        if not (folder / name).exists():
            formats.write_film(folder / name, [noise(8, 8, seed=1)], [40])
        yield noise(8, 8, seed=2)

    with pytest.raises(RunError, match=f"{name}.* exists"):
        formats.write_film(folder / name, frames(), [20, 20])
    assert [path.name for path in folder.iterdir()] == [name]
    formats.write_film(folder / name, frames(), [20, 20], force=True)


def test_large_files_get_a_note(tmp_path):
    (tmp_path / "walk.gif").write_bytes(bytes(14_200_000))
    assert formats.film_size_note(tmp_path / "walk.gif", "use fewer") == "walk.gif has 14.2 MB; use fewer"
    (tmp_path / "walk.gif").write_bytes(bytes(10_000_000))
    assert formats.film_size_note(tmp_path / "walk.gif", "use fewer") is None


def test_a_film_format_takes_one_row_and_one_file(folder, monkeypatch):
    """As docs/dev/extending.md says: everything else comes from the table."""
    code = Path(formats.__file__).parents[1]
    for name in (".mp4", "imageio_ffmpeg"):  # GIF is the default, WebP is for pictures too
        named = {path.name for path in code.rglob("*.py") if f'"{name}"' in path.read_text(encoding="utf-8")}
        assert named == {"formats.py"}
    assert len(formats.VIDEO_FORMATS) >= 5

    def write_raw(file, film):
        file.writelines(frame.tobytes() for frame in film.frames)

    row = formats.VideoFormat("x.y4m", write_raw, longest_side=9, tick_ms=50, counting="it ticks", longest_ms=100)
    monkeypatch.setitem(formats.VIDEO_FORMATS, ".y4m", row)
    assert "x.y4m" in formats.output_help() and timing.frame_ms(".y4m", 12.5) == 100
    formats.write_film(folder / "a.y4m", noise(2, 6, 8), [50, 100], record=RECORD)
    assert (folder / "a.y4m").read_bytes() == noise(2, 6, 8).tobytes() and (folder / "a.y4m.json").is_file()
    with pytest.raises(ConfigError, match="at most 9 a side"):
        formats.write_film(folder / "b.y4m", [noise(10, 8)], [50])
    with pytest.raises(ContractError, match=r"20 to 100 ms .*60"):
        formats.write_film(folder / "b.y4m", [noise(6, 8)], [60])
