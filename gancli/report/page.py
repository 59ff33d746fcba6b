"""Write one HTML file about runs: pictures during training, curves, events, settings, data.

The file contains its style, script and pictures, so it opens from a disk; its content policy blocks all requests.
run_view.py collects the facts about a run, and template/page.html has the layout and the fixed texts.
"""

import base64
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2

from gancli import platform
from gancli.errors import ConfigError, make_printable
from gancli.files.json_values import get_number, get_section, get_text
from gancli.files.run_folder import RunDir, atomic_write
from gancli.files.run_log import read_metric_records
from gancli.report import charts, vector
from gancli.report.film import MOST_RUNS, run_labels
from gancli.report.overview import read_end_state
from gancli.report.repeat import repeat_caveats, repeat_command
from gancli.report.run_view import EVENT_NAMES, MOST_EVENTS, RunView, differing_settings
from gancli.report.series import Record
from gancli.video.timing import merge_moments
from gancli.wording import format_significant

FRAMES_ROOM = 3_600_000  # bytes of all frames
MOST_LETTERS = 20_000  # characters of a command
RELOAD_S = 10  # period of reloads while a run is running
MISSED_SNAPSHOTS = 5  # a page that misses this many updates stops reloading
SHORTEST_PATIENCE_S, LONGEST_PATIENCE_S = 600, 7 * 24 * 3600
TEMPLATES = Path(__file__).with_name("template")


class LivePage(NamedTuple):
    """How a page reloads itself from the disk while its run is training.

    written_s: when the page was written, in seconds since 1970. patience_s: age at which the page stops reloading,
    because its run was probably killed. command: how to continue the run then.
    """

    reload_s: float
    written_s: float
    patience_s: float
    command: str


def write_report(run: RunDir) -> Path:
    """Write the report of a run into its folder and return its path. Raises RunError."""
    atomic_write(run.report, render_run_report(run))
    return run.report


def render_run_report(run: RunDir) -> bytes:
    """Render report.html of a run. The page reloads itself if a process is training the run."""
    if not run.is_locked() or read_end_state(run):
        return render_report([run])
    command = f"gancli train --resume {make_printable(platform.quote(run.path), MOST_LETTERS)}"
    log = read_metric_records(run)
    return render_report([run], live=LivePage(RELOAD_S, time.time(), find_patience_s(run.read_config(), log), command))


def find_patience_s(record: Record, log: Sequence[Record]) -> float:
    """Return the time without an update after which a run was probably killed: several snapshots at its speed."""
    snapshot_nimg = 1000 * (get_number(get_section(record, "train"), "snapshot_kimg") or 0)
    last = next((line for line in reversed(log) if line["nimg"] and get_number(line, "train_s")), None)
    s_per_image = last["train_s"] / last["nimg"] if last else 0
    return min(max(SHORTEST_PATIENCE_S, MISSED_SNAPSHOTS * snapshot_nimg * s_per_image), LONGEST_PATIENCE_S)


def render_report(runs: Sequence[RunDir], *, live: LivePage | None = None) -> bytes:
    """Render the page of one run, or a page that compares several runs. Equal folders give equal bytes.

    live: how the page reloads itself; None means that it never does.
    """
    if len(runs) > MOST_RUNS:
        raise ConfigError(f"a report compares at most {MOST_RUNS} runs, got {len(runs)}")
    records = [run.read_config() for run in runs]
    names, room = run_labels(runs, records), FRAMES_ROOM // len(runs)
    views = [RunView.read(*each, room) for each in zip(runs, records, names, strict=True)]
    moments = merge_moments([view.frames.nimgs for view in views])
    last_nimg = max([1, *moments, *(line["nimg"] for view in views for line in view.log)])
    of_each = charts.report_charts([(view.record, view.log) for view in views])
    shown = of_each[0] if len(runs) == 1 else charts.comparison_charts(of_each, names)
    drawings = [vector.draw_chart_svg(chart, [nimg / 1000 for nimg in moments], last_nimg / 1000) for chart in shown]
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    page = page_template().render(
        title=" · ".join(names) if len(runs) == 1 else f"{len(runs)} runs compared",
        runs=views,
        drawings=drawings,
        marks=[mark for mark in views[0].marks if mark.nimg <= last_nimg] if len(runs) == 1 else [],
        last_nimg=last_nimg,
        moments=moments,
        most_events=MOST_EVENTS,
        live=live,
        data={
            "live": live and live._asdict(),
            "moments": [
                {"label": moment_label(nimg, views), "x": round(100 * nimg / last_nimg, 3)} for nimg in moments
            ],
            "nimgs": moments,
            "tracks": [
                {"nimgs": view.frames.nimgs, "frames": [picture.uri for picture in view.frames.pictures[:-1]]}
                for view in views
            ],
            "values": [curve.now for drawing in drawings for curve in drawing.curves],
        },
        differing=differing_settings(views),
        is_scored_alike=len({view.scoring_conditions for view in views}) == 1,
        style=(TEMPLATES / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return page.encode("utf-8", "backslashreplace")


def page_template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "caveats": repeat_caveats,
        "event_name": lambda event: EVENT_NAMES.get(get_text(event, "event"), get_text(event, "event")),
        "command": lambda record: make_printable(repeat_command(record), MOST_LETTERS),
        "kimg": lambda nimg: "" if nimg is None else f"{nimg / 1000:g}",
        "number": get_number,
        "printable": make_printable,
        "significant": format_significant,
        "text": get_text,
    }
    return environment.get_template("page.html")


def moment_label(nimg: int, views: Sequence[RunView]) -> str:
    """Return '12.8 kimg · epoch 2.8'; without the epoch if the runs have different training set sizes."""
    sizes = {view.n_train for view in views}
    n_train = sizes.pop() if len(sizes) == 1 else None
    return f"{nimg / 1000:,.1f} kimg" + (f" · epoch {nimg / n_train:,.1f}" if n_train and n_train > 0 else "")
