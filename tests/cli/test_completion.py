"""Completion at the Tab key: what it offers, and that it imports nothing heavy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gancli import config, presets
from gancli.datasets import DATASETS

COMPLETE = """
import json, sys
from gancli.cli.app import main
try:
    main()
except SystemExit:
    pass
print(json.dumps([name for name in ("torch", "numpy", "PIL", "jinja2") if name in sys.modules]), file=sys.stderr)
"""
RUNS = ["00001-classic-tiny", "00000-quick-tiny"]


def run_gancli(*arguments: str, **variables: str) -> list[str]:
    end = subprocess.run(
        [sys.executable, "-c", COMPLETE, *arguments], capture_output=True, text=True, env={**os.environ, **variables}
    )
    assert json.loads(end.stderr.splitlines()[-1]) == [], end.stderr
    return end.stdout.splitlines()


def complete(line: str) -> list[str]:
    """The words that bash offers for the last word of a command line."""
    place = str(len(line.split(" ")) - 1)
    return [*filter(None, run_gancli(_GANCLI_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=place))]


@pytest.fixture
def runs() -> None:
    for name in RUNS:
        Path("runs", name).mkdir(parents=True)
    Path("runs", "00002-$(touch pwned)").mkdir()
    Path("others", "00007-stacked").mkdir(parents=True)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gancli train --preset ", [*presets.PRESETS]),
        ("gancli train --data mnist", [name for name in DATASETS if name.startswith("mnist")]),
        ("gancli evaluate --data ", [*DATASETS]),
        ("gancli train --loss h", ["hinge"]),
        ("gancli train --model ", ["mlp", "conv", "resnet"]),
        ("gancli train --fit ", ["crop", "pad", "stretch"]),
        ("gancli train --kimg ", []),
        ("gancli sa", ["sample"]),
        ("gancli sample --tr", ["--trunc"]),
    ],
)
def test_names_complete(line: str, offered: list[str]) -> None:
    assert complete(line) == offered


@pytest.mark.parametrize(
    "start",
    ["sample ", "evaluate ", "animate ", "report ", "export ", "interpolate ", "train --resume ", "train --init "],
)
def test_runs_complete_newest_first(start: str, runs: None) -> None:
    assert complete(f"gancli {start}") == RUNS


def test_runs_complete_below_outdir_and_by_path(runs: None) -> None:
    assert complete("gancli sample --outdir others ") == ["00007-stacked"]
    assert complete("gancli sample runs/00000") == ["runs/00000-quick-tiny"]
    assert complete("gancli report 00000-quick-tiny others/0") == ["others/00007-stacked"]
    assert complete("gancli sample nowhere/") == []


def test_the_script_for_the_shell_is_printed_and_installed(tmp_path: Path) -> None:
    detection = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    for shell in ("bash", "zsh", "fish"):
        assert "_GANCLI_COMPLETE" in "".join(run_gancli("--show-completion", shell, **detection))
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    run_gancli("--install-completion", "bash", **detection, **home)
    installed = list(tmp_path.rglob("gancli.sh"))
    assert len(installed) == 1 and "gancli" in (tmp_path / ".bashrc").read_text()


def test_every_setting_with_fixed_names_completes() -> None:
    from gancli.cli.options import setting_choices

    named = {name for name in config.setting_fields() if setting_choices(name)}
    assert named >= {"data", "model", "loss", "fit", "channels", "device", "precision"}
