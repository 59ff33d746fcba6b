import dataclasses
import json
import math
import random
import tracemalloc
import typing
from typing import Any

import pytest

from gancli import config
from gancli.config import ADA_LIMIT, ModelSpec, TrainConfig
from gancli.core.data import transform
from gancli.errors import ConfigError

SPEC: dict[str, Any] = dict(model="mlp", z_dim=8, g_width=8, d_width=8, resolution=8, channels=1, n_classes=0)


def bad_values(f: "dataclasses.Field[Any]") -> list[object]:
    """Just outside each end of the range, and values of every wrong type."""
    if typing.get_args(f.type) and f.type != config.Threads:
        return ["nonsense", None, 3]
    if f.type is bool:
        return ["yes", 1, None]
    if f.type is str:
        return [3, None, True]
    low, high = f.metadata["low"], f.metadata["high"]
    if f.type in (int, config.Threads):
        return [low - 1, high + 1, 10**400, 1.0, "1", True, None]
    outside = [math.nextafter(low, -math.inf), math.nextafter(high, math.inf)]
    return [*outside, 10**400, math.nan, math.inf, -math.inf, "1", True, None]


def test_every_setting_refuses_each_bad_value_by_name_in_one_line() -> None:
    visited = 0
    for name, f in config.setting_fields().items():
        for value in bad_values(f):
            with pytest.raises(ConfigError) as caught:
                config.check_setting(name, value)
            assert name in str(caught.value) and "\n" not in str(caught.value)
            with pytest.raises(ConfigError):
                TrainConfig(**{"kimg": 1.0, name: value})
            visited += 1
    assert visited >= 3 * len(config.setting_fields()) >= 75


def test_every_range_includes_its_ends() -> None:
    ranged = {name: f for name, f in config.setting_fields().items() if f.type in (int, float, config.Threads)}
    for name, f in ranged.items():
        config.check_setting(name, f.metadata["low"])
        config.check_setting(name, f.metadata["high"])
        assert f.metadata["low"] <= f.default <= f.metadata["high"]
    assert len(ranged) >= 20


def test_threads_are_a_number_or_auto() -> None:
    assert [config.parse_threads(text) for text in ("auto", "0", "2", "-1")] == ["auto", 0, 2, -1]
    config.check_setting("threads", "auto")
    for text in ("", "two", "1.5", "Auto", "1" * 30):
        with pytest.raises(ConfigError, match="write a number or auto"):
            config.parse_threads(text)


def test_every_setting_has_one_sentence_of_help() -> None:
    helps = [f.metadata["help"] for f in config.setting_fields().values()]
    assert len(helps) >= 25
    assert all(text.endswith(".") and "\n" not in text for text in helps)


