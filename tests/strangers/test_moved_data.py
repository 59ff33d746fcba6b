"""A run whose data folder was renamed after training."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import gancli, trained
from PIL import Image


def write_pictures(name: str, seed: int = 0) -> Path:
    folder, draws = Path(name), np.random.default_rng(seed)
    folder.mkdir()
    for i in range(20):
        Image.fromarray(draws.integers(0, 256, (8, 8), np.uint8)).save(folder / f"{i:02d}.png")
    return folder


@pytest.fixture
def run() -> Path:
    return trained(write_pictures("photos"), "--kimg", "0.1")


def test_a_missing_folder_is_named_with_the_command_that_gives_its_new_place(run: Path) -> None:
    old = Path("photos").absolute()
    Path("photos").rename("pictures")
    result = gancli("train", "--resume", run, "--kimg", "0.2")
    assert result.exit_code == 1
    assert f"the images of {run} are no longer at {old}; give their new place: " in result.stderr
    assert f"gancli train --resume {run} --data FOLDER\n" in result.stderr


@pytest.mark.parametrize("kimg", ["0.1", "0.2"], ids=["finished", "extended"])
def test_the_new_place_of_the_same_images_is_used_and_kept(run: Path, kimg: str) -> None:
    old = Path("photos").absolute()
    Path("photos").rename("pictures")
    before = json.loads((run / "config.json").read_text())
    result = gancli("train", "--resume", run, "--data", "pictures", "--kimg", kimg)
    assert result.exit_code == 0, result.output
    new = Path("pictures").absolute()
    assert f"note: the images are now read from {new}, not from {old}" in result.stderr
    record = json.loads((run / "config.json").read_text())
    assert record["data"] == {**before["data"], "source": str(new)} and record["train"]["data"] == "pictures"
    assert record["sources"]["data"] == "flag"
    # The next commands need no --data, also if no checkpoint was written since.
    result = gancli("train", "--resume", run, "--kimg", "0.3")
    assert result.exit_code == 0 and "now read from" not in result.stderr, result.output
    result = gancli("evaluate", run, "--metrics", "diversity", "--n", "16")
    assert result.exit_code == 0, result.output


def test_other_images_at_the_new_place_are_refused_and_nothing_is_kept(run: Path) -> None:
    write_pictures("others", seed=1)
    before = (run / "config.json").read_bytes()
    for name, message in (("others", "(its digest differs)"), ("gone", "are no longer at")):
        result = gancli("train", "--resume", run, "--data", name, "--kimg", "0.2")
        assert result.exit_code == 1 and message in result.stderr, result.output
    assert (run / "config.json").read_bytes() == before


def test_the_whole_project_moved_and_the_same_relative_path_is_given_again(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Path("project")
    project.mkdir()
    Path("photos").rename(project / "photos")
    run.parent.rename(project / "runs")
    monkeypatch.chdir(project)
    result = gancli("train", "--resume", run, "--data", "photos", "--kimg", "0.2")
    assert result.exit_code == 0 and f"now read from {Path('photos').absolute()}" in result.stderr, result.output
