"""`--help` answers fast: it imports nothing heavy. Also `--version` and typing errors."""

import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

import gancli
from gancli.cli.app import app

COMMANDS = tuple(typer.main.get_command(app).commands)

HELP = """
import json, sys
sys.argv = ["gancli", *sys.argv[1:]]
from gancli.cli.app import main
try:
    main()
    code = 0
except SystemExit as end:
    code = end.code or 0
heavy = [name for name in ("torch", "numpy", "matplotlib", "PIL", "jinja2") if name in sys.modules]
print(json.dumps({"code": code, "heavy": heavy}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments", [(), *((command,) for command in COMMANDS)], ids=lambda a: " ".join(a) or "gancli"
)
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    end = subprocess.run([sys.executable, "-c", HELP, *arguments, "--help"], capture_output=True, text=True)
    assert json.loads(end.stderr.splitlines()[-1]) == {"code": 0, "heavy": []}
    assert "Usage" in end.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_narrow_terminal_shows_every_flag_whole(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    end = CliRunner().invoke(app, [command, "--help"])
    shown = {word.strip("│,") for word in end.stdout.split()}
    params = typer.main.get_command(app).commands[command].params
    flags = {
        flag for param in params if param.param_type_name == "option" for flag in param.opts + param.secondary_opts
    }
    assert flags and flags <= shown and "…" not in end.stdout


def test_help_was_asked_of_every_command() -> None:
    assert {"train", "sample"} <= set(COMMANDS)


def test_version_is_printed() -> None:
    end = CliRunner().invoke(app, ["--version"])
    assert end.exit_code == 0
    assert gancli.__version__ in end.stdout


def test_module_runs_like_the_command() -> None:
    end = subprocess.run([sys.executable, "-m", "gancli", "--version"], capture_output=True, text=True)
    assert (end.returncode, end.stderr) == (0, "")
    assert gancli.__version__ in end.stdout


@pytest.mark.parametrize("arguments", [["trian"], ["train", "--no-such-flag"], ["--no-such-flag"]], ids=" ".join)
def test_typing_error_exits_2_and_says_nothing_on_stdout(arguments: list[str]) -> None:
    end = CliRunner().invoke(app, arguments)
    assert end.exit_code == 2
    assert not end.stdout and arguments[-1] in end.stderr
