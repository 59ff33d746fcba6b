"""gancli train: from a data set to a model, samples, plots and a progress film."""

import contextlib
import signal
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gancli import config as configs
from gancli import platform, presets
from gancli.cli import options as opt
from gancli.cli import processes
from gancli.cli.completion import complete_runs
from gancli.errors import ConfigError, DataError
from gancli.events import Event, Warned
from gancli.files.run_folder import RunDir
from gancli.trackers import registry

if TYPE_CHECKING:
    from gancli.core.distributed import World
    from gancli.core.training.trainer import Trainer
    from gancli.workflows.training import RunPlan

Settings = Mapping[str, Any]  # values as the user wrote them; gancli.presets checks them


@opt.with_setting_flags
def train(
    ctx: typer.Context,
    preset: opt.Preset = None,
    outdir: opt.Outdir = Path("runs"),
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Run folder to continue; --kimg or --epochs extend the run.",
            autocompletion=complete_runs,
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            "--init",
            metavar="RUN|MODEL",
            help="Run folder or model file that provides the initial networks.",
            autocompletion=complete_runs,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE.toml", help="File with settings; flags override it.")
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            "--log",
            metavar=f"{'|'.join(registry.TRACKERS)}|{registry.NONE}",
            help="Tracker that also receives the metrics; a resumed run keeps its tracker.  [default: none]",
            rich_help_panel=configs.RUN_PANEL,
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Check the data, try a few steps, print a full report and stop.")
    ] = False,
    preview: opt.Preview = True,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
    **settings: str | float | None,
) -> None:
    """Train a GAN and write a run folder with the model, samples, plots and progress.gif.

    Without options it trains on MNIST digits for a few minutes.

    A flag overrides --config, which overrides the preset.
    """
    opt.check_exclusive(resume=resume, init=init)
    flags = {name: value for name, value in settings.items() if value is not None}
    asked = TrainRequest(preset, read_toml(config) if config else {}, flags, log, ctx.obj, preview, as_json, quiet)
    if resume is not None and dry_run:
        raise ConfigError("--dry-run checks a new run; remove --resume")
    begun = None if resume is not None or dry_run else processes.find_interrupted_run(outdir)
    if resume is not None:
        begun = RunDir.find(resume, outdir)
    if begun:
        resume_run(begun, asked)
    else:
        plan_new_run(asked, init, outdir, dry_run=dry_run)


@dataclass(frozen=True)
class TrainRequest:
    """The parsed command line: settings grouped by source, and display options. world: see processes.py."""

    preset: str | None
    from_file: Settings
    flags: Settings
    log: str | None
    world: "World | None"
    preview: bool
    as_json: bool
    quiet: bool


def plan_new_run(asked: TrainRequest, init: Path | None, outdir: Path, *, dry_run: bool) -> None:
    name, config, sources = presets.resolve_config(asked.preset, asked.from_file, asked.flags)
    from gancli.cli import datareport, render
    from gancli.core.distributed import ALONE
    from gancli.core.training import finetune
    from gancli.workflows import training

    quiet, job, world = asked.quiet, processes.torchrun_job_id(), asked.world or ALONE
    start = finetune.load_pretrained(init, outdir) if init else None
    render.print_notes(start.notes if start else ())
    with render.step_progress_bars(quiet=quiet) as track:
        plan = training.plan_run(
            name, config, sources, start, job=job, log=asked.log, is_survey=dry_run, progress=track, world=world
        )
    if dry_run:
        print_dry_run(plan, asked)
        return
    trial = plan.rehearse(always=not quiet)
    if quiet:
        render.print_notes(plan.notes)
        render.print_warnings(plan.warnings)
    report = None if quiet else datareport.build_run_report(plan, trial)
    run = RunDir.create(outdir, plan.folder)
    with run.remove_if_unsaved(), run.lock():
        if report:
            datareport.print_summary(replace(report, picture=str(run.reals)), plan.record)
        with render.step_progress_bars(quiet=quiet) as track:
            trainer = plan.create_trainer(run, track)
        run_until_signal(trainer, asked)


