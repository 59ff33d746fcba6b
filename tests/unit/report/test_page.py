import json
import os
import re
import time
from html.parser import HTMLParser

import numpy as np
import pytest
import run_folders

from gancli.errors import ConfigError, RunError
from gancli.files import image_io
from gancli.report import page, run_view

EVIL = "<script>alert('x')</script>\"'&\udc80\n"
IDEALS = {"d_loss": 1.3863, "g_loss": 0.6931, "accuracy": 0.5, "d_loss_name": "log 4", "accuracy_of": "images"}
DATA = {"name": "tiny", "source": "tiny", "n_train": 1000, "n_heldout": 100, "resolution": 8, "channels": 1}
DATA |= {"class_names": ["cat", "dog"], "class_counts": [500, 500], "digest": "abc"}
RECORD = {
    "gancli": "0.1.0",
    "preset": "quick",
    "train": {"lr": 0.002, "seed": 3, "ada": False},
    "sources": {"lr": "preset quick", "seed": "flag", "ada": "rule"},
    "plan": {"total_nimg": 4000},
    "data": DATA,
    "machine": {"device": "cpu", "threads": 2, "precision": "float32"},
    "ideals": IDEALS,
    "eval": {"score": "fd_digits", "floor": 0.25, "coverage_floor": 0.95},
}
TICK = {"kind": "tick", "d_loss": 1.2, "g_loss": 0.9, "accuracy": 0.6, "accuracy_real": 0.65, "accuracy_fake": 0.55}
TICK |= {"r_v": -0.1, "diversity": 0.9, "d_grad": 2.0, "g_grad": 0.5}
SCORED = {"kind": "eval", "coverage": 0.8, "class_tv": 0.1}
EVENTS = [
    {"event": "start", "nimg": 0, "time": "2026-11-25T12:00:00+0000"},
    {"event": "warning", "nimg": 2000, "name": "past_best", "text": "past its best"},
    {"event": "resume", "nimg": 2000},
    {"event": "finished", "nimg": 4000},
]
LINES = [{**TICK, "nimg": nimg, "train_s": nimg / 100} for nimg in (1000, 2000, 3000, 4000)]
LINES += [{**SCORED, "nimg": nimg, "fd_digits": value} for nimg, value in ((2000, 0.5), (4000, 0.75))]


@pytest.fixture
def make_run(tmp_path):
    def make(record=RECORD, lines=LINES, events=EVENTS, nimgs=range(0, 4001, 500), shape=(16, 24)):
        run = run_folders.make_run(tmp_path / "runs", record, lines, events, "quick-tiny")
        for nimg in nimgs:
            image_io.write_png(run.frame(nimg), noise(nimg, shape))
        image_io.write_png(run.reals, noise(1, shape))
        return run

    return make


