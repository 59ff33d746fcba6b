"""What interpolate and animate share: which kind of film is asked for, writing it, and what is said of it."""

import contextlib
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gancli import provenance
from gancli.provenance import FilmRecord, Record
from gancli.rundir import atomic_folder, check_free

if TYPE_CHECKING:
    from gancli.media import Picture


@dataclass(frozen=True, kw_only=True)
class Film:
    """A film to be written: its frames, as many as durations, and the rest as films.write_film takes it.

    record: what made it; none for a run's own film, which the run folder tells of.
    """

    kind: str
    frames: "Iterable[Picture]"
    durations_ms: Sequence[int]
    palette: "Callable[[], Picture | None]"
    record: Record | FilmRecord | None

    @property
    def seconds(self) -> float | None:
        """How long it runs, if it does."""
        return sum(self.durations_ms) / 1000 if is_timed(self.kind) else None


def is_timed(kind: str) -> bool:
    """Whether frames follow each other in time, rather than side by side or in a folder."""
    return kind not in ("", ".png")


def kind_of(output: Path | None, *, force: bool) -> str:
    """What -o asks for, a GIF if it is left out. What is there, or its record, is refused unless by force."""
    from gancli import films

    if output is None:
        return ".gif"
    kind = films.film_kind(output)
    check_free(output, force=force)
    if is_timed(kind):
        check_free(provenance.sidecar(output), force=force)
    return kind


def note_rate(kind: str, fps: float) -> None:
    """Say which rate a GIF shows instead of one that it cannot."""
    from gancli.cli import render
    from gancli.report.timing import frame_ms

    step_ms = frame_ms(kind, fps)
    if kind == ".gif" and step_ms * fps != 1000:
        render.notes([f"a GIF counts hundredths of a second: {1000 / step_ms:.4g} frames a second instead of {fps:g}"])


def write(film: Film, path: Path, *, in_new_folder: bool, force: bool, quiet: bool) -> None:
    """The film and, unless PNGs carry it in their text, what made it: beside it, or in a new folder with it."""
    from gancli import films
    from gancli.cli import render

    place = atomic_folder(path.parent) if in_new_folder else contextlib.nullcontext(path.parent)
    with render.tracker(quiet=quiet) as show, place as folder:
        films.write_film(
            folder / path.name,
            counted(film.frames, lambda done: show("frames", done, len(film.durations_ms))),
            film.durations_ms,
            palette=film.palette,
            text=provenance.to_text(film.record) if film.record else None,
            force=force,
        )
        if film.record and film.kind != ".png":
            provenance.write_sidecar(folder if in_new_folder else path, film.record)


def report(film: Film, path: Path, about: Mapping[str, Any], *, smaller: str, as_json: bool) -> None:
    """The result; `about` is what JSON says besides, `smaller` what would shrink a large file."""
    from gancli import films
    from gancli.cli import render

    if film.kind and (note := films.size_note(path, smaller)):
        render.notes([note])
    n = len(film.durations_ms)
    if as_json:
        render.print_json({**about, "frames": n, "seconds": film.seconds, "output": str(path)})
    else:
        length = "" if film.seconds is None else f", {film.seconds:g} s"
        render.stdout_line(f"{n} frames{length}: {shlex.quote(str(path))}")


def counted(frames: "Iterable[Picture]", show: Callable[[int], None]) -> "Iterator[Picture]":
    """Hand on what is made, and say how much it was."""
    for done, frame in enumerate(frames, start=1):
        yield frame
        show(done)
