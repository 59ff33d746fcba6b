"""Show a run or a model in a notebook: HTML with its facts and a grid of samples as an embedded picture."""

import html
from collections.abc import Sequence

from gancli import wording
from gancli.core.networks.model_file import Model
from gancli.core.sampling import write
from gancli.core.sampling.generate import generate_samples
from gancli.core.training import image_log
from gancli.errors import GancliError, make_printable
from gancli.files import image_io
from gancli.files.run_folder import RunDir
from gancli.files.run_log import read_metric_records
from gancli.report import embedded
from gancli.report.overview import Overview, read_overview
from gancli.workflows import sampling

N_SHOWN = 16  # samples of a model
PICTURE_ROOM, LIVE_PICTURE_ROOM = 4_000_000, 400_000  # bytes of a picture; a notebook stores each output
CURVES_SIZE = 480, 448  # pixels
FACTS_SEPARATOR = " · "


def show_run(run: RunDir, extra: Sequence[str] = ()) -> str:
    """Return HTML with the facts, samples and curves of a run. A broken folder gives HTML too.

    extra: more facts. A running run shows its newest frame, any other its samples.png.
    """
    overview = read_overview(run)
    pictures = [embed_samples(run, is_running=overview.state == "running"), draw_curves(run)]
    return to_html(name_run(run), list_facts(overview, extra), pictures, "no samples yet")


def name_run(run: RunDir) -> str:
    return run.path.resolve().name


def describe_run(run: RunDir, extra: Sequence[str] = ()) -> str:
    """Return the facts of a run as one line."""
    return make_printable(FACTS_SEPARATOR.join(list_facts(read_overview(run), extra)))


def embed_samples(run: RunDir, *, is_running: bool) -> str:
    """Return the newest frame of a running run, else samples.png, as an HTML image; "" if there is none."""
    path = next(reversed(run.frame_paths()), run.samples) if is_running else run.samples
    try:
        width, _ = image_io.read_png_size(path)
        uri = embedded.embed_picture(path, LIVE_PICTURE_ROOM if is_running else PICTURE_ROOM).uri
    except (GancliError, OSError):
        return ""
    return to_image(uri, "Samples", width * max(1, image_log.PICTURE_PX // width))


def draw_curves(run: RunDir) -> str:
    """Return the curves of loss, accuracy and score so far as an HTML image; "" without measurements."""
    from gancli.report import charts, raster  # they take a while to import

    try:
        (shown,) = charts.film_charts([run])
        end = max(record["nimg"] for record in read_metric_records(run))
    except (GancliError, OSError):
        return ""
    page = raster.draw_growing_charts(shown, [0, end], *CURVES_SIZE, raster.SMALL_LIGHT).at(end / 1000)
    uri = embedded.data_uri("image/png", image_io.encode_png(page))
    return to_image(uri, "Curves of loss, accuracy and score", CURVES_SIZE[0])


def list_facts(overview: Overview, extra: Sequence[str]) -> list[str]:
    facts = [f"{overview.preset} on {overview.data}" if overview.preset else "", overview.fault or overview.state]
    if overview.nimg is not None:
        total = f" of {overview.total_nimg / 1000:,.1f}" if overview.total_nimg else ""
        facts.append(f"{overview.nimg / 1000:,.1f}{total} kimg")
    if overview.best:
        score, nimg = overview.best
        floor = f", floor {wording.format_significant(score.floor)}" if score.floor is not None else ""
        facts.append(f"best {score.name} {wording.format_significant(score.value)} at {nimg / 1000:g} kimg{floor}")
    return [fact for fact in [*facts, *extra] if fact]


def show_model(model: Model) -> str:
    """Return HTML with the description of a model and the images of seeds 0 to 15."""
    info, spec = model.info, model.info.spec
    request = sampling.plan_samples(info, None, N_SHOWN, None)
    shape = write.natural_grid_shape(request)
    pictures = [batch.pictures for batch in generate_samples(model, request)]
    grid = write.compose_grid(pictures, shape, sampling.default_scale(shape, spec.resolution))
    facts = [
        f"{info.preset} on {info.data['name']}",
        f"{info.nimg / 1000:,.1f} kimg",
        f"{spec.resolution} x {spec.resolution} px, {'grey' if spec.channels == 1 else 'colour'}",
        f"{spec.n_classes:,} classes" if spec.n_classes else "no classes",
        f"{sum(weight.numel() for weight in model.G.parameters()):,} weights",
    ]
    picture = to_image(embedded.data_uri("image/png", image_io.encode_png(grid)), "Samples", grid.shape[1])
    return to_html(f"{spec.model} generator", facts, [picture], "")


def to_html(title: str, facts: Sequence[str], pictures: Sequence[str], missing: str) -> str:
    """Return a title, facts on one line, and pictures; `missing` replaces them if there is none."""
    title, line = (html.escape(make_printable(text)) for text in (title, FACTS_SEPARATOR.join(facts)))
    return f"<div><b>{title}</b><br>{line}<br>{''.join(pictures) or f'<i>{missing}</i>'}</div>"


def to_image(uri: str, words: str, width: int) -> str:
    style = f"width: {width}px; max-width: 100%; image-rendering: pixelated; vertical-align: top; margin: 4px 8px 0 0"
    return f'<img src="{uri}" alt="{words}" style="{style}">'
