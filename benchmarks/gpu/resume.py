"""Train a little, stop, resume, and compare the result with an uninterrupted run on the same device."""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import workload
from benchmarks.gpu.compare import Tensors, are_equal, largest_difference
from benchmarks.gpu.rows import Row
from gancli import events, presets
from gancli.core.training import checkpoint, run_config
from gancli.core.training.trainer import Trainer
from gancli.files.run_folder import RunDir

FACTOR = 10  # a resumed run may differ this many times as much as two uninterrupted runs do
STEPS = 12
COMMON: dict[str, Any] = {"batch_ramp_kimg": 0.0, "eval_kimg": 0.0, "snapshot_kimg": 1000.0}
CASES: dict[str, dict[str, Any]] = {
    "quick": {},
    "r3gan-32": {"g_width": 32, "d_width": 32, "batch_size": 32},  # narrow: the comparison needs no full width
}
ON_CPU: dict[str, Any] = {"g_width": 8, "d_width": 8, "batch_size": 8}


def check(device: torch.device) -> Iterator[Row]:
    for preset, settings in CASES.items():
        flags = COMMON | settings | (ON_CPU if device.type == "cpu" else {}) | {"device": device.type}
        yield compare_runs(f"{preset}, as users run it", preset, flags)
        if device.type == "cuda":
            yield compare_deterministic_runs(preset, flags)


def compare_deterministic_runs(preset: str, flags: dict[str, Any]) -> Row:
    """Compare runs with deterministic algorithms; the note names operations that have none."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            row = compare_runs(f"{preset}, deterministic algorithms", preset, flags)
    finally:
        torch.use_deterministic_algorithms(False)
    said = sorted({str(each.message).split(" does not have")[0] for each in caught if "deterministic" in str(each)})
    note = f"{row.note}; no deterministic version: {', '.join(said)}" if said else row.note
    return Row(**{**vars(row), "note": note})


def compare_runs(what: str, preset: str, flags: dict[str, Any]) -> Row:
    """Compare a stopped and resumed run with two uninterrupted ones.

    If these two are equal bit for bit, the resumed run must be too. Otherwise it may differ a few times as much.
    """
    with tempfile.TemporaryDirectory() as folder:
        first, second, resumed = (
            train(Path(folder), preset, flags, is_stopped=is_stopped) for is_stopped in (False, False, True)
        )
    apart, off = (largest_difference(other, first)[0] for other in (second, resumed))
    has_equal_bits = are_equal(second, first)
    passes = are_equal(resumed, first) if has_equal_bits else off <= FACTOR * apart
    limit = "bit-equal, as are two uninterrupted runs" if has_equal_bits else f"at most {FACTOR} x {apart:.1e}"
    value = "bit-equal" if are_equal(resumed, first) else f"{off:.1e}"
    note = f"{STEPS} steps, stopped in the middle" + ("" if has_equal_bits else "; two uninterrupted runs differ")
    numbers = {"resumed": off, "two_uninterrupted": apart, "bit_equal": has_equal_bits}
    return Row("resume", what, "passed" if passes else "failed", value, limit, note, numbers)


def train(outdir: Path, preset: str, flags: dict[str, Any], *, is_stopped: bool) -> Tensors:
    """Train a run, or stop it in the middle and resume it. Returns the tensors of its last checkpoint."""
    batch = flags.get("batch_size") or presets.PRESETS[preset].batch_size
    chosen = flags | {"kimg": STEPS * batch / 1000, "tick_kimg": STEPS // 2 * batch / 1000}
    data = workload.random_data(preset, side=16 if flags["device"] == "cpu" else 0, n=500)
    record = run_config.build_run_config(*presets.resolve_config(preset, flags=chosen), data)
    run = RunDir.create(outdir, preset)
    trainer = Trainer(run, record, data)
    for event in trainer.run():
        if is_stopped and isinstance(event, events.Measured) and event.nimg >= STEPS * batch // 2:
            trainer.stop()
    if is_stopped:
        if trainer.is_finished:
            raise RuntimeError("the run was not stopped before its end")
        trainer = Trainer.resume(run, record, data)
        for _ in trainer.run():
            pass
    return checkpoint.read_checkpoint(run.checkpoints()[0]).tensors
