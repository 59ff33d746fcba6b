import math
import random

import pytest
import torch

from gancli.core.sampling import latents
from gancli.errors import ContractError

MNIST = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_seed_gives_the_same_latent_at_any_place_of_any_list() -> None:
    alone = latents.latents_from_seeds([7], 64)
    assert torch.equal(latents.latents_from_seeds([3, 7, 12], 64)[1:2], alone)
    assert torch.equal(latents.latents_from_seeds([7, 7], 64), alone.expand(2, -1))


def test_latents_are_standard_normal() -> None:
    """Of 64,000 draws the mean has a deviation of 0.004 and the variance of 0.0056: five of each are allowed."""
    z = latents.latents_from_seeds(range(1000), 64)
    assert z.shape == (1000, 64) and z.dtype == torch.float32
    assert abs(z.mean().item()) < 0.02
    assert abs(z.var().item() - 1) < 0.028


def test_latent_of_a_seed_never_changes() -> None:
    """latents_from_seeds([7], 64)[0, :3].tolist() of gancli.core.sampling.latents."""
    expected = torch.tensor([-0.16882579028606415, 1.433154582977295, 0.07234378904104233])
    torch.testing.assert_close(latents.latents_from_seeds([7], 64)[0, :3], expected, atol=1e-6, rtol=0)


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


def test_class_depends_only_on_the_seed() -> None:
    classes = latents.classes_from_seeds(range(100), MNIST)
    assert torch.equal(latents.classes_from_seeds([99, 4], MNIST), classes[[99, 4]])


def test_class_without_images_is_never_drawn() -> None:
    classes = latents.classes_from_seeds(range(1000), [0, 5, 0, 5, 0])
    assert set(classes.tolist()) == {1, 3}


A, B = (row.unsqueeze(0) for row in latents.latents_from_seeds([3, 7], 64))
PATHS = {"lerp": latents.lerp, "slerp": latents.slerp}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("path", PATHS)
def test_ends_of_a_path_are_exact_and_not_the_same_memory(path: str, dtype: torch.dtype) -> None:
    a, b = A.to(dtype) / 3, B.to(dtype) / 3
    for t, end in ((0, a), (1, b), (0.0, a), (1.0, b)):
        found = PATHS[path](a, b, t)
        assert found.dtype == dtype and found.numpy().tobytes() == end.numpy().tobytes()
        assert found.data_ptr() != end.data_ptr()


@pytest.mark.parametrize("path", PATHS)
def test_a_path_walked_backwards_is_the_same_path(path: str) -> None:
    for t in (0.1, 0.25, 0.5, 0.9):
        torch.testing.assert_close(PATHS[path](A, B, t), PATHS[path](B, A, 1 - t), atol=1e-5, rtol=0)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_between_equal_latents_stays_exactly_there(path: str) -> None:
    for t in (0.1, 1 / 3, 0.7):
        assert torch.equal(PATHS[path](A, A, t), A)


def test_slerp_by_hand() -> None:
    """A third of the quarter circle from (2, 0) to (0, 5) is 30 degrees, at length 3."""
    found = latents.slerp(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 5.0]), 1 / 3)
    torch.testing.assert_close(found, 3 * torch.tensor([3**0.5 / 2, 0.5]))


def test_slerp_turns_evenly_and_lengthens_evenly() -> None:
    points = torch.cat([latents.slerp(A, B, i / 20) for i in range(21)])
    steps = latents.angle_between(points[:-1], points[1:])
    torch.testing.assert_close(steps, latents.angle_between(A, B).expand(20, 1) / 20, atol=1e-6, rtol=0)
    longer = latents.vector_norms(points).diff(dim=0)
    torch.testing.assert_close(longer, longer.mean().expand(20, 1), atol=1e-5, rtol=0)
    assert latents.vector_norms(latents.lerp(A, B, 0.5)) < 0.9 * latents.vector_norms(latents.slerp(A, B, 0.5))


def test_each_row_of_a_batch_has_its_own_path() -> None:
    a, b = torch.cat([A, A, B]), torch.cat([B, 2 * A, A])
    for t in (0.3, 0.5):
        expected = torch.cat([latents.slerp(A, B, t), (1 + t) * A, latents.slerp(B, A, t)])
        torch.testing.assert_close(latents.slerp(a, b, t), expected, atol=1e-6, rtol=1e-6)


