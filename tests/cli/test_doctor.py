"""gancli doctor: a report that is safe to paste into an issue."""

import getpass
import json
import platform
import sys
from pathlib import Path

import pytest
from commands import gancli

from gancli._version import install_hint
from gancli.core import devices
from gancli.doctor import benchmark, diagnosis


def found(*arguments: str) -> dict:
    result = gancli("doctor", "--json", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names that the report must not contain: user, host and home."""
    named = ("Linux", "anna-laptop", "6.1", "#1", "x86_64")
    monkeypatch.setattr(platform, "uname", lambda: platform.uname_result(*named))
    monkeypatch.setattr(platform, "_platform_cache", {})
    monkeypatch.setattr(getpass, "getuser", lambda: "anna")
    home = tmp_path / "anna"
    for folder in (home / "cache" / "mnist", home / "cache" / "her own"):
        folder.mkdir(parents=True)
        (folder / "data.bin").write_bytes(bytes(3_000_000))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GANCLI_CACHE", str(home / "cache"))
    return ["anna", "her own"]


def test_the_report_has_all_sections(stranger: list[str]) -> None:
    shown = found("--no-speed", "--outdir", "some/where")
    assert {"versions", "extras", "environment", "cache", "outdir", "hardware"} == {*shown}
    assert shown["versions"]["python"] == platform.python_version() and "torch" in shown["versions"]
    assert {*shown["extras"]} == {*diagnosis.EXTRAS}
    assert shown["cache"]["folder"] == "~/cache" and shown["cache"]["bytes"] == 6_000_000
    assert shown["cache"]["parts"] == {"mnist": 3_000_000, "other": 3_000_000}
    assert shown["outdir"]["can_write"] is True and shown["outdir"]["free_bytes"] > 0
    assert shown["hardware"]["cores"] == devices.count_cores()
    assert shown["hardware"]["devices"][0]["device"] == "cpu"
    assert "float32" in shown["hardware"]["devices"][0]["precision"]
    assert not Path("some").exists()


def test_the_report_has_no_names_of_user_or_machine(stranger: list[str], tmp_path: Path) -> None:
    for form in ("--quiet", "--json"):
        output = gancli("doctor", "--no-speed", "--outdir", str(tmp_path / "anna" / "runs"), form).output
        assert "~/runs" in output and "~/cache" in output
        assert not [word for word in stranger if word in output]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/anna/x", "~/x"),
        ("/home/anna", "~"),
        ("/home/annabel/x", "/home/annabel/x"),
        ("/scratch/anna/x", "/scratch/USER/x"),
        ("no module in /home/anna/lib", "no module in ~/lib"),
        ("denied: '/home/anna'", "denied: '~'"),
        ("/home/anna: gone; see /home/anna.", "~: gone; see ~."),
        ("/home/anna.old/x", "/home/anna.old/x"),
        (r"D:\anna\x", r"D:\USER\x"),
        ("anna/cache", "USER/cache"),
        ("/home/joanna/x", "/home/joanna/x"),
    ],
)
def test_home_and_user_are_not_named(text: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    monkeypatch.setattr(getpass, "getuser", lambda: "anna")
    assert diagnosis.anonymize_text(text) == shown


def test_extras_that_are_missing_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "EXTRAS", {"video": ("no-such-package",), "digits": ("numpy",)})
    shown = diagnosis.extras_report()
    assert shown["video"] == f"missing; {install_hint('video')}" and shown["digits"].startswith("numpy ")


def test_an_unwritable_place_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(diagnosis.tempfile, "TemporaryFile", refuse)
    assert found("--no-speed")["outdir"]["can_write"] is False
    outdir = gancli("doctor", "--no-speed").stdout.partition("outdir:")[2]
    assert "folder     runs\n" in outdir and "can write  no\n" in outdir


def test_speed_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STEPS_S", "PRODUCT_S"):
        monkeypatch.setattr(benchmark, name, 0.0)
    speed = found()["speed"]
    assert speed["device"] == devices.resolve_device("auto").type
    assert speed["quick_images_per_s"] > 0 and speed["float32_gflop_per_s"] > 0
    shown = gancli("doctor", "--quiet").stdout
    assert "quick images/s " in shown and "float32 gflop/s " in shown


def test_the_measured_step_is_that_of_quick_on_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(benchmark, "STEPS_S", 0.0)
    monkeypatch.setattr(benchmark.trial, "measure_batch_rate", lambda engine, *_: seen.append(engine) or 1.0)
    benchmark.measure_training_rate()
    (engine,) = seen
    assert (engine.spec.resolution, engine.spec.channels, engine.spec.n_classes) == (28, 1, 10)
    assert (engine.config.batch_size, engine.config.augment, engine.spec.model) == (64, "none", "conv")


def test_a_product_counts_two_operations_for_each_of_n_cubed(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(benchmark, "PRODUCT_S", 0.0)
    monkeypatch.setattr(benchmark, "time_matmul", lambda n, *_: n**3 / 1e9)
    assert benchmark.measure_matmul_rate(torch.device("cpu"), torch.float32) == pytest.approx(2.0)


def test_a_failure_of_torch_is_reported_without_names(
    stranger: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise AttributeError(f"half of {tmp_path / 'anna' / 'torch'}\nand more")

    monkeypatch.setattr(benchmark, "hardware_report", fail)
    result = gancli("doctor")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "fault: AttributeError: half of ~/torch"


def test_impossible_paths_and_odd_names_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANCLI_CACHE", "x" * 400 + "\x1b[2J\n")
    shown = gancli("doctor", "--no-speed", "--outdir", "y" * 400)
    assert shown.exit_code == 0 and shown.stdout.count("can write  no\n") == 2
    assert "\x1b" not in shown.stdout and len(shown.stdout.splitlines()) < 60


def test_a_torch_that_cannot_be_loaded_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("gancli.doctor.benchmark", raising=False)
    monkeypatch.setitem(sys.modules, "gancli.doctor.benchmark", None)
    result = gancli("doctor")
    assert result.exit_code == 0 and "versions:" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("fault: ")
