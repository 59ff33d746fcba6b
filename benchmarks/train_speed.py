"""The tutorial's own training loop against `--preset classic`: the same networks, batch and threads, turn by turn.

    python benchmarks/train_speed.py [--pairs 5] [--kimg 6] [--threads 1 2] [--batch 32 100]

The tutorial's loop is a DataLoader with per-image transforms, separate forwards for real and fake, no detach, plain
Adam and `.item()` each step. gancli's side is a whole run: folder, checkpoints, frames, metrics, plots and film. Both
see random pixels in the shape of MNIST. Prints images/s, the ratio pair by pair, and the share of the machine's float32
matrix-multiply peak (counted over the matrix products that the recipe needs).
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does, for both sides

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from gancli import events, presets
from gancli.core import records
from gancli.core.imageset import ImageSet
from gancli.core.trainer import Trainer
from gancli.report import film, plots
from gancli.rundir import RunDir

N_IMAGES = 5000
D_MACS, G_MACS = 784 * 256 + 256 * 256 + 256, 64 * 256 + 256 * 256 + 256 * 784
# D step: G forward; D forward and weight gradients for real and fake, and gradients of all but its input.
# G step: G forward, weight gradients and gradients of all but z; D forward and gradients through it.
MACS_PER_IMAGE = G_MACS + 2 * (3 * D_MACS - 784 * 256) + (3 * G_MACS - 64 * 256) + 2 * D_MACS


class Pictures(Dataset[tuple[Tensor, int]]):
    """Decoded pictures that go through the tutorial's transforms one by one."""

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean=[0.5], std=[0.5])])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index, 0].numpy())), 0


def tutorial(images: Tensor, batch_size: int, kimg: float) -> float:
    """Images per second of the tutorial's loop."""
    D = nn.Sequential(
        nn.Linear(784, 256), nn.LeakyReLU(0.2), nn.Linear(256, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1), nn.Sigmoid()
    )
    G = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 784), nn.Tanh())
    criterion = nn.BCELoss()
    d_optimizer = torch.optim.Adam(D.parameters(), lr=0.0002)
    g_optimizer = torch.optim.Adam(G.parameters(), lr=0.0002)
    loader = DataLoader(Pictures(images), batch_size=batch_size, shuffle=True)
    seen, started = 0, time.perf_counter()
    while seen < kimg * 1000:
        for pictures, _ in loader:
            n = len(pictures)
            real = pictures.reshape(n, -1)
            ones, zeros = torch.ones(n, 1), torch.zeros(n, 1)
            real_score, fake_score = D(real), D(G(torch.randn(n, 64)))
            d_loss = criterion(real_score, ones) + criterion(fake_score, zeros)
            d_optimizer.zero_grad()
            g_optimizer.zero_grad()
            d_loss.backward()
            d_optimizer.step()
            g_loss = criterion(D(G(torch.randn(n, 64))), ones)
            d_optimizer.zero_grad()
            g_optimizer.zero_grad()
            g_loss.backward()
            g_optimizer.step()
            _ = d_loss.item(), g_loss.item(), real_score.mean().item(), fake_score.mean().item()
            seen += n
            if seen >= kimg * 1000:
                break
    return seen / (time.perf_counter() - started)


def classic(images: Tensor, batch_size: int, kimg: float, threads: int) -> float:
    """Images per second of a whole gancli run."""
    data = ImageSet("random", "random", images, None, images[:0], None, (), "", ())
    name, config, sources = presets.resolve(
        "classic", flags={"batch_size": batch_size, "kimg": kimg, "threads": threads}
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(RunDir.create(Path(folder), name), records.make(name, config, sources, data), data)
        started = time.perf_counter()
        ended = [event for event in trainer.run() if isinstance(event, events.RunEnded)]
        plots.draw(trainer.run_dir)
        film.make(trainer.run_dir)
        return ended[0].nimg / (time.perf_counter() - started)


def peak_flops() -> float:
    """float32 operations per second in a large matrix product."""
    a, best = torch.randn(2048, 2048), 0.0
    for _ in range(6):
        started = time.perf_counter()
        a @ a
        best = max(best, 2 * 2048**3 / (time.perf_counter() - started))
    return best


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):8,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--kimg", type=float, default=6)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 100])
    args = parser.parse_args()
    images = torch.randint(0, 256, (N_IMAGES, 1, 28, 28), dtype=torch.uint8)
    for threads in args.threads:
        torch.set_num_threads(threads)
        peak = peak_flops()
        print(f"{threads} threads, peak {peak / 1e9:.0f} GFLOP/s in float32; {args.pairs} pairs of {args.kimg:g} kimg")
        for batch_size in args.batch:
            tutorial(images, batch_size, 0.5), classic(images, batch_size, 0.5, threads)
            theirs, ours = [], []
            for _ in range(args.pairs):
                theirs.append(tutorial(images, batch_size, args.kimg))
                ours.append(classic(images, batch_size, args.kimg, threads))
            ratios = [b / a for a, b in zip(theirs, ours, strict=True)]
            share = statistics.median(ours) * 2 * MACS_PER_IMAGE / peak
            print(f"  batch {batch_size:3}: tutorial {spread(theirs)} images/s, classic {spread(ours)} images/s")
            print(
                f"             ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
                f"classic at {share:.0%} of peak"
            )


if __name__ == "__main__":
    main()
