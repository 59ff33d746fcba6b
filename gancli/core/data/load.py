"""Load training data by name or path, and choose the images of each batch."""

import contextlib
import functools
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gancli import platform
from gancli.core import rng
from gancli.core.data import archive, idx, pixel_cache, statistics, transform
from gancli.core.data.cache_files import BAD_FILES
from gancli.core.data.data_report import DataReport, format_faults
from gancli.core.data.dataset import FEWEST_IMAGES, FEWEST_TO_HOLD_OUT, ImageSet, few_images_note, tensors_digest
from gancli.core.data.decode import ACCEPTED_FORMATS_HINT, EXTENSIONS, ImageHeader
from gancli.core.data.npz_array import open_npz
from gancli.core.data.picture_files import file_entries, is_picture_name, open_folder, open_pictures_of_zip
from gancli.core.data.pixel_cache import PixelCache, ProgressCallback
from gancli.core.data.resize import decode_image
from gancli.core.data.source import ImageSource, to_channels_first
from gancli.core.data.transform import TransformOptions
from gancli.datasets import DATASETS
from gancli.errors import DataError, did_you_mean, make_printable
from gancli.files.cache import cache_notes
from gancli.wording import format_count

DEFAULT_OPTIONS = TransformOptions()
CHUNK_IMAGES = 256
MOST_NAMED = 5


def has_fixed_size(name: str) -> bool:
    """Whether the name or path is a named set or IDX files, whose images have one size."""
    return name in DATASETS or find_idx_folder(name) is not None


def find_idx_folder(name: str) -> Path | None:
    """Return the path if it is a folder of IDX files, else None."""
    path = absolute_path(name)
    return path if os.path.isdir(path) and idx.find_idx_file(path, "train", "images-idx3") else None


def absolute_path(name: str) -> Path:
    return Path(os.path.abspath(platform.expand_home(name) or name))


def ignore_progress(what: str, done: int, total: int) -> None:
    """Show nothing; the default ProgressCallback."""


def load_dataset(
    name: str,
    options: TransformOptions = DEFAULT_OPTIONS,
    progress: ProgressCallback = ignore_progress,
    *,
    verify: bool = False,
) -> ImageSet:
    """Load a named data set, or the pictures or IDX files at a path. Raises DataError.

    Named sets and IDX files are converted in memory; pictures are decoded into the cache. verify: read an existing
    cache completely and compare it with its digest.
    """
    if name in DATASETS:
        data = fit_dataset(DATASETS[name].load(), options)
        return replace(data, notes=(*data.notes, *cache_notes()))
    path = absolute_path(name)
    if find_idx_folder(name):
        images = replace(idx.load_idx_folder(name, path), name=make_printable(path.name), source=str(path))
        return fit_dataset(images, options)
    if name and os.path.exists(path):
        return load_pictures(path, options, progress, verify=verify)
    if os.path.basename(name) != name:
        raise DataError(f"no folder or file {name}; give --data an existing path, or one of {', '.join(DATASETS)}")
    raise DataError(
        f"unknown data set {name!r}{did_you_mean(name.lower(), DATASETS)}, and no such path; check the spelling"
    )


def has_data(source: str) -> bool:
    """Whether the data set of a run is a named one, or still exists at its path."""
    return source in DATASETS or os.path.exists(source)


def load_recorded_dataset(
    name: str,
    options: TransformOptions,
    digest: str,
    progress: ProgressCallback = ignore_progress,
    *,
    verify: bool = False,
) -> ImageSet:
    """Load the data set of a run. If the digest differs, read the images as version 0.1 did.

    digest: that of the run's data; the caller compares it with the result. Raises DataError.
    """
    images, problem = None, None
    try:
        images = load_dataset(name, options, progress, verify=verify)
    except DataError as err:
        problem = err
    if (not images or images.digest != digest) and not has_fixed_size(name):
        with contextlib.suppress(DataError):
            older = load_dataset(name, replace(options, as_in_0_1=True), progress, verify=verify)
            if older.digest == digest:
                return older
    if problem:
        raise problem
    assert images is not None
    return images


def fit_dataset(data: ImageSet, options: TransformOptions) -> ImageSet:
    """Convert every image of a set to the size and channels in the options."""
    n, channels, height, width = data.images.shape
    headers = Counter({ImageHeader("array", width, height, "grey" if channels == 1 else "RGB", channels == 1): n})
    target = transform.choose_transform(headers, options)
    if (target.channels, target.resolution, target.resolution) == (channels, height, width):
        return data

    def fit(images: Tensor) -> Tensor:
        pixels = np.empty((len(images), target.resolution, target.resolution, target.channels), np.uint8)
        for row, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
            pixels[row], _ = decode_image(image, target)
        return torch.from_numpy(to_channels_first(pixels))

    images, heldout = fit(data.images), fit(data.heldout_images)
    return replace(
        data,
        images=images,
        heldout_images=heldout,
        digest=tensors_digest(images, data.labels, heldout, data.heldout_labels),
        notes=(*data.notes, *transform.transform_notes(headers, target, options)),
    )


def open_archive(path: Path) -> ImageSource:
    """Open a zip as pictures, or as an npz if it holds arrays and no pictures. Raises DataError."""
    opened = archive.open_zip(path)
    names = {info.filename: info for info in file_entries(opened)}
    arrays = {name.removesuffix(".npy"): info for name, info in names.items() if name.endswith(".npy")}
    if arrays and not any(map(is_picture_name, names)):
        return open_npz(path, opened, arrays)
    return open_pictures_of_zip(path, opened)


