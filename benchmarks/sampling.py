#!/usr/bin/env python3
"""Measure the share of `sample -o x.npz` that the network takes, and the number of PNGs written per second.

usage: benchmarks/sampling.py MODEL [--n 10000] [--threads 2]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import gancli  # noqa: F401  # before torch: it sets how idle threads wait

# isort: split

import torch

from gancli.core import devices
from gancli.core.images import to_hwc
from gancli.core.networks import model_file
from gancli.core.sampling import write
from gancli.core.sampling.generate import SampleRequest, generate_samples
from gancli.files import image_io, provenance
from gancli.files.image_io import Picture

ROUNDS = 5


class Timed(torch.nn.Module):
    """A generator that counts the seconds of its forwards."""

    def __init__(self, G: torch.nn.Module) -> None:
        super().__init__()
        self.G, self.spent_s = G, 0.0

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        start = time.perf_counter()
        made: torch.Tensor = self.G(z, labels)
        self.spent_s += time.perf_counter() - start
        return made


def exhaust(work: Iterator[int]) -> float:
    """Run an iterator to its end; returns seconds."""
    start = time.perf_counter()
    for _ in work:
        pass
    return time.perf_counter() - start


def png_rates(folder: Path, pictures: list[Picture], text: dict[str, str]) -> dict[int, float]:
    """Threads -> PNGs per second: medians of ROUNDS interleaved runs after a warm-up. Small PNGs use no threads."""
    threads = (1, 2) if pictures[0].size >= image_io.THREADED_PIXELS else (1,)
    spent_s: dict[int, list[float]] = {cores: [] for cores in threads}
    for _ in range(1 + ROUNDS):
        for cores, times in spent_s.items():
            with mock.patch("os.cpu_count", return_value=cores):
                named = ((folder / f"{i}.png", picture, text) for i, picture in enumerate(pictures))
                times.append(exhaust(image_io.write_pictures(named)))
    return {cores: len(pictures) / statistics.median(times[1:]) for cores, times in spent_s.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    devices.configure_torch(chosen.threads, "float32")
    model = model_file.load_model(chosen.model)
    draw = SampleRequest(range(chosen.n))
    settings = {"grid": "none", "scale": 1}
    record = provenance.make_sample_record(
        "gancli sample", chosen.model, model.digest, seeds=draw.seeds, settings=settings
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(1 + ROUNDS):
            G = Timed(model.G)
            started = time.perf_counter()
            write.write_samples(
                folder / "x.npz", model_file.Model(G, model.info, ""), draw, record, write.SampleFiles(".npz")
            )
            wall_s = time.perf_counter() - started
            print(f"npz: {chosen.n / wall_s:,.0f} images/s, {G.spent_s / wall_s:.0%} of the time in the network")
        for scale in (1, 4, 16):
            made = generate_samples(model, SampleRequest(range(1024 // scale)))
            pictures = [image_io.enlarge_pixels(one, scale) for _, some, _ in made for one in to_hwc(some)]
            rates = png_rates(folder, pictures, provenance.record_to_text(record))
            shown = ", ".join(f"{rate:,.0f}/s on {cores}" for cores, rate in rates.items())
            print(f"PNGs of {len(pictures[0])} pixels a side, by threads: {shown}")


if __name__ == "__main__":
    main()
