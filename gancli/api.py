"""Train, load, generate and evaluate from Python, with the same code as the commands."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gancli import events, presets
from gancli.config import EVALUATION_IMAGES, MAX_SEEDS
from gancli.core import devices
from gancli.core.networks import model_file
from gancli.core.sampling.generate import generate_samples
from gancli.core.training import finetune
from gancli.core.training.trainer import Trainer
from gancli.errors import ConfigError, ContractError
from gancli.files import find_model
from gancli.files.run_config import read_run_config, to_json
from gancli.files.run_folder import RunDir
from gancli.files.run_log import read_metric_records
from gancli.files.scores import Evaluation, Score
from gancli.metrics.suite import check_metric_names
from gancli.workflows import evaluation, notebook, sampling, training
from gancli.workflows.evaluation import ScoredSource
from gancli.workflows.live import show_in_notebook, stop_on_interrupt

__all__ = ["Evaluation", "Model", "Run", "Score", "evaluate", "generate", "load", "train"]

RUNS = Path("runs")
ImageArray = npt.NDArray[np.uint8]
logger = logging.getLogger("gancli")


@dataclass(frozen=True)
class Model(model_file.Model):
    """A generator ready to use, its metadata, and its digest. A notebook shows it with a grid of samples."""

    def _repr_html_(self) -> str:
        return notebook.show_model(self)


@dataclass(frozen=True)
class Run:
    """A run folder. Each access to an attribute reads the files again. A notebook shows it with its samples."""

    path: Path

    @property
    def record(self) -> dict[str, object]:
        """All settings and decisions of the run, as in config.json."""
        return to_json(read_run_config(RunDir.open(self.path).config))

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl: each has a kind ("tick", "epoch" or "eval"), nimg and numbers."""
        return read_metric_records(RunDir.open(self.path))

    def model(self, *, best: bool = False, device: str = "cpu") -> Model:
        """Load the generator of the run: the latest one, or with best=True the one with the best score."""
        return load(self.path, best=best, device=device)

    def _repr_html_(self) -> str:
        return notebook.show_run(RunDir(self.path))


def train(
    data: str | Path | None = None,
    *,
    preset: str | None = None,
    outdir: str | Path = RUNS,
    resume: str | Path | None = None,
    init: str | Path | None = None,
    log: str | None = None,
    live: bool = True,
    on_event: Callable[[events.Event], None] | None = None,
    **settings: Any,
) -> Run:
    """Train a GAN and write a run folder, as `gancli train` does.

    data: a name such as "mnist-5k", or the path of a folder, zip or npz.
    settings: flags of `gancli train --help`, with underscores: kimg=100, batch_size=32, clusters=0, time_budget=60
    (seconds) or "60s".
    resume: a run to continue, or to extend with kimg or epochs. init: a run or model file to start from.
    log: a tracker: "tensorboard", or one that you added to gancli.trackers.registry.TRACKERS.
    live: in a notebook, show progress, curves and the newest samples during training.
    on_event: called with each event of gancli.events. If it raises StopIteration, training ends after the current step
    and saves everything.
    Warnings and notes go to the logger "gancli". Ctrl-C, or the stop button of a notebook, saves everything after the
    current step and then raises KeyboardInterrupt.
    Raises ConfigError, DataError, RunError and other subclasses of GancliError. Each message is one line and tells you
    how to fix the problem.
    """
    asked = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
    if data is not None:
        asked["data"] = str(data)
    if resume is not None and init is not None:
        raise ConfigError("resume and init cannot be combined; give one")
    if resume is not None:
        run = RunDir.find(Path(resume), Path(outdir))
        with show_in_notebook(run, is_wanted=live) as show, run.lock():
            trainer = training.reopen_run(run, preset, asked, log=log)
            log_notes(trainer.notes)
            if trainer.is_finished:
                trainer.restore_files()
            run_to_end(trainer, show, on_event)
        return Run(run.path)
    name, config, sources = presets.resolve_config(preset, {}, asked)
    pretrained = finetune.load_pretrained(Path(init), Path(outdir)) if init is not None else None
    plan = training.plan_run(name, config, sources, pretrained, log=log)
    plan.rehearse(always=False)
    log_notes([*(pretrained.notes if pretrained else ()), *plan.notes, *plan.warnings])
    run = RunDir.create(Path(outdir), plan.folder)
    with show_in_notebook(run, is_wanted=live) as show, run.remove_if_unsaved(), run.lock():
        run_to_end(plan.create_trainer(run), show, on_event)
    return Run(run.path)


