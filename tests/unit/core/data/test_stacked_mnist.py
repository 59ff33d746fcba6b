import pytest
import torch

from gancli.core.data.dataset import ImageSet, build_image_set
from gancli.core.data.stacked_mnist import CLASS_NAMES, N_HELDOUT, N_TRAIN, build_stacked_mnist


def digits(first: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """n images whose every pixel is their number, first to first + n - 1, and its last figure as label."""
    numbers = torch.arange(first, first + n)
    return numbers.to(torch.uint8)[:, None, None, None].expand(n, 1, 4, 4), numbers % 10


@pytest.fixture(scope="module")
def found() -> ImageSet:
    return build_stacked_mnist(
        "stacked-mnist", build_image_set("mnist", digits(0, 100), digits(100, 30), notes=("told once",)), 5000, 400
    )


def test_each_channel_is_a_whole_digit_and_the_label_spells_the_three(found: ImageSet) -> None:
    for images, labels in ((found.images, found.labels), (found.heldout_images, found.heldout_labels)):
        assert (images == images[:, :, :1, :1]).all()
        red, green, blue = (images[:, :, 0, 0].long() % 10).unbind(1)
        assert labels is not None and torch.equal(labels, 100 * red + 10 * green + blue)


def test_held_out_triples_contain_only_held_out_digits(found: ImageSet) -> None:
    assert found.images.shape == (5000, 3, 4, 4) and found.heldout_images.shape == (400, 3, 4, 4)
    assert set(found.images.unique().tolist()) == set(range(100))
    assert set(found.heldout_images.unique().tolist()) == set(range(100, 130))


def test_all_thousand_classes_occur_and_notes_are_kept(found: ImageSet) -> None:
    assert found.class_names == CLASS_NAMES and (found.class_names[7], found.class_names[999]) == ("007", "999")
    assert found.class_counts and sum(count > 0 for count in found.class_counts) > 980
    assert (found.name, found.notes) == ("stacked-mnist", ("told once",))
    assert (N_TRAIN, N_HELDOUT) == (64_000, 10_000)


def test_the_same_digits_give_the_same_set(found: ImageSet) -> None:
    parts = build_image_set("mnist", digits(0, 100), digits(100, 30))
    assert build_stacked_mnist("again", parts, 5000, 400).digest == found.digest
    assert build_stacked_mnist("fewer", parts, 4999, 400).digest != found.digest
