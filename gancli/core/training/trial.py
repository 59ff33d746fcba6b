"""Measure the speed and memory of a run with a few real training steps, whose results are discarded."""

import contextlib
import re
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from gancli import config as configs
from gancli import platform
from gancli.core import devices
from gancli.core.data.dataset import ImageSet
from gancli.core.training import schedules
from gancli.core.training.engine import Engine
from gancli.core.training.time_budget import images_reached
from gancli.errors import MemoryLimitError
from gancli.files.run_config import RunConfig

SMALLEST_BATCH: int = configs.setting_fields()["batch_size"].metadata["low"]
NARROW = 16  # below this width, the memory of a step does not depend on the width
BYTES_PER_CHANNEL = 150  # upper bound of a step's memory for each pixel of an image and channel of the widest layer
PROC_STATUS, PROC_CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Trial:
    """The result of a trial. memory_bytes: peak use, there_bytes: available memory, both on `device`.

    rates: for each batch size, up to the full one: (images seen at its first step, images/s).
    """

    rates: tuple[tuple[int, float], ...]
    memory_bytes: int
    there_bytes: int
    device: str

    @property
    def images_per_s(self) -> float:
        """Speed at the full batch size."""
        return self.rates[-1][1]

    def train_seconds(self, nimg: int) -> float:
        """Return the seconds that training on nimg images takes."""
        ends = [start for start, _ in self.rates[1:]] + [nimg]
        return sum(max(0, min(end, nimg) - start) / rate for (start, rate), end in zip(self.rates, ends, strict=True))

    def images(self, seconds: float) -> int:
        """Return the number of images that fit into this time."""
        return images_reached(0, seconds, self.rates)


def run_trial(record: RunConfig, data: ImageSet) -> Trial:
    """Train on a few real batches of the smallest and the largest size of the plan. Writes no files.

    With several processes, this one tries its share of a batch, and the others are assumed to be as fast. Raises
    MemoryLimitError if the networks or a batch do not fit into memory; the message names a batch size that fits.
    """
    n, batch, ramp_nimg = record.machine.processes, process_batch_size(record), record.train.batch_ramp_kimg * 1000
    engine, sizes = Engine(record, data), schedules.batch_size_steps(batch, ramp_nimg)
    fits = find_largest_safe_batch(engine, batch) if may_exceed_memory(record) else batch
    if fits == batch:
        try:
            reset_peak_memory(engine.device)
            took = {size: size / measure_batch_rate(engine, size) for size in sorted({sizes[0][1], batch})}
        except MemoryLimitError:
            pass  # leaving this block frees the error, which keeps the memory of the failed step in use
        else:
            rates = tuple((start, n * size / interpolate_step_s(took, size)) for start, size in sizes)
            return Trial(rates, *peak_and_total_memory(engine.device), engine.device.type)
        fits = find_largest_safe_batch(engine, batch // 2)
    side, device = engine.spec.resolution, engine.device.type
    fix = f"use --batch-size {n * fits}" if fits else "no smaller batch does either: lower --resolution or the widths"
    raise MemoryLimitError(
        f"a batch of {n * batch} images of {side}x{side} does not fit into the memory of {device}; {fix}"
    )


def process_batch_size(record: RunConfig) -> int:
    """Return the number of images per process in a full batch."""
    return max(SMALLEST_BATCH, record.train.batch_size // record.machine.processes)


def may_exceed_memory(record: RunConfig) -> bool:
    """Whether a rough upper bound of a step's memory is too large. False on CUDA, where a step can be tried safely."""
    train, side, device = record.train, record.data.resolution, torch.device(record.machine.device)
    bytes_each = side * side * max(train.g_width, train.d_width, NARROW) * BYTES_PER_CHANNEL
    return device.type != "cuda" and process_batch_size(record) * bytes_each > devices.usable_memory_bytes(device)


def find_largest_safe_batch(engine: Engine, batch: int) -> int | None:
    """Return the largest of batch, batch/2, batch/4, ... that fits into memory; None if none does.

    Sizes are tried in ascending order, each only if twice the memory of the previous size is available: on a CPU,
    allocations do not fail, but the system may kill a process that uses too much memory.
    """
    if batch < SMALLEST_BATCH:
        return None
    fits, used, available = None, 0, devices.usable_memory_bytes(engine.device)
    with contextlib.suppress(MemoryLimitError):
        base = measure_peak_bytes(engine, SMALLEST_BATCH)  # includes Adam's moments, which now exist
        for size in batch_halvings(batch):
            if base + 2 * used > available:
                break
            used = measure_peak_bytes(engine, size) - base
            fits = size if base + used <= available else fits
    return fits


def batch_halvings(batch: int) -> list[int]:
    """Return batch, batch/2, batch/4, ... down to SMALLEST_BATCH, in ascending order."""
    return [batch >> n for n in range((batch // SMALLEST_BATCH).bit_length() - 1, -1, -1)]


def measure_peak_bytes(engine: Engine, batch: int) -> int:
    """Measure the peak memory of one step with R1."""
    engine.state.nimg = 0
    reset_peak_memory(engine.device)
    time_step(engine, batch)
    return peak_and_total_memory(engine.device)[0]


def interpolate_step_s(took: dict[int, float], size: int) -> float:
    """Interpolate the seconds of a step with this batch size. took: batch size -> seconds.

    A step takes a fixed time plus a time for each image.
    """
    (small, small_s), (large, large_s) = min(took.items()), max(took.items())
    return small_s + (large_s - small_s) * (size - small) / max(large - small, 1)


def measure_batch_rate(engine: Engine, batch: int, enough_s: float = 0.0) -> float:
    """Measure images/s at one batch size: time a step with R1, then one or more steps that may have no R1.

    The first step is slower than later ones. That matters little if R1 is lazy; if every step has R1, the first step is
    ignored.
    """
    engine.state.nimg, interval, took = 0, engine.state.interval, list[float]()
    while len(took) < 2 or (len(took) < interval and sum(took) < enough_s):
        took.append(time_step(engine, batch))
    cycle_s = (took[0] if interval > 1 else took[1]) + (interval - 1) * statistics.fmean(took[1:])
    return batch * interval / cycle_s


def time_step(engine: Engine, batch: int) -> float:
    """Train one step with this batch size; return the seconds it took."""
    started = time.perf_counter()
    engine.step(batch)
    engine.state.tallies.sum().item()  # waits for the device
    return time.perf_counter() - started


def reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()  # frees the memory of a failed step
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):
        PROC_CLEAR_REFS.write_text("5")  # resets the peak of this process, see proc(5)


def peak_and_total_memory(device: torch.device) -> tuple[int, int]:
    """Return the peak bytes since `reset_peak_memory`, and the available bytes."""
    available = devices.usable_memory_bytes(device)
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device), available
    if device.type == "mps":
        return torch.mps.driver_allocated_memory(), available
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s*(\d+) kB", PROC_STATUS.read_text()):
            return int(found[1]) * 1024, available
    return platform.peak_memory_bytes(), available
