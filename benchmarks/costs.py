"""Measure how time and memory grow with images in the set, resolution, batch, samples made and images scored.

    python benchmarks/costs.py [--out docs/images/costs.png] [--rounds 3] [--most 1]

Every point is a fresh process that does one thing on random pixels with the networks of `--preset quick`: train some
steps, write n samples to an npz, or compute all scores for the first time, including the features of the real images.
Memory is the peak minus the use after a tiny warm-up case; less than 1 MiB counts as 1 MiB. Points are interleaved. The
figure shows their medians and, dashed, proportional growth (for resolution: to the number of pixels). The table gives
the exponent between the last two points of a curve. --most skips values above this share of the largest.
"""

import argparse
import functools
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import gancli  # noqa: F401  # before torch: it sets how idle threads wait

# isort: split

import figures
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from runs import fresh, in_turn, median, table
from workload import engine_of, noise, record_of

from gancli.core import devices
from gancli.core.data.dataset import ImageSet
from gancli.core.networks.build import build_generator
from gancli.core.networks.model_file import Model, ModelInfo
from gancli.core.sampling import write
from gancli.core.sampling.generate import SampleRequest
from gancli.core.training import trial
from gancli.files import provenance
from gancli.metrics.suite import METRICS
from gancli.report.series import log_axis_limits
from gancli.workflows import evaluation, fakes

ENOUGH_S = 1.0  # length of a measurement of steps
PRESET = "quick"
SECONDS, MEMORY = "seconds", "MiB"
LEAST_MIB = 1.0  # less is noise: a process allocates and frees as much anyway
N_CLASSES = 10
Cost = dict[str, float]

FLAGS = {"batch_ramp_kimg": 0, "kimg": 100}


@dataclass(frozen=True)
class Point:
    """One thing to measure. n: samples to make or to score."""

    what: str
    images: int = 5000
    resolution: int = 28
    batch: int = 64
    n: int = 2000


@dataclass(frozen=True)
class Curve:
    """Points that differ in one value. power: the exponent of proportional growth."""

    title: str
    label: str
    varied: str
    values: Sequence[int]
    base: Point
    power: int = 1

    def points(self, most: float) -> list[Point]:
        return [
            Point(**{**vars(self.base), self.varied: value})
            for value in self.values
            if value <= most * self.values[-1] or value in self.values[:2]
        ]


CURVES = (
    Curve("a training step", "images in the set", "images", (1000, 10_000, 100_000, 1_000_000), Point("step")),
    Curve("a training step", "pixels a side", "resolution", (16, 32, 64, 128, 256), Point("step", 500, batch=16), 2),
    Curve("a training step", "images in a batch", "batch", (8, 16, 32, 64, 128, 256, 512), Point("step")),
    Curve("sampling", "samples", "n", (100, 1000, 10_000, 100_000), Point("sample")),
    Curve("evaluation", "samples", "n", (300, 1000, 3000, 10_000, 30_000), Point("evaluate")),
    Curve("evaluation", "real images", "images", (500, 2000, 8000, 30_000), Point("evaluate")),
)


def model_of(images: ImageSet) -> Model:
    """An untrained model for these images."""
    spec = record_of(PRESET, images, FLAGS).model_spec
    info = ModelInfo(spec, PRESET, 0, {}, images.class_names, tuple(images.class_counts))
    return Model(build_generator(spec), info, "")


def step_s(point: Point) -> float:
    images = noise(point.images, point.resolution, n_classes=N_CLASSES)
    engine = engine_of(PRESET, images, {**FLAGS, "batch_size": point.batch})
    for _ in range(2):  # one with R1 and one without, to warm up
        trial.time_step(engine, point.batch)
    return point.batch / trial.measure_batch_rate(engine, point.batch, ENOUGH_S)


def sample_s(point: Point) -> float:
    model, draw = model_of(noise(100, point.resolution, n_classes=N_CLASSES)), SampleRequest(range(point.n))
    with tempfile.TemporaryDirectory() as folder:
        record = provenance.make_sample_record("gancli sample", Path(folder), "", seeds=draw.seeds)
        started = time.perf_counter()
        write.write_samples(Path(folder, "samples.npz"), model, draw, record, write.SampleFiles(".npz"))
        return time.perf_counter() - started


