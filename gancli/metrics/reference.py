"""The two sides of an evaluation: a reference of real images, and a set of generated images to score."""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from gancli.metrics import classes, memorization
from gancli.metrics.features import Extractor, Features
from gancli.metrics.frechet import Moments, frechet_distance, moments
from gancli.metrics.kernel import KernelDistance, kernel_distance
from gancli.metrics.prdc import PRDC, coverage, prdc, squared_radii

FEWEST_KERNEL = 20
FEWEST_PRDC = 50


@dataclass(frozen=True, eq=False)
class Reference:
    """The real images that models are scored against. Values that depend only on them are computed once.

    real: features of all training images. heldout: features of the held-out images; None without any.
    heldout_truth: int64, the true classes of the held-out images, if the extractor predicts these classes.
    """

    extractor: Extractor
    real: Features
    heldout: Features | None = None
    heldout_truth: Tensor | None = None
    seed: int = 0

    def scaled(self, features: Features) -> Tensor:
        """Return the values to score: unchanged, or standardised on the real images if the extractor is relative."""
        if not self.extractor.relative:
            return features.values
        mean, std = self.real.values.mean(dim=0), self.real.values.std(dim=0)
        return (features.values - mean) / torch.where(std > 0, std, 1.0)

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    def some(self, values: Tensor, n: int) -> Tensor:
        """Return n random rows, always the same ones; if there are at most n rows, return all in order."""
        return values if n >= len(values) else values[torch.randperm(len(values), generator=self.generator())[:n]]

    @functools.cached_property
    def train(self) -> Tensor:
        return self.scaled(self.real)

    @functools.cached_property
    def held(self) -> Tensor | None:
        return None if self.heldout is None or len(self.heldout) < 2 else self.scaled(self.heldout)

    @functools.cached_property
    def train_moments(self) -> Moments:
        return moments(self.train)

    @functools.cached_property
    def equal_parts(self) -> tuple[Tensor, Tensor] | None:
        """Equal numbers of training and held-out images, as many as possible, to measure floors on."""
        if self.held is None:
            return None
        n = min(len(self.train), len(self.held))
        return self.some(self.train, n), self.some(self.held, n)

    @property
    def n_floor(self) -> int:
        """Number of images on each side when floors are measured; 0 without held-out images."""
        return len(self.equal_parts[0]) if self.equal_parts else 0

    @functools.cached_property
    def frechet_floor(self) -> float | None:
        """The Frechet distance between training and held-out images; None below F + 1 images per side.

        With fewer images, the covariances are singular, and the bias is not proportional to 1/n.
        """
        parts = self.equal_parts
        return frechet_distance(*map(moments, parts)) if parts and len(parts[0]) > parts[0].shape[1] else None

    @functools.cached_property
    def kernel_floor(self) -> KernelDistance | None:
        if self.equal_parts is None or len(self.equal_parts[0]) < FEWEST_KERNEL:
            return None
        return kernel_distance(*self.equal_parts, generator=self.generator())

    @functools.cached_property
    def heldout_neighbours(self) -> memorization.Neighbours | None:
        return None if self.held is None else memorization.training_neighbours(self.held, self.train)

    @functools.cached_property
    def shares(self) -> Tensor:
        """The share of each class in the training images, as predicted by the extractor."""
        assert self.real.labels is not None
        return classes.class_shares(self.real.labels, len(self.extractor.class_names))


@dataclass(frozen=True, eq=False)
class ScoringCase:
    """A set of generated images to score against a reference. requested: the classes requested for them."""

    reference: Reference
    values: Tensor
    labels: Tensor | None
    requested: Tensor | None

    @property
    def n(self) -> int:
        return len(self.values)

    def named(self, score: str) -> str:
        """Return the name of a score with its extractor, such as fd_digits; with Inception, fid and kid."""
        name = self.reference.extractor.name
        return {"fd": "fid"}.get(score, score) if name == "inception" else f"{score}_{name.replace('-', '_')}"

    @functools.cached_property
    def moments(self) -> Moments:
        return moments(self.values)

    @functools.cached_property
    def counts(self) -> Tensor:
        """Number of images of each class, as predicted by the extractor."""
        assert self.labels is not None
        return self.labels.bincount(minlength=len(self.reference.extractor.class_names))


def coverage_floor(reference: Reference, n: int) -> float | None:
    """Compute only the coverage of `prdc_floor`."""
    if reference.equal_parts is None or (m := min(n, reference.n_floor)) < FEWEST_PRDC:
        return None
    reals, held = (reference.some(part, m) for part in reference.equal_parts)
    return coverage(reals, squared_radii(reals).sqrt(), held)


@functools.lru_cache(maxsize=4)
def prdc_floor(reference: Reference, n: int) -> PRDC | None:
    """Return the scores of held-out images against n training images; None if there are too few.

    Precision and density depend only on the number of reals, so they use all n training images. Recall and coverage use
    equal counts.
    """
    if reference.equal_parts is None or (m := min(n, reference.n_floor)) < FEWEST_PRDC:
        return None
    held = reference.some(reference.equal_parts[1], m)
    equal = prdc(reference.some(reference.equal_parts[0], m), held)
    if m == n:
        return equal
    uneven = prdc(reference.some(reference.train, n), held)
    return PRDC(uneven.precision, equal.recall, uneven.density, equal.coverage)
