"""Make runs that fail on purpose and a healthy one: the pictures and warnings of docs/troubleshooting.md.

    python benchmarks/broken.py FOLDER           # all runs, a few minutes on two cores
    python benchmarks/broken.py FOLDER NAME      # one run

Then copy FOLDER/*.png to docs/images/. A tick is 1 kimg here: warnings wait for 10 or 25 ticks, and must come early in
such short runs.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import gancli

ALL: dict[str, Any] = {"data": "mnist-5k", "preset": "classic", "tick_kimg": 1.0, "eval_kimg": 0.0, "threads": 1}
RUNS: dict[str, dict[str, Any]] = {
    "healthy": {"kimg": 25.0, "preset": "quick"},
    "d-wins": {"kimg": 30.0, "loss": "minimax", "lr": 2e-3},
    "collapse": {"kimg": 30.0, "loss": "hinge", "lr": 5e-3},
}


def main(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or RUNS:
        run = gancli.train(outdir=folder / "runs", **ALL | RUNS[name]).path
        for picture in ("samples", "accuracy"):
            shutil.copyfile(run / f"{picture}.png", folder / f"run-{name}-{picture}.png")
        print(f"{name}: {run}")
        for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event["event"] == "warning":
                print(f"  {event['text']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
