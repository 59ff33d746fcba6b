"""Time in Python against time on the device, and the places where a step waits for the device."""

import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu import parts, workload
from benchmarks.gpu.rows import Result, Row
from benchmarks.gpu.runner import ROOT
from gancli.core.training.engine import Engine

IDLE = 0.5  # a device that is busy for a smaller share of a step is a finding
SYNC = "synchronizing CUDA operation"
CASES: dict[str, tuple[str, dict[str, Any]]] = {  # preset and settings; batches are those of one of many GPUs
    "classic": ("classic", {}),
    "quick": ("quick", {}),
    "r3gan-32": ("r3gan-32", {"batch_size": 64}),
    "other settings": (
        "quick",
        {
            "spectral_norm": True,
            "gamma": 0.0,
            "gradient_penalty": 10.0,
            "augment": "color,translation,cutout,flip",
            "mirror": True,
            "share_latents": False,
        },
    ),
}
ON_CPU: dict[str, Any] = {"g_width": 16, "d_width": 16, "batch_size": 4}

# Calls that make the host wait for a GPU, or copy from memory that is not pinned, which also waits.
WAITING_CALLS = {
    *("item", "tolist", "cpu", "numpy", "nonzero", "equal", "masked_select", "unique"),
    *("__bool__", "__int__", "__float__", "__index__", "new_tensor", "tensor", "as_tensor"),
}


def check(device: torch.device) -> Iterator[Row]:
    for name, (preset, settings) in CASES.items():
        data = workload.random_data(preset)
        size = ON_CPU if device.type != "cuda" and preset != "classic" else {}
        engine = Engine(workload.build_record(preset, data, device, **{**settings, **size}), data)
        if name == "other settings":
            engine.images = data.images  # as if they did not fit: batches are copied
        yield measure_time(name, engine)
        yield from list_waits(name, engine)


def measure_time(name: str, engine: Engine) -> Row:
    """Measure the time to start the operations of a step, the whole step, and the time the device is busy."""
    cycle, device = max(engine.state.interval, 3), engine.device
    for _ in range(cycle):
        engine.step()
    parts.synchronize(device)
    started = time.perf_counter()
    for _ in range(cycle):
        engine.step()
    host_s = time.perf_counter() - started
    parts.synchronize(device)
    whole_s = time.perf_counter() - started
    busy_s, profiled_s = busy_seconds(engine, cycle)
    host, whole, busy = (1000 * seconds / cycle for seconds in (host_s, whole_s, busy_s))
    numbers = {"host_ms": host, "step_ms": whole, "busy_ms": busy, "profiled_step_ms": 1000 * profiled_s / cycle}
    if device.type != "cuda":
        share = f"torch's operators take {busy_s / profiled_s:.0%} of a profiled step"
        return Row("waits", f"{name}, time", "measured", f"{whole:.1f} ms a step", note=share, numbers=numbers)
    result: Result = "measured" if busy >= IDLE * whole else "finding"
    value = f"{whole:.1f} ms a step: host {host:.1f} ms, device busy {busy:.1f} ms ({busy / whole:.0%})"
    return Row("waits", f"{name}, time", result, value, f"busy at least {IDLE:.0%}", numbers=numbers)


def busy_seconds(engine: Engine, steps: int) -> tuple[float, float]:
    """Profile steps; return the seconds in kernels (on a CPU: in operators), and the seconds of all."""
    is_cuda = engine.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if is_cuda else ProfilerActivity.CPU]) as found:
        started = time.perf_counter()
        for _ in range(steps):
            engine.step()
        parts.synchronize(engine.device)
        took_s = time.perf_counter() - started
    events = found.key_averages()
    busy_us = sum(event.self_device_time_total if is_cuda else event.self_cpu_time_total for event in events)
    return busy_us / 1e6, took_s


def list_waits(name: str, engine: Engine) -> Iterator[Row]:
    """Yield a finding for each place in gancli where a step waits, with its number of waits in each step."""
    steps = engine.state.interval
    record = record_cuda_waits if engine.device.type == "cuda" else record_calls

    def work() -> None:
        for _ in range(steps):
            engine.step()

    found = record(work)
    how = "CUDA's synchronisation warnings" if engine.device.type == "cuda" else "calls that would wait on a GPU"
    for place, n in sorted(found.items()):
        yield Row("waits", f"{name}, {place}", "finding", f"{n / steps:g} a step", "0", how, {"n": n, "steps": steps})
    if not found:
        yield Row("waits", f"{name}, waits", "passed", "0 a step", "0", how, {"n": 0, "steps": steps})


def record_cuda_waits(work: Callable[[], None]) -> Counter[str]:
    """Count the places where CUDA makes the host wait, by its warnings."""
    found = Counter[str]()

    def note(message: Warning | str, *_: Any, **__: Any) -> None:
        if SYNC in str(message):
            found[describe_place(traceback.extract_stack())] += 1

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return found


def record_calls(work: Callable[[], None]) -> Counter[str]:
    """Count the places that call one of WAITING_CALLS, or index with a mask. Sees no copies inside of torch."""
    found = Counter[str]()

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = getattr(func, "__name__", "")
            is_mask = name == "__getitem__" and isinstance(args[1], Tensor) and args[1].dtype == torch.bool
            if name in WAITING_CALLS or is_mask:
                found[f"{describe_place(traceback.extract_stack())} ({name})"] += 1
            return func(*args, **(kwargs or {}))

    with Watch():
        work()
    return found


def describe_place(stack: traceback.StackSummary) -> str:
    """Return the innermost line of gancli in a stack: 'gancli/core/rng.py:12'."""
    own = [frame for frame in stack if Path(frame.filename).is_relative_to(ROOT / "gancli")]
    return f"{Path(own[-1].filename).relative_to(ROOT).as_posix()}:{own[-1].lineno}" if own else "outside gancli"
