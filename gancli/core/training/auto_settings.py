"""Adapt batch size and gamma to the image size, and augmentation to the number of images.

Values that the user chose do not change.
"""

import dataclasses
import math
from typing import Any

from gancli import config as configs
from gancli.config import TrainConfig

MEASURED_SIDE = 32  # pixels a side; the values of presets without a resolution were measured, and hold, up to this size
SMALLEST_BATCH = 16


def scale_batch_size(full: int, resolution: int, measured: int = MEASURED_SIDE) -> int:
    """Return `full` up to `measured` pixels a side, half of it up to twice that side, a quarter up to four times, ...

    The result is at least 16, unless `full` is smaller.
    """
    doublings = max(0, math.ceil(math.log2(resolution / measured)))
    return min(full, max(SMALLEST_BATCH, full >> doublings))


def scale_gamma(
    preset_gamma: float, resolution: int, preset_batch: int, batch: int, measured: int = MEASURED_SIDE
) -> float:
    """Return the preset's gamma up to `measured` pixels a side; above that, scale it with pixels / batch size.

    An image enlarged by s has s^2 pixels that share the same change of D, so its squared gradient is s^2 times smaller.
    StyleGAN2-ADA (Karras et al. 2020, 2006.06676) uses the same rule in its automatic configuration,
    gamma = 0.0002 resolution^2 / batch; our constant is that of the preset.
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
    """Adapt settings to the data. Values from a flag or file stay; changed values get the source "rule".

    sources: setting -> where its value comes from, as in presets.resolve_config. preset: the settings before flags and
    file; if it has a resolution, its values hold up to that size. n_train: training images; with many of them,
    augmentation is off unless asked for. is_watched: whether held-out images can show overfitting; without them the
    strength of augmentation cannot adapt, so it gets its default.
    """
    chosen = {name for name, where in sources.items() if where in ("flag", "file")}
    measured = preset.resolution or MEASURED_SIDE
    batch = config.batch_size if "batch_size" in chosen else scale_batch_size(config.batch_size, resolution, measured)
    gamma = scale_gamma(config.gamma, resolution, preset.batch_size, batch, measured)
    values: dict[str, Any] = {"batch_size": batch, "gamma": gamma}
    asked = {name for name in ("augment", "augment_strength", "ada") if getattr(config, name)} & chosen
    if 0 < config.augment_below <= n_train and not asked:
        values |= {"augment": "none", "ada": False}
    elif config.ada and not is_watched and "ada" not in chosen:
        values |= {"ada": False, "augment_strength": configs.setting_fields()["augment_strength"].default}
    changed = {name: value for name, value in values.items() if name not in chosen and value != getattr(config, name)}
    return dataclasses.replace(config, **changed), sources | dict.fromkeys(changed, "rule")
