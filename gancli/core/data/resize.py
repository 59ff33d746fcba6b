"""Decode one picture file and fit it to a given size and channels. Needs no torch."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from PIL import Image

from gancli.config import FitName, TrainConfig
from gancli.core.data import deep_pixels, first_look
from gancli.core.data.decode import ImageHeader, Pixels, open_image
from gancli.core.data.deep_pixels import MOST_BITS
from gancli.core.data.first_look import BLACK, Colour
from gancli.errors import DataError

EXACT_MODES = ("1-bit", "grey", "grey+alpha", "palette", "palette+alpha", "RGB", "RGBA")


@dataclass(frozen=True)
class Transform:
    """The conversion of pictures to one size.

    channels: 1 or 3. background: RGB, shown in transparent places and around a padded picture. bits: 16-bit pictures
    use this many bits, 8 to 16; larger values become white.
    """

    resolution: int
    channels: int
    fit: FitName = TrainConfig.fit
    background: Colour = BLACK
    bits: int = MOST_BITS

    @property
    def mode(self) -> str:
        return "L" if self.channels == 1 else "RGB"


def read_image_header(data: bytes | Pixels) -> ImageHeader:
    """Read the header without decoding pixels. Raises DataError("what is wrong; what to do")."""
    return open_image(data)[0]


def decode_image(data: bytes | Pixels, target: Transform) -> tuple[Pixels, ImageHeader]:
    """Decode a file, or an array [H, W] or [H, W, 1 or 3] -> uint8 [R, R, C], possibly read-only, and its header.

    The picture is turned upright as its EXIF says. Only its first frame is used. 16-bit values are scaled from the
    target's bits. CMYK becomes RGB, transparent places show the background, colour profiles are ignored. The header
    includes the measured facts. Raises DataError("what is wrong; what to do").
    """
    image, header = load_measured(data, target.bits)
    return image_to_array(fit_image(flatten_alpha(image, target), target)), header


def load_measured(data: bytes | Pixels, bits: int) -> tuple[Image.Image, ImageHeader]:
    """Load a picture with mode L, LA, RGB or RGBA, and its header with the measured facts. Raises DataError."""
    header, load = open_image(data)
    image = load()
    if isinstance(image, Image.Image):
        hidden_on = first_look.find_hiding_backgrounds(image)
        return image, header if hidden_on is None else dataclasses.replace(header, hidden_on=hidden_on)
    n_used, hidden = deep_pixels.count_bits(image.high), first_look.find_hiding_backgrounds_by_bits(image)
    return image.to_8_bits(bits), dataclasses.replace(header, bits=n_used, hidden_by_bits=hidden)


def measure_image(data: bytes | Pixels) -> ImageHeader:
    """Read the header of a picture; decode pixels only if there is something to measure. Raises DataError."""
    header, _ = open_image(data)
    return load_measured(data, MOST_BITS)[1] if header.has_alpha or header.is_deep else header


def decode_exact(data: bytes | Pixels) -> Pixels:
    """Decode a picture without changing pixels -> [H, W, 1] if it is grey, else [H, W, 3]; opaque alpha is dropped.

    Raises DataError as decode_image does, and for anything that 8-bit grey or RGB cannot hold: 16-bit, CMYK,
    transparency.
    """
    header, load = open_image(data)
    if header.is_deep:
        raise DataError("16-bit; convert it to 8-bit")
    if header.mode not in EXACT_MODES:
        raise DataError(f"{header.mode} instead of 8-bit grey or RGB; convert it")
    image = load()
    assert isinstance(image, Image.Image)
    if "A" in image.mode and image.getchannel("A").getextrema() != (255, 255):
        raise DataError("transparent in places; save it without transparency")
    is_grey = header.is_grey and header.mode != "palette"
    return image_to_array(image.convert("L" if is_grey else "RGB"))


def flatten_alpha(image: Image.Image, target: Transform) -> Image.Image:
    """Convert L, LA, RGB or RGBA to the target's mode; transparent places show the background."""
    if image.mode == target.mode:
        return image
    if "A" not in image.mode:
        return image if image.mode == target.mode else image.convert(target.mode)
    canvas = blank_image(image.size, target)
    canvas.paste(image.convert(target.mode), mask=image.getchannel("A"))
    return canvas


def blank_image(size: tuple[int, int], target: Transform) -> Image.Image:
    """Return a picture filled with the background colour."""
    return Image.new("RGB", (1, 1), target.background).convert(target.mode).resize(size)


def fit_image(image: Image.Image, target: Transform) -> Image.Image:
    """Fit an L or RGB picture of any size into R x R: crop to the middle square, pad with the background, or stretch.

    Resizes by antialiased Lanczos, as StyleGAN's dataset tool does. If no resizing is needed, pixels are not changed.
    """
    R, (width, height) = target.resolution, image.size
    if target.fit == "crop" and width != height:
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if target.fit == "pad" and width != height:
        longer = max(width, height)
        size = max(1, round(width * R / longer)), max(1, round(height * R / longer))
        canvas = blank_image((R, R), target)
        canvas.paste(resize_image(image, size), ((R - size[0]) // 2, (R - size[1]) // 2))
        return canvas
    return resize_image(image, (R, R))


def resize_image(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def image_to_array(image: Image.Image) -> Pixels:
    """Return the pixels of an L or RGB picture, uint8 [H, W, C], read-only."""
    return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, -1)
