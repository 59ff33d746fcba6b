"""config.json as types: it survives reading and writing, and errors name their place."""

import json
from pathlib import Path
from typing import Any

import pytest
from run_configs import config_values, make_run_config

from gancli.errors import RunError
from gancli.files.run_config import parse_run_config, read_run_config, to_json, write_run_config
from gancli.files.run_folder import RunDir

EVAL = {"score": "fd_digits", "floor": 0.5, "coverage_floor": None, "class_tv_floor": 0.02, "n_fake": 2000,
        "n_real": 60000, "n_heldout": 10000, "features": "digits", "features_sha256": "ab"}  # fmt: skip
INIT = {"source": "old", "path": "/old", "sha256": "ab", "nimg": 5, "data": "tiny", "remade": ["D"], "new_classes": []}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"plan": {"total_nimg": None}, "train": {"kimg": 0.0, "time_budget": 60}},
        {"plan": {"total_nimg": 9000, "earlier": [2500, None]}, "job": "none", "log": "tensorboard"},
        {"init": INIT, "eval": EVAL},
        {"data": {"class_names": ["a", "b"], "class_counts": [3, 0], "clusters": "ab", "n_skipped": 0, "n_copies": 2}},
        {"train": {"lr": 1, "threads": "auto"}},
        {"data": {"source": "/pics\udcff"}},  # a path with a byte that is not UTF-8
    ],
)
def test_config_survives_reading_and_writing(tmp_path: Path, changes: dict[str, Any]) -> None:
    """In the same order, and whole numbers stay whole."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config_values(**changes)))
    assert json.dumps(to_json(read_run_config(path))) == path.read_text()


def test_keys_missing_in_older_versions_get_defaults_and_keys_of_newer_versions_are_ignored() -> None:
    values = config_values(newer=1, data={"newer": {}})
    del values["train"]["beta2_end"], values["sources"]["beta2_end"], values["ideals"]["loss_unit"]
    config = parse_run_config(values, Path("config.json"))
    assert (config.train.beta2_end, config.sources["beta2_end"], config.ideals.loss_unit) == (
        0.0,
        "default",
        "nats per image",  # the default for old runs without it, see report/charts.py
    )
    assert "newer" not in to_json(config)


def test_unknown_keys_keep_their_place_and_unset_ones_are_dropped(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.write_json(run.config, {"comment": "mine", **config_values(log="tensorboard", newer=1), "job": "none"})
    write_run_config(run, make_run_config(init=INIT))
    assert json.dumps(run.read_config()) == json.dumps(
        {"comment": "mine", **config_values(newer=1), "init": run.read_config()["init"]}
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plan": {"total_nimg": 0}}, "plan.total_nimg: Expected `int` >= 1"),
        ({"plan": {"total_nimg": None}}, "plan.total_nimg must be a whole number above 0"),
        ({"plan": {"total_nimg": 10**400}}, "plan.total_nimg: Expected `int` <="),
        ({"plan": {"earlier": 3}}, "plan.earlier: Expected `array`, got `int`"),
        ({"plan": {"earlier": [True]}}, r"plan.earlier\[0\]: Expected"),
        ({"machine": {"precision": "x"}}, "machine.precision: Invalid enum value 'x'"),
        ({"machine": {"threads": 1025}}, "machine.threads: Expected `int` <= 1024"),
        ({"machine": {"processes": 0}}, "machine.processes: Expected `int` >= 1"),
        ({"machine": {"torch": 2}}, "machine.torch: Expected `str`, got `int`"),
        ({"ideals": {"d_loss": float("nan")}}, "ideals.d_loss: Expected `float`"),
        ({"ideals": 3}, "ideals: Expected `object`, got `int`"),
        ({"data": {"class_names": ["a"]}}, "data: class_names and class_counts must have the same length"),
        ({"data": {"class_names": ["a"], "class_counts": [0]}}, "data: class_counts must not all be 0"),
        ({"data": {"class_names": [3], "class_counts": [1]}}, r"data.class_names\[0\]: Expected `str`, got `int`"),
        ({"data": {"n_train": 0}}, "data.n_train: Expected `int` >= 1"),
        ({"data": {"resolution": 30}}, "resolution must be a multiple of 4, got 30"),
        ({"data": {"source": None}}, "data.source: Expected `str`, got `null`"),
        ({"init": "x"}, "init: Expected `object | null`, got `str`"),
        ({"eval": {"floor": 1}}, "eval: Object missing required field `score`"),
        ({"eval": {"score": "x", "floor": float("inf")}}, "eval.floor: Expected `float` <="),
        ({"log": 3}, "log: Expected `str | null`, got `int`"),
        ({"sources": 3}, "unsupported operand"),
        ({"sources": {"lr": 3}}, r"sources\[...\]: Expected `str`, got `int`"),
        ({"train": {"warp": 1}}, "unknown setting 'warp'"),
        ({"train": {"lr": "fast"}}, "lr must be a number, got 'fast'"),
    ],
)
def test_errors_name_the_place_in_the_file(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RunError, match=f"config.json does not hold a valid run config: {said}"):
        make_run_config(**changes)


@pytest.mark.parametrize("name", ["train", "sources", "plan", "data", "machine", "ideals", "preset"])
def test_a_missing_section_is_named(name: str) -> None:
    values = config_values()
    del values[name]
    with pytest.raises(RunError, match=name):
        parse_run_config(values, Path("config.json"))
