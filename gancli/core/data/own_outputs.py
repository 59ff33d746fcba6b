"""Recognise the files that gancli wrote, so that they are not read as training data or images to score."""

import re
from collections.abc import Callable, Set

from gancli.errors import DataError
from gancli.files import provenance
from gancli.files.run_folder import LOCK_NAME, SCORES_NAME

RUN_FILES = ({"config.json", "metrics.jsonl"}, {LOCK_NAME, "frames"})  # a folder with both is a run folder
CONTACT_SHEETS = {"grid.png", "grid.webp"}
FILMS = (".gif", ".webp")  # outputs whose record is in a file next to them
PNG_RECORD = b"tEXt" + provenance.TEXT_KEYWORD.encode() + b"\0"
RECORD_START = 64  # the record is the first chunk after the header


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
        if name.endswith(FILMS) and record in names and provenance.is_own_record(try_read(read, record)):
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
