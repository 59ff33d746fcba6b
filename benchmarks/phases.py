"""Measure where training spends its time: images/s of each preset, share of the machine's peak, and time by phase.

    python benchmarks/phases.py [--presets classic quick ...] [--rounds 10] [--steps 4] [--threads 2] [--width 64]

Runs steps from the middle of a run of each preset on the CPU, on random pixels of the preset's shape, interleaved with
matrix products that measure the peaks. Presets for GPUs (r3gan-*) get --width channels and --batch images. Phases are
timed by wrapping the functions that a step calls. Each second counts once, in the innermost phase. The table compares
the sum of the phases with unwrapped steps. The regulariser is the extra time of a step that has it, divided by its
interval.

"G forward" is the forward of G, with its latents; "D step" the forward and backward of D; "G step" the forward and
backward of D and G for G. "statistics" is the rest of a step. "ticks" is the time for the health signals of a tick,
spread over the images between two ticks. For the other work of a run, see watch_cost.py.
"""

import argparse
import contextlib
import dataclasses
import functools
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import gancli  # noqa: F401  # before torch: it sets how idle threads wait

# isort: split

import torch
from runs import in_turn, median, table
from workload import engine_of, flops, noise, peak_flops

from gancli.core import images
from gancli.core.networks import ema
from gancli.core.training import engine as engines
from gancli.core.training import step as state
from gancli.core.training.engine import Engine
from gancli.presets import PRESETS

N_IMAGES, N_HELDOUT, KIMG = 5000, 500, 300
PEAKS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SHAPES = {  # resolution, channels, classes
    "stacked": (28, 3, PRESETS["stacked"].clusters),
    "r3gan-32": (32, 3, 10),
    "r3gan-64": (64, 3, 0),
    "r3gan-128": (128, 3, 0),
}
DIGITS = (28, 1, 10)

PHASES = (
    "data",
    "augmentation",
    "G forward",
    "D step",
    "regulariser",
    "G step",
    "optimiser",
    "EMA",
    "statistics",
    "ticks",
)
Seconds = dict[str, float]


class Stopwatch:
    """Counts seconds by phase. In nested calls, the time belongs to the innermost."""

    def __init__(self) -> None:
        self.spent_s: Counter[str] = Counter()
        self.running: list[str] = []
        self.since = 0.0

    def turn(self) -> None:
        """Add the time since the last turn to the innermost phase."""
        now = time.perf_counter()
        if self.running:
            self.spent_s[self.running[-1]] += now - self.since
        self.since = now

    def wrapped(self, function: Callable[..., Any], phase: str) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            self.turn()
            self.running.append(phase)
            try:
                return function(*arguments, **more)
            finally:
                self.turn()
                self.running.pop()

        return call


@contextlib.contextmanager
def watched(engine: Engine) -> Iterator[Stopwatch]:
    """Time the phases of all steps inside the with block."""
    now = engine.state
    places = [
        ("data", engine, ["step", "select_images"]),
        ("data", engines, ["batch_indices"]),
        ("data", images, ["to_float"]),
        ("augmentation", now, ["augment"]),
        ("G forward", now, ["latents"]),
        ("G forward", now.G, ["forward"]),
        ("D step", now, ["d_step"]),
        ("G step", now, ["g_step"]),
        *(("optimiser", optimizer, ["step", "zero_grad"]) for optimizer in now.optimizers.values()),
        ("EMA", ema, ["update_ema"]),
        ("statistics", now, ["step"]),
        ("statistics", state, ["get_total_norm"]),
    ]
    watch = Stopwatch()
    with contextlib.ExitStack() as stack:
        for phase, owner, names in places:
            for name in names:
                function = watch.wrapped(getattr(owner, name), phase)
                stack.enter_context(mock.patch.object(owner, name, function))
        yield watch


