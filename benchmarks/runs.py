"""gancli's commands in fresh processes, and the numbers of several runs as a cell of a table."""

import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gancli.wording import significant


def gancli(*arguments: object, cwd: Path | None = None) -> dict[str, Any]:
    """What the command prints with --json; ends this program, too, if it fails."""
    command = ["gancli", *map(str, arguments), "--json", "--quiet"]
    done = subprocess.run([sys.executable, "-m", *command], cwd=cwd, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{shlex.join(command)} ended with {done.returncode}")
    return dict(json.loads(done.stdout))


def spread(values: Sequence[float], form: Callable[[float], str] = significant) -> str:
    """'12.3 (11.0 to 13.9)', mean, least and greatest; or the one value that all have."""
    mean, least, greatest = (form(value) for value in (statistics.fmean(values), min(values), max(values)))
    return mean if least == greatest else f"{mean} ({least} to {greatest})"
