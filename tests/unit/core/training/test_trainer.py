"""Stopped, killed and resumed runs end exactly like an uninterrupted run."""

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec import structs

from gancli import events, presets
from gancli.core import devices, images
from gancli.core.data import load
from gancli.core.networks import model_file, tensor_file
from gancli.core.sampling import latents
from gancli.core.sampling.generate import generate
from gancli.core.training import checkpoint, run_config
from gancli.core.training.monitor import Measurements, Scorer
from gancli.core.training.trainer import Trainer
from gancli.errors import ConfigError, DivergedError, MemoryLimitError, RunError
from gancli.files import image_io
from gancli.files.run_config import EvalInfo, read_run_config, to_json
from gancli.files.run_folder import RunDir, atomic_write, parse_nimg, read_jsonl
from gancli.files.run_log import read_events

SETTINGS = {
    "model": "mlp",
    "augment": "none",
    "g_width": 8,
    "d_width": 8,
    "z_dim": 8,
    "batch_size": 8,
    "kimg": 1.2,
    "snapshot_kimg": 0.2,
    "tick_kimg": 0.1,
    "ema_kimg": 0.3,
    "r1_interval": 4,
    "gamma": 0.1,
    "shift": 0.5,
    "batch_ramp_kimg": 0,
    "eval_kimg": 0,
    "threads": 1,
}
CONV = {"model": "conv", "augment": "translation,cutout"}  # as in quick
LONG = functools.partial(pytest.param, marks=pytest.mark.long)


def start(
    outdir: Path, folder: Path, preset: str = "quick", scorer: Scorer | None = None, **settings: object
) -> Trainer:
    values = {"data": str(folder), **SETTINGS, **settings}
    if "time_budget" in settings:
        del values["kimg"]
    name, config, sources = presets.resolve_config(preset, values)
    found = load.load_dataset(config.data)
    return Trainer(
        RunDir.create(outdir, name), run_config.build_run_config(name, config, sources, found), found, scorer
    )


def resume(run: RunDir, scorer: Scorer | None = None, **total: float | None) -> Trainer:
    record = run_config.extend_run(read_run_config(run.config), kimg=total.get("kimg"), epochs=total.get("epochs"))
    return Trainer.resume(run, record, load.load_dataset(record.data.source), scorer)


def finish(trainer: Trainer, stop_at: int | None = None) -> list[events.Event]:
    seen = []
    for event in trainer.run():
        seen.append(event)
        if stop_at is not None and isinstance(event, events.Measured) and event.nimg >= stop_at:
            trainer.stop()
    return seen


WHOLE: dict[str, Trainer] = {}


@pytest.fixture
def whole_run(tmp_path_factory: pytest.TempPathFactory, tiny_idx: Path) -> Callable[..., Trainer]:
    """Trains from start to end with these settings, once for all tests of a worker; do not change its folder."""

    def train(preset: str = "quick", scorer: Scorer | None = None, **settings: object) -> Trainer:
        key = repr((preset, scorer is None, sorted(settings.items())))
        if key not in WHOLE:
            trainer = start(tmp_path_factory.mktemp("whole"), tiny_idx, preset, scorer, **settings)
            ended = finish(trainer)[-1]
            assert isinstance(ended, events.RunEnded) and ended.reason == "finished"
            WHOLE[key] = trainer
        return WHOLE[key]

    return train


def without_times(run: RunDir) -> list[dict[str, object]]:
    return [{key: value for key, value in line.items() if key != "train_s"} for line in read_jsonl(run.metrics)]


def assert_same_run(a: RunDir, b: RunDir) -> None:
    """Every tensor of the last checkpoint, every logged line and every frame."""
    assert [p.name for p in a.checkpoints()] == [p.name for p in b.checkpoints()]
    left, right = (checkpoint.read_checkpoint(run.checkpoints()[0]).tensors for run in (a, b))
    assert left.keys() == right.keys() and len(left) > 30
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name
    assert without_times(a) == without_times(b)
    assert [p.name for p in a.frame_paths()] == [p.name for p in b.frame_paths()]
    for one, other in zip(a.frame_paths(), b.frame_paths(), strict=True):
        assert one.read_bytes() == other.read_bytes()
    weights = [tensor_file.unpack_tensors("model", run.model)[0] for run in (a, b)]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


@pytest.mark.parametrize(
    ("preset", "settings"),
    [
        ("quick", CONV),
        ("classic", {"ema_kimg": 0.0, "gamma": 0.0, "shift": 0.0}),
        ("quick", {"batch_size": 12, "batch_ramp_kimg": 0.4}),
        ("quick", {"mirror": True}),
        ("quick", {"augment": "color,translation,cutout,flip", "ada": True}),
        LONG("quick", {"model": "resnet", "spectral_norm": True}),
        LONG(
            "quick",
            {"loss": "relativistic", "r2": True, "gamma_end": 0.1, "lr_end": 0.2, "beta2_end": 0.9, "burn_in": 0.5},
        ),
        LONG("quick", {"loss": "wasserstein", "gamma": 0.0, "gradient_penalty": 10.0}),
        LONG("quick", {"precision": "bf16"}),
        LONG("quick", {"precision": "bf16", "model": "resnet", "r2": True, "spectral_norm": True}),
    ],
)
def test_a_stopped_and_resumed_run_equals_the_uninterrupted_run(
    tmp_path: Path, tiny_idx: Path, preset: str, settings: dict[str, object], whole_run: Callable[..., Trainer]
) -> None:
    whole = whole_run(preset, **settings)
    parts = start(tmp_path / "b", tiny_idx, preset, **settings)
    for stop_at in (100, 150, 640):  # before the first snapshot, inside a tick, late
        ended = finish(parts, stop_at)[-1]
        assert isinstance(ended, events.RunEnded) and ended.reason == "stopped"
        parts = resume(parts.run_dir)
        assert parts.state.nimg >= stop_at
    finish(parts)
    assert_same_run(whole.run_dir, parts.run_dir)


