import itertools

import pytest

from gancli.report.embedded import choose_fitting, data_uri, data_uri_length, spaced_indices


@pytest.mark.parametrize("n", [1, 2, 7, 60, 61, 1000])
@pytest.mark.parametrize("most", [1, 2, 5, 60])
def test_places_are_spread_evenly_and_the_last_is_one(n, most):
    places = spaced_indices(n, most)
    assert places[-1] == n - 1 and len(places) == min(n, most) and places == sorted(set(places))
    steps = {b - a for a, b in itertools.pairwise(places)}
    assert max(steps, default=0) - min(steps, default=0) <= 1
    assert places[0] == 0 or most == 1


def test_as_many_as_fit_are_kept_and_at_least_one():
    assert choose_fitting([10] * 8, 80) == list(range(8))
    assert choose_fitting([10] * 9, 30) == [0, 4, 8]
    assert choose_fitting([10] * 9, 5) == [8]


@pytest.mark.parametrize("n", range(5))
def test_the_length_of_a_uri_is_known_in_advance(n):
    assert len(data_uri("image/png", bytes(n))) == data_uri_length(n)
