"""Scores in files: written, read back, and chosen by training."""

import json
from pathlib import Path

import pytest

from gancli.files.run_folder import SCORES_NAME, RunDir
from gancli.files.scores import (
    TRAINING_SCORES,
    Evaluation,
    Score,
    ScoreAt,
    best_training_score,
    read_evaluations,
    training_scores,
)

FULL = Score("fd_toy", 3.0, "close", 1.5, 1.25, 40, 0.5, 100, 50, True, {"expected_bias": 0.25})
ABOUT = {"score": "fd_toy", "floor": 0.5, "coverage_floor": 0.9}


@pytest.mark.parametrize(
    ("score", "value", "floor", "ratio"),
    [
        ("fd_digits", 3.0, 1.5, 2.0),
        ("fd_digits", 3.0, None, None),
        ("fd_digits", 3.0, 0.0, None),
        ("fd_digits", 3.0, -1.0, None),
        ("fd_digits", 1e299, 1e-300, None),
        ("kid_digits", 0.004, 0.001, None),
    ],
)
def test_a_score_is_shown_in_floors_where_that_is_meaningful(
    score: str, value: float, floor: float | None, ratio: float | None
) -> None:
    assert Score(score, value, floor=floor).times_floor == ratio


def test_a_score_without_a_value_has_no_multiple_of_its_floor() -> None:
    assert Score("fd_toy", None, floor=1.0).times_floor is None


def test_a_score_comes_back_from_its_file_as_it_was() -> None:
    for score in (FULL, Score("kid_toy", -0.5, "below 0"), Score("class_tv", 0.0, floor=0.0, details={"shares": {}})):
        assert Score.from_json(score.name, json.loads(json.dumps(score.to_json()))) == score


def test_invalid_scores_in_a_file_are_ignored() -> None:
    scores = {"a": {"value": "1"}, "b": {"value": float("nan")}, "c": 3, "d": {"value": True}, "e": {"value": 1e400}}
    good = {"value": 2, "floor": "low", "reading": 3, "n_real": 7.0, "is_alarm": 1}
    found = Evaluation.from_json({"scores": {**scores, "f": good}, "conditions": [1]})
    assert found == Evaluation({"f": Score("f", 2.0, n_real=7)}, {})
    assert found.describe_counts() == "0 generated images compared with 0 training images"


def test_evaluations_of_a_run_are_read_the_latest_first(tmp_path: Path) -> None:
    one = Evaluation({"fd_toy": FULL, "kid": Score("kid", None, "too few")}, {"n_fake": 50, "n_real": 1000})
    for name, content in {
        "00001": one.to_json(),
        "00010": {"models": [one.to_json(), {"scores": {}}, 3, one.to_json()]},
        "00002": [],
        "notes": one.to_json(),
    }.items():
        (tmp_path / "scores" / name).mkdir(parents=True)
        (tmp_path / "scores" / name / SCORES_NAME).write_text(json.dumps(content))
    (tmp_path / "scores" / "00010" / "nearest-4.png").write_bytes(b"")
    found = list(read_evaluations(RunDir(tmp_path)))
    places = [(each.folder.name, each.nearest and each.nearest.name) for each in found]
    assert places == [("00010", None), ("00010", "nearest-4.png"), ("00001", None)]
    assert all(each.evaluation.scores == {"fd_toy": FULL} for each in found)
    assert found[0].evaluation.describe_counts() == "50 generated images compared with 1,000 training images"


def test_scores_of_training_have_their_floors_and_direction() -> None:
    line = {"kind": "eval", "nimg": 5, "fd_toy": 2.0, "coverage": 0.5, "class_tv": None}
    assert training_scores(ABOUT, line) == [
        Score("fd_toy", 2.0, "lower is better", 0.5),
        Score("coverage", 0.5, "higher is better", 0.9),
    ]
    assert training_scores({}, line) == [Score("coverage", 0.5, "higher is better")]
    assert len(TRAINING_SCORES) == len({(row.key, row.floor_key, row.label) for row in TRAINING_SCORES}) == 3


def test_the_best_score_of_training_is_the_lowest_and_the_first_of_equal_ones() -> None:
    values = [(1, 3.0), (2, None), (3, 2.0), (4, 2.0), (5, "1")]
    lines = [{"kind": "eval", "nimg": nimg, "fd_toy": value} for nimg, value in values]
    lines.append({"kind": "tick", "nimg": 6, "fd_toy": 1.0})
    assert best_training_score(ABOUT, lines) == ScoreAt(Score("fd_toy", 2.0, floor=0.5), 3)
    assert best_training_score(ABOUT, []) is None
