"""The parts of the check by name. Each yields the rows of the table."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.gpu.rows import Row
from gancli.core import devices

MODULES = {
    "machine": "machine",
    "tests": "marked_tests",
    "equality": "equality",
    "resume": "resume",
    "speed": "speed",
    "precision": "precision",
    "waits": "waits",
    "graphs": "graphs",
}


def run(name: str, device_name: str, put: Callable[[Row], None]) -> None:
    """Run a part, such as "resume" or "speed quick", and give each row to `put` as soon as it is known."""
    kind, _, preset = name.partition(" ")
    module: Any = importlib.import_module(f"benchmarks.gpu.{MODULES[kind]}")
    device = devices.resolve_device(device_name)
    devices.configure_torch(0, "float32")
    found: Iterator[Row] = module.check(device, preset) if preset else module.check(device)
    for row in found:
        put(row)


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
