"""Settings that follow the size of the images where nobody chose them: batch size and gamma."""

import dataclasses
import math
from typing import Any

from gancli.config import TrainConfig

MEASURED = 32  # pixels a side up to which the presets' values were measured, and hold
SMALLEST_BATCH = 16


def batch_size(full: int, resolution: int) -> int:
    """Half of `full` up to 64 px, a quarter up to 128, and so on, but not below 16 if `full` is not."""
    doublings = max(0, math.ceil(math.log2(resolution / MEASURED)))
    return min(full, max(SMALLEST_BATCH, full >> doublings))


def gamma(preset_gamma: float, resolution: int, preset_batch: int, batch: int) -> float:
    """Above 32 px in proportion to the number of pixels and inversely to the batch size; below, as it is.

    An image enlarged by s has s^2 pixels that share the same change of D, so that its squared gradient is s^2 times
    smaller. The rule is that of StyleGAN2-ADA (Karras et al. 2020, 2006.06676), whose automatic configuration takes
    gamma = 0.0002 resolution^2 / batch; only the constant is the preset's own.
    """
    if resolution <= MEASURED:
        return preset_gamma
    return preset_gamma * (resolution / MEASURED) ** 2 * preset_batch / batch


def follow(
    config: TrainConfig, sources: dict[str, str], preset: TrainConfig, resolution: int
) -> tuple[TrainConfig, dict[str, str]]:
    """The settings for images of a resolution; what a flag or a file says stays. A value that moves comes from "rule".

    sources: setting -> where its value is from, as presets.resolve gives it. preset: the settings before flag and file.
    """
    chosen = {name for name, where in sources.items() if where in ("flag", "file")}
    batch = config.batch_size if "batch_size" in chosen else batch_size(config.batch_size, resolution)
    penalty = config.gamma if "gamma" in chosen else gamma(config.gamma, resolution, preset.batch_size, batch)
    values: dict[str, Any] = {"batch_size": batch, "gamma": penalty}
    moved = dict.fromkeys((name for name in values if values[name] != getattr(config, name)), "rule")
    return dataclasses.replace(config, **values), sources | moved
