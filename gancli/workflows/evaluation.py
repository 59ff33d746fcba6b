"""Where models meet scores: images of a model or of any files, held against a data set."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import safetensors.torch
import torch
from torch import Tensor, nn

from gancli.config import ModelSpec
from gancli.core import images, rng
from gancli.core.data import image_files
from gancli.core.data import load as datasets
from gancli.core.data.dataset import ImageSet
from gancli.core.data.load import ignore_progress
from gancli.core.data.pixel_cache import ProgressCallback
from gancli.core.distributed import ALONE, FeaturesOrder, World
from gancli.core.networks.model_file import Model
from gancli.core.sampling import latents
from gancli.core.sampling.generate import BATCH, generate, generate_from_seeds
from gancli.core.training import run_config
from gancli.core.training.monitor import Measurements, Scorer
from gancli.datasets import DATASETS
from gancli.errors import ConfigError, DataError
from gancli.files import cache
from gancli.files.run_config import EvalInfo, read_run_config
from gancli.files.run_folder import RunDir
from gancli.files.scores import Evaluation
from gancli.metrics import features, suite
from gancli.metrics.features import Extractor, Features
from gancli.metrics.prdc import coverage, squared_radii
from gancli.metrics.reference import FEWEST_PRDC, Reference, coverage_floor
from gancli.report import pairs

SCORER_N_FAKES = 2000


@dataclass(frozen=True, eq=False)
class FakeImages:
    """Images to score: n of one shape (C, H, W), as a stream of uint8 [b,C,H,W] or picked by number.

    requested: int64 [n], the classes they were asked to show, None if none was; class_names: theirs, () if unknown.
    about: plain values that tell where they come from.
    """

    n: int
    shape: tuple[int, int, int]
    stream: Callable[[], Iterable[Tensor]]
    some: Callable[[Sequence[int]], Tensor]
    requested: Tensor | None
    class_names: tuple[str, ...]
    about: dict[str, Any]


def fakes_from_model(model: Model, n: int) -> FakeImages:
    """The images of seeds 0 to n - 1, each of the class its seed stands for."""
    spec, counts = model.info.spec, model.info.class_counts

    def stream() -> Iterable[Tensor]:
        return (pictures for _, pictures, _ in generate_from_seeds(model, range(n)))

    def some(seeds: Sequence[int]) -> Tensor:
        return torch.cat([pictures for _, pictures, _ in generate_from_seeds(model, seeds)])

    shape = (spec.channels, spec.resolution, spec.resolution)
    requested = latents.classes_from_seeds(range(n), counts) if counts else None
    about = {"preset": model.info.preset, "nimg": model.info.nimg, "sha256": model.digest}
    return FakeImages(n, shape, stream, some, requested, model.info.class_names, about)


def fakes_from_files(path: Path, n: int, shape: tuple[int, int, int], seed: int) -> FakeImages:
    """At most n images, drawn at random where there are more, of a folder, a zip or an npz; their shape is checked."""
    files = image_files.open_images(path, shape)
    if len(files) > n:
        files = files.subset(draw_numbers(len(files), n, seed))
    return FakeImages(len(files), shape, files.batches, files.some, files.labels, (), {})


def draw_numbers(total: int, n: int, seed: int) -> list[int]:
    """n different numbers below total, in order."""
    return sorted(torch.randperm(total, generator=rng.generator(seed, "files"))[:n].tolist())


def fakes_from_array(pictures: Tensor, n: int, seed: int) -> FakeImages:
    """At most n images, drawn at random where there are more, of uint8 [N,C,H,W] in memory."""
    if len(pictures) > n:
        pictures = pictures[draw_numbers(len(pictures), n, seed)]

    def stream() -> Iterable[Tensor]:
        return torch.split(pictures, BATCH)

    def some(rows: Sequence[int]) -> Tensor:
        return pictures[torch.tensor(rows)]

    return FakeImages(
        len(pictures), (pictures.shape[1], pictures.shape[2], pictures.shape[3]), stream, some, None, (), {}
    )


def load_data_of_models(models: Iterable[tuple[str, Model, RunDir | None]]) -> ImageSet | None:
    """The data set that models, each with its name and the run that it lies in, were trained on; None without models.

    Raises ConfigError if it is not one, or cannot be told; DataError if it is gone or has changed.
    """
    found: ImageSet | None = None
    for title, model, run in models:
        name, digest = model.info.data["name"], model.info.data["digest"]
        record = read_run_config(run.config) if run else None
        source = record.data.source if record else name
        if not run and name not in DATASETS:
            raise ConfigError(f"{title} was trained on {name!r}, which no data set is named; give --data")
        if found is None and source not in DATASETS and not Path(source).exists():
            raise DataError(f"the images that {title} was trained on, {source}, are gone; give --data")
        found = found or datasets.load_dataset(
            str(source), run_config.transform_options(record.train) if record else datasets.DEFAULT_OPTIONS
        )
        if found.digest != digest and found.name != name:
            raise ConfigError(f"{title} was trained on {name}, not on {found.name}; score them apart, or give --data")
        if found.digest != digest:
            raise DataError(
                f"{title} was trained on other images than {found.name} holds now; say which ones with --data"
            )
    return found


def image_shape(data: ImageSet) -> tuple[int, int, int]:
    return data.channels, data.resolution, data.resolution


def check_image_shape(name: str, fakes: FakeImages, data: ImageSet) -> None:
    if fakes.shape != image_shape(data):
        made, wanted = ("x".join(map(str, shape)) for shape in (fakes.shape, image_shape(data)))
        raise DataError(
            f"{name} makes images of {made} (channels, height, width), but those of {data.name} are {wanted}; "
            "give --data the images it was trained on"
        )


def share_extractor(extractor: Extractor, world: World) -> Extractor:
    """The same one, with a batch in each process."""
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
    """Features of a data set's training and held-out images, kept in the cache. world: the processes that extract
    them, and later those of generated ones."""
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
    """Whether the classes an extractor reads are those of the data, by name or, where these have none, by number."""
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
    """Score images against a reference of `data`; only: names of metrics.METRICS."""

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
    """A picture of the most copy-like images and their nearest training images; False if they were not looked for."""
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
    """A score of PROBE_N samples for use during training, with its floors measured beforehand."""
    against = build_reference(data, progress=progress, world=world)
    z = latents.latents_from_seeds(range(SCORER_N_FAKES), spec.z_dim)
    labels = latents.classes_from_seeds(range(SCORER_N_FAKES), class_counts) if spec.n_classes else None
    as_many = against.real[torch.arange(SCORER_N_FAKES) % len(against.real)]  # floors do not depend on what is scored
    for ranking in ("frechet", "kid"):
        floors = suite.score_features(against, as_many, metrics=[ranking, "classes"])
        score_name = next(iter(floors.scores))
        if floors.scores[score_name].value is not None:
            break
    reals = against.some(against.train, SCORER_N_FAKES)
    radii = squared_radii(reals).sqrt() if len(reals) >= FEWEST_PRDC else None

    def made(G: nn.Module, rows: Tensor) -> Tensor:
        return generate(G, z[rows], None if labels is None else labels[rows])

    def measure(G: nn.Module) -> Measurements:
        fake = features.extract_features(
            against.extractor, (made(G, rows) for rows in torch.arange(SCORER_N_FAKES).chunk(8))
        )
        scores = suite.score_features(against, fake, metrics=[ranking, "classes"]).scores
        values = {
            score_name: scores[score_name].value,
            "coverage": None
            if radii is None
            else coverage(reals, radii, against.some(against.scaled(fake), len(reals))),
            "class_tv": scores["class_tv"].value,
        }
        short = scores["class_tv"].details.get("short_classes")
        return Measurements(values, None if short is None else tuple(short))

    about = {
        "score": score_name,
        "floor": floors.scores[score_name].floor,
        "coverage_floor": coverage_floor(against, len(reals)),
        "class_tv_floor": floors.scores["class_tv"].floor,
        "n_fake": SCORER_N_FAKES,
    }
    return Scorer(msgspec.convert({**floors.conditions, **about}, EvalInfo), measure)
