"""Measure loading images: many small files against torchvision, and training on a large set.

    python benchmarks/ingest.py [--n 100000] [--pairs 2]
    python benchmarks/ingest.py --large [--gib 4] [--pairs 3]

The first makes n grey 28x28 PNGs in ten class folders. It times `load.load_dataset` with an empty cache (list, check
and decode all files into the cache) against one pass over torchvision's ImageFolder (a DataLoader with 2 workers and
batches of 256), in pairs of alternating order. It does so three times: ImageFolder as usual (ToTensor, so RGB floats),
ImageFolder with a loader that returns the same grey bytes as gancli, and both resized to 32x32.
The second makes a cache of --gib GiB and trains alternately on it and on a small one of the same shape. It prints
images/s and the anonymous memory of each process.
"""

import argparse
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gancli  # noqa: F401  # before torch: it sets how idle threads wait

# isort: split

import numpy as np
import torch
from PIL import Image

from gancli import presets
from gancli.core.data import load as data
from gancli.core.data.cache_files import map_split
from gancli.core.data.dataset import ImageSet
from gancli.core.data.resize import Transform
from gancli.core.data.transform import TransformOptions
from gancli.core.training import run_config
from gancli.core.training.trainer import Trainer
from gancli.files.run_folder import RunDir

CLASSES = 10
SHAPE = (3, 32, 32)
SMALL_N = 20_000


def make_pictures(folder: Path, n: int) -> None:
    """Write soft blobs with a little noise: files of about 500 bytes, like those of digits."""
    draws = np.random.default_rng(0)
    rows, columns = np.mgrid[:28, :28]
    for label in range(CLASSES):
        (folder / f"{label}").mkdir(parents=True)
    for i in range(n):
        y, x, size = draws.uniform(8, 20), draws.uniform(8, 20), draws.uniform(3, 7)
        blob = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / size**2) + draws.normal(0, 3, (28, 28))
        file = io.BytesIO()
        Image.fromarray(blob.clip(0, 255).astype(np.uint8)).save(file, "PNG")
        (folder / f"{i % CLASSES}" / f"{i:06d}.png").write_bytes(file.getvalue())


def measured(name: str, work: Callable[[], int]) -> tuple[float, float]:
    """Returns seconds and seconds of CPU time, child processes included. work returns the number of images it read."""
    started, before = time.perf_counter(), sum(os.times()[:4])
    n = work()
    took, cpu = time.perf_counter() - started, sum(os.times()[:4]) - before
    print(f"  {name:12} {took:6.2f} s, {cpu:6.2f} s of CPU time, for {n:,} pictures", flush=True)
    return took, cpu


def ours(folder: Path, resolution: int) -> tuple[float, float]:
    """Time `load.load_dataset` with an empty cache, then with a full one; returns the first."""

    def load() -> int:
        found = data.load_dataset(str(folder), TransformOptions(resolution=resolution))
        return len(found.images) + len(found.heldout_images)

    with tempfile.TemporaryDirectory() as cache:
        os.environ["GANCLI_CACHE"] = cache
        took = measured("gancli", load)
        measured("  cached", load)
        return took


def grey(path: str) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("L")


def theirs(folder: Path, way: str) -> tuple[float, float]:
    """Time one pass over torchvision's ImageFolder."""
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    as_bytes = {
        "same bytes": transforms.PILToTensor(),
        "resized": transforms.Compose(
            [transforms.Resize((32, 32), Image.Resampling.LANCZOS), transforms.PILToTensor()]
        ),
    }

    def read() -> int:
        if way in as_bytes:
            pictures = datasets.ImageFolder(str(folder), as_bytes[way], loader=grey)
        else:
            pictures = datasets.ImageFolder(str(folder), transforms.ToTensor())
        return sum(len(batch) for batch, _ in DataLoader(pictures, batch_size=256, num_workers=2))

    return measured("torchvision", read)


