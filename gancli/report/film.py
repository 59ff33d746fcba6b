"""A training film from the frames of one run, or of several runs side by side. Needs no checkpoint."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gancli.errors import ConfigError, RunError, make_printable
from gancli.files import image_io
from gancli.files.image_io import Picture
from gancli.files.json_values import get_number, get_section, get_text
from gancli.files.run_folder import RunDir, parse_nimg
from gancli.report import charts, raster
from gancli.report.caption import draw_caption, format_moment
from gancli.report.embedded import spaced_indices
from gancli.report.lettering import PAPER
from gancli.report.series import Record
from gancli.video import formats, gif
from gancli.video.timing import FilmOptions, frame_timeline, merge_moments, thin_moments

LONG_SIDE, MIN_WIDTH = 560, 420  # pixels of the pictures if there is one run; MIN_WIDTH also applies to curves
ROW_WIDTH, MIN_SHARE = 1120, 300  # pixels of a row of runs, and of each run in it
MOST_RUNS, PER_ROW = 8, 4
GAP = 16  # between runs
STRIP_MARGIN = 3 * GAP  # wider than GAP, so that a strip shows which pictures belong to one moment
SAMPLE_FRAMES = 16


@dataclass(frozen=True)
class Track:
    """A run in a film: its frames (at least one), cut to their upper `height` pixels, [H, W] or [H, W, 3]."""

    run: RunDir
    label: str
    n_train: float | None
    paths: list[Path]
    nimgs: list[int]
    shape: tuple[int, ...]
    height: int

    def place(self, nimg: int) -> int:
        """Return the index of the frame to show at a moment: the latest frame up to nimg, or the first frame."""
        return max(0, bisect_right(self.nimgs, nimg) - 1)

    def picture(self, place: int) -> Picture:
        picture = image_io.read_png(self.paths[place])
        if picture.shape != self.shape:
            raise RunError(f"{self.paths[place]} differs in size from the frames before it; delete it")
        return picture[: self.height]


@dataclass(frozen=True)
class ProgressFilm:
    """A planned film of one or more runs.

    moments: images seen at each frame, ascending. size: height and width of each run's picture with margins.
    """

    tracks: list[Track]
    scales: list[int]
    growing: list[raster.GrowingCharts]  # one per track, or empty
    moments: list[int]
    durations_ms: list[int]
    size: tuple[int, int]
    caption: bool
    margin: int  # to the right and left of each frame, together

    @property
    def is_grey(self) -> bool:
        """Whether all pictures are grey; curves are always coloured."""
        return all(len(track.shape) == 2 for track in self.tracks)

    def frames(self, moments: Sequence[int]) -> Iterator[Picture]:
        """Yield the film's frame at each moment; a run's part is redrawn only when it changes."""
        shown = [-1] * len(self.tracks)
        parts = [np.zeros((0, 0), np.uint8)] * len(self.tracks)
        for nimg in moments:
            for i, track in enumerate(self.tracks):
                if (place := track.place(nimg)) != shown[i]:
                    shown[i], parts[i] = place, self.part(i, place)
            page = arrange_parts(parts)
            yield pad_picture(page, page.shape[0], page.shape[1] + self.margin)

    def part(self, i: int, place: int) -> Picture:
        """Draw a run's frame with its caption and curves: to the right of a single run, or below each of several."""
        track = self.tracks[i]
        nimg, last = track.nimgs[place], self.moments[-1]
        part = pad_picture(image_io.enlarge_pixels(track.picture(place), self.scales[i]), *self.size)
        part = part if self.is_grey and not self.growing else to_rgb(part)
        if self.growing:
            axis = 1 if len(self.tracks) == 1 else 0
            gap = np.full((GAP, part.shape[1], 3) if axis == 0 else (part.shape[0], GAP, 3), PAPER, np.uint8)
            part = np.concatenate([part, gap, self.growing[i].at(nimg / 1000)], axis)
        if self.caption:
            epochs = track.n_train if len(self.tracks) == 1 else None  # several runs compare by kimg only
            below = draw_caption(
                part.shape[1], track.label, format_moment(nimg, track.nimgs[-1], epochs), nimg / max(last, 1)
            )
            part = np.concatenate([part, below if part.ndim == 2 else to_rgb(below)])
        return part

    def palette(self) -> Picture:
        """Return colours for all frames, chosen from a sample across the film; grey pictures use fixed ones."""
        drawn = raster.curve_colours() if self.growing else np.zeros((0, 3), np.uint8)
        if self.is_grey:
            return np.unique(np.concatenate([gif.GREYS, drawn]), axis=0)
        moments = [self.moments[i] for i in spaced_indices(len(self.moments), SAMPLE_FRAMES)]
        some = gif.build_palette(self.frames(moments), gif.COLOURS - len(drawn))
        return np.unique(np.concatenate([some, drawn]), axis=0)


