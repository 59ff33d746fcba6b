"""Images that decode well but show nothing: ink on its own colour, dark 16-bit files, one colour, copies."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import FAST, gancli
from PIL import Image


def ink(i: int, draws: np.random.Generator) -> Image.Image:
    """Black strokes on transparent."""
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[..., 3] = 255 * draws.integers(0, 2, (16, 16))
    return Image.fromarray(pixels)


def twelve_bits(i: int, draws: np.random.Generator) -> Image.Image:
    return Image.fromarray(draws.integers(0, 4096, (16, 16), np.uint16))


def one_colour(i: int, draws: np.random.Generator) -> Image.Image:
    return Image.new("RGB", (16, 16), tuple(draws.integers(0, 256, 3).tolist()))


def black(i: int, draws: np.random.Generator) -> Image.Image:
    return Image.new("RGB", (16, 16))


def equal(i: int, draws: np.random.Generator) -> Image.Image:
    return Image.fromarray(np.random.default_rng(i % 3).integers(0, 256, (16, 16), np.uint8))


def two_levels(i: int, draws: np.random.Generator) -> Image.Image:
    """Black and white, as in scans of text."""
    return Image.fromarray(255 * draws.integers(0, 2, (16, 16), np.uint8))


def write(make: Callable[[int, np.random.Generator], Image.Image]) -> None:
    draws = np.random.default_rng(0)
    Path("photos").mkdir()
    for i in range(40):
        make(i, draws).save(f"photos/{i:02d}.png")


TRANSPARENT = "transparent files look like this if their colour is that of the background: try --background "
FLAT = "40 of 40 training images are nearly one colour; "
CHECK = "check that --data names the right files, and increase their contrast"
CASES = {
    "ink": (ink, [], FLAT + TRANSPARENT + "white"),
    "12-bit": (
        twelve_bits,
        [],
        "the training images use only the levels 0 to 15 of 0 to 255; 16-bit files look like this if they use only low "
        "values: scale them to 0 to 65,535",
    ),
    "one colour": (one_colour, [], FLAT + CHECK),
    "black": (black, [], FLAT + CHECK),
    "equal": (equal, [], "only 3 of 40 training images are different; remove the copies, or add other images"),
    "visible ink": (ink, ["--background", "white"], None),
    "two levels": (two_levels, [], None),
}


@pytest.mark.parametrize(("make", "flags", "warning"), CASES.values(), ids=CASES)
def test_one_warning_names_the_cause_and_what_to_do(
    make: Callable[[int, np.random.Generator], Image.Image], flags: list[str], warning: str | None
) -> None:
    write(make)
    result = gancli("train", "--data", "photos", "--dry-run", "--json", *FAST, *flags)
    assert result.exit_code == 0, result.output
    warnings = [line for line in json.loads(result.stdout)["report"]["warnings"] if "only 40 training" not in line]
    assert warnings == ([warning] if warning else [])


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_the_warning_is_printed_before_training(quiet: list[str]) -> None:
    write(ink)
    result = gancli("train", "--data", "photos", "--kimg", "0.1", *FAST, *quiet)
    assert result.exit_code == 0, result.output
    assert result.stderr.count(FLAT + TRANSPARENT + "white\n") == 1


def test_equal_images_are_one_cluster() -> None:
    Path("photos").mkdir()
    for i in range(300):
        Image.new("L", (8, 8)).save(f"photos/{i}.png")
    result = gancli("train", "--data", "photos", "--dry-run", *FAST)
    assert result.exit_code == 0, result.output
    assert "1 cluster instead" in result.output and "1 clusters" not in result.output
