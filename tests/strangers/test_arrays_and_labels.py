"""Labels under another name, two classes for one picture, and a single image where many are expected."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import gancli
from PIL import Image

import gancli as library
from gancli.core.data.load import load_dataset
from gancli.errors import ContractError, DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), np.uint8)


@pytest.mark.parametrize("name", ["y", "arr_1", "targets"])
def test_labels_under_another_name_are_skipped_with_a_note_that_says_so(name: str) -> None:
    np.savez("x.npz", images=IMAGES, **{name: np.arange(30) % 3})
    images = load_dataset("x.npz")
    assert images.labels is None
    assert f"skipped arrays in x.npz: {name}; to train on classes, rename {name} to labels" in images.notes


def test_other_arrays_are_named_and_those_of_gancli_are_not() -> None:
    labels = np.arange(30) % 3
    np.savez("x.npz", images=IMAGES, labels=labels, y=labels, weights=np.zeros(4))
    assert "skipped arrays in x.npz: y, weights" in load_dataset("x.npz").notes
    np.savez("own.npz", images=IMAGES, labels=labels, seeds=np.arange(30))
    images = load_dataset("own.npz")
    assert images.class_names == ("0", "1", "2") and not any("skipped arrays" in note for note in images.notes)


@pytest.mark.parametrize("second", ["a.png", "./a.png"])
def test_a_picture_with_two_classes_in_dataset_json_is_refused(second: str) -> None:
    folder = Path("photos")
    folder.mkdir()
    names = ["a.png", *(f"{i}.png" for i in range(11))]
    for name, picture in zip(names, IMAGES, strict=False):
        Image.fromarray(picture).save(folder / name)
    labels = [[name, 0] for name in names]
    (folder / "dataset.json").write_text(json.dumps({"labels": [*labels, [second, 1]]}))
    with pytest.raises(DataError, match=r"lists a\.png with two classes; keep one, or give --unconditional"):
        load_dataset("photos")
    (folder / "dataset.json").write_text(json.dumps({"labels": [*labels, [second, 0]]}))
    assert load_dataset("photos").class_names == ("0",)


@pytest.mark.parametrize("shape", [(32, 32, 3), (32, 24, 1), (32, 32, 4)], ids=str)
def test_a_single_image_is_refused_as_such(shape: tuple[int, int, int]) -> None:
    np.savez("x.npz", images=np.zeros(shape, np.uint8))
    line = f"is a single image {list(shape)}; save several images as [N,H,W] or [N,H,W,3]"
    result = gancli("train", "--data", "x.npz", "--dry-run")
    assert result.exit_code == 1 and line in result.stderr
    with pytest.raises(ContractError, match=r"got a single one .*; pass images\[None\]"):
        library.evaluate(np.zeros(shape, np.uint8), "x.npz")
