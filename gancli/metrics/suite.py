"""The table of metrics, and the function that scores generated images with them."""

from collections.abc import Callable, Iterable

from torch import Tensor

from gancli.errors import ConfigError, ContractError, did_you_mean
from gancli.files.scores import Conditions, Evaluation, Score
from gancli.metrics import scores
from gancli.metrics.features import Features
from gancli.metrics.prdc import K
from gancli.metrics.reference import Reference, ScoringCase

METRICS: dict[str, Callable[[ScoringCase], list[Score]]] = {
    "frechet": scores.frechet_scores,
    "kid": scores.kernel_scores,
    "prdc": scores.prdc_scores,
    "classes": scores.class_balance_scores,
    "fidelity": scores.label_fidelity_scores,
    "modes": scores.mode_count_scores,
    "memorization": scores.memorization_scores,
    "diversity": scores.diversity_scores,
}


def score_features(
    reference: Reference,
    fake: Features,
    *,
    requested: Tensor | None = None,
    metrics: Iterable[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Score fakes with the given metrics (default: all of METRICS); progress receives each name before it starts.

    requested: int64 [N], the class requested for each fake, if the extractor predicts these classes.
    A score that cannot be computed has value None, and its reading gives the reason. Raises ConfigError for an unknown
    metric, ContractError if features do not match.
    """
    names = check_metric_names(metrics)
    if fake.values.ndim != 2 or fake.values.shape[1:] != reference.real.values.shape[1:] or not len(fake):
        sizes = f"{tuple(reference.real.values.shape)} and {tuple(fake.values.shape)}"
        raise ContractError(f"expected real and fake features [N,F] and [M,F], M >= 1, got {sizes}")
    if requested is not None and requested.shape != (len(fake),):
        raise ContractError(f"expected one requested class per fake [{len(fake)}], got {tuple(requested.shape)}")
    case = ScoringCase(reference, reference.scaled(fake), fake.labels, requested)
    found: dict[str, Score] = {}
    for name in names:
        if progress:
            progress(name)
        found |= {score.name: score for score in METRICS[name](case)}
    return Evaluation(found, evaluation_conditions(case))


def check_metric_names(names: Iterable[str] | None) -> list[str]:
    """Return the names, or all of METRICS for None. Raises ConfigError for an unknown name."""
    chosen = list(METRICS if names is None else names)
    for name in chosen:
        if name not in METRICS:
            raise ConfigError(f"unknown metric {name!r}{did_you_mean(name, METRICS)}")
    return chosen


def evaluation_conditions(case: ScoringCase) -> Conditions:
    reference, extractor = case.reference, case.reference.extractor
    return {
        "n_real": len(reference.real),
        "n_fake": case.n,
        "n_heldout": 0 if reference.heldout is None else len(reference.heldout),
        "split": "train",
        "floor": "train against held-out" if reference.held is not None else None,
        "features": extractor.name,
        "features_sha256": extractor.digest,
        "features_dim": int(case.values.shape[1]),
        "features_scale": "standardised on the real images" if extractor.relative else "as the network gives them",
        "relative": extractor.relative,
        "resize": extractor.resize,
        "k": K,
        "seed": reference.seed,
    }
