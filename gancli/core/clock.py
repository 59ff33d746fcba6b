"""How fast a run goes, and when its time budget is used up."""

import time

MEASURE_PART, MEASURE_S = 0.2, 20.0  # a budget spends this part of itself, at most so many seconds, on measuring
WARM_UP = 0.2  # part of the measurement that is left out, since first steps are slow
MARGIN = 0.93  # part of what the measured speed promises that a plan relies on
PROGRESS_S = 0.2
WINDOW_S = 2.0


class Clock:
    """Started with a stretch of training. budget_s is 0 for a run whose length is known in images."""

    def __init__(self, budget_s: float, nimg: int) -> None:
        self.budget_s = budget_s
        self.images_per_s = 0.0
        self.started = self._window_s = self._progress_s = time.perf_counter()
        self._first_nimg = self._window_nimg = nimg
        self._warm: tuple[float, int] | None = None

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self.started

    def is_over(self) -> bool:
        return 0 < self.budget_s <= self.elapsed_s

    def has_measured(self, nimg: int) -> bool:
        """Whether enough was seen of a budget to plan the rest."""
        measure_s = min(MEASURE_PART * self.budget_s, MEASURE_S)
        if self._warm is None and self.elapsed_s >= WARM_UP * measure_s:
            self._warm = (time.perf_counter(), nimg)
        return self.elapsed_s >= measure_s

    def plan(self, nimg: int) -> int:
        """Total images that fit the budget at the speed measured so far, with a margin."""
        since_s, since_nimg = self._warm or (self.started, self._first_nimg)
        rate = (nimg - since_nimg) / max(time.perf_counter() - since_s, 1e-9)
        return nimg + int(rate * max(self.budget_s - self.elapsed_s, 0) * MARGIN)

    def wants_progress(self, nimg: int) -> bool:
        """A few times per second; keeps images_per_s up to date."""
        now = time.perf_counter()
        if now - self._progress_s < PROGRESS_S:
            return False
        self._progress_s = now
        window_s = now - self._window_s
        if window_s >= WINDOW_S or not self.images_per_s:
            self.images_per_s = (nimg - self._window_nimg) / window_s
            self._window_s, self._window_nimg = now, nimg
        return True
