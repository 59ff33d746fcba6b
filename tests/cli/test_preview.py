"""Samples shown in the terminal, read back from the characters."""

import contextlib
import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import gancli
from rich.console import Console

from gancli.cli import preview
from gancli.core.images import to_hwc
from gancli.core.networks import model_file
from gancli.core.sampling import write
from gancli.core.sampling.generate import SampleRequest, generate_samples
from gancli.files import image_io


def terminal(width: int = 80, height: int = 40) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    console = Console(
        file=text,
        force_terminal=True,
        color_system="truecolor",
        width=width,
        height=height,
        no_color=False,
        _environ={"TERM": "xterm"},
    )
    return console, text


def pixels(text: str) -> np.ndarray:
    """The pixels that half blocks show -> uint8 [H, W, 3]."""
    rows = []
    for line in text.splitlines():
        cells = re.findall(r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀", line)
        values = np.array(cells, np.uint8)
        rows += [values[:, :3], values[:, 3:]]
    return np.stack(rows)


def test_a_character_is_two_pixels_and_a_missing_row_is_black() -> None:
    picture = np.arange(45, dtype=np.uint8).reshape(3, 5, 3)
    console, text = terminal()
    console.print(preview.Segments(preview.half_block_segments(picture)), end="")
    shown = pixels(text.getvalue())
    assert np.array_equal(shown[:3], picture) and shown.shape == (4, 5, 3) and not shown[3].any()


def test_shrinking_averages_pixels() -> None:
    grey = np.array([[0, 2, 9, 9], [4, 6, 9, 9]], np.uint8)
    assert preview.shrink_picture(grey, 2).tolist() == [[3, 9]]
    assert preview.shrink_picture(np.stack([grey, grey, grey], axis=-1), 2).tolist() == [[[3, 3, 3], [9, 9, 9]]]
    assert preview.shrink_picture(np.array([[1, 2], [2, 2]], np.uint8), 2).tolist() == [[2]]  # 1.75, rounded
    assert preview.shrink_picture(grey, 1) is not grey and np.array_equal(preview.shrink_picture(grey, 1), grey)


@pytest.mark.parametrize(
    ("shape", "side", "width", "expected"),
    [
        ((1, 1), 28, 80, (1, 1, 1)),  # at its own size
        ((2, 4), 28, 80, (2, 2, 4)),  # the whole grid at half size
        ((8, 8), 28, 80, (2, 3, 5)),  # as much as fits at half size
        ((8, 10), 28, 160, (2, 3, 10)),
        ((8, 8), 64, 80, (4, 3, 5)),  # at 16 pixels a side
        ((8, 8), 8, 80, (1, 6, 8)),  # small ones stay as they are
        ((1, 1), 28, 13, (2, 1, 0)),  # no room for one
    ],
)
def test_the_largest_size_that_fits_is_shown(
    shape: tuple[int, int], side: int, width: int, expected: tuple[int, int, int]
) -> None:
    assert preview.preview_layout(shape, side, width, 48) == expected


def test_the_preview_shows_the_samples(run: Path) -> None:
    model = model_file.load_model(run / "model.safetensors")
    for draw, columns, rows in (
        (SampleRequest(range(64)), 3, 6),
        (SampleRequest(range(9), (2, 0, 1)), 3, 6),
    ):
        console, text = terminal(width=31)
        preview.print_samples(console, model, draw, write.natural_grid_shape(draw))
        shown = pixels(text.getvalue())
        assert shown.shape == (8 * rows, 8 * columns, 3)
        made = [picture for _, pictures, _ in generate_samples(model, draw) for picture in to_hwc(pictures)]
        for i in range(rows * columns):
            row, column = divmod(i, columns)
            cell = shown[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8, 0]
            assert np.array_equal(cell, made[i]), i


def test_an_unsuitable_terminal_gets_no_preview() -> None:
    def can(**changes: object) -> bool:
        settings = dict(force_terminal=True, color_system="truecolor", no_color=False, _environ={"TERM": "xterm"})
        settings["file"] = io.TextIOWrapper(io.BytesIO(), "utf-8")
        return preview.can_show(Console(**{**settings, **changes}))

    assert can()
    assert not can(force_terminal=False)
    assert not can(color_system=None)
    assert not can(no_color=True)
    assert not can(_environ={"TERM": "dumb"})
    assert not can(file=io.TextIOWrapper(io.BytesIO(), "latin-1"))


def test_a_real_terminal_gets_the_preview_and_stdout_does_not(run: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONUTF8": "1"}
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gancli", "sample", str(run), "--n", "2", "-o", "out.png"]
    end = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, env=environment, check=True)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux raises it at the end of a terminal
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    lines = [line for line in shown.decode().splitlines() if preview.HALF_BLOCK in line]
    grid = image_io.read_png(Path("out.png"))
    assert np.array_equal(pixels("\n".join(lines))[..., 0], grid)
    assert end.stdout.decode() == "2 images: out.png\n"


@pytest.mark.parametrize(
    ("flags", "wanted"), [([], True), (["--no-preview"], False), (["-q"], False), (["--json"], False)]
)
def test_the_preview_is_omitted_where_unwanted(
    run: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], wanted: bool
) -> None:
    monkeypatch.setattr(preview, "can_show", lambda console: True)
    result = gancli("sample", run, "--n", "2", "-o", "out.npz", *flags)
    assert (preview.HALF_BLOCK in result.stderr) == wanted and preview.HALF_BLOCK not in result.stdout


def test_two_rows_of_a_frame_are_reduced_to_twelve_pixels_and_fill_the_width() -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (8, 10)).astype(np.uint8)
    frame = levels.repeat(24, axis=0).repeat(24, axis=1)  # each image has one level
    assert np.array_equal(preview.thumbnail_grid(frame, 24, 6)[::12, ::12], levels[:2, :6])
    image_io.write_png(Path("frame.png"), frame)
    for width, columns in ((60, 5), (80, 6), (200, 10)):
        console, text = terminal(width, 24)
        samples = preview.LiveSamples(24)
        samples.show(Path("frame.png"))
        console.print(samples, end="")
        shown = pixels(spread(text.getvalue()))[..., 0]
        assert shown.shape == (24, 12 * columns) and np.array_equal(shown[::12, ::12], levels[:2, :columns])


def test_a_small_terminal_or_a_damaged_frame_shows_no_samples() -> None:
    image_io.write_png(Path("frame.png"), np.full((64, 80), 200, np.uint8))
    Path("damaged.png").write_bytes(b"no picture")
    for width, height, path, is_shown in (
        (60, 24, "frame.png", True),
        (59, 24, "frame.png", False),
        (60, 23, "frame.png", False),
        (60, 24, "damaged.png", False),
    ):
        console, text = terminal(width, height)
        samples = preview.LiveSamples(8)
        samples.show(Path(path))
        console.print(samples, end="")
        assert (preview.HALF_BLOCK in text.getvalue()) == is_shown, (width, height, path)


def spread(text: str) -> str:
    """Give each of several half blocks in a row the colour codes that they share."""
    return re.sub(r"(\x1b\[[\d;]+m)(▀+)", lambda found: f"{found[1]}▀" * len(found[2]), text)
