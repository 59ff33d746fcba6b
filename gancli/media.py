"""Pictures and films on disk <-> numpy uint8 arrays, grey [H, W] or colour [H, W, 3]. The only importer of imageio."""

import io
import itertools
import logging
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from gancli.errors import ContractError, DataError, RunError
from gancli.rundir import atomic_file, atomic_write

Picture = npt.NDArray[np.uint8]

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else what it logs of damaged files goes to stderr

# As few as still look smooth on digits: 20 make a film a sixth smaller than 32 do.
GREYS = np.repeat(np.linspace(0, 255, 20).round().astype(np.uint8), 3).reshape(20, 3)
COLOURS = 256
SAMPLE_PIXELS = 1 << 20
PART_PIXELS = 1 << 25
DECODED = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
MOST_PIXELS = 1 << 26  # fewer than those that Pillow warns of


def encode_png(picture: Picture) -> bytes:
    check_picture(picture)
    return iio.imwrite("<bytes>", picture, plugin="pillow", extension=".png", is_batch=False)


def write_png(path: Path, picture: Picture) -> None:
    atomic_write(path, encode_png(picture))


def read_png(path: Path) -> Picture:
    """Raises RunError where the file is missing, damaged, or holds anything but 8-bit grey or RGB."""
    try:
        picture = iio.imread(path.read_bytes(), plugin="pillow", extension=".png", index=0)
    except (OSError, SyntaxError, ValueError) as err:  # Pillow reports a broken PNG as a SyntaxError
        reason = getattr(err, "strerror", None) or "damaged or not a PNG"
        raise RunError(f"cannot read the picture {path}: {reason}; restore or delete it") from err
    if not is_picture(picture):
        raise RunError(f"cannot use the picture {path}: it is neither 8-bit grey nor 8-bit RGB; replace or delete it")
    return picture


def decode(data: bytes) -> Picture:
    """The picture in a file of one of the formats DECODED, the first if it holds several; opaque alpha is dropped.

    Raises DataError, its text the reason alone, for damage, for more than MOST_PIXELS, and for what 8-bit grey or RGB
    cannot hold: 16-bit, CMYK, transparency.
    """
    if not data:
        raise DataError("empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=DECODED) as image:
                return to_picture(image)
        except DataError:
            raise
        except UnidentifiedImageError as err:
            raise DataError("not a picture") from err
        except Image.DecompressionBombError as err:
            raise DataError("too many pixels") from err
        except Exception as err:  # there is nothing that Pillow's readers do not raise on damaged files
            raise DataError("truncated" if "truncated" in str(err).lower() else "damaged") from err


def to_picture(image: Image.Image) -> Picture:
    """An image just opened, its header read but no pixels yet. Raises DataError, or what Pillow raises."""
    if image.width * image.height > MOST_PIXELS:
        raise DataError("too many pixels")
    tile = str(getattr(image, "tile", [])[:1])
    if image.mode.startswith("I;16") or re.search(r"'(?:LA?|RGB[AXa]?);16", tile):  # Pillow would cut RGB to 8 bits
        raise DataError("16-bit")
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        kind = {"I": "32-bit", "F": "float"}.get(image.mode, image.mode)
        raise DataError(f"{kind} instead of 8-bit grey or RGB")
    image.load()
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise DataError("transparent in places")
    return np.array(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))


