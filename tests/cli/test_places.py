"""Where runs lie: odd names, folders that go away, readers that stop reading."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import FAST, gancli

from gancli.core.trainer import Trainer


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


def test_a_folder_whose_name_is_no_text_is_named_as_it_is(tiny_idx: Path) -> None:
    """In a process of its own, whose stdout takes the bytes of a path."""
    folder = os.fsencode(Path.cwd()) + b"/caf\xc3\xa9 \xff\xfe"
    for words in (
        [b"train", b"--data", os.fsencode(tiny_idx), b"--outdir", folder, b"--kimg", b"0.1", *map(str.encode, FAST)],
        [b"sample", b"--outdir", folder, b"--n", b"4", b"-o", folder + b"/s"],
    ):
        end = subprocess.run([sys.executable, "-m", "gancli", *words], capture_output=True)
        assert end.returncode == 0 and folder in end.stdout, end.stderr
    assert len(os.listdir(folder + b"/s")) >= 5


def test_a_run_whose_folder_is_deleted_ends_with_one_line(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer.step

    def deleting(self: Trainer) -> None:
        step(self)
        if self.state.nimg == 120:
            shutil.rmtree(self.run_dir.path)

    monkeypatch.setattr(Trainer, "step", deleting)
    result = gancli("train", "--data", tiny_idx, "--kimg", "0.4", "-q", *FAST)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: cannot write ") and "No such file or directory" in line
    assert not Path("runs/00000-quick-tiny").exists()


@pytest.mark.parametrize("command", [["train", "--kimg", "0.2"], ["--help"], ["train", "--help"]], ids=" ".join)
def test_a_reader_that_goes_away_is_no_error(tiny_idx: Path, command: list[str]) -> None:
    more = ["--data", str(tiny_idx), *FAST] if command[0] == "train" and "--help" not in command else []
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "gancli", *command, *more]
    end = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert "Traceback" not in end.stderr and "Exception" not in end.stderr and end.returncode in (0, 1), end.stderr
    if more:
        assert Path("runs/00000-quick-tiny/progress.gif").is_file(), "the training does not mind"
