"""A few real training steps, thrown away: how fast a run will be and how much memory it takes."""

import contextlib
import re
import resource
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from gancli import config as configs
from gancli.core import devices
from gancli.core.data.dataset import ImageSet
from gancli.core.training import schedules
from gancli.core.training.engine import Engine
from gancli.core.training.time_budget import images_reached
from gancli.errors import MemoryLimitError
from gancli.files.run_config import RunConfig

SMALLEST_BATCH: int = configs.setting_fields()["batch_size"].metadata["low"]
NARROW = 16  # below this width, what a step keeps does not grow with it
BYTES_PER_CHANNEL = 150  # more than a step keeps for each pixel of an image and channel of the widest layer
PROC_STATUS, PROC_CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Trial:
    """What a trial found. memory_bytes is the peak, there_bytes what there is, both on `device`.

    rates: (from so many images on, images/s), one for each batch size on the way to the full one.
    """

    rates: tuple[tuple[int, float], ...]
    memory_bytes: int
    there_bytes: int
    device: str

    @property
    def images_per_s(self) -> float:
        """At the full batch size."""
        return self.rates[-1][1]

    def train_seconds(self, nimg: int) -> float:
        """How long so many images take."""
        ends = [start for start, _ in self.rates[1:]] + [nimg]
        return sum(max(0, min(end, nimg) - start) / rate for (start, rate), end in zip(self.rates, ends, strict=True))

    def images(self, seconds: float) -> int:
        """How many images that long is enough for."""
        return images_reached(0, seconds, self.rates)


def run_trial(record: RunConfig, data: ImageSet) -> Trial:
    """Train on a few real batches of the smallest and the largest size the plan has, writing nothing. Of several
    processes this one tries its part, and the others are taken to be as fast.

    Raises MemoryLimitError if the networks or a batch do not fit into memory; it names the batch that does.
    """
    n, batch, ramp_nimg = record.machine.processes, process_batch_size(record), record.train.batch_ramp_kimg * 1000
    engine, sizes = Engine(record, data), schedules.batch_size_steps(batch, ramp_nimg)
    fits = find_largest_safe_batch(engine, batch) if may_exceed_memory(record) else batch
    if fits == batch:
        try:
            reset_peak_memory(engine.device)
            took = {size: size / measure_batch_rate(engine, size) for size in sorted({sizes[0][1], batch})}
        except MemoryLimitError:
            pass  # and the error goes, which holds the failed step, and with it the memory
        else:
            rates = tuple((start, n * size / interpolate_step_s(took, size)) for start, size in sizes)
            return Trial(rates, *peak_and_total_memory(engine.device), engine.device.type)
        fits = find_largest_safe_batch(engine, batch // 2)
    side, device = engine.spec.resolution, engine.device.type
    way_out = f"--batch-size {n * fits} does" if fits else "nor does the smallest; lower --resolution or the widths"
    raise MemoryLimitError(
        f"a batch of {n * batch} images of {side}x{side} does not fit into the memory of {device}; {way_out}"
    )


def process_batch_size(record: RunConfig) -> int:
    """Images of a full batch that each process takes."""
    return max(SMALLEST_BATCH, record.train.batch_size // record.machine.processes)


def may_exceed_memory(record: RunConfig) -> bool:
    """Whether a step could need all the memory of a CPU; roughly, and rather too often."""
    train, side, device = record.train, record.data.resolution, torch.device(record.machine.device)
    bytes_each = side * side * max(train.g_width, train.d_width, NARROW) * BYTES_PER_CHANNEL
    return device.type != "cuda" and process_batch_size(record) * bytes_each > devices.usable_memory_bytes(device)


def find_largest_safe_batch(engine: Engine, batch: int) -> int | None:
    """The largest of the batch, its half and so on that fits into memory; None if there is none.

    The smallest comes first and each next one only if there is memory for twice what the one before took: on a CPU no
    allocation fails, but a process that uses more than there is may be killed.
    """
    if batch < SMALLEST_BATCH:
        return None
    fits, taken, there = None, 0, devices.usable_memory_bytes(engine.device)
    with contextlib.suppress(MemoryLimitError):
        base = measure_peak_bytes(engine, SMALLEST_BATCH)  # from here on with Adam's moments
        for size in batch_halvings(batch):
            if base + 2 * taken > there:
                break
            taken = measure_peak_bytes(engine, size) - base
            fits = size if base + taken <= there else fits
    return fits


def batch_halvings(batch: int) -> list[int]:
    """The batch, its half, the half of that and so on, the smallest first."""
    return [batch >> n for n in range((batch // SMALLEST_BATCH).bit_length() - 1, -1, -1)]


def measure_peak_bytes(engine: Engine, batch: int) -> int:
    """Memory at the peak of one step with R1."""
    engine.state.nimg = 0
    reset_peak_memory(engine.device)
    time_step(engine, batch)
    return peak_and_total_memory(engine.device)[0]


def interpolate_step_s(took: dict[int, float], size: int) -> float:
    """Seconds of a step with this batch size, by those of the smallest and the largest: it has a time of its own and
    one for each image."""
    (small, small_s), (large, large_s) = min(took.items()), max(took.items())
    return small_s + (large_s - small_s) * (size - small) / max(large - small, 1)


def measure_batch_rate(engine: Engine, batch: int, enough_s: float = 0.0) -> float:
    """The rate with batches of one size, by a step that has R1 and one or more that need not have it. The first one of
    all is slower than it will be, which counts little where R1 is lazy, and is left out where each step has it."""
    engine.state.nimg, interval, took = 0, engine.state.interval, list[float]()
    while len(took) < 2 or (len(took) < interval and sum(took) < enough_s):
        took.append(time_step(engine, batch))
    cycle_s = (took[0] if interval > 1 else took[1]) + (interval - 1) * statistics.fmean(took[1:])
    return batch * interval / cycle_s


def time_step(engine: Engine, batch: int) -> float:
    """Seconds of a step with a batch of this size."""
    started = time.perf_counter()
    engine.step(batch)
    engine.state.tallies.sum().item()  # waits for the device
    return time.perf_counter() - started


def reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what a step that failed has left
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):
        PROC_CLEAR_REFS.write_text("5")  # the peak of this process, see proc(5)


def peak_and_total_memory(device: torch.device) -> tuple[int, int]:
    """Bytes at the peak since `reset_peak_memory`, and bytes that there are."""
    there = devices.usable_memory_bytes(device)
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device), there
    if device.type == "mps":
        return torch.mps.driver_allocated_memory(), there
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s*(\d+) kB", PROC_STATUS.read_text()):
            return int(found[1]) * 1024, there
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024, there
