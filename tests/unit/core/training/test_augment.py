import pytest
import torch

from gancli import config
from gancli.core.training import augment

BLACK = torch.full((3,), -1.0)


def pictures(n: int, channels: int = 1, size: int = 3, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    values = torch.linspace(-0.9, 0.9, n * channels * size * size, dtype=dtype)
    return values.view(n, channels, size, size)


def test_limit_zero_is_the_identity() -> None:
    x = pictures(2)
    assert torch.equal(augment.shift_images(x, torch.zeros(2, 2, dtype=torch.int64), 0, BLACK[:1]), x)


@pytest.mark.parametrize("limit", [1, 3])
def test_zero_offset_is_the_identity(limit: int) -> None:
    x = pictures(2, channels=3)
    assert torch.equal(augment.shift_images(x, torch.zeros(2, 2, dtype=torch.int64), limit, BLACK), x)


def test_known_shifts_by_hand() -> None:
    """First picture one row down and none sideways, second two columns left: the uncovered pixels get the fill."""
    x = torch.tensor([[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]]]).expand(2, 1, 3, 3)
    moved = augment.shift_images(x, torch.tensor([[1, 0], [0, -2]]), 2, torch.tensor([-1.0]))
    expected = torch.tensor(
        [
            [[-1, -1, -1], [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]],
            [[0.3, -1, -1], [0.6, -1, -1], [0.9, -1, -1]],
        ]
    )
    assert torch.equal(moved[:, 0], expected)


def test_channels_move_together_and_images_separately() -> None:
    x = pictures(3, channels=2, size=5)
    offsets, fill = torch.tensor([[-1, 1], [0, 0], [2, -2]]), torch.tensor([-1.0, 0.5])
    together = augment.shift_images(x, offsets, 2, fill)
    for n in range(3):
        for c in range(2):
            alone = augment.shift_images(x[n : n + 1, c : c + 1], offsets[n : n + 1], 2, fill[c])
            assert torch.equal(together[n, c], alone[0, 0])


def test_shift_back_restores_all_but_the_edge() -> None:
    x = pictures(1, size=6)
    offsets = torch.tensor([[1, -2]])
    back = augment.shift_images(augment.shift_images(x, offsets, 2, BLACK[:1]), -offsets, 2, BLACK[:1])
    assert torch.equal(back[..., :-1, 2:], x[..., :-1, 2:])
    assert back[..., -1, :].eq(-1).all() and back[..., :2].eq(-1).all()


def test_shift_is_differentiable_twice() -> None:
    x = pictures(2, channels=2, dtype=torch.float64).requires_grad_()
    offsets = torch.tensor([[1, -1], [0, 1]])

    def moved_squares(images: torch.Tensor) -> torch.Tensor:
        return augment.shift_images(images, offsets, 1, torch.tensor([-1.0, 0.5], dtype=torch.float64)).square()

    assert torch.autograd.gradcheck(moved_squares, (x,))
    assert torch.autograd.gradgradcheck(moved_squares, (x,))


def test_mirror_flips_those_that_are_chosen() -> None:
    x = pictures(3, channels=2)
    flipped = augment.mirror_images(x, torch.tensor([True, False, True]))
    assert torch.equal(flipped[1], x[1]) and torch.equal(
        augment.mirror_images(flipped, torch.tensor([True, False, True])), x
    )
    assert torch.equal(flipped[0, :, :, 0], x[0, :, :, 2])


def uniform(n: int, columns: int = augment.DRAWS_PER_IMAGE) -> torch.Tensor:
    return torch.linspace(0.05, 8, n * columns, dtype=torch.float64).frac().view(n, columns).float()


def test_registry_matches_the_names_in_the_config() -> None:
    assert tuple(augment.AUGMENTS) == config.AUGMENT_NAMES
    assert len(augment.AUGMENTS) == 4


@pytest.mark.parametrize("name", augment.AUGMENTS)
def test_strength_0_is_the_identity_and_strength_1_changes_every_image(name: str) -> None:
    x, draws = pictures(8, channels=3, size=8), uniform(8, augment.DRAWS_PER_IMAGE + 1)
    draws[:, 0], draws[:, 1:] = torch.linspace(0, 0.99, 8), torch.tensor([0.2, 0.9, 0.3])
    assert torch.equal(augment.augment_images(name, x, 0.0, draws, BLACK), x)
    assert (augment.augment_images(name, x, 1.0, draws, BLACK) != x).flatten(1).any(dim=1).all()
    half = augment.augment_images(name, x, 0.5, draws, BLACK) != x
    assert half.flatten(1).any(dim=1).tolist() == 4 * [True] + 4 * [False]


@pytest.mark.parametrize("name", augment.AUGMENTS)
def test_augmentations_are_differentiable_twice(name: str) -> None:
    x = pictures(3, channels=2, size=4, dtype=torch.float64).requires_grad_()
    draws, fill = uniform(3).double(), torch.tensor([-1.0, 0.5], dtype=torch.float64)

    def squares(images: torch.Tensor) -> torch.Tensor:
        return augment.AUGMENTS[name](images, draws, fill).square()

    assert torch.autograd.gradcheck(squares, (x,)) and torch.autograd.gradgradcheck(squares, (x,))


