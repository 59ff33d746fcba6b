"""The metrics of a run -> loss.png and accuracy.png."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from gancli.errors import printable
from gancli.rundir import RunDir, atomic_write

Values = npt.NDArray[np.float64]

SIZE_INCHES, DPI = (9.0, 5.0), 100
MIN_EPOCHS = 8  # below, the bold line is a moving average of the ticks
BLUE, ORANGE, GREEN, BLACK = "#0072B2", "#D55E00", "#009E73", "#222222"  # Okabe and Ito: safe for the colour-blind
GREY = "#666666"
LEFT = 0.095


@dataclass(frozen=True)
class Curve:
    """What one line shows: a key of metrics.jsonl, its name in the legend, its colour."""

    key: str
    name: str
    color: str


LOSSES = (Curve("d_loss", "discriminator", BLUE), Curve("g_loss", "generator", ORANGE))
ACCURACIES = (
    Curve("accuracy_real", "real images", BLUE),
    Curve("accuracy_fake", "generated images", ORANGE),
    Curve("accuracy", "both", BLACK),
)


def draw(run: RunDir) -> list[Path]:
    """Write both plots from metrics.jsonl and config.json; few or no measurements still give a picture."""
    config, records = run.read_config(), run.read_metrics()
    data, ideals = config.get("data", {}), config.get("ideals", {})
    subject = printable(" on ".join(filter(None, [config.get("preset"), data.get("name")])))

    losses, axes = chart(f"{subject}: losses", records, LOSSES, data.get("n_train"))
    axes.set_ylabel("loss [nats per image]", fontsize=12)
    lines = [
        (ideals[curve.key], f"ideal {curve.key[0].upper()}: {ideals.get(f'{curve.key}_name', '')}", curve.color)
        for curve in LOSSES
        if curve.key in ideals
    ]
    axes.set_ylim(limits([series(records, curve.key)[1] for curve in LOSSES], [value for value, _, _ in lines]))
    mark_ideals(axes, lines)

    accuracies, axes = chart(f"{subject}: discriminator accuracy", records, ACCURACIES, data.get("n_train"))
    axes.set_ylabel("judged correctly [% of images]", fontsize=12)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    if "accuracy" in ideals:
        mark_ideals(axes, [(ideals["accuracy"], f"ideal: {ideals['accuracy']:.0%}", BLACK)])

    save(losses, run.loss_plot)
    save(accuracies, run.accuracy_plot)
    return [run.loss_plot, run.accuracy_plot]


def chart(
    title: str, records: Sequence[dict[str, Any]], curves: Sequence[Curve], n_train: int | None
) -> tuple[Figure, Axes]:
    """Thin lines for ticks, bold ones for epochs, over kimg below and epochs above; the legend lies over no curve."""
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, facecolor="white")
    figure.subplots_adjust(left=LEFT, right=0.855, top=0.8, bottom=0.125)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e4e4", linewidth=0.8)
    axes.tick_params(labelsize=11)
    figure.text(LEFT, 0.95, title, fontsize=15, fontweight="bold", va="center", parse_math=False)

    ticks = [record for record in records if record.get("kind") == "tick"]
    epochs = [record for record in records if record.get("kind") == "epoch"]
    for curve in curves:
        thin, bold = series(ticks, curve.key), series(epochs, curve.key)
        if len(epochs) < MIN_EPOCHS:
            bold = (thin[0], smoothed(thin[1])) if len(ticks) else bold
        axes.plot(*thin, color=curve.color, linewidth=0.9, alpha=0.35)
        marker = "o" if len(bold[0]) == 1 else None
        axes.plot(*bold, color=curve.color, linewidth=2.4, marker=marker, label=curve.name)
    if not records:
        axes.text(0.5, 0.5, "no measurements yet", transform=axes.transAxes, ha="center", va="center", color=GREY)

    last_kimg = max((record["nimg"] for record in records), default=0) / 1000 or 1.0
    axes.set_xlim(0, last_kimg)
    axes.set_xlabel("images seen [kimg]", fontsize=12)
    if n_train:
        show_epochs(axes, n_train)
    figure.legend(loc="center left", bbox_to_anchor=(LEFT - 0.01, 0.89), ncols=len(curves), frameon=False, fontsize=11)
    kind = "each epoch" if len(epochs) >= MIN_EPOCHS else "moving average"
    figure.text(0.99, 0.02, f"thin: each tick\nbold: {kind}", ha="right", va="bottom", fontsize=9, color=GREY)
    return figure, axes


def show_epochs(axes: Axes, n_train: int) -> None:
    """A second scale on top, its name beside it."""

    def to_epochs(kimg: npt.ArrayLike) -> npt.ArrayLike:
        return np.asarray(kimg) * (1000 / n_train)

    def to_kimg(epochs: npt.ArrayLike) -> npt.ArrayLike:
        return np.asarray(epochs) * (n_train / 1000)

    above = axes.secondary_xaxis("top", functions=(to_epochs, to_kimg))
    above.tick_params(labelsize=11)
    axes.annotate("epochs", (1, 1), xycoords="axes fraction", xytext=(14, 8.5), textcoords="offset points", fontsize=12)


def mark_ideals(axes: Axes, lines: Sequence[tuple[float, str, str]]) -> None:
    """Dashed lines at (value, label, colour), labelled in the right margin, where no curve runs."""
    low, high = axes.get_ylim()
    middle = sum(value for value, _, _ in lines) / max(len(lines), 1)
    for value, label, color in lines:
        is_crowded = len(lines) > 1 and abs(value - middle) < 0.03 * (high - low)
        align = ("bottom" if value > middle else "top") if is_crowded else "center_baseline"
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


def series(records: Sequence[dict[str, Any]], key: str) -> tuple[Values, Values]:
    """kimg [n] and values [n] of one measurement; lines without it are left out."""
    found = [(record["nimg"] / 1000, float(record[key])) for record in records if record.get(key) is not None]
    kimg, values = zip(*found, strict=True) if found else ((), ())
    return np.array(kimg, np.float64), np.array(values, np.float64)


def smoothed(values: Values) -> Values:
    """Centred moving average over a tenth of the points, over fewer towards both ends."""
    n = len(values)
    reaches = [min(n // 20, max(i, n // 60), max(n - 1 - i, n // 60)) for i in range(n)]
    return np.array([values[max(0, i - reach) : i + reach + 1].mean() for i, reach in enumerate(reaches)])


def limits(groups: Sequence[Values], ideals: Sequence[float]) -> tuple[float, float]:
    """A range that shows the ideals and every group without its spikes; from 0 where nothing is negative."""
    finite = [group[np.isfinite(group)] for group in groups if np.isfinite(group).any()]
    high = max([*map(usual_top, finite), *ideals], default=1.0)
    low = min([*(-usual_top(-group) for group in finite), *ideals, 0.0])
    room = 0.08 * (high - low or 1.0)
    return (low - room if low < 0 else low), high + room


def usual_top(values: Values) -> float:
    """The largest value within three medians, or what nine in ten lie below where that is more."""
    usual = values[values <= 3 * np.median(np.abs(values))]
    return float(max([*usual, np.percentile(values, 90, method="lower")]))


def save(figure: Figure, path: Path) -> None:
    """Equal figures give equal bytes: no version, no date."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # a data set's name may hold letters that the font lacks
        figure.savefig(buffer, format="png", metadata={"Software": None})
    atomic_write(path, buffer.getvalue())
