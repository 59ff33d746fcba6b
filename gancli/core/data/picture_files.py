"""List and read the picture files of a folder with its subfolders, or of a zip, sorted by name; skip hidden files."""

import hashlib
import os
import zipfile
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from gancli.core.data import archive, labels, own_outputs
from gancli.core.data.decode import ACCEPTED_FORMATS_HINT, EXTENSIONS
from gancli.core.data.source import ImageSource
from gancli.errors import DataError
from gancli.files import provenance
from gancli.wording import format_list

MOST_NAMED = 5


@dataclass(frozen=True)
class FileList:
    """The picture files of a folder or zip.

    sizes: in bytes. times: last modified, in ns. others: number of files that are not pictures, by extension.
    run_folder: the path, if it is that of a run. outputs: places below the path with files that gancli wrote.
    """

    names: Sequence[str]
    sizes: Sequence[int]
    times: Sequence[int]
    others: Counter[str]
    run_folder: str = ""
    outputs: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.names)

    def digest(self) -> "hashlib._Hash":
        """Return a digest of the names, sizes and times, to which more can be added."""
        digest = hashlib.sha256("\0".join(self.names).encode(errors="surrogateescape"))
        digest.update(np.array([self.sizes, self.times], np.int64).tobytes())
        return digest

    def without(self, own: Set[str]) -> "FileList":
        """Move files that gancli wrote from the pictures to the outputs."""
        if not own:
            return self
        kept = [row for row, name in enumerate(self.names) if name not in own]
        return replace(
            self,
            names=[self.names[row] for row in kept],
            sizes=[self.sizes[row] for row in kept],
            times=[self.times[row] for row in kept],
            outputs=(*self.outputs, *sorted(own)),
        )


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

    def without_own_pngs(self) -> Self:
        """Skip single PNGs that gancli wrote, where they can be told quickly."""
        return self

    def for_training(self, *, conditional: bool, as_in_0_1: bool = False) -> Self:
        source = self if as_in_0_1 else self.without_own_pngs()
        return source.add_labels(conditional=conditional, use_splits=not as_in_0_1)

    def add_labels(self, *, conditional: bool, use_splits: bool) -> Self:
        """Add the classes of dataset.json or of the folders. The stamp covers names, sizes, times and labels."""
        names, kinds = self.files.names, self.files.others.items()
        if self.files.run_folder:
            raise DataError(
                f"{self.files.run_folder} is a run folder, not training data; give the pictures it was trained on"
            )
        others = [f"{n:,} {kind}" for kind, n in sorted(kinds, key=lambda item: (-item[1], item[0]))]
        if not names:
            holds = f"; it has {format_list(others, MOST_NAMED)} files" if others else ""
            if self.files.outputs:
                holds += f"; gancli wrote {format_list(self.files.outputs, MOST_NAMED)}"
            raise DataError(f"no pictures in {self.path}{holds}; {ACCEPTED_FORMATS_HINT}")
        try:
            (class_labels, class_names, notes), split = labels.find_labels(
                self.path, names, self.read_beside, use_splits=use_splits
            )
        except DataError:
            if conditional:
                raise
            (class_labels, class_names, notes), split = (None, (), ()), None
        if split:
            notes = (split.note, *notes)
        if self.files.outputs:
            notes = (f"skipped files that gancli wrote: {format_list(self.files.outputs, MOST_NAMED)}", *notes)
        if others:
            skipped = format_list(others, MOST_NAMED)
            notes = (f"skipped files without a picture extension: {skipped}", *notes)
        stamp = self.files.digest()
        if class_labels is not None:
            stamp.update("\0".join(class_names).encode() + class_labels.tobytes())
        held = split.held if split else None
        if held is not None:
            stamp.update(b"split" + held.tobytes())
        return replace(
            self, labels=class_labels, class_names=class_names, notes=notes, stamp=stamp.hexdigest(), held=held
        )

    def rows_to_score(self) -> Sequence[int]:
        """Return all rows except sample grids; all rows if there are only grids."""
        names = enumerate(self.files.names)
        return [row for row, name in names if os.path.basename(name) not in own_outputs.CONTACT_SHEETS] or range(
            len(self)
        )


