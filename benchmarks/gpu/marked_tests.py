"""Run the tests that need a GPU, which have the pytest marker `gpu`."""

import importlib.util
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.gpu.rows import Row
from benchmarks.gpu.runner import ROOT

MARKER = "pytest.mark." + "gpu"


def check(device: torch.device) -> Iterator[Row]:
    if importlib.util.find_spec("pytest") is None:
        yield Row("tests", "tests marked `gpu`", "failed", note="pytest is not installed; run pip install pytest")
        return
    files = marked_files(ROOT / "tests")
    if not files:
        yield Row("tests", "tests marked `gpu`", "finding", note="no test has the marker")
        return
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["-q", "-m", "gpu", "-p", "no:cacheprovider", f"--gpu-device={device.type}", f"--junitxml={report}"]
        command = [sys.executable, "-m", "pytest", *options, *map(str, files)]
        end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if report.exists() and end.returncode in (0, 1):
            yield from parse_report(report.read_text(encoding="utf-8"))
        else:
            last = (end.stdout + end.stderr).strip().split("\n")[-1]
            yield Row("tests", "tests marked `gpu`", "failed", f"failed: pytest ended with {end.returncode}: {last}")


def marked_files(folder: Path) -> list[Path]:
    """Return the test files that use the marker; collecting all of them would take a minute."""
    return sorted(path for path in folder.rglob("test_*.py") if MARKER in path.read_text(encoding="utf-8"))


def parse_report(xml: str) -> Iterator[Row]:
    """Yield a row for each test in pytest's JUnit report, with the reason if it failed or was skipped."""
    for case in ET.fromstring(xml).iter("testcase"):
        name = case.get("name", "")
        faults = [fault for kind in ("failure", "error") for fault in case.iter(kind)]
        skips = list(case.iter("skipped"))
        if faults:
            yield Row("tests", name, "failed", f"failed: {faults[0].get('message', '')[:300]}")
        elif skips:
            yield Row("tests", name, "skipped", note=skips[0].get("message", ""))
        else:
            yield Row("tests", name, "passed", f"{float(case.get('time', 0)):.1f} s")
