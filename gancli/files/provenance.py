"""Provenance records: how a picture was made. PNGs hold them as text; other outputs have a JSON file next to them."""

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

TEXT_KEYWORD = "gancli"  # of the text chunk in a PNG
FOREIGN_RECORD = "has no valid record of gancli sample; choose a picture that gancli sample wrote"
SIDECAR_NAME = "provenance.json"  # in a folder; for a file x.gif it is x.gif.json


@dataclass(frozen=True)
class SampleRecord:
    """Everything that determines the pixels of samples.

    command: as typed, without flags that do not change pixels. model: path of the model file. sha256: its digest.
    seeds: such as "0-63,100". classes: names in the requested order, empty if each seed drew its class. settings: other
    settings of the command, such as the columns of a grid.
    """

    command: str
    version: str
    model: str
    sha256: str
    seeds: str
    classes: tuple[str, ...]
    trunc: int | float  # int or float as typed, so that --like writes the same record byte for byte
    settings: dict[str, object]


@dataclass(frozen=True)
class FilmRecord:
    """How a film of runs was made. runs: names of their folders. moments: images seen at each frame."""

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
    """Build the record of samples; a model below the current folder gets a relative path."""
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
    """Return a path below the current folder as relative; any other path unchanged."""
    whole, here = Path(os.path.abspath(path)), Path.cwd()
    return whole.relative_to(here) if whole.is_relative_to(here) else path


def record_to_text(record: SampleRecord | FilmRecord) -> dict[str, str]:
    """Return the text chunk of a PNG for a record."""
    return {TEXT_KEYWORD: json.dumps(dataclasses.asdict(record))}


def sidecar_path(output: Path) -> Path:
    """Return the path of an output's record: inside a folder, or next to a file."""
    return output / SIDECAR_NAME if output.is_dir() else output.with_name(f"{output.name}.json")


def write_sidecar(output: Path, record: SampleRecord | FilmRecord) -> None:
    """Write the record of an output; for a folder it also lists the files in it."""
    values = dataclasses.asdict(record)
    if output.is_dir():
        values["files"] = sorted(os.listdir(output))
    atomic_write(sidecar_path(output), (json.dumps(values, indent=2) + "\n").encode())


class OutputRecord(msgspec.Struct):
    """The part of a record that shows that gancli wrote it."""

    command: str


class FolderRecord(OutputRecord):
    """The parts of a folder's record that show which files gancli wrote."""

    files: list[str]


def recorded_files(folder: Path) -> set[str]:
    """Return the file names in a folder's record, including the record itself; empty if gancli wrote none."""
    path = folder / SIDECAR_NAME
    if not path.is_file() or path.is_symlink():
        return set()
    try:
        return parse_recorded_files(path.read_bytes())
    except OSError:
        return set()


def parse_recorded_files(data: bytes) -> set[str]:
    """Return the file names in the content of a folder's record; empty if gancli did not write it."""
    try:
        record = msgspec.convert(json.loads(data), FolderRecord)
    except (ValueError, RecursionError):
        return set()
    return {*record.files, SIDECAR_NAME} if record.command.startswith("gancli ") else set()


def is_own_record(data: bytes) -> bool:
    """Whether gancli wrote this content of a record."""
    try:
        return msgspec.convert(json.loads(data), OutputRecord).command.startswith("gancli ")
    except (ValueError, RecursionError):
        return False


def parse_record(text: str, where: str) -> SampleRecord:
    """Parse a sample record. where: its file, for messages. Raises FileFormatError if this version cannot read it."""
    try:
        values = msgspec.convert(json.loads(text), dict[str, object])
        version = values.get("version")
        is_known = {*values} <= {field.name for field in dataclasses.fields(SampleRecord)}
        if not is_known and isinstance(version, str) and version != __version__:
            fix = f"{__version__} cannot read its record; install gancli {version}"
            raise FileFormatError(f"{where} was made by gancli {version}, and gancli {fix}")
        if is_known:
            return msgspec.convert(values, SampleRecord)
    except (ValueError, RecursionError) as err:
        raise FileFormatError(f"{where} {FOREIGN_RECORD}") from err
    raise FileFormatError(f"{where} {FOREIGN_RECORD}")


def single_image_record(
    record: SampleRecord, seeds: Sequence[int], classes: Sequence[str], **settings: Any
) -> SampleRecord:
    """Return the record that makes only one of several pictures."""
    settings = {**record.settings, **settings}
    return dataclasses.replace(record, seeds=format_seeds(seeds), classes=tuple(classes), settings=settings)
