"""gancli train --log: a tracker in addition to the run folder."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import FAST, gancli

from gancli._version import install_hint
from gancli.events import Event
from gancli.files.run_config import RunConfig
from gancli.trackers import registry

RUN = Path("runs/00000-quick-tiny")


class Steps:
    """Records the start and the events of all runs of a test."""

    seen: list[Any] = []  # noqa: RUF012

    def start(self, record: RunConfig, run: Path, nimg: int) -> None:
        self.seen.append((record.log, run, nimg))

    def event(self, event: Event) -> None:
        self.seen.append(type(event).__name__)

    def end(self) -> None:
        self.seen.append("end")


class Broken(Steps):
    def event(self, event: Event) -> None:
        raise OSError("the disk is full")


@pytest.fixture(autouse=True)
def own_trackers(monkeypatch: pytest.MonkeyPatch) -> None:
    Steps.seen.clear()
    monkeypatch.setattr(registry, "TRACKERS", {**registry.TRACKERS, "steps": Steps, "broken": Broken})


def train(*more: str | Path) -> str:
    result = gancli("train", *more)
    assert result.exit_code == 0, result.output
    return result.stderr


def logged(run: Path) -> str | None:
    return json.loads((run / "config.json").read_text()).get("log")


def test_a_run_is_logged_and_a_resumed_one_continues_its_log(tiny_idx: Path) -> None:
    train("--data", tiny_idx, "--kimg", "0.1", "--log", "steps", *FAST)
    assert Steps.seen[0] == ("steps", RUN, 0) and Steps.seen[-1] == "end"
    assert {"RunStarted", "Measured", "FrameSaved", "SnapshotSaved", "RunEnded"} <= {*Steps.seen[1:-1]}
    Steps.seen.clear()
    train("--resume", RUN, "--kimg", "0.2")
    assert Steps.seen[0] == ("steps", RUN, 104) and logged(RUN) == "steps"
    Steps.seen.clear()
    train("--resume", RUN, "--kimg", "0.3", "--log", "none")
    train("--resume", RUN, "--kimg", "0.4")
    assert Steps.seen == [] and logged(RUN) == "none"
    train("--resume", RUN, "--kimg", "0.5", "--log", "steps")
    assert Steps.seen[0][0] == "steps" and logged(RUN) == "steps"


def test_resuming_a_finished_run_logs_nothing(tiny_idx: Path) -> None:
    train("--data", tiny_idx, "--kimg", "0.1", "--log", "steps", *FAST)
    Steps.seen.clear()
    train("--resume", RUN)
    assert Steps.seen == []


def test_a_tracker_that_fails_does_not_end_training_nor_change_it(tiny_idx: Path) -> None:
    said = train("--data", tiny_idx, "--kimg", "0.1", "--log", "broken", "--quiet", *FAST)
    assert said.splitlines() == ["warning: --log stopped: the disk is full; training continues without it"]
    train("--data", tiny_idx, "--kimg", "0.1", *FAST)
    other = Path("runs/00001-quick-tiny")
    assert (RUN / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert logged(other) is None


def test_a_run_whose_tracker_is_gone_continues_without_it(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train("--data", tiny_idx, "--kimg", "0.1", "--log", "steps", *FAST)
    monkeypatch.delitem(registry.TRACKERS, "steps")
    assert "warning: unknown tracker 'steps'" in train("--resume", RUN, "--kimg", "0.2")


def test_missing_tensorboard_is_reported_before_any_work(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gancli.trackers.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    result = gancli("train", "--data", tiny_idx, "--log", "tensorboard")
    assert (result.exit_code, result.stderr) == (
        2, f"error: --log tensorboard needs tensorboard; {install_hint('tensorboard')}\n"
    )  # fmt: skip
    assert not Path("runs").exists()


def test_tensorboard_reads_what_training_wrote(tiny_idx: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = [*FAST, "--eval-kimg", "0.2"]
    train("--data", tiny_idx, "--kimg", "0.2", "--log", "tensorboard", *settings)
    train("--resume", RUN, "--kimg", "0.4")
    log = EventAccumulator(str(RUN / "tensorboard"), size_guidance={"images": 0})
    log.Reload()
    lines = [json.loads(line) for line in (RUN / "metrics.jsonl").read_text().splitlines()]
    score = json.loads((RUN / "config.json").read_text())["eval"]["score"]
    for kind, tag in (("tick", "tick/d_loss"), ("epoch", "epoch/g_loss"), ("eval", f"score/{score}")):
        name = tag.partition("/")[2]
        written = [line["nimg"] for line in lines if line["kind"] == kind and line.get(name) is not None]
        assert written and [event.step for event in log.Scalars(tag)] == written
    assert [event.step for event in log.Images("frames")] == sorted(int(p.stem) for p in (RUN / "frames").glob("*.png"))
