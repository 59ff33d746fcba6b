"""Events that a trainer reports, as plain values. If an event names a file, that file is already on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class RunStarted:
    run: Path
    nimg: int
    total_nimg: int | None  # None until a time budget is converted into a number of images


@dataclass(frozen=True)
class PlanFixed:
    """A time budget was converted into a number of images."""

    total_nimg: int
    images_per_s: float


@dataclass(frozen=True)
class Progress:
    """The progress of training, sent a few times per second, for displays only."""

    nimg: int
    total_nimg: int | None
    images_per_s: float
    left_s: float | None


@dataclass(frozen=True)
class Measured:
    """A line of metrics.jsonl was written: means over one tick (a fixed number of images) or one epoch."""

    kind: Literal["tick", "epoch"]
    nimg: int
    epoch: float
    values: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored:
    """The model was scored, and a line of metrics.jsonl was written. If it is the best so far, model-best is on disk.

    score: the value that ranks models, lower is better; None if it cannot be computed. values: all numbers of the line.
    """

    nimg: int
    name: str
    score: float | None
    floor: float | None
    is_best: bool
    values: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Warned:
    """A problem has lasted for a while. It is reported once per run and written to events.jsonl."""

    nimg: int
    name: str
    text: str


@dataclass(frozen=True)
class FrameSaved:
    nimg: int
    path: Path


@dataclass(frozen=True)
class SnapshotSaved:
    nimg: int
    path: Path


@dataclass(frozen=True)
class RunEnded:
    """Training has ended and its last checkpoint is on disk.

    reason: "finished" (the plan is complete), "time" (the time budget ran out first) or "stopped" (by a signal).
    """

    nimg: int
    total_nimg: int
    reason: Literal["finished", "time", "stopped"]
    train_s: float
    images_per_s: float


Event = RunStarted | PlanFixed | Progress | Measured | Scored | Warned | FrameSaved | SnapshotSaved | RunEnded
