"""What is said of the data and the plan before training: all of it by --dry-run, what matters by every run."""

import shutil
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gancli.cli.render import print_notes, print_stderr, print_stdout
from gancli.errors import make_printable
from gancli.wording import format_about, format_count, format_duration, format_list, format_significant

if TYPE_CHECKING:
    from gancli.core.data.dataset import ImageSet
    from gancli.core.training.trial import Trial
    from gancli.files.run_config import RunConfig

LABEL_WIDTH = 9
MOST_SIZES, MOST_COPIES = 3, 3
MOST_CLASSES = 60
SHOWN_PER_END = 5  # classes named at either end where not all are
MIN_TEXT_WIDTH = 30

Row = tuple[str, str]


def build_data_report(record: "RunConfig", data: "ImageSet", trial: "Trial | None") -> dict[str, Any]:
    """The survey of the data, and what training on them will take, if that was tried."""
    from gancli.core.data.statistics import survey_dataset
    from gancli.core.training import run_config

    total, budget_s = record.plan.total_nimg, record.train.time_budget
    n_shown = total if trial is None else total or trial.images(budget_s)
    conditional = bool(record.data.class_names) and record.data.clusters is None
    surveyed = survey_dataset(data, n_shown, conditional=conditional)
    surveyed["notes"] += run_config.run_config_notes(record)
    if trial is None:
        return surveyed
    return {
        **surveyed,
        "n_shown": n_shown,
        "images_per_s": round(trial.images_per_s, 1),
        "train_s": round(trial.train_seconds(total) if total else budget_s, 1),
        "memory_bytes": trial.memory_bytes,
        "memory_there_bytes": trial.there_bytes,
    }


def print_summary(report: dict[str, Any], record: "RunConfig") -> None:
    """The short form, on stderr."""
    rows = [
        *plan_rows(record),
        *file_rows(report),
        *class_rows(report, most=2 * SHOWN_PER_END),
        *copy_rows(report, most=1),
        *cost_rows(report),
    ]
    for label, text in (*rows, ("grid", f"training images: {report['picture']}")):
        print_stderr(f"{label:{LABEL_WIDTH}}{text}")
    print_notes([*report["notes"], *report.get("skipped", [])])
    for line in report["warnings"]:
        print_stderr(f"warning: {line}")


def print_full_report(report: dict[str, Any], record: "RunConfig") -> None:
    """The long form, on stdout; every bad file by its name."""
    rows = [*plan_rows(record), *file_rows(report), *mode_rows(report), *class_rows(report, most=MOST_CLASSES)]
    rows += [*copy_rows(report, most=MOST_COPIES), *cost_rows(report)]
    if report["picture"]:
        rows.append(("grid", f"what D will see{describe_image_changes(record)}: {report['picture']}"))
    if "cache" in report:
        rows.append(("cache", report["cache"]))
    rows += [(kind, line) for kind in ("note", "warning") for line in report[f"{kind}s"]]
    for label, text in rows:
        print_wrapped(label, make_printable(text))
    if faults := report.get("faults", []):
        print_stdout(f"{format_count(len(faults), 'file')} of {report['n_files']:,} cannot be used:")
        for name, reason in faults:
            print_stdout(f"  {make_printable(name)}: {reason}")


def describe_image_changes(record: "RunConfig") -> str:
    """What is done to images at every step: ', mirrored, shifted and changed by cutout as in training'."""
    train = record.train
    done = [what for is_on, what in ((train.mirror, "mirrored"), (train.shift, "shifted")) if is_on]
    if train.augment != "none" and train.augment_strength:
        done.append(f"changed by {train.augment}")
    return f", {', '.join(done[:-1])}{' and ' if done[1:] else ''}{done[-1]} as in training" if done else ""


def print_wrapped(label: str, text: str) -> None:
    """A paragraph as wide as the terminal, its label before it."""
    width = max(MIN_TEXT_WIDTH, shutil.get_terminal_size().columns) - LABEL_WIDTH
    for line in textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False):
        print_stdout(f"{label:{LABEL_WIDTH}}{line}")
        label = ""


