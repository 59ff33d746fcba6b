"""Each score with its floor and a reading in plain words. suite.METRICS lists the functions, one per family."""

import math
from collections.abc import Mapping

from gancli.files.scores import Score, replace_nonfinite
from gancli.metrics import classes, memorization
from gancli.metrics.diversity import diversity_ratio
from gancli.metrics.frechet import expected_bias, frechet_distance, moments, scaled_floor
from gancli.metrics.kernel import kernel_distance
from gancli.metrics.prdc import PRDC, expected_coverage, prdc
from gancli.metrics.reference import FEWEST_KERNEL, FEWEST_PRDC, ScoringCase, prdc_floor
from gancli.wording import format_list

FEWEST_HELDOUT = 100  # the nearest 1 % must be at least one image
MOST_PRDC = 10_000
MANY_CLASSES = 100  # from this many on, they are counted as modes
MOST_LISTED = 10
COLLAPSED_RATIO = 0.1  # coverage below which precision is meaningless: all fakes may lie in a few huge balls
FEWEST_COMPARED = 20
FEW_KERNEL = 2000


def counted_score(
    case: ScoringCase,
    name: str,
    value: float,
    reading: str,
    floor: float | None = None,
    *,
    measured: float | None = None,
    floor_n: int | None = None,
    error: float | None = None,
    n: int | None = None,
    is_alarm: bool = False,
    details: Mapping[str, object] | None = None,
) -> Score:
    """Return a score of all images of a case, or of n real and n generated images if n is given.

    measured: the floor as measured with floor_n images.
    """
    n_real, n_fake = (len(case.reference.real), case.n) if n is None else (n, n)
    return Score(name, value, reading, floor, measured, floor_n, error, n_real, n_fake, is_alarm, details or {})


def missing_score(name: str, reading: str) -> Score:
    return Score(name, None, reading)


def too_few_score(name: str, needed: int, case: ScoringCase, instead: str = "") -> Score:
    return missing_score(name, f"needs at least {needed} real and generated images, got {smaller_count(case)}{instead}")


def smaller_count(case: ScoringCase) -> int:
    return min(case.n, len(case.reference.real))


def frechet_scores(case: ScoringCase) -> list[Score]:
    """Score the Frechet distance.

    It needs at least F + 1 images: with fewer, a covariance is singular and the bias exceeds most differences.
    """
    reference, name = case.reference, case.named("fd")
    needed = case.values.shape[1] + 1
    if smaller_count(case) < needed:
        return [too_few_score(name, needed, case, f"; {case.named('kid')} needs only {FEWEST_KERNEL}")]
    value = frechet_distance(reference.train_moments, case.moments)
    n_real, n_fake = len(reference.real), case.n
    covariance = reference.train_moments.covariance
    bias = expected_bias(covariance, n_real) + expected_bias(covariance, n_fake)
    measured, m = reference.frechet_floor, reference.n_floor
    floor = None if measured is None else scaled_floor(measured, m, n_real, n_fake)
    reading, details = describe_distance(value, floor, bias), {"expected_bias": bias}
    return [counted_score(case, name, value, reading, floor, measured=measured, floor_n=m or None, details=details)]


def describe_distance(value: float, floor: float | None, bias: float) -> str:
    """Compare a Frechet distance with its floor, or with `bias`, the distance expected from sampling noise."""
    if floor is None and bias > 0:
        return (
            f"{value / bias:,.1f} times the distance expected from sampling noise; too few held-out images for a floor"
        )
    if not floor:
        return "the real images are all identical" + ("" if value else ", and the generated images match them")
    times = value / floor
    if times < 1.3:
        return "at the floor: no measurable difference from real images with this number of images"
    if times < 4:
        return f"{times:.1f} times the floor: slightly different from real images"
    verdict = "clearly different from real images" if times < 20 else "far from real images"
    return f"{times:,.0f} times the floor: {verdict}"


