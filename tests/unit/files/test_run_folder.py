import contextlib
import errno
import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gancli.errors import RunError
from gancli.files import run_folder, run_log
from gancli.files.run_folder import (
    RunDir,
    atomic_file,
    atomic_files,
    atomic_folder,
    atomic_write,
    claim_numbered,
    next_numbered_path,
    read_jsonl,
)
from gancli.files.run_log import MetricsLine

HOLD_LOCK = """
import sys
from pathlib import Path
from gancli.files.run_folder import RunDir
with RunDir(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""

DIE_RENAMING = """
import os, signal, sys
from pathlib import Path
from gancli.files import run_folder
os.replace = os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
path = Path(sys.argv[2])
if sys.argv[1] == "file":
    run_folder.atomic_write(path, b"new")
else:
    with run_folder.atomic_folder(path) as folder:
        (folder / "new").touch()
"""


DIE_EXCHANGING = """
import os, signal, sys
from pathlib import Path
from gancli.files import run_folder
path = Path(sys.argv[1])
path.mkdir()
(path / "old").touch()
with run_folder.atomic_folder(path, replace=True):
    rename = os.rename
    def die(*paths):
        if paths[1] == path:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(*paths)
    os.rename = die
"""

HOLD_FILE = """
import sys
from pathlib import Path
from gancli.files.run_folder import atomic_file
with atomic_file(Path(sys.argv[1])) as file:
    print("held", flush=True)
    sys.stdin.read()
    file.write(b"theirs")