def noise(seed, shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


class Parsed(HTMLParser):
    """A page as a browser reads it: its elements, its text, and the text of each script."""

    def __init__(self, content):
        super().__init__()
        self.elements, self.text, self.scripts = [], "", []
        self.is_script = False
        self.feed(content.decode())

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.is_script = tag == "script"
        self.scripts += [""] if self.is_script else []

    def handle_endtag(self, tag):
        self.is_script = False

    def handle_data(self, data):
        if self.is_script:
            self.scripts[-1] += data
        else:
            self.text += data

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def parsed(*runs):
    return Parsed(page.render_report(runs))


def test_a_page_shows_pictures_curves_events_scores_settings_data_and_the_command(make_run):
    run = make_run()
    folder = run.path / "scores" / "00002"
    folder.mkdir(parents=True)
    score = {"value": 12.5, "floor": 0.25, "reading": "50 times the floor"}
    about = {"n_fake": 300, "n_real": 900, "nimg": 4000, "data": "tiny", "data_digest": "abc", "features": "digits"}
    (folder / "scores.json").write_text(json.dumps({"scores": {"fd_digits": score, "odd": 1}, "conditions": about}))
    image_io.write_png(folder / "nearest.png", noise(2, (30, 40, 3)))
    shown = parsed(run)
    assert (
        "scores/00002: 300 generated images compared with 900 training images of tiny; the model at 4 kimg"
        in shown.text
    )
    assert "nearest training image, in scores/00002" in shown.text and "did not use the training data" not in shown.text
    titles = (
        "loss",
        "D accuracy",
        "fd_digits",
        "coverage and class balance",
        "diversity and overfitting",
        "gradient norms",
    )
    for text in (
        *titles, "ideal", "1.39", "0.693", "best 0.500 at 2 kimg", "2 times its floor", "past its best", "resume",
        "finished", "50 times the floor", "scores/00002", "cat (500), dog (500)", "seed", "8 x 8 pixels, grey",
        "gancli train --preset quick --data tiny --seed 3 --threads 2 --precision float32",
    ):  # fmt: skip
        assert text in shown.text, text
    data = json.loads(shown.scripts[0])
    assert data["nimgs"] == list(range(0, 4001, 500)) == data["tracks"][0]["nimgs"]
    assert data["moments"][-1] == {"label": "4.0 kimg · epoch 4.0", "x": 100}
    assert len(data["values"]) == len([a for a in shown.of("span") if a.get("class") == "now"])
    assert data["values"][0] == ["-", "-", "1.20", "1.20", "1.20", "1.20", "1.20", "1.20", "1.20"]
    marks = [a for a in shown.of("path") if a["class"].startswith("mark ")]
    assert len(marks) == 2 * len(titles), "a warning and a resume on each chart"
    assert len(shown.of("img")) == 3 and all(image["alt"] for image in shown.of("img"))
    assert all(plot["aria-label"] for plot in shown.of("div") if plot.get("role") == "img")


def test_scores_against_other_images_are_marked(make_run):
    run = make_run()
    folder = run.path / "scores" / "00000"
    folder.mkdir(parents=True)
    record = {"scores": {"fd_digits": {"value": 1.0}}, "conditions": {"data": "others", "data_digest": "def"}}
    (folder / "scores.json").write_text(json.dumps(record))
    assert "This evaluation did not use the training data of this run." in parsed(run).text


def test_a_kernel_distance_may_be_negative_and_is_read_against_0(make_run):
    about = {"score": "kid_digits", "floor": -0.0003}
    values = ((1000, 0.004), (2000, -0.0004), (4000, 0.0003))
    lines = [{"kind": "eval", "nimg": nimg, "kid_digits": value} for nimg, value in values]
    shown = parsed(make_run({**RECORD, "eval": about}, [*LINES[:4], *lines]))
    assert shown.text.count("-0.000400 at 2 kimg") == 2 and "times its floor" not in shown.text


@pytest.mark.parametrize("unlike", [{"n_fake": 500}, {"features_sha256": "f"}, {"score": "fd_digits"}])
def test_runs_scored_under_different_conditions_are_not_compared(make_run, unlike):
    runs = make_run(), make_run({**RECORD, "eval": {**RECORD["eval"], **unlike}})
    assert ("These runs were scored with different data" in parsed(*runs).text) == ("score" not in unlike)


def test_a_page_loads_nothing_from_outside(make_run):
    content = page.render_report([make_run()])
    assert b"://" not in content and b"@import" not in content and b"url(" not in content
    for tag, attributes in Parsed(content).elements:
        assert tag not in ("link", "iframe", "object", "base", "form")
        assert all(attributes.get(name, "data:").startswith("data:") for name in ("src", "href", "srcset"))
    assert b"default-src 'none'; img-src data:;" in content


def test_nothing_from_a_file_becomes_an_element(make_run):
    def poisoned(value):
        if isinstance(value, dict):
            return {(key if key in KEPT else key + EVIL): poisoned(each) for key, each in value.items()} | (
                {key: poisoned(each) for key, each in value.items()}
            )
        if isinstance(value, list):
            return [poisoned(each) for each in value]
        return value + EVIL if isinstance(value, str) else value

    KEPT = set(RECORD)
    lines = [{**line, f"fd_digits{EVIL}": 1.0} for line in LINES]
    run = make_run(poisoned(RECORD), lines, poisoned(EVENTS))
    folder = run.path / "scores" / "00000"
    folder.mkdir(parents=True)
    score = poisoned({"value": 1.0, "reading": "so"})
    (folder / "scores.json").write_text(json.dumps({"scores": {EVIL: score}}))
    evil, plain = parsed(run), parsed(make_run())
    assert "<script>alert('x')</script>" in evil.text, "it is there to read"
    assert len(evil.scripts) == len(plain.scripts) == 2 and evil.scripts[1] == plain.scripts[1]
    json.loads(evil.scripts[0])
    assert {tag for tag, _ in evil.elements} <= {tag for tag, _ in plain.elements} | {"code"}
    names = {name for _, attributes in plain.elements for name in attributes}
    assert {name for _, attributes in evil.elements for name in attributes} <= names
    two = parsed(run, make_run())
    assert len(two.scripts) == 2 and {name for _, attributes in two.elements for name in attributes} <= names


@pytest.mark.parametrize(
    ("record", "lines", "events", "nimgs"),
    [
        (RECORD, [], [], []),
        (RECORD, [], EVENTS, [0]),
        (RECORD, LINES[:1], EVENTS[:1], [0, 500]),
        ({}, LINES, EVENTS, range(0, 4001, 500)),
        ({"train": [], "data": 3, "eval": {"score": 4}, "plan": None, "ideals": {"d_loss": "x"}}, LINES, [{}], [0]),
        (RECORD, [{"kind": "eval", "nimg": 0, "fd_digits": None}], [{"event": 3, "nimg": "x"}], [0, 1]),
        ({**RECORD, "data": {**DATA, "n_train": 0, "class_names": [1], "class_counts": [None]}}, LINES, [], [0]),
    ],
)
def test_a_run_with_little_data_gets_a_page(make_run, record, lines, events, nimgs):
    shown = parsed(make_run(record, lines, events, nimgs))
    assert bool(shown.of("input")) == (len(nimgs) > 1)
    assert ("no measurements yet" in shown.text) == (not any(line["kind"] == "tick" for line in lines))
    assert ("no frames yet" in shown.text) == (not nimgs)


def test_a_run_without_any_log_or_picture_gets_a_page(make_run):
    run = make_run(nimgs=[])
    for path in (run.metrics, run.events, run.reals):
        path.unlink()
    assert "no measurements yet" in parsed(run).text
    image_io.write_png(run.samples, noise(0, (16, 24)))
    assert len(parsed(run).of("img")) == 1


@pytest.mark.parametrize(
    ("n", "shape", "said"),
    [(10, (500, 400, 3), "compressed with a small loss of quality"), (200, (150, 200), "of 200 frames shown")],
    ids=["large", "many"],
)
def test_pages_of_large_and_of_many_frames_stay_below_five_megabytes(make_run, n, shape, said):
    run = make_run(nimgs=range(0, 1000 * n, 1000), shape=shape)
    image_io.write_png(run.reals, noise(1, (600, 600, 3)))
    assert sum(path.stat().st_size for path in run.frame_paths()) > 5e6
    content = page.render_report([run])
    shown = Parsed(content)
    nimgs = json.loads(shown.scripts[0])["nimgs"]
    assert len(content) < 5e6 and said in shown.text and "all originals are in frames/" in shown.text
    assert len(nimgs) >= 10 and nimgs[-1] == 1000 * (n - 1)


@pytest.mark.parametrize(("n_runs", "nimgs"), [(1, [0]), (3, [0, 500])])
def test_pages_of_few_frames_of_noise_stay_below_five_megabytes(make_run, n_runs, nimgs):
    runs = [make_run(nimgs=nimgs, shape=(1400, 1200, 3)) for _ in range(n_runs)]
    content = page.render_report(runs)
    assert len(content) < 5e6 and len(json.loads(Parsed(content).scripts[0])["tracks"]) == n_runs


def test_a_picture_too_high_for_webp_gets_a_page(make_run):
    run = make_run(nimgs=[0], shape=(20_000, 90, 3))
    assert re.search(r'class="frame" src="data:image/webp', page.render_report([run]).decode())


def test_impossible_numbers_and_pictures_are_omitted(make_run):
    run = make_run({**RECORD, "eval": {"score": "kind"}, "plan": {"total_nimg": 10**400, "earlier": [10**400]}})
    folder = run.path / "scores" / "00000"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "scores.json")  # whoever opened it would wait forever
    os.mkfifo(folder / "nearest.png")
    assert "Evaluation" not in parsed(run).text
    run.frame(0).unlink()
    os.mkfifo(run.frame(0))
    with pytest.raises(RunError, match=r"000000000\.png"):
        page.render_report([run])


