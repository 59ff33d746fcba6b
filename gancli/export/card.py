"""The model card: README.md with the front matter of the Hugging Face Hub, written from the model and its run alone."""

import re
from collections.abc import Mapping

from gancli.core.networks.model_file import Model, ModelInfo
from gancli.errors import GancliError, make_printable
from gancli.files.json_values import get_number, get_section, get_text, read_json_object
from gancli.files.run_folder import RunDir
from gancli.files.scores import Score, read_evaluations, training_scores
from gancli.report.series import Record
from gancli.wording import format_significant

FRONT_MATTER = """\
---
# license: yours to choose, see https://huggingface.co/docs/hub/repositories-licenses
library_name: gancli
pipeline_tag: unconditional-image-generation
tags:
- gan
- image-generation
- pytorch
---
"""
MOST_CLASSES = 100  # that are named


def render_card(model: Model, run: RunDir | None, pictures: Mapping[str, str]) -> str:
    """pictures: title -> file beside the card."""
    info = model.info
    parts = [
        FRONT_MATTER,
        f"# {describe_model_kind(info)} of {code_span(info.data['name'])}",
        f"A generative adversarial network trained with gancli: {describe_network(model)}.",
        *(f"![{title}]({name})\n\n{title}." for title, name in pictures.items()),
        "## Use",
        usage_section(info),
        "## Data",
        data_section(info, run),
        "## Scores",
        score_section(model, run),
        "## Limits",
        limits_section(info),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def describe_model_kind(info: ModelInfo) -> str:
    return "Class-conditional GAN" if info.class_names and "clusters" not in info.data else "GAN"


def describe_network(model: Model) -> str:
    spec, n = model.info.spec, sum(weight.numel() for weight in model.G.parameters())
    colour = "grey" if spec.channels == 1 else "colour"
    pictures = f"{colour} pictures of {spec.resolution}x{spec.resolution} pixels"
    made = f"preset {code_span(model.info.preset)}, network {code_span(spec.model)}, {n:,} weights in the generator"
    return f"{pictures} from {spec.z_dim} normally distributed numbers; {made}"


def usage_section(info: ModelInfo) -> str:
    lines = [
        "pip install gancli",
        "hf download USER/NAME model.safetensors --local-dir .  # from the package huggingface_hub",
        "gancli sample model.safetensors --n 64",
        "gancli interpolate model.safetensors --seeds 1,2,3",
    ]
    if info.class_names:
        lines.insert(3, "gancli sample model.safetensors --class 0 --n 16")
    block = "\n".join(["```sh", *lines, "```"])
    return (
        f"{block}\n\nA seed always gives the same picture. The file holds weights and their description, and no code."
    )


def data_section(info: ModelInfo, run: RunDir | None) -> str:
    about = get_section(config_section(run), "data")
    n_train, is_same = get_number(about, "n_train"), about.get("digest") == info.data["digest"]
    lines = [f"Trained on {code_span(info.data['name'])} (sha256 {info.data['digest'][:16]}...)"]
    if n_train and is_same:
        lines[0] += f", {n_train:,.0f} images, each seen about {format_significant(info.nimg / n_train)} times"
    lines[0] += f"; {info.nimg:,} images shown in all."
    if "clusters" in info.data:
        lines.append(f"It has no labels: {len(info.class_names)} clusters of similar images stand in for classes.")
    elif info.class_names:
        names = ", ".join(map(code_span, info.class_names[:MOST_CLASSES]))
        rest = " and others" if len(info.class_names) > MOST_CLASSES else ""
        lines.append(f"{len(info.class_names)} classes: {names}{rest}.")
    return "\n".join(lines)


def score_section(model: Model, run: RunDir | None) -> str:
    rows, conditions = evaluation_scores(model, run) or scores_in_training(model, run)
    if not rows:
        return "Not scored. `gancli evaluate model.safetensors` does it, given the data."
    table = ["| score | value | floor | reading |", "|---|---:|---:|---|"]
    for row in rows:
        value, floor = format_significant(row.value), format_significant(row.floor)
        table.append(f"| {code_span(row.name)} | {value} | {floor} | {escape_markdown(row.reading)} |")
    meaning = "The floor is what a perfect generator would get; only scores taken alike compare."
    return "\n".join([*table, "", f"{conditions} {meaning}"])


ScoresAndConditions = tuple[list[Score], str]


def evaluation_scores(model: Model, run: RunDir | None) -> ScoresAndConditions | None:
    """What `gancli evaluate` last said of this very model against the data it was trained on; None if it did not."""
    for _, found, _ in read_evaluations(run) if run else ():
        about = found.conditions
        if (about.get("sha256"), about.get("data_digest")) == (model.digest, model.info.data["digest"]):
            features = code_span(get_text(about, "features"))
            return [*found.scores.values()], f"{found.describe_counts()}; {features} features."
    return None


def scores_in_training(model: Model, run: RunDir | None) -> ScoresAndConditions:
    """The scores that training took of the model after as many images."""
    about = get_section(config_section(run), "eval")
    try:
        lines = run.read_metrics() if run else []
    except GancliError:
        lines = []
    is_of_model = ("eval", model.info.nimg)
    line: dict[str, object] = next(
        (line for line in reversed(lines) if (line["kind"], line["nimg"]) == is_of_model), {}
    )
    n_fake, features = get_number(about, "n_fake") or 0, code_span(get_text(about, "features"))
    return training_scores(about, line), f"{n_fake:,.0f} generated images, scored in training; {features} features."


def limits_section(info: ModelInfo) -> str:
    spec = info.spec
    steering = "The latent and the class are" if info.class_names else "The latent is"
    return "\n".join(
        [
            f"- It makes {spec.resolution}x{spec.resolution} pixels and nothing larger. {steering} all that steers it.",
            "- It knows nothing but its data: what is rare there is rarer here or missing, and what is biased there is "
            "biased here.",
            "- A GAN can repeat training images. `gancli evaluate` measures that (`auth_pct`) and shows the nearest "
            "pairs.",
            "- Whether its pictures may be used depends on the data: their licence, and who or what they show.",
        ]
    )


def config_section(run: RunDir | None) -> Record:
    return read_json_object(run.config) if run else {}


def code_span(name: str) -> str:
    """As Markdown that shows it letter by letter."""
    return f"`{make_printable(name).replace('`', chr(39)).replace('|', '/')}`"


def escape_markdown(words: str) -> str:
    """As Markdown that shows it as it is, in a table: no link, picture, tag or comment."""
    return re.sub(r"([\\`*_\[\]<>|!&]|(?<=:)/)", r"\\\1", make_printable(words))
