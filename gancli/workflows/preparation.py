"""How real images must be converted to be compared with a model or with images."""

from dataclasses import replace
from pathlib import Path

from gancli.config import parse_colour
from gancli.core.data import image_files, transform
from gancli.core.data.deep_pixels import MOST_BITS
from gancli.core.data.load import DEFAULT_OPTIONS, absolute_path
from gancli.core.data.transform import TransformOptions
from gancli.core.networks.model_file import ModelInfo, read_model_digest
from gancli.core.training import run_config
from gancli.errors import GancliError
from gancli.files.find_model import find_run_of_model
from gancli.files.json_values import read_json_object
from gancli.files.provenance import sidecar_path
from gancli.files.run_config import RunConfig
from gancli.files.run_folder import RunDir


def options_of_run(record: RunConfig, data: str) -> TransformOptions:
    """Return the options of a run for its own data, or for other data that must get the same size and channels."""
    options = run_config.recorded_options(record)
    if run_config.is_same_source(data, record.data.source):
        return options
    return replace(options, resolution=record.data.resolution, channels=record.data.channels)


def options_of_model(info: ModelInfo) -> TransformOptions:
    """Return the options for a single model file; its record has fit, background and bits if a run changed them."""
    return replace(
        DEFAULT_OPTIONS,
        resolution=info.spec.resolution,
        channels=info.spec.channels,
        fit=info.data.get("fit", DEFAULT_OPTIONS.fit),
        background=parse_colour(info.data.get("background", "black")),
        bits=int(info.data.get("bits", MOST_BITS)),
    )


def find_run_around(path: Path) -> RunDir | None:
    """Return the run whose folder holds this path, if any."""
    runs = map(RunDir, absolute_path(str(path)).parents)
    return next((run for run in runs if run.config.is_file() and run.metrics.is_file()), None)


def read_recorded_model(images: Path) -> tuple[str, str]:
    """Return the path and the digest of the model that made these samples, by their record; "" without a record."""
    record = read_json_object(sidecar_path(images))
    model, digest = record.get("model"), record.get("sha256")
    return (model, digest) if isinstance(model, str) and isinstance(digest, str) else ("", "")


def find_recorded_run(images: Path) -> RunDir | None:
    """Return the run whose model made these samples, by their record; None if the model is not there any more."""
    model, digest = read_recorded_model(images)
    if not model:
        return None
    try:
        return find_run_of_model(Path(model)) if read_model_digest(Path(model)) == digest else None
    except (GancliError, OSError, ValueError):  # ValueError: no file can have this path
        return None


def options_of_images(path: Path) -> TransformOptions:
    """Return the options that give real images the size of these images."""
    try:
        _, height, width = image_files.open_images(path).shape
    except GancliError:  # it is reported when the images are scored
        return DEFAULT_OPTIONS
    return options_of_shape(height, width)


def options_of_shape(height: int, width: int) -> TransformOptions:
    is_possible = height == width and transform.is_valid_resolution(width)
    return replace(DEFAULT_OPTIONS, resolution=width) if is_possible else DEFAULT_OPTIONS
