"""Summaries of run folders: settings, length, best score, size and state, also for broken runs.

It is fast enough for hundreds of runs: only the evaluations and the last line of a log are parsed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gancli.errors import RunError
from gancli.files.json_values import get_number, get_section, get_text
from gancli.files.run_folder import IMPLAUSIBLE_VALUE, RunDir, disk_usage_bytes, parse_nimg, read_jsonl
from gancli.files.scores import ScoreAt, best_training_score
from gancli.report.series import Record

RunState = Literal["running", "finished", "stopped", "diverged", "killed", "broken"]

END_STATES: dict[str, RunState] = {
    "finished": "finished",
    "time": "finished",
    "stopped": "stopped",
    "diverged": "diverged",
}


@dataclass(frozen=True)
class Overview:
    """The summary of a run. A "killed" run ended unexpectedly, with its process or machine; it can be resumed.

    nimg: images seen. total_nimg: images planned. Both are None if unknown. fault: why the run is broken.
    """

    path: Path
    state: RunState
    size_bytes: int
    preset: str = ""
    data: str = ""
    nimg: int | None = None
    total_nimg: int | None = None
    best: ScoreAt | None = None
    fault: str = ""

    def to_json(self) -> Record:
        best = None
        if self.best:
            score, nimg = self.best
            best = {"name": score.name, "value": score.value, "floor": score.floor, "nimg": nimg}
            best["times_floor"] = score.times_floor
        return {**vars(self), "path": str(self.path), "best": best}


def read_overview(run: RunDir) -> Overview:
    """Return the summary of a run. A broken folder gives a summary too, never an error."""
    size, is_running = disk_usage_bytes(run.path), run.is_locked()
    try:
        if is_running and not run.config.exists():  # the run is starting
            return Overview(run.path, "running", size)
        if not run.config.is_file():
            raise RunError("no config.json")
        record = run.read_config()
        ending = read_end_state(run) or "killed"
    except (RunError, OSError) as err:
        fault = str(getattr(err, "strerror", None) or err)
        return Overview(run.path, "broken", size, fault=fault.replace(f"{run.path}/", ""))
    lines = read_measurements(run.metrics)
    seen = [parse_nimg(path) for path in run.checkpoints()[:1]] + [line["nimg"] for line in lines[-1:]]
    total = get_number(get_section(record, "plan"), "total_nimg")
    return Overview(
        path=run.path,
        state="running" if is_running else ending,
        size_bytes=size,
        preset=get_text(record, "preset"),
        data=get_text(get_section(record, "data"), "name"),
        nimg=max(seen, default=None),
        total_nimg=None if total is None else int(total),
        best=best_training_score(get_section(record, "eval"), lines),
    )


def read_end_state(run: RunDir) -> RunState | None:
    """Return how a run ended, by its events; None if it has not ended."""
    return END_STATES.get(last_progress_event(read_jsonl(run.events, skip_bad=True)))


def last_progress_event(events: Sequence[Record]) -> str:
    """Return the latest event except warnings: a key of END_STATES if the run has ended; '' without events."""
    latest_first = (str(line.get("event")) for line in reversed(events))
    return next((event for event in latest_first if event != "warning"), "")


def read_measurements(path: Path) -> list[Record]:
    """Read the evaluations of a metrics.jsonl and its last line of any kind; skip broken lines."""
    try:
        lines = path.read_bytes().splitlines() if path.is_file() else []
    except OSError:
        return []
    found: list[Record] = []
    for place, line in enumerate(lines):
        if place < len(lines) - 1 and b'"eval"' not in line:
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and type(record.get("nimg")) is int and 0 <= record["nimg"] < IMPLAUSIBLE_VALUE:
            found.append(record)
    return found
