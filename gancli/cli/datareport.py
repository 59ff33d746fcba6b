"""Report on data and plan before training: in full for --dry-run, as a summary for every run."""

import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from gancli.cli.render import print_notes, print_stderr, print_stdout, print_warnings
from gancli.errors import make_printable
from gancli.wording import format_about, format_count, format_duration, format_list, format_significant

if TYPE_CHECKING:
    from gancli.core.data.data_report import Copies
    from gancli.core.data.statistics import DataSurvey
    from gancli.core.training.trial import Trial
    from gancli.files.run_config import RunConfig
    from gancli.workflows.training import RunPlan

LABEL_WIDTH = 9
MOST_SIZES, MOST_COPIES = 3, 3
MOST_CLASSES = 60
SHOWN_PER_END = 5  # classes shown from each end of a long list
MIN_TEXT_WIDTH = 30

Row = tuple[str, str]


@dataclass(frozen=True)
class TrainingCost:
    """The cost of training, measured in a trial. memory_there_bytes: the memory of the machine."""

    n_shown: int
    images_per_s: float
    train_s: float
    memory_bytes: int
    memory_there_bytes: int


@dataclass(frozen=True)
class RunReport:
    """The survey of the data, the cost of training if it was tried, and the path of an example picture."""

    data: "DataSurvey"
    cost: TrainingCost | None
    picture: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all facts in one flat dict."""
        values = asdict(self.data)
        return {
            **(values.pop("files") or {}),
            **values,
            **(asdict(self.cost) if self.cost else {}),
            "picture": self.picture,
        }


def build_run_report(plan: "RunPlan", trial: "Trial | None") -> RunReport:
    """Survey the data, and add the cost of training if `trial` is given."""
    from gancli.core.data.statistics import survey_dataset
    from gancli.core.training import run_config

    record = plan.record
    total, budget_s = record.plan.total_nimg, record.train.time_budget
    n_shown = total if trial is None else total or trial.images(budget_s)
    conditional = bool(record.data.class_names) and record.data.clusters is None
    survey = survey_dataset(plan.images, n_shown, conditional=conditional)
    survey = replace(survey, notes=(*survey.notes, *run_config.run_config_notes(record), *plan.machine_notes))
    if trial is None:
        return RunReport(survey, None)
    train_s = round(trial.train_seconds(total) if total else budget_s, 1)
    cost = TrainingCost(n_shown or 0, round(trial.images_per_s, 1), train_s, trial.memory_bytes, trial.there_bytes)
    return RunReport(survey, cost)


def print_summary(report: RunReport, record: "RunConfig") -> None:
    """Print the short form on stderr."""
    data = report.data
    rows = [*plan_rows(record), *file_rows(data), *class_rows(data, most=2 * SHOWN_PER_END)]
    rows += [*copy_rows(data.duplicates, most=1), *cost_rows(report), ("grid", f"training images: {report.picture}")]
    for label, text in rows:
        print_stderr(f"{label:{LABEL_WIDTH}}{text}")
    print_notes([*data.notes, *(data.files.skipped if data.files else ())])
    print_warnings(data.warnings)


def print_full_report(report: RunReport, record: "RunConfig") -> None:
    """Print the long form on stdout, with the name of every bad file."""
    data, files = report.data, report.data.files
    rows = [*plan_rows(record), *file_rows(data), *mode_rows(data), *class_rows(data, most=MOST_CLASSES)]
    rows += [*copy_rows(data.duplicates, most=MOST_COPIES), *cost_rows(report)]
    if report.picture:
        rows.append(("grid", f"input of D{describe_image_changes(record)}: {report.picture}"))
    if files:
        rows.append(("cache", files.cache))
    rows += [*(("note", line) for line in data.notes), *(("warning", line) for line in data.warnings)]
    for label, text in rows:
        print_wrapped(label, make_printable(text))
    if files and files.faults:
        print_stdout(f"{format_count(len(files.faults), 'file')} of {files.n_files:,} cannot be used:")
        for name, reason in files.faults:
            print_stdout(f"  {make_printable(name)}: {reason}")


def describe_image_changes(record: "RunConfig") -> str:
    """Describe the random image changes in each step: ', mirrored, shifted and changed by cutout as in training'."""
    train = record.train
    changes = [what for is_on, what in ((train.mirror, "mirrored"), (train.shift, "shifted")) if is_on]
    if train.augment != "none" and train.augment_strength:
        changes.append(f"changed by {train.augment}")
    return f", {', '.join(changes[:-1])}{' and ' if changes[1:] else ''}{changes[-1]} as in training" if changes else ""


def print_wrapped(label: str, text: str) -> None:
    """Print a paragraph as wide as the terminal, with its label in front."""
    width = max(MIN_TEXT_WIDTH, shutil.get_terminal_size().columns) - LABEL_WIDTH
    for line in textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False):
        print_stdout(f"{label:{LABEL_WIDTH}}{line}")
        label = ""


def plan_rows(record: "RunConfig") -> Iterator[Row]:
    data, machine, train = record.data, record.machine, record.train
    total, n_classes = record.plan.total_nimg, len(data.class_names)
    length = f"{total / 1000:g} kimg" if total else f"a time budget of {format_duration(train.time_budget)}"
    known = f"{n_classes} classes: conditional" if n_classes else "unconditional"
    if data.clusters:
        known = f"{format_count(n_classes, 'cluster')} instead of classes"
    size = f"{data.resolution}x{data.resolution} {'grey' if data.channels == 1 else 'RGB'}"
    yield "preset", f"{record.preset}: {train.model}, batch {train.batch_size}, seed {train.seed}, {length}"
    if record.init:
        from gancli.core.training import finetune

        yield "init", finetune.describe_init(record.init)
    yield "data", f"{data.name}: {data.n_train:,} images of {size}, {data.n_heldout:,} held out, {known}"
    if train.augment != "none":
        yield "augment", describe_augmentation(record)
    chosen = [name for name in ("threads", "precision") if getattr(train, name) == "auto"]
    tried = f" ({' and '.join(chosen)}: the fastest in a trial)" if chosen else ""
    yield "on", f"{machine.device}, {format_count(machine.threads, 'thread')}, {machine.precision}{tried}"


def describe_augmentation(record: "RunConfig") -> str:
    """'translation,cutout, strength 0.5, on because there are fewer than 2,000 images (turn it off with ...)'."""
    train = record.train
    text = f"{train.augment}, strength {train.augment_strength:g}"
    if train.ada:
        text += " at first, then adapted to overfitting"
    if record.data.n_train < train.augment_below and not record.is_chosen("augment"):
        text += f", on because there are fewer than {train.augment_below:,} images (turn it off with --augment none)"
    return text


def file_rows(data: "DataSurvey") -> Iterator[Row]:
    """Describe files: '200 PNG, 98 JPEG; 640x480 (120), 800x600 (90) and 34 other sizes, from 120x90 to 4000x3000'."""
    if data.files is None:
        return
    kinds = ", ".join(f"{n:,} {'from npz' if kind == 'npz' else kind}" for kind, n in data.files.kinds.items())
    sizes = [f"{size} ({n:,})" for size, n in data.files.sizes.items()]
    ends = f", from {data.smallest} to {data.largest}" if len(sizes) > 1 else ""
    n, unusable = data.files.n_files, len(data.files.faults)
    total = f"{n:,} files, {n - unusable:,} usable: " if unusable else ""
    yield "files", f"{total}{kinds}; {format_list(sizes, MOST_SIZES)}{ends}"


def mode_rows(data: "DataSurvey") -> Iterator[Row]:
    if data.files:
        yield "modes", ", ".join(f"{n:,} {mode}" for mode, n in data.files.modes.items())


def class_rows(data: "DataSurvey", *, most: int) -> Iterator[Row]:
    """List training images per class; if there are more than `most` classes, only the largest and smallest."""
    if data.n_ignored:
        yield "classes", f"{data.n_ignored:,}, not used"
    rows = sorted(data.classes, key=lambda row: -row[1])
    if len(rows) < 2:
        return
    is_even = rows[0][1] == rows[-1][1]
    names = [name if is_even else f"{name} {n:,}" for name, n, _ in rows]
    if len(names) > most:
        names = [*names[:SHOWN_PER_END], "...", *names[-SHOWN_PER_END:]]
    apart = "; without the held-out images" if any(held for *_, held in rows) else ""
    yield "classes", ", ".join(names) + (f"; {rows[0][1]:,} each" if is_even else "") + apart


def copy_rows(copies: "Copies | None", *, most: int) -> Iterator[Row]:
    if copies and copies.n:
        pairs = ", ".join(" = ".join(pair) for pair in copies.pairs[:most])
        across = f"; {copies.n_across:,} held-out images are copies of training images" if copies.n_across else ""
        yield "copies", f"{format_count(copies.n, 'exact duplicate')}, such as {pairs}{across}"


def cost_rows(report: RunReport) -> Iterator[Row]:
    if cost := report.cost:
        rate = f"{format_significant(cost.images_per_s)} images/s at full batch size"
        shown = f"each image is used {format_about(report.data.passes or 0)} times"
        yield "time", f"{approximate_duration(cost.train_s)} of training ({rate}); {shown}"
        needed, there = (f"{n / 1e9:.1f} GB" for n in (cost.memory_bytes, cost.memory_there_bytes))
        yield "memory", f"about {needed} of {there} for training; scores and plots need more"


def approximate_duration(seconds: float) -> str:
    """Round a time to the accuracy of a one-second trial: 3 -> 'about 3s', 57 -> 'about 55s', 130 -> 'about 2m'."""
    step = 1 if seconds < 10 else 5 if seconds < 60 else 60 if seconds < 3600 else 600
    return f"about {format_duration(max(1, round(seconds / step) * step)).removesuffix('00s')}"
