"""Compare gancli's speed with common training loops: the same networks, batch and threads, interleaved.

    python benchmarks/train_speed.py [--against tutorial dcgan lightning] [--pairs 5] [--kimg 6] [--threads 1 2]
                                     [--batch 32 100] [--workers 0] [--score]

The loops are in loops.py: the tutorial's loop and a plain Lightning loop on the networks of `--preset classic`, and the
loop of PyTorch's DCGAN example on gancli's convolutional networks. gancli's side is a whole run: folder, checkpoints,
frames, metrics, plots and film. Both train on random pixels in the shape of MNIST. With --score, both train on mnist-5k
and their generators are scored. Prints medians of images/s with their spread, the ratio within each pair, and the share
of the machine's float32 matrix-multiply peak that gancli reaches.
"""

import argparse
import functools
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gancli  # noqa: F401  # before torch: it sets how idle threads wait

# isort: split

import torch
from loops import LOOPS
from runs import in_turn, median, table
from torch import nn
from workload import engine_of, flops, noise, peak_flops, record_of

from gancli import events
from gancli.core.data import load
from gancli.core.data.dataset import ImageSet
from gancli.core.networks.build import build_networks
from gancli.core.training.trainer import Trainer
from gancli.files.run_config import RunConfig
from gancli.files.run_folder import RunDir
from gancli.report import film, plots
from gancli.workflows import evaluation

N_IMAGES = 5000
DATA, SCORE = "mnist-5k", "fd_digits"
WARM_KIMG = 0.5

# Flags that make `classic` compute the same as the loop. The DCGAN loop uses the same fakes for both networks.
CONV = {"model": "conv", "g_width": 64, "d_width": 64, "beta1": 0.5, "share_latents": True}
FLAGS: dict[str, dict[str, Any]] = {"tutorial": {}, "dcgan": CONV, "lightning": {}}


class Trained(NamedTuple):
    images_per_s: float
    score: float | None


class Contest:
    """Compare one loop with gancli at one batch size. score: scores a generator, or returns None without --score."""

    def __init__(
        self, name: str, images: ImageSet, batch_size: int, threads: int, workers: int, *, scored: bool
    ) -> None:
        self.name, self.images, self.batch_size, self.workers = name, images, batch_size, workers
        self.flags = {**FLAGS[name], "batch_size": batch_size, "threads": threads, "eval_kimg": 0}
        self.spec = self.record(WARM_KIMG, 0).model_spec
        self.score: Callable[[nn.Module], Any] = (
            evaluation.build_scorer(images, self.spec, []).measure if scored else no_score
        )

    def record(self, kimg: float, seed: int) -> RunConfig:
        return record_of("classic", self.images, {**self.flags, "kimg": kimg, "seed": seed})

    def theirs(self, kimg: float, seed: int) -> Trained:
        G, D = build_networks(self.spec, seed)
        torch.manual_seed(seed)
        started = time.perf_counter()
        LOOPS[self.name](G, D, self.images.images, self.batch_size, round(1000 * kimg), self.workers)
        rate = 1000 * kimg / (time.perf_counter() - started)
        return Trained(rate, self.score(G)[SCORE])

    def ours(self, kimg: float, seed: int) -> Trained:
        record = self.record(kimg, seed)
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            trainer = Trainer(RunDir.create(Path(folder), "classic"), record, self.images)
            ended = [event for event in trainer.run() if isinstance(event, events.RunEnded)]
            plots.draw_plots(trainer.run_dir)
            film.write_progress_film(trainer.run_dir)
            rate = ended[0].nimg / (time.perf_counter() - started)
        return Trained(rate, self.score(trainer.state.G_ema)[SCORE])

    def flops_per_image(self) -> float:
        return flops(engine_of("classic", self.images, {**self.flags, "kimg": 1}).step) / self.batch_size

    def pairs(self, n: int, kimg: float) -> tuple[list[Trained], list[Trained]]:
        """Run n pairs, after a short warm-up of each side."""
        self.theirs(WARM_KIMG, 0), self.ours(WARM_KIMG, 0)
        works = {side: functools.partial(getattr(self, side), kimg) for side in ("theirs", "ours")}
        found = in_turn(works, n)
        return found["theirs"], found["ours"]


def no_score(G: nn.Module) -> dict[str, None]:
    return {SCORE: None}


def cells(contest: Contest, theirs: list[Trained], ours: list[Trained], peak: float) -> list[str]:
    """The measured cells of a row."""
    slow, fast = ([one.images_per_s for one in side] for side in (theirs, ours))
    share = statistics.median(fast) * contest.flops_per_image() / peak
    ratios = [b / a for a, b in zip(slow, fast, strict=True)]
    scores = [[one.score for one in side if one.score is not None] for side in (theirs, ours)]
    return [median(slow), median(fast), median(ratios), f"{share:.0%}", *(median(some) for some in scores if some)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", nargs="+", choices=list(LOOPS), default=list(LOOPS))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--kimg", type=float, default=6)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 100])
    parser.add_argument("--workers", type=int, default=0, help="workers of the loops' DataLoader [default: 0]")
    parser.add_argument("--score", action="store_true", help=f"train on {DATA} and score both sides")
    args = parser.parse_args()
    if "lightning" in args.against and not importlib.util.find_spec("lightning"):
        sys.exit("error: lightning is not installed; pip install lightning, or use --against without lightning")
    images = load.load_dataset(DATA) if args.score else noise(N_IMAGES)
    rows = []
    for threads in args.threads:
        torch.set_num_threads(threads)
        peak = peak_flops()
        print(f"{threads} threads: {peak / 1e9:.0f} GFLOP/s at the float32 peak", file=sys.stderr)
        for name in args.against:
            for batch_size in args.batch:
                contest = Contest(name, images, batch_size, threads, args.workers, scored=args.score)
                found = cells(contest, *contest.pairs(args.pairs, args.kimg), peak)
                rows.append([name, f"{args.kimg:g}", str(threads), str(batch_size), *found])
                print(" | ".join(rows[-1]), file=sys.stderr)
    head = ["loop", "kimg", "threads", "batch", "its images/s", "gancli's images/s", "ratio", "share of float32 peak"]
    print(table([*head, *([f"its {SCORE}", f"gancli's {SCORE}"] if args.score else [])], rows))


if __name__ == "__main__":
    main()
