"""Survey a data set before training, and warn about problems."""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from gancli.core.data.data_report import Copies, DataReport, find_copies
from gancli.core.data.dataset import ImageSet
from gancli.core.data.decode import is_deep_mode
from gancli.core.data.deep_pixels import FEWEST_BITS
from gancli.wording import format_about, format_count, format_list, format_significant

FEW_IMAGES = 1000
MANY_PASSES = 10  # with more passes over few images, the model may memorise them
FEWEST_TO_SCORE = 100  # held-out images needed for closer_than_heldout, see metrics/scores.py
FEW_IN_CLASS = 50
UNEVEN_RATIO = 10  # size of the largest class over that of the smallest
MOST_NAMED = 3
MOST_LOOKED_AT = 500
FLAT_RANGE = 8  # an image whose levels differ by less looks like one colour
FEW_LEVELS = 32  # of 256
GREY_WEIGHTS = (0.299, 0.587, 0.114)  # of red, green and blue, as in Pillow's conversion
OUTLIERS = 0.001  # share of the darkest and of the brightest values that the range of levels leaves out


@dataclass(frozen=True)
class DataSurvey:
    """The facts and warnings about a data set. classes: (name, training images, held-out images) of each class.

    n_ignored: number of classes that training ignores. smallest, largest: sizes of files, by area. passes: how often
    the whole run shows each image, None if unknown.
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
    """Survey a data set. n_shown: number of images the whole run shows, None if unknown.

    conditional: whether training uses the classes.
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
    """Return the area of a size: '640x480' gives 307200."""
    width, height = map(int, size.split("x"))
    return width * height


def count_classes(data: ImageSet) -> tuple[tuple[str, int, int], ...]:
    held = data.heldout_labels
    heldout = [0] * data.n_classes if held is None else held.bincount(minlength=data.n_classes).tolist()
    return tuple(zip(data.class_names, data.class_counts, heldout, strict=True))


def data_warnings(data: ImageSet, passes: float | None, *, conditional: bool) -> list[str]:
    """Return warnings about pixels, few images, and uneven or empty classes."""
    of_classes = [*uneven_class_warnings(data), *absent_class_warnings(data)] if conditional else []
    few = few_images_warnings(len(data.images), len(data.heldout_images), passes)
    return [*pixel_warnings(data), *few, *of_classes]


def pixel_warnings(data: ImageSet) -> list[str]:
    """Return at most one warning, about prepared images that show almost nothing or are mostly equal.

    Looks at up to 500 training images, evenly spaced.
    """
    looked_at = choose_images(data.images)
    n, n_different = len(looked_at), len({image.tobytes() for image in looked_at})
    which = "training images" if n == len(data.images) else "training images looked at"
    share = f"of {n:,} {which}"
    if are_mostly_flat(looked_at):
        return [f"{count_flat(looked_at):,} {share} are nearly one colour; {advice_on_contrast(data, looked_at)}"]
    if have_few_levels(looked_at):
        low, high = level_range(looked_at)
        levels = f"{low} to {high} of 0 to 255"
        return [f"the {which} use only the levels {levels}; {advice_on_contrast(data, looked_at)}"]
    if 2 * n_different <= n:
        return [f"only {n_different:,} {share} are different; remove the copies, or add other images"]
    return []


def choose_images(images: Tensor) -> npt.NDArray[np.uint8]:
    """Return up to MOST_LOOKED_AT evenly spaced images [n,C,pixels] of uint8 [N,C,H,W]."""
    rows = np.unique(np.linspace(0, len(images) - 1, min(len(images), MOST_LOOKED_AT)).astype(np.int64))
    return np.asarray(images[rows].flatten(2))


def count_flat(images: npt.NDArray[np.uint8]) -> int:
    """Return the number of images [n,C,pixels] that are nearly one colour."""
    return int((np.ptp(images, axis=2).max(axis=1) < FLAT_RANGE).sum())


def shows_nothing(images: Tensor) -> bool:
    """Whether most images uint8 [N,C,H,W] are nearly one colour, or all use few levels."""
    looked_at = choose_images(images)
    return are_mostly_flat(looked_at) or have_few_levels(looked_at)


