import json
import re

import numpy as np
import pytest
import run_folders
from PIL import Image

from gancli.errors import ConfigError, RunError
from gancli.files import image_io
from gancli.report import caption, film, lettering, raster
from gancli.video import gif
from gancli.video.timing import FilmOptions

CONFIG = {"preset": "quick", "data": {"name": "mnist-5k", "n_train": 4500}}


@pytest.fixture
def run(tmp_path):
    return run_folders.make_run(tmp_path / "runs", CONFIG)


def add_frames(run, *nimgs, shape=(28, 56)):
    for nimg in nimgs:
        image_io.write_png(run.frame(nimg), np.random.default_rng(nimg).integers(0, 256, shape, dtype=np.uint8))


def shown(path):
    with Image.open(path) as gif:
        for i in range(gif.n_frames):
            gif.seek(i)
            yield np.array(gif.convert("RGB")), gif.info["duration"]


@pytest.mark.parametrize("shape", [(28, 56), (28, 56, 3)])
def test_film_shows_every_frame_above_its_caption_and_holds_the_last(run, shape):
    add_frames(run, 0, 500, 12_800, shape=shape)
    assert film.write_progress_film(run) == run.film
    frames = list(shown(run.film))
    assert [duration for _, duration in frames] == [80, 80, 2000]
    for (frame, _), path in zip(frames, run.frame_paths(), strict=True):
        expected = image_io.enlarge_pixels(image_io.read_png(path), 10)
        above = frame[:280] if len(shape) == 3 else frame[:280, :, 0]
        assert frame.shape[0] > 280 and frame.shape[1] == 560
        assert np.abs(above.astype(int) - expected).mean() < 16


def test_film_needs_only_frames_and_config(run):
    add_frames(run, 0, 500)
    film.write_progress_film(run)
    assert {path.name for path in run.path.iterdir()} == {"config.json", "frames", "progress.gif"}


def test_the_same_frames_give_the_same_bytes(run):
    add_frames(run, 0, 500, shape=(28, 28, 3))
    first = film.write_progress_film(run).read_bytes()
    assert film.write_progress_film(run).read_bytes() == first


def test_run_without_frames_is_refused_in_one_line(run):
    with pytest.raises(RunError, match="no frames") as caught:
        film.write_progress_film(run)
    assert "\n" not in str(caught.value)
    assert not run.film.exists()


def test_damaged_frame_is_named(run):
    add_frames(run, 0, 500)
    run.frame(500).write_bytes(b"cut short")
    with pytest.raises(RunError, match=re.escape(str(run.frame(500)))):
        film.write_progress_film(run)


def test_frame_of_another_size_is_named(run):
    add_frames(run, 0)
    add_frames(run, 500, shape=(28, 28))
    with pytest.raises(RunError, match=r"000000500\.png differs in size"):
        film.write_progress_film(run)


def test_config_without_names_gives_a_film(run):
    run.write_json(run.config, {})
    add_frames(run, 0, 500)
    assert film.write_progress_film(run).exists()


@pytest.fixture
def make_run(tmp_path):
    def make(*nimgs, config=CONFIG, shape=(28, 56)):
        run = run_folders.make_run(tmp_path / "runs", config)
        add_frames(run, *nimgs, shape=shape)
        return run

    return make


def measure(run, *nimgs):
    lines = [{"kind": "tick", "nimg": nimg, "d_loss": 1.0, "accuracy_real": 0.5} for nimg in nimgs]
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))


def drawn(film):
    return list(film.frames(film.moments))


CLASSIC = {"preset": "classic", "data": {"name": "mnist-5k", "n_train": 4500, "resolution": 28}}


def test_runs_side_by_side_are_aligned_by_images_seen(make_run):
    long, short = make_run(0, 512, 1008, 2000), make_run(0, 512, 1024, config=CLASSIC)
    both = film.plan_film([long, short])
    assert both.moments == [0, 512, 1024, 2000]
    height, width = both.size
    assert (height, width) == (280, 560)
    for frame, nimgs in zip(drawn(both), [(0, 0), (512, 512), (1008, 1024), (2000, 1024)], strict=True):
        for run, nimg, left in zip((long, short), nimgs, (0, width + film.GAP), strict=True):
            assert np.array_equal(
                frame[:height, left : left + width], image_io.enlarge_pixels(image_io.read_png(run.frame(nimg)), 10)
            )
        assert (frame[:, width : width + film.GAP] == lettering.PAPER).all()


