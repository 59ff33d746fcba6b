"""The frames of a run -> a film of how it learned, each frame captioned below the pictures."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gancli import films, media
from gancli.errors import ConfigError, RunError, printable
from gancli.films import gif
from gancli.media import Picture
from gancli.report.lettering import DIM, INK, PAPER, load_font, shortened
from gancli.rundir import RunDir, nimg_of

LONG_SIDE = 560
MIN_WIDTH = 420
SAMPLE_FRAMES = 16
FIGURE_SPACE = "\u2007"  # as wide as a digit


def make(run: RunDir, *, fps: float = 12, hold_s: float = 2.0) -> Path:
    """Write progress.gif from the frames alone; the last one stays for `hold_s` seconds. Returns its path."""
    paths = run.frame_paths()
    if not paths:
        raise RunError(f"{run.path} has no frames to make a film of; train it for longer")
    durations_ms = timeline(len(paths), fps, hold_s)
    sample = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, SAMPLE_FRAMES).round().astype(int))]
    palette = gif.palette_of(captioned(run, sample))
    films.write_film(run.film, captioned(run, paths), durations_ms, palette=palette)
    return run.film


def timeline(n: int, fps: float, hold_s: float) -> list[int]:
    """Milliseconds for each of n frames: equal steps, nearest to fps that whole hundredths allow, then the hold."""
    if not 0.1 <= fps <= 50:
        raise ConfigError(f"fps must be from 0.1 to 50, got {fps:g}")
    if not 0 <= hold_s <= 600:
        raise ConfigError(f"hold must be from 0 to 600 seconds, got {hold_s:g}")
    step = 10 * round(100 / fps)
    return [step] * (n - 1) + [max(step, 10 * round(100 * hold_s))]


def captioned(run: RunDir, paths: list[Path]) -> Iterator[Picture]:
    """The frames at these paths, enlarged, above their captions."""
    config = run.read_config()
    data = config.get("data", {})
    left = printable(" · ".join(filter(None, [config.get("preset"), data.get("name")])))
    last_nimg = nimg_of(run.frame_paths()[-1])
    shape = None
    for path in paths:
        picture = media.read_png(path)
        shape = shape or picture.shape
        if picture.shape != shape:
            raise RunError(f"{path} has another size than the frames before it; delete it")
        nimg = nimg_of(path)
        right = moment(nimg, last_nimg, data.get("n_train"))
        yield caption(media.enlarge(picture, scale_of(picture)), left, right, nimg / max(last_nimg, 1))


def moment(nimg: int, last_nimg: int, n_train: int | None) -> str:
    """'12.8 kimg · epoch 2.8', each number padded to the room it needs at the end of the film."""

    def padded(value: float, last: float) -> str:
        return f"{value:.1f}".rjust(len(f"{last:.1f}"), FIGURE_SPACE)

    kimg = f"{padded(nimg / 1000, last_nimg / 1000)} kimg"
    return f"{kimg} · epoch {padded(nimg / n_train, last_nimg / n_train)}" if n_train else kimg


def scale_of(picture: Picture) -> int:
    """The whole factor that brings the longer side nearest to LONG_SIDE; pictures are never made smaller."""
    long_side: int = max(picture.shape[:2])
    return max(1, round(LONG_SIDE / long_side))


def caption(picture: Picture, left: str, right: str, done: float) -> Picture:
    """The picture, centred where it is narrow, above a strip with two texts and a bar filled to `done` in [0, 1]."""
    height, width = picture.shape[0], max(picture.shape[1], MIN_WIDTH)
    margin = (width - picture.shape[1]) // 2
    canvas = np.full((height, width, *picture.shape[2:]), PAPER, np.uint8)
    canvas[:, margin : margin + picture.shape[1]] = picture
    below = strip(width, left, right, done)
    return np.concatenate([canvas, below if picture.ndim == 2 else np.repeat(below[..., None], 3, axis=2)])


def strip(width: int, left: str, right: str, done: float) -> Picture:
    """The caption alone, grey [height, width]; sizes follow the width."""
    size = max(15, round(width / 31))
    font = load_font(size)
    pad, bar = size // 2, max(3, size // 5)
    baseline = pad + size
    height = baseline + pad + bar
    image = Image.new("L", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    room = draw_right(draw, (width - pad, baseline), right, font) - 2 * pad
    draw.text((pad, baseline), shortened(left, room, font), fill=INK, font=font, anchor="ls")
    draw.rectangle((0, height - bar, width, height), fill=DIM)
    if filled := round(width * done):
        draw.rectangle((0, height - bar, filled - 1, height), fill=INK)
    return np.asarray(image)


def draw_right(draw: ImageDraw.ImageDraw, end: tuple[int, int], text: str, font: ImageFont.FreeTypeFont) -> int:
    """Draw text that ends at a point of its baseline, and return where it starts.

    Every digit takes the same room, so that the line stands still while it counts.
    """
    x, y = end
    digit = max(font.getlength(figure) for figure in "0123456789")
    for char in reversed(text):
        room = round(digit if char.isdigit() or char == FIGURE_SPACE else font.getlength(char))
        if char != FIGURE_SPACE:
            draw.text((x - room // 2, y), char, fill=INK, font=font, anchor="ms")
        x -= room
    return x
