"""Stacked-MNIST: three digits as the red, green and blue channel of one image, with 1,000 classes (000 to 999)."""

import torch
from torch import Tensor

from gancli.core import rng
from gancli.core.data.dataset import ImageSet, build_image_set
from gancli.core.data.mnist import load_mnist, load_mnist_5k

# Lin et al. 2018 (1712.04086) train on 128,000 images. Half of them show each class 64 times and take 150 MB.
N_TRAIN = 64_000
N_HELDOUT = 10_000
CLASS_NAMES = tuple(f"{number:03d}" for number in range(1000))


def load_stacked_mnist() -> ImageSet:
    """Build Stacked-MNIST from `mnist`, or stacked-mnist-5k if only the 5,000-digit subset is available."""
    digits = load_mnist()
    return build_stacked_mnist("stacked-mnist" if digits.name == "mnist" else "stacked-mnist-5k", digits)


def load_stacked_mnist_5k() -> ImageSet:
    return build_stacked_mnist("stacked-mnist-5k", load_mnist_5k())


def build_stacked_mnist(name: str, digits: ImageSet, n_train: int = N_TRAIN, n_heldout: int = N_HELDOUT) -> ImageSet:
    """Build training triples from training digits and held-out triples from held-out digits. Deterministic.

    digits: images [N,1,H,H] with labels 0 to 9. Source: Metz et al. 2017 (1611.02163), sec. 3.3.1.
    """
    assert digits.labels is not None and digits.heldout_labels is not None
    train = stack_triples("train", n_train, digits.images, digits.labels)
    heldout = stack_triples("heldout", n_heldout, digits.heldout_images, digits.heldout_labels)
    return build_image_set(name, train, heldout, CLASS_NAMES, digits.notes)


def stack_triples(split: str, n: int, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Draw n random triples [n,3,H,H] of images [N,1,H,H], and their classes int64 [n]: 100 r + 10 g + b."""
    chosen = torch.randint(len(images), (n, 3), generator=rng.generator(0, f"stacked-mnist {split}"))
    stacks = images.flatten(1).index_select(0, chosen.view(-1))
    return stacks.view(n, 3, *images.shape[2:]), labels[chosen] @ torch.tensor([100, 10, 1])
