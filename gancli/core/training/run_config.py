"""Build the config of a run (files/run_config.py), check it against data and devices, and change it for a resume."""

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any

import torch
from msgspec.structs import replace

from gancli import config as configs
from gancli import platform
from gancli._version import __version__
from gancli.config import TrainConfig, format_colour
from gancli.core import devices
from gancli.core.data import clusters, first_look, load
from gancli.core.data.dataset import ImageSet, tensors_digest
from gancli.core.data.deep_pixels import MOST_BITS
from gancli.core.data.load import absolute_path, has_data, ignore_progress
from gancli.core.data.pixel_cache import ProgressCallback
from gancli.core.data.transform import TransformOptions
from gancli.core.training import auto_settings, schedules
from gancli.core.training.losses import LOSSES
from gancli.datasets import DATASETS
from gancli.errors import ConfigError, DataError, RunError
from gancli.files.run_config import DataInfo, Ideals, MachineInfo, RunConfig, TrainingPlan
from gancli.files.run_folder import RunDir
from gancli.presets import PRESETS
from gancli.wording import format_count


def build_run_config(
    preset: str, config: TrainConfig, sources: dict[str, str], data: ImageSet, processes: int = 1
) -> RunConfig:
    """Build the config of a new run, which is enough to repeat the run. Raises ConfigError.

    auto_settings adapts some values of the preset to the data. `plan.total_nimg` is None until a time budget has been
    measured. Threads and precision "auto" become their defaults here; autotune may replace them.
    """
    device = devices.resolve_device(config.device)
    devices.check_precision(config.precision, device)
    conditional = data.n_classes > 0 and (config.conditional or data.is_clustered)
    is_watched = data.n_judgeable_heldout(labelled=conditional) > 0
    config, sources = auto_settings.adapt_settings_to_data(
        config, sources, PRESETS[preset], data.resolution, n_train=len(data.images), is_watched=is_watched
    )
    if config.ada and not is_watched:
        raise ConfigError("--ada measures overfitting on held-out images, but there are none; use --augment-strength")
    return RunConfig(
        gancli=__version__,
        preset=preset,
        train=config,
        sources=sources,
        plan=TrainingPlan(planned_nimg(config, len(data.images))),
        data=describe_data(data, conditional=conditional),
        machine=MachineInfo(
            device=device.type,
            threads=resolve_threads(config),
            processes=processes,
            precision="float32" if config.precision == "auto" else config.precision,
            torch=str(torch.__version__),
        ),
        ideals=describe_ideals(config),
    )


def describe_data(data: ImageSet, *, conditional: bool) -> DataInfo:
    report = data.report
    return DataInfo(
        name=data.name,
        source=data.source,
        digest=data.digest,
        n_train=len(data.images),
        n_heldout=len(data.heldout_images),
        resolution=data.resolution,
        channels=data.channels,
        class_names=tuple(data.class_names) if conditional else (),
        class_counts=tuple(data.class_counts) if conditional else (),
        clusters=clusters_digest(data),
        n_skipped=len(report.faults) if report else None,
        n_copies=report.duplicates.n if report else None,
        background=format_colour(report.background) if report else None,
        bits=report.bits if report else MOST_BITS,
    )


def describe_ideals(config: TrainConfig) -> Ideals:
    loss = LOSSES[config.loss]
    return Ideals(
        d_loss=loss.d_ideal,
        g_loss=loss.g_ideal,
        accuracy=0.5,
        d_loss_name=loss.d_ideal_name,
        g_loss_name=loss.g_ideal_name,
        loss_unit=loss.unit,
        accuracy_of="images" if loss.has_threshold else "pairs",
    )


def resolve_threads(config: TrainConfig) -> int:
    """Return the number of threads of one process; autotune may replace it."""
    return devices.count_cores() if config.threads in (0, "auto") else int(config.threads)


def run_config_notes(record: RunConfig) -> list[str]:
    """Return notes for the user about settings without effect, and about values that the data changed."""
    notes = unused_setting_notes(record) + cluster_notes(record)
    if record.train.augment != "none" and record.sources["ada"] == "rule":
        strength = f"augmentation has a fixed strength of {record.train.augment_strength:g}"
        notes.append(f"{strength} (--augment-strength): no images are held out, so it cannot adapt to overfitting")
    return notes


