"""What is known about a data set before it is trained on, and what to be warned of."""

import itertools
from dataclasses import dataclass

import numpy as np

from gancli.core.data.data_report import Copies, DataReport, find_copies
from gancli.core.data.dataset import ImageSet
from gancli.wording import format_about, format_count, format_list, format_significant

FEW_IMAGES = 1000
MANY_PASSES = 10  # over so few images, from which they can be learnt by heart
FEWEST_TO_SCORE = 100  # held-out images that the best score of copying takes, see metrics/scores.py
FEW_IN_CLASS = 50
UNEVEN_RATIO = 10  # times that the largest class has the images of the smallest
MOST_NAMED = 3


@dataclass(frozen=True)
class DataSurvey:
    """A data set and what limits training on it. classes: (name, training images, held-out images) of each.

    n_ignored: classes that are not learnt, which are only counted. smallest, largest: files, by area. passes: how often
    the whole run shows each image, None if that is not known.
    """

    files: DataReport | None
    name: str
    source: str
    n_train: int
    n_heldout: int
    resolution: int
    channels: int
    smallest: str | None
    largest: str | None
    classes: tuple[tuple[str, int, int], ...]
    n_ignored: int
    passes: float | None
    duplicates: Copies | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def survey_dataset(data: ImageSet, n_shown: int | None, *, conditional: bool = True) -> DataSurvey:
    """Everything to report. n_shown: how many images the whole run shows, None if that is not known.

    conditional: whether classes are learnt.
    """
    by_area = sorted(data.report.sizes, key=pixel_area) if data.report else []
    passes = n_shown / len(data.images) if n_shown else None
    return DataSurvey(
        files=data.report,
        name=data.name,
        source=data.source,
        n_train=len(data.images),
        n_heldout=len(data.heldout_images),
        resolution=data.resolution,
        channels=data.channels,
        smallest=by_area[0] if by_area else None,
        largest=by_area[-1] if by_area else None,
        classes=count_classes(data) if conditional else (),
        n_ignored=0 if conditional else data.n_classes,
        passes=passes,
        duplicates=data.report.duplicates if data.report else None,
        notes=data.notes,
        warnings=tuple(data_warnings(data, passes, conditional=conditional)),
    )


def pixel_area(size: str) -> int:
    """'640x480' -> 307200."""
    width, height = map(int, size.split("x"))
    return width * height


def count_classes(data: ImageSet) -> tuple[tuple[str, int, int], ...]:
    held = data.heldout_labels
    heldout = [0] * data.n_classes if held is None else held.bincount(minlength=data.n_classes).tolist()
    return tuple(zip(data.class_names, data.class_counts, heldout, strict=True))


def data_warnings(data: ImageSet, passes: float | None, *, conditional: bool) -> list[str]:
    """What will limit the result, with the numbers that matter."""
    of_classes = [*uneven_class_warnings(data), *absent_class_warnings(data)] if conditional else []
    return few_images_warnings(len(data.images), len(data.heldout_images), passes) + of_classes


def count_copies(data: ImageSet) -> Copies:
    """The exact copies in a set that was not read from picture files, which know theirs."""
    n, m = len(data.images), len(data.heldout_images)

    def name(row: int) -> str:
        return f"image {row}" if row < n else f"held-out image {row - n}"

    return find_copies(data.images.numpy(), data.heldout_images.numpy(), name, np.arange(n), np.arange(n, n + m))


def few_images_warnings(n: int, n_heldout: int, passes: float | None) -> list[str]:
    if n >= FEW_IMAGES:
        return []
    few = f"{format_count(n, 'image')} to train on are few"
    if passes is not None and passes < MANY_PASSES:
        return [f"{few}: more of them help, and so does --mirror if left and right are alike"]
    shown = "" if passes is None else f"; this run shows each {format_about(passes)} times"
    if n_heldout:
        score = "closer_than_heldout" if n_heldout >= FEWEST_TO_SCORE else "auth_pct"
        tells = f"gancli evaluate tells ({score})"
    else:
        tells = "with none held out, only nearest.png of gancli evaluate shows it"
    risk = f"{few}{shown}, and the model may learn them by heart"
    return [f"{risk}: {tells}; more images or a shorter run help, and so does --mirror if left and right are alike"]


def uneven_class_warnings(data: ImageSet) -> list[str]:
    """Classes that are small, absolutely or next to the largest."""
    present = sorted((n, name) for name, n in zip(data.class_names, data.class_counts, strict=True) if n)
    if len(present) < 2:
        return []
    (fewest, smallest), (most, largest) = present[0], present[-1]
    warnings = []
    if most >= UNEVEN_RATIO * fewest:
        times = format_significant(most / fewest)
        warnings.append(
            f"classes are uneven: {largest} has {most:,} images, {smallest} {fewest:,}, {times} times fewer; each is "
            "shown and sampled as often as it occurs"
        )
    small = [f"{name} {n:,}" for n, name in itertools.takewhile(lambda one: one[0] < FEW_IN_CLASS, present)]
    if small:
        verb = "class has" if len(small) == 1 else "classes have"
        warnings.append(
            f"{len(small):,} {verb} fewer than {FEW_IN_CLASS} images to train on ({format_list(small, MOST_NAMED)}); "
            "expect copies of them, add more, or give --unconditional"
        )
    return warnings


def absent_class_warnings(data: ImageSet) -> list[str]:
    """Classes that have a name and nothing to learn from."""
    names = [name for name, n in zip(data.class_names, data.class_counts, strict=True) if not n]
    if not names:
        return []
    verb = "class has" if len(names) == 1 else "classes have"
    none = f"{len(names):,} {verb} no images to train on ({format_list(names, MOST_NAMED)})"
    return [f"{none}; samples of what was never shown mean nothing: add images, or take the class away"]
