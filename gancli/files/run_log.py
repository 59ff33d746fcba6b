"""metrics.jsonl and events.jsonl of a run: lines as types, read and written here alone.

A log grows line by line. A last line that a crash cut short is left out when it is read.
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
    """A line of metrics.jsonl. kind: "tick", "epoch" or "eval". values: measurements by their names, None where one
    could not be had. short_classes: of an evaluation, the classes with far less than their share. train_s: seconds
    trained, None in a line that does not say."""

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
        """The object of this line, time last."""
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
    """A line of events.jsonl. event: "start", "resume", "warning", "finished", "time", "stopped" or "diverged"; name
    and text: those of a warning."""

    event: str = ""
    nimg: int | float | None = None
    name: str = ""
    text: str = ""
    time: str = ""


def read_metrics(path: Path) -> list[MetricsLine]:
    """The lines of metrics.jsonl. Raises RunError."""
    return [parse_metrics_line(values, path) for values in read_jsonl(path)]


def read_metric_records(run: RunDir) -> list[dict[str, Any]]:
    """The same as plain objects. Raises RunError."""
    return [line.to_json() for line in read_metrics(run.metrics)]


def parse_metrics_line(line: Mapping[str, Any], path: Path) -> MetricsLine:
    """A line of the file `path` as a type. Raises RunError."""
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
    """The lines of events.jsonl that can be read: nothing but words depends on them. Raises RunError."""
    lines = []
    for values in read_jsonl(path, skip_bad=True):
        with contextlib.suppress(msgspec.ValidationError):
            lines.append(msgspec.convert(values, EventLine))
    return lines


def append_line(path: Path, line: MetricsLine | EventLine) -> None:
    """Add a line to a log. Raises RunError."""
    try:
        with open(path, "a", encoding="utf-8") as file:
            values = line.to_json() if isinstance(line, MetricsLine) else msgspec.to_builtins(line)
            file.write(json.dumps(values) + "\n")
    except OSError as err:
        raise write_error(path, err) from err


def drop_later_metrics(path: Path, nimg: int) -> list[MetricsLine]:
    """Take back the lines of metrics.jsonl after so many images. Returns those left. Raises RunError."""
    records = [(values, parse_metrics_line(values, path)) for values in read_jsonl(path)]
    left = [(values, line) for values, line in records if line.nimg <= nimg]
    write_records(path, [values for values, _ in left])
    return [line for _, line in left]


def drop_bad_events(path: Path) -> list[EventLine]:
    """Leave in events.jsonl what is an object, also of a shape unknown here. Returns what can be read of it."""
    write_records(path, read_jsonl(path, skip_bad=True))
    return read_events(path)


def write_records(path: Path, records: Iterable[Mapping[str, object]]) -> None:
    """A log of these lines alone, which keep what no type here knows."""
    atomic_write(path, "".join(json.dumps(record) + "\n" for record in records).encode())


def fsync_file(path: Path) -> None:
    """What was added to a log is on the disk after this. Raises RunError."""
    try:
        with open(path, "a", encoding="utf-8") as file:
            os.fsync(file.fileno())
    except OSError as err:
        raise write_error(path, err) from err
