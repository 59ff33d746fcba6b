"""Decode one picture file: its header, and its pixels upright with 8 bits per channel."""

import contextlib
import io
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageChops, JpegImagePlugin, TiffImagePlugin, WebPImagePlugin

from gancli.core.data import fast_png
from gancli.core.data.deep_pixels import DeepImage
from gancli.core.data.fast_png import DAMAGED, TRUNCATED
from gancli.errors import DataError

MOST_PIXELS = 1 << 26
MOST_BYTES = 1 << 28  # of the decoded pixels, before conversion to 8 bits
MOST_SCANS = 100  # of a JPEG; each takes a pass over all pixels, and a progressive JPEG has about ten
START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
SEGMENT = re.compile(rb"\xff[^\0\1\xff\xd0-\xd8]")  # JPEG markers that start a segment, and the end marker
MODE_NAMES = {
    "1": "1-bit",
    "L": "grey",
    "LA": "grey+alpha",
    "P": "palette",
    "PA": "palette+alpha",
    "RGB": "RGB",
    "RGBX": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "I": "32-bit",
    "F": "float",
}
DEEP_COLOURS = ("RGB", "RGBX", "RGBA")  # 16-bit layouts whose bytes Pillow can decode separately
UNSUPPORTED_MODES = ("I", "F", "LAB")  # Pillow modes with more than 8 bits, or with colours other than RGB
NOT_A_PICTURE = "not a known picture format; convert it to PNG, or delete it"
UNSUPPORTED_LAYOUT = "unsupported pixel layout; save it as PNG"
UPRIGHT_TRANSPOSES = {  # EXIF orientation -> the operation that turns the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
BITS, PHOTOMETRIC, ORIENTATION, SAMPLE_FORMAT = 258, 262, 274, 339  # TIFF tags
SIGNED_FORMAT = 2

# Our errors replace the log and the warnings of Pillow. Set globally, because catch_warnings is not thread-safe.
logging.getLogger("PIL").addHandler(logging.NullHandler())
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True)
class ImageHeader:
    """Facts from the header of a picture file, and three that `resize.decode_image` measures.

    kind: a key of IMAGE_FORMATS. width, height: after turning it upright.
    mode: "grey", "RGB", "16-bit grey", "palette", "CMYK" and so on. is_grey: its mode or palette is grey.
    is_oriented: EXIF turns or mirrors it. has_profile: it has a colour profile, which is ignored.
    has_more_frames: it is an animation or has several pages, of which only the first is used.
    bits: number of bits, 8 to 16, that the values of a 16-bit picture use; 0 for other pictures and if not measured.
    hidden_on: names of backgrounds that hide its ink; None for a 16-bit picture, without transparent places and if not
    measured. hidden_by_bits: the same for a 16-bit picture, for each scale from 8 to 16 bits; otherwise empty.
    """

    kind: str
    width: int
    height: int
    mode: str
    is_grey: bool
    is_oriented: bool = False
    has_profile: bool = False
    has_alpha: bool = False
    has_more_frames: bool = False
    bits: int = 0
    hidden_on: tuple[str, ...] | None = None
    hidden_by_bits: tuple[tuple[str, ...], ...] = ()

    @property
    def is_deep(self) -> bool:
        return is_deep_mode(self.mode)


def is_deep_mode(mode: str) -> bool:
    return mode.startswith("16-bit")


PixelLoader = Callable[[], Image.Image | DeepImage]
Pixels = npt.NDArray[np.uint8]


def open_image(data: bytes | Pixels) -> tuple[ImageHeader, PixelLoader]:
    """Read the header; also return a function that loads the pixels upright, with mode L, LA, RGB or RGBA.

    data: a file's bytes, or pixels [H, W] or [H, W, 1 or 3].
    The returned function returns 16-bit pixels as a DeepImage, because their scale depends on all pictures.
    CMYK becomes RGB. Both functions raise DataError("what is wrong; what to do").
    """
    if isinstance(data, np.ndarray):
        return open_array(data)
    if not data:
        raise DataError("empty; copy it again")
    for one in IMAGE_FORMATS.values():
        if data.startswith(one.magic):
            return one.open(data)
    raise DataError(NOT_A_PICTURE)


def open_array(pixels: Pixels) -> tuple[ImageHeader, PixelLoader]:
    """Do the work of `open_image` for an array of pixels; its kind is npz."""
    height, width = pixels.shape[:2]
    is_grey = pixels.ndim == 2 or pixels.shape[2] == 1
    header = ImageHeader("npz", width, height, "grey" if is_grey else "RGB", is_grey)
    return header, lambda: Image.fromarray(pixels.reshape(height, width) if is_grey else pixels)


