"""Choose and configure the device; find the number of cores and the size of memory."""

import contextlib
import os
from pathlib import Path

import torch
from torch import Tensor

from gancli import platform
from gancli.errors import ConfigError, did_you_mean

MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")


def resolve_device(name: str) -> torch.device:
    """Return the device of this name; 'auto' is CUDA if available, else MPS, else the CPU.

    Raises ConfigError for an unknown or unavailable device.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, is_available in available.items() if is_available)
    if name not in available:
        raise ConfigError(f"unknown device {name!r}{did_you_mean(name, ['auto', *available])}")
    if not available[name]:
        choices = ", ".join(device for device, is_available in available.items() if is_available)
        raise ConfigError(f"--device {name} is not available on this machine; choose from: {choices}")
    return torch.device(name)


def count_cores() -> int:
    """Return the number of CPU cores for this process. Processes of torchrun share the cores of a machine equally."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // local_process_count())


def local_process_count() -> int:
    """Return how many processes torchrun started on this machine, including this one."""
    given = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, int(given)) if given.isdecimal() else 1


def usable_memory_bytes(device: torch.device | None = None) -> int:
    """Return the memory for this process: all memory of a GPU, or an equal share of the machine's RAM.

    The limit of a control group, such as a container's, counts as the machine's RAM if it is lower.
    """
    if device is not None and device.type == "cuda":
        gpu_bytes: int = torch.cuda.get_device_properties(device).total_memory
        return gpu_bytes
    ram_bytes = platform.ram_bytes()
    with contextlib.suppress(OSError, ValueError):  # the file contains "max" if there is no limit
        ram_bytes = min(ram_bytes, int(MEMORY_LIMIT.read_text()))
    return ram_bytes // local_process_count()


def has_bf16(device: torch.device) -> bool:
    """Whether the device supports bfloat16, fast or slow."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type != "mps" or torch.backends.mps.is_macos_or_newer(14, 0)


def has_fast_bf16() -> bool:
    """Whether the CPU has instructions for products of bfloat16: AMX or AVX512_BF16 on x86, BF16 on ARM."""
    found: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(found.get(name)) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def check_precision(name: str, device: torch.device) -> None:
    if name == "bf16" and not has_bf16(device):
        raise ConfigError(f"--precision bf16 is not supported by {device.type} on this machine; use float32")


def configure_torch(threads: int, precision: str) -> None:
    """Set the number of threads, denormal numbers and TF32, whose defaults depend on the machine.

    Denormal numbers become 0. With bf16, a GPU also rounds products of float32 to TF32, which has more digits than
    bfloat16 and fewer than float32.
    """
    torch.set_num_threads(threads or count_cores())
    torch.set_flush_denormal(True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "bf16"


def move_to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to the device. Copies to a GPU use pinned memory, so the host need not wait for earlier steps."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def is_out_of_memory(err: Exception) -> bool:
    """Whether an error means that memory ran out. On a CPU torch only raises a RuntimeError with this text."""
    is_cpu_error = isinstance(err, RuntimeError) and "allocate" in str(err)
    return is_cpu_error or isinstance(err, torch.OutOfMemoryError | MemoryError)


def has_room_for(device: torch.device, images: Tensor) -> bool:
    """Whether the device has room for all images.

    If they need more than a quarter of a GPU's free memory, they stay in RAM, and batches are copied.
    """
    return device.type != "cuda" or images.numel() <= torch.cuda.mem_get_info(device)[0] // 4
