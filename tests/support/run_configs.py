"""Run configs made in memory for tests: the values of a config.json, and the type."""

import copy
from pathlib import Path
from typing import Any

from gancli import presets
from gancli.config import config_to_values
from gancli.files.run_config import RunConfig, parse_run_config


def config_values(**changes: Any) -> dict[str, Any]:
    """The values of a whole config.json; a dict among the changes is put into the section of that name."""
    train = {**config_to_values(presets.PRESETS["quick"]), "kimg": 4.0, "time_budget": 0.0}
    values: dict[str, Any] = {
        "gancli": "0.1.0",
        "preset": "quick",
        "train": train,
        "sources": dict.fromkeys(train, "preset quick"),
        "plan": {"total_nimg": 4000},
        "data": {"name": "mnist", "source": "mnist", "digest": "0" * 64, "n_train": 1000, "n_heldout": 100,
                 "resolution": 28, "channels": 1, "class_names": [], "class_counts": []},
        "machine": {"device": "cpu", "threads": 1, "processes": 1, "precision": "float32", "torch": "2.6.0"},
        "ideals": {"d_loss": 1.386, "g_loss": 0.693, "accuracy": 0.5, "d_loss_name": "log 4", "g_loss_name": "log 2",
                   "loss_unit": "nats per image", "accuracy_of": "images"},
    }  # fmt: skip
    for key, value in changes.items():
        old = values.get(key)
        values[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return copy.deepcopy(values)


def make_run_config(**changes: Any) -> RunConfig:
    return parse_run_config(config_values(**changes), Path("config.json"))
