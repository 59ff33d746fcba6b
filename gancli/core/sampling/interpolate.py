"""Walks through latents and classes: frames that lead from one key to the next."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gancli.config import PathName
from gancli.core import images
from gancli.core.networks.model_file import Model, ModelInfo
from gancli.core.sampling import latents
from gancli.core.sampling.generate import BATCH, generate
from gancli.errors import ConfigError, ContractError
from gancli.files import image_io
from gancli.files.image_io import Picture

PATH_FUNCTIONS = {"slerp": latents.slerp, "lerp": latents.lerp, "circle": latents.circle_path}


@dataclass(frozen=True, eq=False)
class WalkFrame:
    """One frame of a walk: z [z_dim], class weights [n_classes] or None, and the seed if the frame is at a key."""

    z: Tensor
    weights: Tensor | None
    seed: int | None


@dataclass(frozen=True, eq=False)
class Walk:
    """A path through k keys in order, each a seed with its z [k, z_dim] and class weights [k, n_classes].

    segment_frames: frames from one key up to, not including, the next. All segments have the same number of frames, so
    the pace depends on the distance of the keys. is_loop: one more segment leads from the last key to the first;
    otherwise the film ends with the last key. A circle has two keys and always loops. Its frames are split by the
    lengths of its two arcs, so the pace is as even as whole frames allow.
    """

    seeds: tuple[int, ...]
    z: Tensor
    weights: Tensor | None
    path: PathName
    segment_frames: int
    is_loop: bool

    @property
    def segments(self) -> int:
        return len(self.seeds) - (not self.is_loop)

    def __len__(self) -> int:
        """Number of frames."""
        return self.segments * self.segment_frames + (not self.is_loop)

    def with_length(self, n: float) -> "Walk":
        """Return the same walk in about n frames, rounded to whole frames per segment."""
        return dataclasses.replace(self, segment_frames=max(1, round((n - (not self.is_loop)) / self.segments)))

    def segment_lengths(self) -> list[int]:
        """Return the number of frames of each segment."""
        if self.path != "circle":
            return [self.segment_frames] * self.segments
        first = round(len(self) * float(latents.arc_fraction(self.z[0], self.z[1])))
        first = min(max(first, 1), len(self) - 1)
        return [first, len(self) - first]

    def steps(self) -> Iterator[WalkFrame]:
        """Yield all frames in order. The frame at a key equals the key bit for bit."""
        for start, frames in enumerate(self.segment_lengths()):
            yield self.at(start)
            for i in range(1, frames):
                yield self.interpolate_keys(start, i / frames)
        if not self.is_loop:
            yield self.at(len(self.seeds) - 1)

    def at(self, key: int) -> WalkFrame:
        return WalkFrame(self.z[key], None if self.weights is None else self.weights[key], self.seeds[key])

    def interpolate_keys(self, start: int, t: float) -> WalkFrame:
        """Return the frame at t in [0, 1] between the key number `start` and the next key."""
        a, b, share = self.at(start), self.at((start + 1) % len(self.seeds)), t
        if self.path == "circle":
            a, b, turn = self.at(0), self.at(1), latents.arc_fraction(self.z[0], self.z[1])
            arc = turn + (1 - turn) * t if start else turn * t
            z, share = latents.circle_path(a.z, b.z, float(arc)), float(latents.circle_weight(turn, float(arc)))
        else:
            z = PATH_FUNCTIONS[self.path](a.z, b.z, t)
        if a.weights is None or b.weights is None:
            return WalkFrame(z, None, None)
        return WalkFrame(z, latents.lerp(a.weights, b.weights, share), None)


def plan_walk(
    info: ModelInfo,
    seeds: Sequence[int],
    classes: Sequence[int] = (),
    *,
    path: PathName = "slerp",
    segment_frames: int = 60,
    is_loop: bool = True,
    trunc: float = 1,
) -> Walk:
    """Plan a walk through these seeds, each in its own class, or in the given classes in order, repeatedly.

    One seed with several classes walks between the classes at a fixed z. Raises ConfigError if two neighbours are
    equal, or if no path joins them.
    """
    if len(seeds) == 1:
        seeds = [*seeds] * max(1, len(classes))
    elif len(classes) > len(seeds):
        raise ConfigError(f"{len(classes)} classes for {len(seeds)} seeds: give a seed for each class, or one seed")
    z = latents.truncate_latents(latents.latents_from_seeds(seeds, info.spec.z_dim), trunc)
    weights = None
    if info.spec.n_classes:
        labels = latents.classes_from_seeds(seeds, info.class_counts)
        if classes:
            labels = torch.tensor([classes[key % len(classes)] for key in range(len(seeds))])
        weights = F.one_hot(labels, info.spec.n_classes).float()
    walk = Walk(tuple(seeds), z, weights, path, segment_frames, is_loop or path == "circle")
    check_walk(walk)
    return walk


def check_walk(walk: Walk) -> None:
    """Raise ConfigError if no path joins the keys. Call this before generating images."""
    if len(walk.seeds) < 2:
        raise ConfigError("a walk needs two different latents, or one latent and two classes; give two or more seeds")
    if walk.path == "circle" and len(walk.seeds) != 2:
        raise ConfigError(f"a circle goes through two latents, got {len(walk.seeds)}; give two seeds")
    for start in range(walk.segments):
        a, b = walk.at(start), walk.at((start + 1) % len(walk.seeds))
        is_same_class = a.weights is None or b.weights is None or torch.equal(a.weights, b.weights)
        if torch.equal(a.z, b.z) and (is_same_class or walk.path == "circle"):
            if a.seed != b.seed:
                problem = "--trunc 0 leaves only one; raise it"
            elif start + 1 == len(walk.seeds):
                problem = f"seed {a.seed} is followed by itself where the loop closes; add --no-loop, or other seeds"
            else:
                problem = f"seed {a.seed} is followed by itself; choose other seeds or classes"
            raise ConfigError(f"a walk needs two different latents, but {problem}")
        try:
            PATH_FUNCTIONS[walk.path](a.z, b.z, 0.5)
        except ContractError as err:
            raise ConfigError(f"no {walk.path} from seed {a.seed} to seed {b.seed}: {err}; try --path lerp") from err


def render_walks(model: Model, walks: Sequence[Walk], columns: int = 1, scale: int = 1) -> Iterator[Picture]:
    """Stream the frames of walks of equal length, arranged in a grid and enlarged."""
    frames = zip(*(walk.steps() for walk in walks), strict=True)
    while some := list(itertools.islice(frames, max(1, BATCH // len(walks)))):
        steps = [step for frame in some for step in frame]
        weights = [step.weights for step in steps if step.weights is not None]
        made = generate(model.G, torch.stack([step.z for step in steps]), torch.stack(weights) if weights else None)
        for cells in made.view(len(some), len(walks), *made.shape[1:]):
            yield image_io.enlarge_pixels(images.make_grid(cells, columns), scale)
