"""The timing of a film: its options, its moments, and the duration of each frame.

The kind of a film is its ending, a key of formats.VIDEO_FORMATS.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from gancli.config import MAX_VIDEO_FPS
from gancli.errors import ConfigError
from gancli.video.formats import VIDEO_FORMATS

SLOWEST_MS = 10_000
LONGEST_S = 600


@dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """Options of a film. The defaults are those of progress.gif.

    duration_s: total time of all frames except the last; replaces fps. hold_s: time of the last frame. every: show
    every N-th moment. rows: show only this many rows of the grid, from the top; None shows all. kind: see above.
    """

    fps: float = 12.5
    duration_s: float | None = None
    hold_s: float = 2.0
    every: int = 1
    rows: int | None = None
    caption: bool = True
    plots: bool = False
    kind: str = ".gif"

    def __post_init__(self) -> None:
        frame_ms(self.kind, self.fps)
        for name, value in (("hold", self.hold_s), ("duration", self.duration_s or 0)):
            if not 0 <= value <= LONGEST_S:
                raise ConfigError(f"{name} must be from 0 to {LONGEST_S} seconds, got {value:g}")


def frame_timeline(n: int, options: FilmOptions) -> list[int]:
    """Return the milliseconds of each of n frames, from the rate or the duration; the last frame is held."""
    step_ms = frame_ms(options.kind, options.fps)
    if options.duration_s is not None and n > 1:
        step_ms = 1000 * options.duration_s / (n - 1)
        most = VIDEO_FORMATS[options.kind].max_fps
        if step_ms < 1000 / most:
            raise ConfigError(
                f"{n} frames in {options.duration_s:g} s exceed {most} frames a second; "
                f"use {math.ceil(10 * (n - 1) / most) / 10:g} s or more, or skip frames with --every"
            )
    *steps, last = round_durations(n, step_ms, options.kind)
    return [*steps, max(last, *round_durations(1, 1000 * options.hold_s, options.kind))]


def frame_ms(kind: str, fps: float) -> float:
    """Return the milliseconds of a frame, rounded to the ticks of a GIF. Raises ConfigError for an invalid rate."""
    most, tick = VIDEO_FORMATS[kind].max_fps, VIDEO_FORMATS[kind].tick_ms
    if not 1000 / SLOWEST_MS <= fps <= most:
        fix = "; choose a lower rate, or an .mp4 film" if most < fps <= MAX_VIDEO_FPS else ""
        raise ConfigError(f"fps must be from {1000 / SLOWEST_MS:g} to {most}, got {fps:g}{fix}")
    return tick * round(1000 / fps / tick) if tick > 1 else 1000 / fps


def round_durations(n: int, step_ms: float, kind: str) -> list[int]:
    """Round the durations of n frames of step_ms to ticks of the format; rounding errors do not add up."""
    tick = VIDEO_FORMATS[kind].tick_ms
    ends = [tick * round(i * step_ms / tick) for i in range(n + 1)]
    return [end - start for start, end in itertools.pairwise(ends)]


def merge_moments(runs: Sequence[Sequence[int]]) -> list[int]:
    """Merge the moments of several runs, each ascending, into one list.

    Batches end at slightly different points in each run. So frames of different runs share one moment if they lie
    within half a step of the first of them. That moment is the moment of the last of them, so all are shown.
    """
    moments: list[int] = []
    start, reach, joined = 0, 0.0, set(range(len(runs)))
    for nimg, i in sorted((nimg, i) for i, nimgs in enumerate(runs) for nimg in nimgs):
        if i in joined or nimg > start + reach:
            start, reach, joined = nimg, half_frame_gap(runs[i], nimg), set()
            moments.append(nimg)
        moments[-1] = nimg
        joined.add(i)
    return moments


def half_frame_gap(nimgs: Sequence[int], nimg: int) -> float:
    """Return half the distance from a run's frame to the next frame; 0 if there is only one frame.

    The last frame uses the distance to the frame before it.
    """
    place = nimgs.index(nimg)
    near = nimgs[max(0, min(place, len(nimgs) - 2)) :][:2]
    return (near[-1] - near[0]) / 2


def thin_moments(moments: Sequence[int], every: int) -> list[int]:
    """Keep the first moment, every `every`-th after it, and the last."""
    kept = list(moments[::every])
    return kept if kept[-1] == moments[-1] else [*kept, moments[-1]]
