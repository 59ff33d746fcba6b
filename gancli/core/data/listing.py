"""What lies in a folder or a zip: picture files in order, with their classes. Needs no torch."""

import contextlib
import hashlib
import json
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gancli.config import LONGEST_NAME
from gancli.core.data import archive as zips
from gancli.core.data.decode import ACCEPTED_FORMATS_HINT, EXTENSIONS
from gancli.errors import DataError, make_printable
from gancli.files.run_folder import SCORES_NAME
from gancli.wording import format_count, format_list

RUN_FILES = {"config.json", "metrics.jsonl"}  # pictures beside or below them are of a run
LABELS_FILE = "dataset.json"
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}
MOST_CLASSES = 1000
MOST_NAMED = 5
MOST_LABEL = (1 << 31) - 1

ClassLabels = npt.NDArray[np.int64]
FoundFiles = dict[str, tuple[int, int]]  # name -> size in bytes, time of the last change in ns


@dataclass(frozen=True, eq=False)
class Listing:
    """Picture files below the folder `path`, or in the zip `path`, sorted by name.

    labels: int64 [N], or None. stamp: a sha256 over names, sizes, times and labels, not over contents.
    """

    path: Path
    is_zip: bool
    names: Sequence[str]
    sizes: Sequence[int]
    labels: ClassLabels | None
    class_names: tuple[str, ...]
    stamp: str
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


def list_pictures(path: Path, *, conditional: bool = True) -> Listing:
    """The pictures in a folder with its subfolders, or in a zip; hidden files do not count.

    Classes are those of dataset.json where there is one (StyleGAN's: {"labels": [[name, class], ...]}), else the first
    folders below the one that holds everything. Raises DataError for labels that cannot be right, unless conditional
    is False: then there are none. Raises DataError without pictures, and for pictures that gancli made of a run.
    """
    found, others = list_zip(path) if path.is_file() else list_folder(path)
    names = sorted(found)
    kinds = [f"{n:,} {kind}" for kind, n in sorted(others.items(), key=lambda item: (-item[1], item[0]))]
    if not names:
        holds = f"; it has {format_list(kinds, MOST_NAMED)} files" if kinds else ""
        raise DataError(f"no pictures in {path}{holds}; {ACCEPTED_FORMATS_HINT}")
    try:
        labels, class_names, notes = find_labels(path, names)
    except DataError:
        if conditional:
            raise
        labels, class_names, notes = None, (), ()
    if kinds:
        notes = (f"not read, since they are no pictures by their names: {format_list(kinds, MOST_NAMED)}", *notes)
    sizes, times = zip(*map(found.__getitem__, names), strict=True)
    stamp = hashlib.sha256("\0".join(names).encode(errors="surrogateescape"))
    stamp.update(np.array([sizes, times], np.int64).tobytes())
    if labels is not None:
        stamp.update("\0".join(class_names).encode() + labels.tobytes())
    return Listing(path, path.is_file(), names, sizes, labels, class_names, stamp.hexdigest(), notes)


def list_folder(path: Path) -> tuple[FoundFiles, Counter[str]]:
    """The pictures, and how many other files there are by extension."""

    def takes(folder: str, names: set[str]) -> bool:
        if names >= RUN_FILES:
            raise DataError(
                f"{folder.rstrip(os.sep)} is a run folder, not training data; give the pictures it learnt from"
            )
        return SCORES_NAME not in names

    return find_pictures_below(path, takes)


def find_pictures_below(path: Path, takes: Callable[[str, set[str]], bool]) -> tuple[FoundFiles, Counter[str]]:
    """The pictures below a folder, links to folders included, and how many other files there are by extension.

    takes: given a folder and the names in it, whether to go on there. Raises DataError for what cannot be read.
    """
    files: FoundFiles = {}
    others: Counter[str] = Counter()
    seen = set()
    waiting = [""]
    while waiting:
        below = waiting.pop()
        folder = os.path.join(path, below)
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:  # a link led back
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                shown = sorted((one for one in entries if not is_hidden_part(one.name)), key=lambda one: one.name)
            if not takes(folder, {entry.name for entry in shown}):
                continue
            for entry in shown:
                is_picture = entry.name.lower().endswith(EXTENSIONS)
                try:
                    if is_picture and entry.is_file():
                        status = entry.stat()
                        files[below + entry.name] = status.st_size, status.st_mtime_ns
                    elif entry.is_dir():
                        waiting.append(f"{below}{entry.name}/")
                    elif entry.name != LABELS_FILE:
                        others[file_extension(entry.name)] += 1
                except OSError:  # such as a link in a circle
                    if is_picture:
                        files[below + entry.name] = 0, 0  # reading it tells what is wrong
                    else:
                        others[file_extension(entry.name)] += 1
        except OSError as err:
            raise DataError(f"cannot read the folder {folder}: {err.strerror}") from err
    return files, others


def list_zip(path: Path) -> tuple[FoundFiles, Counter[str]]:
    """The same for a zip; the time of each is that of the zip."""
    status = path.stat()
    with zips.open_zip(path) as archive:
        entries = zips.file_entries(archive)
    if sum(info.compress_size for info in entries) > status.st_size:
        raise DataError(f"{path} is damaged or a trap: its entries overlap")
    infos = {info.filename: info for info in entries}
    if len(infos) < len(entries):
        twice, _ = Counter(info.filename for info in entries).most_common(1)[0]
        raise DataError(f"{path} holds different files of one name, such as {zips.shorten_name(twice)}; make it again")
    files = {name: (info.file_size, status.st_mtime_ns) for name, info in infos.items() if is_picture_name(name)}
    others = [
        name
        for name in infos
        if is_visible_path(name) and not is_picture_name(name) and os.path.basename(name) != LABELS_FILE
    ]
    return files, Counter(map(file_extension, others))


