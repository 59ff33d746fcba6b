"""Notes and warnings about a data set before training."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gancli.core.data import statistics
from gancli.core.data.data_report import Copies, DataReport
from gancli.core.data.dataset import ImageSet, build_image_set
from gancli.metrics import scores


def made(counts: list[int], names: tuple[str, ...] = ()) -> ImageSet:
    """counts[i] images of class i, all different."""
    n = sum(counts)
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    images = torch.zeros(n, 1, 8, 8, dtype=torch.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = torch.arange(n) // 256, torch.arange(n) % 256
    return build_image_set(
        "made", (images, labels), (images[:0], labels[:0]), names or tuple(map(str, range(len(counts))))
    )


def test_few_images_get_a_warning_with_the_number_of_repeats() -> None:
    (said,) = statistics.survey_dataset(made([300]), 60_000).warnings
    assert said.startswith("only 300 training images, each used about 200 times: the model may memorise them; ")
    assert "this run" not in statistics.few_images_warnings(300, 30, None)[0]
    assert statistics.few_images_warnings(999, 0, 1.0) and not statistics.few_images_warnings(1000, 0, 1.0)


@pytest.mark.parametrize(
    ("n_heldout", "tells"),
    [
        (0, "check nearest.png of gancli evaluate"),
        (99, "check auth_pct of gancli evaluate"),
        (100, "check closer_than_heldout of gancli evaluate"),
    ],
)
def test_the_recommended_score_can_be_computed(n_heldout: int, tells: str) -> None:
    assert statistics.FEWEST_TO_SCORE == scores.FEWEST_HELDOUT
    (said,) = statistics.few_images_warnings(900, n_heldout, 50.0)
    assert tells in said


def test_a_short_run_is_not_warned_of_memorisation() -> None:
    assert "memorise" not in statistics.few_images_warnings(900, 100, 9.9)[0]
    assert "memorise" in statistics.few_images_warnings(900, 100, 10.0)[0]


def test_classes_that_are_ignored_are_only_counted() -> None:
    found = statistics.survey_dataset(made([600, 30, 0]), 600, conditional=False)
    assert found.classes == () and found.n_ignored == 3
    assert len(found.warnings) == 1, "of few images alone"
    assert statistics.survey_dataset(made([600, 30, 0]), 600).n_ignored == 0


def test_a_class_with_a_tenth_of_the_images_makes_classes_uneven() -> None:
    assert statistics.uneven_class_warnings(made([600, 61], ("cat", "owl"))) == []
    (said,) = statistics.uneven_class_warnings(made([600, 60], ("cat", "owl")))
    assert said.startswith("classes are uneven: cat has 600 images, owl 60, 10.0 times fewer")


def test_small_classes_are_named_smallest_first() -> None:
    data = made([49, 50, 3, 20, 10, 0], ("a", "b", "c", "d", "e", "none"))
    said = statistics.uneven_class_warnings(data)[-1]
    assert said.startswith("4 classes have fewer than 50 training images (c 3, e 10, d 20 and 1 other)")
    assert statistics.uneven_class_warnings(made([20])) == [], "nothing to compare with"


def test_classes_without_an_image_are_named() -> None:
    (said,) = statistics.absent_class_warnings(made([49, 0, 50, 0], ("a", "b", "c", "d")))
    assert said.startswith("2 classes have no training images (b, d), so their samples are meaningless")
    assert statistics.absent_class_warnings(made([20, 20])) == []
    assert said in statistics.survey_dataset(made([49, 0, 50, 0], ("a", "b", "c", "d")), None).warnings


def test_sizes_are_compared_by_area() -> None:
    sizes = {"9x100": 5, "1000x2": 4, "30x29": 1}
    report = DataReport({"PNG": 10}, {"grey": 10}, sizes, "crop", (0, 0, 0), (), 10, (), (), Copies(), "cache")
    found = statistics.survey_dataset(replace(made([10]), report=report), None)
    assert (found.smallest, found.largest) == ("30x29", "1000x2")
    assert found.passes is None and found.classes == (("0", 10, 0),)


def test_copies_are_found_in_sets_without_files() -> None:
    images = torch.arange(10, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    train, held = images[[0, 1, 2, 3, 4, 5, 6, 7, 8, 1]], images[[9, 3]]
    found = statistics.count_copies(build_image_set("made", (train, None), (held, None)))
    assert found == Copies(2, 1, (("image 1", "image 9"), ("image 3", "held-out image 1")))


@pytest.mark.parametrize(("size", "pixels"), [("1x1", 1), ("640x480", 307_200)])
def test_area(size: str, pixels: int) -> None:
    assert statistics.pixel_area(size) == pixels


def draw(n: int, low: int = 0, high: int = 255, channels: int = 1, side: int = 8) -> Tensor:
    """Different images of noise from low to high, both included."""
    draws = torch.Generator().manual_seed(0)
    return torch.randint(low, high + 1, (n, channels, side, side), generator=draws).to(torch.uint8)


def fill(n: int, *colour: int) -> Tensor:
    return torch.tensor(colour, dtype=torch.uint8).view(1, -1, 1, 1).expand(n, -1, 8, 8)


def warn(*images: Tensor, background: tuple[int, int, int] = (0, 0, 0), n_transparent: int = 0) -> str:
    """The warning about the pixels of these images; empty if there is none."""
    report = DataReport({}, {}, {}, "crop", background, (), 10, (), (), Copies(), "cache", n_transparent)
    found = statistics.pixel_warnings(replace(made([10]), images=torch.cat(images), report=report))
    assert len(found) <= 1
    return found[0] if found else ""


CHECK = "check that --data names the right files, and increase their contrast"


def test_most_images_must_be_flat_for_a_warning() -> None:
    assert warn(draw(20), fill(20, 9)) == ""
    assert warn(draw(20), fill(21, 9)) == f"21 of 41 training images are nearly one colour; {CHECK}"


def test_an_image_is_flat_if_no_channel_varies_by_8_levels() -> None:
    varied = fill(40, 9, 9, 9).clone()
    varied[:, 2, 0, 0] = 16
    assert "40 of 40" in warn(varied)
    varied[:, 2, 0, 0] = 17
    assert "nearly one colour" not in warn(varied)


def test_half_of_the_images_must_differ() -> None:
    images = draw(21)
    assert warn(images[:20], images[:20]).startswith("only 20 of 40 training images are different; remove the copies")
    assert warn(images, images[:19]) == ""


def test_a_few_outliers_do_not_widen_the_range_of_levels() -> None:
    images = draw(10, 100, 115, side=10)  # 1,000 values
    images[3, 0, 0, 0], images[4, 0, 0, 0] = 0, 255
    assert warn(images) == f"the training images use only the levels 100 to 115 of 0 to 255; {CHECK}"
    images[5, 0, 0, 0] = 0
    assert warn(images) == ""
    assert "levels 100 to 131" in warn(draw(40, 100, 131)) and warn(draw(40, 100, 132)) == ""


def test_many_images_are_looked_at_from_the_first_to_the_last() -> None:
    said = warn(draw(500), fill(700, 9))
    assert said.split(" ", 1)[0] in ("291", "292") and "of 500 training images looked at are nearly one colour" in said
    assert warn(fill(500, 9), draw(700)) == ""
    assert "of 500 training images are" in warn(fill(500, 9)) and "looked at" in warn(fill(501, 9))
    assert "the training images looked at use only" in warn(draw(501, 0, 20))


@pytest.mark.parametrize(
    ("ink", "background", "other"),
    [
        ((0, 0, 0), (0, 0, 0), "white"),
        ((255, 255, 255), (255, 255, 255), "black"),
        ((120, 120, 120), (128, 128, 128), "black"),
        ((250, 170, 10), (255, 170, 0), "black"),
        ((31,), (0, 0, 0), "white"),
        ((176,), (255, 170, 0), "black"),
    ],
)
def test_ink_of_the_colour_of_the_background_needs_another(
    ink: tuple[int, ...], background: tuple[int, int, int], other: str
) -> None:
    advice = f"transparent files look like this if their colour is that of the background: try --background {other}"
    for others in (0, 15):
        said = warn(fill(25, *ink), draw(others, channels=len(ink)), background=background, n_transparent=40)
        assert said == f"25 of {25 + others} training images are nearly one colour; {advice}"
    assert warn(fill(25, *ink), background=background).endswith(CHECK), "no picture is transparent"


@pytest.mark.parametrize("ink", [(0, 0, 255), (200, 100, 50), (32,)])
def test_flat_ink_that_the_background_shows_needs_no_other(ink: tuple[int, ...]) -> None:
    assert warn(fill(40, *ink), n_transparent=40).endswith(CHECK)


def test_images_that_show_nothing() -> None:
    assert not statistics.shows_nothing(torch.cat([draw(20), fill(20, 9)]))
    assert statistics.shows_nothing(torch.cat([draw(20), fill(21, 9)]))
    assert statistics.shows_nothing(draw(40, 100, 131)) and not statistics.shows_nothing(draw(40, 100, 132))
