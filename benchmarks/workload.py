"""Build a training run on random pixels, count the operations of its steps, and measure the machine's peak."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from gancli import presets
from gancli.core.data.dataset import ImageSet
from gancli.core.training import run_config
from gancli.core.training.engine import Engine
from gancli.files.run_config import RunConfig

Shape = Sequence[int]
SLOW_S = 0.2  # a product that takes longer is large enough


def noise(n: int, resolution: int = 28, channels: int = 1, n_classes: int = 0, n_heldout: int = 0) -> ImageSet:
    """A data set of random pixels: n images to train on, with labels if there are classes."""
    images = torch.randint(0, 256, (n + n_heldout, channels, resolution, resolution), dtype=torch.uint8)
    labels = torch.randint(n_classes, (n + n_heldout,)) if n_classes else None
    first, rest = (None, None) if labels is None else (labels[:n], labels[n:])
    names = tuple(map(str, range(n_classes)))
    return ImageSet("noise", "noise", images[:n], first, images[n:], rest, names, "", ())


def record_of(preset: str, data: ImageSet, flags: dict[str, Any]) -> RunConfig:
    """The record of a run on the CPU."""
    return run_config.build_run_config(*presets.resolve_config(preset, flags={"device": "cpu", **flags}), data)


def engine_of(preset: str, data: ImageSet, flags: dict[str, Any]) -> Engine:
    return Engine(record_of(preset, data, flags), data)


def flops(work: Callable[[], object]) -> int:
    """Additions and multiplications in the matrix products and convolutions of a call, as torch counts them."""
    with FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.convolution_backward: backward_flops}
    ) as counter:
        work()
    return int(counter.get_total_flops())


def backward_flops(grad: Shape, x: Shape, weight: Shape, *more: Any, out_shape: object) -> int:
    """Operations of a convolution's backward, grouped or not.

    Each requested gradient (of x, of the weights) takes as many as the forward. torch's own count ignores the groups in
    the gradient of the weights.
    """
    *_, transposed, _, _, asked = more
    each: int = conv_flop_count(list(x), list(weight), list(grad), transposed)
    return each * sum(asked[:2])


def peak_flops(dtype: torch.dtype = torch.float32) -> float:
    """Operations per second in a matrix product: the best over growing sizes, until one takes longer than SLOW_S."""
    best = 0.0
    for side in (256, 512, 1024, 2048):
        a = torch.randn(side, side).to(dtype)
        for _ in range(3):
            started = time.perf_counter()
            a @ a
            took = time.perf_counter() - started
            best = max(best, 2 * side**3 / took)
        if took > SLOW_S:
            break
    return best
