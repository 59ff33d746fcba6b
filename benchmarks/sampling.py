#!/usr/bin/env python3
"""What part of `sample -o x.npz` is spent in the network, and how many single PNGs are written per second.

usage: benchmarks/sampling.py MODEL [--n 10000] [--threads 2]
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from gancli import media, provenance
from gancli.core import devices, modelfile, samples


class Timed(torch.nn.Module):
    """A generator that counts the seconds it takes."""

    def __init__(self, G: torch.nn.Module) -> None:
        super().__init__()
        self.G, self.spent_s = G, 0.0

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        start = time.perf_counter()
        made: torch.Tensor = self.G(z, labels)
        self.spent_s += time.perf_counter() - start
        return made


def exhaust(work: Iterator[int]) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    for _ in work:
        pass
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    devices.prepare_cpu(chosen.threads)
    model = modelfile.load(chosen.model)
    draw = samples.Draw(range(chosen.n))
    settings = {"grid": "none", "scale": 1}
    record = provenance.make("gancli sample", chosen.model, model.digest, seeds=draw.seeds, settings=settings)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(3):
            G = Timed(model.G)
            wall_s = exhaust(samples.write_npz(folder / "x.npz", modelfile.Model(G, model.info, ""), draw, record))
            print(f"npz: {chosen.n / wall_s:,.0f} images/s, {G.spent_s / wall_s:.0%} of the time in the network")
        for scale in (1, 4, 16):
            some = samples.Draw(range(2048 // scale), scale=scale)
            side = model.info.spec.resolution * scale
            rates = []
            for cores in (1, 2):
                media.os.cpu_count = lambda cores=cores: cores  # type: ignore[attr-defined, misc]
                out = folder / f"{scale}-{cores}"
                wall_s = exhaust(samples.write_folder(out, model, some, record, samples.Parts(None)))
                rates.append(len(some) / wall_s)
            print(f"PNG of {side} pixels a side: {rates[0]:,.0f}/s on one thread, {rates[1]:,.0f}/s on two")


if __name__ == "__main__":
    main()
