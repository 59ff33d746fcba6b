import math
import subprocess
import sys

import numpy as np
import pytest
import run_folders
from PIL import Image, ImageColor

from gancli.report import axes, charts, plots, raster

IDEALS = {
    "d_loss": math.log(4),
    "g_loss": math.log(2),
    "accuracy": 0.5,
    "d_loss_name": "log 4",
    "g_loss_name": "log 2",
}
CONFIG = {"preset": "quick", "data": {"name": "mnist-5k", "n_train": 4500}, "ideals": IDEALS}


def line(nimg, kind="tick", **values):
    usual = {"d_loss": 1.2, "g_loss": 0.9, "accuracy": 0.6, "accuracy_real": 0.65, "accuracy_fake": 0.55}
    return {"kind": kind, "nimg": nimg, "epoch": nimg / 4500} | usual | values


@pytest.fixture
def make_run(tmp_path):
    def make(records, config=CONFIG):
        return run_folders.make_run(tmp_path / "runs", config, records)

    return make


ABOUT = {"score": "fd_digits", "floor": 0.21, "n_real": 4500, "n_fake": 2000, "features": "digits"}
ABOUT |= {"coverage_floor": 0.95, "class_tv_floor": 0.03}


def scored(nimg, score, **values):
    usual = {"epoch": nimg / 4500, "fd_digits": score, "coverage": 0.8, "class_tv": 0.1, "train_s": 1.0}
    return {"kind": "eval", "nimg": nimg} | usual | values


def texts(page):
    return [words for words, _ in page.words]


def row(page, words):
    """The text in the line of a word: a legend."""
    y = next(box[1] for text, box in page.words if text == words)
    return [text for text, box in page.words if abs(box[1] - y) < 8]


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@pytest.fixture
def loss_page(make_run):
    def page(records, config=CONFIG):
        run = make_run(records, config)
        return plots.plot_pages(run)[run.loss_plot]

    return page


@pytest.fixture
def score_page(make_run):
    def page(records, about=ABOUT):
        run = make_run(records, CONFIG | {"eval": about})
        return plots.plot_pages(run)[run.score_plot]

    return page


def check_nothing_overlaps(page):
    boxes = [box for _, box in page.words]
    assert len(boxes) > 10
    for left, top, right, bottom in boxes:
        assert left >= 0 and top >= 0 and right <= page.image.width and bottom <= page.image.height
    clashes = [(a, b) for i, a in enumerate(page.words) for b in page.words[:i] if overlap(a[1], b[1])]
    assert not clashes


@pytest.mark.parametrize(
    "records",
    [
        [],
        [line(2000)],
        [line(4500, "epoch")],
        [line(2000, d_loss=None), line(4000)],
        [line(n, kind) for kind, step in (("tick", 2000), ("epoch", 4500)) for n in range(step, 90_001, step)],
    ],
)
def test_any_number_of_measurements_gives_two_valid_pictures(make_run, records):
    run = make_run(records)
    assert plots.draw_plots(run) == [run.loss_plot, run.accuracy_plot]
    for path in (run.loss_plot, run.accuracy_plot):
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG") and (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (1200, 750)


def test_run_without_metrics_or_names_gives_pictures(make_run):
    run = make_run([], {})
    run.metrics.unlink()
    assert all(path.exists() for path in plots.draw_plots(run))


def test_equal_metrics_give_equal_bytes(make_run):
    run = make_run([line(2000), line(4000)])
    first = [path.read_bytes() for path in plots.draw_plots(run)]
    assert [path.read_bytes() for path in plots.draw_plots(run)] == first
    assert all(b"tEXt" not in data and b"tIME" not in data for data in first)


def test_chart_says_what_it_shows_and_in_which_units(loss_page):
    page = loss_page([line(n) for n in range(2000, 20_001, 2000)])
    assert {
        "quick on mnist-5k: losses",
        "images seen [kimg]",
        "epochs",
        "thin: each tick, bold: moving average",
    } <= set(texts(page))
    assert row(page, "loss [nats per image]") == ["loss [nats per image]", "discriminator", "generator", "ideal"]
    places = {words: box for words, box in page.words}
    assert abs((places["20"][0] + places["20"][2]) / 2 - raster.RIGHT) < 2, "the axis ends with the run"
    middle = (places["4"][0] + places["4"][2]) / 2  # the last one written: epochs, of 4.444 in all
    assert middle == pytest.approx(raster.LEFT + (raster.RIGHT - raster.LEFT) * 4 / (20_000 / 4500), abs=2)


def test_legend_and_ideal_labels_lie_outside_the_curves(loss_page):
    page = loss_page([line(n) for n in range(2000, 20_001, 2000)])
    assert {"ideal D: log 4", "ideal G: log 2"} <= set(texts(page))
    bottom = raster.HEAD + raster.PANEL_HEIGHTS[0][0]
    for _, (left, _, right, below) in page.words:
        is_above, is_beside = below <= raster.HEAD, right <= raster.LEFT or left >= raster.RIGHT
        assert is_above or is_beside or below > bottom
    check_nothing_overlaps(page)


