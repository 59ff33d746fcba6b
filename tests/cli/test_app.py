"""How a command ends on a signal."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SLOW = """
import signal, sys, time
from pathlib import Path
from gancli.cli import app
from gancli.files import outputs

@app.app.command()
def slow():
    with outputs.reserve_output(None, Path("walks")) as path, outputs.create_output_folder(path, force=False) as folder:
        (folder / "half").touch()
        with outputs.create_output_file(Path("x.gif"), force=False):
            try:
                print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN, flush=True)
                time.sleep(60)
            finally:
                time.sleep(0.3)  # clearing away may take a while

sys.argv = ["gancli", "slow"]
app.main()
"""


def start() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", SLOW],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGHUP)],
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_command_removes_its_partial_files_even_after_two_signals(number: signal.Signals) -> None:
    Path("walks").mkdir()
    before = sorted(Path().iterdir())
    with start() as child:
        assert child.stdout is not None and child.stdout.readline() == "False\n"
        assert len(list(Path().rglob("*.partial"))) == 2
        for _ in range(2):  # GNU timeout sends a signal to the process, and again to its group
            child.send_signal(number)
            time.sleep(0.1)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (128 + number, "", "interrupted\n")
    assert sorted(Path().iterdir()) == before and not list(Path("walks").iterdir())


def test_a_signal_that_nohup_has_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        child = subprocess.Popen(
            [sys.executable, "-c", SLOW], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    with child:
        assert child.stdout is not None and child.stdout.readline() == "True\n"
        child.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=30)
    assert child.returncode == 143
