"""Images that decode well but show nothing: ink on its own colour, dark 16-bit files, one colour, copies."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import FAST, gancli
from picture_files import png
from PIL import Image

from gancli.config import format_colour
from gancli.files.cache import cache_folder
from gancli.files.run_folder import RunDir
from gancli.workflows import evaluation


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


def write(make: Callable[[int, np.random.Generator], Image.Image | bytes]) -> None:
    draws = np.random.default_rng(0)
    Path("photos").mkdir()
    for i in range(40):
        picture = make(i, draws)
        if isinstance(picture, bytes):
            Path(f"photos/{i:02d}.png").write_bytes(picture)
        else:
            picture.save(f"photos/{i:02d}.png")


TRANSPARENT = "transparent files look like this if their colour is that of the background: try --background "
DARK = "16-bit files look like this if most values are low: try --bits lower than 16"
FLAT = "40 of 40 training images are nearly one colour; "
CHECK = "check that --data names the right files, and increase their contrast"
CASES = {
    "ink": (ink, [], None),
    "hidden ink": (ink, ["--background", "black"], FLAT + TRANSPARENT + "white"),
    "12-bit": (twelve_bits, [], None),
    "12-bit as 16": (
        twelve_bits,
        ["--bits", "16"],
        f"the training images use only the levels 0 to 15 of 0 to 255; {DARK}",
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
    result = gancli("train", "--data", "photos", "--background", "black", "--kimg", "0.1", *FAST, *quiet)
    assert result.exit_code == 0, result.output
    assert result.stderr.count(FLAT + TRANSPARENT + "white\n") == 1


def test_no_advice_on_channels_beside_a_warning_that_the_pictures_show_nothing() -> None:
    write(ink)
    shown = gancli("train", "--data", "photos", "--dry-run", *FAST).stdout
    assert "add --channels 1" in shown and "nearly one colour" not in shown
    shown = gancli("train", "--data", "photos", "--dry-run", "--background", "black", *FAST).stdout
    assert "add --channels 1" not in shown and "nearly one colour" in shown


def half_black_half_white(i: int, draws: np.random.Generator) -> Image.Image:
    """Black strokes in even pictures, white ones in odd pictures."""
    image = ink(i, draws)
    image.paste((255 * (i % 2),) * 3, (0, 0, 16, 16), image)
    return image


def twelve_bit_colour(i: int, draws: np.random.Generator) -> bytes:
    return png(
        16, 16, 16, 2, b"".join(b"\0" + row.astype(">u2").tobytes() for row in draws.integers(0, 4096, (16, 48)))
    )


PREPARED = {
    "black ink": (ink, "white", 16, "40 pictures: transparent, so placed on white, because black hides 40 of them"),
    "mixed ink": (half_black_half_white, "grey", 16, "so placed on grey, because black hides 20 of them"),
    "12-bit": (twelve_bits, "black", 12, "40 pictures: 16-bit, but with no value above 4,095, so scaled from 12 to 8"),
    "12-bit colour": (twelve_bit_colour, "black", 12, "scaled from 12 to 8 bits (change this with --bits)"),
}


@pytest.mark.parametrize(("make", "background", "bits", "note"), PREPARED.values(), ids=PREPARED)
def test_the_run_records_what_it_chose_and_evaluate_and_resume_use_it(
    make: Callable[[int, np.random.Generator], Image.Image | bytes], background: str, bits: int, note: str
) -> None:
    write(make)
    result = gancli("train", "--data", "photos", "--kimg", "0.1", *FAST)
    assert result.exit_code == 0, result.output
    assert " ".join(result.stderr.split()).count(note) == 1
    run = Path("runs/00000-quick-photos")
    record = json.loads((run / "config.json").read_text())
    assert record["data"]["background"] == background and record["data"].get("bits", 16) == bits
    assert record["train"]["background"] == record["train"]["bits"] == "auto"
    run.joinpath("model.safetensors").rename("alone.safetensors")
    shutil.copy("alone.safetensors", run / "model.safetensors")
    # A folder whose own pictures ask for other values is prepared as the run prepared its own.
    shutil.copytree("photos", "more")
    for i in range(40):
        Image.new("RGBA", (16, 16), (255, 255, 255, i)).save(f"more/light{i}.png")
        Image.fromarray(np.full((16, 16), 60000 + i, np.uint16)).save(f"more/deep{i}.png")
    for model in (run, Path("alone.safetensors")):
        (source,) = [evaluation.open_scored_source(find(model), Path("runs"), torch.device("cpu"))]
        own = evaluation.load_reals([source], "photos")
        assert own.digest == record["data"]["digest"], model
        other = evaluation.load_reals([source], "more").report
        assert other and (format_colour(other.background), other.bits) == (background, bits)
    n_caches = len(cached())
    for words in (
        ["train", "--resume", run, "--kimg", "0.2"],
        ["evaluate", run, "--n", "40", "--metrics", "diversity"],
    ):
        result = gancli(*words)
        assert result.exit_code == 0, result.output
    assert len(cached()) == n_caches, "the pictures were not decoded again"


def find(path: Path) -> Path | RunDir:
    return RunDir(path) if path.is_dir() else path


def cached() -> list[Path]:
    return [path for path in (cache_folder() / "pictures").iterdir() if path.is_dir()]


def test_a_run_of_an_older_version_resumes_with_black_and_16_bits() -> None:
    write(ink)
    flags = ["--background", "black"]
    assert gancli("train", "--data", "photos", "--kimg", "0.1", *FAST, *flags).exit_code == 0
    path = Path("runs/00000-quick-photos/config.json")
    record = json.loads(path.read_text())
    del record["data"]["background"], record["train"]["bits"], record["sources"]["bits"]
    assert "bits" not in record["data"] and record["train"]["background"] == "black"
    path.write_text(json.dumps(record))
    result = gancli("train", "--resume", path.parent, "--kimg", "0.2")
    assert result.exit_code == 0, result.output


def test_equal_images_are_one_cluster() -> None:
    Path("photos").mkdir()
    for i in range(300):
        Image.new("L", (8, 8)).save(f"photos/{i}.png")
    result = gancli("train", "--data", "photos", "--dry-run", *FAST)
    assert result.exit_code == 0, result.output
    assert "1 cluster instead" in result.output and "1 clusters" not in result.output
