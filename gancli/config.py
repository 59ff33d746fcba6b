"""The settings of a run: names, defaults, ranges and help, each written once. Needs no torch."""

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
AUGMENT_NAMES = ("color", "translation", "cutout", "flip")
METRIC_NAMES = ("frechet", "kid", "prdc", "classes", "fidelity", "modes", "memorization", "diversity")
EXTRACTOR_NAMES = ("digits", "fashion", "stacked-digits", "random", "inception")

RESOLUTIONS = "a multiple of 4 from 8 to 256, or 0"
COLOURS = {"black": "#000000", "grey": "#808080", "white": "#ffffff"}

ADA_LIMIT = 0.8  # beyond it augmentations leak into what G draws: Karras et al. 2020 (2006.06676), sec. 2.2
MAX_SEEDS = 10_000_000
EVALUATION_IMAGES = 10_000  # images that are scored unless it is said
MAX_GRID = 1024
WALK_KEYS = 5  # pictures that a walk passes unless it is said
WALK_FRAMES, STRIP_FRAMES = 60, 8  # from one of them to the next, in a film and in a strip
MAX_FRAMES = 20_000
MAX_SECONDS = 1e9
MAX_TRUNC = 2
MAX_SCALE = 64
MAX_FPS = 50  # browsers show a frame shorter than 20 ms for a tenth of a second
MOST_CLASSES = 1000
LONGEST_NAME = 255  # letters of a class, as of a folder
LENGTH_SETTINGS = ("kimg", "epochs", "time_budget")
OFF_FLAGS = {"conditional": "--unconditional", "share_latents": "--fresh-latents"}  # flags, where --no- reads badly


def format_choices(names: Any) -> str:
    """Choices for a help text, of a Literal or a sequence: 'crop, pad, stretch'."""
    return ", ".join(typing.get_args(names) or names)


