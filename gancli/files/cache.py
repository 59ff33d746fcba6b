"""Locate the cache folder and download data sets into it."""

import http.client
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from gancli import platform
from gancli.errors import DataError


class DownloadError(DataError):
    """Raised if a named data set could not be downloaded."""


def cache_folder() -> Path:
    """Return the cache folder: $GANCLI_CACHE, else gancli under $XDG_CACHE_HOME or ~/.cache.

    Without a home folder, it lies in the temporary folder. Raises DataError if another user owns that one.
    """
    if folder := chosen_cache_folder():
        return folder
    folder = temporary_cache_folder()
    if os.path.lexists(folder) and not platform.is_own_folder(folder):
        raise DataError(f"{folder} is not a folder of this user; set GANCLI_CACHE to a writable folder")
    return folder


def chosen_cache_folder() -> Path | None:
    """Return the cache folder that the environment sets; None without a home folder."""
    for variable, part in (("GANCLI_CACHE", ""), ("XDG_CACHE_HOME", "gancli")):
        if (value := os.environ.get(variable)) and (folder := platform.expand_home(value)):
            return Path(folder, part)
    home = platform.home_folder()
    return Path(home, ".cache", "gancli") if home else None


def temporary_cache_folder() -> Path:
    return Path(tempfile.gettempdir(), f"gancli-{os.getuid()}" if hasattr(os, "getuid") else "gancli")


def cache_notes() -> tuple[str, ...]:
    """Return a note if the cache is in the temporary folder."""
    if chosen_cache_folder():
        return ()
    return (f"there is no home folder, so the cache is in {temporary_cache_folder()}; set GANCLI_CACHE to keep it",)


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
