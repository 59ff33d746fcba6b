"""Progress output of training: bars on a terminal, plain lines in a log, nothing if quiet."""

import errno
import io
import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer
from commands import FAST
from rich.console import Console
from rich.progress import Progress

from gancli import events
from gancli.cli import render
from gancli.cli.app import exit_with_error

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
