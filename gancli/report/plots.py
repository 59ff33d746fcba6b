"""The metrics of a run -> loss.png, accuracy.png and score.png."""

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context, rcdefaults
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from gancli.files.run_folder import RunDir, atomic_write
from gancli.files.scores import CLASS_BALANCE, COVERAGE
from gancli.report.series import (
    axis_limits,
    drawable_points,
    drop_partial_mean,
    get_number,
    get_section,
    get_text,
    log_axis_limits,
    metric_series,
    smooth_centred,
)
from gancli.wording import format_significant

WIDTH, DPI = 9.0, 100  # inches, pixels per inch
MIN_EPOCHS = 8  # below, the bold line is a moving average of the ticks
BLUE, ORANGE, GREEN, BLACK = "#0072B2", "#D55E00", "#009E73", "#222222"  # Okabe and Ito: safe for the colour-blind
CROWDED_LINES = 10  # pixels: closer than this to their middle, two labels would overlap
GREY = "#666666"
EVALUATED: dict[str, Any] = {"linewidth": 2.0, "marker": "o", "markersize": 5, "clip_on": False}


@dataclass(frozen=True)
class CurveStyle:
    """What one line shows: a key of metrics.jsonl, its name in the legend, its colour."""

    key: str
    name: str
    color: str


LOSSES = (CurveStyle("d_loss", "discriminator", BLUE), CurveStyle("g_loss", "generator", ORANGE))
ACCURACIES = (
    CurveStyle("accuracy_real", "training images", BLUE),
    CurveStyle("accuracy_fake", "generated images", ORANGE),
    CurveStyle("accuracy", "both", BLACK),
    CurveStyle("accuracy_heldout", "held-out images", GREEN),
)
PAIRS = (
    CurveStyle("accuracy", "training and generated image", BLACK),
    CurveStyle("accuracy_heldout", "held-out and generated image", GREEN),
)
SHARES = (
    CurveStyle(COVERAGE.key, f"{COVERAGE.label}, {COVERAGE.better} is better", BLUE),
    CurveStyle(CLASS_BALANCE.key, f"{CLASS_BALANCE.label} (total variation), {CLASS_BALANCE.better} is better", ORANGE),
)


@contextlib.contextmanager
def default_style() -> Iterator[None]:
    """Matplotlib's own, whatever a matplotlibrc here or at home says."""
    with rc_context():
        rcdefaults()
        yield


@default_style()
def draw_plots(run: RunDir) -> list[Path]:
    """Write the plots from metrics.jsonl and config.json and return their paths, the score only where one was taken.

    Few or no measurements still give a picture; what config.json lacks, or has of a wrong type, is left out.
    """
    config, records = run.read_config(), run.read_metrics()
    data, ideals = get_section(config, "data"), get_section(config, "ideals")
    n_train = get_number(data, "n_train")
    subject = " on ".join(filter(None, [get_text(config, "preset"), get_text(data, "name")]))
    measured = [record for record in records if record["kind"] in ("tick", "epoch")]

    losses, axes = draw_chart(f"{subject}: losses", measured, LOSSES, n_train)
    unit = get_text(ideals, "loss_unit") if "loss_unit" in ideals else "nats per image"
    axes.set_ylabel(f"loss [{unit}]" if unit else "loss", fontsize=12)
    lines = ideal_losses(ideals)
    axes.set_ylim(
        axis_limits([metric_series(measured, curve.key)[1] for curve in LOSSES], [value for value, _, _ in lines])
    )
    mark_ideals(axes, lines)

    of_pairs = get_text(ideals, "accuracy_of") == "pairs"
    curves = PAIRS if of_pairs else ACCURACIES
    accuracies, axes = draw_chart(f"{subject}: discriminator accuracy", measured, curves, n_train)
    axes.set_ylabel(f"judged correctly [% of {'pairs' if of_pairs else 'images'}]", fontsize=12)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    if (ideal := get_number(ideals, "accuracy")) is not None:
        mark_ideals(axes, [(ideal, f"ideal: {ideal:.0%}", BLACK)])

    figures = {run.loss_plot: losses, run.accuracy_plot: accuracies}
    if any(record["kind"] == "eval" for record in records):
        figures[run.score_plot], _, _ = score_chart(subject, records, get_section(config, "eval"), n_train)
    for path, figure in figures.items():
        save_figure(figure, path)
    return list(figures)


