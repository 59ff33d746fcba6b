"""A score, from the features it is computed of to each place that shows it; and what evaluations leave in a run folder.

Metrics compute scores, `gancli evaluate` writes them to scores.json, training writes some into metrics.jsonl. Whoever
reads these files gets the same type back.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gancli.files.json_values import get_number, get_section, get_text, read_json_object
from gancli.files.run_folder import SCORES_NAME, RunDir

Conditions = Mapping[str, object]


@dataclass(frozen=True)
class Score:
    """One number, how to read it, and under which counts it stands.

    value is None if it cannot be had here (reading says why). floor is what a perfect generator would get, None if
    unknown; floor_measured is the floor at the count floor_n it was measured with, before scaling; error is a
    standard error. is_alarm: whether this alone says that something is wrong. details holds what else belongs to this
    number, all of it JSON.
    """

    name: str
    value: float | None
    reading: str = ""
    floor: float | None = None
    floor_measured: float | None = None
    floor_n: int | None = None
    error: float | None = None
    n_real: int | None = None
    n_fake: int | None = None
    is_alarm: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def times_floor(self) -> float | None:
        """How far it stands from its floor. None without a floor above 0, and for a kernel distance, which is read
        against 0: its estimate can be negative."""
        if self.value is None or not self.floor or self.floor < 0 or self.name.startswith("kid"):
            return None
        ratio = self.value / self.floor
        return ratio if math.isfinite(ratio) else None

    def to_json(self) -> dict[str, object]:
        """Without the name; None (null) for what is absent or not finite."""
        plain = {key: value for key, value in vars(self).items() if key not in ("name", "details")}
        return replace_nonfinite({**plain, **self.details})

    @classmethod
    def from_json(cls, name: str, values: Mapping[str, object]) -> "Score":
        """What is missing, or is no number, is None."""

        def count(key: str) -> int | None:
            n = get_number(values, key)
            return None if n is None else int(n)

        return cls(
            name,
            get_number(values, "value"),
            get_text(values, "reading"),
            floor=get_number(values, "floor"),
            floor_measured=get_number(values, "floor_measured"),
            floor_n=count("floor_n"),
            error=get_number(values, "error"),
            n_real=count("n_real"),
            n_fake=count("n_fake"),
            is_alarm=values.get("is_alarm") is True,
            details={key: value for key, value in values.items() if key not in cls.__dataclass_fields__},
        )


def replace_nonfinite(values: Mapping[str, object]) -> dict[str, object]:
    """None in the place of numbers that JSON has no word for."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


@dataclass(frozen=True)
class Evaluation:
    """Scores by name, and the conditions they were taken under."""

    scores: Mapping[str, Score]
    conditions: Conditions

    def to_json(self) -> dict[str, object]:
        scores = {name: score.to_json() for name, score in self.scores.items()}
        return {"scores": scores, "conditions": self.conditions}

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> "Evaluation":
        """Of what stands in a file, the scores that have a value."""
        scores = get_section(values, "scores").items()
        found = [Score.from_json(name, score) for name, score in scores if isinstance(score, dict)]
        return cls({score.name: score for score in found if score.value is not None}, get_section(values, "conditions"))

    def describe_counts(self) -> str:
        """'10,000 generated images against 4,500 training images'."""
        n_fake, n_real = (get_number(self.conditions, key) or 0 for key in ("n_fake", "n_real"))
        return f"{n_fake:,.0f} generated images against {n_real:,.0f} training images"


class StoredEvaluation(NamedTuple):
    """The evaluation of one model in a run folder; nearest: the picture of pairs, None if there is none."""

    folder: Path
    evaluation: Evaluation
    nearest: Path | None


def nearest_pairs_name(number: int, total: int) -> str:
    """The picture beside scores.json that belongs to one of the models in it, counted from 1."""
    return "nearest.png" if total == 1 else f"nearest-{number}.png"


def read_evaluations(run: RunDir) -> Iterator[StoredEvaluation]:
    """What `gancli evaluate` left in a run folder, the latest first; those without any score are left out."""
    folders = [path for path in (run.path / "scores").glob("*") if re.fullmatch(r"\d{5,}", path.name)]
    for folder in sorted(folders, key=lambda path: int(path.name), reverse=True):
        record = read_json_object(folder / SCORES_NAME)
        models = record.get("models")
        entries = models if isinstance(models, list) else [record]
        for number, entry in enumerate(entries, start=1):
            evaluation = Evaluation.from_json(entry if isinstance(entry, dict) else {})
            if evaluation.scores:
                nearest = folder / nearest_pairs_name(number, len(entries))
                yield StoredEvaluation(folder, evaluation, nearest if nearest.is_file() else None)


class TrainingScore(NamedTuple):
    """A score that training takes of its samples: its key in metrics.jsonl and that of its floor in config.json's
    "eval", its name in a legend, and which values are better."""

    key: str
    floor_key: str
    label: str
    better: Literal["lower", "higher"]


RANKING = TrainingScore("", "floor", "score", "lower")  # ranks models; its key is the "score" of "eval": fd_digits, ...
COVERAGE = TrainingScore("coverage", "coverage_floor", "coverage", "higher")
CLASS_BALANCE = TrainingScore("class_tv", "class_tv_floor", "class imbalance", "lower")
TRAINING_SCORES = (RANKING, COVERAGE, CLASS_BALANCE)


class ScoreAt(NamedTuple):
    """A score of the model that had seen so many images."""

    score: Score
    nimg: int


class ScoreSummary(NamedTuple):
    """The latest score of a training, and the best one, None without any."""

    latest: Score
    best: ScoreAt | None

    def to_json(self) -> dict[str, object]:
        best, nimg = (self.best.score.value, self.best.nimg) if self.best else (None, None)
        latest = self.latest
        return {"name": latest.name, "value": latest.value, "floor": latest.floor, "best": best, "best_nimg": nimg}


def training_scores(about: Mapping[str, object], line: Mapping[str, object]) -> list[Score]:
    """Those of a line of metrics.jsonl that have a value. about: "eval" of config.json."""
    found = []
    for row in TRAINING_SCORES:
        name = row.key or get_text(about, "score")
        if (value := get_number(line, name)) is not None:
            found.append(Score(name, value, f"{row.better} is better", get_number(about, row.floor_key)))
    return found


def best_training_score(about: Mapping[str, object], lines: Iterable[Mapping[str, Any]]) -> ScoreAt | None:
    """The best of those that rank models, and of equal ones the first."""
    name, best = get_text(about, "score"), None
    for line in lines:
        value = get_number(line, name) if line.get("kind") == "eval" else None
        if value is not None and (best is None or value < best[0]):
            best = value, line["nimg"]
    return best and ScoreAt(Score(name, best[0], floor=get_number(about, RANKING.floor_key)), best[1])
