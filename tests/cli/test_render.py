"""Progress output of training: bars on a terminal, plain lines in a log, nothing if quiet."""

import contextlib
import errno
import io
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from commands import FAST, gancli
from rich.console import Console
from rich.progress import Progress, TextColumn

from gancli import events
from gancli.cli import preview, render
from gancli.cli.app import exit_with_error
from gancli.files import image_io

TERMINAL: dict[str, Any] = {"force_terminal": True, "no_color": False, "_environ": {"TERM": "xterm"}}
VALUES = {"d_loss": 1.2345, "g_loss": 0.9, "accuracy": 0.716}


def test_a_log_gets_a_plain_line_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("gancli.cli.render.time.monotonic", lambda: now[0])
    log = render.LogDisplay()
    log(events.Measured("tick", 2000, 0.4, VALUES))
    for second in range(12):
        now[0] = float(second)
        log(events.Progress(12_000 + 1000 * second, 240_000, 1650.0, 140.0 - second))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "17.0/240.0 kimg  1,650 img/s  ETA 2m15s  D 1.234  G 0.900  D acc 0.72",
        "22.0/240.0 kimg  1,650 img/s  ETA 2m10s  D 1.234  G 0.900  D acc 0.72",
    ]


def test_a_log_without_a_plan_yet_has_no_total(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(render, "LOG_EVERY_S", 0.0)
    render.LogDisplay()(events.Progress(500, None, 100.0, 55.0))
    assert capsys.readouterr().err == "0.5 kimg  100 img/s  ETA 55s\n"


def on_a_terminal(arguments: list[str], **environment: str) -> str:
    """The output of a command on a pseudo-terminal."""
    ours, theirs = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        try:
            while part := os.read(ours, 4096):
                shown.append(part)
        except OSError:
            return

    reader = threading.Thread(target=read)
    reader.start()
    child = subprocess.run(
        [sys.executable, "-m", "gancli", *arguments], stdout=theirs, stderr=theirs, env={**os.environ, **environment}
    )
    os.close(theirs)
    reader.join(timeout=10)
    os.close(ours)
    text = b"".join(shown).decode()
    assert child.returncode == 0, text
    return text


def test_a_terminal_shows_a_bar_with_kimg_speed_and_losses(tiny_idx: Path) -> None:
    text = on_a_terminal(
        ["train", "--data", str(tiny_idx), "--kimg", "1", *FAST], TERM="xterm-256color", COLUMNS="120", NO_COLOR=""
    )
    for part in ("1.0/1.0 kimg", "img/s", "D acc", "\x1b["):
        assert part in text, text


@pytest.mark.long
def test_a_narrow_terminal_gets_no_wrapped_bars(tiny_idx: Path) -> None:
    text = on_a_terminal(
        ["train", "--data", str(tiny_idx), "--kimg", "0.5", *FAST], TERM="xterm-256color", COLUMNS="30", NO_COLOR="1"
    )
    bars = [line for line in re.split(r"[\r\n]|\x1b\[2K", text) if "\u2501" in line]
    assert bars and all(len(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line)) <= 30 for line in bars)


def test_a_dumb_terminal_gets_no_control_codes(tiny_idx: Path) -> None:
    text = on_a_terminal(["train", "--data", str(tiny_idx), "--kimg", "0.2", *FAST], TERM="dumb", COLUMNS="20")
    assert "\x1b" not in text and "next: gancli sample" in text


def test_values_that_do_not_fit_are_left_out_whole() -> None:
    event, scored = events.Progress(112_345, 240_000, 1650.0, 138.0), events.Scored(1000, "fd_digits", 1.32, 0.1, True)
    whole = render.progress_line(event, VALUES, scored)
    assert whole == "112.3/240.0 kimg  1,650 img/s  ETA 2m18s  fd_digits 1.32  D 1.234  G 0.900  D acc 0.72"
    assert render.progress_line(event, VALUES, scored, 75) == whole.removesuffix("  D acc 0.72")
    assert render.progress_line(event, VALUES, scored, 70) == "112.3/240.0 kimg  1,650 img/s  ETA 2m18s  fd_digits 1.32"
    assert render.progress_line(event, VALUES, scored, 5) == "112.3/240.0 kimg"


def test_the_latest_score_is_shown_before_the_losses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(render, "LOG_EVERY_S", 0.0)
    log = render.LogDisplay()
    for score in (31.4159, None, 0.98765):
        log(events.Scored(1000, "fd_digits", score, 0.1, is_best=True))
    log(events.Measured("tick", 2000, 0.4, VALUES))
    log(events.Progress(2000, 4000, 100.0, 20.0))
    shown = capsys.readouterr().err
    assert shown == "2.0/4.0 kimg  100 img/s  ETA 20s  fd_digits 0.988  D 1.234  G 0.900  D acc 0.72\n"


