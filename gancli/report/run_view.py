"""Facts about a run for the page, except its curves, read from its folder. Missing values are omitted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gancli.errors import make_printable
from gancli.files import scores
from gancli.files.json_values import get_number, get_section, get_text
from gancli.files.run_folder import RunDir, read_jsonl
from gancli.files.run_log import read_metric_records
from gancli.files.scores import StoredEvaluation
from gancli.report import embedded
from gancli.report.embedded import EmbeddedFrames, EmbeddedPicture
from gancli.report.overview import END_STATES, last_progress_event
from gancli.report.series import Record
from gancli.wording import format_count, format_duration, format_list, format_significant

PICTURE_ROOM = 500_000  # bytes of a picture other than a frame
MOST_EVENTS, MOST_CLASSES, MOST_ROWS = 100, 40, 300  # limits of what is shown
DATA_COUNTS = {
    "n_train": "training images",
    "n_heldout": "held-out images",
    "n_skipped": "skipped files",
    "n_copies": "copies",
}

EVENT_NAMES = {"time": "time budget used up"}  # events whose name in events.jsonl does not explain itself

Row = tuple[str, str]


class ChartMark(NamedTuple):
    """A vertical line across all charts, where training resumed or a warning appeared."""

    nimg: float
    kind: str
    label: str


class SettingRow(NamedTuple):
    """A row of the settings table.

    source: where the value comes from. is_asked: whether the user chose it, not a preset or a default.
    """

    name: str
    value: str
    source: str
    is_asked: bool


class EvaluationView(NamedTuple):
    """An evaluation on the page. is_of_other_data: whether its data differ from the training data."""

    folder: str
    conditions: str
    is_of_other_data: bool
    scores: list[scores.Score]


@dataclass(frozen=True)
class RunView:
    """The contents of a run folder: record (config.json), log (metrics.jsonl), events and evaluations, latest first."""

    run: RunDir
    name: str
    frames: EmbeddedFrames
    record: Record
    log: list[dict[str, Any]]
    events: list[dict[str, Any]]
    evaluations: list[StoredEvaluation]

    @classmethod
    def read(cls, run: RunDir, record: Record, name: str, frames_room: int) -> "RunView":
        """Read the folder of a run. frames_room: maximum bytes of its frames. Raises RunError."""
        frames = embedded.embed_frames(run, frames_room)
        events = read_jsonl(run.events, skip_bad=True)
        return cls(run, name, frames, record, read_metric_records(run), events, list(scores.read_evaluations(run)))

    @property
    def folder(self) -> str:
        return make_printable(self.run.path.resolve().name)

    @property
    def n_train(self) -> float | None:
        return get_number(self.data, "n_train")

    @property
    def data(self) -> Record:
        return get_section(self.record, "data")

    @property
    def shown(self) -> EmbeddedPicture | None:
        return self.frames.pictures[-1] if self.frames.pictures else embed_if_there(self.run.samples)

    @property
    def reals(self) -> EmbeddedPicture | None:
        return embed_if_there(self.run.reals)

    @property
    def nearest(self) -> tuple[EmbeddedPicture | None, str]:
        """The latest picture of nearest pairs, and its folder."""
        path = next((each.nearest for each in self.evaluations if each.nearest), None)
        return (embed_if_there(path), f"scores/{path.parent.name}") if path else (None, "")

    @property
    def note(self) -> str:
        """A note if frames were omitted or compressed to keep the page small."""
        shown, n_left_out, notes = len(self.frames.nimgs), self.frames.n_left_out, []
        if n_left_out:
            notes.append(f"{shown:,} of {format_count(shown + n_left_out, 'frame')} shown")
        if self.frames.is_reduced:
            notes.append("compressed with a small loss of quality")
        return "; ".join([*notes, "all originals are in frames/"]) if notes else ""

    @property
    def facts(self) -> list[Row]:
        """The most important numbers of the run, with their labels."""
        nimg = max([0, *(line["nimg"] for line in [*self.log, *self.events[-1:]] if get_number(line, "nimg"))])
        total = get_number(get_section(self.record, "plan"), "total_nimg")
        end = last_progress_event(self.events)
        state = end if end in END_STATES else "running or interrupted"
        if end in EVENT_NAMES:
            state = f"finished: {EVENT_NAMES[end]}"
        rows = [("state", state), ("trained", f"{nimg / 1000:,.1f}{f' of {total / 1000:,.1f}' if total else ''} kimg")]
        if self.n_train and self.n_train > 0:
            rows.append(("epochs", f"{nimg / self.n_train:,.1f}"))
        if self.log and (spent := get_number(self.log[-1], "train_s")) is not None:
            rows.append(("training time", format_duration(spent)))
            rows.append(("speed", f"{nimg / max(spent, 1e-9):,.0f} images/s"))
        if best := scores.best_training_score(get_section(self.record, "eval"), self.log):
            times = f", {best.score.times_floor:,.3g} times its floor" if best.score.times_floor else ""
            value = format_significant(best.score.value)
            rows.append((f"best {best.score.name}", f"{value} at {best.nimg / 1000:g} kimg{times}"))
        ticks = [line for line in self.log if line["kind"] == "tick"]
        if ticks and (accuracy := get_number(ticks[-1], "accuracy")) is not None:
            rows.append(("D accuracy", f"{accuracy:.0%} at the last tick"))
        return rows

    @property
    def marks(self) -> list[ChartMark]:
        return [
            ChartMark(nimg, event["event"], f"{event['event']} {get_text(event, 'name')}".strip())
            for event in self.events[-MOST_EVENTS:]
            if event.get("event") in ("resume", "warning") and (nimg := get_number(event, "nimg") or 0) >= 0
        ]

    @property
    def scores(self) -> EvaluationView | None:
        """The latest evaluation."""
        if not self.evaluations:
            return None
        folder, evaluation, _ = self.evaluations[0]
        about = evaluation.conditions
        kimg = (get_number(about, "nimg") or 0) / 1000
        return EvaluationView(
            f"scores/{folder.name}",
            f"{evaluation.describe_counts()} of {get_text(about, 'data')}; the model at {kimg:g} kimg; "
            f"{get_text(about, 'features')} features",
            get_text(about, "data_digest") not in ("", get_text(self.data, "digest")),
            [*evaluation.scores.values()],
        )

    @property
    def settings(self) -> list[SettingRow]:
        """Every setting with its source; those that the user chose come first."""
        train, sources = get_section(self.record, "train"), get_section(self.record, "sources")
        rows = []
        for name, value in train.items():
            source = get_text(sources, name)
            is_asked = not source.startswith(("preset", "default"))
            rows.append(SettingRow(make_printable(name), format_value(value), source, is_asked))
        return sorted(rows, key=lambda row: not row.is_asked)[:MOST_ROWS]

    @property
    def data_rows(self) -> list[Row]:
        data, names, counts = self.data, self.data.get("class_names"), self.data.get("class_counts")
        colour = "colour" if get_number(data, "channels") == 3 else "grey"
        side = get_number(data, "resolution")
        rows = [
            ("name", get_text(data, "name")),
            ("source", get_text(data, "source")),
            ("images", f"{side:g} x {side:g} pixels, {colour}" if side else ""),
        ]
        for key, label in DATA_COUNTS.items():
            rows.append((label, "" if (n := get_number(data, key)) is None else f"{n:,.0f}"))
        if isinstance(names, list) and isinstance(counts, list) and len(names) == len(counts):
            each = [f"{format_value(name)} ({format_value(count)})" for name, count in zip(names, counts, strict=True)]
            rows.append(("clusters" if "clusters" in data else "classes", format_list(each, MOST_CLASSES)))
        rows.append(("digest", get_text(data, "digest")))
        return [(label, value) for label, value in rows if value]

    @property
    def machine(self) -> list[Row]:
        return [(key, format_value(value)) for key, value in get_section(self.record, "machine").items()][:MOST_ROWS]

    @property
    def scoring_conditions(self) -> tuple[object, ...]:
        """The conditions of scoring; two runs have comparable scores if these are equal."""
        about = get_section(self.record, "eval")
        return get_text(self.data, "digest"), get_text(about, "features_sha256"), get_number(about, "n_fake")


def embed_if_there(path: Path) -> EmbeddedPicture | None:
    return embedded.embed_picture(path, PICTURE_ROOM) if path.is_file() else None


def differing_settings(runs: Sequence[RunView]) -> list[tuple[str, list[str]]]:
    """Return the settings that differ between runs, each with its value in every run."""
    trains = [{"preset": get_text(run.record, "preset"), **get_section(run.record, "train")} for run in runs]
    names = dict.fromkeys(name for train in trains for name in train)
    rows = [(make_printable(name), [format_value(train.get(name, "")) for train in trains]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1][:MOST_ROWS]


def format_value(value: object) -> str:
    """Format a value of a record in one line."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return make_printable(f"{value:g}" if isinstance(value, float) else str(value))
