"""Threads and precision that a trial chooses."""

import copy
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from gancli import presets
from gancli.core import devices
from gancli.core.data import load
from gancli.core.data.dataset import ImageSet
from gancli.core.training import autotune, run_config, trial
from gancli.core.training.engine import Engine
from gancli.core.training.trainer import Trainer
from gancli.errors import ConfigError, MemoryLimitError
from gancli.files.run_config import RunConfig
from gancli.files.run_folder import RunDir

FLAGS = {"g_width": 8, "d_width": 8, "batch_size": 8, "kimg": 0.1, "device": "cpu", "eval_kimg": 0}


def plan(folder: Path, **flags: object) -> tuple[RunConfig, ImageSet]:
    images = load.load_dataset(str(folder))
    return run_config.build_run_config(*presets.resolve_config("quick", flags={**FLAGS, **flags}), images), images


def machine(monkeypatch: pytest.MonkeyPatch, step_s: dict[tuple[int, str], float], cores: int = 4) -> list[object]:
    """Simulate a machine with these step times by threads and precision. Returns a list of the pairs that are tried."""
    tried = list[object]()

    def step(engine: Engine, batch: int) -> float:
        tried.append(pair := (torch.get_num_threads(), engine.state.precision))
        return step_s[pair]

    monkeypatch.setattr(devices, "count_cores", lambda: cores)
    monkeypatch.setattr(trial, "time_step", step)
    return tried


def chosen(record: RunConfig) -> tuple[int, str]:
    return record.machine.threads, record.machine.precision


STEPS = {(4, "float32"): 0.5, (2, "float32"): 0.3, (1, "float32"): 0.4, (2, "bf16"): 0.2, (4, "bf16"): 0.6}


def test_thread_counts_are_all_cores_and_the_powers_of_two_below() -> None:
    counts = [autotune.candidate_thread_counts(cores) for cores in (1, 2, 4, 6)]
    assert counts == [[1], [2, 1], [4, 2, 1], [6, 4, 2, 1]]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"threads": "auto", "precision": "auto"}, (2, "bf16")),
        ({"threads": "auto"}, (2, "float32")),
        ({"precision": "auto"}, (4, "float32")),
        ({"precision": "auto", "threads": 2}, (2, "bf16")),
    ],
)
def test_the_fastest_of_a_trial_is_kept(
    tiny_idx: Path, monkeypatch: pytest.MonkeyPatch, flags: dict[str, object], expected: tuple[int, str]
) -> None:
    machine(monkeypatch, STEPS)
    record, images = plan(tiny_idx, **flags)
    before = copy.deepcopy(record)
    found = autotune.tune_machine(record, images)
    assert chosen(found) == expected and record == before
    assert replace(found, machine=record.machine) == record


def test_a_default_is_changed_only_for_a_clear_gain(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, {(2, "float32"): 0.103, (1, "float32"): 0.1, (2, "bf16"): 0.1}, cores=2)
    assert chosen(autotune.tune_machine(*plan(tiny_idx, threads="auto", precision="auto"))) == (2, "float32")


def test_a_much_slower_candidate_is_not_tried_again(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = machine(monkeypatch, {(1, "float32"): 0.2, (1, "bf16"): 2.0}, cores=1)
    assert chosen(autotune.tune_machine(*plan(tiny_idx, precision="auto"))) == (1, "float32")
    assert tried.count((1, "bf16")) == 4, "two to warm up, and one turn of the trial"


def test_a_run_without_auto_settings_has_no_trial(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = machine(monkeypatch, {})
    record, images = plan(tiny_idx, precision="bf16")
    assert autotune.tune_machine(record, images) == record and chosen(record) == (4, "bf16") and not tried


def test_a_real_trial_chooses_valid_settings(tiny_idx: Path, tmp_path: Path) -> None:
    record, images = plan(tiny_idx, threads="auto", precision="auto")
    record = autotune.tune_machine(record, images)
    assert chosen(record) in [(n, name) for n in range(1, devices.count_cores() + 1) for name in ("float32", "bf16")]
    trainer = Trainer(RunDir.create(tmp_path, "x"), record, images)
    assert (torch.get_num_threads(), trainer.state.precision) == chosen(record)


def test_a_batch_without_memory_is_refused_before_anything_is_timed(
    tiny_idx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(record: RunConfig, data: ImageSet) -> None:
        raise MemoryLimitError("too large")

    tried = machine(monkeypatch, STEPS)
    monkeypatch.setattr(trial, "run_trial", refuse)
    with pytest.raises(MemoryLimitError, match="too large"):
        autotune.tune_machine(*plan(tiny_idx, precision="auto"))
    assert not tried


def test_bf16_is_refused_and_not_tried_where_it_is_not_supported(
    tiny_idx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, {(4, "float32"): 0.2})
    monkeypatch.setattr(devices, "has_bf16", lambda device: False)
    assert chosen(autotune.tune_machine(*plan(tiny_idx, precision="auto"))) == (4, "float32")
    with pytest.raises(ConfigError, match=r"bf16 .*float32"):
        plan(tiny_idx, precision="bf16")


@pytest.mark.parametrize(("is_new_enough", "expected"), [(True, True), (False, False)])
def test_mps_has_bf16_from_macos_14_on(monkeypatch: pytest.MonkeyPatch, is_new_enough: bool, expected: bool) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda *version: is_new_enough and version == (14, 0))
    assert devices.has_bf16(torch.device("mps")) is expected
