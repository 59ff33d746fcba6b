"""All scores on artificial features with known results."""

import json

import pytest
import torch

from gancli import config
from gancli.errors import ConfigError, ContractError
from gancli.files.scores import Evaluation
from gancli.metrics.features import Extractor, Features
from gancli.metrics.frechet import frechet_distance, moments
from gancli.metrics.prdc import expected_coverage
from gancli.metrics.reference import coverage_floor
from gancli.metrics.suite import METRICS, Reference, score_features

N_CLASSES = 4
CENTRES = 4 * torch.eye(N_CLASSES, 6, dtype=torch.float64)
READER = Extractor("toy", lambda _: (torch.zeros(0), None), "digest", class_names=("cat", "dog", "owl", "eel"))
BLIND = Extractor("random", lambda _: (torch.zeros(0), None), "digest", relative=True)


def perfect(n: int, seed: int, share: tuple[float, ...] = (0.25,) * N_CLASSES) -> Features:
    """Four clouds in six dimensions; the labels are right."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(torch.tensor(share), n, replacement=True, generator=generator)
    noise = torch.randn(n, 6, generator=generator, dtype=torch.float64)
    return Features(CENTRES[labels] + noise, labels)


def reference(extractor: Extractor = READER, n: int = 800) -> Reference:
    heldout = perfect(400, 1)
    return Reference(extractor, perfect(n, 0), heldout, heldout_truth=heldout.labels)


def values(found: Evaluation) -> dict[str, float | None]:
    return {name: score.value for name, score in found.scores.items()}


def test_a_perfect_generator_is_at_every_floor() -> None:
    fake = perfect(800, 2)
    found = score_features(reference(), fake, requested=fake.labels).scores
    assert found["fd_toy"].value < 1.5 * found["fd_toy"].floor
    assert "at the floor" in found["fd_toy"].reading
    assert abs(found["kid_toy"].value) < 4 * found["kid_toy"].error
    assert found["kid_toy"].reading == "within two standard errors of 0, but 800 images reveal only large differences"
    for name in ("precision", "recall", "coverage"):
        assert found[name].value == pytest.approx(found[name].floor, abs=0.06)
    assert found["coverage"].details["expected"] == expected_coverage(800, 800)
    assert found["density"].value == pytest.approx(1, abs=0.1)
    assert found["class_tv"].value < 3 * found["class_tv"].floor
    assert found["class_tv"].reading == "the classes are as balanced as in the training set"
    assert found["label_fidelity"].value == found["label_fidelity"].floor == 1
    assert found["auth_pct"].value == pytest.approx(found["auth_pct"].floor, abs=6)
    assert found["closer_than_heldout"].value == pytest.approx(0.5, abs=0.05)
    assert found["close_share"].value < 0.01 + 4 * found["close_share"].error
    assert "no closer" in found["closer_than_heldout"].reading and "pairs" not in found["close_share"].reading
    assert found["diversity"].value == pytest.approx(1, abs=0.03)


def test_a_missing_class_is_named_and_lowers_recall_but_not_precision() -> None:
    found = score_features(reference(), perfect(800, 2, share=(0.5, 0.5, 0, 0))).scores
    assert found["class_tv"].reading == "2 classes missing or rare: owl, eel"
    assert found["class_tv"].value == pytest.approx(0.5, abs=0.04)
    assert found["precision"].value > 0.9 * found["precision"].floor
    assert found["recall"].value < 0.7 * found["recall"].floor
    assert found["coverage"].value < 0.7
    assert found["fd_toy"].value > 20 * found["fd_toy"].floor


def test_one_repeated_image_gives_finite_scores_and_is_reported_as_collapsed() -> None:
    one = perfect(1, 2)[torch.zeros(300, dtype=torch.int64)]
    found = score_features(reference(), one)
    assert all(v is not None for name, v in values(found).items() if name not in ("label_fidelity", "modes", "kl"))
    assert found.scores["diversity"].value == pytest.approx(0, abs=1e-6)
    assert "collapsed" in found.scores["diversity"].reading


def test_copies_of_the_training_images_are_found_and_paired() -> None:
    ref = reference()
    fake = Features(torch.cat([ref.real.values[40:140], perfect(100, 2).values]), torch.zeros(200, dtype=torch.int64))
    found = score_features(ref, fake, metrics=["memorization"]).scores
    assert found["close_share"].value == pytest.approx(0.5, abs=0.03)
    assert found["close_share"].reading.endswith("look at the nearest pairs")
    pairs = found["auth_pct"].details["nearest_pairs"]
    assert len(pairs) == 16
    assert all(pair["training_image"] == pair["image"] + 40 and pair["ratio"] == 0 for pair in pairs)


def test_wrong_labels_lower_fidelity_only() -> None:
    fake = perfect(800, 2)
    asked = torch.where(torch.arange(800) < 200, (fake.labels + 1) % N_CLASSES, fake.labels)
    assert score_features(reference(), fake, requested=asked).scores["label_fidelity"].value == 0.75


def test_the_coverage_floor_alone_equals_the_one_in_the_score() -> None:
    ref = reference()
    for n in (200, 700):
        score = score_features(ref, perfect(n, 2), metrics=["prdc"]).scores["coverage"]
        assert score.floor is not None and coverage_floor(ref, n) == score.floor
    assert coverage_floor(ref, 49) is None and coverage_floor(Reference(READER, perfect(200, 0)), 200) is None


def test_frechet_floor_is_that_of_equal_counts_scaled_to_the_scores() -> None:
    """400 held-out images: measured at 400 and 400, scaled by (1/800 + 1/200) / (2/400)."""
    ref = reference()
    score = score_features(ref, perfect(200, 2), metrics=["frechet"]).scores["fd_toy"]
    assert score.floor_n == 400
    assert score.floor == pytest.approx(score.floor_measured * (1 / 800 + 1 / 200) / (2 / 400))
    subset = ref.some(ref.real.values, 400)
    assert score.floor_measured == frechet_distance(moments(subset), moments(ref.heldout.values))


def test_same_seed_gives_the_same_scores_whatever_ran_before() -> None:
    ref, fake = reference(), perfect(300, 2)
    first = score_features(ref, fake).to_json()
    score_features(ref, perfect(500, 3))
    assert score_features(ref, fake).to_json() == first == score_features(reference(), fake).to_json()


def test_relative_features_are_standardised_on_the_real_images() -> None:
    """So the unit of a feature does not matter."""
    unit = torch.tensor([1, 10, 1, 0.1, 1, 1000]).double()
    fake, ref = Features(perfect(300, 2).values), Reference(BLIND, Features(perfect(800, 0).values))
    other = Reference(BLIND, Features(ref.real.values * unit))
    a, b = score_features(ref, fake), score_features(other, Features(fake.values * unit))
    assert values(a)["fd_random"] == pytest.approx(values(b)["fd_random"])
    assert a.conditions["relative"] is True


def test_scores_that_do_not_apply_are_null() -> None:
    found = score_features(
        Reference(BLIND, Features(perfect(100, 0).values)), Features(perfect(100, 2).values)
    ).to_json()
    json.dumps(found, allow_nan=False)
    scores = found["scores"]
    absent = {name for name, score in scores.items() if score["value"] is None}
    assert absent == {"class_tv", "label_fidelity", "modes", "kl", "closer_than_heldout", "close_share"}
    assert scores["fd_random"]["floor"] is None and scores["precision"]["floor"] is None
    assert scores["closer_than_heldout"]["reading"] == "needs at least 100 held-out images, got 0"


def test_too_few_images_give_the_minimum_and_an_alternative() -> None:
    found = score_features(reference(), perfect(6, 2)).scores
    assert found["fd_toy"].reading == "needs at least 7 real and generated images, got 6; kid_toy needs only 20"
    assert found["kid_toy"].reading.startswith("needs at least 20")
    assert found["coverage"].reading.startswith("needs at least 50")
    assert found["class_tv"].value is None
    json.dumps(score_features(reference(), perfect(1, 2)).to_json(), allow_nan=False)


def test_many_classes_are_counted_as_modes_with_the_floor_of_a_perfect_generator() -> None:
    names = tuple(map(str, range(200)))
    stacked = Extractor("stacked-digits", READER.network, "digest", class_names=names)

    def draw(n: int, seed: int, used: int = 200) -> Features:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(0, used, (n,), generator=generator)
        return Features(torch.randn(n, 3, generator=generator, dtype=torch.float64), labels)

    ref = Reference(stacked, draw(20_000, 0))
    good = score_features(ref, draw(1000, 1), metrics=["modes"]).scores
    bad = score_features(ref, draw(1000, 1, used=20), metrics=["modes"]).scores
    assert good["modes"].value == pytest.approx(good["modes"].floor, abs=3)
    assert good["kl"].value == pytest.approx(good["kl"].floor, rel=0.2)
    assert bad["modes"].value == bad["modes"].details["modes_5"] == 20
    assert bad["kl"].value > 20 * good["kl"].value


def test_only_requested_metrics_are_computed_and_each_reports_progress() -> None:
    seen: list[str] = []
    found = score_features(reference(), perfect(100, 2), metrics=["diversity", "kid"], progress=seen.append)
    assert seen == ["diversity", "kid"] and set(found.scores) == {"diversity", "kid_toy"}


def test_only_inception_is_called_fid() -> None:
    inception = Extractor("inception", READER.network, "digest")
    found = score_features(reference(inception), perfect(100, 2), metrics=["frechet", "kid"]).scores
    assert set(found) == {"fid", "kid"}


def test_conditions_name_counts_and_network() -> None:
    found = score_features(reference(), perfect(100, 2), metrics=[]).to_json()["conditions"]
    expected = {"n_real": 800, "n_fake": 100, "n_heldout": 400, "features": "toy", "features_sha256": "digest", "k": 5}
    assert expected.items() <= found.items()


def test_unknown_metrics_and_features_that_do_not_match_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'frechet'"):
        score_features(reference(), perfect(100, 2), metrics=["frechett"])
    with pytest.raises(ContractError, match=r"\(800, 6\) and \(100, 5\)"):
        score_features(reference(), Features(torch.zeros(100, 5).double()))
    with pytest.raises(ContractError, match="requested class"):
        score_features(reference(), perfect(100, 2), requested=torch.zeros(3, dtype=torch.int64))


def test_registry_holds_the_headline_set() -> None:
    assert tuple(METRICS) == config.METRIC_NAMES
    assert set(METRICS) == {"frechet", "kid", "prdc", "classes", "fidelity", "modes", "memorization", "diversity"}


def test_scores_that_indicate_trouble_on_their_own_are_marked() -> None:
    def alarms(fake: Features) -> set[str]:
        return {name for name, score in score_features(reference(), fake).scores.items() if score.is_alarm}

    assert alarms(perfect(800, 2)) == set()
    assert "class_tv" in alarms(perfect(800, 2, share=(0.5, 0.5, 0, 0)))
    assert {"diversity", "class_tv"} <= alarms(
        Features(perfect(1, 2).values.repeat(400, 1), perfect(1, 2).labels.repeat(400))
    )
    copies = reference().real
    assert {"closer_than_heldout", "close_share"} <= alarms(copies)


def test_precision_of_a_collapsed_set_is_marked_as_meaningless() -> None:
    """All fakes equal one real image, inside its ball and those of its neighbours."""
    ref = reference()
    found = score_features(ref, Features(ref.real.values[:1].repeat(400, 1)), metrics=["prdc"]).scores
    assert found["precision"].value == 1 and found["coverage"].value < 0.1
    assert found["precision"].reading.endswith("means nothing here: almost no real image has a generated image nearby")
    assert "means nothing" not in score_features(ref, perfect(400, 2), metrics=["prdc"]).scores["precision"].reading


def test_images_far_from_the_data_are_reported_as_unlike_it() -> None:
    found = score_features(reference(), Features(perfect(400, 2).values + 3), metrics=["memorization"]).scores
    assert found["auth_pct"].reading.endswith("more than for held-out images, so they are unlike the data")
    assert found["closer_than_heldout"].reading.endswith("unlike the data")


def test_a_handful_of_images_is_not_compared_with_held_out_ones() -> None:
    found = score_features(reference(), perfect(19, 2), metrics=["memorization"]).scores
    assert found["closer_than_heldout"].reading == "needs at least 20 generated images, got 19"
    assert found["close_share"].value is None and found["auth_pct"].value is not None
