"""Trackers: the events they receive; their errors do not affect training."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from run_configs import make_run_config

from gancli import events
from gancli._version import install_hint
from gancli.errors import ConfigError
from gancli.files import image_io
from gancli.files.run_config import RunConfig, to_json
from gancli.files.run_folder import RunDir
from gancli.trackers import registry

RECORD = make_run_config(data={"name": "tiny"})


class Kept:
    """Records its events, and fails at given ones."""

    def __init__(self, fails_at: str = "") -> None:
        self.calls: list[Any] = []
        self.fails_at = fails_at

    def note(self, name: str, *more: object) -> None:
        self.calls.append((name, *more))
        if name == self.fails_at:
            raise ValueError("no\nroom")

    def start(self, record: RunConfig, run: Path, nimg: int) -> None:
        self.note("start", record, run, nimg)

    def event(self, event: events.Event) -> None:
        self.note("event", event)

    def end(self) -> None:
        self.note("end")


STARTED, MEASURED = events.RunStarted(Path("run"), 64, 128), events.Measured("tick", 128, 1.0, {"d_loss": 0.5})


def tell(tracker: registry.Tracker | None, *seen: events.Event) -> list[str]:
    """Collect the warnings."""
    said: list[str] = []
    with registry.track_events(tracker, RECORD, said.append) as hand_on:
        for event in seen:
            hand_on(event)
    return said


def test_a_tracker_receives_the_start_each_event_and_the_end() -> None:
    tracker = Kept()
    assert tell(tracker, STARTED, MEASURED) == []
    assert tracker.calls == [
        ("start", RECORD, Path("run"), 64), ("event", STARTED), ("event", MEASURED), ("end",)
    ]  # fmt: skip


def test_a_run_that_never_started_has_no_end() -> None:
    tracker = Kept()
    assert tell(tracker) == [] and tracker.calls == []


@pytest.mark.parametrize(("fails_at", "n_calls"), [("start", 1), ("event", 2), ("end", 4)])
def test_a_failing_tracker_gives_one_warning_and_is_dropped(fails_at: str, n_calls: int) -> None:
    tracker = Kept(fails_at)
    assert tell(tracker, STARTED, MEASURED) == ["--log stopped: no room; training continues without it"]
    assert len(tracker.calls) == n_calls


def test_a_training_error_passes_through_and_the_tracker_is_closed() -> None:
    tracker = Kept()
    with pytest.raises(ZeroDivisionError), registry.track_events(tracker, RECORD, pytest.fail) as hand_on:
        hand_on(STARTED)
        raise ZeroDivisionError
    assert tracker.calls[-1] == ("end",)


def test_without_a_tracker_nothing_happens() -> None:
    assert registry.create_tracker("none") is None and tell(None, STARTED, MEASURED) == []


def test_a_tracker_whose_package_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gancli.trackers.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=re.escape(install_hint("tensorboard"))):
        registry.create_tracker("tensorboard")


def read(run: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    log.Reload()
    return log


def scalars(log: Any, tag: str) -> list[tuple[int, float]]:
    return [(event.step, round(event.value, 4)) for event in log.Scalars(tag)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = RunDir(tmp_path / "run")
    run.frames.mkdir(parents=True)
    for path in (run.reals, run.frame(0), run.frame(128)):
        image_io.write_png(path, np.full((8, 16), 7, np.uint8))
    return run.path


def test_tensorboard_has_numbers_pictures_settings_and_warnings(folder: Path) -> None:
    said = tell(
        registry.create_tracker("tensorboard"),
        events.RunStarted(folder, 0, 256),
        events.Progress(100, 256, 50.0, 3.0),
        MEASURED,
        events.Measured("epoch", 130, 2.0, {"d_loss": 0.25, "r_v": None}),
        events.FrameSaved(128, RunDir(folder).frame(128)),
        events.Scored(128, "fd_tiny", 3.0, 1.5, True, {"fd_tiny": 3.0, "coverage": 0.5, "class_tv": None}),
        events.Warned(128, "collapse", "all pictures are alike"),
        events.RunEnded(256, 256, "finished", 1.0, 100.0),
    )
    log = read(folder)
    assert said == []
    assert {tag: scalars(log, tag) for tag in log.Tags()["scalars"]} == {
        "tick/d_loss": [(128, 0.5)],
        "tick/images_per_s": [(128, 50.0)],
        "epoch/d_loss": [(130, 0.25)],
        "score/fd_tiny": [(128, 3.0)],
        "score/coverage": [(128, 0.5)],
        "score/fd_tiny floor": [(128, 1.5)],
    }
    assert [event.step for event in log.Images("frames")] == [0, 128]
    assert [(event.step, event.width, event.height) for event in log.Images("reals")] == [(0, 16, 8)]
    texts = {tag: log.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in log.Tags()["tensors"]}
    assert "| lr | 0.002 |" in texts["settings/text_summary"] and "| data | tiny |" in texts["settings/text_summary"]
    assert texts["warnings/text_summary"] == "all pictures are alike"


def test_tensorboard_takes_colour_pictures_and_follows_no_link(folder: Path, tmp_path: Path) -> None:
    image_io.write_png(RunDir(folder).reals, np.full((8, 16, 3), 7, np.uint8))
    assert tell(registry.create_tracker("tensorboard"), events.RunStarted(folder, 0, 256)) == []
    assert [(event.width, event.height) for event in read(folder).Images("reals")] == [(16, 8)]
    (folder / "tensorboard").rename(tmp_path / "elsewhere")
    (folder / "tensorboard").symlink_to(tmp_path / "elsewhere")
    before = sorted((tmp_path / "elsewhere").iterdir())
    (said,) = tell(registry.create_tracker("tensorboard"), events.RunStarted(folder, 0, 256))
    assert "tensorboard is a link" in said and sorted((tmp_path / "elsewhere").iterdir()) == before


def test_a_resumed_run_continues_its_log_without_entries_after_the_checkpoint(folder: Path) -> None:
    for start, values in ((0, {64: 1.0, 128: 2.0, 192: 3.0}), (128, {192: 4.0, 256: 5.0})):
        measured = [events.Measured("tick", nimg, 1.0, {"d_loss": value}) for nimg, value in values.items()]
        tell(registry.create_tracker("tensorboard"), events.RunStarted(folder, start, 256), *measured)
    assert scalars(read(folder), "tick/d_loss") == [(64, 1.0), (128, 2.0), (192, 4.0), (256, 5.0)]


def test_a_run_that_went_back_drops_later_log_entries(folder: Path) -> None:
    before, after = ([events.Measured("tick", n, 1.0, {"d_loss": v}) for n in (64, 128)] for v in (1.0, 2.0))
    back = events.Warned(64, "diverged", "back to the checkpoint")
    tell(registry.create_tracker("tensorboard"), events.RunStarted(folder, 0, 256), *before, back, after[1])
    assert scalars(read(folder), "tick/d_loss") == [(64, 1.0), (128, 2.0)]


def test_the_tracker_of_the_docs_works(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = re.findall(
        r"```python\n(.+?)```", (ROOT / "docs" / "dev" / "trackers.md").read_text(encoding="utf-8"), re.S
    )
    logged: list[dict[str, Any]] = []
    begun: list[dict[str, Any]] = []
    log = SimpleNamespace(log=logged.append, define_metric=lambda *_, **__: None, finish=lambda: logged.append({}))
    fake = SimpleNamespace(init=lambda **given: begun.append(given) or log, Image=Path)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr(registry, "TRACKERS", dict(registry.TRACKERS))
    exec(compile(text, "docs/dev/trackers.md", "exec"), {"__name__": "docs"})

    frame = events.FrameSaved(128, RunDir(folder).frame(128))
    scored = events.Scored(128, "fd_tiny", 3.0, 1.5, True, {"fd_tiny": 3.0})
    for start in (0, 64):
        assert (
            tell(registry.create_tracker("wandb"), events.RunStarted(folder, start, 128), MEASURED, scored, frame) == []
        )
    assert begun[0] == begun[1] and begun[0]["config"] == to_json(RECORD)  # the same id
    assert logged[:4] == [
        {"nimg": 128, "tick/d_loss": 0.5},
        {"nimg": 128, "score/fd_tiny": 3.0},
        {"nimg": 128, "frames": frame.path},
        {},
    ]
