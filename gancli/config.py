"""The settings of a run: names, defaults, ranges and help texts, each written once. Needs no torch."""

import dataclasses
import functools
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gancli.datasets import DATASETS
from gancli.errors import ConfigError, did_you_mean

ModelName = Literal["mlp", "conv", "resnet"]
LossName = Literal["non-saturating", "minimax", "hinge", "wasserstein", "relativistic"]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]
PrecisionName = Literal["float32", "bf16", "auto"]
Threads = int | Literal["auto"]
PathName = Literal["slerp", "lerp", "circle"]
FitName = Literal["crop", "pad", "stretch"]
ChannelsName = Literal["auto", "1", "3"]
BitsName = Literal["auto", "8", "9", "10", "11", "12", "13", "14", "15", "16"]
AUGMENT_NAMES = ("color", "translation", "cutout", "flip")
METRIC_NAMES = ("frechet", "kid", "prdc", "classes", "fidelity", "modes", "memorization", "diversity")
EXTRACTOR_NAMES = ("digits", "fashion", "stacked-digits", "random", "inception")

RESOLUTIONS = "a multiple of 4 from 8 to 256, or 0"
COLOURS = {"black": "#000000", "grey": "#808080", "white": "#ffffff"}

ADA_LIMIT = 0.8  # above it, augmentations leak into generated images: Karras et al. 2020 (2006.06676), sec. 2.2
MAX_SEEDS = 10_000_000
EVALUATION_IMAGES = 10_000  # default of --n
MAX_GRID = 1024
WALK_KEYS = 5  # images on a walk by default
WALK_FRAMES, STRIP_FRAMES = 60, 8  # per segment, in a film and in a strip
MAX_FRAMES = 20_000
MAX_SECONDS = 1e9
MAX_TRUNC = 2
MAX_SCALE = 64
MAX_FPS = 50  # browsers slow frames of a GIF or WebP shorter than 20 ms down to 100 ms
MAX_VIDEO_FPS = 60
MOST_CLASSES = 1000
LONGEST_NAME = 255  # characters in a class name; the limit of folder names
LENGTH_SETTINGS = ("kimg", "epochs", "time_budget")
OFF_FLAGS = {
    "conditional": "--unconditional",
    "share_latents": "--fresh-latents",
}  # flags that --no- would make hard to read


def format_choices(names: Any) -> str:
    """Format the choices of a Literal or a sequence for a help text: 'crop, pad, stretch'."""
    return ", ".join(typing.get_args(names) or names)


