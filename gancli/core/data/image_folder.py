"""A folder, zip or npz of pictures -> a data set, through the cache."""

import contextlib
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gancli.core import devices
from gancli.core.data import archive, decode, decode_workers, image_files, pixel_cache, resize, transform
from gancli.core.data import listing as sources
from gancli.core.data.data_report import DataReport
from gancli.core.data.dataset import FEWEST_IMAGES, FEWEST_TO_HOLD_OUT, ImageSet
from gancli.core.data.decode import EXTENSIONS, ImageHeader
from gancli.core.data.decode_workers import DecodedBlock
from gancli.core.data.listing import Listing
from gancli.core.data.pixel_cache import PixelCache, ProgressCallback
from gancli.core.data.resize import Transform
from gancli.core.data.transform import TransformOptions
from gancli.errors import DataError, make_printable
from gancli.wording import format_count, format_list

SAMPLE_FILES = 256
SAMPLE_BYTES = 1 << 26
TASK_FILES = 256
TASK_BYTES = 1 << 23
SERIAL_FILES, SERIAL_BYTES = 1000, 1 << 26  # up to so many files, further processes are not worth starting
MOST_NAMED = 5


@dataclass(frozen=True, eq=False)
class ListedFiles:
    """The files of a listing as a source of the cache."""

    listing: Listing

    @property
    def path(self) -> Path:
        return self.listing.path

    @property
    def stamp(self) -> str:
        return self.listing.stamp

    @property
    def labels(self) -> npt.NDArray[np.int64] | None:
        return self.listing.labels

    def __len__(self) -> int:
        return len(self.listing)

    def name(self, row: int) -> str:
        return self.listing.names[row]

    def sample(self) -> Counter[ImageHeader]:
        facts, n_bytes = Counter[ImageHeader](), 0
        with sources.open_reader(self.path, is_zip=self.listing.is_zip) as read:
            for row in np.random.default_rng(0).permutation(len(self))[:SAMPLE_FILES]:
                try:
                    data = read(self.name(row))
                    facts[resize.read_image_header(data)] += 1
                except DataError:
                    continue
                n_bytes += len(data)
                if n_bytes > SAMPLE_BYTES:
                    break
        return facts

    def blocks(self, wanted: Transform, start: int) -> Iterator[DecodedBlock]:
        names, n_bytes = self.listing.names, sum(self.listing.sizes[start:])
        largest = max(pixel_cache.split_bytes(1, wanted), n_bytes // max(len(names) - start, 1), 1)
        per_task = max(1, min(TASK_FILES, TASK_BYTES // largest))
        tasks = [names[row : row + per_task] for row in range(start, len(names), per_task)]
        n_workers = 0 if len(names) - start <= SERIAL_FILES and n_bytes <= SERIAL_BYTES else devices.count_cores()
        return decode_workers.decode_blocks(self.path, self.listing.is_zip, tasks, wanted, n_workers)

    def can_read(self, rows: Sequence[int]) -> bool:
        with sources.open_reader(self.path, is_zip=self.listing.is_zip) as read:
            for row in rows:
                with contextlib.suppress(archive.UnreadError):
                    read(self.name(row))
                    return True
        return False


@dataclass(frozen=True, eq=False)
class ArrayRows:
    """The rows of an npz's array as a source of the cache."""

    path: Path
    stamp: str
    labels: npt.NDArray[np.int64] | None
    array: image_files.NpzArray

    def __len__(self) -> int:
        return len(self.array)

    def name(self, row: int) -> str:
        return f"row {row}"

    @property
    def facts(self) -> ImageHeader:
        height, width, *channels = self.array.shape
        is_grey = channels in ([], [1])
        return ImageHeader("npz", width, height, "grey" if is_grey else "RGB", is_grey)

    def sample(self) -> Counter[ImageHeader]:
        return Counter([self.facts])

    def blocks(self, wanted: Transform, start: int) -> Iterator[DecodedBlock]:
        per_task = max(1, min(TASK_FILES, TASK_BYTES // pixel_cache.split_bytes(1, wanted)))
        pictures = self.array.pictures(range(start, len(self)))
        while part := [resize.fit_pixels(picture, wanted) for picture in itertools.islice(pictures, per_task)]:
            yield DecodedBlock(
                len(part), decode_workers.to_channels_first(np.stack(part)), [], Counter({self.facts: len(part)})
            )

    def can_read(self, rows: Sequence[int]) -> bool:
        return False


def load_pictures(
    path: Path, options: TransformOptions, progress: ProgressCallback, *, verify: bool = False
) -> ImageSet:
    """The pictures in a folder with its subfolders, in a zip, or in an npz. path: absolute. Raises DataError.

    verify: as for ingest.
    """
    source, class_names, notes = open_picture_source(path, options)
    cached = pixel_cache.load_or_build_cache(source, options, progress, verify=verify)
    check_bad_files(source, cached, options)
    if len(cached.rows) < FEWEST_IMAGES:
        bad = f", {len(cached.faults):,} cannot be used: {describe_bad_files(source, cached)}" if cached.faults else ""
        n = format_count(len(cached.rows), "usable picture")
        raise DataError(f"{path} holds {n}{bad}; at least {FEWEST_IMAGES} are needed")
    labels, heldout_labels = (
        None if source.labels is None else torch.from_numpy(source.labels[rows])
        for rows in (cached.rows, cached.heldout_rows)
    )
    return ImageSet(
        name=make_printable(path.name),
        source=str(path),
        images=cached.images,
        labels=labels,
        heldout_images=cached.heldout,
        heldout_labels=heldout_labels,
        class_names=class_names,
        digest=cached.digest,
        notes=(*notes, *picture_notes(source, cached, options)),
        report=picture_report(source, cached, options),
    )


def open_picture_source(
    path: Path, options: TransformOptions
) -> tuple[ListedFiles | ArrayRows, tuple[str, ...], tuple[str, ...]]:
    """The pictures at a path, the names of their classes, and notes."""
    if path.is_file():
        if path.name.lower().endswith(EXTENSIONS):
            raise DataError(f"{path} is one picture; {decode.ACCEPTED_FORMATS_HINT}")
        found, labels = image_files.open_picture_archive(path)
        if isinstance(found, image_files.NpzArray):
            try:
                archive.check_compression(found.info)
            except DataError as err:
                raise DataError(f"{path} is not read: its images are {err}") from err
            status = path.stat()
            n_classes = 0 if labels is None or not len(labels) else int(labels.max()) + 1
            if n_classes > sources.MOST_CLASSES and not options.conditional:
                labels, n_classes = None, 0
            sources.check_class_count(n_classes, f"{path} has labels that mean classes")
            stamp = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns} {n_classes}".encode()).hexdigest()
            rows = ArrayRows(path, stamp, None if labels is None else labels.numpy(), found)
            return rows, tuple(map(str, range(n_classes))), ()
    listing = sources.list_pictures(path, conditional=options.conditional)
    return ListedFiles(listing), listing.class_names, listing.notes


def check_bad_files(source: pixel_cache.PictureSource, cached: PixelCache, options: TransformOptions) -> None:
    if len(cached.faults) > options.max_bad:
        bad = f"{len(cached.faults):,} of {len(source):,} pictures in {source.path} cannot be used"
        raise DataError(
            f"{bad}: {describe_bad_files(source, cached)}; {bad_files_advice(len(cached.faults), len(source))}"
        )


def bad_files_advice(n_bad: int, n_files: int) -> str:
    """What to do about more bad files than may be skipped; skipping them is offered where enough others remain."""
    skipping = f", or skip them with --max-bad {n_bad}" if n_files - n_bad >= FEWEST_IMAGES else ""
    return f"repair or delete them{skipping}"


def describe_bad_files(source: pixel_cache.PictureSource, cached: PixelCache) -> str:
    """Some of the files that cannot be used with their reasons, and where all are."""
    faults = [f"{archive.shorten_name(source.name(row))} ({reason})" for row, reason in cached.faults]
    where = f"; all are listed in {cached.folder / pixel_cache.BAD_FILES}" if len(faults) > MOST_NAMED else ""
    return format_list(faults, MOST_NAMED) + where


def picture_notes(source: pixel_cache.PictureSource, cached: PixelCache, options: TransformOptions) -> list[str]:
    """What the user should know about the pictures before they are trained on."""
    said = [*cached.notes, *transform.transform_notes(cached.facts, cached.wanted, options)]
    if cached.wanted.channels == 3 and not options.channels and is_colourless(cached):
        said.append("all pictures are colour files that show only grey; --channels 1 trains faster")
    if len(source) < FEWEST_TO_HOLD_OUT:
        n = len(cached.rows)
        said.append(f"{source.path.name} holds only {n} images, so none are held out to watch for overfitting")
    return said


def is_colourless(cached: PixelCache) -> bool:
    """Whether red, green and blue are equal everywhere; the first colour ends the search."""
    pieces = (piece.numpy() for some in (cached.images, cached.heldout) for piece in torch.split(some, TASK_FILES))
    return all((piece[:, 1:] == piece[:, :1]).all() for piece in pieces)


def picture_report(source: pixel_cache.PictureSource, cached: PixelCache, options: TransformOptions) -> DataReport:
    n_skipped = f"{format_count(len(cached.faults), 'picture')} of {len(source):,} skipped"
    return DataReport(
        **transform.header_summary(cached.facts),
        fit=cached.wanted.fit,
        background=cached.wanted.background,
        done=tuple(transform.transform_notes(cached.facts, cached.wanted, options)),
        n_files=len(source),
        faults=tuple((source.name(row), reason) for row, reason in cached.faults),
        skipped=(f"{n_skipped}: {describe_bad_files(source, cached)}",) if cached.faults else (),
        duplicates=cached.duplicates,
        cache=str(cached.folder),
    )