def test_labels_of_close_ideals_do_not_overlap(loss_page):
    page = loss_page([line(n, d_loss=40.0) for n in range(2000, 20_001, 2000)])
    a, b = [box for words, box in page.words if words.startswith("ideal ")]
    assert not overlap(a, b) and abs(a[1] - b[1]) < 2 * page.size


def test_one_ideal_of_both_losses_is_one_line():
    same = {"d_loss": math.log(2), "g_loss": math.log(2), "d_loss_name": "log 2", "g_loss_name": "log 2"}
    assert charts.ideal_losses(same) == (charts.Mark(math.log(2), "grey", "ideal: log 2"),)
    assert [mark.label for mark in charts.ideal_losses(IDEALS)] == ["ideal D: log 4", "ideal G: log 2"]
    critic = {"d_loss": 0.0, "g_loss": None, "d_loss_name": "0", "g_loss_name": ""}
    assert charts.ideal_losses(critic) == (charts.Mark(0.0, "blue", "ideal D: 0"),)


@pytest.mark.parametrize(
    ("more", "loss", "accuracy"),
    [
        ({}, "loss [nats per image]", "judged correctly [% of images]"),
        ({"loss_unit": "", "accuracy_of": "images"}, "loss", "judged correctly [% of images]"),
        (
            {"loss_unit": "nats per pair", "accuracy_of": "pairs"},
            "loss [nats per pair]",
            "judged correctly [% of pairs]",
        ),
    ],
    ids=str,
)
def test_labels_follow_the_loss(make_run, more, loss, accuracy):
    run = make_run([line(n) for n in (2000, 4000)], CONFIG | {"ideals": IDEALS | more})
    pages = plots.plot_pages(run)
    assert loss in texts(pages[run.loss_plot]) and accuracy in texts(pages[run.accuracy_plot])
    names = ["training", "ideal"] if more.get("accuracy_of") == "pairs" else ["training", "generated", "both", "ideal"]
    assert row(pages[run.accuracy_plot], accuracy)[1:] == names


def test_bold_line_is_the_epochs_once_there_are_enough(make_run):
    ticks = [line(n, d_loss=1.0) for n in range(2000, 90_001, 2000)]
    epochs = [line(n, "epoch", d_loss=1.1) for n in range(4500, 90_001, 4500)]
    for n, value in ((len(epochs), 1.1), (charts.MIN_EPOCHS - 1, 1.0)):
        run = make_run(ticks + epochs[:n])
        loss, *_ = charts.run_charts(CONFIG, ticks + epochs[:n])
        thin, bold = loss.thin_and_bold(loss.lines[0])
        assert set(thin.values) == {1.0} and set(np.round(bold.values, 9)) == {value}
        note = "thin: each tick, bold: each epoch"
        assert (note in texts(plots.plot_pages(run)[run.loss_plot])) is (value == 1.1)


def test_single_measurement_is_drawn_as_a_point(loss_page):
    assert count_pixels(loss_page([line(2000)]).image, "blue") > count_pixels(loss_page([]).image, "blue")


def count_pixels(picture, tone):
    return (np.array(picture.convert("RGB")) == ImageColor.getrgb(raster.LIGHT.tones[tone])).all(axis=-1).sum()


def test_curves_are_drawn_in_their_colours(make_run):
    run = make_run([line(n) for n in range(2000, 90_001, 2000)])
    plots.draw_plots(run)
    with Image.open(run.loss_plot) as picture:
        for tone in ("blue", "orange"):
            assert count_pixels(picture, tone) > 1500


def test_drawing_needs_neither_torch_nor_matplotlib():
    modules = "sys, gancli.report.film, gancli.report.pairs, gancli.report.plots, gancli.report.page"
    code = f"import {modules}; print({{'torch', 'matplotlib'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_score_is_drawn_only_if_measured_and_an_old_picture_is_kept(make_run):
    run = make_run([line(2000)])
    run.score_plot.write_bytes(b"old")
    assert plots.draw_plots(run) == [run.loss_plot, run.accuracy_plot]
    assert run.score_plot.read_bytes() == b"old"
    run = make_run([line(2000), scored(2000, 12.3)], CONFIG | {"eval": ABOUT})
    assert plots.draw_plots(run) == [run.loss_plot, run.accuracy_plot, run.score_plot]
    first = run.score_plot.read_bytes()
    assert first.startswith(b"\x89PNG")
    plots.draw_plots(run)
    assert run.score_plot.read_bytes() == first


def test_evaluations_do_not_change_the_other_charts(make_run):
    records = [line(2000), line(4000)]
    run, other = make_run(records), make_run([*records, scored(9000, 12.3, d_loss=50.0, accuracy=0.1)])
    plots.draw_plots(run)
    plots.draw_plots(other)
    assert run.loss_plot.read_bytes() == other.loss_plot.read_bytes()
    assert run.accuracy_plot.read_bytes() == other.accuracy_plot.read_bytes()


