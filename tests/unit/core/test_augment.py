import pytest
import torch

from gancli.core import augment


def pictures(n: int, channels: int = 1, size: int = 3, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    values = torch.linspace(-0.9, 0.9, n * channels * size * size, dtype=dtype)
    return values.view(n, channels, size, size)


def test_limit_zero_is_the_identity() -> None:
    x = pictures(2)
    assert torch.equal(augment.shift(x, torch.zeros(2, 2, dtype=torch.int64), 0), x)


@pytest.mark.parametrize("limit", [1, 3])
def test_zero_offset_is_the_identity(limit: int) -> None:
    x = pictures(2, channels=3)
    assert torch.equal(augment.shift(x, torch.zeros(2, 2, dtype=torch.int64), limit), x)


def test_known_shifts_by_hand() -> None:
    """First picture one row down and none sideways, second two columns left: what comes in is -1."""
    x = torch.tensor([[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]]]).expand(2, 1, 3, 3)
    moved = augment.shift(x, torch.tensor([[1, 0], [0, -2]]), 2)
    expected = torch.tensor(
        [
            [[-1, -1, -1], [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]],
            [[0.3, -1, -1], [0.6, -1, -1], [0.9, -1, -1]],
        ]
    )
    assert torch.equal(moved[:, 0], expected)


def test_channels_move_together_and_pictures_alone() -> None:
    x = pictures(3, channels=2, size=5)
    offsets = torch.tensor([[-1, 1], [0, 0], [2, -2]])
    together = augment.shift(x, offsets, 2)
    for n in range(3):
        for c in range(2):
            assert torch.equal(together[n, c], augment.shift(x[n : n + 1, c : c + 1], offsets[n : n + 1], 2)[0, 0])


def test_shift_back_restores_all_but_the_edge() -> None:
    x = pictures(1, size=6)
    offsets = torch.tensor([[1, -2]])
    back = augment.shift(augment.shift(x, offsets, 2), -offsets, 2)
    assert torch.equal(back[..., :-1, 2:], x[..., :-1, 2:])
    assert back[..., -1, :].eq(-1).all() and back[..., :2].eq(-1).all()


def test_shift_is_differentiable_twice() -> None:
    x = pictures(2, channels=2, dtype=torch.float64).requires_grad_()
    offsets = torch.tensor([[1, -1], [0, 1]])

    def moved_squares(images: torch.Tensor) -> torch.Tensor:
        return augment.shift(images, offsets, 1).square()

    assert torch.autograd.gradcheck(moved_squares, (x,))
    assert torch.autograd.gradgradcheck(moved_squares, (x,))


def test_mirror_flips_those_that_are_chosen() -> None:
    x = pictures(3, channels=2)
    flipped = augment.mirror(x, torch.tensor([True, False, True]))
    assert torch.equal(flipped[1], x[1]) and torch.equal(augment.mirror(flipped, torch.tensor([True, False, True])), x)
    assert torch.equal(flipped[0, :, :, 0], x[0, :, :, 2])
