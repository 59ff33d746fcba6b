"""Make Linux look like Windows or macOS to gancli, as far as that is possible: see tests/test_systems.py.

usage: python other_system.py windows|macos COMMAND...        runs `gancli COMMAND...`

`windows` takes away the modules and names that Windows lacks, and refuses what Windows refuses: to open a folder, to
rename onto something, to rename or delete what is open, and to read a file as text by mistake. It adds `msvcrt`, and
files that are deleted when they are closed.
"""

import builtins
import errno
import fcntl
import importlib
import mmap
import os
import shutil
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

O_TEMPORARY, O_BINARY = 1 << 40, 1 << 41
MISSING_ON_WINDOWS = {
    os: "O_NOFOLLOW O_NONBLOCK sysconf sched_getaffinity",
    signal: "SIGHUP SIGKILL SIGALRM",
    mmap: "PROT_READ PROT_WRITE MAP_PRIVATE MAP_NORESERVE MADV_RANDOM",
}
MISSING_ON_MACOS = {os: "sched_getaffinity", mmap: "MAP_NORESERVE"}


def is_called_by_gancli(depth: int = 2) -> bool:
    return str(sys._getframe(depth).f_globals.get("__name__")).startswith("gancli")


def remove_names(names: dict[types.ModuleType, str]) -> None:
    for module, words in names.items():
        for name in words.split():
            if hasattr(module, name):
                delattr(module, name)


def hide_modules(names: set[str], added: dict[str, types.ModuleType]) -> None:
    real, real_import = importlib.import_module, builtins.__import__

    def import_module(name: str, package: str | None = None) -> types.ModuleType:
        if is_called_by_gancli():
            if name in names:
                raise ModuleNotFoundError(f"No module named {name!r}")
            if name in added:
                return added[name]
        return real(name, package)

    def import_statement(name: str, *rest: Any, **named: Any) -> Any:
        if name in names and is_called_by_gancli():
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real_import(name, *rest, **named)

    importlib.import_module, builtins.__import__ = import_module, import_statement


def hide_proc() -> None:
    real = Path.read_text

    def read_text(path: Path, *rest: Any, **named: Any) -> str:
        if str(path).startswith(("/proc/", "/sys/")):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return real(path, *rest, **named)

    Path.read_text = read_text  # type: ignore[method-assign]


def fake_msvcrt() -> types.ModuleType:
    """The locks of Windows: exclusive, one at a time even within a process, ended by closing the file."""
    module = types.ModuleType("msvcrt")

    def locking(descriptor: int, mode: int, n_bytes: int) -> None:
        assert mode == 2 and n_bytes == 1
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None

    vars(module).update(LK_NBLCK=2, locking=locking)
    return module


def open_paths() -> set[str]:
    """The paths that this process has open or mapped."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    with open("/proc/self/maps") as lines:
        return found | {line.split(maxsplit=5)[5].rstrip("\n") for line in lines if "/" in line}


def refuse_if_open(path: Any) -> None:
    """Raise the error of Windows if a file is open, or anything below a folder."""
    whole = os.path.abspath(os.fspath(path))
    if any(each == whole or each.startswith(f"{whole}{os.sep}") for each in open_paths()):
        raise PermissionError(errno.EACCES, "The process cannot access the file, it is in use", str(path))


def refuse_what_windows_refuses() -> None:
    real_open, real_close, temporary = os.open, os.close, dict[int, str]()

    def open_low(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        assert flags & O_BINARY or not is_called_by_gancli(), f"{path} is opened as text"
        descriptor = real_open(path, flags & ~(O_TEMPORARY | O_BINARY), *rest, **named)
        if flags & O_TEMPORARY:
            temporary[descriptor] = os.path.abspath(path)
        return descriptor

    def close(descriptor: int) -> None:
        path = temporary.pop(descriptor, None)
        if path is not None:
            real["unlink"](path)
        real_close(descriptor)

    def moving(name: str) -> Callable[..., None]:
        def move(source: Any, target: Any, **named: Any) -> None:
            if name == "rename" and os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, "Cannot create a file that exists", str(source), None, str(target))
            if os.path.isdir(source) and os.path.lexists(target):
                raise PermissionError(errno.EACCES, "Access is denied", str(source), None, str(target))
            refuse_if_open(source)
            refuse_if_open(target)
            real[name](source, target, **named)

        return move

    def removing(name: str) -> Callable[..., None]:
        def remove(path: Any, **named: Any) -> None:
            refuse_if_open(path)
            real[name](path, **named)

        return remove

    real = {name: getattr(os, name) for name in ("rename", "replace", "unlink", "remove", "rmdir")}
    for name in real:
        setattr(os, name, moving(name) if name in ("rename", "replace") else removing(name))
    os.open, os.close = open_low, close
    vars(os).update(O_TEMPORARY=O_TEMPORARY, O_BINARY=O_BINARY)
    shutil._use_fd_functions = False  # type: ignore[attr-defined]  # rmtree opens folders


def imitate(system: str) -> None:
    if system == "windows":
        hide_modules({"fcntl", "resource"}, {"msvcrt": fake_msvcrt()})
        refuse_what_windows_refuses()
        remove_names(MISSING_ON_WINDOWS)
    else:
        remove_names(MISSING_ON_MACOS)
    hide_proc()


if __name__ == "__main__":
    if not sys.argv[2].startswith("--"):
        import torch  # noqa: F401  # torch for Linux needs what is removed

    imitate(sys.argv[1])
    sys.argv = ["gancli", *sys.argv[2:]]
    from gancli.__main__ import main

    main()
