"""Everything that differs between Linux, macOS and Windows: locks, signals, memory, renames and flags of files.

Other modules call these functions and do not ask which system they run on. Windows has no `fcntl`; where that module is
missing, the functions take the way of Windows. docs/dev/reliability.md says which systems have been tried.
"""

import contextlib
import ctypes
import errno
import importlib
import math
import mmap
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any


def import_if_present(name: str) -> Any:
    """Return a module of the standard library that only some systems have; None if this one lacks it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


fcntl, resource, msvcrt = (import_if_present(name) for name in ("fcntl", "resource", "msvcrt"))
IS_POSIX = fcntl is not None  # Linux and macOS

STOP_SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
STDOUT_ERRORS = "surrogateescape" if IS_POSIX else "backslashreplace"  # on POSIX, paths are printed byte by byte

# Flags of os.open. A system that lacks one does not need it.
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # a pipe cannot block
BINARY = getattr(os, "O_BINARY", 0)  # Windows would change line ends
DELETE_ON_CLOSE = getattr(os, "O_TEMPORARY", 0)  # Windows then deletes the file also after a kill

LOCKS_FOLLOW_RENAMES = IS_POSIX
NO_LOCKS = (  # errors of flock that mean: there are no locks here
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOLCK,
    errno.EBADF,  # NFS cannot lock a file that is open for reading only
)
RETRIES_S = (0.01, 0.05, 0.2, 0.5)
UNKNOWN_RAM_BYTES = 8 << 30  # a guess


def home_folder() -> str | None:
    """Return the home folder of the user; None if the system does not know it."""
    home = os.path.expanduser("~")
    is_empty = IS_POSIX and os.environ.get("HOME") == ""  # "~" would then become "/"
    return home if os.path.isabs(home) and not is_empty else None


def expand_home(path: str) -> str | None:
    """Replace a leading ~ or ~user by a home folder; None if the home folder is not known.

    A path that begins with another ~, such as the name of an unknown user, stays unchanged.
    """
    if re.match(r"~($|[/\\])" if not IS_POSIX else r"~($|/)", path) and home_folder() is None:
        return None
    try:
        return os.path.expanduser(path)
    except ValueError:  # ~user with a user name that cannot exist
        return path


def is_own_folder(path: Path) -> bool:
    """Return whether the path is a folder, not a link, and belongs to the user of this process."""
    found = os.lstat(path)
    return stat.S_ISDIR(found.st_mode) and (not hasattr(os, "getuid") or found.st_uid == os.getuid())


class LocksMissingError(OSError):
    """Raised if the file system has no file locks."""


def open_for_reading(path: str | Path) -> int:
    """Open a file of any kind and return its descriptor, without waiting for the writer of a pipe."""
    return os.open(path, os.O_RDONLY | NO_WAIT | BINARY)


def open_lock_file(path: Path, *, create: bool) -> int:
    """Open a file for `lock_descriptor`, but no link. Returns its descriptor."""
    return os.open(path, (os.O_RDWR | os.O_CREAT if create else os.O_RDONLY) | NO_LINK | NO_WAIT | BINARY, 0o666)


@contextlib.contextmanager
def open_to_lock(path: Path) -> Iterator[int]:
    """Yield a descriptor for `lock_descriptor` that stands for an existing file or folder.

    Windows cannot open folders, nor rename what is open. There it is a hidden file next to the path.
    """
    if IS_POSIX:
        descriptor = os.open(path, os.O_RDONLY | NO_WAIT)
    else:
        hidden = path.with_name(f".{path.name}.gancli-lock")
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | DELETE_ON_CLOSE | BINARY, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def lock_descriptor(descriptor: int, *, shared: bool = False) -> None:
    """Lock an open file until it is closed or the process ends, however it ends.

    shared: allow other shared locks; Windows treats them as exclusive.
    Raises BlockingIOError if another descriptor holds the lock, LocksMissingError if the file system has no locks.
    """
    try:
        if IS_POSIX:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        else:
            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError as err:
        if err.errno in NO_LOCKS:
            raise LocksMissingError(err.errno, "its file system has no file locks") from err
        if not IS_POSIX and isinstance(err, PermissionError):  # Windows: another process holds the lock
            raise BlockingIOError(errno.EAGAIN, "locked by another process") from err
        raise


def wait_for_lock(descriptor: int, *, poll_s: float = 0.2, tries: float = math.inf) -> None:
    """Lock an open file as `lock_descriptor` does, trying again every `poll_s` seconds while the lock is held.

    Raises BlockingIOError after this many tries.
    """
    while True:
        tries -= 1
        try:
            return lock_descriptor(descriptor)
        except BlockingIOError:
            if tries <= 0:
                raise
            time.sleep(poll_s)


def sync_folder(path: Path) -> None:
    """Flush the names in a folder to disk. Windows has no such call."""
    if not IS_POSIX:
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(source: Path, target: Path) -> None:
    """Rename a closed file, replacing a file at `target`."""
    retry_while_open(lambda: os.replace(source, target))


def rename_folder(source: Path, target: Path) -> None:
    """Rename a folder, replacing an empty folder at `target`."""
    if not IS_POSIX and os.path.isdir(target):
        os.rmdir(target)
    retry_while_open(lambda: os.rename(source, target))


def retry_while_open(act: Callable[[], None]) -> None:
    """Call `act`. On Windows, retry for a moment: virus scanners open new files, and open files cannot be renamed."""
    for wait_s in () if IS_POSIX else RETRIES_S:
        try:
            return act()
        except PermissionError:
            time.sleep(wait_s)
    act()


def map_copy(file: IO[bytes], n_bytes: int, *, is_random: bool) -> mmap.mmap:
    """Map a file, which can be larger than memory; changes stay in memory. is_random: do not read ahead."""
    if not hasattr(mmap, "PROT_READ"):
        return mmap.mmap(file.fileno(), n_bytes, access=mmap.ACCESS_COPY)
    flags = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0)
    pages = mmap.mmap(file.fileno(), n_bytes, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    if is_random and hasattr(mmap, "MADV_RANDOM"):
        pages.madvise(mmap.MADV_RANDOM)
    return pages


def ram_bytes() -> int:
    """Return the size of the machine's memory."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(AttributeError, OSError):
        status = MemoryStatus(size=ctypes.sizeof(MemoryStatus))
        if ctypes.CDLL("kernel32").GlobalMemoryStatusEx(ctypes.byref(status)):
            return int(status.total)
    return UNKNOWN_RAM_BYTES


def peak_memory_bytes() -> int:
    """Return the largest memory that this process has used since it started; 0 if the system does not say."""
    if resource is not None:
        peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    with contextlib.suppress(AttributeError, OSError):
        counters = MemoryCounters(size=ctypes.sizeof(MemoryCounters))
        this_process = ctypes.c_void_p(-1)
        if ctypes.CDLL("kernel32").K32GetProcessMemoryInfo(this_process, ctypes.byref(counters), counters.size):
            return int(counters.peak_working_set)
    return 0


class MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of Windows."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 6),
    )


class MemoryCounters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS of Windows."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("page_faults", ctypes.c_uint32),
        ("peak_working_set", ctypes.c_size_t),
        ("others", ctypes.c_size_t * 7),
    )


def join_command(words: Sequence[str]) -> str:
    """Return words as a command line that can be pasted into the usual shell of the system."""
    return shlex.join(words) if IS_POSIX else subprocess.list2cmdline(words)


def quote(word: object) -> str:
    """Return a path or another word as `join_command` writes it."""
    return join_command([str(word)])
