import dataclasses

import pytest
import torch

from gancli import presets
from gancli.core.data import clusters
from gancli.core.data.dataset import ImageSet, build_image_set
from gancli.core.sampling.latents import classes_from_seeds
from gancli.core.training import run_config
from gancli.core.training.image_log import grid_labels

KINDS = 4


@pytest.fixture(scope="module")
def patterns() -> ImageSet:
    """600 noisy images of four patterns of 28x28, in proportions 1 : 2 : 3 : 4; labels say which."""
    draws = torch.Generator().manual_seed(1)
    labels = torch.multinomial(torch.tensor([0.1, 0.2, 0.3, 0.4]), 600, replacement=True, generator=draws)
    images = torch.zeros(600, 1, 28, 28)
    for kind in range(KINDS):
        images[labels == kind, :, 7 * kind : 7 * kind + 7] = 200
    noise = torch.rand(images.shape, generator=draws) * 50
    return build_image_set("patterns", ((images + noise).to(torch.uint8), labels))


def test_clusters_match_the_kinds_of_image(patterns: ImageSet) -> None:
    found = clusters.with_training_labels(patterns, conditional=False, clusters=KINDS)
    assert found.is_clustered and found.class_names == tuple(f"cluster {i}" for i in range(KINDS))
    assert found.class_counts == sorted(patterns.class_counts, reverse=True)
    pairs = ((found.labels, patterns.labels), (found.heldout_labels, patterns.heldout_labels))
    for labels, kinds in pairs:
        assert labels is not None and kinds is not None
        assert len({*zip(labels.tolist(), kinds.tolist(), strict=True)}) == KINDS
    assert found.images is patterns.images and found.digest == patterns.digest


def test_clusters_are_the_same_for_the_same_images(patterns: ImageSet) -> None:
    once, again = (clusters.with_training_labels(patterns, conditional=False, clusters=3).labels for _ in range(2))
    assert once is not None and again is not None and torch.equal(once, again)


def test_centres_are_fitted_on_images_from_the_whole_set(patterns: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "MOST_COMPARED", 54)
    assert patterns.labels is not None
    order = patterns.labels.argsort(stable=True)
    by_kind = dataclasses.replace(patterns, images=patterns.images[order], labels=patterns.labels[order])
    found = clusters.with_training_labels(by_kind, conditional=False, clusters=KINDS)
    assert sorted(found.class_counts, reverse=True) == sorted(patterns.class_counts, reverse=True)


def test_classes_come_before_clusters_unless_they_are_turned_off(patterns: ImageSet) -> None:
    assert clusters.with_training_labels(patterns, conditional=True, clusters=3) is patterns
    unlabelled = dataclasses.replace(patterns, labels=None, heldout_labels=None, class_names=())
    assert clusters.with_training_labels(unlabelled, conditional=True, clusters=3).n_classes == 3


def test_without_clusters_an_unconditional_run_has_no_labels(patterns: ImageSet) -> None:
    found = clusters.with_training_labels(patterns, conditional=False, clusters=0)
    assert (found.labels, found.heldout_labels, found.class_names, found.is_clustered) == (None, None, (), False)


def test_a_cluster_has_a_hundred_images_on_average(patterns: ImageSet) -> None:
    assert (
        len(patterns.images) == 540
        and clusters.with_training_labels(patterns, conditional=False, clusters=1000).n_classes == 5
    )
    few = dataclasses.replace(patterns, images=patterns.images[:199])
    assert clusters.with_training_labels(few, conditional=False, clusters=1000).n_classes == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({}, []),
        ({"clusters": 3}, ["--clusters 3 has no effect: the 4 classes of the data are used"]),
        ({"clusters": 3, "conditional": False}, []),
        ({"clusters": 50, "conditional": False}, ["made 5 clusters, not 50: 540 training images allow no more"]),
        ({"clusters": 1, "conditional": False}, ["made no clusters, not 1: 540 training images allow no more"]),
    ],
)
def test_requested_clusters_that_cannot_be_made_get_a_note(
    patterns: ImageSet, flags: dict[str, object], said: list[str]
) -> None:
    name, config, sources = presets.resolve_config("classic", flags={"conditional": True, **flags})
    trained = clusters.with_training_labels(patterns, conditional=config.conditional, clusters=config.clusters)
    assert run_config.run_config_notes(run_config.build_run_config(name, config, sources, trained)) == said


def test_thumbnails_of_large_pictures_are_made_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    pool = clusters.F.adaptive_avg_pool2d

    def watched(images: torch.Tensor, side: int) -> torch.Tensor:
        taken.append(images.numel())
        return pool(images, side)

    monkeypatch.setattr(clusters.F, "adaptive_avg_pool2d", watched)
    images = torch.arange(100 * 3 * 256 * 256).view(100, 3, 256, 256).remainder(251).to(torch.uint8)
    small = clusters.make_thumbnails(images)
    assert max(taken) <= clusters.CHUNK_BYTES and sum(taken) == images.numel()
    assert torch.equal(small[7], pool(images[7:8].float(), clusters.THUMBNAIL_SIDE).round().to(torch.uint8).flatten())


def test_centres_are_means_of_the_points_nearest_to_them() -> None:
    points = torch.rand(500, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    means = clusters.kmeans_centres(points, 4)
    labels = clusters.centre_distances(points, means).argmin(1)
    assert labels.bincount().tolist() == sorted(labels.bincount().tolist(), reverse=True)
    for i in range(4):
        torch.testing.assert_close(means[i], points[labels == i].mean(0))


def test_distances_are_squared_euclidean_ones() -> None:
    points = torch.rand(5, 3, dtype=torch.float64)
    expected = torch.cdist(points, points[:2]).square()
    torch.testing.assert_close(clusters.centre_distances(points, points[:2]), expected)


def test_no_cluster_is_empty() -> None:
    points = torch.tensor([[0.0, 0.0]] * 200 + [[1.0, 1.0]] * 100, dtype=torch.float64)
    assert clusters.kmeans_centres(points, 5).tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_a_grid_of_more_classes_than_columns_uses_the_classes_of_the_seeds() -> None:
    few, many = grid_labels([5, 0, 5]), grid_labels([5] * 32)
    assert few is not None and few[:10].tolist() == [0, 2] * 5
    assert many is not None and torch.equal(many, classes_from_seeds(range(80), [5] * 32))
