"""The record of a run: everything that was decided, as plain values, for config.json and the checkpoints."""

import math
import shlex
from pathlib import Path
from typing import Any

import torch

from gancli import config as configs
from gancli._version import __version__
from gancli.config import ModelSpec, TrainConfig
from gancli.core import devices
from gancli.core.data import clusters, load
from gancli.core.data.data_report import DataReport
from gancli.core.data.dataset import ImageSet, tensors_digest
from gancli.core.data.load import absolute_path, ignore_progress
from gancli.core.data.pixel_cache import ProgressCallback
from gancli.core.data.transform import TransformOptions
from gancli.core.training import auto_settings, schedules
from gancli.core.training.losses import LOSSES
from gancli.errors import ConfigError, RunError
from gancli.files.run_folder import RunDir, is_positive_count
from gancli.presets import PRESETS


def build_run_config(
    preset: str, config: TrainConfig, sources: dict[str, str], data: ImageSet, processes: int = 1
) -> dict[str, Any]:
    """Enough to repeat the run. `plan.total_nimg` is null until a time budget has been measured; threads and precision
    are those of a run that chooses neither, until `tuning.tuned` has chosen.

    Some of what came from the preset follows the data, see scaling.
    """
    device = devices.resolve_device(config.device)
    devices.check_precision(config.precision, device)
    conditional = data.n_classes > 0 and (config.conditional or data.is_clustered)
    is_watched = data.n_judgeable_heldout(labelled=conditional) > 0
    config, sources = auto_settings.adapt_settings_to_data(
        config, sources, PRESETS[preset], data.resolution, n_train=len(data.images), is_watched=is_watched
    )
    loss = LOSSES[config.loss]
    if config.ada and not is_watched:
        raise ConfigError("--ada measures overfitting on held-out images, and there are none; use --augment-strength")
    return {
        "gancli": __version__,
        "preset": preset,
        "train": configs.config_to_values(config),
        "sources": sources,
        "plan": {"total_nimg": planned_nimg(config, len(data.images))},
        "data": {
            "name": data.name,
            "source": data.source,
            "digest": data.digest,
            "n_train": len(data.images),
            "n_heldout": len(data.heldout_images),
            "resolution": data.resolution,
            "channels": data.channels,
            "class_names": list(data.class_names) if conditional else [],
            "class_counts": list(data.class_counts) if conditional else [],
            **({"clusters": clusters_digest(data)} if data.is_clustered else {}),
            **file_fault_counts(data.report),
        },
        "machine": {
            "device": device.type,
            "threads": resolve_threads(config),
            "processes": processes,
            "precision": "float32" if config.precision == "auto" else config.precision,
            "torch": str(torch.__version__),
        },
        "ideals": {
            "d_loss": loss.d_ideal,
            "g_loss": loss.g_ideal,
            "accuracy": 0.5,
            "d_loss_name": loss.d_ideal_name,
            "g_loss_name": loss.g_ideal_name,
            "loss_unit": loss.unit,
            "accuracy_of": "images" if loss.has_threshold else "pairs",
        },
    }


def resolve_threads(config: TrainConfig) -> int:
    """Of one process, unless a trial chooses otherwise."""
    return devices.count_cores() if config.threads in (0, "auto") else int(config.threads)


