"""gancli train from the command line."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import FAST, gancli, trained
from PIL import Image

from gancli import config
from gancli.cli.train import stop_on_signals
from gancli.core import devices
from gancli.core.data.dataset import build_image_set
from gancli.core.data.stacked_mnist import build_stacked_mnist
from gancli.core.training import trial
from gancli.core.training.trainer import Trainer
from gancli.datasets import DATASETS
from gancli.errors import RunError
from gancli.events import Measured
from gancli.workflows import evaluation

FILES = {
    "config.json", "metrics.jsonl", "events.jsonl", "frames", "reals.png", "samples.png", "loss.png", "accuracy.png",
    "progress.gif", "report.html", "model.safetensors",
}  # fmt: skip


def test_train_leaves_a_complete_run_folder(tiny_idx: Path) -> None:
    result = gancli("train", "--data", tiny_idx, "--kimg", "1.1", *FAST)
    assert result.exit_code == 0, result.output
    run = Path("runs/00000-quick-tiny")
    names = {path.name for path in run.iterdir() if path.name != ".lock"}
    assert names == FILES | {"checkpoint-000001000.safetensors", "checkpoint-000001104.safetensors"}
    assert "next: gancli sample runs/00000-quick-tiny --n 64" in result.stdout
    assert str(run) in result.stdout and "D accuracy" in result.stdout
    assert "3 classes: conditional" in result.stderr
    for picture in ("reals.png", "samples.png", "loss.png", "accuracy.png"):
        with Image.open(run / picture) as image:
            assert min(image.size) >= 256
    with Image.open(run / "progress.gif") as film:
        assert film.n_frames == 4 and film.info["loop"] == 0
    record = json.loads((run / "config.json").read_text())
    assert record["train"]["kimg"] == 1.1 and record["sources"]["kimg"] == "flag"
    assert record["sources"]["lr"] == "preset quick"
    assert record["machine"]["threads"] == 1 and record["machine"]["precision"] == "float32"


@pytest.mark.parametrize(
    ("flags", "accuracy"),
    [
        (["--loss", "hinge"], "(real "),
        (["--loss", "relativistic", "--r2", "--gamma-end", "0.1"], "(pairs)"),
        (["--loss", "wasserstein", "--gradient-penalty", "10", "--gamma", "0"], "(pairs)"),
    ],
    ids=lambda value: value[1] if isinstance(value, list) else "",
)
def test_losses_other_than_the_default_train_and_draw(tiny_idx: Path, flags: list[str], accuracy: str) -> None:
    result = gancli("train", "--data", tiny_idx, "--kimg", "0.2", *FAST, *flags)
    assert result.exit_code == 0, result.output
    assert accuracy in next(line for line in result.stdout.splitlines() if "D accuracy" in line)
    assert all(Path("runs/00000-quick-tiny", name).is_file() for name in ("loss.png", "accuracy.png", "progress.gif"))


@pytest.mark.parametrize("flags", [[], ["--unconditional"]], ids=["conditional", "unconditional"])
def test_stacked_digits_train_with_their_own_preset_and_are_scored(
    flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = torch.randint(0, 256, (40, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    digits = build_image_set("mnist", (pixels, torch.arange(40) % 10), (pixels, torch.arange(40) % 10))
    stacked = replace(DATASETS["stacked-mnist"], load=lambda: build_stacked_mnist("stacked-mnist", digits, 64, 16))
    monkeypatch.setitem(DATASETS, "stacked-mnist", stacked)
    monkeypatch.setattr(evaluation, "SCORER_N_FAKES", 100)
    result = gancli("train", "--data", "stacked-mnist", "--kimg", "0.1", *FAST, *flags, "--eval-kimg", "0.1")
    assert result.exit_code == 0, result.output
    run = Path("runs/00000-stacked-stacked-mnist")
    record = json.loads((run / "config.json").read_text())
    assert len(record["data"]["class_names"]) == (0 if flags else 1000)
    assert record["eval"]["features"] == "stacked-digits"
    assert gancli("sample", run, "--n", "4").exit_code == 0


def test_a_second_run_gets_the_next_number(tiny_idx: Path) -> None:
    for _ in range(2):
        assert gancli("train", "--data", tiny_idx, "--kimg", "0.1", *FAST).exit_code == 0
    assert sorted(p.name for p in Path("runs").iterdir()) == ["00000-quick-tiny", "00001-quick-tiny"]


def test_json_prints_one_object_and_nothing_else(tiny_idx: Path) -> None:
    result = gancli("train", "--data", tiny_idx, "--kimg", "0.1", "--json", "-q", *FAST)
    shown = json.loads(result.stdout)
    assert shown["nimg"] == 104 and shown["reason"] == "finished" and shown["run"] == "runs/00000-quick-tiny"
    assert all(Path(path).is_file() for path in shown["files"])
    assert result.stderr == ""


def test_settings_come_from_flag_then_file_then_preset(tiny_idx: Path) -> None:
    Path("my.toml").write_text('preset = "classic"\nbatch_size = 16\nlr = 0.001\ntime_budget = "10m"\n')
    result = gancli("train", "--data", tiny_idx, "--config", "my.toml", "--lr", "0.002", "--kimg", "1", "-n", "--json")
    record = json.loads(result.stdout)
    train, sources = record["train"], record["sources"]
    assert (record["preset"], train["lr"], train["batch_size"], train["z_dim"]) == ("classic", 0.002, 16, 64)
    assert (sources["lr"], sources["batch_size"], sources["z_dim"]) == ("flag", "file", "preset classic")
    assert (train["kimg"], train["epochs"], train["time_budget"]) == (1, 0, 0)
    assert not Path("runs").exists(), "a dry run writes nothing"


def test_resume_restores_pictures_of_a_finished_run(tiny_idx: Path) -> None:
    run = trained(tiny_idx, "--kimg", "0.6")
    before = {}
    for name in ("samples.png", "reals.png", "loss.png", "progress.gif"):
        before[name] = (run / name).read_bytes()
        (run / name).unlink()
    result = gancli("train", "--resume", run)
    assert result.exit_code == 0, result.output
    for name, content in before.items():
        assert (run / name).read_bytes() == content, name


def test_threads_and_precision_from_a_trial_are_shown_and_kept(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gancli.core.training import autotune

    monkeypatch.setattr(autotune, "full_batch_rate", lambda record, data: record.machine.precision == "bf16")
    result = gancli("train", "--data", tiny_idx, "--kimg", "0.1", *FAST, "--threads", "auto", "--precision", "auto")
    assert result.exit_code == 0, result.output
    run = Path("runs/00000-quick-tiny")
    record = json.loads((run / "config.json").read_text())
    assert record["train"]["threads"] == record["train"]["precision"] == "auto"
    machine = record["machine"]
    assert machine["threads"] == len(os.sched_getaffinity(0)) and machine["precision"] == "bf16"
    threads = f"{machine['threads']} thread{'s' if machine['threads'] > 1 else ''}"
    assert f"cpu, {threads}, bf16 (threads and precision: the fastest in a trial)" in result.stderr

    monkeypatch.setattr(autotune, "full_batch_rate", lambda record, data: record.machine.precision == "float32")
    result = gancli("train", "--resume", run, "--kimg", "0.2", "--threads", "auto")
    assert result.exit_code == 0, result.output
    assert json.loads((run / "config.json").read_text())["machine"] == machine
    result = gancli("train", "--resume", run, "--kimg", "0.3", "--precision", "bf16")
    assert result.exit_code == 2 and "--precision" in result.stderr


def test_resume_with_a_new_total_extends_by_the_runs_name(tiny_idx: Path) -> None:
    trained(tiny_idx, "--kimg", "0.2")
    result = gancli("train", "--resume", "00000-quick-tiny", "--kimg", "0.4", "--json")
    assert "resuming at 0.2 kimg, up to 0.4 kimg" in result.stderr
    assert json.loads(result.stdout)["nimg"] == 400


def test_resume_finds_its_data_from_any_folder(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained(tiny_idx, "--kimg", "0.2").resolve()
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    result = gancli("train", "--resume", run, "--kimg", "0.3")
    assert result.exit_code == 0, result.output


@pytest.fixture
def animals() -> Path:
    """300 colour pictures of 20x16 in two classes."""
    folder = Path("animals").resolve()
    for i in range(300):
        place = folder / ("cat" if i % 3 else "dog") / f"{i:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16), (i % 256, 255 - i % 256, 40)).save(place)
    return folder


def test_a_folder_of_pictures_with_classes_trains_and_resumes(animals: Path) -> None:
    (animals / "dog" / "bad.png").write_bytes(b"no picture")
    result = gancli("train", "--data", animals, "--kimg", "0.2", "--channels", "3", *FAST)
    assert result.exit_code == 0, result.output
    assert "270 images of 16x16 RGB, 30 held out, 2 classes: conditional" in result.stderr
    assert "300 pictures: resized to 16x16" in result.stderr
    assert "1 picture of 301 skipped: dog/bad.png" in result.stderr
    run = Path("runs/00000-quick-animals")
    record = json.loads((run / "config.json").read_text())
    assert record["data"]["class_names"] == ["cat", "dog"] and record["data"]["class_counts"] == [180, 90]
    assert (record["train"]["channels"], record["train"]["fit"], record["train"]["max_bad"]) == ("3", "crop", 10)
    assert record["data"]["source"] == str(animals)
    assert (record["data"]["n_skipped"], record["data"]["n_copies"]) == (1, 44), "300 pictures of 256 colours"
    result = gancli("train", "--resume", run, "--kimg", "0.3")
    assert result.exit_code == 0, result.output
    result = gancli("evaluate", run, "--n", "50", "--json", "-q")
    assert result.exit_code == 0, result.output
    skipped = "1 picture of 301 skipped: dog/bad.png (not a known picture format; convert it to PNG, or delete it)"
    assert result.stderr.splitlines() == [f"note: {skipped}"]

    Image.new("RGB", (20, 16), (1, 2, 3)).save(animals / "dog" / "002.png")
    result = gancli("train", "--resume", run, "--kimg", "0.4")
    assert result.exit_code == 1 and "not the one this run was trained on" in result.stderr


def test_a_resumed_run_keeps_its_image_options(animals: Path) -> None:
    asked = ["--resolution", "8", "--fit", "pad", "--background", "#fff", "--unconditional", "--max-bad", "0"]
    assert gancli("train", "--data", animals, "--kimg", "0.1", *asked, *FAST).exit_code == 0
    with Image.open("runs/00000-quick-animals/reals.png") as reals:
        assert reals.getpixel((0, 0)) == (255, 255, 255)
    result = gancli("train", "--resume", "00000-quick-animals", "--kimg", "0.2", "--json", "-q")
    assert result.exit_code == 0 and json.loads(result.stdout)["nimg"] == 200
    result = gancli("train", "--resume", "00000-quick-animals", "--fit", "crop")
    assert result.exit_code == 2 and "--fit crop" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--data", "animals", "--max-bad", "2"], 1, "3 of 303 pictures in "),
        (["--data", "animals/cat/001.png"], 1, "001.png is one picture"),
        (["--data", "animals/none.zip"], 1, "animals/none.zip"),
        (["--data", "empty"], 1, "no pictures in "),
        (["--data", "animals", "--resolution", "30"], 2, "resolution"),
        (["--data", "animals", "--fit", "cover"], 2, "fit cannot be 'cover'"),
        (["--data", "animals", "--channels", "2"], 2, "channels cannot be '2'"),
        (["--data", "animals", "--background", "sky"], 2, "'sky'"),
    ],
)
def test_impossible_data_are_refused_in_one_line(animals: Path, arguments: list[str], code: int, reason: str) -> None:
    Path("empty").mkdir()
    for i in range(3):
        (animals / "dog" / f"bad{i}.png").write_bytes(b"no picture")
    result = gancli("train", *arguments, *FAST)
    assert result.exit_code == code and reason in result.stderr
    assert result.stderr.count("\n") == 1 and not Path("runs").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_draws_and_says_how_to_resume(tiny_idx: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-m", "gancli", "train", "--data", str(tiny_idx), "--kimg", "1000", *FAST]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy())
    run = Path("runs/00000-quick-tiny")
    deadline = time.monotonic() + 100
    while not (run / "frames" / "000000504.png").exists() and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.05)
    child.send_signal(how)
    out, err = child.communicate(timeout=100)
    assert child.returncode == 128 + how, err
    assert f"gancli train --resume {run}" in err and "Traceback" not in err
    assert "stopped" in out
    assert {path.name for path in run.iterdir()} >= FILES
    newest = max(run.glob("checkpoint-*"))
    assert int(newest.stem.rpartition("-")[2]) >= 504
    record = (run / "config.json").read_bytes()
    result = gancli("train", "--resume", run, "--kimg", "0.1")
    assert result.exit_code == 2 and "a total of 0.1 kimg is below" in result.stderr
    assert (run / "config.json").read_bytes() == record


class Stoppable:
    stops = 0

    def stop(self) -> None:
        self.stops += 1


def test_the_first_signal_asks_to_stop_and_the_second_ends_at_once() -> None:
    trainer, before = Stoppable(), signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    try:
        with pytest.raises(KeyboardInterrupt), stop_on_signals(trainer) as came:  # type: ignore[arg-type]
            signal.raise_signal(signal.SIGINT)
            assert trainer.stops == 1 and came == [signal.SIGINT]
            signal.raise_signal(signal.SIGINT)
        assert trainer.stops == 1 and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_set_after_the_signal_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """`raise_interrupt` ignores further signals while partial files are removed."""
    trainer, before = Stoppable(), signal.getsignal(signal.SIGINT)
    try:
        with stop_on_signals(trainer):  # type: ignore[arg-type]
            signal.raise_signal(signal.SIGINT)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_quiet_refuses_a_batch_too_large_for_memory(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "BYTES_PER_CHANNEL", 10**9)
    monkeypatch.setattr(trial, "measure_peak_bytes", lambda trainer, batch: 10**9 * batch)
    monkeypatch.setattr(devices, "usable_memory_bytes", lambda device=None: 5 * 10**9)
    result = gancli("train", "--data", tiny_idx, "--kimg", "1", "-q", *FAST)
    assert result.exit_code == 1 and not Path("runs").exists()
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ") and "--batch-size 4" in line


def test_nohup_is_respected() -> None:
    trainer, before = Stoppable(), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals(trainer):  # type: ignore[arg-type]
            signal.raise_signal(signal.SIGHUP)
            assert trainer.stops == 0
            signal.raise_signal(signal.SIGTERM)
            assert trainer.stops == 1
    finally:
        signal.signal(signal.SIGHUP, before)


def test_resume_refuses_other_data_under_the_same_name(tiny_idx: Path) -> None:
    trained(tiny_idx, "--kimg", "0.2")
    pixels = tiny_idx / "train-images-idx3-ubyte"
    pixels.write_bytes(pixels.read_bytes()[:-1] + b"\x07")
    result = gancli("train", "--resume", "runs/00000-quick-tiny", "--kimg", "0.4")
    assert result.exit_code == 1 and "digest differs" in result.stderr


def test_a_new_run_is_locked_while_it_trains(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(trainer: Trainer) -> Iterator[None]:
        with pytest.raises(RunError, match="in use"), trainer.run_dir.lock():
            pass
        raise RunError("looked")
        yield

    monkeypatch.setattr(Trainer, "run", busy)
    assert "error: looked" in gancli("train", "--data", tiny_idx, "--kimg", "0.2", *FAST).stderr


def test_two_processes_never_train_the_same_run(tiny_idx: Path) -> None:
    trained(tiny_idx, "--kimg", "0.1")
    hold = "import sys; from pathlib import Path; from gancli.files.run_folder import RunDir\n"
    hold += "with RunDir(Path(sys.argv[1])).lock():\n print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, "runs/00000-quick-tiny"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        result = gancli("train", "--resume", "runs/00000-quick-tiny")
        other.communicate()
    assert result.exit_code == 1
    assert result.stderr.startswith("error: runs/00000-quick-tiny is in use")


BAD: list[tuple[list[str], int, str]] = [
    (["--preset", "quik"], 2, "'quik'"),
    (["--data", "mnits"], 1, "'mnits'"),
    (["--data", "no/such/folder"], 1, "no/such/folder"),
    (["--data", "empty"], 1, "no pictures in "),
    (["--model", "cnov"], 2, "'cnov'"),
    (["--loss", "hinged"], 2, "'hinged'"),
    (["--augment", "color,cutuot"], 2, "'cutuot'"),
    (["--augment", "none", "--ada"], 2, "ada"),
    (["--device", "gpu"], 2, "'gpu'"),
    (["--device", "cuda"], 2, "--device cuda"),
    (["--kimg", "1", "--epochs", "2"], 2, "--kimg and --epochs"),
    (["--kimg", "0"], 2, "kimg must be above 0"),
    (["--time-budget", "soon"], 2, "'soon'"),
    (["--loss", "hinged"], 2, "'hinge'?"),
    (["--loss", "wasserstein"], 2, "--gradient-penalty 10 --gamma 0"),
    (["--gradient-penalty", "10"], 2, "--gradient-penalty 0"),
    (["--r2", "--gamma", "0"], 2, "give --gamma or --no-r2"),
    (["--config", "absent.toml"], 2, "cannot read absent.toml"),
    (["--config", "bad.toml"], 2, "bad.toml is not valid TOML"),
    (["--config", "typo.toml"], 2, "'batchsize'"),
    (["--config", "text.toml"], 2, "'fast'"),
    (["--resume", "absent"], 1, "no run folder at absent"),
    (["--resume", "empty"], 1, "empty is not"),
    (["--outdir", "file.txt"], 1, "cannot write file.txt"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BAD, ids=[" ".join(row[0]) for row in BAD])
def test_bad_input_gets_one_line_and_leaves_nothing(
    tiny_idx: Path, arguments: list[str], code: int, message: str
) -> None:
    Path("empty").mkdir()
    Path("file.txt").write_text("not a folder")
    Path("bad.toml").write_text("= 3")
    Path("typo.toml").write_text("batchsize = 3")
    Path("text.toml").write_text('lr = "fast"')
    before = sorted(Path().rglob("*"))
    data = [] if "--data" in arguments else ["--data", str(tiny_idx)]
    result = gancli("train", *arguments, *([] if "--resume" in arguments else data))
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and message in lines[0], result.stderr
    assert result.stdout == ""
    assert sorted(Path().rglob("*")) == before


def test_every_numeric_setting_refuses_what_is_out_of_range(tiny_idx: Path) -> None:
    visited = 0
    for name in config.tunable_settings():
        field = config.setting_fields()[name]
        if field.type not in (int, float) or name == "time_budget":
            continue
        for value in (field.metadata["low"] - 1, field.metadata["high"] * 2 + 1):
            shown = f"{value:.0f}" if field.type is int else repr(float(value))
            result = gancli("train", "--data", tiny_idx, f"{config.flag_name(name)}={shown}")
            assert result.exit_code == 2, (name, value)
            assert f"{name} must be " in result.stderr
            visited += 1
    assert visited >= 30


def test_resume_refuses_other_settings_by_name(tiny_idx: Path) -> None:
    run = trained(tiny_idx, "--kimg", "0.2")
    for flags, message in (
        (["--batch-size", "16"], "--batch-size 16"),
        (["--preset", "classic"], "--preset classic"),
        (["--time-budget", "5s"], "--time-budget 5s"),
        (["--time-budget", "5s"], "; only --kimg and --epochs extend a run"),
        (["--data", "mnist"], "--data mnist differs"),
        (["--unconditional"], "--conditional"),
    ):
        result = gancli("train", "--resume", run, *flags)
        assert result.exit_code == 2 and message in result.stderr, result.stderr
    assert gancli("train", "--resume", run, "--batch-size", "8").exit_code == 0
    Path("same.toml").write_text('preset = "quick"\nbatch_size = 8\n')
    assert gancli("train", "--resume", run, "--preset", "quick", "--config", "same.toml").exit_code == 0


def test_a_full_or_forbidden_disk_leaves_no_half_run(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = gancli("train", "--data", tiny_idx, "--kimg", "0.1", *FAST)
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert not list(Path("runs").iterdir())
    monkeypatch.setattr(os, "fsync", real)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"{", "cannot read"),
        ("config.json", b"[]", "object"),
        ("config.json", b"{}", "'train'"),
        ("metrics.jsonl", b'{"kind": "eval", "nimg": 0, "fd": NaN}\n', "not numbers"),
        ("metrics.jsonl", b'{"kind": "eval", "nimg": 0, "fd": 1e999}\n', "not numbers"),
        ("metrics.jsonl", b'{"kind": "eval", "nimg": 0, "fd": 1' + b"0" * 400 + b"}\n", "not numbers"),
        ("metrics.jsonl", b'{"kind": "eval", "nimg": 0, "short_classes": [1]}\n', "short_classes"),
        ("config.json", b'{"train": [1]}', "does not hold a valid run config"),
        ("metrics.jsonl", b"[1]\n", "object"),
        ("metrics.jsonl", b'{"kind": "tick"}\n', "kind"),
        ("metrics.jsonl", b"\xff\xfe\n", "JSON"),
        ("frames/000000000.png", b"\x89PNG", "picture"),
    ],
)
def test_a_damaged_run_is_refused_in_one_line(tiny_idx: Path, name: str, content: bytes, message: str) -> None:
    run = trained(tiny_idx, "--kimg", "0.2")
    checkpoints = {path: path.read_bytes() for path in run.glob("checkpoint-*")}
    (run / name).write_bytes(content)
    result = gancli("train", "--resume", run)
    assert result.exit_code == 1, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert message in line
    assert {path: path.read_bytes() for path in run.glob("checkpoint-*")} == checkpoints


def test_a_run_folder_that_vanishes_ends_training_in_one_line(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Trainer.measure

    def measure(trainer: Trainer, kind: str) -> Measured:
        shutil.rmtree(trainer.run_dir.path, ignore_errors=True)
        return real(trainer, kind)

    monkeypatch.setattr(Trainer, "measure", measure)
    result = gancli("train", "--data", tiny_idx, "--kimg", "1", *FAST)
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "No such file or directory" in line


def test_a_closed_stdout_gives_no_traceback(tiny_idx: Path) -> None:
    command = f"{sys.executable} -m gancli train --data {tiny_idx} --kimg 0.1 {' '.join(FAST)} | true"
    end = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert "Traceback" not in end.stderr and "Exception ignored" not in end.stderr, end.stderr
