"""Pictures -> a memory-mapped cache: decoded once, resumable, complete or not there."""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import math
import mmap
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gancli.core import devices
from gancli.core.data import dataset, transform
from gancli.core.data.data_report import Copies, RowIndices, find_copies
from gancli.core.data.decode import ImageHeader
from gancli.core.data.decode_workers import DecodedBlock, headers_from_json, headers_to_json
from gancli.core.data.resize import Transform
from gancli.core.data.transform import TransformOptions
from gancli.errors import DataError, RunError, make_printable
from gancli.files import run_folder
from gancli.files.cache import cache_folder

CACHE_VERSION = 2  # of the layout and the split
SPLITS = ("train", "heldout")
BAD_FILES = "bad-files.txt"
SYNC_S = 2.0
SPARE_BYTES = 1 << 26
NON_PIXEL_OPTIONS = ("max_bad", "conditional")
DAMAGE_ERRORS = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)

ProgressCallback = Callable[[str, int, int], None]  # what is done, how much of it, of how much


class PictureSource(Protocol):
    """Pictures to take in. path and stamp tell whether they are the same as before."""

    @property
    def path(self) -> Path: ...

    @property
    def stamp(self) -> str: ...

    @property
    def labels(self) -> npt.NDArray[np.int64] | None: ...

    def __len__(self) -> int: ...

    def name(self, row: int) -> str: ...

    def sample(self) -> Counter[ImageHeader]:
        """What some of them are."""

    def blocks(self, wanted: Transform, start: int) -> Iterator[DecodedBlock]:
        """All from `start` on, in order."""

    def can_read(self, rows: Sequence[int]) -> bool:
        """Whether any of these, which the system did not give, can be read now."""


@dataclass(frozen=True, eq=False)
class PixelCache:
    """A complete cache. images, heldout: uint8 [N,C,R,R] on disk. rows, heldout_rows: which of the source they are."""

    folder: Path
    wanted: Transform
    images: Tensor
    heldout: Tensor
    rows: RowIndices
    heldout_rows: RowIndices
    digest: str
    facts: Counter[ImageHeader]
    faults: list[tuple[int, str]]
    unread: list[int]
    duplicates: Copies
    notes: list[str]


@dataclass
class CacheState:
    """How far an unfinished cache is: files done, rows written to each split, and what was found meanwhile.

    unread: the rows among the faults that the system did not give.
    """

    wanted: Transform
    done: int = 0
    written: list[int] = field(default_factory=lambda: [0, 0])
    faults: list[tuple[int, str]] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    facts: Counter[ImageHeader] = field(default_factory=Counter)


def load_or_build_cache(
    source: PictureSource, options: TransformOptions, progress: ProgressCallback, *, verify: bool = False
) -> PixelCache:
    """The cache of these pictures, made first if it is not there, is damaged, or lacks what can be read now.

    One folder per path, options and stamp; when a new stamp is complete, the folder of the old one goes. Raises
    DataError. verify: whether all pixels of a complete cache are compared with its digest, at about 1 GB/s.
    """
    root = cache_folder() / "pictures"
    asked = [CACHE_VERSION, str(source.path), pixel_options(options)]
    place = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    folder = root / f"{place}-{source.stamp[:16]}"
    held = dataset.heldout_mask(len(source), None if source.labels is None else torch.from_numpy(source.labels)).numpy()
    with translate_os_errors(root), cache_lock(root / f"{place}.lock", progress):
        notes = []
        if (folder / "meta.json").exists():
            try:
                cached = open_cache(folder, source, held, verify=verify)
                if not source.can_read(cached.unread):
                    return cached
                notes = ["files that could not be read before can be read now, so all pictures were decoded again"]
            except DAMAGE_ERRORS:
                notes = [f"the pictures kept in {folder} were damaged, so they were decoded again"]
            remove_cache(folder)
        build_cache(source, options, held, folder, progress)
        for other in root.glob(f"{place}-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        return dataclasses.replace(open_cache(folder, source, held), notes=notes)


def pixel_options(options: TransformOptions) -> dict[str, Any]:
    """Those that the pixels depend on."""
    return {name: value for name, value in dataclasses.asdict(options).items() if name not in NON_PIXEL_OPTIONS}


def remove_cache(path: Path) -> None:
    """Whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def translate_os_errors(root: Path) -> Iterator[None]:
    """What the file system refuses becomes a DataError."""
    try:
        yield
    except (OSError, RunError) as err:
        refusal = err if isinstance(err, OSError) else err.__cause__
        if isinstance(refusal, OSError) and refusal.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(f"no space left in the cache folder {root}; {free_space_advice()}") from err
        reason = err.strerror if isinstance(err, OSError) else err
        raise DataError(f"cannot use the cache folder {root}: {reason}; set GANCLI_CACHE to another one") from err


def free_space_advice() -> str:
    return "free some, lower --resolution, or set GANCLI_CACHE to a folder elsewhere"


@contextlib.contextmanager
def cache_lock(path: Path, progress: ProgressCallback) -> Iterator[None]:
    """Alone here; others wait. The lock dies with its process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another process that takes in the same pictures", 0, 1)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build_cache(
    source: PictureSource,
    options: TransformOptions,
    held: npt.NDArray[np.bool_],
    folder: Path,
    progress: ProgressCallback,
) -> None:
    """Decode everything, then write what makes the cache complete.

    What all pictures become is decided by all of them, but guessed from a sample, so that one pass is nearly always
    enough.
    """
    state = read_journal(folder, held)
    if state is None:
        remove_cache(folder)
        folder.mkdir()
        state = CacheState(transform.choose_transform(source.sample(), options))
    decode_to_cache(source, state, held, folder, progress)
    right = transform.choose_transform(state.facts, options)
    if state.facts and right != state.wanted:
        state = CacheState(right)
        decode_to_cache(source, state, held, folder, progress)
    rows, heldout_rows = split_rows(held, state.faults)
    images, heldout = (
        map_split(folder, split, n, state.wanted) for split, n in zip(SPLITS, state.written, strict=True)
    )
    meta = {
        "version": CACHE_VERSION,
        "path": str(source.path),
        "wanted": dataclasses.asdict(state.wanted),
        "files": {split: split_fingerprint(folder, split) for split in SPLITS},
        "digest": cache_digest(source, images, heldout, rows, heldout_rows),
        "facts": headers_to_json(state.facts),
        "faults": state.faults,
        "unread": state.unread,
        "duplicates": dataclasses.asdict(find_copies(images.numpy(), heldout.numpy(), source.name, rows, heldout_rows)),
    }
    if state.faults:
        lines = [f"{make_printable(source.name(row))}: {reason}\n" for row, reason in state.faults]
        run_folder.atomic_write(folder / BAD_FILES, "".join(lines).encode())
    run_folder.atomic_write(folder / "meta.json", json.dumps(add_checksum(meta)).encode())
    (folder / "journal").unlink()