def are_mostly_flat(images: npt.NDArray[np.uint8]) -> bool:
    return 2 * count_flat(images) > len(images)


def have_few_levels(images: npt.NDArray[np.uint8]) -> bool:
    low, high = level_range(images)
    return high - low < FEW_LEVELS


def level_range(pixels: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Return the lowest and highest level, without a few outliers."""
    below = np.bincount(pixels.reshape(-1), minlength=256).cumsum() / pixels.size
    return int((below > OUTLIERS).argmax()), int((below >= 1 - OUTLIERS).argmax())


def advice_on_contrast(data: ImageSet, images: npt.NDArray[np.uint8]) -> str:
    """Name the likely cause of images [n,C,pixels] without contrast, and what to do."""
    report = data.report
    if report and report.n_transparent:
        background = np.array(report.background) if images.shape[1] == 3 else np.array(report.background) @ GREY_WEIGHTS
        if np.abs(np.median(images.mean(axis=2), axis=0) - background).max() < FEW_LEVELS:
            other = "white" if background.mean() < 128 else "black"
            return (
                f"transparent files look like this if their colour is that of the background: try --background {other}"
            )
    if report and report.bits > FEWEST_BITS and any(map(is_deep_mode, report.modes)):
        return f"16-bit files look like this if most values are low: try --bits lower than {report.bits}"
    return "check that --data names the right files, and increase their contrast"


def count_copies(data: ImageSet) -> Copies:
    """Find exact copies in a set without a report, such as a named set."""
    n, m = len(data.images), len(data.heldout_images)

    def name(row: int) -> str:
        return f"image {row}" if row < n else f"held-out image {row - n}"

    return find_copies(data.images.numpy(), data.heldout_images.numpy(), name, np.arange(n), np.arange(n, n + m))


def few_images_warnings(n: int, n_heldout: int, passes: float | None) -> list[str]:
    if n >= FEW_IMAGES:
        return []
    few = f"only {format_count(n, 'training image')}"
    if passes is not None and passes < MANY_PASSES:
        return [f"{few}; add more, or --mirror if mirrored images look right"]
    shown = "" if passes is None else f", each used {format_about(passes)} times"
    if n_heldout:
        score = "closer_than_heldout" if n_heldout >= FEWEST_TO_SCORE else "auth_pct"
        check = f"check {score} of gancli evaluate"
    else:
        check = "check nearest.png of gancli evaluate"
    risk = f"{few}{shown}: the model may memorise them"
    return [f"{risk}; add images, train for less time, or add --mirror if mirrored images look right; then {check}"]


def uneven_class_warnings(data: ImageSet) -> list[str]:
    """Warn about classes with few images, or with far fewer than the largest class."""
    present = sorted((n, name) for name, n in zip(data.class_names, data.class_counts, strict=True) if n)
    if len(present) < 2:
        return []
    (fewest, smallest), (most, largest) = present[0], present[-1]
    warnings = []
    if most >= UNEVEN_RATIO * fewest:
        times = format_significant(most / fewest)
        warnings.append(
            f"classes are uneven: {largest} has {most:,} images, {smallest} {fewest:,}, {times} times fewer; "
            "training and sampling use each class as often as it occurs"
        )
    small = [f"{name} {n:,}" for n, name in itertools.takewhile(lambda one: one[0] < FEW_IN_CLASS, present)]
    if small:
        verb = "class has" if len(small) == 1 else "classes have"
        warnings.append(
            f"{len(small):,} {verb} fewer than {FEW_IN_CLASS} training images ({format_list(small, MOST_NAMED)}), "
            "and the model may copy them; add more, or give --unconditional"
        )
    return warnings


def absent_class_warnings(data: ImageSet) -> list[str]:
    """Warn about classes without any training image."""
    names = [name for name, n in zip(data.class_names, data.class_counts, strict=True) if not n]
    if not names:
        return []
    verb = "class has" if len(names) == 1 else "classes have"
    none = f"{len(names):,} {verb} no training images ({format_list(names, MOST_NAMED)})"
    return [f"{none}, so their samples are meaningless; add images, or remove the class"]
