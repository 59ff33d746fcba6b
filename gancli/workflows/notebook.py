"""Show a run or a model in a notebook: HTML with its facts and a grid of samples as an embedded picture."""

import html

from gancli import wording
from gancli.core.networks.model_file import Model
from gancli.core.sampling import write
from gancli.core.sampling.generate import generate_samples
from gancli.errors import GancliError, make_printable
from gancli.files import image_io
from gancli.files.run_folder import RunDir
from gancli.report import embedded
from gancli.report.overview import Overview, read_overview
from gancli.workflows import sampling

N_SHOWN = 16  # samples of a model
PICTURE_ROOM = 4_000_000  # bytes of a picture; a notebook stores each output


def show_run(run: RunDir) -> str:
    """Return HTML with the name, length, best score and samples.png of a run. A broken folder gives HTML too."""
    overview = read_overview(run)
    try:
        uri = embedded.embed_picture(run.samples, PICTURE_ROOM).uri if run.samples.is_file() else ""
    except (GancliError, OSError):
        uri = ""
    return to_html(run.path.resolve().name, describe_run(overview), uri, "no samples yet")


def describe_run(overview: Overview) -> list[str]:
    facts = [f"{overview.preset} on {overview.data}" if overview.preset else "", overview.fault or overview.state]
    if overview.nimg is not None:
        total = f" of {overview.total_nimg / 1000:,.1f}" if overview.total_nimg else ""
        facts.append(f"{overview.nimg / 1000:,.1f}{total} kimg")
    if overview.best:
        score, nimg = overview.best
        floor = f", floor {wording.format_significant(score.floor)}" if score.floor is not None else ""
        facts.append(f"best {score.name} {wording.format_significant(score.value)} at {nimg / 1000:g} kimg{floor}")
    return facts


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
    return to_html(f"{spec.model} generator", facts, embedded.data_uri("image/png", image_io.encode_png(grid)), "")


def to_html(title: str, facts: list[str], uri: str, missing: str) -> str:
    """Return a title, facts on one line, and a picture; `missing` replaces a picture without URI."""
    title, line = (html.escape(make_printable(text)) for text in (title, " · ".join(filter(None, facts))))
    style = "max-width: 100%; image-rendering: pixelated"
    picture = f'<img src="{uri}" alt="Samples" style="{style}">' if uri else f"<i>{missing}</i>"
    return f"<div><b>{title}</b><br>{line}<br>{picture}</div>"