"""


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def test_runs_are_numbered_from_zero_without_gaps(place: Path) -> None:
    runs = [RunDir.create(place / "runs", "quick-mnist") for _ in range(3)]
    assert [run.path.name for run in runs] == ["00000-quick-mnist", "00001-quick-mnist", "00002-quick-mnist"]
    assert all(run.frames.is_dir() for run in runs)


def test_number_follows_the_highest_and_ignores_foreign_names(place: Path) -> None:
    for name in ("00003-a", "100000", "7-b", "00200x", "notes"):
        (place / name).mkdir()
    assert next_numbered_path(place).name == "100001"
    assert next_numbered_path(place, "x").name == "100001-x"


def test_number_taken_by_another_process_is_skipped(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "00000-x").mkdir()
    proposals = iter([place / "00000-x", place / "00001-x"])
    monkeypatch.setattr(run_folder, "next_numbered_path", lambda *_: next(proposals))
    assert RunDir.create(place, "x").path.name == "00001-x"


def test_folder_that_cannot_be_made_is_one_clear_line(place: Path) -> None:
    (place / "file").touch()
    with pytest.raises(RunError, match=r"file/runs: .*path"):
        RunDir.create(place / "file" / "runs", "x")


def test_open_distinguishes_missing_from_foreign_folders(place: Path) -> None:
    with pytest.raises(RunError, match="no run folder"):
        RunDir.open(place / "none")
    with pytest.raises(RunError, match=r"config\.json"):
        RunDir.open(place)
    (place / "config.json").write_text("{}")
    assert RunDir.open(place).read_config() == {}


@pytest.mark.parametrize("text", ["{", "[1]", "", "[" * 200_000])
def test_damaged_config_is_named(place: Path, text: str) -> None:
    (place / "config.json").write_text(text)
    with pytest.raises(RunError, match=r"config\.json"):
        RunDir.open(place).read_config()


def test_write_json_is_read_back(place: Path) -> None:
    run = RunDir(place)
    run.write_json(run.config, {"seed": 2**63 - 1, "lr": 0.002})
    assert run.read_config() == {"seed": 2**63 - 1, "lr": 0.002}


def test_atomic_write_replaces_the_content_and_leaves_no_partial_file(place: Path) -> None:
    for content in (b"old", b"new"):
        atomic_write(place / "x", content)
        assert (place / "x").read_bytes() == content
    assert names(place) == ["x"]


@pytest.mark.parametrize("kind", ["file", "folder", "files"])
def test_content_is_synced_before_the_rename_and_the_folder_after(
    place: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """SIGKILL cannot test this: a power cut loses unsynced content, and names in unsynced folders."""
    calls, real = list[str](), {name: getattr(os, name) for name in ("fsync", "replace", "rename")}

    def fsync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        calls.append(f"fsync {'folder' if path.is_dir() else path.read_text()}")
        real["fsync"](descriptor)

    def move(name: str, old: Path, new: Path) -> None:
        calls.append(f"{name} {new.name}")
        real[name](old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    for name in ("replace", "rename"):
        monkeypatch.setattr(os, name, lambda old, new, name=name: move(name, old, new))
    if kind == "file":
        atomic_write(place / "x", b"all of it")
        assert calls == ["fsync all of it", "replace x", "fsync folder"]
        return
    with (atomic_folder if kind == "folder" else atomic_files)(place / "x") as folder:
        atomic_write(folder / "a", b"all of it")
    inside = ["fsync all of it", "replace a"]
    assert [call for call in calls if call != "fsync folder"] == inside + (
        ["rename x"] if kind == "folder" else ["replace a"]
    )
    assert calls[-1] == "fsync folder"


def test_writer_that_raises_leaves_the_old_content(place: Path) -> None:
    atomic_write(place / "x", b"old")
    with pytest.raises(KeyError), atomic_file(place / "x") as file:
        file.write(b"half")
        raise KeyError
    assert (place / "x").read_bytes() == b"old" and names(place) == ["x"]


def test_full_disk_is_one_clear_line_and_leaves_the_old_content(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic_write(place / "x", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="/x: No space left"):
        atomic_write(place / "x", b"new")
    assert (place / "x").read_bytes() == b"old" and names(place) == ["x"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_process_killed_while_renaming_leaves_the_old_content(place: Path, kind: str) -> None:
    target = place / "x"
    if kind == "file":
        target.write_bytes(b"old")
    else:
        target.mkdir()
        (target / "old").touch()
    end = subprocess.run([sys.executable, "-c", DIE_RENAMING, kind, target])
    assert end.returncode == -9
    assert target.read_bytes() == b"old" if kind == "file" else names(target) == ["old"]
    assert len(names(place)) == 2  # and a partial one next to it


def test_partial_files_of_a_dead_process_are_ignored(place: Path) -> None:
    run = RunDir.create(place, "x")
    for path in (run.frame(0), run.checkpoint(0), run.model):
        path.with_name(f".{path.name}.0123abcd.partial").write_bytes(b"half")
    assert run.frame_paths() == run.checkpoints() == []
    atomic_write(run.frame(0), b"whole")
    assert [path.read_bytes() for path in run.frame_paths()] == [b"whole"]
    assert names(run.frames) == ["000000000.png"]


def test_folder_gets_its_name_when_it_is_complete(place: Path) -> None:
    with atomic_folder(place / "x") as folder:
        (folder / "a").touch()
        assert not (place / "x").exists()
    assert names(place) == ["x"] and names(place / "x") == ["a"]


def test_folder_writer_that_raises_leaves_nothing(place: Path) -> None:
    with pytest.raises(KeyError), atomic_folder(place / "x") as folder:
        (folder / "a").touch()
        raise KeyError
    assert names(place) == []


def test_an_existing_folder_is_replaced_as_a_whole_or_kept(place: Path) -> None:
    with atomic_folder(place / "x") as folder:
        (folder / "old").touch()
    with pytest.raises(RunError, match=r"cannot write .*/x: .*; choose another path"), atomic_folder(place / "x"):
        pass
    with pytest.raises(KeyError), atomic_folder(place / "x", replace=True):
        raise KeyError
    assert names(place) == ["x"] and names(place / "x") == ["old"]
    with atomic_folder(place / "x", replace=True) as folder:
        (folder / "new").touch()
    assert names(place) == ["x"] and names(place / "x") == ["new"]


def test_files_move_into_a_folder_over_those_of_the_same_names(place: Path) -> None:
    for content in ("before", "after"):
        with atomic_files(place / "x") as folder:
            (folder / "same").write_text(content)
            (folder / content).touch()
    assert names(place) == ["x"] and names(place / "x") == ["after", "before", "same"]
    assert (place / "x" / "same").read_text() == "after"


@pytest.mark.parametrize("step", [1, 2])
def test_an_interrupted_exchange_keeps_the_old_folder(place: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    (place / "x").mkdir()
    (place / "x" / "old").touch()
    rename, calls = os.rename, 0

    def cut(*paths: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == step:
            raise KeyboardInterrupt
        rename(*paths)

    monkeypatch.setattr(os, "rename", cut)
    with pytest.raises(KeyboardInterrupt), atomic_folder(place / "x", replace=True):
        pass
    assert names(place) == ["x"] and names(place / "x") == ["old"]


def test_leftovers_of_a_killed_exchange_are_restored_or_removed(place: Path) -> None:
    """After SIGKILL between the renames, both folders have hidden names; after SIGKILL later, only the old one."""
    end = subprocess.run([sys.executable, "-c", DIE_EXCHANGING, place / "x"])
    assert end.returncode == -9
    assert len(names(place)) == 2 and all(name.startswith(".x.") for name in names(place))
    with pytest.raises(RunError, match="choose another path"), atomic_folder(place / "x"):
        assert names(place / "x") == ["old"]
    (place / ".x.0000000a.old").mkdir()
    with atomic_folder(place / "x", replace=True):
        pass
    assert names(place) == ["x"]


def test_temporary_files_of_dead_processes_are_removed_and_others_kept(place: Path) -> None:
    others = {".x.png.00000012.partial", ".x.notes", ".x.00000012.partial2", ".x.2024.old", ".x.bad.partial"}
    for name in (".x.00000012.partial", *others):
        (place / name).touch()
    (place / ".x.000000ab.partial").mkdir()
    (place / ".x.000000ab.partial" / "half").touch()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_FILE, place / "x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as living:
        assert living.stdout is not None and living.stdout.readline() == "held\n"
        atomic_write(place / "x", b"ours")
        left = {name for name in names(place) if not re.fullmatch(r"\.x\.[0-9a-f]{8}\.partial", name)}
        assert left == {*others, "x"} and len(names(place)) == 7
        living.communicate("")
    assert (place / "x").read_bytes() == b"theirs"


@pytest.mark.parametrize("fails", [True, False])
def test_a_number_that_was_claimed_is_free_again_if_nothing_was_made(place: Path, fails: bool) -> None:
    with contextlib.suppress(KeyError), claim_numbered(place) as first, claim_numbered(place) as second:
        assert [first.name, second.name] == ["00000", "00001"]
        with atomic_folder(first) as folder:
            (folder / "made").touch()
        if fails:
            raise KeyError
    assert names(place) == ["00000"] and names(place / "00000") == ["made"]


def test_partial_folders_of_a_dead_process_with_the_same_id_do_no_harm(place: Path) -> None:
    (place / ".x.0123abcd.partial" / "half").mkdir(parents=True)
    with atomic_folder(place / "x") as folder:
        (folder / "new").touch()
    assert names(place) == ["x"] and names(place / "x") == ["new"]


def test_frames_and_checkpoints_are_listed_by_images_seen(place: Path) -> None:
    run = RunDir.create(place, "x")
    counts = (500, 0, 999_999_999, 1_000_000_000, 12_800)
    for nimg in counts:
        run.frame(nimg).touch()
        run.checkpoint(nimg).touch()
    (run.frames / "notes.png").touch()
    (run.path / "checkpoint-best.safetensors").touch()
    assert [run_folder.parse_nimg(p) for p in run.frame_paths()] == sorted(counts)
    assert [run_folder.parse_nimg(p) for p in run.checkpoints()] == sorted(counts, reverse=True)
    assert run.frame(12_800).name == "000012800.png"


def test_last_two_checkpoints_are_kept(place: Path) -> None:
    run = RunDir.create(place, "x")
    for nimg in (1, 2, 3, 4):
        run.checkpoint(nimg).touch()
    run.drop_old_checkpoints()
    assert run.checkpoints() == [run.checkpoint(4), run.checkpoint(3)]


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_run_that_fails_before_its_first_checkpoint_leaves_nothing(place: Path, error: type[BaseException]) -> None:
    run = RunDir.create(place, "x")
    with pytest.raises(error), run.remove_if_unsaved():
        raise error
    assert names(place) == []


def test_run_that_fails_after_a_checkpoint_is_kept(place: Path) -> None:
    run = RunDir.create(place, "x")
    with pytest.raises(KeyError), run.remove_if_unsaved():
        run.checkpoint(64).touch()
        run.has_saved_checkpoint = True
        raise KeyError
    assert run.checkpoints() == [run.checkpoint(64)]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("00000-quik-tiny", " (did you mean 00000-quick-tiny?)"),
        ("runs/0000-quick-tiny", " (did you mean 00000-quick-tiny?)"),
        ("nothing", ""),
        ("elsewhere/00000-quik-tiny", ""),
    ],
)
def test_a_name_similar_to_a_run_gets_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunDir.create(Path("runs"), "quick-tiny")
    run.write_json(run.config, {})
    with pytest.raises(RunError) as refused:
        RunDir.find(Path(name), Path("runs"))
    assert str(refused.value) == f"no run folder at {name}{hint}; check the path"


def test_lock_is_refused_to_a_second_process_and_released_when_the_first_dies(place: Path) -> None:
    run = RunDir.create(place, "x")
    command = [sys.executable, "-c", HOLD_LOCK, run.path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="00000-x is in use"), run.lock():
            pass
        holder.kill()
        holder.wait()
        with run.lock():
            pass
    with run.lock():
        pass


def test_training_waits_for_a_process_that_only_checks_the_lock(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDir.create(place, "x")
    with run.lock():
        assert run.is_locked()
    looker, waits = os.open(run.path / run_folder.LOCK_NAME, os.O_RDONLY), list[float]()
    fcntl.flock(looker, fcntl.LOCK_SH)
    monkeypatch.setattr(run_folder.platform.time, "sleep", lambda s: waits.append(s) or os.close(looker))
    with run.lock():
        assert len(waits) == 1 and run.is_locked()
    assert not run.is_locked()


def rename(run: RunDir) -> None:
    run.path.rename(run.path.with_name("elsewhere"))


def replace(run: RunDir) -> None:
    rename(run)
    RunDir.create(run.path.parent, "x")
    assert run.path.is_dir()


def another_lock(run: RunDir) -> None:
    (run.path / run_folder.LOCK_NAME).unlink()
    with run.lock():
        pass


@pytest.mark.parametrize("take_away", [rename, replace, another_lock])
def test_a_replaced_folder_is_not_written_to(place: Path, take_away: Callable[[RunDir], None]) -> None:
    run = RunDir.create(place, "x")
    run.check_owned()
    with run.lock():
        run.check_owned()
        take_away(RunDir(run.path))
        with pytest.raises(RunError, match="00000-x is not the folder"):
            run.check_owned()


def test_a_refused_lock_does_not_release_the_held_one(place: Path) -> None:
    run = RunDir.create(place, "x")
    with run.lock():
        with pytest.raises(RunError, match="is in use"), run.lock():
            pass
        rename(RunDir(run.path))
        with pytest.raises(RunError, match="not the folder"):
            run.check_owned()
    run = RunDir.create(place, "y")
    with pytest.raises(BlockingIOError), run.lock():
        raise BlockingIOError  # from something else: not reported as a run in use


def test_a_link_in_place_of_a_run_subfolder_or_lock_is_refused(place: Path) -> None:
    run = RunDir.create(place, "x")
    (place / "pictures").mkdir()
    (run.path / run_folder.LOCK_NAME).symlink_to(place / "file")
    with pytest.raises(RunError, match="00000-x: Too many levels"), run.lock():
        pass
    assert not (place / "file").exists()
    (run.path / run_folder.LOCK_NAME).unlink()
    run.frames.rmdir()
    run.frames.symlink_to(place / "pictures")
    with pytest.raises(RunError, match="frames is a link"), run.lock():
        pass


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "No space left on device; free some space"),
        (errno.EROFS, "Read-only file system; choose a folder on another file system"),
        (errno.EACCES, "Permission denied; check the folder's permissions"),
    ],
)
def test_a_log_that_cannot_be_written_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr("builtins.open", refuse)
    line = MetricsLine("tick", 0)
    for write in (lambda: run_log.append_line(place / "log", line), lambda: run_log.fsync_file(place / "log")):
        with pytest.raises(RunError, match=f"cannot write .*/log: {said}"):
            write()


def test_newest_is_the_highest_number_that_is_a_run(place: Path) -> None:
    for name in ("00002-a", "00010-b", "100000-c", "00011-empty", "notes-x"):
        (place / name).mkdir()
        if name != "00011-empty":
            (place / name / "config.json").touch()
    assert run_folder.newest_run(place).path.name == "100000-c"


def test_newest_without_runs_says_what_to_type(place: Path) -> None:
    for folder in (place, place / "none"):
        with pytest.raises(RunError, match="gancli train"):
            run_folder.newest_run(folder)


def test_log_is_read_without_a_line_that_a_crash_cut_short(place: Path) -> None:
    records = [{"nimg": 1, "loss": 0.5}, {"nimg": 2, "loss": 0.25}]
    for record in records:
        with open(place / "log", "a") as file:
            file.write(json.dumps(record) + "\n")
    assert read_jsonl(place / "log") == records
    for cut in range(1, len(json.dumps(records[1])) + 1):
        (place / "torn").write_bytes((place / "log").read_bytes()[:-cut])
        assert read_jsonl(place / "torn") == records[:1]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"nimg": 1}, "without kind or images seen"),
        ({"kind": "tick", "nimg": 1.0}, "without kind or images seen"),
        ({"kind": "tick", "nimg": 1, "d_loss": "x"}, "with values that are not numbers"),
        ({"kind": "eval", "nimg": 1, "short_classes": "ab"}, "with short_classes that are not names"),
        ({"kind": "eval", "nimg": 1, "short_classes": ["a", 3]}, "with short_classes that are not names"),
    ],
)
def test_an_invalid_line_of_metrics_is_refused(place: Path, values: dict[str, object], said: str) -> None:
    (place / "metrics.jsonl").write_text(json.dumps(values) + "\n")
    with pytest.raises(RunError, match=rf"metrics.jsonl has a line {said}( \(nimg\))?; restore or delete it"):
        run_log.read_metrics(place / "metrics.jsonl")


def test_missing_log_is_empty_and_a_foreign_one_is_named(place: Path) -> None:
    assert read_jsonl(place / "none") == []
    (place / "log").write_text("nonsense\n{}\n")
    with pytest.raises(RunError, match=r"log .*JSON: 'nonsense"):
        read_jsonl(place / "log")