@pytest.mark.parametrize("lengths", [{}, {"kimg": 1.0, "epochs": 1.0}, {"epochs": 1.0, "time_budget": 9.0}], ids=str)
def test_exactly_one_length_is_required(lengths: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="kimg, epochs and time_budget"):
        TrainConfig(**lengths)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"loss": "wasserstein"}, "diverges without a bound .* give --gradient-penalty 10 --gamma 0"),
        ({"loss": "wasserstein", "gamma": 1.0}, "diverges without a bound"),
        ({"gradient_penalty": 10.0, "gamma": 0.5}, "gradient to 1, gamma 0.5 pulls it to 0; give --gamma 0 or"),
        ({"r2": True}, "r2 uses gamma as its weight, and gamma is 0; give --gamma or --no-r2"),
    ],
    ids=str,
)
def test_losses_and_penalties_that_cannot_work_are_refused_with_the_reason(
    settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        TrainConfig(kimg=1.0, **settings)


def test_every_loss_has_penalties_that_it_works_with() -> None:
    visited = 0
    for name in typing.get_args(config.LossName):
        TrainConfig(kimg=1.0, loss=name, gradient_penalty=10.0)
        if name != "wasserstein":
            TrainConfig(kimg=1.0, loss=name, gamma=1.0, r2=True)
        visited += 1
    assert visited >= 5


def test_unknown_name_suggests_the_closest() -> None:
    with pytest.raises(ConfigError, match=r"'batchsize' in x\.toml .*'batch_size'"):
        config.check_setting_names(["lr", "batchsize"], "x.toml")


def test_unknown_choice_suggests_the_closest() -> None:
    with pytest.raises(ConfigError, match=r"'cnov' .*'conv'"):
        config.check_setting("model", "cnov")


def test_values_survive_json() -> None:
    settings = TrainConfig(kimg=1.5, model="mlp", seed=2**63 - 1, conditional=False)
    assert config.config_from_values(json.loads(json.dumps(config.config_to_values(settings)))) == settings


def test_from_values_refuses_unknown_names() -> None:
    with pytest.raises(ConfigError, match="'gama'"):
        config.config_from_values({"kimg": 1.0, "gama": 2.0})


def test_flag_is_the_field_with_dashes() -> None:
    assert config.flag_name("lr_decay_from") == "--lr-decay-from"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("90", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("1h1m1s", 3661), (" 1.5M ", 90), ("0s", 0)],
)
def test_parse_seconds_reads(text: str, seconds: float) -> None:
    assert config.parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "ten", "-5s", "5x", "1m1h", "1e3", "1h 30m", "nan", "1."])
def test_parse_seconds_refuses(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot read the time"):
        config.parse_seconds(text)


@pytest.mark.parametrize("text", ["9" * 400, "1000001000s", "999999h"])
def test_parse_seconds_refuses_absurdly_long_times(text: str) -> None:
    with pytest.raises(ConfigError, match="is too long") as caught:
        config.parse_seconds(text)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("text", "colour"),
    [("black", (0, 0, 0)), ("White", (255, 255, 255)), ("#0a1B2c", (10, 27, 44)), ("#fa0", (255, 170, 0))],
)
def test_parse_colour_reads_names_and_hexadecimals(text: str, colour: tuple[int, int, int]) -> None:
    assert config.parse_colour(text) == colour


@pytest.mark.parametrize("text", ["", "#", "sky", "#12", "#1234567", "#gggggg", "##fff", "255,0,0"])
def test_parse_colour_refuses(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot read the colour"):
        config.parse_colour(text)


def test_augmentations_are_read_in_their_order() -> None:
    assert config.parse_augment("none") == ()
    assert config.parse_augment("cutout, color") == ("cutout", "color")
    for text, reason in (
        ("", "''"),
        ("colour", "did you mean 'color'"),
        ("flip,flip", "twice"),
        ("none,flip", "'none'"),
    ):
        with pytest.raises(ConfigError, match=reason):
            config.parse_augment(text)
        with pytest.raises(ConfigError, match=reason):
            TrainConfig(kimg=1.0, augment=text)


def test_spectral_norm_bounds_the_gradient_that_wasserstein_needs() -> None:
    assert TrainConfig(kimg=1.0, loss="wasserstein", spectral_norm=True).gradient_penalty == 0


def test_adaptive_strength_of_no_augmentation_is_refused() -> None:
    TrainConfig(kimg=1.0, ada=True, augment="flip")
    with pytest.raises(ConfigError, match="ada"):
        TrainConfig(kimg=1.0, ada=True)


def test_adaptive_strength_starts_at_its_limit_or_below() -> None:
    for strength, ada in ((ADA_LIMIT, True), (1.0, False)):
        TrainConfig(kimg=1.0, ada=ada, augment="flip", augment_strength=strength)
    with pytest.raises(ConfigError, match=r"0\.81 .*0\.8; .*--augment-strength 0\.8"):
        TrainConfig(kimg=1.0, ada=True, augment="flip", augment_strength=0.81)


@pytest.mark.parametrize("resolution", [-4, 4, 7, 30, 254, 260, 300])
def test_a_resolution_no_network_takes_is_refused(resolution: int) -> None:
    with pytest.raises(ConfigError, match=f"resolution must be a multiple of 4 from 8 to 256, or 0, got {resolution}"):
        TrainConfig(kimg=1.0, resolution=resolution)


def test_data_and_models_have_the_same_limits() -> None:
    spec = ModelSpec(**{**SPEC, "resolution": transform.LOWEST, "n_classes": config.MOST_CLASSES})
    dataclasses.replace(spec, resolution=transform.HIGHEST)
    below, above = transform.LOWEST - 4, transform.HIGHEST + 4
    beyond = {"resolution": (below, above, 30), "n_classes": (config.MOST_CLASSES + 1,)}
    for name, values in beyond.items():
        for value in values:
            with pytest.raises(ConfigError, match=name):
                dataclasses.replace(spec, **{name: value})
    assert not any(map(transform.is_valid_resolution, beyond["resolution"]))


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("7", [7]), ("0,1,4-6", [0, 1, 4, 5, 6]), ("3-3", [3]), (" 2 , 1 ", [2, 1]), ("5,5", [5, 5])],
)
def test_parse_seeds_reads_lists_and_ranges_in_order(text: str, seeds: list[int]) -> None:
    assert config.parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", ",", "1,", "-1", "a", "1-", "1-2-3", "1.5", "0x1", "9" * 19])
