"""What `gancli evaluate` left in a run folder."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gancli.files.run_folder import SCORES_NAME, RunDir
from gancli.report.series import Record, get_number, get_section, get_text, read_json_object


@dataclass(frozen=True)
class ScoreRow:
    """A score; floor is what a perfect generator would get, None if unknown."""

    name: str
    value: float
    floor: float | None
    reading: str


@dataclass(frozen=True)
class ModelEvaluation:
    """The scores of one model, and what they were taken under; nearest: the picture of pairs, None if there is none."""

    folder: Path
    rows: list[ScoreRow]
    conditions: Record
    nearest: Path | None


def read_evaluations(run: RunDir) -> Iterator[ModelEvaluation]:
    """The latest first; those without any score are left out."""
    folders = [path for path in (run.path / "scores").glob("*") if re.fullmatch(r"\d{5,}", path.name)]
    for folder in sorted(folders, key=lambda path: int(path.name), reverse=True):
        record = read_json_object(folder / SCORES_NAME)
        models = record.get("models")
        entries = models if isinstance(models, list) else [record]
        for i, entry in enumerate(entries, start=1):
            if not isinstance(entry, dict) or not (rows := score_rows(get_section(entry, "scores"))):
                continue
            nearest = folder / ("nearest.png" if len(entries) == 1 else f"nearest-{i}.png")
            yield ModelEvaluation(
                folder, rows, get_section(entry, "conditions"), nearest if nearest.is_file() else None
            )


def score_rows(scores: Record) -> list[ScoreRow]:
    return [
        ScoreRow(name, value, get_number(score, "floor"), get_text(score, "reading"))
        for name, score in scores.items()
        if isinstance(score, dict) and (value := get_number(score, "value")) is not None
    ]


def describe_counts(conditions: Record) -> str:
    """'10,000 generated images against 4,500 training images'."""
    n_fake, n_real = (get_number(conditions, key) or 0 for key in ("n_fake", "n_real"))
    return f"{n_fake:,.0f} generated images against {n_real:,.0f} training images"
