"""Find the fastest threads and precision for a run by timing a few real steps, whose results are discarded."""

from collections.abc import Sequence

from msgspec.structs import replace

from gancli.core import devices
from gancli.core.data.dataset import ImageSet
from gancli.core.training import trial
from gancli.core.training.engine import Engine
from gancli.files.run_config import MachineInfo, RunConfig

ROUNDS = 2  # so that a short load from another program does not decide
MIN_MEASURE_S = 0.3  # time for the steps of each value in each round
MIN_SPEEDUP = 1.05  # a value replaces the default only if it is this much faster


def tune_machine(record: RunConfig, data: ImageSet) -> RunConfig:
    """Return the config of a new run, with its "auto" threads and precision chosen by timing.

    A resumed run keeps the values in its config. Raises MemoryLimitError.
    """
    has_bf16 = devices.has_bf16(devices.resolve_device(record.machine.device))
    candidates: dict[str, Sequence[int | str]] = {
        "threads": candidate_thread_counts(devices.count_cores()),
        "precision": ("float32", "bf16") if has_bf16 else ("float32",),
    }
    chosen = [name for name in candidates if getattr(record.train, name) == "auto"]
    if chosen:
        trial.run_trial(record, data)  # raises MemoryLimitError if a batch does not fit
    for name in chosen:
        machines = [replace(record.machine, **{name: value}) for value in candidates[name]]
        record = replace(record, machine=choose_fastest(record, data, machines))
    return record


def candidate_thread_counts(cores: int) -> list[int]:
    """Return the number of cores, then the powers of 2 below it: 6 -> 6, 4, 2, 1."""
    return [cores, *(2**n for n in reversed(range(cores.bit_length())) if 2**n < cores)]


def choose_fastest(record: RunConfig, data: ImageSet, machines: Sequence[MachineInfo]) -> MachineInfo:
    """Return the fastest machine settings; the first ones, unless others are more than MIN_SPEEDUP times as fast."""
    rates = [0.0] * len(machines)
    for _ in range(ROUNDS):
        enough = max(rates) / 2
        for place, machine in enumerate(machines):
            if rates[place] >= enough:
                rates[place] = max(rates[place], full_batch_rate(replace(record, machine=machine), data))
    best = rates.index(max(rates))
    return machines[best if rates[best] > MIN_SPEEDUP * rates[0] else 0]


def full_batch_rate(record: RunConfig, data: ImageSet) -> float:
    """Measure the images/s of this process at the full batch size."""
    engine, batch = Engine(record, data), trial.process_batch_size(record)
    for _ in range(2):  # one with R1 and one without, to warm up
        trial.time_step(engine, batch)
    return trial.measure_batch_rate(engine, batch, MIN_MEASURE_S)
