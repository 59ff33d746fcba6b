"""Settings that follow the data where nobody chose them: batch size and gamma their size, augmentation their number."""

import dataclasses
import math
from typing import Any

from gancli import config as configs
from gancli.config import TrainConfig

MEASURED_SIDE = 32  # pixels a side up to which the values of a preset that names no resolution were measured, and hold
SMALLEST_BATCH = 16


def scale_batch_size(full: int, resolution: int, measured: int = MEASURED_SIDE) -> int:
    """Half of `full` up to twice `measured`, a quarter up to four times, and so on; not below 16 if `full` is not."""
    doublings = max(0, math.ceil(math.log2(resolution / measured)))
    return min(full, max(SMALLEST_BATCH, full >> doublings))


def scale_gamma(
    preset_gamma: float, resolution: int, preset_batch: int, batch: int, measured: int = MEASURED_SIDE
) -> float:
    """Above `measured` in proportion to the number of pixels and inversely to the batch size; up to it, as it is.

    An image enlarged by s has s^2 pixels that share the same change of D, so that its squared gradient is s^2 times
    smaller. The rule is that of StyleGAN2-ADA (Karras et al. 2020, 2006.06676), whose automatic configuration takes
    gamma = 0.0002 resolution^2 / batch; only the constant is the preset's own.
    """
    if resolution <= measured:
        return preset_gamma
    return preset_gamma * (resolution / measured) ** 2 * preset_batch / batch


def adapt_settings_to_data(
    config: TrainConfig,
    sources: dict[str, str],
    preset: TrainConfig,
    resolution: int,
    *,
    n_train: int,
    is_watched: bool,
) -> tuple[TrainConfig, dict[str, str]]:
    """The settings for data of a kind; what a flag or a file says stays. A value that moves comes from "rule".

    sources: setting -> where its value is from, as presets.resolve_config gives it. preset: the settings before flag
    and file; where it names a resolution, its values hold up to that. n_train: training images; augmentation that is
    not asked for is for few of them. is_watched: whether there are held-out images to see overfitting by; without
    them the strength of augmentation cannot follow it, and is the default of the setting.
    """
    chosen = {name for name, where in sources.items() if where in ("flag", "file")}
    measured = preset.resolution or MEASURED_SIDE
    batch = config.batch_size if "batch_size" in chosen else scale_batch_size(config.batch_size, resolution, measured)
    penalty = scale_gamma(config.gamma, resolution, preset.batch_size, batch, measured)
    values: dict[str, Any] = {"batch_size": batch, "gamma": penalty}
    asked = {name for name in ("augment", "augment_strength", "ada") if getattr(config, name)} & chosen
    if 0 < config.augment_below <= n_train and not asked:
        values |= {"augment": "none", "ada": False}
    elif config.ada and not is_watched and "ada" not in chosen:
        values |= {"ada": False, "augment_strength": configs.setting_fields()["augment_strength"].default}
    moved = {name: value for name, value in values.items() if name not in chosen and value != getattr(config, name)}
    return dataclasses.replace(config, **moved), sources | dict.fromkeys(moved, "rule")
