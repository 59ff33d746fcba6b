"""The run folder: its file names, numbering and lock; atomic writing of files and folders."""

import contextlib
import difflib
import errno
import glob
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from gancli import platform
from gancli.errors import GancliError, RunError, make_printable

CHECKPOINTS_KEPT = 2
LOCK_NAME = ".lock"
SCORES_NAME = "scores.json"  # the scores in the folder of an evaluation
IMPLAUSIBLE_VALUE = 1e300  # no measurement reaches it; `x < IMPLAUSIBLE_VALUE` also rejects NaN


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that replaces `path` after the block: `path` gets all new content or does not change."""
    path = resolve_last_part(path)
    with temporary_beside(path, Path.touch) as temporary, open(temporary, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
        file.close()  # Windows cannot rename an open file
        platform.replace_file(temporary, path)
        platform.sync_folder(path.parent)


def atomic_write(path: Path, data: bytes) -> None:
    with atomic_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def atomic_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder to fill, then rename it to `path`. Raises RunError if `path` exists and is not empty.

    replace: delete an existing folder with all its contents, once the new one is complete.
    """
    path = resolve_last_part(path)
    with temporary_beside(path, create_folder) as temporary:
        yield temporary
        if replace and path.is_dir():
            replace_folder(temporary, path)
        else:
            platform.rename_folder(temporary, path)
        platform.sync_folder(path.parent)