def run_to_end(
    trainer: Trainer, show: Callable[[events.Event], None], on_event: Callable[[events.Event], None] | None
) -> None:
    """Train to the end, or until on_event or an interrupt stops it; then draw the plots, the film and the report.

    show: displays events. An interrupt is raised again after that.
    """

    def handle(event: events.Event) -> None:
        if isinstance(event, events.Warned):
            logger.warning(event.text)
        try:
            if on_event:
                on_event(event)
        except StopIteration:
            trainer.stop()
        show(event)

    with stop_on_interrupt(trainer.stop) as interrupts:
        training.run_trainer(trainer, handle, logger.warning)
    training.draw_run_outputs(trainer.run_dir)
    if interrupts:
        if not trainer.is_finished:
            logger.warning("stopped; continue with gancli.train(resume=%r)", str(trainer.run_dir.path))
        raise KeyboardInterrupt


def log_notes(notes: Iterable[str]) -> None:
    for note in notes:
        logger.warning(note)


def load(path: str | Path, *, best: bool = False, device: str = "cpu", outdir: str | Path = RUNS) -> Model:
    """Load the generator of a run folder, of a run named under outdir, or of a model file. best: model-best of a run.

    `.G` is the torch module, `.info` its metadata, `.digest` the sha256. Raises RunError, FileFormatError.
    """
    file, _ = find_model.locate_model(Path(path), Path(outdir), best=best)
    model = model_file.load_model(file, devices.resolve_device(device))
    return Model(model.G, model.info, model.digest)


def generate(
    model: Model,
    n: int | None = None,
    *,
    seeds: Iterable[int] | None = None,
    classes: str | Sequence[str | int] | None = None,
    trunc: float = 1,
) -> ImageArray:
    """Generate images -> uint8 [N,H,W,C], C 1 or 3. A seed gives the same image as in `gancli sample`.

    n: use seeds 0 to n - 1 [default: 64]. seeds: use these seeds instead. classes: names, numbers, or "all"; every seed
    is generated in each of them. By default, each seed gets one class. trunc: factor on the latents, 0 to 2.
    Raises ConfigError for unknown classes and for numbers out of range.
    """
    if n is not None and seeds is not None:
        raise ConfigError("n and seeds cannot be combined; give one")
    chosen = None if seeds is None else [int(seed) for seed in seeds]
    request = sampling.plan_samples(model.info, chosen, sampling.N_SAMPLES if n is None else n, classes, trunc)
    made = torch.cat([batch.pictures for batch in generate_samples(model, request)])
    return np.ascontiguousarray(made.permute(0, 2, 3, 1).numpy())


def evaluate(
    fake: Model | Run | ImageArray | str | Path,
    data: str | Path | None = None,
    *,
    n: int = EVALUATION_IMAGES,
    metrics: Sequence[str] | None = None,
    features: str = "auto",
    seed: int = 0,
) -> Evaluation:
    """Score a model, a run, images uint8 [N,H,W] or [N,H,W,C], or the path of any of them, as `gancli evaluate` does.

    data: the real images [default: the model's training data]. n: score at most this many images. metrics: names from
    gancli.metrics.suite.METRICS [default: all]. features: a feature extractor. seed: for random choices.
    `.scores[name]` has value, floor (the score of a perfect generator) and reading. `.conditions` has the numbers of
    images and the feature extractor. Raises ConfigError, DataError, ContractError.
    """
    names = check_metric_names(metrics)
    if not 0 < n <= MAX_SEEDS:
        raise ConfigError(f"n must be from 1 to {MAX_SEEDS:,}, got {n}")
    source = open_fake(fake)
    if data is None and not source.model:
        raise ConfigError("only images were given; set data to the real images to compare them with")
    reals = evaluation.load_reals([source], None if data is None else str(data))
    (scored,) = evaluation.evaluate([source], reals, n=n, metrics=names, extractor=features, seed=seed)
    return scored.evaluation


def open_fake(fake: Model | Run | ImageArray | str | Path) -> ScoredSource:
    if isinstance(fake, model_file.Model):
        return ScoredSource("the model", model=fake)
    if isinstance(fake, np.ndarray):
        return ScoredSource("the array", pictures=images_from_array(fake))
    path = fake.path if isinstance(fake, Run) else Path(fake)
    return evaluation.open_scored_source(path, RUNS, devices.resolve_device("cpu"))


def images_from_array(pictures: ImageArray) -> torch.Tensor:
    """Convert uint8 [N,H,W] or [N,H,W,C] to uint8 [N,C,H,W]. Raises ContractError for any other array."""
    if pictures.dtype != np.uint8 or pictures.ndim not in (3, 4) or not len(pictures):
        kind = f"{pictures.dtype} {list(pictures.shape)}"
        raise ContractError(f"expected images uint8 [N,H,W] or [N,H,W,C], got {kind}")
    if pictures.ndim == 3 and pictures.shape[2] <= 4:
        raise ContractError(f"expected several images, got a single one {list(pictures.shape)}; pass images[None]")
    channels_last = pictures.reshape(*pictures.shape[:3], -1)
    return torch.from_numpy(channels_last.transpose(0, 3, 1, 2).copy())
