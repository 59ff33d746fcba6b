"""The training loop: it trains, logs, saves, stops and resumes. It yields events and prints nothing."""

import shutil
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from gancli import events, platform
from gancli.config import TrainConfig, format_colour
from gancli.core import devices
from gancli.core.data import first_look
from gancli.core.data.dataset import ImageSet
from gancli.core.data.deep_pixels import MOST_BITS
from gancli.core.distributed import ALONE, World
from gancli.core.networks import model_file
from gancli.core.training import checkpoint, finetune, run_config, schedules
from gancli.core.training.engine import Engine
from gancli.core.training.image_log import ImageLogger
from gancli.core.training.monitor import Measurements, Monitor, Scorer
from gancli.core.training.time_budget import TimeBudget
from gancli.errors import ConfigError, DivergedError, FileFormatError, LostProcessError, MemoryLimitError
from gancli.files.run_config import RunConfig, write_run_config
from gancli.files.run_folder import RunDir, atomic_write, parse_nimg
from gancli.files.run_log import (
    EventLine,
    MetricsLine,
    append_line,
    drop_bad_events,
    drop_later_metrics,
    fsync_file,
    read_events,
)
from gancli.files.tensor_header import RESTORE_HINT

EndReason = Literal["finished", "time", "stopped"]

ROLLBACK_LR_FACTOR = 0.5  # the learning rate is multiplied by this after a rollback


