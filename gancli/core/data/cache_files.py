"""The files of a pixel cache: the pixels of two splits, a journal while it is built, an index once it is complete.

The index and each journal line carry their own sha256, so any change to them is detected.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from msgspec import Struct
from torch import Tensor

from gancli import platform
from gancli.core import devices
from gancli.core.data import first_look
from gancli.core.data.data_report import Copies, RowIndices
from gancli.core.data.decode import ImageHeader
from gancli.core.data.resize import Transform
from gancli.core.data.source import DecodedBlock, Fault
from gancli.errors import RunError
from gancli.files import run_folder

CACHE_VERSION = 2  # raise it when the file layout or the held-out split changes
SPLITS = ("train", "heldout")
INDEX, JOURNAL, BAD_FILES = "meta.json", "journal", "bad-files.txt"
DAMAGE_ERRORS = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, msgspec.MsgspecError)

Sealed = TypeVar("Sealed", bound=Struct)
HeaderCounts = list[tuple[ImageHeader, int]]


class JournalStart(Struct):
    target: Transform = msgspec.field(name="wanted")


class JournalLine(Struct):
    """Progress of a cache. done: images processed in total. written: rows of each split in total.

    faults: bad files. unread: bad files that the system failed to read. These two and header_counts cover only the
    images since the previous line.
    """

    done: int = 0
    written: list[int] = msgspec.field(default_factory=lambda: [0, 0])
    faults: list[Fault] = msgspec.field(default_factory=list)
    unread: list[int] = msgspec.field(default_factory=list)
    header_counts: HeaderCounts = msgspec.field(default_factory=list, name="facts")


class CacheIndex(Struct):
    """The description of a complete cache. files: size and modification time of each split's file."""

    version: int
    path: str
    target: Transform = msgspec.field(name="wanted")
    files: dict[str, tuple[int, int]]
    digest: str
    header_counts: HeaderCounts = msgspec.field(name="facts")
    faults: list[Fault]
    unread: list[int]
    duplicates: Copies

    @property
    def headers(self) -> Counter[ImageHeader]:
        return Counter(dict(self.header_counts))


def seal_json(values: Struct) -> str:
    """Return one line of JSON that includes its own checksum."""
    fields = msgspec.to_builtins(values)
    return json.dumps({**fields, "sha256": json_checksum(fields)})


def open_seal(sealed: dict[str, object], kind: type[Sealed]) -> Sealed:
    """Return the values that `seal_json` wrote. Raises one of DAMAGE_ERRORS if they have changed."""
    values = {name: value for name, value in sealed.items() if name != "sha256"}
    if sealed["sha256"] != json_checksum(values):
        raise ValueError("checksum")
    return msgspec.convert(values, kind)


def json_checksum(values: object) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def read_index(folder: Path) -> CacheIndex:
    """Read the index of a cache. Raises one of DAMAGE_ERRORS if it is missing or damaged."""
    return open_seal(json.loads((folder / INDEX).read_bytes()), CacheIndex)


def write_index(folder: Path, index: CacheIndex) -> None:
    """Write the index and delete the journal: the cache is now complete."""
    run_folder.atomic_write(folder / INDEX, seal_json(index).encode())
    (folder / JOURNAL).unlink()


def read_journal(folder: Path) -> tuple[Transform, list[JournalLine]] | None:
    """Read the journal of an interrupted process; None if it is missing or damaged."""
    try:
        first, *others = run_folder.read_jsonl(folder / JOURNAL)
        return open_seal(first, JournalStart).target, [open_seal(line, JournalLine) for line in others]
    except (RunError, *DAMAGE_ERRORS):
        return None


