"""Choose the size and channels of training images, and describe the conversion. Needs no torch."""

import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from gancli.config import FitName, TrainConfig, format_colour
from gancli.core.data import first_look
from gancli.core.data.decode import ImageHeader
from gancli.core.data.deep_pixels import MOST_BITS
from gancli.core.data.first_look import Colour
from gancli.core.data.resize import Transform
from gancli.wording import format_count

LOWEST, HIGHEST = 8, 256
LOWEST_AUTO, HIGHEST_AUTO = 16, 64


@dataclass(frozen=True)
class TransformOptions:
    """A user's choices. resolution, channels: 0 chooses them from the pictures. max_bad: bad files that may be skipped.

    background: None chooses it by the ink of transparent pictures. bits: that 16-bit pictures use; 0 finds them.
    conditional: report invalid labels as an error instead of ignoring them. as_in_0_1: as in ImageSource.for_training.
    """

    resolution: int = TrainConfig.resolution
    channels: int = 0
    fit: FitName = Transform.fit
    background: Colour | None = None
    bits: int = 0
    max_bad: int = TrainConfig.max_bad
    conditional: bool = TrainConfig.conditional
    as_in_0_1: bool = False


def choose_transform(headers: Counter[ImageHeader], options: TransformOptions) -> Transform:
    """Choose what the options leave open from the headers of all pictures.

    Without any pictures: 16 pixels, grey, a black background and 16 bits.
    """
    resolution = options.resolution or auto_resolution(headers)
    bits = options.bits or first_look.choose_bits(headers)
    background = options.background or first_look.choose_background(headers, bits)
    is_colour = any(shows_colour(header, options.fit, background) for header in headers)
    return Transform(resolution, options.channels or (3 if is_colour else 1), options.fit, background, bits)


def shows_colour(header: ImageHeader, fit: FitName, background: Colour) -> bool:
    """Whether a picture has colour, or shows a coloured background."""
    is_padded = fit == "pad" and header.width != header.height
    return not header.is_grey or (len({*background}) > 1 and (header.has_alpha or is_padded))


def auto_resolution(headers: Counter[ImageHeader]) -> int:
    """Return the size of more than half of the pictures, if it is square and valid.

    Otherwise return the median of their shorter sides, rounded down to a multiple of 4, from 16 to 64.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    for header, n in headers.items():
        sizes[header.width, header.height] += n
    if not sizes:
        return LOWEST_AUTO
    (width, height), n = sizes.most_common(1)[0]
    if n > sizes.total() / 2 and width == height and is_valid_resolution(width):
        return width
    median = statistics.median_low(sorted(min(size) for size in sizes.elements()))
    return min(max(median // 4 * 4, LOWEST_AUTO), HIGHEST_AUTO)


def is_valid_resolution(side: int) -> bool:
    return LOWEST <= side <= HIGHEST and side % 4 == 0


def transform_notes(headers: Counter[ImageHeader], target: Transform, options: TransformOptions) -> list[str]:
    """Describe each conversion, with the number of pictures that it applies to."""
    R, bits = target.resolution, target.bits
    auto = "" if options.resolution else ", a size chosen from the data (change it with --resolution)"
    way = {"crop": "cropped to the middle square", "pad": "padded", "stretch": "stretched"}[target.fit]
    treatments: dict[str, Callable[[ImageHeader], bool]] = {
        f"resized to {R}x{R}{auto}": lambda header: (header.width, header.height) != (R, R),
        f"not square, so {way} (change this with --fit)": lambda header: header.width != header.height,
        "converted from colour to grey": lambda header: target.channels == 1 and not header.is_grey,
        background_note(headers, target, options): lambda header: header.has_alpha,
        bits_note(bits, options): lambda header: bits < MOST_BITS and header.bits > 0,
        f"16-bit with values above {2**bits - 1:,}, which became white (raise --bits)": lambda header: (
            header.bits > bits
        ),
        "reduced from 16 to 8 bits per channel": lambda header: (
            header.is_deep and (bits == MOST_BITS or not header.bits)
        ),
        "rotated according to their EXIF orientation": lambda header: header.is_oriented,
        "colour profile ignored": lambda header: header.has_profile,
        "only the first of several frames used": lambda header: header.has_more_frames,
    }
    numbers = {text: count_headers(headers, applies) for text, applies in treatments.items()}
    return [f"{format_count(n, 'picture')}: {text}" for text, n in numbers.items() if n]


def background_note(headers: Counter[ImageHeader], target: Transform, options: TransformOptions) -> str:
    """Say on which background transparent pictures are placed, and why if it is not black."""
    placed = f"transparent, so placed on {format_colour(target.background)}"
    if options.background is None and target.background != first_look.BLACK:
        placed += f", because black hides {first_look.count_hidden(headers, target.bits)['black']:,} of them"
    return f"{placed} (change this with --background)"


def bits_note(bits: int, options: TransformOptions) -> str:
    """Say how 16-bit pictures that use fewer bits are scaled."""
    use = "16-bit, so" if options.bits else f"16-bit, but with no value above {2**bits - 1:,}, so"
    how = f"scaled from {bits} to 8 bits" if bits > 8 else "their low 8 bits are kept"
    return f"{use} {how} (change this with --bits)"


def count_headers(headers: Counter[ImageHeader], has: Callable[[ImageHeader], bool]) -> int:
    return sum(n for header, n in headers.items() if has(header))


def header_summary(headers: Counter[ImageHeader]) -> dict[str, dict[str, int]]:
    """Count the pictures of each kind, mode and size, most frequent first."""
    tables: dict[str, Counter[str]] = {"kinds": Counter(), "modes": Counter(), "sizes": Counter()}
    for header, n in headers.items():
        tables["kinds"][header.kind] += n
        tables["modes"][header.mode] += n
        tables["sizes"][f"{header.width}x{header.height}"] += n
    return {name: dict(table.most_common()) for name, table in tables.items()}
