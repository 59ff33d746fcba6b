"""Health signals of training, and the rules that turn a series of bad values into a warning; pure functions."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gancli.config import ADA_LIMIT
from gancli.files.run_log import MetricsLine
from gancli.wording import format_list


def share_judged_real(real_logits: Tensor) -> float:
    """Return the share of real images that D judges real; logits [N]."""
    return float((real_logits > 0).cpu().double().mean())


def r_v(train_logits: Tensor, heldout_logits: Tensor, fake_logits: Tensor) -> float | None:
    """Return the overfitting of D: 0 if it judges held-out images like training images, 1 if like fakes; logits [N].

    None if D does not separate training images from fakes. Karras et al. 2020 (2006.06676), eq. 1.
    """
    train, heldout, fake = (
        float(logits.cpu().double().mean()) for logits in (train_logits, heldout_logits, fake_logits)
    )
    return (train - heldout) / (train - fake) if train > fake else None


def rms_spread(images: Tensor, labels: Tensor | None) -> float:
    """Return the RMS distance of images [N,C,H,W] from their mean, or with labels [N] from the mean of their class."""
    x = images.flatten(1).cpu().double()
    groups = torch.zeros(len(x), dtype=torch.int64) if labels is None else labels.cpu()
    _, group, counts = torch.unique(groups, return_inverse=True, return_counts=True)
    means = torch.zeros(len(counts), x.shape[1], dtype=x.dtype).index_add_(0, group, x)
    means /= counts[:, None]
    return math.sqrt(float((x - means[group]).square().sum()) / len(x))


def spread_ratio(real: Tensor, fake: Tensor, labels: Tensor | None) -> float | None:
    """Return `rms_spread` of fakes divided by `rms_spread` of reals; 1 is ideal, 0 is collapse.

    Both have the same number of images and the same labels. None if the real images do not differ. A class with one
    image adds no spread.
    """
    real_spread = rms_spread(real, labels)
    return rms_spread(fake, labels) / real_spread if real_spread > 0 else None


@dataclass(frozen=True)
class History:
    """The latest lines of metrics.jsonl, oldest first, and the best score.

    score: the name of the value that ranks models, lower is better. best: its lowest value and the images seen then.
    floor: the score of a perfect generator.
    """

    ticks: Sequence[MetricsLine]
    evaluations: Sequence[MetricsLine]
    score: str = ""
    best: tuple[float, int] | None = None
    floor: float | None = None


STRONGER_PENALTY = "raise the penalty (--gamma or --gradient-penalty)"
LONG_WINDOW, SHORT_WINDOW = 25, 10  # ticks that the rules average; before that many, no warning
EVALUATION_WINDOW = 4


def find_warnings(history: History) -> dict[str, str]:
    """Return the warnings that apply now: name -> text with the problem, its start and a remedy."""
    return {name: text for name, rule in WARNING_RULES.items() if (text := rule(history))}


def check_discriminator_wins(history: History) -> str | None:
    mean, kimg = mean_of_last(history.ticks, "accuracy", LONG_WINDOW)
    if mean is None or mean <= 0.97:
        return None
    return (
        f"the discriminator wins: it has been right {mean:.1%} of the time since {kimg:.4g} kimg, so the generator "
        f"learns little; {STRONGER_PENALTY}, or lower --lr"
    )


def check_discriminator_lost(history: History) -> str | None:
    """Warn if D is no better than chance, unless the score is good or still improves.

    At the ideal equilibrium D is also right half of the time, but then the score is close to its floor.
    """
    mean, kimg = mean_of_last(history.ticks, "accuracy", LONG_WINDOW)
    now = history.evaluations[-1].values.get(history.score) if history.evaluations else None
    is_good = now is not None and history.floor is not None and now < 4 * history.floor
    if mean is None or mean >= 0.52 or is_good or is_improving(history):
        return None
    return (
        f"the discriminator is lost: it has been right only {mean:.1%} of the time since {kimg:.4g} kimg, no better "
        "than chance; lower --lr or the penalty, or raise --d-width"
    )


def check_collapse(history: History) -> str | None:
    mean, kimg = mean_of_last(history.ticks, "diversity", SHORT_WINDOW)
    if mean is None or mean >= 0.5:
        return None
    how = "nearly identical" if mean < 0.2 else "too similar"
    return (
        f"collapse: generated images have been {how} since {kimg:.4g} kimg ({mean:.2g} times as varied as real ones); "
        f"wait if training has just started, else lower --lr, {STRONGER_PENALTY}, or try another --seed"
    )


def check_overfitting(history: History) -> str | None:
    """Warn if D has memorised training images.

    While the score still improves, this does no harm yet, so the limit is higher.
    """
    mean, kimg = mean_of_last(history.ticks, "r_v", SHORT_WINDOW)
    limit = 0.6 if history.best is None else 0.9 if is_improving(history) else 0.4
    if mean is None or mean <= limit:
        return None
    is_adaptive = "augment_strength" in history.ticks[-1].values
    advice = "add images" if is_adaptive else "add images, try --ada with --augment color,translation,cutout"
    return (
        f"overfitting: the discriminator has memorised its training images since {kimg:.4g} kimg (r_v {mean:.2f}; "
        f"0 is none, 1 is complete); {advice}, or stop earlier"
    )


def check_past_best(history: History) -> str | None:
    recent = [line.values.get(history.score) for line in history.evaluations[-EVALUATION_WINDOW:]]
    if len(recent) < EVALUATION_WINDOW or history.best is None or history.best[0] <= 0:
        return None
    best, nimg = history.best
    if not all(value is not None and value > 1.25 * best for value in recent):
        return None
    return (
        f"past its best: {history.score} has been worse than its best ({best:.3g} at {nimg / 1000:.4g} kimg) since "
        f"{history.evaluations[-EVALUATION_WINDOW].kimg:.4g} kimg and is now {recent[-1]:.3g}; stop here and use "
        "model-best"
    )


def check_missing_classes(history: History) -> str | None:
    """Warn of classes that were too rare in each of the latest evaluations."""
    recent = history.evaluations[-EVALUATION_WINDOW:]
    if len(recent) < EVALUATION_WINDOW:
        return None
    *others, latest = (line.short_classes or () for line in recent)
    names = [name for name in latest if all(name in other for other in others)]
    if not names:
        return None
    return (
        f"missing classes: hardly any generated image has shown {format_list(names, MOST_LISTED)} "
        f"since {recent[0].kimg:.4g} kimg; train with labels if the data has them, {STRONGER_PENALTY}, or lower --lr"
    )


def check_augmentation_limit(history: History) -> str | None:
    mean, kimg = mean_of_last(history.ticks, "augment_strength", SHORT_WINDOW)
    if mean is None or mean < ADA_LIMIT - 0.01:
        return None
    return (
        f"adaptive augmentation has been at its limit of {ADA_LIMIT} since {kimg:.4g} kimg, and the discriminator "
        "still overfits; add images, add more kinds to --augment, lower --d-width, or stop earlier"
    )


WARNING_RULES: dict[str, Callable[[History], str | None]] = {
    "discriminator_wins": check_discriminator_wins,
    "discriminator_lost": check_discriminator_lost,
    "collapse": check_collapse,
    "overfitting": check_overfitting,
    "past_best": check_past_best,
    "missing_classes": check_missing_classes,
    "augmentation_limit": check_augmentation_limit,
}
MOST_LISTED = 10


def is_improving(history: History) -> bool:
    """Whether one of the last two evaluations is the best so far; False if there is only one."""
    latest = [line.nimg for line in history.evaluations[-2:]]
    return history.best is not None and len(history.evaluations) > 1 and history.best[1] in latest


def mean_of_last(lines: Sequence[MetricsLine], name: str, n: int) -> tuple[float | None, float]:
    """Return the mean of a value over the last n lines (None if fewer have it), and the kimg of the first of these."""
    values = [line.values.get(name) for line in lines[-n:]]
    known = [value for value in values if value is not None]
    if len(known) < n:
        return None, 0.0
    return sum(known) / n, lines[-n].kimg
