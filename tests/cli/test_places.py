"""Odd places for runs: unusual names, folders that vanish, closed pipes."""

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import FAST, gancli, trained

from gancli.core.training.trainer import Trainer
from gancli.events import Event


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["a b", "[1] {x} *?", "\x1b[2J", "x" * 200], ids=["space", "brackets", "escape", "long"]
)
def test_every_command_works_below_a_folder_of_any_name(tiny_idx: Path, name: str) -> None:
    folder = Path.cwd() / name
    folder.mkdir()
    data, runs = folder / "data", folder / "runs"
    shutil.copytree(tiny_idx, data)
    commands: list[list[str | Path]] = [
        ["train", "--data", data, "--outdir", runs, "--kimg", "0.1", "-q", *FAST],
        ["train", "--resume", runs / "00000-quick-data", "--kimg", "0.2", "-q"],
        ["sample", "--outdir", runs, "--n", "4", "-o", folder / "s", "-q"],
        ["sample", runs / "00000-quick-data" / "model.safetensors", "--n", "2", "-o", folder / "s.png", "-q"],
        ["animate", runs / "00000-quick-data", "-o", folder / "film.gif", "-q"],
        ["train", "--init", runs / "00000-quick-data", "--data", data, "--outdir", runs, "--kimg", "0.1", *FAST[4:]],
    ]
    for command in commands:
        result = gancli(*command)
        assert result.exit_code == 0, (command, result.output)
        assert "\x1b[2J" not in result.stderr
    assert (folder / "film.gif").stat().st_size > 1000 and len([*(folder / "s").glob("*.png")]) == 5
    assert (runs / "00001-quick-data" / "model.safetensors").is_file()


def test_a_folder_whose_name_is_not_text_is_shown_unchanged(tiny_idx: Path) -> None:
    """In a separate process, whose stdout accepts the bytes of a path."""
    folder = os.fsencode(Path.cwd()) + b"/caf\xc3\xa9 \xff\xfe"
    for words in (
        [b"train", b"--data", os.fsencode(tiny_idx), b"--outdir", folder, b"--kimg", b"0.1", *map(str.encode, FAST)],
        [b"sample", b"--outdir", folder, b"--n", b"4", b"-o", folder + b"/s"],
    ):
        end = subprocess.run([sys.executable, "-m", "gancli", *words], capture_output=True)
        assert end.returncode == 0 and folder in end.stdout, end.stderr
    assert len(os.listdir(folder + b"/s")) >= 5


def test_a_run_whose_folder_is_deleted_ends_with_one_line(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_due_outputs = Trainer.save_due_outputs

    def deleting(self: Trainer, before: int) -> Iterator[Event]:
        if self.state.nimg == 120:
            shutil.rmtree(self.run_dir.path)
        yield from save_due_outputs(self, before)

    monkeypatch.setattr(Trainer, "save_due_outputs", deleting)
    result = gancli("train", "--data", tiny_idx, "--kimg", "0.4", "-q", *FAST)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: runs/00000-quick-tiny is not the folder")
    assert not Path("runs/00000-quick-tiny").exists()


@pytest.mark.parametrize("command", [["train", "--kimg", "0.2"], ["--help"], ["train", "--help"]], ids=" ".join)
def test_a_closed_pipe_is_not_an_error(tiny_idx: Path, command: list[str]) -> None:
    more = ["--data", str(tiny_idx), *FAST] if command[0] == "train" and "--help" not in command else []
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "gancli", *command, *more]
    end = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert "Traceback" not in end.stderr and "Exception" not in end.stderr and end.returncode in (0, 1), end.stderr
    if more:
        assert Path("runs/00000-quick-tiny/progress.gif").is_file(), "the training does not mind"


def run_unprivileged(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run in a process without root, so that permissions apply."""
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    return subprocess.run([*prefix, sys.executable, "-m", "gancli", *map(str, words)], capture_output=True, text=True)


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder without write permission."""
    folder = tmp_path / "closed"
    folder.mkdir(0o555)
    yield folder
    folder.chmod(0o755)


@pytest.mark.long
def test_unwritable_folders_are_refused_in_one_line(closed: Path, tiny_idx: Path, run: Path) -> None:
    model = run / "model.safetensors"
    denied = "Permission denied; check the folder's permissions, or choose another folder"
    no_output = f"no permission to write to {closed}; choose another -o"
    for said, words in (
        (denied, ["train", "--data", tiny_idx, "--outdir", closed, "--kimg", "0.1", "-q", *FAST]),
        (no_output, ["sample", model, "--n", "2", "-o", closed / "s", "-q"]),
        (no_output, ["interpolate", model, "--n", "2", "-o", closed / "walk.gif", "-q"]),
    ):
        end = run_unprivileged(*words)
        assert end.returncode == 1
        (line,) = end.stderr.splitlines()
        assert line.startswith(f"error: cannot write {closed}") and line.endswith(f": {said}")
    assert [*closed.iterdir()] == []


def test_a_read_only_run_is_not_changed(tiny_idx: Path) -> None:
    run = trained(tiny_idx, "--kimg", "0.2")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    run.chmod(0o555)
    end = run_unprivileged("train", "--resume", run, "--kimg", "0.4", "-q")
    run.chmod(0o755)
    assert end.returncode == 1
    (line,) = end.stderr.splitlines()
    assert line.startswith(f"error: cannot write {run.absolute()}") and "Permission denied" in line
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert gancli("train", "--resume", run, "--kimg", "0.4", "-q").exit_code == 0


def test_a_clock_that_goes_back_changes_nothing(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All files of the run then date from the future; its copy has normal times."""
    run, twin = trained(tiny_idx, "--kimg", "0.2"), Path("runs/00001-quick-tiny")
    shutil.copytree(run, twin)
    assert gancli("train", "--resume", twin, "--kimg", "0.4", "-q").exit_code == 0
    for path in [*run.rglob("*"), *Path("home").rglob("*")]:
        os.utime(path, (2**32, 2**32))
    times = itertools.count(2**31, -1000)
    monkeypatch.setattr(time, "time", lambda: float(next(times)))
    assert gancli("train", "--resume", run, "--kimg", "0.4", "-q").exit_code == 0
    for name in ("model.safetensors", "samples.png", "progress.gif"):
        assert (run / name).read_bytes() == (twin / name).read_bytes(), name
    assert gancli("train", "--data", tiny_idx, "-q", *FAST, "--time-budget", "2s").exit_code == 0
