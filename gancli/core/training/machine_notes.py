"""Notes about settings of a run that this machine computes slowly, or could compute faster."""

from msgspec.structs import replace

from gancli import openmp
from gancli.core import devices
from gancli.core.data.dataset import ImageSet
from gancli.core.training import autotune
from gancli.files.run_config import RunConfig
from gancli.wording import format_significant


def machine_notes(record: RunConfig) -> list[str]:
    """Return notes about OpenMP's variables, more threads than cores, and unused instructions for bfloat16."""
    notes, machine, cores = openmp.invalid_variable_notes(), record.machine, devices.count_cores()
    if machine.device == "cpu" and machine.threads > cores:
        notes.append(f"{machine.threads} threads share {cores} cores and slow each other down; use --threads {cores}")
    if machine.device == "cpu" and devices.has_fast_bf16() and not record.is_chosen("precision"):
        notes.append("this processor has instructions for bfloat16; --precision auto uses them if they are faster")
    return notes


def slow_bf16_notes(record: RunConfig, data: ImageSet) -> list[str]:
    """Time a few steps if the user chose bf16 for a CPU without instructions for it; return a note if it is slower."""
    machine = record.machine
    if record.train.precision != "bf16" or machine.device != "cpu" or devices.has_fast_bf16():
        return []
    slow, fast = (
        autotune.full_batch_rate(replace(record, machine=replace(machine, precision=name)), data)
        for name in ("bf16", "float32")
    )
    if slow >= fast:
        return []
    return [f"bf16 trains {format_significant(fast / slow)} times slower than float32 here; use --precision float32"]