# Pairs of a test and an opener: the first test that accepts a path selects its opener.
SOURCES: list[tuple[Callable[[Path], bool], Callable[[Path], ImageSource]]] = [
    (Path.is_dir, open_folder),
    (Path.is_file, open_archive),
]


def open_source(path: Path) -> ImageSource:
    """Open the images at a path without decoding them. Raises DataError."""
    for is_of_kind, open_it in SOURCES:
        if is_of_kind(path):
            return open_it(path)
    raise DataError(f"{path} is neither a folder nor a file; {ACCEPTED_FORMATS_HINT}")


def load_pictures(
    path: Path, options: TransformOptions, progress: ProgressCallback, *, verify: bool = False
) -> ImageSet:
    """Load the pictures at an absolute path through the cache. verify: as for load_dataset. Raises DataError."""
    if path.is_file() and path.name.lower().endswith(EXTENSIONS):
        raise DataError(f"{path} is one picture; {ACCEPTED_FORMATS_HINT}")
    source = open_source(path).for_training(conditional=options.conditional, as_in_0_1=options.as_in_0_1)
    cached = pixel_cache.load_or_build_cache(source, options, progress, verify=verify)
    check_bad_files(source, cached, options)
    return ImageSet(
        name=make_printable(path.name),
        source=str(path),
        images=cached.images,
        labels=pixel_cache.row_labels(source, cached.rows),
        heldout_images=cached.heldout,
        heldout_labels=pixel_cache.row_labels(source, cached.heldout_rows),
        class_names=source.class_names,
        digest=cached.index.digest,
        notes=(*cache_notes(), *source.notes, *picture_notes(source, cached, options)),
        report=picture_report(source, cached, options),
    )


def check_bad_files(source: ImageSource, cached: PixelCache, options: TransformOptions) -> None:
    n_bad = len(cached.index.faults)
    if n_bad > options.max_bad:
        bad = f"{n_bad:,} of {len(source):,} pictures in {source.path} cannot be used"
        raise DataError(f"{bad}: {describe_bad_files(source, cached)}; {bad_files_advice(n_bad, len(source))}")
    if len(cached.rows) < FEWEST_IMAGES:
        bad = f", {n_bad:,} cannot be used: {describe_bad_files(source, cached)}" if n_bad else ""
        n = format_count(len(cached.rows), "usable picture")
        raise DataError(f"{source.path} holds {n}{bad}; add more, at least {FEWEST_IMAGES} are needed")


def bad_files_advice(n_bad: int, n_files: int) -> str:
    """Advise how to fix bad files; offer --max-bad only if enough other pictures remain."""
    skip = f", or skip them with --max-bad {n_bad}" if n_files - n_bad >= FEWEST_IMAGES else ""
    return f"repair or delete them{skip}"


def describe_bad_files(source: ImageSource, cached: PixelCache) -> str:
    """List some bad files with their reasons, and where to find the whole list."""
    faults = [(source.name(row), reason) for row, reason in cached.index.faults]
    where = f"; all are listed in {cached.folder / BAD_FILES}" if len(faults) > MOST_NAMED else ""
    return format_faults(faults, MOST_NAMED) + where


def picture_notes(source: ImageSource, cached: PixelCache, options: TransformOptions) -> list[str]:
    """Return notes on the pictures to show before training."""
    notes = [*cached.notes, *transform.transform_notes(cached.headers, cached.index.target, options)]
    is_asked = cached.index.target.channels == 3 and not options.channels
    if is_asked and is_colourless(cached) and not statistics.shows_nothing(cached.images):
        notes.append("all pictures are stored in colour but look grey; add --channels 1 to train faster")
    if len(source) < FEWEST_TO_HOLD_OUT and source.held is None:
        notes.append(few_images_note(source.path.name, len(cached.rows)))
    return notes


def is_colourless(cached: PixelCache) -> bool:
    """Whether red, green and blue are equal in all pixels; stops at the first chunk with colour."""
    chunks = (chunk.numpy() for some in (cached.images, cached.heldout) for chunk in torch.split(some, CHUNK_IMAGES))
    return all((chunk[:, 1:] == chunk[:, :1]).all() for chunk in chunks)


def picture_report(source: ImageSource, cached: PixelCache, options: TransformOptions) -> DataReport:
    n_skipped = f"{format_count(len(cached.index.faults), 'picture')} of {len(source):,} skipped"
    return DataReport(
        **transform.header_summary(cached.headers),
        fit=cached.index.target.fit,
        background=cached.index.target.background,
        bits=cached.index.target.bits,
        done=tuple(transform.transform_notes(cached.headers, cached.index.target, options)),
        n_files=len(source),
        faults=tuple((source.name(row), reason) for row, reason in cached.index.faults),
        skipped=(f"{n_skipped}: {describe_bad_files(source, cached)}",) if cached.index.faults else (),
        duplicates=cached.index.duplicates,
        cache=str(cached.folder),
        n_transparent=transform.count_headers(cached.headers, lambda header: header.has_alpha),
    )


@functools.lru_cache(maxsize=4)
def epoch_permutation(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=rng.generator(seed, "order", epoch))


def batch_indices(n: int, seed: int, nimg: int, batch_size: int) -> Tensor:
    """Choose the training images to show after nimg images -> int64 [batch_size], from 0 to n - 1.

    Training shows an endless stream of images: position p is element p % n of permutation p // n. The stream depends
    only on n and seed, so a resumed run sees the same images as an uninterrupted one. Recent permutations are cached.
    """
    parts = []
    while batch_size > 0:
        epoch, start = divmod(nimg, n)
        parts.append(epoch_permutation(n, seed, epoch)[start : start + batch_size])
        nimg += len(parts[-1])
        batch_size -= len(parts[-1])
    return torch.cat(parts)
