"""Plan, create, reopen and run a Trainer, for the command line and the library."""

import dataclasses
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from gancli import presets
from gancli.config import TrainConfig
from gancli.core import devices
from gancli.core.data import clusters, load, statistics
from gancli.core.data.dataset import ImageSet
from gancli.core.data.load import ignore_progress
from gancli.core.data.pixel_cache import ProgressCallback
from gancli.core.distributed import ALONE, World
from gancli.core.training import autotune, finetune, machine_notes, run_config, trial
from gancli.core.training.finetune import PretrainedNetworks
from gancli.core.training.monitor import Scorer
from gancli.core.training.trainer import Trainer
from gancli.core.training.trial import Trial
from gancli.events import Event, Measured, RunEnded, RunStarted, Scored, SnapshotSaved
from gancli.files.run_config import RunConfig, read_run_config
from gancli.files.run_folder import RunDir
from gancli.trackers import registry
from gancli.workflows import evaluation
from gancli.workflows.pace import Pace, describe_failure


@dataclass(eq=False)
class RunPlan:
    """A new run that is planned but not started.

    images: as loaded; trained: with the labels for training. machine_notes: empty before `rehearse`.
    """

    record: RunConfig
    images: ImageSet
    trained: ImageSet
    start: PretrainedNetworks | None = None
    world: World = ALONE
    machine_notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def folder(self) -> str:
        """The name of the run folder, without its number."""
        return f"{self.record.preset}-{folder_slug(self.images.name)}"

    @property
    def notes(self) -> list[str]:
        """Notes to show to the user if no report is shown."""
        skipped = self.images.report.skipped if self.images.report else ()
        settings = [*run_config.run_config_notes(self.record), *self.machine_notes]
        return [*self.images.notes, *settings, *skipped]

    @property
    def warnings(self) -> list[str]:
        """Warnings to show to the user if no report is shown: those about images that show nothing."""
        return statistics.pixel_warnings(self.images)

    def rehearse(self, *, always: bool) -> Trial | None:
        """Choose "auto" threads and precision, and try a few steps if memory may be too small.

        always: try them in any case. Returns None if no steps were tried. Raises MemoryLimitError.
        """
        self.record = autotune.tune_machine(self.record, self.trained)
        self.machine_notes = [
            *machine_notes.machine_notes(self.record),
            *machine_notes.slow_bf16_notes(self.record, self.trained),
        ]
        is_tried = always or trial.may_exceed_memory(self.record)
        return trial.run_trial(self.record, self.trained) if is_tried else None

    def create_trainer(self, run: RunDir, progress: ProgressCallback = ignore_progress) -> Trainer:
        """Create the trainer of the run, whose folder must be locked."""
        scorer = build_run_scorer(self.record, self.images, self.world, progress)
        return Trainer(run, self.record, self.trained, scorer, self.start, self.world)


def plan_run(
    preset: str,
    config: TrainConfig,
    sources: dict[str, str],
    init: PretrainedNetworks | None = None,
    *,
    job: str | None = None,
    log: str | None = None,
    is_survey: bool = False,
    progress: ProgressCallback = ignore_progress,
    world: World = ALONE,
) -> RunPlan:
    """Load the data and plan a new run.

    job: id of the torchrun job. log: name of the tracker. is_survey: report every bad file, and verify the cache.
    Raises ConfigError, DataError and other subclasses of GancliError.
    """
    devices.resolve_device(config.device)
    tracker = registry.create_tracker(log or registry.NONE)
    if init:
        config, sources = finetune.adopt_pretrained_settings(
            config, sources, init, has_own_size=load.has_fixed_size(config.data)
        )
    options = run_config.transform_options(config)
    if is_survey:
        options = dataclasses.replace(options, max_bad=sys.maxsize)
    images = load.load_dataset(config.data, options, progress, verify=is_survey)
    trained = clusters.with_training_labels(
        images, conditional=config.conditional, clusters=config.clusters, progress=progress
    )
    record = run_config.build_run_config(preset, config, sources, trained, world.size)
    record = replace(record, job=job, log=log if tracker else None)
    world.check_shares(run_config.run_batch_sizes(record.train))
    if init:
        record = replace(record, init=finetune.build_init_entry(init, record))
    return RunPlan(record, images, trained, init, world)


