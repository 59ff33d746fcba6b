"""Write a film as GIF, WebP, MP4, a strip in one PNG, or a folder of frames.

VIDEO_FORMATS describes each format in one row. Help texts and timing need the table without numpy, so functions import
heavy modules in their bodies.
"""

import importlib.util
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from gancli._version import install_hint
from gancli.config import MAX_FPS, MAX_VIDEO_FPS
from gancli.errors import ConfigError, ContractError, did_you_mean
from gancli.files import outputs, provenance
from gancli.files.provenance import FilmRecord, SampleRecord

if TYPE_CHECKING:
    from gancli.files.image_io import Picture

LARGE_BYTES = 10_000_000


@dataclass(frozen=True)
class Film:
    """The input of a function that writes a film.

    frames: separate arrays of one shape, as many as durations; drawn one by one. palette: returns the colours of a GIF,
    uint8 [n, 3]; None uses the colours of the first frames. text: for PNGs.
    """

    frames: "Iterator[Picture]"
    durations_ms: Sequence[int]
    palette: "Callable[[], Picture | None] | None" = None
    text: Mapping[str, str] | None = None


@dataclass(frozen=True)
class VideoFormat:
    """A row of VIDEO_FORMATS.

    help: the form of -o. write: writes a film into an open file; None for a folder of frames. form: whether frames
    follow each other in time, side by side, or as files. longest_side: limit in pixels of a frame or strip, set by
    decoders or browsers. tick_ms: the time of a frame is a multiple of it; `counting` explains this to users.
    longest_ms: the longest time of a frame. has_text: whether the pictures contain their own record; otherwise it is
    written next to the film. needs: a module, and how to install it. max_fps: highest rate that players show.
    """

    help: str
    write: Callable[[IO[bytes], Film], None] | None = None
    form: Literal["film", "strip", "folder"] = "film"
    longest_side: int = 1 << 31
    tick_ms: int = 1
    counting: str = ""
    longest_ms: int = (1 << 31) - 1
    has_text: bool = False
    needs: tuple[str, str] | None = None
    max_fps: int = MAX_FPS


def write_gif(file: IO[bytes], film: Film) -> None:
    from gancli.video import gif

    gif.write_gif(file, film.frames, film.durations_ms, film.palette() if film.palette else None)


def write_webp(file: IO[bytes], film: Film) -> None:
    from gancli.video import webp

    webp.write_webp(file, film.frames, film.durations_ms)


def write_mp4(file: IO[bytes], film: Film) -> None:
    from gancli.video import mp4

    mp4.write_mp4(file, film.frames, film.durations_ms)


def write_strip(file: IO[bytes], film: Film) -> None:
    import numpy as np

    from gancli.files.image_io import encode_png

    file.write(encode_png(np.concatenate(list(film.frames), axis=1), film.text))


VIDEO_FORMATS: dict[str, VideoFormat] = {
    ".gif": VideoFormat(
        "x.gif",
        write_gif,
        longest_side=65_535,
        tick_ms=10,
        counting="a GIF counts hundredths of a second",
        longest_ms=655_350,
    ),
    ".webp": VideoFormat("x.webp", write_webp, longest_side=16_383, longest_ms=(1 << 24) - 1),
    ".mp4": VideoFormat(
        "x.mp4",
        write_mp4,
        longest_side=8_192,
        needs=("imageio_ffmpeg", f"ffmpeg; {install_hint('video')}"),
        max_fps=MAX_VIDEO_FPS,
    ),
    ".png": VideoFormat("x.png (a strip)", write_strip, "strip", longest_side=32_767, has_text=True),
    "": VideoFormat("DIR (frames)", form="folder", has_text=True, max_fps=MAX_VIDEO_FPS),
}


def output_help() -> str:
    """Return the help text for -o: 'x.gif, x.webp, x.mp4, x.png (a strip) or DIR (frames)'."""
    *names, last = (row.help for row in VIDEO_FORMATS.values())
    return f"{', '.join(names)} or {last}"