def evaluate_s(point: Point) -> float:
    images = noise(point.images, point.resolution, 1, N_CLASSES, n_heldout=point.images // 10)
    made = fakes.fakes_from_model(model_of(images), point.n)
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, GANCLI_CACHE=folder):
        started = time.perf_counter()
        evaluation.score_images(evaluation.build_reference(images, "digits"), made, images, only=list(METRICS))
        return time.perf_counter() - started


WORKS: dict[str, Callable[[Point], float]] = {"step": step_s, "sample": sample_s, "evaluate": evaluate_s}


def measure(point: Point) -> Cost:
    """Seconds and MiB of a point. Call it in a fresh process."""
    devices.configure_torch(0, "float32")
    do, cpu = WORKS[point.what], torch.device("cpu")
    do(Point(point.what, images=500, batch=8, n=100))  # loads and builds whatever is needed once
    trial.reset_peak_memory(cpu)
    before = trial.peak_and_total_memory(cpu)[0]
    seconds = do(point)
    return {SECONDS: seconds, MEMORY: max((trial.peak_and_total_memory(cpu)[0] - before) / 2**20, LEAST_MIB)}


def in_a_process(point: Point, number: int) -> Cost:
    """Measure a point in a fresh process."""
    found: Cost = json.loads(fresh(__file__, "--point", json.dumps(vars(point))).output)
    print(f"round {number + 1}: {point} {found}", file=sys.stderr)
    return found


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """The p for which y grows as x**p between the last two points."""
    return math.log(y[-1] / y[-2]) / math.log(x[-1] / x[-2])


def medians(rounds: list[Cost]) -> Cost:
    return {what: statistics.median(one[what] for one in rounds) for what in (SECONDS, MEMORY)}


def drawn(rounds: dict[Point, list[Cost]], curves: dict[Curve, list[Point]]) -> Figure:
    figure = Figure(figsize=(11, 12), dpi=100, facecolor="white", layout="constrained")
    grid = figure.subplots(4, 3)
    for number, (curve, points) in enumerate(curves.items()):
        x = [getattr(point, curve.varied) for point in points]
        for below, (what, colour) in enumerate(((SECONDS, figures.BLUE), (MEMORY, figures.ORANGE))):
            axes = grid[2 * (number // 3) + below, number % 3]
            y = [medians(rounds[point])[what] for point in points]
            axes.loglog(x, [y[-1] * (one / x[-1]) ** curve.power for one in x], "--", color=figures.GREY, linewidth=1.2)
            axes.loglog(x, y, "o-", color=colour, linewidth=2)
            axes.set_ylim(log_axis_limits(y))
            axes.set_title(f"{curve.title}: {what}", fontsize=12)
            axes.set_xlabel(curve.label, fontsize=11)
            axes.grid(color="#e4e4e4", linewidth=0.8)
            axes.xaxis.set_major_locator(FixedLocator(x))
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
                axis.set_minor_locator(NullLocator())
    return figure


def cost_table(rounds: dict[Point, list[Cost]], curves: dict[Curve, list[Point]]) -> str:
    rows = []
    for curve, points in curves.items():
        x = [getattr(point, curve.varied) for point in points]
        costs = [medians(rounds[point]) for point in points]
        powers = [f"{exponent(x, [one[what] for one in costs]):.2f}" for what in (SECONDS, MEMORY)]
        for value, point in zip(x, points, strict=True):
            cells = [median([one[what] for one in rounds[point]]) for what in (SECONDS, MEMORY)]
            is_last = point == points[-1]
            rows.append([curve.title, f"{value:,} {curve.label}", *cells, *(powers if is_last else ["", ""])])
    return table(["what grows", "value", SECONDS, MEMORY, "exponent of seconds", "of MiB"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/costs.png"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--most", type=float, default=1, help="skip values above this share of the largest [default: 1]"
    )
    parser.add_argument("--point", type=json.loads, help="measure this point and print JSON")
    args = parser.parse_args()
    if args.point:
        print(json.dumps(measure(Point(**args.point))))
        return
    curves = {curve: curve.points(args.most) for curve in CURVES}
    points = {point: None for some in curves.values() for point in some}
    works = {point: functools.partial(in_a_process, point) for point in points}
    rounds = in_turn(works, args.rounds)
    figures.save_figure(drawn(rounds, curves), args.out)
    print(cost_table(rounds, curves))


if __name__ == "__main__":
    main()