class Trainer:
    """Trains one run, from its first step or its last checkpoint to the end of its plan.

    record: the contents of config.json, with the current plan (see `set_total_nimg`).
    """

    def __init__(
        self,
        run: RunDir,
        record: RunConfig,
        data: ImageSet,
        scorer: Scorer | None = None,
        init: finetune.PretrainedNetworks | None = None,
        world: World = ALONE,
    ) -> None:
        self.run_dir, self.scorer = run, scorer
        self.record = replace(record, eval=scorer.about) if scorer else record
        self.config = record.train
        self.engine = Engine(record, data, world, init)
        self.state = self.engine.state
        self.notes: list[str] = []
        self.train_s = 0.0
        self.saved_nimg = -1
        self._stop = False
        self.image_logger = ImageLogger(run, record, data, self.state.G_ema)
        self.monitor = Monitor(scorer.about if scorer else None)

    @classmethod
    def resume(
        cls, run: RunDir, record: RunConfig, data: ImageSet, scorer: Scorer | None = None, world: World = ALONE
    ) -> "Trainer":
        """Return a trainer that continues from the newest readable checkpoint; delete newer log lines and frames.

        Raises RunError, ConfigError, FileFormatError.
        """
        notes: list[str] = []
        found = recover_newest_checkpoint(run, notes)
        kept = found.record
        record, torch_notes = run_config.check_against_checkpoint(run, record, kept)
        record, process_notes = run_config.change_process_count(record, world.size)
        checkpoint.check_checkpoint_fits(found, record.train, record.model_spec)
        trainer = cls(run, record, data, scorer, world=world)
        trainer.notes = notes + torch_notes + process_notes
        trainer.train_s = checkpoint.restore_checkpoint(trainer.state, found)
        total, nimg = trainer.total_nimg, trainer.state.nimg
        if total is not None and total < nimg and total != kept.plan.total_nimg:
            raise ConfigError(
                f"a total of {total / 1000:g} kimg is below the {nimg / 1000:g} already trained; give a larger total"
            )
        trainer.rewind()
        return trainer

    def stop(self) -> None:
        """Ask `run` to finish its step, save and end. Safe to call from a signal handler."""
        self._stop = True

    @property
    def total_nimg(self) -> int | None:
        """Number of images at the end of the plan; None until a time budget has been planned."""
        return self.record.plan.total_nimg

    def set_total_nimg(self, total: int) -> None:
        """Set the total number of images, once a time budget has been planned."""
        self.record = replace(self.record, plan=replace(self.record.plan, total_nimg=total))
        self.engine.total_nimg = total

    @property
    def is_finished(self) -> bool:
        return self.total_nimg is not None and self.state.nimg >= self.total_nimg

    def run(self) -> Iterator[events.Event]:
        """Train to the end of the plan, or until `stop` or the time budget ends it."""
        state, first_nimg, spent_before = self.state, self.state.nimg, self.train_s
        self.begin()
        yield events.RunStarted(self.run_dir.path, first_nimg, self.total_nimg)
        clock = TimeBudget(
            max(self.config.time_budget - spent_before, 1.0) if self.total_nimg is None else 0.0, first_nimg
        )
        while True:
            try:
                reason = yield from self.train_until_end(clock, spent_before)
                break
            except DivergedError as err:
                yield self.roll_back(err)
                clock.restart_after_rollback(state.nimg)
            except MemoryLimitError as err:
                raise MemoryLimitError(f"{err}; {self.recovery_hint()}") from err
            except LostProcessError as err:
                raise LostProcessError(f"{err}; resume with {self.resume_command()}") from err
            except (RuntimeError, MemoryError) as err:
                if not devices.is_out_of_memory(err):
                    raise
                raise MemoryLimitError(f"out of memory at {state.nimg / 1000:g} kimg; {self.recovery_hint()}") from err
        self.log_event(reason)
        rate = (state.nimg - first_nimg) / max(self.train_s - spent_before, 1e-9)
        yield events.RunEnded(state.nimg, self.total_nimg or state.nimg, reason, self.train_s, rate)

    def begin(self) -> None:
        """Write the first files of a new run, and log the start or the resume."""
        self.engine.send_state()
        if self.state.nimg == 0:
            self.image_logger.save_reals()
            self.image_logger.save_frame(0)
            self.save_snapshot()
            self.write_config()  # last: a run with a config.json can be resumed
        self.run_dir.has_saved_checkpoint = True
        if any(line.event == "start" for line in read_events(self.run_dir.events)):
            self.log_event("resume")
        else:
            init = self.record.init
            self.log_event("start", text=f"starting from {finetune.describe_init(init)}" if init else "")

    def train_until_end(self, clock: TimeBudget, spent_before: float) -> Generator[events.Event, None, EndReason]:
        """Train until the plan is complete, the time is used up, or `stop` was called. Returns the reason."""
        state = self.state
        reason: EndReason = "finished"
        while not self.is_finished:
            if self._stop or clock.is_used_up():
                reason = "stopped" if self._stop else "time"
                break
            before = state.nimg
            self.engine.step()
            self.train_s = spent_before + clock.elapsed_s
            # On a GPU this check would wait until the step ends, so it is left to the next tick.
            if self.engine.device.type == "cpu" and not state.has_finite_tallies():
                raise self.divergence_error()

            yield from self.save_due_outputs(before)
            if self.total_nimg is None and clock.measure(state.nimg, state.nimg - before):
                yield from self.fix_plan(clock)
            if clock.wants_progress(state.nimg):
                left_s = clock.left_s(state.nimg, self.total_nimg)
                yield events.Progress(state.nimg, self.total_nimg, clock.images_per_s, left_s)
        if self.total_nimg is None and reason == "time":
            self.check_finite()
            self.set_total_nimg(state.nimg)
        yield from self.close(complete=reason != "stopped")
        return reason

    def roll_back(self, err: DivergedError) -> events.Warned:
        """Restore the newest checkpoint and halve the learning rate. Raises err if this run was rolled back before.

        This saves nothing: a run that is killed now resumes from the same checkpoint and repeats the same step.
        """
        state, nimg = self.state, self.state.nimg
        self.run_dir.check_owned()
        if state.lr_factor < 1:
            self.log_event("diverged")
            raise err
        notes: list[str] = []
        checkpoint.restore_checkpoint(state, recover_newest_checkpoint(self.run_dir, notes))
        state.lr_factor, self.saved_nimg, self.notes = ROLLBACK_LR_FACTOR, state.nimg, notes
        self.engine.send_state()
        self.rewind()
        retry = f"training continues from the checkpoint of {state.nimg / 1000:g} kimg with half the learning rate"
        text = "; ".join([f"a loss or weight was not finite at {nimg / 1000:g} kimg: {retry}", *self.notes])
        logged = read_events(self.run_dir.events)
        if not any(
            line.name == "diverged" and line.nimg == state.nimg for line in logged
        ):  # already logged if the run was killed after an earlier rollback
            self.log_event("warning", name="diverged", text=text)
        return events.Warned(state.nimg, "diverged", text)

    def fix_plan(self, clock: TimeBudget) -> Iterator[events.Event]:
        """Plan how many images fit into the time that is left, and save this total with a checkpoint."""
        sizes = schedules.batch_size_steps(self.config.batch_size, self.config.batch_ramp_kimg * 1000)
        self.check_finite()
        total = max(clock.plan(self.state.nimg, sizes), self.state.nimg + 1)
        self.set_total_nimg(total)
        self.sync_metrics()
        saved = self.save_snapshot()
        self.write_config()
        yield events.PlanFixed(total, clock.images_per_s)
        yield saved

    def save_due_outputs(self, before: int) -> Iterator[events.Event]:
        """Log, draw, score and save everything that is due after a step. before: images seen before the step."""
        config, nimg = self.config, self.state.nimg
        self.run_dir.check_owned()
        if schedules.is_due(before, nimg, len(self.engine.images)):
            yield self.measure("epoch")
        if schedules.is_due(before, nimg, config.tick_kimg * 1000):
            yield self.measure("tick")
            yield from self.warn()
        if schedules.is_frame_due(before, nimg):
            yield self.save_frame()
        if self.is_finished:
            return
        if self.scorer and config.eval_kimg and schedules.is_evaluation_due(before, nimg, config.eval_kimg * 1000):
            yield from self.evaluate(self.scorer)
        if schedules.is_due(before, nimg, config.snapshot_kimg * 1000) and self.saved_nimg != nimg:
            self.sync_metrics()
            yield self.save_snapshot()

    def close(self, *, complete: bool) -> Iterator[events.Event]:
        """Write the last lines and files of this session.

        complete: False for a stopped run, which can be resumed in the middle of a tick.
        """
        self.run_dir.check_owned()
        if complete:
            if self.state.has_tally(0):
                yield self.measure("tick")
            if not self.run_dir.frame(self.state.nimg).exists():
                yield self.save_frame()
            if self.scorer and self.monitor.last_scored_nimg != self.state.nimg:
                yield from self.evaluate(self.scorer)
        self.sync_metrics()
        yield self.save_snapshot()

    def measure(self, kind: Literal["tick", "epoch"]) -> events.Measured:
        self.check_finite()
        values: dict[str, float | None] = {**self.state.read_tally(0 if kind == "tick" else 1)}
        if kind == "tick":
            values |= self.engine.signals()
            if self.config.ada:
                values["augment_strength"] = self.state.strength
                self.state.adapt_augment_strength(values.get("r_v"))
        self.log_metrics(kind, Measurements(values))
        return events.Measured(kind, self.state.nimg, self.epoch, values)

    def evaluate(self, scorer: Scorer) -> Iterator[events.Event]:
        """Score the averaged generator. If it is the best so far, save it together with a checkpoint."""
        self.check_finite()
        scores, monitor, nimg = scorer.measure(self.state.G_ema), self.monitor, self.state.nimg
        is_best = self.log_metrics("eval", scores)
        if is_best:
            self.sync_metrics()
            saved = self.save_snapshot()
            model_file.save_model(self.run_dir.best_model, self.state.G_ema, self.model_info())
            yield saved
        score = scores.values.get(monitor.score)
        yield events.Scored(nimg, monitor.score, score, monitor.floor, is_best, scores.values)
        yield from self.warn()

    @property
    def epoch(self) -> float:
        return round(self.state.nimg / len(self.engine.images), 4)

    def log_metrics(self, kind: str, scores: Measurements) -> bool:
        """Add a line to metrics.jsonl. Returns whether it has the best score so far."""
        line = MetricsLine(kind, self.state.nimg, self.epoch, *scores, round(self.train_s, 3))
        append_line(self.run_dir.metrics, line)
        return self.monitor.follow(line)

    def warn(self) -> Iterator[events.Event]:
        """Log and yield the warnings that this run has not given yet."""
        for name, text in self.monitor.new_warnings().items():
            self.log_event("warning", name=name, text=text)
            yield events.Warned(self.state.nimg, name, text)

    def recovery_hint(self) -> str:
        """Return advice for a run that ran out of memory."""
        n = self.engine.batch_size
        smaller = f"--batch-size {n // 2}" if n >= 4 else "smaller networks or images"
        return f"free some memory and resume with {self.resume_command()}, or start a new run with {smaller}"

    def resume_command(self) -> str:
        return f"gancli train --resume {platform.quote(self.run_dir.path)}"

    def check_finite(self) -> None:
        """Raise DivergedError if the state is not finite. Called before writing a line, picture, plan or checkpoint."""
        if not self.state.is_finite():
            raise self.divergence_error()

    def divergence_error(self) -> DivergedError:
        last = self.run_dir.checkpoints()
        where = f"; the last good checkpoint is {last[0]}" if last else ""
        again = " again, with half the learning rate," if self.state.lr_factor < 1 else ""
        return DivergedError(
            f"training diverged{again} at {self.state.nimg / 1000:g} kimg: a loss or weight is not finite; "
            f"try a lower --lr or a higher --gamma{where}"
        )

    def save_frame(self) -> events.FrameSaved:
        self.check_finite()
        return events.FrameSaved(self.state.nimg, self.image_logger.save_frame(self.state.nimg))

    def save_snapshot(self) -> events.SnapshotSaved:
        """Save a checkpoint, the model and samples. Raises DivergedError if a weight is not finite."""
        state, run = self.state, self.run_dir
        self.check_finite()
        self.engine.check_equal()
        path = run.checkpoint(state.nimg)
        checkpoint.save_checkpoint(path, state, self.record, self.train_s)
        run.drop_old_checkpoints()
        model_file.save_model(run.model, state.G_ema, self.model_info())
        self.image_logger.save_samples()
        self.saved_nimg = state.nimg
        return events.SnapshotSaved(state.nimg, path)

    def model_info(self) -> model_file.ModelInfo:
        data, train = self.record.data, self.record.train
        known = model_file.TrainedOn(name=data.name, digest=data.digest)
        if data.clusters:
            known["clusters"] = data.clusters
        if train.fit != TrainConfig.fit:
            known["fit"] = train.fit
        options = run_config.recorded_options(self.record)
        if options.background and options.background != first_look.BLACK:
            known["background"] = format_colour(options.background)
        if options.bits < MOST_BITS:
            known["bits"] = options.bits
        return model_file.ModelInfo(
            spec=self.engine.spec,
            preset=self.record.preset,
            nimg=self.state.nimg,
            data=known,
            class_names=data.class_names,
            class_counts=data.class_counts,
        )

    def restore_files(self) -> None:
        """Rewrite the files of a finished run that are missing or older than the state.

        A run that was killed between its last checkpoint and its end has such files.
        """
        self.image_logger.restore(self.state.nimg)
        right = model_file.pack_model(self.state.G_ema, self.model_info())
        if not self.run_dir.model.is_file() or self.run_dir.model.read_bytes() != right:
            atomic_write(self.run_dir.model, right)
        self.image_logger.save_samples()
        ends = [line.nimg for line in read_events(self.run_dir.events) if line.event in ("finished", "time")]
        if self.state.nimg not in ends:
            self.log_event("finished")

    def rewind(self) -> None:
        """Delete log lines and frames that are newer than the checkpoint, and half-written files."""
        nimg, run = self.state.nimg, self.run_dir
        lines = drop_later_metrics(run.metrics, nimg)
        for path in run.frame_paths():
            if parse_nimg(path) > nimg:
                path.unlink()
        run.drop_old_checkpoints()
        run.frames.mkdir(exist_ok=True)
        for folder in (run.path, run.frames):
            for path in folder.glob(".*.partial"):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        self.write_config()
        self.monitor.restore(lines, drop_bad_events(run.events))
        self.restore_best(lines)

    def restore_best(self, lines: list[MetricsLine]) -> None:
        """Make model-best match the best score in the log.

        The file may be newer than the checkpoint, damaged, or missing because the run was killed before writing it.
        """
        best, path = self.monitor.best, self.run_dir.best_model
        kept = read_model_nimg(path, self.notes)
        if best is None or kept == best.nimg:
            return
        if best.nimg == self.state.nimg:
            model_file.save_model(path, self.state.G_ema, self.model_info())
            return
        self.monitor.best = self.monitor.score_of_model(
            lines, kept
        )  # the file may hold the model that replaced a lost one
        if self.monitor.best is None:
            lost = f"the model with the best score, {best.score:.4g} at {best.nimg / 1000:g} kimg, is lost"
            self.notes.append(f"{lost}; the next evaluation becomes the best one")

    def sync_metrics(self) -> None:
        if self.run_dir.metrics.exists():
            fsync_file(self.run_dir.metrics)

    def log_event(self, event: str, *, name: str = "", text: str = "") -> None:
        """Add a line to events.jsonl."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        append_line(self.run_dir.events, EventLine(event, self.state.nimg, name, text, now))

    def write_config(self) -> None:
        write_run_config(self.run_dir, self.record)


def read_model_nimg(path: Path, notes: list[str]) -> int | None:
    """Return the images seen by the model in a file; None if it is missing or damaged. A damaged file adds a note."""
    try:
        return model_file.load_model(path).info.nimg if path.exists() else None
    except FileFormatError as err:
        notes.append(str(err))
        return None


def recover_newest_checkpoint(run: RunDir, notes: list[str]) -> checkpoint.Checkpoint:
    """Return the newest readable checkpoint; rename damaged newer ones and add a note for each. Raises RunError."""
    found, faults = checkpoint.read_newest_checkpoint(run)
    for damaged, fault in faults:
        damaged.replace(damaged.with_suffix(".damaged"))
        reason = str(fault).removesuffix(f"; {RESTORE_HINT}")
        notes.append(f"{reason}; renamed to {damaged.stem}.damaged, continuing from the checkpoint before it")
    return found
