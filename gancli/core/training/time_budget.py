"""Measure the speed of a run, and plan a run with a time budget."""

import math
import time
from collections.abc import Sequence

MEASURE_PART = 0.4  # of the budget is measured before the rest is planned; schedules that end a run start later
MARGIN = 0.95  # a plan uses this part of the time that is left
PROGRESS_S = 0.2
WINDOW_S = 2.0


class TimeBudget:
    """The clock of one training session; it starts when created. budget_s: 0 if the plan is a number of images."""

    def __init__(self, budget_s: float, nimg: int) -> None:
        self.budget_s = budget_s
        self.images_per_s = 0.0
        self.started = self._window_s = self._progress_s = time.perf_counter()
        self._window_nimg = nimg
        self._batch, self._since = 0, (self.started, nimg)
        self._took: dict[int, tuple[float, int]] = {}  # batch size -> seconds and images, without its first step

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self.started

    def is_used_up(self) -> bool:
        return 0 < self.budget_s <= self.elapsed_s

    def left_s(self, nimg: int, total_nimg: int | None) -> float | None:
        """Return the seconds until the planned end, or until the end of the budget if there is no plan yet."""
        if total_nimg is None:
            return max(self.budget_s - self.elapsed_s, 0.0)
        return (total_nimg - nimg) / self.images_per_s if self.images_per_s else None

    def measure(self, nimg: int, batch: int) -> bool:
        """Record a step of `batch` images that ended at nimg. Returns whether the rest can be planned now."""
        now = time.perf_counter()
        if batch != self._batch:
            self._batch, self._since = batch, (now, nimg)
        else:
            self._took[batch] = now - self._since[0], nimg - self._since[1]
        return now - self.started >= MEASURE_PART * self.budget_s

    def restart_after_rollback(self, nimg: int) -> None:
        """Continue from a lower number of images, and keep the measurements."""
        self._batch, self._window_s, self._window_nimg = 0, time.perf_counter(), nimg

    def plan(self, nimg: int, sizes: Sequence[tuple[int, int]]) -> int:
        """Return the total images that fit into the budget at the speeds measured so far, with a margin.

        sizes: for each batch size: (images seen at its first step, batch size).
        """
        left_s = max(self.budget_s - self.elapsed_s, 0) * MARGIN
        return images_reached(nimg, left_s, [(start, self.estimate_rate(size, nimg)) for start, size in sizes])

    def estimate_rate(self, batch: int, nimg: int) -> float:
        """Estimate images/s at this batch size. A size not measured yet is extrapolated from the two largest measured.

        A step takes a fixed time plus a time for each image, so larger batches are not slower per image.
        """
        steps = {size: took_s / images * size for size, (took_s, images) in sorted(self._took.items()) if took_s > 0}
        if not steps:
            return nimg / max(self.elapsed_s, 1e-9)
        if batch in steps:
            return batch / steps[batch]
        (size, step_s), *others = reversed(steps.items())
        image_s = step_s / size
        if others:
            image_s = min(max((step_s - others[0][1]) / (size - others[0][0]), 0.0), image_s)
        return batch / (step_s + (batch - size) * image_s)

    def wants_progress(self, nimg: int) -> bool:
        """Whether to report progress: True a few times per second. Updates images_per_s."""
        now = time.perf_counter()
        if now - self._progress_s < PROGRESS_S:
            return False
        self._progress_s = now
        window_s = now - self._window_s
        if window_s >= WINDOW_S or not self.images_per_s:
            self.images_per_s = (nimg - self._window_nimg) / window_s
            self._window_s, self._window_nimg = now, nimg
        return True


def images_reached(nimg: int, seconds: float, rates: Sequence[tuple[int, float]]) -> int:
    """Return the images seen after this many more seconds.

    rates: for each batch size: (images seen at its first step, images/s).
    """
    ends, now = [*(start for start, _ in rates[1:]), math.inf], float(nimg)
    for (_, rate), end in zip(rates, ends, strict=True):
        if now < end:
            more = min(end - now, seconds * rate)
            now, seconds = now + more, seconds - more / rate
    return int(now)