def decode_to_cache(
    source: PictureSource, state: CacheState, held: npt.NDArray[np.bool_], folder: Path, progress: ProgressCallback
) -> None:
    """Decode what `state` has not, into the files of the two splits, noting in the journal now and then how far."""
    n, row_bytes = len(source), split_bytes(1, state.wanted)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(folder / f"{split}.u8", "ab")) for split in SPLITS]
        for file, rows in zip(files, state.written, strict=True):
            file.truncate(rows * row_bytes)
        check_disk_space(folder, source.path, (n - state.done) * row_bytes, state.wanted)
        journal = stack.enter_context(open(folder / "journal", "a" if state.done else "w"))
        if not state.done:
            append_to_journal(journal, {"wanted": dataclasses.asdict(state.wanted)})
        synced, n_faults, n_unread = time.monotonic(), len(state.faults), len(state.unread)
        facts = Counter[ImageHeader]()
        for block in source.blocks(state.wanted, state.done):
            good = np.ones(block.n, bool)
            good[[place for place, _ in block.faults]] = False
            is_held = held[state.done : state.done + block.n][good]
            for split, chosen in enumerate((~is_held, is_held)):
                files[split].write(block.pixels[chosen].reshape(-1).data)
                state.written[split] += int(chosen.sum())
            state.faults += [(state.done + place, reason) for place, reason in block.faults]
            state.unread += [state.done + place for place in block.unread]
            facts += block.facts
            state.done += block.n
            progress("pictures", state.done, n)
            if time.monotonic() - synced >= SYNC_S or state.done == n:
                for file in files:
                    file.flush()
                    os.fsync(file.fileno())
                state.facts += facts
                line = {"done": state.done, "written": state.written, "faults": state.faults[n_faults:]}
                append_to_journal(journal, {**line, "unread": state.unread[n_unread:], "facts": headers_to_json(facts)})
                synced, n_faults, n_unread = time.monotonic(), len(state.faults), len(state.unread)
                facts = Counter()


def append_to_journal(journal: IO[str], line: dict[str, Any]) -> None:
    journal.write(json.dumps(add_checksum(line)) + "\n")
    journal.flush()
    os.fsync(journal.fileno())


def add_checksum(values: dict[str, Any]) -> dict[str, Any]:
    """With a checksum of themselves."""
    return {**values, "sha256": json_checksum(values)}


def verify_checksum(found: dict[str, Any]) -> dict[str, Any]:
    """The values that were sealed. Raises one of DAMAGE if they are others now."""
    values = {name: value for name, value in found.items() if name != "sha256"}
    if found["sha256"] != json_checksum(values):
        raise ValueError("checksum")
    return values