def enlarge(picture: Picture, scale: int) -> Picture:
    """Every pixel becomes a square of scale x scale."""
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def palette_of(frames: Iterable[Picture]) -> Picture:
    """At most 256 colours [n, 3] that suit all of these frames: 20 greys, or a median cut of a sample of pixels."""
    frames = list(frames)
    if frames[0].ndim == 2:
        return GREYS
    pixels = np.concatenate([frame.reshape(-1, 3) for frame in frames])
    sample = pixels[:: max(1, len(pixels) // SAMPLE_PIXELS)]
    few = Image.fromarray(sample[None]).quantize(COLOURS, Image.Quantize.MEDIANCUT)
    return np.unique(np.array(few.getpalette(), np.uint8).reshape(-1, 3), axis=0)


def write_gif(
    path: Path, frames: Iterable[Picture], durations_ms: Sequence[int], palette: Picture | None = None
) -> None:
    """A GIF that loops for ever: one palette for all frames, nearest colours, no dithering.

    frames: of one shape, as many as durations; drawn one by one, so a long film need not fit in memory.
    durations_ms: multiples of 10, since GIF counts hundredths, and at least 20, since browsers slow down what is less.
    palette: uint8 [n, 3], distinct colours; left out, it is made from the frames of the first part.

    Pillow, under imageio, holds all frames it is given until it writes. So the film is encoded in parts which are
    joined: each is a header (the same in all), frames, and one byte that ends the file.
    """
    for duration in durations_ms:
        if duration % 10 or not 20 <= duration <= 655_350:
            raise ContractError(f"a GIF frame lasts 20 to 655350 ms in steps of 10, got {duration}")
    stream = iter(frames)
    first = next(stream, None)
    if first is None or not durations_ms:
        raise ContractError("a GIF needs at least one frame")
    check_picture(first)
    stream = itertools.chain([first], stream)
    per_part = max(1, PART_PIXELS // (first.shape[0] * first.shape[1]))
    with atomic_file(path) as file:
        for start in range(0, len(durations_ms), per_part):
            durations = durations_ms[start : start + per_part]
            if palette is None:
                part = list(itertools.islice(stream, len(durations)))
                stream = itertools.chain(part, stream)
                palette = palette_of(part)
            indices = to_indices(itertools.islice(stream, len(durations)), palette, first.shape)
            if len(indices) != len(durations):
                raise ContractError(f"{len(durations_ms)} durations given, but {start + len(indices)} frames")
            data = encode_gif(indices, durations, palette)
            file.write(data[header_length(data) if start else 0 : -1])
        if next(stream, None) is not None:
            raise ContractError(f"{len(durations_ms)} durations given, but more frames")
        file.write(b";")


def encode_gif(indices: Picture, durations_ms: Sequence[int], palette: Picture) -> bytes:
    """indices [N, H, W] into the palette [n, 3] -> a whole GIF; Pillow joins equal neighbours, adding their times."""
    return iio.imwrite(
        "<bytes>",
        indices,
        plugin="pillow",
        extension=".gif",
        is_batch=True,
        palette=palette.tobytes(),
        duration=list(durations_ms) if len(indices) > 1 else durations_ms[0],
        loop=0,
    )


def header_length(gif: bytes) -> int:
    """Screen descriptor (13 bytes, the low bits of byte 10 size the palette), palette, and the loop block (19)."""
    return 13 + 3 * (2 << (gif[10] & 7)) + 19


def to_indices(frames: Iterable[Picture], palette: Picture, shape: tuple[int, ...]) -> Picture:
    """Frames of one shape, [H, W] or [H, W, 3] -> [N, H, W], for every pixel the place of its colour in the palette."""
    grey_index = np.abs(np.arange(256)[:, None] - palette[:, 0].astype(int)).argmin(axis=1).astype(np.uint8)
    table = Image.new("P", (1, 1))
    table.putpalette(np.pad(palette, ((0, 256 - len(palette)), (0, 0)), mode="edge").tobytes())
    indices = []
    for frame in frames:
        if frame.shape != shape:
            raise ContractError(f"frames must have one shape, got {shape} and {frame.shape}")
        if frame.ndim == 2:
            indices.append(grey_index[frame])
        else:
            index = np.asarray(Image.fromarray(frame).quantize(palette=table, dither=Image.Dither.NONE))
            indices.append(np.minimum(index, len(palette) - 1).astype(np.uint8))
    return np.stack(indices) if indices else np.zeros((0, *shape[:2]), np.uint8)


def is_picture(array: npt.NDArray[np.generic]) -> bool:
    return array.dtype == np.uint8 and array.size > 0 and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3))


def check_picture(array: npt.NDArray[np.generic]) -> None:
    if not is_picture(array):
        raise ContractError(f"expected a picture, uint8 [H, W] or [H, W, 3], got {array.dtype} {array.shape}")
