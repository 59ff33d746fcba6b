"""The rows of the table that scripts/gpu_check writes: pure functions, without torch."""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Result = Literal["passed", "failed", "finding", "measured", "skipped"]
HEAD = ("part", "what", "result", "value", "compared with", "note")


@dataclass(frozen=True)
class Row:
    """One line of the table. part, what: what was checked. value: what was found; compared_with: limit or forecast.

    result: "passed" or "failed" for a check; "finding" for something to improve that is no error; "measured" for a
    number without a limit; "skipped" for what this device cannot do. numbers: the same values, for the JSON file.
    """

    part: str
    what: str
    result: Result
    value: str = ""
    compared_with: str = ""
    note: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)


def within(part: str, what: str, difference: float, tolerance: float, note: str = "") -> Row:
    """Return a row that passes if the difference is at most the tolerance; NaN fails."""
    result: Result = "passed" if difference <= tolerance else "failed"
    numbers = {"difference": difference, "tolerance": tolerance}
    return Row(part, what, result, f"{difference:.1e}", f"at most {tolerance:.0e}", note, numbers)


def skipped(part: str, what: str, reason: str) -> Row:
    return Row(part, what, "skipped", note=reason)


def failed(part: str, reason: str) -> Row:
    """Return the row of a part that ended early."""
    return Row(part, "whole part", "failed", f"failed: {reason}")


def exit_code(rows: Sequence[Row]) -> int:
    """Return 1 if a row failed, or if there are no rows; else 0."""
    return int(not rows or any(row.result == "failed" for row in rows))


def describe_counts(rows: Sequence[Row]) -> str:
    """Describe the results: '12 passed, 1 failed, 3 measured'."""
    counts = Counter(row.result for row in rows)
    return ", ".join(f"{counts[name]} {name}" for name in get_args(Result) if counts[name])


def format_cell(text: str) -> str:
    """Format text for a cell of a Markdown table: one line, with escaped bars."""
    return " ".join(text.split()).replace("|", "\\|")


def format_markdown(title: str, paragraphs: Sequence[str], rows: Sequence[Row]) -> str:
    """Format a page with one table. Rows of one part stay together, and the name of the part is given once."""
    lines = [f"# {title}", "", *(part for text in paragraphs for part in (text, ""))]
    lines += [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    last = ""
    for row in rows:
        part, last = "" if row.part == last else row.part, row.part
        cells = (part, row.what, row.result, row.value, row.compared_with, row.note)
        lines.append(f"| {' | '.join(map(format_cell, cells))} |")
    return "\n".join(lines) + "\n"


def format_json(about: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Format facts about the whole check, and all rows with their numbers. A number that is not finite becomes null."""
    values = {**about, "results": dict(Counter(row.result for row in rows)), "rows": [*map(dataclasses.asdict, rows)]}
    return json.dumps(replace_not_finite(values), indent=1, allow_nan=False) + "\n"


def format_line(row: Row) -> str:
    """Format a row as a line of JSON, for `parse_line`."""
    return json.dumps(dataclasses.asdict(row))


def parse_line(line: str) -> Row:
    return Row(**json.loads(line))


def replace_not_finite(value: Any) -> Any:
    """Replace each float in nested dicts and lists that is not finite by None."""
    if isinstance(value, Mapping):
        return {key: replace_not_finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [replace_not_finite(each) for each in value]
    is_odd = isinstance(value, float) and value - value != 0
    return None if is_odd else value
