"""Score the images of a model, of files or of an array against a data set."""

import dataclasses
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import safetensors.torch
import torch
from torch import Tensor, nn

from gancli.config import ModelSpec
from gancli.core import images
from gancli.core.data.dataset import ImageSet
from gancli.core.data.load import (
    DEFAULT_OPTIONS,
    has_data,
    has_fixed_size,
    ignore_progress,
    load_dataset,
    load_recorded_dataset,
)
from gancli.core.data.pixel_cache import ProgressCallback
from gancli.core.data.transform import TransformOptions
from gancli.core.distributed import ALONE, FeaturesOrder, World
from gancli.core.networks import model_file
from gancli.core.networks.model_file import Model
from gancli.core.sampling import latents
from gancli.core.sampling.generate import generate
from gancli.core.training import run_config
from gancli.core.training.monitor import Measurements, Scorer
from gancli.datasets import DATASETS
from gancli.errors import ConfigError, DataError
from gancli.files import cache, find_model
from gancli.files.run_config import EvalInfo, read_run_config
from gancli.files.run_folder import SCORES_NAME, RunDir, atomic_files
from gancli.files.scores import CLASS_BALANCE, COVERAGE, RANKING, Evaluation, nearest_pairs_name
from gancli.metrics import features, suite
from gancli.metrics.features import Extractor, Features
from gancli.metrics.prdc import coverage, squared_radii
from gancli.metrics.reference import FEWEST_PRDC, Reference, coverage_floor
from gancli.report import pairs
from gancli.workflows import preparation
from gancli.workflows.fakes import (
    FakeImages,
    check_image_shape,
    fakes_from_array,
    fakes_from_files,
    fakes_from_model,
    image_shape,
)

SCORER_N_FAKES = 2000


@dataclass(frozen=True, eq=False)
class ScoredSource:
    """A source of images to score: a model, a file, a folder or an array [N,C,H,W]. place: folder for outputs."""

    name: str
    path: Path | None = None
    place: Path = Path()
    model: Model | None = None
    pictures: Tensor | None = None

    def options(self, data: str) -> TransformOptions:
        """Return how to convert the images at `data` to compare them with this source. Raises RunError."""
        if run := self.run or self.run_of_images:
            return preparation.options_of_run(read_run_config(run.config), data)
        if self.model:
            return preparation.options_of_model(self.model.info)
        if self.pictures is not None:
            return preparation.options_of_shape(self.pictures.shape[2], self.pictures.shape[3])
        assert self.path is not None
        return preparation.options_of_images(self.path)

    @property
    def run_of_images(self) -> RunDir | None:
        """The run whose folder holds the images, or whose model made them, if any."""
        if self.model or self.path is None:
            return None
        return preparation.find_run_around(self.path) or preparation.find_recorded_run(self.path)

    @property
    def missing_maker(self) -> str:
        """The recorded path of the model that made the images, if its run is not found; "" otherwise."""
        if self.model or self.path is None or self.run_of_images:
            return ""
        return preparation.read_recorded_model(self.path)[0]

    @property
    def run(self) -> RunDir | None:
        """The run that the model belongs to, if any."""
        return find_model.find_run_of_model(self.path) if self.model and self.path else None

    def fakes(self, n: int, data: ImageSet, seed: int, world: World) -> FakeImages:
        """Return at most n images of the source. Raises DataError if their shape is not that of the data."""
        if self.model:
            fakes = fakes_from_model(self.model, n, world)
        elif self.pictures is not None:
            fakes = fakes_from_array(self.pictures, n, seed)
        else:
            assert self.path is not None
            fakes = fakes_from_files(self.path, n, image_shape(data), seed)
        check_image_shape(self.name, fakes, data)
        return fakes


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """A source, its images that were scored, and their scores."""

    source: ScoredSource
    fakes: FakeImages
    evaluation: Evaluation


