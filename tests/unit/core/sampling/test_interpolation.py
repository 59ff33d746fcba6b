"""Walks: their frames, exact keys, and loops with even steps."""

import itertools
import typing

import numpy as np
import pytest
import torch
from test_generate import make_model

from gancli.config import PathName
from gancli.core import images
from gancli.core.sampling import generate, interpolate, latents
from gancli.errors import ConfigError

MODEL = make_model("conv")
INFO = MODEL.info
PATHS: tuple[PathName, ...] = typing.get_args(PathName)


def test_every_path_that_has_a_name_can_be_walked() -> None:
    assert set(interpolate.PATH_FUNCTIONS) == set(PATHS)


@pytest.mark.parametrize(
    ("seeds", "path", "frames", "is_loop", "keys"),
    [
        ([3, 7, 12], "slerp", 4, True, {0: 3, 4: 7, 8: 12}),
        ([3, 7, 12], "lerp", 4, False, {0: 3, 4: 7, 8: 12}),
        ([3, 7], "slerp", 1, True, {0: 3, 1: 7}),
        ([3, 7], "slerp", 1, False, {0: 3, 1: 7}),
        ([3, 7, 3, 12], "slerp", 2, False, {0: 3, 2: 7, 4: 3, 6: 12}),
    ],
)
def test_keys_are_exact_and_at_the_right_frames(
    seeds: list[int], path: PathName, frames: int, is_loop: bool, keys: dict[int, int]
) -> None:
    walk = interpolate.plan_walk(INFO, seeds, path=path, segment_frames=frames, is_loop=is_loop)
    steps = list(walk.steps())
    assert len(steps) == len(walk) == (len(seeds) * frames if is_loop else (len(seeds) - 1) * frames + 1)
    assert {i: step.seed for i, step in enumerate(steps) if step.seed is not None} == keys
    for i, seed in keys.items():
        assert torch.equal(steps[i].z, latents.latents_from_seeds([seed], 16)[0])
        weights = steps[i].weights
        assert weights is not None and weights.tolist() == one_hot(int(latents.classes_from_seeds([seed], (5, 3, 2))))


def one_hot(label: int) -> list[float]:
    return [float(label == other) for other in range(3)]


@pytest.mark.parametrize("n_classes", [0, 3])
@pytest.mark.parametrize("path", PATHS)
def test_key_frames_are_the_pictures_of_their_seeds(path: PathName, n_classes: int) -> None:
    model = make_model("conv", n_classes)
    seeds = [3, 40] if path == "circle" else [3, 40, 12]
    walk = interpolate.plan_walk(model.info, seeds, path=path, segment_frames=30, trunc=0.7)
    frames = list(interpolate.render_walks(model, [walk]))
    ((_, pictures, _),) = generate.generate_samples(model, generate.SampleRequest(seeds, trunc=0.7))
    compared = 0
    for step, frame in zip(walk.steps(), frames, strict=True):
        if step.seed is not None:
            assert np.array_equal(frame, images.to_hwc(pictures)[seeds.index(step.seed)])
            compared += 1
    assert compared == len(seeds)


@pytest.mark.parametrize("path", ["slerp", "lerp"])
def test_all_steps_of_a_segment_are_equal_and_the_loop_adds_one_segment(path: PathName) -> None:
    """Steps of slerp turn by one angle; those of lerp have one length. The segment back to the start is no exception"""
    walk = interpolate.plan_walk(INFO, [3, 7, 12], path=path, segment_frames=10)
    z = torch.stack([step.z for step in walk.steps()])
    following = z.roll(-1, dims=0)
    sizes = latents.angle_between(z, following) if path == "slerp" else latents.vector_norms(z - following)
    for segment in sizes.view(3, 10):
        torch.testing.assert_close(segment, segment.mean().expand(10), atol=0, rtol=1e-4)
    assert not torch.equal(z[-1], z[0])


@pytest.mark.parametrize("frames", [1, 2, 60])
def test_a_circle_goes_round_once_at_an_even_pace(frames: int) -> None:
    """With whole frames on both arcs, steps differ by at most the part of one frame in those of the shorter arc."""
    walk = interpolate.plan_walk(INFO, [3, 7], path="circle", segment_frames=frames, is_loop=False)
    steps = list(walk.steps())
    z = torch.stack([step.z for step in steps])
    assert len(z) == len(walk) == 2 * frames
    turns = latents.angle_between(z, z.roll(-1, dims=0))
    if frames > 1:
        assert turns.sum().item() == pytest.approx(2 * torch.pi, abs=1e-4)
    shorter = next(i for i, step in enumerate(steps) if step.seed == 7)
    assert turns.max() / turns.min() < 1 + 1 / shorter or frames < 3
    shares = [float(step.weights[0]) for step in steps if step.weights is not None]
    assert all(abs(a - b) < 4 / frames for a, b in itertools.pairwise(shares))