def small_files(n: int, pairs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pictures")
        make_pictures(path, n)
        print(f"{n:,} PNGs of 28x28, {len(os.sched_getaffinity(0))} cores")
        for way, resolution in (("as usual", 28), ("same bytes", 28), ("resized", 32)):
            print(f"{way}:")
            found = []
            for i in range(pairs):
                if i % 2:
                    b, a = ours(path, resolution), theirs(path, way)
                else:
                    a, b = theirs(path, way), ours(path, resolution)
                found.append((a, b))
            for place, what in enumerate(("seconds", "CPU time")):
                ratios = [a[place] / b[place] for a, b in found]
                ends = f"{min(ratios):.2f} to {max(ratios):.2f}"
                print(f"torchvision / gancli, {what}: {statistics.median(ratios):.2f} ({ends})", flush=True)


def anonymous_mib() -> float:
    status = Path("/proc/self/status").read_text()
    found = re.search(r"RssAnon:\s*(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


def train(folder: Path, n: int, kimg: float) -> None:
    """Train on a cache that `large` made; prints images/s and memory as JSON."""
    images = map_split(folder, "train", n, Transform(SHAPE[1], SHAPE[0]))
    made = ImageSet("made", "made", images, None, images[:0], None, (), "", ())
    flags = {"kimg": kimg, "batch_ramp_kimg": 0, "eval_kimg": 0, "threads": len(os.sched_getaffinity(0))}
    name, config, sources = presets.resolve_config("quick", flags=flags)
    with tempfile.TemporaryDirectory() as outdir:
        trainer = Trainer(
            RunDir.create(Path(outdir), name), run_config.build_run_config(name, config, sources, made), made
        )
        for _ in range(5):
            trainer.engine.step()
        started, cpu, before = time.perf_counter(), time.process_time(), trainer.state.nimg
        while not trainer.is_finished:
            trainer.engine.step()
        took, cpu, seen = time.perf_counter() - started, time.process_time() - cpu, trainer.state.nimg - before
    print(json.dumps({"images_per_s": seen / took, "per_cpu_s": seen / cpu, "anonymous_mib": anonymous_mib()}))


def large(gib: float, pairs: int, kimg: float) -> None:
    row = SHAPE[0] * SHAPE[1] * SHAPE[2]
    noise = np.random.default_rng(0).bytes(SMALL_N * row)
    sizes = {"small": SMALL_N, "large": int(gib * 2**30) // row}
    with tempfile.TemporaryDirectory() as folder:
        for name, n in sizes.items():
            Path(folder, name).mkdir()
            with open(Path(folder, name, "train.u8"), "wb") as file:
                for start in range(0, n, SMALL_N):
                    file.write(noise[: min(SMALL_N, n - start) * row])
                file.flush()
                os.fsync(file.fileno())  # else the disk is still writing during the first runs and slows them down
        print(
            f"{sizes['large']:,} images of {SHAPE[1]}x{SHAPE[2]}x{SHAPE[0]}, {gib:g} GiB, against {SMALL_N:,}",
            flush=True,
        )
        found: dict[str, list[dict[str, float]]] = {name: [] for name in sizes}
        for _ in range(pairs):
            for name, n in sizes.items():
                command = [sys.executable, __file__, "--train", folder + "/" + name, "--n", str(n), "--kimg", str(kimg)]
                one = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                found[name].append(one)
                rates = f"{one['images_per_s']:,.0f} images/s, {one['per_cpu_s']:,.0f} per second of CPU time"
                print(f"  {name}: {rates}, {one['anonymous_mib']:,.0f} MiB anonymous", flush=True)
        for what in ("images_per_s", "per_cpu_s"):
            ratios = [b[what] / a[what] for a, b in zip(found["small"], found["large"], strict=True)]
            print(f"large / small, {what}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--gib", type=float, default=4)
    parser.add_argument("--kimg", type=float, default=8)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if args.train:
        train(args.train, args.n, args.kimg)
    elif args.large:
        large(args.gib, args.pairs, args.kimg)
    else:
        small_files(args.n, args.pairs)


if __name__ == "__main__":
    main()
