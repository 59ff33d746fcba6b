"""The plots of a run's metrics: loss.png, accuracy.png and score.png."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gancli.files.image_io import write_png
from gancli.files.json_values import get_number, get_section, get_text
from gancli.files.run_folder import RunDir
from gancli.files.run_log import read_metric_records
from gancli.report import charts
from gancli.report.charts import Chart
from gancli.report.raster import Canvas, draw_plot


def draw_plots(run: RunDir) -> list[Path]:
    """Write the plots from metrics.jsonl and config.json and return their paths; score.png only if there are scores.

    A run with few or no measurements still gets plots. Values that config.json lacks or that have a wrong type are
    omitted.
    """
    pages = plot_pages(run)
    for path, canvas in pages.items():
        write_png(path, np.asarray(canvas.image))
    return list(pages)


def plot_pages(run: RunDir) -> dict[Path, Canvas]:
    """Draw the plots; the keys are their paths. Evaluations do not change the loss and accuracy plots or their axes."""
    config, records = run.read_config(), read_metric_records(run)
    data, about = get_section(config, "data"), get_section(config, "eval")
    n_train = get_number(data, "n_train")
    subject = " on ".join(filter(None, [get_text(config, "preset"), get_text(data, "name")]))
    measured = [record for record in records if record["kind"] in ("tick", "epoch")]
    loss, accuracy, score = charts.run_charts(config, records)
    has_epochs = any(line.means for chart in (loss, accuracy) for line in chart.lines)
    note = f"thin: each tick, bold: {'each epoch' if has_epochs else 'moving average'}"

    def page(title: str, shown: list[Chart], last_nimg: int, note: str) -> Canvas:
        ranged = [chart for each in shown for chart in charts.with_common_range([each])]
        return draw_plot(f"{subject}: {title}", ranged, last_nimg / 1000 or 1.0, n_train, note)

    last_nimg = max((record["nimg"] for record in measured), default=0)
    pages = {
        run.loss_plot: page("losses", [loss], last_nimg, note),
        run.accuracy_plot: page("discriminator accuracy", [accuracy], last_nimg, note),
    }
    if len(measured) < len(records):
        last_nimg = max(record["nimg"] for record in records)
        best, shares = score.best(), charts.health_charts(config, records)[0]
        n_real, n_fake = get_number(about, "n_real"), get_number(about, "n_fake")
        counts = f"{n_fake:,.0f} generated, {n_real:,.0f} training images" if n_real and n_fake else ""
        score = replace(score, lines=(*score.lines, best)) if best else score
        title = score.axis.partition(" to")[0] + (f" ({score.title})" if score.title else "")
        pages[run.score_plot] = page(title, [score, shares], last_nimg, counts)
    return pages
