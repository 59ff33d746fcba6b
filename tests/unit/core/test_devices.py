"""Resources of a machine, or of a container on it."""

import os
from pathlib import Path

import pytest
import torch

from gancli.core import devices


def test_memory_is_the_machine_s_or_what_a_container_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), tmp_path / "memory.max"
    monkeypatch.setattr(devices, "MEMORY_LIMIT", limit)
    assert devices.usable_memory_bytes() == machine, "no control groups"
    for text, expected in (("max\n", machine), ("536870912\n", 1 << 29), (f"{1 << 60}\n", machine)):
        limit.write_text(text)
        assert devices.usable_memory_bytes() == expected, text


def test_processes_of_torchrun_share_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    cores, memory = devices.count_cores(), devices.usable_memory_bytes()
    for given, share in (("2", 2), ("1000", 1000), ("0", 1), ("many", 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", given)
        assert devices.count_cores() == max(1, cores // share) and devices.usable_memory_bytes() == memory // share


def test_tf32_is_used_only_below_float32_precision() -> None:
    for precision in ("bf16", "float32"):
        devices.configure_torch(1, precision)
        assert torch.backends.cuda.matmul.allow_tf32 == torch.backends.cudnn.allow_tf32 == (precision == "bf16")
