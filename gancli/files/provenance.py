"""What made a picture: one record, carried by PNGs in their text and written beside everything else."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gancli._version import __version__
from gancli.config import format_seeds
from gancli.errors import FileFormatError
from gancli.files.run_folder import atomic_write

TEXT_KEYWORD = "gancli"  # of the text in a PNG
FOREIGN_RECORD = "does not say what made it as a picture of gancli sample does"
SIDECAR_NAME = "provenance.json"  # inside a folder; beside a file x.gif it is x.gif.json


@dataclass(frozen=True)
class SampleRecord:
    """Everything that decided the pixels.

    command: what was typed, less the flags that change no pixel. model: the file, as it was found; sha256: its digest.
    seeds: such as "0-63,100". classes: names, in the order asked for, or none where each seed took its own. settings:
    of the command, such as the columns of a grid.
    """

    command: str
    version: str
    model: str
    sha256: str
    seeds: str
    classes: tuple[str, ...]
    trunc: int | float  # as it was typed: a record is made again byte for byte
    settings: dict[str, object]


@dataclass(frozen=True)
class FilmRecord:
    """What made a film of the frames of runs: their folders' names, and the images seen at each frame."""

    command: str
    version: str
    runs: tuple[str, ...]
    moments: tuple[int, ...]

    @classmethod
    def make(cls, command: str, runs: Sequence[str], moments: Sequence[int]) -> "FilmRecord":
        return cls(command, __version__, tuple(runs), tuple(moments))


def make_sample_record(
    command: str,
    model: Path,
    sha256: str,
    *,
    seeds: Sequence[int],
    classes: Sequence[str] = (),
    trunc: float = 1,
    settings: Mapping[str, Any] | None = None,
) -> SampleRecord:
    """The record of what is about to be made; a model below the current folder is named from there."""
    return SampleRecord(
        command,
        __version__,
        str(path_from_here(model)),
        sha256,
        format_seeds(seeds),
        tuple(classes),
        trunc,
        {**(settings or {})},
    )


def path_from_here(path: Path) -> Path:
    """A path below the current folder, named from there; another one as it is."""
    whole, here = Path(os.path.abspath(path)), Path.cwd()
    return whole.relative_to(here) if whole.is_relative_to(here) else path


def record_to_text(record: SampleRecord | FilmRecord) -> dict[str, str]:
    """The text that a PNG carries."""
    return {TEXT_KEYWORD: json.dumps(dataclasses.asdict(record))}


def sidecar_path(output: Path) -> Path:
    """Where the record of an output lies: in a folder, or beside a file."""
    return output / SIDECAR_NAME if output.is_dir() else output.with_name(f"{output.name}.json")


def write_sidecar(output: Path, record: SampleRecord | FilmRecord) -> None:
    """Write it; in a folder it lists the files that are there, too."""
    values = dataclasses.asdict(record)
    if output.is_dir():
        values["files"] = sorted(os.listdir(output))
    atomic_write(sidecar_path(output), (json.dumps(values, indent=2) + "\n").encode())


class FolderRecord(msgspec.Struct):
    """What the record of a folder says of its files."""

    command: str
    files: list[str]


def recorded_files(folder: Path) -> set[str]:
    """The files that a folder has by its record, that among them; none if it has no record of gancli."""
    path = folder / SIDECAR_NAME
    if not path.is_file() or path.is_symlink():
        return set()
    try:
        record = msgspec.convert(json.loads(path.read_bytes()), FolderRecord)
    except (OSError, ValueError, RecursionError):
        return set()
    return {*record.files, SIDECAR_NAME} if record.command.startswith("gancli ") else set()


def parse_record(text: str, where: str) -> SampleRecord:
    """Raises FileFormatError, naming `where`, for what is no record of this version's shape."""
    try:
        values = msgspec.convert(json.loads(text), dict[str, object])
        version = values.get("version")
        is_known = {*values} <= {field.name for field in dataclasses.fields(SampleRecord)}
        if not is_known and isinstance(version, str) and version != __version__:
            here = f"this one, {__version__},"
            raise FileFormatError(f"{where} was made by gancli {version} and says things that {here} does not know")
        if is_known:
            return msgspec.convert(values, SampleRecord)
    except (ValueError, RecursionError) as err:
        raise FileFormatError(f"{where} {FOREIGN_RECORD}") from err
    raise FileFormatError(f"{where} {FOREIGN_RECORD}")


def single_image_record(
    record: SampleRecord, seeds: Sequence[int], classes: Sequence[str], **settings: Any
) -> SampleRecord:
    """The record of one picture out of many: what makes it alone."""
    settings = {**record.settings, **settings}
    return dataclasses.replace(record, seeds=format_seeds(seeds), classes=tuple(classes), settings=settings)