def json_checksum(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def read_journal(folder: Path, held: npt.NDArray[np.bool_]) -> CacheState | None:
    """Where an interrupted process stopped; None if it is not known, or what it wrote is not what is wanted now."""
    try:
        lines = [verify_checksum(line) for line in run_folder.read_jsonl(folder / "journal")]
        if not lines:
            return None
        state = CacheState(transform_from_values(lines[0]["wanted"]))
        for line in lines[1:]:
            state.done, state.written = line["done"], line["written"]
            state.faults += [(row, reason) for row, reason in line["faults"]]
            state.unread += line["unread"]
            state.facts += headers_from_json(line["facts"])
        files = [folder / f"{split}.u8" for split in SPLITS]
        n_rows = [len(rows) for rows in split_rows(held[: state.done], state.faults)]
        are_whole = n_rows == state.written and all(
            file.is_file() and file.stat().st_size >= split_bytes(n, state.wanted)
            for file, n in zip(files, state.written, strict=True)
        )
    except (RunError, *DAMAGE_ERRORS):
        return None
    return state if are_whole else None


def check_disk_space(folder: Path, path: Path, n_bytes: int, wanted: Transform) -> None:
    free = shutil.disk_usage(folder).free
    if n_bytes + SPARE_BYTES > free:
        size = f"{wanted.resolution}x{wanted.resolution}"
        needed, there = (f"{math.ceil(n / 1e6):,} MB" for n in (n_bytes + SPARE_BYTES, free))
        raise DataError(
            f"{path} at {size} needs {needed} in {folder.parent}, where {there} are free; {free_space_advice()}"
        )


def open_cache(folder: Path, source: PictureSource, held: npt.NDArray[np.bool_], *, verify: bool = False) -> PixelCache:
    """A complete cache; its pixels are read if its files have another size or time, or to verify.

    Raises one of DAMAGE if it is damaged.
    """
    meta = verify_checksum(json.loads((folder / "meta.json").read_bytes()))
    wanted, faults = transform_from_values(meta["wanted"]), [(row, reason) for row, reason in meta["faults"]]
    both = split_rows(held, faults)
    images, heldout = (map_split(folder, split, len(rows), wanted) for split, rows in zip(SPLITS, both, strict=True))
    is_changed = meta["files"] != {split: split_fingerprint(folder, split) for split in SPLITS}
    if (verify or is_changed) and cache_digest(source, images, heldout, *both) != meta["digest"]:
        raise ValueError("digest")
    facts = headers_from_json(meta["facts"])
    unread, found = meta["unread"], meta["duplicates"]
    copies = Copies(found["n"], found["n_across"], tuple((before, later) for before, later in found["pairs"]))
    return PixelCache(folder, wanted, images, heldout, *both, meta["digest"], facts, faults, unread, copies, [])


def split_rows(held: npt.NDArray[np.bool_], faults: Sequence[tuple[int, str]]) -> tuple[RowIndices, RowIndices]:
    """Which pictures are trained on and which are held out, without the bad ones."""
    good = np.ones(len(held), bool)
    good[[row for row, _ in faults]] = False
    return np.flatnonzero(good & ~held), np.flatnonzero(good & held)


def map_split(folder: Path, split: str, n: int, wanted: Transform) -> Tensor:
    """The rows of one split, read from disk as they are used; writing to them stays in memory. Raises ValueError."""
    path, n_bytes = folder / f"{split}.u8", split_bytes(n, wanted)
    if path.stat().st_size != n_bytes:
        raise ValueError("size")
    shape = (n, wanted.channels, wanted.resolution, wanted.resolution)
    if not n:
        return torch.empty(shape, dtype=torch.uint8)
    flags = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0)  # else one larger than memory is refused
    with open(path, "rb") as file:
        pages = mmap.mmap(file.fileno(), n_bytes, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    if n_bytes > devices.usable_memory_bytes() // 2:
        pages.madvise(mmap.MADV_RANDOM)  # what is read ahead would push out what is needed
    return torch.from_numpy(np.frombuffer(pages, np.uint8)).view(shape)


def split_bytes(n: int, wanted: Transform) -> int:
    return n * wanted.channels * wanted.resolution**2


def transform_from_values(values: dict[str, Any]) -> Transform:
    return Transform(**{**values, "background": tuple(values["background"])})


def split_fingerprint(folder: Path, split: str) -> list[int]:
    status = (folder / f"{split}.u8").stat()
    return [status.st_size, status.st_mtime_ns]


def cache_digest(
    source: PictureSource, images: Tensor, heldout: Tensor, rows: RowIndices, heldout_rows: RowIndices
) -> str:
    labels, heldout_labels = (
        None if source.labels is None else torch.from_numpy(source.labels[some]) for some in (rows, heldout_rows)
    )
    return dataset.tensors_digest(images, labels, heldout, heldout_labels)
