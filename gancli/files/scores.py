"""Scores and evaluations, and reading them from a run folder.

Metrics compute scores, `gancli evaluate` writes them to scores.json, and training writes some into metrics.jsonl. All
readers of these files get the same `Score` type.
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
    """A score, how to read it, and the image counts it was computed from.

    value: None if it cannot be computed (reading says why). floor: the score that a perfect generator would get with
    the same number of images, None if unknown. floor_measured: the floor as measured with floor_n images, before
    scaling. error: standard error. is_alarm: this score alone shows that something is wrong. details: other values for
    JSON.
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
        """The score divided by its floor; None without a floor above 0, and for a kernel distance.

        A kernel distance is compared with 0, because its estimate can be negative.
        """
        if self.value is None or not self.floor or self.floor < 0 or self.name.startswith("kid"):
            return None
        ratio = self.value / self.floor
        return ratio if math.isfinite(ratio) else None

    def to_json(self) -> dict[str, object]:
        """Return all fields except the name; absent and non-finite values are None (null)."""
        plain = {key: value for key, value in vars(self).items() if key not in ("name", "details")}
        return replace_nonfinite({**plain, **self.details})

    @classmethod
    def from_json(cls, name: str, values: Mapping[str, object]) -> "Score":
        """Read a score; missing values and values that are not numbers become None."""

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
    """Replace NaN and infinity, which JSON cannot hold, by None."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


@dataclass(frozen=True)
class Evaluation:
    """Scores by name, and the conditions under which they were computed."""

    scores: Mapping[str, Score]
    conditions: Conditions

    def to_json(self) -> dict[str, object]:
        scores = {name: score.to_json() for name, score in self.scores.items()}
        return {"scores": scores, "conditions": self.conditions}

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> "Evaluation":
        """Read an evaluation; scores without a value are dropped."""
        scores = get_section(values, "scores").items()
        parsed = [Score.from_json(name, score) for name, score in scores if isinstance(score, dict)]
        return cls(
            {score.name: score for score in parsed if score.value is not None}, get_section(values, "conditions")
        )

    def describe_counts(self) -> str:
        """Return '10,000 generated images compared with 4,500 training images'."""
        n_fake, n_real = (get_number(self.conditions, key) or 0 for key in ("n_fake", "n_real"))
        return f"{n_fake:,.0f} generated images compared with {n_real:,.0f} training images"


class StoredEvaluation(NamedTuple):
    """The evaluation of one model in a run folder. nearest: the picture of nearest pairs, None if missing."""

    folder: Path
    evaluation: Evaluation
    nearest: Path | None


def nearest_pairs_name(number: int, total: int) -> str:
    """Return the name of the picture of nearest pairs of one of the models in scores.json, counted from 1."""
    return "nearest.png" if total == 1 else f"nearest-{number}.png"


def read_evaluations(run: RunDir) -> Iterator[StoredEvaluation]:
    """Yield the evaluations that `gancli evaluate` wrote into a run, newest first, skipping those without a score."""
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
    """A score computed during training.

    key: its key in metrics.jsonl. floor_key: key of its floor in "eval" of config.json. label: its name in a legend.
    """

    key: str
    floor_key: str
    label: str
    better: Literal["lower", "higher"]


RANKING = TrainingScore("", "floor", "score", "lower")  # ranks models; "score" of "eval" is its key
COVERAGE = TrainingScore("coverage", "coverage_floor", "coverage", "higher")
CLASS_BALANCE = TrainingScore("class_tv", "class_tv_floor", "class imbalance", "lower")
TRAINING_SCORES = (RANKING, COVERAGE, CLASS_BALANCE)


class ScoreAt(NamedTuple):
    """A score of the model after nimg images."""

    score: Score
    nimg: int


class ScoreSummary(NamedTuple):
    """The latest and the best score of a training run. best: None if unknown."""

    latest: Score
    best: ScoreAt | None

    def to_json(self) -> dict[str, object]:
        best, nimg = (self.best.score.value, self.best.nimg) if self.best else (None, None)
        latest = self.latest
        return {"name": latest.name, "value": latest.value, "floor": latest.floor, "best": best, "best_nimg": nimg}


def training_scores(about: Mapping[str, object], line: Mapping[str, object]) -> list[Score]:
    """Return the scores in a line of metrics.jsonl. about: "eval" of config.json."""
    scores = []
    for row in TRAINING_SCORES:
        name = row.key or get_text(about, "score")
        if (value := get_number(line, name)) is not None:
            scores.append(Score(name, value, f"{row.better} is better", get_number(about, row.floor_key)))
    return scores


def best_training_score(about: Mapping[str, object], lines: Iterable[Mapping[str, Any]]) -> ScoreAt | None:
    """Return the best value of the score that ranks models, the first one of equal values. None without scores."""
    name, best = get_text(about, "score"), None
    for line in lines:
        value = get_number(line, name) if line.get("kind") == "eval" else None
        if value is not None and (best is None or value < best[0]):
            best = value, line["nimg"]
    return best and ScoreAt(Score(name, best[0], floor=get_number(about, RANKING.floor_key)), best[1])