def film_kind(path: Path) -> str:
    """Return the key of VIDEO_FORMATS for the ending of a path; "" is a folder of frames. Raises ConfigError."""
    kind = path.suffix.lower()
    if not kind or path.is_dir():
        return ""
    if kind not in VIDEO_FORMATS:
        known = [*filter(None, VIDEO_FORMATS)]
        raise ConfigError(
            f"cannot write {path} as a film{did_you_mean(kind, known)}; "
            "choose one of these endings, or no ending for a folder"
        )
    if (needs := VIDEO_FORMATS[kind].needs) and importlib.util.find_spec(needs[0]) is None:
        raise ConfigError(f"{path} needs {needs[1]}")
    return kind


def write_film(
    path: Path,
    frames: "Iterable[Picture]",
    durations_ms: Sequence[int],
    *,
    palette: "Callable[[], Picture | None] | None" = None,
    record: SampleRecord | FilmRecord | None = None,
    force: bool = False,
) -> None:
    """Write a film in the format of film_kind(path), by the rules of `outputs`. Films loop.

    frames: see Film. durations_ms: at least 20 each (MP4: 16), in ticks of the format; a strip or folder ignores them.
    record: how the film was made. It is embedded in every PNG, and written next to other files.
    Raises RunError if the path exists, ConfigError if frames are too large for the format.
    """
    from gancli.files.image_io import write_pictures
    from gancli.video.frames import check_frames

    kind = film_kind(path)
    row = VIDEO_FORMATS[kind]
    stream = check_frames(frames, len(durations_ms))
    first = next(stream)
    check_film_size(path, kind, first, len(durations_ms))
    if row.form == "film":
        check_durations(durations_ms, row)
    text = provenance.record_to_text(record) if record else None
    film = Film(itertools.chain([first], stream), durations_ms, palette, text)
    if row.write is None:
        with outputs.create_output_folder(path, record, force=force) as folder:
            for _ in write_pictures((folder / f"{i:05d}.png", frame, text) for i, frame in enumerate(film.frames)):
                pass
        return
    with outputs.create_output_file(path, None if row.has_text else record, force=force) as file:
        row.write(file, film)


def check_durations(durations_ms: Sequence[int], row: VideoFormat) -> None:
    shortest_ms = 1000 // row.max_fps
    for duration in durations_ms:
        if duration % row.tick_ms or not shortest_ms <= duration <= row.longest_ms:
            steps = f" in steps of {row.tick_ms}" if row.tick_ms > 1 else ""
            raise ContractError(f"a frame lasts {shortest_ms} to {row.longest_ms} ms{steps}, got {duration}")


def check_film_size(path: Path, kind: str, frame: "Picture", n: int) -> None:
    from gancli.files.image_io import MOST_PIXELS

    (height, width), row = frame.shape[:2], VIDEO_FORMATS[kind]
    if row.form == "strip" and (n * width > row.longest_side or n * width * height > MOST_PIXELS):
        raise ConfigError(
            f"{path} would be a strip of {n} frames of {width}x{height} pixels, {n * width} wide; the limit is"
            f" {row.longest_side} wide and {MOST_PIXELS} in all: use fewer or smaller frames, a film (.gif, .webp)"
            " or a folder"
        )
    if max(height, width) > row.longest_side:
        raise ConfigError(
            f"{path} would have frames of {width}x{height} pixels; a {kind} has at most {row.longest_side} a side:"
            " use smaller frames"
        )


def film_size_note(path: Path, advice: str) -> str | None:
    """Return a line about a file larger than 10 MB, such as 'walk.gif has 14.2 MB; <advice>', else None."""
    size = path.stat().st_size
    return f"{path.name} has {size / 1e6:.1f} MB; {advice}" if size > LARGE_BYTES else None