def write_progress_film(run: RunDir) -> Path:
    """Write progress.gif, the film that each training makes, and return its path."""
    film = plan_film([run])
    formats.write_film(run.film, film.frames(film.moments), film.durations_ms, palette=film.palette, force=True)
    return run.film


def plan_film(runs: Sequence[RunDir], options: FilmOptions = FilmOptions()) -> ProgressFilm:  # noqa: B008
    """Plan a film without reading its frames.

    The film has the moments of all runs; a run that ended earlier keeps its last frame. Raises RunError for a run
    without frames, or without measurements if options.plots; ConfigError for too many runs or frames.
    """
    if len(runs) > MOST_RUNS:
        raise ConfigError(f"a film shows at most {MOST_RUNS} runs side by side, got {len(runs)}")
    records = [run.read_config() for run in runs]
    labels = run_labels(runs, records)
    tracks = [open_track(*each, options.rows) for each in zip(runs, records, labels, strict=True)]
    moments = thin_moments(merge_moments([track.nimgs for track in tracks]), options.every)
    durations_ms = frame_timeline(len(moments), options)

    is_alone = len(runs) == 1
    long_side = min(LONG_SIDE, ROW_WIDTH // min(len(runs), PER_ROW))
    wanted = min(track.height * nearest_scale(max(track.height, track.shape[1]), long_side) for track in tracks)
    scales = [nearest_scale(track.height, wanted) for track in tracks]
    height = max(track.height * scale for track, scale in zip(tracks, scales, strict=True))
    min_width = MIN_WIDTH if is_alone or options.plots else MIN_SHARE
    width = max([min_width, *(track.shape[1] * scale for track, scale in zip(tracks, scales, strict=True))])
    growing = []
    if options.plots:
        found = charts.film_charts(runs)
        below = len(found[0]) * raster.MIN_HEIGHT
        height = max(height, below) if is_alone else height
        growing = [raster.draw_growing_charts(own, moments, width, height if is_alone else below) for own in found]
    margin = STRIP_MARGIN if formats.VIDEO_FORMATS[options.kind].form == "strip" and not is_alone else 0
    return ProgressFilm(tracks, scales, growing, moments, durations_ms, (height, width), options.caption, margin)


def open_track(run: RunDir, record: Record, label: str, rows: int | None) -> Track:
    paths = run.frame_paths()
    if not paths:
        raise RunError(f"{run.path} has no frames for a film; train it longer")
    data = get_section(record, "data")
    shape = image_io.read_png(paths[0]).shape
    height = shape[0]
    if rows is not None:
        resolution = get_number(data, "resolution")
        if not resolution or resolution < 1:
            raise RunError(f"{run.config} does not give the image size (data.resolution); omit --rows")
        height = min(height, rows * int(resolution))
    return Track(run, label, get_number(data, "n_train"), paths, [parse_nimg(path) for path in paths], shape, height)


def run_labels(runs: Sequence[RunDir], records: Sequence[Record]) -> list[str]:
    """Return the shortest names that differ for all runs: 'quick · mnist', or their folders, or their paths.

    records: the config.json of each run.
    """
    named = [
        " · ".join(filter(None, [get_text(record, "preset"), get_text(get_section(record, "data"), "name")]))
        for record in records
    ]
    for names in (named, [make_printable(run.path.resolve().name) for run in runs]):
        if len(set(names)) == len(runs):
            return names
    return [make_printable(str(run.path)) for run in runs]


def nearest_scale(side: int, wanted: int) -> int:
    """Return the whole factor, at least 1, that brings `side` closest to `wanted`."""
    return max(1, round(wanted / side))


def pad_picture(picture: Picture, height: int, width: int) -> Picture:
    """Centre the picture on a page of height x width pixels."""
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    canvas = np.full((height, width, *picture.shape[2:]), PAPER, np.uint8)
    canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas


def to_rgb(picture: Picture) -> Picture:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def arrange_parts(parts: Sequence[Picture]) -> Picture:
    """Arrange parts of equal shape in one or two rows, with gaps between them."""
    n_rows = -(-len(parts) // PER_ROW)
    per_row = -(-len(parts) // n_rows)
    height, width = parts[0].shape[:2]
    shape = (n_rows * (height + GAP) - GAP, per_row * (width + GAP) - GAP, *parts[0].shape[2:])
    page = np.full(shape, PAPER, np.uint8)
    for i, part in enumerate(parts):
        top, left = i // per_row * (height + GAP), i % per_row * (width + GAP)
        page[top : top + height, left : left + width] = part
    return page