def test_class_weights_go_from_the_class_of_one_key_to_that_of_the_next() -> None:
    walk = interpolate.plan_walk(INFO, [5], [0, 2], segment_frames=4)
    steps = list(walk.steps())
    weights = [step.weights.tolist() for step in steps if step.weights is not None]
    there = [[1, 0, 0], [0.75, 0, 0.25], [0.5, 0, 0.5], [0.25, 0, 0.75], [0, 0, 1]]
    assert weights == [*there, *there[1:-1][::-1]]
    z = latents.latents_from_seeds([5], 16)[0]
    assert all(torch.equal(step.z, z) for step in steps) and len(steps) == 8


@pytest.mark.parametrize(
    ("seeds", "classes", "labels"),
    [
        ([3, 7, 12], [2], [2, 2, 2]),
        ([3, 7, 12], [2, 0], [2, 0, 2]),
        ([3], [0, 1, 2], [0, 1, 2]),
        ([3, 3], [0, 1], [0, 1]),
    ],
)
def test_classes_cycle_over_the_keys(seeds: list[int], classes: list[int], labels: list[int]) -> None:
    walk = interpolate.plan_walk(INFO, seeds, classes, is_loop=False)
    assert walk.weights is not None and walk.weights.argmax(dim=1).tolist() == labels
    assert len(walk.seeds) == len(labels)


def test_weights_of_one_class_equal_its_label() -> None:
    z = latents.latents_from_seeds(range(64), 16)
    labels = torch.arange(64) % 3
    weights = torch.nn.functional.one_hot(labels, 3).float()
    compared = 0
    for name in ("conv", "mlp"):
        model = make_model(name)
        assert torch.equal(generate.generate(model.G, z, labels), generate.generate(model.G, z, weights))
        compared += 64
    assert compared == 128


def test_many_walks_go_side_by_side() -> None:
    """In a grid of three, each cell shows its walk as it is alone, also if a frame is larger than a batch."""
    for n in (3, 70):
        some = [interpolate.plan_walk(INFO, [2 * cell, 2 * cell + 1], segment_frames=5) for cell in range(n)]
        alone = [list(interpolate.render_walks(MODEL, [walk])) for walk in some[:3]]
        together = list(interpolate.render_walks(MODEL, some, columns=3))
        assert len(together) == 10
        for i, frame in enumerate(together):
            assert frame.shape == (-(-n // 3) * 28, 3 * 28)
            for cell in range(3):
                assert np.array_equal(frame[:28, 28 * cell : 28 * cell + 28], alone[cell][i])


def test_frames_come_as_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first frame of a walk of two million costs one batch."""
    calls = []
    made = generate.generate
    monkeypatch.setattr(interpolate, "generate", lambda *args: calls.append(len(args[1])) or made(*args))
    stream = interpolate.render_walks(MODEL, [interpolate.plan_walk(INFO, [3, 7], segment_frames=1_000_000)])
    next(stream)
    assert calls == [generate.BATCH]


@pytest.mark.parametrize(
    ("seeds", "options", "message"),
    [
        ([3], {}, "two different latents, or one latent and two classes"),
        ([3], {"classes": [1]}, "two different latents, or one latent and two classes"),
        ([3], {"path": "circle", "classes": [1, 2]}, "seed 3 is followed by itself"),
        ([3], {"classes": [1, 1]}, "seed 3 is followed by itself"),
        ([3, 7, 7], {}, "seed 7 is followed by itself"),
        ([3, 7, 3], {}, "seed 3 is followed by itself where the loop closes"),
        ([3, 7, 12], {"path": "circle"}, "a circle goes through two latents, got 3"),
        ([3, 3], {"path": "circle"}, "seed 3 is followed by itself"),
        ([3, 7], {"trunc": 0, "classes": [1]}, "--trunc 0 leaves only one"),
        ([3, 7], {"classes": [0, 1, 2]}, "3 classes for 2 seeds"),
    ],
)
def test_impossible_walks_are_refused(seeds: list[int], options: dict[str, typing.Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        interpolate.plan_walk(INFO, seeds, **options)


@pytest.mark.parametrize("path", ["slerp", "circle"])
def test_opposite_keys_are_refused_with_a_fix(path: PathName, monkeypatch: pytest.MonkeyPatch) -> None:
    a = latents.latents_from_seeds([3], 16)
    monkeypatch.setattr(latents, "latents_from_seeds", lambda seeds, z_dim: torch.cat([a, -a]))
    with pytest.raises(ConfigError, match=rf"no {path} from seed 3 to seed 7: .*opposite.*; try --path lerp"):
        interpolate.plan_walk(INFO, [3, 7], path=path)
    assert len(interpolate.plan_walk(INFO, [3, 7], path="lerp")) == 120
