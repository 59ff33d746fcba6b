"""What the check runs on: device, driver, versions."""

import platform
import shutil
import subprocess
from collections.abc import Iterator

import torch

from benchmarks.gpu.rows import Row
from benchmarks.gpu.runner import ROOT
from gancli._version import __version__
from gancli.core import devices


def check(device: torch.device) -> Iterator[Row]:
    for what, value in facts(device).items():
        yield Row("machine", what, "measured", value)


def facts(device: torch.device) -> dict[str, str]:
    commit = output_of("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    changed = " with changes" if output_of("git", "-C", str(ROOT), "status", "--porcelain") else ""
    found = {
        "gancli": f"{__version__}{f', commit {commit}{changed}' if commit else ''}",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "torch": str(torch.__version__),
        "CPU": f"{devices.count_cores()} cores, {torch.backends.cpu.get_cpu_capability()}, "
        f"{devices.usable_memory_bytes() / 2**30:.0f} GiB",
        "bfloat16": "supported" if devices.has_bf16(device) else "not supported",
    }
    return found | (cuda_facts(device) if device.type == "cuda" else {"device": device.type})


def cuda_facts(device: torch.device) -> dict[str, str]:
    about = torch.cuda.get_device_properties(device)
    free, total = torch.cuda.mem_get_info(device)
    driver = output_of("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    sizes = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    return {
        "device": f"{about.name}, capability {about.major}.{about.minor}, {sizes}, {torch.cuda.device_count()} visible",
        "CUDA": f"{torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}, driver {driver or 'unknown'}",
    }


def output_of(*command: str) -> str:
    """Return the first line that a command prints; "" if it fails or is missing."""
    if shutil.which(command[0]) is None:
        return ""
    end = subprocess.run(command, capture_output=True, text=True)
    return end.stdout.strip().split("\n")[0] if end.returncode == 0 else ""
