"""A few real training steps, thrown away: how fast a run will be and how much memory it takes."""

import contextlib
import dataclasses
import os
import re
import resource
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gancli.core import devices, schedules
from gancli.core.imageset import ImageSet
from gancli.core.trainer import Trainer
from gancli.errors import ConfigError
from gancli.rundir import RunDir

ENOUGH_S = 1.0
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Rehearsal:
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

    def seconds(self, nimg: int) -> float:
        """How long so many images take."""
        ends = [start for start, _ in self.rates[1:]] + [nimg]
        return sum(max(0, min(end, nimg) - start) / rate for (start, rate), end in zip(self.rates, ends, strict=True))

    def images(self, seconds: float) -> int:
        """How many images that long is enough for."""
        start, rate = next(one for one in reversed(self.rates) if self.seconds(one[0]) <= seconds)
        return int(start + (seconds - self.seconds(start)) * rate)


def rehearse(record: dict[str, Any], data: ImageSet) -> Rehearsal:
    """Train on real batches of every size the plan has for about a second, writing nothing.

    Raises ConfigError if a batch does not fit into memory.
    """
    train = record["train"]
    sizes = schedules.batch_sizes(train["batch_size"], train["batch_ramp_kimg"] * 1000)
    try:
        trainer = Trainer(RunDir(Path(os.devnull)), {**record, "train": {**train, "batch_ramp_kimg": 0.0}}, data)
        reset_peak(trainer.device)
        for _ in range(2):  # one with R1 and one without, to warm up
            step_s(trainer)
        rates = [(start, images_per_s(trainer, size, ENOUGH_S / len(sizes))) for start, size in sizes]
    except RuntimeError as err:
        if not isinstance(err, torch.OutOfMemoryError) and "allocate" not in str(err):
            raise
        side, device, batch = record["data"]["resolution"], record["machine"]["device"], train["batch_size"]
        what = f"a batch of {batch} images of {side}x{side} does not fit into the memory of {device}"
        raise ConfigError(f"{what}; try --batch-size {max(2, batch // 2)}") from err
    peak, there = memory(trainer.device)
    return Rehearsal(tuple(rates), peak, there, trainer.device.type)


def images_per_s(trainer: Trainer, batch: int, enough_s: float) -> float:
    """The rate with batches of one size, by the step that has R1 and one or more that do not."""
    trainer.config = dataclasses.replace(trainer.config, batch_size=batch)
    trainer.state.nimg, interval, took = 0, trainer.state.interval, list[float]()
    while len(took) < 2 or (len(took) < interval and sum(took) < enough_s):
        took.append(step_s(trainer))
    cycle_s = took[0] + (interval - 1) * statistics.fmean(took[1:])
    return batch * interval / cycle_s


def step_s(trainer: Trainer) -> float:
    started = time.perf_counter()
    trainer.step()
    trainer.state.tallies.sum().item()  # waits for the device
    return time.perf_counter() - started


def reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):
        RESET.write_text("5")  # the peak of this process, see proc(5)


def memory(device: torch.device) -> tuple[int, int]:
    """Bytes at the peak since `reset_peak`, and bytes that there are."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device), torch.cuda.get_device_properties(device).total_memory
    there = devices.memory_bytes()
    if device.type == "mps":
        return torch.mps.driver_allocated_memory(), there
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text()):
            return int(found[1]) * 1024, there
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024, there