def open_png(data: bytes) -> tuple[ImageHeader, PixelLoader]:
    file = fast_png.parse_png(data)
    check_pixel_count(file.width, file.height, len(file.mode) * max(file.depth // 8, 1))
    turn = exif_orientation(file.chunks.get(b"eXIf"))
    header = ImageHeader(
        "PNG",
        *((file.height, file.width) if turn > 4 else (file.width, file.height)),
        mode="1-bit" if file.mode == "L" and file.depth == 1 else mode_name(file.mode, is_deep=file.depth == 16),
        is_grey=file.mode in ("L", "LA") or are_grey_colours(file.palette),
        is_oriented=turn > 1,
        has_profile=b"iCCP" in file.chunks,
        has_alpha="A" in file.mode or b"tRNS" in file.chunks,
        has_more_frames=file.chunks.get(b"acTL", b"")[:4] > b"\0\0\0\1",
    )

    def load() -> Image.Image | DeepImage:
        upright = partial(rotate_upright, turn=turn)
        return DeepImage(file.load(), file.load_low_bytes, upright) if file.depth == 16 else upright(file.load())

    return header, load


def open_jpeg(data: bytes) -> tuple[ImageHeader, PixelLoader]:
    if data.count(START_OF_SCAN) > MOST_SCANS and has_too_many_scans(data):
        raise DataError(DAMAGED)
    return open_with_pillow("JPEG", JpegImagePlugin.JpegImageFile, data)


def open_webp(data: bytes) -> tuple[ImageHeader, PixelLoader]:
    if data[8:12] != b"WEBP":
        raise DataError(NOT_A_PICTURE)
    if len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise DataError(TRUNCATED)
    return open_with_pillow("WebP", WebPImagePlugin.WebPImageFile, data)


@contextlib.contextmanager
def translate_pillow_errors() -> Iterator[None]:
    """Raise any error of Pillow as DataError."""
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as err:  # Pillow's readers raise all kinds of exceptions on damaged files
        message = str(err).lower()
        is_unsupported = any(words in message for words in ("unknown pixel mode", "unsupported", "cannot handle"))
        reason = TRUNCATED if "truncated" in message else UNSUPPORTED_LAYOUT if is_unsupported else DAMAGED
        raise DataError(reason) from err


def open_with_pillow(kind: str, reader: type[Image.Image], data: bytes) -> tuple[ImageHeader, PixelLoader]:
    """Do the work of `open_image` with this reader alone; Image.open would also try readers of other kinds."""
    with translate_pillow_errors():
        image = reader(io.BytesIO(data))  # type: ignore[call-arg]
        check_pixel_count(*image.size)
        tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
        is_tiff = kind == "TIFF"
        turn = valid_orientation(tags.get(ORIENTATION)) if is_tiff else exif_orientation(image.info.get("exif"))
        layout = file_layout(image)
        is_signed = SIGNED_FORMAT in tag_values(tags, SAMPLE_FORMAT)
        is_misread = layout != "I;12" and ";16" not in layout and max(tag_values(tags, BITS), default=8) > 8
        header = ImageHeader(
            kind,
            *(image.size[::-1] if turn > 4 and not is_tiff else image.size),
            mode="signed " * is_signed + file_mode_name(image.mode, layout),
            is_grey=image.mode in ("1", "L", "LA") or image.mode.startswith("I;16") or has_grey_palette(image),
            is_oriented=turn > 1,
            has_profile="icc_profile" in image.info,
            has_alpha=image.has_transparency_data,
            has_more_frames=getattr(image, "is_animated", False),
        )

    def finish(pixels: Image.Image) -> Image.Image:
        if image.mode.startswith("I;16") and tags.get(PHOTOMETRIC) == 0:
            pixels = ImageChops.invert(pixels)  # 0 is white in these files, and Pillow does not invert them
        return pixels if is_tiff else rotate_upright(pixels, turn)  # Pillow turns TIFF files itself

    def load() -> Image.Image | DeepImage:
        with translate_pillow_errors():
            if image.mode in UNSUPPORTED_MODES or is_signed:
                raise DataError(f"{header.mode} instead of 8-bit or 16-bit grey or RGB; convert it")
            if is_misread:  # such as 16 bits in one plane per colour, which Pillow reads as 8 bits
                raise DataError(UNSUPPORTED_LAYOUT)
            low_layout = low_byte_layout(layout)
            image.load()
            if not image.mode.startswith("I;16"):
                pixels = to_plain_mode(image)
                load_low = partial(load_low_bytes, reader, data, low_layout)
                return DeepImage(pixels, load_low, finish) if low_layout else finish(pixels)
            values = np.asarray(image)
            if layout == "I;12":
                return finish(Image.fromarray((values >> 4).astype(np.uint8)))
            high, low = (Image.fromarray(part.astype(np.uint8)) for part in (values >> 8, values & 255))
            return DeepImage(high, lambda: low, finish)

    return header, load


def low_byte_layout(layout: str) -> str:
    """Return the layout with which Pillow decodes the low bytes of 16-bit colours; "" if there is none."""
    kind, _, order = layout.partition(";16")
    native, other = ("L", "B") if sys.byteorder == "little" else ("B", "L")
    opposite = {"L": "B", "B": "L", "N": other, native: other}
    return f"{kind};16{opposite[order]}" if kind in DEEP_COLOURS and order in opposite else ""


@translate_pillow_errors()
def load_low_bytes(reader: type[Image.Image], data: bytes, layout: str) -> Image.Image:
    """Decode a file with another layout of its pixels, which selects their low bytes."""
    image: Any = reader(io.BytesIO(data))  # type: ignore[call-arg]
    for place, tile in enumerate(image.tile):
        arguments = (layout, *tile[3][1:])
        # Pillow 11 made tiles named tuples.
        image.tile[place] = tile._replace(args=arguments) if hasattr(tile, "_replace") else (*tile[:3], arguments)
    image.load()
    return to_plain_mode(image)


def has_too_many_scans(data: bytes) -> bool:
    """Whether a JPEG has more than MOST_SCANS scans before its end marker."""
    n, at = 0, 2
    while n <= MOST_SCANS and (marker := SEGMENT.search(data, at)) and marker[0] != END_OF_IMAGE:
        n += marker[0] == START_OF_SCAN
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return n > MOST_SCANS


def mode_name(mode: str, is_deep: bool) -> str:
    """Return a readable name of a Pillow mode."""
    return f"16-bit {MODE_NAMES.get(mode, mode)}" if is_deep else MODE_NAMES.get(mode, mode)


def file_mode_name(mode: str, layout: str) -> str:
    """Return a readable name of a Pillow mode, with the bit depth from the layout in the file."""
    return "16-bit grey" if layout.startswith(("I;12", "I;16")) else mode_name(mode, is_deep=";16" in layout)


def tag_values(tags: Mapping[int, Any], tag: int) -> tuple[int, ...]:
    """Return all values of an integer tag, () if it is missing."""
    return tuple(tags.get(tag, ()))


def file_layout(image: Image.Image) -> str:
    """Return Pillow's name for the layout of pixels in the file, such as RGB;16B for 16 bits per channel."""
    tile = getattr(image, "tile", None)
    arguments = tile[0][3] if tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def has_grey_palette(image: Image.Image) -> bool:
    return image.mode == "P" and are_grey_colours(np.array(image.getpalette() or [], np.uint8).reshape(-1, 3))


def are_grey_colours(palette: npt.NDArray[np.uint8]) -> bool:
    """Whether a palette [n, 3] is not empty and all its colours are grey."""
    return len(palette) > 0 and bool((palette == palette[:, :1]).all())


def check_pixel_count(width: int, height: int, pixel_bytes: int = 1) -> None:
    if width < 1 or height < 1:
        raise DataError(DAMAGED)
    if width * height > MOST_PIXELS or width * height * pixel_bytes > MOST_BYTES:
        raise DataError("too many pixels; make it smaller")


def exif_orientation(exif: bytes | None) -> int:
    """Return the orientation, 1 to 8; 1 (upright) if EXIF is missing or damaged."""
    if not exif:
        return 1
    tags = Image.Exif()
    try:
        tags.load(exif)
        return valid_orientation(tags.get(ORIENTATION))
    except Exception:  # any kind, as above; the orientation is optional
        return 1


def valid_orientation(turn: object) -> int:
    return turn if isinstance(turn, int) and turn in UPRIGHT_TRANSPOSES else 1


def rotate_upright(image: Image.Image, turn: int) -> Image.Image:
    return image.transpose(UPRIGHT_TRANSPOSES[turn]) if turn > 1 else image


def to_plain_mode(image: Image.Image) -> Image.Image:
    """Convert any mode of at most 8 bits per channel to L, LA, RGB or RGBA."""
    if image.has_transparency_data:
        return image if image.mode == "LA" else image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


@dataclass(frozen=True)
class ImageFormat:
    """A file format: its extensions, its first bytes, and the function that opens it for `open_image`."""

    extensions: tuple[str, ...]
    magic: tuple[bytes, ...]
    open: Callable[[bytes], tuple[ImageHeader, PixelLoader]]


IMAGE_FORMATS = {
    "PNG": ImageFormat((".png",), (fast_png.MAGIC,), open_png),
    "JPEG": ImageFormat((".jpg", ".jpeg", ".jfif"), (b"\xff\xd8\xff",), open_jpeg),
    "WebP": ImageFormat((".webp",), (b"RIFF",), open_webp),
    "BMP": ImageFormat((".bmp",), (b"BM",), partial(open_with_pillow, "BMP", BmpImagePlugin.BmpImageFile)),
    "TIFF": ImageFormat(
        (".tif", ".tiff"), (b"II*\0", b"MM\0*"), partial(open_with_pillow, "TIFF", TiffImagePlugin.TiffImageFile)
    ),
    "GIF": ImageFormat(
        (".gif",), (b"GIF87a", b"GIF89a"), partial(open_with_pillow, "GIF", GifImagePlugin.GifImageFile)
    ),
}
EXTENSIONS = tuple(extension for one in IMAGE_FORMATS.values() for extension in one.extensions)
*FIRST_KINDS, LAST_KIND = IMAGE_FORMATS
ACCEPTED_FORMATS_HINT = (
    f"give a folder or zip of {', '.join(FIRST_KINDS)} or {LAST_KIND} files, or an npz with uint8 images"
)
