import json
import math
import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pytest
from PIL import Image

from gancli.files.run_folder import RunDir
from gancli.report import plots

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
        run = RunDir.create(tmp_path / "runs", "quick")
        run.write_json(run.config, config)
        run.metrics.write_text("".join(json.dumps(record) + "\n" for record in records))
        return run

    return make


ABOUT = {"score": "fd_digits", "floor": 0.21, "n_real": 4500, "n_fake": 2000, "features": "digits"}
ABOUT |= {"coverage_floor": 0.95, "class_tv_floor": 0.03}


def scored(nimg, score, **values):
    usual = {"epoch": nimg / 4500, "fd_digits": score, "coverage": 0.8, "class_tv": 0.1, "train_s": 1.0}
    return {"kind": "eval", "nimg": nimg} | usual | values


def score_chart(records, about=ABOUT):
    return plots.score_chart("quick on mnist-5k", records, about, 4500)


def texts(artist):
    return [text.get_text() for text in artist.texts]


def legend_texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def loss_chart(records):
    return plots.draw_chart("quick on mnist-5k: losses", records, plots.LOSSES, 4500)


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
        assert data.startswith(b"\x89PNG") and (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (900, 500)


def test_run_without_metrics_or_names_gives_pictures(make_run):
    run = make_run([], {})
    run.metrics.unlink()
    assert all(path.exists() for path in plots.draw_plots(run))


def test_equal_metrics_give_equal_bytes(make_run):
    run = make_run([line(2000), line(4000)])
    first = [path.read_bytes() for path in plots.draw_plots(run)]
    assert [path.read_bytes() for path in plots.draw_plots(run)] == first
    assert all(b"Software" not in data and b"matplotlib" not in data for data in first)


def test_chart_says_what_it_shows_and_in_which_units():
    figure, axes = loss_chart([line(n) for n in range(2000, 20_001, 2000)])
    (above,) = axes.child_axes
    assert "quick on mnist-5k: losses" in [text.get_text() for text in figure.texts]
    assert axes.get_xlabel() == "images seen [kimg]"
    assert "epochs" in [text.get_text() for text in axes.texts]
    assert axes.get_xlim() == (0, 20)
    figure.draw_without_rendering()
    assert above.get_xlim() == pytest.approx((0, 20_000 / 4500))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["discriminator", "generator"]


def test_legend_and_ideal_labels_lie_outside_the_curves():
    figure, axes = loss_chart([line(n) for n in range(2000, 20_001, 2000)])
    axes.set_ylim(0, 2)
    plots.mark_ideals(
        axes, [(math.log(4), "ideal D: log 4", plots.BLUE), (math.log(2), "ideal G: log 2", plots.ORANGE)]
    )
    figure.draw_without_rendering()
    area, page = axes.get_window_extent(), figure.bbox
    outside = [figure.legends[0], *axes.texts, *figure.texts]
    boxes = [item.get_window_extent() for item in outside]
    assert len(boxes) == 6
    for box in boxes:
        assert box.x0 >= area.x1 or box.y0 >= area.y1 or box.y1 <= area.y0
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.x1 and box.y1 <= page.y1
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_labels_of_close_ideals_do_not_overlap():
    figure, axes = loss_chart([line(n) for n in range(2000, 20_001, 2000)])
    axes.set_ylim(0, 40)
    plots.mark_ideals(
        axes, [(math.log(4), "ideal D: log 4", plots.BLUE), (math.log(2), "ideal G: log 2", plots.ORANGE)]
    )
    figure.draw_without_rendering()
    a, b = [text.get_window_extent() for text in axes.texts if text.get_text().startswith("ideal")]
    assert not a.overlaps(b)


def test_one_ideal_of_both_losses_is_one_line():
    same = {"d_loss": math.log(2), "g_loss": math.log(2), "d_loss_name": "log 2", "g_loss_name": "log 2"}
    assert plots.ideal_losses(same) == [(math.log(2), "ideal: log 2", plots.BLACK)]
    assert [label for _, label, _ in plots.ideal_losses(IDEALS)] == ["ideal D: log 4", "ideal G: log 2"]
    critic = {"d_loss": 0.0, "g_loss": None, "d_loss_name": "0", "g_loss_name": ""}
    assert plots.ideal_losses(critic) == [(0.0, "ideal D: 0", plots.BLUE)]


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
def test_labels_follow_the_loss(make_run, monkeypatch, more, loss, accuracy):
    drawn = {}
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: drawn.update({path.name: figure}))
    plots.draw_plots(make_run([line(n) for n in (2000, 4000)], CONFIG | {"ideals": IDEALS | more}))
    assert drawn["loss.png"].axes[0].get_ylabel() == loss
    assert drawn["accuracy.png"].axes[0].get_ylabel() == accuracy
    of_pairs = more.get("accuracy_of") == "pairs"
    assert ("training and generated image" in legend_texts(drawn["accuracy.png"])) is of_pairs