def reopen_run(
    run: RunDir,
    preset: str | None = None,
    asked: Mapping[str, Any] | None = None,
    *,
    log: str | None = None,
    progress: ProgressCallback = ignore_progress,
    world: World = ALONE,
) -> Trainer:
    """Reopen a run whose folder is locked, to continue it.

    asked: only kimg, epochs and the path of the data may differ from the run's. A new length plans the schedules again,
    and data at another path must be the same images. log: a new tracker. New values are saved in the config.
    Raises ConfigError for other settings, RunError, DataError, FileFormatError.
    """
    record = read_run_config(run.config)
    asked = presets.parse_setting_values(asked or {})
    preset_in_file = asked.pop("preset", None)
    run_config.check_settings_unchanged(record, preset_in_file if preset is None else preset, asked)
    if log is not None:
        registry.create_tracker(log)
        record = replace(record, log=log)
    record, notes = run_config.move_data(record, asked.get("data"))
    run_config.check_data_exists(run, record)
    record = run_config.extend_run(record, kimg=asked.get("kimg"), epochs=asked.get("epochs"))
    world.check_shares(run_config.run_batch_sizes(record.train))
    images, trained = run_config.load_run_images(record, progress, verify=True)
    run_config.check_same_data(record, trained)
    trainer = Trainer.resume(run, record, trained, build_run_scorer(record, images, world, progress), world)
    if notes:
        trainer.notes = [*notes, *trainer.notes]
        trainer.write_config()
    return trainer


def build_run_scorer(record: RunConfig, images: ImageSet, world: World, progress: ProgressCallback) -> Scorer | None:
    """Build the scorer for training; None if evaluation is turned off."""
    if not record.train.eval_kimg:
        return None
    counts = record.data.class_counts
    return evaluation.build_scorer(images, record.model_spec, counts, progress=progress, world=world)


def draw_run_outputs(run: RunDir) -> None:
    """Write plots, progress.gif and report.html, from the run folder alone."""
    from gancli.report import film, page, plots  # after training: they take a second to import

    run.check_owned()
    plots.draw_plots(run)
    film.write_progress_film(run)
    page.write_report(run)


def run_trainer(trainer: Trainer, show: Callable[[Event], None], warn: Callable[[str], None]) -> RunEnded | None:
    """Train to the end of the plan, or until the run is stopped. Returns the RunEnded event.

    If the run was already finished, it returns None. Each event goes to `show`, then to the tracker and the report
    page. Errors of these two go to `warn` and do not end training.
    """
    ended, refresh = None, ReportRefresher(trainer.run_dir, warn)
    tracker = registry.tracker_of_run(trainer.record, warn)
    with registry.track_events(tracker, trainer.record, warn) as tell:
        for event in trainer.run() if not trainer.is_finished else ():
            show(event)
            tell(event)
            refresh(event)
            if isinstance(event, RunEnded):
                ended = event
    return ended


class ReportRefresher:
    """Refreshes report.html at the start, at ticks, evaluations and snapshots, in at most 1 % of the time."""

    def __init__(self, run: RunDir, warn: Callable[[str], None], clock_s: Callable[[], float] = time.monotonic) -> None:
        self.run, self.warn, self.pace = run, warn, Pace(clock_s)

    def __call__(self, event: Event) -> None:
        if not isinstance(event, RunStarted | Measured | Scored | SnapshotSaved) or not self.pace.is_due():
            return
        with self.pace.draw():
            if not refresh_report(self.run, self.warn):
                self.warn = ignore_warning  # warn only once


def refresh_report(run: RunDir, warn: Callable[[str], None]) -> bool:
    """Write report.html again. Returns whether that worked; errors only go to `warn`."""
    from gancli.report import page

    try:
        run.check_owned()
        page.write_report(run)
    except Exception as err:
        warn(f"cannot refresh {run.report}: {describe_failure(err)}")
        return False
    return True


def ignore_warning(_: str) -> None: ...


def folder_slug(name: str) -> str:
    """Convert a data set's name to lower-case letters, digits and hyphens, for a folder name."""
    return re.sub(r"[^a-z0-9]+", "-", Path(name).name.lower()).strip("-")[:40] or "data"