class Subject:
    """A preset's training in the middle of a run. Each step uses other images."""

    def __init__(self, preset: str, threads: int, width: int, batch: int) -> None:
        large = PRESETS[preset].model == "resnet"
        narrow = {"g_width": width, "d_width": width, "batch_size": batch} if large else {}
        resolution, channels, n_classes = SHAPES.get(preset, DIGITS)
        data = noise(N_IMAGES, resolution, channels, n_classes, N_HELDOUT)
        self.engine = engine_of(preset, data, {"threads": threads, "kimg": KIMG, **narrow})
        self.config, self.interval, self.batch = (
            self.engine.config,
            self.engine.state.interval,
            self.engine.config.batch_size,
        )
        self.cycles = int(KIMG * 1000 / 2 / self.batch / self.interval)
        for regularised in (True, False):
            self.step(regularised)

    def step(self, regularised: bool) -> None:
        """Run a step, with or without the penalty of gamma (if the preset has one)."""
        now = self.engine.state
        now.config = self.config if regularised else dataclasses.replace(self.config, gamma=0.0, r2=False)
        self.cycles += 1
        now.nimg = self.cycles * self.interval * self.batch
        self.engine.step()

    def step_s(self, regularised: bool) -> float:
        started = time.perf_counter()
        self.step(regularised)
        return time.perf_counter() - started

    def flops(self) -> float:
        """Operations per image, averaged over steps with and without the regulariser."""
        with_it, without = (flops(functools.partial(self.step, regularised)) for regularised in (True, False))
        return (without + (with_it - without) / self.interval) / self.batch

    def measure(self, steps: int) -> Seconds:
        """Seconds of the mean step, in all and by phase; medians over this many steps of each kind."""
        taken: dict[str, list[float]] = {"regularised": [], "plain": []}
        phases: list[Counter[str]] = []
        for _ in range(steps):
            taken["plain"].append(self.step_s(regularised=False))
            if self.config.gamma:
                taken["regularised"].append(self.step_s(regularised=True))
            with watched(self.engine) as watch:
                self.step(regularised=False)
            phases.append(watch.spent_s)
        started = time.perf_counter()
        self.engine.signals()
        ticks = (time.perf_counter() - started) * self.batch / (1000 * self.config.tick_kimg)
        plain = statistics.median(taken["plain"])
        regulariser = (statistics.median(taken["regularised"] or [plain]) - plain) / self.interval
        found = {phase: statistics.median(one[phase] for one in phases) for phase in PHASES}
        return {**found, "regulariser": regulariser, "ticks": ticks, "step": plain + regulariser}


def rates_table(subjects: dict[str, Subject], found: dict[str, list[Seconds]], peaks: dict[str, float]) -> str:
    head = ["preset", "batch", "images/s", "MFLOP per image", *(f"share of {name} peak" for name in peaks)]
    rows = []
    for name, subject in subjects.items():
        rates = [subject.batch / one["step"] for one in found[name]]
        each = subject.flops()
        shares = [f"{statistics.median(rates) * each / peak:.0%}" for peak in peaks.values()]
        rows.append([f"`{name}`", str(subject.batch), median(rates), f"{each / 1e6:,.1f}", *shares])
    return table(head, rows)


def phases_table(found: dict[str, list[Seconds]]) -> str:
    """Milliseconds of the mean step by phase, and their share of an unwrapped step, which does not include ticks."""
    whole = {name: statistics.median(one["step"] for one in some) for name, some in found.items()}

    def cells(value: Callable[[Seconds], float]) -> list[str]:
        columns = {name: [1000 * value(one) for one in some] for name, some in found.items()}
        return [f"{median(some)}, {statistics.median(some) / 1000 / whole[name]:.1%}" for name, some in columns.items()]

    rows = [[phase, *cells(lambda one, phase=phase: one[phase])] for phase in PHASES]
    rows.append(["sum without ticks", *cells(lambda one: sum(one[phase] for phase in PHASES if phase != "ticks"))])
    rows.append(["step, not wrapped", *cells(lambda one: one["step"])])
    return table(["ms per step", *(f"`{name}`" for name in found)], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=list(PRESETS))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=4, help="steps of each kind in a round [default: 4]")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--width", type=int, default=64, help="channels for r3gan-* [default: 64]")
    parser.add_argument("--batch", type=int, default=16, help="batch for r3gan-* [default: 16]")
    args = parser.parse_args()
    subjects = {name: Subject(name, args.threads, args.width, args.batch) for name in args.presets}
    works: dict[str, Callable[[int], Any]] = {
        name: lambda _, subject=subject: subject.measure(args.steps) for name, subject in subjects.items()
    }
    found = in_turn(
        works | {name: lambda _, dtype=dtype: peak_flops(dtype) for name, dtype in PEAKS.items()}, args.rounds
    )
    peaks = {name: found.pop(name) for name in PEAKS}
    shown = ", ".join(f"{median([one / 1e9 for one in rates])} GFLOP/s in {name}" for name, rates in peaks.items())
    print(f"{args.threads} threads, {args.rounds} rounds; peaks: {shown}\n")
    print(rates_table(subjects, found, {name: statistics.median(rates) for name, rates in peaks.items()}))
    print()
    print(phases_table(found))


if __name__ == "__main__":
    main()
