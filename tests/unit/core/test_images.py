import numpy as np
import pytest
import torch

from gancli.core import images
from gancli.errors import ContractError


def test_all_256_values_survive_the_round_trip() -> None:
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(images.to_uint8(images.to_float(values)), values)


def test_range_is_minus_one_to_one() -> None:
    ends = images.to_float(torch.tensor([0, 255], dtype=torch.uint8))
    assert ends.tolist() == [-1, 1] and ends.dtype == torch.float32


def test_to_float_does_not_change_its_argument() -> None:
    values = torch.tensor([0, 128, 255], dtype=torch.uint8)
    images.to_float(values)
    assert values.tolist() == [0, 128, 255]


def test_to_uint8_rounds_to_nearest_and_clips() -> None:
    """0.6 / 127.5 above black rounds to 1, 0.4 to 0; values outside are clipped."""
    floats = torch.tensor([-7.0, -1 + 0.4 / 127.5, -1 + 0.6 / 127.5, 1.0, 7.0])
    assert images.to_uint8(floats).tolist() == [0, 0, 1, 255, 255]
    assert images.to_uint8(torch.tensor([-1.0, 1.0], dtype=torch.bfloat16)).tolist() == [0, 255]


def numbered(n: int, channels: int) -> torch.Tensor:
    """Pictures of 2x3 pixels, each filled with its number from 1, plus 100 per channel."""
    number = torch.arange(1, n + 1).view(n, 1, 1, 1) + 100 * torch.arange(channels).view(1, channels, 1, 1)
    return number.expand(n, channels, 2, 3).to(torch.uint8)


def test_grid_is_filled_row_by_row_and_the_rest_is_black() -> None:
    picture = images.make_grid(numbered(5, 1), columns=3)
    assert picture.shape == (4, 9)
    assert picture[::2, ::3].tolist() == [[1, 2, 3], [4, 5, 0]]
    assert np.array_equal(picture, np.kron(picture[::2, ::3], np.ones((2, 3), np.uint8)))


def test_grid_has_at_least_the_requested_rows() -> None:
    picture = images.make_grid(numbered(3, 1), columns=2, rows=4)
    assert picture[::2, ::3].tolist() == [[1, 2], [3, 0], [0, 0], [0, 0]]
    assert np.array_equal(
        images.make_grid(numbered(3, 1), columns=2, rows=1), images.make_grid(numbered(3, 1), columns=2)
    )


def test_grid_of_colour_pictures_keeps_channels_last() -> None:
    picture = images.make_grid(numbered(4, 3), columns=2)
    assert picture.shape == (4, 6, 3)
    assert picture[::2, ::3].tolist() == [[[1, 101, 201], [2, 102, 202]], [[3, 103, 203], [4, 104, 204]]]


def test_grid_keeps_the_pixels_of_a_picture_in_place() -> None:
    picture = torch.arange(6, dtype=torch.uint8).view(1, 1, 2, 3)
    assert images.make_grid(picture, columns=1).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_numpy_form_drops_only_a_single_channel() -> None:
    assert images.to_hwc(numbered(4, 1)).shape == (4, 2, 3)
    assert images.to_hwc(numbered(4, 3)).shape == (4, 2, 3, 3)
    assert images.to_hwc(numbered(4, 3).to(memory_format=torch.channels_last)).flags.c_contiguous


@pytest.mark.parametrize("wrong", [torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.uint8)])
def test_only_a_batch_of_uint8_pictures_is_accepted(wrong: torch.Tensor) -> None:
    with pytest.raises(ContractError, match="expected uint8"):
        images.make_grid(wrong, columns=1)