def test_adaptive_strength_is_logged_and_kept_by_checkpoints(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, augment="color", augment_strength=0.4, ada=True, kimg=0.65, snapshot_kimg=0.3)
    finish(trainer)
    ticks = [line for line in read_jsonl(trainer.run_dir.metrics) if line["kind"] == "tick"]
    strength, expected = 0.4, []
    for line in ticks:
        expected.append(strength)
        strength += 0.001 if line["r_v"] is not None and line["r_v"] > 0.6 else -0.001
    assert [line["augment_strength"] for line in ticks] == pytest.approx(expected)
    assert len(ticks) == 7 and trainer.state.strength == pytest.approx(strength)
    assert resume(trainer.run_dir).state.strength == trainer.state.strength


def test_adaptive_strength_without_held_out_images_is_refused(tmp_path: Path, tiny_idx: Path) -> None:
    for path in tiny_idx.glob("t10k-*"):
        path.unlink()
    with pytest.raises(ConfigError, match=r"--ada .*held-out"):
        start(tmp_path, tiny_idx, augment="color", ada=True)
    start(tmp_path, tiny_idx, augment="color")


def test_the_same_run_twice_is_the_same_and_another_seed_is_not(tmp_path: Path, tiny_idx: Path) -> None:
    runs = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(runs))  # the global generator must not matter
        trainer = start(tmp_path, tiny_idx, seed=seed, kimg=0.3)
        finish(trainer)
        runs.append(trainer.run_dir)
    assert_same_run(runs[0], runs[1])
    weights = [tensor_file.unpack_tensors("model", run.model)[0] for run in (runs[0], runs[2])]
    assert any(not torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_mirror_shows_half_of_the_images_flipped(
    tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[bool, list[torch.Tensor]] = {}
    for mirror in (False, True):
        trainer = start(tmp_path, tiny_idx, mirror=mirror)
        trainer.engine.images = torch.arange(64 * 64).remainder(251).to(torch.uint8).view(64, 1, 8, 8)
        seen = shown.setdefault(mirror, [])
        monkeypatch.setattr(trainer.state, "step", lambda real, *_, seen=seen: seen.append(real))
        for nimg in range(0, 256, 8):
            trainer.state.nimg = nimg
            trainer.engine.step()
    plain, mirrored = torch.cat(shown[False]), torch.cat(shown[True])
    is_flipped = (mirrored == plain.flip(3)).flatten(1).all(1)
    is_plain = (mirrored == plain).flatten(1).all(1)
    assert bool((is_flipped ^ is_plain).all()) and 90 < int(is_flipped.sum()) < 166


def test_images_that_do_not_fit_the_device_stay_in_main_memory(
    tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[torch.Tensor] = []
    monkeypatch.setattr(devices, "has_room_for", lambda device, images: bool(asked.append(images)))
    trainer = start(tmp_path, tiny_idx)
    assert trainer.engine.images is trainer.engine.data.images and len(asked) == 1
    monkeypatch.undo()
    whole = start(tmp_path, tiny_idx)
    for one in (trainer, whole):
        one.engine.step()
    assert torch.equal(next(trainer.state.G.parameters()), next(whole.state.G.parameters()))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (400, 800))
    small, large = torch.zeros(100, dtype=torch.uint8), torch.zeros(101, dtype=torch.uint8)
    assert devices.has_room_for(torch.device("cuda"), small) and not devices.has_room_for(torch.device("cuda"), large)
    assert devices.has_room_for(torch.device("cpu"), large)


CHILD = """
import os, signal, sys
from test_trainer import Path, finish, start
real, count = os.replace, 0
def replace(source, target):
    global count
    if str(target).endswith(sys.argv[3]):
        count += 1
        if count == int(sys.argv[4]):
            if sys.argv[5] == "after":
                real(source, target)
            os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)
os.replace = replace
finish(start(Path(sys.argv[1]), Path(sys.argv[2])))
"""


@pytest.mark.parametrize(
    ("target", "nth", "when"),
    [
        ("000000400.safetensors", 1, "before"),
        LONG("000000600.safetensors", 1, "after"),
        ("model.safetensors", 4, "before"),
        LONG("samples.png", 3, "after"),
        LONG("000000504.png", 1, "after"),
    ],
)
def test_a_killed_and_resumed_run_equals_the_uninterrupted_run(
    tmp_path: Path, tiny_idx: Path, target: str, nth: int, when: str, whole_run: Callable[..., Trainer]
) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path / "b"), str(tiny_idx), target, str(nth), when]
    here = f"{os.environ['PYTHONPATH']}{os.pathsep}{Path(__file__).parent}"
    child = subprocess.run(command, env={**os.environ, "PYTHONPATH": here}, capture_output=True, text=True)
    assert child.returncode == -9, child.stderr
    (run,) = [RunDir(path) for path in (tmp_path / "b").iterdir()]
    resumed = resume(run)
    assert 0 < resumed.state.nimg < 1200
    finish(resumed)
    assert_same_run(whole_run().run_dir, run)
    assert not list(run.path.glob("**/*.partial"))


def test_a_run_killed_before_its_first_snapshot_starts_over(tmp_path: Path, tiny_idx: Path) -> None:
    whole = start(tmp_path / "a", tiny_idx, kimg=0.3)
    finish(whole)
    dropped = start(tmp_path / "b", tiny_idx, kimg=0.3)
    for event in dropped.run():
        if isinstance(event, events.Measured):
            break  # the reader stops, and nothing is closed
    again = resume(dropped.run_dir)
    assert again.state.nimg == 0
    finish(again)
    assert_same_run(whole.run_dir, dropped.run_dir)


def test_a_damaged_newest_checkpoint_falls_back_to_the_previous_one(
    tmp_path: Path, tiny_idx: Path, whole_run: Callable[..., Trainer]
) -> None:
    parts = start(tmp_path / "b", tiny_idx)
    finish(parts, 500)
    newest, before = parts.run_dir.checkpoints()
    newest.write_bytes(newest.read_bytes()[:-1000])
    again = resume(parts.run_dir)
    assert parts.run_dir.checkpoint(again.state.nimg) == before
    (warning,) = again.notes
    assert newest.name in warning and "damaged" in warning
    assert newest.with_suffix(".damaged").is_file() and newest.with_suffix(".damaged").name in warning
    finish(again)
    assert_same_run(whole_run().run_dir, parts.run_dir)
    for path in parts.run_dir.checkpoints():
        path.write_bytes(b"")
    with pytest.raises(RunError, match="no checkpoint"):
        resume(parts.run_dir)
    assert len(parts.run_dir.checkpoints()) == 2, "nothing is set aside while nothing better was found"


