"""Samples of a model as files: a grid, single pictures, or one npz. Memory does not grow with their number."""

import io
import math
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch

from gancli import media
from gancli.core import images
from gancli.core.generate import from_seeds
from gancli.core.imagefiles import CONTACT_SHEET
from gancli.core.modelfile import Model
from gancli.errors import ConfigError
from gancli.rundir import atomic_file, atomic_folder

GRID_LIMIT = 1024


def write_grid(path: Path, model: Model, seeds: Sequence[int], labels: Sequence[int] | None) -> None:
    """One PNG of all seeds, row by row."""
    if len(seeds) > GRID_LIMIT:
        raise ConfigError(f"a grid holds at most {GRID_LIMIT} images, asked for {len(seeds)}; write a folder or .npz")
    made = torch.cat([pictures for _, pictures, _ in from_seeds(model, seeds, labels)])
    media.write_png(path, images.grid(made, columns(len(seeds))))


def write_folder(
    path: Path, model: Model, seeds: Sequence[int], labels: Sequence[int] | None, *, force: bool = False
) -> Iterator[int]:
    """grid.png (of the first GRID_LIMIT) and seed0000.png, ...; yields how many are done."""
    with atomic_folder(path, force=force) as folder:
        first, done = [], 0
        for some, pictures, _ in from_seeds(model, seeds, labels):
            for seed, picture in zip(some, images.to_hwc(pictures), strict=True):
                (folder / f"seed{seed:04d}.png").write_bytes(media.encode_png(picture))
            if done < GRID_LIMIT:
                first.append(pictures)
            done += len(some)
            yield done
        shown = torch.cat(first)[:GRID_LIMIT]
        (folder / CONTACT_SHEET).write_bytes(media.encode_png(images.grid(shown, columns(len(shown)))))


def write_npz(path: Path, model: Model, seeds: Sequence[int], labels: Sequence[int] | None) -> Iterator[int]:
    """images uint8 [N,H,W,C], seeds int64 [N] and, if conditional, labels int64 [N]; yields how many are done."""
    spec = model.info.spec
    with atomic_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        done, classes = 0, []
        with archive.open("images.npy", "w", force_zip64=True) as entry:
            write_npy_header(entry, (len(seeds), spec.resolution, spec.resolution, spec.channels))
            for some, pictures, chosen in from_seeds(model, seeds, labels):
                entry.write(pictures.permute(0, 2, 3, 1).contiguous().numpy().tobytes())
                classes += [] if chosen is None else chosen.tolist()
                done += len(some)
                yield done
        archive.writestr("seeds.npy", npy_bytes(np.asarray(seeds, np.int64)))
        if classes:
            archive.writestr("labels.npy", npy_bytes(np.asarray(classes, np.int64)))


def write_npy_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    header: dict[str, Any] = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def npy_bytes(array: npt.NDArray[np.int64]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def columns(n: int) -> int:
    return math.ceil(math.sqrt(n))