def open_scored_source(
    source: Path | RunDir, outdir: Path, device: torch.device, *, best: bool = False
) -> ScoredSource:
    """Open a run, or a path to images or a model. Outputs go below a model's run, else into the current folder.

    Raises ConfigError, RunError, FileFormatError.
    """
    if isinstance(source, Path) and find_model.is_image_source(source):
        if best:
            raise ConfigError(f"--best chooses between the models of a run, but {source} holds images; remove it")
        return ScoredSource(str(source), source)
    if isinstance(source, RunDir):
        path, place = find_model.run_model(source, best=best)
        source = place
    else:
        path, place = find_model.locate_model(source, outdir, best=best)
    return ScoredSource(f"{source}{' (best)' if best else ''}", path, place, model_file.load_model(path, device))


def load_reals(sources: Sequence[ScoredSource], data: str | None) -> ImageSet:
    """Load the real images to score against: `data`, or by default the data set that the models were trained on.

    Raises ConfigError if the models have different data sets or none is known, DataError if it is missing or changed.
    """
    reals = None if data is None else load_dataset(data, choose_options(sources, data))
    for source in sources if data is None else ():
        if source.model:
            reals = load_data_of_model(source.model, source.name, source.run, reals)
    if reals is None:
        name = sources[0].name
        raise ConfigError(f"{name} holds images only; add --data with the real images to compare them with")
    return reals


def choose_options(sources: Sequence[ScoredSource], data: str) -> TransformOptions:
    """Choose how to convert `data`: as the run of the first model did, or so that it has the size of the images.

    Raises ConfigError if two models were trained on differently converted images.
    """
    models = {source.name: options for source in sources if source.model and (options := source.options(data))}
    shown = {(each.fit, each.background, each.bits): name for name, each in models.items()}
    if len(shown) > 1:
        first, second, *_ = shown.values()
        raise ConfigError(
            f"{first} and {second} were trained with another --fit, --background or --bits; score them separately"
        )
    options = next(iter(models.values()), None) or sources[0].options(data)
    if not models and has_fixed_size(data) and sources[0].run_of_images is None:
        return DEFAULT_OPTIONS
    return options


def load_data_of_model(model: Model, title: str, run: RunDir | None, loaded: ImageSet | None) -> ImageSet:
    """Load the data set that a model was trained on. loaded: the data set of another model, which must be the same."""
    name, digest = model.info.data["name"], model.info.data["digest"]
    record = read_run_config(run.config) if run else None
    source = record.data.source if record else name
    if not run and name not in DATASETS:
        raise ConfigError(f"{title} was trained on {name!r}, which is not a known data set; add --data")
    if loaded is None:
        if not has_data(source):
            gone = f"the images that {title} was trained on no longer exist at {source}"
            raise DataError(f"{gone}; give their new place with --data")
        options = run_config.recorded_options(record) if record else DEFAULT_OPTIONS
        loaded = load_recorded_dataset(source, options, digest)
    if loaded.digest != digest and loaded.name != name:
        raise ConfigError(f"{title} was trained on {name}, not on {loaded.name}; score them separately, or add --data")
    if loaded.digest != digest:
        changed = f"{loaded.name} has changed since {title} was trained on it"
        raise DataError(f"{changed}; choose the real images with --data")
    return loaded


def evaluation_notes(sources: Sequence[ScoredSource], reals: ImageSet) -> list[str]:
    """Return notes to show with the scores."""
    # Training has already reported the conversion of pictures.
    notes = [*cache.cache_notes(), *reals.report.skipped] if reals.report else [*reals.notes]
    digests = {source.model.info.data["digest"] for source in sources if source.model}
    if reals.report and reals.report.done and reals.digest not in digests:
        how = "grey" if reals.channels == 1 else "RGB"
        notes.append(
            f"{reals.name} was converted to {reals.resolution}x{reals.resolution} {how} (fit: {reals.report.fit})"
        )
    notes += [
        f"{source.name} was made by {model}, which is not found from this folder, so the real images were converted "
        "without the settings of its run; repeat this where that path exists"
        for source in sources
        if (model := source.missing_maker)
    ]
    return notes + [
        f"{source.name} was trained on other images, so copying scores do not show whether it copies its own"
        for source in sources
        if source.model and source.model.info.data["digest"] != reals.digest
    ]


