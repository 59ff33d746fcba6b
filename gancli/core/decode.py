"""The bytes of one picture file -> uint8 pixels of the shape that is wanted. Imports NumPy and Pillow alone."""

import contextlib
import io
import logging
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageChops, JpegImagePlugin, TiffImagePlugin, WebPImagePlugin

from gancli.errors import DataError

Pixels = npt.NDArray[np.uint8]
Fit = Literal["crop", "pad", "stretch"]

MOST_PIXELS = 1 << 26
READERS: dict[bytes, tuple[str, type[Image.Image]]] = {
    b"\xff\xd8\xff": ("JPEG", JpegImagePlugin.JpegImageFile),
    b"RIFF": ("WebP", WebPImagePlugin.WebPImageFile),
    b"BM": ("BMP", BmpImagePlugin.BmpImageFile),
    b"II*\0": ("TIFF", TiffImagePlugin.TiffImageFile),
    b"MM\0*": ("TIFF", TiffImagePlugin.TiffImageFile),
    b"GIF87a": ("GIF", GifImagePlugin.GifImageFile),
    b"GIF89a": ("GIF", GifImagePlugin.GifImageFile),
}
GREY_MODES = ("1", "L", "LA", "I;16", "I;16B", "I;16L")
WORDS = {"1": "1-bit", "L": "grey", "LA": "grey+alpha", "P": "palette", "PA": "palette+alpha"}
UPRIGHT = {  # the orientation in EXIF -> what sets it right
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION = 274
PHOTOMETRIC = 262
PNG = b"\x89PNG\r\n\x1a\n"
PNG_KINDS = {0: ("L", "grey"), 2: ("RGB", "RGB"), 3: ("P", "palette"), 4: ("LA", "grey+alpha"), 6: ("RGBA", "RGBA")}
PNG_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"eXIf", b"iCCP", b"acTL"}
PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}

# What Pillow says of damaged files, to the log or as a warning, is in our errors. Set once: catch_warnings is not for
# threads.
logging.getLogger("PIL").addHandler(logging.NullHandler())
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True)
class Facts:
    """What a file's header says of its picture.

    kind: "PNG", "JPEG", "WebP", "BMP", "TIFF" or "GIF". width, height: as shown, so after turning.
    mode: "grey", "RGB", "16-bit grey", "palette", "CMYK" and so on. is_grey: by its mode, or a palette of greys.
    is_oriented: EXIF had it turned or mirrored. has_profile: a colour profile, which is ignored.
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


@dataclass(frozen=True)
class Wanted:
    """channels: 1 or 3. background: RGB, shown through transparent places and beside a padded picture."""

    resolution: int
    channels: int
    fit: Fit = "crop"
    background: tuple[int, int, int] = (0, 0, 0)

    @property
    def mode(self) -> str:
        return "L" if self.channels == 1 else "RGB"


def inspect(data: bytes) -> Facts:
    """What the header says, without decoding. Raises DataError, its text the reason alone."""
    return opened(data)[0]


def convert(data: bytes, wanted: Wanted) -> tuple[Pixels, Facts]:
    """One file -> uint8 [R, R, C], maybe read-only, and what the file was.

    Upright by EXIF; 16 bits become 8 by their high byte; CMYK becomes RGB; transparent places show the background;
    colour profiles are ignored. Raises DataError, its text the reason alone, for what is damaged, cut short, no picture
    or larger than MOST_PIXELS.
    """
    facts, load = opened(data)
    return to_pixels(fitted(flattened(load(), wanted), wanted)), facts


def fit_pixels(pixels: Pixels, wanted: Wanted) -> Pixels:
    """The same for an array: uint8 [H, W, 1 or 3] -> [R, R, C], maybe read-only."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return to_pixels(fitted(image.convert(wanted.mode), wanted))


