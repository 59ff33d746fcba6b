"""Presets as data: names, their settings, and the rule that decides which value wins."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gancli import config
from gancli.config import LENGTH_SETTINGS, TrainConfig
from gancli.datasets import DATASETS
from gancli.errors import ConfigError, did_you_mean

PRESETS: dict[str, TrainConfig] = {
    # Exactly the recipe of the tutorial. Measurements: see docs/dev/presets.md.
    "classic": TrainConfig(
        conditional=False,
        model="mlp",
        z_dim=64,
        g_width=256,
        d_width=256,
        batch_size=32,
        lr=2e-4,
        beta1=0.9,
        beta2=0.999,
        epochs=100,
        tick_kimg=5,
        eval_kimg=50,
    ),
    # The best result in minutes on two CPU cores. Measurements: see docs/dev/presets.md.
    "quick": TrainConfig(
        clusters=32,
        model="conv",
        z_dim=64,
        g_width=64,
        d_width=64,
        gamma=0.5,
        r1_interval=8,
        shift=0.6,
        augment="translation,cutout",
        augment_below=2000,
        batch_size=64,
        batch_ramp_kimg=20,
        lr=2e-3,
        beta1=0.0,
        beta2=0.99,
        lr_decay_from=0.5,
        share_latents=True,
        ema_kimg=10,
        time_budget=240,
    ),
}

# For data with many modes. Measurements: see docs/dev/presets.md.
PRESETS["stacked"] = replace(PRESETS["quick"], clusters=500)

# After R3GAN (Huang et al. 2024, 2501.05441) and its code, for a GPU; docs/dev/presets.md marks our additions.
PRESETS["r3gan-32"] = TrainConfig(
    resolution=32,
    model="resnet",
    z_dim=64,
    g_width=768,
    d_width=768,
    loss="relativistic",
    gamma=0.05,
    gamma_end=0.1,
    r2=True,
    r1_interval=1,
    augment="color,translation,cutout",
    augment_strength=0.55,
    batch_size=512,
    lr=2e-4,
    lr_end=0.25,
    beta1=0.0,
    beta2=0.9,
    beta2_end=0.99,
    burn_in=20 / 250,  # 20 Mimg
    ema_kimg=5000,
    ema_ramp=0.0,
    kimg=250_000,
    tick_kimg=50,
    eval_kimg=1000,
    snapshot_kimg=1000,
)
PRESETS["r3gan-64"] = replace(
    PRESETS["r3gan-32"], resolution=64, gamma=2.0, augment_strength=0.3, batch_size=256, ema_kimg=500
)
PRESETS["r3gan-128"] = replace(PRESETS["r3gan-64"], resolution=128, gamma=17.0)

DEFAULT_PRESET = "quick"


def default_text(name: str) -> str:
    """Return the default of a setting for its help: the value that all presets share, else 'preset'."""
    values = {getattr(preset, name) for preset in PRESETS.values()}
    if len(values) > 1:
        return "preset"
    (value,) = values
    if isinstance(value, bool):
        return ((config.flag_name(name) if value else config.off_flag_name(name)) or "").removeprefix("--")
    return f"{value:g}" if isinstance(value, float) else str(value)


def parse_setting_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert values written as text: a time budget "90s" to seconds, threads "2" to a number; channels 3 to "3"."""
    values = dict(values)
    for name, f in config.setting_fields().items():
        if f.metadata["parse"] and isinstance(values.get(name), str):
            values[name] = f.metadata["parse"](values[name])
    if type(values.get("channels")) is int:
        values["channels"] = str(values["channels"])
    return values


def resolve_config(
    preset: str | None, file: Mapping[str, Any] | None = None, flags: Mapping[str, Any] | None = None
) -> tuple[str, TrainConfig, dict[str, str]]:
    """Combine preset, file and flags; later ones win. Returns the preset's name, the config and each value's source.

    file, flags: setting -> value; None means that a flag was not given. kimg, epochs and time_budget all set the
    total length, so setting one clears the others. Setting augment to none also turns ada off.
    """
    layers = {
        "file": parse_setting_values(file or {}),
        "flag": parse_setting_values({k: v for k, v in (flags or {}).items() if v is not None}),
    }
    in_file = layers["file"].pop("preset", None)
    preset = in_file if preset is None else preset
    for where, layer in layers.items():
        config.check_setting_names(layer, "the configuration file" if where == "file" else "the flags")
        for name, value in layer.items():
            config.check_setting(name, value)
    if preset is None:
        data = layers["flag"].get("data", layers["file"].get("data", "mnist"))
        preset = (data in DATASETS and DATASETS[data].preset) or DEFAULT_PRESET
    if str(preset) not in PRESETS:
        raise ConfigError(f"unknown preset {preset!r}{did_you_mean(str(preset), PRESETS)}")

    values = config.config_to_values(PRESETS[preset])
    sources = dict.fromkeys(values, f"preset {preset}")
    for where, layer in layers.items():
        for name in LENGTH_SETTINGS:
            if layer.get(name, 1) == 0:
                raise ConfigError(f"{name} must be above 0; give a length, or remove the flag")
        lengths = [name for name in LENGTH_SETTINGS if name in layer]
        if len(lengths) > 1:
            raise ConfigError(f"{' and '.join(map(config.flag_name, lengths))} cannot be combined; give one")
        if lengths:
            values.update(dict.fromkeys(LENGTH_SETTINGS, 0.0))
            sources.update(dict.fromkeys(LENGTH_SETTINGS, where))
        if layer.get("augment") == "none":
            layer.setdefault("ada", False)
        values.update(layer)
        sources.update(dict.fromkeys(layer, where))
    return preset, config.config_from_values(values), sources
