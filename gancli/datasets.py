"""The table of named data sets; each row describes one. The import of a loader happens only when it is called.

Images at a path need no row. docs/dev/extending.md shows how to add a row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gancli.core.data.dataset import ImageSet


@dataclass(frozen=True)
class NamedDataset:
    """load: reads the cache, the system or the network; raises DataError. features: the extractor of gancli/metrics
    that fits these images. preset: the best one for them; None means the default. The cache folder has the set's name.
    """

    load: Callable[[], "ImageSet"]
    features: str = "random"
    preset: str | None = None


def load_mnist() -> "ImageSet":
    from gancli.core.data import mnist

    return mnist.load_mnist()


def load_mnist_5k() -> "ImageSet":
    from gancli.core.data import mnist

    return mnist.load_mnist_5k()


def load_fashion_mnist() -> "ImageSet":
    from gancli.core.data import mnist

    return mnist.load_fashion_mnist()


def load_cifar10() -> "ImageSet":
    from gancli.core.data import cifar

    return cifar.load_cifar10()


def load_stacked_mnist() -> "ImageSet":
    from gancli.core.data import stacked_mnist

    return stacked_mnist.load_stacked_mnist()


def load_stacked_mnist_5k() -> "ImageSet":
    from gancli.core.data import stacked_mnist

    return stacked_mnist.load_stacked_mnist_5k()


DATASETS: dict[str, NamedDataset] = {
    "mnist": NamedDataset(load_mnist, features="digits"),
    "mnist-5k": NamedDataset(load_mnist_5k, features="digits"),
    "fashion-mnist": NamedDataset(load_fashion_mnist, features="fashion"),
    "cifar10": NamedDataset(load_cifar10),
    "stacked-mnist": NamedDataset(load_stacked_mnist, features="stacked-digits", preset="stacked"),
    "stacked-mnist-5k": NamedDataset(load_stacked_mnist_5k, features="stacked-digits", preset="stacked"),
}
