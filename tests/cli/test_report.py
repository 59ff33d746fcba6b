"""gancli report, and the page that training writes and refreshes."""

import json
import shlex
from pathlib import Path

import pytest
import run_folders
from commands import FAST, gancli

from gancli import events
from gancli.files.run_folder import RunDir
from gancli.report import page
from gancli.report.repeat import repeat_command
from gancli.workflows.pace import REST_FACTOR
from gancli.workflows.training import ReportRefresher

SNAPSHOT = events.SnapshotSaved(0, Path())


@pytest.fixture
def bare() -> RunDir:
    """The smallest possible run."""
    return run_folders.make_run(Path("runs"), {"preset": "quick"}, name="quick-tiny")


def test_training_and_the_command_write_the_same_page(run: Path) -> None:
    made = (run / "report.html").read_bytes()
    assert b"gancli train --preset quick" in made
    (run / "report.html").write_bytes(b"old")
    end = gancli("report")
    assert end.exit_code == 0, end.output
    assert end.stdout.endswith(f" MB: {run / 'report.html'}\n") and f"using the newest run, {run}" in end.stderr
    assert (run / "report.html").read_bytes() == made


def test_an_evaluation_of_the_run_is_added_to_its_page(run: Path) -> None:
    before = (run / "report.html").read_bytes()
    end = gancli("evaluate", run, "--n", "60", "--metrics", "diversity,memorization", "-q")
    assert end.exit_code == 0, end.output
    page = (run / "report.html").read_text()
    assert b"scores/00000" not in before and "scores/00000" in page
    assert page.count("data:image/") == before.count(b"data:image/") + 1  # the nearest training images
    gancli("evaluate", run, "--n", "60", "--metrics", "diversity", "-q", "-o", "elsewhere")
    assert (run / "report.html").read_text() == page


def test_the_command_on_the_page_trains_with_the_same_settings(tiny_idx: Path) -> None:
    Path("my.toml").write_text("lr = 0.001\nconditional = false\n")
    flags = ["--config", "my.toml", "--seed", "4", "--epochs", "2", "--fresh-latents", "--mirror", *FAST]
    first = json.loads(gancli("train", "--data", tiny_idx, *flags, "-n", "--json").stdout)
    again = gancli(*shlex.split(repeat_command(first))[1:], "-n", "--json")
    assert again.exit_code == 0, again.output
    second = json.loads(again.stdout)
    assert second["plan"] == first["plan"] and second["data"] == first["data"]
    unlike = {name for name, value in first["train"].items() if second["train"][name] != value}
    assert unlike <= {"data", "precision"} and second["train"]["precision"] == first["machine"]["precision"]


def test_several_runs_get_a_new_page_in_reports(bare: RunDir) -> None:
    other = run_folders.make_run(Path("runs"), {"preset": "classic"}, name="classic-tiny")
    for number in range(2):
        end = gancli("report", bare.path, other.path.name, "--json")
        made = Path(f"reports/0000{number}/report.html")
        assert json.loads(end.stdout) == {"runs": [str(bare.path), str(other.path)], "output": str(made)}
        assert b"2 runs compared" in made.read_bytes()
    assert not bare.report.exists()


def test_a_page_goes_to_the_given_place_and_overwrites_only_with_force(bare: RunDir) -> None:
    assert gancli("report", bare.path, "-o", "x.html").exit_code == 0
    made = Path("x.html").read_bytes()
    assert made == page.render_report([bare])
    Path("x.html").write_text("mine")
    assert gancli("report", bare.path, "-o", "x.html").exit_code == 1
    assert Path("x.html").read_text() == "mine"
    assert gancli("report", bare.path, "-o", "x.html", "--force").exit_code == 0
    assert Path("x.html").read_bytes() == made and not bare.report.exists()


@pytest.mark.parametrize(
    "event",
    [
        events.RunStarted(Path(), 0, None),
        events.Measured("tick", 0, 0.0),
        events.Scored(0, "fd_digits", 1.0, None, False),
        SNAPSHOT,
    ],
)
def test_a_page_is_written_at_the_start_and_at_each_measurement(
    bare: RunDir, monkeypatch: pytest.MonkeyPatch, event: events.Event
) -> None:
    made = list[RunDir]()
    monkeypatch.setattr(page, "write_report", made.append)
    refresh = ReportRefresher(bare, pytest.fail, lambda: 0.0)
    refresh(events.FrameSaved(0, Path()))
    assert made == []
    refresh(event)
    assert made == [bare]


def test_a_page_is_refreshed_but_not_too_often(bare: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    now, made = [0.0], []

    def write(run: RunDir) -> None:
        made.append(now[0])
        now[0] += 2

    monkeypatch.setattr(page, "write_report", write)
    refresh = ReportRefresher(bare, pytest.fail, lambda: now[0])
    for event in (events.FrameSaved(0, Path()), events.Measured("tick", 0, 0.0), SNAPSHOT, SNAPSHOT):
        refresh(event)
    assert made == [0]
    now[0] = 2 + 2 * REST_FACTOR - 0.1
    refresh(events.Scored(0, "fd_digits", 1.0, None, False))
    assert made == [0]
    now[0] += 0.1
    refresh(events.Scored(0, "fd_digits", 1.0, None, False))
    assert made == [0, 2 + 2 * REST_FACTOR]


def test_a_failing_page_does_not_end_training(bare: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.config.write_text("not json")
    said: list[str] = []
    refresh = ReportRefresher(bare, said.append, lambda: 0.0)
    for _ in range(2):
        refresh(SNAPSHOT)
    assert len(said) == 1 and said[0].startswith(f"cannot refresh {bare.report}: cannot read {bare.config}")
    bare.write_json(bare.config, {})
    refresh(SNAPSHOT)
    assert bare.report.exists()
    monkeypatch.setattr(page, "write_report", lambda run: 1 / 0)
    ReportRefresher(bare, said.append, lambda: 0.0)(SNAPSHOT)
    assert said[1] == f"cannot refresh {bare.report}: ZeroDivisionError: division by zero"


def test_nothing_is_written_to_a_folder_that_replaced_the_run(bare: RunDir) -> None:
    refresh = ReportRefresher(bare, lambda _: None, lambda: 0.0)
    with bare.lock():
        bare.path.rename("moved")
        RunDir(bare.path).path.mkdir()
        refresh(SNAPSHOT)
        assert not list(bare.path.iterdir())
