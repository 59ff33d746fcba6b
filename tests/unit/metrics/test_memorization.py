import pytest
import torch

from gancli.metrics import distances, memorization
from gancli.metrics.memorization import Neighbours, training_neighbours


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def normal(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TRAIN = column(0, 1, 10)


def test_neighbours_by_hand() -> None:
    """0.25 is nearest to 0, whose nearest other is 1 away; 13 is nearest to 10, whose nearest other is 9 away."""
    found = training_neighbours(column(0.25, 13, -2), TRAIN)
    assert found.distance.tolist() == pytest.approx([0.25, 3, 2])
    assert found.train_index.tolist() == [0, 2, 0]
    assert found.spacing.tolist() == pytest.approx([1, 9, 1])
    assert found.ratio.tolist() == pytest.approx([0.25, 1 / 3, 2])


def test_authentic_percentage_by_hand() -> None:
    """Only -2 is farther from 0 than 1 is."""
    assert memorization.authentic_pct(training_neighbours(column(0.25, 13, -2), TRAIN)) == pytest.approx(100 / 3)


def test_copies_are_never_authentic_even_of_duplicated_images() -> None:
    train = torch.cat([TRAIN, TRAIN[:1]])
    found = training_neighbours(train, train)
    assert found.distance.tolist() == [0, 0, 0, 0]
    assert found.ratio.tolist() == [0, 0, 0, 0]
    assert memorization.authentic_pct(found) == 0


def test_closer_than_heldout_by_hand() -> None:
    """Of the pairs, 1 < 2 and 1 < 3 count one, 2 = 2 a half, 2 < 3 one: 3.5 of 4."""
    fake, heldout = torch.tensor([1.0, 2.0]).double(), torch.tensor([2.0, 3.0]).double()
    assert memorization.closer_than_heldout(fake, heldout) == 3.5 / 4


def test_closer_than_heldout_takes_fakes_first_and_finds_copies() -> None:
    train, heldout = normal(300, 0), normal(200, 1)
    away = training_neighbours(heldout, train).distance
    copies = training_neighbours(train[:100] + 1e-3, train).distance
    originals = training_neighbours(normal(200, 2), train).distance
    assert memorization.closer_than_heldout(copies, away) == 1
    assert memorization.closer_than_heldout(originals, away) == pytest.approx(0.5, abs=0.08)


def test_a_few_copies_change_only_the_close_share() -> None:
    train, heldout = normal(500, 0), normal(1000, 1)
    away = training_neighbours(heldout, train).distance
    mixed = training_neighbours(torch.cat([normal(900, 2), train[:100]]), train).distance
    assert memorization.close_share(mixed, away)[0] > 0.1
    share, expected = memorization.close_share(training_neighbours(normal(1000, 3), train).distance, away)
    assert share < 0.025 and expected == 10 / 1001
    assert memorization.closer_than_heldout(mixed, away) < 0.6


def test_copies_are_found_even_if_some_held_out_images_are_in_the_training_set() -> None:
    train = normal(500, 0)
    heldout = training_neighbours(torch.cat([normal(490, 1), train[:10]]), train).distance
    copies = training_neighbours(torch.cat([normal(700, 2), train[100:400]]), train).distance
    share, expected = memorization.close_share(copies, heldout)
    assert share == 0.3 and expected == 10 / 501


def test_close_share_by_hand() -> None:
    heldout = torch.arange(1, 301, dtype=torch.float64)
    share, expected = memorization.close_share(torch.tensor([0.5, 3.0, 3.1, 200.0]).double(), heldout)
    assert (share, expected) == (0.5, 3 / 301)


def test_nearest_pairs_are_sorted_from_the_most_copy_like() -> None:
    found = training_neighbours(column(13, -2, 0.25), TRAIN)
    assert [pair[:2] for pair in memorization.nearest_pairs(found, n=2)] == [(2, 0), (0, 2)]
    assert len(memorization.nearest_pairs(found)) == 3


def test_a_duplicated_training_image_is_not_nearest_just_because_it_has_a_duplicate() -> None:
    found = Neighbours(torch.tensor([0.0, 0.5, 0.5]), torch.tensor([4, 5, 6]), torch.tensor([0.0, 0.0, 1.0]))
    assert found.ratio.tolist() == [0, torch.inf, 0.5]
    assert memorization.nearest_pairs(found) == [(0, 4, 0.0), (2, 6, 0.5), (1, 5, torch.inf)]


def test_blocks_do_not_change_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, train = normal(53, 0), normal(40, 1)
    whole = training_neighbours(queries, train)
    monkeypatch.setattr(distances, "BLOCK_ELEMENTS", 100)
    blocked = training_neighbours(queries, train)
    assert all(torch.allclose(a.double(), b.double()) for a, b in zip(whole, blocked, strict=True))


def test_nearest_is_exact_even_far_from_the_origin() -> None:
    queries, train = normal(200, 0) + 1000, normal(300, 1) + 1000
    distance, index = distances.nearest_neighbour(queries, train)
    expected = torch.cdist(queries, train, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1)
    assert torch.equal(index, expected.indices)
    assert torch.allclose(distance, expected.values, rtol=1e-12)
