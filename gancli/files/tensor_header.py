"""Read the header of a safetensors file that gancli wrote, without torch: its kind, metadata and digest.

core/networks/tensor_file.py reads and writes the whole file.
"""

import json
from pathlib import Path

from gancli.errors import DamagedFileError, FileFormatError

FORMAT_VERSION = 1
MOST_HEADER = 100_000_000  # bytes; safetensors has the same limit
RESTORE_HINT = "choose another file, or restore it from a copy"
REPLACE_HINT = "choose another file, or update gancli"
METADATA_KEY = "gancli"  # one key for all metadata, because safetensors writes several keys in no fixed order


def read_tensor_header(kind: str, path: Path) -> dict[str, str]:
    """Return the "meta" and "sha256" that `pack_tensors` wrote; read only the beginning of the file.

    Raises FileFormatError, DamagedFileError.
    """
    if path.exists() and not path.is_file():
        raise FileFormatError(f"{path} is not a file; give a file that gancli wrote")
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > MOST_HEADER:
                raise ValueError
            metadata = json.loads(file.read(length)).get("__metadata__", {})
    except FileNotFoundError as err:
        raise FileFormatError(f"there is no file {path}; check the path") from err
    except (OSError, MemoryError) as err:
        raise unreadable_error(path, err) from err
    except (ValueError, AttributeError, RecursionError) as err:
        raise DamagedFileError(f"{path} is damaged or not a safetensors file; {RESTORE_HINT}") from err
    if METADATA_KEY not in metadata:
        raise FileFormatError(
            f"{path} is a safetensors file, but gancli did not write it; give a file that gancli wrote"
        )
    try:
        header = json.loads(metadata[METADATA_KEY])
        version, found = int(header["format_version"]), str(header["kind"])
        texts = {name: str(header[name]) for name in ("meta", "sha256")}
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as err:
        raise DamagedFileError(f"{path} is damaged: its header cannot be read; {RESTORE_HINT}") from err
    if version > FORMAT_VERSION:
        raise FileFormatError(f"{path} has format {version}, which this version of gancli cannot read; update gancli")
    if found != kind:
        way_out = "; give its run folder instead" if (found, kind) == ("checkpoint", "model") else ""
        raise FileFormatError(f"{path} is a gancli {found}, not a {kind}{way_out}")
    return texts


def unreadable_error(path: Path, err: Exception) -> FileFormatError:
    reason = getattr(err, "strerror", None) or str(err) or "it does not fit into memory"
    return FileFormatError(f"cannot read {path}: {reason}")


def read_class_names(model: Path) -> list[str]:
    """Return the class names of a model file; [] if it has none, or if the file is damaged."""
    try:
        names = json.loads(read_tensor_header("model", model)["meta"])["class_names"]
    except (FileFormatError, DamagedFileError, ValueError, TypeError, KeyError, RecursionError):
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
