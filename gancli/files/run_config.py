"""Types of a run's config.json, which holds all settings needed to repeat the run. Needs no torch.

Checkpoints and the other processes of a run hold the same values: `to_json` makes them, `parse_run_config` reads and
checks them. Optional parts that a run does not have are omitted. Unknown keys are ignored, and kept when config.json is
rewritten, but unknown settings (of a newer gancli) are an error.
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
    """The planned length of a run, the only part that can change.

    total_nimg: images seen at its end, None until a time budget was measured. earlier: the total before each extension;
    until that extension, the schedules were those of this total.
    """

    total_nimg: Count | None
    earlier: list[Count | None] = []


class DataInfo(Struct, frozen=True, omit_defaults=True):
    """The data set of the run.

    class_counts: training images of each class. clusters: digest of the clusters used as classes. n_skipped, n_copies:
    bad files and exact copies, None if the images did not come from picture files. background, bits: with which picture
    files were prepared; older runs, which lack them, used `train.background` and 16.
    """

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
    background: str | None = None
    bits: Annotated[int, Meta(ge=8, le=16)] = 16

    def __post_init__(self) -> None:
        if len(self.class_names) != len(self.class_counts):
            raise ValueError("class_names and class_counts must have the same length")
        if self.class_counts and not any(self.class_counts):
            raise ValueError("class_counts must not all be 0")
        if self.background is not None:
            configs.parse_colour(self.background)


class MachineInfo(Struct, frozen=True):
    """The hardware and precision of a run. threads: per process."""

    device: str
    threads: Annotated[int, Meta(ge=1, le=1024)]
    processes: Count
    precision: Literal["float32", "bf16"]
    torch: str


class Ideals(Struct, frozen=True):
    """Losses and accuracy when D cannot distinguish generated from real images; None if unknown."""

    d_loss: Number | None
    g_loss: Number | None
    accuracy: Number | None
    d_loss_name: str | None = None
    g_loss_name: str | None = None
    loss_unit: str = "nats per image"
    accuracy_of: str = "images"


class InitEntry(Struct, frozen=True):
    """The starting point given by --init.

    source: as typed. remade: reinitialised parts, keys of finetune.REINITIALIZED. new_classes: classes with new
    embeddings, if other classes keep theirs.
    """

    source: str
    path: str = ""
    sha256: str = ""
    nimg: int = 0
    data: str = ""
    remade: tuple[str, ...] = ()
    new_classes: tuple[str, ...] = ()


class EvalInfo(Struct, frozen=True):
    """How a run is scored.

    score: the value in metrics.jsonl that ranks models; lower is better. *floor: scores of a perfect generator. The
    other fields are the conditions of the score.
    """

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
    """All content of config.json.

    sources: origin of each setting: "preset NAME", "file", "flag", "rule", "init" or "default". job: id of the torchrun
    job. log: the tracker in use.
    """

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
        """The specification to build the networks from."""
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
        """Whether the user chose this setting, by a flag or a file."""
        return self.sources[name] in ("flag", "file")


def to_json(config: RunConfig) -> dict[str, object]:
    """Return the plain values of config.json."""
    # msgspec.json would reject surrogates, which paths may contain.
    values: dict[str, object] = json.loads(json.dumps(msgspec.to_builtins(config)))
    return values


def write_run_config(run: RunDir, config: RunConfig) -> None:
    """Write config.json. Unknown keys that it already holds are kept, in their order."""
    values, present = to_json(config), read_json_object(run.config)
    kept = {key: value for key, value in present.items() if key in values or key not in RunConfig.__struct_fields__}
    run.write_json(run.config, kept | values)


def read_run_config(path: Path) -> RunConfig:
    """Read config.json. Raises RunError."""
    return parse_run_config(RunDir(path.parent).read_config(), path)


def parse_run_config(values: Any, path: Path) -> RunConfig:
    """Parse plain values. path: their file, for messages. Settings that an older gancli lacked get their defaults.

    Raises RunError.
    """
    try:
        # Unlike msgspec, this keeps integers, and suggests the closest name for an unknown setting.
        train = configs.config_from_values(values["train"])
        sources = dict.fromkeys(dataclasses.asdict(train), "default") | values["sources"]
        config = msgspec.convert({**values, "train": train, "sources": sources}, RunConfig)
        if config.plan.total_nimg is None and not train.time_budget:
            raise ConfigError("plan.total_nimg must be a whole number above 0")
        _ = config.model_spec  # checks the network sizes
    except KeyError as err:
        raise RunError(f"{path} does not hold a valid run config: {err} is missing; restore it from a copy") from err
    except msgspec.ValidationError as err:
        what, _, where = str(err).partition(" - at `$.")
        place = f"{where.rstrip('`')}: " if where else ""
        raise RunError(f"{path} does not hold a valid run config: {place}{what}; restore it from a copy") from err
    except (TypeError, AttributeError, ValueError, ConfigError) as err:
        raise RunError(
            f"{path} does not hold a valid run config: {err}; update gancli, or restore the file from a copy"
        ) from err
    return config
