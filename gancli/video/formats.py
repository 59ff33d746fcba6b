"""Films: frames, each shown for a time -> GIF, WebP, MP4, a strip in one PNG, or a folder of frames."""

import importlib.util
import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from gancli.errors import ConfigError, did_you_mean
from gancli.files import outputs, provenance
from gancli.files.image_io import MOST_PIXELS, Picture, encode_png, write_pictures
from gancli.files.provenance import FilmRecord, SampleRecord
from gancli.video import gif, mp4, webp
from gancli.video.frames import check_frames

FILM_KINDS = (".gif", ".webp", ".mp4", ".png")
# More than this no decoder takes; a strip any wider is not shown by browsers.
LONGEST_SIDE = {".gif": gif.LONGEST_SIDE, ".webp": webp.LONGEST_SIDE, ".mp4": mp4.LONGEST_SIDE, ".png": 32_767}
LARGE_BYTES = 10_000_000


def film_kind(path: Path) -> str:
    """Which of KINDS a path asks for by its ending; "" is a folder of frames. Raises ConfigError for others."""
    kind = path.suffix.lower()
    if not kind or path.is_dir():
        return ""
    if kind not in FILM_KINDS:
        raise ConfigError(
            f"{path} is no film that can be written{did_you_mean(kind, FILM_KINDS)}; no ending makes a folder"
        )
    if kind == ".mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        raise ConfigError(f'{path} needs ffmpeg; install it: pip install "gancli[video]"')
    return kind


def write_film(
    path: Path,
    frames: Iterable[Picture],
    durations_ms: Sequence[int],
    *,
    palette: Callable[[], Picture | None] | None = None,
    record: SampleRecord | FilmRecord | None = None,
    force: bool = False,
) -> None:
    """Write what film_kind says of the path, by the rule of `outputs`; films loop for ever.

    frames: of one shape, as many as durations, each an array of its own; drawn one by one, and only a few are held.
    durations_ms: at least 20; for a GIF in steps of 10. A strip and a folder have no time.
    palette: asked for the colours of a GIF, uint8 [n, 3]; without, they suit the first frames.
    record: what made it, which every PNG carries, and which is written beside others.
    Raises RunError where the place is taken, ConfigError for frames too large for the format.
    """
    kind = film_kind(path)
    stream = check_frames(frames, len(durations_ms))
    first = next(stream)
    stream = itertools.chain([first], stream)
    check_film_size(path, kind, first, len(durations_ms))
    text = provenance.record_to_text(record) if record else None
    if kind == "":
        with outputs.create_output_folder(path, record, force=force) as folder:
            for _ in write_pictures((folder / f"{i:05d}.png", frame, text) for i, frame in enumerate(stream)):
                pass
        return
    with outputs.create_output_file(path, None if kind == ".png" else record, force=force) as file:
        if kind == ".gif":
            gif.write_gif(file, stream, durations_ms, palette() if palette else None)
        elif kind == ".webp":
            webp.write_webp(file, stream, durations_ms)
        elif kind == ".mp4":
            mp4.write_mp4(file, stream, durations_ms)
        else:
            file.write(encode_png(np.concatenate(list(stream), axis=1), text))


def check_film_size(path: Path, kind: str, frame: Picture, n: int) -> None:
    height, width = frame.shape[:2]
    if kind == ".png" and (n * width > LONGEST_SIDE[kind] or n * width * height > MOST_PIXELS):
        raise ConfigError(
            f"{path} would be a strip of {n} frames of {width}x{height} pixels, {n * width} wide; at most"
            f" {LONGEST_SIDE[kind]} wide and {MOST_PIXELS} in all are shown: ask for fewer or smaller frames, a film"
            " (.gif, .webp), or a folder"
        )
    if kind and max(height, width) > LONGEST_SIDE[kind]:
        raise ConfigError(
            f"{path} would have frames of {width}x{height} pixels; a {kind} has at most {LONGEST_SIDE[kind]} a side:"
            " ask for smaller frames"
        )


def film_size_note(path: Path, advice: str) -> str | None:
    """A line for a file of more than 10 MB, such as 'walk.gif has 14.2 MB; <advice>'."""
    size = path.stat().st_size
    return f"{path.name} has {size / 1e6:.1f} MB; {advice}" if size > LARGE_BYTES else None
