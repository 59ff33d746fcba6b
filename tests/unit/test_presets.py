from dataclasses import replace

import pytest

from gancli import config, presets
from gancli.datasets import DATASETS
from gancli.errors import ConfigError
from gancli.presets import PRESETS, resolve_config


def test_classic_is_the_tutorial_to_the_letter() -> None:
    classic = PRESETS["classic"]
    recipe = dict(
        model="mlp", conditional=False, z_dim=64, g_width=256, d_width=256, loss="non-saturating", gamma=0.0, shift=0
    )
    recipe |= dict(batch_size=32, lr=2e-4, beta1=0.9, beta2=0.999, lr_decay_from=1.0, share_latents=False, ema_kimg=0.0)
    recipe |= dict(epochs=100)
    assert {name: getattr(classic, name) for name in recipe} == recipe


def test_without_a_preset_the_default_is_used() -> None:
    name, settings, sources = resolve_config(None)
    assert name == presets.DEFAULT_PRESET == "quick"
    assert settings == PRESETS["quick"]
    assert sources == dict.fromkeys(config.setting_fields(), "preset quick")


@pytest.mark.parametrize("data", ["stacked-mnist", "stacked-mnist-5k"])
def test_the_data_choose_the_preset_if_none_is_given(data: str) -> None:
    assert resolve_config(None, None, {"data": data})[0] == resolve_config(None, {"data": data})[0] == "stacked"
    assert resolve_config(None, {"data": data}, {"data": "mnist"})[0] == "quick"
    assert resolve_config("classic", None, {"data": data})[0] == "classic"


def test_no_augmentation_turns_off_the_adaptive_augmentation_of_a_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    adaptive = replace(PRESETS["quick"], augment="color", ada=True)
    monkeypatch.setitem(PRESETS, "quick", adaptive)
    assert resolve_config("quick")[1].ada
    for file, flags in (({"augment": "none"}, None), (None, {"augment": "none"}), ({"ada": True}, {"augment": "none"})):
        _, settings, sources = resolve_config("quick", file, flags)
        assert settings == replace(adaptive, augment="none", ada=False)
        assert sources["ada"] == sources["augment"] == ("flag" if flags else "file")
    for file, flags in (({"augment": "none"}, {"ada": True}), (None, {"augment": "none", "ada": True})):
        with pytest.raises(ConfigError, match="ada"):
            resolve_config("quick", file, flags)


def test_flag_wins_over_file_and_file_over_preset() -> None:
    file = {"lr": 0.5, "batch_size": 16}
    name, settings, sources = resolve_config("classic", file, {"batch_size": 8, "gamma": None})
    assert (name, settings.batch_size, settings.lr, settings.gamma) == ("classic", 8, 0.5, PRESETS["classic"].gamma)
    assert (sources["batch_size"], sources["lr"], sources["gamma"]) == ("flag", "file", "preset classic")


def test_file_may_name_the_preset_and_an_argument_wins_over_it() -> None:
    assert resolve_config(None, {"preset": "classic"})[0] == "classic"
    assert resolve_config("quick", {"preset": "classic"})[0] == "quick"


def test_arguments_are_left_as_they_were() -> None:
    file, flags = {"preset": "classic", "time_budget": "1m"}, {"lr": 0.1, "seed": None}
    resolve_config(None, file, flags)
    assert (file, flags) == ({"preset": "classic", "time_budget": "1m"}, {"lr": 0.1, "seed": None})


@pytest.mark.parametrize("length", config.LENGTH_SETTINGS)
def test_a_length_replaces_an_earlier_one_of_any_unit(length: str) -> None:
    _, settings, sources = resolve_config("classic", {"epochs": 7}, {length: 5})
    assert {name: getattr(settings, name) for name in config.LENGTH_SETTINGS} == {
        **dict.fromkeys(config.LENGTH_SETTINGS, 0.0),
        length: 5,
    }
    assert {sources[name] for name in config.LENGTH_SETTINGS} == {"flag"}


def test_two_lengths_in_one_place_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="--kimg and --epochs"):
        resolve_config("quick", None, {"kimg": 1, "epochs": 1})
    with pytest.raises(ConfigError, match="--epochs and --time-budget"):
        resolve_config("quick", {"time_budget": "9s", "epochs": 1})


def test_time_budget_is_read_with_units() -> None:
    assert resolve_config("quick", None, {"time_budget": "1m30s"})[1].time_budget == 90


@pytest.mark.parametrize("preset", ["quik", ["quick"], 3])
def test_unknown_preset_lists_the_known_ones(preset: object) -> None:
    with pytest.raises(ConfigError, match=r"preset .*classic, quick, stacked"):
        resolve_config(None, {"preset": preset})
    with pytest.raises(ConfigError, match=r"did you mean 'quick'\?"):
        resolve_config("quik")


def test_unknown_setting_is_reported_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"'batchsize' in the configuration .*'batch_size'"):
        resolve_config(None, {"batchsize": 8})
    with pytest.raises(ConfigError, match="'batchsize' in the flags"):
        resolve_config(None, None, {"batchsize": 8})


def test_bad_value_is_refused_even_if_another_layer_overrides_it() -> None:
    with pytest.raises(ConfigError, match="batch_size must be from 2"):
        resolve_config(None, {"batch_size": 1}, {"batch_size": 8})


def test_every_preset_resolves_to_itself() -> None:
    for name, settings in PRESETS.items():
        assert resolve_config(name)[:2] == (name, settings)
    assert len(PRESETS) >= 2
    assert {row.preset for row in DATASETS.values()} - {None} == {"stacked"} <= set(PRESETS)