def parse_seconds(text: str) -> float:
    """'90s', '10m', '2h', '1h30m' or plain '90' -> seconds."""
    parts = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip().lower())
    if not parts or not any(parts.groups()):
        raise ConfigError(f"cannot read the time {text!r}; write it as 90s, 10m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in parts.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total > MAX_SECONDS:
        raise ConfigError(f"the time {text[:40]!r} is too long; at most {MAX_SECONDS:g} seconds can be asked for")
    return total


def parse_threads(text: str) -> Threads:
    """'auto' as it is, '2' -> 2."""
    if text == "auto":
        return "auto"
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise ConfigError(f"cannot read the threads {text!r}; write a number, or auto")
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
    """A field with its help text and inclusive range; parse: reads it where it may be written as text.

    panel: the heading of `gancli train --help` that its flag stands below; None is a setting without a flag.
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
    """Everything that decides what a run computes. nimg counts images seen, 1 kimg = 1000 images."""

    data: str = data_setting(
        "mnist", f"{format_choices(tuple(DATASETS))}; or a folder, zip or npz of pictures, or a folder of IDX files."
    )
    conditional: bool = data_setting(True, "Use the labels where the data have them.")
    clusters: int = data_setting(
        0,
        "Clusters of similar images that stand in for classes where no labels are used; 0 is off.",
        low=0,
        high=MOST_CLASSES,
    )
    resolution: int = data_setting(
        0, "Side of the images in pixels, a multiple of 4; 0 takes it from the data.", low=0, high=256
    )
    fit: FitName = data_setting("crop", f"What becomes of pictures that are not square: {format_choices(FitName)}.")
    channels: ChannelsName = data_setting("auto", "1 for grey, 3 for colour; auto takes it from the data.")
    background: str = data_setting(
        "black", "Colour behind transparent and padded pictures: black, grey, white or #rrggbb."
    )
    mirror: bool = data_setting(False, "Show each image flipped left to right half of the time.")
    max_bad: int = data_setting(10, "Files that may be skipped because they cannot be read.", low=0, high=1_000_000_000)

    model: ModelName = network_setting("conv", f"Network family: {format_choices(ModelName)}.")
    z_dim: int = network_setting(64, "Size of the latent vector.", low=1, high=4096)
    g_width: int = network_setting(
        64, "Width of the generator (most channels; hidden units for mlp).", low=4, high=4096
    )
    d_width: int = network_setting(
        64, "Width of the discriminator (most channels; hidden units for mlp).", low=4, high=4096
    )
    spectral_norm: bool = network_setting(False, "Divide each of D's weights by its largest singular value.")

    loss: LossName = loss_setting("non-saturating", f"GAN loss: {format_choices(LossName)}.")
    gamma: float = loss_setting(0.0, "Weight of the R1 gradient penalty; 0 is off.", low=0, high=1e6)
    gamma_end: float = loss_setting(1.0, "Part of gamma left after the burn-in; 1 keeps it.", low=0, high=1)
    r2: bool = loss_setting(False, "Apply the penalty of gamma to generated images too.")
    r1_interval: int = loss_setting(
        1, "Apply R1 (and R2) every so many steps, multiplied by as much.", low=1, high=1024
    )
    gradient_penalty: float = loss_setting(0.0, "Weight of WGAN-GP's penalty, usually 10; 0 is off.", low=0, high=1e6)
    shift: float = augment_setting(
        0.0, "Chance that D sees an image moved by up to a pixel; rises as they repeat, falls to 0.", low=0, high=1
    )

    augment: str = augment_setting(
        "none", f"What else D sees done to images: {format_choices(AUGMENT_NAMES)}, several, or none."
    )
    augment_strength: float = augment_setting(
        0.5, "Chance of each augmentation; where it starts with ada.", low=0, high=1
    )
    augment_below: int = hidden_setting(
        0, "Augment only sets of fewer training images; 0 is any number.", low=0, high=1_000_000_000
    )
    ada: bool = augment_setting(False, f"Drive the strength of augmentation by overfitting, up to {ADA_LIMIT}.")

    batch_size: int = optimizer_setting(64, "Images per step, once batches have grown.", low=2, high=65536)
    batch_ramp_kimg: float = optimizer_setting(
        0.0, "Quarter batches at first, halves from a quarter of so many kimg on, whole ones after.", low=0, high=1e6
    )
    lr: float = optimizer_setting(2e-4, "Adam's learning rate, for G and D.", low=1e-8, high=1)
    beta1: float = optimizer_setting(0.9, "Adam's beta1.", low=0, high=0.9999)
    beta2: float = optimizer_setting(0.999, "Adam's beta2.", low=0, high=0.999999)
    burn_in: float = optimizer_setting(
        1.0, "Part of the run in which gamma, lr and beta2 move to their ends, along a cosine.", low=1e-6, high=1
    )
    lr_end: float = optimizer_setting(1.0, "Part of lr left after the burn-in; 1 keeps it.", low=0, high=1)
    beta2_end: float = optimizer_setting(0.0, "Adam's beta2 after the burn-in; 0 keeps it.", low=0, high=0.999999)
    lr_decay_from: float = optimizer_setting(
        1.0, "Part of the run after which lr falls to 0; 1 keeps it.", low=0, high=1
    )
    share_latents: bool = optimizer_setting(
        False, "Reuse the D step's fakes in the G step (faster) instead of fresh ones."
    )
    ema_kimg: float = optimizer_setting(0.0, "Half-life of the averaged generator in kimg; 0 is off.", low=0, high=1e6)
    ema_ramp: float = hidden_setting(
        0.05,
        "Half-life at most this part of the images seen; 0: at most 0.3, rising from 0 over the burn-in.",
        low=0,
        high=1,
    )

    kimg: float = run_setting(0.0, "Total length in thousands of images.", low=0, high=1e9)
    epochs: float = run_setting(0.0, "Total length in passes over the training images.", low=0, high=1e9)
    time_budget: float = run_setting(
        0.0, "Total training time, such as 90s, 10m or 2h.", low=0, high=1e9, parse=parse_seconds
    )
    tick_kimg: float = hidden_setting(2.0, "Log the means of so many kimg.", low=0.001, high=1e6)
    eval_kimg: float = run_setting(
        20.0, "Score samples every so many kimg, and keep the best model; 0 is off.", low=0, high=1e9
    )
    snapshot_kimg: float = run_setting(20.0, "Save a checkpoint every so many kimg.", low=0.001, high=1e9)

    seed: int = run_setting(0, "Decides every random draw.", low=0, high=2**63 - 1)
    device: DeviceName = run_setting("auto", f"Where to compute: {format_choices(DeviceName)}.")
    threads: Threads = run_setting(
        0,
        "CPU threads; 0 is one per available core, auto as many as are fastest in a trial.",
        low=0,
        high=1024,
        parse=parse_threads,
    )
    precision: PrecisionName = run_setting(
        "float32", "Of the networks in training: float32, bf16 (bfloat16, mixed), or auto, the faster in a trial."
    )

    def __post_init__(self) -> None:
        for name in setting_fields():
            check_setting(name, getattr(self, name))
        if 0 < self.eval_kimg < 0.01:
            raise ConfigError(f"eval_kimg must be 0 or at least 0.01, got {self.eval_kimg}")
        if self.resolution and (self.resolution < 8 or self.resolution % 4):
            raise ConfigError(f"resolution must be {RESOLUTIONS}, got {self.resolution}")
        parse_colour(self.background)
        names = parse_augment(self.augment)
        if self.ada and not names:
            raise ConfigError(
                "ada drives the strength of augmentations; name some, such as --augment color,translation,cutout"
            )
        if self.ada and self.augment_strength > ADA_LIMIT:
            raise ConfigError(
                f"ada drives the strength of augmentation up to {ADA_LIMIT}, and augment_strength is "
                f"{self.augment_strength:g}; give --augment-strength {ADA_LIMIT} or less, or --no-ada"
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
                "the wasserstein loss falls without end unless the slope of the discriminator is held; "
                "give --gradient-penalty 10 --gamma 0, or --spectral-norm"
            )
        if self.gradient_penalty and self.gamma:
            raise ConfigError(
                f"gradient_penalty {self.gradient_penalty:g} wants the discriminator's slope to be 1, gamma "
                f"{self.gamma:g} wants it to be 0; give --gamma 0 or --gradient-penalty 0"
            )
        if self.r2 and not self.gamma:
            raise ConfigError("r2 has the weight gamma, which is 0; give --gamma or --no-r2")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """All it takes to build a G and a D again. n_classes is 0 for an unconditional model."""

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
    """The settings that are also flags of `gancli train`."""
    return [name for name, f in setting_fields().items() if f.metadata["panel"]]


def flag_name(name: str) -> str:
    """The flag of a setting: batch_size -> --batch-size."""
    return "--" + name.replace("_", "-")


def off_flag_name(name: str) -> str | None:
    """What turns a setting off that is on or off: r2 -> --no-r2; None for one that takes a value."""
    return OFF_FLAGS.get(name, f"--no-{flag_name(name)[2:]}") if setting_fields()[name].type is bool else None


def check_setting_names(names: typing.Iterable[str], where: str) -> None:
    for name in names:
        if name not in setting_fields():
            raise ConfigError(f"unknown setting {name!r} in {where}{did_you_mean(name, setting_fields())}")


def check_setting(name: str, value: object) -> None:
    """Raise ConfigError unless `value` has the type and lies in the range of the setting `name`."""
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
            allowed = RESOLUTIONS if name == "resolution" else f"from {low:g} to {high:g}"
            raise ConfigError(f"{name} must be {allowed}, got {value}")


def parse_colour(text: str) -> tuple[int, int, int]:
    """'white' or '#fa0' or '#ffaa00' -> (255, 170, 0)."""
    digits = COLOURS.get(text.lower(), text).removeprefix("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    if not re.fullmatch(r"[0-9a-fA-F]{6}", digits):
        raise ConfigError(f"cannot read the colour {text!r}; write {', '.join(COLOURS)} or #rrggbb")
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def parse_augment(text: str) -> tuple[str, ...]:
    """'color,cutout' -> ("color", "cutout"), in this order; 'none' -> ()."""
    names = () if text == "none" else tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in AUGMENT_NAMES:
            raise ConfigError(f"unknown augmentation {name!r}{did_you_mean(name, AUGMENT_NAMES)}")
    if len(set(names)) < len(names):
        raise ConfigError(f"augment names one twice: {text!r}")
    return names


def parse_seeds(text: str, most: int = MAX_SEEDS) -> list[int]:
    """'0,1,4-6' -> [0, 1, 4, 5, 6]. Raises ConfigError for more than `most`, before there is a list of them."""
    ranges = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part.strip())
        if not match:
            raise ConfigError(f"cannot read the seeds {text!r}; write them as 0-63,100")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ConfigError(f"cannot read the seeds {text!r}: {first} is above {last}")
        ranges.append(range(first, last + 1))
    if (n := sum(map(len, ranges))) > most:
        raise ConfigError(f"{text!r} names {n:,} seeds; at most {most:,} go at once")
    return [seed for some in ranges for seed in some]


def format_seeds(seeds: Sequence[int]) -> str:
    """[0, 1, 4, 5, 6] -> '0-1,4-6', in their order."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][1] + 1:
            parts[-1][1] = seed
        else:
            parts.append([seed, seed])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in parts)


def are_valid_names(names: Sequence[str]) -> bool:
    """Whether each class can be told from the others, and typed."""
    return len({*names}) == len(names) and all(len(name) <= LONGEST_NAME for name in names)


def parse_grid(text: str) -> tuple[int, int]:
    """'8x10' -> (8, 10): rows and columns."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text.strip().lower())
    if not match:
        raise ConfigError(f"cannot read the grid {text!r}; write it as ROWSxCOLUMNS, such as 8x10")
    return int(match[1]), int(match[2])


def config_from_values(values: Mapping[str, Any]) -> TrainConfig:
    """A config from plain values, such as a dict read from JSON; unknown names are refused."""
    check_setting_names(values, "the configuration")
    return TrainConfig(**values)


def config_to_values(config: TrainConfig) -> dict[str, Any]:
    return dataclasses.asdict(config)
