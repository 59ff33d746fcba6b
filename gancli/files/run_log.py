"""Read and write metrics.jsonl and events.jsonl of a run.

Logs are appended line by line. A last line truncated by a crash is skipped when reading.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gancli.errors import RunError
from gancli.files.run_folder import IMPLAUSIBLE_VALUE, RunDir, atomic_write, read_jsonl, write_error


class MetricsLine(Struct, frozen=True):
    """A line of metrics.jsonl.

    kind: "tick", "epoch" or "eval". values: measurements by name, None if not measurable. short_classes: in an
    evaluation, the classes with far fewer samples than their share. train_s: seconds trained, None if unknown.
    """

    kind: str
    nimg: int
    epoch: float | None = None
    values: Mapping[str, float | None] = {}
    short_classes: tuple[str, ...] | None = None
    train_s: float | None = None

    @property
    def kimg(self) -> float:
        return self.nimg / 1000

    def to_json(self) -> dict[str, object]:
        """Return the JSON object of this line, with train_s last."""
        classes = self.short_classes if self.short_classes is None else list(self.short_classes)
        return {
            "kind": self.kind,
            "nimg": self.nimg,
            **({} if self.epoch is None else {"epoch": self.epoch}),
            **self.values,
            **({"short_classes": classes} if self.kind == "eval" else {}),
            **({} if self.train_s is None else {"train_s": self.train_s}),
        }


class EventLine(Struct, frozen=True, omit_defaults=True):
    """A line of events.jsonl.

    event: "start", "resume", "warning", "finished", "time", "stopped" or "diverged". name, text: of a warning.
    """

    event: str = ""
    nimg: int | float | None = None
    name: str = ""
    text: str = ""
    time: str = ""


def read_metrics(path: Path) -> list[MetricsLine]:
    """Read metrics.jsonl. Raises RunError."""
    return [parse_metrics_line(values, path) for values in read_jsonl(path)]


def read_metric_records(run: RunDir) -> list[dict[str, Any]]:
    """Read metrics.jsonl as plain objects. Raises RunError."""
    return [line.to_json() for line in read_metrics(run.metrics)]


def parse_metrics_line(line: Mapping[str, Any], path: Path) -> MetricsLine:
    """Check and convert a line. path: its file, for messages. Raises RunError."""
    values = dict(line)
    kind, nimg, classes = values.pop("kind", None), values.pop("nimg", None), values.pop("short_classes", None)
    if not isinstance(kind, str) or type(nimg) is not int or not 0 <= nimg < IMPLAUSIBLE_VALUE:
        raise RunError(f"{path} has a line without kind or images seen (nimg); restore or delete it")
    if not all(v is None or (isinstance(v, int | float) and abs(v) < IMPLAUSIBLE_VALUE) for v in values.values()):
        raise RunError(f"{path} has a line with values that are not numbers; restore or delete it")
    if not (isinstance(classes, list | None) and all(isinstance(name, str) for name in classes or [])):
        raise RunError(f"{path} has a line with short_classes that are not names; restore or delete it")
    epoch, train_s = values.pop("epoch", None), values.pop("train_s", None)
    return MetricsLine(kind, nimg, epoch, values, None if classes is None else tuple(classes), train_s)


def read_events(path: Path) -> list[EventLine]:
    """Read events.jsonl, skipping bad lines, since events are only shown as text. Raises RunError."""
    lines = []
    for values in read_jsonl(path, skip_bad=True):
        with contextlib.suppress(msgspec.ValidationError):
            lines.append(msgspec.convert(values, EventLine))
    return lines


def append_line(path: Path, line: MetricsLine | EventLine) -> None:
    """Append a line to a log. Raises RunError."""
    try:
        with open(path, "a", encoding="utf-8") as file:
            values = line.to_json() if isinstance(line, MetricsLine) else msgspec.to_builtins(line)
            file.write(json.dumps(values) + "\n")
    except OSError as err:
        raise write_error(path, err) from err


def drop_later_metrics(path: Path, nimg: int) -> list[MetricsLine]:
    """Delete the lines of metrics.jsonl after nimg images; return the others. Raises RunError."""
    records = [(values, parse_metrics_line(values, path)) for values in read_jsonl(path)]
    earlier = [(values, line) for values, line in records if line.nimg <= nimg]
    write_records(path, [values for values, _ in earlier])
    return [line for _, line in earlier]


def drop_bad_events(path: Path) -> list[EventLine]:
    """Delete the lines of events.jsonl that are not JSON objects; return the events that can be read."""
    write_records(path, read_jsonl(path, skip_bad=True))
    return read_events(path)


def write_records(path: Path, records: Iterable[Mapping[str, object]]) -> None:
    """Overwrite a log with these lines, keeping their unknown fields."""
    atomic_write(path, "".join(json.dumps(record) + "\n" for record in records).encode())


def fsync_file(path: Path) -> None:
    """Flush a log to disk. Raises RunError."""
    try:
        with open(path, "a", encoding="utf-8") as file:
            os.fsync(file.fileno())
    except OSError as err:
        raise write_error(path, err) from err
