"""Schedules: pure functions of the images seen. They have no state, so there is nothing to save in checkpoints."""

import bisect
import math
from collections.abc import Iterator

from gancli.config import ADA_LIMIT

SHIFT_EPOCHS = 10.0
ADA_TARGET, ADA_NIMG = 0.6, 100_000
EMA_COSINE_RAMP = 0.3  # just above R3GAN's half-life, which is at most 0.285 of the images seen


def part_done(nimg: int, total_nimg: int | None) -> float:
    """Return the completed part of the run, in [0, 1]; 0 while the total is unknown."""
    return min(nimg / total_nimg, 1.0) if total_nimg else 0.0


def linear_decay(t: float, start: float) -> float:
    """Return 1 until `start`, then decrease linearly to 0 at t = 1."""
    return 1.0 if t <= start else (1.0 - t) / (1.0 - start)


def cosine_schedule(first: float, last: float, t: float) -> float:
    """Change from `first` at t = 0 to `last` at t = 1 along half a cosine, then stay there. Huang et al. 2024."""
    return first + (last - first) * (1.0 - math.cos(math.pi * min(t, 1.0))) / 2


def ramped_batch_size(nimg: int, full: int, ramp_nimg: float) -> int:
    """Return a quarter of the full batch until ramp_nimg/4 images, half until ramp_nimg, then the full batch.

    Combines the early gain of small batches with the late gain of large ones, after Smith et al. 2018 (1711.00489).
    """
    part = 1 if nimg >= ramp_nimg else 2 if nimg >= ramp_nimg / 4 else 4
    return max(2, full // part)


def batch_size_steps(full: int, ramp_nimg: float) -> list[tuple[int, int]]:
    """Return (images seen at its first step, batch size) for each size of `ramped_batch_size`."""
    starts = [0, math.ceil(ramp_nimg / 4), math.ceil(ramp_nimg)] if ramp_nimg else [0]
    return [(start, ramped_batch_size(start, full, ramp_nimg)) for start in starts]


def shift_chance(t: float, epochs: float, strength: float) -> float:
    """Return the probability of a shift: it rises to `strength` as images repeat (SHIFT_EPOCHS), and ends at 0."""
    return strength * min(1.0, epochs / SHIFT_EPOCHS) * (1.0 - t)


def ada_strength(strength: float, r_v: float | None, nimg: float) -> float:
    """Return the augmentation strength after `nimg` more images: higher if r_v is above its target, else lower.

    The rule is from Karras et al. 2020 (2006.06676, sec. 3). The values of ADA_TARGET and ADA_NIMG (the images from
    strength 0 to 1) are ours: the 0.6 of the paper is for another measure, r_t. The strength is at most ADA_LIMIT,
    since stronger augmentations may leak into the samples (sec. 2.2). r_v: None if D cannot separate training images
    from fakes.
    """
    change = nimg / ADA_NIMG
    if r_v is None or r_v <= ADA_TARGET:
        change = -change
    return min(max(strength + change, 0.0), ADA_LIMIT)


def ema_half_life(nimg: int, half_life_nimg: float, ramp: float) -> float:
    """Return the half-life in images: at most `ramp` times the images seen, for short runs. Karras et al. 2021."""
    return min(half_life_nimg, ramp * nimg)


def ema_beta(batch_size: int, half_life_nimg: float) -> float:
    """Return the decay per step with which a weight's influence halves every `half_life_nimg` images."""
    return 0.5 ** (batch_size / half_life_nimg) if half_life_nimg > 0 else 0.0


def lazy_adam_settings(lr: float, betas: tuple[float, float], interval: int) -> tuple[float, tuple[float, float]]:
    """Return Adam's learning rate and betas for D with a penalty every `interval` steps. Karras et al. 2020, app. B.

    The paper takes an extra step for the penalty. Here the penalty is part of a normal step, so the factor only makes D
    learn slightly slower; it stays because the presets were measured with it.
    """
    ratio = interval / (interval + 1) if interval > 1 else 1.0
    return lr * ratio, (betas[0] ** ratio, betas[1] ** ratio)


def frame_times(until: int) -> Iterator[int]:
    """Yield the images seen at each frame of the film: every 500 images at first, then 6 % apart.

    They do not depend on the plan: an extended run keeps its frames, and two runs have frames at the same moments.
    """
    nimg = 0.0
    while nimg <= until:
        yield round(nimg)
        nimg += max(500.0, 0.06 * nimg)


FRAME_TIMES = tuple(frame_times(10**12))


def is_due(before: int, after: int, interval_nimg: float) -> bool:
    """Whether the step from `before` to `after` images reached a multiple of the interval."""
    return int(after / interval_nimg) > int(before / interval_nimg)


def is_evaluation_due(before: int, after: int, interval_nimg: float) -> bool:
    """Whether the step reached a multiple of the interval, or a quarter or half of it: scores fall fastest at first."""
    early = (interval_nimg / 4, interval_nimg / 2)
    return any(before < nimg <= after for nimg in early) or is_due(before, after, interval_nimg)


def is_frame_due(before: int, after: int) -> bool:
    return bisect.bisect_right(FRAME_TIMES, after) > bisect.bisect_right(FRAME_TIMES, before)