def test_warnings_are_shown_in_a_log_above_bars_and_even_if_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    warned = events.Warned(20_000, "collapse", "collapse: [red]all[/red] alike")
    for show in (render.QuietDisplay(), render.LogDisplay()):
        show(warned)
        assert capsys.readouterr().err == "warning: collapse: [red]all[/red] alike\n"
    with render.training_display(quiet=True) as quiet:
        quiet(warned)
    assert capsys.readouterr().err.startswith("warning: collapse")
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100)
    with Progress(console=console, auto_refresh=False) as bar:
        render.LiveDisplay(bar)(warned)
    assert "warning: collapse: [red]all[/red] alike" in file.getvalue()
    assert capsys.readouterr().err == "", "nothing is written past the console that draws the bar"


def test_the_samples_above_a_bar_are_drawn_again_only_for_a_new_frame_or_a_printed_line() -> None:
    for name, level in (("one", 50), ("two", 250)):
        image_io.write_png(Path(f"{name}.png"), np.full((64, 80), level, np.uint8))
    text = io.StringIO()
    console = Console(file=text, color_system="truecolor", width=80, height=24, **TERMINAL)
    samples = preview.LiveSamples(8)
    bar = render.SamplesBar(TextColumn("{task.fields[text]}"), samples=samples, console=console)
    bar.live.auto_refresh = False
    display = render.LiveDisplay(bar, samples)

    def written() -> str:
        bar.refresh()
        new = text.getvalue()
        text.seek(text.truncate(0))
        return new

    with render.show_bar(bar):
        console.push_render_hook(render.SteadySamples(bar))
        display(events.Progress(1000, 4000, 100.0, 30.0))
        assert preview.HALF_BLOCK not in written()
        display(events.FrameSaved(1000, Path("one.png")))
        first = written()
        assert first.count(preview.HALF_BLOCK) == 8 * 80 and "38;2;50;50;50" in first and "1.0/4.0 kimg" in first
        assert first.startswith("\x1b[?2026h") and first.endswith("\x1b[?2026l")
        display(events.Progress(2000, 4000, 100.0, 20.0))
        line = written()
        assert line.startswith("\r\x1b[2K2.0/4.0 kimg") and preview.HALF_BLOCK not in line and "\n" not in line
        display(events.Warned(2000, "collapse", "all alike"))
        warned = written()
        assert warned.index("warning: all alike") < warned.index(preview.HALF_BLOCK) < warned.index("2.0/4.0 kimg")
        display(events.FrameSaved(2000, Path("two.png")))
        assert "38;2;250;250;250" in written()
        console.pop_render_hook()


def test_a_terminal_shows_samples_above_the_bar_and_leaves_them_at_the_end(tiny_idx: Path) -> None:
    text = on_a_terminal(
        ["train", "--data", str(tiny_idx), "--kimg", "0.5", *FAST],
        **{"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONUTF8": "1", "NO_COLOR": ""},
        **{"COLUMNS": "80", "LINES": "24"},
    )
    last = text[text.rindex("\x1b[1A\x1b[2K") :]
    assert last.count(preview.HALF_BLOCK) == 8 * 80  # 2 rows of 10 images of 8 pixels
    assert last.rindex(preview.HALF_BLOCK) < last.index("0.5/0.5 kimg") < last.index("finished: ")
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is visible again"


@pytest.mark.parametrize(
    ("flags", "expected"), [([], 8), (["--no-preview"], None), (["--json"], None), (["-q"], "quiet")]
)
def test_the_samples_above_the_bar_can_be_turned_off(
    tiny_idx: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], expected: object
) -> None:
    asked: list[object] = []

    @contextlib.contextmanager
    def display(*, quiet: bool, sample_px: int | None) -> Iterator[render.QuietDisplay]:
        asked.append("quiet" if quiet else sample_px)
        yield render.QuietDisplay()

    monkeypatch.setattr(render, "training_display", display)
    result = gancli("train", "--data", tiny_idx, "--kimg", "0.1", *FAST, *flags)
    assert result.exit_code == 0 and asked == [expected]


def test_a_terminal_that_cannot_show_samples_gets_the_bar_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.TextIOWrapper(io.BytesIO(), "utf-8")
    for no_color, kind in ((False, render.SamplesBar), (True, Progress)):
        console = Console(file=file, color_system="truecolor", **{**TERMINAL, "no_color": no_color})
        monkeypatch.setattr(render, "stderr_console", lambda console=console: console)
        with render.training_display(quiet=False, sample_px=8) as display:
            assert isinstance(display, render.LiveDisplay) and type(display.bar) is kind


class Gone(io.StringIO):
    """A terminal whose window was closed."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise OSError(errno.EIO, "Input/output error")


def test_a_vanished_terminal_does_not_end_the_run() -> None:
    bar = Progress(console=Console(file=Gone(), force_terminal=True))
    done = False
    with render.show_bar(bar) as here:
        here.add_task("train", total=3)
        done = True
    assert done


def test_an_error_on_a_closed_stderr_keeps_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Gone())
    with pytest.raises(typer.Exit) as end:
        exit_with_error("no space", 1, ValueError())
    assert end.value.exit_code == 1
