"""Find the classes of picture files: from StyleGAN's dataset.json, else from their folders."""

import json
import posixpath
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gancli.config import LONGEST_NAME, MOST_CLASSES
from gancli.core.data.archive import shorten_name, without_fix
from gancli.core.data.source import ClassLabels
from gancli.core.data.splits import Split, find_split
from gancli.errors import DataError, make_printable
from gancli.wording import format_count, format_list

LABELS_FILE = "dataset.json"
MOST_NAMED = 5
MOST_LABEL = (1 << 31) - 1

FoundLabels = tuple[ClassLabels | None, tuple[str, ...], tuple[str, ...]]  # labels, class names, notes


def find_labels(
    path: Path, names: Sequence[str], read_beside: Callable[[str], bytes | None], *, use_splits: bool
) -> tuple[FoundLabels, Split | None]:
    """Find labels for files with these names, and folders that are splits. Raises DataError.

    read_beside: reads any other file, None if missing. use_splits: False treats all folders as classes.
    """
    plain = [normalize_name(name) for name in names]
    outside = [name for name in plain if ".." in name.split("/")]
    if outside:
        names_outside = f"{path} has file names that point outside it, such as {shorten_name(outside[0])}"
        raise DataError(f"{names_outside}; make it again, or give --unconditional")
    base = common_folder(plain)
    for place in dict.fromkeys(("", base)):
        try:
            data = read_beside(place + LABELS_FILE)
        except DataError as err:
            reason = without_fix(str(err))
            raise DataError(
                f"cannot read {place}{LABELS_FILE} in {path}: {reason}; repair it, or give --unconditional"
            ) from err
        if data is not None:
            return labels_from_dataset_json(path, plain, data, place), None
    if use_splits and (split := find_split(path, plain, base)):
        return labels_from_folders(path, split.names, common_folder(split.names)), split
    return labels_from_folders(path, plain, base), None


def normalize_name(name: str) -> str:
    """Return a plain relative path: ./cat//1.png, /cat/1.png and cat\\1.png all become cat/1.png."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def common_folder(names: Sequence[str]) -> str:
    """Return the deepest folder that contains all names, ending in a slash; empty if there is none."""
    shared = posixpath.commonpath([posixpath.dirname(name) for name in (min(names), max(names))])
    return f"{shared}/" if shared else ""


def labels_from_folders(path: Path, names: Sequence[str], base: str) -> FoundLabels:
    """Take the first folder below `base` as the class; no labels if there are no folders. Raises DataError."""
    ends = [name.find("/", len(base)) for name in names]
    folders = [name[len(base) : end] if end >= 0 else "" for name, end in zip(names, ends, strict=True)]
    without = [name for name, folder in zip(names, folders, strict=True) if not folder]
    classes = set(folders) - {""}
    if not classes:
        return None, (), ()
    inside = f"{path / base}"
    if without:
        some = format_list(sorted(classes), MOST_NAMED)
        n = format_count(len(without), "picture")
        loose = f"{inside} has class folders ({some}), but {n} outside them, such as {shorten_name(without[0])}"
        raise DataError(f"{loose}; move each picture into a class folder, or give --unconditional")
    check_class_count(len(classes), f"{inside} has {len(classes):,} class folders")
    longest = max(classes, key=len)
    if len(longest) > LONGEST_NAME:
        long = f"{inside} has a class folder with a name longer than {LONGEST_NAME} characters, {shorten_name(longest)}"
        raise DataError(f"{long}; rename it, or give --unconditional")
    order = sorted(classes, key=lambda name: (int(name), name)) if all(map(str.isdecimal, classes)) else sorted(classes)
    place = {name: label for label, name in enumerate(order)}
    labels = np.fromiter(map(place.__getitem__, folders), np.int64, len(names))
    return labels, tuple(map(make_printable, order)), ()


def labels_from_dataset_json(path: Path, names: Sequence[str], data: bytes, base: str) -> FoundLabels:
    """Read labels from StyleGAN's dataset.json: whole numbers from 0, or null for no labels. Raises DataError."""
    where = f"{base}{LABELS_FILE} in {path}"
    try:
        entries = json.loads(data)["labels"]
        if entries is None:
            return None, (), ()
        pairs = [(base + normalize_name(name), label) for name, label in entries]
        known = dict(pairs)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise DataError(f'{where} is damaged, or not {{"labels": [[name, class], ...]}}; repair or delete it') from err
    twice = [name for name, label in pairs if label != known[name]]
    if twice:
        raise DataError(f"{where} lists {shorten_name(twice[0])} with two classes; keep one, or give --unconditional")
    missing = [name for name in names if name not in known]
    if missing:
        raise DataError(
            f"{where} has no label for {format_count(len(missing), 'picture')}, "
            f"such as {shorten_name(missing[0])}; add them, or give --unconditional"
        )
    values = [known[name] for name in names]
    if not all(type(value) is int and 0 <= value <= MOST_LABEL for value in values):
        raise DataError(f"{where} has labels that are not whole numbers from 0; change them, or give --unconditional")
    check_class_count(max(values) + 1, f"{where} has labels up to {max(values):,}")
    absent = len(known.keys() - set(names))
    notes = (f"{where} has labels for {format_count(absent, 'missing picture')}",) if absent else ()
    return np.array(values, np.int64), tuple(map(str, range(max(values) + 1))), notes


def check_class_count(n: int, what: str) -> None:
    if n > MOST_CLASSES:
        raise DataError(
            f"{what}, but at most {MOST_CLASSES:,} classes are supported; merge some, or give --unconditional"
        )