def test_extending_continues_to_the_new_total(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, kimg=0.4)
    finish(trainer)
    more = resume(trainer.run_dir, kimg=0.8)
    assert not more.is_finished
    finish(more)
    assert more.state.nimg == 800
    assert read_run_config(more.run_dir.config).train.kimg == 0.8
    ticks = [line["nimg"] for line in read_jsonl(more.run_dir.metrics) if line["kind"] == "tick"]
    assert ticks == [104, 200, 304, 400, 504, 600, 704, 800]
    assert resume(more.run_dir).is_finished
    epochs = resume(more.run_dir, epochs=20)
    assert epochs.total_nimg == 20 * 64 and not epochs.is_finished
    assert epochs.record.plan.earlier == [400, 800]


@pytest.mark.parametrize("kimg", [0.001, 2.007, 32.112, 147.504])
def test_a_length_in_kimg_is_exact(tiny_idx: Path, kimg: float) -> None:
    name, config, sources = presets.resolve_config("quick", flags={"data": str(tiny_idx), "kimg": kimg})
    record = run_config.build_run_config(name, config, sources, load.load_dataset(str(tiny_idx)))
    assert to_json(record)["plan"] == {"total_nimg": round(kimg * 1000)}


def test_metrics_are_the_means_of_the_steps(tmp_path: Path, tiny_idx: Path) -> None:
    """One line per tick and epoch, each the mean over its steps, so their weighted sums agree."""
    trainer = start(tmp_path, tiny_idx, kimg=0.64, tick_kimg=0.064)
    finish(trainer)
    lines = read_jsonl(trainer.run_dir.metrics)
    ticks = [line for line in lines if line["kind"] == "tick"]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert [line["nimg"] for line in ticks] == [line["nimg"] for line in epochs] == list(range(64, 641, 64))
    for tick, epoch in zip(ticks, epochs, strict=True):
        for name in ("d_loss", "g_loss", "accuracy", "accuracy_real", "accuracy_fake", "r1"):
            assert tick[name] == epoch[name]
        assert tick["accuracy"] == (tick["accuracy_real"] + tick["accuracy_fake"]) / 2
        assert list(tick)[-1] == "train_s"
    assert 0.5 < ticks[0]["d_loss"] < 3 and 0 <= ticks[0]["accuracy"] <= 1


def test_frames_are_dense_at_first_and_include_the_end(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, kimg=1.3)
    finish(trainer)
    assert [int(p.stem) for p in trainer.run_dir.frame_paths()] == [0, 504, 1000, 1304]


