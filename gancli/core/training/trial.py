"""A few real training steps, thrown away: how fast a run will be and how much memory it takes."""

import contextlib
import dataclasses
import re
import resource
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gancli import config as configs
from gancli.core import devices
from gancli.core.data.dataset import ImageSet
from gancli.core.training import run_config, schedules
from gancli.core.training.engine import Engine
from gancli.core.training.time_budget import images_reached
from gancli.errors import MemoryLimitError

SMALLEST_BATCH = configs.setting_fields()["batch_size"].metadata["low"]
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


def run_trial(record: dict[str, Any], data: ImageSet) -> Trial:
    """Train on a few real batches of the smallest and the largest size the plan has, writing nothing. Of several
    processes this one tries its part, and the others are taken to be as fast.

    Raises MemoryLimitError if the networks or a batch do not fit into memory; it names the batch that does.
    """
    n, record = record["machine"]["processes"], run_config.config_of_one_process(record)
    train = record["train"]
    asked, sizes = train["batch_size"], schedules.batch_size_steps(train["batch_size"], train["batch_ramp_kimg"] * 1000)
    engine = Engine({**record, "train": {**train, "batch_ramp_kimg": 0.0}}, data)
    fits = find_largest_safe_batch(engine) if may_exceed_memory(record) else asked
    if fits == asked:
        try:
            reset_peak_memory(engine.device)
            took = {size: size / measure_batch_rate(engine, size) for size in sorted({sizes[0][1], asked})}
            rates = [(start, n * size / interpolate_step_s(took, size)) for start, size in sizes]
        except MemoryLimitError:
            pass  # and the error goes, which holds the failed step, and with it the memory
        else:
            peak, there = peak_and_total_memory(engine.device)
            return Trial(tuple(rates), peak, there, engine.device.type)
        fits = shrink_batch_to_fit(engine, asked)
    side, device = engine.spec.resolution, engine.device.type
    way_out = f"--batch-size {n * fits} does" if fits else "nor does the smallest; lower --resolution or the widths"
    raise MemoryLimitError(
        f"a batch of {n * asked} images of {side}x{side} does not fit into the memory of {device}; {way_out}"
    )


def may_exceed_memory(record: dict[str, Any]) -> bool:
    """Whether a step could need all the memory of a CPU; roughly, and rather too often."""
    train, device = record["train"], torch.device(record["machine"]["device"])
    width = max(train["g_width"], train["d_width"], NARROW)
    bytes_each = record["data"]["resolution"] ** 2 * width * BYTES_PER_CHANNEL
    return device.type != "cuda" and train["batch_size"] * bytes_each > devices.usable_memory_bytes(device)


def find_largest_safe_batch(engine: Engine) -> int | None:
    """Come to the batch by doubling, each time only if there is memory for it, by what the one before took: on a CPU
    no allocation fails, but whoever uses more than there is may be killed. Returns the last batch that fits, None if
    there is none."""
    asked, there = engine.config.batch_size, devices.usable_memory_bytes(engine.device)
    fits, taken, base = None, 0, measure_peak_bytes(engine, SMALLEST_BATCH)  # with Adam's moments
    for size in batch_halvings(asked):
        if base + 2 * taken > there:
            return fits
        try:
            taken = measure_peak_bytes(engine, size) - base
        except MemoryLimitError:
            return fits
        fits = size if base + taken <= there else fits
    return fits


def batch_halvings(batch: int) -> list[int]:
    """The batch, its half, the half of that and so on, the smallest first."""
    return [batch >> n for n in range((batch // SMALLEST_BATCH).bit_length() - 1, -1, -1)]


def measure_peak_bytes(engine: Engine, batch: int) -> int:
    """Memory at the peak of one step with R1."""
    engine.config, engine.state.nimg = dataclasses.replace(engine.config, batch_size=batch), 0
    reset_peak_memory(engine.device)
    time_step(engine)
    return peak_and_total_memory(engine.device)[0]


def interpolate_step_s(took: dict[int, float], size: int) -> float:
    """Seconds of a step with this batch size, by those of the smallest and the largest: it has a time of its own and
    one for each image."""
    (small, small_s), (large, large_s) = min(took.items()), max(took.items())
    return small_s + (large_s - small_s) * (size - small) / max(large - small, 1)


def measure_batch_rate(engine: Engine, batch: int, enough_s: float = 0.0) -> float:
    """The rate with batches of one size, by a step that has R1 and one or more that need not have it. The first one of
    all is slower than it will be, which counts little where R1 is lazy, and is left out where each step has it."""
    engine.config = dataclasses.replace(engine.config, batch_size=batch)
    engine.state.nimg, interval, took = 0, engine.state.interval, list[float]()
    while len(took) < 2 or (len(took) < interval and sum(took) < enough_s):
        took.append(time_step(engine))
    cycle_s = (took[0] if interval > 1 else took[1]) + (interval - 1) * statistics.fmean(took[1:])
    return batch * interval / cycle_s


def shrink_batch_to_fit(engine: Engine, asked: int) -> int | None:
    """The first of ever smaller halves of the batch that there is memory for: a step with R1, and one after Adam has
    its moments."""
    for size in batch_halvings(asked)[-2::-1]:
        engine.config = dataclasses.replace(engine.config, batch_size=size)
        engine.state.nimg = 0
        if engine.device.type == "cuda":
            torch.cuda.empty_cache()
        with contextlib.suppress(MemoryLimitError):
            for _ in range(2):
                time_step(engine)
            return size
    return None


def time_step(engine: Engine) -> float:
    started = time.perf_counter()
    engine.step()
    engine.state.tallies.sum().item()  # waits for the device
    return time.perf_counter() - started


def reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):
        PROC_CLEAR_REFS.write_text("5")  # the peak of this process, see proc(5)


def peak_and_total_memory(device: torch.device) -> tuple[int, int]:
    """Bytes at the peak since `reset_peak`, and bytes that there are."""
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