def test_the_latest_evaluation_and_events_are_shown_and_given_settings_come_first(make_run):
    events = [{"event": "warning", "nimg": i, "text": f"number {i}."} for i in range(103)]
    run = make_run(events=events)
    for i, value in enumerate((1.5, 2.5)):
        folder = run.path / "scores" / f"{i:05}"
        folder.mkdir(parents=True)
        entry = {"scores": {"fd_digits": {"value": value}}, "conditions": {}}
        (folder / "scores.json").write_text(json.dumps({"models": [entry, {"scores": {"fd_digits": {"value": 9.5}}}]}))
        image_io.write_png(folder / f"nearest-{i + 1}.png", noise(2, (30, 40, 3)))
    shown = parsed(run).text
    assert (
        "2.50" in shown
        and "1.50" not in shown
        and "scores/00001" in shown
        and "nearest training image, in scores/00001" in shown
    )
    assert "number 102." in shown and "number 3." in shown and "number 2." not in shown
    assert "3 earlier ones are in events.jsonl" in shown
    assert [row.name for row in run_view.RunView.read(run, run.read_config(), "", 0).settings] == ["seed", "ada", "lr"]


def test_equal_runs_give_equal_bytes(make_run):
    run = make_run()
    assert page.render_report([run]) == page.render_report([run])


