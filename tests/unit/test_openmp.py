import json
import os
import subprocess
import sys

import pytest

from gancli import openmp

CHOSEN = {name: value for name, value in os.environ.items() if name not in openmp.VARIABLES}


def variables_after(code: str, **given: str) -> dict[str, str]:
    """Run code in a fresh interpreter; return OpenMP's variables at its end."""
    script = f"{code}\nimport json, os\nprint(json.dumps({{name: os.environ.get(name) for name in {openmp.WAITING}}}))"
    done = subprocess.run([sys.executable, "-c", script], env=CHOSEN | given, capture_output=True, check=True)
    found: dict[str, str | None] = json.loads(done.stdout)
    return {name: value for name, value in found.items() if value is not None}


def test_idle_threads_sleep_if_gancli_is_imported_before_torch() -> None:
    assert variables_after("import gancli") == openmp.SLEEP
    assert variables_after("import gancli.core.devices") == openmp.SLEEP


def test_a_loaded_torch_keeps_its_environment() -> None:
    loaded = "import sys, types; sys.modules['torch'] = types.ModuleType('torch'); import gancli"
    assert variables_after(loaded) == {}


@pytest.mark.parametrize("name", openmp.WAITING)
def test_a_policy_of_the_user_is_kept(name: str) -> None:
    value = {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "5", "KMP_BLOCKTIME": "1"}[name]
    assert variables_after("import gancli", **{name: value}) == {name: value}


VALID = {
    "OMP_WAIT_POLICY": ("ACTIVE", "passive"),
    "GOMP_SPINCOUNT": ("10000", "300k", "INFINITE", "infinity"),
    "KMP_BLOCKTIME": ("0", "200", "100us", "infinite"),
    "OMP_NUM_THREADS": ("2", "4,2"),
}
INVALID = {
    "OMP_WAIT_POLICY": ("busy", ""),
    "GOMP_SPINCOUNT": ("-1", "many"),
    "KMP_BLOCKTIME": ("soon",),
    "OMP_NUM_THREADS": ("0", "two", "-2"),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in VALID.items() for value in values])
def test_a_known_value_has_no_note(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert openmp.invalid_variable_notes() == []


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in INVALID.items() for value in values])
def test_an_unknown_value_has_a_note_that_says_what_to_write(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    wanted = openmp.VARIABLES[name][1]
    assert openmp.invalid_variable_notes() == [f"OpenMP ignores {name}={value}; set it to {wanted}, or unset it"]
    assert set(VALID) == set(INVALID) == set(openmp.VARIABLES)
