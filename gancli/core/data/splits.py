"""Recognise folders that are splits of a data set, such as Train and Test, instead of classes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gancli import platform
from gancli.errors import DataError
from gancli.wording import format_count, format_list

TRAIN = ("train", "training", "trainval")
TEST = ("test", "testing", "val", "valid", "validation")
OTHER = ("dev", "eval", "evaluation", "holdout", "heldout", "unsup", "unlabeled", "unlabelled", "extra")
FILLERS = ("set", "data", "dataset", "images", "imgs", "split")
WORD = re.compile(rf"({'|'.join((*TRAIN, *TEST, *OTHER))})({'|'.join(FILLERS)}|[ab])?")
MOST_SPLITS = 8


@dataclass(frozen=True, eq=False)
class Split:
    """A training and a test folder. held: bool [N], the pictures of the test folder.

    names: the names without the split folder. note: for the user.
    """

    held: npt.NDArray[np.bool_]
    names: list[str]
    note: str


def parse_split_name(folder: str) -> tuple[str, tuple[str, ...]] | None:
    """Convert 'seg_Train_set' to ("train", ("seg",)): its split and its other words; 'trainA' has none.

    None if the name does not hold exactly one word for a split.
    """
    tokens = re.findall(r"[a-z]+|\d+", folder.lower())
    found = [match for token in tokens if (match := WORD.fullmatch(token))]
    if len(found) != 1:
        return None
    rest = tuple(token for token in tokens if token != found[0][0] and token not in FILLERS)
    return found[0][1], rest


def find_split(path: Path, names: Sequence[str], base: str) -> Split | None:
    """Return the split if the folders below `base` are exactly a training and a test folder; None if they are classes.

    names: plain relative paths. Raises DataError if the folders are splits, but not these two.
    """
    ends = [name.find("/", len(base)) for name in names]
    folders = [name[len(base) : end] for name, end in zip(names, ends, strict=True) if end >= 0]
    found = sorted({*folders})
    if len(folders) < len(names) or not 2 <= len(found) <= MOST_SPLITS:
        return None
    parsed = [parse_split_name(folder) for folder in found]
    kinds = [one[0] for one in parsed if one]
    if len(kinds) < len(found) or len({one[1] for one in parsed if one}) > 1:
        return None
    train = [folder for folder, kind in zip(found, kinds, strict=True) if kind in TRAIN]
    test = [folder for folder, kind in zip(found, kinds, strict=True) if kind in TEST]
    rests = [name[end + 1 :] for name, end in zip(names, ends, strict=True)]
    held = np.array([folder in test for folder in folders])
    classes = [
        {first_folder(rest) for rest, is_held in zip(rests, held, strict=True) if is_held == one} for one in (0, 1)
    ]
    if not (len(found) == 2 and train and test and classes[True] <= classes[False]):
        inside = path / base
        first = (train or found)[0]
        alone = f"unpack it and give --data {platform.quote(first)}"
        if not path.is_file():
            alone = f"give --data {platform.quote(inside / first)}"
        holds = f"{inside} holds {format_list(found, MOST_SPLITS)}, which look like splits, not classes"
        whole = f"--data {platform.quote(path)} --unconditional"
        raise DataError(f"{holds}; {alone} to train on {first}, or {whole} to train on all")
    counts = [format_count(int(n), "picture") for n in (len(held) - held.sum(), held.sum())]
    note = f"{train[0]} and {test[0]} are splits: {counts[0]} to train on, {counts[1]} held out"
    return Split(held, rests, note)


def first_folder(name: str) -> str:
    return name.partition("/")[0] if "/" in name else ""