def test_bold_line_is_the_epochs_once_there_are_enough():
    ticks = [line(n, d_loss=1.0) for n in range(2000, 90_001, 2000)]
    epochs = [line(n, "epoch", d_loss=1.1) for n in range(4500, 90_001, 4500)]
    _, axes = loss_chart(ticks + epochs)
    assert set(axes.lines[1].get_ydata()) == {1.1}
    _, axes = loss_chart(ticks + epochs[: plots.MIN_EPOCHS - 1])
    assert set(np.round(axes.lines[1].get_ydata(), 9)) == {1.0}


def test_single_measurement_is_seen_as_a_point():
    _, axes = loss_chart([line(2000)])
    assert axes.lines[1].get_marker() == "o"


def test_curves_are_drawn_in_their_colours(make_run):
    run = make_run([line(n) for n in range(2000, 90_001, 2000)])
    plots.draw_plots(run)
    with Image.open(run.loss_plot) as picture:
        pixels = np.array(picture.convert("RGB"))
    for color in (plots.BLUE, plots.ORANGE):
        assert (pixels == np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])).all(axis=-1).sum() > 500


def test_drawing_needs_neither_torch_nor_pyplot():
    modules = "sys, gancli.report.film, gancli.report.pairs, gancli.report.plots"
    code = f"import {modules}; print({{'torch', 'matplotlib.pyplot'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_score_is_drawn_only_where_one_was_taken_and_an_old_picture_stays(make_run):
    run = make_run([line(2000)])
    run.score_plot.write_bytes(b"old")
    assert plots.draw_plots(run) == [run.loss_plot, run.accuracy_plot]
    assert run.score_plot.read_bytes() == b"old"
    run = make_run([line(2000), scored(2000, 12.3)], CONFIG | {"eval": ABOUT})
    assert plots.draw_plots(run) == [run.loss_plot, run.accuracy_plot, run.score_plot]
    first = run.score_plot.read_bytes()
    assert first.startswith(b"\x89PNG") and b"matplotlib" not in first
    plots.draw_plots(run)
    assert run.score_plot.read_bytes() == first


def test_evaluations_leave_the_other_charts_as_they_are(make_run):
    records = [line(2000), line(4000)]
    run, other = make_run(records), make_run([*records, scored(9000, 12.3, d_loss=50.0, accuracy=0.1)])
    plots.draw_plots(run)
    plots.draw_plots(other)
    assert run.loss_plot.read_bytes() == other.loss_plot.read_bytes()
    assert run.accuracy_plot.read_bytes() == other.accuracy_plot.read_bytes()


def test_score_chart_says_what_it_shows_and_on_how_many_images():
    records = [line(22_000), scored(5000, 300.0), scored(20_000, 0.41), scored(22_000, 0.5)]
    figure, above, below = score_chart(records)
    assert {"quick on mnist-5k: Frechet distance (fd_digits)", "2,000 generated, 4,500 training images"} <= set(
        texts(figure)
    )
    assert above.get_yscale() == "log"
    assert "Frechet distance" in above.get_ylabel() and "lower is better" in above.get_ylabel()
    assert "best 0.410 at 20 kimg" in legend_texts(figure)
    assert "floor 0.210" in texts(above) and texts(below) == ["floor 0.95", "floor 0.03"]
    assert above.get_xlim() == below.get_xlim() == (0, 22)
    assert below.get_xlabel() == "images seen [kimg]"


