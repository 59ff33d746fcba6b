"""Show events and results in the terminal: progress and notes on stderr, results on stdout.

Only this file, scoretable.py and preview.py draw on the terminal.
"""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console, ConsoleRenderable, RenderableType, RenderHook
from rich.control import Control
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import ControlType, Segment, Segments
from rich.table import Column

from gancli import events, platform
from gancli.cli import preview
from gancli.errors import make_printable
from gancli.files.run_folder import RunDir
from gancli.wording import format_duration, format_significant

if TYPE_CHECKING:
    from gancli.core.training.trainer import Trainer
    from gancli.files.scores import ScoreSummary

LOG_EVERY_S = 5.0
Bar = TypeVar("Bar", bound=Progress)


def stderr_console() -> Console:
    return Console(file=sys.stderr, highlight=False, emoji=False)


def print_stdout(text: str) -> None:
    if sys.stdout is not None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def print_stderr(text: str, console: Console | None = None) -> None:
    """Print a line on stderr, above the progress bars of `console`; ignore write errors."""
    with contextlib.suppress(OSError, UnicodeError):
        (console or stderr_console()).print(escape(make_printable(text)), soft_wrap=True)


def print_image_count(n: int, path: Path) -> None:
    """Print how many images a command wrote, and where."""
    print_stdout(f"{n} image{'' if n == 1 else 's'}: {platform.quote(path)}")


def print_json(value: object) -> None:
    print_stdout(json.dumps(value, indent=2, allow_nan=False))


def print_notes(lines: Iterable[str]) -> None:
    for line in lines:
        print_stderr(f"note: {line}")


def print_warnings(lines: Iterable[str]) -> None:
    for line in lines:
        print_stderr(f"warning: {line}")


def print_status(text: str, *, quiet: bool) -> None:
    if not quiet:
        print_stderr(f"{text} ...")


def print_resume(trainer: "Trainer", *, extended: bool) -> None:
    total = f"{trainer.total_nimg / 1000:g} kimg" if trainer.total_nimg else "the end of its time budget"
    schedules = "; schedules now follow the new total" if extended else ""
    print_stderr(f"resuming at {trainer.state.nimg / 1000:g} kimg, up to {total}{schedules}")


@contextlib.contextmanager
def show_bar(bar: Bar) -> Iterator[Bar]:
    """Show the bar while the block runs; a closed terminal does not interrupt the block."""
    with contextlib.suppress(OSError):
        bar.start()
    try:
        yield bar
    finally:
        with contextlib.suppress(OSError):
            bar.stop()


def bar_width(console: Console) -> int:
    return max(4, min(24, console.width - 80))


