"""Measure images/s of a preset by threads and precision, interleaved, so that a busy machine slows all of them alike.

usage: benchmarks/tuning.py [--preset quick] [--data mnist-5k] [--rounds 3]
"""

import argparse
import itertools
import statistics

import gancli  # noqa: F401  # before torch: it sets how idle threads wait

# isort: split

from msgspec.structs import replace

from gancli import presets
from gancli.core import devices
from gancli.core.data import clusters, load
from gancli.core.training import autotune, run_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--data", default="mnist-5k")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    name, config, sources = presets.resolve_config(chosen.preset, flags={"data": chosen.data, "kimg": 1.0})
    images = load.load_dataset(config.data)
    trained = clusters.with_training_labels(images, conditional=config.conditional, clusters=config.clusters)
    record = run_config.build_run_config(name, config, sources, trained)
    pairs = list(itertools.product(("float32", "bf16"), autotune.candidate_thread_counts(devices.count_cores())))
    rates: dict[tuple[str, int], list[float]] = {pair: [] for pair in pairs}
    for _ in range(chosen.rounds):
        for precision, threads in pairs:
            machine = replace(record.machine, precision=precision, threads=threads)
            rates[precision, threads].append(autotune.full_batch_rate(replace(record, machine=machine), trained))
    for (precision, threads), found in rates.items():
        low, middle, high = min(found), statistics.median(found), max(found)
        print(f"{name}, {precision}, {threads} threads: {middle:,.0f} images/s ({low:,.0f} to {high:,.0f})")


if __name__ == "__main__":
    main()
