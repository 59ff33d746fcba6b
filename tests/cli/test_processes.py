"""Commands that torchrun starts as two processes."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from commands import gancli
from conftest import ROOT

from gancli.cli import processes
from gancli.files.run_config import read_run_config
from gancli.files.run_folder import RunDir, parse_nimg, read_jsonl

pytestmark = pytest.mark.long

FAULTY = str(ROOT / "tests" / "support" / "faulty.py")
TRAIN = (
    *("train", "--data", "pictures.npz", "--kimg", "0.3", "--batch-size", "8", "--batch-ramp-kimg", "0", "--seed", "3"),
    *("--g-width", "8", "--d-width", "8", "--ema-kimg", "0.1", "--snapshot-kimg", "0.1", "--eval-kimg", "0.2"),
    *("--threads", "1", "--mirror"),
)
LOST = "error: one of the 2 processes exited unexpectedly (killed, or out of memory?)"


@dataclass(frozen=True)
class End:
    exit_code: int
    stdout: str
    errors: list[str]
    stderr: str


def by_two(folder: Path, *arguments: str, faults: str = "", restarts: int = 0) -> End:
    command = [sys.executable, FAULTY, str(restarts), *arguments]
    environment = {**os.environ, "FAULTS": faults, "HOME": str(folder)}
    end = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    errors = [line for line in end.stderr.splitlines() if line.startswith("error: ")]
    return End(end.returncode, end.stdout, errors, end.stderr)


def write_pictures(folder: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(folder / "pictures.npz", images=pictures, labels=np.arange(60) % 2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    write_pictures(folder)
    end = by_two(folder, *TRAIN)
    assert end.exit_code == 0 and "finished: 0.3 of 0.3 kimg" in end.stdout, end.stderr
    return folder


def run_in(folder: Path) -> RunDir:
    (path,) = (folder / "runs").iterdir()
    return RunDir(path)


def test_several_processes_make_one_run_that_records_their_number(whole: Path) -> None:
    record = run_in(whole).read_config()
    assert record["machine"]["processes"] == 2
    assert {line["kind"] for line in read_jsonl(run_in(whole).metrics)} == {"epoch", "tick", "eval"}


def test_the_networks_equal_those_of_one_process(whole: Path, tmp_path: Path) -> None:
    """Each process takes different images; otherwise the result would be that of a batch of half the size."""
    write_pictures(tmp_path)
    assert gancli(*TRAIN).exit_code == 0
    alone, shared = (safetensors.torch.load_file(run_in(folder).model) for folder in (tmp_path, whole))
    start = safetensors.torch.load_file(run_in(tmp_path).checkpoints()[0])
    assert start.keys() > {f"G_ema.{name}" for name in alone}
    for name, weight in alone.items():
        torch.testing.assert_close(shared[name], weight, rtol=0, atol=1e-4)


def test_a_job_whose_processes_die_is_restarted_and_gives_the_same_result(whole: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path)
    end = by_two(tmp_path, *TRAIN, faults="0 die 1 160, 1 die 0 240", restarts=2)
    assert end.exit_code == 0, end.stderr
    run = run_in(tmp_path)
    again = f"; resume with gancli train --resume {run.path.relative_to(tmp_path)}"
    assert end.errors == [LOST + again, LOST]
    for name in ("model.safetensors", "model-best.safetensors", "samples.png", "progress.gif"):
        assert (run.path / name).read_bytes() == (run_in(whole).path / name).read_bytes(), name
    resumed = [line["nimg"] for line in read_jsonl(run.events) if line["event"] == "resume"]
    assert resumed == [104, 200]


def test_an_error_in_one_process_ends_all_with_one_message(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    end = by_two(tmp_path, *TRAIN, faults="0 raise 1 160, 1 differ 1 240", restarts=1)
    run = run_in(tmp_path)
    there = run.path.relative_to(tmp_path)
    odd = "error: process 1 has different weights from process 0 at 0.304 kimg; "
    odd += f"resume with gancli train --resume {there}"
    assert end.exit_code == 1
    assert end.errors == ["error: the disk with the images is gone", odd]
    assert [parse_nimg(path) for path in run.checkpoints()] == [200, 104]


def test_divergence_in_one_process_takes_all_back_and_sigterm_stops_all(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    end = by_two(tmp_path, *TRAIN, faults="0 nan 1 160, 0 stop 1 240")
    told = read_jsonl(run_in(tmp_path).events)
    assert end.errors == [] and re.search("stopped; .*--resume", end.stderr)
    assert [(line["event"], line["nimg"]) for line in told if line.get("name") != "short_classes"][1:] == [
        ("warning", 104),
        ("stopped", 248),
    ]


def test_a_run_of_two_processes_resumes_with_one_and_with_two(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    path = str(run_in(tmp_path).path)
    alone = gancli("train", "--resume", path, "--kimg", "0.4")
    assert alone.exit_code == 0
    assert "this run used 2 processes and continues with 1: numbers may differ in the last bits" in alone.stderr
    end = by_two(tmp_path, "train", "--resume", path, "--kimg", "0.5")
    assert end.exit_code == 0 and "1 processes" in end.stderr, end.stderr
    assert read_run_config(run_in(tmp_path).config).machine.processes == 2
    assert parse_nimg(run_in(tmp_path).checkpoints()[0]) == 504


def test_samples_under_torchrun_equal_those_of_one_process(whole: Path, tmp_path: Path) -> None:
    model = str(run_in(whole).model)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "gancli"]
    draw = [*torchrun, "--", "sample", model, "--n", "200", "-o", "two.npz"]
    assert subprocess.run(draw, capture_output=True).returncode == 0
    assert gancli("sample", model, "--n", "200", "-o", "one.npz").exit_code == 0
    with np.load("one.npz") as one, np.load("two.npz") as two:
        assert set(one) == set(two) == {"images", "seeds", "labels"}
        assert all(np.array_equal(one[name], two[name]) for name in one)


def test_scores_equal_those_of_one_process(whole: Path, tmp_path: Path) -> None:
    score = ("evaluate", str(run_in(whole).path), "--json", "--quiet", "-o", "scores")
    end = by_two(tmp_path, *score)
    assert end.exit_code == 0, end.stderr
    alone = gancli(*score, "--force")
    assert json.loads(end.stdout) == json.loads(alone.stdout)


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    end = by_two(tmp_path, *TRAIN, "--batch-size", "9")
    assert end.exit_code == 1 and not (tmp_path / "runs").exists()
    (error,) = end.errors
    assert re.match("error: a batch of 9 images cannot be split equally between 2 processes; choose another --b", error)


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"TORCHELASTIC_RUN_ID": "none"}, f"none {socket.gethostname()} {os.getppid()}"),
        ({"TORCHELASTIC_RUN_ID": "digits", "GROUP_WORLD_SIZE": "3"}, "digits"),
        ({"TORCHELASTIC_RUN_ID": "none", "GROUP_WORLD_SIZE": "3"}, None),
    ],
)
def test_a_job_is_identified_by_its_launcher_or_its_name(
    environment: dict[str, str], found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "GROUP_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert processes.torchrun_job_id() == found


def test_only_a_restarted_job_continues_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, config in enumerate(('{"job": "mine"}', '{"job": "other"}', "rubbish")):
        (tmp_path / f"0000{number}-run").mkdir()
        (tmp_path / f"0000{number}-run" / "config.json").write_text(config)
    monkeypatch.setattr(processes, "torchrun_job_id", lambda: "mine")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    assert processes.find_interrupted_run(tmp_path) is None
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    found = processes.find_interrupted_run(tmp_path)
    assert found and found.path.name == "00000-run"
    monkeypatch.setattr(processes, "torchrun_job_id", lambda: None)
    assert processes.find_interrupted_run(tmp_path) is None
