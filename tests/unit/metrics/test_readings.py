"""Readings in plain words, pinned on both sides of each threshold."""

import pytest

from gancli.metrics import scores
from gancli.metrics.features import Extractor, Features
from gancli.metrics.suite import Reference, score_features


@pytest.mark.parametrize(
    ("value", "reading"),
    [
        (1.29, "at the floor: no measurable difference from real images with this number of images"),
        (1.31, "1.3 times the floor: slightly different from real images"),
        (3.9, "3.9 times the floor: slightly different from real images"),
        (4.1, "4 times the floor: clearly different from real images"),
        (19.4, "19 times the floor: clearly different from real images"),
        (20.6, "21 times the floor: far from real images"),
    ],
)
def test_distances_are_read_as_multiples_of_their_floor(value: float, reading: str) -> None:
    assert scores.describe_distance(value, 1.0, 0.7) == reading
    assert scores.describe_distance(value * 5, 5.0, 0.7) == reading


def test_distances_without_a_floor_are_read_with_their_bias() -> None:
    reading = scores.describe_distance(3.0, None, 2.0)
    assert reading == "1.5 times the distance expected from sampling noise; too few held-out images for a floor"
    assert scores.describe_distance(3.0, None, 0.0) == "the real images are all identical"


@pytest.mark.parametrize(
    ("value", "noise", "reading"),
    [
        (0.98, 0.0, ", about as many as for held-out images"),
        (0.96, 0.0, ", fewer than for held-out images"),
        (0.96, 0.0101, ", about as many as for held-out images"),
        (0.96, 0.0099, ", fewer than for held-out images"),
        (0.51, 0.0, ", fewer than for held-out images"),
        (0.49, 0.0, ", far fewer than for held-out images"),
    ],
)
def test_shares_are_compared_with_held_out_images_and_noise(value: float, noise: float, reading: str) -> None:
    assert scores.describe_share(value, 1.0, noise) == reading
    assert scores.describe_share(value, None, noise) == ""


def test_noise_of_two_shares_by_hand() -> None:
    """Var = p (1 - p) (1/n + 1/m): 0.25 (1/100 + 1/25) = 0.0125. Of 16 in 16, p = 18 / 20: 0.09 (1/100 + 1/16)."""
    assert scores.share_difference_error(0.5, 100, 25) == pytest.approx(0.0125**0.5)
    assert scores.share_difference_error(1.0, 100, 16) == pytest.approx((0.09 * (1 / 100 + 1 / 16)) ** 0.5)
    assert scores.share_difference_error(None, 100, 25) == scores.share_difference_error(0.5, 9, 0) == 0


@pytest.mark.parametrize(
    ("value", "floor", "reading"),
    [
        (0.049, 0.01, "the classes are as balanced as in the training set"),
        (0.051, 0.01, "5% of the images would have to change class to match the training set"),
        (0.149, 0.1, "the classes are as balanced as in the training set"),
        (0.149, 0.01, "15% of the images would have to change class to match the training set"),
        (0.151, 0.01, "15% of the images would have to change class to match the training set; unbalanced"),
    ],
)
def test_class_balance_is_compared_with_its_floor(value: float, floor: float, reading: str) -> None:
    assert scores.describe_class_balance(value, floor) == reading


@pytest.mark.parametrize(
    ("value", "error", "ends"),
    [
        (0.44, 0.01, "farther from the training images than held-out images are, so unlike the data"),
        (0.44, 0.02, "no closer to the training images than held-out images are"),
        (0.46, 0.001, "no closer to the training images than held-out images are"),
        (0.54, 0.001, "no closer to the training images than held-out images are"),
        (0.59, 0.03, "no closer to the training images than held-out images are"),
        (0.59, 0.02, "in 59% of comparisons"),
        (0.74, 0.02, "in 74% of comparisons"),
        (0.76, 0.02, "in 76% of comparisons; they are copies, or just very typical images"),
    ],
)
def test_fakes_are_called_near_only_beyond_the_standard_error(value: float, error: float, ends: str) -> None:
    assert scores.describe_closer_share(value, error).endswith(ends)


