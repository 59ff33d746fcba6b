"""gancli on systems that differ from Linux: imitated ones (support/other_system.py), and disks without locks."""

import errno
import fcntl
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import FAST, gancli
from conftest import ROOT
from PIL import Image

from gancli import platform
from gancli.errors import RunError
from gancli.files import run_folder
from gancli.files.run_folder import RunDir, atomic_folder, atomic_write

OTHER = ROOT / "tests" / "support" / "other_system.py"
TRAIN = ("train", "--data", "pictures", *FAST)
HOLD_LOCK = """
import sys
sys.path.insert(0, sys.argv[1])
from other_system import imitate
imitate("windows")
from pathlib import Path
from gancli.files.run_folder import RunDir
with RunDir(Path(sys.argv[2])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def run_on(system: str, *arguments: str) -> None:
    command = [sys.executable, OTHER, system, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0 and result.stdout, (arguments, result.stderr)


def save_pictures() -> None:
    Path("pictures").mkdir()
    for seed in range(40):
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(f"pictures/{seed}.png")


@pytest.mark.long
@pytest.mark.parametrize("system", ["windows", "macos"])
def test_the_commands_work_on_an_imitated_system_as_on_this_one(system: str) -> None:
    save_pictures()
    run, sample = "runs/00000-quick-pictures", ("sample", "runs/00000-quick-pictures", "--n", "2")
    for command in (("--version",), ("--help",), (*TRAIN, "--kimg", "0.2")):
        run_on(system, *command)
    assert gancli(*TRAIN, "--kimg", "0.2", "--outdir", "here").exit_code == 0
    for name in ("samples.png", "progress.gif"):
        assert Path(run, name).read_bytes() == Path(run.replace("runs", "here"), name).read_bytes()
    if system == "macos":
        return run_on(system, *sample)
    for command in (
        ("train", "--resume", run, "--kimg", "0.3", "--quiet"),
        sample,
        *2 * [(*sample, "-o", "mine", "--force")],
        (*sample, "-o", "mine.npz"),
    ):
        run_on(system, *command)
    assert [path.name for path in Path("runs").rglob(".*")] == [run_folder.LOCK_NAME], "no partial file is left"
    assert not [*Path().glob(".*")] and len([*Path("mine").iterdir()]) == 4


def test_a_windows_lock_ends_with_its_process_and_is_refused_to_a_second_one(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, "x")
    command = [sys.executable, "-c", HOLD_LOCK, OTHER.parent, run.path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        refused = subprocess.run([*command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert refused.returncode == 1 and "RunError" in refused.stderr and "is in use" in refused.stderr
        assert run.is_locked()
        holder.kill()
        holder.wait()
    freed = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (freed.returncode, freed.stdout) == (0, "held\n")


def refuse_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(descriptor: int, flags: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EBADF])
def test_output_is_written_on_a_disk_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    place, other = tmp_path / "place", ".x.0123abcd.partial"
    place.mkdir()
    (place / other).mkdir()
    refuse_locks(monkeypatch, number)
    atomic_write(place / "file", b"new")
    for replace in (False, True):
        with atomic_folder(place / "x", replace=replace) as folder:
            (folder / "a").touch()
    assert sorted(path.name for path in place.iterdir()) == [other, "file", "x"], "it may belong to a process"


def test_an_error_of_a_lock_that_does_not_mean_a_disk_without_locks_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_locks(monkeypatch, errno.EIO)
    with pytest.raises(RunError, match="Input/output error"):
        atomic_write(tmp_path / "file", b"new")


def test_training_on_a_disk_without_locks_is_refused_in_one_line_and_leaves_nothing(
    run: Path, tiny_idx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_locks(monkeypatch, errno.ENOSYS)
    for command in (("train", "--resume", run), ("train", "--data", tiny_idx, *FAST, "--kimg", "0.1", "-q")):
        result = gancli(*command)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: cannot lock runs/0000") and result.stderr.endswith(
            ": its file system has no file locks, so two processes could train one run;"
            " choose an --outdir on another file system, or move the run there\n"
        )
    assert [*Path("runs").iterdir()] == [run]
    assert gancli("sample", run, "--n", "2").exit_code == 0


def test_a_cache_on_a_disk_without_locks_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    save_pictures()
    refuse_locks(monkeypatch, errno.ENOSYS)
    result = gancli(*TRAIN, "--kimg", "0.1")
    assert result.exit_code == 1
    assert result.stderr.endswith(": its file system has no file locks; set GANCLI_CACHE to another folder\n")


def test_memory_is_read_from_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    def memory_status(pointer: Any) -> int:
        assert pointer._obj.size == 64, "sizeof(MEMORYSTATUSEX)"
        pointer._obj.total = 16 << 30
        return 1

    def memory_info(process: Any, pointer: Any, size: int) -> int:
        assert process.value == (1 << 64) - 1 and size == 72, "sizeof(PROCESS_MEMORY_COUNTERS) with 64 bits"
        pointer._obj.peak_working_set = 3 << 30
        return 1

    kernel32 = types.SimpleNamespace(GlobalMemoryStatusEx=memory_status, K32GetProcessMemoryInfo=memory_info)
    monkeypatch.setattr(platform.ctypes, "CDLL", lambda name: {"kernel32": kernel32}[name])
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(platform, "resource", None)
    assert (platform.ram_bytes(), platform.peak_memory_bytes()) == (16 << 30, 3 << 30)


def test_a_system_that_reports_no_memory_gets_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(platform, "resource", None)
    assert (platform.ram_bytes(), platform.peak_memory_bytes()) == (platform.UNKNOWN_RAM_BYTES, 0)


def test_a_rename_on_windows_waits_for_a_virus_scanner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, refusals, real = tmp_path / "a", [PermissionError, PermissionError], os.replace
    source.touch()

    def replace(old: Path, new: Path) -> None:
        if refusals:
            raise refusals.pop()
        real(old, new)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(platform, "RETRIES_S", (0, 0))
    with pytest.raises(PermissionError):
        platform.replace_file(source, tmp_path / "b")
    monkeypatch.setattr(platform, "IS_POSIX", False)
    platform.replace_file(source, tmp_path / "b")
    assert not refusals and (tmp_path / "b").exists()


def test_printed_commands_are_quoted_for_the_shell_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    assert platform.join_command(["gancli", "it's a run"]) == """gancli 'it'"'"'s a run'"""
    monkeypatch.setattr(platform, "IS_POSIX", False)
    assert platform.join_command(["gancli", r"C:\my runs\0", r"runs\0"]) == r'gancli "C:\my runs\0" runs\0'


def test_only_the_platform_module_uses_names_that_some_systems_lack() -> None:
    names = ("O_NOFOLLOW", "O_NONBLOCK", "SIGHUP", "sysconf(", "PROT_READ", "flock(", "import mmap")
    paths = [path for path in (ROOT / "gancli").rglob("*.py") if path.name != "platform.py"]
    assert len(paths) > 100
    wrong = [(path.name, name) for path in paths for name in names if name in path.read_text(encoding="utf-8")]
    assert {*wrong} == {("train.py", "SIGHUP")}, "its name only"


def test_a_folder_of_another_user_or_a_link_is_not_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert platform.is_own_folder(tmp_path) and not platform.is_own_folder(tmp_path / "link")
    monkeypatch.setattr(os, "getuid", lambda: os.lstat(tmp_path).st_uid + 1)
    assert not platform.is_own_folder(tmp_path)


def test_a_user_name_that_cannot_exist_stays_as_it_is() -> None:
    assert platform.expand_home("~a\0b/c") == "~a\0b/c"


@pytest.mark.parametrize(("system", "unit"), [("linux", 1024), ("darwin", 1)])
def test_the_unit_of_peak_memory_depends_on_the_system(monkeypatch: pytest.MonkeyPatch, system: str, unit: int) -> None:
    monkeypatch.setattr(sys, "platform", system)
    usage = types.SimpleNamespace(getrusage=lambda who: types.SimpleNamespace(ru_maxrss=7), RUSAGE_SELF=0)
    monkeypatch.setattr(platform, "resource", usage)
    assert platform.peak_memory_bytes() == 7 * unit
