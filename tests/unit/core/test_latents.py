import random

import pytest
import torch

from gancli.core import latents

MNIST = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_seed_gives_the_same_latent_at_any_place_of_any_list() -> None:
    alone = latents.from_seeds([7], 64)
    assert torch.equal(latents.from_seeds([3, 7, 12], 64)[1:2], alone)
    assert torch.equal(latents.from_seeds([7, 7], 64), alone.expand(2, -1))


def test_latents_are_standard_normal() -> None:
    """Of 64,000 draws the mean has a deviation of 0.004 and the variance of 0.0056: five of each are allowed."""
    z = latents.from_seeds(range(1000), 64)
    assert z.shape == (1000, 64) and z.dtype == torch.float32
    assert abs(z.mean().item()) < 0.02
    assert abs(z.var().item() - 1) < 0.028


def test_latent_of_a_seed_never_changes() -> None:
    """python -c "from gancli.core import latents; print(latents.from_seeds([7], 64)[0, :3].tolist())" """
    expected = torch.tensor([-0.16882579028606415, 1.433154582977295, 0.07234378904104233])
    torch.testing.assert_close(latents.from_seeds([7], 64)[0, :3], expected, atol=1e-6, rtol=0)


def test_first_classes_by_hand() -> None:
    """(s + 1/2) x 0.618034 = 0.309, 0.927, 1.545, 2.163, 2.781: the fractions' first digits, for ten equal classes."""
    assert latents.classes_from_seeds(range(5), [9] * 10).tolist() == [3, 9, 5, 1, 7]


@pytest.mark.parametrize(
    "counts",
    [[500] * 10, MNIST, [1, 1], [1, 1, 1], [1] * 100, [1, 1000, 3, 50]],
    ids=lambda counts: f"{len(counts)} classes",
)
def test_any_run_of_seeds_is_balanced_as_the_counts_are(counts: list[int]) -> None:
    n = 1000
    share = n * torch.tensor(counts) / sum(counts)
    draw = random.Random(0)
    for start in (0, 2**31, 2**53, 2**62, *(draw.randrange(2**32) for _ in range(50))):
        classes = latents.classes_from_seeds(range(start, start + n), counts)
        assert (classes.bincount(minlength=len(counts)) - share).abs().max() <= 2, start


def test_class_depends_on_the_seed_alone() -> None:
    classes = latents.classes_from_seeds(range(100), MNIST)
    assert torch.equal(latents.classes_from_seeds([99, 4], MNIST), classes[[99, 4]])


def test_class_without_images_is_never_drawn() -> None:
    classes = latents.classes_from_seeds(range(1000), [0, 5, 0, 5, 0])
    assert set(classes.tolist()) == {1, 3}
