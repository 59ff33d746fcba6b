"""Images/s and peak memory of a preset, with the forecast of `gancli train --dry-run` beside the measurement."""

import gc
import re
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.gpu import workload
from benchmarks.gpu.rows import Row, skipped
from gancli.core.data.dataset import ImageSet
from gancli.core.training import trial
from gancli.core.training.engine import Engine
from gancli.core.training.trial import Trial
from gancli.errors import MemoryLimitError
from gancli.files.run_config import RunConfig
from gancli.wording import format_significant

ENOUGH_S = 3.0
GIB = 2**30


def check(device: torch.device, preset: str) -> Iterator[Row]:
    data = workload.random_data(preset)
    for precision in ("bf16", "float32") if device.type == "cuda" else ("float32",):
        record, forecast, note = forecast_run(preset, data, device, precision)
        gc.collect()  # the networks of the trial
        trial.reset_peak_memory(device)
        engine = Engine(record, data)
        rate = record.train.batch_size / workload.measure_step_s(engine, ENOUGH_S)
        used, _ = trial.peak_and_total_memory(device)
        del engine
        gc.collect()
        yield describe(preset, precision, (rate, used), forecast, f"{workload.describe_size(record)}{note}")
    if device.type != "cuda":
        yield skipped(f"speed {preset}", "bf16", "only measured on CUDA here; the part precision compares it")


def forecast_run(preset: str, data: ImageSet, device: torch.device, precision: str) -> tuple[RunConfig, Trial, str]:
    """Try the preset as `gancli train --dry-run` does; with the batch that its message names if the full does not fit.

    Returns the config, the trial and a note.
    """
    flags: dict[str, Any] = {"precision": precision}
    record = workload.build_record(preset, data, device, **flags)
    try:
        return record, trial.run_trial(record, data), ""
    except MemoryLimitError as err:
        fits, said = re.search(r"--batch-size (\d+)", str(err)), str(err)
    if not fits:
        raise MemoryLimitError(said)
    record = workload.build_record(preset, data, device, **flags, batch_size=int(fits[1]))
    return record, trial.run_trial(record, data), f"; {said}"


def describe(preset: str, precision: str, measured: tuple[float, int], forecast: Trial, note: str) -> Row:
    """Return the row of a measurement. measured: images/s and bytes."""
    rate, used = measured
    value = f"{format_significant(rate)} images/s, {used / GIB:.2f} GiB"
    expected = f"forecast {format_significant(forecast.images_per_s)} images/s, {forecast.memory_bytes / GIB:.2f} GiB"
    ratios = f"measured / forecast: speed {rate / forecast.images_per_s:.2f}, memory {used / forecast.memory_bytes:.2f}"
    numbers = {
        "images_per_s": rate,
        "memory_bytes": used,
        "forecast_images_per_s": forecast.images_per_s,
        "forecast_memory_bytes": forecast.memory_bytes,
        "available_bytes": forecast.there_bytes,
    }
    return Row(f"speed {preset}", precision, "measured", value, expected, f"{note}; {ratios}", numbers)