class SamplesBar(Progress):
    """A progress bar below a grid of samples."""

    def __init__(self, *columns: ProgressColumn, samples: preview.LiveSamples, console: Console) -> None:
        self.samples = samples
        super().__init__(*columns, console=console, redirect_stdout=False, expand=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.samples
        yield from super().get_renderables()


class SteadySamples(RenderHook):
    """Redraws only the line of the bar as long as its samples stay the same, so that these do not flicker.

    If everything is redrawn, the terminal is asked to show it at once ("synchronized output", mode 2026); terminals
    that cannot do this ignore it.
    """

    def __init__(self, bar: SamplesBar) -> None:
        self.bar = bar
        self.drawn: object = None

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Change what rich prints for a redraw: a control that goes to the top, printed text, and the whole display."""
        console, samples = self.bar.console, self.bar.samples
        shown, between = (samples.path, console.size), renderables[1:-1]
        if shown == self.drawn and all(isinstance(part, Control) for part in between):
            line = console.render_lines(self.bar.make_tasks_table(self.bar.tasks), pad=False)[0]
            return [Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)), Segments(line)]
        self.drawn = shown
        has_no_width = [(ControlType.CARRIAGE_RETURN,)]  # rich measures the text of a segment without a control
        begin, end = (Segments([Segment(f"\x1b[?2026{letter}", None, has_no_width)]) for letter in "hl")
        return [begin, *renderables, end]


@contextlib.contextmanager
def training_display(*, quiet: bool, sample_px: int | None = None) -> Iterator[Callable[[events.Event], None]]:
    """Yield a display of events: live on a terminal, else a line every few seconds; if quiet, warnings only.

    sample_px: the resolution of the samples, to show some above the bar; None shows none.
    """
    console = stderr_console()
    if quiet:
        yield QuietDisplay()
    elif console.is_terminal and not console.is_dumb_terminal:
        text = TextColumn("{task.fields[text]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))
        columns = BarColumn(bar_width=bar_width(console)), text
        if sample_px and preview.can_show(console):
            samples = preview.LiveSamples(sample_px)
            with show_bar(SamplesBar(*columns, samples=samples, console=console)) as bar:
                console.push_render_hook(SteadySamples(bar))
                try:
                    yield LiveDisplay(bar, samples)
                finally:
                    console.pop_render_hook()
        else:
            with show_bar(Progress(*columns, console=console, redirect_stdout=False, expand=True)) as bar:
                yield LiveDisplay(bar)
    else:
        yield LogDisplay()


def progress_line(
    event: events.Progress | events.RunEnded,
    values: Mapping[str, float | None],
    scored: events.Scored | None,
    width: int | None = None,
) -> str:
    """Format '12.0/240.0 kimg  1,650 img/s  ETA 2m18s  fd_digits 1.32  D 1.020  G 1.330  D acc 0.71'.

    width: longest line; values that do not fit are left out from the right.
    """
    total, left_s = event.total_nimg, event.left_s if isinstance(event, events.Progress) else None
    parts = [f"{event.nimg / 1000:.1f}{f'/{total / 1000:.1f}' if total else ''} kimg"]
    parts += [f"{event.images_per_s:,.0f} img/s"]
    if left_s is not None:
        parts += [f"ETA {format_duration(left_s)}"]
    if scored is not None and scored.score is not None:
        parts += [f"{scored.name} {format_significant(scored.score)}"]
    if values:
        parts += [f"D {values['d_loss']:.3f}  G {values['g_loss']:.3f}", f"D acc {values['accuracy']:.2f}"]
    while width is not None and len("  ".join(parts)) > width and len(parts) > 1:
        parts.pop()
    return "  ".join(parts)


class QuietDisplay:
    """Remembers the latest measurements and prints only warnings."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console
        self.values: Mapping[str, float | None] = {}
        self.scored: events.Scored | None = None

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.Measured):
            self.values = event.values
        elif isinstance(event, events.Scored):
            self.scored = event
        elif isinstance(event, events.Warned):
            print_stderr(f"warning: {event.text}", self.console)


class LiveDisplay(QuietDisplay):
    """Shows events as a Rich progress bar. samples: shown above the bar, if given."""

    def __init__(self, bar: Progress, samples: preview.LiveSamples | None = None) -> None:
        super().__init__(bar.console)
        self.bar, self.samples = bar, samples
        self.task = bar.add_task("train", total=None, text="")

    def __call__(self, event: events.Event) -> None:
        super().__call__(event)
        if isinstance(event, events.Progress | events.RunEnded):
            room = self.bar.console.width - bar_width(self.bar.console) - 1  # a space lies between bar and text
            text = progress_line(event, self.values, self.scored, room)
            self.bar.update(self.task, completed=event.nimg, total=event.total_nimg, text=text)
        elif self.samples and isinstance(event, events.RunStarted):
            for path in RunDir(event.run).frame_paths()[-1:]:
                self.samples.show(path)
        elif self.samples and isinstance(event, events.FrameSaved):
            self.samples.show(event.path)


