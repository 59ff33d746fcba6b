"""The training loop: steps, what is logged and saved when, stopping and going on. Yields events, draws nothing."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gancli import config as configs
from gancli import media
from gancli.core import checkpoint, devices, images, latents, modelfile, records, schedules
from gancli.core.clock import Clock
from gancli.core.data import ImageSet, batch_indices
from gancli.core.generate import generate
from gancli.core.state import TrainState
from gancli.errors import ConfigError, DamagedFileError, DivergedError, RunError
from gancli.events import Event, FrameSaved, Measured, PlanFixed, Progress, RunEnded, RunStarted, SnapshotSaved
from gancli.rundir import RunDir, append_jsonl, atomic_write, nimg_of

COLUMNS, ROWS = 10, 8
PICTURE_PX = 600  # run pictures are enlarged by a whole factor to about this width


class Trainer:
    """One run, from its first step or its last checkpoint to the end of its plan."""

    def __init__(self, run: RunDir, record: dict[str, Any], data: ImageSet) -> None:
        self.run_dir, self.record, self.data = run, record, data
        self.config = configs.from_values(record["train"])
        self.warnings: list[str] = []
        self.train_s = 0.0
        self._stop = False
        machine = record["machine"]
        devices.prepare_cpu(machine["threads"])
        self.device = devices.resolve(machine["device"])
        self.spec = records.spec(record)
        self.state = TrainState(self.config, self.spec, self.device)
        self.images = data.images.to(self.device)
        self.labels = data.labels.to(self.device) if self.spec.n_classes and data.labels is not None else None

    @classmethod
    def resume(cls, run: RunDir, record: dict[str, Any], data: ImageSet) -> "Trainer":
        """Go on from the newest checkpoint that can be read; what came after it is taken back."""
        warnings: list[str] = []
        tensors, meta, path = newest_checkpoint(run, warnings)
        warnings += records.compare(run, record, meta.get("record"))
        trainer = cls(run, record, data)
        trainer.warnings = warnings
        trainer.train_s = checkpoint.restore(trainer.state, tensors, meta, path)
        total, nimg = trainer.total_nimg, trainer.state.nimg
        if total is not None and total < nimg and total != meta["record"]["plan"]["total_nimg"]:
            raise ConfigError(
                f"a total of {total / 1000:g} kimg is below the {nimg / 1000:g} already trained; give more"
            )
        trainer.rewind()
        return trainer

    def stop(self) -> None:
        """Ask `run` to finish its step, save and end. Safe to call from a signal handler."""
        self._stop = True

    @property
    def total_nimg(self) -> int | None:
        total: int | None = self.record["plan"]["total_nimg"]
        return total

    @property
    def is_finished(self) -> bool:
        return self.total_nimg is not None and self.state.nimg >= self.total_nimg

    def run(self) -> Iterator[Event]:
        """Train to the end of the plan, or until `stop` or the time budget ends it."""
        state, first_nimg, spent_before = self.state, self.state.nimg, self.train_s
        if first_nimg == 0:
            self.run_dir.write_json(self.run_dir.config, self.record)
            self.save_reals()
            self.save_frame()
            self.save_snapshot()
        self.run_dir.is_born = True
        self.note("resume" if first_nimg else "start")
        yield RunStarted(self.run_dir.path, first_nimg, self.total_nimg)

        clock = Clock(max(self.config.time_budget - spent_before, 1.0) if self.total_nimg is None else 0.0, first_nimg)
        reason: Literal["finished", "time", "stopped"] = "finished"
        with open(self.run_dir.metrics, "a", encoding="utf-8") as log:
            while not self.is_finished:
                if self._stop or clock.is_over():
                    reason = "stopped" if self._stop else "time"
                    break
                before = state.nimg
                self.step()
                self.train_s = spent_before + clock.elapsed_s

                if self.total_nimg is None and clock.measure(state.nimg):
                    yield from self.fix_plan(clock, log)
                yield from self.keep(log, before)
                if clock.wants_progress(state.nimg):
                    left_s = clock.left_s(state.nimg, self.total_nimg)
                    yield Progress(state.nimg, self.total_nimg, clock.images_per_s, left_s)
            if self.total_nimg is None and reason == "time":
                self.record["plan"]["total_nimg"] = state.nimg
            yield from self.close(log, complete=reason != "stopped")
        self.note(reason)
        rate = (state.nimg - first_nimg) / max(self.train_s - spent_before, 1e-9)
        yield RunEnded(state.nimg, self.total_nimg or state.nimg, reason, self.train_s, rate)

    def step(self) -> None:
        nimg, config = self.state.nimg, self.config
        n = schedules.batch_size(nimg, config.batch_size, config.batch_ramp_kimg * 1000)
        index = self.batch_indices(nimg, n).to(self.device)
        labels = None if self.labels is None else self.labels[index]
        t, epochs = schedules.progress(nimg, self.total_nimg), nimg / len(self.images)
        self.state.step(self.images[index], labels, t, epochs)

    def batch_indices(self, nimg: int, n: int) -> Tensor:
        return batch_indices(len(self.images), self.config.seed, nimg, n)

    def fix_plan(self, clock: Clock, log: IO[str]) -> Iterator[Event]:
        """Turn the time that is left into a total number of images, from a checkpoint that knows it onwards."""
        total = max(clock.plan(self.state.nimg), self.state.nimg + 1)
        self.record["plan"]["total_nimg"] = total
        self.sync(log)
        saved = self.save_snapshot()
        self.run_dir.write_json(self.run_dir.config, self.record)
        yield PlanFixed(total, clock.images_per_s)
        yield saved

    def keep(self, log: IO[str], before: int) -> Iterator[Event]:
        """Log, picture and save whatever the last step made due."""
        config, nimg = self.config, self.state.nimg
        if schedules.due(before, nimg, len(self.images)):
            yield self.measure(log, "epoch")
        if schedules.due(before, nimg, config.tick_kimg * 1000):
            yield self.measure(log, "tick")
        if schedules.frame_due(before, nimg):
            yield FrameSaved(nimg, self.save_frame())
        if schedules.due(before, nimg, config.snapshot_kimg * 1000) and not self.is_finished:
            self.sync(log)
            yield self.save_snapshot()

    def close(self, log: IO[str], *, complete: bool) -> Iterator[Event]:
        """The last lines and files of this stretch; a stopped run keeps its open tick for later."""
        if complete:
            if self.state.tallies[0, -1] > 0:
                yield self.measure(log, "tick")
            if not self.run_dir.frame(self.state.nimg).exists():
                yield FrameSaved(self.state.nimg, self.save_frame())
        self.sync(log)
        yield self.save_snapshot()

    def measure(self, log: IO[str], kind: str) -> Measured:
        if not bool(self.state.tallies.isfinite().all()):
            raise self.diverged()
        values = self.state.read_tally(0 if kind == "tick" else 1)
        nimg, epoch = self.state.nimg, round(self.state.nimg / len(self.images), 4)
        line = {"kind": kind, "nimg": nimg, "epoch": epoch, **values, "train_s": round(self.train_s, 3)}
        append_jsonl(log, line)
        return Measured("tick" if kind == "tick" else "epoch", nimg, epoch, values)

    def diverged(self) -> DivergedError:
        last = self.run_dir.checkpoints()
        where = f"; the last good checkpoint is {last[0]}" if last else ""
        return DivergedError(
            f"training diverged before {self.state.nimg / 1000:.1f} kimg: a loss or weight is not finite; "
            f"try a lower --lr or a higher --gamma{where}"
        )

    def save_snapshot(self) -> SnapshotSaved:
        """Checkpoint, model and samples of this moment; never of weights that are not finite."""
        state, run = self.state, self.run_dir
        if not state.is_finite():
            raise self.diverged()
        path = run.checkpoint(state.nimg)
        checkpoint.save(path, state, {"record": self.record, "train_s": self.train_s})
        run.drop_old_checkpoints()
        modelfile.save(run.model, state.G_ema, self.model_info())
        self.save_samples()
        return SnapshotSaved(state.nimg, path)

    def model_info(self) -> modelfile.ModelInfo:
        data = self.record["data"]
        return modelfile.ModelInfo(
            spec=self.spec,
            preset=self.record["preset"],
            nimg=self.state.nimg,
            data={"name": data["name"], "digest": data["digest"]},
            class_names=tuple(data["class_names"]),
            class_counts=tuple(data["class_counts"]),
        )

    def frame_picture(self) -> npt.NDArray[np.uint8]:
        """The same latents at every point of training, classes in columns when there are some."""
        z = latents.from_seeds(range(COLUMNS * ROWS), self.spec.z_dim)
        return images.grid(generate(self.state.G_ema, z, self.column_labels()), COLUMNS)

    def column_labels(self) -> Tensor | None:
        if not self.spec.n_classes:
            return None
        present = torch.tensor(self.record["data"]["class_counts"]).nonzero().flatten()
        return present[torch.arange(COLUMNS * ROWS) % COLUMNS % len(present)]

    def save_frame(self) -> Path:
        path = self.run_dir.frame(self.state.nimg)
        media.write_png(path, self.frame_picture())
        return path

    def save_samples(self) -> None:
        media.write_png(self.run_dir.samples, media.enlarge(self.frame_picture(), self.scale))

    def save_reals(self) -> None:
        """Training images in the layout of the samples."""
        labels = self.column_labels()
        chosen = self.batch_indices(0, COLUMNS * ROWS)
        if labels is not None and self.data.labels is not None:
            members = [torch.nonzero(self.data.labels == label).flatten() for label in range(self.spec.n_classes)]
            picks = [(members[label], position // COLUMNS) for position, label in enumerate(labels.tolist())]
            chosen = torch.stack([some[row % len(some)] for some, row in picks])
        picture = images.grid(self.data.images[chosen], COLUMNS)
        media.write_png(self.run_dir.reals, media.enlarge(picture, self.scale))

    @property
    def scale(self) -> int:
        return max(1, PICTURE_PX // (COLUMNS * self.spec.resolution))

    def restore_pictures(self) -> None:
        """Make again what is missing of the pictures that the present state can give."""
        if not self.run_dir.reals.exists():
            self.save_reals()
        if not self.run_dir.samples.exists():
            self.save_samples()
        if not self.run_dir.frame_paths():
            self.run_dir.frames.mkdir(exist_ok=True)
            self.save_frame()
        if not self.run_dir.model.exists():
            modelfile.save(self.run_dir.model, self.state.G_ema, self.model_info())

    def rewind(self) -> None:
        """Take back log lines, frames and half-written files that came after the checkpoint."""
        nimg, run = self.state.nimg, self.run_dir
        lines = [line for line in run.read_metrics() if line["nimg"] <= nimg]
        atomic_write(run.metrics, "".join(json.dumps(line) + "\n" for line in lines).encode())
        for path in run.frame_paths():
            if nimg_of(path) > nimg:
                path.unlink()
        for folder in (run.path, run.frames):
            for path in folder.glob(".*.partial"):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        run.write_json(run.config, self.record)

    def sync(self, log: IO[str]) -> None:
        log.flush()
        os.fsync(log.fileno())

    def note(self, what: str) -> None:
        with open(self.run_dir.events, "a", encoding="utf-8") as file:
            append_jsonl(file, {"event": what, "nimg": self.state.nimg, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")})


def newest_checkpoint(run: RunDir, warnings: list[str]) -> tuple[dict[str, Tensor], dict[str, Any], Path]:
    """Tensors and metadata of the newest checkpoint that can be read; damaged newer ones are set aside."""
    faults: list[tuple[Path, DamagedFileError]] = []
    for path in run.checkpoints():
        try:
            found = checkpoint.read(path)
        except DamagedFileError as err:
            faults.append((path, err))
            continue
        for damaged, fault in faults:
            damaged.rename(damaged.with_suffix(".damaged"))
            warnings.append(f"{fault}; set aside as {damaged.stem}.damaged, going on from the checkpoint before it")
        return *found, path
    raise RunError(f"{run.path} has no checkpoint that can be read; start a new run")