def test_nearly_parallel_latents_are_joined_by_a_straight_line() -> None:
    for near in (A.clone(), 3 * A, A * (1 + 1e-6), A + 1e-8 * B):
        assert torch.equal(latents.slerp(A, near, 0.5), latents.lerp(A, near, 0.5))
    bent = A + 1e-3 * B  # a large enough angle for a circle
    torch.testing.assert_close(latents.slerp(A, bent, 0.5), latents.lerp(A, bent, 0.5), atol=1e-5, rtol=0)


@pytest.mark.parametrize("walk", [latents.slerp, latents.circle_path], ids=["slerp", "circle"])
@pytest.mark.parametrize("t", [0, 0.5, 1])
def test_opposite_latents_are_refused_at_every_point(walk: object, t: float) -> None:
    assert callable(walk)
    for opposite in (-A, -2 * A, -A + 1e-7 * B):
        with pytest.raises(ContractError, match="opposite"):
            walk(A, opposite, t)


def test_angle_is_exact_where_the_cosine_is_not() -> None:
    """1e-9 from parallel, and from opposite, both cosines round to 1 in size."""
    x, y = torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 1.0]).double()
    assert latents.angle_between(x, x + 1e-9 * y).item() == pytest.approx(1e-9, rel=1e-6)
    assert math.pi - latents.angle_between(x, 1e-9 * y - x).item() == pytest.approx(1e-9, rel=1e-5)
    assert latents.angle_between(x, y).item() == pytest.approx(math.pi / 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_circle_passes_both_latents_exactly_and_closes(dtype: torch.dtype) -> None:
    a, b = A.to(dtype) / 3, B.to(dtype) / 3
    turn = float(latents.arc_fraction(a, b))
    assert 0.2 < turn < 0.3
    for t, latent in ((0, a), (1, a), (turn, b)):
        assert latents.circle_path(a, b, t).numpy().tobytes() == latent.numpy().tobytes()
    torch.testing.assert_close(latents.circle_path(a, b, turn + 1), b, atol=1e-5, rtol=0)


def test_circle_by_hand() -> None:
    """From (2, 0) through (0, 4): half way there, 45 degrees at length 3; at 225 degrees half way back, again 3."""
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])
    torch.testing.assert_close(latents.circle_path(a, b, 1 / 8), 3 * torch.tensor([0.5, 0.5]).sqrt())
    torch.testing.assert_close(latents.circle_path(a, b, 5 / 8), -3 * torch.tensor([0.5, 0.5]).sqrt())
    torch.testing.assert_close(latents.circle_path(a, b, 1 / 4 + 1e-12), b)


def test_circle_turns_evenly_in_one_plane_and_is_as_long_as_its_latents() -> None:
    points = torch.cat([latents.circle_path(A, 2 * B, i / 40) for i in range(41)])
    steps = latents.angle_between(points[:-1], points[1:])
    torch.testing.assert_close(steps, torch.full((40, 1), math.tau / 40).double(), atol=1e-6, rtol=0)
    assert torch.linalg.matrix_rank(points, rtol=1e-5) == 2
    shorter, longer = latents.vector_norms(A), latents.vector_norms(2 * B)
    sizes = latents.vector_norms(points)
    assert sizes.min() >= shorter - 1e-4 and sizes.max() <= longer + 1e-4
    assert sizes.diff(dim=0).abs().max() < (longer - shorter) / 4  # no jump in ten steps to b


def test_circle_through_one_direction_is_refused() -> None:
    for same in (A, 2 * A):
        with pytest.raises(ContractError, match="directions"):
            latents.circle_path(A, same, 0.3)


def test_the_share_of_b_on_a_circle_rises_to_one_and_falls_back() -> None:
    turn = latents.arc_fraction(A, B)
    shares = [float(latents.circle_weight(turn, i / 100)) for i in range(101)]
    assert shares[0] == 0 and shares[-1] == pytest.approx(0, abs=1e-15)
    assert float(latents.circle_weight(turn, float(turn))) == 1
    top = shares.index(max(shares))
    assert top == round(100 * float(turn))
    assert shares[: top + 1] == sorted(shares[: top + 1]) and shares[top:] == sorted(shares[top:], reverse=True)