def print_dry_run(plan: "RunPlan", asked: TrainRequest) -> None:
    """Print the full report before training. Then raise DataError if a run would refuse the data."""
    from gancli.cli import datareport, preview, render
    from gancli.core.data import load, statistics
    from gancli.core.training import image_log
    from gancli.files.run_config import to_json
    from gancli.workflows import training

    record, images, trained = plan.record, plan.images, plan.trained
    as_json, quiet = asked.as_json, asked.quiet
    n_bad, most = len(images.report.faults) if images.report else 0, record.train.max_bad
    trial = None
    if n_bad <= most:
        render.print_status("trying a few steps", quiet=quiet or as_json)
        trial = plan.rehearse(always=True)
        record = plan.record
    report = datareport.build_run_report(plan, trial)
    grid = image_log.augmented_examples(record, trained)
    copies = report.data.duplicates or statistics.count_copies(images)
    picture = image_log.save_preview(training.folder_slug(images.name), grid, images.resolution)
    report = replace(report, data=replace(report.data, duplicates=copies), picture=picture)
    if as_json:
        render.print_json({**to_json(record), "report": report.to_json()})
    else:
        if asked.preview and not quiet and preview.can_show(console := render.stderr_console()):
            preview.print_sample_grid(console, grid, images.resolution)
        datareport.print_full_report(report, record)
    if images.report and n_bad > most:
        way_out = load.bad_files_advice(n_bad, images.report.n_files)
        raise DataError(f"{n_bad:,} files cannot be used, but --max-bad allows {most:,}; {way_out}")


def resume_run(run: RunDir, asked: TrainRequest) -> None:
    from gancli.cli import render
    from gancli.core.distributed import ALONE
    from gancli.workflows import training

    settings, quiet, world = {**asked.from_file, **asked.flags}, asked.quiet, asked.world or ALONE
    with run.lock():
        with render.step_progress_bars(quiet=quiet) as track:
            trainer = training.reopen_run(run, asked.preset, settings, log=asked.log, progress=track, world=world)
        render.print_notes(trainer.notes)
        if trainer.is_finished:
            trainer.restore_files()
        elif not quiet:
            render.print_resume(trainer, extended="kimg" in settings or "epochs" in settings)
        run_until_signal(trainer, asked)


def run_until_signal(trainer: "Trainer", asked: TrainRequest) -> None:
    """Train until the end or a signal, then draw plots, film and report from the run folder."""
    from gancli.cli import render
    from gancli.workflows import training

    run, as_json, quiet = trainer.run_dir, asked.as_json, asked.quiet
    sample_px = trainer.record.data.resolution if asked.preview and not as_json else None
    with render.training_display(quiet=quiet, sample_px=sample_px) as display, stop_on_signals(trainer) as signals:

        def show(event: Event) -> None:
            with contextlib.suppress(OSError):  # a closed terminal must not end training
                display(event)

        ended = training.run_trainer(trainer, show, lambda text: show(Warned(trainer.state.nimg, "", text)))
    is_stopped = ended is not None and ended.reason == "stopped"
    if is_stopped:
        render.print_notes([f"stopped; continue with: gancli train --resume {platform.quote(run.path)}"])
    render.print_status("drawing plots, progress.gif and report.html", quiet=quiet)
    training.draw_run_outputs(run)
    render.print_result(trainer, ended, as_json=as_json)
    if is_stopped:
        raise typer.Exit(128 + (signals[0] if signals else signal.SIGINT))


@contextlib.contextmanager
def stop_on_signals(trainer: "Trainer") -> Iterator[list[int]]:
    """Stop training after the current step on the first Ctrl-C, SIGTERM or SIGHUP, and immediately on the next one.

    Yields the list of signals received.
    """
    before, received = {number: signal.getsignal(number) for number in platform.STOP_SIGNALS}, list[int]()

    def restore() -> None:
        for number, handler in before.items():
            if signal.getsignal(number) is handle:  # False if a second signal has set another handler
                signal.signal(number, handler)

    def handle(number: int, frame: object) -> None:
        if not processes.is_under_torchrun():  # torchrun repeats signals that have already arrived
            restore()
        received.append(number)
        trainer.stop()

    for number, handler in before.items():
        if number.name != "SIGHUP" or handler is not signal.SIG_IGN:  # nohup sets SIG_IGN
            signal.signal(number, handle)
    try:
        yield received
    finally:
        restore()


def read_toml(path: Path) -> Settings:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise ConfigError(f"cannot read {path}: {err.strerror}; check the path") from err
    except (ValueError, RecursionError) as err:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise ConfigError(f"{path} is not valid TOML: {err}; correct the file") from err
