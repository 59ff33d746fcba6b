"""Keep track of a run's best score, and of the warnings it has given."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from torch import nn

from gancli.core.training import warnings
from gancli.files.run_config import EvalInfo
from gancli.files.run_log import EventLine, MetricsLine
from gancli.files.scores import Score, ScoreAt, ScoreSummary


class Measurements(NamedTuple):
    """The measurements at one point of training.

    values: by name, None for a value that could not be computed. short_classes: names of the classes that appear far
    too rarely, None if the extractor does not predict the classes of the data.
    """

    values: dict[str, float | None]
    short_classes: tuple[str, ...] | None = None


class Scorer(NamedTuple):
    """Scores a generator during training. about: a description of the score, for config.json."""

    about: EvalInfo
    measure: Callable[[nn.Module], Measurements]


class Best(NamedTuple):
    """The best score, and the images seen at that point."""

    score: float
    nimg: int


class Monitor:
    """Tracks the lines of metrics.jsonl. about: the score that ranks models, None without one."""

    def __init__(self, about: EvalInfo | None = None) -> None:
        self.score, self.floor = (about.score, about.floor) if about else ("", None)
        self.best: Best | None = None
        self.warned: set[str] = set()
        self.ticks: deque[MetricsLine] = deque(maxlen=warnings.LONG_WINDOW)
        self.evaluations: deque[MetricsLine] = deque(maxlen=warnings.EVALUATION_WINDOW)

    def restore(self, lines: Iterable[MetricsLine], events: Iterable[EventLine]) -> None:
        """Rebuild the state from the lines of metrics.jsonl and events.jsonl."""
        self.best = None
        self.ticks.clear()
        self.evaluations.clear()
        for line in lines:
            self.follow(line)
        self.warned = {event.name for event in events if event.event == "warning"}

    def follow(self, line: MetricsLine) -> bool:
        """Add a line. Returns whether it holds the best score so far."""
        if line.kind == "tick":
            self.ticks.append(line)
        if line.kind != "eval":
            return False
        self.evaluations.append(line)
        value = line.values.get(self.score)
        if value is None or (self.best is not None and value >= self.best.score):
            return False
        self.best = Best(value, line.nimg)
        return True

    @property
    def last_scored_nimg(self) -> int | None:
        """Images seen at the latest evaluation; None before the first one."""
        return self.evaluations[-1].nimg if self.evaluations else None

    def score_of_model(self, lines: Iterable[MetricsLine], nimg: int | None) -> Best | None:
        """Return the score of the model at nimg; None if it has none."""
        values = [line.values.get(self.score) for line in lines if line.kind == "eval" and line.nimg == nimg]
        return Best(values[-1], nimg) if nimg is not None and values and values[-1] is not None else None

    def new_warnings(self) -> dict[str, str]:
        """Return the warnings that were not given before, by name."""
        history = warnings.History(list(self.ticks), list(self.evaluations), self.score, self.best, self.floor)
        new = {name: text for name, text in warnings.find_warnings(history).items() if name not in self.warned}
        self.warned |= new.keys()
        return new

    def summary(self) -> ScoreSummary | None:
        """Return the latest score and the best one; None if nothing was scored."""
        if not self.evaluations:
            return None
        best = self.best and ScoreAt(Score(self.score, self.best.score, floor=self.floor), self.best.nimg)
        return ScoreSummary(Score(self.score, self.evaluations[-1].values.get(self.score), floor=self.floor), best)
