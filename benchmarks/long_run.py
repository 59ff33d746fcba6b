"""Check that memory, open files and disk use stay constant over a long run: many steps of a tiny model.

    python benchmarks/long_run.py [--steps 200000] [--parts 20]

Trains `classic` at width 4 on random 8x8 images with a batch of 2 and one thread, with scores and checkpoints. Prints a
line for each part of the run: steps, seconds, resident memory, open files, and the files in the run folder.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import torch

from gancli import presets
from gancli.core.data.dataset import build_image_set
from gancli.core.training import run_config
from gancli.core.training.trainer import Trainer
from gancli.files.run_folder import RunDir
from gancli.workflows import evaluation

BATCH = 2


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def held(folder: Path) -> tuple[int, float]:
    """Number of files, and their total size in MiB."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--parts", type=int, default=20)
    args = parser.parse_args()
    evaluation.SCORER_N_FAKES = 100
    pixels = torch.randint(0, 256, (300, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = build_image_set("made-up", (pixels, None))
    kimg = args.steps * BATCH / 1000
    small = {"g_width": 4, "d_width": 4, "z_dim": 4, "batch_size": BATCH, "threads": 1, "device": "cpu"}
    often = {"eval_kimg": kimg / 100, "snapshot_kimg": kimg / 200}
    record = run_config.build_run_config(
        *presets.resolve_config("classic", flags={**small, **often, "kimg": kimg}), data
    )
    with tempfile.TemporaryDirectory() as folder:
        run = RunDir.create(Path(folder), "long")
        probe = evaluation.build_scorer(data, record.model_spec, [])
        trainer, started, part = Trainer(run, record, data, probe), time.monotonic(), 0
        print("| steps | seconds | resident MiB | open files | files of the run | MiB |\n|---|---|---|---|---|---|")
        for _ in trainer.run():
            if trainer.state.nimg >= part * 1000 * kimg / args.parts:
                part += 1
                n_files, mib = held(run.path)
                steps, spent_s = trainer.state.nimg // BATCH, time.monotonic() - started
                n_open = len(os.listdir("/proc/self/fd"))
                print(
                    f"| {steps:,} | {spent_s:.0f} | {resident_mib():.0f} | {n_open} | {n_files} | {mib:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
