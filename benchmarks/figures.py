"""Shared parts of the benchmarks' figures. They use matplotlib, which gancli itself does not need."""

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gancli.files.run_folder import atomic_write

WIDTH, DPI = 9.0, 100  # inches, pixels per inch
BLUE, ORANGE, GREEN, BLACK = "#0072B2", "#D55E00", "#009E73", "#222222"  # Okabe and Ito: safe for the colour-blind
GREY = "#666666"


def new_figure(
    title: str, height: float = 5.0, left: float = 0.095, shares: Sequence[float] = (1,)
) -> tuple[Figure, list[Axes]]:
    """A titled figure of this height in inches, and its empty panels, stacked on a shared kimg axis."""
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
    with warnings.catch_warnings(action="ignore"):  # as in save_figure
        while size > 5 and heading.get_window_extent().x1 > 0.99 * WIDTH * DPI:
            size -= 0.5
            heading.set_fontsize(size)
    return figure, list(panels)


def show_progress(panels: Sequence[Axes], records: Sequence[Mapping[str, Any]], n_train: float | None) -> None:
    """Label the axis of images seen: kimg below the last panel, epochs above the first."""
    last_kimg = max((record["nimg"] for record in records), default=0) / 1000 or 1.0
    panels[-1].set_xlim(0, last_kimg)
    panels[-1].set_xlabel("images seen [kimg]", fontsize=12)
    if n_train and n_train > 0:
        show_epochs(panels[0], n_train)


def add_legend(figure: Figure, axes: Axes, y: float) -> None:
    """Write the names of a panel's curves in one line at height y of the figure, clear of all curves."""
    handles, names = axes.get_legend_handles_labels()
    place = figure.subplotpars.left - 0.01, y
    figure.legend(handles, names, loc="center left", bbox_to_anchor=place, ncols=len(names), frameon=False, fontsize=11)


def add_note(figure: Figure, note: str) -> None:
    figure.text(0.99, 0.1 / figure.get_figheight(), note, ha="right", va="bottom", fontsize=9, color=GREY)


def show_epochs(axes: Axes, n_train: float) -> None:
    """Add a scale in epochs on top, with its name next to it."""

    def to_epochs(kimg: npt.ArrayLike) -> npt.ArrayLike:
        return np.asarray(kimg) * (1000 / n_train)

    def to_kimg(epochs: npt.ArrayLike) -> npt.ArrayLike:
        return np.asarray(epochs) * (n_train / 1000)

    above = axes.secondary_xaxis("top", functions=(to_epochs, to_kimg))
    above.tick_params(labelsize=11)
    axes.annotate("epochs", (1, 1), xycoords="axes fraction", xytext=(24, 8.5), textcoords="offset points", fontsize=12)


def mark_ideals(axes: Axes, lines: Sequence[tuple[float, str, str]]) -> None:
    """Draw a dashed line for each (value, label, colour), with its label in the right margin."""
    for value, label, color in lines:
        axes.axhline(value, color=color, linewidth=1.4, linestyle=(0, (5, 3)))
        axes.annotate(
            label,
            (1, value),
            xycoords=axes.get_yaxis_transform(),
            xytext=(6, 0),
            textcoords="offset points",
            va="center_baseline",
            color=color,
            fontsize=11,
        )


def save_figure(figure: Figure, path: Path) -> None:
    """Save without version or date, so that equal figures give equal bytes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # a data set's name may contain letters that the font lacks
        figure.savefig(buffer, format="png", metadata={"Software": None})
    atomic_write(path, buffer.getvalue())