def evaluate(
    sources: Sequence[ScoredSource],
    reals: ImageSet,
    *,
    n: int,
    metrics: Sequence[str],
    extractor: str = "auto",
    seed: int = 0,
    progress: ProgressCallback = ignore_progress,
    world: World = ALONE,
) -> list[ScoredImages]:
    """Score at most n images of each source. metrics: names of suite.METRICS.

    extractor: the name of a feature extractor, or "auto". Raises ConfigError, DataError.
    """
    reference = build_reference(reals, extractor, seed=seed, progress=progress, world=world)
    fakes = [source.fakes(n, reals, seed, world) for source in sources]
    return [
        ScoredImages(source, some, score_images(reference, some, reals, only=metrics, progress=progress))
        for source, some in zip(sources, fakes, strict=True)
    ]


def evaluations_to_json(scored: Sequence[ScoredImages]) -> dict[str, object]:
    """Return the contents of scores.json."""
    models = [{"source": each.source.name, **each.evaluation.to_json()} for each in scored]
    return models[0] if len(models) == 1 else {"models": models}


def save_evaluations(target: Path, scored: Sequence[ScoredImages], reals: ImageSet) -> None:
    """Write scores.json and the nearest pairs of each source; overwrite those of an earlier evaluation."""
    before = target.glob("nearest*.png") if (target / SCORES_NAME).is_file() else ()
    old = {path for path in before if re.fullmatch(r"nearest(-\d+)?\.png", path.name) and path.is_file()}
    content = json.dumps(evaluations_to_json(scored), indent=2, allow_nan=False)
    drawn = set()
    with atomic_files(target) as folder:
        (folder / SCORES_NAME).write_text(f"{content}\n", encoding="utf-8")
        for number, each in enumerate(scored, start=1):
            name = nearest_pairs_name(number, len(scored))
            title = f"most like training images · {each.source.name}"
            if draw_nearest_pairs(folder / name, each.evaluation, each.fakes, reals, title):
                drawn.add(name)
    for path in old:
        if path.name not in drawn:  # the picture belongs to the overwritten scores
            path.unlink()


def share_extractor(extractor: Extractor, world: World) -> Extractor:
    """Return the extractor with its batches split between all processes."""
    if world.size == 1:
        return extractor

    def network(images: Tensor) -> tuple[Tensor, Tensor | None]:
        world.tell(FeaturesOrder(extractor.name, images.shape[1]), safetensors.torch.save({"images": images}))
        values, labels = extractor.network(images.chunk(world.size)[world.rank].contiguous())
        gathered = world.gather(values.cpu())
        read = None if labels is None else world.gather(labels.cpu())
        if world.rank:
            return values, labels
        return torch.cat(gathered), None if read is None else torch.cat(read)

    return dataclasses.replace(extractor, network=network, batch=world.size * extractor.batch)


def build_reference(
    data: ImageSet,
    chosen: str = "auto",
    *,
    seed: int = 0,
    progress: ProgressCallback = ignore_progress,
    world: World = ALONE,
) -> Reference:
    """Extract the features of a data set's training and held-out images, or read them from the cache.

    world: the processes that extract these features, and later the features of generated images.
    """
    extractor = share_extractor(features.choose_extractor(chosen, data.name, image_shape(data)), world)
    folder = cache.cache_folder() / "features"

    def cached(split: str, some: Tensor) -> Features:
        def show(done: int) -> None:
            progress(f"features of {split} images", done, len(some))

        return features.extract_cached(extractor, some, f"{data.digest} {split}", folder, show)

    real = cached("training", data.images)
    heldout = cached("held-out", data.heldout_images) if len(data.heldout_images) else None
    truth = data.heldout_labels if predicts_classes_of(extractor, data.class_names) else None
    return Reference(extractor, real, heldout, truth, seed)


def predicts_classes_of(extractor: Extractor, class_names: Sequence[str]) -> bool:
    """Whether an extractor predicts the classes of the data: the names are equal, or the data's names are numbers."""
    numbers = [str(number) for number in range(len(extractor.class_names))]
    return list(class_names) in (list(extractor.class_names), numbers) and len(class_names) > 0