def kernel_scores(case: ScoringCase) -> list[Score]:
    """Score the kernel distance. It is unbiased: a perfect generator scores 0 on average with any number of images.

    The reading compares it with 0, because its measured floor is much noisier if few images are held out.
    """
    reference, name = case.reference, case.named("kid")
    if smaller_count(case) < FEWEST_KERNEL:
        return [too_few_score(name, FEWEST_KERNEL, case, "; look at the images instead")]
    value, error = kernel_distance(reference.train, case.values, generator=reference.generator())
    measured = reference.kernel_floor
    floor, floor_error = measured or (None, None)
    reading = describe_kernel_distance(value, error, smaller_count(case))
    m, details = reference.n_floor if measured else None, {"floor_error": floor_error}
    return [counted_score(case, name, value, reading, floor, measured=floor, floor_n=m, error=error, details=details)]


def describe_kernel_distance(value: float, error: float | None, n: int) -> str:
    if not error:
        return "the ideal is 0; too few images to estimate the error"
    above = value / error
    if above >= 2:
        return f"{above:,.0f} standard errors above the ideal, 0"
    if above < -2:
        return "below 0: closer to the training images than new real images would be"
    few = f", but {n:,} images reveal only large differences" if n < FEW_KERNEL else ": no difference found"
    return f"within two standard errors of 0{few}"


def prdc_scores(case: ScoringCase) -> list[Score]:
    """Score precision, recall, density and coverage with equal numbers of images, at most 10,000."""
    reference = case.reference
    n = min(smaller_count(case), MOST_PRDC)
    if n < FEWEST_PRDC:
        return [too_few_score(name, FEWEST_PRDC, case) for name in PRDC._fields]
    found = prdc(reference.some(reference.train, n), reference.some(case.values, n))
    m, floors = min(n, reference.n_floor), prdc_floor(reference, n)
    equal = found if m == n or not floors else prdc(reference.some(reference.train, m), reference.some(case.values, m))
    expected = {"density": 1.0, "coverage": expected_coverage(n, n)}
    means = {
        "precision": f"{found.precision:.0%} of the generated images lie within the range of real images",
        "recall": f"{found.recall:.0%} of the real images lie within the range of generated images",
        "density": "1 is ideal; below 1, images lie at the edge of the real ones; above 1, near typical ones",
        "coverage": f"{found.coverage:.0%} of the real images have a generated image nearby",
    }
    scores = []
    for name, value in found._asdict().items():
        floor = getattr(floors, name) if floors else None
        verdict = ""
        if name == "coverage":
            verdict = describe_share(
                value, expected[name], share_difference_error(expected[name], n, n), "a perfect generator"
            )
        elif name == "precision":
            verdict = describe_share(value, floor, share_difference_error(floor, n, m))
        elif name == "recall":
            verdict = describe_share(equal.recall, floor, share_difference_error(floor, m, m))
            verdict += f" (compared with {m:,} images each)" if floors and m < n else ""
        if name == "precision" and found.coverage < COLLAPSED_RATIO:
            verdict = ", but this means nothing here: almost no real image has a generated image nearby"
        details = {"expected": expected.get(name), **({"value_at_floor_n": equal.recall} if name == "recall" else {})}
        at = m if floors else None
        reading = means[name] + verdict
        scores.append(
            counted_score(case, name, value, reading, floor, measured=floor, floor_n=at, n=n, details=details)
        )
    return scores


def share_difference_error(p: float | None, n: int, m: int | None) -> float:
    """Return the standard error of the difference between two shares, measured on n and m images.

    p: the share among the m images. Two more images inside it and two outside are counted (Agresti & Coull 1998), so
    that shares of 0 and 1 have an error too.
    """
    if p is None or not m:
        return 0.0
    p = (p * m + 2) / (m + 4)
    return math.sqrt(p * (1 - p) * (1 / n + 1 / m))


def describe_share(value: float, aim: float | None, noise: float, whom: str = "held-out images") -> str:
    """Compare a share (higher is better) with its value for held-out images. noise: the error of the difference."""
    if not aim:
        return ""
    if value > 0.97 * aim or value > aim - 4 * noise:
        return f", about as many as for {whom}"
    return f", fewer than for {whom}" if value > 0.5 * aim else f", far fewer than for {whom}"