class LogDisplay(QuietDisplay):
    """Prints events as plain lines, one every few seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.last_s = time.monotonic()

    def __call__(self, event: events.Event) -> None:
        super().__call__(event)
        if isinstance(event, events.Progress) and time.monotonic() - self.last_s >= LOG_EVERY_S:
            self.last_s = time.monotonic()
            print_stderr(progress_line(event, self.values, self.scored))


def print_result(trainer: "Trainer", ended: events.RunEnded | None, *, as_json: bool) -> None:
    """Print the output files, the final numbers and the next commands."""
    run = trainer.run_dir
    ticks = trainer.monitor.ticks
    last = ticks[-1].values if ticks else {}
    names = ("d_loss", "g_loss", "accuracy", "accuracy_real", "accuracy_fake")
    numbers = {name: value for name in names if (value := last.get(name)) is not None}
    files = [run.model, run.report, run.film, run.samples, run.reals, run.loss_plot, run.accuracy_plot]
    files += [path for path in (run.score_plot, run.best_model) if path.exists()]
    scored = trainer.monitor.summary()
    if as_json:
        print_json(
            {
                "run": str(run.path),
                "reason": ended.reason if ended else "finished",
                "nimg": trainer.state.nimg,
                "total_nimg": trainer.total_nimg,
                "train_s": round(trainer.train_s, 3),
                "images_per_s": round(ended.images_per_s, 1) if ended else None,
                "metrics": numbers,
                "score": scored and scored.to_json(),
                "files": [str(path) for path in files],
            }
        )
        return
    speed = f" ({ended.images_per_s:,.0f} images/s)" if ended else ""
    state = {"finished": "finished", "time": "time budget used up", "stopped": "stopped"}[
        ended.reason if ended else "finished"
    ]
    total = f" of {trainer.total_nimg / 1000:,.1f}" if trainer.total_nimg else ""
    print_stdout(f"{state}: {trainer.state.nimg / 1000:,.1f}{total} kimg in {format_duration(trainer.train_s)}{speed}")
    if {"d_loss", "g_loss", "accuracy"} <= numbers.keys():
        losses = f"D loss {numbers['d_loss']:.3f}, G loss {numbers['g_loss']:.3f}"
        parts = [
            f"{part} {numbers[f'accuracy_{part}']:.2f}" for part in ("real", "fake") if f"accuracy_{part}" in numbers
        ]
        accuracy = f"D accuracy {numbers['accuracy']:.2f} ({', '.join(parts) or 'pairs'})"
        print_stdout(f"last tick, at {ticks[-1].nimg / 1000:g} kimg: {losses}, {accuracy}")
    if scored and scored.latest.value is not None:
        print_stdout(f"score: {score_line(scored, run.best_model.name)}")
    print_stdout(f"run folder: {run.path}")
    print_stdout("  " + ", ".join(path.name for path in files))
    if ended is None or ended.reason != "stopped":
        where = platform.quote(run.path)
        print_stdout(f"next: gancli sample {where} --n 64")
        print_stdout(f"      gancli evaluate {where}")


def score_line(scored: "ScoreSummary", best_file: str) -> str:
    """Format 'fd_digits 1.32, 5 times its floor; best 1.3 at 20 kimg, in model-best.safetensors'."""
    score, best = scored
    times = f", {score.times_floor:.3g} times its floor" if score.times_floor else ", lower is better"
    line = f"{score.name} {format_significant(score.value)}{times}"
    if best is None:
        return line
    return f"{line}; best {format_significant(best.score.value)} at {best.nimg / 1000:g} kimg, in {best_file}"


@contextlib.contextmanager
def step_progress_bars(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function of (task, steps done, total steps) that updates progress bars.

    It shows nothing if quiet, or if the output is not a terminal.
    """
    console = stderr_console()
    if quiet or not console.is_terminal or console.is_dumb_terminal:
        yield lambda what, done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with show_bar(Progress(*columns, console=console, transient=True)) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield show