def file_extension(name: str) -> str:
    return os.path.splitext(name)[1].lower() or "nameless"


def is_picture_name(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS) and is_visible_path(name)


def is_visible_path(name: str) -> bool:
    return not any(map(is_hidden_part, name.replace("\\", "/").split("/")))


def is_hidden_part(part: str) -> bool:
    return part == "__MACOSX" or (part.startswith(".") and part not in (".", ".."))


def find_labels(path: Path, names: Sequence[str]) -> tuple[ClassLabels | None, tuple[str, ...], tuple[str, ...]]:
    """int64 [N] or None, the names of the classes, and notes."""
    plain = [normalize_name(name) for name in names]
    outside = [name for name in plain if ".." in name.split("/")]
    if outside:
        somewhere = f"{path} has names that lead out of it, such as {zips.shorten_name(outside[0])}"
        raise DataError(f"{somewhere}; make it again, or give --unconditional")
    base = common_folder(plain)
    for place in dict.fromkeys(("", base)):
        data = read_sibling_file(path, place + LABELS_FILE)
        if data is not None:
            return labels_from_dataset_json(path, plain, data, place)
    return labels_from_folders(path, plain, base)


def normalize_name(name: str) -> str:
    """As one would write it: ./cat//1.png, /cat/1.png and cat\\1.png, which strangers' zips hold, are cat/1.png."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def common_folder(names: Sequence[str]) -> str:
    """The longest path that all plain names lie below, with a slash at its end; empty if there is none."""
    shared = os.path.commonpath([os.path.dirname(name) for name in (min(names), max(names))])
    return f"{shared}/" if shared else ""


def labels_from_folders(
    path: Path, names: Sequence[str], base: str
) -> tuple[ClassLabels | None, tuple[str, ...], tuple[str, ...]]:
    """The first folder of each plain name below `base` is its class; files that lie there without one have none."""
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
        beside = f"{n}, such as {zips.shorten_name(without[0])}, beside the class folders {some} of {inside}"
        raise DataError(f"{beside}; move them into one, or give --unconditional")
    if classes <= SPLITS and "train" in {name.removesuffix("ing") for name in classes}:
        train = sorted(classes & {"train", "training"})[0]
        raise DataError(f"{inside} holds {' and '.join(sorted(classes))}, which are no classes; give {inside}/{train}")
    check_class_count(len(classes), f"{inside} has class folders")
    longest = max(classes, key=len)
    if len(longest) > LONGEST_NAME:
        long = f"{inside} has a class folder of more than {LONGEST_NAME} letters, {zips.shorten_name(longest)}"
        raise DataError(f"{long}; rename it, or give --unconditional")
    order = sorted(classes, key=lambda name: (int(name), name)) if all(map(str.isdecimal, classes)) else sorted(classes)
    place = {name: label for label, name in enumerate(order)}
    labels = np.fromiter(map(place.__getitem__, folders), np.int64, len(names))
    return labels, tuple(map(make_printable, order)), ()


def labels_from_dataset_json(
    path: Path, names: Sequence[str], data: bytes, base: str
) -> tuple[ClassLabels | None, tuple[str, ...], tuple[str, ...]]:
    """The labels of StyleGAN's dataset.json: whole numbers from 0; null for none."""
    where = f"{base}{LABELS_FILE} in {path}"
    try:
        found = json.loads(data)["labels"]
        if found is None:
            return None, (), ()
        known = {base + normalize_name(name): label for name, label in found}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise DataError(f'{where} is damaged, or not {{"labels": [[name, class], ...]}}; repair or delete it') from err
    missing = [name for name in names if name not in known]
    if missing:
        raise DataError(
            f"{where} has no label for {format_count(len(missing), 'picture')}, "
            f"such as {zips.shorten_name(missing[0])}; "
            "add them, or give --unconditional"
        )
    values = [known[name] for name in names]
    if not all(type(value) is int and 0 <= value <= MOST_LABEL for value in values):
        raise DataError(f"{where} has labels that are not whole numbers from 0; change them, or give --unconditional")
    check_class_count(max(values) + 1, f"{where} has labels that mean classes")
    absent = len(known.keys() - set(names))
    notes = (f"{where} names {format_count(absent, 'picture')} not in it",) if absent else ()
    return np.array(values, np.int64), tuple(map(str, range(max(values) + 1))), notes


def check_class_count(n: int, what: str) -> None:
    if n > MOST_CLASSES:
        raise DataError(f"{what}, {n:,} of them; at most {MOST_CLASSES:,} work: give --unconditional")


def read_sibling_file(path: Path, name: str) -> bytes | None:
    """A file of the folder or zip, None if it is not there."""
    try:
        if not path.is_file():
            return zips.read_file_bytes(path / name) if (path / name).is_file() else None
        with zips.open_zip(path) as archive:
            infos = {normalize_name(info.filename): info for info in archive.infolist()}
            return zips.read_zip_entry(archive, infos[name]) if name in infos else None
    except DataError as err:
        raise DataError(f"cannot read {name} in {path}: {err}; repair or delete it") from err


@contextlib.contextmanager
def open_reader(path: Path, *, is_zip: bool) -> Iterator[Callable[[str], bytes]]:
    """A function from a name to the bytes of that file; it raises DataError, its text the reason alone."""
    if is_zip:
        with zips.open_zip(path) as archive:
            yield lambda name: zips.read_zip_entry(archive, find_zip_entry(archive, name))
    else:
        folder = str(path)
        yield lambda name: zips.read_file_bytes(f"{folder}/{name}")


def find_zip_entry(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    try:
        return archive.getinfo(name)
    except KeyError as err:
        raise DataError("gone") from err
