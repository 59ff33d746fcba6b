"""Run folders -> one HTML file that shows them: pictures through training, curves, events, settings, data.

It opens from a disk: style, script and pictures are in it, and its own policy forbids the browser to fetch anything.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from gancli.errors import ConfigError, make_printable
from gancli.files import scores
from gancli.files.json_values import get_number, get_section, get_text
from gancli.files.run_folder import RunDir, atomic_write, read_jsonl
from gancli.report import charts, embedded, repeat, vector
from gancli.report.film import MOST_RUNS, run_labels
from gancli.report.overview import END_STATES, last_progress_event
from gancli.report.series import Record
from gancli.video.timing import merge_moments
from gancli.wording import format_count, format_duration, format_list, format_significant

FRAMES_ROOM, PICTURE_ROOM = 3_600_000, 500_000  # bytes of all frames, and of each other picture
MOST_EVENTS, MOST_CLASSES = 100, 40
MOST_ROWS, MOST_LETTERS = 300, 20_000  # of a table, and of a command
TEMPLATES = Path(__file__).with_name("template")

Row = tuple[str, str]


def write_report(run: RunDir) -> Path:
    """Write the report of a run into its folder, and return its path. Raises RunError."""
    atomic_write(run.report, render_report([run]))
    return run.report


def render_report(runs: Sequence[RunDir]) -> bytes:
    """The page of one run, or one that compares several. Equal folders give equal bytes."""
    if len(runs) > MOST_RUNS:
        raise ConfigError(f"a report compares at most {MOST_RUNS} runs, got {len(runs)}")
    names = run_labels(runs)
    frames = [embedded.embed_frames(run, FRAMES_ROOM // len(runs)) for run in runs]
    moments = merge_moments([some.nimgs for some in frames])
    records = [run.read_config() for run in runs]
    logs = [run.read_metrics() for run in runs]
    last_nimg = max([1, *moments, *(line["nimg"] for log in logs for line in log)])

    of_each = charts.report_charts(runs)
    drawn = of_each[0] if len(runs) == 1 else charts.comparison_charts(of_each, names)
    drawings = [vector.draw_chart_svg(chart, [nimg / 1000 for nimg in moments], last_nimg / 1000) for chart in drawn]
    about = [run_view(*each) for each in zip(runs, names, records, logs, frames, strict=True)]
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    page = environment.get_template("page.html").render(
        title=" · ".join(names) if len(runs) == 1 else f"{len(runs)} runs compared",
        runs=about,
        drawings=drawings,
        marks=chart_marks(runs[0], last_nimg) if len(runs) == 1 else [],
        moments=moments,
        data={
            "moments": [
                {"label": moment_label(nimg, records), "x": round(100 * nimg / last_nimg, 3)} for nimg in moments
            ],
            "nimgs": moments,
            "tracks": [{"nimgs": some.nimgs, "frames": [each.uri for each in some.pictures[:-1]]} for some in frames],
            "values": [curve.now for drawing in drawings for curve in drawing.curves],
        },
        differing=differing_settings(records),
        is_scored_alike=len(set(map(scoring_conditions, records))) == 1,
        style=(TEMPLATES / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return page.encode("utf-8", "backslashreplace")


def run_view(run: RunDir, name: str, record: Record, log: Sequence[Record], frames: embedded.EmbeddedFrames) -> Record:
    """What the template shows of one run beside curves."""
    data, events = get_section(record, "data"), read_jsonl(run.events, skip_bad=True)
    evaluated = list(scores.read_evaluations(run))
    pairs = next((each.nearest for each in evaluated if each.nearest), None)
    found = {"reals": run.reals, "samples": run.samples, "nearest": pairs}
    pictures = {
        key: embedded.embed_picture(path, PICTURE_ROOM) for key, path in found.items() if path and path.is_file()
    }
    return {
        "name": name,
        "folder": make_printable(run.path.resolve().name),
        "facts": fact_rows(record, log, events),
        "shown": frames.pictures[-1] if frames.pictures else pictures.get("samples"),
        "is_moving": bool(frames.pictures),
        "note": frames_note(frames),
        "reals": pictures.get("reals"),
        "nearest": pictures.get("nearest"),
        "nearest_folder": f"scores/{pairs.parent.name}" if pairs else "",
        "scores": evaluation_view(evaluated[0], get_text(data, "digest")) if evaluated else None,
        "events": [event_view(event) for event in events[-MOST_EVENTS:]],
        "n_events_left_out": max(0, len(events) - MOST_EVENTS),
        "settings": setting_rows(record),
        "data": data_rows(data),
        "machine": [(key, format_value(value)) for key, value in get_section(record, "machine").items()][:MOST_ROWS],
        "command": make_printable(repeat.repeat_command(record), MOST_LETTERS),
        "caveats": repeat.repeat_caveats(record),
        "version": get_text(record, "gancli"),
        "has_classes": bool(data.get("class_names")),
    }


def fact_rows(record: Record, log: Sequence[Record], events: Sequence[Record]) -> list[Row]:
    """The few numbers that one looks for first."""
    nimg = max([0, *(line["nimg"] for line in log), *(get_number(event, "nimg") or 0 for event in events[-1:])])
    total, n_train = (
        get_number(get_section(record, "plan"), "total_nimg"),
        get_number(get_section(record, "data"), "n_train"),
    )
    last: Record = next((line for line in reversed(log) if line["kind"] == "tick"), {})
    rows = [
        ("state", end_of_run(events)),
        ("trained", f"{nimg / 1000:,.1f}{f' of {total / 1000:,.1f}' if total else ''} kimg"),
    ]
    if n_train and n_train > 0:
        rows.append(("epochs", f"{nimg / n_train:,.1f}"))
    if log and (spent := get_number(log[-1], "train_s")) is not None:
        rows.append(("training time", format_duration(spent)))
        rows.append(("speed", f"{nimg / max(spent, 1e-9):,.0f} images/s"))
    if best := scores.best_training_score(get_section(record, "eval"), log):
        score, at = best
        times = f", {score.times_floor:,.3g} times its floor" if score.times_floor else ""
        rows.append((f"best {score.name}", f"{format_significant(score.value)} at {at / 1000:g} kimg{times}"))
    if (accuracy := get_number(last, "accuracy")) is not None:
        rows.append(("D accuracy", f"{accuracy:.0%} lately"))
    return rows


def end_of_run(events: Sequence[Record]) -> str:
    """'finished', 'stopped', 'diverged', 'time is up', or 'not ended yet', as a run that was killed."""
    last = last_progress_event(events)
    return {"time": "finished: time is up"}.get(last, last if last in END_STATES else "not ended yet")


def chart_marks(run: RunDir, last_nimg: int) -> list[Record]:
    """Lines across all charts: resumes and warnings."""
    return [
        {
            "place": 100 * nimg / last_nimg,
            "kind": event["event"],
            "label": f"{event['event']} {get_text(event, 'name')}".strip(),
        }
        for event in read_jsonl(run.events, skip_bad=True)[-MOST_EVENTS:]
        if event.get("event") in ("resume", "warning") and 0 <= (nimg := get_number(event, "nimg") or 0) <= last_nimg
    ]


def event_view(event: Record) -> dict[str, str]:
    nimg = get_number(event, "nimg")
    words = ": ".join(filter(None, [get_text(event, "name").replace("_", " "), get_text(event, "text")]))
    return {
        "kimg": "" if nimg is None else f"{nimg / 1000:g}",
        "event": get_text(event, "event"),
        "words": words,
        "time": get_text(event, "time"),
    }


def frames_note(frames: embedded.EmbeddedFrames) -> str:
    """What was left out, or made smaller, to keep the page small."""
    said = []
    if frames.n_left_out:
        said.append(f"{format_count(len(frames.nimgs), 'frame')} of {len(frames.nimgs) + frames.n_left_out:,} shown")
    if frames.is_reduced:
        said.append("re-encoded with small losses")
    return "; ".join([*said, "all of them, as they are, lie in frames/"]) if said else ""


def moment_label(nimg: int, records: Sequence[Record]) -> str:
    """'12.8 kimg · epoch 2.8', without epochs where runs differ in them."""
    sizes = {get_number(get_section(record, "data"), "n_train") for record in records}
    n_train = sizes.pop() if len(sizes) == 1 else None
    return f"{nimg / 1000:,.1f} kimg" + (f" · epoch {nimg / n_train:,.1f}" if n_train and n_train > 0 else "")


def scoring_conditions(record: Record) -> tuple[object, ...]:
    """Runs in which this is equal have scores that can be compared."""
    about = get_section(record, "eval")
    return (
        get_text(get_section(record, "data"), "digest"),
        get_text(about, "features_sha256"),
        get_number(about, "n_fake"),
    )


def evaluation_view(found: scores.StoredEvaluation, digest: str) -> Record:
    """What is shown of an evaluation: its folder, conditions, and rows of name, value, floor and reading.

    digest: of the data that the run was trained on.
    """
    about = found.evaluation.conditions
    return {
        "folder": f"scores/{found.folder.name}",
        "conditions": f"{found.evaluation.describe_counts()} of {get_text(about, 'data')}; the model at "
        f"{(get_number(about, 'nimg') or 0) / 1000:g} kimg; {get_text(about, 'features')} features",
        "is_of_other_data": get_text(about, "data_digest") not in ("", digest),
        "rows": [
            (
                make_printable(row.name),
                format_significant(row.value),
                format_significant(row.floor),
                row.reading,
            )
            for row in found.evaluation.scores.values()
        ],
    }


def setting_rows(record: Record) -> list[dict[str, str | bool]]:
    """Every setting with where it comes from; those that were asked for first."""
    train, sources = get_section(record, "train"), get_section(record, "sources")
    rows: list[dict[str, str | bool]] = [
        {
            "name": make_printable(name),
            "value": format_value(value),
            "source": get_text(sources, name),
            "is_asked": is_asked,
        }
        for name, value in train.items()
        for is_asked in [not get_text(sources, name).startswith(("preset", "default"))]
    ]
    return sorted(rows, key=lambda row: not row["is_asked"])[:MOST_ROWS]


def differing_settings(records: Sequence[Record]) -> list[tuple[str, list[str]]]:
    """Settings that are not the same in all runs."""
    trains = [{"preset": get_text(record, "preset"), **get_section(record, "train")} for record in records]
    names = dict.fromkeys(name for train in trains for name in train)
    rows = [(make_printable(name), [format_value(train.get(name, "")) for train in trains]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1][:MOST_ROWS]


def data_rows(data: Mapping[str, Any]) -> list[Row]:
    record = dict(data)
    names, counts = data.get("class_names"), data.get("class_counts")
    side, channels = get_number(record, "resolution"), get_number(record, "channels")
    rows = [("name", get_text(record, "name")), ("source", get_text(record, "source"))]
    if side:
        rows.append(("images", f"{side:g} x {side:g} pixels, {'colour' if channels == 3 else 'grey'}"))
    for key, label in (
        ("n_train", "to train on"),
        ("n_heldout", "held out"),
        ("n_skipped", "skipped"),
        ("n_copies", "copies"),
    ):
        if (n := get_number(record, key)) is not None:
            rows.append((label, f"{n:,.0f}"))
    if isinstance(names, list) and isinstance(counts, list) and names and len(names) == len(counts):
        each = [f"{format_value(name)} ({format_value(count)})" for name, count in zip(names, counts, strict=True)]
        rows.append(("clusters" if "clusters" in data else "classes", format_list(each, MOST_CLASSES)))
    rows.append(("digest", get_text(record, "digest")))
    return [(label, value) for label, value in rows if value]


def format_value(value: object) -> str:
    """A plain value of a record in one line."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return make_printable(f"{value:g}" if isinstance(value, float) else str(value))