def test_events_report_what_is_already_on_disk(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, kimg=0.6)
    kinds = set()
    for event in trainer.run():
        kinds.add(type(event))
        if isinstance(event, events.SnapshotSaved | events.FrameSaved):
            assert event.path.is_file()
        if isinstance(event, events.Measured):
            assert read_jsonl(trainer.run_dir.metrics)[-1]["nimg"] == event.nimg
    assert kinds >= {events.RunStarted, events.Measured, events.FrameSaved, events.SnapshotSaved, events.RunEnded}
    assert len(trainer.run_dir.checkpoints()) == 2
    notes = [json.loads(line)["event"] for line in trainer.run_dir.events.read_text().splitlines()]
    assert notes == ["start", "finished"]


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that advances by these seconds each time it is read."""

    def install(step_s: float) -> None:
        def times() -> Iterator[float]:
            now = 0.0
            while True:
                now += step_s
                yield now

        ticks = times()
        monkeypatch.setattr("gancli.core.training.time_budget.time.perf_counter", lambda: next(ticks))

    return install


def test_a_time_budget_becomes_a_plan_that_resume_finishes(
    tmp_path: Path, tiny_idx: Path, ticking: Callable[[float], None]
) -> None:
    ticking(0.02)
    trainer = start(tmp_path, tiny_idx, time_budget=20.0)
    assert trainer.total_nimg is None
    seen = finish(trainer, stop_at=1000)
    plans = [event for event in seen if isinstance(event, events.PlanFixed)]
    assert (
        len(plans) == 1
        and plans[0].total_nimg == trainer.total_nimg == read_run_config(trainer.run_dir.config).plan.total_nimg
    )
    again = resume(trainer.run_dir)
    assert again.total_nimg == trainer.total_nimg
    ended = finish(again)[-1]
    assert isinstance(ended, events.RunEnded) and ended.reason == "finished"
    assert again.state.nimg >= plans[0].total_nimg


def test_a_time_budget_run_resumed_after_its_plan_equals_the_uninterrupted_run(
    tmp_path: Path, tiny_idx: Path, ticking: Callable[[float], None]
) -> None:
    ticking(0.02)
    whole = start(tmp_path / "a", tiny_idx, time_budget=20.0, shift=1.0)
    copied = None
    for event in whole.run():
        if isinstance(event, events.PlanFixed):
            copied = shutil.copytree(whole.run_dir.path, tmp_path / "b")  # as after a kill at this moment
    assert copied is not None
    again = resume(RunDir(copied))
    assert 0 < again.state.nimg < whole.state.nimg and again.total_nimg == whole.total_nimg
    finish(again)
    assert_same_run(whole.run_dir, again.run_dir)


def test_a_plan_made_at_a_tick_keeps_the_tick(tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gancli.core.training.time_budget.TimeBudget.measure", lambda clock, nimg, batch: nimg == 200)
    monkeypatch.setattr("gancli.core.training.time_budget.TimeBudget.plan", lambda clock, nimg, sizes: 400)
    whole = start(tmp_path / "a", tiny_idx, time_budget=1e6)
    for event in whole.run():
        if isinstance(event, events.PlanFixed):
            copied = shutil.copytree(whole.run_dir.path, tmp_path / "b")
    again = resume(RunDir(copied))
    assert again.state.nimg == 200
    finish(again)
    ticks = [line["nimg"] for line in read_jsonl(whole.run_dir.metrics) if line["kind"] == "tick"]
    assert ticks == [104, 200, 304, 400]
    assert_same_run(whole.run_dir, again.run_dir)


def test_a_time_budget_run_stopped_early_keeps_its_budget(
    tmp_path: Path, tiny_idx: Path, ticking: Callable[[float], None]
) -> None:
    ticking(0.01)
    trainer = start(tmp_path, tiny_idx, time_budget=20.0)
    finish(trainer, stop_at=100)
    again = resume(trainer.run_dir)
    assert again.total_nimg is None and again.state.nimg < 200
    ended = finish(again)[-1]
    assert isinstance(ended, events.RunEnded) and ended.nimg > 1000
    assert 15 < again.train_s <= 20.5


def test_labels_may_have_gaps(tmp_path: Path, tiny_idx: Path) -> None:
    for split in ("train", "t10k"):
        path = tiny_idx / f"{split}-labels-idx1-ubyte"
        content = path.read_bytes()
        path.write_bytes(content[:8] + content[8:].replace(b"\x01", b"\x05").replace(b"\x00", b"\x03"))
    trainer = start(tmp_path, tiny_idx, kimg=0.1)
    finish(trainer)
    assert trainer.engine.spec.n_classes == 6
    labels = trainer.image_logger.labels()
    assert labels is not None and set(labels.tolist()) == {2, 3, 5}


def test_an_edited_config_is_refused_and_another_torch_gets_a_note(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, kimg=0.1)
    finish(trainer)
    kept = read_run_config(trainer.run_dir.config)
    record: dict[str, Any] = to_json(kept)
    trainer.run_dir.write_json(trainer.run_dir.config, {**record, "train": {**record["train"], "lr": 0.5}})
    with pytest.raises(RunError, match=r"lr = 0\.5.*0\.002"):
        resume(trainer.run_dir)
    for name, now, then in (("precision", "bf16", "float32"), ("threads", 2, 1)):
        trainer.run_dir.write_json(trainer.run_dir.config, {**record, "machine": {**record["machine"], name: now}})
        with pytest.raises(
            RunError, match=rf"says machine\.{name} = {now!r}, but the run's checkpoint says {then!r}; restore"
        ):
            resume(trainer.run_dir)
    trainer.run_dir.write_json(trainer.run_dir.config, {**record, "machine": {**record["machine"], "precision": "x"}})
    with pytest.raises(RunError, match=r"machine\.precision.*'x'"):
        resume(trainer.run_dir)
    trainer.run_dir.write_json(trainer.run_dir.config, record)
    assert resume(trainer.run_dir).notes == []
    other = structs.replace(kept, machine=structs.replace(kept.machine, torch="1.0"))
    same, (warning,) = run_config.check_against_checkpoint(trainer.run_dir, kept, other)
    assert same == kept
    assert "this run used torch 1.0" in warning


def test_settings_newer_than_a_run_have_defaults_on_resume(
    tmp_path: Path, tiny_idx: Path, whole_run: Callable[..., Trainer]
) -> None:
    whole, parts = whole_run(), start(tmp_path, tiny_idx)
    finish(parts, 640)
    run = parts.run_dir
    newer = ("precision", "gamma_end", "r2", "gradient_penalty", "burn_in", "lr_end", "beta2_end")
    (last, *_), record = run.checkpoints(), json.loads(run.config.read_text())
    tensors, meta, _ = tensor_file.unpack_tensors("checkpoint", last)
    for kept in (record, meta["record"]):
        kept["train"] = {name: value for name, value in kept["train"].items() if name not in newer}
    run.write_json(run.config, record)
    atomic_write(last, tensor_file.pack_tensors("checkpoint", tensors, meta))
    parts = resume(run)
    assert replace(parts.config, data="") == replace(whole.config, data="")
    finish(parts)
    assert_same_run(whole.run_dir, run)


@pytest.mark.parametrize(
    ("loss", "g_loss", "unit", "of"),
    [
        ("hinge", 0.0, "", "images"),
        ("wasserstein", None, "", "pairs"),
        ("relativistic", 0.6931472, "nats per pair", "pairs"),
    ],
)
def test_the_record_explains_losses_and_accuracy(
    tmp_path: Path, tiny_idx: Path, loss: str, g_loss: float | None, unit: str, of: str
) -> None:
    penalty = {"gamma": 0.0, "gradient_penalty": 10.0} if loss == "wasserstein" else {}
    trainer = start(tmp_path, tiny_idx, loss=loss, kimg=0.2, **penalty)
    ideals = trainer.record.ideals
    assert ideals.g_loss == (g_loss and pytest.approx(g_loss))
    assert (ideals.loss_unit, ideals.accuracy_of) == (unit, of)
    finish(trainer)
    assert read_run_config(trainer.run_dir.config).ideals == ideals
    tick = next(line for line in read_jsonl(trainer.run_dir.metrics) if line["kind"] == "tick")
    assert 0 <= tick["accuracy"] <= 1 and 0 <= tick["accuracy_heldout"] <= 1
    assert ("accuracy_real" in tick) is (of == "images")


def test_the_clock_stops_a_run_that_turns_out_slow(
    tmp_path: Path, tiny_idx: Path, ticking: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticking(0.01)
    monkeypatch.setattr("gancli.core.training.time_budget.MARGIN", 10.0)  # a plan far too long
    trainer = start(tmp_path, tiny_idx, time_budget=10.0)
    ended = finish(trainer)[-1]
    assert isinstance(ended, events.RunEnded) and ended.reason == "time"
    assert ended.nimg < ended.total_nimg
    assert 10.0 - 1e-9 <= trainer.train_s < 10.5  # the ticks are summed up
    assert trainer.run_dir.checkpoints()[0] == trainer.run_dir.checkpoint(ended.nimg)


def test_running_out_of_memory_during_a_run_keeps_saved_files(
    tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch, whole_run: Callable[..., Trainer]
) -> None:
    trainer = start(tmp_path, tiny_idx)
    step = trainer.state.step

    def limited(*arguments: Any) -> None:
        if trainer.state.nimg >= 400:
            raise torch.OutOfMemoryError("CUDA out of memory")
        step(*arguments)

    monkeypatch.setattr(trainer.state, "step", limited)
    said = f"a batch of 8 images of 8x8 does not fit .* cpu; free .*--resume {trainer.run_dir.path}, or .*-size 4"
    with pytest.raises(MemoryLimitError, match=said):
        finish(trainer)
    assert trainer.run_dir.checkpoints()[0] == trainer.run_dir.checkpoint(400)
    finish(resume(trainer.run_dir))
    assert_same_run(trainer.run_dir, whole_run().run_dir)


@pytest.mark.parametrize("place", ["signals", "is_finite"])
@pytest.mark.parametrize("fault", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_running_out_of_memory_outside_a_step_is_one_line(
    tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch, place: str, fault: Exception
) -> None:
    trainer = start(tmp_path, tiny_idx)
    real = getattr(trainer.state, place)

    def limited(*arguments: Any) -> Any:
        if trainer.state.nimg >= 400:
            raise fault
        return real(*arguments)

    monkeypatch.setattr(trainer.state, place, limited)
    said = f"out of memory at 0.4 kimg; free .*--resume {trainer.run_dir.path}, or start a new run with --batch-size 4"
    with pytest.raises(MemoryLimitError, match=said):
        finish(trainer)


def test_a_run_whose_folder_was_replaced_writes_nothing_there(tmp_path: Path, tiny_idx: Path) -> None:
    trainer, other = start(tmp_path, tiny_idx), start(tmp_path / "other", tiny_idx, seed=1, kimg=0.2)
    finish(other)
    path = trainer.run_dir.path
    with pytest.raises(RunError, match="not the folder"), trainer.run_dir.lock():
        for event in trainer.run():
            if isinstance(event, events.SnapshotSaved) and event.nimg == 400:
                shutil.rmtree(path)
                shutil.copytree(other.run_dir.path, path)
                before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
    assert resume(RunDir(path)).is_finished


def spoil(trainer: Trainer, nimg: int, times: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, ...]]:
    """Set weights to NaN after nimg images, `times` times. Returns the learning rates of G and D of all steps."""
    step, rates, left = trainer.engine.step, list[tuple[float, ...]](), times

    def spoiled() -> None:
        nonlocal left
        step()
        rates.append(tuple(optimizer.lr for optimizer in trainer.state.optimizers.values()))
        if left and trainer.state.nimg >= nimg:
            left -= 1
            with torch.no_grad():
                next(trainer.state.G.parameters()).fill_(float("nan"))

    monkeypatch.setattr(trainer.engine, "step", spoiled)
    return rates


def test_a_run_that_diverges_goes_back_once_and_continues_at_half_the_rate(
    tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch, whole_run: Callable[..., Trainer]
) -> None:
    whole, trainer, stopped = whole_run(), start(tmp_path, tiny_idx), start(tmp_path, tiny_idx)
    rates = spoil(trainer, 240, 1, monkeypatch)
    seen = finish(trainer)
    (warned,) = [event for event in seen if isinstance(event, events.Warned) and event.name == "diverged"]
    assert warned.text == (
        "a loss or weight was not finite at 0.248 kimg: training continues from the checkpoint of 0.2 kimg with half "
        "the learning rate"
    )
    assert isinstance(seen[-1], events.RunEnded) and seen[-1].reason == "finished" and trainer.state.is_finite()
    assert len(rates) == (248 + 1200 - 200) / 8
    np.testing.assert_allclose(rates[31:37], np.array(rates[25:31]) / 2)
    lines, unspoiled = without_times(trainer.run_dir), without_times(whole.run_dir)
    assert [(line["kind"], line["nimg"]) for line in lines] == [(line["kind"], line["nimg"]) for line in unspoiled]
    n_before = sum(line["nimg"] <= 200 for line in unspoiled)  # type: ignore[operator]
    assert lines[:n_before] == unspoiled[:n_before] and lines[-1] != unspoiled[-1]

    spoil(stopped, 240, 1, monkeypatch)
    finish(stopped, stop_at=600)
    finish(resume(stopped.run_dir))
    assert_same_run(stopped.run_dir, trainer.run_dir)


def test_a_run_killed_after_going_back_warns_once(
    tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = start(tmp_path, tiny_idx, kimg=0.4)
    for _ in range(2):
        spoil(trainer, 240, 1, monkeypatch)
        assert any(isinstance(event, events.Warned) and event.name == "diverged" for event in trainer.run())
        trainer = resume(trainer.run_dir)
        assert trainer.state.nimg == 200
    assert [line.nimg for line in read_events(trainer.run_dir.events) if line.name == "diverged"] == [200]


@pytest.mark.parametrize(("nimg", "back_at"), [(200, 0), (1200, 1000)], ids=["at a tick", "at the end"])
def test_no_tick_is_written_for_a_diverged_step(
    tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch, nimg: int, back_at: int
) -> None:
    trainer = start(tmp_path, tiny_idx)
    spoil(trainer, nimg, 1, monkeypatch)
    seen = finish(trainer)
    (warned,) = [event for event in seen if isinstance(event, events.Warned) and event.name == "diverged"]
    assert warned.nimg == back_at and trainer.state.nimg == 1200 and trainer.state.lr_factor == 0.5
    assert [line["nimg"] for line in read_jsonl(trainer.run_dir.metrics) if line["kind"] == "tick"] == sorted(
        {event.nimg for event in seen if isinstance(event, events.Measured) and event.kind == "tick"}
    )
    assert resume(trainer.run_dir).is_finished


def test_a_run_that_went_back_uses_up_its_time_budget(
    tmp_path: Path, tiny_idx: Path, ticking: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticking(0.01)
    trainer = start(tmp_path, tiny_idx, time_budget=20.0)
    spoil(trainer, 240, 1, monkeypatch)
    ended = finish(trainer)[-1]
    assert isinstance(ended, events.RunEnded) and ended.nimg > 1000 and trainer.state.lr_factor == 0.5
    assert 15 < trainer.train_s < 20.5  # this clock is read less often, so it is slower, once there is a plan


def test_a_run_that_diverges_again_stops_with_a_reason_and_saves_nothing_broken(
    tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = start(tmp_path, tiny_idx)
    spoil(trainer, 240, 3, monkeypatch)  # two before it goes back, since the step that detects it counts
    said = r"diverged again, with half the learning rate, at 0\.248 kimg: .*try a lower --lr.*checkpoint-000000200"
    with pytest.raises(DivergedError, match=said):
        finish(trainer)
    assert ("diverged", trainer.state.nimg) in [(line.event, line.nimg) for line in read_events(trainer.run_dir.events)]
    for path in trainer.run_dir.checkpoints():
        assert all(tensor.isfinite().all() for tensor in checkpoint.read_checkpoint(path).tensors.values())
    assert all(
        tensor.isfinite().all() for tensor in tensor_file.unpack_tensors("model", trainer.run_dir.model)[0].values()
    )


def test_unlabelled_and_unconditional_runs_have_no_classes(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, conditional=False, kimg=0.1)
    finish(trainer)
    assert trainer.engine.spec.n_classes == 0 and trainer.engine.labels is None
    (tiny_idx / "train-labels-idx1-ubyte").unlink()
    (tiny_idx / "t10k-labels-idx1-ubyte").unlink()
    bare = start(tmp_path, tiny_idx, kimg=0.1)
    finish(bare)
    assert bare.engine.spec.n_classes == 0


def test_resume_refuses_other_data_and_settings(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, kimg=0.1)
    finish(trainer)
    record = read_run_config(trainer.run_dir.config)
    path = tiny_idx / "train-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[-20] ^= 255
    path.write_bytes(content)
    with pytest.raises(RunError, match="digest differs"):
        run_config.check_same_data(record, load.load_dataset(str(tiny_idx)))


def test_files_and_frames_show_the_average_not_g_itself(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, kimg=0.3)
    finish(trainer)
    saved = tensor_file.unpack_tensors("model", trainer.run_dir.model)[0]
    for name, tensor in trainer.state.G_ema.state_dict().items():
        assert torch.equal(saved[name], tensor)
    assert any(not torch.equal(saved[name], tensor) for name, tensor in trainer.state.G.state_dict().items())
    z = latents.latents_from_seeds(range(80), 8)
    picture = images.make_grid(generate(trainer.state.G_ema, z, torch.arange(80) % 10 % 3), 10)
    assert np.array_equal(image_io.read_png(trainer.run_dir.frame_paths()[-1]), picture)
    assert np.array_equal(image_io.read_png(trainer.run_dir.samples), image_io.enlarge_pixels(picture, 600 // 80))


def test_real_images_are_in_the_columns_of_their_classes(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, kimg=0.1)
    finish(trainer)
    picture = image_io.read_png(trainer.run_dir.reals)[::7, ::7]
    cells = picture.reshape(8, 8, 10, 8).swapaxes(1, 2)
    for row in range(8):
        for column in range(10):
            top = 1 + 2 * (column % 10 % 3)  # the bar of tiny images gives the label
            assert cells[row, column, top].min() >= 100 and cells[row, column, 0].max() == 0
    assert len(np.unique(picture)) > 10, "different images of a class"


def test_steps_get_the_schedules_time_epochs_and_batch(
    tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = start(tmp_path, tiny_idx, kimg=0.64, batch_ramp_kimg=0.16, batch_size=16)
    seen = []

    def step(real: torch.Tensor, labels: torch.Tensor, t: float, epochs: float) -> None:
        seen.append((trainer.state.nimg, len(real), t, epochs))
        assert torch.equal(labels, real[:, 0, 1:6:2, 0].argmax(dim=1)), "labels belong to their images"
        trainer.state.nimg += len(real)

    monkeypatch.setattr(trainer.state, "step", step)
    while not trainer.is_finished:
        trainer.engine.step()
    assert [n for _, n, _, _ in seen] == [4] * 10 + [8] * 15 + [16] * 30
    for nimg, _, t, epochs in seen:
        assert t == nimg / 640 and epochs == nimg / 64


def test_resume_drops_later_files_and_keeps_the_training_time(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, kimg=0.3)
    finish(trainer)
    image_io.write_png(trainer.run_dir.frame(700), np.zeros((8, 8), np.uint8))
    with open(trainer.run_dir.metrics, "a") as log:
        log.write('{"kind": "tick", "nimg": 400}\n{"kind": "ti')
    again = resume(trainer.run_dir)
    assert not trainer.run_dir.frame(700).exists()
    assert max(line["nimg"] for line in read_jsonl(trainer.run_dir.metrics)) == 304
    assert again.train_s == trainer.train_s > 0


def test_the_record_names_ideals_threads_and_precision(tmp_path: Path, tiny_idx: Path) -> None:
    torch.set_num_threads(2)
    trainer = start(tmp_path, tiny_idx)
    assert torch.get_num_threads() == 1
    assert trainer.record.machine.threads == 1 and trainer.record.machine.precision == "float32"
    ideals = trainer.record.ideals
    assert ideals.d_loss == pytest.approx(1.3862944) and ideals.g_loss == pytest.approx(0.6931472)
    assert (ideals.d_loss_name, ideals.g_loss_name, ideals.accuracy) == ("log 4", "log 2", 0.5)


def weight_sum(G: torch.nn.Module) -> float:
    return sum(float(p.double().sum()) for p in G.parameters())


def scored(values: list[float] | None = None) -> Scorer:
    """A scorer whose scores are computed from the weights, or come from a list in order."""

    def measure(G: torch.nn.Module) -> Measurements:
        return Measurements({"fd_toy": values.pop(0) if values else weight_sum(G) % 1}, ())

    return Scorer(EvalInfo("fd_toy", 0.1), measure)


def test_the_best_scored_model_is_kept_and_every_score_logged(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, scorer=scored([5.0, 3.0, 2.0, 4.0, 2.0]), kimg=1.2, eval_kimg=0.4)
    seen = [event for event in finish(trainer) if isinstance(event, events.Scored)]
    assert [(event.nimg, event.score, event.is_best) for event in seen] == [
        (104, 5, True), (200, 3, True), (400, 2, True), (800, 4, False), (1200, 2, False)
    ]  # fmt: skip
    assert {event.floor for event in seen} == {0.1}
    lines = [line for line in read_jsonl(trainer.run_dir.metrics) if line["kind"] == "eval"]
    assert [(line["nimg"], line["fd_toy"]) for line in lines] == [(event.nimg, event.score) for event in seen]
    assert model_file.load_model(trainer.run_dir.best_model).info.nimg == 400
    assert model_file.load_model(trainer.run_dir.model).info.nimg == 1200
    assert read_run_config(trainer.run_dir.config).eval == EvalInfo("fd_toy", 0.1)
    summary = trainer.monitor.summary()
    assert summary and summary.to_json() == {"name": "fd_toy", "value": 2, "floor": 0.1, "best": 2, "best_nimg": 400}


def test_a_budget_that_ends_right_after_an_evaluation_does_not_score_that_moment_again(
    tmp_path: Path, tiny_idx: Path, ticking: Callable[[float], None]
) -> None:
    ticking(0.01)
    trainer = start(tmp_path, tiny_idx, scorer=scored(), time_budget=20.0, eval_kimg=0.01)
    for event in trainer.run():
        if isinstance(event, events.Scored) and event.nimg >= 400:
            ticking(1000.0)
    lines = [line["nimg"] for line in read_jsonl(trainer.run_dir.metrics) if line["kind"] == "eval"]
    assert lines[-1] == trainer.state.nimg and len(lines) == len(set(lines)) > 3


def test_a_score_that_cannot_be_computed_is_logged_as_null_and_never_the_best(tmp_path: Path, tiny_idx: Path) -> None:
    nothing = Scorer(EvalInfo("fd_toy"), lambda G: Measurements({"fd_toy": None}))
    trainer = start(tmp_path, tiny_idx, scorer=nothing, kimg=0.4, eval_kimg=0.4)
    finish(trainer)
    assert read_jsonl(trainer.run_dir.metrics)[-1]["fd_toy"] is None
    assert not trainer.run_dir.best_model.exists()


@pytest.mark.parametrize("stop_at", [104, 504, 904])
def test_a_resumed_run_keeps_the_best_model_of_the_uninterrupted_one(
    tmp_path: Path, tiny_idx: Path, stop_at: int, whole_run: Callable[..., Trainer]
) -> None:
    whole = whole_run(scorer=scored(), eval_kimg=0.1)
    parts = start(tmp_path / "parts", tiny_idx, scorer=scored(), eval_kimg=0.1)
    finish(parts, stop_at=stop_at)
    again = resume(parts.run_dir, scorer=scored())
    finish(again)
    assert_same_run(whole.run_dir, again.run_dir)
    assert whole.run_dir.best_model.read_bytes() == again.run_dir.best_model.read_bytes()
    assert whole.monitor.best == again.monitor.best is not None


def test_a_run_killed_between_checkpoint_and_best_model_rewrites_it(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, scorer=scored([5.0, 3.0, 1.0, 2.0]), kimg=1.2, eval_kimg=0.4)
    for event in trainer.run():
        if isinstance(event, events.Scored) and event.nimg == 400:
            break
    run = trainer.run_dir
    content = run.best_model.read_bytes()
    for damage in (None, content[:-1], (run.path / "frames" / "000000000.png").read_bytes()):
        run.best_model.unlink() if damage is None else run.best_model.write_bytes(damage)
        again = resume(run, scorer=scored([2.0, 2.0]))
        assert again.state.nimg == 400 and run.best_model.read_bytes() == content
        assert len(again.notes) == (damage is not None)


def test_a_best_model_from_after_the_checkpoint_is_replaced_by_the_next_one(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, scorer=scored([5.0, 3.0, 1.0, 2.0, 2.0]), kimg=1.2, eval_kimg=0.4)
    finish(trainer)
    run = trainer.run_dir
    newest, older = run.checkpoints()
    newest.write_bytes(b"")
    shutil.copy(run.model, run.best_model)  # of image 1200
    again = resume(run, scorer=scored([4.0]))
    assert again.state.nimg == parse_nimg(older) == 1000 and again.monitor.best is None
    assert "the model with the best score, 1 at 0.4 kimg, is lost" in again.notes[-1]
    finish(again)
    assert again.monitor.best == (4.0, 1200) and model_file.load_model(run.best_model).info.nimg == 1200


def test_the_checkpoint_of_a_best_score_is_written_before_its_model(
    tmp_path: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = start(tmp_path, tiny_idx, scorer=scored([5.0, 3.0, 1.0]), kimg=1.2, eval_kimg=0.4, snapshot_kimg=100)
    real, best = model_file.save_model, trainer.run_dir.best_model

    def save(path: Path, *rest: Any) -> None:
        if path == best and trainer.state.nimg == 400:
            raise RunError("killed here")
        real(path, *rest)

    monkeypatch.setattr(model_file, "save_model", save)
    with pytest.raises(RunError, match="killed here"):
        finish(trainer)
    monkeypatch.undo()
    assert model_file.load_model(best).info.nimg == 200
    again = resume(trainer.run_dir, scorer=scored([2.0]))
    assert again.state.nimg == 400 and model_file.load_model(best).info.nimg == 400 and again.monitor.best == (1.0, 400)


def test_a_finished_run_that_was_killed_before_its_last_model_gets_it(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, kimg=0.4)
    finish(trainer)
    run = trainer.run_dir
    right = {path: path.read_bytes() for path in (run.model, run.samples)}
    older = start(tmp_path, tiny_idx, kimg=0.2)
    finish(older)
    for path in right:
        shutil.copy(older.run_dir.path / path.name, path)
    right |= {path: path.read_bytes() for path in (run.reals, run.frame_paths()[-1])}
    run.reals.unlink()
    shutil.rmtree(run.frames)
    told = run.events.read_text().splitlines(keepends=True)
    assert '"finished"' in told[-1]
    run.events.write_text("".join(told[:-1]))
    older.run_dir.checkpoint(0).rename(run.checkpoint(0))  # as after a kill just before it would be deleted
    again = resume(run)
    assert again.is_finished
    again.restore_files()
    for path, content in right.items():
        assert path.read_bytes() == content, path.name
    assert [line["event"] for line in read_jsonl(run.events)] == ["start", "finished"]
    assert run.checkpoints() == [run.checkpoint(400), run.checkpoint(200)]


def test_a_truncated_line_of_events_is_dropped_and_the_run_continues(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, kimg=0.2)
    finish(trainer)
    for torn in (b'{"event": "warn', b"\0" * 60, b"[]\n", b'{"event": "warning", "name": "collapse"}\n'):
        with open(trainer.run_dir.events, "ab") as file:
            file.write(torn)
        again = resume(trainer.run_dir)
        again.log_event("here")
    assert again.monitor.warned == {"collapse"}
    assert [line["event"] for line in read_jsonl(trainer.run_dir.events)] == [
        "start", "finished", "here", "here", "here", "warning", "here"
    ]  # fmt: skip


def test_unknown_values_in_the_files_of_a_run_are_kept_on_resume(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, scorer=scored(), kimg=0.4, eval_kimg=0.2)
    finish(trainer)
    run = trainer.run_dir
    logged = [
        {"event": "start", "nimg": 0, "name": "", "host": "box"},
        {"event": "warning", "nimg": 40.0, "name": "collapse", "text": "x"},
        {"event": "warning", "nimg": "?", "name": 3},
    ]
    metrics = [{"note": None, **values} for values in read_jsonl(run.metrics)]
    config = json.dumps({"comment": "mine", **run.read_config(), "more": [1]}, indent=2) + "\n"
    texts = ["".join(json.dumps(values) + "\n" for values in lines) for lines in (logged, metrics)]
    for path, text in zip((run.events, run.metrics, run.config), (*texts, config), strict=True):
        path.write_text(text)
    again = resume(run, scorer=scored())
    assert again.monitor.warned == {"collapse"}
    assert [path.read_text() for path in (run.events, run.metrics, run.config)] == [*texts, config]


def test_a_plan_is_not_shared_between_trainers(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, time_budget=20.0)
    record, other = trainer.record, Trainer(trainer.run_dir, trainer.record, trainer.engine.data)
    trainer.set_total_nimg(400)
    assert trainer.total_nimg == trainer.engine.total_nimg == 400
    assert record.plan.total_nimg is other.total_nimg is other.engine.total_nimg is None
    checked, notes = run_config.check_against_checkpoint(trainer.run_dir, record, trainer.record)
    assert (checked, notes, record.plan.total_nimg) == (trainer.record, [], None)


def test_a_resumed_run_remembers_the_ticks_before_it(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, scorer=scored(), kimg=0.8, eval_kimg=0.2)
    finish(trainer)
    again = resume(trainer.run_dir, scorer=scored())
    assert list(again.monitor.ticks) == list(trainer.monitor.ticks) and len(again.monitor.ticks) == 8
    assert list(again.monitor.evaluations) == list(trainer.monitor.evaluations)


def test_the_last_evaluation_can_warn_too(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, scorer=scored([1.0, 1.3, 1.3, 1.4, 1.5]), kimg=1.2, eval_kimg=0.4)
    found = [event for event in finish(trainer) if isinstance(event, events.Warned)]
    assert ("past_best", 1200) in [(event.name, event.nimg) for event in found]


def test_the_replacement_of_a_lost_best_model_is_the_best_to_beat(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, scorer=scored([1.0, 5.0, 5.0]), kimg=0.4, eval_kimg=0.4)
    finish(trainer)
    run = trainer.run_dir
    run.best_model.unlink()
    again = resume(run, scorer=scored([3.0]), kimg=0.8)
    assert "is lost" in again.notes[-1]
    finish(again)
    once_more = resume(run, scorer=scored([4.0]), kimg=1.2)
    assert once_more.monitor.best == (3.0, 800) and not once_more.notes
    finish(once_more)
    assert model_file.load_model(run.best_model).info.nimg == 800


def test_another_runs_model_of_the_same_length_is_replaced(tmp_path: Path, tiny_idx: Path) -> None:
    trainer, other = (start(tmp_path, tiny_idx, kimg=0.2, seed=seed) for seed in (0, 1))
    finish(trainer)
    finish(other)
    right = trainer.run_dir.model.read_bytes()
    shutil.copy(other.run_dir.model, trainer.run_dir.model)
    resume(trainer.run_dir).restore_files()
    assert trainer.run_dir.model.read_bytes() == right


def test_warnings_are_given_once_in_a_run_however_often_it_is_resumed(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, kimg=1.2)
    trainer.state.opt_G.step = lambda: None  # type: ignore[method-assign,assignment]
    first = [event.name for event in finish(trainer) if isinstance(event, events.Warned)]
    assert first == ["collapse"]
    again = resume(trainer.run_dir, kimg=2.4)
    again.state.opt_G.step = lambda: None  # type: ignore[method-assign,assignment]
    assert "collapse" not in [event.name for event in finish(again) if isinstance(event, events.Warned)]


def test_ticks_record_the_health_at_that_moment(tmp_path: Path, tiny_idx: Path) -> None:
    trainer = start(tmp_path, tiny_idx, kimg=0.4)
    finish(trainer)
    lines = [line for line in read_jsonl(trainer.run_dir.metrics) if line["kind"] == "tick"]
    assert len(lines) == 4
    for line in lines:
        assert 0 <= line["accuracy_heldout"] <= 1 and 0 < line["diversity"] < 2
        assert line["d_grad"] > 0 and line["g_grad"] > 0 and "r_v" in line


def test_without_held_out_images_their_health_signals_are_missing(tmp_path: Path, tiny_idx: Path) -> None:
    for path in tiny_idx.glob("t10k-*"):
        path.unlink()
    trainer = start(tmp_path, tiny_idx, kimg=0.2)
    finish(trainer)
    (_, line) = [line for line in read_jsonl(trainer.run_dir.metrics) if line["kind"] == "tick"]
    assert "r_v" not in line and "accuracy_heldout" not in line and line["diversity"] > 0


def test_labelled_training_images_with_unlabelled_held_out_ones_can_be_trained_on(
    tmp_path: Path, tiny_idx: Path
) -> None:
    (tiny_idx / "t10k-labels-idx1-ubyte").unlink()
    trainer = start(tmp_path, tiny_idx, kimg=0.2)
    finish(trainer)
    assert trainer.engine.spec.n_classes == 3 and "r_v" not in read_jsonl(trainer.run_dir.metrics)[-1]
