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
from gancli.core.data.dataset import ImageSet, image_set
from gancli.core.training import run_config, trial
from gancli.core.training.engine import Engine

CPU_INFO = Path("/proc/cpuinfo")
STEPS_S, PRODUCT_S, SHORT_S = 5.0, 1.5, 0.02
SMALLEST_SIDE, LARGEST_SIDE = 256, 16384  # of the matrices that are multiplied


def hardware() -> dict[str, Any]:
    """Devices with what they can compute in, and what torch warns of while it looks."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = [described(torch.device("cpu"), cpu_name())]
        found += [described(gpu := torch.device("cuda", i), torch.cuda.get_device_name(gpu)) for i in range(n_gpus())]
        if torch.backends.mps.is_available():
            found.append(described(torch.device("mps"), platform.processor()))
    return {
        "torch": str(torch.__version__),
        "device": devices.resolve("auto").type,
        "devices": found,
        "cores": devices.cores(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "warnings": [str(warning.message).splitlines()[0] for warning in told],
    }


def n_gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def described(device: torch.device, name: str) -> dict[str, Any]:
    precision = ["float32"] + (["bf16"] if devices.has_bf16(device) else [])
    return {"device": str(device), "name": name, "memory_bytes": devices.memory_bytes(device), "precision": precision}


def cpu_name() -> str:
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def speed() -> dict[str, Any]:
    """The rate of quick's step on noise of MNIST's size, and of matrix products. Raises MemoryLimitError."""
    device = devices.resolve("auto")
    found: dict[str, Any] = {"device": device.type, "quick_images_per_s": round(images_per_s(noise()), 1)}
    found["threads"] = torch.get_num_threads()
    for name, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        if name == "float32" or devices.has_bf16(device):
            found[f"{name}_gflop_per_s"] = float(f"{gflop_per_s(device, dtype):.3g}")
    return found


def noise() -> ImageSet:
    pixels = torch.randint(256, (5000, 1, 28, 28), dtype=torch.uint8, generator=rng.generator(0, "benchmark"))
    return image_set("noise", (pixels, torch.arange(5000) % 10))


def images_per_s(data: ImageSet) -> float:
    """Of quick at its full batch size: the median over STEPS_S seconds."""
    name, config, sources = presets.resolve("quick", {}, {"batch_ramp_kimg": 0})
    engine, rates, started = Engine(run_config.make(name, config, sources, data), data), list[float](), time.monotonic()
    for _ in range(2):  # one with R1 and one without, to warm up
        trial.step_s(engine)
    while not rates or time.monotonic() - started < STEPS_S:
        rates.append(trial.images_per_s(engine, engine.config.batch_size, STEPS_S))
    return statistics.median(rates)


def gflop_per_s(device: torch.device, dtype: torch.dtype) -> float:
    """Of products of square matrices, the fastest in PRODUCT_S seconds; 2 n^3 operations each. n is as large as it
    takes for a product to last SHORT_S."""
    n, began = SMALLEST_SIDE, time.monotonic()
    product_s(SMALLEST_SIDE, device, dtype)  # to warm up
    while product_s(n, device, dtype) < SHORT_S and n < LARGEST_SIDE:
        n *= 2
    shortest = product_s(n, device, dtype)
    while time.monotonic() - began < PRODUCT_S:
        shortest = min(shortest, product_s(n, device, dtype))
    return 2 * n**3 / shortest / 1e9


def product_s(n: int, device: torch.device, dtype: torch.dtype) -> float:
    a = torch.randn(n, n, generator=rng.generator(0, "benchmark")).to(device, dtype)  # equal numbers cost less power
    a[0, 0].item()  # waits for the device
    started = time.perf_counter()
    (a @ a)[0, 0].item()
    return time.perf_counter() - started