def test_pictures_are_scaled_to_one_height_by_whole_factors(make_run):
    large, small = make_run(0, shape=(64, 80)), make_run(0, config=CLASSIC, shape=(28, 28))
    both = film.plan_film([large, small])
    assert both.scales == [7, 16]
    assert both.size == (448, 560)
    [frame] = drawn(both)
    left = 560 + film.GAP + (560 - 448) // 2
    assert np.array_equal(
        frame[:448, left : left + 448], image_io.enlarge_pixels(image_io.read_png(small.frame(0)), 16)
    )


def test_grey_next_to_colour_is_shown_in_colour(make_run):
    grey, colour = make_run(0), make_run(0, config=CLASSIC, shape=(28, 56, 3))
    both = film.plan_film([grey, colour])
    [frame] = drawn(both)
    assert frame.ndim == 3
    assert np.array_equal(frame[:280, :560, 1], image_io.enlarge_pixels(image_io.read_png(grey.frame(0)), 10))
    assert 1 < len(both.palette()) <= 256


@pytest.mark.parametrize(("n", "rows", "columns"), [(1, 1, 1), (3, 1, 3), (5, 2, 3), (8, 2, 4)])
def test_many_runs_are_shown_in_two_rows(make_run, n, rows, columns):
    parts = [np.full((10, 20), i + 100, np.uint8) for i in range(n)]
    page = film.arrange_parts(parts)
    assert page.shape == (rows * 26 - 16, columns * 36 - 16)
    assert [(page == i + 100).sum() for i in range(n)] == [200] * n
    for i in range(n):
        top, left = i // columns * 26, i % columns * 36
        assert (page[top : top + 10, left : left + 20] == i + 100).all()


def test_more_runs_than_a_page_holds_are_refused(make_run):
    with pytest.raises(ConfigError, match=r"8 runs .*9"):
        film.plan_film([make_run(0)] * 9)


def test_labels_distinguish_the_runs(make_run, tmp_path):
    quick, classic, again = make_run(0), make_run(0, config=CLASSIC), make_run(0)
    assert film.run_labels([quick, classic], [CONFIG, CLASSIC]) == ["quick · mnist-5k", "classic · mnist-5k"]
    assert film.run_labels([quick, again], [CONFIG] * 2) == ["00000-quick", "00002-quick"]
    other = run_folders.make_run(tmp_path / "others", CONFIG)
    assert film.run_labels([quick, other], [CONFIG] * 2) == [str(quick.path), str(other.path)]


def test_every_keeps_the_ends_and_skips_between(make_run):
    run = make_run(*range(0, 10_000, 1000))
    assert film.plan_film([run], FilmOptions(every=4)).moments == [0, 4000, 8000, 9000]


def test_without_a_caption_only_the_pictures_are_shown(make_run):
    run = make_run(0)
    [frame] = drawn(film.plan_film([run], FilmOptions(caption=False)))
    assert np.array_equal(frame, image_io.enlarge_pixels(image_io.read_png(run.frame(0)), 10))


def test_the_greys_of_the_page_are_exact_in_a_gif():
    assert {lettering.PAPER, lettering.DIM, lettering.INK} <= set(gif.GREYS[:, 0].tolist())


def test_the_caption_says_where_the_run_is_and_its_bar_fills(make_run):
    frames = drawn(film.plan_film([make_run(0, 500, 2000)]))
    assert [(frame[-1] == lettering.INK).sum() for frame in frames] == [0, 140, 560]
    expected = caption.draw_caption(560, "quick · mnist-5k", caption.format_moment(500, 2000, 4500), 0.25)
    assert np.array_equal(frames[1][280:], expected)


def test_captions_side_by_side_show_only_kimg(make_run):
    [_, last] = drawn(film.plan_film([make_run(0, 500), make_run(0, 500, config=CLASSIC)]))
    for left, name in ((0, "quick"), (560 + film.GAP, "classic")):
        expected = caption.draw_caption(560, f"{name} · mnist-5k", "0.5 kimg", 1)
        assert np.array_equal(last[280:, left : left + 560], expected)


def test_rows_cut_the_grid_of_pictures_from_the_top(make_run):
    run = make_run(0, config=CLASSIC, shape=(28 * 8, 28 * 4))
    [frame] = drawn(film.plan_film([run], FilmOptions(rows=2, caption=False)))
    expected = image_io.enlarge_pixels(image_io.read_png(run.frame(0))[:56], 5)
    assert frame.shape == (280, 560) and np.array_equal(frame, expected)
    assert film.plan_film([run], FilmOptions(rows=99)).tracks[0].height == 28 * 8


