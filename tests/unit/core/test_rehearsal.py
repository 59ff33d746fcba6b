"""The trial before training."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from gancli import presets
from gancli.core import data, records, rehearsal
from gancli.core.imageset import ImageSet
from gancli.core.state import TrainState
from gancli.core.trainer import Trainer
from gancli.errors import ConfigError

FLAGS = {"g_width": 8, "d_width": 8, "batch_size": 8, "kimg": 1.0, "threads": 1, "device": "cpu"}


@pytest.fixture
def plan(tiny_idx: Path) -> tuple[dict[str, Any], ImageSet]:
    images = data.load(str(tiny_idx))
    return records.make(*presets.resolve("quick", flags={**FLAGS, "batch_ramp_kimg": 20.0}), images), images


def test_a_trial_writes_nothing_and_changes_no_plan(plan: tuple[dict[str, Any], ImageSet], tmp_path: Path) -> None:
    record, images = plan
    before, files = copy.deepcopy(record), sorted(tmp_path.rglob("*"))
    found = rehearsal.rehearse(record, images)
    assert record == before and sorted(tmp_path.rglob("*")) == files
    assert found.images_per_s > 0 and found.device == "cpu"
    assert 1e7 < found.memory_bytes < found.there_bytes


def test_a_trial_takes_every_batch_size_of_the_plan_through_one_turn_of_r1(
    plan: tuple[dict[str, Any], ImageSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    step = TrainState.step

    def counted(self: TrainState, real: torch.Tensor, *rest: Any) -> None:
        sizes.append(len(real))
        step(self, real, *rest)

    monkeypatch.setattr(TrainState, "step", counted)
    monkeypatch.setattr(rehearsal, "ENOUGH_S", 60.0)
    rehearsal.rehearse(*plan)
    interval = plan[0]["train"]["r1_interval"]
    assert sizes == [8] * 2 + [2] * interval + [4] * interval + [8] * interval


def test_the_step_with_r1_counts_as_often_as_it_comes(
    plan: tuple[dict[str, Any], ImageSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    took = iter([0.0, 0.0, *[0.8, 0.1] * 2, 0.2, 0.1, 0.3])  # two to warm up, then those with R1 and some without
    monkeypatch.setattr(rehearsal, "step_s", lambda trainer: next(took))
    found = rehearsal.rehearse(*plan)
    assert found.images_per_s == pytest.approx(8 * 8 / (0.2 + 7 * 0.2))
    assert found.rates[0] == (0, pytest.approx(2 * 8 / 1.5)) and found.rates[1] == (5000, pytest.approx(4 * 8 / 1.5))
    assert next(took, None) is None


def test_small_first_batches_take_their_own_time() -> None:
    found = rehearsal.Rehearsal(((0, 100.0), (5000, 200.0), (20_000, 400.0)), 0, 0, "cpu")
    for nimg, seconds in ((0, 0), (1000, 10), (5000, 50), (6000, 55), (20_000, 125), (24_000, 135)):
        assert found.seconds(nimg) == pytest.approx(seconds)
        assert found.images(seconds) == nimg
    steady = rehearsal.Rehearsal(((0, 100.0),), 0, 0, "cpu")
    assert (steady.seconds(500), steady.images(5)) == (5, 500)


@pytest.mark.parametrize(
    "fault", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_batch_too_large_for_memory_is_refused_with_a_smaller_one(
    plan: tuple[dict[str, Any], ImageSet], monkeypatch: pytest.MonkeyPatch, fault: RuntimeError
) -> None:
    step, room = TrainState.step, 2

    def limited(self: TrainState, real: torch.Tensor, *rest: Any) -> None:
        if len(real) > room:
            raise fault
        step(self, real, *rest)

    monkeypatch.setattr(TrainState, "step", limited)
    said = r"a batch of 8 images of 8x8 does not fit into the memory of cpu; "
    with pytest.raises(ConfigError, match=rf"{said}--batch-size 2 does"):
        rehearsal.rehearse(*plan)
    room = 1
    with pytest.raises(ConfigError, match=rf"{said}nor does the smallest; lower --resolution or the widths"):
        rehearsal.rehearse(*plan)


def test_networks_too_large_for_memory_are_refused_by_their_widths(
    plan: tuple[dict[str, Any], ImageSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("gancli.core.trainer.TrainState", make)
    with pytest.raises(ConfigError, match=r"networks of --g-width 8 and --d-width 8 do not fit into the memory of cpu"):
        rehearsal.rehearse(*plan)


def test_other_faults_stay_what_they_are(
    plan: tuple[dict[str, Any], ImageSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self: Trainer) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(RuntimeError, match="a bug"):
        rehearsal.rehearse(*plan)
