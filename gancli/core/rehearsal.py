"""A few real training steps, thrown away: how fast a run will be and how much memory it takes."""

import contextlib
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

from gancli.core.imageset import ImageSet
from gancli.core.trainer import Trainer
from gancli.errors import ConfigError
from gancli.rundir import RunDir

ENOUGH_S = 1.0
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Rehearsal:
    """Whole batches per second as images, the peak of memory, and the memory there is, both in bytes on `device`."""

    images_per_s: float
    memory_bytes: int
    there_bytes: int
    device: str


def rehearse(record: dict[str, Any], data: ImageSet) -> Rehearsal:
    """Train on real batches of full size for about a second, writing nothing.

    Raises ConfigError if a batch does not fit into memory.
    """
    whole = {**record, "train": {**record["train"], "batch_ramp_kimg": 0.0}}
    batch, interval = record["train"]["batch_size"], record["train"]["r1_interval"] if record["train"]["gamma"] else 1
    try:
        trainer = Trainer(RunDir(Path(os.devnull)), whole, data)
        reset_peak(trainer.device)
        for _ in range(2):  # one with R1 and one without, to warm up
            step_s(trainer)
        trainer.state.nimg, took = 0, list[float]()
        while len(took) < 2 or (len(took) < interval and sum(took) < ENOUGH_S):
            took.append(step_s(trainer))
    except RuntimeError as err:
        if not isinstance(err, torch.OutOfMemoryError) and "allocate" not in str(err):
            raise
        side, device = record["data"]["resolution"], record["machine"]["device"]
        what = f"a batch of {batch} images of {side}x{side} does not fit into the memory of {device}"
        raise ConfigError(f"{what}; try --batch-size {max(2, batch // 2)}") from err
    cycle_s = took[0] + (interval - 1) * statistics.fmean(took[1:])  # the first has R1
    peak, there = memory(trainer.device)
    return Rehearsal(batch * interval / cycle_s, peak, there, trainer.device.type)


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
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if device.type == "mps":
        return torch.mps.driver_allocated_memory(), there
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text()):
            return int(found[1]) * 1024, there
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024, there