def exact(data: bytes) -> Pixels:
    """The picture as it is in the file, grey [H, W, 1] or colour [H, W, 3]; opaque alpha is dropped.

    Raises DataError as convert does, and for what 8-bit grey or RGB cannot hold: 16-bit, CMYK, transparency.
    """
    facts, load = opened(data)
    if facts.mode.startswith("16-bit"):
        raise DataError("16-bit")
    if facts.mode not in (*WORDS.values(), "RGB", "RGBA"):
        raise DataError(f"{facts.mode} instead of 8-bit grey or RGB")
    image = load()
    if "A" in image.mode and image.getchannel("A").getextrema() != (255, 255):
        raise DataError("transparent in places")
    return to_pixels(image.convert(image.mode.removesuffix("A")))


def opened(data: bytes) -> tuple[Facts, Callable[[], Image.Image]]:
    """The header of a file, and how to load its pixels: upright, of mode L, LA, RGB or RGBA."""
    if not data:
        raise DataError("empty")
    if data.startswith(PNG):
        return open_png(data)
    for magic, (kind, reader) in READERS.items():
        if data.startswith(magic) and (kind != "WebP" or data[8:12] == b"WEBP"):
            return open_other(data, kind, reader)
    raise DataError("not a picture")


def open_png(data: bytes) -> tuple[Facts, Callable[[], Image.Image]]:
    """PNG without Pillow's reader, which costs 4 times the decoding of a small file and takes wrong checksums.

    Raises DataError for a chunk that pixels need and whose checksum is wrong. Source: W3C, PNG, third edition.
    """
    chunks = png_chunks(data)
    header, packed = chunks.get(b"IHDR", b""), chunks.get(b"IDAT")
    if len(header) != 13 or packed is None:
        raise DataError("damaged")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    check_size(width, height)
    if depth not in PNG_DEPTHS.get(colour, ()) or interlaced > 1 or (colour == 3 and b"PLTE" not in chunks):
        raise DataError("damaged")
    mode, word = PNG_KINDS[colour]
    palette = np.frombuffer(chunks.get(b"PLTE", b"")[: 3 << depth], np.uint8)
    if colour == 3 and len(palette) not in range(3, 769, 3):
        raise DataError("damaged")
    turn = orientation(chunks.get(b"eXIf"))
    facts = Facts(
        "PNG",
        *((height, width) if turn > 4 else (width, height)),
        mode={1: "1-bit" if colour == 0 else word, 16: f"16-bit {word}"}.get(depth, word),
        is_grey=are_grey(palette) if colour == 3 else colour in (0, 4),
        is_oriented=turn > 1,
        has_profile=b"iCCP" in chunks,
        has_alpha=colour in (4, 6) or b"tRNS" in chunks,
        has_more_frames=chunks.get(b"acTL", b"")[:4] > b"\0\0\0\1",
    )

    def load() -> Image.Image:
        layout, raw = png_layout(mode, depth)
        try:
            image = Image.frombytes(layout, (width, height), packed, "zip", raw, interlaced)
        except ValueError as err:
            raise DataError("truncated" if "not enough" in str(err) else "damaged") from err
        if colour == 3:
            image = looked_up(image, palette.reshape(-1, 3), chunks.get(b"tRNS"))
        elif b"tRNS" in chunks:
            image = without_colour(image, chunks[b"tRNS"], depth)
        return upright(eight_bits(image), turn)

    return facts, load


def png_chunks(data: bytes) -> dict[bytes, bytes]:
    """The chunks that matter to pixels, by name; those of IDAT joined."""
    chunks: dict[bytes, bytes] = {}
    packed, at, name = [], len(PNG), b""
    while name != b"IEND":
        if at + 12 > len(data):
            raise DataError("truncated")
        n_bytes, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + n_bytes
        if end > len(data):
            raise DataError("truncated")
        if name in PNG_CHUNKS:
            body = data[at + 8 : end - 4]
            if zlib.crc32(body, zlib.crc32(name)) != int.from_bytes(data[end - 4 : end], "big"):
                raise DataError("damaged")
            if name == b"IDAT":
                packed.append(body)
            else:
                chunks.setdefault(name, body)
        at = end
    return {**chunks, b"IDAT": b"".join(packed)}


