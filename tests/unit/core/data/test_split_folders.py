"""Which folders are splits, which are classes, and which are unclear."""

from pathlib import Path

import pytest

from gancli.core.data import splits
from gancli.errors import DataError


def find(*folders: str) -> splits.Split | None:
    return splits.find_split(Path("photos"), [f"{folder}/cat/{i}.png" for folder in folders for i in range(3)], "")


@pytest.mark.parametrize(
    "word", ["dev", "eval", "evaluation", "holdout", "heldout", "unsup", "unlabeled", "unlabelled", "extra"]
)
def test_a_folder_that_is_neither_for_training_nor_for_tests_is_refused(word: str) -> None:
    with pytest.raises(DataError, match="which look like splits"):
        find("train", word)
    assert find("train", f"{word}x") is None, "classes"


@pytest.mark.parametrize("train", ["train", "training", "trainval"])
@pytest.mark.parametrize("test", ["test", "testing", "val", "valid", "validation"])
def test_the_words_of_a_training_and_a_test_folder(train: str, test: str) -> None:
    split = find(train.upper(), test)
    assert split and split.held.tolist() == 3 * [False] + 3 * [True]
    assert split.names == 2 * [f"cat/{i}.png" for i in range(3)]


def test_more_folders_than_any_data_set_has_splits_are_classes() -> None:
    nine = sorted((*splits.TRAIN, *splits.TEST, "dev"))
    with pytest.raises(DataError, match="which look like splits"):
        find(*nine[:8])
    assert find(*nine) is None
