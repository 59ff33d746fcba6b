"""How fast a run goes, and when its time budget is used up."""

import time

MEASURE_PART = 0.4  # of a budget goes by before the rest is planned; schedules that end a run begin later
WARM_UP = 0.5  # part of that time which is left out, since first steps and small first batches are slower
MARGIN = 0.95  # part of what the measured speed promises that a plan relies on
PROGRESS_S = 0.2
WINDOW_S = 2.0


class Clock:
    """Started with a stretch of training. budget_s is 0 for a run whose length is known in images."""

    def __init__(self, budget_s: float, nimg: int) -> None:
        self.budget_s = budget_s
        self.images_per_s = 0.0
        self.started = self._window_s = self._progress_s = time.perf_counter()
        self._window_nimg = nimg
        self._since = (self.started, nimg)
        self._is_warm = False

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self.started

    def is_over(self) -> bool:
        return 0 < self.budget_s <= self.elapsed_s

    def left_s(self, nimg: int, total_nimg: int | None) -> float | None:
        """Seconds to go: to the planned end, or while there is no plan, to the end of the budget."""
        if total_nimg is None:
            return max(self.budget_s - self.elapsed_s, 0.0)
        return (total_nimg - nimg) / self.images_per_s if self.images_per_s else None

    def measure(self, nimg: int) -> bool:
        """Note how far training is; whether enough was seen of a budget to plan the rest."""
        if not self._is_warm and self.elapsed_s >= WARM_UP * MEASURE_PART * self.budget_s:
            self._is_warm, self._since = True, (time.perf_counter(), nimg)
        return self.elapsed_s >= MEASURE_PART * self.budget_s

    def plan(self, nimg: int) -> int:
        """Total images that fit the budget at the speed measured so far, with a margin."""
        since_s, since_nimg = self._since
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