def test_score_chart_says_what_it_shows_and_on_how_many_images(score_page):
    page = score_page([line(22_000), scored(5000, 300.0), scored(20_000, 0.41), scored(22_000, 0.5)])
    said = texts(page)
    assert {"quick on mnist-5k: Frechet distance (fd_digits)", "2,000 generated, 4,500 training images"} <= set(said)
    above = row(page, "Frechet distance to training images")
    assert above[1:] == ["score (lower is better)", "best 0.410 at 20 kimg", "floor"]
    assert {"100", "10", "1", "floor 0.210", "floor 95%", "floor 3%", "images seen [kimg]"} <= set(said)
    assert said.count("floor 0.210") == said.count("floor 95%") == said.count("20") == 1, "one axis of kimg for both"
    assert row(page, "coverage")[1:] == ["coverage", "class imbalance", "floor"]


def test_kernel_distance_is_called_so(score_page):
    page = score_page([scored(5000, None, kid_digits=0.1)], {"score": "kid_digits"})
    assert "quick on mnist-5k: Kernel distance (kid_digits)" in texts(page)
    assert "Kernel distance to training images" in texts(page)


@pytest.mark.parametrize("n", [1, 5, 40])
@pytest.mark.parametrize("about", [{}, ABOUT, ABOUT | {"floor": 0.0003, "class_tv_floor": 0.93}])
def test_nothing_in_the_score_chart_overlaps_or_leaves_the_page(score_page, n, about):
    check_nothing_overlaps(score_page([scored(i * 20_000, 300 * 0.7**i) for i in range(1, n + 1)], about))


def test_scores_off_the_log_scale_lie_on_its_edge_and_can_be_the_best(score_page):
    records = [scored(5000, 5.0), scored(10_000, 0.0), scored(15_000, -0.01)]
    score = charts.run_charts(CONFIG | {"eval": ABOUT}, records)[2]
    (ranged,) = charts.with_common_range([score])
    low, high = ranged.range
    box = axes.Box(ranged, 0, 100, 0, 100)
    assert [box.y(value) for value in ranged.lines[0].values][1:] == [100, 100] and box.y(5.0) < 50
    assert (ranged.best().kimg[0], ranged.best().values[0]) == (15.0, -0.01)
    assert 0 < low < 0.21 < 5 < high
    assert "best -0.0100 at 15 kimg" in texts(score_page(records))


def test_first_of_equal_scores_is_the_best(score_page):
    assert "best 7.00 at 5 kimg" in texts(score_page([scored(5000, 7.0), scored(10_000, 7.0)]))


def test_evaluations_without_numbers_give_an_empty_chart_with_its_floor(score_page, monkeypatch):
    nothing = scored(5000, None, coverage=None, class_tv=math.nan)
    records = [nothing, scored(9000, math.inf, coverage=57.0, class_tv=-1)]
    monkeypatch.setattr(charts, "read_metric_records", lambda run: records)
    monkeypatch.setattr(plots, "read_metric_records", lambda run: records)
    page = score_page([])
    assert texts(page).count("no measurements yet") == 2 and "floor 0.210" in texts(page)
    assert not {"score (lower is better)", "coverage", "class imbalance"} & set(texts(page))


def test_share_that_was_never_measured_is_not_in_the_legend(score_page):
    page = score_page([scored(5000, 3.0, class_tv=None)])
    assert "coverage" in texts(page) and "class imbalance" not in texts(page)
    assert "floor 95%" in texts(page) and "floor 3%" not in texts(page)


@pytest.mark.parametrize("damage", ["12", [1], math.nan, 10**400, -1], ids=["text", "list", "nan", "huge", "negative"])
def test_damaged_config_gives_pictures_without_that_part(make_run, damage):
    broken = dict.fromkeys(ABOUT, damage) | {"score": "fd_digits"}
    configs = [
        {"preset": damage, "data": damage, "ideals": damage, "eval": damage},
        {"data": {"name": damage, "n_train": 1e-300}, "ideals": IDEALS},
        {"data": {"name": damage, "n_train": damage}, "ideals": dict.fromkeys(IDEALS, damage), "eval": broken},
    ]
    for config in configs:
        run = make_run([line(2000), scored(2000, 12.3)], config)
        assert all(path.exists() for path in plots.draw_plots(run))


def test_long_title_is_made_smaller_until_it_fits(loss_page):
    heights = []
    for name in ("short", "a-folder-with-quite-a-long-name-" * 3, "a-folder-with-quite-a-long-name-" * 9, "图" * 90):
        page = loss_page([], CONFIG | {"data": {"name": name}})
        title, box = page.words[0]
        assert title.startswith("quick on ") and box[2] <= page.image.width
        heights.append(box[3] - box[1])
    assert heights[0] > heights[1] >= heights[2]
