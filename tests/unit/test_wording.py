"""Numbers and lists for people."""

import pytest

from gancli.wording import format_about, format_duration, format_list, format_significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123456, "0.0123"),
        (1.0, "1.00"),
        (12.345, "12.3"),
        (123.45, "123"),
        (1234.5, "1,234"),
        (-0.5, "-0.500"),
        (-1234.5, "-1,234"),
        (1e9, "1.00e+09"),
    ],
)
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert format_significant(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123, "0.012"),
        (3.0, "3"),
        (3.14, "3.1"),
        (10.58, "11"),
        (200.0, "200"),
        (1234.5, "1,200"),
        (2.56e6, "2,600,000"),
    ],
)
def test_estimates_have_two_significant_digits(value: float, text: str) -> None:
    assert format_about(value) == f"about {text}"


@pytest.mark.parametrize(
    ("most", "text"), [(4, "a, b, c"), (3, "a, b, c"), (2, "a, b and 1 other"), (1, "a and 2 others")]
)
def test_long_lists_are_cut_and_counted(most: int, text: str) -> None:
    assert format_list(["a", "b", "c"], most) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.4, "59s"), (59.6, "1m00s"), (75, "1m15s"), (3599, "59m59s"), (7265, "2h01m")]
)
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
