"""Read values from untrusted JSON: a value of the expected type, or a default."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gancli.errors import make_printable


def get_section(record: Mapping[str, object], key: str) -> dict[str, Any]:
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def get_number(record: Mapping[str, object], key: str) -> float | None:
    """Return a finite number; None for anything else."""
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < sys.float_info.max else None


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; {} if the file is missing, unreadable or holds anything else."""
    try:
        record = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def get_text(record: Mapping[str, object], key: str) -> str:
    """Return a printable text; '' for anything else."""
    value = record.get(key)
    return make_printable(value) if isinstance(value, str) else ""