def test_color_by_hand() -> None:
    """Two pixels of two channels, (0, 0.2) and (0.4, 0.6) by channel."""
    x = torch.tensor([[0.0, 0.4], [0.2, 0.6]]).view(1, 2, 1, 2)
    brighter = augment.random_color(x, torch.tensor([[0.8, 0.5, 0.5]]), BLACK)
    torch.testing.assert_close(brighter, x + 0.3)
    vivid = augment.random_color(
        x, torch.tensor([[0.5, 1.0, 0.5]]), BLACK
    )  # each channel twice as far from the pixel's mean
    torch.testing.assert_close(vivid.flatten(), torch.tensor([-0.1, 0.3, 0.3, 0.7]))
    flat = augment.random_color(x, torch.tensor([[0.5, 0.5, 0.0]]), BLACK)  # half as far from the picture's mean of 0.3
    torch.testing.assert_close(flat, 0.3 + (x - 0.3) / 2)


def test_saturation_does_nothing_to_grey() -> None:
    x = pictures(2)
    torch.testing.assert_close(augment.random_color(x, torch.tensor([[0.5, 0.0, 0.5], [0.5, 1.0, 0.5]]), BLACK[:1]), x)


def test_translation_goes_an_eighth_of_the_side_each_way_and_fills_with_the_background() -> None:
    x, fill = pictures(3, channels=2, size=16), torch.tensor([-1.0, 0.25])
    moved = augment.random_translation(x, torch.tensor([[0.0, 0.5, 0], [0.999, 0.999, 0], [0.5, 0.5, 0]]), fill)
    torch.testing.assert_close(moved[0, :, :-2], x[0, :, 2:])
    torch.testing.assert_close(moved[0, :, -2:], fill.view(2, 1, 1).expand(2, 2, 16))
    torch.testing.assert_close(moved[1, :, 2:, 2:], x[1, :, :-2, :-2])
    torch.testing.assert_close(moved[2], x[2])


@pytest.mark.parametrize(("size", "limit"), [(8, 1), (20, 3), (28, 4), (36, 5), (52, 7), (68, 9)])
def test_translation_rounds_half_a_pixel_up(size: int, limit: int) -> None:
    x = torch.ones(1, 1, size, size)
    moved = augment.random_translation(x, torch.tensor([[0.0, 0.999, 0.0]]), BLACK[:1])
    assert (moved == 1).sum() == (size - limit) ** 2


def test_translation_of_digits_leaves_black_exactly_black() -> None:
    x = torch.full((1, 1, 28, 28), -1.0)
    assert torch.equal(augment.random_translation(x, torch.tensor([[0.1, 0.9, 0.0]]), BLACK[:1]), x)


def test_cutout_empties_a_square_of_half_the_side_clipped_at_the_edge() -> None:
    x = torch.zeros(3, 1, 8, 8)
    emptied = augment.random_cutout(
        x, torch.tensor([[0.5, 0.5, 0], [0.0, 0.5, 0], [0.999, 0.999, 0]]), torch.tensor([-1.0])
    )
    assert emptied[0, 0, 2:6, 2:6].eq(-1).all() and emptied[0].eq(-1).sum() == 16
    assert emptied[1, 0, :2, 2:6].eq(-1).all() and emptied[1].eq(-1).sum() == 8
    assert emptied[2, 0, 6:, 6:].eq(-1).all() and emptied[2].eq(-1).sum() == 4


def test_flip_mirrors_half_of_the_draws() -> None:
    x = pictures(2)
    flipped = augment.random_flip(x, torch.tensor([[0.49, 0, 0], [0.51, 0, 0]]), BLACK[:1])
    assert torch.equal(flipped[0], x[0].flip(2)) and torch.equal(flipped[1], x[1])


def test_areas_uncovered_by_a_shift_get_the_background() -> None:
    """White images stay white, both with the shift of quick and with translation."""
    x, white = torch.ones(64, 1, 8, 8), torch.ones(1)
    for chance, names in ((1.0, []), (0.0, ["translation"])):
        found = augment.augment_for_discriminator(
            x, chance, names, 1.0, white, lambda name: torch.Generator().manual_seed(0)
        )
        assert torch.equal(found, x)


def test_background_is_the_median_of_the_border_channel_by_channel() -> None:
    images = torch.full((5, 2, 6, 6), 200, dtype=torch.uint8)  # the inside does not count
    for edge in (images[:, :, 0], images[:, :, -1], images[..., 0], images[..., -1]):
        edge[:, 0], edge[:, 1] = 0, 255
    images[0, :, 0] = 90  # nor do a few objects that touch the edge
    assert augment.border_level(images).tolist() == [-1, 1]
