"""Decode pictures once into a memory-mapped cache. Building it can be resumed; it is used only when complete."""

import contextlib
import dataclasses
import errno
import functools
import hashlib
import itertools
import json
import math
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gancli import platform
from gancli.core.data import cache_files, dataset, first_look, transform
from gancli.core.data.cache_files import (
    BAD_FILES,
    CACHE_VERSION,
    DAMAGE_ERRORS,
    INDEX,
    JOURNAL,
    SPLITS,
    CacheIndex,
    CacheWriter,
    JournalLine,
    JournalStart,
    map_split,
    split_bytes,
    split_path,
    split_rows,
)
from gancli.core.data.data_report import RowIndices, find_copies
from gancli.core.data.decode import ImageHeader
from gancli.core.data.deep_pixels import MOST_BITS
from gancli.core.data.resize import Transform
from gancli.core.data.source import ImageSource
from gancli.core.data.transform import TransformOptions
from gancli.errors import DataError, RunError, make_printable
from gancli.files import run_folder
from gancli.files.cache import cache_folder

SYNC_S = 2.0
SPARE_BYTES = 1 << 26
NON_PIXEL_OPTIONS = ("max_bad", "conditional", "as_in_0_1")

ProgressCallback = Callable[[str, int, int], None]  # step, done, total


@dataclass(frozen=True, eq=False)
class PixelCache:
    """A complete cache. images, heldout: uint8 [N,C,R,R] on disk. rows, heldout_rows: their rows in the source."""

    folder: Path
    index: CacheIndex
    images: Tensor
    heldout: Tensor
    rows: RowIndices
    heldout_rows: RowIndices
    notes: tuple[str, ...] = ()

    @functools.cached_property
    def headers(self) -> Counter[ImageHeader]:
        return self.index.headers


def load_or_build_cache(
    source: ImageSource, options: TransformOptions, progress: ProgressCallback, *, verify: bool = False
) -> PixelCache:
    """Open the cache of these pictures; build it if it is missing or damaged, or if files became readable.

    Each combination of path, options and stamp has its own folder. When the cache of a new stamp is complete, that of
    the old stamp is deleted.
    verify: compare all pixels of a complete cache with its digest, at about 1 GB/s. Raises DataError.
    """
    root = cache_folder() / "pictures"
    place, *others = cache_places(source, options)
    folder = root / f"{place}-{source.stamp[:16]}"
    labels = None if source.labels is None else torch.from_numpy(source.labels)
    held = dataset.heldout_mask(len(source), labels).numpy() if source.held is None else source.held
    with translate_os_errors(root), cache_lock(root / f"{place}.lock", progress):
        notes: tuple[str, ...] = ()
        for name in (place, *others):
            usable = root / f"{name}-{source.stamp[:16]}"
            try:
                if usable != folder and not holds_same_pixels(usable, options):
                    continue
                if (usable / INDEX).exists():
                    cached = open_cache(usable, source, held, verify=verify)
                    if not cache_files.is_outdated(cached.headers):
                        if not source.can_read(cached.index.unread):
                            return cached
                        notes = (
                            "some files that could not be read before can be read now, "
                            "so all pictures were decoded again",
                        )
                    remove_cache(usable)
            except DAMAGE_ERRORS:
                notes = (f"the cache {usable} was damaged, so all pictures were decoded again",)
                remove_cache(usable)
        build_cache(source, options, held, folder, progress)
        for name in (place, *others):
            for stale in root.glob(f"{name}-*"):
                if not stale.name.endswith(source.stamp[:16]):
                    shutil.rmtree(stale, ignore_errors=True)
        return dataclasses.replace(open_cache(folder, source, held), notes=notes)


def cache_places(source: ImageSource, options: TransformOptions) -> list[str]:
    """Return the names of the caches that may hold these pictures, without stamps; the first is that of the options.

    A run looks for the background and the bits; when it is resumed, they are given. The same cache serves both.
    """
    backgrounds = dict.fromkeys((options.background, None, first_look.BLACK))
    bits = dict.fromkeys((options.bits, 0, MOST_BITS))
    places = []
    for pair in itertools.product(backgrounds, bits):
        values = dataclasses.asdict(dataclasses.replace(options, background=pair[0], bits=pair[1]))
        omitted = (*NON_PIXEL_OPTIONS, "bits") if pair[1] == MOST_BITS else NON_PIXEL_OPTIONS  # as in 0.1
        key = [CACHE_VERSION, str(source.path), {k: v for k, v in values.items() if k not in omitted}]
        places.append(hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16])
    return places


def holds_same_pixels(folder: Path, options: TransformOptions) -> bool:
    """Whether a complete cache of other options holds what these options would make. Raises one of DAMAGE_ERRORS."""
    if not (folder / INDEX).exists():
        return False

    def is_known(header: ImageHeader) -> bool:  # the caches of older versions lack the measured facts
        is_background_known = options.background is not None or not header.has_alpha
        return is_background_known and (options.bits > 0 or not header.is_deep)

    index = cache_files.read_index(folder)
    is_measured = all(map(is_known, index.headers))
    return is_measured and transform.choose_transform(index.headers, options) == index.target


