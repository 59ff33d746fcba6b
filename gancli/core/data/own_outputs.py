"""Recognise the files that gancli wrote, so that they are not read as training data or images to score."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence, Set
from pathlib import Path

import msgspec

from gancli import platform
from gancli.errors import DataError, RunError
from gancli.files import provenance
from gancli.files.cache import cache_folder
from gancli.files.image_io import map_in_threads
from gancli.files.run_folder import LOCK_NAME, SCORES_NAME, atomic_write

RUN_FILES = ({"config.json", "metrics.jsonl"}, {LOCK_NAME, "frames"})  # a folder with both is a run folder
CONTACT_SHEETS = {"grid.png", "grid.webp"}
PNG_RECORD = b"tEXt" + provenance.TEXT_KEYWORD.encode() + b"\0"
RECORD_START = 64  # the record is the first chunk after the header
TASK_FILES = 256
MANY_PNGS = 1000  # from this number on, remember which of them gancli wrote


def is_run_folder(names: Set[str]) -> bool:
    return any(names >= files for files in RUN_FILES)


def find_own_files(names: Set[str], read: Callable[[str], bytes], *, is_root: bool) -> set[str]:
    """Return the files in a folder that gancli wrote, by their records. read: reads one of them.

    is_root: the user named this folder, so its samples are wanted, but not their grid.
    """
    own: set[str] = set()
    if provenance.SIDECAR_NAME in names:
        listed = provenance.parse_recorded_files(try_read(read, provenance.SIDECAR_NAME))
        own |= listed & (CONTACT_SHEETS | {provenance.SIDECAR_NAME} if is_root else names)
    if SCORES_NAME in names:
        own |= {name for name in names if name == SCORES_NAME or re.fullmatch(r"nearest(-\d+)?\.png", name)}
    for name in names - own:
        record = f"{name}.json"
        if record not in names or name.lower().endswith(".png"):  # a PNG contains its record
            continue
        if provenance.is_own_record(try_read(read, record)):
            own |= {name, record}
    for name in CONTACT_SHEETS & names - own:
        if PNG_RECORD in try_read(read, name)[:RECORD_START]:
            own.add(name)
    return own


def try_read(read: Callable[[str], bytes], name: str) -> bytes:
    try:
        return read(name)
    except (OSError, DataError):
        return b""


class KnownPngs(msgspec.Struct):
    """The PNGs that gancli wrote among the files of a folder. listing: a digest of their names, sizes and times."""

    listing: str
    own: list[str]


def find_own_pngs(folder: Path, names: Sequence[str], listing: str) -> set[str]:
    """Return the PNGs that gancli wrote, by the record at their start. listing: a digest of names, sizes and times.

    Reads 64 bytes of each PNG. For many PNGs, the result is kept in the cache until the listing changes.
    """
    pngs = [name for name in names if name.lower().endswith(".png")]
    if len(pngs) < MANY_PNGS:
        return read_own_pngs(folder, pngs)
    place = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    with contextlib.suppress(OSError, ValueError, RecursionError, DataError):
        known = msgspec.convert(json.loads((known_pngs_folder() / place).read_bytes()), KnownPngs)
        if known.listing == listing:
            return {*known.own}
    own = read_own_pngs(folder, pngs)
    with contextlib.suppress(OSError, DataError, RunError):  # without a cache, they are read again next time
        known_pngs_folder().mkdir(parents=True, exist_ok=True)
        found = msgspec.to_builtins(KnownPngs(listing, sorted(own)))
        atomic_write(known_pngs_folder() / place, json.dumps(found).encode())
    return own


def known_pngs_folder() -> Path:
    return cache_folder() / "own-pngs"


def read_own_pngs(folder: Path, names: Sequence[str]) -> set[str]:
    """Return those of the PNGs that start with a record of gancli. Unreadable files are left to the decoder."""

    def choose_own(part: Sequence[str]) -> list[str]:
        return [name for name in part if PNG_RECORD in read_start(f"{folder}/{name}")]

    parts = [names[at : at + TASK_FILES] for at in range(0, len(names), TASK_FILES)]
    return {name for own in map_in_threads(choose_own, parts) for name in own}


def read_start(path: str) -> bytes:
    try:
        file = platform.open_for_reading(path)
        try:
            return os.read(file, RECORD_START)
        finally:
            os.close(file)
    except OSError:
        return b""