def test_many_close_images_point_to_the_pairs() -> None:
    assert scores.describe_close_share(0.05, 0.01, 0.009).endswith("; look at the nearest pairs")
    assert scores.describe_close_share(0.05, 0.01, 0.011).endswith("the closest 1% of held-out images")


@pytest.mark.parametrize(
    ("value", "reading"),
    [
        (0.19, "collapsed: the images are nearly identical"),
        (0.21, "the images are too similar to each other"),
        (0.49, "the images are too similar to each other"),
        (0.51, "0.51 times as varied as real images"),
        (0.79, "0.79 times as varied as real images"),
        (0.81, "as varied as real images"),
        (1.24, "as varied as real images"),
        (1.26, "1.26 times as varied as real images"),
    ],
)
def test_diversity_is_read_as_a_ratio(value: float, reading: str) -> None:
    assert scores.describe_diversity(value) == reading


def test_kernel_distances_are_read_in_standard_errors_and_the_smallest_detectable_difference() -> None:
    assert scores.describe_kernel_distance(0.2, 0.1, 5000) == "2 standard errors above the ideal, 0"
    assert scores.describe_kernel_distance(0.19, 0.1, 2000) == "within two standard errors of 0: no difference found"
    assert scores.describe_kernel_distance(-0.19, 0.1, 1999).endswith(
        ", but 1,999 images reveal only large differences"
    )
    assert scores.describe_kernel_distance(-0.21, 0.1, 1999).startswith("below 0: closer to the training images")
    assert scores.describe_kernel_distance(0.1, None, 30) == "the ideal is 0; too few images to estimate the error"


def normal(n: int, seed: int, shift: float = 0.0) -> Features:
    import torch

    draws = torch.Generator().manual_seed(seed)
    return Features(torch.randn(n, 6, generator=draws, dtype=torch.float64) + shift)


PLAIN = Extractor("toy", lambda _: (normal(1, 0).values, None), "digest")


def test_a_kernel_distance_beyond_two_errors_is_read_in_errors() -> None:
    score = score_features(Reference(PLAIN, normal(500, 0), normal(60, 1)), normal(500, 2, shift=0.5), metrics=["kid"])
    kid = score.scores["kid_toy"]
    assert kid.reading == f"{kid.value / kid.error:,.0f} standard errors above the ideal, 0"
    assert kid.value > 5 * kid.error > 0


def test_a_perfect_generator_raises_no_alarm_at_unequal_counts() -> None:
    """900 training, 100 held-out, 1,000 generated images, all from one distribution, ten times."""
    quiet = {"precision", "recall", "coverage", "auth_pct"}
    alarms = []
    for seed in range(10):
        reference = Reference(PLAIN, normal(900, 3 * seed), normal(100, 3 * seed + 1))
        found = score_features(reference, normal(1000, 3 * seed + 2), metrics=["prdc", "memorization", "kid"]).scores
        alarms += [(seed, name) for name in quiet if ", about as many as for " not in found[name].reading]
        alarms += [(seed, "closer")] if "no closer" not in found["closer_than_heldout"].reading else []
    assert not alarms


def test_too_few_held_out_images_give_no_frechet_floor() -> None:
    few = score_features(Reference(PLAIN, normal(300, 0), normal(6, 1)), normal(300, 2), metrics=["frechet"]).scores[
        "fd_toy"
    ]
    enough = score_features(Reference(PLAIN, normal(300, 0), normal(7, 1)), normal(300, 2), metrics=["frechet"])
    assert few.floor is None and "too few held-out images" in few.reading
    assert enough.scores["fd_toy"].floor is not None


def test_the_expected_bias_counts_both_sides() -> None:
    """d (d + 5) / 4 (1/n + 1/m) for unit variance, d = 6: 16.5 (1/2000 + 1/500)."""
    found = score_features(Reference(PLAIN, normal(2000, 0)), normal(500, 1), metrics=["frechet"]).scores["fd_toy"]
    assert found.details["expected_bias"] == pytest.approx(16.5 * (1 / 2000 + 1 / 500), rel=0.1)