def remove_cache(path: Path) -> None:
    """Delete a cache folder, or any file in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def translate_os_errors(root: Path) -> Iterator[None]:
    """Raise errors of the file system as DataError."""
    try:
        yield
    except (OSError, RunError) as err:
        cause = err if isinstance(err, OSError) else err.__cause__
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(f"no space left in the cache folder {root}; {free_space_advice()}") from err
        reason = err.strerror if isinstance(err, OSError) else err
        raise DataError(f"cannot use the cache folder {root}: {reason}; set GANCLI_CACHE to another folder") from err


def free_space_advice() -> str:
    return "free some space, lower --resolution, or set GANCLI_CACHE to another folder"


@contextlib.contextmanager
def cache_lock(path: Path, progress: ProgressCallback) -> Iterator[None]:
    """Wait until no other process holds the lock, then hold it during the block. It ends with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        try:
            platform.lock_descriptor(file.fileno())
        except BlockingIOError:
            progress("waiting for another process that is decoding the same pictures", 0, 1)
            platform.wait_for_lock(file.fileno())
        yield


def build_cache(
    source: ImageSource,
    options: TransformOptions,
    held: npt.NDArray[np.bool_],
    folder: Path,
    progress: ProgressCallback,
) -> None:
    """Decode all pictures, then write the index.

    Resolution, channels, background and bits depend on all pictures. They are guessed from a sample first; if the guess
    was wrong, which is rare, all pictures are decoded a second time.
    """
    writer = cache_files.continue_cache(folder, held)
    if writer is None:
        remove_cache(folder)
        folder.mkdir()
        writer = CacheWriter(folder, held, transform.choose_transform(source.sample_headers(), options))
    decode_to_cache(source, writer, progress)
    target = transform.choose_transform(writer.headers, options)
    if writer.headers and target != writer.target:
        writer = CacheWriter(folder, held, target)
        decode_to_cache(source, writer, progress)
    rows, heldout_rows = split_rows(held, writer.faults)
    images, heldout = (
        map_split(folder, split, n, writer.target) for split, n in zip(SPLITS, writer.written, strict=True)
    )
    if writer.faults:
        lines = [f"{make_printable(source.name(row))}: {reason}\n" for row, reason in writer.faults]
        run_folder.atomic_write(folder / BAD_FILES, "".join(lines).encode())
    index = CacheIndex(
        version=CACHE_VERSION,
        path=str(source.path),
        target=writer.target,
        files=cache_files.split_fingerprints(folder),
        digest=cache_digest(source, images, heldout, rows, heldout_rows),
        header_counts=[*writer.headers.items()],
        faults=writer.faults,
        unread=writer.unread,
        duplicates=find_copies(images.numpy(), heldout.numpy(), source.name, rows, heldout_rows),
    )
    cache_files.write_index(folder, index)


def decode_to_cache(source: ImageSource, writer: CacheWriter, progress: ProgressCallback) -> None:
    """Decode the remaining pictures, recording progress in the journal every few seconds."""
    n, row_bytes = len(source), split_bytes(1, writer.target)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(split_path(writer.folder, split), "ab")) for split in SPLITS]
        for file, rows in zip(files, writer.written, strict=True):
            file.truncate(rows * row_bytes)
        check_disk_space(writer.folder, source.path, (n - writer.done) * row_bytes, writer.target)
        journal = stack.enter_context(open(writer.folder / JOURNAL, "a" if writer.done else "w"))
        if not writer.done:
            cache_files.append_to_journal(journal, JournalStart(writer.target))
        synced, waiting = time.monotonic(), JournalLine()
        for block in source.decode(writer.target, writer.done):
            line = writer.write(block, files)
            headers = Counter(dict(waiting.header_counts)) + Counter(dict(line.header_counts))
            line.faults, line.unread = waiting.faults + line.faults, waiting.unread + line.unread
            line.header_counts, waiting = [*headers.items()], line
            progress("pictures", writer.done, n)
            if time.monotonic() - synced >= SYNC_S or writer.done == n:
                for file in files:
                    file.flush()
                    os.fsync(file.fileno())
                cache_files.append_to_journal(journal, waiting)
                synced, waiting = time.monotonic(), JournalLine()


def check_disk_space(folder: Path, path: Path, n_bytes: int, target: Transform) -> None:
    free = shutil.disk_usage(folder).free
    if n_bytes + SPARE_BYTES > free:
        size = f"{target.resolution}x{target.resolution}"
        needed, there = (f"{math.ceil(n / 1e6):,} MB" for n in (n_bytes + SPARE_BYTES, free))
        raise DataError(
            f"{path} at {size} needs {needed} in {folder.parent}, but only {there} are free; {free_space_advice()}"
        )


def open_cache(folder: Path, source: ImageSource, held: npt.NDArray[np.bool_], *, verify: bool = False) -> PixelCache:
    """Open a complete cache; compare its pixels with the digest if verify, or if a file's size or time changed.

    Raises one of DAMAGE_ERRORS if it is damaged.
    """
    index = cache_files.read_index(folder)
    rows = split_rows(held, index.faults)
    images, heldout = (
        map_split(folder, split, len(some), index.target) for split, some in zip(SPLITS, rows, strict=True)
    )
    is_changed = index.files != cache_files.split_fingerprints(folder)
    if (verify or is_changed) and cache_digest(source, images, heldout, *rows) != index.digest:
        raise ValueError("digest")
    return PixelCache(folder, index, images, heldout, *rows)


def cache_digest(
    source: ImageSource, images: Tensor, heldout: Tensor, rows: RowIndices, heldout_rows: RowIndices
) -> str:
    return dataset.tensors_digest(images, row_labels(source, rows), heldout, row_labels(source, heldout_rows))


def row_labels(source: ImageSource, rows: RowIndices) -> Tensor | None:
    return None if source.labels is None else torch.from_numpy(source.labels[rows])
