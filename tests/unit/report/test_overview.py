"""The overview line of a run folder with any contents."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from gancli.files.run_folder import RunDir, list_run_folders
from gancli.files.scores import Score, ScoreAt
from gancli.report.overview import read_overview

CONFIG = {
    "preset": "quick",
    "data": {"name": "mnist"},
    "plan": {"total_nimg": 4000},
    "eval": {"score": "fd_digits", "floor": 0.5},
}
EVALS = [{"kind": "eval", "nimg": nimg, "fd_digits": value} for nimg, value in ((1000, 4.0), (2000, 2.0), (3000, None))]


def lines(records: list[Any]) -> str:
    return "".join(f"{json.dumps(record)}\n" for record in records)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run that was stopped after 3,000 of 4,000 images."""
    run = RunDir(tmp_path / "runs" / "00003-quick-mnist")
    run.path.mkdir(parents=True)
    run.config.write_text(json.dumps(CONFIG))
    run.metrics.write_text(lines([{"kind": "tick", "nimg": 500}, *EVALS]))
    run.events.write_text(lines([{"event": "start"}, {"event": "stopped"}]))
    return run


def test_a_run_has_its_settings_length_best_score_and_size(run: RunDir) -> None:
    found = read_overview(run)
    assert (found.preset, found.data, found.nimg, found.total_nimg) == ("quick", "mnist", 3000, 4000)
    assert found.best == ScoreAt(Score("fd_digits", 2.0, floor=0.5), 2000) and found.best.score.times_floor == 4
    assert found.size_bytes == sum(path.stat().st_size for path in run.path.rglob("*"))
    assert found.to_json()["best"] == {
        "name": "fd_digits", "value": 2.0, "floor": 0.5, "nimg": 2000, "times_floor": 4.0
    }  # fmt: skip
    json.dumps(found.to_json())


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (["start"], "killed"),
        (["start", "finished"], "finished"),
        (["start", "time"], "finished"),
        (["start", "warning", "stopped"], "stopped"),
        (["start", "stopped", "resume", "warning"], "killed"),
        (["start", "warning", "diverged"], "diverged"),
        (["start", "finished", "resume", "finished"], "finished"),
        ([], "killed"),
        ([3], "killed"),
    ],
    ids=str,
)
def test_the_state_is_how_the_last_session_ended(run: RunDir, told: list[Any], state: str) -> None:
    run.events.write_text(lines([{"event": event} for event in told]) + "not json\n")
    assert read_overview(run).state == state


def test_a_locked_run_is_running_and_reading_it_keeps_the_lock(run: RunDir) -> None:
    assert not read_overview(run).path.joinpath(".lock").exists()
    with run.lock():
        assert read_overview(run).state == "running"
        run.config.unlink()
        assert read_overview(run).state == "running"
    assert read_overview(run).state == "broken"


def test_images_seen_come_from_the_newest_line_or_checkpoint(run: RunDir) -> None:
    run.checkpoint(3500).write_bytes(b"x")
    assert read_overview(run).nimg == 3500
    run.checkpoint(3500).unlink()
    with run.metrics.open("a") as file:
        file.write('{"kind": "tick", "nimg": 35')
    assert read_overview(run).nimg == 3000


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[" * 200_000, "\udcff"], ids=["empty", "cut", "list", "deep", "bytes"]
)
def test_an_unreadable_config_is_a_broken_run_with_a_reason(run: RunDir, text: str) -> None:
    run.config.write_text(text, errors="surrogateescape")
    found = read_overview(run)
    assert found.state == "broken" and "config.json" in found.fault and str(run.path) not in found.fault


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"preset": 3, "data": [], "plan": {"total_nimg": "many"}, "eval": 7},
        {"eval": {"score": ["x"], "floor": "y"}},
    ],
    ids=["nothing", "kinds", "score"],
)
def test_an_incomplete_or_nonsensical_config_is_shown_as_far_as_possible(run: RunDir, config: dict[str, Any]) -> None:
    run.config.write_text(json.dumps(config))
    found = read_overview(run)
    assert (found.preset, found.data, found.total_nimg, found.best) == ("", "", None, None) and found.nimg == 3000


def test_lines_without_measurements_are_ignored(run: RunDir) -> None:
    good = {"kind": "eval", "nimg": 1000, "fd_digits": 4.0}
    bad = [["eval"], {"kind": "eval"}, {"kind": "eval", "nimg": "eval", "fd_digits": 1}]
    huge = [{"kind": "eval", "nimg": 5, "fd_digits": value} for value in (float("nan"), float("inf"), "1", True)]
    run.metrics.write_text('{"eval"\n' + lines([*bad, *huge, good]) + "\x00\n")
    found = read_overview(run)
    assert found.best == ScoreAt(Score("fd_digits", 4.0, floor=0.5), 1000)
    run.metrics.unlink()
    os.mkfifo(run.metrics)  # whoever opened it would wait forever
    assert read_overview(run).nimg is None


def test_a_folder_that_cannot_be_read_is_a_broken_run(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    found = read_overview(run)
    assert (found.state, found.fault) == ("broken", "Permission denied")


def test_absurdly_large_numbers_are_ignored(run: RunDir) -> None:
    wild = [{"kind": "eval", "nimg": 10**400, "fd_digits": 1.0}, {"kind": "eval", "nimg": 1, "fd_digits": 1e299}]
    run.metrics.write_text(lines(wild[:1]))
    assert read_overview(run).nimg is None
    run.metrics.write_text(lines(wild[1:]))
    config = json.loads(run.config.read_text())
    run.config.write_text(json.dumps({**config, "eval": {"score": "fd_digits", "floor": 1e-300}}))
    assert json.dumps(read_overview(run).to_json(), allow_nan=False).count('"times_floor": null') == 1


def test_folders_come_newest_first_whatever_they_contain(run: RunDir) -> None:
    below = run.path.parent
    for name in ("00012-x", "00000-y", "100000-z", "notes", "1-a"):
        (below / name).mkdir()
    (below / "00009-file").write_text("")
    assert [each.path.name for each in list_run_folders(below)] == [
        "100000-z", "00012-x", "00003-quick-mnist", "00000-y"
    ]  # fmt: skip