def test_rows_of_unknown_height_are_refused(make_run):
    with pytest.raises(RunError, match=r"config\.json .*--rows"):
        film.plan_film([make_run(0)], FilmOptions(rows=2))


def test_curves_of_a_single_run_grow_next_to_it(make_run):
    run = make_run(0, 2000, 4000)
    measure(run, 2000, 4000)
    both = film.plan_film([run], FilmOptions(plots=True))
    frames = drawn(both)
    assert {frame.shape for frame in frames} == {frames[0].shape}
    assert frames[0].shape[1] == 560 + film.GAP + 560
    for frame, path in zip(frames, run.frame_paths(), strict=True):
        assert np.array_equal(frame[:280, :560, 0], image_io.enlarge_pixels(image_io.read_png(path), 10))
    blue = [(np.abs(frame[40:280, 600:].astype(int) - (0x56, 0xB4, 0xE9)).max(axis=2) < 40).sum() for frame in frames]
    assert blue[0] < blue[1] < blue[2]


def test_curves_are_below_runs_side_by_side(make_run):
    runs = [make_run(0, 2000), make_run(0, 2000, config=CLASSIC)]
    for run in runs:
        measure(run, 2000)
    plain, plotted = drawn(film.plan_film(runs))[1], drawn(film.plan_film(runs, FilmOptions(plots=True)))[1]
    assert plotted.shape[1] == plain.shape[1]
    assert plotted.shape[0] == plain.shape[0] + film.GAP + 2 * raster.MIN_HEIGHT


def test_colours_of_curves_are_in_the_palette_of_colour_pictures(make_run):
    run = make_run(0, 2000, shape=(28, 56, 3))
    measure(run, 2000)
    palette = film.plan_film([run], FilmOptions(plots=True)).palette()
    assert {tuple(color) for color in raster.curve_colours().tolist()} <= {tuple(color) for color in palette.tolist()}
    assert len(palette) <= 256


def test_curves_without_measurements_are_refused(make_run):
    with pytest.raises(RunError, match="no measurements"):
        film.plan_film([make_run(0)], FilmOptions(plots=True))


def test_frames_are_read_one_by_one_and_not_after_a_run_ends(make_run, monkeypatch):
    read, long, short = [], make_run(*range(0, 5000, 500)), make_run(0, 500, config=CLASSIC)
    both = film.plan_film([long, short])
    original = image_io.read_png
    monkeypatch.setattr(image_io, "read_png", lambda path: read.append(path) or original(path))
    stream = both.frames(both.moments)
    next(stream)
    assert len(read) == 2
    list(stream)
    assert len(read) == 12


def test_frames_of_several_runs_have_gaps_in_a_strip(make_run):
    """The gap is wider than between the runs of one frame, to show which belong together."""
    runs = [make_run(0, 500), make_run(0, 500, config=CLASSIC)]
    row, strip = (drawn(film.plan_film(runs, FilmOptions(kind=kind)))[1] for kind in (".gif", ".png"))
    beside = film.STRIP_MARGIN // 2
    assert np.array_equal(strip[:, beside:-beside], row)
    assert (strip[:, :beside] == lettering.PAPER).all() and (strip[:, -beside:] == lettering.PAPER).all()
    assert 2 * beside > film.GAP
    alone = drawn(film.plan_film(runs[:1], FilmOptions(kind=".png")))[1]
    assert alone.shape[1] == film.LONG_SIDE


def test_the_palette_suits_the_end_of_a_film_as_well_as_its_beginning(make_run):
    run = make_run()
    for place in range(40):
        colour = np.full((28, 56, 3), (place, 250 if place > 30 else 0, 0), np.uint8)
        image_io.write_png(run.frame(1000 * place), colour)
    palette = film.plan_film([run], FilmOptions(caption=False)).palette()
    assert palette[:, 1].min() == 0 and palette[:, 1].max() == 250


def test_narrow_picture_is_centred(make_run):
    run = make_run(0, shape=(300, 30))
    [frame] = drawn(film.plan_film([run]))
    assert frame.shape[1] == film.MIN_WIDTH
    assert np.array_equal(frame[:600, 180:240], image_io.enlarge_pixels(image_io.read_png(run.frame(0)), 2))


@pytest.mark.parametrize(("side", "scale"), [(280, 2), (28, 20), (320, 2), (1024, 1)])
def test_scale_is_the_whole_factor_nearest_to_the_size_wanted(side, scale):
    assert film.nearest_scale(side, 560) == scale
