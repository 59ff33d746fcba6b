from dataclasses import replace

import pytest
import torch

from gancli import presets
from gancli.config import TrainConfig
from gancli.core.data.dataset import build_image_set
from gancli.core.training import run_config
from gancli.core.training.auto_settings import adapt_settings_to_data, scale_batch_size, scale_gamma
from gancli.errors import ConfigError
from gancli.files.run_config import RunConfig


def followed(
    resolution: int, preset: str = "quick", *, n_train: int = 500, is_watched: bool = True, **flags: object
) -> tuple[TrainConfig, dict[str, str]]:
    _, config, sources = presets.resolve_config(preset, flags=flags)
    return adapt_settings_to_data(
        config, sources, presets.PRESETS[preset], resolution, n_train=n_train, is_watched=is_watched
    )


def test_the_batch_halves_with_each_doubling_above_32_px_but_not_below_16() -> None:
    sizes = (8, 28, 32, 36, 64, 68, 128, 132, 256)
    assert [scale_batch_size(64, size) for size in sizes] == [64, 64, 64, 32, 32, 16, 16, 16, 16]
    assert [scale_batch_size(256, size) for size in sizes] == [256, 256, 256, 128, 128, 64, 64, 32, 32]
    assert scale_batch_size(8, 256) == 8


def test_gamma_grows_with_the_pixels_and_falls_with_the_batch_above_32_px() -> None:
    assert [scale_gamma(0.5, size, 64, 64) for size in (8, 28, 32, 64, 256)] == [0.5, 0.5, 0.5, 2.0, 32.0]
    assert scale_gamma(0.5, 64, 64, 16) == 8 and scale_gamma(0.5, 64, 64, 128) == 1
    assert scale_gamma(0.5, 32, 64, 16) == 0.5
    assert scale_gamma(0.0, 256, 64, 16) == 0


@pytest.mark.parametrize("preset", presets.PRESETS)
@pytest.mark.parametrize("resolution", [8, 28, 32])
def test_up_to_32_px_a_preset_is_unchanged(preset: str, resolution: int) -> None:
    _, config, sources = presets.resolve_config(preset)
    assert followed(resolution, preset) == (config, sources)


@pytest.mark.parametrize("resolution", [32, 64, 128])
def test_a_preset_made_for_a_resolution_is_unchanged_there(resolution: int) -> None:
    preset = f"r3gan-{resolution}"
    config, sources = followed(resolution, preset)
    assert config == presets.PRESETS[preset] and config.resolution == resolution
    assert set(sources.values()) == {f"preset {preset}"}


def test_a_preset_made_for_a_resolution_is_adapted_above_it() -> None:
    config, sources = followed(128, "r3gan-64")
    assert (config.batch_size, config.gamma) == (128, 2.0 * 4 * 2)
    assert sources["batch_size"] == sources["gamma"] == "rule"
    assert followed(48, "r3gan-64")[0].gamma == 2.0


def test_adapted_settings_have_the_source_rule() -> None:
    config, sources = followed(64)
    assert (config.batch_size, config.gamma) == (32, 0.5 * 4 * 2)
    assert (sources["batch_size"], sources["gamma"], sources["lr"]) == ("rule", "rule", "preset quick")
    config, sources = followed(64, "classic")
    assert (config.batch_size, config.gamma) == (16, 0)
    assert (sources["batch_size"], sources["gamma"]) == ("rule", "preset classic")


def test_flags_are_kept_and_the_other_settings_adapt_to_them() -> None:
    config, sources = followed(64, batch_size=128)
    assert (config.batch_size, config.gamma) == (128, 0.5 * 4 / 2)
    assert (sources["batch_size"], sources["gamma"]) == ("flag", "rule")
    config, sources = followed(64, gamma=3.0)
    assert (config.batch_size, config.gamma) == (32, 3.0)
    assert (sources["batch_size"], sources["gamma"]) == ("rule", "flag")


