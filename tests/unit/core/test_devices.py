"""What a machine, or a container in it, gives."""

import os
from pathlib import Path

import pytest

from gancli.core import devices


def test_memory_is_the_machine_s_or_what_a_container_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), tmp_path / "memory.max"
    monkeypatch.setattr(devices, "MEMORY_LIMIT", limit)
    assert devices.memory_bytes() == machine, "no control groups"
    for text, expected in (("max\n", machine), ("536870912\n", 1 << 29), (f"{1 << 60}\n", machine)):
        limit.write_text(text)
        assert devices.memory_bytes() == expected, text