def config_of_one_process(record: dict[str, Any]) -> dict[str, Any]:
    """The record of a run that takes batches as large as those of each process of this run."""
    train, smallest = record["train"], configs.setting_fields()["batch_size"].metadata["low"]
    batch_size = max(smallest, train["batch_size"] // record["machine"]["processes"])
    return {**record, "train": {**train, "batch_size": batch_size}}


def run_config_notes(record: dict[str, Any]) -> list[str]:
    """What to say of settings that followed the data."""
    train, sources, said = record["train"], record["sources"], unused_setting_notes(record) + cluster_notes(record)
    if train["augment"] != "none" and sources["ada"] == "rule":
        strength = f"augmentation has a fixed strength of {train['augment_strength']:g}"
        said.append(
            f"{strength} (--augment-strength), since no images are held out by which it could follow overfitting"
        )
    return said


def unused_setting_notes(record: dict[str, Any]) -> list[str]:
    """Settings that were asked for and change nothing."""
    train, sources = record["train"], record["sources"]
    needs = {"augment_strength": "augment", "gamma_end": "gamma", "r1_interval": "gamma"}
    return [
        f"{configs.flag_name(name)} has no effect without {configs.flag_name(needed)}"
        for name, needed in needs.items()
        if sources[name] in ("flag", "file") and train[name] and train[needed] in ("none", 0)
    ]


def clusters_digest(data: ImageSet) -> str | None:
    """Which image is in which cluster; None without clusters."""
    return tensors_digest(data.labels, data.heldout_labels) if data.is_clustered else None


def cluster_notes(record: dict[str, Any]) -> list[str]:
    """What became of a number of clusters that was asked for, if not that."""
    asked, data = record["train"]["clusters"], record["data"]
    found = len(data["class_names"]) if "clusters" in data else 0
    if record["sources"]["clusters"] not in ("flag", "file") or asked == found:
        return []
    if data["class_names"] and not found:
        return [f"--clusters {asked} has no effect: the {len(data['class_names'])} classes of the data are used"]
    made = f"{found} clusters are made" if found else "no clusters are made"
    return [f"{made}, not {asked}: {data['n_train']:,} images to train on allow no more"]


def file_fault_counts(report: DataReport | None) -> dict[str, int]:
    """What was wrong with the files of a set, where it was read from some."""
    return {"n_skipped": len(report.faults), "n_copies": report.duplicates.n} if report else {}


def transform_options(config: TrainConfig) -> TransformOptions:
    """What the settings ask to be done to pictures."""
    return TransformOptions(
        resolution=config.resolution,
        channels=0 if config.channels == "auto" else int(config.channels),
        fit=config.fit,
        background=configs.parse_colour(config.background),
        max_bad=config.max_bad,
        conditional=config.conditional,
    )


def run_transform_options(record: dict[str, Any]) -> TransformOptions:
    """What a run does to pictures."""
    return transform_options(configs.config_from_values(record["train"]))


def read_run_config(run: RunDir) -> dict[str, Any]:
    """The record in a run's config.json."""
    return check_run_config(run.read_config(), run.config)


def check_run_config(record: Any, path: Path) -> dict[str, Any]:
    """A record from this file, checked to be whole; settings newer than it have their defaults. Raises RunError."""
    try:
        config = configs.config_from_values(record["train"])
        record["train"] = configs.config_to_values(config)
        model_spec(record)
        total, threads = record["plan"]["total_nimg"], record["machine"]["threads"]
        kinds = {"preset": str, "sources": dict, "ideals": dict, "data": dict}
        for key, kind in kinds.items():
            if not isinstance(record[key], kind):
                raise ConfigError(f"{key} must be of type {kind.__name__}")
        if not all(isinstance(where, str) for where in record["sources"].values()):
            raise ConfigError("sources must be texts")
        record["sources"] = dict.fromkeys(record["train"], "default") | record["sources"]
        if "init" in record and not is_init_entry(record["init"]):
            raise ConfigError("init must say what the run started from")
        for key in ("name", "source", "digest"):
            if not isinstance(record["data"][key], str):
                raise ConfigError(f"data.{key} must be text")
        if not isinstance(record["machine"]["torch"], str):
            raise ConfigError("machine.torch must be text")
        if not is_positive_count(record["data"]["n_train"]) or not is_positive_count(threads) or threads > 1024:
            raise ConfigError("data.n_train and machine.threads must be whole numbers above 0")
        if not is_positive_count(record["machine"]["processes"]):
            raise ConfigError("machine.processes must be a whole number above 0")
        if not all(isinstance(record.get(key, ""), str) for key in ("job", "log")):
            raise ConfigError("job and log must be texts")
        if not all(isinstance(record["ideals"][key], int | float | None) for key in ("d_loss", "g_loss", "accuracy")):
            raise ConfigError("ideals must be numbers or null")
        names, counts = record["data"]["class_names"], record["data"]["class_counts"]
        if not (isinstance(names, list) and isinstance(counts, list) and len(names) == len(counts)):
            raise ConfigError("data.class_names and data.class_counts must be lists of one length")
        if not all(isinstance(name, str) for name in names) or not all(is_positive_count(n) or n == 0 for n in counts):
            raise ConfigError("data.class_names must be texts, data.class_counts whole numbers from 0")
        if counts and not any(counts):
            raise ConfigError("data.class_counts must not all be 0")
        precision = record["machine"]["precision"]
        if precision not in ("float32", "bf16"):
            raise ConfigError(f"machine.precision cannot be {precision!r}")
        devices.check_precision(precision, devices.resolve_device(record["machine"]["device"]))
        if not (is_positive_count(total) or (total is None and config.time_budget)):
            raise ConfigError("plan.total_nimg must be a whole number above 0")
        if not all(is_positive_count(nimg) or nimg is None for nimg in record["plan"].get("earlier", [])):
            raise ConfigError("plan.earlier must be whole numbers above 0")
    except KeyError as err:
        raise RunError(f"{path} does not hold the record of a run: {err} is missing") from err
    except (TypeError, AttributeError, ValueError, ConfigError) as err:
        raise RunError(f"{path} does not hold the record of a run: {err}") from err
    whole: dict[str, Any] = record
    return whole


def is_init_entry(value: Any) -> bool:
    """Whether it is an entry as start.entry makes it."""
    texts = [value["source"], value["data"], *value["remade"], *value["new_classes"]]
    return all(isinstance(text, str) for text in texts) and isinstance(value["nimg"], int)


def load_run_images(
    record: dict[str, Any], progress: ProgressCallback = ignore_progress, *, verify: bool = False
) -> tuple[ImageSet, ImageSet]:
    """The images of a run, as they are and as it trains on them. Raises DataError."""
    train = record["train"]
    images = load.load_dataset(record["data"]["source"], run_transform_options(record), progress, verify=verify)
    trained = clusters.with_training_labels(
        images, conditional=train["conditional"], clusters=train["clusters"], progress=progress
    )
    return images, trained


def planned_nimg(config: TrainConfig, n_train: int) -> int | None:
    """Total images of a run; None for a time budget, which is planned once its speed is known."""
    if config.time_budget:
        return None
    return max(1, math.ceil(round(config.kimg * 1000 or config.epochs * n_train, 6)))  # 2.007 * 1000 is above 2007


def run_batch_sizes(record: dict[str, Any]) -> list[int]:
    """Those of all steps of a run."""
    train = record["train"]
    return [size for _, size in schedules.batch_size_steps(train["batch_size"], train["batch_ramp_kimg"] * 1000)]


def model_spec(record: dict[str, Any]) -> ModelSpec:
    train, data = record["train"], record["data"]
    return ModelSpec(
        model=train["model"],
        z_dim=train["z_dim"],
        g_width=train["g_width"],
        d_width=train["d_width"],
        resolution=data["resolution"],
        channels=data["channels"],
        n_classes=len(data["class_names"]),
    )


def check_against_checkpoint(run: RunDir, record: dict[str, Any], kept: dict[str, Any]) -> list[str]:
    """Refuse a config.json that says something else than the checkpoint; take its plan. Returns what to warn of."""
    for name, value in kept["train"].items():
        if record["train"][name] != value and name not in configs.LENGTH_SETTINGS:
            raise RunError(
                f"{run.config} says {name} = {record['train'][name]!r}, but the run's checkpoint {value!r}; "
                "put the old value back"
            )
    for name in ("threads", "precision"):
        if record["machine"][name] != kept["machine"][name]:
            raise RunError(
                f"{run.config} says machine.{name} = {record['machine'][name]!r}, but the run's checkpoint "
                f"{kept['machine'][name]!r}; put the old value back"
            )
    if record["plan"]["total_nimg"] is None:
        record["plan"] = dict(kept["plan"])
    torch_then, torch_now = kept["machine"]["torch"], str(torch.__version__)
    if torch_then != torch_now:
        return [
            f"this run was made with torch {torch_then}, now it is {torch_now}: numbers may differ in the last bits"
        ]
    return []


def change_process_count(record: dict[str, Any], processes: int) -> list[str]:
    """Make it the record of a run that goes on with so many processes. Returns what to warn of."""
    machine = record["machine"]
    before, machine["processes"] = machine["processes"], processes
    if before == processes:
        return []
    machine["threads"] = resolve_threads(configs.config_from_values(record["train"]))
    return [f"{before} processes trained this run, now it is {processes}: numbers may differ in the last bits"]


def check_same_data(record: dict[str, Any], data: ImageSet) -> None:
    if data.digest != record["data"]["digest"]:
        raise RunError(
            f"the data set {data.name} is not the one this run was trained on (its digest differs); "
            "put the old data back, or start a new run"
        )
    if record["data"].get("clusters") != clusters_digest(data):
        raise RunError(
            f"the clusters of {data.name} came out otherwise than when this run began, as another version of torch can "
            "make them; start a new run"
        )


def extend_run(record: dict[str, Any], *, kimg: float | None, epochs: float | None) -> dict[str, Any]:
    """The record with a new total, which plans the schedules anew. plan.earlier: the totals before, of which the first
    images kept to the schedules."""
    if kimg is None and epochs is None:
        return record
    lengths = {"kimg": float(kimg or 0), "epochs": float(epochs or 0), "time_budget": 0.0}
    config = configs.config_from_values({**record["train"], **lengths})
    total = planned_nimg(config, record["data"]["n_train"])
    sources = {**record["sources"], **dict.fromkeys(lengths, "flag")}
    plan = {"total_nimg": total, "earlier": [*record["plan"].get("earlier", []), record["plan"]["total_nimg"]]}
    if total == record["plan"]["total_nimg"]:
        plan = record["plan"]
    return {**record, "train": configs.config_to_values(config), "sources": sources, "plan": plan}


def check_settings_unchanged(record: dict[str, Any], preset: str | None, asked: dict[str, Any]) -> None:
    """Refuse, by name, settings that differ from the run's; kimg and epochs may."""
    if preset is not None and preset != record["preset"]:
        raise ConfigError(
            f"--preset {shlex.quote(preset)} differs from the run's {record['preset']}; a resumed run keeps its preset"
        )
    configs.check_setting_names(asked, "the configuration")
    for name, value in asked.items():
        configs.check_setting(name, value)
        kept = record["train"].get(name)
        same = value == kept or (name == "data" and is_same_source(value, record["data"]["source"]))
        if not same and name not in ("kimg", "epochs"):
            unit, end = ("s", "; only --kimg and --epochs extend a run") if name == "time_budget" else ("", "")
            now, then = (f"{one:g}{unit}" if isinstance(one, float) else one for one in (value, kept))
            raise ConfigError(
                f"{configs.flag_name(name)} {now} differs from the run's {then}; a resumed run keeps its settings: "
                f"leave it out, or start a new run{end}"
            )


def is_same_source(value: str, source: str) -> bool:
    return source in (value, str(absolute_path(value)))