def score_images(
    against: Reference,
    fakes: FakeImages,
    data: ImageSet,
    *,
    only: Sequence[str],
    progress: ProgressCallback = ignore_progress,
) -> Evaluation:
    """Score images against a reference of `data`; only: names of suite.METRICS."""

    def show(done: int) -> None:
        progress("features of generated images", done, fakes.n)

    found = features.extract_features(against.extractor, fakes.stream(), show)
    started: list[str] = []

    def begin(name: str) -> None:
        progress("scores", len(started), len(only))
        started.append(name)

    requested = (
        fakes.requested if predicts_classes_of(against.extractor, fakes.class_names or data.class_names) else None
    )
    evaluation = suite.score_features(against, found, requested=requested, metrics=only, progress=begin)
    progress("scores", len(only), len(only))
    about = {"data": data.name, "data_digest": data.digest}
    return Evaluation(evaluation.scores, {**about, **fakes.about, **evaluation.conditions})


def draw_nearest_pairs(path: Path, evaluation: Evaluation, fakes: FakeImages, data: ImageSet, title: str) -> bool:
    """Draw the most copy-like images next to their nearest training images. Returns False without a copying score."""
    copying = evaluation.scores.get("auth_pct")
    found = copying.details.get("nearest_pairs") if copying else None
    if not found:
        return False
    made = images.to_hwc(fakes.some([pair["image"] for pair in found]))
    real = images.to_hwc(data.images[torch.tensor([pair["training_image"] for pair in found])])
    captions = [f"{pair['image']} · {'-' if pair['ratio'] is None else format(pair['ratio'], '.2f')}" for pair in found]
    pairs.write_pairs(path, list(zip(made, real, strict=True)), captions, title)
    return True


def build_scorer(
    data: ImageSet,
    spec: ModelSpec,
    class_counts: Sequence[int],
    *,
    progress: ProgressCallback = ignore_progress,
    world: World = ALONE,
) -> Scorer:
    """Build the scorer that training uses, on SCORER_N_FAKES samples. Measures the floors of its scores first."""
    against = build_reference(data, progress=progress, world=world)
    z = latents.latents_from_seeds(range(SCORER_N_FAKES), spec.z_dim)
    labels = latents.classes_from_seeds(range(SCORER_N_FAKES), class_counts) if spec.n_classes else None
    ranking, floors = choose_ranking(against)
    name = next(iter(floors.scores))
    reals = against.some(against.train, SCORER_N_FAKES)
    radii = squared_radii(reals).sqrt() if len(reals) >= FEWEST_PRDC else None

    def made(G: nn.Module, rows: Tensor) -> Tensor:
        return generate(G, z[rows], None if labels is None else labels[rows])

    def measure(G: nn.Module) -> Measurements:
        batches = (made(G, rows) for rows in torch.arange(SCORER_N_FAKES).chunk(8))
        fake = features.extract_features(against.extractor, batches)
        scores = suite.score_features(against, fake, metrics=[ranking, "classes"]).scores
        covered = None if radii is None else coverage(reals, radii, against.some(against.scaled(fake), len(reals)))
        balance = scores[CLASS_BALANCE.key]
        values = {name: scores[name].value, COVERAGE.key: covered, CLASS_BALANCE.key: balance.value}
        short = balance.details.get("short_classes")
        return Measurements(values, None if short is None else tuple(short))

    about = {
        "score": name,
        RANKING.floor_key: floors.scores[name].floor,
        COVERAGE.floor_key: coverage_floor(against, len(reals)),
        CLASS_BALANCE.floor_key: floors.scores[CLASS_BALANCE.key].floor,
        "n_fake": SCORER_N_FAKES,
    }
    return Scorer(msgspec.convert({**floors.conditions, **about}, EvalInfo), measure)


def choose_ranking(against: Reference) -> tuple[str, Evaluation]:
    """Choose the metric that ranks models in training; return it with its scores for real images.

    These scores have the floors of the metric. Floors do not depend on the images that are scored.
    """
    as_many = against.real[torch.arange(SCORER_N_FAKES) % len(against.real)]
    for ranking in ("frechet", "kid"):
        floors = suite.score_features(against, as_many, metrics=[ranking, "classes"])
        if next(iter(floors.scores.values())).value is not None:
            break
    return ranking, floors