def png_layout(mode: str, depth: int) -> tuple[str, str]:
    """Pillow's mode for the pixels in memory, and its word for their layout in the file."""
    if depth == 16:
        return {"L": ("I;16", "I;16B"), "LA": ("RGBA", "LA;16B")}.get(mode, (mode, f"{mode};16B"))
    if mode == "L" and depth == 1:
        return "1", "1"
    return mode, mode if depth == 8 else f"{mode};{depth}"


def looked_up(image: Image.Image, palette: Pixels, alpha: bytes | None) -> Image.Image:
    """Indices -> the colours [n, 3] of a palette, and their alpha; colours without one are opaque."""
    if np.asarray(image).max() >= len(palette):
        raise DataError("damaged")
    if alpha is None:
        image.putpalette(palette.tobytes())
        return image.convert("RGB")
    alphas = np.frombuffer(alpha[: len(palette)].ljust(len(palette), b"\xff"), np.uint8)
    image.putpalette(np.column_stack([palette, alphas]).tobytes(), "RGBA")
    return image.convert("RGBA")


def without_colour(image: Image.Image, colour: bytes, depth: int) -> Image.Image:
    """A PNG's grey or RGB with the one colour, 2 bytes a channel, that is transparent in it."""
    pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
    channels = 1 if pixels.ndim == 2 else 3
    if len(colour) != 2 * channels:
        raise DataError("damaged")
    if channels == 3 and depth == 16:
        raise DataError("16-bit RGB with a transparent colour")  # of which Pillow keeps the high bytes alone
    value = np.frombuffer(colour, ">u2") * (255 // (2**depth - 1) if depth < 8 else 1)
    alpha = np.where((pixels.reshape(*pixels.shape[:2], channels) == value).all(axis=2), 0, 255)
    image = eight_bits(image)
    image.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return image


def open_other(data: bytes, kind: str, reader: type[Image.Image]) -> tuple[Facts, Callable[[], Image.Image]]:
    """A file by Pillow's reader for it, which is named so that no other is tried."""
    if kind == "WebP" and len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise DataError("truncated")
    with reasons():
        image = reader(io.BytesIO(data))  # type: ignore[call-arg]
        check_size(*image.size)
        turn = tiff_orientation(image) if kind == "TIFF" else orientation(image.info.get("exif"))
        layout = raw_layout(image)
        facts = Facts(
            kind,
            *(image.size[::-1] if turn > 4 and kind != "TIFF" else image.size),
            mode=word(image, layout),
            is_grey=image.mode in GREY_MODES or is_grey_palette(image),
            is_oriented=turn > 1,
            has_profile="icc_profile" in image.info,
            has_alpha=image.has_transparency_data,
            has_more_frames=getattr(image, "is_animated", False),
        )

    def load() -> Image.Image:
        with reasons():
            image.load()
            depth = 12 if layout == "I;12" else 16
            loaded = eight_bits(image, depth)
            if kind == "TIFF" and image.mode.startswith("I;16") and tags(image).get(PHOTOMETRIC) == 0:
                loaded = ImageChops.invert(loaded)  # Pillow's reader leaves white as it is: 0
            return loaded if kind == "TIFF" else upright(loaded, turn)

    return facts, load


def raw_layout(image: Image.Image) -> str:
    """Pillow's word for the layout of pixels in the file, which tells 16 bits a channel from 8."""
    tile = getattr(image, "tile", None)
    args = tile[0][3] if tile else ""
    return str(args[0] if isinstance(args, tuple) and args else args)


def word(image: Image.Image, layout: str) -> str:
    """How people call a picture's mode."""
    if image.mode.startswith("I;16"):
        return "16-bit grey"
    if ";16" in layout and image.mode in ("RGB", "RGBA", "RGBX", "RGBa"):
        return f"16-bit {image.mode[:3] if image.mode == 'RGBX' else image.mode.upper()}"
    return WORDS.get(image.mode, {"RGBa": "RGBA", "RGBX": "RGB"}.get(image.mode, image.mode))


def is_grey_palette(image: Image.Image) -> bool:
    return image.mode == "P" and are_grey(np.array(image.getpalette() or [], np.uint8))


def are_grey(palette: Pixels) -> bool:
    """Whether the colours of a palette, uint8 [3 n], are all grey."""
    colours = palette.reshape(-1, 3)
    return len(colours) > 0 and bool((colours == colours[:, :1]).all())


def check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise DataError("damaged")
    if width * height > MOST_PIXELS:
        raise DataError("too many pixels")


@contextlib.contextmanager
def reasons() -> Iterator[None]:
    """Whatever Pillow raises becomes a DataError, its text the reason alone."""
    try:
        yield
    except DataError:
        raise
    except Exception as err:  # there is nothing that Pillow's readers do not raise on damaged files
        raise DataError("truncated" if "truncated" in str(err).lower() else "damaged") from err


def orientation(exif: bytes | None) -> int:
    """1 to 8; 1, upright, where EXIF says nothing or is damaged."""
    if not exif:
        return 1
    found = Image.Exif()
    try:
        found.load(exif)
        turn = found.get(ORIENTATION, 1)
    except Exception:  # as above; a picture can do without it
        return 1
    return turn if isinstance(turn, int) and turn in UPRIGHT else 1


def tags(image: Image.Image) -> Mapping[int, object]:
    """Those of a TIFF; none of another file."""
    return getattr(image, "tag_v2", {})


def tiff_orientation(image: Image.Image) -> int:
    turn = tags(image).get(ORIENTATION, 1)
    return turn if isinstance(turn, int) and turn in UPRIGHT else 1


def upright(image: Image.Image, turn: int) -> Image.Image:
    return image.transpose(UPRIGHT[turn]) if turn in UPRIGHT else image


def eight_bits(image: Image.Image, depth: int = 16) -> Image.Image:
    """Any mode that gancli reads -> L, LA, RGB or RGBA. depth: how many of 16 bits are used."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> (depth - 8)).astype(np.uint8))
    if image.mode in ("I", "F", "LAB", "HSV"):
        raise DataError(
            {"I": "32-bit", "F": "float"}.get(image.mode, image.mode) + " instead of 8 or 16 bits a channel"
        )
    if image.mode in ("L", "LA", "RGB", "RGBA") and "transparency" not in image.info:
        return image
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def flattened(image: Image.Image, wanted: Wanted) -> Image.Image:
    """L, LA, RGB or RGBA -> the mode wanted, laid on the background where it is transparent."""
    if "A" not in image.mode:
        return image.convert(wanted.mode)
    canvas = plain(image.size, wanted)
    canvas.paste(image.convert(image.mode.removesuffix("A")).convert(wanted.mode), mask=image.getchannel("A"))
    return canvas


def plain(size: tuple[int, int], wanted: Wanted) -> Image.Image:
    return Image.new("RGB", size, wanted.background).convert(wanted.mode)


def fitted(image: Image.Image, wanted: Wanted) -> Image.Image:
    """L or RGB of any size -> R x R: the middle square, the whole on the background, or the whole stretched.

    Resized by Lanczos, antialiased: what StyleGAN's and clean-fid's tools use for data. Pixels of a picture that has
    the size, or needs only be cropped or padded to have it, are left as they are.
    """
    R, (width, height) = wanted.resolution, image.size
    if wanted.fit == "crop" and width != height:
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if wanted.fit == "pad" and width != height:
        longer = max(width, height)
        size = max(1, round(width * R / longer)), max(1, round(height * R / longer))
        canvas = plain((R, R), wanted)
        canvas.paste(resized(image, size), ((R - size[0]) // 2, (R - size[1]) // 2))
        return canvas
    return resized(image, (R, R))


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def to_pixels(image: Image.Image) -> Pixels:
    return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, -1)
