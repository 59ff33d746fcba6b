"""Write MP4 films that browsers play: H.264 by ffmpeg, from the package imageio-ffmpeg (extra `video`)."""

import itertools
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np

from gancli.errors import ConfigError, RunError
from gancli.files.image_io import Picture

CODEC_ARGUMENTS = ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p"]
# Without colour tags, players guess the colour space from the size of the picture.
COLOUR_FILTER = (
    "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd,"  # otherwise grey gets a tint
    "setparams=color_primaries=bt709:color_trc=bt709"
)


def write_mp4(file: IO[bytes], frames: Iterable[Picture], durations_ms: Sequence[int]) -> None:
    """Write a film without sound. frames: of one shape, as many as durations; drawn one by one.

    The frame rate is constant: the mean rate of all frames except the last. Longer frames, such as a held last frame,
    are repeated, rounded to whole frames. Odd sides grow by one pixel, since yuv420p needs even sides. file: must have
    a path, because ffmpeg opens it. Raises RunError if ffmpeg fails.
    """
    paced_ms = durations_ms[:-1] or durations_ms
    step_ms = Fraction(sum(paced_ms), len(paced_ms))
    stream = iter(frames)
    first = next(stream)
    height, width = pad_to_even(first).shape[:2]
    pixels = "gray" if first.ndim == 2 else "rgb24"
    source = ["-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{width}x{height}", "-r", f"{1000 / step_ms}", "-i", "-"]
    target = [*CODEC_ARGUMENTS, "-vf", COLOUR_FILTER, "-movflags", "+faststart", "-f", "mp4", f"file:{file.name}"]
    run_ffmpeg(
        [*source, *target], repeat_frames(itertools.chain([first], stream), durations_ms, step_ms), Path(file.name)
    )


def repeat_frames(frames: Iterable[Picture], durations_ms: Sequence[int], step_ms: Fraction) -> Iterator[bytes]:
    """Yield the pixels of each frame once for each step of its duration; rounding errors do not add up."""
    end_ms = shown = 0
    for frame, duration in zip(frames, durations_ms, strict=True):
        end_ms += duration
        pixels = pad_to_even(frame).tobytes()
        for _ in range(round(end_ms / step_ms) - shown):
            yield pixels
        shown = round(end_ms / step_ms)


def pad_to_even(frame: Picture) -> Picture:
    """Make both sides even by repeating the last row or column."""
    rows, columns = (side % 2 for side in frame.shape[:2])
    return np.pad(frame, [(0, rows), (0, columns), (0, 0)][: frame.ndim], mode="edge")


def run_ffmpeg(arguments: list[str], pixels: Iterable[bytes], output: Path) -> None:
    command = [find_ffmpeg(), "-y", "-hide_banner", "-loglevel", "error", *arguments]
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log)
        except OSError as err:
            raise RunError(f"cannot run {command[0]}: {err.strerror}; reinstall imageio-ffmpeg") from err
        try:
            with process:
                assert process.stdin
                for some in pixels:
                    process.stdin.write(some)
        except BrokenPipeError:
            process.returncode = process.returncode or 1  # it failed, even if it returned 0
        if process.returncode or not output.stat().st_size:
            log.seek(0)
            reason, *_ = [*log.read().decode(errors="replace").splitlines(), "nothing"]
            raise RunError(f"cannot write an .mp4 film in {output.parent}: ffmpeg said: {reason.rpartition('] ')[2]}")


def find_ffmpeg() -> str:
    import imageio_ffmpeg  # an extra

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as err:
        raise ConfigError(
            "imageio-ffmpeg has no ffmpeg for this machine; install ffmpeg, or write a .webp film"
        ) from err