def test_parse_seeds_refuses(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot read the seeds"):
        config.parse_seeds(text)


def test_parse_seeds_refuses_a_range_that_falls_or_is_too_long() -> None:
    with pytest.raises(ConfigError, match="5 is above 3"):
        config.parse_seeds("5-3")
    with pytest.raises(ConfigError, match=r"1,000,000,000,000 seeds; .*10,000,000"):
        config.parse_seeds("0-999999999999")
    with pytest.raises(ConfigError, match=r"5 seeds; .*4"):
        config.parse_seeds("0-3,3", 4)
    assert config.parse_seeds("0-2,3", 4) == [0, 1, 2, 3]


def test_too_many_seeds_are_refused_before_they_are_listed() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError):
            config.parse_seeds("0-9999999", 1024)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_model_spec_refuses_each_bad_value_by_name() -> None:
    ModelSpec(**SPEC)
    visited = 0
    for f in dataclasses.fields(ModelSpec):
        for value in (-1, 10**9, 1.0, "8", None, True, [1]):
            with pytest.raises(ConfigError, match=f.name):
                ModelSpec(**{**SPEC, f.name: value})
            visited += 1
    assert visited == 7 * len(SPEC)
    with pytest.raises(ConfigError, match=r"did you mean 'mlp'\?"):
        ModelSpec(**{**SPEC, "model": "mpl"})


@pytest.mark.parametrize(
    ("seeds", "text"),
    [
        ([], ""),
        ([7], "7"),
        ([0, 1, 2], "0-2"),
        ([0, 1, 4, 5, 6, 2], "0-1,4-6,2"),
        ([3, 2, 1], "3,2,1"),
        ([5, 5], "5,5"),
    ],
)
def test_seeds_are_written_as_they_are_read(seeds: list[int], text: str) -> None:
    assert config.format_seeds(seeds) == text
    assert not seeds or config.parse_seeds(text) == seeds


def test_any_seeds_survive_being_written() -> None:
    draw = random.Random(0)
    for _ in range(200):
        seeds = [draw.randrange(12) for _ in range(draw.randrange(1, 30))]
        assert config.parse_seeds(config.format_seeds(seeds)) == seeds


def test_a_grid_is_rows_by_columns() -> None:
    assert config.parse_grid("8x10") == (8, 10)
    assert config.parse_grid(" 1X99999 ") == (1, 99999)
    for text in ("", "8", "8x", "x8", "0x8", "8x0", "-1x8", "8x8x8", "1x100000", "8\u00d78", "axb"):
        with pytest.raises(ConfigError, match="ROWSxCOLUMNS"):
            config.parse_grid(text)
