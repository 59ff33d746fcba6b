"""Where to compute, and with how much."""

import contextlib
import os
from pathlib import Path

import torch
from torch import Tensor

from gancli.errors import ConfigError, did_you_mean

MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")


def resolve_device(name: str) -> torch.device:
    """'auto' takes CUDA, then MPS, then the CPU; asking for one that is not there is an error."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if name not in available:
        raise ConfigError(f"unknown device {name!r}{did_you_mean(name, ['auto', *available])}")
    if not available[name]:
        here = ", ".join(device for device, there in available.items() if there)
        raise ConfigError(f"--device {name} is not available on this machine; available: {here}")
    return torch.device(name)


def count_cores() -> int:
    """CPU cores this process may use; of those of the machine, its share among the processes of torchrun there."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, there // local_process_count())


def local_process_count() -> int:
    """How many processes torchrun started on this machine, this one among them."""
    given = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, int(given)) if given.isdecimal() else 1


def usable_memory_bytes(device: torch.device | None = None) -> int:
    """Memory this process may use: a GPU's own, or its share of the machine's, or of less where its control group, such
    as a container's, says so."""
    if device is not None and device.type == "cuda":
        total: int = torch.cuda.get_device_properties(device).total_memory
        return total
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # without a limit the file says "max"
        there = min(there, int(MEMORY_LIMIT.read_text()))
    return there // local_process_count()


def has_bf16(device: torch.device) -> bool:
    """Whether networks can be computed in bfloat16, be it fast or not."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type != "mps" or torch.backends.mps.is_macos_or_newer(14, 0)


def check_precision(name: str, device: torch.device) -> None:
    if name == "bf16" and not has_bf16(device):
        raise ConfigError(f"--precision bf16 cannot be computed by {device.type} on this machine; use float32")


def configure_torch(threads: int, precision: str) -> None:
    """Fix what makes results and speed depend on the machine: the thread count, denormal numbers, and on a GPU whether
    products of float32 are rounded to TF32, which has more digits than bfloat16 and fewer than float32."""
    torch.set_num_threads(threads or count_cores())
    torch.set_flush_denormal(True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "bf16"


def move_to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device. To a GPU it goes by pinned memory: from any other, the host would wait until all steps
    before are done."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def is_out_of_memory(err: Exception) -> bool:
    """On a GPU, or on the CPU, where torch has no error of its own for it."""
    is_said = isinstance(err, RuntimeError) and "allocate" in str(err)
    return is_said or isinstance(err, torch.OutOfMemoryError | MemoryError)


def has_room_for(device: torch.device, images: Tensor) -> bool:
    """Whether all images should lie on the device: those that fill more than a quarter of a GPU's free memory stay
    where they are, and batches move."""
    return device.type != "cuda" or images.numel() <= torch.cuda.mem_get_info(device)[0] // 4
