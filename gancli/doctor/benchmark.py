"""What torch finds on this machine, and how fast it is, in seconds."""

import platform
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from gancli import presets
from gancli.core import devices, rng
from gancli.core.data.dataset import ImageSet, build_image_set
from gancli.core.training import run_config, trial
from gancli.core.training.engine import Engine

CPU_INFO = Path("/proc/cpuinfo")
STEPS_S, PRODUCT_S, SHORT_S = 5.0, 1.5, 0.02
SMALLEST_SIDE, LARGEST_SIDE = 256, 16384  # of the matrices that are multiplied


def hardware_report() -> dict[str, Any]:
    """Devices with what they can compute in, and what torch warns of while it looks."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = [describe_device(torch.device("cpu"), cpu_name())]
        found += [
            describe_device(gpu := torch.device("cuda", i), torch.cuda.get_device_name(gpu))
            for i in range(count_gpus())
        ]
        if torch.backends.mps.is_available():
            found.append(describe_device(torch.device("mps"), platform.processor()))
    return {
        "torch": str(torch.__version__),
        "device": devices.resolve_device("auto").type,
        "devices": found,
        "cores": devices.count_cores(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "warnings": [str(warning.message).splitlines()[0] for warning in told],
    }


def count_gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def describe_device(device: torch.device, name: str) -> dict[str, Any]:
    precision = ["float32"] + (["bf16"] if devices.has_bf16(device) else [])
    return {
        "device": str(device),
        "name": name,
        "memory_bytes": devices.usable_memory_bytes(device),
        "precision": precision,
    }


def cpu_name() -> str:
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def speed_report() -> dict[str, Any]:
    """The rate of quick's step on noise of MNIST's size, and of matrix products. Raises MemoryLimitError."""
    device = devices.resolve_device("auto")
    found: dict[str, Any] = {
        "device": device.type,
        "quick_images_per_s": round(measure_training_rate(noise_images()), 1),
    }
    found["threads"] = torch.get_num_threads()
    for name, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        if name == "float32" or devices.has_bf16(device):
            found[f"{name}_gflop_per_s"] = float(f"{measure_matmul_rate(device, dtype):.3g}")
    return found


def noise_images() -> ImageSet:
    pixels = torch.randint(256, (5000, 1, 28, 28), dtype=torch.uint8, generator=rng.generator(0, "benchmark"))
    return build_image_set("noise", (pixels, torch.arange(5000) % 10))


def measure_training_rate(data: ImageSet) -> float:
    """Of quick at its full batch size: the median over STEPS_S seconds."""
    name, config, sources = presets.resolve_config("quick", {}, {"batch_ramp_kimg": 0})
    engine, rates, started = (
        Engine(run_config.build_run_config(name, config, sources, data), data),
        list[float](),
        time.monotonic(),
    )
    for _ in range(2):  # one with R1 and one without, to warm up
        trial.time_step(engine, engine.config.batch_size)
    while not rates or time.monotonic() - started < STEPS_S:
        rates.append(trial.measure_batch_rate(engine, engine.config.batch_size, STEPS_S))
    return statistics.median(rates)


def measure_matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Of products of square matrices, the fastest in PRODUCT_S seconds; 2 n^3 operations each. n is as large as it
    takes for a product to last SHORT_S."""
    n, began = SMALLEST_SIDE, time.monotonic()
    time_matmul(SMALLEST_SIDE, device, dtype)  # to warm up
    while time_matmul(n, device, dtype) < SHORT_S and n < LARGEST_SIDE:
        n *= 2
    shortest = time_matmul(n, device, dtype)
    while time.monotonic() - began < PRODUCT_S:
        shortest = min(shortest, time_matmul(n, device, dtype))
    return 2 * n**3 / shortest / 1e9


def time_matmul(n: int, device: torch.device, dtype: torch.dtype) -> float:
    a = torch.randn(n, n, generator=rng.generator(0, "benchmark")).to(device, dtype)  # equal numbers cost less power
    a[0, 0].item()  # waits for the device
    started = time.perf_counter()
    (a @ a)[0, 0].item()
    return time.perf_counter() - started
