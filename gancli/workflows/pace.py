"""Keep drawing during training cheap: how long to wait before the next drawing, and what to say if one fails."""

import contextlib
from collections.abc import Callable, Iterator

from gancli.errors import GancliError

REST_FACTOR = 100  # after a drawing, wait this many times its duration: drawing takes at most 1 % of the time


class Pace:
    """Says when the next drawing is due. least_rest_s: shortest time between the starts of two drawings."""

    def __init__(self, clock_s: Callable[[], float], least_rest_s: float = 0.0) -> None:
        self.clock_s, self.least_rest_s = clock_s, least_rest_s
        self.due_s = 0.0

    def is_due(self) -> bool:
        return self.clock_s() >= self.due_s

    @contextlib.contextmanager
    def draw(self) -> Iterator[None]:
        """Measure the drawing inside the block, to plan the next one."""
        start_s = self.clock_s()
        yield
        end_s = self.clock_s()
        self.due_s = max(start_s + self.least_rest_s, end_s + REST_FACTOR * (end_s - start_s))


def describe_failure(err: Exception) -> str:
    """Return the message of our own error; of any other, its type too."""
    return str(err) if isinstance(err, GancliError) else f"{type(err).__name__}: {err}"