def class_balance_scores(case: ScoringCase) -> list[Score]:
    names, n = case.reference.extractor.class_names, case.n
    if case.labels is None:
        return [missing_score("class_tv", f"the {case.reference.extractor.name} features predict no classes")]
    share = case.reference.shares
    needed = classes.min_expected_count(len(names)) * int((share > 0).sum())
    if n < needed and len(names) < MANY_CLASSES:
        return [too_few_score("class_tv", needed, case)]
    value = classes.total_variation(share, classes.class_shares(case.labels, len(names)))
    short = [names[label] for label in classes.short_classes(case.counts, share)]
    floor = classes.expected_total_variation(share, classes.effective_draws(len(case.reference.real), n))
    if short:
        number = "1 class" if len(short) == 1 else f"{len(short)} classes"
        reading = f"{number} missing or rare: {format_list(short, MOST_LISTED)}"
    else:
        reading = describe_class_balance(value, floor)
    details: dict[str, object] = {"short_classes": short}
    if len(names) < MANY_CLASSES:
        details["shares"] = dict(zip(names, (case.counts / n).tolist(), strict=True))
    is_alarm = bool(short) or reading.endswith("unbalanced")
    return [counted_score(case, "class_tv", value, reading, floor=floor, is_alarm=is_alarm, details=details)]


def describe_class_balance(value: float, floor: float) -> str:
    if value < 0.05 or value < 1.5 * floor:
        return "the classes are as balanced as in the training set"
    share = f"{value:.0%} of the images would have to change class to match the training set"
    return share + ("; unbalanced" if value > 0.15 else "")


def label_fidelity_scores(case: ScoringCase) -> list[Score]:
    reference, name = case.reference, "label_fidelity"
    if case.labels is None:
        return [missing_score(name, f"the {reference.extractor.name} features predict no classes")]
    if case.requested is None:
        return [missing_score(name, "no classes were requested for these images")]
    value, floor, n_held = classes.label_fidelity(case.requested, case.labels), None, None
    held, truth = reference.heldout, reference.heldout_truth
    if held is not None and held.labels is not None and truth is not None:
        floor, n_held = classes.label_fidelity(truth, held.labels), len(held)
    noise = share_difference_error(floor, case.n, n_held)
    reading = f"{value:.1%} of the images show the requested class{describe_share(value, floor, noise)}"
    return [Score(name, value, reading, floor, floor_measured=floor, floor_n=n_held, n_fake=case.n)]


def mode_count_scores(case: ScoringCase) -> list[Score]:
    names = case.reference.extractor.class_names
    if case.labels is None or len(names) < MANY_CLASSES:
        return [
            missing_score(name, "only for data with many classes, such as stacked-mnist") for name in ("modes", "kl")
        ]
    share, n, found = case.reference.shares, case.n, classes.count_modes(case.counts)
    share = classes.digit_triple_shares(share) if len(share) == 1000 else share
    expected, kl = classes.expected_modes(share, n), classes.kl_from_uniform(case.counts)
    kl_floor = classes.expected_kl_from_uniform(share, n)
    often = {"modes_5": classes.count_modes(case.counts, at_least=5)}
    reading = f"{found} of {len(names)} classes seen; a perfect generator would show {expected:.0f} in {n:,} images"
    at = "at" if kl < 1.2 * kl_floor else f"{kl / kl_floor:.1f} times"
    return [
        Score("modes", float(found), reading, floor=expected, n_fake=n, details=often),
        Score("kl", kl, f"{at} the value of a perfect generator with {n:,} images", floor=kl_floor, n_fake=n),
    ]


def memorization_scores(case: ScoringCase) -> list[Score]:
    """Score copying. All training images are searched, since a copy of an omitted one would not be found."""
    reference = case.reference
    if len(reference.train) < 2:
        return [too_few_score(name, 2, case) for name in ("auth_pct", *NEARNESS)]
    found = memorization.training_neighbours(case.values, reference.train)
    return [authenticity_score(case, found), *nearness_scores(case, found)]