def plan_rows(record: "RunConfig") -> Iterator[Row]:
    data, machine, train = record.data, record.machine, record.train
    total, n_classes = record.plan.total_nimg, len(data.class_names)
    length = f"{total / 1000:g} kimg" if total else f"as many images as fit {format_duration(train.time_budget)}"
    kind = "clusters in place of classes" if data.clusters else "classes: conditional"
    known = f"{n_classes} {kind}" if n_classes else "unconditional"
    size = f"{data.resolution}x{data.resolution} {'grey' if data.channels == 1 else 'RGB'}"
    yield "preset", f"{record.preset}: {train.model}, batch {train.batch_size}, seed {train.seed}, {length}"
    if record.init:
        from gancli.core.training import finetune

        yield "init", finetune.describe_init(record.init)
    yield "data", f"{data.name}: {data.n_train:,} images of {size}, {data.n_heldout:,} held out, {known}"
    if train.augment != "none":
        yield "augment", describe_augmentation(record)
    chosen = [name for name in ("threads", "precision") if getattr(train, name) == "auto"]
    tried = f" ({' and '.join(chosen)}: the fastest of a trial)" if chosen else ""
    yield "on", f"{machine.device}, {format_count(machine.threads, 'thread')}, {machine.precision}{tried}"


def describe_augmentation(record: "RunConfig") -> str:
    """'translation,cutout, strength 0.5, since fewer than 2,000 images are few (--augment none: off)'."""
    train = record.train
    said = f"{train.augment}, strength {train.augment_strength:g}"
    if train.ada:
        said += " at first, then by overfitting"
    if record.data.n_train < train.augment_below and not record.is_chosen("augment"):
        said += f", since fewer than {train.augment_below:,} images are few (--augment none: off)"
    return said


def file_rows(report: dict[str, Any]) -> Iterator[Row]:
    """Kinds and sizes: '200 PNG, 98 JPEG; 640x480 (120), 800x600 (90) and 34 other sizes, from 120x90 to 4000x3000'."""
    if "kinds" not in report:
        return
    kinds = ", ".join(f"{n:,} {'from npz' if kind == 'npz' else kind}" for kind, n in report["kinds"].items())
    sizes = [f"{size} ({n:,})" for size, n in report["sizes"].items()]
    ends = f", from {report['smallest']} to {report['largest']}" if len(sizes) > 1 else ""
    unusable = len(report["faults"])
    total = f"{report['n_files']:,} files, {report['n_files'] - unusable:,} usable: " if unusable else ""
    yield "files", f"{total}{kinds}; {format_list(sizes, MOST_SIZES)}{ends}"


def mode_rows(report: dict[str, Any]) -> Iterator[Row]:
    if "modes" in report:
        yield "modes", ", ".join(f"{n:,} {mode}" for mode, n in report["modes"].items())


def class_rows(report: dict[str, Any], *, most: int) -> Iterator[Row]:
    """Training images of each class; of more than `most` classes, those with most and those with fewest."""
    if report.get("n_ignored"):
        yield "classes", f"{report['n_ignored']:,}, ignored"
    rows = sorted(report["classes"], key=lambda row: -row[1])
    if len(rows) < 2:
        return
    is_even = rows[0][1] == rows[-1][1]
    said = [name if is_even else f"{name} {n:,}" for name, n, _ in rows]
    if len(said) > most:
        said = [*said[:SHOWN_PER_END], "...", *said[-SHOWN_PER_END:]]
    apart = ", without those held out" if any(held for *_, held in rows) else ""
    yield "classes", ", ".join(said) + (f"; {rows[0][1]:,} each" if is_even else "") + apart


def copy_rows(report: dict[str, Any], *, most: int) -> Iterator[Row]:
    found = report.get("duplicates", {"n": 0})
    if not found["n"]:
        return
    pairs = ", ".join(" = ".join(pair) for pair in found["pairs"][:most])
    across = f"; {found['n_across']:,} held-out ones are copies of training ones" if found["n_across"] else ""
    yield "copies", f"{found['n']:,} exactly like an earlier one, such as {pairs}{across}"


def cost_rows(report: dict[str, Any]) -> Iterator[Row]:
    if "train_s" not in report:
        return
    rate = f"{format_significant(report['images_per_s'])} images/s in a trial"
    shown = f"each image is shown {format_about(report['passes'])} times"
    yield "time", f"{approximate_duration(report['train_s'])} of training ({rate}); {shown}"
    needed, there = (f"{report[name] / 1e9:.1f} GB" for name in ("memory_bytes", "memory_there_bytes"))
    yield "memory", f"about {needed} of {there} for training, more at scores and plots"


def approximate_duration(seconds: float) -> str:
    """As exact as a trial of a second is: 3 -> 'about 3s', 57 -> 'about 55s', 130 -> 'about 2m'."""
    step = 1 if seconds < 10 else 5 if seconds < 60 else 60 if seconds < 3600 else 600
    return f"about {format_duration(max(1, round(seconds / step) * step)).removesuffix('00s')}"
