"""Build presets on random pixels, at full size on a CUDA GPU and narrowed elsewhere; time their steps."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.gpu import parts
from benchmarks.workload import noise
from gancli import presets
from gancli.core.data.dataset import ImageSet
from gancli.core.training import run_config
from gancli.core.training.engine import Engine
from gancli.files.run_config import RunConfig

LABELLED = ("quick", "r3gan-32")  # as their authors train them: with classes
NARROW: dict[str, dict[str, Any]] = {  # in place of width 768 and batches of 256 and 512
    "r3gan-32": {"g_width": 16, "d_width": 16, "batch_size": 8},
    "r3gan-64": {"g_width": 16, "d_width": 16, "batch_size": 4},
    "r3gan-128": {"g_width": 16, "d_width": 16, "batch_size": 2},
}


def random_data(preset: str, side: int = 0, n: int = 2000) -> ImageSet:
    """Return random pixels in the shape of the preset. side: replaces the size of its images."""
    torch.manual_seed(0)
    side, channels = side or presets.PRESETS[preset].resolution or 28, 3 if preset.startswith("r3gan") else 1
    return noise(n, side, channels, n_classes=10 if preset in LABELLED else 0, n_heldout=50)


def build_record(preset: str, data: ImageSet, device: torch.device, **flags: Any) -> RunConfig:
    """Return the config of a run at full batch size; narrowed unless the device is a CUDA GPU."""
    narrow = {} if device.type == "cuda" else NARROW.get(preset, {})
    chosen = {"kimg": 100_000, "batch_ramp_kimg": 0.0, **narrow, **flags, "device": device.type}
    return run_config.build_run_config(*presets.resolve_config(preset, flags=chosen), data)


def describe_size(record: RunConfig) -> str:
    """Describe width and batch, and what they replace: 'width 32, batch 8; the preset has 768, 512'."""
    train, full = record.train, presets.PRESETS[record.preset]
    text = f"width {train.g_width}, batch {train.batch_size}"
    is_full = (train.g_width, train.batch_size) == (full.g_width, full.batch_size)
    return text if is_full else f"{text}; the preset has {full.g_width}, {full.batch_size}"


def measure_step_s(engine: Engine, enough_s: float) -> float:
    """Return the mean seconds of a step over whole cycles of R1, without waits in between, after one cycle."""
    cycle, n, started = engine.state.interval, 0, time.perf_counter()
    for _ in range(cycle if cycle > 1 else 2):
        engine.step()
    parts.synchronize(engine.device)
    started = time.perf_counter()
    while n < 2 or time.perf_counter() - started < enough_s:
        for _ in range(cycle):
            engine.step()
        parts.synchronize(engine.device)
        n += cycle
    return (time.perf_counter() - started) / n


def median_s(work: Callable[[], object], device: torch.device, rounds: int = 5, calls: int = 4) -> float:
    """Return the median seconds of a call, after one warm-up; each round waits once, at its end."""
    work()
    taken = []
    for _ in range(rounds):
        parts.synchronize(device)
        started = time.perf_counter()
        for _ in range(calls):
            work()
        parts.synchronize(device)
        taken.append((time.perf_counter() - started) / calls)
    return statistics.median(taken)
