"""What a run has learned about itself so far: its best score, and the warnings it has given."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from torch import nn

from gancli.core.training import warnings
from gancli.files.scores import Score, ScoreAt, ScoreSummary


class Scorer(NamedTuple):
    """Scores a generator during training.

    about goes into config.json: "score" names the value that ranks models (lower is better), "floor" is what a perfect
    generator would get, None if unknown. measure gives the values of a line of metrics.jsonl: numbers or None, and
    "short_classes", the names of those that have far less than their share, None where none can be read.
    """

    about: dict[str, Any]
    measure: Callable[[nn.Module], dict[str, Any]]


class Monitor:
    """Follows the lines of metrics.jsonl; `score` names the value that ranks models."""

    def __init__(self, score: str | None = None, floor: float | None = None) -> None:
        self.score, self.floor = score, floor
        self.best: tuple[float, int] | None = None  # score, images seen
        self.warned: set[str] = set()
        self.ticks: deque[warnings.MetricsLine] = deque(maxlen=warnings.LONG_WINDOW)
        self.evaluations: deque[warnings.MetricsLine] = deque(maxlen=warnings.EVALUATION_WINDOW)

    def restore(self, lines: Iterable[dict[str, Any]], events: Iterable[dict[str, Any]]) -> None:
        """Know what metrics.jsonl and events.jsonl tell, and nothing else."""
        self.best = None
        self.ticks.clear()
        self.evaluations.clear()
        for line in lines:
            self.follow(line)
        self.warned = {str(event.get("name")) for event in events if event.get("event") == "warning"}

    def follow(self, line: dict[str, Any]) -> bool:
        """Take in a line; whether it holds the best score so far."""
        if line["kind"] == "tick":
            self.ticks.append(line)
        if line["kind"] != "eval":
            return False
        self.evaluations.append(line)
        value = line.get(self.score or "")
        if value is None or (self.best is not None and value >= self.best[0]):
            return False
        self.best = value, line["nimg"]
        return True

    @property
    def last_scored_nimg(self) -> int | None:
        """Images seen at the latest evaluation."""
        return int(self.evaluations[-1]["nimg"]) if self.evaluations else None

    def score_of_model(self, lines: Iterable[dict[str, Any]], nimg: int | None) -> tuple[float, int] | None:
        """The score of the model that had seen so many images, None if there is none."""
        values = [line.get(self.score or "") for line in lines if line["kind"] == "eval" and line["nimg"] == nimg]
        return (values[-1], int(nimg)) if nimg is not None and values and values[-1] is not None else None

    def new_warnings(self) -> dict[str, str]:
        """Warnings not given before, by name."""
        history = warnings.History(list(self.ticks), list(self.evaluations), self.score or "", self.best, self.floor)
        found = {name: text for name, text in warnings.find_warnings(history).items() if name not in self.warned}
        self.warned |= found.keys()
        return found

    def summary(self) -> ScoreSummary | None:
        """The latest score and the best one; None if nothing was scored."""
        if not self.evaluations:
            return None
        name = self.score or ""
        best = self.best and ScoreAt(Score(name, self.best[0], floor=self.floor), self.best[1])
        return ScoreSummary(Score(name, self.evaluations[-1].get(name), floor=self.floor), best)
