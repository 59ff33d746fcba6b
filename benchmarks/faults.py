#!/usr/bin/env python3
"""Measure how known faults change the scores: Fashion-MNIST damaged in one way at a time, as a Markdown table.

usage: benchmarks/faults.py [--n 2000] [--n-real 5000]

Damages n images of the training split and scores them against n-real other images; the test split is held out.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from gancli.core import rng
from gancli.core.data import load
from gancli.files.scores import Score
from gancli.metrics import features, suite
from gancli.metrics.reference import Reference

COLUMNS = ("fd_fashion", "fd_random", "precision", "recall", "coverage", "class_tv", "auth_pct", "diversity")
PARTS = {
    "fashion": ["frechet", "prdc", "classes", "memorization", "diversity"],
    "random": ["frechet"],
}


def rounded(images: Tensor) -> Tensor:
    return images.round().clamp(0, 255).to(torch.uint8)


def blurred(images: Tensor) -> Tensor:
    return rounded(F.avg_pool2d(images.float(), 3, stride=1, padding=1))


def faults(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    half = len(images) // 2
    noise = 20 * torch.randn(images.shape, generator=rng.generator(0, "noise"))
    return {
        "other training images": images,
        "half of them blurred (3x3 mean)": torch.cat([blurred(images[:half]), images[half:]]),
        "all blurred": blurred(images),
        "noise of 20 grey levels": rounded(images.float() + noise),
        "moved by 2 pixels": images.roll(2, dims=3),
        "three classes missing": images[labels >= 3],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--n-real", type=int, default=5000)
    chosen = parser.parse_args()
    fashion = load.load_dataset("fashion-mnist")
    assert fashion.labels is not None
    order = torch.randperm(len(fashion.images), generator=rng.generator(0, "faults"))
    real, rest = order[: chosen.n_real], order[chosen.n_real : chosen.n_real + chosen.n]
    references = {
        name: Reference(
            extractor := features.load_extractor(name),
            features.extract_features(extractor, fashion.images[real]),
            features.extract_features(extractor, fashion.heldout_images),
        )
        for name in PARTS
    }

    def scores(images: Tensor) -> dict[str, Score]:
        found: dict[str, Score] = {}
        for name, parts in PARTS.items():
            fake = features.extract_features(references[name].extractor, images)
            found |= suite.score_features(references[name], fake, metrics=parts).scores
        return found

    def row(title: str, value: Callable[[str], str]) -> None:
        print(f"| {title} | {' | '.join(value(name) for name in COLUMNS)} |", flush=True)

    print(f"| {chosen.n:,} images | {' | '.join(f'`{name}`' for name in COLUMNS)} |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    held = scores(fashion.heldout_images[: chosen.n])
    row("floor", lambda name: f"{held[name].floor:.3g}")
    row("held-out images", lambda name: f"{held[name].value:.3g}")
    cases = faults(fashion.images[rest], fashion.labels[rest])
    cases["copies of training images"] = fashion.images[real[: chosen.n]]
    for title, images in cases.items():
        found = scores(images)
        row(title, lambda name, found=found: f"{found[name].value:.3g}")  # type: ignore[misc]
    others = order[chosen.n_real :]
    singles = [
        scores(fashion.images[others[fashion.labels[others] == label][: chosen.n]])
        for label in range(fashion.n_classes)
    ]
    values = {name: [single[name].value or 0.0 for single in singles] for name in COLUMNS}
    row("one class only, from best to worst", lambda name: f"{min(values[name]):.3g} to {max(values[name]):.3g}")


if __name__ == "__main__":
    main()