@pytest.fixture
def adaptive(monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """`quick` with adaptive augmentation that starts at 0."""
    preset = replace(
        presets.PRESETS["quick"], augment="color,translation,cutout", augment_strength=0.0, ada=True, augment_below=0
    )
    monkeypatch.setitem(presets.PRESETS, "quick", preset)
    return preset


def test_adaptive_augmentation_of_a_preset_is_fixed_without_held_out_images(adaptive: TrainConfig) -> None:
    assert followed(28)[0] == adaptive
    config, sources = followed(28, is_watched=False)
    assert config == replace(adaptive, ada=False, augment_strength=0.5)
    assert sources["ada"] == sources["augment_strength"] == "rule"
    config, sources = followed(28, is_watched=False, augment_strength=0.2)
    assert (config.ada, config.augment_strength) == (False, 0.2)
    assert (sources["ada"], sources["augment_strength"]) == ("rule", "flag")


def test_adaptive_augmentation_from_a_flag_is_kept(adaptive: TrainConfig) -> None:
    assert followed(28, is_watched=False, ada=True)[0].ada
    assert followed(28, is_watched=False, augment="none")[0] == replace(adaptive, augment="none", ada=False)


@pytest.mark.parametrize(
    ("n_train", "flags", "is_augmented"),
    [
        (1999, {}, True),
        (2000, {}, False),
        (2000, {"ada": True}, True),
        (2000, {"augment": "color"}, True),
        (2000, {"augment_strength": 0.2}, True),
        (1999, {"augment": "none"}, False),
        (2000, {"ada": False}, False),
        (2000, {"augment_strength": 0.0}, False),
        (1999, {"ada": False}, True),
    ],
)
def test_few_images_are_augmented_and_many_only_on_request(
    n_train: int, flags: dict[str, object], is_augmented: bool
) -> None:
    assert presets.PRESETS["quick"].augment_below == 2000
    config, sources = followed(28, n_train=n_train, **flags)
    assert (config.augment != "none") == is_augmented
    assert is_augmented or not config.ada
    assert (sources["augment"] == "rule") == (n_train == 2000 and not any(flags.values()))


def test_the_tutorials_recipe_is_never_augmented() -> None:
    assert followed(28, "classic", n_train=10)[0].augment == "none"


def test_a_record_says_that_augmentation_is_fixed_or_refuses(adaptive: TrainConfig) -> None:
    def record(n: int, **flags: object) -> RunConfig:
        images = build_image_set("made", (torch.zeros(n, 1, 8, 8, dtype=torch.uint8), None))
        return run_config.build_run_config(*presets.resolve_config("quick", flags=flags), images)

    assert run_config.run_config_notes(record(200)) == []
    (said,) = run_config.run_config_notes(record(199))
    assert said.startswith("augmentation has a fixed strength of 0.5 (--augment-strength): no images are held out")
    with pytest.raises(ConfigError, match=r"--ada .*held-out"):
        record(199, ada=True)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"gamma": 0.0}, []),
        ({"gamma": 0.0, "r1_interval": 4}, ["--r1-interval has no effect without --gamma"]),
        ({"gamma": 0.1, "r1_interval": 4, "gamma_end": 0.5}, []),
        ({"gamma": 0.0, "gamma_end": 0.5}, ["--gamma-end has no effect without --gamma"]),
        ({"augment": "none", "augment_strength": 0.9}, ["--augment-strength has no effect without --augment"]),
        ({"augment": "none", "augment_strength": 0.0}, []),
        ({"augment_strength": 0.9}, []),
    ],
    ids=str,
)
def test_a_record_names_settings_without_effect(flags: dict[str, object], said: list[str]) -> None:
    images = build_image_set("made", (torch.zeros(200, 1, 8, 8, dtype=torch.uint8), None))
    for chosen in (presets.resolve_config("quick", flags=flags), presets.resolve_config("quick", flags)):  # a file
        assert run_config.run_config_notes(run_config.build_run_config(*chosen, images)) == said


def test_the_record_of_a_run_has_the_values_used() -> None:
    images = build_image_set("made", (torch.zeros(12, 3, 64, 64, dtype=torch.uint8), None))
    record = run_config.build_run_config(*presets.resolve_config("quick"), images)
    assert (record.train.batch_size, record.train.gamma) == (32, 4.0)
    assert record.sources["batch_size"] == record.sources["gamma"] == "rule"
