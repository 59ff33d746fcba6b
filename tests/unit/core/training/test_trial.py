"""The trial before training."""

import copy
import ctypes
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from gancli import presets
from gancli.core import devices
from gancli.core.data import load
from gancli.core.data.dataset import ImageSet
from gancli.core.training import run_config, trial
from gancli.core.training.engine import Engine
from gancli.core.training.step import TrainStep
from gancli.errors import MemoryLimitError
from gancli.files.run_config import RunConfig

FLAGS = {"g_width": 8, "d_width": 8, "batch_size": 8, "kimg": 1.0, "threads": 1, "device": "cpu"}


def with_settings(record: RunConfig, **settings: Any) -> RunConfig:
    return replace(record, train=dataclasses.replace(record.train, **settings))


@pytest.fixture
def plan(tiny_idx: Path) -> tuple[RunConfig, ImageSet]:
    images = load.load_dataset(str(tiny_idx))
    return run_config.build_run_config(
        *presets.resolve_config("quick", flags={**FLAGS, "batch_ramp_kimg": 20.0}), images
    ), images


def test_a_trial_writes_nothing_and_changes_no_plan(plan: tuple[RunConfig, ImageSet], tmp_path: Path) -> None:
    record, images = plan
    before, files = copy.deepcopy(record), sorted(tmp_path.rglob("*"))
    found = trial.run_trial(record, images)
    assert record == before and sorted(tmp_path.rglob("*")) == files
    assert found.images_per_s > 0 and found.device == "cpu"
    assert 1e7 < found.memory_bytes < found.there_bytes


