"""gancli runs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import gancli

from gancli.files.run_folder import RunDir


def test_the_table_and_json_have_an_entry_for_each_run(run: Path) -> None:
    shutil.copytree(run, Path("runs/00001-broken"))
    Path("runs/00001-broken/config.json").write_text("{")
    shutil.copytree(run, Path("runs/00002-[red]x"))
    with RunDir(Path("runs/00002-[red]x")).lock():
        result, as_json = gancli("runs"), gancli("runs", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    newest, broken, first = (line.split() for line in result.stdout.splitlines() if line.startswith(" 0"))
    assert newest[:2] == ["00002-[red]x", "running"]
    assert broken[:4] == ["00001-broken", "broken:", "cannot", "read"]
    assert first[:3] == ["00000-quick-tiny", "finished", "0.104"] and first[-2:] == ["quick", "tiny"]
    found = json.loads(as_json.stdout)["runs"]
    assert [each["state"] for each in found] == ["running", "broken", "finished"]
    assert found[2]["path"] == str(run) and found[2]["nimg"] == 104 and found[2]["size_bytes"] > 10_000


def test_scores_are_shown_with_their_floor_and_unfinished_runs_with_their_plan(run: Path) -> None:
    record = json.loads((run / "config.json").read_text())
    record |= {"eval": {"score": "fd_tiny", "floor": 0.5}, "plan": {"total_nimg": 4000}}
    (run / "config.json").write_text(json.dumps(record))
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "eval", "nimg": 104, "fd_tiny": 1.25}\n')
    shown = " ".join(gancli("runs", "runs").stdout.split())
    assert "0.104 of 4 fd_tiny 1.25, 2.5 times its floor" in shown


def test_a_narrow_terminal_gets_two_lines_for_each_run_and_no_broken_name(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["gancli.cli.runs"], "WIDE_COLUMNS", 40)
    first, second = gancli("runs").stdout.splitlines()
    assert first == "00000-quick-tiny  finished, 0.104 kimg"
    assert second.startswith("  ") and second.endswith(" MB; quick; tiny")


def test_a_hundred_runs_are_listed_without_torch(run: Path) -> None:
    for number in range(1, 100):
        shutil.copytree(run, Path(f"runs/{number:05}-quick-tiny"))
    script = (
        "import sys; sys.argv = ['gancli', 'runs', '--json']\n"
        "from gancli.cli.app import app; app(standalone_mode=False)\n"
        "print(sorted({'torch', 'matplotlib'} & {*sys.modules}), file=sys.stderr)"
    )
    end = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert end.stderr == "[]\n" and len(json.loads(end.stdout)["runs"]) == 100