def parse_seconds(text: str) -> float:
    """Convert '90s', '10m', '2h', '1h30m' or '90' to seconds."""
    parts = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip().lower())
    if not parts or not any(parts.groups()):
        raise ConfigError(f"cannot read the time {text!r}; write it as 90s, 10m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in parts.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total > MAX_SECONDS:
        raise ConfigError(f"the time {text[:40]!r} is too long; give at most {MAX_SECONDS:g} seconds")
    return total


def parse_threads(text: str) -> Threads:
    """Convert '2' to 2; return 'auto' unchanged."""
    if text == "auto":
        return "auto"
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise ConfigError(f"cannot read the number of threads {text!r}; write a number or auto")
    return int(text)


def declare_setting(
    default: Any,
    help: str,
    *,
    panel: str | None,
    low: float | None = None,
    high: float | None = None,
    parse: Callable[[str], Any] | None = None,
) -> Any:
    """Declare a field of TrainConfig with its help text and inclusive range.

    parse: converts a value written as text. panel: the section of `gancli train --help` that lists the flag; None
    makes a setting that has no flag.
    """
    about = {"help": help, "panel": panel, "low": low, "high": high, "parse": parse}
    return field(default=default, metadata=about)


RUN_PANEL = "The run"
run_setting = functools.partial(declare_setting, panel=RUN_PANEL)
data_setting = functools.partial(declare_setting, panel="Data")
network_setting = functools.partial(declare_setting, panel="Networks")
loss_setting = functools.partial(declare_setting, panel="Loss and penalties")
augment_setting = functools.partial(declare_setting, panel="Augmentation")
optimizer_setting = functools.partial(declare_setting, panel="Optimizer and average")
hidden_setting = functools.partial(declare_setting, panel=None)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All settings that affect the result of a run. nimg counts images seen, 1 kimg = 1000 images."""

    data: str = data_setting(
        "mnist", f"Data set: {format_choices(tuple(DATASETS))}, or the path of a folder, zip, npz or IDX folder."
    )
    conditional: bool = data_setting(True, "Train on labels if the data has any, or ignore them.")
    clusters: int = data_setting(
        0,
        "Number of image clusters that replace classes when no labels are used; 0 turns clustering off.",
        low=0,
        high=MOST_CLASSES,
    )
    resolution: int = data_setting(
        0, "Side length of images in pixels, a multiple of 4; 0 derives it from the data.", low=0, high=256
    )
    fit: FitName = data_setting("crop", f"Method for images that are not square: {format_choices(FitName)}.")
    channels: ChannelsName = data_setting(
        "auto", "Colour channels: 1 (grey), 3 (colour), or auto to derive it from the data."
    )
    background: str = data_setting(
        "auto",
        "Colour behind transparent and padded images: black, grey, white or #rrggbb; auto: black if it shows them.",
    )
    bits: BitsName = data_setting(
        "auto", "Bits that 16-bit images use, such as 12 for values up to 4,095; auto finds the largest value."
    )
    mirror: bool = data_setting(False, "Flip training images left to right with probability 0.5.")
    max_bad: int = data_setting(
        10, "Maximum number of unusable files to skip; more cause an error.", low=0, high=1_000_000_000
    )

    model: ModelName = network_setting("conv", f"Network family: {format_choices(ModelName)}.")
    z_dim: int = network_setting(64, "Size of the latent vector.", low=1, high=4096)
    g_width: int = network_setting(
        64, "Width of G: its largest number of channels (mlp: hidden units).", low=4, high=4096
    )
    d_width: int = network_setting(
        64, "Width of D: its largest number of channels (mlp: hidden units).", low=4, high=4096
    )
    spectral_norm: bool = network_setting(False, "Divide each weight of D by its largest singular value.")

    loss: LossName = loss_setting("non-saturating", f"GAN loss: {format_choices(LossName)}.")
    gamma: float = loss_setting(0.0, "Weight of the R1 gradient penalty; 0 turns it off.", low=0, high=1e6)
    gamma_end: float = loss_setting(
        1.0, "Final gamma after the burn-in, as a fraction of gamma; 1 keeps it constant.", low=0, high=1
    )
    r2: bool = loss_setting(False, "Apply the gradient penalty to generated images too (R2).")
    r1_interval: int = loss_setting(
        1, "Apply the R1 and R2 penalties only every N steps, with N times the weight.", low=1, high=1024
    )
    gradient_penalty: float = loss_setting(
        0.0, "Weight of the WGAN-GP gradient penalty, usually 10; 0 turns it off.", low=0, high=1e6
    )
    shift: float = augment_setting(
        0.0,
        "Probability of shifting D's input by a pixel; rises during the first epochs, falls to 0 by the end.",
        low=0,
        high=1,
    )

    augment: str = augment_setting(
        "none", f"Augmentations of D's input, separated by commas: {format_choices(AUGMENT_NAMES)}; or none."
    )
    augment_strength: float = augment_setting(
        0.5, "Probability of each augmentation; with --ada, the initial probability.", low=0, high=1
    )
    augment_below: int = hidden_setting(
        0, "Augment only training sets with fewer images than this; 0 means any size.", low=0, high=1_000_000_000
    )
    ada: bool = augment_setting(False, f"Adapt the augmentation strength (at most {ADA_LIMIT}) to overfitting.")

    batch_size: int = optimizer_setting(64, "Images per step, after --batch-ramp-kimg.", low=2, high=65536)
    batch_ramp_kimg: float = optimizer_setting(
        0.0, "Ramp up the batch size: a quarter until N/4 kimg, half until N, then full.", low=0, high=1e6
    )
    lr: float = optimizer_setting(2e-4, "Adam learning rate of G and D.", low=1e-8, high=1)
    beta1: float = optimizer_setting(0.9, "Decay rate of Adam's first moment.", low=0, high=0.9999)
    beta2: float = optimizer_setting(0.999, "Decay rate of Adam's second moment.", low=0, high=0.999999)
    burn_in: float = optimizer_setting(
        1.0, "Fraction of the run over which gamma, lr and beta2 move to their final values.", low=1e-6, high=1
    )
    lr_end: float = optimizer_setting(
        1.0, "Final lr after the burn-in, as a fraction of lr; 1 keeps it constant.", low=0, high=1
    )
    beta2_end: float = optimizer_setting(
        0.0, "Final beta2 after the burn-in; 0 keeps it constant.", low=0, high=0.999999
    )
    lr_decay_from: float = optimizer_setting(
        1.0, "Fraction of the run after which lr decays to 0; 1 turns decay off.", low=0, high=1
    )
    share_latents: bool = optimizer_setting(
        False, "Use the same generated images in the D and G steps (faster), or generate new ones."
    )
    ema_kimg: float = optimizer_setting(
        0.0, "Half-life of the averaged generator (EMA) in kimg; 0 turns averaging off.", low=0, high=1e6
    )
    ema_ramp: float = hidden_setting(
        0.05,
        "Maximum half-life as a fraction of images seen; 0: at most 0.3, rising from 0 over the burn-in.",
        low=0,
        high=1,
    )

    kimg: float = run_setting(0.0, "Total length in thousands of images.", low=0, high=1e9)
    epochs: float = run_setting(0.0, "Total length in passes over the training set.", low=0, high=1e9)
    time_budget: float = run_setting(
        0.0, "Total training time, such as 90s, 10m or 2h.", low=0, high=1e9, parse=parse_seconds
    )
    tick_kimg: float = hidden_setting(2.0, "Log means every N kimg.", low=0.001, high=1e6)
    eval_kimg: float = run_setting(
        20.0, "Score samples every N kimg and keep the best model; 0 turns scoring off.", low=0, high=1e9
    )
    snapshot_kimg: float = run_setting(20.0, "Save a checkpoint every N kimg.", low=0.001, high=1e9)

    seed: int = run_setting(0, "Seed of all random draws.", low=0, high=2**63 - 1)
    device: DeviceName = run_setting("auto", f"Device to train on: {format_choices(DeviceName)}.")
    threads: Threads = run_setting(
        0,
        "Number of CPU threads; 0 uses all cores, auto picks the fastest in a short trial.",
        low=0,
        high=1024,
        parse=parse_threads,
    )
    precision: PrecisionName = run_setting(
        "float32",
        "Precision of the networks: float32, bf16 (mixed bfloat16), or auto to pick the faster in a short trial.",
    )

    def __post_init__(self) -> None:
        for name in setting_fields():
            check_setting(name, getattr(self, name))
        if 0 < self.eval_kimg < 0.01:
            raise ConfigError(f"eval_kimg must be 0 or at least 0.01, got {self.eval_kimg}")
        if self.resolution and (self.resolution < 8 or self.resolution % 4):
            raise ConfigError(f"resolution must be {RESOLUTIONS}, got {self.resolution}")
        parse_background(self.background)
        names = parse_augment(self.augment)
        if self.ada and not names:
            raise ConfigError("--ada needs augmentations to adapt; add --augment color,translation,cutout")
        if self.ada and self.augment_strength > ADA_LIMIT:
            raise ConfigError(
                f"augment_strength {self.augment_strength:g} is above the limit of ada, {ADA_LIMIT}; "
                f"give --augment-strength {ADA_LIMIT} or less, or --no-ada"
            )
        self.check_penalties()
        lengths = [name for name in LENGTH_SETTINGS if getattr(self, name)]
        if len(lengths) != 1:
            wanted = "exactly one of kimg, epochs and time_budget must be above 0"
            raise ConfigError(f"{wanted}; given: {', '.join(lengths) or 'none'}")

    def check_penalties(self) -> None:
        """Refuse losses and penalties that cannot work together."""
        if self.loss == "wasserstein" and not (self.gradient_penalty or self.spectral_norm):
            raise ConfigError(
                "the wasserstein loss diverges without a bound on D's gradient; "
                "give --gradient-penalty 10 --gamma 0, or --spectral-norm"
            )
        if self.gradient_penalty and self.gamma:
            raise ConfigError(
                f"gradient_penalty {self.gradient_penalty:g} pulls the norm of D's gradient to 1, gamma "
                f"{self.gamma:g} pulls it to 0; give --gamma 0 or --gradient-penalty 0"
            )
        if self.r2 and not self.gamma:
            raise ConfigError("r2 uses gamma as its weight, and gamma is 0; give --gamma or --no-r2")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Everything needed to rebuild a G and a D. n_classes is 0 for an unconditional model."""

    model: ModelName
    z_dim: int
    g_width: int
    d_width: int
    resolution: int
    channels: int
    n_classes: int

    def __post_init__(self) -> None:
        for name in ("model", "z_dim", "g_width", "d_width"):
            check_setting(name, getattr(self, name))
        for name, low, high in (("resolution", 8, 256), ("channels", 1, 3), ("n_classes", 0, MOST_CLASSES)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ConfigError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
        if self.resolution % 4:
            raise ConfigError(f"resolution must be a multiple of 4, got {self.resolution}")


def setting_fields() -> dict[str, "dataclasses.Field[Any]"]:
    return {f.name: f for f in dataclasses.fields(TrainConfig)}


def tunable_settings() -> list[str]:
    """Return the settings that have a flag of `gancli train`."""
    return [name for name, f in setting_fields().items() if f.metadata["panel"]]


def flag_name(name: str) -> str:
    """Return the flag of a setting: batch_size -> --batch-size."""
    return "--" + name.replace("_", "-")


def off_flag_name(name: str) -> str | None:
    """Return the flag that turns a boolean setting off: r2 -> --no-r2; None for a setting that takes a value."""
    return OFF_FLAGS.get(name, f"--no-{flag_name(name)[2:]}") if setting_fields()[name].type is bool else None


def check_setting_names(names: typing.Iterable[str], where: str) -> None:
    for name in names:
        if name not in setting_fields():
            raise ConfigError(f"unknown setting {name!r} in {where}{did_you_mean(name, setting_fields())}")


def check_setting(name: str, value: object) -> None:
    """Raise ConfigError unless `value` has the type and range of the setting `name`."""
    f = setting_fields()[name]
    kind = f.type
    if kind == Threads:
        if value == "auto":
            return
        kind = int
    choices = typing.get_args(kind)
    if choices:
        if value not in choices:
            raise ConfigError(f"{name} cannot be {value!r}{did_you_mean(str(value), choices)}")
    elif kind is bool or kind is str:
        if not isinstance(value, typing.cast(type, kind)):
            raise ConfigError(f"{name} must be {'true or false' if kind is bool else 'text'}, got {value!r}")
    else:
        whole = kind is int
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise ConfigError(f"{name} must be a {'whole ' if whole else ''}number, got {value!r}")
        low, high = f.metadata["low"], f.metadata["high"]
        if not low <= value <= high:
            allowed = RESOLUTIONS if name == "resolution" else f"from {format_limit(low)} to {format_limit(high)}"
            raise ConfigError(f"{name} must be {allowed}, got {value}")


def format_limit(limit: float) -> str:
    """65536.0 -> '65536', 1e-08 -> '1e-08'."""
    return str(int(limit)) if limit == int(limit) else f"{limit:g}"


def parse_colour(text: str) -> tuple[int, int, int]:
    """Convert a colour such as 'white', '#fa0' or '#ffaa00' to (red, green, blue), each 0 to 255."""
    digits = COLOURS.get(text.lower(), text).removeprefix("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    if not re.fullmatch(r"[0-9a-fA-F]{6}", digits):
        raise ConfigError(f"cannot read the colour {text!r}; write {', '.join(COLOURS)} or #rrggbb")
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def format_colour(colour: tuple[int, int, int]) -> str:
    """Return 'white' or '#ffaa00'."""
    code = "#{:02x}{:02x}{:02x}".format(*colour)
    return next((name for name, known in COLOURS.items() if known == code), code)


def parse_background(text: str) -> tuple[int, int, int] | None:
    """Convert a colour as `parse_colour` does, and 'auto' to None."""
    try:
        return None if text == "auto" else parse_colour(text)
    except ConfigError as err:
        raise ConfigError(str(err).replace("; write ", "; write auto, ")) from err


def parse_augment(text: str) -> tuple[str, ...]:
    """Split 'color,cutout' into ("color", "cutout"), in this order; 'none' gives ()."""
    names = () if text == "none" else tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in AUGMENT_NAMES:
            raise ConfigError(f"unknown augmentation {name!r}{did_you_mean(name, AUGMENT_NAMES)}")
    if len(set(names)) < len(names):
        raise ConfigError(f"augment names one augmentation twice: {text!r}; remove one")
    return names


def parse_seeds(text: str, most: int = MAX_SEEDS) -> list[int]:
    """Convert '0,1,4-6' to [0, 1, 4, 5, 6]. Raises ConfigError for more than `most` seeds.

    Counts the seeds before it builds the list, which could otherwise exhaust memory.
    """
    ranges = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part.strip())
        if not match:
            raise ConfigError(f"cannot read the seeds {text!r}; write them as 0-63,100")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ConfigError(f"cannot read the seeds {text!r}: {first} is above {last}; write them as 0-63,100")
        ranges.append(range(first, last + 1))
    if (n := sum(map(len, ranges))) > most:
        raise ConfigError(f"{text!r} names {n:,} seeds; give at most {most:,}")
    return [seed for seeds in ranges for seed in seeds]


def format_seeds(seeds: Sequence[int]) -> str:
    """Convert [0, 1, 4, 5, 6] to '0-1,4-6'; the order of the seeds stays the same."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][1] + 1:
            parts[-1][1] = seed
        else:
            parts.append([seed, seed])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in parts)


def are_valid_names(names: Sequence[str]) -> bool:
    """Return whether all class names are different and short enough."""
    return len({*names}) == len(names) and all(len(name) <= LONGEST_NAME for name in names)


def parse_grid(text: str) -> tuple[int, int]:
    """Convert '8x10' to (8, 10), the numbers of rows and columns."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text.strip().lower())
    if not match:
        raise ConfigError(f"cannot read the grid {text!r}; write it as ROWSxCOLUMNS, such as 8x10")
    return int(match[1]), int(match[2])


def config_from_values(values: Mapping[str, Any]) -> TrainConfig:
    """Build a config from plain values, such as a dict read from JSON. Raises ConfigError for unknown names."""
    check_setting_names(values, "the configuration")
    return TrainConfig(**values)


def config_to_values(config: TrainConfig) -> dict[str, Any]:
    return dataclasses.asdict(config)
