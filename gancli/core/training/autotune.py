"""Threads and precision that this run is fastest with, found by a few real steps of it, thrown away."""

from collections.abc import Sequence
from typing import Any

from gancli.core import devices
from gancli.core.data.dataset import ImageSet
from gancli.core.training import run_config, trial
from gancli.core.training.engine import Engine

ROUNDS = 2  # so that a machine that is busy for a moment decides nothing
MIN_MEASURE_S = 0.3  # of steps, for each value in each round
MIN_SPEEDUP = 1.05  # times the speed of the default is what leaving it takes


def tune_machine(record: dict[str, Any], data: ImageSet) -> dict[str, Any]:
    """The record of a new run with what it leaves to a trial chosen; the others as they are.

    A run that is resumed keeps what its record says. Raises MemoryLimitError as a rehearsal does.
    """
    device = devices.resolve_device(record["machine"]["device"])
    candidates: dict[str, Sequence[Any]] = {
        "threads": candidate_thread_counts(devices.count_cores()),
        "precision": ("float32", "bf16") if devices.has_bf16(device) else ("float32",),
    }
    chosen = [name for name in candidates if record["train"][name] == "auto"]
    if chosen:
        trial.run_trial(record, data)  # refuses a batch that there is no memory for
    for name in chosen:
        record = choose_fastest(record, data, name, candidates[name])
    return record


def candidate_thread_counts(cores: int) -> list[int]:
    """As many as there are cores, then the powers of 2 below. 6 -> 6, 4, 2, 1."""
    return [cores, *(2**n for n in reversed(range(cores.bit_length())) if 2**n < cores)]


def choose_fastest(record: dict[str, Any], data: ImageSet, name: str, values: Sequence[Any]) -> dict[str, Any]:
    """The record with the fastest of these values of its machine's `name`; the first one unless another is worth it."""
    records = {value: with_machine_setting(record, name, value) for value in values}
    rates, tried = dict.fromkeys(values, 0.0), list(values)
    for _ in range(ROUNDS):
        for value in tried:
            rates[value] = max(rates[value], full_batch_rate(records[value], data))
        tried = [value for value in tried if rates[value] > max(rates.values()) / 2]
    best = max(values, key=lambda value: rates[value])
    return records[best if rates[best] > MIN_SPEEDUP * rates[values[0]] else values[0]]


def with_machine_setting(record: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    return {**record, "machine": {**record["machine"], name: value}}


def full_batch_rate(record: dict[str, Any], data: ImageSet) -> float:
    """At the full batch size, of this process."""
    record = run_config.config_of_one_process(record)
    engine = Engine({**record, "train": {**record["train"], "batch_ramp_kimg": 0.0}}, data)
    for _ in range(2):  # one with R1 and one without, to warm up
        trial.time_step(engine)
    return trial.measure_batch_rate(engine, engine.config.batch_size, MIN_MEASURE_S)
