"""config.json of a run as types: everything that was decided, enough to repeat it. Read, checked and written here.

Needs no torch. The checkpoints and the other processes of a run carry the same values; `parse_run_config` reads all of
them, `to_json` makes them. A key of an optional part is absent where there is no such part. Keys that are
unknown here are ignored, and those of config.json itself kept; settings of a newer gancli are refused.
"""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gancli import config as configs
from gancli.config import ModelSpec, TrainConfig
from gancli.errors import ConfigError, RunError
from gancli.files.json_values import read_json_object
from gancli.files.run_folder import RunDir

Count = Annotated[int, Meta(ge=1, le=2**53)]
CountOrZero = Annotated[int, Meta(ge=0, le=2**53)]
Number = Annotated[float, Meta(ge=-1e300, le=1e300)]


class TrainingPlan(Struct, frozen=True, omit_defaults=True):
    """The one part that is replaced in a run. total_nimg: images at its end, None until a time budget was measured.
    earlier: the totals before the run was extended, of which the first images kept to the schedules."""

    total_nimg: Count | None
    earlier: list[Count | None] = []


class DataInfo(Struct, frozen=True, omit_defaults=True):
    """The data set as the run trains on it. class_counts: of the training images. clusters: the digest of what stands
    in for classes. n_skipped, n_copies: files without use, known where the images were read from files."""

    name: str
    source: str
    digest: str
    n_train: Count
    n_heldout: CountOrZero
    resolution: int
    channels: int
    class_names: tuple[str, ...]
    class_counts: tuple[CountOrZero, ...]
    clusters: str | None = None
    n_skipped: CountOrZero | None = None
    n_copies: CountOrZero | None = None

    def __post_init__(self) -> None:
        if len(self.class_names) != len(self.class_counts):
            raise ValueError("class_names and class_counts must be lists of one length")
        if self.class_counts and not any(self.class_counts):
            raise ValueError("class_counts must not all be 0")


class MachineInfo(Struct, frozen=True):
    """What a run computes with. threads: of each of the processes."""

    device: str
    threads: Annotated[int, Meta(ge=1, le=1024)]
    processes: Count
    precision: Literal["float32", "bf16"]
    torch: str


class Ideals(Struct, frozen=True):
    """What losses and accuracy come to where real and generated images are the same; None where that is not known."""

    d_loss: Number | None
    g_loss: Number | None
    accuracy: Number | None
    d_loss_name: str | None = None
    g_loss_name: str | None = None
    loss_unit: str = "nats per image"
    accuracy_of: str = "images"


class InitEntry(Struct, frozen=True):
    """What a run started from. source: as it was given; remade: what starts anew, keys of finetune.REINITIALIZED;
    new_classes: those whose embeddings do, beside others that are known."""

    source: str
    path: str = ""
    sha256: str = ""
    nimg: int = 0
    data: str = ""
    remade: tuple[str, ...] = ()
    new_classes: tuple[str, ...] = ()


class EvalInfo(Struct, frozen=True):
    """The score of a run. score: the value of metrics.jsonl that ranks models, lower is better; floors: what a perfect
    generator would get; the rest: its conditions."""

    score: str
    floor: Number | None = None
    coverage_floor: Number | None = None
    class_tv_floor: Number | None = None
    n_fake: int | None = None
    n_real: int | None = None
    n_heldout: int | None = None
    features: str | None = None
    features_sha256: str | None = None


class RunConfig(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """sources: where each setting comes from: "preset NAME", "file", "flag", "rule", "init" or "default". job: of
    torchrun. log: the tracker that is reported to."""

    gancli: str
    preset: str
    train: TrainConfig
    sources: dict[str, str]
    plan: TrainingPlan
    data: DataInfo
    machine: MachineInfo
    ideals: Ideals
    job: str | None = None
    log: str | None = None
    init: InitEntry | None = None
    eval: EvalInfo | None = None

    @property
    def model_spec(self) -> ModelSpec:
        """What the networks are built by."""
        train, data = self.train, self.data
        return ModelSpec(
            model=train.model,
            z_dim=train.z_dim,
            g_width=train.g_width,
            d_width=train.d_width,
            resolution=data.resolution,
            channels=data.channels,
            n_classes=len(data.class_names),
        )

    def is_chosen(self, name: str) -> bool:
        """Whether somebody asked for this value of a setting."""
        return self.sources[name] in ("flag", "file")


def to_json(config: RunConfig) -> dict[str, object]:
    """The plain values of config.json."""
    values: dict[str, object] = json.loads(
        json.dumps(msgspec.to_builtins(config))
    )  # texts may hold surrogates, as paths do
    return values


def write_run_config(run: RunDir, config: RunConfig) -> None:
    """To config.json. Keys in it that are unknown here are kept, each where it stands."""
    values, present = to_json(config), read_json_object(run.config)
    kept = {key: value for key, value in present.items() if key in values or key not in RunConfig.__struct_fields__}
    run.write_json(run.config, kept | values)


def read_run_config(path: Path) -> RunConfig:
    """From config.json. Raises RunError."""
    return parse_run_config(RunDir(path.parent).read_config(), path)


def parse_run_config(values: Any, path: Path) -> RunConfig:
    """From plain values that `path` holds; settings newer than they are have their defaults. Raises RunError."""
    try:
        train = configs.config_from_values(values["train"])  # keeps whole numbers whole, and tells the closest setting
        sources = dict.fromkeys(dataclasses.asdict(train), "default") | values["sources"]
        config = msgspec.convert({**values, "train": train, "sources": sources}, RunConfig)
        if config.plan.total_nimg is None and not train.time_budget:
            raise ConfigError("plan.total_nimg must be a whole number above 0")
        _ = config.model_spec  # checks the sizes of the networks
    except KeyError as err:
        raise RunError(f"{path} does not hold the record of a run: {err} is missing") from err
    except msgspec.ValidationError as err:
        what, _, where = str(err).partition(" - at `$.")
        place = f"{where.rstrip('`')}: " if where else ""
        raise RunError(f"{path} does not hold the record of a run: {place}{what}") from err
    except (TypeError, AttributeError, ValueError, ConfigError) as err:
        raise RunError(f"{path} does not hold the record of a run: {err}") from err
    return config
