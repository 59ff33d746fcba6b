import math

import numpy as np
import pytest
import run_folders

from gancli.errors import RunError
from gancli.report import charts

IDEALS = {"d_loss": math.log(4), "g_loss": math.log(2), "accuracy": 0.5}
CONFIG = {"preset": "quick", "ideals": IDEALS, "eval": {"score": "fd_digits", "floor": 0.25}}


def tick(nimg, d_loss=1.2, **values):
    return {"kind": "tick", "nimg": nimg, "d_loss": d_loss, "accuracy_real": 0.7} | values


@pytest.fixture
def make_run(tmp_path):
    def make(*records, config=CONFIG):
        return run_folders.make_run(tmp_path / "runs", config, records)

    return make


def test_each_run_has_loss_accuracy_and_score_with_their_ideals(make_run):
    run = make_run(tick(2000, g_loss=0.9), tick(4000), {"kind": "eval", "nimg": 4000, "fd_digits": 3.5})
    [[loss, accuracy, score]] = charts.film_charts([run])
    assert [line.name for line in loss.lines] == ["discriminator", "generator"]
    assert loss.lines[0].kimg.tolist() == [2, 4] and loss.lines[1].values.tolist() == [0.9]
    assert [mark.value for mark in loss.marks] == [math.log(4), math.log(2)]
    assert [mark.value for mark in accuracy.marks] == [0.5] and accuracy.range == (0, 1)
    assert (score.title, score.marks_name, score.marks[0].value) == ("fd_digits", "floor", 0.25)
    assert score.lines[0].values.tolist() == [3.5]
    assert score.range[0] < 0.25 and score.range[1] > 3.5


def test_accuracy_of_pairs_is_one_curve_next_to_the_held_out_one(make_run):
    pairs = make_run(
        {"kind": "tick", "nimg": 2000, "d_loss": 0.6, "accuracy": 0.7, "accuracy_heldout": 0.6},
        config={"ideals": IDEALS | {"accuracy_of": "pairs"}},
    )
    [[_, accuracy]] = charts.film_charts([pairs])
    assert [(line.name, line.values.tolist()) for line in accuracy.lines] == [("training", [0.7]), ("held out", [0.6])]
    [[_, accuracy]] = charts.film_charts([make_run(tick(2000, accuracy=0.7))])
    assert [(line.name, line.values.tolist()) for line in accuracy.lines] == [("training", [0.7])], "of real images"


def test_runs_share_their_ranges(make_run):
    calm, wild = make_run(tick(2000, 1.0)), make_run(*(tick(nimg, 9.0) for nimg in (2000, 4000)))
    first, second = charts.film_charts([calm, wild])
    assert [chart.range for chart in first] == [chart.range for chart in second]
    assert first[0].range[1] > 9


def test_score_chart_is_drawn_for_all_runs_or_none(make_run):
    scored = make_run(tick(2000), {"kind": "eval", "nimg": 2000, "fd_digits": 3.5})
    plain = make_run(tick(2000), config={})
    assert [len(own) for own in charts.film_charts([plain])] == [2]
    both = charts.film_charts([scored, plain])
    assert [len(own) for own in both] == [3, 3]
    assert not both[1][2].lines


def test_epochs_are_used_if_no_tick_was_measured(make_run):
    [[loss, *_]] = charts.film_charts([make_run({"kind": "epoch", "nimg": 900, "d_loss": 1.0})])
    assert loss.lines[0].kimg.tolist() == [0.9]


def test_run_without_measurements_is_named(make_run):
    good, bad = make_run(tick(2000)), make_run()
    with pytest.raises(RunError, match=f"{bad.path} has no measurements.*--plots"):
        charts.film_charts([good, bad])


@pytest.mark.parametrize("damage", ["12", [1], None, -1], ids=str)
def test_damaged_config_omits_only_the_dashed_lines(make_run, damage):
    run = make_run(tick(2000), config={"ideals": damage, "eval": {"score": damage, "floor": damage}})
    [[loss, *_]] = charts.film_charts([run])
    assert not loss.marks and np.isfinite(loss.range).all()


def test_several_runs_are_compared_in_a_colour_each_with_their_ideals():
    runs = [(CONFIG, [tick(1000, value, g_loss=3.0), tick(2000, value, g_loss=3.0)]) for value in (1.0, 2.0)]
    found = charts.comparison_charts(charts.report_charts(runs), ["a", "b"])
    assert found[0].title == "loss: discriminator"
    assert [(line.name, line.tone, line.values[0]) for line in found[0].lines] == [
        ("a", "run0", 1.0),
        ("b", "run1", 2.0),
    ]
    assert len(found[0].marks) == 1 and found[0].marks[0].tone == "grey"
    assert not [chart for chart in found if not chart.lines]
