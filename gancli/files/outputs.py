"""Create the output files and folders of commands.

The rule: an output appears complete or not at all, with its provenance record. An existing output is an error before
any work is done; an empty folder counts as free. --force replaces a file, or a whole folder if gancli made it, that is,
if it holds only the files that its provenance.json lists. By default, outputs go to a new numbered folder, unique to
this process.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from gancli.errors import RunError
from gancli.files import provenance
from gancli.files.provenance import FilmRecord, SampleRecord
from gancli.files.run_folder import atomic_file, atomic_folder, claim_numbered


@contextlib.contextmanager
def reserve_output(given: Path | None, parent: Path, name: str = "") -> Iterator[Path]:
    """Yield the given output, or by default `name` in a new numbered folder below `parent`, reserved for the block."""
    if given is not None:
        yield given
    else:
        with claim_numbered(parent) as folder:
            yield folder / name


@contextlib.contextmanager
def create_output_file(
    path: Path, record: SampleRecord | FilmRecord | None = None, *, force: bool
) -> Iterator[IO[bytes]]:
    """Open a new file for writing; `record` becomes a JSON file next to it. Raises RunError as the rule above says."""
    check_output_file(path, force=force)
    if record:
        check_output_file(provenance.sidecar_path(path), force=force)
    with atomic_file(path) as file:
        yield file
        check_output_file(path, force=force)  # again: another process may have written there
        if record:
            provenance.write_sidecar(path, record)


@contextlib.contextmanager
def create_output_folder(path: Path, record: SampleRecord | FilmRecord | None = None, *, force: bool) -> Iterator[Path]:
    """Create a folder to fill; `record` is written into it. Raises RunError as the rule above says."""
    check_output_folder(path, force=force)
    target = Path(os.path.realpath(path)) if path.is_dir() else path  # replace the folder, not a link to it
    with atomic_folder(target, replace=force) as folder:
        yield folder
        if record:
            provenance.write_sidecar(folder, record)
        check_output_folder(path, force=force)  # again: another process may have written there


def check_output_file(path: Path, *, force: bool) -> None:
    check_parent_folder(path, path.parent)
    check_not_taken(path, force=force)
    if path.exists() and not path.is_file():
        raise RunError(f"{path} exists and is not a file; choose another -o")


def check_output_folder(path: Path, *, force: bool) -> None:
    whole = Path(os.path.abspath(path))
    check_parent_folder(path, next((parent for parent in whole.parents if os.path.lexists(parent)), whole))
    if not path.is_dir():
        if os.path.lexists(path):
            raise RunError(f"{path} exists and is not a folder; choose another -o")
        return
    if os.path.ismount(path) or path.samefile(Path.cwd()):
        raise RunError(f"cannot replace {path}, a mount point or the current folder; choose a folder below it with -o")
    with os.scandir(path) as entries:
        present = list(entries)
    if present:
        check_not_taken(path, force=force)
    listed = provenance.recorded_files(path)
    foreign = [each.name for each in present if each.name not in listed or not each.is_file(follow_symlinks=False)]
    if foreign:
        raise RunError(f"{path} holds files that gancli did not make, such as {min(foreign)}; choose another -o")


def check_not_taken(path: Path, *, force: bool) -> None:
    if os.path.lexists(path) and not force:
        raise RunError(f"{path} exists; choose another -o, or add --force to overwrite it")


def check_parent_folder(path: Path, parent: Path) -> None:
    if path.name == "-":
        raise RunError("cannot write to -, the terminal; give a file or a folder")
    if not parent.is_dir() and os.path.lexists(parent):
        raise RunError(f"cannot write {path}: {parent} is not a folder; choose another -o")
    if not parent.is_dir():
        raise RunError(f"cannot write {path}: there is no folder {parent}; create it, or choose another -o")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise RunError(f"cannot write {path}: no permission to write to {parent}; choose another -o")