def unused_setting_notes(record: RunConfig) -> list[str]:
    """Return notes about chosen settings that have no effect."""
    needs = {"augment_strength": "augment", "gamma_end": "gamma", "r1_interval": "gamma"}
    return [
        f"{configs.flag_name(name)} has no effect without {configs.flag_name(needed)}"
        for name, needed in needs.items()
        if record.is_chosen(name) and getattr(record.train, name) and getattr(record.train, needed) in ("none", 0)
    ]


def clusters_digest(data: ImageSet) -> str | None:
    """Return a digest of the cluster number of every image; None without clusters."""
    return tensors_digest(data.labels, data.heldout_labels) if data.is_clustered else None


def cluster_notes(record: RunConfig) -> list[str]:
    """Return a note if the number of clusters differs from the number that the user chose."""
    asked, data = record.train.clusters, record.data
    n = len(data.class_names) if data.clusters else 0
    if not record.is_chosen("clusters") or asked == n:
        return []
    if data.class_names and not n:
        return [f"--clusters {asked} has no effect: the {len(data.class_names)} classes of the data are used"]
    made = f"made {format_count(n, 'cluster')}" if n else "made no clusters"
    return [f"{made}, not {asked}: {data.n_train:,} training images allow no more"]


def transform_options(config: TrainConfig) -> TransformOptions:
    """Return the settings that convert pictures to training images."""
    return TransformOptions(
        resolution=config.resolution,
        channels=0 if config.channels == "auto" else int(config.channels),
        fit=config.fit,
        background=configs.parse_background(config.background),
        bits=0 if config.bits == "auto" else int(config.bits),
        max_bad=config.max_bad,
        conditional=config.conditional,
    )


def recorded_options(record: RunConfig) -> TransformOptions:
    """Return the settings that convert pictures as a run did, with the background and bits that it chose."""
    options = transform_options(record.train)
    colour = record.data.background
    background = configs.parse_colour(colour) if colour else options.background or first_look.BLACK
    return dataclasses.replace(options, background=background, bits=record.data.bits)


def load_run_images(
    record: RunConfig, progress: ProgressCallback = ignore_progress, *, verify: bool = False
) -> tuple[ImageSet, ImageSet]:
    """Load the images of a run. Returns them with their own labels and with labels for training. Raises DataError."""
    train = record.train
    images = load.load_recorded_dataset(
        record.data.source, recorded_options(record), record.data.digest, progress, verify=verify
    )
    images = dataclasses.replace(images, name=record.data.name)  # unchanged if its folder was renamed
    trained = clusters.with_training_labels(
        images, conditional=train.conditional, clusters=train.clusters, progress=progress
    )
    return images, trained


def planned_nimg(config: TrainConfig, n_train: int) -> int | None:
    """Return the total images of a run; None for a time budget, whose total is planned once the speed is known."""
    if config.time_budget:
        return None
    return max(1, math.ceil(round(config.kimg * 1000 or config.epochs * n_train, 6)))  # 2.007 * 1000 is above 2007


def run_batch_sizes(config: TrainConfig) -> list[int]:
    """Return all batch sizes of a run, in order."""
    return [size for _, size in schedules.batch_size_steps(config.batch_size, config.batch_ramp_kimg * 1000)]


def check_against_checkpoint(run: RunDir, record: RunConfig, kept: RunConfig) -> tuple[RunConfig, list[str]]:
    """Compare config.json with the checkpoint. Returns the config and warnings. Raises RunError if a setting differs.

    A config without a plan gets the plan of the checkpoint.
    """
    settings = {name: (name, record.train, kept.train) for name in configs.setting_fields()}
    machines = {f"machine.{name}": (name, record.machine, kept.machine) for name in ("threads", "precision")}
    for title, (name, now, then) in (settings | machines).items():
        if getattr(now, name) != getattr(then, name) and title not in (*configs.LENGTH_SETTINGS, "data"):
            raise RunError(
                f"{run.config} says {title} = {getattr(now, name)!r}, but the run's checkpoint says "
                f"{getattr(then, name)!r}; restore the value of the checkpoint"
            )
    if record.plan.total_nimg is None:
        record = replace(record, plan=kept.plan)
    torch_then, torch_now = kept.machine.torch, str(torch.__version__)
    if torch_then != torch_now:
        warning = f"this run used torch {torch_then} and continues with torch {torch_now}"
        return record, [f"{warning}: numbers may differ in the last bits"]
    return record, []