@dataclass
class CacheWriter:
    """An unfinished cache in a folder. Fields that `JournalLine` also has are totals of all lines.

    held: for each image of the source, whether it is held out.
    """

    folder: Path
    held: npt.NDArray[np.bool_]
    target: Transform
    done: int = 0
    written: list[int] = field(default_factory=lambda: [0, 0])
    faults: list[Fault] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    headers: Counter[ImageHeader] = field(default_factory=Counter)

    def add_line(self, line: JournalLine) -> None:
        self.done, self.written = line.done, line.written
        self.faults += line.faults
        self.unread += line.unread
        self.headers += Counter(dict(line.header_counts))

    def write(self, block: DecodedBlock, files: Sequence[IO[bytes]]) -> JournalLine:
        """Write the next images, each to the file of its split; return the journal line."""
        good = np.ones(block.n, bool)
        good[[place for place, _ in block.faults]] = False
        is_held = self.held[self.done : self.done + block.n][good]
        for file, chosen in zip(files, (~is_held, is_held), strict=True):
            file.write(block.pixels[chosen].reshape(-1).data)
        line = JournalLine(
            done=self.done + block.n,
            written=[self.written[0] + int((~is_held).sum()), self.written[1] + int(is_held.sum())],
            faults=[(self.done + place, reason) for place, reason in block.faults],
            unread=[self.done + place for place in block.unread],
            header_counts=[*block.headers.items()],
        )
        self.add_line(line)
        return line

    def are_rows_there(self) -> bool:
        """Whether the files hold all rows in the journal, and the journal belongs to the same held-out images."""
        n_rows = [len(rows) for rows in split_rows(self.held[: self.done], self.faults)]
        files = [split_path(self.folder, split) for split in SPLITS]
        return n_rows == self.written and all(
            file.is_file() and file.stat().st_size >= split_bytes(n, self.target)
            for file, n in zip(files, self.written, strict=True)
        )


def continue_cache(folder: Path, held: npt.NDArray[np.bool_]) -> CacheWriter | None:
    """Resume the cache of an interrupted process; None if it cannot be continued.

    That is, if it is missing, damaged or outdated, or has other held-out images.
    """
    if (journal := read_journal(folder)) is None:
        return None
    target, lines = journal
    writer = CacheWriter(folder, held, target)
    for line in lines:
        writer.add_line(line)
    try:
        return writer if writer.are_rows_there() and not is_outdated(writer.headers) else None
    except DAMAGE_ERRORS:
        return None


def is_outdated(headers: Counter[ImageHeader]) -> bool:
    """Whether an older version measured some pictures in a way that chooses another background."""
    return any(map(first_look.is_measured_at_own_scale, headers))


def split_rows(held: npt.NDArray[np.bool_], faults: Sequence[Fault]) -> tuple[RowIndices, RowIndices]:
    """Return the rows of the training and the held-out pictures, without bad files."""
    good = np.ones(len(held), bool)
    good[[row for row, _ in faults]] = False
    return np.flatnonzero(good & ~held), np.flatnonzero(good & held)


def append_to_journal(journal: IO[str], line: Struct) -> None:
    journal.write(seal_json(line) + "\n")
    journal.flush()
    os.fsync(journal.fileno())


def split_fingerprints(folder: Path) -> dict[str, tuple[int, int]]:
    status = {split: split_path(folder, split).stat() for split in SPLITS}
    return {split: (one.st_size, one.st_mtime_ns) for split, one in status.items()}


def split_path(folder: Path, split: str) -> Path:
    return folder / f"{split}.u8"


def split_bytes(n: int, target: Transform) -> int:
    return n * target.channels * target.resolution**2


def map_split(folder: Path, split: str, n: int, target: Transform) -> Tensor:
    """Map the pixels of one split from disk; changes stay in memory. Raises ValueError for a file of wrong size."""
    path, n_bytes = split_path(folder, split), split_bytes(n, target)
    if path.stat().st_size != n_bytes:
        raise ValueError("size")
    shape = (n, target.channels, target.resolution, target.resolution)
    if not n:
        return torch.empty(shape, dtype=torch.uint8)
    is_large = n_bytes > devices.usable_memory_bytes() // 2  # read-ahead would evict pages that are still needed
    with open(path, "rb") as file:
        pages = platform.map_copy(file, n_bytes, is_random=is_large)
    return torch.from_numpy(np.frombuffer(pages, np.uint8)).view(shape)