def ideal_losses(ideals: dict[str, Any]) -> list[tuple[float, str, str]]:
    """(value, label, colour) of what the losses ought to reach; one line where that is the same for both."""
    found = [
        (ideal, f"ideal {curve.key[0].upper()}: {get_text(ideals, f'{curve.key}_name')}", curve.color)
        for curve in LOSSES
        if (ideal := get_number(ideals, curve.key)) is not None
    ]
    if len(found) == 2 and found[0][0] == found[1][0]:
        return [(found[0][0], f"ideal: {get_text(ideals, 'd_loss_name')}", BLACK)]
    return found


def draw_chart(
    title: str, records: Sequence[dict[str, Any]], curves: Sequence[CurveStyle], n_train: float | None
) -> tuple[Figure, Axes]:
    """Thin lines for ticks, bold ones for epochs, over kimg below and epochs above; the legend lies over no curve."""
    figure, (axes,) = new_figure(title)
    ticks, epochs = drop_partial_mean(records, "tick"), drop_partial_mean(records, "epoch")
    for curve in curves:
        thin, bold = metric_series(ticks, curve.key), metric_series(epochs, curve.key)
        if len(epochs) < MIN_EPOCHS or not len(bold[0]):
            bold = (thin[0], smooth_centred(thin[1])) if len(thin[0]) else bold
        if not len(bold[0]) and records:
            continue
        axes.plot(*thin, color=curve.color, linewidth=0.9, alpha=0.35)
        marker = "o" if len(bold[0]) == 1 else None
        axes.plot(*bold, color=curve.color, linewidth=2.4, marker=marker, label=curve.name)
    if not records:
        say_empty(axes)

    show_progress([axes], records, n_train)
    add_legend(figure, axes, 0.89)
    kind = "each epoch" if len(epochs) >= MIN_EPOCHS else "moving average"
    add_note(figure, f"thin: each tick\nbold: {kind}")
    return figure, axes


def score_chart(
    subject: str, records: Sequence[dict[str, Any]], about: dict[str, Any], n_train: float | None
) -> tuple[Figure, Axes, Axes]:
    """The score of every evaluation on a log scale, the best one marked; below it coverage and class balance.

    records: of every kind, so that the kimg axis is that of the other charts. about: "eval" of config.json. Scores that
    a log scale has no place for lie on its edge.
    """
    evaluations = [record for record in records if record["kind"] == "eval"]
    name, floor = get_text(about, "score"), get_number(about, "floor")
    distance = "Kernel" if name.startswith("kid") else "Frechet"
    figure, (above, below) = new_figure(
        f"{subject}: {distance} distance{f' ({name})' if name else ''}", 6.5, 0.13, (2, 1)
    )

    kimg, scores = drawable_points(evaluations, name)
    low, high = log_axis_limits([*scores, *([] if floor is None else [floor])])
    above.set_yscale("log")
    above.set_ylim(low, high)
    above.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1e4 else (1,)))
    above.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    above.yaxis.set_minor_locator(NullLocator())
    above.set_ylabel(f"{distance} distance to the\ntraining images, lower is better", fontsize=12)
    shown = np.clip(scores, low, high)
    above.plot(kimg, shown, color=BLACK, **EVALUATED, label="each evaluation")
    if len(scores):
        i = int(scores.argmin())
        label = f"best {format_significant(scores[i])} at {kimg[i]:g} kimg"
        above.plot(kimg[i], shown[i], "*", color=GREEN, markersize=15, clip_on=False, zorder=3, label=label)
        add_legend(figure, above, 0.915)
    else:
        say_empty(above)
    if floor is not None and low < floor < high:
        mark_ideals(above, [(floor, f"floor {format_significant(floor)}", BLACK)])

    floors = []
    for curve in SHARES:
        kimg, shares = drawable_points(evaluations, curve.key, 0, 1)
        if len(shares):
            below.plot(kimg, shares, color=curve.color, **EVALUATED, label=curve.name)
            value = get_number(about, f"{curve.key}_floor")
            floors += [(value, f"floor {value:.2f}", curve.color)] if value is not None and 0 <= value <= 1 else []
    below.set_ylim(0, 1.02)
    if below.lines:
        add_legend(figure, below, 0.365)
    else:
        say_empty(below)
    mark_ideals(below, floors)

    show_progress([above, below], records, n_train)
    n_real, n_fake = get_number(about, "n_real"), get_number(about, "n_fake")
    if n_real and n_fake:
        add_note(figure, f"{n_fake:,.0f} generated, {n_real:,.0f} training images")
    return figure, above, below


