#!/usr/bin/env python3
"""Measure the share of a run's time that monitoring takes: health signals at each tick, and scores.

usage: benchmarks/watch_cost.py [--preset quick] [--data mnist-5k] [--kimg 60] [--threads 1]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gancli  # noqa: F401  # before torch: it sets how idle threads wait

# isort: split

from gancli import presets
from gancli.core.data import load
from gancli.core.training import run_config
from gancli.core.training.monitor import Scorer
from gancli.core.training.trainer import Trainer
from gancli.files.run_folder import RunDir
from gancli.workflows import evaluation


def timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """Wrap the function so that the seconds of each call are appended to the list."""

    def call(*arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            spent.append(time.perf_counter() - start)

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--data", default="mnist-5k")
    parser.add_argument("--kimg", type=float, default=60)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    flags = {"data": chosen.data, "kimg": chosen.kimg, "threads": chosen.threads}
    name, config, sources = presets.resolve_config(chosen.preset, flags=flags)
    images = load.load_dataset(config.data)
    record = run_config.build_run_config(name, config, sources, images)
    probe = evaluation.build_scorer(images, record.model_spec, record.data.class_counts)
    scores: list[float] = []
    health: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        run = RunDir.create(Path(folder), name)
        trainer = Trainer(run, record, images, Scorer(probe.about, timed(probe.measure, scores)))
        trainer.engine.signals = timed(trainer.engine.signals, health)  # type: ignore[method-assign]
        start = time.perf_counter()
        for _ in trainer.run():
            pass
        total = time.perf_counter() - start
    print(f"{name} on {images.name}, {config.kimg:g} kimg, {config.threads} threads: {total:.1f} s")
    for what, spent in (("scores", scores), ("health", health)):
        print(f"{what}: {len(spent)} times, {sum(spent) / len(spent):.3f} s each, {sum(spent) / total:.1%} of the time")


if __name__ == "__main__":
    main()
