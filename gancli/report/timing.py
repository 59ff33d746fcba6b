"""How a film runs: its options, which moments it keeps, and how long each frame stays. Plain Python."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from gancli.errors import ConfigError

FASTEST_MS = 20  # browsers show what is shorter at a tenth of a second
LONGEST_S = 600


@dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """The defaults are those of the film that training leaves.

    duration_s: of all frames but the last, instead of fps. hold_s: of the last. every: show each so many-th moment.
    rows: of the grid of pictures, from the top; None shows all.
    """

    fps: float = 12
    duration_s: float | None = None
    hold_s: float = 2.0
    every: int = 1
    rows: int | None = None
    caption: bool = True
    plots: bool = False

    def __post_init__(self) -> None:
        if not 0.1 <= self.fps <= 1000 / FASTEST_MS:
            raise ConfigError(f"fps must be from 0.1 to {1000 / FASTEST_MS:g}, got {self.fps:g}")
        for name, value in (("hold", self.hold_s), ("duration", self.duration_s or 0)):
            if not 0 <= value <= LONGEST_S:
                raise ConfigError(f"{name} must be from 0 to {LONGEST_S} seconds, got {value:g}")


def timeline(n: int, options: FilmOptions) -> list[int]:
    """Milliseconds for each of n frames, in whole hundredths of a second; the last one is held.

    By fps the steps are equal, the nearest to it; by duration they differ by a hundredth so that their sum is exact.
    """
    if options.duration_s is None:
        steps = [frame_ms(options.fps)] * n
    else:
        ends = [round(100 * options.duration_s * i / max(n - 1, 1)) for i in range(n)]
        steps = [10 * (end - start) for start, end in itertools.pairwise(ends)]
        if steps and min(steps) < FASTEST_MS:
            raise ConfigError(
                f"{n} frames in {options.duration_s:g} s are more than {1000 / FASTEST_MS:g} a second; "
                f"make it {math.ceil((n - 1) * FASTEST_MS / 100) / 10:g} s or longer, or leave out some with --every"
            )
        steps.append(steps[-1] if steps else FASTEST_MS)
    return [*steps[:-1], max(steps[-1], 10 * round(100 * options.hold_s))]


def frame_ms(fps: float) -> int:
    return 10 * round(100 / fps)


def joint(runs: Sequence[Sequence[int]]) -> list[int]:
    """The moments of several runs, each ascending, as one list.

    Batches end at slightly different points in each run. Frames of different runs that lie within half a step of
    the first of them share a moment, the last one's, so that all of them are shown then.
    """
    moments: list[int] = []
    start, reach, joined = 0, 0.0, set(range(len(runs)))
    for nimg, i in sorted((nimg, i) for i, nimgs in enumerate(runs) for nimg in nimgs):
        if i in joined or nimg > start + reach:
            start, reach, joined = nimg, half_step(runs[i], nimg), set()
            moments.append(nimg)
        moments[-1] = nimg
        joined.add(i)
    return moments


def half_step(nimgs: Sequence[int], nimg: int) -> float:
    """Half of the way from a run's frame to its next one, for the last from the one before; 0 if it is the only one."""
    place = nimgs.index(nimg)
    near = nimgs[max(0, min(place, len(nimgs) - 2)) :][:2]
    return (near[-1] - near[0]) / 2


def thinned(moments: Sequence[int], every: int) -> list[int]:
    """Each `every`-th moment from the first on, and the last."""
    kept = list(moments[::every])
    return kept if kept[-1] == moments[-1] else [*kept, moments[-1]]
