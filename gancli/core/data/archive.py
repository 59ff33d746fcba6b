"""Zips and npz files from strangers: entries read one at a time, sizes checked before, nothing unpacked to disk."""

import contextlib
import errno
import io
import os
import struct
import warnings
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from gancli.core.data.decode import ACCEPTED_FORMATS_HINT
from gancli.errors import DataError, make_printable

LARGEST_BYTES = 1 << 28
MOST_DEFLATED = 200  # times; what packs better than this, and is not small, is a bomb: a picture is packed already
SMALL_BYTES = 1 << 24
LONGEST_HEADER = 1 << 14
LONGEST_NAME = 60

ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError)


class UnreadError(DataError):
    """The system did not give what a file holds, though another time it might."""


def open_zip(path: Path) -> zipfile.ZipFile:
    """Closed when nobody has it any more. Raises DataError."""
    try:
        opened = zipfile.ZipFile(path)
    except ZIP_FAULTS as err:
        if isinstance(err, OSError) and err.strerror:
            raise DataError(f"cannot read {path}: {err.strerror}") from err
        raise DataError(f"{path} is not a zip or npz, or is damaged; {ACCEPTED_FORMATS_HINT}") from err
    weakref.finalize(opened, opened.fp.close)  # type: ignore[union-attr]
    return opened


@contextlib.contextmanager
def translate_zip_faults() -> Iterator[None]:
    """What goes wrong with an entry becomes a DataError, its text the reason alone."""
    try:
        yield
    except ZIP_FAULTS as err:
        if isinstance(err, OSError) and err.errno == errno.EIO:
            raise UnreadError(err.strerror) from err
        raise DataError("damaged") from err


def open_zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """Only deflate is read: what others unpack from a few bytes has no bound. Raises DataError, the reason alone."""
    if info.flag_bits & 1:
        raise DataError("encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError("compressed by another method than deflate")
    with translate_zip_faults():
        return archive.open(info)


def read_zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    check_file_size(info.file_size)
    check_compression(info)
    with open_zip_entry(archive, info) as entry:
        return read_exactly(entry, info.file_size)


def read_file_bytes(path: str | Path) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in its place must not stop us
        try:
            n_bytes = os.fstat(file).st_size
            check_file_size(n_bytes)
            return os.read(file, n_bytes)
        finally:
            os.close(file)
    except OSError as err:
        raise UnreadError(err.strerror or "damaged") from err


def read_exactly(entry: IO[bytes], n_bytes: int) -> bytes:
    with translate_zip_faults():
        data = entry.read(n_bytes)
    if len(data) < n_bytes:
        raise DataError("truncated")
    return data


def check_file_size(n_bytes: int) -> None:
    if n_bytes > LARGEST_BYTES:
        raise DataError(f"larger than {LARGEST_BYTES >> 20} MiB")


def check_compression(info: zipfile.ZipInfo) -> None:
    if info.file_size > max(SMALL_BYTES, MOST_DEFLATED * info.compress_size):
        raise DataError(f"packed more than {MOST_DEFLATED} times")


def read_npy_header(entry: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Shape and type of the array in a .npy file, which is left open at its first element.

    Raises DataError, its text the reason alone. Source: the documentation of numpy.lib.format.
    """
    formats = {
        (1, 0): (2, np.lib.format.read_array_header_1_0),
        (2, 0): (4, np.lib.format.read_array_header_2_0),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            n_length_bytes, reader = formats[np.lib.format.read_magic(entry)]
            length = read_exactly(entry, n_length_bytes)
            n_bytes = int.from_bytes(length, "little")
            if n_bytes > LONGEST_HEADER:
                raise DataError(f"its header of {n_bytes:,} bytes is too long")
            shape, is_fortran, dtype = reader(io.BytesIO(length + read_exactly(entry, n_bytes)))
        except DataError:
            raise
        except Exception as err:  # the header is a Python literal, and there are many ways to get one wrong
            raise DataError("not an array in NumPy's format 1 or 2, or damaged") from err
    if min(shape, default=0) < 0:
        raise DataError(f"its shape {list(shape)} has a negative size")
    if is_fortran and len(shape) > 1:
        raise DataError("stored in Fortran order, which numpy.ascontiguousarray undoes")
    return shape, dtype


def shorten_name(name: str) -> str:
    """The end of a file's name, in one line."""
    return make_printable(name if len(name) <= LONGEST_NAME else f"...{name[-LONGEST_NAME:]}")
