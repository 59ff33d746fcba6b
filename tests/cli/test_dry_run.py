"""gancli train --dry-run, and what every run prints before its first step."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import FAST, gancli, read
from PIL import Image
from test_preview import pixels, terminal

from gancli.cli import datareport, preview
from gancli.core.data import statistics
from gancli.core.data.dataset import build_image_set
from gancli.files import run_folder


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """150 RGB PNGs of cats, 20x16, and 60 grey JPEGs of owls, 16x24, all different."""
    folder, draws = tmp_path / "animals", np.random.default_rng(0)
    for name, n, shape, ending in (("cat", 150, (16, 20, 3), "png"), ("owl", 60, (24, 16), "JPG")):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(draws.integers(0, 256, shape, np.uint8)).save(folder / name / f"{i:03d}.{ending}")
    return folder


def dry_run(folder: Path, *more: str) -> dict[str, Any]:
    result = gancli("train", "--data", folder, "--kimg", "2", "--dry-run", "--json", *more, *FAST)
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)["report"]
    return report


def flat(text: str) -> str:
    """The paragraphs of a page as lines."""
    return re.sub(r"\n {9}", " ", text)


def test_a_dry_run_describes_the_data_and_the_training(animals: Path) -> None:
    result = gancli("train", "--data", animals, "--kimg", "2", "--dry-run", *FAST)
    assert result.exit_code == 0, result.output
    said = flat(result.stdout)
    assert "data     animals: 189 images of 16x16 RGB, 21 held out, 2 classes: conditional\n" in said
    assert "files    150 PNG, 60 JPEG; 20x16 (150), 16x24 (60), from 20x16 to 16x24\n" in said
    assert "modes    150 RGB, 60 grey\n" in said
    assert "classes  cat 135, owl 54; without the held-out images\n" in said
    assert (
        "; each image is used about 11 times\n" in said
        and " for training; scores and plots need more\n" in said
        and "images/s at full batch size" in said
    )
    assert "note     210 pictures: resized to 16x16" in said
    assert "warning  only 189 training images, each used about 11 times" in said
    assert "augment  translation,cutout, strength 0.5, on because there are fewer than 2,000 images" in said
    assert "grid     input of D, shifted and changed by translation,cutout as in training: " in said
    assert not Path("runs").exists(), "a dry run leaves no run"


def test_json_has_everything(animals: Path) -> None:
    found = dry_run(animals)
    assert found["classes"] == [["cat", 135, 15], ["owl", 54, 6]]
    assert found["kinds"] == {"PNG": 150, "JPEG": 60} and found["sizes"] == {"20x16": 150, "16x24": 60}
    assert found["n_shown"] == 2000 and found["passes"] == pytest.approx(2000 / 189)
    assert found["images_per_s"] > 0 and found["memory_bytes"] > 0 and found["train_s"] >= 0
    assert any("resized to 16x16" in line for line in found["done"])
    assert found["faults"] == [] and found["duplicates"]["n"] == 0
    assert Path(found["cache"]).is_dir()


def test_all_bad_files_are_named_and_then_the_limit(animals: Path) -> None:
    bad = [animals / "cat" / f"bad {i}.png" for i in range(12)]
    for path in bad:
        path.write_bytes(b"no picture")
    (animals / "owl" / "two\nlines.png").write_bytes(b"")
    result = gancli("train", "--data", animals, "--kimg", "2", "-n", *FAST)
    assert result.exit_code == 1
    for path in bad:
        assert f"  cat/{path.name}: not a known picture format; convert it to PNG, or delete it\n" in result.stdout
    assert "  owl/two\\nlines.png: empty; copy it again\n" in result.stdout
    assert "13 files of 223 cannot be used:\n" in result.stdout and "skipped" not in result.output
    assert "files    223 files, 210 usable: 150 PNG" in result.stdout
    assert "13 files" in result.stderr
    assert "or skip them with --max-bad 13" in result.stderr
    assert "trying" not in result.stderr and "images/s" not in result.stdout, "no trial of what is refused"
    assert len(dry_run(animals, "--max-bad", "13")["faults"]) == 13


def test_a_dry_run_and_a_resumed_one_notice_a_flipped_bit_in_the_cache(animals: Path) -> None:
    def flip() -> None:
        (path,) = Path(dry_run(animals)["cache"]).glob("train.u8")
        data, status = path.read_bytes(), path.stat()
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    flip()
    assert any("was damaged, so all pictures were decoded again" in note for note in dry_run(animals)["notes"])
    assert gancli("train", "--data", animals, "--kimg", "0.1", "-q", *FAST).exit_code == 0
    good = Path(dry_run(animals)["cache"], "train.u8").read_bytes()
    flip()
    assert gancli("train", "--resume", "runs/00000-quick-animals", "--kimg", "0.2", "-q").exit_code == 0
    (path,) = Path(os.environ["GANCLI_CACHE"]).rglob("train.u8")
    assert path.read_bytes() == good


def test_ignored_classes_are_counted_without_warnings(animals: Path) -> None:
    for path in sorted((animals / "owl").iterdir())[3:]:
        path.unlink()
    result = gancli("train", "--data", animals, "--kimg", "2", "-n", "--unconditional", *FAST)
    said = flat(result.stdout)
    assert "classes  2, not used\n" in said and "uneven" not in said and "unconditional\n" in said


def test_copies_are_counted_in_files_and_in_arrays(animals: Path, tiny_idx: Path) -> None:
    shutil.copy(animals / "cat" / "000.png", animals / "cat" / "copy.png")
    result = gancli("train", "--data", animals, "--kimg", "2", "-n", *FAST)
    assert "copies   1 exact duplicate, such as cat/" in flat(result.stdout)
    assert dry_run(tiny_idx)["duplicates"]["n_across"] == 32, "its test pictures are the first of its training ones"


def test_the_grid_shows_what_the_discriminator_sees(animals: Path) -> None:
    path = Path(dry_run(animals, "--shift", "0", "--augment", "none")["picture"])
    with Image.open(path) as image:
        scale = image.width // 160
        small = np.asarray(image)[::scale, ::scale]
    assert path.parent.name == "previews" and small.shape == (128, 160, 3)
    with Image.open(animals / "cat" / "000.png") as image:
        first = np.asarray(image)[:, 2:18]
    cells = [small[row : row + 16, column : column + 16] for row in range(0, 128, 16) for column in range(0, 160, 16)]
    assert sum((cell == first).all() for cell in cells) == 1, "the middle square, once"
    is_grey = [(cell == cell[..., :1]).all() for cell in cells]
    assert is_grey == [False, True] * 40, "a class for each column"

    dry_run(animals, "--shift", "0", "--augment", "none", "--mirror")
    with Image.open(path) as image:
        mirrored = np.asarray(image)[::scale, ::scale]
    others = [
        mirrored[row : row + 16, column : column + 16] for row in range(0, 128, 16) for column in range(0, 160, 16)
    ]
    flipped = [(b == a[:, ::-1]).all() for a, b in zip(cells, others, strict=True)]
    assert all((b == a).all() or is_flipped for a, b, is_flipped in zip(cells, others, flipped, strict=True))
    assert 20 < sum(flipped) < 60


def test_a_terminal_shows_the_grid() -> None:
    console, text = terminal(width=40, height=40)
    picture = np.random.default_rng(0).integers(0, 256, (128, 160, 3), np.uint8)
    preview.print_sample_grid(console, picture, 16)
    shown = pixels(text.getvalue())
    assert shown.shape == (48, 32, 3) and (shown == picture[:48, :32]).all()


def test_an_unwritable_cache_omits_only_the_grid(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise run_folder.write_error(path, OSError(errno.EROFS, "read-only"))

    monkeypatch.setattr("gancli.files.image_io.atomic_write", refuse)
    result = gancli("train", "--data", tiny_idx, "--kimg", "2", "-n", *FAST)
    assert result.exit_code == 0 and "input of D" not in result.stdout


def test_a_run_prints_the_short_form_unless_quiet(animals: Path) -> None:
    result = gancli("train", "--data", animals, "--kimg", "0.1", *FAST)
    assert result.exit_code == 0, result.output
    assert "classes  cat 135, owl 54; without the held-out images\n" in result.stderr and "modes" not in result.stderr
    assert "grid     training images: runs/00000-quick-animals/reals.png" in result.stderr
    assert "warning: only 189 training images" in result.stderr
    assert "time     about" in result.stderr and "memory   about" in result.stderr

    (animals / "cat" / "bad.png").write_bytes(b"")
    loud = gancli("train", "--data", animals, "--kimg", "0.1", *FAST)
    assert loud.stderr.index("preset ") < loud.stderr.index("note: ") < loud.stderr.index("warning: ")
    assert loud.stderr.count("cat/bad.png (empty; copy it again)") == 1
    quiet = gancli("train", "--data", animals, "--kimg", "0.1", "-q", *FAST)
    assert "warning" not in quiet.stderr and "cat/bad.png (empty; copy it again)" in quiet.stderr


def test_the_largest_and_smallest_of_many_classes_are_named() -> None:
    def class_rows(*classes: tuple[str, int, int]) -> list[datareport.Row]:
        return [*datareport.class_rows(replace(survey, classes=classes), most=60)]

    images = torch.zeros(10, 1, 8, 8, dtype=torch.uint8)
    survey = statistics.survey_dataset(build_image_set("made", (images, None)), None)
    ((_, said),) = class_rows(*((f"c{i}", 1000 - i, 0) for i in range(100)))
    assert said == "c0 1,000, c1 999, c2 998, c3 997, c4 996, ..., c95 905, c96 904, c97 903, c98 902, c99 901"
    ((_, even),) = class_rows(("a", 1000, 0), ("b", 1000, 0))
    assert even == "a, b; 1,000 each"
    assert not class_rows(("a", 5, 0))


@pytest.mark.parametrize(("columns", "n"), [(60, 3), (40, 5), (20, 8)])
def test_paragraphs_are_as_wide_as_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: int,
    n: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    datareport.print_wrapped("note", "word " * 30)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == n and max(map(len, lines)) <= max(columns, datareport.MIN_TEXT_WIDTH)
    assert lines[0].startswith("note     word") and lines[1].startswith("         word")


def test_ctrl_c_in_a_dry_run_leaves_no_traceback(animals: Path) -> None:
    code = "import os, signal; from gancli.core.training import trial; from gancli.cli.app import app\n"
    code += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background ignores it
    code += "trial.time_step = lambda *_: os.kill(os.getpid(), signal.SIGINT)\napp()"
    command = [sys.executable, "-c", code, "train", "--data", str(animals), "-n", *FAST]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100"})
    assert done.returncode == 130 and "Traceback" not in done.stderr
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1s"), (3.4, "3s"), (57, "55s"), (58, "1m"), (130, "2m"), (3590, "1h00m"), (4000, "1h10m"), (9e4, "25h00m")],
)
def test_a_time_estimate_is_rounded(seconds: float, said: str) -> None:
    assert datareport.approximate_duration(seconds) == f"about {said}"


def test_the_grid_shows_augmentation(animals: Path) -> None:
    def grid(*flags: str) -> np.ndarray:
        return read(Path(dry_run(animals, "--shift", "0", *flags)["picture"]))

    plain, half, full = grid("--augment", "none"), grid(), grid("--augment-strength", "1")
    assert 0.2 < (plain != half).mean() < (plain != full).mean()
