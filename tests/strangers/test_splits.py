"""Folders that are splits of a data set instead of classes, in a folder and in a zip."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import FAST, gancli
from PIL import Image

from gancli.core.data import load
from gancli.core.data.load import DEFAULT_OPTIONS, load_dataset
from gancli.core.data.splits import parse_split_name
from gancli.errors import DataError

Make = Callable[[dict[str, int]], str]


def write_folder(folders: dict[str, int]) -> str:
    """Grey pictures below photos/; folders: name -> number of pictures."""
    draws = np.random.default_rng(0)
    for folder, n in folders.items():
        (Path("photos") / folder).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(draws.integers(0, 256, (8, 8), np.uint8)).save(Path("photos") / folder / f"{i}.png")
    return "photos"


def write_zip(folders: dict[str, int]) -> str:
    """The same as photos.zip; the pictures are below photos/ in it."""
    folder = Path(write_folder(folders))
    with zipfile.ZipFile("photos.zip", "w") as opened:
        for path in sorted(folder.rglob("*.png")):
            opened.write(path)
    return "photos.zip"


@pytest.fixture(params=[write_folder, write_zip], ids=["folder", "zip"])
def make(request: pytest.FixtureRequest) -> Make:
    maker: Make = request.param
    return maker


def with_classes(train: str, test: str) -> dict[str, int]:
    return {f"{train}/cat": 12, f"{train}/dog": 10, f"{test}/cat": 4, f"{test}/dog": 3}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train", "Test"), ("training_set", "test_set"), ("seg_train", "seg_test"), ("train2017", "val2017"),
        ("TRAINSET", "Validation"), ("train-images", "valid"), ("my train", "my testing"),
    ],
)  # fmt: skip
def test_a_training_and_a_test_folder_are_splits(make: Make, train: str, test: str) -> None:
    images = load_dataset(make(with_classes(train, test)))
    assert images.class_names == ("cat", "dog") and images.class_counts == [12, 10]
    assert images.heldout_labels is not None and images.heldout_labels.bincount().tolist() == [4, 3]
    assert f"{train} and {test} are splits: 22 pictures to train on, 7 pictures held out" in images.notes
    assert not any("none are held out" in note for note in images.notes)


def test_splits_without_classes_or_labels_are_splits_too(make: Make) -> None:
    images = load_dataset(make({"train": 12, "test": 4}))
    assert (len(images.images), len(images.heldout_images), images.labels) == (12, 4, None)


@pytest.mark.parametrize(
    ("folders", "first"),
    [
        ({"train/cat": 12, "train/dog": 9, "unsup/cat": 4}, "train"),
        ({"dev/cat": 12, "eval/cat": 4}, "dev"),
        ({"train/cat": 12, "test/cat": 4, "val/cat": 3}, "train"),
        ({"trainA": 12, "trainB": 12, "testA": 3, "testB": 3}, "trainA"),
        ({"train/cat": 12, "train/dog": 9, "test": 4}, "train"),
        ({"train/cat": 12, "test/dog": 4}, "train"),
    ],
    ids=str,
)
def test_unclear_splits_are_refused_with_both_ways_to_continue(make: Make, folders: dict[str, int], first: str) -> None:
    path = make(folders)
    with pytest.raises(DataError) as caught:
        load_dataset(path)
    place = (
        f"unpack it and give --data {first}"
        if path.endswith(".zip")
        else f"give --data {Path(path).absolute()}/{first}"
    )
    assert "which look like splits, not classes" in str(caught.value)
    assert str(caught.value).endswith(
        f"; {place} to train on {first}, or --data {Path(path).absolute()} --unconditional to train on all"
    )
    everything = load_dataset(path, replace(DEFAULT_OPTIONS, conditional=False))
    assert len(everything.images) == sum(folders.values()) and everything.labels is None


@pytest.mark.parametrize(
    "folders",
    [("train", "bus"), ("valid", "invalid"), ("train_station", "test_tube"), ("test", "control"), ("1", "2")],
    ids=str,
)
def test_class_folders_stay_classes(make: Make, folders: tuple[str, str]) -> None:
    images = load_dataset(make({folders[0]: 12, folders[1]: 6}))
    assert images.class_names == tuple(sorted(folders))


def test_the_parts_of_a_split_name() -> None:
    assert parse_split_name("seg_Train_set") == ("train", ("seg",))
    assert parse_split_name("testA") == ("test", ())
    assert parse_split_name("cat") is parse_split_name("train_test") is None


def test_a_run_of_an_older_version_keeps_its_splits_as_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = write_folder(with_classes("Train", "Test"))
    older = replace(DEFAULT_OPTIONS, as_in_0_1=True)
    with monkeypatch.context() as before:
        before.setattr("gancli.core.training.run_config.transform_options", lambda config: older)
        result = gancli("train", "--data", photos, "--kimg", "0.1", *FAST)
    assert result.exit_code == 0, result.output
    run = Path("runs/00000-quick-photos")
    record = json.loads((run / "config.json").read_text())["data"]
    assert record["class_names"] == ["Test", "Train"] and record["digest"] != load_dataset(photos).digest
    result = gancli("train", "--resume", run, "--kimg", "0.2")
    assert result.exit_code == 0, result.output
    result = gancli("evaluate", run, "--metrics", "diversity", "--n", "16")
    assert result.exit_code == 0, result.output
    assert load.load_recorded_dataset(photos, DEFAULT_OPTIONS, record["digest"]).digest == record["digest"]