@contextlib.contextmanager
def atomic_files(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; then move its files to the folder `path`, replacing old files."""
    path = resolve_last_part(path)
    with temporary_beside(path, create_folder) as temporary:
        yield temporary
        path.mkdir(exist_ok=True)
        for file in sorted(temporary.iterdir()):
            platform.replace_file(file, path / file.name)
        platform.sync_folder(path)


@contextlib.contextmanager
def temporary_beside(path: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """Make a hidden file or folder next to `path` for the block, then remove it. Errors name `path`."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        clean_leftovers(path)
        make(temporary)
        with hold_lock(temporary, needed=False):  # nobody else has this name
            yield temporary
    except OSError as err:
        raise write_error(path, err) from err
    except GancliError as err:
        err.args = (str(err).replace(str(temporary), str(path)),)
        raise
    finally:
        remove_path(temporary)


def create_folder(path: Path) -> None:
    path.mkdir(parents=True)


def replace_folder(new: Path, path: Path) -> None:
    """Replace the folder `path` by `new`. If the process is killed meanwhile, `clean_leftovers` restores `path`."""
    old = new.with_suffix(".old")
    with hold_lock(path, needed=False), contextlib.ExitStack() as locks:
        if not platform.LOCKS_FOLLOW_RENAMES:
            locks.enter_context(hold_lock(old))
        try:
            platform.rename_folder(path, old)
            platform.rename_folder(new, path)
        except BaseException:
            if not path.exists():
                platform.rename_folder(old, path)
            raise
        remove_path(old)


def clean_leftovers(path: Path) -> None:
    """Remove leftovers of killed processes next to `path`; restore `path` from them if it is missing."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        match = re.fullmatch(r"\.[0-9a-f]{8}\.(old|partial)", left.name.removeprefix(f".{path.name}"))
        with contextlib.suppress(OSError):
            if match and match[1] == "old" and not os.path.lexists(path):
                with hold_lock(left):
                    platform.rename_folder(left, path)
            elif match:
                with hold_lock(left):
                    remove_path(left)


@contextlib.contextmanager
def hold_lock(path: Path, *, needed: bool = True) -> Iterator[None]:
    """Lock a path during the block; the lock ends with the process.

    needed: if the file system has no locks, raise LocksMissingError instead of continuing without one.
    Raises BlockingIOError if the path is locked.
    """
    with platform.open_to_lock(path) as descriptor:
        try:
            platform.lock_descriptor(descriptor)
        except platform.LocksMissingError:
            if needed:
                raise
        yield


def remove_path(path: Path) -> None:
    """Remove a file or folder if it exists; ignore errors."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def resolve_last_part(path: Path) -> Path:
    """Return the absolute path, without '.' and '..', so that it has a name. Raises RunError for the root."""
    path = Path(os.path.abspath(path))
    if not path.name:
        raise RunError(f"cannot write {path}: it is the root of the file system; choose another path")
    return path


def write_error(path: Path, err: OSError) -> RunError:
    advice = {
        errno.ENOSPC: "free some space, or choose another folder with --outdir or -o",
        errno.EDQUOT: "free some space, or choose another folder with --outdir or -o",
        errno.EACCES: "check the folder's permissions, or choose another folder",
        errno.EROFS: "choose a folder on another file system",
        errno.EEXIST: "choose another path",
        errno.ENOTEMPTY: "choose another path",
    }.get(err.errno or 0, "check the path")
    return RunError(f"cannot write {path}: {os.strerror(err.errno) if err.errno else err}; {advice}")


def next_numbered_path(parent: Path, suffix: str = "") -> Path:
    """Return the next free name in `parent`: 00000, 00001, ... with an optional -suffix. Creates only `parent`."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        taken = [int(match[1]) for name in os.listdir(parent) if (match := re.match(r"(\d{5,})(?:-|$)", name))]
    except OSError as err:
        raise write_error(parent, err) from err
    number = max(taken, default=-1) + 1
    return parent / (f"{number:05d}-{suffix}" if suffix else f"{number:05d}")


def create_numbered(parent: Path, suffix: str = "") -> Path:
    """Create a folder with the next free number; two processes never get the same one."""
    while True:
        path = next_numbered_path(parent, suffix)
        try:
            path.mkdir()
        except FileExistsError:
            continue
        except OSError as err:
            raise write_error(path, err) from err
        return path


@contextlib.contextmanager
def claim_numbered(parent: Path) -> Iterator[Path]:
    """Create an empty numbered folder, unique to this process; remove it after the block if it is still empty."""
    path = create_numbered(parent)
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.rmdir()


class RunDir:
    """The paths inside one run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.metrics = path / "metrics.jsonl"
        self.events = path / "events.jsonl"
        self.frames = path / "frames"
        self.model = path / "model.safetensors"
        self.best_model = path / "model-best.safetensors"
        self.reals = path / "reals.png"
        self.samples = path / "samples.png"
        self.loss_plot = path / "loss.png"
        self.accuracy_plot = path / "accuracy.png"
        self.score_plot = path / "score.png"
        self.film = path / "progress.gif"
        self.report = path / "report.html"
        self._locked: int | None = None  # descriptor of the lock while it is held
        self.has_saved_checkpoint = False  # whether a checkpoint was ever saved through this object

    @classmethod
    def create(cls, outdir: Path, name: str) -> "RunDir":
        """Create a new numbered run folder."""
        path = create_numbered(outdir, name)
        try:
            (path / "frames").mkdir()
        except OSError as err:
            raise write_error(path, err) from err
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> "RunDir":
        run = cls(path)
        if not path.exists():
            raise RunError(f"no run folder at {path}; check the path")
        if path.is_file():
            whole = cls(path.parent)
            fix = "give the folder of a run"
            if whole.config.is_file() and whole.metrics.is_file():
                fix = f"give its run folder {path.parent}"
            elif path.suffix == ".safetensors":
                fix += ", or start a new run from this model with --init"
            raise RunError(f"{path} is a file, not a run folder; {fix}")
        if not run.config.is_file() and (runs := list_runs(path)):
            raise RunError(f"{path} holds run folders; name one of them, such as {runs[0].path}")
        if not run.config.is_file():
            raise RunError(f"{path} is not a run folder: it has no config.json; give the folder of a run")
        return run

    @contextlib.contextmanager
    def remove_if_unsaved(self) -> Iterator[None]:
        """Delete the run folder if the block fails before the first checkpoint."""
        try:
            yield
        except BaseException:
            if not self.has_saved_checkpoint:
                shutil.rmtree(self.path, ignore_errors=True)
            raise

    @classmethod
    def find(cls, name: Path, outdir: Path) -> "RunDir":
        """Open a run by its path, or by its name below outdir."""
        path = next((path for path in (name, outdir / name) if path.exists()), None)
        if path is None:
            raise RunError(f"no run folder at {name}{suggest_run(name, outdir)}; check the path")
        return cls.open(path)

    def frame(self, nimg: int) -> Path:
        return self.frames / f"{nimg:09d}.png"

    def frame_paths(self) -> list[Path]:
        """Return the frames in order of images seen."""
        return sorted((p for p in self.frames.glob("*.png") if re.fullmatch(r"\d{9,}", p.stem)), key=parse_nimg)

    def checkpoint(self, nimg: int) -> Path:
        return self.path / f"checkpoint-{nimg:09d}.safetensors"

    def checkpoints(self) -> list[Path]:
        """Return the checkpoints, newest first."""
        paths = [p for p in self.path.glob("checkpoint-*.safetensors") if re.fullmatch(r"checkpoint-\d{9,}", p.stem)]
        return sorted(paths, key=parse_nimg, reverse=True)

    def drop_old_checkpoints(self) -> None:
        for path in self.checkpoints()[CHECKPOINTS_KEPT:]:
            path.unlink(missing_ok=True)

    def read_config(self) -> dict[str, Any]:
        """Read the plain values of config.json, unchecked; gancli.files.run_config checks them. Raises RunError."""
        if self.config.exists() and not self.config.is_file():
            raise RunError(f"{self.config} is not a file; restore it from a copy")
        try:
            record = json.loads(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as err:
            raise RunError(f"cannot read {self.config}: {err}; restore it from a copy") from err
        except RecursionError as err:
            raise RunError(f"cannot read {self.config}: it is nested too deeply; restore it from a copy") from err
        if not isinstance(record, dict):
            raise RunError(f"{self.config} does not hold a JSON object; restore it from a copy")
        return record

    def write_json(self, path: Path, record: object) -> None:
        atomic_write(path, (json.dumps(record, indent=2) + "\n").encode())

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the run during the block; the lock ends with the process. Raises RunError if it is locked already."""
        if self.frames.is_symlink():
            raise RunError(f"{self.frames} is a link, and training deletes pictures in it; replace it with a folder")
        try:
            descriptor = platform.open_lock_file(self.path / LOCK_NAME, create=True)
        except OSError as err:
            raise write_error(self.path, err) from err
        try:
            try:
                platform.wait_for_lock(descriptor, poll_s=0.01, tries=10)  # `is_locked` holds the lock briefly
            except BlockingIOError as err:
                raise RunError(f"{self.path} is in use by another process; wait for it, or stop it") from err
            except platform.LocksMissingError as err:
                raise RunError(
                    f"cannot lock {self.path}: its file system has no file locks, so two processes could train one run;"
                    " choose an --outdir on another file system, or move the run there"
                ) from err
            self._locked = descriptor
            yield
        finally:
            if self._locked == descriptor:
                self._locked = None
            os.close(descriptor)

    def is_locked(self) -> bool:
        """Whether a process holds the lock of the run."""
        try:
            descriptor = platform.open_lock_file(self.path / LOCK_NAME, create=False)
        except OSError:
            return False
        try:
            platform.lock_descriptor(descriptor, shared=True)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return False

    def check_owned(self) -> None:
        """Raise RunError if the run folder was moved or deleted since it was locked. Call this before writing."""
        if self._locked is None:
            return
        try:
            is_same = os.path.samestat(os.fstat(self._locked), os.stat(self.path / LOCK_NAME))
        except FileNotFoundError:
            is_same = False
        if not is_same:
            raise RunError(
                f"{self.path} is not the folder of this run any more: it was moved (resume it there) or deleted"
            )


def is_positive_count(value: object) -> bool:
    """Whether a value of a record is a plausible whole number above 0."""
    return type(value) is int and 0 < value < IMPLAUSIBLE_VALUE


def parse_nimg(path: Path) -> int:
    """Return the number of images seen, from the name of a frame or checkpoint."""
    return int(path.stem.rpartition("-")[2])


def newest_run(outdir: Path) -> RunDir:
    """Return the run with the highest number below `outdir`. Raises RunError if there is none."""
    runs = list_runs(outdir)
    if not runs:
        raise RunError(f"no run found under {outdir}/; train one first: gancli train")
    return runs[0]


def list_runs(outdir: Path) -> list[RunDir]:
    """Return all runs below `outdir`, highest number first."""
    return [run for run in list_run_folders(outdir) if run.config.is_file()]


def suggest_run(name: Path, outdir: Path) -> str:
    """Return ' (did you mean 00000-quick-mnist-5k?)' if a run has a similar name, else ''."""
    folder = name.parent if name.parent.name else outdir
    close = difflib.get_close_matches(name.name, [run.path.name for run in list_runs(folder)], n=1)
    return f" (did you mean {make_printable(close[0])}?)" if close else ""


def list_run_folders(outdir: Path) -> list[RunDir]:
    """Return all folders that have the name of a run, highest number first; their contents are not checked."""
    folders = [p for p in outdir.glob("*-*") if re.match(r"\d{5,}-", p.name) and p.is_dir()]
    return [RunDir(path) for path in sorted(folders, key=lambda p: int(p.name.partition("-")[0]), reverse=True)]


def disk_usage_bytes(path: Path) -> int:
    """Return the size of a file, or of all files below a folder, not following links; vanished files count 0."""
    total = 0
    files = (
        [os.path.join(place, name) for place, _, names in os.walk(path) for name in names] if path.is_dir() else [path]
    )
    for file in files:
        with contextlib.suppress(OSError):
            total += os.lstat(file).st_size
    return total


def read_jsonl(path: Path, *, skip_bad: bool = False) -> list[dict[str, Any]]:
    """Read the lines of a log; a last line truncated by a crash is skipped.

    skip_bad: also skip other bad lines, instead of raising RunError.
    """
    if not path.exists():
        return []
    if not path.is_file():
        raise RunError(f"{path} is not a file; delete it")
    records = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if not line.endswith("\n"):
                break
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as err:
                if skip_bad:
                    continue
                raise RunError(
                    f"{path} has a line that is not JSON: {line[:60]!r}; restore or delete the line"
                ) from err
            if not isinstance(record, dict):
                if skip_bad:
                    continue
                raise RunError(f"{path} has a line that is not an object: {line[:60]!r}; restore or delete the line")
            records.append(record)
    return records