def new_figure(
    title: str, height: float = 5.0, left: float = 0.095, shares: Sequence[float] = (1,)
) -> tuple[Figure, list[Axes]]:
    """A titled figure of so many inches, and its empty panels, one below the other, which share the axis of kimg."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    figure.subplots_adjust(left=left, right=0.855, top=1 - 1 / height, bottom=0.625 / height)
    panels = figure.subplots(
        len(shares), sharex=True, squeeze=False, gridspec_kw={"height_ratios": shares, "hspace": 0.25}
    )[:, 0]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e4e4e4", linewidth=0.8)
        axes.tick_params(labelsize=11)
    size = 15.0
    heading = figure.text(
        left, 1 - 0.25 / height, title, fontsize=size, fontweight="bold", va="center", parse_math=False
    )
    with warnings.catch_warnings(action="ignore"):  # as in save
        while size > 5 and heading.get_window_extent().x1 > 0.99 * WIDTH * DPI:
            size -= 0.5
            heading.set_fontsize(size)
    return figure, list(panels)


def show_progress(panels: Sequence[Axes], records: Sequence[dict[str, Any]], n_train: float | None) -> None:
    """Images seen by all records, in kimg below the last panel and in epochs above the first."""
    last_kimg = max((record["nimg"] for record in records), default=0) / 1000 or 1.0
    panels[-1].set_xlim(0, last_kimg)
    panels[-1].set_xlabel("images seen [kimg]", fontsize=12)
    if n_train and n_train > 0:
        show_epochs(panels[0], n_train)


def add_legend(figure: Figure, axes: Axes, y: float) -> None:
    """The names of a panel's curves in one line at a height of the figure, between panels, where no curve runs."""
    handles, names = axes.get_legend_handles_labels()
    place = figure.subplotpars.left - 0.01, y
    figure.legend(handles, names, loc="center left", bbox_to_anchor=place, ncols=len(names), frameon=False, fontsize=11)


def add_note(figure: Figure, note: str) -> None:
    figure.text(0.99, 0.1 / figure.get_figheight(), note, ha="right", va="bottom", fontsize=9, color=GREY)


def say_empty(axes: Axes) -> None:
    axes.text(0.5, 0.6, "no measurements yet", transform=axes.transAxes, ha="center", va="center", color=GREY)


def show_epochs(axes: Axes, n_train: float) -> None:
    """A second scale on top, its name beside it."""

    def to_epochs(kimg: npt.ArrayLike) -> npt.ArrayLike:
        return np.asarray(kimg) * (1000 / n_train)

    def to_kimg(epochs: npt.ArrayLike) -> npt.ArrayLike:
        return np.asarray(epochs) * (n_train / 1000)

    above = axes.secondary_xaxis("top", functions=(to_epochs, to_kimg))
    above.tick_params(labelsize=11)
    axes.annotate("epochs", (1, 1), xycoords="axes fraction", xytext=(24, 8.5), textcoords="offset points", fontsize=12)


def mark_ideals(axes: Axes, lines: Sequence[tuple[float, str, str]]) -> None:
    """Dashed lines at (value, label, colour), labelled in the right margin, where no curve runs."""
    heights = [float(axes.transData.transform((0, value))[1]) for value, _, _ in lines]
    middle = sum(heights) / max(len(lines), 1)
    for height, (value, label, color) in zip(heights, lines, strict=True):
        is_crowded = len(lines) > 1 and abs(height - middle) < CROWDED_LINES
        align = ("bottom" if height > middle else "top") if is_crowded else "center_baseline"
        axes.axhline(value, color=color, linewidth=1.4, linestyle=(0, (5, 3)))
        axes.annotate(
            label,
            (1, value),
            xycoords=axes.get_yaxis_transform(),
            xytext=(6, 0),
            textcoords="offset points",
            va=align,
            color=color,
            fontsize=11,
        )


def save_figure(figure: Figure, path: Path) -> None:
    """Equal figures give equal bytes: no version, no date."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # a data set's name may hold letters that the font lacks
        figure.savefig(buffer, format="png", metadata={"Software": None})
    atomic_write(path, buffer.getvalue())
