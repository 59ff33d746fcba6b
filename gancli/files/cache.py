"""Locate the cache folder and download data sets into it."""

import http.client
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from gancli.errors import DataError


class DownloadError(DataError):
    """Raised if a named data set could not be downloaded."""


def cache_folder() -> Path:
    """Return the cache folder: $GANCLI_CACHE, else gancli under $XDG_CACHE_HOME or ~/.cache."""
    if chosen := os.environ.get("GANCLI_CACHE"):
        return Path(os.path.expanduser(chosen))
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "gancli"


def fetch_dataset(name: str, title: str, download: Callable[[Path], Path]) -> Path:
    """Return the folder `name` of the cache; if it is missing, download it first.

    The folder appears only when it is complete. download: takes an empty folder, writes files below it and returns
    their folder. title: name used in messages.
    Raises DownloadError if the download fails, DataError if the cache cannot be written.
    """
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder.parent, ignore_cleanup_errors=True)
    except OSError as err:
        advice = "set GANCLI_CACHE to a writable folder"
        raise DataError(f"cannot write to the cache folder {folder.parent}: {err.strerror}; {advice}") from err
    with temporary as root:
        try:
            os.rename(download(Path(root)), folder)
        except (OSError, RuntimeError, http.client.HTTPException) as err:
            if not folder.is_dir():  # otherwise another process was faster
                reason = (str(err).strip() or type(err).__name__).splitlines()[-1]
                reason = reason.strip("<>").removeprefix("urlopen error ")
                raise DownloadError(f"{title} could not be downloaded ({reason})") from err
    return folder