def test_a_trial_runs_the_smallest_and_largest_batch_with_and_without_r1(
    plan: tuple[RunConfig, ImageSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    step = TrainStep.step

    def counted(self: TrainStep, real: torch.Tensor, *rest: Any) -> None:
        sizes.append((len(real), self.nimg))
        step(self, real, *rest)

    monkeypatch.setattr(TrainStep, "step", counted)
    trial.run_trial(*plan)
    assert sizes == [(2, 0), (2, 2), (8, 0), (8, 8)]


def test_the_step_with_r1_counts_as_often_as_it_comes(
    plan: tuple[RunConfig, ImageSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    took = iter([0.4, 0.05, 0.1, 0.15])  # with R1 and without, of the smallest and of the largest size
    monkeypatch.setattr(trial, "time_step", lambda engine, batch: next(took))
    found = trial.run_trial(*plan)
    small_s, large_s = (0.4 + 7 * 0.05) / 8, (0.1 + 7 * 0.15) / 8
    rates = [2 / small_s, 4 / (small_s + (large_s - small_s) / 3), 8 / large_s]
    assert [rate for _, rate in found.rates] == pytest.approx(rates)
    assert [start for start, _ in found.rates] == [0, 5000, 20_000] and found.images_per_s == found.rates[2][1]


def test_the_first_step_is_not_counted_if_every_step_has_r1(
    plan: tuple[RunConfig, ImageSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, images = plan
    took = iter([9.0, 0.1])
    monkeypatch.setattr(trial, "time_step", lambda engine, batch: next(took))
    each = with_settings(record, r1_interval=1, batch_ramp_kimg=0.0)
    assert trial.run_trial(each, images).images_per_s == pytest.approx(8 / 0.1)


def test_small_first_batches_are_timed_separately() -> None:
    found = trial.Trial(((0, 100.0), (5000, 200.0), (20_000, 400.0)), 0, 0, "cpu")
    for nimg, seconds in ((0, 0), (1000, 10), (5000, 50), (6000, 55), (20_000, 125), (24_000, 135)):
        assert found.train_seconds(nimg) == pytest.approx(seconds)
        assert found.images(seconds) == nimg
    steady = trial.Trial(((0, 100.0),), 0, 0, "cpu")
    assert (steady.train_seconds(500), steady.images(5)) == (5, 500)


@pytest.mark.parametrize(
    "fault", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_batch_too_large_for_memory_is_refused_with_a_smaller_suggestion(
    plan: tuple[RunConfig, ImageSet], monkeypatch: pytest.MonkeyPatch, fault: RuntimeError
) -> None:
    step, room = TrainStep.step, 2

    def limited(self: TrainStep, real: torch.Tensor, *rest: Any) -> None:
        if len(real) > room:
            raise fault
        step(self, real, *rest)

    monkeypatch.setattr(TrainStep, "step", limited)
    said = r"a batch of 8 images of 8x8 does not fit into the memory of cpu; "
    with pytest.raises(MemoryLimitError, match=rf"{said}use --batch-size 2"):
        trial.run_trial(*plan)
    room = 1
    with pytest.raises(
        MemoryLimitError, match=rf"{said}no smaller batch does either: lower --resolution or the widths"
    ):
        trial.run_trial(*plan)


@pytest.mark.parametrize(
    ("there", "sizes", "way_out"),
    [
        (5.0, [2, 3, 7, 15, 31, 62, 125, 250], "use --batch-size 250"),
        (1.04, [2, 3], "use --batch-size 3"),
        (1.02, [2, 3], "no smaller batch does either: lower --resolution or the widths"),
    ],
)
def test_a_batch_is_refused_before_the_step_that_would_exhaust_memory(
    plan: tuple[RunConfig, ImageSet],
    monkeypatch: pytest.MonkeyPatch,
    there: float,
    sizes: list[int],
    way_out: str,
) -> None:
    record, images = plan
    record = with_settings(record, batch_size=1000)
    tried = list[int]()

    def peak_bytes(engine: Engine, batch: int) -> int:
        tried.append(batch)
        return 10**9 + 10**7 * batch * (len(tried) > 1)

    monkeypatch.setattr(trial, "measure_peak_bytes", peak_bytes)
    monkeypatch.setattr(trial, "BYTES_PER_CHANNEL", 10**6)
    monkeypatch.setattr(devices, "usable_memory_bytes", lambda device=None: int(there * 10**9))
    said = f"a batch of 1000 images of 8x8 does not fit into the memory of cpu; {way_out}"
    with pytest.raises(MemoryLimitError, match=said):
        trial.run_trial(record, images)
    assert tried == sizes


def test_batches_are_halved_down_to_the_smallest() -> None:
    assert trial.batch_halvings(1000) == [3, 7, 15, 31, 62, 125, 250, 500, 1000]
    assert trial.batch_halvings(8) == [2, 4, 8] and trial.batch_halvings(2) == [2] and trial.batch_halvings(3) == [3]


@pytest.mark.parametrize("fails", ["R1", "second"])
def test_a_safe_batch_has_run_a_step_with_r1_and_one_after_it(
    plan: tuple[RunConfig, ImageSet], monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Only batches of 2 have memory for R1, or none has memory for Adam's moments, which the first step makes."""
    engine, steps = Engine(*plan), list[int]()

    def step(engine: Engine, batch: int) -> float:
        steps.append(batch)
        assert engine.state.nimg == 0, "a step with R1"
        if batch > 2 if fails == "R1" else len(steps) == 2:
            raise MemoryLimitError("no")
        engine.state.nimg += batch
        return 0.0

    monkeypatch.setattr(trial, "time_step", step)
    engine.state.nimg = 80
    assert trial.find_largest_safe_batch(engine, 4) == (2 if fails == "R1" else None)
    assert steps == ([2, 2, 4] if fails == "R1" else [2, 2])


@pytest.mark.parametrize("model", ["conv", "mlp", "resnet"])
def test_a_step_uses_less_memory_than_the_rough_bound(plan: tuple[RunConfig, ImageSet], model: str) -> None:
    """At the smallest width, with the penalties that need the most memory."""
    record, images = plan
    settings = {"model": model, "g_width": 4, "d_width": 4, "loss": "relativistic", "r2": True, "r1_interval": 1}
    record = with_settings(record, **settings)
    engine = Engine(record, images)
    few, many = peaks(engine, 2, 4000)
    assert 0 < (many - few) / 4000 < 8 * 8 * trial.NARROW * trial.BYTES_PER_CHANNEL


def peaks(engine: Engine, *batches: int) -> list[int]:
    """Peak memory of each, without free memory left by earlier tests."""
    ctypes.CDLL(None).malloc_trim(0)
    return [trial.measure_peak_bytes(engine, size) for size in batches]


def test_the_memory_of_a_step_is_measured(plan: tuple[RunConfig, ImageSet]) -> None:
    record, images = plan
    engine = Engine(record, images)
    few, many = peaks(engine, 2, 20_000)
    assert many - few > 20_000 * 8 * 8 * 8 * 4, "what G's last layer reads is among it"


@pytest.mark.parametrize(("model", "ema_kimg"), [("conv", 10.0), ("mlp", 0.0), ("resnet", 10.0)])
def test_networks_too_large_for_memory_are_refused_before_they_are_built(
    plan: tuple[RunConfig, ImageSet], monkeypatch: pytest.MonkeyPatch, model: str, ema_kimg: float
) -> None:
    record, images = plan
    record = with_settings(record, model=model, ema_kimg=ema_kimg)
    state = Engine(record, images).state
    sizes = {name: sum(p.numel() * p.element_size() for p in net.parameters()) for name, net in state.modules.items()}
    needed = 4 * (sizes["G"] + sizes["D"]) + sizes.get("G_ema", 0)
    monkeypatch.setattr("gancli.core.training.engine.TrainStep", None)
    monkeypatch.setattr(devices, "usable_memory_bytes", lambda device=None: needed - 1)
    with pytest.raises(MemoryLimitError, match=r"--g-width 8 .*--d-width 8 .* GB"):
        trial.run_trial(record, images)
    monkeypatch.undo()
    monkeypatch.setattr(devices, "usable_memory_bytes", lambda device=None: needed)
    Engine(record, images)


def test_networks_are_refused_if_no_memory_is_left(
    plan: tuple[RunConfig, ImageSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("gancli.core.training.engine.TrainStep", make)
    with pytest.raises(MemoryLimitError, match=r"--d-width 8 .*cpu"):
        trial.run_trial(*plan)


def test_other_errors_pass_through(plan: tuple[RunConfig, ImageSet], monkeypatch: pytest.MonkeyPatch) -> None:
    def step(self: Engine, batch: int) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Engine, "step", step)
    with pytest.raises(RuntimeError, match="a bug"):
        trial.run_trial(*plan)
