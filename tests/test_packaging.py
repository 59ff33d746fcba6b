"""The package: dependencies, licence, typing, the checking script, the command reference."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from gancli.doctor.diagnosis import EXTRAS

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_dependencies_have_lower_bounds_only() -> None:
    wanted = PROJECT["dependencies"] + [d for group in PROJECT["optional-dependencies"].values() for d in group]
    others = [d for d in wanted if not d.startswith("gancli[")]
    assert len(others) >= 10
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*>=[0-9.]+", d) for d in others)
    assert PROJECT["requires-python"] == ">=3.11"


def test_licence_typing_marker_and_command_exist() -> None:
    assert PROJECT["license"] == "MIT" and "MIT License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert (ROOT / "gancli" / "py.typed").exists()
    assert PROJECT["scripts"] == {"gancli": "gancli.__main__:main"}


def test_every_module_outside_the_standard_library_is_a_declared_dependency() -> None:
    words = {
        match[1]
        for path in (ROOT / "gancli").rglob("*.py")
        for match in re.finditer(r"^\s*(?:import|from) (\w+)", path.read_text(encoding="utf-8"), re.M)
    }
    distributions = metadata.packages_distributions()
    known = {word for word in words - set(sys.stdlib_module_names) - {"gancli"} if word in distributions}
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *(each for extra in EXTRAS for each in extras[extra])]
    declared = {re.match(r"[a-z0-9-]+", d)[0] for d in wanted}
    assert {"torch", "typer"} <= known
    assert {distributions[name][0].lower().replace("_", "-") for name in known} <= declared


def test_the_doctor_knows_every_extra_for_users() -> None:
    extras = {name: wanted for name, wanted in PROJECT["optional-dependencies"].items() if name != "dev"}
    assert {name: tuple(each.partition(">=")[0] for each in wanted) for name, wanted in extras.items()} == EXTRAS


def test_check_refuses_unknown_arguments() -> None:
    end = subprocess.run([sys.executable, ROOT / "scripts" / "check", "--al"], capture_output=True, text=True)
    assert end.returncode == 2
    assert "usage: scripts/check [--fast | --all]" in end.stderr and not end.stdout


def test_command_reference_is_up_to_date_at_any_terminal_width(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in ("40", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        command = [sys.executable, ROOT / "scripts" / "cli_docs.py", "--check"]
        end = subprocess.run(command, capture_output=True, text=True)
        assert end.returncode == 0, end.stdout + end.stderr


def test_wheel_and_sdist_hold_what_they_should(tmp_path: Path) -> None:
    """Built by the backend, which needs no network."""
    for target in ("wheel", "sdist"):
        command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(tmp_path)]
        end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert end.returncode == 0, end.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        in_wheel = set(wheel.namelist())
        info = next(name for name in in_wheel if name.endswith("/METADATA"))
        about = wheel.read(info).decode()
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "gancli").rglob("*.py")}
    weights = {str(path.relative_to(ROOT)) for path in (ROOT / "gancli" / "metrics" / "weights").glob("*.safetensors")}
    templates = {
        "gancli/export/card.md.jinja",
        *(f"gancli/report/template/page.{kind}" for kind in ("html", "css", "js")),
    }
    assert in_wheel >= modules | weights | templates | {"gancli/py.typed"} and len(modules) > 80 and len(weights) >= 2
    assert {name.split("/")[0] for name in in_wheel} == {"gancli", info.split("/")[0]}
    assert f"Version: {PROJECT['version']}" in about and "License-Expression: MIT" in about
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as sdist:
        in_sdist = {name.partition("/")[2] for name in sdist.getnames()}
    for name in (
        "tests/conftest.py",
        "docs/dev/design.md",
        "scripts/check",
        "README.md",
        "CHANGELOG.md",
        "CITATION.cff",
    ):
        assert name in in_sdist, name
    assert modules <= in_sdist and not any(".git/" in name or "__pycache__" in name for name in in_sdist)
