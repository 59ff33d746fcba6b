"""A part of scripts/fault_injection.py, in a separate process, since it forks."""

import importlib
import re
import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

STEPS = [
    "open r/metrics.jsonl",
    "write r/metrics.jsonl",
    "fsync r/metrics.jsonl",
    "create r/.checkpoint.partial",
    "write r/.checkpoint.partial",
    "fsync r/.checkpoint.partial",
    "replace r/.checkpoint.partial",
    "fsync r",
]


def test_renames_that_a_power_cut_could_undo_are_detected() -> None:
    out_of_order = importlib.import_module("fault_injection").out_of_order
    assert out_of_order(STEPS) == []
    for needed in [step for step in STEPS if step.startswith("fsync")]:
        (found,) = out_of_order([step for step in STEPS if step != needed])
        assert found.endswith("before the log" if "metrics" in needed else "not synced")


@pytest.mark.long
def test_runs_with_a_kill_or_a_full_disk_give_the_same_result() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "fault_injection.py"), "--every", "31", "--moments", "2"]
    end = subprocess.run(command, capture_output=True, text=True)
    assert end.returncode == 0, end.stdout + end.stderr
    counts = re.findall(r"(?:killed at|full at|again at|and at) (\d+)", end.stdout)
    killed, filled, again, back, moments = map(int, counts)
    assert killed == filled >= 8 and again >= 2 and back >= 1 and moments >= 1
    assert " 0 failures" in end.stdout
