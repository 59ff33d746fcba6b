"""List and read the picture files of a folder with its subfolders, or of a zip, sorted by name; skip hidden files."""

import hashlib
import os
import zipfile
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from gancli.core.data import archive, labels
from gancli.core.data.decode import ACCEPTED_FORMATS_HINT, EXTENSIONS
from gancli.core.data.source import ImageSource
from gancli.errors import DataError
from gancli.files.run_folder import SCORES_NAME
from gancli.wording import format_list

RUN_FILES = {"config.json", "metrics.jsonl"}  # a folder with both is a run folder
CONTACT_SHEETS = ("grid.png", "grid.webp")
MOST_NAMED = 5


@dataclass(frozen=True)
class FileList:
    """The picture files of a folder or zip.

    sizes: in bytes. times: last modified, in ns. others: number of files that are not pictures, by extension.
    run_folder: the first run folder among the folders, "" if there is none.
    """

    names: Sequence[str]
    sizes: Sequence[int]
    times: Sequence[int]
    others: Counter[str]
    run_folder: str = ""


@dataclass(eq=False)
class PictureFiles(ImageSource):
    files: FileList = FileList((), (), (), Counter())

    def __len__(self) -> int:
        return len(self.files.names)

    def name(self, row: int) -> str:
        return self.files.names[row]

    @abstractmethod
    def read_beside(self, name: str) -> bytes | None:
        """Read a file that is not a picture; None if it is missing. Raises DataError."""

    def for_training(self, *, conditional: bool) -> Self:
        """Add the classes of dataset.json or of the folders. The stamp covers names, sizes, times and labels."""
        names, kinds = self.files.names, self.files.others.items()
        if self.files.run_folder:
            raise DataError(
                f"{self.files.run_folder} is a run folder, not training data; give the pictures it was trained on"
            )
        others = [f"{n:,} {kind}" for kind, n in sorted(kinds, key=lambda item: (-item[1], item[0]))]
        if not names:
            holds = f"; it has {format_list(others, MOST_NAMED)} files" if others else ""
            raise DataError(f"no pictures in {self.path}{holds}; {ACCEPTED_FORMATS_HINT}")
        try:
            class_labels, class_names, notes = labels.find_labels(self.path, names, self.read_beside)
        except DataError:
            if conditional:
                raise
            class_labels, class_names, notes = None, (), ()
        if others:
            skipped = format_list(others, MOST_NAMED)
            notes = (f"skipped files without a picture extension: {skipped}", *notes)
        stamp = hashlib.sha256("\0".join(names).encode(errors="surrogateescape"))
        stamp.update(np.array([self.files.sizes, self.files.times], np.int64).tobytes())
        if class_labels is not None:
            stamp.update("\0".join(class_names).encode() + class_labels.tobytes())
        return replace(self, labels=class_labels, class_names=class_names, notes=notes, stamp=stamp.hexdigest())

    def rows_to_score(self) -> Sequence[int]:
        """Return all rows except sample grids; all rows if there are only grids."""
        names = enumerate(self.files.names)
        return [row for row, name in names if os.path.basename(name) not in CONTACT_SHEETS] or range(len(self))


class PictureFolder(PictureFiles):
    def read(self, row: int) -> bytes:
        return archive.read_file_bytes(f"{self.path}/{self.files.names[row]}")

    def read_beside(self, name: str) -> bytes | None:
        return archive.read_file_bytes(self.path / name) if (self.path / name).is_file() else None


@dataclass(eq=False)
class PictureZip(PictureFiles):
    archive: zipfile.ZipFile = None  # type: ignore[assignment]

    def read(self, row: int) -> bytes:
        return archive.read_zip_entry(self.archive, self.archive.getinfo(self.files.names[row]))

    def read_beside(self, name: str) -> bytes | None:
        infos = {labels.normalize_name(info.filename): info for info in self.archive.infolist()}
        return archive.read_zip_entry(self.archive, infos[name]) if name in infos else None


def open_folder(path: Path) -> PictureFolder:
    """Open a folder. Links to folders are followed; the folders of evaluations are skipped. Raises DataError."""
    pictures: dict[str, tuple[int, int]] = {}
    others = Counter[str]()
    run_folder, seen, waiting = "", set(), [""]
    while waiting:
        below = waiting.pop()
        folder = os.path.join(path, below)
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:  # a link to a folder already visited
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                shown = sorted((one for one in entries if not is_hidden_part(one.name)), key=lambda one: one.name)
        except OSError as err:
            raise DataError(f"cannot read the folder {folder}: {err.strerror}; make it readable") from err
        present = {entry.name for entry in shown}
        if present >= RUN_FILES:
            run_folder = run_folder or folder.rstrip(os.sep)
        for entry in shown if SCORES_NAME not in present else ():
            is_picture = entry.name.lower().endswith(EXTENSIONS)
            try:
                if is_picture and entry.is_file():
                    status = entry.stat()
                    pictures[below + entry.name] = status.st_size, status.st_mtime_ns
                elif entry.is_dir():
                    waiting.append(f"{below}{entry.name}/")
                elif entry.name != labels.LABELS_FILE:
                    others[file_extension(entry.name)] += 1
            except OSError:  # such as a circular link
                if is_picture:
                    pictures[below + entry.name] = 0, 0  # reading it later reports the error
                else:
                    others[file_extension(entry.name)] += 1
    names = sorted(pictures)
    files = FileList(
        names, [pictures[one][0] for one in names], [pictures[one][1] for one in names], others, run_folder
    )
    return PictureFolder(path, sum(files.sizes) // max(len(names), 1), files=files)


def open_pictures_of_zip(path: Path, opened: zipfile.ZipFile) -> PictureZip:
    """Open a zip of pictures; each gets the modification time of the zip. Raises DataError."""
    status = path.stat()
    entries = file_entries(opened)
    if sum(info.compress_size for info in entries) > status.st_size:
        raise DataError(f"{path} is damaged or malicious: its entries overlap; do not use it")
    infos = {info.filename: info for info in entries}
    if len(infos) < len(entries):
        twice, _ = Counter(info.filename for info in entries).most_common(1)[0]
        raise DataError(
            f"{path} holds several files of the same name, such as {archive.shorten_name(twice)}; make it again"
        )
    names = sorted(filter(is_picture_name, infos))
    others = Counter(
        file_extension(name)
        for name in infos.keys() - {*names}
        if is_visible_path(name) and os.path.basename(name) != labels.LABELS_FILE
    )
    sizes = [infos[name].file_size for name in names]
    files = FileList(names, sizes, [status.st_mtime_ns] * len(names), others)
    return PictureZip(path, sum(sizes) // max(len(names), 1), files=files, archive=opened)


def file_entries(opened: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the entries that are files; entries without a name, which zipfile cannot handle, are skipped."""
    return [info for info in opened.infolist() if info.filename and not info.is_dir()]


def file_extension(name: str) -> str:
    return os.path.splitext(name)[1].lower() or "nameless"


def is_picture_name(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS) and is_visible_path(name)


def is_visible_path(name: str) -> bool:
    return not any(map(is_hidden_part, name.replace("\\", "/").split("/")))


def is_hidden_part(part: str) -> bool:
    return part == "__MACOSX" or (part.startswith(".") and part not in (".", ".."))
