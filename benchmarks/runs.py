"""Run gancli's commands in fresh processes, interleave measurements, and format several results as table cells."""

import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from gancli.wording import format_significant

T = TypeVar("T")


class Spent(NamedTuple):
    """The cost of a process, and its output. memory_mib: its peak, at least the peak of this process."""

    wall_s: float
    cpu_s: float
    memory_mib: float
    output: str


def fresh(*arguments: object) -> Spent:
    """Run Python with these arguments; exits with an error if that fails."""
    command = [sys.executable, *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as errors:  # a pipe could fill up while only stdout is read
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout
        output = process.stdout.read()
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            sys.exit(f"{shlex.join(command)} ended with {process.returncode}:\n{errors.read()}")
    kib = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return Spent(wall_s, usage.ru_utime + usage.ru_stime, kib / 1024, output)


def gancli(*arguments: object, cwd: Path | None = None) -> dict[str, Any]:
    """Run a gancli command; returns its --json output. Exits with an error if the command fails."""
    command = ["gancli", *map(str, arguments), "--json", "--quiet"]
    done = subprocess.run([sys.executable, "-m", *command], cwd=cwd, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{shlex.join(command)} ended with {done.returncode}")
    return dict(json.loads(done.stdout))


def in_turn(works: Mapping[str, Callable[[int], T]], rounds: int) -> dict[str, list[T]]:
    """Call each with the number of the round; returns the results by name. Every second round is in reverse order."""
    found: dict[str, list[T]] = {name: [] for name in works}
    for number in range(rounds):
        for name in list(works)[:: -1 if number % 2 else 1]:
            found[name].append(works[name](number))
    return found


def spread(
    values: Sequence[float],
    form: Callable[[float], str] = format_significant,
    middle: Callable[[Sequence[float]], float] = statistics.fmean,
) -> str:
    """'12.3 (11.0 to 13.9)': mean (or another middle), least and greatest; a single number if all are equal."""
    centre, least, greatest = (form(value) for value in (middle(values), min(values), max(values)))
    return centre if least == greatest else f"{centre} ({least} to {greatest})"


def median(values: Sequence[float], form: Callable[[float], str] = format_significant) -> str:
    """Like `spread`, with the median."""
    return spread(values, form, statistics.median)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
