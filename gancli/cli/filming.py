"""Choose the format of a film, write the film and report it; interpolate and animate share this code."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gancli import platform
from gancli.files import outputs, provenance
from gancli.video import formats

if TYPE_CHECKING:
    from gancli.files.image_io import Picture


@dataclass(frozen=True, kw_only=True)
class FilmOutput:
    """The arguments of formats.write_film, and the values to report.

    record: the provenance of the film; None for progress.gif, which the run folder explains. about: values for JSON.
    smaller: advice on how to shrink a large film.
    """

    frames: "Iterable[Picture]"
    durations_ms: Sequence[int]
    palette: "Callable[[], Picture | None]"
    record: provenance.SampleRecord | provenance.FilmRecord | None
    about: Mapping[str, Any]
    smaller: str


def output_kind(output: Path | None) -> str:
    """Return the key of VIDEO_FORMATS for the path given with -o; GIF by default."""
    return ".gif" if output is None else formats.film_kind(output)


def note_rounded_rate(kind: str, fps: float, step_ms: float) -> None:
    """Print the frame rate that the film gets if its format does not support `fps`."""
    from gancli.cli import render

    if (counting := formats.VIDEO_FORMATS[kind].counting) and step_ms * fps != 1000:
        render.print_notes([f"{counting}: {1000 / step_ms:.4g} frames per second instead of {fps:g}"])


def write_film_output(
    film: FilmOutput, output: Path | None, default: Path, *, force: bool, quiet: bool, as_json: bool
) -> None:
    """Write the film and print its path. PNGs contain the record; for other formats it is a file next to the film.

    default: used if output is None; its name is the name of the film, in a new numbered folder in its parent.
    """
    from gancli.cli import render

    n, record = len(film.durations_ms), film.record
    with (
        outputs.reserve_output(output, default.parent, default.name) as path,
        render.step_progress_bars(quiet=quiet) as show,
    ):
        kind = formats.film_kind(path)
        folder = nullcontext(path.parent) if output else outputs.create_output_folder(path.parent, record, force=force)
        with folder as place:
            formats.write_film(
                place / path.name,
                count_frames(film.frames, lambda done: show("frames", done, n)),
                film.durations_ms,
                palette=film.palette,
                record=record if output else None,
                force=force,
            )
    if kind and (note := formats.film_size_note(path, film.smaller)):
        render.print_notes([note])
    is_timed = formats.VIDEO_FORMATS[kind].form == "film"
    seconds = sum(film.durations_ms) / 1000 if is_timed else None
    if as_json:
        render.print_json({**film.about, "frames": n, "seconds": seconds, "output": str(path)})
    else:
        length = "" if seconds is None else f", {seconds:g} s"
        render.print_stdout(f"{n} frames{length}: {platform.quote(path)}")


def count_frames(frames: "Iterable[Picture]", show: Callable[[int], None]) -> "Iterator[Picture]":
    """Yield the frames and report the number done after each."""
    for done, frame in enumerate(frames, start=1):
        yield frame
        show(done)