def test_a_page_is_replaced_atomically(make_run, monkeypatch):
    run = make_run()
    assert page.write_report(run) == run.report and run.report.read_bytes() == page.render_report([run])
    before = run.report.read_bytes()
    run.frame(500).write_bytes(b"not a picture")
    with pytest.raises(RunError, match=r"000000500\.png"):
        page.write_report(run)
    run.frame(500).unlink()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match=r"report\.html: No space"):
        page.write_report(run)
    assert run.report.read_bytes() == before
    assert not list(run.path.glob(".*.partial"))


def test_runs_are_compared_curve_by_curve_at_the_same_moments(make_run):
    other = {**RECORD, "preset": "classic", "train": {**RECORD["train"], "lr": 0.001}}
    runs = make_run(), make_run(other, LINES[:2], EVENTS[:1], [0, 510, 2000])
    shown = parsed(*runs)
    for text in ("2 runs compared", "quick · tiny", "classic · tiny", "loss: discriminator", "D accuracy: held out"):
        assert (text in shown.text) == (text != "D accuracy: held out")
    rows = re.search(r"Settings that differ(.*?)The command", shown.text, re.S)[1]
    assert re.search(r"preset\s*quick\s*classic", rows) and re.search(r"lr\s*0\.002\s*0\.001", rows)
    assert "seed" not in rows
    data = json.loads(shown.scripts[0])
    assert data["nimgs"] == [0, 510, 1000, 1500, 2000, 2500, 3000, 3500, 4000]
    assert data["tracks"][1]["nimgs"] == [0, 510, 2000]
    assert "cannot be compared" not in shown.text
    foreign = make_run({**RECORD, "data": {**DATA, "digest": "other"}})
    assert "cannot be compared" in parsed(runs[0], foreign).text


def test_nine_runs_are_refused(make_run):
    with pytest.raises(ConfigError, match="at most 8 runs, got 9"):
        page.render_report([make_run(nimgs=[0], lines=[])] * 9)


def test_a_warning_is_shown_once_with_its_name(make_run):
    warning = {"event": "warning", "nimg": 9, "name": "overfitting", "text": "overfitting: D has memorised its images"}
    shown = parsed(make_run(events=[warning])).text
    assert "overfitting: D has memorised" in shown and "overfitting: overfitting" not in shown


def live(run):
    content = Parsed(page.write_report(run).read_bytes())
    return json.loads(content.scripts[0])["live"]


def test_only_the_page_of_a_run_that_is_training_reloads_itself(make_run):
    begun, ended = make_run(events=EVENTS[:-1]), make_run()
    assert live(begun) is live(ended) is None
    with begun.lock(), ended.lock():
        assert live(begun)["reload_s"] == page.RELOAD_S > 0
        assert live(ended) is None
        assert b'"live": null' in page.render_report([begun, ended])
    assert live(begun) is None


def test_a_page_that_reloads_itself_knows_when_to_stop_and_how_to_continue_the_run(make_run):
    run, before = make_run(events=EVENTS[:-1]), time.time()
    with run.lock():
        found = live(run)
        shown = Parsed(run.report.read_bytes())
    assert before <= found["written_s"] <= time.time()
    assert found["patience_s"] == page.SHORTEST_PATIENCE_S
    assert f"continue it with gancli train --resume {run.path}" in shown.text
    assert ("p", {"class": "warning", "id": "silent", "role": "status", "hidden": None}) in shown.elements


@pytest.mark.parametrize(
    ("snapshot_kimg", "train_s", "patience_s"),
    [
        (20, 1000, 25_000),  # 20,000 images at 0.25 s each take 5,000 s
        (0.1, 1000, page.SHORTEST_PATIENCE_S),
        (20, None, page.SHORTEST_PATIENCE_S),
        (20, 1e299, page.LONGEST_PATIENCE_S),
        ("?", 1000, page.SHORTEST_PATIENCE_S),
    ],
)
def test_the_page_waits_for_several_snapshots_at_the_speed_of_the_run(snapshot_kimg, train_s, patience_s):
    record, log = {"train": {"snapshot_kimg": snapshot_kimg}}, [{"nimg": 4000, "train_s": train_s}]
    assert page.find_patience_s(record, log) == patience_s


def test_the_end_by_time_budget_has_a_readable_name(make_run):
    shown = parsed(make_run(events=[*EVENTS[:1], {"event": "time", "nimg": 4000}]))
    assert shown.text.count("time budget used up") == 2
    cells = re.findall(r"<td>([^<]*)</td>", page.render_report([make_run(events=[{"event": "time"}])]).decode())
    assert "time budget used up" in cells and "time" not in cells
