"""Render the model card from a model and its run: a README.md with the front matter of the Hugging Face Hub.

card.md.jinja has the text. It passes all names and texts from foreign files through `code` or `escaped`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jinja2

from gancli._version import install_step
from gancli.core.networks.model_file import Model
from gancli.errors import GancliError, make_printable
from gancli.files.json_values import get_number, get_section, get_text, read_json_object
from gancli.files.run_folder import RunDir
from gancli.files.run_log import read_metric_records
from gancli.files.scores import Score, read_evaluations, training_scores
from gancli.report.series import Record
from gancli.wording import format_significant

TEMPLATE = Path(__file__).with_name("card.md.jinja")
MOST_CLASSES = 100  # limit of the listed classes


class CardScores(NamedTuple):
    """Scores, the numbers of images that they were computed from, and the feature extractor."""

    scores: list[Score]
    counts: str = ""
    features: str = ""


def render_card(model: Model, run: RunDir | None, pictures: Mapping[str, str]) -> str:
    """Render the card. pictures: title -> file in the same folder."""
    info, config = model.info, read_json_object(run.config) if run else {}
    data = get_section(config, "data")
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"code": code_span, "escaped": escape_markdown, "significant": format_significant}
    found = evaluation_scores(model, run) or scores_in_training(model, run, get_section(config, "eval"))
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        found._asdict(),
        info=info,
        spec=info.spec,
        n_weights=sum(weight.numel() for weight in model.G.parameters()),
        is_clustered="clusters" in info.data,
        n_train=get_number(data, "n_train") if data.get("digest") == info.data["digest"] else None,
        pictures=pictures,
        most_classes=MOST_CLASSES,
        install_step=install_step(),
    )


def evaluation_scores(model: Model, run: RunDir | None) -> CardScores | None:
    """Return the latest `gancli evaluate` scores of exactly this model against its training data, or None."""
    for _, evaluation, _ in read_evaluations(run) if run else ():
        about = evaluation.conditions
        if (about.get("sha256"), about.get("data_digest")) == (model.digest, model.info.data["digest"]):
            scores = [*evaluation.scores.values()]
            return CardScores(scores, evaluation.describe_counts(), get_text(about, "features"))
    return None


def scores_in_training(model: Model, run: RunDir | None, about: Record) -> CardScores:
    """Return the scores that training measured at the model's nimg. about: "eval" of config.json."""
    try:
        lines = read_metric_records(run) if run else []
    except GancliError:
        lines = []
    of_model = [line for line in lines if (line["kind"], line["nimg"]) == ("eval", model.info.nimg)]
    counts = f"{get_number(about, 'n_fake') or 0:,.0f} generated images, scored during training"
    return CardScores(training_scores(about, of_model[-1] if of_model else {}), counts, get_text(about, "features"))


def code_span(name: str) -> str:
    """Format a name as a Markdown code span; backticks and bars are replaced."""
    return f"`{make_printable(name).replace('`', chr(39)).replace('|', '/')}`"


def escape_markdown(words: str) -> str:
    """Escape text for a Markdown table, so that it cannot become a link, picture, tag or comment."""
    return re.sub(r"([\\`*_\[\]<>|!&]|(?<=:)/)", r"\\\1", make_printable(words))
