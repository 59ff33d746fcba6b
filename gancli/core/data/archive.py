"""Read entries of untrusted zip and npz files into memory, after a check of their size.

Nothing is unpacked to disk. A DataError about a single file holds only "what is wrong; what to do"; the caller adds the
file's name.
"""

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

from gancli import platform
from gancli.core.data.decode import ACCEPTED_FORMATS_HINT
from gancli.core.data.fast_png import DAMAGED, TRUNCATED
from gancli.errors import DataError, make_printable

LARGEST_BYTES = 1 << 28
SMALL_BYTES = 1 << 24
MOST_DEFLATED = 200  # highest compression ratio of entries above SMALL_BYTES; a higher one suggests a zip bomb
LONGEST_HEADER = 1 << 14
LONGEST_NAME = 60
SAVE_ARRAY_HINT = "save it again with numpy.savez"

ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError)


class UnreadError(DataError):
    """Raised if the system failed to read a file; a later attempt may succeed."""


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip; it is closed when the object is garbage-collected. Raises DataError."""
    try:
        opened = zipfile.ZipFile(path)
    except ZIP_FAULTS as err:
        if isinstance(err, OSError) and err.strerror:
            raise DataError(f"cannot read {path}: {err.strerror}; make it readable") from err
        raise DataError(f"{path} is not a zip or npz, or is damaged; {ACCEPTED_FORMATS_HINT}") from err
    weakref.finalize(opened, opened.fp.close)  # type: ignore[union-attr]
    return opened


@contextlib.contextmanager
def translate_zip_faults() -> Iterator[None]:
    """Raise errors of reading an entry as DataError."""
    try:
        yield
    except ZIP_FAULTS as err:
        if isinstance(err, OSError) and err.errno == errno.EIO:
            raise UnreadError(unread_reason(err)) from err
        raise DataError(DAMAGED) from err


def open_zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """Open a stored or deflated entry; with other methods, a few bytes can unpack to any size. Raises DataError."""
    if info.flag_bits & 1:
        raise DataError("encrypted; make the zip without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError("compressed with a method other than deflate; make the zip with deflate")
    with translate_zip_faults():
        return archive.open(info)


def read_zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    check_file_size(info.file_size)
    check_compression(info)
    with open_zip_entry(archive, info) as entry:
        return read_exactly(entry, info.file_size)


def read_file_bytes(path: str | Path) -> bytes:
    try:
        file = platform.open_for_reading(path)
        try:
            n_bytes = os.fstat(file).st_size
            check_file_size(n_bytes)
            return os.read(file, n_bytes)
        finally:
            os.close(file)
    except OSError as err:
        raise UnreadError(unread_reason(err)) from err


def unread_reason(err: OSError) -> str:
    return f"{err.strerror or 'cannot be read'}; make it readable"


def read_exactly(entry: IO[bytes], n_bytes: int) -> bytes:
    with translate_zip_faults():
        data = entry.read(n_bytes)
    if len(data) < n_bytes:
        raise DataError(TRUNCATED)
    return data


def check_file_size(n_bytes: int) -> None:
    if n_bytes > LARGEST_BYTES:
        raise DataError(f"larger than {LARGEST_BYTES >> 20} MiB; make it smaller")


def check_compression(info: zipfile.ZipInfo) -> None:
    if info.file_size > max(SMALL_BYTES, MOST_DEFLATED * info.compress_size):
        raise DataError(f"compressed by a factor of more than {MOST_DEFLATED}; store it without compression")


def read_npy_header(entry: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Read shape and dtype of the array in a .npy file, up to its first element.

    Raises DataError. Source: the documentation of numpy.lib.format.
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
                raise DataError(f"its header of {n_bytes:,} bytes is too long; {SAVE_ARRAY_HINT}")
            shape, is_fortran, dtype = reader(io.BytesIO(length + read_exactly(entry, n_bytes)))
        except DataError:
            raise
        except Exception as err:  # the header is a Python literal, which can be wrong in many ways
            raise DataError(f"damaged, or not an array in NumPy's format 1 or 2; {SAVE_ARRAY_HINT}") from err
    if min(shape, default=0) < 0:
        raise DataError(f"its shape {list(shape)} has a negative size; {SAVE_ARRAY_HINT}")
    if is_fortran and len(shape) > 1:
        raise DataError("stored in Fortran order; save numpy.ascontiguousarray of it")
    return shape, dtype


def without_fix(message: str) -> str:
    """Return the first part of an error message, what is wrong, without the advice after the last semicolon."""
    return message.rsplit("; ", 1)[0]


def shorten_name(name: str) -> str:
    """Return a file's name in one printable line; only its end if it is long."""
    return make_printable(name if len(name) <= LONGEST_NAME else f"...{name[-LONGEST_NAME:]}")
