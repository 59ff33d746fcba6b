"""Make a picture of `gancli sample` again from the record inside it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from gancli import config
from gancli.core.networks import model_file
from gancli.core.networks.model_file import Model
from gancli.core.sampling import write
from gancli.core.sampling.generate import SampleRequest
from gancli.core.sampling.write import GridShape, SampleFiles
from gancli.errors import ConfigError, FileFormatError, RunError
from gancli.files import image_io, outputs, provenance
from gancli.files.find_model import find_run_of_model, locate_model
from gancli.files.provenance import SampleRecord
from gancli.files.run_folder import RunDir


class RemadeImage(NamedTuple):
    """The result of `remake_image`."""

    model: Path
    sha256: str
    n: int
    output: Path
    is_same: bool  # byte for byte


def remake_image(
    like: Path, source: Path | None, output: Path | None, outdir: Path, device: torch.device, *, force: bool
) -> RemadeImage:
    """Generate a picture again, as a .png or in a new folder. Raises ConfigError, RunError, FileFormatError."""
    is_file = output is not None and bool(output.suffix) and not output.is_dir()
    if output and is_file and output.suffix.lower() != ".png":
        raise ConfigError(f"cannot write {output}: --like writes a .png; choose a .png or a folder")
    record = read_sample_record(like)
    before = like.read_bytes()
    path, model = find_recorded_model(record, like, source, outdir, device)
    request, shape = request_from_record(record, like, model)
    run = find_run_of_model(path)
    if force and output and output.resolve() in (like.resolve(), like.resolve().parent):
        raise RunError(f"{output} would overwrite {like} itself; choose another -o")
    with (
        outputs.reserve_output(output, (run.path if run else Path()) / "samples") as target,
        contextlib.ExitStack() as stack,
    ):
        made = file = target
        if not is_file:
            made = target / f"{like.stem}.png"
            file = stack.enter_context(outputs.create_output_folder(target, record, force=force)) / made.name
        write.write_samples(file, model, request, record, SampleFiles(".png", shape), force=force)
    return RemadeImage(path, model.digest, len(request), made, made.read_bytes() == before)


def read_sample_record(like: Path) -> SampleRecord:
    """Read the record inside a PNG of `gancli sample`. Raises RunError or FileFormatError for any other file."""
    if like.exists() and not like.is_file():
        raise RunError(f"{like} is not a file; give a PNG that gancli sample wrote")
    texts = image_io.read_png_text(like)
    if provenance.TEXT_KEYWORD not in texts:
        raise FileFormatError(
            f"{like} has no record of how it was made; give a PNG that gancli sample wrote and no other program changed"
        )
    record = provenance.parse_record(texts[provenance.TEXT_KEYWORD], str(like))
    command = record.command.split()[1:2]
    if command != ["sample"]:
        raise FileFormatError(f"{like} was not made by gancli sample, but by: {record.command}; run that command")
    return record


def request_from_record(record: SampleRecord, like: Path, model: Model) -> tuple[SampleRequest, GridShape]:
    """Return the request and grid of a record. Raises FileFormatError if they exceed the limits of the flags."""
    scale, grid = record.settings.get("scale"), record.settings.get("grid")
    if not (0 <= record.trunc <= config.MAX_TRUNC and type(scale) is int and 1 <= scale <= config.MAX_SCALE):
        raise FileFormatError(f"{like} records settings that gancli sample does not allow; choose another PNG")
    try:
        classes = tuple(model.info.class_index(name) for name in record.classes)
        request = SampleRequest(config.parse_seeds(record.seeds, config.MAX_GRID), classes, record.trunc, scale)
        return request, write.grid_shape(request, model.info.spec.resolution, config.parse_grid(str(grid)))
    except ConfigError as err:
        raise FileFormatError(f"{like} cannot be recreated: {err}") from err


def find_recorded_model(
    record: SampleRecord, like: Path, source: Path | None, outdir: Path, device: torch.device
) -> tuple[Path, Model]:
    """Find the model with the digest of the record.

    Try the given model; without one, models near the picture, then the recorded path. Raises RunError, FileFormatError.
    """
    others = []
    for path in candidate_models(source, outdir) if source else nearby_models(record, like):
        try:
            if model_file.read_model_digest(path) == record.sha256:
                return path, model_file.load_model(path, device)
        except FileFormatError:
            if source:
                raise
            continue
        others.append(str(path))
    known = f"{like} was made by the model with sha256 {record.sha256[:16]}, then at {record.model}"
    tried = f"; {' and '.join(others)} {'are other models' if others[1:] else 'is another model'}" if others else ""
    raise RunError(f"{known}{tried}; give its file: gancli sample --like {like} MODEL")


def candidate_models(source: Path, outdir: Path) -> list[Path]:
    """Return the given model; for a run, also its best model."""
    path, place = locate_model(source, outdir)
    best = RunDir(place).best_model
    return [path, best] if path.parent == place and path != best and best.is_file() else [path]


def nearby_models(record: SampleRecord, like: Path) -> Iterator[Path]:
    """Yield existing files that may be the model: in the run that contains the picture, then at the recorded path."""
    runs = [RunDir(provenance.path_from_here(folder)) for folder in like.absolute().parents[:3]]
    recorded = [Path(record.model)] if record.model.endswith(".safetensors") else []
    for path in dict.fromkeys([*(p for run in runs for p in (run.model, run.best_model)), *recorded]):
        with contextlib.suppress(OSError):  # anyone can write a record, so a path may be too long or unreadable
            if path.is_file():
                yield path
