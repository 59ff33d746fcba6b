"""Check that an installed gancli works: version, help, a run of 0.2 kimg on tiny images, samples.

usage: smoke_test.py [COMMAND ...]     (default: gancli, the command in this Python's environment)
"""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np


def run(folder: Path, *command: str) -> str:
    """Run a command in a folder and return its output; exit with its errors if it fails."""
    print("$", *command, flush=True)
    end = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    if end.returncode:
        sys.exit(f"{end.stdout}{end.stderr}\nerror: {' '.join(command)} exited with {end.returncode}")
    return end.stdout


def check(folder: Path, command: list[str]) -> str:
    """Use gancli in an empty folder; returns what --version prints."""
    version = run(folder, *command, "--version").strip()
    if "train" not in run(folder, *command, "--help"):
        sys.exit("error: --help does not name the command train")
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1), dtype=np.uint8)
    np.savez(folder / "tiny.npz", images=images, labels=np.arange(64) % 2)
    run(folder, *command, "train", "--data", "tiny.npz", "--kimg", "0.2", "--batch-size", "16")
    run(folder, *command, "sample", "--n", "4", "-o", "samples")
    pictures = [*(folder / "samples").glob("*.png")]
    for path in (*folder.glob("runs/*/model.safetensors"), *pictures):
        print(f"{path.relative_to(folder).as_posix()}: {path.stat().st_size:,} bytes")
    if not [*folder.glob("runs/*/model.safetensors")] or len(pictures) < 4:
        sys.exit("error: the model or its samples are missing")
    return version


def main(command: list[str]) -> None:
    if not command:
        found = shutil.which("gancli", path=sysconfig.get_path("scripts"))
        if not found:
            sys.exit("error: this Python's environment has no command gancli; install the wheel first")
        command = [found]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        print(f"{check(Path(folder), command)} works")


if __name__ == "__main__":
    main(sys.argv[1:])