def test_kernel_distance_is_called_so():
    figure, above, _ = score_chart([scored(5000, None, kid_digits=0.1)], {"score": "kid_digits"})
    assert "quick on mnist-5k: Kernel distance (kid_digits)" in texts(figure)
    assert above.get_ylabel().startswith("Kernel distance")


@pytest.mark.parametrize("n", [1, 5, 40])
@pytest.mark.parametrize("about", [{}, ABOUT, ABOUT | {"floor": 0.0003, "class_tv_floor": 0.93}])
def test_nothing_in_the_score_chart_overlaps_or_leaves_the_page(n, about):
    figure, above, below = score_chart([scored(i * 20_000, 300 * 0.7**i) for i in range(1, n + 1)], about)
    figure.draw_without_rendering()
    ticks = [
        label
        for axes in (above, below)
        for label in axes.get_yticklabels()
        if axes.get_ylim()[0] <= label.get_position()[1] <= axes.get_ylim()[1]
    ]
    items = [*figure.legends, *figure.texts, *above.texts, *below.texts, above.yaxis.label, below.xaxis.label, *ticks]
    boxes = [item.get_window_extent() for item in items]
    assert len(boxes) > 10
    for box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_scores_a_log_scale_cannot_hold_lie_on_its_edge_and_can_be_the_best():
    figure, above, _ = score_chart([scored(5000, 5.0), scored(10_000, 0.0), scored(15_000, -0.01)])
    low, high = above.get_ylim()
    curve, star = above.lines[:2]
    assert list(curve.get_ydata()) == [5.0, low, low]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (15.0, low)
    assert 0 < low < 0.21 < 5 < high
    assert "best -0.0100 at 15 kimg" in legend_texts(figure)


def test_first_of_equal_scores_is_the_best():
    figure, _, _ = score_chart([scored(5000, 7.0), scored(10_000, 7.0)])
    assert "best 7.00 at 5 kimg" in legend_texts(figure)


def test_evaluations_without_numbers_give_an_empty_chart_with_its_floor():
    nothing = scored(5000, None, coverage=None, class_tv=math.nan)
    figure, above, below = score_chart([nothing, scored(9000, math.inf, coverage=57.0, class_tv=-1)])
    assert {"no measurements yet", "floor 0.210"} <= set(texts(above)) and texts(below) == ["no measurements yet"]
    assert legend_texts(figure) == []


def test_share_that_was_never_measured_is_not_in_the_legend():
    figure, _, below = score_chart([scored(5000, 3.0, class_tv=None)])
    assert not any("class" in name for name in legend_texts(figure))
    assert texts(below) == ["floor 0.95"]


@pytest.mark.parametrize("damage", ["12", [1], math.nan, 10**400, -1], ids=["text", "list", "nan", "huge", "negative"])
def test_damaged_config_gives_pictures_without_that_part(make_run, damage):
    broken = dict.fromkeys(ABOUT, damage) | {"score": "fd_digits"}
    configs = [
        {"preset": damage, "data": damage, "ideals": damage, "eval": damage},
        {"data": {"name": damage, "n_train": damage}, "ideals": dict.fromkeys(IDEALS, damage), "eval": broken},
    ]
    for config in configs:
        run = make_run([line(2000), scored(2000, 12.3)], config)
        assert all(path.exists() for path in plots.draw_plots(run))


def test_long_title_is_made_smaller_until_it_fits():
    for name in ("short", "a-folder-with-quite-a-long-name-" * 3, "图" * 90):
        figure, _ = plots.new_figure(f"quick on {name}: losses")
        with warnings.catch_warnings(action="ignore"):
            assert figure.texts[0].get_window_extent().x1 <= figure.bbox.x1
    assert plots.new_figure("quick")[0].texts[0].get_fontsize() == 15


def test_a_matplotlibrc_changes_nothing(make_run, monkeypatch):
    run = make_run([line(1000, d_loss=1.0, g_loss=1.0)])
    before = [path.read_bytes() for path in plots.draw_plots(run)]
    with matplotlib.rc_context({"text.usetex": True, "axes.facecolor": "red", "lines.linewidth": 9}):
        assert [path.read_bytes() for path in plots.draw_plots(run)] == before
        assert matplotlib.rcParams["text.usetex"], "and it holds again afterwards"
