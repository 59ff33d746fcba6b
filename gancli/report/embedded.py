"""Pictures of a run folder as data: URIs for a page, limited to a number of bytes."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from gancli.files import image_io
from gancli.files.run_folder import RunDir, parse_nimg

ENOUGH_FRAMES = 60  # if fewer original frames would fit, frames are reduced and compressed with a small loss
REDUCED_PX, QUALITY = 960, 80  # width of reduced frames, and libwebp's quality


@dataclass(frozen=True)
class EmbeddedPicture:
    """A picture in a page; width and height of the encoded data, in pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class EmbeddedFrames:
    """The frames of a run that a page shows, in ascending order of images seen."""

    nimgs: list[int] = field(default_factory=list)
    pictures: list[EmbeddedPicture] = field(default_factory=list)
    n_left_out: int = 0
    is_reduced: bool = False


def embed_frames(run: RunDir, room: int) -> EmbeddedFrames:
    """Return evenly spaced frames, including the last; their URIs take at most `room` bytes. Raises RunError."""
    paths = run.frame_paths()
    if not paths:
        return EmbeddedFrames()
    lengths = [data_uri_length(path.stat().st_size) for path in paths]
    kept = choose_fitting(lengths, room)
    is_reduced = len(kept) < min(len(paths), ENOUGH_FRAMES) or sum(lengths[i] for i in kept) > room
    if is_reduced:
        some = spaced_indices(len(paths), ENOUGH_FRAMES)
        found = list(image_io.map_in_threads(embed_reduced, [paths[i] for i in some]))
        among = choose_fitting([len(picture.uri) for picture in found], room)
        kept, pictures = [some[i] for i in among], [found[i] for i in among]
        if len(kept) == 1:
            pictures = [embed_picture(paths[-1], room)]
    else:
        pictures = [embed_original(paths[i]) for i in kept]
    return EmbeddedFrames([parse_nimg(paths[i]) for i in kept], pictures, len(paths) - len(kept), is_reduced)


def embed_picture(path: Path, room: int) -> EmbeddedPicture:
    """Encode a PNG in at most `room` bytes, as a smaller WebP if necessary. Raises RunError."""
    if path.is_file() and data_uri_length(path.stat().st_size) <= room:
        return embed_original(path)
    width = REDUCED_PX
    while len((found := embed_reduced(path, width)).uri) > room and width > 1:
        width //= 2
    return found


def embed_original(path: Path) -> EmbeddedPicture:
    width, height = image_io.read_png_size(path)
    return EmbeddedPicture(data_uri("image/png", path.read_bytes()), width, height)


def embed_reduced(path: Path, width: int = REDUCED_PX) -> EmbeddedPicture:
    """Encode a PNG as WebP, at most `width` wide and ten times as high (WebP allows at most 16,383 pixels)."""
    image = Image.fromarray(image_io.read_png(path))
    scale = min(1, width / image.width, 10 * width / image.height)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY)
    return EmbeddedPicture(data_uri("image/webp", buffer.getvalue()), image.width, image.height)


def data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def data_uri_length(n_bytes: int) -> int:
    return len("data:image/png;base64,") + 4 * -(-n_bytes // 3)


def choose_fitting(lengths: Sequence[int], room: int) -> list[int]:
    """Return the indices of evenly spaced items that fit into `room` together; the last item is always included."""
    n = len(lengths)
    while n > 1 and sum(lengths[i] for i in spaced_indices(len(lengths), n)) > room:
        n = min(n - 1, round(0.95 * n))
    return spaced_indices(len(lengths), n)


def spaced_indices(n: int, most: int) -> list[int]:
    """Return at most `most` evenly spaced indices from 0 to n - 1, always including n - 1."""
    places = np.linspace(n - 1, 0, min(n, most)).round().astype(int)
    return [int(place) for place in np.unique(places)]
