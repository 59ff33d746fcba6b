"""Report the hardware that torch finds, and run a speed test of a few seconds."""

import platform
import statistics
import time
import warnings
from pathlib import Path

import torch

from gancli import presets
from gancli.core import devices, rng
from gancli.core.data.dataset import build_image_set
from gancli.core.training import run_config, trial
from gancli.core.training.engine import Engine
from gancli.doctor.diagnosis import Report

CPU_INFO = Path("/proc/cpuinfo")
STEPS_S, PRODUCT_S = 5.0, 1.5
SIDES = 8192, 1024  # sides of the multiplied matrices on a GPU and on a CPU


def hardware_report() -> Report:
    """Return the devices with memory and precisions, and the warnings that torch raises while they are listed."""
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        names = {"cpu": cpu_name()}
        if torch.cuda.is_available():
            names |= {f"cuda:{i}": torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
        if torch.backends.mps.is_available():
            names["mps"] = platform.processor()
        found = [describe_device(torch.device(device), name) for device, name in names.items()]
    return {
        "torch": str(torch.__version__),
        "device": devices.resolve_device("auto").type,
        "devices": found,
        "cores": devices.count_cores(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "warnings": [str(warning.message).splitlines()[0] for warning in raised],
    }


def describe_device(device: torch.device, name: str) -> Report:
    memory = devices.usable_memory_bytes(device)
    precision = ["float32"] + (["bf16"] if devices.has_bf16(device) else [])
    return {"device": str(device), "name": name, "memory_bytes": memory, "precision": precision}


def cpu_name() -> str:
    text = CPU_INFO.read_text(encoding="utf-8", errors="replace") if CPU_INFO.is_file() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def speed_report() -> Report:
    """Measure the training rate of the quick preset on noise images of MNIST's size, and the rate of matrix products.

    Raises MemoryLimitError.
    """
    device = devices.resolve_device("auto")
    report: Report = {"device": device.type, "quick_images_per_s": round(measure_training_rate(), 1)}
    report["threads"] = torch.get_num_threads()  # of the measurement above
    for name, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        if name == "float32" or devices.has_bf16(device):
            report[f"{name}_gflop_per_s"] = float(f"{measure_matmul_rate(device, dtype):.3g}")
    return report


def measure_training_rate() -> float:
    """Return the images per second of the quick preset at its full batch size: the median over STEPS_S seconds."""
    pixels = torch.randint(256, (5000, 1, 28, 28), dtype=torch.uint8, generator=rng.generator(0, "benchmark"))
    data = build_image_set("noise", (pixels, torch.arange(5000) % 10))
    name, config, sources = presets.resolve_config("quick", {}, {"batch_ramp_kimg": 0})
    engine = Engine(run_config.build_run_config(name, config, sources, data), data)
    for _ in range(2):  # warm up: one step with R1, one without
        trial.time_step(engine, engine.config.batch_size)
    rates, end = list[float](), time.monotonic() + STEPS_S
    while not rates or time.monotonic() < end:
        rates.append(trial.measure_batch_rate(engine, engine.config.batch_size, STEPS_S))
    return statistics.median(rates)


def measure_matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the Gflop/s of the fastest product of square matrices within PRODUCT_S seconds.

    Each product takes 2 n^3 operations.
    """
    n, end = SIDES[device.type == "cpu"], time.monotonic() + PRODUCT_S
    shortest = time_matmul(n, device, dtype)
    while time.monotonic() < end:
        shortest = min(shortest, time_matmul(n, device, dtype))
    return 2 * n**3 / shortest / 1e9


def time_matmul(n: int, device: torch.device, dtype: torch.dtype) -> float:
    a = torch.randn(n, n, generator=rng.generator(0, "benchmark")).to(device, dtype)  # constants would use less power
    a[0, 0].item()  # waits for the device
    started = time.perf_counter()
    (a @ a)[0, 0].item()
    return time.perf_counter() - started
