"""`--help` is fast: it imports nothing heavy. Also `--version` and typos."""

import json
import re
import subprocess
import sys

import pytest
import typer
from conftest import ROOT
from typer.testing import CliRunner

import gancli
from gancli import presets
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


WITHOUT_DEFAULT = {"--version", "--best", "--force", "--json", "--quiet", "--dry-run"}  # off unless given
WITHOUT_DEFAULT |= {"--like", "--resume", "--init", "--config"}  # need a file


def test_the_help_of_a_flag_ends_with_its_default() -> None:
    pages = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("cli.md", "cli-train.md")]
    rows = [row for page in pages for row in re.findall(r"^- `(--[a-z0-9-]+).*?: (.+)$", page, re.M)]
    rows = [row for row in rows if not row[1].startswith("[shared](")]
    missing = {flag for flag, help in rows if not re.search(r"\[default: [^]]+\]$", help)}
    assert missing == WITHOUT_DEFAULT
    assert len(rows) >= 90
    assert all(re.match(r"[A-Z]", help) for _, help in rows)


def test_defaults_that_all_presets_share_are_shown() -> None:
    assert presets.default_text("seed") == "0" and presets.default_text("mirror") == "no-mirror"
    assert presets.default_text("gamma") == presets.default_text("conditional") == "preset"


def test_the_help_tests_cover_the_commands() -> None:
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
def test_a_typo_exits_with_2_and_prints_nothing_to_stdout(arguments: list[str]) -> None:
    end = CliRunner().invoke(app, arguments)
    assert end.exit_code == 2
    assert not end.stdout and arguments[-1] in end.stderr