def change_process_count(record: RunConfig, processes: int) -> tuple[RunConfig, list[str]]:
    """Return the config for continuing a run with this number of processes, and warnings."""
    before = record.machine.processes
    if before == processes:
        return record, []
    machine = replace(record.machine, processes=processes, threads=resolve_threads(record.train))
    warning = f"this run used {before} processes and continues with {processes}: numbers may differ in the last bits"
    return replace(record, machine=machine), [warning]


def check_same_data(record: RunConfig, data: ImageSet) -> None:
    if data.digest != record.data.digest:
        raise RunError(
            f"the data set {record.data.source} is not the one this run was trained on (its digest differs); "
            "restore the old data, give its new place with --data, or start a new run"
        )
    if record.data.clusters != clusters_digest(data):
        raise RunError(
            f"the clusters of {data.name} differ from those at the start of this run, maybe because of another version "
            "of torch; start a new run"
        )


def extend_run(record: RunConfig, *, kimg: float | None, epochs: float | None) -> RunConfig:
    """Return the config with a new total number of images, which the schedules then follow."""
    if kimg is None and epochs is None:
        return record
    lengths = {"kimg": float(kimg or 0), "epochs": float(epochs or 0), "time_budget": 0.0}
    train, plan = dataclasses.replace(record.train, **lengths), record.plan  # type: ignore[arg-type]
    total = planned_nimg(train, record.data.n_train)
    if total != plan.total_nimg:
        plan = TrainingPlan(total, [*plan.earlier, plan.total_nimg])
    return replace(record, train=train, sources=record.sources | dict.fromkeys(lengths, "flag"), plan=plan)


def check_settings_unchanged(record: RunConfig, preset: str | None, asked: Mapping[str, Any]) -> None:
    """Raise ConfigError for a setting that differs from the run's, except kimg, epochs and the path of the data.

    Data at another path must have the same digest, which `check_same_data` checks.
    """
    if preset is not None and preset != record.preset:
        raise ConfigError(
            f"--preset {platform.quote(preset)} differs from the run's {record.preset}; "
            "a resumed run keeps its preset: remove --preset"
        )
    configs.check_setting_names(asked, "the configuration")
    for name, value in asked.items():
        configs.check_setting(name, value)
        kept = getattr(record.train, name)
        is_other = value != kept and (name != "data" or value in DATASETS)
        if is_other and name not in ("kimg", "epochs"):
            unit, end = ("s", "; only --kimg and --epochs extend a run") if name == "time_budget" else ("", "")
            now, then = (f"{one:g}{unit}" if isinstance(one, float) else one for one in (value, kept))
            flag = configs.flag_name(name)
            raise ConfigError(
                f"{flag} {now} differs from the run's {then}; a resumed run keeps its settings: remove {flag}, or "
                f"start a new run{end}"
            )


def move_data(record: RunConfig, value: str | None) -> tuple[RunConfig, list[str]]:
    """Return the config with the place of the data as given by --data, and a note if it is another place."""
    if value is None or is_same_source(value, record.data.source):
        return record, []
    source = str(absolute_path(value))
    if value == record.train.data and not os.path.exists(source):  # a relative path, typed in another folder
        return record, []
    moved = replace(
        record,
        train=dataclasses.replace(record.train, data=value),
        sources=record.sources | {"data": "flag"},
        data=replace(record.data, source=source),
    )
    return moved, [f"the images are now read from {source}, not from {record.data.source}; the run's record keeps this"]


def check_data_exists(run: RunDir, record: RunConfig) -> None:
    source = record.data.source
    if not has_data(source):
        raise DataError(
            f"the images of {run.path} are no longer at {source}; give their new place: "
            f"gancli train --resume {platform.quote(run.path)} --data FOLDER"
        )


def is_same_source(value: str, source: str) -> bool:
    return source in (value, str(absolute_path(value)))
