"""One picture file: what its header says, and its pixels, upright and with 8 bits a channel."""

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageChops, JpegImagePlugin, TiffImagePlugin, WebPImagePlugin

from gancli.core.data import fast_png
from gancli.errors import DataError

MOST_PIXELS = 1 << 26
MOST_BYTES = 1 << 28  # of the pixels as they are in the file
MOST_SCANS = 100  # of a JPEG; progressive ones have about ten, and each is a pass over all pixels
START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
SEGMENT = re.compile(rb"\xff[^\0\1\xff\xd0-\xd8]")  # the other markers of a JPEG stand alone
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
UNSUPPORTED_MODES = ("I", "F", "LAB")  # modes of Pillow's that hold more than 8 bits, or other colours than RGB
UNSUPPORTED_LAYOUT = "of a layout that is not read"
UPRIGHT_TRANSPOSES = {  # the orientation in EXIF -> what sets it right
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
BITS, PHOTOMETRIC, ORIENTATION, SAMPLE_FORMAT = 258, 262, 274, 339  # tags of a TIFF
SIGNED_FORMAT = 2

# What Pillow logs or warns of in damaged files, our errors say. Set once, since catch_warnings is not for threads.
logging.getLogger("PIL").addHandler(logging.NullHandler())
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True)
class ImageHeader:
    """What a file's header says of its picture.

    kind: a key of IMAGE_FORMATS. width, height: as shown, so after turning.
    mode: "grey", "RGB", "16-bit grey", "palette", "CMYK" and so on. is_grey: by its mode, or a palette of greys.
    is_oriented: EXIF has it turned or mirrored. has_profile: a colour profile, which is ignored.
    has_more_frames: an animation or further pages, of which the first is used.
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


PixelLoader = Callable[[], Image.Image]
Pixels = npt.NDArray[np.uint8]


def open_image(data: bytes | Pixels) -> tuple[ImageHeader, PixelLoader]:
    """What the header says, and how to load the pixels: upright, of mode L, LA, RGB or RGBA.

    data: a file, or pixels [H, W] or [H, W, 1 or 3].
    16 bits become 8 by their high byte, CMYK becomes RGB. Both raise DataError, its text the reason alone.
    """
    if isinstance(data, np.ndarray):
        return open_array(data)
    if not data:
        raise DataError("empty")
    for one in IMAGE_FORMATS.values():
        if data.startswith(one.magic):
            return one.open(data)
    raise DataError("not a picture")


def open_array(pixels: Pixels) -> tuple[ImageHeader, PixelLoader]:
    """The kind is npz, since that is what holds arrays."""
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
    return header, lambda: rotate_upright(file.load(), turn)


def open_jpeg(data: bytes) -> tuple[ImageHeader, PixelLoader]:
    if data.count(START_OF_SCAN) > MOST_SCANS and has_too_many_scans(data):
        raise DataError("damaged")
    return open_with_pillow("JPEG", JpegImagePlugin.JpegImageFile, data)


def open_webp(data: bytes) -> tuple[ImageHeader, PixelLoader]:
    if data[8:12] != b"WEBP":
        raise DataError("not a picture")
    if len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise DataError("truncated")
    return open_with_pillow("WebP", WebPImagePlugin.WebPImageFile, data)


def open_with_pillow(kind: str, reader: type[Image.Image], data: bytes) -> tuple[ImageHeader, PixelLoader]:
    """By Pillow's reader for this kind, called by name so that no other is tried."""
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

    def load() -> Image.Image:
        with translate_pillow_errors():
            if image.mode in UNSUPPORTED_MODES or is_signed:
                raise DataError(f"{header.mode} instead of 8 or 16 bits of grey or RGB")
            if is_misread:  # such as 16 bits in a plane for each colour, which Pillow takes for 8
                raise DataError(UNSUPPORTED_LAYOUT)
            image.load()
            if not image.mode.startswith("I;16"):
                loaded = to_plain_mode(image)
            else:
                loaded = Image.fromarray((np.asarray(image) >> (4 if layout == "I;12" else 8)).astype(np.uint8))
                if tags.get(PHOTOMETRIC) == 0:
                    loaded = ImageChops.invert(loaded)  # white is 0 in such files, and Pillow leaves it so
            return loaded if is_tiff else rotate_upright(loaded, turn)  # Pillow turns a TIFF itself

    return header, load


