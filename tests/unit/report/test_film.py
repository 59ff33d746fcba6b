import re

import numpy as np
import pytest
from PIL import Image

from gancli import media
from gancli.errors import ConfigError, RunError
from gancli.report import film, lettering
from gancli.rundir import RunDir

CONFIG = {"preset": "quick", "data": {"name": "mnist-5k", "n_train": 4500}}


@pytest.fixture
def run(tmp_path):
    run = RunDir.create(tmp_path / "runs", "quick")
    run.write_json(run.config, CONFIG)
    return run


def add_frames(run, *nimgs, shape=(28, 56)):
    for nimg in nimgs:
        media.write_png(run.frame(nimg), np.random.default_rng(nimg).integers(0, 256, shape, dtype=np.uint8))


def shown(path):
    with Image.open(path) as gif:
        for i in range(gif.n_frames):
            gif.seek(i)
            yield np.array(gif.convert("RGB")), gif.info["duration"]


@pytest.mark.parametrize("shape", [(28, 56), (28, 56, 3)])
def test_film_shows_every_frame_above_its_caption_and_holds_the_last(run, shape):
    add_frames(run, 0, 500, 12_800, shape=shape)
    assert film.make(run) == run.film
    frames = list(shown(run.film))
    assert [duration for _, duration in frames] == [80, 80, 2000]
    for (frame, _), path in zip(frames, run.frame_paths(), strict=True):
        expected = media.enlarge(media.read_png(path), 10)
        above = frame[:280] if len(shape) == 3 else frame[:280, :, 0]
        assert frame.shape[0] > 280 and frame.shape[1] == 560
        assert np.abs(above.astype(int) - expected).mean() < 16


def test_film_is_made_from_frames_and_config_alone(run):
    add_frames(run, 0, 500)
    film.make(run)
    assert {path.name for path in run.path.iterdir()} == {"config.json", "frames", "progress.gif"}


def test_film_of_one_frame_is_that_frame_held(run):
    add_frames(run, 0)
    film.make(run, hold_s=3)
    assert [duration for _, duration in shown(run.film)] == [3000]


def test_the_same_frames_give_the_same_bytes(run):
    add_frames(run, 0, 500, shape=(28, 28, 3))
    first = film.make(run).read_bytes()
    assert film.make(run).read_bytes() == first


def test_run_without_frames_is_refused_in_one_line(run):
    with pytest.raises(RunError, match="no frames") as caught:
        film.make(run)
    assert "\n" not in str(caught.value)
    assert not run.film.exists()


def test_damaged_frame_is_named(run):
    add_frames(run, 0, 500)
    run.frame(500).write_bytes(b"cut short")
    with pytest.raises(RunError, match=re.escape(str(run.frame(500)))):
        film.make(run)


def test_frame_of_another_size_is_named(run):
    add_frames(run, 0)
    add_frames(run, 500, shape=(28, 28))
    with pytest.raises(RunError, match=r"000000500\.png has another size"):
        film.make(run)


def test_config_without_names_still_gives_a_film(run):
    run.write_json(run.config, {})
    add_frames(run, 0, 500)
    assert film.make(run).exists()


@pytest.mark.parametrize(
    ("fps", "hold_s", "expected"),
    [(12, 2.0, [80, 80, 2000]), (10, 0, [100, 100, 100]), (50, 0.5, [20, 20, 500]), (0.5, 0, [2000, 2000, 2000])],
)
def test_timeline_has_equal_steps_of_whole_hundredths_and_a_hold(fps, hold_s, expected):
    assert film.timeline(3, fps, hold_s) == expected


@pytest.mark.parametrize(("fps", "hold_s"), [(0, 2), (51, 2), (-1, 2), (float("nan"), 2), (12, -1), (12, 601)])
def test_timeline_refuses_what_a_gif_cannot_show(fps, hold_s):
    with pytest.raises(ConfigError, match="must be from"):
        film.timeline(3, fps, hold_s)


@pytest.mark.parametrize(
    ("shape", "scale"), [((224, 280), 2), ((28, 28), 20), ((256, 320), 2), ((1024, 1024), 1), ((280, 28), 2)]
)
def test_scale_is_the_whole_factor_nearest_to_the_usual_size(shape, scale):
    assert film.scale_of(np.zeros(shape, np.uint8)) == scale


def test_moment_names_kimg_and_epoch_in_the_room_of_the_last():
    assert film.moment(12_800, 240_000, 4500) == "\u200712.8 kimg · epoch \u20072.8"
    assert film.moment(240_000, 240_000, 4500) == "240.0 kimg · epoch 53.3"
    assert film.moment(500, 9_000, None) == "0.5 kimg"


def test_counting_moves_nothing_but_digits():
    def ink(nimg):
        return film.strip(560, "", film.moment(nimg, 240_000, 4500), 0)

    early, later = ink(1_100), ink(8_800)
    digits = [np.flatnonzero((ink(nimg) != early).any(axis=0)) for nimg in (1_200, 2_100)]
    changed = np.flatnonzero((early != later).any(axis=0))
    assert 0 < len(changed) <= 4 * 12
    assert all(len(columns) for columns in digits)
    wide = np.flatnonzero((ink(240_000) != lettering.PAPER)[: -film.strip(560, "", "", 0).shape[0] // 4].any(axis=0))
    assert wide.max() < 560 and wide.min() > 280


def test_bar_fills_with_progress():
    def filled(done):
        return int((film.strip(560, "a", "b", done)[-1] == lettering.INK).sum())

    assert [filled(done) for done in (0, 0.25, 1)] == [0, 140, 560]


def test_caption_lies_outside_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (100, 500), dtype=np.uint8)
    captioned = film.caption(picture, "left", "right", 0.5)
    assert np.array_equal(captioned[:100], picture)
    assert (captioned[100:] == lettering.INK).any()


def test_narrow_picture_is_centred_over_a_caption_that_fits():
    picture = np.full((300, 30, 3), 200, np.uint8)
    captioned = film.caption(picture, "left", "right", 0.5)
    assert captioned.shape[1] == film.MIN_WIDTH
    columns = np.flatnonzero((captioned[:300] == 200).all(axis=(0, 2)))
    assert (columns.min(), columns.max() + 1) == (195, 225)


def test_a_first_step_too_small_for_the_bar_leaves_it_empty() -> None:
    empty, first = (film.strip(420, "quick", "0.0 kimg", done) for done in (0.0, 1e-4))
    assert np.array_equal(empty, first)
    assert not np.array_equal(empty, film.strip(420, "quick", "0.0 kimg", 0.01))