class PictureFolder(PictureFiles):
    def without_own_pngs(self) -> Self:
        """Skip single PNGs that gancli wrote, unless the folder's record lists them or there are no others."""
        files = self.files.without(self.find_own_pngs())
        return replace(self, files=files, mean_bytes=sum(files.sizes) // max(len(files), 1))

    def find_own_pngs(self) -> set[str]:
        """Return the single PNGs to skip; empty if there are no other pictures."""
        names = self.files.names
        own = own_outputs.find_own_pngs(self.path, names, self.files.digest().hexdigest())
        own -= provenance.recorded_files(self.path)
        return own if len(own) < len(names) else set()

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


@dataclass
class PictureListing:
    """Collects the pictures of a folder or zip, folder by folder, and sets aside what gancli wrote.

    pictures: name -> size and time. samples: pictures in sample folders below the root, used only if there are no
    others. others: number of files that are not pictures, by extension.
    """

    pictures: dict[str, tuple[int, int]] = field(default_factory=dict)
    samples: dict[str, tuple[int, int]] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    outputs: list[str] = field(default_factory=list)

    def find_own_files(self, below: str, names: Set[str], read: Callable[[str], bytes]) -> set[str]:
        """Return the files of a folder that gancli wrote, and note where. below: the folder, "" or ending in /."""
        own = own_outputs.find_own_files(names, read, is_root=not below)
        if named := [name for name in sorted(own) if not name.endswith(".json")]:
            self.outputs += [below.rstrip("/")] if below and own >= names else [below + name for name in named]
        return own

    def add(self, name: str, size: int, time: int, *, is_own: bool) -> None:
        if not is_own:
            self.pictures[name] = size, time
        elif os.path.basename(name) not in own_outputs.CONTACT_SHEETS:
            self.samples[name] = size, time

    def file_list(self, run_folder: str = "") -> FileList:
        outputs = self.outputs
        if not self.pictures and self.samples:
            outputs = []
        found = self.pictures or self.samples
        names = sorted(found)
        sizes, times = ([found[name][part] for name in names] for part in (0, 1))
        return FileList(names, sizes, times, self.others, run_folder, tuple(outputs))


def open_folder(path: Path) -> PictureFolder:
    """Open a folder. Links to folders are followed; runs and other outputs below it are skipped. Raises DataError."""
    found = PictureListing()
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
                present = sorted(entries, key=lambda one: one.name)
        except OSError as err:
            raise DataError(f"cannot read the folder {folder}: {err.strerror}; make it readable") from err
        names = {entry.name for entry in present}
        if own_outputs.is_run_folder(names):
            if below:
                found.outputs.append(below.rstrip("/"))
                continue
            run_folder = folder.rstrip(os.sep)
        own = found.find_own_files(below, names, partial(read_in_folder, folder))
        for entry in present:
            if is_hidden_part(entry.name):
                continue
            is_picture = entry.name.lower().endswith(EXTENSIONS)
            try:
                if is_picture and entry.is_file():
                    status = entry.stat()
                    found.add(below + entry.name, status.st_size, status.st_mtime_ns, is_own=entry.name in own)
                elif entry.is_dir():
                    waiting.append(f"{below}{entry.name}/")
                elif entry.name != labels.LABELS_FILE and entry.name not in own:
                    found.others[file_extension(entry.name)] += 1
            except OSError:  # such as a circular link
                if is_picture:
                    found.add(below + entry.name, 0, 0, is_own=False)  # reading it later reports the error
                else:
                    found.others[file_extension(entry.name)] += 1
    files = found.file_list(run_folder)
    return PictureFolder(path, sum(files.sizes) // max(len(files), 1), files=files)


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
    folders: dict[str, list[str]] = {}
    for name in sorted(infos):
        folders.setdefault(name[: len(name) - len(os.path.basename(name))], []).append(name)
    found, runs = PictureListing(), [below for below, names in folders.items() if below and is_run(below, names)]
    found.outputs += [below.rstrip("/") for below in runs]
    for below, names in folders.items():
        if below.startswith(tuple(runs)):
            continue
        plain = {os.path.basename(name) for name in names}
        own = found.find_own_files(below, plain, partial(read_in_zip, opened, below))
        for name in names:
            is_own = os.path.basename(name) in own
            if is_picture_name(name):
                found.add(name, infos[name].file_size, status.st_mtime_ns, is_own=is_own)
            elif is_visible_path(name) and os.path.basename(name) != labels.LABELS_FILE and not is_own:
                found.others[file_extension(name)] += 1
    files = found.file_list()
    return PictureZip(path, sum(files.sizes) // max(len(files), 1), files=files, archive=opened)


def read_in_folder(folder: str, name: str) -> bytes:
    return archive.read_file_bytes(os.path.join(folder, name))


def read_in_zip(opened: zipfile.ZipFile, below: str, name: str) -> bytes:
    return archive.read_zip_entry(opened, opened.getinfo(below + name))


def is_run(below: str, names: Sequence[str]) -> bool:
    """Whether a folder of a zip is that of a run."""
    return own_outputs.is_run_folder({name.removeprefix(below) for name in names})


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