def has_too_many_scans(data: bytes) -> bool:
    """Whether a JPEG has more than MOST_SCANS, by its segments; what follows its end does not count."""
    n, at = 0, 2
    while n <= MOST_SCANS and (marker := SEGMENT.search(data, at)) and marker[0] != END_OF_IMAGE:
        n += marker[0] == START_OF_SCAN
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return n > MOST_SCANS


def mode_name(mode: str, is_deep: bool) -> str:
    """How people call a mode of Pillow's."""
    return f"16-bit {MODE_NAMES.get(mode, mode)}" if is_deep else MODE_NAMES.get(mode, mode)


def file_mode_name(mode: str, layout: str) -> str:
    """The same where the layout in the file tells the depth."""
    return "16-bit grey" if layout.startswith(("I;12", "I;16")) else mode_name(mode, is_deep=";16" in layout)


def tag_values(tags: Mapping[int, Any], tag: int) -> tuple[int, ...]:
    """All values of a tag whose values are small whole numbers, () without it."""
    return tuple(tags.get(tag, ()))


def file_layout(image: Image.Image) -> str:
    """Pillow's word for it, such as RGB;16B, which tells 16 bits a channel from 8."""
    tile = getattr(image, "tile", None)
    arguments = tile[0][3] if tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def has_grey_palette(image: Image.Image) -> bool:
    return image.mode == "P" and are_grey_colours(np.array(image.getpalette() or [], np.uint8).reshape(-1, 3))


def are_grey_colours(palette: npt.NDArray[np.uint8]) -> bool:
    """Whether there are colours [n, 3] and all are grey."""
    return len(palette) > 0 and bool((palette == palette[:, :1]).all())


def check_pixel_count(width: int, height: int, pixel_bytes: int = 1) -> None:
    if width < 1 or height < 1:
        raise DataError("damaged")
    if width * height > MOST_PIXELS or width * height * pixel_bytes > MOST_BYTES:
        raise DataError("too many pixels")


@contextlib.contextmanager
def translate_pillow_errors() -> Iterator[None]:
    """Whatever Pillow raises becomes a DataError, its text the reason alone."""
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as err:  # there is nothing that Pillow's readers do not raise on damaged files
        message = str(err).lower()
        is_unread = any(words in message for words in ("unknown pixel mode", "unsupported", "cannot handle"))
        raise DataError(
            "truncated" if "truncated" in message else UNSUPPORTED_LAYOUT if is_unread else "damaged"
        ) from err


def exif_orientation(exif: bytes | None) -> int:
    """1 to 8; 1, upright, where EXIF says nothing or is damaged."""
    if not exif:
        return 1
    tags = Image.Exif()
    try:
        tags.load(exif)
        return valid_orientation(tags.get(ORIENTATION))
    except Exception:  # as above; a picture can do without it
        return 1


def valid_orientation(turn: object) -> int:
    return turn if isinstance(turn, int) and turn in UPRIGHT_TRANSPOSES else 1


def rotate_upright(image: Image.Image, turn: int) -> Image.Image:
    return image.transpose(UPRIGHT_TRANSPOSES[turn]) if turn > 1 else image


def to_plain_mode(image: Image.Image) -> Image.Image:
    """Any mode with 8 bits a channel or fewer -> L, LA, RGB or RGBA."""
    if image.has_transparency_data:
        return image if image.mode == "LA" else image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


@dataclass(frozen=True)
class ImageFormat:
    """How files of a format are named and begin, and what `open_image` does with their bytes."""

    extensions: tuple[str, ...]
    magic: tuple[bytes, ...]
    open: Callable[[bytes], tuple[ImageHeader, PixelLoader]]


IMAGE_FORMATS = {
    "PNG": ImageFormat((".png",), (fast_png.MAGIC,), open_png),
    "JPEG": ImageFormat((".jpg", ".jpeg"), (b"\xff\xd8\xff",), open_jpeg),
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