NEARNESS = ("closer_than_heldout", "close_share")
UNLIKE_DATA_READING = ", more than for held-out images, so they are unlike the data"


def authenticity_score(case: ScoringCase, found: memorization.Neighbours) -> Score:
    held = case.reference.heldout_neighbours
    n_held = 0 if held is None else len(held.distance)
    pct = memorization.authentic_pct(found)
    floor = memorization.authentic_pct(held) if held else None
    noise = 100 * share_difference_error(None if floor is None else floor / 100, case.n, n_held)
    reading = (
        f"{pct:.0f}% of the images lie farther from their nearest training image than some other training image does"
    )
    verdict = UNLIKE_DATA_READING if floor and pct > 1.03 * floor + 4 * noise else describe_share(pct, floor, noise)
    pairs = [replace_nonfinite(pair._asdict()) for pair in memorization.nearest_pairs(found)]
    return counted_score(
        case,
        "auth_pct",
        pct,
        reading + verdict,
        floor,
        measured=floor,
        floor_n=n_held or None,
        is_alarm="fewer than" in verdict,
        details={"nearest_pairs": pairs},
    )


def nearness_scores(case: ScoringCase, found: memorization.Neighbours) -> list[Score]:
    """Score whether generated images lie closer to the training set than held-out images do."""
    held, n = case.reference.heldout_neighbours, case.n
    n_held = 0 if held is None else len(held.distance)
    if held is None or n_held < FEWEST_HELDOUT:
        return [
            missing_score(name, f"needs at least {FEWEST_HELDOUT} held-out images, got {n_held}") for name in NEARNESS
        ]
    if n < FEWEST_COMPARED:
        return [missing_score(name, f"needs at least {FEWEST_COMPARED} generated images, got {n}") for name in NEARNESS]
    closer = memorization.closer_than_heldout(found.distance, held.distance)
    closer_error = math.sqrt((1 / n + 1 / n_held) / 12)
    near = describe_closer_share(closer, closer_error)
    close, expected = memorization.close_share(found.distance, held.distance)
    close_error = share_difference_error(expected, n, n_held)
    share = describe_close_share(close, expected, close_error)
    nearer, many = near.startswith("closer"), share.endswith("pairs")
    return [
        counted_score(case, NEARNESS[0], closer, near, floor=0.5, error=closer_error, is_alarm=nearer),
        counted_score(case, NEARNESS[1], close, share, floor=expected, error=close_error, is_alarm=many),
    ]


def describe_closer_share(value: float, error: float) -> str:
    if value < 0.45 and value < 0.5 - 4 * error:
        return "farther from the training images than held-out images are, so unlike the data"
    if value < 0.55 or value < 0.5 + 4 * error:
        return "no closer to the training images than held-out images are"
    near = f"closer to the training images than held-out images are, in {value:.0%} of comparisons"
    return near + ("; they are copies, or just very typical images" if value > 0.75 else "")


def describe_close_share(value: float, expected: float, error: float) -> str:
    share = f"{value:.1%} of the images are as close to a training image as the closest 1% of held-out images"
    return share + ("; look at the nearest pairs" if value > expected + 4 * error else "")


def diversity_scores(case: ScoringCase) -> list[Score]:
    reference = case.reference
    if smaller_count(case) < 2:
        return [too_few_score("diversity", 2, case)]
    value = diversity_ratio(reference.train_moments, case.moments)
    floor = diversity_ratio(reference.train_moments, moments(reference.held)) if reference.held is not None else None
    if value is None:
        return [missing_score("diversity", "the real images are all identical")]
    reading = describe_diversity(value)
    return [counted_score(case, "diversity", value, reading, floor=floor, is_alarm=value < 0.5)]


def describe_diversity(value: float) -> str:
    if value < 0.2:
        return "collapsed: the images are nearly identical"
    if value < 0.5:
        return "the images are too similar to each other"
    return "as varied as real images" if 0.8 <= value <= 1.25 else f"{value:.2f} times as varied as real images"
